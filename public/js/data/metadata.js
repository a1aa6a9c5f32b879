// A report's `metadata`, as docs/formats/report.md has it, to the figures that the page shows.
// Tolerates whatever is missing. Performs no IO.

import { count, fingerprint, flag, number, object, percent, Reading, text, time } from "./read.js";
import { readShares } from "./resolver.js";

/** @import { Flaws } from "./read.js" */

/** @typedef {import("./types.js").Percentiles} Percentiles */
/** @typedef {import("./types.js").Finding} Finding */
/** @typedef {import("./types.js").LocationSource} LocationSource */
/** @typedef {import("./types.js").LookupRate} LookupRate */
/** @typedef {import("./types.js").Input} Input */
/** @typedef {import("./types.js").Metadata} Metadata */

/** The counts by status in the metadata, in the order of the format. */
export const STATUS_FIELDS = Object.freeze([
  "success",
  "wrong_ip",
  "dns_fail",
  "timeout",
  "circuit_fail",
  "error",
  "exception",
]);

/**
 * @param {Reading} reading a report's metadata, or a run in the trends
 * @returns {Map<string, number>} results by status
 */
export function statusCounts(reading) {
  /** @type {Map<string, number>} */
  const found = new Map();
  for (const name of STATUS_FIELDS) {
    const n = reading.get(name, count);
    if (n !== null && n > 0) found.set(name, n);
  }
  return found;
}

/**
 * @param {Reading} reading
 * @param {string} name
 * @returns {Percentiles | null}
 */
export function percentiles(reading, name) {
  const p = reading.within(name);
  const found = {
    count: p.get("count", count),
    min: p.get("min", number),
    p50: p.get("p50", number),
    p75: p.get("p75", number),
    p90: p.get("p90", number),
    p95: p.get("p95", number),
    p99: p.get("p99", number),
    max: p.get("max", number),
  };
  return found.p50 === null ? null : found;
}

/**
 * @param {Reading} reading
 * @param {string} name
 * @returns {Finding[]}
 */
function findings(reading, name) {
  return reading.list(name).flatMap((item) => {
    const code = typeof item === "string" ? text(item) : text(object(item).code);
    return code === null ? [] : [{ code, message: text(object(item).message) }];
  });
}

/**
 * A share of lookups that failed.
 * @param {Reading} reading
 * @param {string} name
 * @returns {LookupRate | null} null where there is none, or it cannot be
 */
export function lookupRate(reading, name) {
  // Left out where nothing was asked, and in every report of former versions: most have none.
  if (reading.fields[name] === undefined || reading.fields[name] === null) return null;
  const rate = reading.within(name);
  const asked = rate.get("asked", count);
  const failed = rate.get("failed", count);
  const share = rate.get("percent", percent);
  const low = rate.get("low_percent", percent);
  const high = rate.get("high_percent", percent);
  if (asked === null || failed === null || share === null) return null;
  // An interval that its share is not in is none; each is rounded in its own way.
  const near = 0.0015;
  const fits = low !== null && high !== null && low <= share + near && share <= high + near;
  if (failed > asked || (!fits && low !== null && high !== null)) reading.note(reading.path + name);
  if (failed > asked) return null;
  return { asked, failed, percent: share, low: fits ? low : null, high: fits ? high : null };
}

/**
 * @param {Reading} m
 * @returns {LocationSource | null}
 */
function locationsOf(m) {
  if (m.fields.locations === undefined || m.fields.locations === null) return null;
  const source = m.within("locations");
  return {
    date: source.get("date", time),
    attribution: source.get("attribution", text) ?? "",
    old: source.get("old", flag) === true,
  };
}

/**
 * @param {Reading} m
 * @returns {Metadata["previous"]}
 */
function previousOf(m) {
  const previous = m.within("previous").within("report");
  const timestamp = previous.get("timestamp", time);
  if (timestamp === null) return null;
  return {
    timestamp,
    total: previous.get("total_relays", count),
    dnsRate: previous.get("dns_success_rate_percent", percent),
  };
}

/**
 * @param {Reading} publish
 * @returns {Metadata["publish"]}
 */
function publishOf(publish) {
  const zone = publish.within("zone_check");
  const good = publish.within("known_good");
  const ok = zone.get("ok", flag);
  const known = good.get("fingerprint", fingerprint);
  return {
    allowed: publish.get("allowed", flag),
    forced: publish.get("forced", flag) === true,
    reasons: findings(publish, "reasons"),
    notes: findings(publish, "notes"),
    zoneCheck: ok === null ? null : { ok, error: zone.get("error", text) },
    knownGood: known === null ? null : { fingerprint: known, status: good.get("status", text) },
  };
}

/**
 * @param {unknown} item
 * @param {Flaws} flaws
 * @returns {Input}
 */
function inputOf(item, flaws) {
  const input = new Reading(item, flaws, "inputs.");
  return {
    name: input.get("name", text),
    runId: input.get("run_id", text),
    shard: input.get("shard", text),
    complete: input.get("complete", flag),
    reason: input.get("incomplete_reason", text),
    exits: input.get("exits_in_consensus", count),
    selected: input.get("selected", count),
    results: input.get("results", count),
  };
}

/**
 * @param {Reading} publisher
 * @returns {Metadata["publisher"]}
 */
function publisherOf(publisher) {
  return {
    name: publisher.get("name", text),
    contact: publisher.get("contact", text),
    source: publisher.get("source", text),
  };
}

/**
 * @param {unknown} value the report's `metadata`
 * @param {Flaws} flaws what could not be read is added
 * @returns {Metadata}
 */
export function readMetadata(value, flaws) {
  const m = new Reading(value, flaws, "");
  const selection = m.within("selection");
  const bandwidth = m.within("bandwidth");
  return {
    timestamp: m.get("timestamp", time),
    started: m.get("started", time),
    durationSeconds: m.get("duration_seconds", number),
    consensusValidAfter: m.get("consensus_valid_after", time),
    runId: m.get("run_id", text),
    mode: m.get("mode", text),
    domain: m.get("domain", text),
    expectedIp: m.get("expected_ip", text),
    filter: selection.get("filter", text),
    country: selection.get("country", text),
    total: m.get("total_relays", count),
    statuses: statusCounts(m),
    tested: m.get("tested", count),
    successRate: m.get("success_rate_percent", percent),
    dnsRate: m.get("dns_success_rate_percent", percent),
    reachRate: m.get("reachability_rate_percent", percent),
    badExits: m.get("bad_exits", count) ?? 0,
    lookups: lookupRate(m, "lookup_failure"),
    degraded: m.get("degraded", count) ?? 0,
    resolvers: readShares(m),
    unconfirmed: m.get("unconfirmed", count) ?? 0,
    notReached: m.get("not_reached", count) ?? 0,
    states: m.counts("states"),
    codes: m.counts("error_codes"),
    blames: m.counts("blames"),
    resolve: percentiles(m, "resolve_ms"),
    circuit: percentiles(m, "circuit_ms"),
    failingPercent: bandwidth.get("failing_percent", percent),
    unreachedPercent: bandwidth.get("unreached_percent", percent),
    locations: locationsOf(m),
    previous: previousOf(m),
    publish: publishOf(m.within("publish")),
    disagreements: m.within("disagreements").get("dns", count) ?? 0,
    rejected: m.within("rejected").get("total", count) ?? 0,
    missingShards: m
      .within("shards")
      .list("missing")
      .flatMap((shard) => count(shard) ?? []),
    inputs: m.list("inputs").map((item) => inputOf(item, flaws)),
    torVersions: m.texts("tor_versions"),
    scannerVersions: m.texts("scanner_versions"),
    aggregateVersion: m.get("aggregate_version", text),
    license: m.get("license", text),
    publisher: publisherOf(m.within("publisher")),
    attribution: m.within("locations").get("attribution", text),
  };
}
