// Countries and networks by what the exits there carry, and how much of it fails. Performs no IO.

import { totalWeight } from "./causes.js";
import { allGroups } from "./operators.js";

/** @import { Relay } from "../data/report.js" */
/** @import { Group } from "./operators.js" */

/**
 * A country, or an autonomous system.
 * @typedef {object} Place
 * @property {Group} group its relays
 * @property {number} exits
 * @property {number} failing
 * @property {number} failingShare of its exits, percent
 * @property {number | null} weight its share of the weight of all exits, percent; null where there is none
 * @property {number | null} failingWeight the share of the weight of all exits that fails here, percent
 */

/**
 * @param {readonly Relay[]} relays
 * @param {"country" | "network"} by
 * @returns {Place[]}
 */
export function places(relays, by) {
  const total = totalWeight(relays);
  const share = (/** @type {number} */ weight) => (total === 0 ? null : (weight / total) * 100);
  return allGroups(relays, by).map((group) => ({
    group,
    exits: group.all.length,
    failing: group.failing.length,
    failingShare: (group.failing.length / group.all.length) * 100,
    weight: share(group.whole),
    failingWeight: share(group.weight),
  }));
}

/** What places can be sorted by: each the greatest first, but for the name. */
export const PLACE_SORTS = Object.freeze(
  /** @type {const} */ (["weight", "name", "exits", "failing", "failingShare", "failingWeight"]),
);

/** @typedef {(typeof PLACE_SORTS)[number]} PlaceSort */

/**
 * @param {string | undefined} name
 * @returns {PlaceSort}
 */
export function placeSortOf(name) {
  return PLACE_SORTS.find((known) => known === name) ?? "weight";
}

/**
 * @param {readonly Place[]} all
 * @param {PlaceSort} sort
 * @param {(place: Place) => string} nameOf
 * @returns {Place[]} ties by the number of exits, then by key
 */
export function sortPlaces(all, sort, nameOf) {
  const names = new Intl.Collator("en", { numeric: true });
  const key = (/** @type {Place} */ place) => (sort === "name" ? 0 : (place[sort] ?? 0));
  return [...all].sort(
    (a, b) =>
      (sort === "name" ? names.compare(nameOf(a), nameOf(b)) : key(b) - key(a)) ||
      b.exits - a.exits ||
      (a.group.key < b.group.key ? -1 : 1),
  );
}

/** The least share of the weight, in percent, for each depth of colour after the first. */
const DEPTHS = [0.5, 2, 5, 10];

/**
 * @param {Place} place
 * @returns {number} 0 to 4
 */
export function depthOf({ weight }) {
  return DEPTHS.filter((least) => (weight ?? 0) >= least).length;
}
