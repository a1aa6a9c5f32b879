// A report as docs/formats/report.md has it, to the relays that the page shows. Tolerates whatever
// is missing or of the wrong type, and says so. Performs no IO.

import { audit, recounted } from "./audit.js";
import { parse } from "./format.js";
import { lookupRate, readMetadata } from "./metadata.js";
import {
  count,
  fingerprint,
  flag,
  flawWords,
  isObject,
  list,
  number,
  percent,
  Reading,
  text,
  time,
} from "./read.js";
import { asNumber, readNetworks, readResolver } from "./resolver.js";

/** @import { Fields, Flaws } from "./read.js" */
/** @import { RelayDomain } from "./types.js" */

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
  const readable = entries.filter(isObject);
  /** @type {Flaws} */
  const relayFlaws = new Map();
  const relays = readable.map((entry) => readRelay(entry, relayFlaws));
  const strange = relays.filter((relay) => !relay.valid || relay.status === "").length;
  const dropped = entries.length - relays.length;
  if (dropped > 0) problems.push(`Entries of the list of relays that are none: ${dropped}.`);
  if (strange > 0) problems.push(`Relays without a fingerprint or without a status: ${strange}.`);
  /** @type {Flaws} */
  const flaws = new Map();
  const metadata = readMetadata(document.metadata, flaws);
  const resolverNetworks = readNetworks(list(document.resolver_networks), flaws);
  /** @type {Flaws} */
  const absentFlaws = new Map();
  const absent = list(document.absent)
    .filter(isObject)
    .map((entry) => readAbsent(entry, absentFlaws));
  problems.push(
    ...flawWords(flaws, (name) => `“${name}” of the run’s own figures cannot be read.`),
    ...flawWords(relayFlaws, (name, n) => `“${name}” cannot be read for ${n} relays.`),
    ...flawWords(absentFlaws, (name, n) => `“${name}” cannot be read for ${n} absent relays.`),
  );
  const found = audit(metadata, relays, flaws);
  problems.push(...found.problems);
  return {
    metadata: recounted(metadata, relays, found.wrong),
    relays,
    resolverNetworks,
    absent,
    older: document.format === undefined,
    problems,
  };
}

/**
 * @param {Reading} reading of a relay's entry
 * @returns {{fingerprint: string, valid: boolean}}
 */
function identity({ fields: { exit_fingerprint: value } }) {
  const found = fingerprint(value);
  return { fingerprint: found ?? text(value) ?? "", valid: found !== null };
}

/** The characters of `recent`. */
const MARKS = /^[swdtcexSWDTCEX.]*$/;

/**
 * @param {Reading} reading
 * @returns {string} `recent`, at most so long and of its own characters only
 */
function recentMarks(reading) {
  const found = reading.get("recent", text);
  if (found === null) return "";
  if (!MARKS.test(found)) reading.note("recent");
  return found.slice(-RECENT_RUNS).replace(/[^a-zA-Z.]/g, "?");
}

/**
 * @param {unknown} value
 * @returns {string | null} two lower-case letters
 */
function countryCode(value) {
  return typeof value === "string" && /^[a-z]{2}$/i.test(value) ? value.toLowerCase() : null;
}

/**
 * @param {Reading} domain
 * @returns {RelayDomain | null} null where there is none, or one without a name
 */
function relayDomain(domain) {
  const name = domain.get("name", text);
  if (name === null) return null;
  return {
    name,
    proved: domain.get("proved", flag) === true,
    provedAt: domain.get("proved_at", time),
    checkedAt: domain.get("checked_at", time),
    problem: domain.get("problem", text),
  };
}

/**
 * @param {Reading} info
 * @returns {readonly string[]} the keys of a relay's families that are some
 */
function familyIds(info) {
  const all = info.texts("family_ids");
  const found = all.filter((id) => /^ed25519:[A-Za-z0-9+/]{43}$/.test(id)).slice(0, 16);
  if (found.length < all.length) info.note(`${info.path}family_ids`);
  return found.length === 0 ? NO_TEXTS : found;
}

/**
 * @param {Fields} entry
 * @param {Flaws} flaws
 * @returns {Relay}
 */
function readRelay(entry, flaws) {
  const relay = new Reading(entry, flaws);
  const info = relay.within("relay");
  const ipv6 = info.within("ipv6");
  const flags = info.texts("flags");
  const location = relay.within("location");
  const torCountry = info.get("country", countryCode);
  const country = location.get("country", countryCode) ?? torCountry;
  const first = relay.within("first").get("status", text);
  return {
    ...identity(relay),
    nickname: relay.get("exit_nickname", text) ?? "",
    address: relay.get("exit_address", text) ?? "",
    status: relay.get("status", text) ?? "",
    code: relay.get("error_code", text),
    blame: relay.get("blame", text),
    error: relay.get("error", text),
    state: relay.get("state", text),
    provisional: relay.get("provisional", flag) === true,
    latency: relay.get("latency_ms", number),
    resolved: relay.get("resolved_ip", text),
    failures: relay.get("consecutive_failures", count) ?? 0,
    failingSince: relay.get("failing_since", time),
    lastSuccess: relay.get("last_success", time),
    unreachableRuns: relay.get("unreachable_runs", count) ?? 0,
    recent: recentMarks(relay),
    rate7: relay.get("dns_success_rate_7d_percent", percent),
    rate30: relay.get("dns_success_rate_30d_percent", percent),
    lookups7: lookupRate(relay, "failure_rate_7d"),
    lookups30: lookupRate(relay, "failure_rate_30d"),
    degraded: relay.get("degraded", flag) === true,
    firstFailed: first === null ? null : first !== "success",
    operator: relay.get("operator", text) ?? "",
    domain: relayDomain(relay.within("domain")),
    flags: flags.length === 0 ? NO_TEXTS : flags,
    contact: info.get("contact", text),
    familyIds: familyIds(info),
    platform: info.get("platform", text),
    weight: info.within("bandwidth").get("consensus_weight", number),
    ipv6: ipv6.get("address", text),
    ipv6Exit: ipv6.get("exit", flag),
    country,
    otherCountry: torCountry === country ? null : torCountry,
    asNumber: location.get("as_number", asNumber),
    asName: location.get("as_name", text),
    resolver: readResolver(relay),
    timestamp: relay.get("timestamp", time),
    raw: entry,
  };
}

/**
 * @param {Fields} entry
 * @param {Flaws} flaws
 * @returns {Absent}
 */
function readAbsent(entry, flaws) {
  const relay = new Reading(entry, flaws);
  return {
    ...identity(relay),
    nickname: relay.get("exit_nickname", text) ?? "",
    address: relay.get("exit_address", text) ?? "",
    state: relay.get("state", text),
    lastSeen: relay.get("last_seen", time),
    failures: relay.get("consecutive_failures", count) ?? 0,
    failingSince: relay.get("failing_since", time),
    lastSuccess: relay.get("last_success", time),
    recent: recentMarks(relay),
  };
}
