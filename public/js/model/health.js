// Is the network's DNS healthy, and are these figures fit to tell? Performs no IO.

import { FAILING } from "../words.js";
import { FUTURE_MS, untilNow } from "./runs.js";

/** @import { Metadata } from "../data/metadata.js" */
/** @import { Run } from "../data/trends.js" */
/** @import { ListedFile } from "../data/files.js" */
/** @import { Relay } from "../data/report.js" */

/**
 * The levels: at most so many percent of the relays tested, and of the bandwidth, fail. An exit
 * that cannot resolve makes every connection through it fail, so 2 % is one page in fifty.
 */
export const LEVELS = Object.freeze({ good: 2, fair: 5 });

/** Without trends and without a previous report: four runs a day. */
const USUAL_INTERVAL_MS = 6 * 3600 * 1000;

/** Runs are never further apart. */
const LONGEST_MS = 31 * 24 * 3600 * 1000;

/**
 * @param {Metadata} metadata
 * @returns {"good" | "fair" | "bad" | "unknown"}
 */
export function level(metadata) {
  if (metadata.dnsRate === null || (metadata.tested ?? 0) === 0) return "unknown";
  const worst = Math.max(100 - metadata.dnsRate, metadata.failingPercent ?? 0);
  if (worst <= LEVELS.good) return "good";
  return worst <= LEVELS.fair ? "fair" : "bad";
}

/**
 * @param {ReadonlyMap<string, number>} statuses
 * @returns {number} relays whose DNS failed
 */
export function failing(statuses) {
  return FAILING.reduce((sum, status) => sum + (statuses.get(status) ?? 0), 0);
}

/** A failure that the run ended before it could confirm. */
export const UNCONFIRMED = "unconfirmed";

/**
 * The relays whose DNS failed, by state; each is counted once, so that the parts are the whole.
 * @param {readonly Relay[]} relays
 * @returns {Map<string | null, number>} by state, those that are not confirmed apart; the most first
 */
export function failingStates(relays) {
  /** @type {Map<string | null, number>} */
  const found = new Map();
  for (const relay of relays) {
    if (!FAILING.includes(relay.status)) continue;
    const key = relay.provisional ? UNCONFIRMED : relay.state;
    found.set(key, (found.get(key) ?? 0) + 1);
  }
  return new Map([...found].sort((a, b) => b[1] - a[1]));
}

/**
 * How far apart the runs are.
 * @param {readonly Run[] | null} runs
 * @param {Metadata | null} metadata
 * @returns {number} milliseconds
 */
export function interval(runs, metadata) {
  const times = (runs ?? []).slice(-30).map((run) => run.timestamp);
  const gaps = times
    .slice(1)
    .map((time, i) => time - times[i])
    .filter((gap) => gap > 0)
    .sort((a, b) => a - b);
  if (gaps.length >= 3) return gaps[Math.floor(gaps.length / 2)];
  const previous = metadata?.previous?.timestamp ?? null;
  const now = metadata?.timestamp ?? null;
  if (previous !== null && now !== null && now > previous) {
    return Math.max(now - previous, USUAL_INTERVAL_MS);
  }
  return USUAL_INTERVAL_MS;
}

/**
 * How old the figures are.
 * @typedef {object} Age
 * @property {"fresh" | "stale" | "unasked" | "future" | "unknown"} state stale: a run and the next one
 *   are missing, by the word of the server; unasked: it could be, and the server has not been asked
 *   since
 * @property {number | null} ms
 * @property {number} everyMs how far apart the runs are
 */

/**
 * @param {Metadata} metadata
 * @param {readonly Run[] | null} runs
 * @param {number} now milliseconds
 * @param {number | null} confirmed when the server said that there is nothing newer
 * @returns {Age}
 */
export function age(metadata, runs, now, confirmed) {
  const past = runs === null ? null : untilNow(runs, now).runs;
  // Runs of a few minutes' distance are a test's: half an hour is never stale. A distance of months
  // is a wrong clock's.
  const everyMs = Math.min(Math.max(interval(past, metadata), 15 * 60 * 1000), LONGEST_MS);
  if (metadata.timestamp === null) return { state: "unknown", ms: null, everyMs };
  const ms = now - metadata.timestamp;
  if (ms < -FUTURE_MS) return { state: "future", ms, everyMs };
  const due = metadata.timestamp + 2 * everyMs;
  const late = (confirmed ?? 0) > due ? "stale" : "unasked";
  return { state: now > due ? late : "fresh", ms: Math.max(ms, 0), everyMs };
}

/**
 * A newer report that was held back by the gate.
 * @param {Metadata} latest
 * @param {readonly ListedFile[] | null} files
 * @returns {ListedFile | null}
 */
export function heldBack(latest, files) {
  const newest = files?.find((file) => file.kind === "report") ?? null;
  if (newest === null || newest.report === null || newest.report.published) return null;
  if (newest.timestamp === null || newest.timestamp <= (latest.timestamp ?? 0)) return null;
  return newest;
}

/**
 * The last published run before this report.
 * @param {Metadata} metadata
 * @param {readonly Run[] | null} runs oldest first
 * @returns {Run | null}
 */
export function runBefore(metadata, runs) {
  if (runs === null || metadata.timestamp === null) return null;
  const at = metadata.timestamp;
  return runs.findLast((run) => run.published && run.timestamp < at) ?? null;
}
