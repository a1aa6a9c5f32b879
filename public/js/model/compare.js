// Two reports beside each other: whose DNS broke, whose works again, who is gone, who is new.
// Performs no IO.

import { FAILING } from "../words.js";

/** @import { Relay } from "../data/report.js" */

/**
 * @typedef {object} Change
 * @property {Relay | null} before null for a relay that is new
 * @property {Relay | null} after null for one that is gone
 */

/**
 * @typedef {object} Comparison
 * @property {Change[]} failing newly: failed now, and not before; all failures here are confirmed
 * @property {Change[]} unconfirmed failed now, as one attempt saw it that the run could not repeat
 * @property {Change[]} recovered failed before, works now
 * @property {Change[]} still failed before and now
 * @property {Change[]} unclear failed before, and could not be tested now
 * @property {Change[]} gone
 * @property {Change[]} added
 */

/**
 * @param {Relay} relay
 * @returns {boolean} whether it is a fact that its DNS failed
 */
function fails(relay) {
  return FAILING.includes(relay.status) && !relay.provisional;
}

/**
 * @param {Change} change
 * @returns {number}
 */
function weight(change) {
  return (change.after ?? change.before)?.weight ?? 0;
}

/**
 * @param {readonly Relay[]} before
 * @param {readonly Relay[]} after
 * @returns {Comparison} each list the heaviest first
 */
export function compare(before, after) {
  /** @type {Map<string, Relay>} */
  const earlier = new Map();
  for (const relay of before) if (relay.valid) earlier.set(relay.fingerprint, relay);
  /** @type {Comparison} */
  const found = {
    failing: [],
    recovered: [],
    still: [],
    unconfirmed: [],
    unclear: [],
    gone: [],
    added: [],
  };
  /** @type {Set<string>} */
  const seen = new Set();
  for (const relay of after) {
    if (!relay.valid || seen.has(relay.fingerprint)) continue;
    seen.add(relay.fingerprint);
    const old = earlier.get(relay.fingerprint) ?? null;
    const change = { before: old, after: relay };
    if (old === null) found.added.push(change);
    if (FAILING.includes(relay.status) && relay.provisional) found.unconfirmed.push(change);
    else if (fails(relay)) (old !== null && fails(old) ? found.still : found.failing).push(change);
    else if (old !== null && fails(old)) {
      (relay.status === "success" ? found.recovered : found.unclear).push(change);
    }
  }
  for (const relay of earlier.values()) {
    if (!seen.has(relay.fingerprint)) found.gone.push({ before: relay, after: null });
  }
  for (const changes of Object.values(found)) changes.sort((a, b) => weight(b) - weight(a));
  return found;
}
