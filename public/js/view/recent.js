// A relay's last runs, as a strip and as a table. Each mark leads to what that run found of the relay.

import { recentRuns, reportOf } from "../model/runs.js";
import { statusWords } from "../words.js";
import { h, svg } from "./dom.js";
import { folded } from "./folded.js";
import { utc } from "./format.js";
import { relayHref } from "./links.js";
import { ofMark, statusElement, strip, stripWords } from "./marks.js";
import { table } from "./table.js";

/** @import { Report } from "../data/report.js" */
/** @import { Context } from "./context.js" */

/** How many runs have a place in the strip. */
const PLACES = 60;

/**
 * What is shown of a relay's runs.
 * @typedef {object} Shown
 * @property {string} recent a mark for each run, newest last
 * @property {Report} report whose run the newest mark is
 * @property {string | null} fingerprint null where it has no page
 */

/**
 * The last runs as a strip, and as a table with their times where those are known.
 * @param {Context} context
 * @param {Shown} shown
 * @returns {HTMLElement}
 */
export function history(context, shown) {
  const { recent } = shown;
  if (recent === "") return h("p", { class: "hint" }, "There are no earlier runs.");
  const made = strip(PLACES);
  made.element.classList.add("strip-large");
  made.set(recent);
  leads(context, shown, made.element);
  return h(
    "div",
    { class: "history" },
    made.element,
    h(
      "p",
      { class: "hint" },
      `${stripWords(recent)}. The newest is at the right; low is working, high is failing, a gap is not reached, a dot is without a result. A mark, or a line of the table, leads to what that run found.`,
    ),
    folded("The runs as a table", () => runTable(context, shown)),
  );
}

/**
 * @param {Context} context
 * @param {Shown} shown
 * @returns {((i: number) => {time: number | null, href: string | null})} of the mark of that index
 */
function runsOf(context, { recent, report, fingerprint }) {
  const runs = recentRuns(context.store.runs, report);
  return (i) => {
    const run = runs[recent.length - 1 - i];
    if (run === undefined) return { time: null, href: null };
    // A run without a result of the relay has nothing to show of it.
    const name = recent[i] === "." ? null : reportOf(context.store.listed, run);
    const href = name === null || fingerprint === null ? null : relayHref(fingerprint, name);
    return { time: run.timestamp, href };
  };
}

/**
 * By mouse or finger, a mark says its run and leads to it; by keyboard, the table does.
 * @param {Context} context
 * @param {Shown} shown
 * @param {SVGSVGElement} element
 */
function leads(context, shown, element) {
  const { recent } = shown;
  const markAt = (/** @type {MouseEvent} */ event) => {
    const { left, width } = element.getBoundingClientRect();
    const place = Math.floor(((event.clientX - left) / width) * PLACES);
    const i = place - (PLACES - Math.min(recent.length, PLACES));
    return i >= 0 && i < recent.length ? i : null;
  };
  const title = svg("title");
  element.prepend(title);
  element.addEventListener("pointermove", (event) => {
    const i = markAt(event);
    const run = i === null ? null : runsOf(context, shown)(i);
    const { status, provisional } = ofMark(i === null ? "." : recent[i]);
    const what =
      status === null
        ? "no result"
        : `${statusWords(status).label}${provisional ? ", not confirmed" : ""}`;
    title.textContent = run?.time ? `${utc(run.time)}: ${what}` : "";
    element.classList.toggle("leads", Boolean(run?.href));
  });
  element.addEventListener("click", (event) => {
    const i = markAt(event);
    const href = i === null ? null : runsOf(context, shown)(i).href;
    if (href !== null) location.hash = href;
  });
}

/**
 * @param {Context} context
 * @param {Shown} shown
 * @returns {HTMLElement}
 */
function runTable(context, shown) {
  const { recent } = shown;
  const of = runsOf(context, shown);
  const rows = [...recent]
    .map((char, i) => {
      const mark = ofMark(char);
      const { time, href } = of(i);
      const words = time === null ? `${recent.length - 1 - i} before the last` : utc(time);
      return [
        href === null ? words : h("a", { href }, words),
        mark.status === null ? "no result" : statusElement(mark.status, mark.provisional),
      ];
    })
    .reverse();
  return table({
    caption: "The last runs, newest first",
    hideCaption: true,
    columns: [{ label: "Run", header: true }, { label: "Result" }],
    rows,
  });
}
