// A part of the page is drawn again with newer data, and the reader stays where they are: what they
// opened, lengthened, focused and scrolled to is found again by its words, not by its figures.

import { fill } from "./dom.js";

/** @import { Child } from "./dom.js" */

/**
 * What an element of its own kind wants to be kept of it.
 * @typedef {object} Keeper
 * @property {() => unknown} save undefined for nothing
 * @property {(state: any) => void} load
 */

/** @type {WeakMap<Element, Keeper>} */
const keepers = new WeakMap();

/**
 * @param {HTMLElement} element
 * @param {Keeper} keeper
 */
export function keeps(element, keeper) {
  element.dataset.keeps = "";
  keepers.set(element, keeper);
}

/** What can be found again. */
const FINDABLE =
  "[data-keeps], [data-key], a, button, details, summary, input, select, textarea, h2, h3, h4, [tabindex]";

/** What can be scrolled within the page. */
const SCROLLABLE = ".table-box, .relay-list-long, .group-tree, .contact, textarea";

/**
 * @param {Element} element
 * @returns {string} what it says, without its figures
 */
function nameOf(element) {
  const words =
    element.getAttribute("href") ??
    element.getAttribute("aria-label") ??
    (element.localName === "details"
      ? element.querySelector("summary")?.textContent
      : element.textContent) ??
    "";
  return words.slice(0, 200).replace(/\d[\d.,]*/g, "#");
}

/**
 * @param {Element} root
 * @returns {Map<string, HTMLElement>} by a key that the same element has in another drawing
 */
function findable(root) {
  /** @type {Map<string, HTMLElement>} */
  const found = new Map();
  for (const element of root.querySelectorAll(FINDABLE)) {
    if (!(element instanceof HTMLElement) || element.closest(".grid-body") !== null) continue;
    /** @type {string[]} */
    const path = [element.localName];
    if (element.dataset.key === undefined) path.push(nameOf(element));
    for (let up = element.closest("[data-key]"); up !== null; ) {
      path.push(/** @type {HTMLElement} */ (up).dataset.key ?? "");
      up = up.parentElement?.closest("[data-key]") ?? null;
    }
    const stem = path.join("\n");
    let key = stem;
    for (let n = 2; found.has(key); n += 1) key = `${stem}\n${n}`;
    found.set(key, element);
  }
  return found;
}

/**
 * @typedef {object} Kept
 * @property {Map<string, boolean>} open
 * @property {Map<string, unknown>} states
 * @property {Map<string, [number, number]>} scrolled
 * @property {{key: string, from: number | null, to: number | null} | null} focus
 * @property {{key: string, top: number} | null} anchor what stays in its place: what has the focus,
 *   where that can be seen, and otherwise what is at the top of the window
 */

/**
 * @param {Element} root
 * @returns {Kept}
 */
function remember(root) {
  /** @type {Kept} */
  const kept = {
    open: new Map(),
    states: new Map(),
    scrolled: new Map(),
    focus: null,
    anchor: null,
  };
  const active = document.activeElement;
  for (const [key, element] of findable(root)) {
    if (element instanceof HTMLDetailsElement) kept.open.set(key, element.open);
    const state = keepers.get(element)?.save();
    if (state !== undefined) kept.states.set(key, state);
    if (element.matches(SCROLLABLE) && (element.scrollTop > 0 || element.scrollLeft > 0)) {
      kept.scrolled.set(key, [element.scrollTop, element.scrollLeft]);
    }
    if (element === active) kept.focus = { key, ...selectionOf(element) };
    if ((kept.anchor === null || element === active) && window.scrollY > 0) {
      const { top, height } = element.getBoundingClientRect();
      if (height > 0 && top >= 0 && top < window.innerHeight) kept.anchor = { key, top };
    }
  }
  return kept;
}

/**
 * @param {Element} element
 * @returns {{from: number | null, to: number | null}}
 */
function selectionOf(element) {
  return element instanceof HTMLTextAreaElement || element instanceof HTMLInputElement
    ? { from: element.selectionStart, to: element.selectionEnd }
    : { from: null, to: null };
}

/**
 * @param {Element} root
 * @param {Kept} kept
 */
function restore(root, { open, states, scrolled, focus, anchor }) {
  for (const [key, element] of findable(root)) {
    const state = states.get(key);
    if (state !== undefined) keepers.get(element)?.load(state);
  }
  for (const [key, element] of findable(root)) {
    const was = open.get(key);
    if (!(element instanceof HTMLDetailsElement) || was === undefined) continue;
    if (element.open === was) continue;
    element.open = was;
    // What is in it is made now, and not in a moment.
    element.dispatchEvent(new Event("toggle"));
  }
  const found = findable(root);
  for (const [key, [top, left]] of scrolled) found.get(key)?.scrollTo(left, top);
  const focused = focus === null ? undefined : found.get(focus.key);
  if (focused !== undefined && focused !== document.activeElement) {
    focused.focus({ preventScroll: true });
    if (focused instanceof HTMLTextAreaElement || focused instanceof HTMLInputElement) {
      focused.setSelectionRange(focus?.from ?? null, focus?.to ?? null);
    }
  }
  const at = anchor === null ? undefined : found.get(anchor.key);
  if (anchor !== null && at !== undefined) {
    const moved = at.getBoundingClientRect().top - anchor.top;
    if (moved !== 0) window.scrollBy({ top: moved, behavior: "instant" });
  }
}

/**
 * Draws what is in an element again.
 * @param {Element} root
 * @param {() => Child | readonly Child[]} draw
 */
export function redraw(root, draw) {
  const kept = remember(root);
  const drawn = [draw()].flat();
  const there = [...root.childNodes];
  // What is the same element stays in the page, with its focus and its place.
  const same = drawn.length === there.length && drawn.every((one, i) => one === there[i]);
  if (!same) fill(root, drawn);
  restore(root, kept);
}
