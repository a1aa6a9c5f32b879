// A small line of the last runs beside a figure. Its words are the figure's; the line itself is
// hidden from screen readers.

import { svg } from "./dom.js";

const WIDTH = 120;
const HEIGHT = 32;
const EDGE = 3;

/**
 * @param {readonly (number | null)[]} values oldest first
 * @returns {SVGSVGElement}
 */
export function sparkline(values) {
  const known = values.filter((value) => value !== null);
  const box = svg("svg", {
    class: "spark",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  if (known.length < 2) return box;
  const low = Math.min(...known);
  const high = Math.max(...known);
  // A line without any change lies in the middle.
  const span = high - low || 1;
  const base = high === low ? low - 0.5 : low;
  const x = (/** @type {number} */ i) => EDGE + (i / (values.length - 1)) * (WIDTH - 2 * EDGE);
  const y = (/** @type {number} */ value) =>
    HEIGHT - EDGE - ((value - base) / span) * (HEIGHT - 2 * EDGE);
  let line = "";
  let pen = false;
  let last = "";
  values.forEach((value, i) => {
    if (value === null) {
      pen = false;
      return;
    }
    const at = `${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    line += `${pen ? "L" : "M"}${at}`;
    last = at;
    pen = true;
  });
  box.append(
    svg("path", { class: "spark-line", d: line }),
    svg("path", { class: "spark-end", d: `M${last}h0` }),
  );
  return box;
}
