// A chart over time, drawn by uPlot: by mouse or touch the figures of the run under the pointer, by
// keyboard those of one run after the other, and all of them in a table. Runs that the publish
// gate held back are marked in all three.

import { gateWords } from "../words.js";
import { fill, foreign, freshId, h, svg } from "./dom.js";
import { folded } from "./folded.js";
import { ms, percent, utc, whole } from "./format.js";
import { keeps } from "./keep.js";
import { table } from "./table.js";

/** @import { Resource } from "../data/resource.js" */
/** @import { Run } from "../data/trends.js" */
/** @import { Chart } from "../model/trends.js" */

/** Dashes by line, so that none is told by its colour alone. CSS pixels. */
export const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [4, 4], [1, 5], [14, 6]];

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
 * @param {Run} run
 * @returns {string} empty where it was published
 */
function heldWords(run) {
  if (run.published) return "";
  const why = run.reasons.map(gateWords).join("; ");
  return why === "" ? "held back" : `held back: ${why}`;
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
 * The run that is pointed at, in all charts of a page at once.
 */
export class Pointer {
  /** @type {Set<(i: number) => void>} */
  #followers = new Set();

  /**
   * @param {(i: number) => void} follower called with the run's index
   */
  follow(follower) {
    this.#followers.add(follower);
  }

  /** @param {number} i */
  move(i) {
    for (const follower of this.#followers) follower(i);
  }
}

/**
 * @param {{chart: Chart, runs: readonly Run[], signal: AbortSignal, pointer: Pointer,
 *   href: (run: Run) => string | null, files: Resource<unknown>}} options href: where a run's report
 *   is looked at, by what is known of the files; null where it is no longer there by itself
 * @returns {HTMLElement}
 */
export function chartFigure({ chart, runs, signal, pointer, href, files }) {
  const titleId = freshId("chart");
  const time = h("span", null);
  const link = h("a", null, "look at this run");
  const archived = h("span", null, "its report is in an archive");
  const when = h(
    "p",
    { class: "chart-when" },
    time,
    h("span", { class: "screen-only" }, " – ", link, archived),
  );
  const values = chart.lines.map(() => h("span", { class: "legend-value" }));
  const plot = h("div", {
    class: "plot",
    "data-key": chart.id,
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
    fill(time, utc(run.timestamp), held === "" ? null : [" – ", h("strong", null, foreign(held))]);
    // The same link, as it may have the focus.
    const to = href(run);
    link.hidden = to === null;
    if (to !== null) link.setAttribute("href", to);
    archived.hidden = to !== null;
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
  pointer.follow(show);
  files.watch(() => show(at), signal);
  keeps(plot, {
    save: () => (at < runs.length - 1 ? runs[at]?.timestamp : undefined),
    load: (time) => pointer.move(runs.findLastIndex((run) => run.timestamp <= time)),
  });
  const anyHeld = runs.some((run) => !run.published);
  const figure = h(
    "section",
    { class: "chart card", "data-key": `card-${chart.id}` },
    h("h2", { id: titleId }, chart.title),
    chart.note === undefined ? null : h("p", { class: "hint" }, chart.note),
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
    figuresTable(chart, runs, href),
  );
  const open = () => {
    const to = runs[at] === undefined ? null : href(runs[at]);
    if (to !== null) location.hash = to;
  };
  void drawn({ chart, runs, signal, plot, pointer, open, current: () => at });
  return figure;
}

/**
 * The same figures as a table, made when it is opened.
 * @param {Chart} chart
 * @param {readonly Run[]} runs
 * @param {(run: Run) => string | null} href
 * @returns {HTMLElement}
 */
function figuresTable(chart, runs, href) {
  const summary = [
    "The figures as a table",
    h("span", { class: "visually-hidden" }, ` (${chart.title})`),
  ];
  return folded(summary, () => {
    const rows = runs
      .map((run, i) => [
        runLink(run, href(run)),
        ...chart.lines.map((line) => inUnit(chart.unit, line.values[i] ?? null)),
        run.published ? "published" : foreign(heldWords(run)),
      ])
      .reverse();
    return table({
      caption: `${chart.title}, newest first`,
      hideCaption: true,
      columns: [
        { label: "Run", header: true },
        ...chart.lines.map((line) => ({ label: line.label, number: true })),
        { label: "Gate" },
      ],
      rows,
    });
  });
}

/**
 * @param {Run} run
 * @param {string | null} href
 * @returns {HTMLElement | string}
 */
function runLink(run, href) {
  return href === null ? utc(run.timestamp) : h("a", { href }, utc(run.timestamp));
}

/**
 * Draws the lines, once the library is here.
 * @param {Parameters<typeof import("./plot.js").draw>[0]} what
 */
async function drawn(what) {
  try {
    const { draw } = await import("./plot.js");
    if (!what.signal.aborted) draw(what);
  } catch (error) {
    console.error(error);
    fill(
      what.plot,
      h(
        "p",
        { class: "hint" },
        "The drawing could not be loaded; the figures are in the table below. Reload the page to try again.",
      ),
    );
  }
}
