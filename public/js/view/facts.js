// A list of names and their values.

import { h } from "./dom.js";

/** @import { Child } from "./dom.js" */

/**
 * A list of names and values; those without a value are left out.
 * @param {readonly (readonly [string, Child | readonly Child[]])[]} entries
 * @returns {HTMLElement}
 */
export function facts(entries) {
  return h(
    "dl",
    { class: "facts" },
    entries
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
  );
}
