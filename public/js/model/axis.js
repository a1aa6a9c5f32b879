// What a chart over time needs to know of its axes and its keyboard. Performs no IO, and draws
// nothing.

/** @import { Run } from "../data/trends.js" */
/** @import { Chart } from "./trends.js" */

/** A gap so many times the usual distance of runs breaks the line. */
const GAP = 3.5;

/**
 * The runs on the axis, with an empty place where the line is to break.
 * @param {readonly Run[]} runs
 * @returns {{times: number[], source: number[]}} seconds; and the run at each place, or -1
 */
export function places(runs) {
  const gaps = runs
    .slice(1)
    .map((run, i) => run.timestamp - runs[i].timestamp)
    .sort((a, b) => a - b);
  const usual = gaps[Math.floor(gaps.length / 2)] ?? 0;
  /** @type {number[]} */
  const times = [];
  /** @type {number[]} */
  const source = [];
  runs.forEach((run, i) => {
    const before = runs[i - 1]?.timestamp;
    if (before !== undefined && usual > 0 && run.timestamp - before > GAP * usual) {
      times.push((before + run.timestamp) / 2000);
      source.push(-1);
    }
    times.push(run.timestamp / 1000);
    source.push(i);
  });
  return { times, source };
}

/**
 * What the scale reaches from and to: that of the published runs, as one that was held back is often
 * far from all others, and would press them flat.
 * @param {Chart} chart
 * @param {readonly Run[]} runs
 * @returns {[number, number]}
 */
export function scaleRange(chart, runs) {
  const any = runs.some((run) => run.published);
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const line of chart.lines) {
    line.values.forEach((value, i) => {
      if (value === null || (any && !runs[i].published)) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    });
  }
  if (low > high) return [0, chart.unit === "percent" ? 100 : 1];
  const least = chart.unit === "percent" ? 0.5 : Math.max(high * 0.02, 1);
  const span = Math.max(high - low, least);
  const top = high + span * 0.1;
  const bottom = chart.fromZero ? 0 : Math.max(0, low - span * 0.15);
  return [bottom, chart.unit === "percent" ? Math.min(top, 100) : top];
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/**
 * Times at the scale: the day, the hour where that is finer, and the year where it changes.
 * @param {readonly number[]} splits seconds
 * @param {number} step seconds
 * @returns {string[]}
 */
export function timesAtScale(splits, step) {
  let day = "";
  let year = "";
  return splits.map((seconds) => {
    const date = new Date(seconds * 1000);
    const month = MONTHS[date.getUTCMonth()];
    const thisYear = String(date.getUTCFullYear());
    const thisDay = step >= 28 * 86_400 ? month : `${date.getUTCDate()} ${month}`;
    const parts = step < 86_400 ? [date.toISOString().slice(11, 16)] : [];
    if (step >= 86_400 || thisDay !== day) parts.push(thisDay);
    if (thisYear !== year && (year !== "" || step >= 86_400)) parts.push(thisYear);
    day = thisDay;
    year = thisYear;
    return parts.join("\n");
  });
}

/**
 * @param {string} key
 * @param {number} at
 * @param {number} count
 * @returns {number | null} the run to go to; null for a key that means nothing here
 */
export function keyTarget(key, at, count) {
  const page = Math.max(1, Math.round(count / 10));
  switch (key) {
    case "ArrowLeft":
    case "ArrowDown":
      return Math.max(0, at - 1);
    case "ArrowRight":
    case "ArrowUp":
      return Math.min(count - 1, at + 1);
    case "PageDown":
      return Math.max(0, at - page);
    case "PageUp":
      return Math.min(count - 1, at + page);
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}
