// Search, filters and order of the table of relays.

import { country } from "../model/countries.js";
import { failing } from "../model/health.js";
import { CONFIRMED, choiceOf, DEFAULT_SORT, FILTERS, NONE } from "../model/relays.js";
import { visible } from "../model/text.js";
import {
  blameWords,
  causeWords,
  DEGRADED,
  DEGRADED_WORDS,
  PUBLIC_RESOLVERS,
  RESOLVER_KINDS,
  stateWords,
  statusWords,
} from "../words.js";
import { fill, foreign, h } from "./dom.js";
import { whole } from "./format.js";

/** @import { Choice, Facets, Menu } from "../model/relays.js" */

/** What the narrow table, which has no heads of columns, can be sorted by. */
const SORT_LABELS = Object.freeze({
  "-failures": "failing longest first",
  failures: "fewest failing runs first",
  status: "status",
  cause: "cause",
  state: "state",
  nickname: "name",
  "-outages": "most outages first",
  "-lookups": "lookups that fail, most first",
  "-weight": "weight, heaviest first",
  "-latency": "slowest first",
  rate: "worst of 7 days first",
  country: "country",
  network: "network",
  resolver: "resolver, nearest first",
  operator: "operator",
  address: "address",
  fingerprint: "fingerprint",
});

/**
 * @param {string} sort one that has no words of its own
 * @returns {string}
 */
function sortWords(sort) {
  const key = sort.replace(/^-/, "");
  const words = Object.entries(SORT_LABELS).find(([known]) => known.replace(/^-/, "") === key);
  return `${(words?.[1] ?? key).replace(/, .*| first$/, "")}, the other way round`;
}

/**
 * @typedef {object} Controls
 * @property {HTMLElement} element
 * @property {(choice: Choice) => void} set shows what is chosen
 * @property {(values: Facets, networks: ReadonlyMap<string, string>) => void} offer fills the menus
 *   with what a report has; `networks` are names by number
 * @property {(counts: Facets) => void} count says how many relays each value would show
 */

/**
 * Search and filters.
 * @param {(changed: Partial<Choice>) => void} change
 * @returns {Controls}
 */
export function controls(change) {
  const search = h("input", {
    type: "search",
    id: "relay-search",
    placeholder: "name, fingerprint, 198.51.100.0/24, AS680, country, cause …",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    maxlength: 200,
  });
  search.addEventListener("input", () => change({ q: search.value.trim() }));
  /** @type {Map<keyof Choice, HTMLSelectElement>} */
  const selects = new Map();
  /** The words of each menu's values, without their numbers. @type {Map<Menu, (value: string) => string>} */
  const menus = new Map();
  const label = (/** @type {string} */ text, /** @type {HTMLElement} */ control) =>
    h("label", { class: "field" }, h("span", { class: "field-label" }, text), control);
  /**
   * @param {keyof Choice} name
   * @param {string} text
   * @param {[string, string][]} options
   * @returns {HTMLElement}
   */
  const select = (name, text, options) => {
    const element = h(
      "select",
      null,
      options.map(([value, words]) => h("option", { value }, visible(words, 60))),
    );
    element.addEventListener("change", () => change({ [name]: element.value }));
    selects.set(name, element);
    return label(text, element);
  };
  /**
   * A menu of what there is; its values come with the report.
   * @param {Menu} name
   * @param {string} text
   * @param {(value: string) => string} words
   * @returns {HTMLElement}
   */
  const menu = (name, text, words) => {
    menus.set(name, words);
    return select(name, text, []);
  };
  const orNone =
    (/** @type {(value: string) => string} */ words) => (/** @type {string} */ value) =>
      value === NONE ? "none" : words(value);
  /** @type {ReadonlyMap<string, string>} */
  let names = new Map();
  const chosen = h("p", { class: "chosen", hidden: true });
  const filters = h(
    "div",
    { class: "filters" },
    menu("status", "Status", (value) => statusWords(value).label),
    menu(
      "cause",
      "Cause",
      orNone((value) => causeWords(value).label),
    ),
    menu(
      "blame",
      "Fault lies with",
      orNone((value) => blameWords(value).label),
    ),
    menu(
      "state",
      "State",
      orNone((value) => (value === DEGRADED ? DEGRADED_WORDS : stateWords(value)).label),
    ),
    menu("flag", "Flag", (value) => value),
    menu("country", "Country", (value) => (value === NONE ? "unknown" : country(value))),
    menu("network", "Network", (value) =>
      value === NONE ? "unknown" : `AS${value} ${names.get(value) ?? ""}`.trim(),
    ),
    menu("resolver", "Resolver", (value) =>
      value === NONE
        ? "not seen"
        : (RESOLVER_KINDS.get(value)?.label ?? PUBLIC_RESOLVERS.get(value) ?? value),
    ),
    select("validates", "DNSSEC", [
      ["", "any"],
      ["yes", "validated"],
      ["no", "not validated"],
    ]),
    select("ipv6", "IPv6", [
      ["", "any"],
      ["yes", "has an address"],
      ["no", "has none"],
      ["exit", "exits over IPv6"],
      ["noexit", "does not exit over it"],
    ]),
    select("again", "Again and again", [
      ["", "any"],
      ["weeks", "fails every week"],
      ["outages", "two outages or more"],
    ]),
    select("sort", "Sorted by", Object.entries(SORT_LABELS)),
  );
  const clear = h("button", { type: "reset", class: "button" }, "Clear");
  const element = h(
    "form",
    { class: "controls", role: "search", "aria-label": "Relays" },
    h(
      "div",
      { class: "search-row" },
      h(
        "label",
        { class: "field field-search", for: "relay-search" },
        h("span", { class: "field-label" }, "Search"),
        search,
      ),
      clear,
    ),
    h("details", { class: "filter-box" }, h("summary", null, "Filters and order"), filters),
    chosen,
  );
  const details = element.querySelector("details");
  if (details !== null && matchMedia("(min-width: 48rem)").matches) details.open = true;
  element.addEventListener("submit", (event) => event.preventDefault());
  element.addEventListener("reset", (event) => {
    event.preventDefault();
    // Which columns are shown is no filter.
    const { columns: _, ...nothing } = choiceOf({});
    change(nothing);
    search.focus();
  });
  return {
    element,
    offer: (values, networks) => {
      names = networks;
      for (const [name, words] of menus) offer(selects.get(name), name, values[name], words);
    },
    count: (counts) => {
      for (const [name, words] of menus) recount(selects.get(name), name, counts[name], words);
    },
    set: (choice) => {
      // The reader's own blanks stay while they type.
      if (search.value.trim() !== choice.q) search.value = choice.q;
      for (const [name, control] of selects) {
        const value = choice[name];
        if (![...control.options].some((option) => option.value === value)) {
          const words = name === "sort" ? sortWords(value) : `${value} (0)`;
          control.append(h("option", { value }, visible(words, 60)));
        }
        control.value = value;
      }
      const anything = FILTERS.some((name) => choice[name] !== "");
      clear.hidden = !anything && choice.sort === DEFAULT_SORT;
      // These come by links, and have no control of their own.
      const parts = [
        choice.through === "" ? null : ["resolved by AS", foreign(choice.through, { limit: 20 })],
        choice.operator === "" ? null : ["operator ", foreign(choice.operator, { limit: 100 })],
        choice.address === "" ? null : ["address ", foreign(choice.address, { limit: 100 })],
      ].filter((part) => part !== null);
      chosen.hidden = parts.length === 0;
      fill(
        chosen,
        "Only ",
        parts.flatMap((part, i) => (i === 0 ? part : [" and ", ...part])),
      );
    },
  };
}

/** The value of the menu of statuses that stands for several. */
const FAILING_VALUE = "failing";

/**
 * Fills a menu; what is chosen in it stays.
 * @param {HTMLSelectElement | undefined} menu
 * @param {Menu} name
 * @param {ReadonlyMap<string, number>} values
 * @param {(value: string) => string} words
 */
function offer(menu, name, values, words) {
  if (menu === undefined) return;
  const chosen = menu.value;
  const all = [
    ...(name === "status" ? [FAILING_VALUE, CONFIRMED] : []),
    ...[...values.keys()].filter((value) => name !== "status" || value !== CONFIRMED),
  ];
  fill(
    menu,
    h("option", { value: "" }, "any"),
    all.map((value) => h("option", { value })),
  );
  recount(menu, name, values, words);
  if ([...menu.options].some((option) => option.value === chosen)) menu.value = chosen;
}

/**
 * @param {HTMLSelectElement | undefined} menu
 * @param {Menu} name
 * @param {ReadonlyMap<string, number>} counts
 * @param {(value: string) => string} words
 */
function recount(menu, name, counts, words) {
  for (const option of menu?.options ?? []) {
    const { value } = option;
    if (value === "") continue;
    const text =
      value === FAILING_VALUE
        ? `all that fail (${whole(failing(counts))})`
        : visible(
            `${name === "status" && value === CONFIRMED ? "fail, confirmed" : words(value)} (${whole(counts.get(value) ?? 0)})`,
            60,
          );
    if (option.text !== text) option.textContent = text;
  }
}
