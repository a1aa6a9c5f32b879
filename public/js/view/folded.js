// What is folded away, and made when a reader unfolds it.

import { fill, h } from "./dom.js";

/** @import { Child } from "./dom.js" */

/**
 * @param {Child | readonly Child[]} summary what is to be seen of it
 * @param {() => Child | readonly Child[]} make
 * @returns {HTMLElement}
 */
export function folded(summary, make) {
  const box = h("div", null);
  const details = h("details", { class: "figures" }, h("summary", null, summary), box);
  details.addEventListener("toggle", () => {
    if (details.open && box.childElementCount === 0) fill(box, make());
  });
  return details;
}
