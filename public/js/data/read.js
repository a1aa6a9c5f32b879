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

/**
 * What could not be read, by field: how often. A field that is missing or null is no flaw.
 * @typedef {Map<string, number>} Flaws
 */

/**
 * An object whose fields are read one by one; what is there and cannot be read is noted.
 */
export class Reading {
  /**
   * @param {unknown} value
   * @param {Flaws} flaws
   * @param {string} [path] what stands before the names of the fields
   */
  constructor(value, flaws, path = "") {
    this.fields = object(value);
    this.flaws = flaws;
    this.path = path;
    if (value !== null && value !== undefined && !isObject(value)) this.note(path.slice(0, -1));
  }

  /** @param {string} name */
  note(name) {
    this.flaws.set(name, (this.flaws.get(name) ?? 0) + 1);
  }

  /**
   * @template T
   * @param {string} name
   * @param {(value: unknown) => T | null} read
   * @returns {T | null}
   */
  get(name, read) {
    const value = this.fields[name];
    if (value === null || value === undefined) return null;
    const found = read(value);
    // An empty text says as much as none.
    if (found === null && value !== "") this.note(this.path + name);
    return found;
  }

  /**
   * @param {string} name
   * @returns {string[]}
   */
  texts(name) {
    const found = this.get(name, (value) => (Array.isArray(value) ? value : null)) ?? [];
    const read = texts(found);
    if (read.length < found.filter((item) => item !== "").length) this.note(this.path + name);
    return read;
  }

  /**
   * @param {string} name
   * @returns {Map<string, number>}
   */
  counts(name) {
    const found = this.get(name, (value) => (isObject(value) ? value : null));
    if (found === null) return new Map();
    if (Object.values(found).some((item) => count(item) === null)) this.note(this.path + name);
    return counts(found);
  }

  /**
   * @param {string} name
   * @returns {Reading} the object in a field
   */
  within(name) {
    return new Reading(this.fields[name], this.flaws, `${this.path}${name}.`);
  }

  /**
   * @param {string} name
   * @returns {readonly unknown[]} the list in a field
   */
  list(name) {
    return this.get(name, (value) => (Array.isArray(value) ? value : null)) ?? [];
  }
}

/**
 * @param {unknown} value
 * @returns {boolean | null}
 */
export function flag(value) {
  return typeof value === "boolean" ? value : null;
}

/** More kinds of damage than anybody reads. */
const FLAWS_SAID = 12;

/**
 * @param {Flaws} flaws
 * @param {(name: string, n: number) => string} words
 * @returns {string[]} a sentence each, the most frequent first
 */
export function flawWords(flaws, words) {
  const sorted = [...flaws].sort((a, b) => b[1] - a[1]);
  const said = sorted.slice(0, FLAWS_SAID).map(([name, n]) => words(name, n));
  const rest = sorted.length - said.length;
  if (rest > 0) said.push(`Other fields that cannot be read: ${rest}.`);
  return said;
}
