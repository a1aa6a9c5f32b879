// Who changed in a run: by operator, network, country or cause.

import { runChanges } from "../model/changes.js";
import { groupingOf } from "../model/operators.js";
import { nameOf } from "../model/text.js";
import { attribution } from "./attribution.js";
import { h } from "./dom.js";
import { timeElement, whole } from "./format.js";
import { groupedList, groupingLinks } from "./groups.js";
import { relayHref, relayLink } from "./links.js";
import { statusElement } from "./marks.js";
import { part } from "./part.js";

/** @import { Absent, Relay, Report } from "../data/report.js" */
/** @import { Grouping } from "../model/operators.js" */
/** @import { Context, View } from "./context.js" */

/**
 * @param {Context} context
 * @returns {View}
 */
export function changesView(context) {
  const by = groupingOf(context.route.params.by);
  return {
    title: "What changed",
    element: h(
      "div",
      { class: "view" },
      h("p", { class: "crumbs" }, h("a", { href: context.href("overview") }, "This run")),
      h("h1", null, "What changed in this run"),
      groupingLinks(by, (name) =>
        context.href("changes", { params: { by: name === "operator" ? null : name } }),
      ),
      part({
        resource: context.report,
        what: "the report",
        signal: context.signal,
        render: (report) => changeLists(context, report, by),
      }),
    ),
  };
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {Grouping} by
 * @returns {(HTMLElement | null)[]}
 */
function changeLists(context, report, by) {
  const found = runChanges(report);
  const list = (
    /** @type {string} */ title,
    /** @type {string} */ text,
    /** @type {readonly Relay[]} */ relays,
  ) =>
    h(
      "section",
      { class: "card" },
      h("h2", null, title, h("span", { class: "badge" }, whole(relays.length))),
      h("p", { class: "hint" }, text),
      relays.length === 0
        ? h("p", null, "None.")
        : groupedList(context, {
            items: relays.map((relay) => ({ relay })),
            by,
            key: title,
            draw: ({ relay }) =>
              h(
                "li",
                null,
                h("span", { class: "relay-list-name" }, relayLink(relay, context.reportName)),
                statusElement(relay.status, relay.provisional),
                h("span", { class: "count" }, ""),
              ),
          }),
    );
  return [
    h(
      "p",
      null,
      "The run of ",
      timeElement(report.metadata.timestamp),
      " beside what the runs before it had found of each relay.",
    ),
    h(
      "div",
      { class: "columns columns-2" },
      list("Newly failing", "Their DNS worked when they were last tested.", found.failing),
      list("Recovered", "Their DNS failed when they were last tested.", found.recovered),
      found.unconfirmed.length === 0
        ? null
        : list(
            "Failed, not confirmed",
            "The run ended before the failure was confirmed: it may be none.",
            found.unconfirmed,
          ),
      list("New", "No run before has a result of them.", found.added),
      goneList(context, found.gone),
    ),
    by === "network" || by === "country" ? attribution(report.metadata) : null,
  ];
}

/** How many relays that are gone are named. */
const GONE = 100;

/**
 * Of relays without a result the report has neither operator nor place.
 * @param {Context} context
 * @param {readonly Absent[]} gone
 * @returns {HTMLElement}
 */
function goneList(context, gone) {
  return h(
    "section",
    { class: "card" },
    h("h2", null, "Gone", h("span", { class: "badge" }, whole(gone.length))),
    h("p", { class: "hint" }, "Had a result in the run before, and have none now."),
    gone.length === 0
      ? h("p", null, "None.")
      : h(
          "ul",
          { class: "relay-list relay-list-2 relay-list-long", "data-key": "gone" },
          gone
            .slice(0, GONE)
            .map((relay) =>
              h(
                "li",
                null,
                h(
                  "span",
                  { class: "relay-list-name" },
                  relay.valid
                    ? h(
                        "a",
                        { href: relayHref(relay.fingerprint, context.reportName) },
                        h("bdi", { class: "foreign" }, nameOf(relay.nickname)),
                      )
                    : h("bdi", { class: "foreign" }, nameOf(relay.nickname)),
                ),
                h("span", { class: "count" }, ""),
              ),
            ),
        ),
    gone.length > GONE ? h("p", { class: "hint" }, `And ${whole(gone.length - GONE)} more.`) : null,
  );
}
