// Which relays are shown, in which order: search, filters and sorting. Performs no IO, and draws
// nothing.

import { DEGRADED, FAILING, RESOLVER_KINDS } from "../words.js";
import { isConfirmed } from "./mail.js";
import { everyWeek, outages } from "./recurrence.js";
import { haystack, isFound, termsOf } from "./search.js";

/** @import { Relay } from "../data/report.js" */

/** What the reader chose; empty texts choose nothing. */
/**
 * @typedef {object} Choice
 * @property {string} q words that all must be found
 * @property {string} status a status, `failing`, or `confirmed` for failures that are a fact and not our
 *   own fault
 * @property {string} cause
 * @property {string} blame
 * @property {string} state
 * @property {string} flag
 * @property {string} country
 * @property {string} network the number of an autonomous system
 * @property {string} resolver where its resolver is: a kind, or a public resolver
 * @property {string} through the number of an autonomous system that resolves its names
 * @property {string} validates whether its resolver validates DNSSEC: `yes` or `no`
 * @property {string} ipv6 `yes`, `no`, `exit` or `noexit`
 * @property {string} again `weeks`: failed in each week that its last runs reach back; `outages`: began
 *   to fail twice or more often in them
 * @property {string} operator an operator's key
 * @property {string} address
 * @property {string} columns the columns to show, with commas; those that there is room for unless
 *   said
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
    "network",
    "resolver",
    "through",
    "validates",
    "ipv6",
    "again",
    "operator",
    "address",
  ]),
);

export const DEFAULT_SORT = "-failures";

/**
 * @param {readonly Relay[]} relays
 * @returns {Map<string, string>} the networks' names, by number
 */
export function networkNames(relays) {
  /** @type {Map<string, string>} */
  const found = new Map();
  for (const { asNumber, asName } of relays) {
    if (asNumber !== null && asName !== null) found.set(String(asNumber), asName);
  }
  return found;
}

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
    network: get("network"),
    resolver: get("resolver"),
    through: get("through"),
    validates: get("validates"),
    ipv6: get("ipv6"),
    again: get("again"),
    operator: get("operator"),
    address: get("address"),
    columns: get("columns"),
    sort: Object.hasOwn(SORTS, sort.replace(/^-/, "")) ? sort : DEFAULT_SORT,
  };
}

/**
 * The relays of a report, made ready for searching: the texts are put together once.
 */
export class RelayIndex {
  /** @type {string[] | null} */
  #haystacks = null;
  /** @type {Map<string, readonly number[]>} the orders made so far, by sort */
  #orders = new Map();

  /**
   * @param {readonly Relay[]} relays
   * @param {() => number} [perWeek] how many runs a week has, as far as is known
   */
  constructor(relays, perWeek = () => USUAL_A_WEEK) {
    this.relays = relays;
    this.perWeek = perWeek;
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
    const isSearched = this.#searched(choice);
    const tests = testsOf(choice, this.perWeek());
    /** @type {Relay[]} */
    const found = [];
    for (const i of this.#order(choice.sort)) {
      if (isSearched(i) && tests.every(([, test]) => test(this.relays[i]))) {
        found.push(this.relays[i]);
      }
    }
    return found;
  }

  /**
   * How many relays each value of a menu would show, with all else that was chosen.
   * @param {Choice} choice
   * @returns {Facets}
   */
  facets(choice) {
    const isSearched = this.#searched(choice);
    const tests = testsOf(choice, this.perWeek());
    const found = emptyFacets();
    this.relays.forEach((relay, i) => {
      if (!isSearched(i)) return;
      /** @type {string | null} */
      let against = null;
      for (const [name, test] of tests) {
        if (test(relay)) continue;
        if (against !== null) return;
        against = name;
      }
      // What one menu alone hides is counted in that menu.
      if (against === null) for (const name of MENUS) count(found, name, relay);
      else if (isMenu(against)) count(found, against, relay);
    });
    return found;
  }

  /**
   * @param {Choice} choice
   * @returns {(i: number) => boolean} whether what was typed is found in the relay of this index
   */
  #searched(choice) {
    const terms = termsOf(choice.q);
    if (terms.length === 0) return () => true;
    const texts = this.haystacks();
    return (i) => terms.every((term) => isFound(term, texts[i]));
  }
}

/** Four runs a day. */
const USUAL_A_WEEK = 28;

/** The value of `status` for failures that are a fact. */
export const CONFIRMED = "confirmed";

/**
 * @param {Relay} relay
 * @param {string} status
 * @returns {boolean}
 */
function hasStatus(relay, status) {
  if (status === "failing") return FAILING.includes(relay.status);
  return status === CONFIRMED ? isConfirmed(relay) : relay.status === status;
}

/**
 * @param {Choice} choice
 * @param {number} perWeek how many runs a week has
 * @returns {[keyof Choice, (relay: Relay) => boolean][]} by filter
 */
function testsOf(choice, perWeek) {
  /** @type {[keyof Choice, (relay: Relay) => boolean][]} */
  const tests = [];
  const add = (/** @type {keyof Choice} */ name, /** @type {(relay: Relay) => boolean} */ test) => {
    if (choice[name] !== "") tests.push([name, test]);
  };
  const { status, flag, ipv6, operator, address } = choice;
  const orNone = (
    /** @type {"cause" | "blame" | "country" | "network"} */ name,
    /** @type {(relay: Relay) => string | null} */ get,
  ) => {
    const value = choice[name] === NONE ? null : choice[name];
    add(name, (relay) => get(relay) === value);
  };
  add("status", (relay) => hasStatus(relay, status));
  // A success has neither, and is not meant.
  orNone("cause", (relay) => (relay.status === "success" ? "" : relay.code));
  orNone("blame", (relay) => (relay.status === "success" ? "" : relay.blame));
  add("state", (relay) => statesOf(relay).includes(choice.state));
  orNone("country", (relay) => relay.country);
  orNone("network", (relay) => networkOf(relay));
  add("resolver", (relay) => resolversOf(relay).includes(choice.resolver));
  add("through", ({ resolver }) =>
    (resolver?.addresses ?? []).some(({ asNumber }) => String(asNumber) === choice.through),
  );
  add("validates", ({ resolver }) => resolver?.validates?.outcome === choice.validates);
  add("flag", (relay) => relay.flags.includes(flag));
  add("ipv6", IPV6.get(ipv6) ?? (() => true));
  add("again", ({ recent }) =>
    choice.again === "weeks" ? everyWeek(recent, perWeek) : outages(recent) >= 2,
  );
  add("operator", (relay) => relay.operator === operator);
  add("address", (relay) => relay.address === address);
  return tests;
}

/**
 * A degraded relay has its state beside that.
 * @param {Relay} relay
 * @returns {string[]}
 */
function statesOf({ state, degraded }) {
  return degraded && state !== DEGRADED ? [state ?? NONE, DEGRADED] : [state ?? NONE];
}

/**
 * @param {Relay} relay
 * @returns {string | null}
 */
function networkOf({ asNumber }) {
  return asNumber === null ? null : String(asNumber);
}

/**
 * @param {Relay} relay
 * @returns {string[]} where its resolver is, and which public ones it uses
 */
function resolversOf({ resolver }) {
  if (resolver === null || resolver.kind === null) return [NONE];
  const services = resolver.addresses.flatMap((one) => one.public ?? []);
  return [...new Set([resolver.kind, ...services])];
}

/** @type {ReadonlyMap<string, (relay: Relay) => boolean>} */
const IPV6 = new Map([
  ["yes", (relay) => relay.ipv6 !== null],
  ["no", (relay) => relay.ipv6 === null],
  ["exit", (relay) => relay.ipv6Exit === true],
  ["noexit", (relay) => relay.ipv6Exit !== true],
]);

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

/** Nearest first. @type {ReadonlyMap<string, number>} */
const KIND_RANK = new Map([...RESOLVER_KINDS.keys()].map((kind, i) => [kind, i]));

/** After those that fail now. */
const DEGRADED_RANK = 2.5;

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
    relay.degraded
      ? DEGRADED_RANK
      : relay.state === null
        ? null
        : (STATE_RANK.get(relay.state) ?? 5),
  failures: (/** @type {Relay} */ relay) =>
    // Within the same streak, and before everybody without one, those that fail now.
    relay.failures * 10 + (9 - (STATUS_RANK.get(relay.status) ?? 6)),
  outages: (/** @type {Relay} */ relay) => outages(relay.recent),
  latency: (/** @type {Relay} */ relay) => relay.latency,
  lookups: (/** @type {Relay} */ relay) =>
    // By the lower end: a share of few lookups says little.
    relay.lookups30?.low ?? relay.lookups7?.low ?? null,
  network: (/** @type {Relay} */ relay) => relay.asNumber,
  resolver: (/** @type {Relay} */ relay) => KIND_RANK.get(relay.resolver?.kind ?? "") ?? null,
  operator: (/** @type {Relay} */ relay) => relay.operator || null,
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

/** The filters that are menus of what there is. */
const MENUS = Object.freeze(
  /** @type {const} */ ([
    "status",
    "cause",
    "blame",
    "state",
    "flag",
    "country",
    "network",
    "resolver",
  ]),
);

/** @typedef {(typeof MENUS)[number]} Menu */
/** @typedef {Record<Menu, Map<string, number>>} Facets */

/**
 * @param {string} name
 * @returns {name is Menu}
 */
function isMenu(name) {
  return MENUS.some((menu) => menu === name);
}

/** @returns {Facets} */
function emptyFacets() {
  return {
    status: new Map(),
    cause: new Map(),
    blame: new Map(),
    state: new Map(),
    flag: new Map(),
    country: new Map(),
    network: new Map(),
    resolver: new Map(),
  };
}

/**
 * @param {Facets} found
 * @param {Menu} menu
 * @param {Relay} relay
 */
function count(found, menu, relay) {
  const map = found[menu];
  for (const value of valuesOf(menu, relay)) map.set(value, (map.get(value) ?? 0) + 1);
}

/**
 * @param {Menu} menu
 * @param {Relay} relay
 * @returns {Iterable<string>}
 */
function valuesOf(menu, relay) {
  switch (menu) {
    case "status":
      return isConfirmed(relay) ? [relay.status, CONFIRMED] : [relay.status];
    case "cause":
      return relay.status === "success" ? [] : [relay.code ?? NONE];
    case "blame":
      return relay.status === "success" ? [] : [relay.blame ?? NONE];
    case "state":
      return statesOf(relay);
    case "country":
      return [relay.country ?? NONE];
    case "network":
      return [networkOf(relay) ?? NONE];
    case "resolver":
      return resolversOf(relay);
    case "flag":
      return new Set(relay.flags);
  }
}

/**
 * The values that there are to filter by, each with the number of relays that have it.
 * @param {readonly Relay[]} relays
 * @returns {Facets}
 */
export function facets(relays) {
  const found = emptyFacets();
  for (const relay of relays) for (const menu of MENUS) count(found, menu, relay);
  // A hostile file may hold as many values as it likes; a menu cannot.
  for (const name of MENUS) {
    const sorted = [...found[name]].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    found[name] = new Map(sorted.slice(0, 300));
  }
  return found;
}
