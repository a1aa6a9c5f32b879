// Groups of relays: their names, where they lead, and lists of relays by what they share.

import { country } from "../model/countries.js";
import { allGroups, GROUPINGS } from "../model/operators.js";
import { nameOf } from "../model/text.js";
import { causeWords } from "../words.js";
import { foreign, h } from "./dom.js";
import { plural, whole } from "./format.js";
import { growing } from "./growing.js";

/** @import { Relay } from "../data/report.js" */
/** @import { Group, Grouping } from "../model/operators.js" */
/** @import { Context } from "./context.js" */

/** @type {Readonly<Record<Grouping, {by: string, one: string, many: string}>>} */
export const GROUPING_WORDS = Object.freeze({
  operator: { by: "By domain, contact and family", one: "operator", many: "operators" },
  address: { by: "By address", one: "address", many: "addresses" },
  network: { by: "By network", one: "network", many: "networks" },
  country: { by: "By country", one: "country", many: "countries" },
  cause: { by: "By cause", one: "cause", many: "causes" },
});

export const KINDS = Object.freeze({
  domain: "proved domain",
  contact: "contact",
  family: "family without a contact",
  relay: "single relay without a contact",
  address: "address",
  network: "network",
  country: "country",
  cause: "cause",
  unknown: "operator",
});

/**
 * @param {Group} group
 * @returns {string} a stranger's text
 */
export function groupName({ kind, key, name, failing, all }) {
  if (kind === "relay") return nameOf((failing[0] ?? all[0])?.nickname ?? name);
  if (kind === "cause") return causeWords(key === "" ? null : key).label;
  if (key === "") return "unknown";
  if (kind === "network") return `AS${key} ${name}`.trim();
  if (kind === "country") return country(key);
  return name === "" ? "(none)" : name;
}

/**
 * @param {Group} group
 * @returns {Record<string, string>} the choice that shows its relays
 */
export function groupParams({ kind, key, name }) {
  if (kind === "address") return { address: name };
  if (kind === "network" || kind === "country" || kind === "cause") return { [kind]: key || "-" };
  // In reports from before there were operators, a relay does not name its own key.
  return kind === "relay" ? { q: name } : { operator: key };
}

/**
 * Where a group is looked at.
 * @param {Context} context
 * @param {Group} group
 * @returns {string}
 */
export function groupHref(context, group) {
  const operator = ["domain", "contact", "family", "relay", "unknown"].includes(group.kind);
  return operator && group.key !== ""
    ? context.href("operator", { argument: group.key })
    : context.href("relays", { params: { ...groupParams(group), status: "failing" } });
}

/**
 * Links to the same list, grouped in other ways.
 * @param {Grouping} by how it is grouped
 * @param {(by: Grouping) => string} href
 * @param {readonly Grouping[]} [offered]
 * @returns {HTMLElement}
 */
export function groupingLinks(by, href, offered = GROUPINGS) {
  return h(
    "nav",
    { class: "choices", "aria-label": "Grouped by" },
    offered.map((name) =>
      h(
        "a",
        { class: "choice", href: href(name), "aria-current": by === name ? "true" : null },
        GROUPING_WORDS[name].by,
      ),
    ),
  );
}

/** How many groups of a list are shown at first, and how many relays of each. */
const GROUPS = 40;
const RELAYS = 8;

/**
 * A list of relays, grouped.
 * @template {{relay: Relay}} T
 * @param {Context} context
 * @param {{items: readonly T[], by: Grouping, draw: (item: T) => HTMLElement, key: string,
 *   wide?: boolean}} list `draw` makes a relay's line; `key` tells the list from others; `wide`: the
 *   lines have two parts, of which the second is wide
 * @returns {HTMLElement[]}
 */
export function groupedList(context, { items, by, draw, key, wide = false }) {
  /** @type {Map<Relay, T>} */
  const itemOf = new Map(items.map((item) => [item.relay, item]));
  const found = allGroups(itemOf.keys(), by, () => true).sort(
    (a, b) => b.all.length - a.all.length || b.whole - a.whole || (a.key < b.key ? -1 : 1),
  );
  const { list, button } = growing({
    list: h("ul", { class: "group-tree", "data-key": key }),
    items: found,
    draw: (group) => {
      const relays = growing({
        list: h("ul", {
          class: wide ? "relay-list relay-list-2" : "relay-list",
          "data-key": "relays",
        }),
        items: group.all.flatMap((relay) => itemOf.get(relay) ?? []),
        draw,
        first: RELAYS,
        label: `Show all ${whole(group.all.length)}`,
      });
      return h(
        "li",
        { "data-key": group.key },
        h(
          "p",
          { class: "group-tree-head" },
          h("a", { href: groupHref(context, group) }, foreign(groupName(group), { limit: 120 })),
          h("span", { class: "count" }, plural(group.all.length, "relay")),
        ),
        relays.list,
        relays.button,
      );
    },
    first: GROUPS,
    label: `Show all ${plural(found.length, GROUPING_WORDS[by].one, GROUPING_WORDS[by].many)}`,
  });
  return button === null ? [list] : [list, button];
}
