// At a glance: is the network's DNS healthy now, and what has changed?

import { failing, failingStates, level, UNCONFIRMED } from "../model/health.js";
import { DEGRADED, STATUSES, statusWords } from "../words.js";
import { cards } from "./cards.js";
import { perWeek } from "./context.js";
import { h, svg } from "./dom.js";
import { percent, plural, timeElement, whole } from "./format.js";
import { redraw } from "./keep.js";
import { statusElement } from "./marks.js";
import { guarded, part } from "./part.js";
import { more } from "./worst.js";

/** @import { Metadata } from "../data/metadata.js" */
/** @import { Relay, Report } from "../data/report.js" */
/** @import { Context, View } from "./context.js" */

/**
 * @param {Context} context
 * @returns {View}
 */
export function overviewView(context) {
  const { report, signal } = context;
  const figures = part({
    resource: report,
    what: "the report",
    signal,
    render: (value) => glance(context, value.metadata, value.relays),
    early: () => (report.head === null ? undefined : glance(context, report.head, null)),
  });
  const lists = h("div", null);
  /** @type {Report | null} */
  let listed = null;
  let week = 0;
  const update = () => {
    const { value } = report;
    if (value === null) return;
    // How many runs a week has is known better when the trends are here.
    const now = perWeek(context.store, value);
    if (value === listed && now === week) return;
    listed = value;
    week = now;
    redraw(lists, () => guarded(() => more(context, value), "the list of failing relays"));
  };
  report.watch(update, signal);
  context.store.trends.watch(update, signal);
  update();
  return {
    title: "Overview",
    element: h(
      "div",
      { class: "view" },
      h("h1", { class: "visually-hidden" }, "Overview"),
      figures,
      lists,
    ),
  };
}

/** The answer in a word, by level. */
const ANSWERS = Object.freeze({
  good: "DNS works at nearly all exits",
  fair: "DNS fails at some exits",
  bad: "DNS fails at many exits",
  unknown: "Nothing is known",
});

/**
 * @param {Context} context
 * @param {Metadata} metadata
 * @param {readonly Relay[] | null} relays null while they are on their way
 * @returns {HTMLElement[]}
 */
function glance(context, metadata, relays) {
  const grade = level(metadata);
  const failed = failing(metadata.statuses);
  return [
    h(
      "section",
      { class: `answer answer-${grade}`, "aria-labelledby": "answer" },
      gradeSign(grade),
      h(
        "div",
        null,
        h("h2", { id: "answer" }, ANSWERS[grade]),
        h(
          "p",
          null,
          (metadata.tested ?? 0) === 0
            ? "No exit’s DNS was put to the test in this run."
            : [
                `${whole((metadata.tested ?? 0) - failed)} of the ${plural(metadata.tested ?? 0, "exit")} tested resolve names as they should, `,
                failed === 0 ? "none fails" : `${plural(failed, "fails", "fail")}`,
                unconfirmed(relays),
                ". Run of ",
                timeElement(metadata.timestamp),
                ".",
              ],
        ),
      ),
    ),
    cards(context, metadata, relays),
    composition(context, metadata),
  ];
}

/**
 * What the share of lookups that fail is, and which exits make it.
 * @param {Context} context
 * @param {Metadata} metadata
 * @returns {HTMLElement | null}
 */
function lookupWords(context, { lookups, degraded }) {
  if (lookups === null && degraded === 0) return null;
  return h(
    "p",
    { class: "hint" },
    lookups === null
      ? null
      : `“Lookups that fail” is what users meet: the share of first lookups that failed, each exit by its weight, without any second attempt (${whole(lookups.failed)} of ${plural(lookups.asked, "exit")}). `,
    degraded === 0
      ? null
      : [
          h(
            "a",
            { href: context.href("relays", { params: { state: DEGRADED, sort: "-lookups" } }) },
            plural(degraded, "exit is degraded", "exits are degraded"),
          ),
          ": so many of their lookups fail that they pass by a second attempt alone.",
        ],
  );
}

/**
 * @param {readonly Relay[] | null} relays
 * @returns {string | null} how many of the failures are not confirmed
 */
function unconfirmed(relays) {
  const n = relays === null ? 0 : (failingStates(relays).get(UNCONFIRMED) ?? 0);
  return n === 0 ? null : ` (${whole(n)} of them not confirmed)`;
}

/**
 * @param {keyof typeof ANSWERS} grade
 * @returns {SVGSVGElement}
 */
function gradeSign(grade) {
  const shapes = {
    good: "M7 12.5l3.5 3.5L17 9",
    fair: "M12 6.5v7M12 17v.3",
    bad: "M8 8l8 8M16 8l-8 8",
    unknown: "M9 9.6a3 3 0 1 1 4.2 2.8c-.8.4-1.2.9-1.2 1.8M12 17v.3",
  };
  return svg(
    "svg",
    { class: "answer-sign", viewBox: "0 0 24 24", "aria-hidden": "true" },
    svg("circle", { cx: 12, cy: 12, r: 10.5, class: "answer-disc" }),
    svg("path", { d: shapes[grade], class: "answer-shape" }),
  );
}

/**
 * All results as one bar, and in words below it.
 * @param {Context} context
 * @param {Metadata} metadata
 * @returns {HTMLElement}
 */
function composition(context, metadata) {
  const total = metadata.total ?? 0;
  const known = [...STATUSES.keys()].filter((status) => metadata.statuses.has(status));
  const others = [...metadata.statuses.keys()].filter((status) => !STATUSES.has(status));
  const entries = [...known, ...others].map((status) => ({
    status,
    n: metadata.statuses.get(status) ?? 0,
  }));
  const sum = entries.reduce((all, { n }) => all + n, 0) || 1;
  let x = 0;
  const bars = entries.map(({ status, n }) => {
    const width = (n / sum) * 1000;
    const bar = svg("rect", {
      x: x.toFixed(2),
      y: 0,
      width: Math.max(width - 1.5, 1).toFixed(2),
      height: 10,
      class: `kind-${statusWords(status).kind}`,
    });
    x += width;
    return bar;
  });
  return h(
    "section",
    { class: "card composition", "aria-labelledby": "composition" },
    h("h2", { id: "composition" }, `All ${plural(total, "result")}`),
    svg(
      "svg",
      {
        class: "composition-bar",
        viewBox: "0 0 1000 10",
        preserveAspectRatio: "none",
        "aria-hidden": "true",
      },
      bars,
    ),
    h(
      "ul",
      { class: "composition-list" },
      entries.map(({ status, n }) =>
        h(
          "li",
          null,
          h("a", { href: context.href("relays", { params: { status } }) }, statusElement(status)),
          h("span", { class: "count" }, whole(n)),
          h("span", { class: "share" }, percent((n / sum) * 100)),
        ),
      ),
    ),
    lookupWords(context, metadata),
    metadata.unconfirmed > 0
      ? h(
          "p",
          { class: "hint" },
          `${plural(metadata.unconfirmed, "failure")} not confirmed: the run ended before that.`,
        )
      : null,
    metadata.notReached > 0
      ? h(
          "p",
          { class: "hint" },
          `${plural(metadata.notReached, "exit was", "exits were")} selected and have no result.`,
        )
      : null,
  );
}
