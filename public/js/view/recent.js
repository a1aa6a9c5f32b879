// A relay's last runs, as a strip and as a table.

import { fill, h } from "./dom.js";
import { utc } from "./format.js";
import { ofMark, statusElement, strip, stripWords } from "./marks.js";
import { table } from "./table.js";

/** @import { Run } from "../data/trends.js" */
/** @import { Context } from "./context.js" */

/**
 * The last runs as a strip, and as a table with their times where those are known.
 * @param {Context} context
 * @param {string} recent
 * @param {number | null} timestamp of the report, which the newest of them is
 * @returns {HTMLElement}
 */
export function history(context, recent, timestamp) {
  if (recent === "") return h("p", { class: "hint" }, "There are no earlier runs.");
  const made = strip(60);
  made.element.classList.add("strip-large");
  made.set(recent);
  const box = h("div", null);
  const details = h(
    "details",
    { class: "figures" },
    h("summary", null, "The runs as a table"),
    box,
  );
  details.addEventListener("toggle", () => {
    if (!details.open || box.childElementCount > 0) return;
    const times = runTimes(context.store.trends.value, recent.length, timestamp);
    const rows = [...recent]
      .map((char, i) => {
        const mark = ofMark(char);
        return [
          times === null ? `${recent.length - 1 - i} before the last` : utc(times[i]),
          mark.status === null ? "no result" : statusElement(mark.status, mark.provisional),
        ];
      })
      .reverse();
    fill(
      box,
      table({
        caption: "The last runs, newest first",
        hideCaption: true,
        columns: [{ label: "Run", header: true }, { label: "Result" }],
        rows,
      }),
    );
  });
  return h(
    "div",
    { class: "history" },
    made.element,
    h(
      "p",
      { class: "hint" },
      `${stripWords(recent)}. The newest is at the right; low is working, high is failing, a gap is not reached, a dot is without a result.`,
    ),
    details,
  );
}

/**
 * @param {readonly Run[] | null} runs
 * @param {number} count
 * @param {number | null} timestamp
 * @returns {number[] | null} the times of the last published runs up to this one; null where they
 *   are not all known
 */
function runTimes(runs, count, timestamp) {
  if (runs === null || timestamp === null) return null;
  const known = runs.filter((run) => run.published && run.timestamp <= timestamp);
  if (known.length < count || known.at(-1)?.timestamp !== timestamp) return null;
  return known.slice(-count).map((run) => run.timestamp);
}
