// When to ask the server for newer files. Performs no IO.

const MINUTE = 60 * 1000;

/** However often the reader comes back: not more often than this. */
export const LEAST_MS = MINUTE;

/** While a report is overdue: as often as a twelfth of the distance of runs, within these. */
const OVERDUE_MS = Object.freeze({ least: 5 * MINUTE, most: 30 * MINUTE });

/**
 * @typedef {object} Known
 * @property {number} asked when the server was asked last, milliseconds
 * @property {number} failures how often in a row it did not answer
 * @property {number | null} timestamp of the latest report that is known
 * @property {number} everyMs how far apart the runs are
 * @property {number} dice 0 to 1, so that many pages do not ask at one moment
 */

/**
 * @param {Known} known
 * @returns {number} milliseconds
 */
export function nextCheck({ asked, failures, timestamp, everyMs, dice }) {
  if (failures > 0) {
    return asked + Math.min(LEAST_MS * 2 ** Math.min(failures - 1, 10), OVERDUE_MS.most);
  }
  const due = (timestamp ?? asked) + everyMs * (1 + dice / 20);
  if (asked < due) return Math.max(due, asked + LEAST_MS);
  return asked + Math.min(Math.max(everyMs / 12, OVERDUE_MS.least), OVERDUE_MS.most);
}
