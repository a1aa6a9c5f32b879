// Which columns a table has: those that there is room for, or those that the reader chose.

import { fill, h } from "./dom.js";

/** @typedef {{key: string, label: string}} Named */

/**
 * @typedef {object} Chooser
 * @property {HTMLElement} element
 * @property {(text: string) => ReadonlySet<string> | null} read the columns of the address; null for
 *   those that there is room for
 */

/**
 * @param {readonly Named[]} columns the first is always shown
 * @param {() => readonly string[]} shown which are shown now
 * @param {(text: string) => void} choose called with the choice as the address has it
 * @returns {Chooser}
 */
export function columnChooser(columns, shown, choose) {
  const [first, ...others] = columns;
  const box = h("fieldset", { class: "chooser-list" });
  const details = h(
    "details",
    { class: "chooser" },
    h("summary", { class: "button" }, "Columns"),
    box,
  );
  /** @type {HTMLInputElement[]} */
  let boxes = [];
  const change = () => {
    const chosen = boxes.filter((one) => one.checked).map((one) => one.value);
    choose([first.key, ...chosen].join(","));
  };
  const fit = () => {
    choose("");
    details.open = false;
    details.querySelector("summary")?.focus();
  };
  details.addEventListener("toggle", () => {
    if (!details.open) return;
    const now = shown();
    boxes = others.map(({ key }) => {
      const one = h("input", { type: "checkbox", value: key, on: { change } });
      one.checked = now.includes(key);
      return one;
    });
    fill(
      box,
      h("legend", { class: "visually-hidden" }, "Columns of the table"),
      others.map(({ label }, i) => h("label", { class: "chooser-item" }, boxes[i], label)),
      h(
        "button",
        { type: "button", class: "button button-quiet", on: { click: fit } },
        "As many as there is room for",
      ),
    );
  });
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    details.open = false;
    details.querySelector("summary")?.focus();
  });
  return {
    element: details,
    read: (text) => {
      const keys = text.split(",").filter((key) => columns.some((column) => column.key === key));
      return keys.length === 0 ? null : new Set([first.key, ...keys]);
    },
  };
}
