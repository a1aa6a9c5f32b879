// The runs so far, over time.

import { formatRoute } from "../model/route.js";
import { reportOf, untilNow } from "../model/runs.js";
import { charts, RANGES, rangeOf, within } from "../model/trends.js";
import { causeWords } from "../words.js";
import { chartFigure, Pointer } from "./chart.js";
import { fill, h } from "./dom.js";
import { plural, utc } from "./format.js";
import { notice, part, problemNotice } from "./part.js";

/** @import { Run } from "../data/trends.js" */
/** @import { RangeName } from "../model/trends.js" */
/** @import { Context, View } from "./context.js" */

/**
 * @param {Context} context
 * @returns {View}
 */
export function trendsView(context) {
  let range = rangeOf(context.route.params.range);
  const content = h("div", null);
  const left = h("div", { class: "part-messages" });
  /** @type {AbortController | null} */
  let drawn = null;
  context.signal.addEventListener("abort", () => drawn?.abort(), { once: true });
  const buttons = /** @type {RangeName[]} */ (Object.keys(RANGES)).map((name) =>
    h(
      "button",
      {
        type: "button",
        class: "choice",
        "aria-pressed": "false",
        "data-range": name,
        on: {
          click: () => {
            context.replace({ ...context.route.params, range: name });
            show(name);
          },
        },
      },
      RANGES[name].label,
    ),
  );
  const summary = h("p", { class: "hint", role: "status" });
  /** @type {readonly Run[]} */
  let runs = [];
  const href = (/** @type {Run} */ run) => {
    const name = reportOf(context.store.listed, run);
    return name === null ? null : formatRoute("overview", { params: { report: name } });
  };
  const show = (/** @type {RangeName} */ name) => {
    range = name;
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.range === name));
    }
    drawn?.abort();
    drawn = new AbortController();
    const { signal } = drawn;
    const chosen = within(runs, range);
    const pointer = new Pointer();
    const held = chosen.filter((run) => !run.published).length;
    summary.textContent =
      chosen.length === 0
        ? ""
        : `${plural(chosen.length, "run")}, ${utc(chosen[0].timestamp)} to ${utc(chosen[chosen.length - 1].timestamp)}${held === 0 ? "" : `; ${held} held back by the publish gate`}. Times are UTC.`;
    fill(
      content,
      chosen.length === 0
        ? notice(
            "info",
            "There are no runs yet.",
            "The trends begin with the first run that is kept in the history.",
          )
        : h(
            "div",
            { class: "charts" },
            charts(chosen, (code) => causeWords(code).label).map((chart) =>
              chartFigure({
                chart,
                runs: chosen,
                signal,
                pointer,
                href,
                files: context.store.files,
              }),
            ),
          ),
    );
  };
  return {
    title: "Trends",
    element: h(
      "div",
      { class: "view" },
      h("h1", null, "Trends"),
      h("div", { class: "choices", role: "group", "aria-label": "Range" }, buttons),
      summary,
      h(
        "p",
        { class: "hint screen-only" },
        "Point at a chart for the figures of a run; by keyboard, focus it and use the arrow keys, Page Up and Down, Home and End. A click, or Enter, leads to the run.",
      ),
      part({
        resource: context.store.trends,
        what: "the history of the runs",
        signal: context.signal,
        render: (value) => {
          const found = untilNow(value.runs, context.now());
          runs = found.runs;
          fill(left, problemNotice(value.problems), futureNotice(found.future));
          show(range);
          return [left, content];
        },
      }),
    ),
    update: (route) => show(rangeOf(route.params.range)),
  };
}

/**
 * @param {number} future how many runs ended in the future
 * @returns {HTMLElement | null}
 */
function futureNotice(future) {
  if (future === 0) return null;
  return notice(
    "warn",
    `${plural(future, "run")} in the future ${future === 1 ? "is" : "are"} left out.`,
    "A clock is wrong: yours, or that of the host that made the reports.",
  );
}
