// Values of a parsed JSON document, whatever is there: the wrong type is as good as missing.
// Performs no IO.

/** @typedef {Readonly<Record<string, unknown>>} Fields */

/** @type {Fields} */
const NOTHING = Object.freeze({});

/** Longer texts are cut on reading: no field of ours comes near it. */
const TEXT_LIMIT = 20_000;

/**
 * @param {unknown} value
 * @returns {value is Fields}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * @param {unknown} value
 * @returns {Fields} without any field where the value is no object
 */
export function object(value) {
  return isObject(value) ? value : NOTHING;
}

/**
 * @param {unknown} value
 * @returns {readonly unknown[]}
 */
export function list(value) {
  return Array.isArray(value) ? value : [];
}

/**
 * @param {unknown} value
 * @returns {string | null} null for the empty text too
 */
export function text(value) {
  if (typeof value !== "string" || value === "") return null;
  return value.length > TEXT_LIMIT ? value.slice(0, TEXT_LIMIT) : value;
}

/**
 * @param {unknown} value
 * @returns {string[]}
 */
export function texts(value) {
  return list(value).flatMap((item) => text(item) ?? []);
}

/**
 * @param {unknown} value
 * @returns {number | null} not negative
 */
export function number(value) {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
}

/**
 * @param {unknown} value
 * @returns {number | null} a whole number, not negative
 */
export function count(value) {
  const found = number(value);
  return found !== null && Number.isSafeInteger(found) ? found : null;
}

/**
 * @param {unknown} value
 * @returns {number | null} a rate in percent, 0 to 100
 */
export function percent(value) {
  const found = number(value);
  return found !== null && found <= 100 ? found : null;
}

/**
 * @param {unknown} value an RFC 3339 time
 * @returns {number | null} milliseconds since 1970
 */
export function time(value) {
  if (typeof value !== "string" || !/^\d{4}-\d{2}-\d{2}T/.test(value)) return null;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? null : ms;
}

/**
 * @param {unknown} value
 * @returns {Map<string, number>} the fields that are counts, in their order; a Map, as the names
 *   are the document's
 */
export function counts(value) {
  /** @type {Map<string, number>} */
  const found = new Map();
  for (const [name, item] of Object.entries(object(value))) {
    const n = count(item);
    if (n !== null && n > 0) found.set(name, n);
  }
  return found;
}

/**
 * A relay's fingerprint.
 * @param {unknown} value
 * @returns {string | null} 40 upper-case hexadecimal digits; null where it is none
 */
export function fingerprint(value) {
  if (typeof value !== "string") return null;
  const match = /^\$?([0-9A-Fa-f]{40})$/.exec(value);
  return match === null ? null : match[1].toUpperCase();
}
