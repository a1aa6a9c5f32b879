// Whether a report's figures and its results say the same. What does not add up is said, and the
// results are what counts: they are what was measured. Performs no IO.

import { FAILING } from "../words.js";
import { STATUS_FIELDS } from "./metadata.js";

/** @import { Metadata, Relay, Run } from "./types.js" */

/** The statuses that say something of a relay's DNS. */
const TESTED = Object.freeze(["success", ...FAILING]);

/** Rates are rounded to three decimals. */
const ROUNDING = 0.0015;

/** The marks of `recent`, by status. */
const MARK_OF = new Map([
  ["success", "s"],
  ["wrong_ip", "w"],
  ["dns_fail", "d"],
  ["timeout", "t"],
  ["circuit_fail", "c"],
  ["error", "e"],
  ["exception", "x"],
]);

/**
 * @param {number} part
 * @param {number} whole
 * @returns {number | null} as the format has it: three decimals, rounded down
 */
function rate(part, whole) {
  return whole === 0 ? null : Math.floor((part / whole) * 100_000 + 1e-6) / 1000;
}

/**
 * @param {readonly Relay[]} relays
 * @param {(relay: Relay) => string | null} key
 * @returns {Map<string, number>}
 */
function tally(relays, key) {
  /** @type {Map<string, number>} */
  const found = new Map();
  for (const relay of relays) {
    const value = key(relay);
    if (value !== null && value !== "") found.set(value, (found.get(value) ?? 0) + 1);
  }
  return found;
}

/**
 * @param {ReadonlyMap<string, number>} statuses
 * @param {readonly string[]} of
 * @returns {number}
 */
function sum(statuses, of) {
  return of.reduce((all, status) => all + (statuses.get(status) ?? 0), 0);
}

/** The figures of a run that follow from its results. */
/**
 * @typedef {Pick<Metadata, "total" | "statuses" | "tested" | "successRate" | "dnsRate" | "reachRate"
 *   | "badExits" | "lookups" | "degraded" | "states" | "codes" | "blames" | "unconfirmed" | "failingPercent" | "unreachedPercent">} Figures
 */

/**
 * @param {readonly Relay[]} relays
 * @param {boolean} all whether the rates are of all of them, as in reports that do not count the bad
 *   exits; others leave those out
 * @returns {Figures}
 */
function figuresOf(relays, all) {
  const bad = relays.filter((relay) => relay.flags.includes("BadExit")).length;
  const rated = all ? relays : relays.filter((relay) => !relay.flags.includes("BadExit"));
  const statuses = tally(relays, (relay) => relay.status);
  const ratedStatuses = tally(rated, (relay) => relay.status);
  const ratedTested = sum(ratedStatuses, TESTED);
  const success = ratedStatuses.get("success") ?? 0;
  const weight = (/** @type {(relay: Relay) => boolean} */ test) =>
    rated.reduce((all, relay) => all + (test(relay) ? (relay.weight ?? 0) : 0), 0);
  const whole = weight(() => true);
  // Reports that have this share leave them out always.
  const asked = relays.filter(
    (relay) => relay.firstFailed !== null && !relay.flags.includes("BadExit"),
  );
  return {
    total: relays.length,
    statuses,
    tested: sum(statuses, TESTED),
    badExits: all ? 0 : bad,
    lookups: lookupsOf(asked),
    degraded: relays.filter((relay) => relay.degraded).length,
    successRate: rate(success, rated.length),
    dnsRate: rate(success, ratedTested),
    reachRate: rate(ratedTested, rated.length),
    states: tally(relays, (relay) => relay.state),
    codes: tally(relays, (relay) => relay.code),
    blames: tally(relays, (relay) => relay.blame),
    unconfirmed: relays.filter((relay) => relay.provisional).length,
    failingPercent: rate(
      weight((relay) => FAILING.includes(relay.status)),
      whole,
    ),
    unreachedPercent: rate(
      weight((relay) => relay.status === "circuit_fail"),
      whole,
    ),
  };
}

/**
 * The network's share of first lookups that failed, without its interval.
 * @param {readonly Relay[]} asked
 * @returns {Metadata["lookups"]}
 */
function lookupsOf(asked) {
  const weight = (/** @type {readonly Relay[]} */ some) =>
    some.reduce((all, relay) => all + (relay.weight ?? 0), 0);
  const failed = asked.filter((relay) => relay.firstFailed);
  const percent = rate(weight(failed), weight(asked));
  if (percent === null) return null;
  return { asked: asked.length, failed: failed.length, percent, low: null, high: null };
}

/**
 * The plain figures, by the format's names.
 * @type {readonly (readonly [keyof Figures, string])[]}
 */
const PLAIN = [
  ["total", "total_relays"],
  ["tested", "tested"],
  ["badExits", "bad_exits"],
  ["degraded", "degraded"],
  ["unconfirmed", "unconfirmed"],
];

/** @type {readonly (readonly [keyof Figures, string])[]} */
const RATES = [
  ["successRate", "success_rate_percent"],
  ["dnsRate", "dns_success_rate_percent"],
  ["reachRate", "reachability_rate_percent"],
  ["failingPercent", "bandwidth.failing_percent"],
  ["unreachedPercent", "bandwidth.unreached_percent"],
];

/** @type {readonly (readonly ["states" | "codes" | "blames", string])[]} */
const TALLIES = [
  ["states", "states"],
  ["codes", "error_codes"],
  ["blames", "blames"],
];

/**
 * What two sets of figures disagree in; a figure that one does not have is no disagreement.
 * @param {Figures} said
 * @param {Figures} counted
 * @returns {{name: string, said: number, counted: number}[]}
 */
function disagreements(said, counted) {
  /** @type {{name: string, said: number, counted: number}[]} */
  const found = [];
  const compare = (
    /** @type {string} */ name,
    /** @type {number | null} */ one,
    /** @type {number | null} */ other,
    slack = 0,
  ) => {
    if (one === null || Math.abs(one - (other ?? 0)) <= slack) return;
    found.push({ name, said: one, counted: other ?? 0 });
  };
  for (const [key, name] of PLAIN) {
    compare(name, /** @type {number | null} */ (said[key]), /** @type {number} */ (counted[key]));
  }
  if (said.statuses.size > 0) {
    for (const name of STATUS_FIELDS) {
      compare(name, said.statuses.get(name) ?? 0, counted.statuses.get(name) ?? 0);
    }
  }
  for (const [key, name] of RATES) {
    const other = /** @type {number | null} */ (counted[key]);
    compare(name, /** @type {number | null} */ (said[key]), other, ROUNDING);
  }
  for (const key of /** @type {const} */ (["asked", "failed", "percent"])) {
    const slack = key === "percent" ? ROUNDING : 0;
    compare(
      `lookup_failure.${key}`,
      said.lookups?.[key] ?? null,
      counted.lookups?.[key] ?? null,
      slack,
    );
  }
  for (const [key, name] of TALLIES) {
    // Old reports have none of these at all.
    if (said[key].size === 0) continue;
    for (const value of new Set([...said[key].keys(), ...counted[key].keys()])) {
      compare(`${name}.${value}`, said[key].get(value) ?? 0, counted[key].get(value) ?? 0);
    }
  }
  return found;
}

/** How many contradictions are named. */
const SAID = 6;

/**
 * @param {Relay} relay
 * @returns {string | null} what of the relay's own entry contradicts the rest of it
 */
export function contradiction(relay) {
  if (relay.status === "success" && relay.code !== null) return "it works, and has an error code";
  if (relay.status === "success" && relay.failures > 0) {
    return "it works, and has failed in the last runs, this one included";
  }
  if (
    FAILING.includes(relay.status) &&
    !relay.provisional &&
    relay.failures === 0 &&
    relay.recent !== ""
  ) {
    return "it fails, and has failed in no run";
  }
  const mark = MARK_OF.get(relay.status);
  const last = relay.recent.at(-1);
  if (mark === undefined || last === undefined) return null;
  const expected = relay.provisional ? mark.toUpperCase() : mark;
  return last === expected ? null : "the last of its runs is not this one’s result";
}

/**
 * @param {readonly Relay[]} relays
 * @returns {string[]} fingerprints that are there more than once
 */
function twice(relays) {
  const seen = tally(relays, (relay) => (relay.valid ? relay.fingerprint : null));
  return [...seen].filter(([, n]) => n > 1).map(([print]) => print);
}

/**
 * @typedef {object} Audit
 * @property {readonly string[]} problems a sentence each
 * @property {boolean} wrong whether the report's own figures are not those of its results
 */

/**
 * @param {Metadata} metadata
 * @param {readonly Relay[]} relays
 * @param {ReadonlyMap<string, unknown>} unreadable figures of the metadata, which are said already
 * @returns {Audit}
 */
export function audit(metadata, relays, unreadable) {
  /** @type {string[]} */
  const problems = [];
  const doubles = twice(relays);
  if (doubles.length > 0) {
    problems.push(
      `Relays that are in the list more than once: ${doubles.length}, for instance ${doubles[0]}. Each entry is shown and counted.`,
    );
  }
  const odd = relays.filter((relay) => contradiction(relay) !== null);
  if (odd.length > 0) {
    problems.push(
      `Relays whose own entry contradicts itself: ${odd.length}. The relay’s page says in what.`,
    );
  }
  const found = disagreements(metadata, figuresOf(relays, metadata.badExits === 0));
  const readable = found.filter(({ name }) => !unreadable.has(name));
  if (readable.length > 0) {
    const named = readable
      .slice(0, SAID)
      .map(({ name, said, counted }) => `${name} ${said}, counted ${counted}`);
    const rest = readable.length - named.length;
    problems.push(
      `The report’s figures are not those of its results: ${named.join("; ")}${rest > 0 ? `; and ${rest} more` : ""}.`,
    );
  }
  if (found.length > 0) problems.push("The figures that are shown are counted from the results.");
  return { problems, wrong: found.length > 0 };
}

/**
 * The figures to show: the report's own where they fit its results. Older reports lack most of
 * them, damaged ones all: what is not said is counted.
 * @param {Metadata} metadata
 * @param {readonly Relay[]} relays
 * @param {boolean} wrong whether the report's own contradict its results
 * @returns {Metadata}
 */
export function recounted(metadata, relays, wrong) {
  if (relays.length === 0 && !wrong) return metadata;
  const counted = figuresOf(relays, metadata.badExits === 0);
  if (wrong) return { ...metadata, ...counted };
  const or = (/** @type {Map<string, number>} */ said, /** @type {Map<string, number>} */ other) =>
    said.size > 0 ? said : other;
  return {
    ...metadata,
    // Also a status that the format does not have yet is among the results.
    statuses: counted.statuses,
    total: metadata.total ?? counted.total,
    tested: metadata.tested ?? counted.tested,
    unconfirmed: counted.unconfirmed,
    successRate: metadata.successRate ?? counted.successRate,
    dnsRate: metadata.dnsRate ?? counted.dnsRate,
    reachRate: metadata.reachRate ?? counted.reachRate,
    failingPercent: metadata.failingPercent ?? counted.failingPercent,
    unreachedPercent: metadata.unreachedPercent ?? counted.unreachedPercent,
    states: or(metadata.states, counted.states),
    codes: or(metadata.codes, counted.codes),
    blames: or(metadata.blames, counted.blames),
  };
}

/** The counts have the bad exits, and the rates may not: so many points apart are no contradiction. */
const BAD_EXITS = 5;

/**
 * Whether a run's figures alone add up: all that can be said before its results are here.
 * @param {Pick<Run, "total" | "statuses" | "dnsRate" | "reachRate">} figures
 * @returns {boolean}
 */
export function addsUp({ total, statuses, dnsRate, reachRate }) {
  if (total === null || statuses.size === 0) return true;
  const tested = sum(statuses, TESTED);
  const near = (/** @type {number | null} */ said, /** @type {number | null} */ counted) =>
    said === null || counted === null || Math.abs(said - counted) <= BAD_EXITS;
  return (
    sum(statuses, STATUS_FIELDS) === total &&
    near(dnsRate, rate(statuses.get("success") ?? 0, tested)) &&
    near(reachRate, rate(tested, total))
  );
}
