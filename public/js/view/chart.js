// A chart over time, drawn by uPlot: by mouse or touch the figures of the run under the pointer, by
// keyboard those of one run after the other, and all of them in a table. Runs that the publish
// gate held back are marked in all three.

import { gateWords } from "../words.js";
import { fill, foreign, freshId, h, svg } from "./dom.js";
import { ms, percent, utc, whole } from "./format.js";
import { table } from "./table.js";

/** @import uPlot from "../../vendor/uplot/uPlot.js" */
/** @import { Run } from "../data/trends.js" */
/** @import { Chart, Line } from "../model/trends.js" */

/** Dashes by line, so that none is told by its colour alone. CSS pixels. */
const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [4, 4], [1, 5], [14, 6]];

/** A gap so many times the usual distance of runs breaks the line. */
const GAP = 3.5;

/** With fewer runs, each is a point. */
const POINTS = 40;

/**
 * @param {Chart["unit"]} unit
 * @param {number | null} value
 * @returns {string}
 */
export function inUnit(unit, value) {
  if (unit === "percent") return percent(value);
  return unit === "ms" ? ms(value) : whole(value);
}

/**
 * The runs on the axis, with an empty place where the line is to break.
 * @param {readonly Run[]} runs
 * @returns {{times: number[], source: number[]}} seconds; and the run at each place, or -1
 */
export function places(runs) {
  const gaps = runs
    .slice(1)
    .map((run, i) => run.timestamp - runs[i].timestamp)
    .sort((a, b) => a - b);
  const usual = gaps[Math.floor(gaps.length / 2)] ?? 0;
  /** @type {number[]} */
  const times = [];
  /** @type {number[]} */
  const source = [];
  runs.forEach((run, i) => {
    const before = runs[i - 1]?.timestamp;
    if (before !== undefined && usual > 0 && run.timestamp - before > GAP * usual) {
      times.push((before + run.timestamp) / 2000);
      source.push(-1);
    }
    times.push(run.timestamp / 1000);
    source.push(i);
  });
  return { times, source };
}

/**
 * @param {Run} run
 * @returns {string} empty where it was published
 */
function heldWords(run) {
  if (run.published) return "";
  const why = run.reasons.map(gateWords).join("; ");
  return why === "" ? "held back" : `held back: ${why}`;
}

/**
 * @param {Element} element
 * @param {string} name of a colour in the style sheet
 * @returns {string} as a canvas takes it
 */
function colour(element, name) {
  const probe = h("span", { hidden: true });
  probe.style.color = `var(${name})`;
  element.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/**
 * A piece of the line, for the legend.
 * @param {number} i
 * @returns {SVGSVGElement}
 */
function swatch(i) {
  const line = svg("path", { d: "M1 5h30", class: `line-${i + 1}` });
  line.setAttribute("stroke-dasharray", DASHES[i].join(" "));
  return svg("svg", { class: "swatch", viewBox: "0 0 32 10", "aria-hidden": "true" }, line);
}

/**
 * @param {{chart: Chart, runs: readonly Run[], signal: AbortSignal}} options
 * @returns {HTMLElement}
 */
export function chartFigure({ chart, runs, signal }) {
  const titleId = freshId("chart");
  const when = h("p", { class: "chart-when" });
  const values = chart.lines.map(() => h("span", { class: "legend-value" }));
  const plot = h("div", {
    class: "plot",
    tabindex: "0",
    role: "slider",
    "aria-labelledby": titleId,
    "aria-valuemin": 0,
    "aria-valuemax": Math.max(runs.length - 1, 0),
    "aria-orientation": "horizontal",
  });
  let at = runs.length - 1;
  const show = (/** @type {number} */ i) => {
    at = Math.max(0, Math.min(i, runs.length - 1));
    const run = runs[at];
    if (run === undefined) return;
    const held = heldWords(run);
    fill(when, utc(run.timestamp), held === "" ? null : [" – ", h("strong", null, foreign(held))]);
    const words = chart.lines.map((line, k) => {
      const value = inUnit(chart.unit, line.values[at] ?? null);
      values[k].textContent = value;
      return `${line.label} ${value}`;
    });
    plot.setAttribute("aria-valuenow", String(at));
    plot.setAttribute(
      "aria-valuetext",
      `${utc(run.timestamp)}: ${words.join(", ")}${held === "" ? "" : `; ${held}`}`,
    );
  };
  show(at);
  const anyHeld = runs.some((run) => !run.published);
  const figure = h(
    "section",
    { class: "chart card" },
    h("h2", { id: titleId }, chart.title),
    when,
    h(
      "ul",
      { class: "legend" },
      chart.lines.map((line, i) =>
        h(
          "li",
          null,
          swatch(i),
          h("span", { class: "legend-label" }, foreign(line.label, { limit: 80 })),
          values[i],
        ),
      ),
    ),
    plot,
    anyHeld
      ? h(
          "p",
          { class: "hint" },
          h("span", { class: "held-sign", "aria-hidden": "true" }),
          " A run that the publish gate held back.",
        )
      : null,
    figuresTable(chart, runs),
  );
  void draw({ chart, runs, signal, plot, show, current: () => at });
  return figure;
}

/**
 * The same figures as a table, made when it is opened.
 * @param {Chart} chart
 * @param {readonly Run[]} runs
 * @returns {HTMLElement}
 */
function figuresTable(chart, runs) {
  const box = h("div", null);
  const details = h(
    "details",
    { class: "figures" },
    h(
      "summary",
      null,
      "The figures as a table",
      h("span", { class: "visually-hidden" }, ` (${chart.title})`),
    ),
    box,
  );
  details.addEventListener("toggle", () => {
    if (!details.open || box.childElementCount > 0) return;
    const rows = runs
      .map((run, i) => [
        utc(run.timestamp),
        ...chart.lines.map((line) => inUnit(chart.unit, line.values[i] ?? null)),
        run.published ? "published" : foreign(heldWords(run)),
      ])
      .reverse();
    fill(
      box,
      table({
        caption: `${chart.title}, newest first`,
        hideCaption: true,
        columns: [
          { label: "Run", header: true },
          ...chart.lines.map((line) => ({ label: line.label, number: true })),
          { label: "Gate" },
        ],
        rows,
      }),
    );
  });
  return details;
}

/**
 * What the scale reaches from and to: that of the published runs, as one that was held back is often
 * far from all others, and would press them flat.
 * @param {Chart} chart
 * @param {readonly Run[]} runs
 * @returns {[number, number]}
 */
export function scaleRange(chart, runs) {
  const any = runs.some((run) => run.published);
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const line of chart.lines) {
    line.values.forEach((value, i) => {
      if (value === null || (any && !runs[i].published)) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    });
  }
  if (low > high) return [0, chart.unit === "percent" ? 100 : 1];
  const least = chart.unit === "percent" ? 0.5 : Math.max(high * 0.02, 1);
  const span = Math.max(high - low, least);
  const top = high + span * 0.1;
  const bottom = chart.fromZero ? 0 : Math.max(0, low - span * 0.15);
  return [bottom, chart.unit === "percent" ? Math.min(top, 100) : top];
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

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/**
 * Times at the scale: the day, the hour where that is finer, and the year where it changes.
 * @param {readonly number[]} splits seconds
 * @param {number} step seconds
 * @returns {string[]}
 */
export function timesAtScale(splits, step) {
  let day = "";
  let year = "";
  return splits.map((seconds) => {
    const date = new Date(seconds * 1000);
    const month = MONTHS[date.getUTCMonth()];
    const thisYear = String(date.getUTCFullYear());
    const thisDay = step >= 28 * 86_400 ? month : `${date.getUTCDate()} ${month}`;
    const parts = step < 86_400 ? [date.toISOString().slice(11, 16)] : [];
    if (step >= 86_400 || thisDay !== day) parts.push(thisDay);
    if (thisYear !== year && (year !== "" || step >= 86_400)) parts.push(thisYear);
    day = thisDay;
    year = thisYear;
    return parts.join("\n");
  });
}

/**
 * @param {{chart: Chart, runs: readonly Run[], signal: AbortSignal, plot: HTMLElement,
 *   show: (i: number) => void, current: () => number}} options
 */
async function draw({ chart, runs, signal, plot, show, current }) {
  /** @type {typeof uPlot} */
  let UPlot;
  try {
    UPlot = (await import("../../vendor/uplot/uPlot.js")).default;
  } catch (error) {
    console.error(error);
    fill(
      plot,
      h(
        "p",
        { class: "hint" },
        "The drawing could not be loaded; the figures are in the table below. Reload the page to try again.",
      ),
    );
    return;
  }
  if (signal.aborted) return;
  const { times, source } = places(runs);
  const reach = scaleRange(chart, runs);
  const placeOf = new Map(source.map((run, place) => [run, place]));
  // What was held back and is off the scale is marked, and not drawn.
  const drawn = (/** @type {number | null} */ value, /** @type {Run} */ run) =>
    value !== null && (run.published || (value >= reach[0] && value <= reach[1])) ? value : null;
  const spread = (/** @type {Line} */ line) =>
    source.map((run) => (run < 0 ? null : drawn(line.values[run], runs[run])));
  const size = () => ({
    width: Math.max(plot.clientWidth, 200),
    height: Math.round(Math.min(Math.max(plot.clientWidth * 0.4, 170), 300)),
  });
  let ink = inks(plot);
  const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  const font = `${Math.round(rem * 0.75)}px system-ui, sans-serif`;
  const axis = {
    stroke: () => ink.muted,
    font,
    grid: { stroke: () => ink.line, width: 1 },
    ticks: { stroke: () => ink.line, width: 1 },
  };
  const made = new UPlot(
    {
      ...size(),
      tzDate: (seconds) => UPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: { y: { range: () => reach } },
      axes: [
        {
          ...axis,
          space: rem * 4.5,
          values: (_, splits, __, ___, step) => timesAtScale(splits, step),
        },
        {
          ...axis,
          size: rem * 4,
          values: (_, splits) => splits.map((value) => atScale(chart.unit, value)),
        },
      ],
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
            if (run >= 0 && run !== current()) show(run);
          },
        ],
      },
    },
    [times, ...chart.lines.map(spread)],
    plot,
  );
  const point = (/** @type {number} */ run) => {
    show(run);
    const place = placeOf.get(current());
    if (place === undefined) return;
    made.setCursor({ left: made.valToPos(times[place], "x"), top: 10 }, false);
  };
  plot.addEventListener("keydown", (event) => {
    const to = keyTarget(event.key, current(), runs.length);
    if (to === null || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    point(to);
  });
  plot.addEventListener("focus", () => {
    if (plot.matches(":focus-visible")) point(current());
  });
  const sizes = new ResizeObserver(() => {
    const now = size();
    if (now.width !== made.width || now.height !== made.height) made.setSize(now);
  });
  sizes.observe(plot);
  const recolour = () => {
    ink = inks(plot);
    made.redraw(false, true);
  };
  document.addEventListener("themechange", recolour);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", recolour);
  signal.addEventListener(
    "abort",
    () => {
      sizes.disconnect();
      document.removeEventListener("themechange", recolour);
      dark.removeEventListener("change", recolour);
      made.destroy();
    },
    { once: true },
  );
}

/**
 * @param {Element} element
 * @returns {{muted: string, line: string, held: string, lines: string[]}} colours
 */
function inks(element) {
  return {
    muted: colour(element, "--muted"),
    line: colour(element, "--line"),
    held: colour(element, "--warn"),
    lines: DASHES.map((_, i) => colour(element, `--c${i + 1}`)),
  };
}

/**
 * @param {string} key
 * @param {number} at
 * @param {number} count
 * @returns {number | null} the run to go to; null for a key that means nothing here
 */
export function keyTarget(key, at, count) {
  const page = Math.max(1, Math.round(count / 10));
  switch (key) {
    case "ArrowLeft":
    case "ArrowDown":
      return Math.max(0, at - 1);
    case "ArrowRight":
    case "ArrowUp":
      return Math.min(count - 1, at + 1);
    case "PageDown":
      return Math.max(0, at - page);
    case "PageUp":
      return Math.min(count - 1, at + page);
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
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
