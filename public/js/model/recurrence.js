// Is it the same ones again and again? From a relay's last runs, a character each. Performs no IO.

import { FAILING, MARKS } from "../words.js";

/** @import { Relay } from "../data/report.js" */

const WEEK_MS = 7 * 24 * 3600 * 1000;

/** The marks of failures that were confirmed: upper case are others. */
const FAILURES = [...MARKS].flatMap(([mark, status]) => (FAILING.includes(status) ? mark : []));

const ANY_FAILURE = new RegExp(`[${FAILURES.join("")}]`);

/**
 * @param {string} mark one character of `recent`
 * @returns {boolean} whether its DNS failed then
 */
export function isFailure(mark) {
  return FAILURES.includes(mark);
}

/**
 * @param {string} recent
 * @returns {number} how often it began to fail: a success ends an outage, and nothing else
 */
export function outages(recent) {
  // Most have none.
  if (!ANY_FAILURE.test(recent)) return 0;
  let found = 0;
  let down = false;
  for (const mark of recent) {
    if (isFailure(mark)) {
      if (!down) found += 1;
      down = true;
    } else if (mark === "s") down = false;
  }
  return found;
}

/**
 * @param {number} everyMs how far apart the runs are
 * @returns {number} how many runs a week has
 */
export function runsAWeek(everyMs) {
  return Math.max(1, Math.round(WEEK_MS / everyMs));
}

/**
 * Whether it failed in each whole week that its last runs reach back.
 * @param {string} recent
 * @param {number} perWeek how many runs a week has
 * @returns {boolean} false also where they do not reach back two weeks
 */
export function everyWeek(recent, perWeek) {
  const weeks = Math.floor(recent.length / perWeek);
  if (weeks < 2) return false;
  for (let week = 0; week < weeks; week += 1) {
    if (!failedIn(recent, perWeek, week)) return false;
  }
  return true;
}

/**
 * @param {string} recent
 * @param {number} perWeek
 * @param {number} week 0 for the last seven days
 * @returns {boolean}
 */
function failedIn(recent, perWeek, week) {
  const end = recent.length - week * perWeek;
  return ANY_FAILURE.test(recent.slice(Math.max(0, end - perWeek), Math.max(0, end)));
}

/**
 * How many failed in the last seven days, in the seven before, and in both.
 * @param {readonly Relay[]} relays
 * @param {number} perWeek
 * @returns {{now: number, before: number, both: number} | null} null where no relay's runs reach
 *   back so far
 */
export function weekOnWeek(relays, perWeek) {
  if (!relays.some(({ recent }) => recent.length >= 2 * perWeek)) return null;
  const found = { now: 0, before: 0, both: 0 };
  for (const { recent } of relays) {
    const [now, before] = [failedIn(recent, perWeek, 0), failedIn(recent, perWeek, 1)];
    if (now) found.now += 1;
    if (before) found.before += 1;
    if (now && before) found.both += 1;
  }
  return found;
}

/**
 * How relays that belong together fared, run by run.
 * @typedef {object} SharedRun
 * @property {number} failed
 * @property {number} tested
 */

/**
 * @param {readonly Pick<Relay, "recent">[]} relays
 * @param {number} most how many runs
 * @returns {SharedRun[]} newest last, as many as there are results for
 */
export function sharedRuns(relays, most) {
  /** @type {SharedRun[]} */
  const found = Array.from({ length: most }, () => ({ failed: 0, tested: 0 }));
  let reach = 0;
  for (const { recent } of relays) {
    const marks = recent.slice(-most);
    reach = Math.max(reach, marks.length);
    for (let i = 0; i < marks.length; i += 1) {
      const run = found[most - marks.length + i];
      if (isFailure(marks[i])) run.failed += 1;
      if (isFailure(marks[i]) || marks[i] === "s") run.tested += 1;
    }
  }
  return found.slice(most - reach);
}
