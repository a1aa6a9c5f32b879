// Why relays fail, and which: the newest and the longest.

import { byCause } from "../model/causes.js";
import { isConfirmed } from "../model/mail.js";
import { groups } from "../model/operators.js";
import { everyWeek } from "../model/recurrence.js";
import { causeWords, DEGRADED, FAILING } from "../words.js";
import { perWeek } from "./context.js";
import { foreign, h, svg } from "./dom.js";
import { compact, plural, rateShort, whole } from "./format.js";
import { groupHref, groupName } from "./groups.js";
import { relayLink } from "./links.js";
import { statusElement } from "./marks.js";
import { recurrenceWords } from "./operators.js";
import { notice } from "./part.js";

/** @import { Relay, Report } from "../data/report.js" */
/** @import { Group } from "../model/operators.js" */
/** @import { Context } from "./context.js" */

/** How many relays a list here names. */
const LISTED = 8;

/**
 * What needs the relays: causes and the worst.
 * @param {Context} context
 * @param {Report} report
 * @returns {HTMLElement}
 */
export function more(context, report) {
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
    operatorsCard(context, report),
    causesCard(context, report),
    recurringCard(context, report),
    degradedList(context, report),
    relayList(context, {
      title: "Newly failing",
      relays: fresh,
      none: "No exit began to fail in this run.",
      figure: (relay) => (relay.weight === null ? "" : `weight ${compact(relay.weight)}`),
      mark: statusOf,
      params: { status: "failing", sort: "failures" },
      all: "All that fail, newest first",
      also: h(
        "p",
        { class: "more" },
        h("a", { href: context.href("changes") }, "Who changed in this run, by operator or place"),
      ),
    }),
    relayList(context, {
      title: "Failing longest",
      relays: longest,
      none: "No exit failed in two runs in a row.",
      figure: (relay) => plural(relay.failures, "run"),
      mark: statusOf,
      params: { status: "failing", sort: "-failures" },
      all: "All that fail, longest first",
    }),
  );
}

/**
 * Whom to write to: those of whom most relays fail, as a fact.
 * @param {Context} context
 * @param {Report} report
 * @returns {HTMLElement}
 */
function operatorsCard(context, report) {
  return groupCard(context, {
    title: "Whom to write to",
    groups: groups(report.relays, "operator", { fails: isConfirmed }),
    none: "No failure of this run is confirmed: there is nothing to write about.",
    words: (group) => `${whole(group.failing.length)} of ${plural(group.all.length, "relay")}`,
    params: { confirmed: "yes" },
    all: "All operators, with a text for a mail",
  });
}

/**
 * Is it the same ones every week?
 * @param {Context} context
 * @param {Report} report
 * @returns {HTMLElement}
 */
function recurringCard(context, report) {
  const week = perWeek(context.store, report);
  return groupCard(context, {
    title: "The same ones every week",
    more: recurrenceWords(report, week),
    groups: groups(report.relays, "operator", { fails: ({ recent }) => everyWeek(recent, week) }),
    none: null,
    words: (group) => plural(group.failing.length, "relay"),
    params: { again: "weeks" },
    all: "All that fail every week",
  });
}

/**
 * @param {Context} context
 * @param {{title: string, more?: HTMLElement, groups: readonly Group[], none: string | null,
 *   words: (group: Group) => string, params: Record<string, string>, all: string}} list
 * @returns {HTMLElement}
 */
function groupCard(context, { title, more: text, groups: all, none, words, params, all: link }) {
  return h(
    "section",
    { class: "card" },
    h("h2", null, title, all.length > 0 ? h("span", { class: "badge" }, whole(all.length)) : null),
    text ?? null,
    all.length === 0
      ? none === null
        ? null
        : h("p", null, none)
      : h(
          "ul",
          { class: "relay-list relay-list-pairs" },
          all
            .slice(0, LISTED)
            .map((group) =>
              h(
                "li",
                null,
                h(
                  "span",
                  { class: "relay-list-name" },
                  h(
                    "a",
                    { href: groupHref(context, group) },
                    foreign(groupName(group), { limit: 100 }),
                  ),
                ),
                h("span", { class: "count" }, words(group)),
              ),
            ),
        ),
    all.length === 0
      ? null
      : h("p", { class: "more" }, h("a", { href: context.href("operators", { params }) }, link)),
  );
}

/** @type {(relay: Relay) => HTMLElement} */
const statusOf = ({ status, provisional }) => statusElement(status, provisional);

/**
 * Those whose runs pass though users meet failures.
 * @param {Context} context
 * @param {Report} report
 * @returns {HTMLElement | null} null where the report knows nothing of first lookups
 */
function degradedList(context, report) {
  if (report.metadata.lookups === null) return null;
  const worst = (/** @type {Relay} */ { lookups30, lookups7 }) =>
    lookups30?.low ?? lookups7?.low ?? 0;
  return relayList(context, {
    title: "Degraded",
    relays: report.relays
      .filter((relay) => relay.degraded)
      .sort((a, b) => worst(b) - worst(a) || (b.weight ?? 0) - (a.weight ?? 0)),
    none: "No exit fails so many lookups that its runs pass by a second attempt alone.",
    mark: null,
    figure: (relay) => rateShort(relay.lookups30 ?? relay.lookups7),
    params: { state: DEGRADED, sort: "-lookups" },
    all: "All that are degraded, worst first",
  });
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
 *   mark: ((relay: Relay) => HTMLElement) | null, figure: (relay: Relay) => string,
 *   params: Record<string, string>, all: string, also?: HTMLElement}} list
 * @returns {HTMLElement}
 */
function relayList(context, { title, relays, none, mark, figure, params, all, also }) {
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
          { class: mark === null ? "relay-list relay-list-pairs" : "relay-list" },
          relays
            .slice(0, LISTED)
            .map((relay) =>
              h(
                "li",
                null,
                h("span", { class: "relay-list-name" }, relayLink(relay, context.reportName)),
                mark === null ? null : mark(relay),
                h("span", { class: "count" }, figure(relay)),
              ),
            ),
        ),
    relays.length > LISTED
      ? h("p", { class: "more" }, h("a", { href: context.href("relays", { params }) }, all))
      : null,
    also ?? null,
  );
}
