// Numbers, times and sizes as people read them. English and UTC, whatever the browser's own.

import { h } from "./dom.js";

/** @import { LookupRate } from "../data/types.js" */

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const ONE = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "always" });

/** What stands for a value that is not there. */
export const MISSING = "–";

/**
 * @param {number | null | undefined} n
 * @returns {string}
 */
export function whole(n) {
  return n === null || n === undefined ? MISSING : WHOLE.format(n);
}

/**
 * @param {number | null | undefined} n
 * @returns {string}
 */
export function compact(n) {
  return n === null || n === undefined ? MISSING : COMPACT.format(n);
}

/**
 * A rate or a share with as many decimals as tell it from its like, rounded to the nearest; but 100
 * means all and 0 means none.
 * @param {number | null | undefined} n
 * @returns {string}
 */
export function percent(n) {
  if (n === null || n === undefined) return MISSING;
  if (n === 100 || n === 0) return `${n} %`;
  if (n > 0 && n < 0.01) return "under 0.01 %";
  if (n > 99.99 && n < 100) return "over 99.99 %";
  const decimals = n > 90 || n < 1 ? 2 : 1;
  const scale = 10 ** decimals;
  // Just below a half by a double's rounding is on it.
  return `${(Math.round(n * scale + 1e-6) / scale).toFixed(decimals)} %`;
}

/**
 * @param {number} n percent
 * @returns {string} to two digits that count, without its sign
 */
function digits(n) {
  if (n === 0 || n === 100) return String(n);
  return n < 1 ? String(Number(n.toFixed(2))) : n < 10 ? n.toFixed(1) : n.toFixed(0);
}

/**
 * The ends of an interval.
 * @param {LookupRate} rate
 * @returns {string | null} null where they cannot be told
 */
export function ends({ low, high }) {
  return low === null || high === null ? null : `${digits(low)} to ${digits(high)} %`;
}

/**
 * A share of lookups that failed, with its interval, for a cell of a table.
 * @param {LookupRate | null} rate
 * @returns {string}
 */
export function rateShort(rate) {
  if (rate === null) return MISSING;
  const { low, high } = rate;
  const interval = low === null || high === null ? "" : ` (${digits(low)}–${digits(high)})`;
  return `${digits(rate.percent)} %${interval}`;
}

/**
 * @param {number | null | undefined} n milliseconds
 * @returns {string}
 */
export function ms(n) {
  if (n === null || n === undefined) return MISSING;
  if (n >= 10_000) return `${ONE.format(n / 1000)} s`;
  return `${n < 10 ? ONE.format(n) : WHOLE.format(n)} ms`;
}

/**
 * @param {number | null} n
 * @returns {string}
 */
export function bytes(n) {
  if (n === null) return MISSING;
  if (n < 1024) return `${n} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = n;
  let unit = -1;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${ONE.format(value)} ${units[unit]}`;
}

/** From twice as many days on, years are said. */
const YEAR_DAYS = 365.25;

/**
 * @param {number} seconds not negative
 * @returns {string}
 */
export function duration(seconds) {
  if (seconds < 120) return `${WHOLE.format(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.round(hours / 24);
  return days < 2 * YEAR_DAYS ? `${days} days` : `${WHOLE.format(days / YEAR_DAYS)} years`;
}

/**
 * @param {number | null} time milliseconds
 * @returns {string | null} null for one that no calendar has
 */
function iso(time) {
  return time === null || Math.abs(time) > 8.64e15 ? null : new Date(time).toISOString();
}

/**
 * @param {number | null} time milliseconds
 * @param {boolean} [seconds]
 * @returns {string}
 */
export function utc(time, seconds = false) {
  const text = iso(time);
  return text === null ? MISSING : `${text.slice(0, seconds ? 19 : 16).replace("T", " ")} UTC`;
}

/**
 * @param {number} time milliseconds
 * @param {number} now milliseconds
 * @returns {string} for instance "3 hours ago"
 */
export function ago(time, now) {
  const seconds = (time - now) / 1000;
  const size = Math.abs(seconds);
  if (size < 90) return RELATIVE.format(Math.round(seconds), "second");
  if (size < 90 * 60) return RELATIVE.format(Math.round(seconds / 60), "minute");
  if (size < 36 * 3600) return RELATIVE.format(Math.round(seconds / 3600), "hour");
  const days = seconds / 86_400;
  if (Math.abs(days) < 2 * YEAR_DAYS) return RELATIVE.format(Math.round(days), "day");
  return RELATIVE.format(Math.round(days / YEAR_DAYS), "year");
}

/**
 * @param {number | null} time milliseconds
 * @param {{seconds?: boolean}} [how]
 * @returns {HTMLElement | string}
 */
export function timeElement(time, { seconds = false } = {}) {
  const text = iso(time);
  return text === null ? MISSING : h("time", { datetime: text }, utc(time, seconds));
}

/**
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 * @returns {string} for instance "3 relays"
 */
export function plural(n, one, many = `${one}s`) {
  return `${WHOLE.format(n)} ${n === 1 ? one : many}`;
}
