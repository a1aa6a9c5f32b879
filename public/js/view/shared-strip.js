// How relays that belong together fared, run by run. Each run leads to its own report.

import { sharedRuns } from "../model/recurrence.js";
import { recentRuns, reportOf } from "../model/runs.js";
import { h, svg } from "./dom.js";
import { folded } from "./folded.js";
import { utc, whole } from "./format.js";
import { table } from "./table.js";

/** @import { Relay, Report } from "../data/report.js" */
/** @import { SharedRun } from "../model/recurrence.js" */
/** @import { Context } from "./context.js" */

/** How many runs have a place. */
const PLACES = 60;

const STEP = 4;
const HEIGHT = 24;

/**
 * @param {SharedRun} run
 * @returns {string}
 */
function runWords({ failed, tested }) {
  return tested === 0 ? "none was tested" : `${whole(failed)} of ${whole(tested)} failed`;
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {readonly Relay[]} relays
 * @param {(report: string) => string} hrefOf where a run is looked at, by its report's name
 * @returns {HTMLElement}
 */
export function sharedStrip(context, report, relays, hrefOf) {
  const shared = sharedRuns(relays, PLACES);
  if (shared.length === 0) return h("p", { class: "hint" }, "There are no earlier runs.");
  /** Of the run of that index. */
  const of = (/** @type {number} */ i) => {
    const run = recentRuns(context.store.runs, report)[shared.length - 1 - i];
    if (run === undefined) return { time: null, href: null };
    const name = reportOf(context.store.listed, run);
    return { time: run.timestamp, href: name === null ? null : hrefOf(name) };
  };
  const title = svg("title");
  const failedRuns = shared.filter((run) => run.failed > 0).length;
  const words = `Last ${whole(shared.length)} runs: in ${whole(failedRuns)} of them at least one relay failed`;
  const element = svg(
    "svg",
    {
      class: "strip strip-large",
      viewBox: `0 0 ${PLACES * STEP} ${HEIGHT}`,
      role: "img",
      preserveAspectRatio: "none",
      "aria-label": words,
    },
    title,
    ...bars(shared),
  );
  const at = (/** @type {MouseEvent} */ event) => {
    const { left, width } = element.getBoundingClientRect();
    const place = Math.floor(((event.clientX - left) / width) * PLACES);
    const i = place - (PLACES - shared.length);
    return i >= 0 && i < shared.length ? i : null;
  };
  element.addEventListener("pointermove", (event) => {
    const i = at(event);
    const { time, href } = i === null ? { time: null, href: null } : of(i);
    title.textContent = i === null || time === null ? "" : `${utc(time)}: ${runWords(shared[i])}`;
    element.classList.toggle("leads", href !== null);
  });
  element.addEventListener("click", (event) => {
    const i = at(event);
    const href = i === null ? null : of(i).href;
    if (href !== null) location.hash = href;
  });
  return h(
    "div",
    { class: "history" },
    element,
    h(
      "p",
      { class: "hint" },
      `${words}. The newest is at the right; the higher a bar, the more of them failed. A bar, or a line of the table, leads to that run.`,
    ),
    runTable(shared, of),
  );
}

/**
 * What works is below, what failed stands on it.
 * @param {readonly SharedRun[]} shared
 * @returns {SVGPathElement[]}
 */
function bars(shared) {
  let [ok, fail, none] = ["", "", ""];
  shared.forEach(({ failed, tested }, i) => {
    const x = (PLACES - shared.length + i) * STEP;
    if (tested === 0) none += `M${x + 1} ${HEIGHT - 1}h1v1h-1z`;
    else if (failed === 0) ok += `M${x} ${HEIGHT - 5}h3v5h-3z`;
    else {
      const high = Math.max(6, Math.round((failed / tested) * HEIGHT));
      fail += `M${x} ${HEIGHT - high}h3v${high}h-3z`;
    }
  });
  return [
    svg("path", { class: "kind-ok", d: ok }),
    svg("path", { class: "kind-fail", d: fail }),
    svg("path", { class: "kind-none", d: none }),
  ];
}

/**
 * @param {readonly SharedRun[]} shared
 * @param {(i: number) => {time: number | null, href: string | null}} of
 * @returns {HTMLElement}
 */
function runTable(shared, of) {
  return folded("The runs as a table", () => {
    const rows = shared
      .map((run, i) => {
        const { time, href } = of(i);
        const words = time === null ? `${shared.length - 1 - i} before the last` : utc(time);
        return [href === null ? words : h("a", { href }, words), runWords(run)];
      })
      .reverse();
    return table({
      caption: "The last runs, newest first",
      hideCaption: true,
      columns: [{ label: "Run", header: true }, { label: "Result" }],
      rows,
    });
  });
}
