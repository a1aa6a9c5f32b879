// Search, filters and order of the table of relays.

import { choiceOf, DEFAULT_SORT, FILTERS, facets, NONE } from "../model/relays.js";
import { visible } from "../model/text.js";
import { blameWords, causeWords, stateWords, statusWords } from "../words.js";
import { fill, foreign, h } from "./dom.js";
import { country, whole } from "./format.js";

/** @import { Report } from "../data/report.js" */
/** @import { Choice } from "../model/relays.js" */

/** What the narrow table, which has no heads of columns, can be sorted by. */
const SORT_LABELS = Object.freeze({
  "-failures": "failing longest first",
  failures: "fewest failing runs first",
  status: "status",
  cause: "cause",
  state: "state",
  nickname: "name",
  "-weight": "weight, heaviest first",
  "-latency": "slowest first",
  rate: "worst of 7 days first",
  country: "country",
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
 * Search and filters.
 * @param {Report} report
 * @param {(changed: Partial<Choice>) => void} change
 * @returns {{element: HTMLElement, set: (choice: Choice) => void}}
 */
export function controls(report, change) {
  const values = facets(report.relays);
  const search = h("input", {
    type: "search",
    id: "relay-search",
    placeholder: "fingerprint, name, address, contact …",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    maxlength: 200,
  });
  search.addEventListener("input", () => change({ q: search.value.trim() }));
  /** @type {Map<keyof Choice, HTMLSelectElement>} */
  const selects = new Map();
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
   * @param {ReadonlyMap<string, number>} map
   * @param {(value: string) => string} words
   * @returns {[string, string][]}
   */
  const options = (map, words) => [
    ["", "any"],
    ...[...map].map(
      ([value, n]) => /** @type {[string, string]} */ ([value, `${words(value)} (${whole(n)})`]),
    ),
  ];
  const orNone =
    (/** @type {(value: string) => string} */ words) => (/** @type {string} */ value) =>
      value === NONE ? "none" : words(value);
  const statuses = options(values.status, (value) => statusWords(value).label);
  statuses.splice(1, 0, ["failing", "all that fail"]);
  const chosen = h("p", { class: "chosen", hidden: true });
  const filters = h(
    "div",
    { class: "filters" },
    select("status", "Status", statuses),
    select(
      "cause",
      "Cause",
      options(
        values.cause,
        orNone((value) => causeWords(value).label),
      ),
    ),
    select(
      "blame",
      "Fault lies with",
      options(
        values.blame,
        orNone((value) => blameWords(value).label),
      ),
    ),
    select(
      "state",
      "State",
      options(
        values.state,
        orNone((value) => stateWords(value).label),
      ),
    ),
    select(
      "flag",
      "Flag",
      options(values.flag, (value) => value),
    ),
    select(
      "country",
      "Country",
      options(values.country, (value) => (value === NONE ? "unknown" : country(value))),
    ),
    select("ipv6", "IPv6", [
      ["", "any"],
      ["yes", "has an address"],
      ["no", "has none"],
      ["exit", "exits over IPv6"],
      ["noexit", "does not exit over it"],
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
    change(choiceOf({}));
    search.focus();
  });
  return {
    element,
    set: (choice) => {
      // The reader's own blanks stay while they type.
      if (search.value.trim() !== choice.q) search.value = choice.q;
      for (const [name, control] of selects) {
        const value = choice[name];
        if (![...control.options].some((option) => option.value === value)) {
          control.append(
            h(
              "option",
              { value },
              visible(name === "sort" ? sortWords(value) : `${value} (0)`, 60),
            ),
          );
        }
        control.value = value;
      }
      const anything = FILTERS.some((name) => choice[name] !== "");
      clear.hidden = !anything && choice.sort === DEFAULT_SORT;
      // These two come by links, and have no control of their own.
      const parts = [
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
