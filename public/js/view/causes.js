// The failures by cause and by where the fault lies, each explained.

import { byBlame, byCause, totalWeight } from "../model/causes.js";
import { NONE } from "../model/relays.js";
import { blameWords, causeWords, statusWords } from "../words.js";
import { foreign, h } from "./dom.js";
import { percent, plural, whole } from "./format.js";
import { statusElement } from "./marks.js";
import { part } from "./part.js";
import { table } from "./table.js";

/** @import { Report } from "../data/report.js" */
/** @import { Cause } from "../model/causes.js" */
/** @import { Context, View } from "./context.js" */

/**
 * @param {Context} context
 * @returns {View}
 */
export function causesView(context) {
  const wanted = context.route.argument;
  return {
    title: "Causes",
    element: h(
      "div",
      { class: "view" },
      h("h1", null, "Causes"),
      part({
        resource: context.report,
        what: "the report",
        signal: context.signal,
        render: (report) => {
          const content = causes(context, report);
          if (wanted !== "") queueMicrotask(() => goTo(content, wanted));
          return content;
        },
      }),
    ),
  };
}

/**
 * Brings the cause that the address names into sight.
 * @param {readonly HTMLElement[]} content
 * @param {string} code
 */
function goTo(content, code) {
  for (const element of content) {
    for (const found of element.querySelectorAll("[data-code]")) {
      if (found instanceof HTMLElement && found.dataset.code === code) {
        found.scrollIntoView({ block: "start" });
        found.querySelector("h3")?.focus({ preventScroll: true });
        return;
      }
    }
  }
}

/**
 * @param {Context} context
 * @param {Report} report
 * @returns {HTMLElement[]}
 */
function causes(context, report) {
  const all = byCause(report.relays);
  const weight = totalWeight(report.relays);
  const against = all.filter((cause) => cause.counts);
  const rest = all.filter((cause) => !cause.counts);
  const blames = byBlame(report.relays);
  return [
    section(context, "Their DNS failed", "These count against the relays’ DNS.", against, weight),
    section(
      context,
      "Not tested",
      "These say nothing about the relays’ DNS: no query reached it, or the fault was ours.",
      rest,
      weight,
    ),
    h(
      "section",
      { class: "card" },
      h("h2", null, "Where the fault lies"),
      blames.length === 0
        ? h("p", null, "Nothing failed.")
        : table({
            caption: "Results that are not a success, by where the fault lies",
            hideCaption: true,
            columns: [
              { label: "Whose", header: true },
              { label: "Relays", number: true },
              { label: "Weight", number: true },
              { label: "Meaning" },
            ],
            rows: blames.map(({ blame, relays, weight: part }) => [
              h(
                "a",
                { href: context.href("relays", { params: { blame: blame ?? NONE } }) },
                foreign(blameWords(blame).label, { limit: 60 }),
              ),
              whole(relays),
              weight === 0 ? "" : percent((part / weight) * 100),
              blameWords(blame).meaning,
            ]),
          }),
    ),
  ];
}

/**
 * @param {Context} context
 * @param {string} title
 * @param {string} text
 * @param {readonly Cause[]} list
 * @param {number} weight of all relays
 * @returns {HTMLElement}
 */
function section(context, title, text, list, weight) {
  return h(
    "section",
    null,
    h("h2", null, title),
    h("p", { class: "hint" }, text),
    list.length === 0 ? h("p", null, "There are none in this report.") : null,
    h(
      "div",
      { class: "cause-list" },
      list.map((cause) => causeCard(context, cause, weight)),
    ),
  );
}

/**
 * @param {Cause} cause
 * @returns {Record<string, string | null>} the choice that shows as many relays as the cause has
 */
function causeParams({ code, statuses, counts }) {
  const [only] = statuses.size === 1 ? statuses.keys() : [null];
  return { cause: code ?? NONE, status: only ?? (counts ? "failing" : null) };
}

/**
 * @param {Context} context
 * @param {Cause} cause
 * @param {number} weight of all relays
 * @returns {HTMLElement}
 */
function causeCard(context, cause, weight) {
  const words = causeWords(cause.code);
  const statuses = [...cause.statuses].sort((a, b) => b[1] - a[1]);
  return h(
    "article",
    { class: "card cause", "data-code": cause.code ?? "", "data-key": cause.code ?? "" },
    h("h3", { tabindex: "-1" }, foreign(words.label, { limit: 100 })),
    cause.code === null ? null : h("p", { class: "code" }, foreign(cause.code, { limit: 100 })),
    h(
      "p",
      { class: "cause-count" },
      h(
        "a",
        { href: context.href("relays", { params: causeParams(cause) }) },
        h("strong", null, plural(cause.relays, "relay")),
      ),
      weight === 0 ? null : `, ${percent((cause.weight / weight) * 100)} of the weight`,
    ),
    h(
      "p",
      { class: "cause-statuses" },
      statuses.flatMap(([status, n], i) => [
        i === 0 ? null : " ",
        statusElement(status),
        statuses.length > 1 ? ` ${whole(n)}` : null,
      ]),
    ),
    h("p", null, words.meaning),
    words.check.length === 0
      ? h(
          "p",
          { class: "hint" },
          cause.counts || statusWords(statuses[0]?.[0] ?? "").kind === "unknown"
            ? null
            : "Nothing that the relay’s operator could do.",
        )
      : [
          h("h4", null, "What the operator can check"),
          h(
            "ul",
            null,
            words.check.map((check) => h("li", null, check)),
          ),
        ],
  );
}
