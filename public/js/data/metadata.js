// A report's `metadata`, as docs/formats/report.md has it, to the figures that the page shows.
// Tolerates whatever is missing. Performs no IO.

import {
  count,
  counts,
  fingerprint,
  list,
  number,
  object,
  percent,
  text,
  texts,
  time,
} from "./read.js";

/** @typedef {import("./types.js").Percentiles} Percentiles */
/** @typedef {import("./types.js").Finding} Finding */
/** @typedef {import("./types.js").Input} Input */
/** @typedef {import("./types.js").Metadata} Metadata */

/** The counts by status in the metadata, in the order of the format. */
const STATUS_FIELDS = Object.freeze([
  "success",
  "wrong_ip",
  "dns_fail",
  "timeout",
  "circuit_fail",
  "error",
  "exception",
]);

/**
 * @param {import("./read.js").Fields} fields of a report's metadata, or of a run in the trends
 * @returns {Map<string, number>} results by status
 */
export function statusCounts(fields) {
  /** @type {Map<string, number>} */
  const found = new Map();
  for (const name of STATUS_FIELDS) {
    const n = count(fields[name]);
    if (n !== null && n > 0) found.set(name, n);
  }
  return found;
}

/**
 * @param {unknown} value
 * @returns {Percentiles | null}
 */
export function percentiles(value) {
  const p = object(value);
  const found = {
    count: count(p.count),
    min: number(p.min),
    p50: number(p.p50),
    p75: number(p.p75),
    p90: number(p.p90),
    p95: number(p.p95),
    p99: number(p.p99),
    max: number(p.max),
  };
  return found.p50 === null ? null : found;
}

/**
 * @param {unknown} value
 * @returns {Finding[]}
 */
function findings(value) {
  return list(value).flatMap((item) => {
    const code = typeof item === "string" ? text(item) : text(object(item).code);
    return code === null ? [] : [{ code, message: text(object(item).message) }];
  });
}

/**
 * @param {unknown} value
 * @returns {boolean | null}
 */
function flag(value) {
  return typeof value === "boolean" ? value : null;
}

/**
 * @param {unknown} value the report's `metadata`
 * @returns {Metadata}
 */
export function readMetadata(value) {
  const m = object(value);
  const selection = object(m.selection);
  const bandwidth = object(m.bandwidth);
  const previous = object(object(m.previous).report);
  const publish = object(m.publish);
  return {
    timestamp: time(m.timestamp),
    started: time(m.started),
    durationSeconds: number(m.duration_seconds),
    consensusValidAfter: time(m.consensus_valid_after),
    runId: text(m.run_id),
    mode: text(m.mode),
    domain: text(m.domain),
    expectedIp: text(m.expected_ip),
    filter: text(selection.filter),
    country: text(selection.country),
    total: count(m.total_relays),
    statuses: statusCounts(m),
    tested: count(m.tested),
    successRate: percent(m.success_rate_percent),
    dnsRate: percent(m.dns_success_rate_percent),
    reachRate: percent(m.reachability_rate_percent),
    unconfirmed: count(m.unconfirmed) ?? 0,
    notReached: count(m.not_reached) ?? 0,
    states: counts(m.states),
    codes: counts(m.error_codes),
    blames: counts(m.blames),
    resolve: percentiles(m.resolve_ms),
    circuit: percentiles(m.circuit_ms),
    failingPercent: percent(bandwidth.failing_percent),
    unreachedPercent: percent(bandwidth.unreached_percent),
    previous:
      time(previous.timestamp) === null
        ? null
        : {
            timestamp: time(previous.timestamp),
            total: count(previous.total_relays),
            dnsRate: percent(previous.dns_success_rate_percent),
          },
    publish: {
      allowed: flag(publish.allowed),
      forced: publish.forced === true,
      reasons: findings(publish.reasons),
      notes: findings(publish.notes),
      zoneCheck:
        flag(object(publish.zone_check).ok) === null
          ? null
          : {
              ok: flag(object(publish.zone_check).ok),
              error: text(object(publish.zone_check).error),
            },
      knownGood:
        fingerprint(object(publish.known_good).fingerprint) === null
          ? null
          : {
              fingerprint: fingerprint(object(publish.known_good).fingerprint),
              status: text(object(publish.known_good).status),
            },
    },
    disagreements: count(object(m.disagreements).dns) ?? 0,
    rejected: count(object(m.rejected).total) ?? 0,
    missingShards: list(object(m.shards).missing).flatMap((shard) => count(shard) ?? []),
    inputs: list(m.inputs).map((item) => {
      const input = object(item);
      return {
        name: text(input.name),
        runId: text(input.run_id),
        shard: text(input.shard),
        complete: flag(input.complete),
        reason: text(input.incomplete_reason),
        exits: count(input.exits_in_consensus),
        selected: count(input.selected),
        results: count(input.results),
      };
    }),
    torVersions: texts(m.tor_versions),
    scannerVersions: texts(m.scanner_versions),
    aggregateVersion: text(m.aggregate_version),
  };
}
