// What a relay's entry in a report says beyond the row in the table: read only when somebody looks
// at that relay. Performs no IO.

import { count, fingerprint, list, number, object, text, texts, time } from "./read.js";

/** @import { Fields } from "./read.js" */

/** @typedef {import("./types.js").Timing} Timing */
/** @typedef {import("./types.js").Query} Query */
/** @typedef {import("./types.js").Attempt} Attempt */
/** @typedef {import("./types.js").Vantage} Vantage */
/** @typedef {import("./types.js").Details} Details */

/**
 * @param {unknown} value
 * @returns {Timing}
 */
function timing(value) {
  const t = object(value);
  return {
    circuit: number(t.circuit_ms),
    attach: number(t.attach_ms),
    resolve: number(t.resolve_ms),
  };
}

/**
 * @param {unknown} value
 * @returns {Query}
 */
function query(value) {
  const q = object(value);
  return {
    via: text(q.via),
    name: text(q.name),
    socksReply: count(q.socks_reply),
    rcode: text(q.rcode),
    addresses: texts(q.addresses),
    streamReason: text(q.stream_reason),
    streamRemoteReason: text(q.stream_remote_reason),
    localError: text(q.local_error),
    attach: number(q.attach_ms),
    resolve: number(q.resolve_ms),
  };
}

/**
 * @param {unknown} value
 * @returns {Attempt}
 */
function attempt(value) {
  const a = object(value);
  const circuit = object(a.circuit);
  return {
    number: count(a.number),
    round: count(a.round),
    started: time(a.started),
    ended: time(a.ended),
    firstHop: fingerprint(a.first_hop),
    status: text(a.status) ?? "",
    code: text(a.error_code),
    blame: text(a.blame),
    error: text(a.error),
    resolved: text(a.resolved_ip),
    circuit: {
      state: text(circuit.state),
      hops: count(circuit.hops),
      reason: text(circuit.reason),
      remoteReason: text(circuit.remote_reason),
      refusal: text(circuit.refusal),
    },
    queries: list(a.queries).slice(0, 50).map(query),
    decidedBy: count(a.decided_by),
    timing: timing(a.timing),
  };
}

/**
 * @param {Fields} entry the relay's entry in the report's results
 * @returns {Details}
 */
export function readDetails(entry) {
  return {
    query: text(entry.query_domain),
    expected: text(entry.expected_ip),
    firstHop: fingerprint(entry.first_hop_fingerprint),
    attempt: count(entry.attempt),
    mode: text(entry.mode),
    runId: text(entry.run_id),
    shard: text(entry.shard),
    timing: timing(entry.timing),
    observed: number(object(object(entry.relay).bandwidth).observed),
    // More than a scan makes by far: a bound for what a damaged file may hold.
    attempts: list(entry.attempts).slice(0, 100).map(attempt),
    vantages: list(entry.vantages)
      .slice(0, 100)
      .map((value) => {
        const v = object(value);
        return {
          runId: text(v.run_id),
          status: text(v.status) ?? "",
          code: text(v.error_code),
          resolved: text(v.resolved_ip),
          latency: number(v.latency_ms),
          timestamp: time(v.timestamp),
        };
      }),
  };
}
