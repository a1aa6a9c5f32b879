// trends.json, as docs/formats/trends.md has it. Performs no IO.

import { addsUp } from "./audit.js";
import { parse } from "./format.js";
import { lookupRate, percentiles, statusCounts } from "./metadata.js";
import { count, flag, flawWords, isObject, list, percent, Reading, text, time } from "./read.js";
import { readShares } from "./resolver.js";

/** @import { Flaws } from "./read.js" */

/** @typedef {import("./types.js").Run} Run */
/** @typedef {import("./types.js").Trends} Trends */

/**
 * @param {unknown} item
 * @param {Flaws} flaws
 * @returns {Run | null} null for one without a time
 */
function readRun(item, flaws) {
  const run = new Reading(item, flaws);
  const timestamp = run.get("timestamp", time);
  if (timestamp === null) return null;
  return {
    timestamp,
    runId: run.get("run_id", text),
    published: run.get("published", flag) === true,
    reasons: run.texts("reasons"),
    total: run.get("total_relays", count),
    statuses: statusCounts(run),
    dnsRate: run.get("dns_success_rate_percent", percent),
    reachRate: run.get("reachability_rate_percent", percent),
    lookups: lookupRate(run, "lookup_failure"),
    degraded: run.get("degraded", count) ?? 0,
    resolvers: readShares(run),
    failingPercent: run.get("failing_bandwidth_percent", percent),
    states: run.counts("states"),
    codes: run.counts("error_codes"),
    blames: run.counts("blames"),
    resolve: percentiles(run, "resolve_ms"),
    circuit: percentiles(run, "circuit_ms"),
  };
}

/**
 * @param {string} source the file's text
 * @returns {Trends}
 * @throws {import("./errors.js").DataError}
 */
export function readTrends(source) {
  const document = parse(source, "exit-validator/trends");
  const items = list(document.runs);
  /** @type {Flaws} */
  const flaws = new Map();
  const runs = items.filter(isObject).flatMap((item) => readRun(item, flaws) ?? []);
  runs.sort((a, b) => a.timestamp - b.timestamp);
  /** @type {string[]} */
  const problems = [];
  if (!Array.isArray(document.runs)) problems.push("The list of runs is missing.");
  const dropped = items.length - runs.length;
  if (dropped > 0) problems.push(`Entries that are no runs, or have no time: ${dropped}.`);
  const again = runs.filter((run, i) => i > 0 && run.timestamp === runs[i - 1].timestamp).length;
  if (again > 0) problems.push(`Runs that are there more than once: ${again}.`);
  const odd = runs.filter((run) => !addsUp(run)).length;
  if (odd > 0) problems.push(`Runs whose counts and rates do not add up: ${odd}.`);
  problems.push(...flawWords(flaws, (name, n) => `“${name}” cannot be read for ${n} runs.`));
  return { runs, problems };
}
