// One operator: all relays that one contact or family answers for, how they fared, and what to write.

import { totalWeight } from "../model/causes.js";
import { country } from "../model/countries.js";
import { allGroups, keyOf } from "../model/operators.js";
import { formatRoute } from "../model/route.js";
import { reportOf } from "../model/runs.js";
import { networkWords } from "../model/search.js";
import { causeWords, FAILING, statusWords } from "../words.js";
import { attribution } from "./attribution.js";
import { badgeBox } from "./badge-box.js";
import { copyButton } from "./buttons.js";
import { fill, foreign, h } from "./dom.js";
import { facts } from "./facts.js";
import { percent, plural, timeElement, whole } from "./format.js";
import { groupName, groupParams, KINDS } from "./groups.js";
import { growing } from "./growing.js";
import { relayLink } from "./links.js";
import { mailBox } from "./mail-box.js";
import { stateElement, statusElement, strip } from "./marks.js";
import { notice, part } from "./part.js";
import { sharedStrip } from "./shared-strip.js";
import { table } from "./table.js";

/** @import { Relay, Report } from "../data/report.js" */
/** @import { Group } from "../model/operators.js" */
/** @import { Child } from "./dom.js" */
/** @import { Context, View } from "./context.js" */

/**
 * @param {Context} context
 * @returns {View}
 */
export function operatorView(context) {
  const wanted = context.route.argument;
  const heading = h("h1", null, "Operator");
  return {
    title: "Operator",
    element: h(
      "div",
      { class: "view view-operator" },
      h("p", { class: "crumbs" }, h("a", { href: context.href("operators") }, "Operators")),
      heading,
      part({
        resource: context.report,
        what: "the report",
        signal: context.signal,
        render: (report) => {
          const relays = report.relays.filter((relay) => keyOf(relay, "operator") === wanted);
          const [group] = allGroups(relays, "operator");
          if (group === undefined) return unknown(wanted);
          fill(heading, foreign(groupName(group), { limit: 200 }));
          return operatorPage(context, report, group);
        },
      }),
    ),
  };
}

/**
 * @param {string} wanted
 * @returns {HTMLElement}
 */
function unknown(wanted) {
  return notice(
    "info",
    "This report has no relay of this operator.",
    h("p", null, "It was asked for as ", foreign(wanted, { limit: 200 }), "."),
    "Its relays may have another contact by now, or are gone.",
  );
}

/** How far what the report says of an operator can be relied on. */
const PROOF = Object.freeze({
  domain:
    "By the domain that these relays name, which names at least one of them in turn: that is proved. Others are here by their family.",
  contact:
    "By the contact that these relays name. Nothing proves it: anybody can write anybody’s. It says whom to ask.",
  family:
    "By the family that these relays form: each side names the other, or they share a family’s key. They name no contact.",
  relay: "This relay names no contact, and is in no family: it stands for itself.",
  unknown: "The report does not say by what these relays belong together.",
});

/**
 * @param {Group} group
 * @returns {Relay} the one with the smallest fingerprint, which stays the longest
 */
function firstOf({ all }) {
  return all.reduce((a, b) => (b.fingerprint < a.fingerprint ? b : a));
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {Group} group
 * @returns {Child[]}
 */
function operatorPage(context, report, group) {
  const href = (/** @type {string | null} */ name) =>
    formatRoute("operator", { argument: group.key, params: { report: name } });
  const lasting = () => {
    const { timestamp, runId } = report.metadata;
    return context.reportName ?? reportOf(context.store.listed, { timestamp, runId });
  };
  return [
    h(
      "p",
      { class: "group-figures" },
      h("span", { class: "tag" }, KINDS[group.kind]),
      " ",
      copyButton("Copy a link", () => new URL(href(lasting()), document.baseURI).href, {
        description: "Copy a link to this operator in this report",
      }),
    ),
    h(
      "div",
      { class: "columns columns-2" },
      h(
        "div",
        null,
        summary(context, report, group),
        h(
          "section",
          { class: "card" },
          h("h2", null, "Their last runs"),
          sharedStrip(context, report, group.all, href),
        ),
        h(
          "section",
          { class: "card" },
          h("h2", null, "What to write"),
          group.failing.length === 0
            ? h("p", null, "No relay of this operator fails in this run.")
            : mailBox(context, report, group),
        ),
        badgeBox("operator", firstOf(group)),
      ),
      h(
        "div",
        null,
        shares(context, group, {
          title: "Why they fail",
          none: "None of them fails.",
          of: group.failing,
          key: (relay) => relay.code ?? relay.status,
          words: (key) => (FAILING.includes(key) ? statusWords(key).label : causeWords(key).label),
          params: (key) => ({ [FAILING.includes(key) ? "status" : "cause"]: key }),
        }),
        shares(context, group, {
          title: "Their addresses",
          none: "None is known.",
          of: group.all,
          key: (relay) => relay.address,
          words: (key) => key,
          params: (key) => ({ address: key }),
        }),
        places(context, group),
      ),
    ),
    relayTable(context, group),
    attribution(report.metadata),
  ];
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {Group} group
 * @returns {HTMLElement}
 */
function summary(context, report, group) {
  const all = totalWeight(report.relays);
  const share = (/** @type {number} */ weight) =>
    all === 0 ? null : `${percent((weight / all) * 100)} of all weight`;
  const degraded = group.all.filter((relay) => relay.degraded).length;
  const unconfirmed = group.failing.filter((relay) => relay.provisional).length;
  return h(
    "section",
    { class: `card verdict kind-${group.failing.length === 0 ? "ok" : "fail"}` },
    h(
      "h2",
      null,
      group.failing.length === 0
        ? `None of ${plural(group.all.length, "relay")} fails`
        : `${whole(group.failing.length)} of ${plural(group.all.length, "relay")} ${group.failing.length === 1 ? "fails" : "fail"}`,
    ),
    facts([
      ["Not confirmed", unconfirmed === 0 ? null : plural(unconfirmed, "failure")],
      ["Degraded", degraded === 0 ? null : plural(degraded, "relay")],
      ["Failing weight", group.failing.length === 0 ? null : share(group.weight)],
      ["Their weight", share(group.whole)],
      ["Failing since", group.since === null ? null : timeElement(group.since)],
      ["Failing longest", group.longest === 0 ? null : `${plural(group.longest, "run")} in a row`],
      ["Outages", `${whole(group.outages)} in the last 60 runs, each relay’s counted by itself`],
      ["Who that is", PROOF[/** @type {keyof typeof PROOF} */ (group.kind)] ?? null],
      ["Domains", domains(group)],
      [
        "Contact as written",
        group.contact === null ? null : foreign(group.contact, { class: "contact", limit: 600 }),
      ],
      [
        "In the table",
        h(
          "a",
          { href: context.href("relays", { params: groupParams(group) }) },
          `all ${plural(group.all.length, "relay")}`,
        ),
      ],
    ]),
  );
}

/** How many domains are named. */
const DOMAINS = 5;

/**
 * The domains that the relays name, and for how many of them that is proved.
 * @param {Group} group
 * @returns {Child[] | null} null where none is named
 */
function domains(group) {
  /** @type {Map<string, {all: number, proved: number}>} */
  const found = new Map();
  for (const { domain } of group.all) {
    if (domain === null) continue;
    const one = found.get(domain.name) ?? { all: 0, proved: 0 };
    one.all += 1;
    if (domain.proved) one.proved += 1;
    found.set(domain.name, one);
  }
  if (found.size === 0) return null;
  const sorted = [...found].sort((a, b) => b[1].proved - a[1].proved || b[1].all - a[1].all);
  const rest = sorted.length - DOMAINS;
  return [
    sorted
      .slice(0, DOMAINS)
      .flatMap(([name, { all, proved }], i) => [
        i === 0 ? null : h("br"),
        foreign(name, { limit: 250 }),
        proved === all
          ? `, proved for ${plural(all, "relay")}`
          : proved === 0
            ? ", not proved: anybody can write that"
            : `, proved for ${whole(proved)} of ${plural(all, "relay")}`,
      ]),
    rest > 0 ? [h("br"), `and ${plural(rest, "other")}`] : [],
  ].flat();
}

/** How many lines such a list has. */
const SHARES = 12;

/**
 * How often each value is there.
 * @param {Context} context
 * @param {Group} group
 * @param {{title: string, none: string, of: readonly Relay[], key: (relay: Relay) => string,
 *   words: (key: string) => string, params: (key: string) => Record<string, string>}} what
 * @returns {HTMLElement}
 */
function shares(context, group, { title, none, of, key, words, params }) {
  /** @type {Map<string, number>} */
  const found = new Map();
  for (const relay of of) found.set(key(relay), (found.get(key(relay)) ?? 0) + 1);
  found.delete("");
  const sorted = [...found].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const { list, button } = growing({
    list: h("ul", { class: "relay-list relay-list-pairs", "data-key": title }),
    items: sorted,
    draw: ([value, n]) =>
      h(
        "li",
        null,
        h(
          "span",
          { class: "relay-list-name" },
          h(
            "a",
            {
              href: context.href("relays", { params: { ...groupParams(group), ...params(value) } }),
            },
            foreign(words(value), { limit: 100 }),
          ),
        ),
        h("span", { class: "count" }, plural(n, "relay")),
      ),
    first: SHARES,
    label: `Show all ${whole(sorted.length)}`,
  });
  return h(
    "section",
    { class: "card" },
    h("h2", null, title),
    sorted.length === 0 ? h("p", null, none) : list,
    button,
  );
}

/**
 * @param {Context} context
 * @param {Group} group
 * @returns {HTMLElement | null} null where the report says nothing of networks
 */
function places(context, group) {
  const names = new Map(
    group.all.map((relay) => [String(relay.asNumber ?? ""), networkWords(relay)]),
  );
  if (group.all.every((relay) => relay.asNumber === null && relay.country === null)) return null;
  const known = group.all.some((relay) => relay.asNumber !== null);
  return known
    ? shares(context, group, {
        title: "Their networks",
        none: "None is known.",
        of: group.all,
        key: (relay) => String(relay.asNumber ?? ""),
        words: (key) => names.get(key) ?? `AS${key}`,
        params: (key) => ({ network: key }),
      })
    : shares(context, group, {
        title: "Their countries",
        none: "None is known.",
        of: group.all,
        key: (relay) => relay.country ?? "",
        words: (key) => country(key),
        params: (key) => ({ country: key }),
      });
}

/** How many relays the table shows at first. */
const RELAYS = 60;

/**
 * @param {Context} context
 * @param {Group} group
 * @returns {HTMLElement}
 */
function relayTable(context, group) {
  const rest = group.all
    .filter((relay) => !group.failing.includes(relay))
    .sort((a, b) => Number(b.degraded) - Number(a.degraded) || (b.weight ?? 0) - (a.weight ?? 0));
  const shown = [...group.failing, ...rest];
  const row = (/** @type {Relay} */ relay) => {
    const runs = strip(60);
    runs.set(relay.recent);
    return [
      relayLink(relay, context.reportName),
      statusElement(relay.status, relay.provisional),
      stateElement(relay.state, relay.degraded),
      relay.failures === 0 ? "" : plural(relay.failures, "run"),
      runs.element,
      foreign(relay.address, { limit: 60 }),
      whole(relay.weight),
    ];
  };
  return h(
    "section",
    { class: "card" },
    h("h2", null, "Their relays"),
    table({
      caption: "The operator’s relays, failing ones first",
      hideCaption: true,
      columns: [
        { label: "Relay", header: true },
        { label: "Status" },
        { label: "State" },
        { label: "Failing" },
        { label: "Last 60 runs" },
        { label: "Address" },
        { label: "Weight", number: true },
      ],
      rows: shown.slice(0, RELAYS).map(row),
    }),
    shown.length > RELAYS
      ? h(
          "p",
          { class: "more" },
          h(
            "a",
            { href: context.href("relays", { params: groupParams(group) }) },
            `All ${plural(shown.length, "relay")}`,
          ),
        )
      : null,
  );
}
