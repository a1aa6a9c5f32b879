// Earlier reports: opened in this page, and compared with the latest.

import { isReportName, LATEST } from "../data/names.js";
import { compare } from "../model/compare.js";
import { groupingOf } from "../model/operators.js";
import { formatRoute } from "../model/route.js";
import { turnOf } from "../model/runs.js";
import { gateWords } from "../words.js";
import { foreign, h } from "./dom.js";
import { bytes, percent, timeElement, utc, whole } from "./format.js";
import { groupedList, groupingLinks } from "./groups.js";
import { keeps } from "./keep.js";
import { relayLink } from "./links.js";
import { statusElement } from "./marks.js";
import { notice, part, problemNotice } from "./part.js";
import { table } from "./table.js";

/** @import { ListedFile } from "../data/files.js" */
/** @import { Relay, Report } from "../data/report.js" */
/** @import { Change } from "../model/compare.js" */
/** @import { Grouping } from "../model/operators.js" */
/** @import { Context, View } from "./context.js" */

/** How many reports the table shows at first. */
const REPORTS = 120;

/**
 * @param {Context} context
 * @returns {View}
 */
export function historyView(context) {
  const { with: from = "", to = "" } = context.route.params;
  return {
    title: "History",
    element: h(
      "div",
      { class: "view" },
      h("h1", null, "History"),
      from === "" ? null : comparison(context, from, to === LATEST ? "" : to),
      part({
        resource: context.store.files,
        what: "the list of reports",
        signal: context.signal,
        render: ({ files, problems }) => [
          problemNotice(problems),
          picker(context, files, { from, to }),
          ...lists(files),
        ],
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
    h("h2", null, "Earlier reports"),
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
  const box = h("div", { "data-key": "reports" }, rows(reports.slice(0, REPORTS)));
  if (reports.length <= REPORTS) return box;
  let all = false;
  const showAll = () => {
    all = true;
    box.replaceChildren(rows(reports));
  };
  box.append(
    h(
      "button",
      { type: "button", class: "button", on: { click: showAll } },
      `Show all ${whole(reports.length)}`,
    ),
  );
  keeps(box, { save: () => (all ? true : undefined), load: showAll });
  return box;
}

/**
 * Any two reports, to be compared.
 * @param {Context} context
 * @param {readonly ListedFile[]} files
 * @param {{from: string, to: string}} chosen
 * @returns {HTMLElement | null}
 */
function picker(context, files, { from, to }) {
  const reports = files.filter((file) => file.kind === "report");
  if (reports.length < 2) return null;
  const options = reports.map(({ name, timestamp, report }) => ({
    value: name,
    words: `${utc(timestamp)}${turnWords(name)}${report?.published === false ? " (held back)" : ""}`,
  }));
  const select = (
    /** @type {string} */ label,
    /** @type {{value: string, words: string}[]} */ all,
    /** @type {string} */ value,
  ) => {
    const element = h(
      "select",
      null,
      all.map((one) => h("option", { value: one.value }, one.words)),
    );
    if (all.some((one) => one.value === value)) element.value = value;
    return {
      element,
      field: h("label", { class: "field" }, h("span", { class: "field-label" }, label), element),
    };
  };
  const first = select("Compare", options, from === "" ? reports[1].name : from);
  const second = select("with", [{ value: "", words: "the latest" }, ...options], to);
  const form = h(
    "form",
    { class: "picker", "aria-label": "Compare two reports" },
    first.field,
    second.field,
    h("button", { type: "submit", class: "button" }, "Compare"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const params = { with: first.element.value, to: second.element.value };
    location.hash = context.href("history", { params });
  });
  return h("section", null, h("h2", null, "Compare two reports"), form);
}

/**
 * @param {string} name of a report
 * @returns {string} which of several reports of one run it is; empty for the first
 */
function turnWords(name) {
  const turn = turnOf(name);
  return turn === 1 ? "" : `, made again (${turn})`;
}

/**
 * @param {Context} context
 * @param {string} from the name of a report
 * @param {string} to the name of another; empty for the latest
 * @returns {HTMLElement}
 */
function comparison(context, from, to) {
  const wrong = [from, to].find((name) => name !== "" && !isReportName(name));
  if (wrong !== undefined) {
    return notice("bad", "No report can have this name.", foreign(wrong, { limit: 100 }));
  }
  const other = to === "" ? null : to;
  return h(
    "section",
    { class: "comparison" },
    h("h2", null, "Then and now"),
    part({
      resource: context.store.report(from),
      what: other === null ? "the earlier report" : "the first report",
      signal: context.signal,
      render: (one) =>
        part({
          resource: context.store.report(other),
          what: other === null ? "the latest report" : "the second report",
          signal: context.signal,
          render: (two) =>
            inOrder(context, { report: one, name: from }, { report: two, name: other }),
        }),
    }),
  );
}

/**
 * A report and its name; null for the latest.
 * @typedef {{report: Report, name: string | null}} Named
 */

/**
 * The changes from the earlier of two reports to the later one, whichever was named first.
 * @param {Context} context
 * @param {Named} one
 * @param {Named} two
 * @returns {HTMLElement[]}
 */
function inOrder(context, one, two) {
  const times = [one, two].map(({ report }) => report.metadata.timestamp ?? 0);
  return times[0] <= times[1] ? changes(context, one, two) : changes(context, two, one);
}

/**
 * @param {Context} context
 * @param {Named} earlier
 * @param {Named} later
 * @returns {HTMLElement[]}
 */
function changes(context, earlier, later) {
  const { params } = context.route;
  const by = groupingOf(params.by);
  const found = compare(earlier.report.relays, later.report.relays);
  const before = earlier.report.metadata;
  const after = later.report.metadata;
  const list = (
    /** @type {string} */ title,
    /** @type {string} */ text,
    /** @type {readonly Change[]} */ relays,
  ) =>
    changeList(context, {
      title,
      text,
      list: relays,
      by,
      names: { before: earlier.name, after: later.name },
    });
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
    groupingLinks(by, (name) =>
      context.href("history", { params: { ...params, by: name === "operator" ? null : name } }),
    ),
    h(
      "div",
      { class: "columns columns-2" },
      list("Newly failing", "Failed now, and did not then.", found.failing),
      list("Recovered", "Failed then, and work now.", found.recovered),
      list("Still failing", "Failed then and now.", found.still),
      found.unconfirmed.length === 0
        ? null
        : list(
            "Failed now, not confirmed",
            "The run ended before the failure was confirmed: it may be none.",
            found.unconfirmed,
          ),
      list("Failed then, not tested now", "Their DNS could not be put to the test.", found.unclear),
      list("Gone", "Have no result now.", found.gone),
      list("New", "Had no result then.", found.added),
    ),
  ];
}

/**
 * @param {Context} context
 * @param {{title: string, text: string, list: readonly Change[], by: Grouping,
 *   names: {before: string | null, after: string | null}}} of names: of the reports; null for the
 *   latest
 * @returns {HTMLElement}
 */
function changeList(context, { title, text, list, by, names }) {
  const draw = (/** @type {Change & {relay: Relay}} */ { before, after, relay }) =>
    h(
      "li",
      null,
      h(
        "span",
        { class: "relay-list-name" },
        relayLink(relay, after === null ? names.before : names.after),
      ),
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
  const items = list.flatMap((change) => {
    const relay = change.after ?? change.before;
    return relay === null ? [] : [{ ...change, relay }];
  });
  return h(
    "section",
    { class: "card" },
    h("h3", null, title, h("span", { class: "badge" }, whole(list.length))),
    h("p", { class: "hint" }, text),
    list.length === 0
      ? h("p", null, "None.")
      : groupedList(context, { items, by, draw, key: title, wide: true }),
  );
}
