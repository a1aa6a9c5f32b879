// What the programs themselves have written, as a site would publish it.

import { readdir, readFile } from "node:fs/promises";

const LAB = new URL("../data/lab/", import.meta.url);
const TESTDATA = new URL("../../../crates/aggregate/testdata/", import.meta.url);

/** @typedef {import("./report.js").Report} Report */

/**
 * The lab's two runs, by path.
 * @returns {Promise<Map<string, string>>}
 */
export async function lab() {
  /** @type {Map<string, string>} */
  const files = new Map();
  for (const name of (await readdir(LAB)).sort()) {
    files.set(`/${name}`, await readFile(new URL(name, LAB), "utf8"));
  }
  const newest = [...files.keys()].findLast((path) => path.startsWith("/dns_health_"));
  files.set("/latest.json", files.get(newest ?? "") ?? "");
  return files;
}

/**
 * The expected reports of `aggregate`'s examples.
 * @returns {Promise<Map<string, string>>} by the example's name
 */
export async function examples() {
  /** @type {Map<string, string>} */
  const found = new Map();
  for (const name of (await readdir(TESTDATA)).sort()) {
    const text = await readFile(new URL(`${name}/expected-report.json`, TESTDATA), "utf8").catch(
      () => null,
    );
    if (text !== null) found.set(name, text);
  }
  return found;
}
