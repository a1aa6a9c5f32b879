// Earlier reports: opened in this page, and compared with the latest.

import { isReportName } from "../data/names.js";
import { compare } from "../model/compare.js";
import { formatRoute } from "../model/route.js";
import { gateWords } from "../words.js";
import { foreign, h } from "./dom.js";
import { bytes, percent, timeElement, utc, whole } from "./format.js";
import { relayLink } from "./links.js";
import { statusElement } from "./marks.js";
import { notice, part } from "./part.js";
import { table } from "./table.js";

/** @import { ListedFile } from "../data/files.js" */
/** @import { Relay, Report } from "../data/report.js" */
/** @import { Change } from "../model/compare.js" */
/** @import { Context, View } from "./context.js" */

/** How many relays a list of changes shows at first. */
const LISTED = 100;

/** How many reports the table shows at first. */
const REPORTS = 120;

/**
 * @param {Context} context
 * @returns {View}
 */
export function historyView(context) {
  const wanted = context.route.params.with ?? "";
  return {
    title: "History",
    element: h(
      "div",
      { class: "view" },
      h("h1", null, "History"),
      wanted === "" ? null : comparison(context, wanted),
      h("h2", null, "Earlier reports"),
      part({
        resource: context.store.files,
        what: "the list of reports",
        signal: context.signal,
        render: (files) => lists(files),
      }),
    ),
  };
}

/**
 * @param {readonly ListedFile[]} files
 * @returns {HTMLElement[]}
 */
function lists(files) {
  const reports = files.filter((file) => file.kind === "report");
  const archives = files.filter((file) => file.kind === "archive");
  return [
    reports.length === 0
      ? notice("info", "There are no earlier reports yet.")
      : h("div", null, reportTable(reports)),
    h("h2", null, "Archives"),
    archives.length === 0
      ? h("p", null, "There are none: every report is in the list above.")
      : table({
          caption: "Archives of a month’s reports",
          hideCaption: true,
          columns: [
            { label: "Month", header: true },
            { label: "Size", number: true },
            { label: "SHA-256" },
          ],
          rows: archives.map((file) => [
            h(
              "a",
              { href: file.name, download: file.name },
              file.timestamp === null ? file.name : utc(file.timestamp).slice(0, 7),
              h("span", { class: "visually-hidden" }, ` (download ${file.name})`),
            ),
            bytes(file.size),
            h("code", null, file.sha256 ?? ""),
          ]),
        }),
  ];
}

/**
 * @param {readonly ListedFile[]} reports
 * @returns {HTMLElement}
 */
function reportTable(reports) {
  const rows = (/** @type {readonly ListedFile[]} */ some) =>
    table({
      caption: "Earlier reports, newest first",
      hideCaption: true,
      columns: [
        { label: "Run", header: true },
        // Where a narrow screen still shows it.
        { label: "Look at it" },
        { label: "Relays", number: true },
        { label: "DNS success", number: true },
        { label: "Gate" },
        { label: "Size", number: true },
      ],
      rows: some.map((file) => [
        timeElement(file.timestamp),
        h(
          "span",
          { class: "row-links" },
          h(
            "a",
            { href: formatRoute("overview", { params: { report: file.name } }) },
            "open",
            h("span", { class: "visually-hidden" }, ` the report of ${utc(file.timestamp)}`),
          ),
          " ",
          h(
            "a",
            { href: formatRoute("history", { params: { with: file.name } }) },
            "compare",
            h(
              "span",
              { class: "visually-hidden" },
              ` the report of ${utc(file.timestamp)} with the latest`,
            ),
          ),
          " ",
          h(
            "a",
            { href: file.name, download: file.name },
            "JSON",
            h("span", { class: "visually-hidden" }, ` of ${utc(file.timestamp)}`),
          ),
        ),
        whole(file.report?.total),
        percent(file.report?.dnsRate),
        file.report === null
          ? ""
          : file.report.published
            ? file.report.reasons.length === 0
              ? "published"
              : h(
                  "span",
                  null,
                  "published by force: ",
                  foreign(file.report.reasons.map(gateWords).join("; "), { limit: 300 }),
                )
            : h(
                "span",
                null,
                h("strong", null, "held back"),
                file.report.reasons.length === 0
                  ? null
                  : [": ", foreign(file.report.reasons.map(gateWords).join("; "), { limit: 300 })],
              ),
        bytes(file.size),
      ]),
    });
  const box = h("div", null, rows(reports.slice(0, REPORTS)));
  if (reports.length <= REPORTS) return box;
  const button = h(
    "button",
    {
      type: "button",
      class: "button",
      on: { click: () => box.replaceChildren(rows(reports)) },
    },
    `Show all ${whole(reports.length)}`,
  );
  box.append(button);
  return box;
}

/**
 * @param {Context} context
 * @param {string} name of the earlier report
 * @returns {HTMLElement}
 */
function comparison(context, name) {
  if (!isReportName(name)) {
    return notice("bad", "No report can have this name.", foreign(name, { limit: 100 }));
  }
  return h(
    "section",
    { class: "comparison" },
    h("h2", null, "Then and now"),
    part({
      resource: context.store.report(name),
      what: "the earlier report",
      signal: context.signal,
      render: (earlier) =>
        part({
          resource: context.store.latest,
          what: "the latest report",
          signal: context.signal,
          render: (latest) => changes(earlier, latest, name),
        }),
    }),
  );
}

/**
 * @param {Report} earlier
 * @param {Report} latest
 * @param {string} name of the earlier one
 * @returns {HTMLElement[]}
 */
function changes(earlier, latest, name) {
  const found = compare(earlier.relays, latest.relays);
  const before = earlier.metadata;
  const after = latest.metadata;
  return [
    h(
      "p",
      null,
      "From ",
      timeElement(before.timestamp),
      " to ",
      timeElement(after.timestamp),
      ": DNS success ",
      h("strong", null, percent(before.dnsRate)),
      " then, ",
      h("strong", null, percent(after.dnsRate)),
      " now; relays ",
      h("strong", null, whole(before.total)),
      " then, ",
      h("strong", null, whole(after.total)),
      " now.",
    ),
    h(
      "div",
      { class: "columns columns-2" },
      changeList("Newly failing", "Failed now, and did not then.", found.failing, name),
      changeList("Recovered", "Failed then, and work now.", found.recovered, name),
      changeList("Still failing", "Failed then and now.", found.still, name),
      changeList(
        "Failed then, not tested now",
        "Their DNS could not be put to the test.",
        found.unclear,
        name,
      ),
      changeList("Gone", "Have no result now.", found.gone, name),
      changeList("New", "Had no result then.", found.added, name),
    ),
  ];
}

/**
 * @param {string} title
 * @param {string} text
 * @param {readonly Change[]} list
 * @param {string} name of the earlier report
 * @returns {HTMLElement}
 */
function changeList(title, text, list, name) {
  const item = (/** @type {Change} */ { before, after }) => {
    const relay = /** @type {Relay} */ (after ?? before);
    return h(
      "li",
      null,
      h("span", { class: "relay-list-name" }, relayLink(relay, after === null ? name : null)),
      h(
        "span",
        { class: "then-now" },
        before === null ? null : statusElement(before.status, before.provisional),
        before !== null && after !== null
          ? [
              h("span", { "aria-hidden": "true" }, "→"),
              h("span", { class: "visually-hidden" }, ", now: "),
            ]
          : null,
        after === null ? null : statusElement(after.status, after.provisional),
      ),
    );
  };
  const ul = h(
    "ul",
    { class: "relay-list relay-list-long relay-list-2" },
    list.slice(0, LISTED).map(item),
  );
  const more =
    list.length > LISTED
      ? h(
          "button",
          {
            type: "button",
            class: "button",
            on: {
              click: (event) => {
                ul.append(...list.slice(LISTED).map(item));
                if (event.currentTarget instanceof HTMLElement) event.currentTarget.remove();
              },
            },
          },
          `Show all ${whole(list.length)}`,
        )
      : null;
  return h(
    "section",
    { class: "card" },
    h("h3", null, title, h("span", { class: "badge" }, whole(list.length))),
    h("p", { class: "hint" }, text),
    list.length === 0 ? h("p", null, "None.") : ul,
    more,
  );
}
