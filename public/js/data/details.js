// What a relay's entry in a report says beyond the row in the table: read only when somebody looks
// at that relay. Performs no IO.

import { count, fingerprint, flawWords, number, Reading, text, time } from "./read.js";
import { readAtZone } from "./resolver.js";

/** @import { Fields, Flaws } from "./read.js" */

/** @typedef {import("./types.js").Timing} Timing */
/** @typedef {import("./types.js").Query} Query */
/** @typedef {import("./types.js").Attempt} Attempt */
/** @typedef {import("./types.js").Vantage} Vantage */
/** @typedef {import("./types.js").RelayFinding} RelayFinding */
/** @typedef {import("./types.js").Details} Details */

/**
 * @param {Reading} t
 * @returns {Timing}
 */
function timing(t) {
  return {
    circuit: t.get("circuit_ms", number),
    attach: t.get("attach_ms", number),
    resolve: t.get("resolve_ms", number),
  };
}

/**
 * @param {unknown} value
 * @param {Flaws} flaws
 * @returns {Query}
 */
function query(value, flaws) {
  const q = new Reading(value, flaws, "attempts.queries.");
  return {
    via: q.get("via", text),
    name: q.get("name", text),
    socksReply: q.get("socks_reply", count),
    rcode: q.get("rcode", text),
    addresses: q.texts("addresses"),
    streamReason: q.get("stream_reason", text),
    streamRemoteReason: q.get("stream_remote_reason", text),
    localError: q.get("local_error", text),
    attach: q.get("attach_ms", number),
    resolve: q.get("resolve_ms", number),
  };
}

/**
 * @param {unknown} value
 * @param {Flaws} flaws
 * @returns {Attempt}
 */
function attempt(value, flaws) {
  const a = new Reading(value, flaws, "attempts.");
  const circuit = a.within("circuit");
  return {
    number: a.get("number", count),
    round: a.get("round", count),
    started: a.get("started", time),
    ended: a.get("ended", time),
    firstHop: a.get("first_hop", fingerprint),
    status: a.get("status", text) ?? "",
    code: a.get("error_code", text),
    blame: a.get("blame", text),
    error: a.get("error", text),
    resolved: a.get("resolved_ip", text),
    circuit: {
      state: circuit.get("state", text),
      hops: circuit.get("hops", count),
      reason: circuit.get("reason", text),
      remoteReason: circuit.get("remote_reason", text),
      refusal: circuit.get("refusal", text),
    },
    queries: a
      .list("queries")
      .slice(0, 50)
      .map((one) => query(one, flaws)),
    decidedBy: a.get("decided_by", count),
    timing: timing(a.within("timing")),
  };
}

/**
 * @param {unknown} value
 * @param {Flaws} flaws
 * @returns {Vantage}
 */
function vantage(value, flaws) {
  const v = new Reading(value, flaws, "vantages.");
  return {
    runId: v.get("run_id", text),
    status: v.get("status", text) ?? "",
    code: v.get("error_code", text),
    resolved: v.get("resolved_ip", text),
    latency: v.get("latency_ms", number),
    timestamp: v.get("timestamp", time),
  };
}

/**
 * @param {unknown} value
 * @param {Flaws} flaws
 * @returns {RelayFinding}
 */
function finding(value, flaws) {
  const f = new Reading(value, flaws, "findings.");
  return {
    code: f.get("code", text) ?? "",
    message: f.get("message", text),
    remedy: f.get("remedy", text),
  };
}

/**
 * @param {Fields} entry the relay's entry in the report's results
 * @returns {Details}
 */
export function readDetails(entry) {
  /** @type {Flaws} */
  const flaws = new Map();
  const one = new Reading(entry, flaws);
  const read = {
    query: one.get("query_domain", text),
    expected: one.get("expected_ip", text),
    firstHop: one.get("first_hop_fingerprint", fingerprint),
    attempt: one.get("attempt", count),
    mode: one.get("mode", text),
    runId: one.get("run_id", text),
    shard: one.get("shard", text),
    timing: timing(one.within("timing")),
    observed: one.within("relay").within("bandwidth").get("observed", number),
    // More than a scan makes by far: a bound for what a damaged file may hold.
    attempts: one
      .list("attempts")
      .slice(0, 100)
      .map((value) => attempt(value, flaws)),
    vantages: one
      .list("vantages")
      .slice(0, 100)
      .map((value) => vantage(value, flaws)),
    // Absent in reports from before them, and where there is nothing to tell.
    atZone: readAtZone(one),
    ipv6: entry.ipv6 === undefined ? null : one.within("ipv6").get("outcome", text),
    findings: (entry.findings === undefined ? [] : one.list("findings"))
      .slice(0, 20)
      .map((value) => finding(value, flaws)),
  };
  return { ...read, problems: flawWords(flaws, (name) => `“${name}” cannot be read.`) };
}
