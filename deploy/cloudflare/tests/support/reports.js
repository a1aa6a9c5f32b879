// Reports as the aggregation makes them: those that its own tests hold it to, and a large one made of
// one of them.

import { readFileSync } from "node:fs";

const ROOT = new URL("../../../../", import.meta.url);

/**
 * A report, as an object.
 * @param {"a_good_first_run" | "everything"} name what it is the report of
 * @returns {any}
 */
export function example(name) {
  const snapshot = `crates/aggregate/tests/it/snapshots/report_of_${name}.snap`;
  // The report comes after the snapshot's own head.
  const [, , report] = readFileSync(new URL(snapshot, ROOT), "utf8").split(/^---$/m);
  return JSON.parse(report);
}

/**
 * The index of badges that is made of "everything", for the fingerprints that begin with 9.
 * @returns {any}
 */
export function exampleBadges() {
  const snapshot =
    "crates/notify/src/export/snapshots/notify__export__tests__the_index_of_the_badges.snap";
  const [, , index] = readFileSync(new URL(snapshot, ROOT), "utf8").split(/^---$/m);
  return JSON.parse(index);
}

/**
 * The metrics that are made of it.
 * @returns {string}
 */
export function exampleMetrics() {
  const snapshot = "crates/notify/src/export/snapshots/notify__export__tests__the_metrics.snap";
  const [, , text] = readFileSync(new URL(snapshot, ROOT), "utf8").split(/^---\n/m);
  return text;
}

/**
 * A feed of incidents.
 * @returns {string}
 */
export function exampleFeed() {
  const snapshot =
    "crates/notify/src/notices/snapshots/notify__notices__tests__feeds_and_incidents_are_well_formed_whatever_strangers_write.snap";
  const [, , text] = readFileSync(new URL(snapshot, ROOT), "utf8").split(/^---\n/m);
  return text;
}

/**
 * The list of files that the lab's runs left.
 * @returns {any}
 */
export function exampleFiles() {
  return JSON.parse(readFileSync(new URL("dashboard/tests/data/lab/files.json", ROOT), "utf8"));
}

/**
 * A report of as many relays, on one line as it is published; 3,000 are about the network's exits.
 * @param {number} relays
 * @returns {any}
 */
export function large(relays) {
  const report = example("everything");
  const [first] = report.results;
  report.results = Array.from({ length: relays }, (_, number) => ({
    ...first,
    exit_fingerprint: number.toString(16).toUpperCase().padStart(40, "0"),
  }));
  return report;
}
