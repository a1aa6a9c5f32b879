// A report as docs/formats/report.md has it, to the relays that the page shows. Tolerates whatever
// is missing or of the wrong type, and says so. Performs no IO.

import { parse } from "./format.js";
import { readMetadata } from "./metadata.js";
import {
  count,
  counts as countsOf,
  fingerprint,
  isObject,
  list,
  number,
  object,
  percent,
  text,
  texts,
  time,
} from "./read.js";

/** @import { Metadata } from "./metadata.js" */
/** @import { Fields } from "./read.js" */

/** @typedef {import("./types.js").Relay} Relay */
/** @typedef {import("./types.js").Absent} Absent */
/** @typedef {import("./types.js").Report} Report */

/** How many runs `recent` holds. */
export const RECENT_RUNS = 60;

/** The empty list that most relays share. @type {readonly string[]} */
const NO_TEXTS = Object.freeze([]);

/**
 * @param {string} source the file's text
 * @returns {Report}
 * @throws {import("./errors.js").DataError}
 */
export function readReport(source) {
  const document = parse(source, "exit-validator/report");
  /** @type {string[]} */
  const problems = [];
  if (!isObject(document.metadata)) problems.push("The run’s own figures (metadata) are missing.");
  if (!Array.isArray(document.results)) problems.push("The list of relays (results) is missing.");
  const entries = list(document.results);
  /** @type {Relay[]} */
  const relays = [];
  let strangeRelays = 0;
  for (const entry of entries) {
    if (!isObject(entry)) continue;
    const relay = readRelay(entry);
    if (!relay.valid || relay.status === "") strangeRelays += 1;
    relays.push(relay);
  }
  const dropped = entries.length - relays.length;
  if (dropped > 0) problems.push(`Entries of the list of relays that are none: ${dropped}.`);
  if (strangeRelays > 0) {
    problems.push(`Relays without a fingerprint or without a status: ${strangeRelays}.`);
  }
  return {
    metadata: completed(readMetadata(document.metadata), relays),
    relays,
    absent: list(document.absent).filter(isObject).map(readAbsent),
    older: document.format === undefined,
    problems,
  };
}

/**
 * @param {unknown} value
 * @returns {{fingerprint: string, valid: boolean}}
 */
function identity(value) {
  const found = fingerprint(value);
  return { fingerprint: found ?? text(value) ?? "", valid: found !== null };
}

/**
 * @param {unknown} value
 * @returns {string} `recent`, at most so long and of its own characters only
 */
function recentMarks(value) {
  const found = text(value);
  if (found === null) return "";
  return found.slice(-RECENT_RUNS).replace(/[^a-zA-Z.]/g, "?");
}

/**
 * @param {Fields} entry
 * @returns {Relay}
 */
function readRelay(entry) {
  const info = object(entry.relay);
  const ipv6 = object(info.ipv6);
  const country = text(info.country);
  const flags = texts(info.flags);
  return {
    ...identity(entry.exit_fingerprint),
    nickname: text(entry.exit_nickname) ?? "",
    address: text(entry.exit_address) ?? "",
    status: text(entry.status) ?? "",
    code: text(entry.error_code),
    blame: text(entry.blame),
    error: text(entry.error),
    state: text(entry.state),
    provisional: entry.provisional === true,
    latency: number(entry.latency_ms),
    resolved: text(entry.resolved_ip),
    failures: count(entry.consecutive_failures) ?? 0,
    failingSince: time(entry.failing_since),
    lastSuccess: time(entry.last_success),
    unreachableRuns: count(entry.unreachable_runs) ?? 0,
    recent: recentMarks(entry.recent),
    rate7: percent(entry.dns_success_rate_7d_percent),
    rate30: percent(entry.dns_success_rate_30d_percent),
    operator: text(entry.operator) ?? "",
    flags: flags.length === 0 ? NO_TEXTS : flags,
    contact: text(info.contact),
    platform: text(info.platform),
    weight: number(object(info.bandwidth).consensus_weight),
    ipv6: text(ipv6.address),
    ipv6Exit: typeof ipv6.exit === "boolean" ? ipv6.exit : null,
    country: country !== null && /^[a-z]{2}$/i.test(country) ? country.toLowerCase() : null,
    timestamp: time(entry.timestamp),
    raw: entry,
  };
}

/**
 * @param {Fields} entry
 * @returns {Absent}
 */
function readAbsent(entry) {
  return {
    ...identity(entry.exit_fingerprint),
    nickname: text(entry.exit_nickname) ?? "",
    address: text(entry.exit_address) ?? "",
    state: text(entry.state),
    lastSeen: time(entry.last_seen),
    failures: count(entry.consecutive_failures) ?? 0,
    failingSince: time(entry.failing_since),
    lastSuccess: time(entry.last_success),
    recent: recentMarks(entry.recent),
  };
}

/**
 * The metadata with what can be counted from the relays where the report does not say it: older
 * reports lack most of it, damaged ones all.
 * @param {Metadata} metadata
 * @param {readonly Relay[]} relays
 * @returns {Metadata}
 */
function completed(metadata, relays) {
  if (relays.length === 0) return metadata;
  const by = (/** @type {(relay: Relay) => string | null} */ field) => {
    /** @type {Record<string, number>} */
    const found = Object.create(null);
    for (const relay of relays) {
      const key = relay.status === "success" ? null : field(relay);
      if (key !== null && key !== "") found[key] = (found[key] ?? 0) + 1;
    }
    return countsOf(found);
  };
  const statuses = metadata.statuses.size > 0 ? metadata.statuses : by((relay) => relay.status);
  const success =
    statuses.get("success") ?? relays.filter((relay) => relay.status === "success").length;
  if (success > 0) statuses.set("success", success);
  const failing =
    (statuses.get("wrong_ip") ?? 0) +
    (statuses.get("dns_fail") ?? 0) +
    (statuses.get("timeout") ?? 0);
  const total = metadata.total ?? relays.length;
  const tested = metadata.tested ?? success + failing;
  const rate = (/** @type {number} */ part, /** @type {number} */ whole) =>
    whole === 0 ? null : Math.floor((part / whole) * 100_000) / 1000;
  return {
    ...metadata,
    statuses,
    total,
    tested,
    dnsRate: metadata.dnsRate ?? rate(success, tested),
    reachRate: metadata.reachRate ?? rate(tested, total),
    codes: metadata.codes.size > 0 ? metadata.codes : by((relay) => relay.code),
    blames: metadata.blames.size > 0 ? metadata.blames : by((relay) => relay.blame),
  };
}
