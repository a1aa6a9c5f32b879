// From a run to its report, and from a mark of a relay's last runs to the run. Performs no IO.

import { isReportName } from "../data/names.js";
import { MARKS } from "../words.js";

/** @import { ListedFile } from "../data/files.js" */
/** @import { Report } from "../data/report.js" */
/** @import { Run } from "../data/trends.js" */

/** How far a run may be in the future, as the publish gate has it. */
export const FUTURE_MS = 3600 * 1000;

/**
 * The name of a run's dated report.
 * @param {readonly ListedFile[] | null} files null while the list is not there
 * @param {{timestamp: number | null, runId: string | null, published?: boolean}} run
 * @returns {string | null} null where there is no such file any more; without a list, the name that
 *   the format gives it
 */
export function reportOf(files, { timestamp, runId, published }) {
  if (timestamp === null) return null;
  if (files === null) return datedName(timestamp);
  const same = files.filter(
    ({ kind, timestamp: time, report }) =>
      kind === "report" &&
      time === timestamp &&
      (runId === null || report === null || report.runId === null || report.runId === runId),
  );
  // The same run may have been aggregated again: the word of the last is the one that holds.
  same.sort((a, b) => turnOf(b.name) - turnOf(a.name));
  const fits = same.find(
    ({ report }) => published === undefined || report?.published === published,
  );
  return (fits ?? same[0])?.name ?? null;
}

/**
 * @param {string} name of a report; `..._HH-MM-SS-2.json` is the second of its run
 * @returns {number} from 1
 */
export function turnOf(name) {
  return Number(/_\d\d-\d\d-\d\d-(\d+)\.json$/.exec(name)?.[1] ?? 1);
}

/**
 * @param {number} timestamp milliseconds
 * @returns {string | null}
 */
function datedName(timestamp) {
  const iso = new Date(timestamp).toISOString().slice(0, 19);
  const name = `dns_health_${iso.replace("T", "_").replaceAll(":", "-")}.json`;
  return isReportName(name) ? name : null;
}

/** How many runs `recent` holds. */
const PLACES = 60;

/** How much nearer a run must be than another to be told from it. */
const NEARER = 1.5;

/** @type {WeakMap<Report, ReadonlyMap<string, number>[]>} */
const columns = new WeakMap();

/**
 * How often each mark stands in each place of all relays' `recent`.
 * @param {Report} report
 * @returns {readonly ReadonlyMap<string, number>[]} the newest place first
 */
function columnsOf(report) {
  const known = columns.get(report);
  if (known !== undefined) return known;
  /** @type {Map<string, number>[]} */
  const found = Array.from({ length: PLACES }, () => new Map());
  for (const { recent } of [...report.relays, ...report.absent]) {
    for (let place = 0; place < Math.min(recent.length, PLACES); place += 1) {
      const mark = recent[recent.length - 1 - place].toLowerCase();
      found[place].set(mark, (found[place].get(mark) ?? 0) + 1);
    }
  }
  columns.set(report, found);
  return found;
}

/**
 * @param {Run} run
 * @param {ReadonlyMap<string, number>} column
 * @returns {number} in how many results they differ
 */
function distance(run, column) {
  let all = 0;
  for (const [mark, status] of MARKS) {
    all += Math.abs((run.statuses.get(status) ?? 0) - (column.get(mark) ?? 0));
  }
  return all;
}

/**
 * The runs that the marks of `recent` are of: those that count. A published run does; whether one
 * that was held back or came late does is told by its figures, as the trends do not say it.
 * @param {readonly Run[] | null} runs oldest first
 * @param {Report} report whose own run the newest mark is
 * @returns {Run[]} newest first, as far as they are known
 */
export function recentRuns(runs, report) {
  const { timestamp } = report.metadata;
  const past = (runs ?? []).filter((run) => timestamp !== null && run.timestamp <= timestamp);
  past.reverse();
  if (past[0]?.timestamp !== timestamp) return [];
  const marks = columnsOf(report);
  /** @type {Run[]} */
  const found = [past[0]];
  for (let i = 1; i < past.length && found.length < PLACES; i += 1) {
    const run = past[i];
    if (!run.published) {
      const next = past.slice(i + 1).find((other) => other.published);
      if (next === undefined) break;
      const column = marks[found.length];
      const [own, other] = [distance(run, column), distance(next, column)];
      if (own * NEARER >= other && other * NEARER >= own) break;
      if (other < own) continue;
    }
    found.push(run);
  }
  return found;
}

/**
 * Runs that ended in the future are a wrong clock's: one of them would stretch every scale.
 * @param {readonly Run[]} runs
 * @param {number} now milliseconds
 * @returns {{runs: readonly Run[], future: number}} the others; and how many there are
 */
export function untilNow(runs, now) {
  const past = runs.filter((run) => run.timestamp <= now + FUTURE_MS);
  return { runs: past, future: runs.length - past.length };
}
