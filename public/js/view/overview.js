// At a glance: is the network's DNS healthy now, and what has changed?

import { byCause } from "../model/causes.js";
import { age, failing, level, runBefore } from "../model/health.js";
import { recentValues } from "../model/trends.js";
import { causeWords, FAILING, STATUSES, statusWords } from "../words.js";
import { fill, foreign, h, svg } from "./dom.js";
import { compact, duration, MISSING, ms, percent, plural, timeElement, whole } from "./format.js";
import { relayLink } from "./links.js";
import { statusElement } from "./marks.js";
import { guarded, notice, part } from "./part.js";
import { sparkline } from "./spark.js";

/** @import { Metadata } from "../data/metadata.js" */
/** @import { Relay, Report } from "../data/report.js" */
/** @import { Run } from "../data/trends.js" */
/** @import { Context, View } from "./context.js" */

/** How many relays a list here names. */
const LISTED = 8;

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
    render: (value) => glance(context, value.metadata),
    early: () => (report.head === null ? undefined : glance(context, report.head)),
  });
  const lists = h("div", null);
  /** @type {Report | null} */
  let listed = null;
  const update = () => {
    const { value } = report;
    if (value === null || value === listed) return;
    listed = value;
    fill(
      lists,
      guarded(() => more(context, value), "the list of failing relays"),
    );
  };
  report.watch(update, signal);
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
 * @returns {HTMLElement[]}
 */
function glance(context, metadata) {
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
                ". Run of ",
                timeElement(metadata.timestamp),
                ".",
              ],
        ),
      ),
    ),
    cards(context, metadata),
    composition(context, metadata),
  ];
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
 * A figure with its change since the run before and its last runs.
 * @typedef {object} Card
 * @property {string} label
 * @property {string} value
 * @property {string | null} [detail]
 * @property {string} href
 * @property {number | null} now for the change
 * @property {(run: Run) => number | null} of the same in an earlier run
 * @property {number | null} [before] where it is known without the trends
 * @property {(difference: number) => string} change in its unit
 * @property {1 | -1 | 0} better which way is better
 */

/**
 * @param {Context} context
 * @param {Metadata} m
 * @returns {HTMLElement}
 */
function cards(context, m) {
  const points = (/** @type {number} */ d) => `${d.toFixed(Math.abs(d) < 1 ? 2 : 1)} points`;
  const relays = (/** @type {number} */ d) => whole(d);
  const failed = m.total === null ? null : failing(m.statuses);
  const confirmed = m.states.get("confirmed") ?? 0;
  const suspect = m.states.get("suspect") ?? 0;
  /** @type {Card[]} */
  const all = [
    {
      label: "DNS success rate",
      value: percent(m.dnsRate),
      detail: `of ${plural(m.tested ?? 0, "exit")} tested`,
      href: context.href("trends"),
      now: m.dnsRate,
      of: (run) => run.dnsRate,
      before: m.previous?.dnsRate ?? null,
      change: points,
      better: 1,
    },
    {
      label: "Failing exits",
      value: whole(failed),
      detail:
        m.states.size === 0 ? null : `${whole(confirmed)} confirmed, ${whole(suspect)} suspect`,
      href: context.href("relays", { params: { status: "failing" } }),
      now: failed,
      of: (run) => failing(run.statuses),
      change: relays,
      better: -1,
    },
    {
      label: "Bandwidth affected",
      value: percent(m.failingPercent),
      detail: "of the exits’ consensus weight",
      href: context.href("relays", { params: { status: "failing", sort: "-weight" } }),
      now: m.failingPercent,
      of: (run) => run.failingPercent,
      change: points,
      better: -1,
    },
    {
      label: "Reachability",
      value: percent(m.reachRate),
      detail: `${whole((m.total ?? 0) - (m.tested ?? 0))} of ${whole(m.total)} not tested`,
      href: context.href("relays", { params: { status: "circuit_fail" } }),
      now: m.reachRate,
      of: (run) => run.reachRate,
      change: points,
      better: 1,
    },
    {
      label: "Resolve time, median",
      value: ms(m.resolve?.p50),
      detail: m.resolve === null ? null : `99 % within ${ms(m.resolve.p99)}`,
      href: context.href("trends"),
      now: m.resolve?.p50 ?? null,
      of: (run) => run.resolve?.p50 ?? null,
      change: (d) => ms(d),
      better: -1,
    },
  ];
  const elements = all.map((card) => cardElement(context, m, card));
  return h("ul", { class: "cards" }, elements, ageCard(context, m));
}

/**
 * @param {Context} context
 * @param {Metadata} metadata
 * @param {Card} card
 * @returns {HTMLElement}
 */
function cardElement(context, metadata, card) {
  const change = h("p", { class: "card-change" });
  const spark = h("div", { class: "card-spark" });
  const { trends } = context.store;
  const update = () => {
    const runs = trends.value;
    const before = runBefore(metadata, runs);
    const earlier = before === null ? (card.before ?? null) : card.of(before);
    fill(change, changeWords(card, earlier));
    if (runs !== null) {
      const until = runs.filter((run) => run.timestamp <= (metadata.timestamp ?? 0));
      fill(spark, sparkline(recentValues(until, card.of)));
    }
  };
  trends.watch(update, context.signal);
  update();
  return h(
    "li",
    { class: "card figure" },
    h("h3", null, h("a", { href: card.href }, card.label)),
    h("p", { class: "card-value" }, card.value),
    card.detail ? h("p", { class: "card-detail" }, card.detail) : null,
    change,
    spark,
  );
}

/**
 * @param {Card} card
 * @param {number | null} before
 * @returns {(string | HTMLElement)[]}
 */
function changeWords(card, before) {
  if (card.now === null || before === null) return [];
  const difference = card.now - before;
  const size = card.change(Math.abs(difference));
  // What would round to nothing is no change.
  if (!/[1-9]/.test(size)) {
    return [h("span", { class: "change-same" }, "= as in the run before")];
  }
  const up = difference > 0;
  const good = card.better === 0 ? null : up === card.better > 0;
  const tone = good === null ? "same" : good ? "good" : "bad";
  return [
    h(
      "span",
      { class: `change-${tone}` },
      h("span", { "aria-hidden": "true" }, up ? "▲ " : "▼ "),
      `${size} ${up ? "more" : "less"}`,
      good === null
        ? null
        : h("span", { class: "visually-hidden" }, good ? " (better)" : " (worse)"),
    ),
    " than the run before",
  ];
}

/**
 * @param {Context} context
 * @param {Metadata} metadata
 * @returns {HTMLElement}
 */
function ageCard(context, metadata) {
  const value = h("p", { class: "card-value" });
  const detail = h("p", { class: "card-detail" });
  const change = h("p", { class: "card-change" });
  const update = () => {
    const now = context.now();
    const found = age(metadata, context.store.trends.value, now);
    value.textContent = found.ms === null ? MISSING : duration(found.ms / 1000);
    const every = Math.round(found.everyMs / 360_000) / 10;
    fill(
      detail,
      `a run about every ${every < 1 ? `${Math.round(every * 60)} minutes` : plural(every, "hour")}`,
    );
    if (context.reportName !== null) {
      fill(change, h("span", { class: "change-same" }, "an earlier report"));
      return;
    }
    const words = {
      fresh: ["change-good", "in time"],
      stale: ["change-bad", "overdue: runs are missing"],
      future: ["change-bad", "from the future: a clock is wrong"],
      unknown: ["change-same", "no time is given"],
    }[found.state];
    fill(change, h("span", { class: words[0] }, words[1]));
  };
  context.store.trends.watch(update, context.signal);
  const timer = setInterval(update, 30_000);
  context.signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  update();
  return h(
    "li",
    { class: "card figure" },
    h("h3", null, h("a", { href: context.href("history") }, "Age of these figures")),
    value,
    detail,
    change,
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
      class: `fill-${statusWords(status).kind}`,
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

/**
 * What needs the relays: causes and the worst.
 * @param {Context} context
 * @param {Report} report
 * @returns {HTMLElement}
 */
function more(context, report) {
  const failingNow = report.relays.filter((relay) => FAILING.includes(relay.status));
  if (report.relays.length === 0) {
    return notice(
      "info",
      "This report has no relays.",
      "Nothing was tested, or the file is damaged.",
    );
  }
  const longest = [...failingNow]
    .filter((relay) => relay.failures > 1)
    .sort((a, b) => b.failures - a.failures || (b.weight ?? 0) - (a.weight ?? 0));
  const fresh = failingNow
    .filter((relay) => relay.failures <= 1)
    .sort((a, b) => (b.weight ?? 0) - (a.weight ?? 0));
  return h(
    "div",
    { class: "columns" },
    causesCard(context, report),
    relayList(context, {
      title: "Newly failing",
      relays: fresh,
      none: "No exit began to fail in this run.",
      figure: (relay) => (relay.weight === null ? "" : `weight ${compact(relay.weight)}`),
      all: { status: "failing", state: "suspect", sort: "-weight" },
    }),
    relayList(context, {
      title: "Failing longest",
      relays: longest,
      none: "No exit failed in two runs in a row.",
      figure: (relay) => plural(relay.failures, "run"),
      all: { status: "failing", sort: "-failures" },
    }),
  );
}

/**
 * @param {Context} context
 * @param {Report} report
 * @returns {HTMLElement}
 */
function causesCard(context, report) {
  const causes = byCause(report.relays).filter((cause) => cause.counts);
  const most = Math.max(1, ...causes.map((cause) => cause.relays));
  return h(
    "section",
    { class: "card", "aria-labelledby": "why" },
    h("h2", { id: "why" }, "Why they fail"),
    causes.length === 0
      ? h("p", null, "No exit’s DNS failed.")
      : h(
          "ul",
          { class: "bars" },
          causes
            .slice(0, LISTED)
            .map((cause) =>
              h(
                "li",
                null,
                h(
                  "a",
                  { href: context.href("causes", { argument: cause.code ?? "" }) },
                  foreign(causeWords(cause.code).label, { limit: 80 }),
                ),
                h("span", { class: "count" }, whole(cause.relays)),
                bar(cause.relays / most),
              ),
            ),
        ),
    h(
      "p",
      { class: "more" },
      h("a", { href: context.href("causes") }, "All causes, and what to do"),
    ),
  );
}

/**
 * @param {number} share 0 to 1
 * @returns {SVGSVGElement}
 */
function bar(share) {
  return svg(
    "svg",
    { class: "bar", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { x: 0, y: 0, width: 100, height: 4, class: "bar-ground" }),
    svg("rect", {
      x: 0,
      y: 0,
      width: Math.max(share * 100, 0.5).toFixed(2),
      height: 4,
      class: "bar-fill",
    }),
  );
}

/**
 * @param {Context} context
 * @param {{title: string, relays: readonly Relay[], none: string,
 *   figure: (relay: Relay) => string, all: Record<string, string>}} list
 * @returns {HTMLElement}
 */
function relayList(context, { title, relays, none, figure, all }) {
  return h(
    "section",
    { class: "card" },
    h(
      "h2",
      null,
      title,
      relays.length > 0 ? h("span", { class: "badge" }, whole(relays.length)) : null,
    ),
    relays.length === 0
      ? h("p", null, none)
      : h(
          "ul",
          { class: "relay-list" },
          relays
            .slice(0, LISTED)
            .map((relay) =>
              h(
                "li",
                null,
                h("span", { class: "relay-list-name" }, relayLink(relay, context.reportName)),
                statusElement(relay.status, relay.provisional),
                h("span", { class: "count" }, figure(relay)),
              ),
            ),
        ),
    relays.length > LISTED
      ? h(
          "p",
          { class: "more" },
          h("a", { href: context.href("relays", { params: all }) }, `All ${whole(relays.length)}`),
        )
      : null,
  );
}
