// The figures of a report as cards: each with its change since the run before, and its last runs.

import { age, failing, failingStates, heldBack, runBefore, UNCONFIRMED } from "../model/health.js";
import { visible } from "../model/text.js";
import { recentValues } from "../model/trends.js";
import { stateWords } from "../words.js";
import { fill, h } from "./dom.js";
import { duration, ends, MISSING, ms, percent, plural, whole } from "./format.js";
import { sparkline } from "./spark.js";

/** @import { Metadata } from "../data/metadata.js" */
/** @import { Relay } from "../data/report.js" */
/** @import { Run } from "../data/trends.js" */
/** @import { Context } from "./context.js" */

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
 * @param {readonly Relay[]} relays
 * @returns {string} how many of the failing relays are in which state
 */
function stateParts(relays) {
  return [...failingStates(relays)]
    .map(([state, n]) => {
      if (state === UNCONFIRMED) return `${whole(n)} not confirmed`;
      return `${whole(n)} ${state === null ? "without a state" : visible(stateWords(state).label.toLowerCase(), 40)}`;
    })
    .join(", ");
}

/**
 * @param {Context} context
 * @param {Metadata} m
 * @param {readonly Relay[] | null} list the report's relays; null while they are on their way
 * @returns {HTMLElement}
 */
export function cards(context, m, list) {
  const points = (/** @type {number} */ d) => `${d.toFixed(Math.abs(d) < 1 ? 2 : 1)} points`;
  const relays = (/** @type {number} */ d) => whole(d);
  const failed = m.total === null ? null : failing(m.statuses);
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
    ...lookupCard(context, m, points),
    {
      label: "Failing exits",
      value: whole(failed),
      // The states of the whole report are of relays that this run did not reach, too.
      detail: list === null ? "\u00a0" : stateParts(list),
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
 * The one number that says how Tor's DNS is.
 * @param {Context} context
 * @param {Metadata} m
 * @param {(difference: number) => string} change
 * @returns {Card[]} none where the report does not have it
 */
function lookupCard(context, m, change) {
  if (m.lookups === null) return [];
  const interval = ends(m.lookups);
  return [
    {
      label: "Lookups that fail",
      value: percent(m.lookups.percent),
      detail: interval === null ? "its interval is not known" : `95 % interval: ${interval}`,
      href: context.href("trends"),
      now: m.lookups.percent,
      of: (run) => run.lookups?.percent ?? null,
      change,
      better: -1,
    },
  ];
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
    const { runs } = context.store;
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
    const { latest } = context.store;
    const found = age(metadata, context.store.runs, now, latest.confirmed);
    value.textContent =
      found.ms === null ? MISSING : found.ms < 0 ? "none yet" : duration(found.ms / 1000);
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
      stale: [
        "change-bad",
        heldBack(metadata, context.store.listed) === null
          ? "overdue: runs are missing"
          : "overdue: newer runs were held back",
      ],
      unasked: [
        "change-same",
        latest.asking || latest.missed === null
          ? "looking for a newer report"
          : "may be overdue: the server cannot be asked",
      ],
      future: ["change-bad", "from the future: a clock is wrong"],
      unknown: ["change-same", "no time is given"],
    }[found.state];
    fill(change, h("span", { class: words[0] }, words[1]));
  };
  for (const resource of [context.store.latest, context.store.trends, context.store.files]) {
    resource.watch(update, context.signal);
  }
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
