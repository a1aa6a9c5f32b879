// What fonts a browser sees: never the machine's own, on which the width of every word and the height of
// every line would depend. `tools/unpack` brings them; where it cannot, the machine's serve.

import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const UNPACKED = fileURLToPath(new URL("../../../.unpacked/", import.meta.url));

/**
 * Sets of fonts that differ in width and height. In the first, letters are wide, which is the hardest
 * for narrow windows; the lines of the second are low and those of the last are high.
 */
export const ANY_FONTS = ["fonts-dejavu", "fonts-liberation", "fonts-roboto"];

/**
 * What makes a program see these fonts and no others.
 * @param {string} fonts one of {@link ANY_FONTS}
 * @returns {Promise<{env: Record<string, string>, remove: () => Promise<void>}>}
 */
export async function fontsAlone(fonts) {
  const directory = join(UNPACKED, fonts, "usr/share/fonts");
  if (!existsSync(directory)) return { env: {}, remove: async () => {} };
  const home = await mkdtemp(join(tmpdir(), "fonts-"));
  const config = join(home, "fonts.conf");
  await writeFile(
    config,
    `<?xml version="1.0"?>
<fontconfig><dir>${directory}</dir><cachedir>${join(home, "cache")}</cachedir></fontconfig>
`,
  );
  return {
    env: { FONTCONFIG_FILE: config },
    remove: () => rm(home, { recursive: true, force: true }),
  };
}
