// A plain table, for figures that are few.

import { h } from "./dom.js";

/** @import { Child } from "./dom.js" */

/**
 * @typedef {object} Column
 * @property {string} label
 * @property {boolean} [number] whether its values are figures
 * @property {boolean} [header] whether its cells name their rows
 */

/**
 * @param {{caption: string, columns: readonly Column[],
 *   rows: readonly (readonly Child[])[], hideCaption?: boolean}} table
 * @returns {HTMLElement} in a box that scrolls sideways where the table is too wide
 */
export function table({ caption, columns, rows, hideCaption = false }) {
  return h(
    "div",
    { class: "table-box", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      null,
      h("caption", { class: hideCaption ? "visually-hidden" : null }, caption),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          columns.map((column) =>
            h("th", { scope: "col", class: column.number ? "number" : null }, column.label),
          ),
        ),
      ),
      h(
        "tbody",
        null,
        rows.map((row) =>
          h(
            "tr",
            null,
            row.map((cell, i) =>
              columns[i]?.header
                ? h("th", { scope: "row" }, cell)
                : h("td", { class: columns[i]?.number ? "number" : null }, cell),
            ),
          ),
        ),
      ),
    ),
  );
}
