// Incidents: what fails together, from when to when.

import { formatRoute } from "../model/route.js";
import { causeWords } from "../words.js";
import { fill, foreign, h } from "./dom.js";
import { facts } from "./facts.js";
import { duration, percent, plural, timeElement, whole } from "./format.js";
import { relayLink } from "./links.js";
import { notice, part, problemNotice } from "./part.js";
import { table } from "./table.js";

/** @import { Affected, Incident } from "../data/incidents.js" */
/** @import { Child } from "./dom.js" */
/** @import { Context, View } from "./context.js" */

/** How many incidents, and how many exits of one, are listed at most. */
const LISTED = 300;

/**
 * @param {Incident} incident
 * @returns {Child[]} what it is about
 */
function subject({ kind, operator, name, number, id }) {
  switch (kind) {
    case "operator":
      return [foreign(operator.replace(/^[a-z]+:/, "") || id, { limit: 120 })];
    case "autonomous_system":
      return [`Several operators in AS${number ?? "?"} `, foreign(name, { limit: 80 })];
    case "resolver_network":
      return [
        `Several operators whose resolver is in AS${number ?? "?"} `,
        foreign(name, { limit: 80 }),
      ];
    case "failure_rate":
      return ["More lookups than usual fail in the whole network"];
    case "zone":
      return ["The zone of the validator itself answers wrongly"];
    case "silence":
      return ["There is no new report"];
    default:
      return [foreign(kind, { limit: 60 })];
  }
}

/**
 * @param {Incident} incident
 * @returns {readonly Affected[]} the relays that are in trouble
 */
function down({ relays }) {
  return relays.filter(({ left }) => left === null);
}

/**
 * @param {Incident} incident
 * @returns {string}
 */
function mainCauses({ causes }) {
  const sorted = [...causes].sort((a, b) => b[1] - a[1]);
  return sorted
    .slice(0, 2)
    .map(([code]) => causeWords(code).label)
    .join(", ");
}

/**
 * @param {Incident} incident
 * @returns {string}
 */
function endWords({ closed, gone }) {
  if (closed === null) return "open";
  return gone ? "its exits are gone" : "over";
}

/**
 * @param {Context} context
 * @returns {View}
 */
export function incidentsView(context) {
  return {
    title: "Incidents",
    element: h(
      "div",
      { class: "view" },
      h("h1", null, "Incidents"),
      h(
        "p",
        { class: "hint" },
        "What fails together, from when to when. An exit is in one after two runs in a row found it failing, and leaves after two that found it working. The same as a feed: ",
        h("a", { href: "feed.atom" }, "Atom"),
        ", ",
        h("a", { href: "incidents.json" }, "JSON"),
        ".",
      ),
      part({
        resource: context.store.incidents,
        what: "the list of incidents",
        signal: context.signal,
        render: ({ incidents, problems }) => {
          const open = incidents.filter(({ closed }) => closed === null);
          const over = incidents.filter(({ closed }) => closed !== null);
          return [
            problemNotice(problems),
            h("h2", null, "Open", h("span", { class: "badge" }, whole(open.length))),
            ...(open.length === 0
              ? [h("p", null, "None: nothing fails.")]
              : incidentList(context, "Open incidents, newest first", open)),
            h("h2", null, "Over", h("span", { class: "badge" }, whole(over.length))),
            ...(over.length === 0
              ? [h("p", null, "None in the last 90 days.")]
              : incidentList(context, "Incidents that are over, newest first", over)),
          ];
        },
      }),
    ),
  };
}

/**
 * @param {Context} context
 * @param {string} caption
 * @param {readonly Incident[]} incidents
 * @returns {Child[]}
 */
function incidentList(context, caption, incidents) {
  const rows = incidents
    .slice(0, LISTED)
    .map((incident) => [
      h("a", { href: formatRoute("incident", { argument: incident.id }) }, ...subject(incident)),
      timeElement(incident.since),
      lasted(context, incident),
      whole((incident.closed === null ? down(incident) : incident.relays).length),
      mainCauses(incident),
    ]);
  return [
    table({
      caption,
      hideCaption: true,
      columns: [
        { label: "What", header: true },
        { label: "Since" },
        { label: "Lasted" },
        { label: "Exits", number: true },
        { label: "Cause" },
      ],
      rows,
    }),
    more(incidents.length, "incidents.json"),
  ];
}

/**
 * @param {number} all
 * @param {string} file that has them all
 * @returns {Child}
 */
function more(all, file) {
  if (all <= LISTED) return null;
  return h("p", null, `And ${whole(all - LISTED)} more, in `, h("a", { href: file }, file), ".");
}

/**
 * @param {Context} context
 * @param {Incident} incident
 * @returns {string}
 */
function lasted(context, { since, closed }) {
  return since === null ? "" : duration(((closed ?? context.now()) - since) / 1000);
}

/**
 * @param {Context} context
 * @returns {View}
 */
export function incidentView(context) {
  const wanted = context.route.argument;
  const heading = h("h1", null, "Incident");
  return {
    title: "Incident",
    element: h(
      "div",
      { class: "view" },
      h("p", { class: "crumbs" }, h("a", { href: context.href("incidents") }, "Incidents")),
      heading,
      part({
        resource: context.store.incidents,
        what: "the list of incidents",
        signal: context.signal,
        render: ({ incidents }) => {
          const incident = incidents.find(({ id }) => id === wanted);
          if (incident === undefined) {
            return notice(
              "info",
              "There is no such incident.",
              h("p", null, "It was asked for as ", foreign(wanted, { limit: 60 }), "."),
              "Incidents that ended more than 90 days ago are not kept.",
            );
          }
          fill(heading, ...subject(incident));
          return incidentPage(context, incident);
        },
      }),
    ),
  };
}

/**
 * @param {Context} context
 * @param {Incident} incident
 * @returns {Child[]}
 */
function incidentPage(context, incident) {
  const failing = down(incident);
  const share = failing.reduce((sum, { weightPercent }) => sum + weightPercent, 0);
  return [
    facts([
      ["State", endWords(incident)],
      ["Began", timeElement(incident.since)],
      ["Known since the run of", timeElement(incident.opened)],
      ["Ended", incident.closed === null ? null : timeElement(incident.closed)],
      ["Lasted", lasted(context, incident)],
      ["Came back", incident.reopened === 0 ? null : plural(incident.reopened, "time")],
      ["Exits failing now", incident.relays.length === 0 ? null : whole(failing.length)],
      ["Their share of all exits’ weight", failing.length === 0 ? null : percent(share)],
      ["More", incident.detail === "" ? null : foreign(incident.detail, { limit: 300 })],
      ["Id", h("code", null, incident.id)],
    ]),
    incident.operator === ""
      ? null
      : h(
          "p",
          null,
          h(
            "a",
            { href: formatRoute("operator", { argument: incident.operator }) },
            "The operator’s page, with words to write",
          ),
        ),
    incident.causes.size === 0 ? null : causeTable(incident),
    incident.relays.length === 0 ? null : relayTable(incident),
  ];
}

/**
 * @param {Incident} incident
 * @returns {HTMLElement}
 */
function causeTable({ causes }) {
  return h(
    "section",
    null,
    h("h2", null, "Causes"),
    table({
      caption: "Causes, the most frequent first",
      hideCaption: true,
      columns: [
        { label: "Cause", header: true },
        { label: "Found", number: true },
      ],
      rows: [...causes]
        .sort((a, b) => b[1] - a[1])
        .map(([code, n]) => [causeWords(code).label, whole(n)]),
    }),
  );
}

/**
 * @param {Incident} incident
 * @returns {HTMLElement}
 */
function relayTable({ relays }) {
  return h(
    "section",
    null,
    h("h2", null, "Exits", h("span", { class: "badge" }, whole(relays.length))),
    table({
      caption: "Exits of this incident",
      hideCaption: true,
      columns: [
        { label: "Exit", header: true },
        { label: "Address" },
        { label: "Since" },
        { label: "Works again" },
        { label: "Runs failed", number: true },
      ],
      rows: relays
        .slice(0, LISTED)
        .map((relay) => [
          relayLink(relay, null),
          foreign(relay.address, { limit: 45 }),
          timeElement(relay.since),
          relay.left === null ? "no" : timeElement(relay.left),
          whole(relay.failed),
        ]),
    }),
    more(relays.length, "incidents.json"),
  );
}
