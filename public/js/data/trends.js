// trends.json, as docs/formats/trends.md has it. Performs no IO.

import { parse } from "./format.js";
import { percentiles, statusCounts } from "./metadata.js";
import { count, counts, list, object, percent, text, texts, time } from "./read.js";

/** @typedef {import("./types.js").Run} Run */

/**
 * @param {string} source the file's text
 * @returns {Run[]} oldest first; entries without a time are left out
 * @throws {import("./errors.js").DataError}
 */
export function readTrends(source) {
  const document = parse(source, "exit-validator/trends");
  const runs = list(document.runs).flatMap((item) => {
    const entry = object(item);
    const timestamp = time(entry.timestamp);
    if (timestamp === null) return [];
    return [
      {
        timestamp,
        runId: text(entry.run_id),
        published: entry.published === true,
        reasons: texts(entry.reasons),
        total: count(entry.total_relays),
        statuses: statusCounts(entry),
        dnsRate: percent(entry.dns_success_rate_percent),
        reachRate: percent(entry.reachability_rate_percent),
        failingPercent: percent(entry.failing_bandwidth_percent),
        states: counts(entry.states),
        codes: counts(entry.error_codes),
        blames: counts(entry.blames),
        resolve: percentiles(entry.resolve_ms),
        circuit: percentiles(entry.circuit_ms),
      },
    ];
  });
  return runs.sort((a, b) => a.timestamp - b.timestamp);
}
