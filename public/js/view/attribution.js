// Whose data the networks and countries are, as its licence asks wherever they are shown.

import { foreign, h } from "./dom.js";
import { timeElement } from "./format.js";

/** @import { Metadata } from "../data/metadata.js" */

/**
 * @param {Metadata} metadata
 * @returns {HTMLElement | null} null where the report has no locations
 */
export function attribution({ locations }) {
  if (locations === null) return null;
  return h(
    "p",
    { class: "hint" },
    "Networks and countries: ",
    foreign(locations.attribution || "source not named", { limit: 400 }),
    "; database of ",
    timeElement(locations.date),
    locations.old
      ? ", which was old when the run was made: networks may have changed hands since"
      : null,
    ".",
  );
}
