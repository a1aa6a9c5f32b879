// Failing relays by who can repair them. Performs no IO.

import { FAILING } from "../words.js";

/** @import { Relay } from "../data/report.js" */

/**
 * Relays that fail and belong together.
 * @typedef {object} Group
 * @property {string} key an operator's key, or an address
 * @property {"contact" | "family" | "relay" | "address" | "unknown"} kind
 * @property {string} name the key without its kind
 * @property {string | null} contact the contact line as one of the relays has it
 * @property {Relay[]} failing the longest streak first
 * @property {number} relays how many relays the group has in all
 * @property {number} weight of the failing ones
 */

/**
 * @param {string} key
 * @returns {{kind: Group["kind"], name: string}}
 */
export function operatorKey(key) {
  const match = /^(contact|family|relay):(.*)$/s.exec(key);
  if (match === null) return { kind: "unknown", name: key };
  return { kind: /** @type {"contact" | "family" | "relay"} */ (match[1]), name: match[2] };
}

/**
 * @param {readonly Relay[]} relays
 * @param {"operator" | "address"} by
 * @returns {Group[]} the one with the most failing relays first, then by their weight, then by key
 */
export function groups(relays, by) {
  /** @type {Map<string, Group>} */
  const found = new Map();
  for (const relay of relays) {
    const key = keyOf(relay, by);
    let group = found.get(key);
    if (group === undefined) {
      const named =
        by === "address"
          ? /** @type {const} */ ({ kind: "address", name: relay.address })
          : operatorKey(key);
      group = { key, ...named, contact: null, failing: [], relays: 0, weight: 0 };
      found.set(key, group);
    }
    group.relays += 1;
    if (!FAILING.includes(relay.status)) continue;
    group.failing.push(relay);
    group.weight += relay.weight ?? 0;
    group.contact ??= relay.contact;
  }
  const failing = [...found.values()].filter((group) => group.failing.length > 0);
  for (const group of failing) {
    group.failing.sort(
      (a, b) => b.failures - a.failures || (a.fingerprint < b.fingerprint ? -1 : 1),
    );
  }
  return failing.sort(
    (a, b) =>
      b.failing.length - a.failing.length || b.weight - a.weight || (a.key < b.key ? -1 : 1),
  );
}

/**
 * @param {Relay} relay
 * @param {"operator" | "address"} by
 * @returns {string}
 */
function keyOf(relay, by) {
  if (by === "address") return relay.address;
  // Reports from before there were operators have none.
  return relay.operator !== "" ? relay.operator : `relay:${relay.fingerprint}`;
}
