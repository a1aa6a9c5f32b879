// The function as Pages gets it: bundled by wrangler, with Pages' own router around it.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { COMPATIBILITY_DATE } from "../../tools/assemble.js";

/** The directory of the function, its tests and tools. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The wrangler of the lock file. */
export const WRANGLER = join(ROOT, "node_modules/wrangler/bin/wrangler.js");

/**
 * The environment of a wrangler that asks nobody for anything.
 * @param {string} home a directory for what it writes beside its work
 * @returns {NodeJS.ProcessEnv}
 */
export function quiet(home) {
  return {
    PATH: process.env.PATH,
    HOME: home,
    XDG_CONFIG_HOME: home,
    CI: "true",
    NO_COLOR: "1",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_HIDE_BANNER: "true",
  };
}

/**
 * Bundles the function.
 * @returns {Promise<string>} the worker's module
 */
export async function bundle() {
  const directory = await mkdtemp(join(tmpdir(), "pages-bundle-"));
  try {
    await promisify(execFile)(
      process.execPath,
      [
        WRANGLER,
        "pages",
        "functions",
        "build",
        "functions",
        `--outdir=${directory}`,
        `--compatibility-date=${COMPATIBILITY_DATE}`,
      ],
      { cwd: ROOT, env: quiet(directory) },
    );
    return await readFile(join(directory, "index.js"), "utf8");
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
