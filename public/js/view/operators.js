// Failing relays by who can repair them, or by what they share, with the words to tell operators.

import { totalWeight } from "../model/causes.js";
import { isConfirmed } from "../model/mail.js";
import { GROUP_SORTS, groupingOf, groupSortOf, groups } from "../model/operators.js";
import { everyWeek, weekOnWeek } from "../model/recurrence.js";
import { causeWords, FAILING, statusWords } from "../words.js";
import { attribution } from "./attribution.js";
import { perWeek } from "./context.js";
import { fill, foreign, h } from "./dom.js";
import { percent, plural, timeElement, whole } from "./format.js";
import {
  GROUPING_WORDS,
  groupHref,
  groupingLinks,
  groupName,
  groupParams,
  KINDS,
} from "./groups.js";
import { growing } from "./growing.js";
import { redraw } from "./keep.js";
import { relayLink } from "./links.js";
import { mailBox } from "./mail-box.js";
import { statusElement } from "./marks.js";
import { part } from "./part.js";

/** @import { Relay, Report } from "../data/report.js" */
/** @import { Group, Grouping, GroupSort } from "../model/operators.js" */
/** @import { Context, View } from "./context.js" */

/** How many groups are shown at first, and more with each press of the button. */
const STEP = 25;

/** How many relays a group shows before "show all". */
const RELAYS = 12;

/** @type {Readonly<Record<GroupSort, string>>} */
const SORT_WORDS = Object.freeze({
  relays: "most failing relays",
  weight: "most weight",
  duration: "failing longest",
  recurrence: "most outages a relay",
});

/**
 * What a reader chose.
 * @typedef {object} Chosen
 * @property {Grouping} by
 * @property {GroupSort} sort
 * @property {boolean} confirmed only failures that are a fact, and not our own fault
 * @property {boolean} weeks only relays that fail every week
 */

/**
 * @param {Readonly<Record<string, string>>} params
 * @returns {Chosen}
 */
function chosenOf(params) {
  return {
    by: groupingOf(params.by),
    sort: groupSortOf(params.sort),
    confirmed: params.confirmed === "yes",
    weeks: params.again === "weeks",
  };
}

/**
 * @param {Chosen} chosen
 * @returns {Record<string, string>} without what is chosen anyway
 */
function paramsOf({ by, sort, confirmed, weeks }) {
  return {
    ...(by === "operator" ? {} : { by }),
    ...(sort === "relays" ? {} : { sort }),
    ...(confirmed ? { confirmed: "yes" } : {}),
    ...(weeks ? { again: "weeks" } : {}),
  };
}

/** What has to be said of a grouping. @type {Readonly<Record<Grouping, string>>} */
const HINTS = Object.freeze({
  operator:
    "A contact proves nothing, as anybody can write anybody’s: it says whom to ask, not who it is.",
  address: "Relays on one address share one resolver mostly.",
  network: "Where many of one network fail, its resolver or its firewall is the first suspect.",
  country: "Where many of one country fail, what they have in common is often a provider.",
  cause: "What each cause means, and what to do, is on the page of the causes.",
});

/**
 * @param {Context} context
 * @returns {View}
 */
export function operatorsView(context) {
  let chosen = chosenOf(context.route.params);
  const box = h("div", { class: "part-content" });
  /** @type {Report | null} */
  let report = null;
  const draw = () => {
    const now = report;
    if (now !== null) redraw(box, () => groupList(context, now, chosen));
  };
  const links = h("div", null);
  const hint = h("p", { class: "hint" });
  const form = controls((changed) => {
    chosen = { ...chosen, ...changed };
    context.replace(
      context.reportName === null
        ? paramsOf(chosen)
        : { ...paramsOf(chosen), report: context.reportName },
    );
    show();
  });
  const show = () => {
    fill(
      links,
      groupingLinks(chosen.by, (by) =>
        context.href("operators", { params: paramsOf({ ...chosen, by }) }),
      ),
    );
    hint.textContent = HINTS[chosen.by];
    form.set(chosen);
    draw();
  };
  show();
  // How many runs a week has is known better then.
  context.store.trends.watch(draw, context.signal);
  return {
    title: "Operators",
    element: h(
      "div",
      { class: "view" },
      h("h1", null, "Operators"),
      h(
        "p",
        null,
        "Relays whose DNS fails, grouped by who can repair them, or by what they share.",
      ),
      links,
      form.element,
      hint,
      part({
        resource: context.report,
        what: "the report",
        signal: context.signal,
        render: (value) => {
          report = value;
          draw();
          return box;
        },
      }),
    ),
    update: (route) => {
      chosen = chosenOf(route.params);
      show();
    },
  };
}

/**
 * @param {(changed: Partial<Chosen>) => void} change
 * @returns {{element: HTMLElement, set: (chosen: Chosen) => void}}
 */
function controls(change) {
  const sort = h(
    "select",
    null,
    Object.keys(GROUP_SORTS).map((name) =>
      h("option", { value: name }, SORT_WORDS[/** @type {GroupSort} */ (name)]),
    ),
  );
  sort.addEventListener("change", () => change({ sort: groupSortOf(sort.value) }));
  const confirmed = h("input", { type: "checkbox" });
  confirmed.addEventListener("change", () => change({ confirmed: confirmed.checked }));
  const weeks = h("input", { type: "checkbox" });
  weeks.addEventListener("change", () => change({ weeks: weeks.checked }));
  return {
    element: h(
      "form",
      { class: "group-controls", "aria-label": "Order and choice" },
      h("label", { class: "field" }, h("span", { class: "field-label" }, "Sorted by"), sort),
      h("label", { class: "check" }, confirmed, "confirmed only"),
      h("label", { class: "check" }, weeks, "the same ones every week"),
    ),
    set: (chosen) => {
      sort.value = chosen.sort;
      confirmed.checked = chosen.confirmed;
      weeks.checked = chosen.weeks;
    },
  };
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {Chosen} chosen
 * @returns {(HTMLElement | null)[]}
 */
function groupList(context, report, { by, sort, confirmed, weeks }) {
  const week = perWeek(context.store, report);
  const fails = (/** @type {Relay} */ relay) =>
    (weeks ? everyWeek(relay.recent, week) : FAILING.includes(relay.status)) &&
    (!confirmed || (weeks && relay.status === "success") || isConfirmed(relay));
  const all = groups(report.relays, by, { sort, fails });
  const weight = totalWeight(report.relays);
  const words = GROUPING_WORDS[by];
  const { list, button } = growing({
    list: h("ol", { class: "group-list", "data-key": "groups" }),
    items: all,
    draw: (group) =>
      h("li", { "data-key": group.key }, groupCard(context, report, group, { weight, weeks })),
    first: STEP,
    step: STEP,
    label: "Show more",
  });
  return [
    weeks ? recurrenceWords(report, week) : null,
    h(
      "p",
      { class: "hint", role: "status" },
      all.length === 0
        ? weeks
          ? "No exit failed in each week that its last runs reach back."
          : "No exit’s DNS failed in this run."
        : `${plural(all.length, words.one, words.many)} with ${weeks ? "relays that fail every week" : "failing relays"}.`,
    ),
    all.length === 0 ? null : list,
    button,
    by === "network" || by === "country" ? attribution(report.metadata) : null,
  ];
}

/**
 * Is it the same ones each week?
 * @param {Report} report
 * @param {number} week how many runs a week has
 * @returns {HTMLElement}
 */
export function recurrenceWords(report, week) {
  const found = weekOnWeek(report.relays, week);
  if (found === null) {
    return h("p", null, "The last runs do not reach back two weeks yet: nothing can be said.");
  }
  return h(
    "p",
    null,
    `${plural(found.now, "exit")} failed within the last 7 days, ${whole(found.before)} in the 7 days before: `,
    h("strong", null, `${whole(found.both)} of them in both`),
    ".",
  );
}

/**
 * @param {Group} group
 * @returns {string[]} in words, the most frequent first
 */
export function causesOf(group) {
  /** @type {Map<string, number>} */
  const found = new Map();
  for (const { code, status } of group.failing) {
    if (status === "success") continue;
    const words = code === null ? statusWords(status).label : causeWords(code).label;
    found.set(words, (found.get(words) ?? 0) + 1);
  }
  return [...found].sort((a, b) => b[1] - a[1]).map(([words]) => words);
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {Group} group
 * @param {{weight: number, weeks: boolean}} of the weight of all relays; whether the group's relays
 *   fail every week, rather than now
 * @returns {HTMLElement}
 */
function groupCard(context, report, group, { weight, weeks }) {
  const unconfirmed = group.failing.filter((relay) => relay.provisional).length;
  const relays = growing({
    list: h("ul", { class: "relay-list", "data-key": "relays" }),
    items: group.failing,
    draw: (relay) =>
      h(
        "li",
        null,
        h("span", { class: "relay-list-name" }, relayLink(relay, context.reportName)),
        statusElement(relay.status, relay.provisional),
        h("span", { class: "count" }, relay.failures > 0 ? plural(relay.failures, "run") : ""),
      ),
    first: RELAYS,
    label: `Show all ${whole(group.failing.length)}`,
  });
  const verb = group.failing.length === 1 ? " fails" : " fail";
  const operator = ["contact", "family", "relay", "unknown"].includes(group.kind);
  return h(
    "article",
    { class: "card group" },
    h(
      "h2",
      { tabindex: "-1" },
      h("a", { href: groupHref(context, group) }, foreign(groupName(group), { limit: 200 })),
    ),
    h(
      "p",
      { class: "group-figures" },
      h("span", { class: "tag" }, KINDS[group.kind]),
      " ",
      h("strong", null, `${whole(group.failing.length)} of ${plural(group.all.length, "relay")}`),
      weeks ? `${verb} every week` : verb,
      unconfirmed === 0 ? null : ` (${whole(unconfirmed)} of them not confirmed)`,
      weight === 0 ? null : `, ${percent((group.weight / weight) * 100)} of all weight`,
      group.since === null ? null : [", since ", timeElement(group.since)],
      " – ",
      h("a", { href: context.href("relays", { params: groupParams(group) }) }, "all of them"),
    ),
    h("p", null, foreign(causesOf(group).slice(0, 4).join("; "), { limit: 300 })),
    operator && group.contact !== null
      ? h(
          "p",
          { class: "contact-line" },
          h("span", { class: "hint" }, "Contact as written: "),
          foreign(group.contact, { class: "contact", limit: 400 }),
        )
      : null,
    relays.list,
    relays.button,
    operator || group.kind === "address" ? mailBox(context, report, group) : null,
  );
}
