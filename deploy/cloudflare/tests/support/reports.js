// Reports as the aggregation makes them: its own examples, and a large one made from them.

import { readFileSync } from "node:fs";

const EXAMPLES = new URL("../../../../crates/aggregate/testdata/", import.meta.url);

/**
 * An example's report, as an object.
 * @param {string} name the example's directory
 * @returns {any}
 */
export function example(name) {
  return JSON.parse(readFileSync(new URL(`${name}/expected-report.json`, EXAMPLES), "utf8"));
}

/**
 * The list of files of an example.
 * @returns {any}
 */
export function exampleFiles() {
  return JSON.parse(readFileSync(new URL("zone-is-well/files.json", EXAMPLES), "utf8"));
}

/**
 * A report of as many relays, on one line as it is published; 3,000 are about the network's exits.
 * @param {number} relays
 * @returns {any}
 */
export function large(relays) {
  const report = example("operators");
  const [first] = report.results;
  report.results = Array.from({ length: relays }, (_, number) => ({
    ...first,
    exit_fingerprint: number.toString(16).toUpperCase().padStart(40, "0"),
  }));
  return report;
}
