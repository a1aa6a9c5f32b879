// The failures of a report by cause and by where the fault lies. Performs no IO.

import { FAILING } from "../words.js";

/** @import { Relay } from "../data/report.js" */

/**
 * @typedef {object} Cause
 * @property {string | null} code
 * @property {number} relays
 * @property {number} weight consensus weight
 * @property {Map<string, number>} statuses
 * @property {boolean} counts whether it counts against the relays' DNS
 */

/**
 * @param {readonly Relay[]} relays
 * @returns {Cause[]} those that count against the DNS first, then the most frequent
 */
export function byCause(relays) {
  /** @type {Map<string, Cause>} */
  const found = new Map();
  for (const relay of relays) {
    if (relay.status === "success") continue;
    const counts = FAILING.includes(relay.status);
    // One code with statuses of both kinds is two causes: those that count add up to all that fail.
    const key = `${counts} ${relay.code === null ? "" : `+${relay.code}`}`;
    let cause = found.get(key);
    if (cause === undefined) {
      cause = { code: relay.code, relays: 0, weight: 0, statuses: new Map(), counts };
      found.set(key, cause);
    }
    cause.relays += 1;
    cause.weight += relay.weight ?? 0;
    cause.statuses.set(relay.status, (cause.statuses.get(relay.status) ?? 0) + 1);
  }
  return [...found.values()].sort(
    (a, b) => Number(b.counts) - Number(a.counts) || b.relays - a.relays,
  );
}

/**
 * @typedef {object} Blamed
 * @property {string | null} blame
 * @property {number} relays
 * @property {number} weight
 */

/**
 * @param {readonly Relay[]} relays
 * @returns {Blamed[]} the most frequent first
 */
export function byBlame(relays) {
  /** @type {Map<string | null, Blamed>} */
  const found = new Map();
  for (const relay of relays) {
    if (relay.status === "success") continue;
    const entry = found.get(relay.blame) ?? { blame: relay.blame, relays: 0, weight: 0 };
    entry.relays += 1;
    entry.weight += relay.weight ?? 0;
    found.set(relay.blame, entry);
  }
  return [...found.values()].sort((a, b) => b.relays - a.relays);
}

/**
 * @param {readonly Relay[]} relays
 * @returns {number} their consensus weight
 */
export function totalWeight(relays) {
  return relays.reduce((sum, relay) => sum + (relay.weight ?? 0), 0);
}
