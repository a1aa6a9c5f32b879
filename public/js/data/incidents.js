// incidents.json, as docs/formats/incidents.md has it. Performs no IO.

import { parse } from "./format.js";
import {
  count,
  fingerprint,
  flag,
  flawWords,
  isObject,
  list,
  Reading,
  text,
  time,
} from "./read.js";

/** @import { Flaws } from "./read.js" */

/**
 * A relay that is in an incident, or was.
 * @typedef {object} Affected
 * @property {string} fingerprint
 * @property {boolean} valid
 * @property {string} nickname a stranger's text
 * @property {string} address
 * @property {number | null} since
 * @property {number} failed how many runs found it failing
 * @property {number} weightPercent its share of the weight of all exits
 * @property {number | null} left
 */

/**
 * What fails together, from when to when.
 * @typedef {object} Incident
 * @property {string} id
 * @property {string} kind
 * @property {string} operator the operator's key: a stranger's text; empty for another kind
 * @property {string} name the network's name: a stranger's text
 * @property {number | null} number the network's
 * @property {number | null} since
 * @property {number | null} opened
 * @property {number | null} closed null while it is open
 * @property {number} reopened
 * @property {boolean} gone
 * @property {string} detail
 * @property {readonly Affected[]} relays
 * @property {ReadonlyMap<string, number>} causes how often each was found
 */

/** @typedef {{incidents: readonly Incident[], problems: readonly string[]}} IncidentList */

/**
 * @param {string} key
 * @param {unknown} item
 * @param {Flaws} flaws
 * @param {Map<string, number>} causes
 * @returns {Affected}
 */
function readRelay(key, item, flaws, causes) {
  const relay = new Reading(item, flaws, "relays.");
  for (const [code, n] of relay.counts("causes")) causes.set(code, (causes.get(code) ?? 0) + n);
  const found = fingerprint(key);
  return {
    fingerprint: found ?? key,
    valid: found !== null,
    nickname: relay.get("nickname", text) ?? "",
    address: relay.get("address", text) ?? "",
    since: relay.get("since", time),
    failed: relay.get("failed", count) ?? 0,
    weightPercent: (relay.get("weight_ppm", count) ?? 0) / 10_000,
    left: relay.get("left", time),
  };
}

/**
 * @param {Record<string, unknown>} item
 * @param {Flaws} flaws
 * @returns {Incident | null} null for one without an id
 */
function readIncident(item, flaws) {
  const incident = new Reading(item, flaws);
  const id = incident.get("id", text);
  if (id === null || !/^[0-9-]{10}-[0-9a-f]{8}$/.test(id)) return null;
  const subject = incident.within("subject");
  /** @type {Map<string, number>} */
  const causes = new Map();
  const relays = isObject(item.relays) ? Object.entries(item.relays) : [];
  return {
    id,
    kind: subject.get("kind", text) ?? "",
    operator: subject.get("operator", text) ?? "",
    name: subject.get("name", text) ?? "",
    number: subject.get("number", count),
    since: incident.get("since", time),
    opened: incident.get("opened", time),
    closed: incident.get("closed", time),
    reopened: incident.get("reopened", count) ?? 0,
    gone: incident.get("gone", flag) === true,
    detail: incident.get("detail", text) ?? "",
    relays: relays.map(([key, relay]) => readRelay(key, relay, flaws, causes)),
    causes,
  };
}

/**
 * @param {string} source the file's text
 * @returns {IncidentList}
 * @throws {import("./errors.js").DataError}
 */
export function readIncidents(source) {
  const document = parse(source, "exit-validator/incidents");
  const items = list(document.incidents);
  /** @type {Flaws} */
  const flaws = new Map();
  const incidents = items.filter(isObject).flatMap((item) => readIncident(item, flaws) ?? []);
  incidents.sort((a, b) => (b.opened ?? 0) - (a.opened ?? 0));
  /** @type {string[]} */
  const problems = [];
  const dropped = items.length - incidents.length;
  if (dropped > 0) problems.push(`Entries that are no incidents, or have no id: ${dropped}.`);
  if (new Set(incidents.map(({ id }) => id)).size < incidents.length) {
    problems.push("An incident is there more than once.");
  }
  problems.push(...flawWords(flaws, (name, n) => `“${name}” cannot be read ${n} times.`));
  return { incidents, problems };
}
