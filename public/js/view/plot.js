// The drawing of a chart, by uPlot. Fetched, with uPlot, when somebody looks at the trends.

import uPlot from "../../vendor/uplot/uPlot.js";
import { keyTarget, places, scaleRange, timesAtScale } from "../model/axis.js";
import { DASHES } from "./chart.js";
import { h } from "./dom.js";
import { whole } from "./format.js";

/** @import { Pointer } from "./chart.js" */
/** @import { Run } from "../data/trends.js" */
/** @import { Chart, Line } from "../model/trends.js" */

/** With fewer runs, each is a point. */
const POINTS = 40;

/**
 * @param {Element} element
 * @param {string} name of a colour in the style sheet
 * @param {boolean} paper whether it is for paper, which is white
 * @returns {string} as a canvas takes it
 */
function colour(element, name, paper) {
  const probe = h("span", { hidden: true });
  if (paper) probe.style.colorScheme = "light";
  probe.style.color = `var(${name})`;
  element.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/**
 * A value at the scale: short.
 * @param {Chart["unit"]} unit
 * @param {number} value
 * @returns {string}
 */
function atScale(unit, value) {
  if (unit === "percent") return `${Number(value.toFixed(2))} %`;
  if (unit === "count") return Number.isInteger(value) ? whole(value) : "";
  return value >= 1000
    ? `${Number((value / 1000).toFixed(2))} s`
    : `${Number(value.toFixed(1))} ms`;
}

/**
 * @param {{chart: Chart, runs: readonly Run[], signal: AbortSignal, plot: HTMLElement,
 *   pointer: Pointer, open: () => void, current: () => number}} options
 */
export function draw({ chart, runs, signal, plot, pointer, open, current }) {
  const { times, source } = places(runs);
  const reach = scaleRange(chart, runs);
  const placeOf = new Map(source.map((run, place) => [run, place]));
  // What was held back and is off the scale is marked, and not drawn.
  const drawn = (/** @type {number | null} */ value, /** @type {Run} */ run) =>
    value !== null && (run.published || (value >= reach[0] && value <= reach[1])) ? value : null;
  const spread = (/** @type {Line} */ line) =>
    source.map((run) => (run < 0 ? null : drawn(line.values[run], runs[run])));
  const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  const size = () => ({
    width: Math.max(plot.clientWidth, 200),
    height: Math.round(Math.min(Math.max(plot.clientWidth * 0.4, 10.6 * rem), 19 * rem)),
  });
  let ink = inks(plot, false);
  const font = `${Math.round(rem * 0.75)}px system-ui, sans-serif`;
  const axis = {
    stroke: () => ink.muted,
    font,
    grid: { stroke: () => ink.line, width: 1 },
    ticks: { stroke: () => ink.line, width: 1 },
  };
  const made = new uPlot(
    {
      ...size(),
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: { y: { range: () => reach } },
      axes: [
        {
          ...axis,
          space: rem * 4.5,
          size: rem * 3.2,
          values: (_, splits, __, ___, step) => timesAtScale(splits, step),
        },
        {
          ...axis,
          size: rem * 4,
          values: (_, splits) => splits.map((value) => atScale(chart.unit, value)),
        },
      ],
      bands:
        chart.band === undefined
          ? []
          : [{ series: [chart.band[1] + 1, chart.band[0] + 1], fill: () => ink.band }],
      series: [
        {},
        ...chart.lines.map((line, i) => ({
          label: line.label,
          stroke: () => ink.lines[i],
          width: 2,
          dash: DASHES[i],
          points: { show: runs.length <= POINTS, size: 5 },
        })),
      ],
      hooks: {
        draw: [(u) => drawHeld(u, runs, ink.held)],
        setCursor: [
          (u) => {
            const place = u.cursor.idx;
            if (place === null || place === undefined) return;
            const run = source[place];
            if (run >= 0 && run !== current()) pointer.move(run);
          },
        ],
      },
    },
    [times, ...chart.lines.map(spread)],
    plot,
  );
  // Whichever chart is pointed at, the line stands at the same run in all of them.
  pointer.follow((run) => {
    const place = placeOf.get(run);
    if (place === undefined || made.cursor.idx === place) return;
    made.setCursor({ left: made.valToPos(times[place], "x"), top: 10 }, false);
  });
  const point = (/** @type {number} */ run) => {
    pointer.move(Math.max(0, Math.min(run, runs.length - 1)));
  };
  // A finger first reads; the link above leads on.
  plot.addEventListener("click", (event) => {
    if (event.pointerType === "mouse" && event.target === made.over) open();
  });
  plot.addEventListener("keydown", (event) => {
    if (event.key === "Enter") open();
    const to = keyTarget(event.key, current(), runs.length);
    if (to === null || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    point(to);
  });
  plot.addEventListener("focus", () => {
    if (plot.matches(":focus-visible")) point(current());
  });
  const sizes = new ResizeObserver(() => {
    if (matchMedia("print").matches) return;
    const now = size();
    if (now.width !== made.width || now.height !== made.height) made.setSize(now);
  });
  sizes.observe(plot);
  recolours(signal, (paper) => {
    ink = inks(plot, paper);
    made.redraw(false, true);
  });
  signal.addEventListener(
    "abort",
    () => {
      sizes.disconnect();
      made.destroy();
    },
    { once: true },
  );
}

/**
 * Calls whenever other colours are due: another theme, or paper. The width of the paper is the
 * style sheet's to see to (print.css), as no script learns it in time.
 * @param {AbortSignal} signal
 * @param {(paper: boolean) => void} recolour
 */
function recolours(signal, recolour) {
  const print = matchMedia("print");
  const onScreen = () => recolour(print.matches);
  document.addEventListener("themechange", onScreen, { signal });
  for (const media of [print, matchMedia("(prefers-color-scheme: dark)")]) {
    media.addEventListener("change", onScreen, { signal });
  }
  window.addEventListener("beforeprint", () => recolour(true), { signal });
  window.addEventListener("afterprint", () => recolour(false), { signal });
}

/**
 * @param {Element} element
 * @param {boolean} paper
 * @returns {{muted: string, line: string, held: string, band: string, lines: string[]}} colours
 */
function inks(element, paper) {
  return {
    muted: colour(element, "--muted", paper),
    line: colour(element, "--line", paper),
    held: colour(element, "--warn", paper),
    band: colour(element, "--band", paper),
    lines: DASHES.map((_, i) => colour(element, `--c${i + 1}`, paper)),
  };
}

/**
 * A dashed line and a triangle for each run that was held back.
 * @param {uPlot} u
 * @param {readonly Run[]} runs
 * @param {string} ink
 */
function drawHeld(u, runs, ink) {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = ink;
  ctx.fillStyle = ink;
  ctx.lineWidth = ratio;
  ctx.setLineDash([3 * ratio, 3 * ratio]);
  for (const run of runs) {
    if (run.published) continue;
    const x = Math.round(u.valToPos(run.timestamp / 1000, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(x - 5 * ratio, bbox.top);
    ctx.lineTo(x + 5 * ratio, bbox.top);
    ctx.lineTo(x, bbox.top + 8 * ratio);
    ctx.fill();
  }
  ctx.restore();
}
