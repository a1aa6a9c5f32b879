// What the programs themselves have written, as a site would publish it.

import { readdir, readFile } from "node:fs/promises";

const LAB = new URL("../data/lab/", import.meta.url);
const AGGREGATE = new URL("../../../crates/aggregate/", import.meta.url);

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
 * The whole reports that `aggregate`'s tests hold it to.
 * @returns {Promise<Map<string, string>>} by name
 */
export async function examples() {
  /** @type {Map<string, string>} */
  const found = new Map();
  for (const name of ["report_of_a_good_first_run", "report_of_everything"]) {
    const snapshot = new URL(`tests/it/snapshots/${name}.snap`, AGGREGATE);
    // The report comes after the snapshot's own head.
    const [, , report] = (await readFile(snapshot, "utf8")).split(/^---$/m);
    found.set(name, report);
  }
  return found;
}

/**
 * The states that `aggregate`'s tests hold it to, by a relay's marks.
 * @returns {Promise<[marks: string, state: string | null][]>}
 */
export async function states() {
  const table = await readFile(new URL("testdata/states.txt", AGGREGATE), "utf8");
  const rows = table.split("\n").filter((row) => row !== "" && !row.startsWith("#"));
  return rows.map((row) => {
    const [marks, state] = row.split(" ");
    return [marks, state === "-" ? null : state];
  });
}
