// Writes a generated site into a directory, to look at: node tests/support/write.js DIR [RELAYS]
// With `--hostile` the hostile report of texts is its latest.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hostileReports } from "./hostile.js";
import { site } from "./site.js";

const [directory, relays = "3100"] = process.argv.slice(2).filter((one) => !one.startsWith("--"));
if (directory === undefined || !(Number(relays) > 0)) {
  console.error("usage: node tests/support/write.js DIR [RELAYS] [--hostile]");
  process.exit(2);
}
const { files } = site({ relays: Number(relays), dated: 5 });
if (process.argv.includes("--hostile")) {
  files.set("/latest.json", hostileReports().get("texts") ?? "");
}
await mkdir(directory, { recursive: true });
for (const [path, text] of files) await writeFile(join(directory, path), text);
console.log(`${files.size} files in ${directory}`);
