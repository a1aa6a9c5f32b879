// Who changed in a run: what it found of a relay beside what the run before found, as the strip of its
// last runs has both. So one report says it. Performs no IO.

import { FAILING } from "../words.js";
import { isFailure } from "./recurrence.js";

/** @import { Absent, Relay, Report } from "../data/report.js" */

/**
 * @typedef {object} RunChanges
 * @property {Relay[]} failing fail since this run, confirmed
 * @property {Relay[]} unconfirmed failed now, as one attempt saw it that the run could not repeat
 * @property {Relay[]} recovered failed when they were last tested, and work now
 * @property {Relay[]} added had no result before
 * @property {Absent[]} gone had a result in the run before, and have none now
 */

/**
 * @param {string} recent
 * @returns {boolean} whether the last test before the newest run failed
 */
function failedBefore(recent) {
  for (let i = recent.length - 2; i >= 0; i -= 1) {
    if (isFailure(recent[i])) return true;
    if (recent[i] === "s") return false;
  }
  return false;
}

/**
 * @param {Report} report
 * @returns {RunChanges} each list the heaviest first
 */
export function runChanges({ relays, absent }) {
  /** @type {RunChanges} */
  const found = { failing: [], unconfirmed: [], recovered: [], added: [], gone: [] };
  for (const relay of relays) {
    const fails = FAILING.includes(relay.status);
    if (relay.recent.length === 1) found.added.push(relay);
    if (fails && relay.provisional) found.unconfirmed.push(relay);
    else if (fails && !failedBefore(relay.recent)) found.failing.push(relay);
    else if (relay.status === "success" && failedBefore(relay.recent)) found.recovered.push(relay);
  }
  for (const relay of absent) {
    if (/[^.]\.$/.test(relay.recent)) found.gone.push(relay);
  }
  for (const list of [found.failing, found.unconfirmed, found.recovered, found.added]) {
    list.sort((a, b) => (b.weight ?? 0) - (a.weight ?? 0));
  }
  return found;
}
