// A list that shows its beginning, and more when the reader asks for it.

import { h } from "./dom.js";
import { keeps } from "./keep.js";

/**
 * @template T
 * @typedef {object} Growing
 * @property {HTMLElement} list an empty element, which gets the items
 * @property {readonly T[]} items
 * @property {(item: T) => HTMLElement} draw
 * @property {number} first how many are shown at first
 * @property {number} [step] how many more with each press; all of them unless said
 * @property {string} label of the button
 */

/**
 * @template T
 * @param {Growing<T>} options
 * @returns {{list: HTMLElement, button: HTMLElement | null}} the button is null where all are shown
 */
export function growing({ list, items, draw, first, step = items.length, label }) {
  let shown = 0;
  const grow = (/** @type {number} */ to) => {
    const made = items.slice(shown, to).map(draw);
    shown = Math.max(shown, Math.min(to, items.length));
    list.append(...made);
    button.hidden = shown >= items.length;
    return made[0];
  };
  const button = h("button", { type: "button", class: "button" }, label);
  button.addEventListener("click", () => {
    const target = grow(shown + step)?.querySelector("h2, a");
    if (target instanceof HTMLElement) target.focus();
  });
  grow(first);
  keeps(list, { save: () => (shown > first ? shown : undefined), load: grow });
  return { list, button: items.length > first ? button : null };
}
