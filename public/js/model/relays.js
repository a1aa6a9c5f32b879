// Which relays are shown, in which order: search, filters and sorting. Performs no IO, and draws
// nothing.

import { FAILING } from "../words.js";

/** @import { Relay } from "../data/report.js" */

/** What the reader chose; empty texts choose nothing. */
/**
 * @typedef {object} Choice
 * @property {string} q words that all must be found
 * @property {string} status a status, or `failing`
 * @property {string} cause
 * @property {string} blame
 * @property {string} state
 * @property {string} flag
 * @property {string} country
 * @property {string} ipv6 `yes`, `no`, `exit` or `noexit`
 * @property {string} operator an operator's key
 * @property {string} address
 * @property {string} sort a column of `SORTS`, with `-` before it for the other way round
 */

/** Which parameters of the address are filters. */
export const FILTERS = Object.freeze(
  /** @type {const} */ ([
    "q",
    "status",
    "cause",
    "blame",
    "state",
    "flag",
    "country",
    "ipv6",
    "operator",
    "address",
  ]),
);

export const DEFAULT_SORT = "-failures";

/** No cause given, in the filter. */
export const NONE = "-";

/**
 * @param {Readonly<Record<string, string>>} params of the route
 * @returns {Choice}
 */
export function choiceOf(params) {
  const get = (/** @type {string} */ name) => params[name] ?? "";
  const sort = get("sort");
  return {
    q: get("q"),
    status: get("status"),
    cause: get("cause"),
    blame: get("blame"),
    state: get("state"),
    flag: get("flag"),
    country: get("country"),
    ipv6: get("ipv6"),
    operator: get("operator"),
    address: get("address"),
    sort: Object.hasOwn(SORTS, sort.replace(/^-/, "")) ? sort : DEFAULT_SORT,
  };
}

/**
 * @param {Relay} relay
 * @returns {string} everything that is searched, lower case
 */
export function haystack(relay) {
  return [
    relay.fingerprint,
    relay.nickname,
    relay.address,
    relay.ipv6 ?? "",
    relay.operator.slice(0, 300),
    (relay.contact ?? "").slice(0, 2000),
    relay.code ?? "",
    relay.status,
    (relay.platform ?? "").slice(0, 100),
    relay.resolved ?? "",
  ]
    .join("\n")
    .toLowerCase();
}

/**
 * The relays of a report, made ready for searching: the texts are put together once.
 */
export class RelayIndex {
  /** @type {string[] | null} */
  #haystacks = null;
  /** @type {Map<string, readonly number[]>} the orders made so far, by sort */
  #orders = new Map();

  /** @param {readonly Relay[]} relays */
  constructor(relays) {
    this.relays = relays;
  }

  /** @returns {string[]} */
  haystacks() {
    this.#haystacks ??= this.relays.map(haystack);
    return this.#haystacks;
  }

  /**
   * @param {string} sort
   * @returns {readonly number[]} all relays in this order
   */
  #order(sort) {
    const known = this.#orders.get(sort);
    if (known !== undefined) return known;
    const made = order(this.relays, sort);
    this.#orders.set(sort, made);
    return made;
  }

  /**
   * The relays that a choice shows, in its order.
   * @param {Choice} choice
   * @returns {Relay[]}
   */
  select(choice) {
    const words = choice.q.toLowerCase().split(/\s+/).filter(Boolean).map(bare);
    const texts = words.length > 0 ? this.haystacks() : null;
    const tests = testsOf(choice);
    /** @type {Relay[]} */
    const found = [];
    for (const i of this.#order(choice.sort)) {
      const relay = this.relays[i];
      if (texts !== null && !words.every((word) => texts[i].includes(word))) continue;
      if (tests.every((test) => test(relay))) found.push(relay);
    }
    return found;
  }
}

/**
 * A fingerprint is often written with `$`, and with blanks; an IPv6 address in brackets.
 * @param {string} word
 * @returns {string}
 */
function bare(word) {
  return word.replace(/^\$(?=[0-9a-f]{6,40}$)/, "").replace(/^\[([0-9a-f:]+)\]$/, "$1");
}

/**
 * @param {Choice} choice
 * @returns {((relay: Relay) => boolean)[]}
 */
function testsOf(choice) {
  /** @type {((relay: Relay) => boolean)[]} */
  const tests = [];
  const { status, cause, blame, state, flag, country, ipv6, operator, address } = choice;
  if (status === "failing") tests.push((relay) => FAILING.includes(relay.status));
  else if (status !== "") tests.push((relay) => relay.status === status);
  if (cause === NONE) tests.push((relay) => relay.status !== "success" && relay.code === null);
  else if (cause !== "") tests.push((relay) => relay.code === cause);
  if (blame === NONE) tests.push((relay) => relay.status !== "success" && relay.blame === null);
  else if (blame !== "") tests.push((relay) => relay.blame === blame);
  if (state === NONE) tests.push((relay) => relay.state === null);
  else if (state !== "") tests.push((relay) => relay.state === state);
  if (flag !== "") tests.push((relay) => relay.flags.includes(flag));
  if (country === NONE) tests.push((relay) => relay.country === null);
  else if (country !== "") tests.push((relay) => relay.country === country);
  if (ipv6 === "yes") tests.push((relay) => relay.ipv6 !== null);
  if (ipv6 === "no") tests.push((relay) => relay.ipv6 === null);
  if (ipv6 === "exit") tests.push((relay) => relay.ipv6Exit === true);
  if (ipv6 === "noexit") tests.push((relay) => relay.ipv6Exit !== true);
  if (operator !== "") tests.push((relay) => relay.operator === operator);
  if (address !== "") tests.push((relay) => relay.address === address);
  return tests;
}

/** Worse first. @type {ReadonlyMap<string, number>} */
const STATUS_RANK = new Map([
  ["wrong_ip", 0],
  ["dns_fail", 1],
  ["timeout", 2],
  ["exception", 3],
  ["error", 4],
  ["circuit_fail", 5],
  ["success", 7],
]);

/** Worse first. @type {ReadonlyMap<string, number>} */
const STATE_RANK = new Map([
  ["confirmed", 0],
  ["flapping", 1],
  ["suspect", 2],
  ["unreachable", 3],
  ["recovered", 4],
  ["healthy", 6],
]);

/**
 * What each column is sorted by; null goes last, whichever way round.
 * @type {Readonly<Record<string, (relay: Relay) => string | number | null>>}
 */
export const SORTS = Object.freeze({
  nickname: (/** @type {Relay} */ relay) => relay.nickname.toLowerCase() || null,
  fingerprint: (/** @type {Relay} */ relay) => relay.fingerprint,
  address: (/** @type {Relay} */ relay) => addressKey(relay.address),
  country: (/** @type {Relay} */ relay) => relay.country,
  status: (/** @type {Relay} */ relay) => STATUS_RANK.get(relay.status) ?? 6,
  cause: (/** @type {Relay} */ relay) => relay.code,
  state: (/** @type {Relay} */ relay) =>
    relay.state === null ? null : (STATE_RANK.get(relay.state) ?? 5),
  failures: (/** @type {Relay} */ relay) =>
    // Within the same streak, and before everybody without one, those that fail now.
    relay.failures * 10 + (9 - (STATUS_RANK.get(relay.status) ?? 6)),
  latency: (/** @type {Relay} */ relay) => relay.latency,
  rate: (/** @type {Relay} */ relay) => relay.rate7 ?? relay.rate30,
  weight: (/** @type {Relay} */ relay) => relay.weight,
});

/**
 * @param {string} address
 * @returns {string | null} such that addresses sort by their numbers
 */
function addressKey(address) {
  if (address === "") return null;
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address);
  if (v4 === null) return `x${address.toLowerCase()}`;
  return `4${v4
    .slice(1)
    .map((part) => part.padStart(3, "0"))
    .join(".")}`;
}

/**
 * @param {readonly Relay[]} relays
 * @param {string} sort
 * @returns {number[]} their indexes in this order; ties by weight, the heaviest first, then by
 *   fingerprint
 */
export function order(relays, sort) {
  const down = sort.startsWith("-");
  const key = SORTS[down ? sort.slice(1) : sort] ?? SORTS.failures;
  const keys = relays.map(key);
  return relays
    .map((_, i) => i)
    .sort((i, j) => {
      const a = keys[i];
      const b = keys[j];
      if (a !== b) {
        if (a === null) return 1;
        if (b === null) return -1;
        return a < b === down ? 1 : -1;
      }
      const weight = (relays[j].weight ?? -1) - (relays[i].weight ?? -1);
      if (weight !== 0) return weight;
      return relays[i].fingerprint < relays[j].fingerprint ? -1 : 1;
    });
}

/**
 * The values that there are to filter by, each with the number of relays that have it.
 * @param {readonly Relay[]} relays
 * @returns {Record<"status" | "cause" | "blame" | "state" | "flag" | "country", Map<string, number>>}
 */
export function facets(relays) {
  const found = {
    status: new Map(),
    cause: new Map(),
    blame: new Map(),
    state: new Map(),
    flag: new Map(),
    country: new Map(),
  };
  const add = (/** @type {Map<string, number>} */ map, /** @type {string} */ key) => {
    map.set(key, (map.get(key) ?? 0) + 1);
  };
  for (const relay of relays) {
    add(found.status, relay.status);
    if (relay.status !== "success") {
      add(found.cause, relay.code ?? NONE);
      add(found.blame, relay.blame ?? NONE);
    }
    add(found.state, relay.state ?? NONE);
    add(found.country, relay.country ?? NONE);
    for (const flag of new Set(relay.flags)) add(found.flag, flag);
  }
  // A hostile file may hold as many values as it likes; a menu cannot.
  for (const name of /** @type {(keyof typeof found)[]} */ (Object.keys(found))) {
    const sorted = [...found[name]].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    found[name] = new Map(sorted.slice(0, 300));
  }
  return found;
}
