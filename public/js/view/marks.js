// Signs for a status, a state and the last runs: each has a shape and a word of its own, so that
// none is told by its colour alone.

import { visible } from "../model/text.js";
import { DEGRADED, DEGRADED_WORDS, MARKS, stateWords, statusWords } from "../words.js";
import { h, svg } from "./dom.js";

/** Drawn in a box of 16 by 16, by status. @type {ReadonlyMap<string, string>} */
const SHAPES = new Map([
  // A tick.
  ["success", "M3.2 8.6 6.6 12 12.8 4.6"],
  // Not equal.
  ["wrong_ip", "M3 6h10M3 10h10M10.6 2.8 5.4 13.2"],
  // A cross.
  ["dns_fail", "M4 4l8 8M12 4l-8 8"],
  // A clock.
  ["timeout", "M8 2.2a5.8 5.8 0 1 0 .01 0M8 4.8V8l2.4 1.8"],
  // A broken line.
  ["circuit_fail", "M1.6 8h3.6M10.8 8h3.6M6.6 5.4 5.6 10.6M10.4 5.4 9.4 10.6"],
  // A triangle.
  ["error", "M8 2.6 14 13.2H2zM8 6.6v3M8 11.4v.2"],
  ["exception", "M8 2.6 14 13.2H2zM8 6.6v3M8 11.4v.2"],
]);

/** A question mark. */
const UNKNOWN_SHAPE = "M5.4 6a2.6 2.6 0 1 1 3.6 2.4c-.7.3-1 .7-1 1.5M8 12.4v.2";

/** By state. @type {ReadonlyMap<string, string>} */
const STATE_SHAPES = new Map([
  ["healthy", "M3.2 8.6 6.6 12 12.8 4.6"],
  // Up again.
  ["recovered", "M2.4 5.2 6 10.6l2.4-2.8 2.2 3L13.8 5"],
  // Up and down.
  ["flapping", "M1.6 10.6 4.6 5l3 6 3-6 3.6 6"],
  ["suspect", "M8 3v6.4M8 12.4v.2"],
  ["confirmed", "M4 4l8 8M12 4l-8 8"],
  ["unreachable", "M1.6 8h3.6M10.8 8h3.6M6.6 5.4 5.6 10.6M10.4 5.4 9.4 10.6"],
  // Half full.
  [DEGRADED, "M8 2.2a5.8 5.8 0 1 0 .01 0M8 2.2v11.6M10 4v8M12 6v4"],
]);

/**
 * A sign and its word.
 * @typedef {object} Mark
 * @property {HTMLElement} element
 * @property {(value: string, provisional?: boolean) => void} set
 */

/**
 * @param {ReadonlyMap<string, string>} shapes
 * @param {(value: string) => {label: string, kind: string, meaning: string}} words
 * @returns {Mark}
 */
function mark(shapes, words) {
  const path = svg("path");
  const label = h("span", { class: "mark-label" });
  const element = h(
    "span",
    { class: "mark" },
    svg("svg", { viewBox: "0 0 16 16", class: "mark-shape", "aria-hidden": "true" }, path),
    label,
  );
  return {
    element,
    set(value, provisional = false) {
      const { label: word, kind, meaning } = words(value);
      path.setAttribute("d", shapes.get(value) ?? UNKNOWN_SHAPE);
      element.className = `mark kind-${provisional ? "unknown" : kind}`;
      const shown = visible(word, 40);
      // First, as the end may be cut: what is not confirmed is no fact.
      label.textContent = provisional ? `Not confirmed: ${shown.toLowerCase()}` : shown;
      element.title = meaning;
    },
  };
}

/** @returns {Mark} for statuses, to be set again and again */
export function statusMark() {
  return mark(SHAPES, statusWords);
}

/**
 * For states; a degraded relay's state says only that its runs pass, so the mark stands in its place.
 * @returns {{element: HTMLElement, set: (state: string | null, degraded: boolean) => void}}
 */
export function stateMark() {
  const made = mark(STATE_SHAPES, (value) => {
    if (value === DEGRADED) return DEGRADED_WORDS;
    return stateWords(value === "" ? null : value);
  });
  return {
    element: made.element,
    set: (state, degraded) => made.set(degraded ? DEGRADED : (state ?? "")),
  };
}

/**
 * @param {string} status
 * @param {boolean} [provisional]
 * @returns {HTMLElement}
 */
export function statusElement(status, provisional = false) {
  const made = statusMark();
  made.set(status, provisional);
  return made.element;
}

/**
 * @param {string | null} state
 * @param {boolean} [degraded]
 * @returns {HTMLElement}
 */
export function stateElement(state, degraded = false) {
  const made = stateMark();
  made.set(state, degraded);
  return made.element;
}

/**
 * What a character of `recent` says.
 * @param {string} char
 * @returns {{status: string | null, kind: string, provisional: boolean}} status null for a run
 *   without a result
 */
export function ofMark(char) {
  const lower = char.toLowerCase();
  const status = MARKS.get(lower) ?? null;
  return {
    status,
    kind: status === null ? "none" : statusWords(status).kind,
    provisional: status !== null && char !== lower,
  };
}

/** How wide a run is in the strip, and how high the strip: units of its drawing. */
const STEP = 4;
const HEIGHT = 16;

/** How each kind is drawn: works low, failed high, not reached in the middle with a gap. */
const BARS = Object.freeze({
  ok: (/** @type {number} */ x) => `M${x} 11h3v5h-3z`,
  fail: (/** @type {number} */ x) => `M${x} 0h3v16h-3z`,
  unreached: (/** @type {number} */ x) => `M${x} 6h3v3h-3zM${x} 13h3v3h-3z`,
  fault: (/** @type {number} */ x) => `M${x} 13h3v3h-3z`,
  unknown: (/** @type {number} */ x) => `M${x} 13h3v3h-3z`,
  none: (/** @type {number} */ x) => `M${x + 1} 15h1v1h-1z`,
});

const KINDS = /** @type {(keyof typeof BARS)[]} */ (Object.keys(BARS));

/**
 * The last runs as a strip of small marks, the newest at the right.
 * @param {number} runs how many have a place
 * @returns {{element: SVGSVGElement, set: (recent: string) => void}}
 */
export function strip(runs) {
  const paths = KINDS.map((kind) => svg("path", { class: `kind-${kind}` }));
  const element = svg(
    "svg",
    {
      class: "strip",
      viewBox: `0 0 ${runs * STEP} ${HEIGHT}`,
      role: "img",
      preserveAspectRatio: "none",
    },
    ...paths,
  );
  let shown = "\u0000";
  return {
    element,
    set(recent) {
      if (recent === shown) return;
      shown = recent;
      const marks = recent.slice(-runs);
      const shift = runs - marks.length;
      const drawn = KINDS.map(() => "");
      for (let i = 0; i < marks.length; i += 1) {
        const { kind } = ofMark(marks[i]);
        const k = KINDS.indexOf(/** @type {keyof typeof BARS} */ (kind));
        drawn[k] += BARS[KINDS[k]]((shift + i) * STEP);
      }
      paths.forEach((path, k) => {
        path.setAttribute("d", drawn[k]);
      });
      element.setAttribute("aria-label", stripWords(marks));
    },
  };
}

/**
 * @param {string} marks
 * @returns {string} the strip in words
 */
export function stripWords(marks) {
  if (marks === "") return "no earlier runs";
  let [ok, fail, unreached, rest] = [0, 0, 0, 0];
  for (const char of marks) {
    const { kind } = ofMark(char);
    if (kind === "ok") ok += 1;
    else if (kind === "fail") fail += 1;
    else if (kind === "unreached") unreached += 1;
    else rest += 1;
  }
  const parts = [`${ok} worked`, `${fail} failed`];
  if (unreached > 0) parts.push(`${unreached} not reached`);
  if (rest > 0) parts.push(`${rest} without a result`);
  return `Last ${marks.length === 1 ? "run" : `${marks.length} runs`}: ${parts.join(", ")}`;
}
