// A part of the page that shows a file: while it loads, when it failed (with a button to try
// again), and when it is there. One part's trouble is never another's.

import { fill, foreign, h } from "./dom.js";
import { redraw } from "./keep.js";

/** @import { Resource } from "../data/resource.js" */
/** @import { Child } from "./dom.js" */

/**
 * A message that stands out.
 * @param {"info" | "warn" | "bad"} kind
 * @param {string} title
 * @param {(Child | readonly Child[])[]} more
 * @returns {HTMLElement}
 */
export function notice(kind, title, ...more) {
  return h(
    "div",
    { class: `notice notice-${kind}` },
    h("p", { class: "notice-title" }, h("strong", null, title)),
    more
      .flat()
      .map((child) =>
        child instanceof HTMLParagraphElement ||
        child instanceof HTMLUListElement ||
        child instanceof HTMLButtonElement
          ? child
          : child
            ? h("p", null, child)
            : null,
      ),
  );
}

/**
 * @param {readonly string[]} problems of a file that can be shown all the same
 * @param {string} [what]
 * @returns {HTMLElement | null}
 */
export function problemNotice(problems, what = "this file") {
  if (problems.length === 0) return null;
  const items = problems.map((problem) => h("li", null, foreign(problem, { limit: 600 })));
  return notice("warn", `A part of ${what} is missing or damaged.`, h("ul", null, items));
}

/**
 * @param {string} what
 * @returns {HTMLElement}
 */
function loading(what) {
  return h("p", { class: "loading", role: "status" }, `Loading ${what} …`);
}

/**
 * @param {Resource<unknown>} resource
 * @param {string} what
 * @returns {HTMLElement}
 */
function failure(resource, what) {
  const missing = resource.error?.why === "missing";
  const box = notice(
    resource.value === null ? (missing ? "info" : "bad") : "warn",
    resource.value === null
      ? `${capital(what)} cannot be shown.`
      : `${capital(what)} could not be loaded again; what is shown is what was there before.`,
    h("p", null, foreign(resource.error?.message ?? "")),
    h(
      "button",
      {
        type: "button",
        class: "button",
        on: { click: () => void resource.reload() },
      },
      "Try again",
    ),
  );
  box.setAttribute("role", "alert");
  return box;
}

/**
 * @param {string} text
 * @returns {string}
 */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * @template T
 * @typedef {object} PartOptions
 * @property {Resource<T>} resource
 * @property {string} what for instance "the report"
 * @property {AbortSignal} signal ends with the view
 * @property {(value: T) => Child | readonly Child[]} render called for each new value
 * @property {() => Child | readonly Child[] | undefined} [early] what can be shown before the value
 *   is there; undefined for nothing yet
 */

/**
 * @template T
 * @param {PartOptions<T>} options
 * @returns {HTMLElement}
 */
export function part({ resource, what, signal, render, early }) {
  const messages = h("div", { class: "part-messages" });
  const content = h("div", { class: "part-content" });
  /** @type {T | null} */
  let shown = null;
  const update = () => {
    fill(messages, resource.state === "failed" ? failure(resource, what) : null);
    if (resource.value !== null) {
      const { value } = resource;
      if (value === shown) return;
      const draw = () => guarded(() => render(value), what);
      // The first time there is nothing to keep.
      if (shown === null) fill(content, draw());
      else redraw(content, draw);
      shown = value;
      return;
    }
    const first = resource.state === "failed" ? undefined : early?.();
    if (first !== undefined) fill(content, first);
    else if (resource.state === "failed") fill(content);
    else fill(content, loading(what));
  };
  resource.watch(update, signal);
  update();
  void resource.ensure();
  return h("div", { class: "part" }, messages, content);
}

/**
 * A fault of this page in one part leaves the others alone.
 * @param {() => Child | readonly Child[]} draw
 * @param {string} what
 * @returns {Child | readonly Child[]}
 */
export function guarded(draw, what) {
  try {
    return draw();
  } catch (error) {
    console.error(error);
    return notice(
      "bad",
      `${capital(what)} cannot be drawn.`,
      "A fault of this page; the browser’s console has more.",
    );
  }
}
