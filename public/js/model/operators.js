// Relays that belong together: by who can repair them, or by what they share. Performs no IO.

import { FAILING } from "../words.js";
import { outages } from "./recurrence.js";

/** @import { Relay } from "../data/report.js" */

/** What relays can be grouped by. */
export const GROUPINGS = Object.freeze(
  /** @type {const} */ (["operator", "address", "network", "country", "cause"]),
);

/** @typedef {(typeof GROUPINGS)[number]} Grouping */

/**
 * @param {string | undefined} name
 * @returns {Grouping}
 */
export function groupingOf(name) {
  return GROUPINGS.find((known) => known === name) ?? "operator";
}

/**
 * Relays that belong together.
 * @typedef {object} Group
 * @property {string} key an operator's key, an address, a network's number, a country, a cause; empty
 *   where it is not known
 * @property {"domain" | "contact" | "family" | "relay" | "unknown" | Exclude<Grouping, "operator">} kind
 * @property {string} name the key without its kind; a network's name
 * @property {string | null} contact the contact line as one of the relays has it
 * @property {Relay[]} all
 * @property {Relay[]} failing the longest streak first
 * @property {number} weight of the failing ones
 * @property {number} whole weight of all of them
 * @property {number | null} since when the first of the failing ones began to
 * @property {number} longest the longest streak
 * @property {number} outages how often one of them began to fail within their last runs
 */

/**
 * @param {string} key
 * @returns {{kind: "domain" | "contact" | "family" | "relay" | "unknown", name: string}}
 */
export function operatorKey(key) {
  const match = /^(domain|contact|family|relay):(.*)$/s.exec(key);
  if (match === null) return { kind: "unknown", name: key };
  return {
    kind: /** @type {"domain" | "contact" | "family" | "relay"} */ (match[1]),
    name: match[2],
  };
}

/**
 * @param {Relay} relay
 * @param {Grouping} by
 * @returns {string}
 */
export function keyOf(relay, by) {
  switch (by) {
    case "address":
      return relay.address;
    case "network":
      return relay.asNumber === null ? "" : String(relay.asNumber);
    case "country":
      return relay.country ?? "";
    case "cause":
      return relay.code ?? "";
    case "operator":
      // Reports from before there were operators have none.
      return relay.operator !== "" ? relay.operator : `relay:${relay.fingerprint}`;
  }
}

/**
 * @param {Relay} relay the first of its group
 * @param {Grouping} by
 * @returns {Group}
 */
function emptyGroup(relay, by) {
  const key = keyOf(relay, by);
  const named =
    by === "operator"
      ? operatorKey(key)
      : { kind: by, name: by === "network" ? (relay.asName ?? "") : key };
  return {
    key,
    ...named,
    contact: null,
    all: [],
    failing: [],
    weight: 0,
    whole: 0,
    since: null,
    longest: 0,
    outages: 0,
  };
}

/**
 * @param {Iterable<Relay>} relays
 * @param {Grouping} by
 * @param {(relay: Relay) => boolean} [fails] which of them are the failing ones
 * @returns {Group[]} also those of which none fails, in the order of their first relays
 */
export function allGroups(relays, by, fails = (relay) => FAILING.includes(relay.status)) {
  /** @type {Map<string, Group>} */
  const found = new Map();
  for (const relay of relays) {
    const key = keyOf(relay, by);
    let group = found.get(key);
    if (group === undefined) {
      group = emptyGroup(relay, by);
      found.set(key, group);
    }
    group.all.push(relay);
    group.whole += relay.weight ?? 0;
    group.outages += outages(relay.recent);
    if (!fails(relay)) continue;
    group.failing.push(relay);
    group.weight += relay.weight ?? 0;
    group.longest = Math.max(group.longest, relay.failures);
    if (relay.failingSince !== null) {
      group.since = Math.min(group.since ?? relay.failingSince, relay.failingSince);
    }
  }
  for (const group of found.values()) {
    group.failing.sort(
      (a, b) => b.failures - a.failures || (a.fingerprint < b.fingerprint ? -1 : 1),
    );
    group.contact = [...group.failing, ...group.all].find((one) => one.contact)?.contact ?? null;
  }
  return [...found.values()];
}

/** What groups can be sorted by: each the greatest first. */
export const GROUP_SORTS = Object.freeze({
  relays: (/** @type {Group} */ group) => group.failing.length,
  weight: (/** @type {Group} */ group) => group.weight,
  duration: (/** @type {Group} */ group) => group.longest,
  recurrence: (/** @type {Group} */ group) => group.outages / Math.max(group.all.length, 1),
});

/** @typedef {keyof typeof GROUP_SORTS} GroupSort */

/**
 * @param {string | undefined} name
 * @returns {GroupSort}
 */
export function groupSortOf(name) {
  return name !== undefined && Object.hasOwn(GROUP_SORTS, name)
    ? /** @type {GroupSort} */ (name)
    : "relays";
}

/**
 * The groups that have failing relays.
 * @param {readonly Relay[]} relays
 * @param {Grouping} by
 * @param {{sort?: GroupSort, fails?: (relay: Relay) => boolean}} [how] which are the failing ones
 * @returns {Group[]} ties by the number of failing relays, by their weight, then by key
 */
export function groups(relays, by, { sort = "relays", fails } = {}) {
  const found = allGroups(relays, by, fails);
  const key = GROUP_SORTS[sort];
  return found
    .filter((group) => group.failing.length > 0)
    .sort(
      (a, b) =>
        key(b) - key(a) ||
        b.failing.length - a.failing.length ||
        b.weight - a.weight ||
        (a.key < b.key ? -1 : 1),
    );
}
