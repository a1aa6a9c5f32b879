// All relays: search, filters, sorting, export. What was chosen is in the address.

import { toCsv, toJson } from "../model/export.js";
import { choiceOf, DEFAULT_SORT, FILTERS, facets, NONE } from "../model/relays.js";
import { nameOf, visible } from "../model/text.js";
import { blameWords, causeWords, stateWords, statusWords } from "../words.js";
import { saveButton } from "./buttons.js";
import { indexOf } from "./context.js";
import { fill, foreign, h } from "./dom.js";
import { compact, country, MISSING, ms, percent, plural, whole } from "./format.js";
import { Grid } from "./grid.js";
import { relayHref } from "./links.js";
import { stateMark, statusMark, strip } from "./marks.js";
import { part } from "./part.js";

/** @import { Relay, Report } from "../data/report.js" */
/** @import { Choice } from "../model/relays.js" */
/** @import { GridColumn } from "./grid.js" */
/** @import { Context, View } from "./context.js" */

/** How long after the last key the address changes: browsers limit how often it may. */
const ADDRESS_MS = 300;

/** Where somebody was in a list, by its address: for the way back from a relay's page. */
const places = new Map();

/**
 * @param {Context} context
 * @returns {View}
 */
export function relaysView(context) {
  /** @type {((params: Readonly<Record<string, string>>) => void) | null} */
  let update = null;
  return {
    title: "Relays",
    element: h(
      "div",
      { class: "view view-relays" },
      h("h1", null, "Relays"),
      part({
        resource: context.report,
        what: "the report",
        signal: context.signal,
        render: (report) => {
          const list = relayTable(context, report);
          update = list.update;
          return list.element;
        },
      }),
    ),
    update: (route) => update?.(route.params),
  };
}

/**
 * @param {Context} context
 * @param {Report} report
 * @returns {{element: HTMLElement, update: (params: Readonly<Record<string, string>>) => void}}
 */
function relayTable(context, report) {
  const index = indexOf(report);
  let choice = choiceOf(context.route.params);
  /** @type {readonly Relay[]} */
  let shown = [];
  let timer = 0;
  let frame = 0;
  const count = h("p", { class: "relay-count", role: "status" });
  const grid = new Grid({
    label: "Relays",
    columns: columns(context),
    open: (/** @type {Relay} */ relay) => {
      if (relay.valid) location.hash = relayHref(relay.fingerprint, context.reportName);
    },
    sort: (sort) => choose({ ...choice, sort }),
    empty: "No relay fits. Take a filter away, or search for less.",
    signal: context.signal,
  });
  const form = controls(report, (changed) => choose({ ...choice, ...changed }));

  const paramsOf = () => {
    /** @type {Record<string, string>} */
    const params = {};
    for (const name of FILTERS) if (choice[name] !== "") params[name] = choice[name];
    if (choice.sort !== DEFAULT_SORT) params.sort = choice.sort;
    return params;
  };
  const draw = () => {
    shown = index.select(choice);
    grid.setItems(shown, choice.sort);
    const all = report.relays.length;
    count.textContent =
      shown.length === all
        ? plural(all, "relay")
        : `${whole(shown.length)} of ${plural(all, "relay")}`;
    form.set(choice);
  };
  const address = () => {
    const params = paramsOf();
    context.replace(
      context.reportName === null ? params : { ...params, report: context.reportName },
    );
  };
  const choose = (/** @type {Choice} */ next) => {
    choice = next;
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(draw);
    clearTimeout(timer);
    timer = window.setTimeout(address, ADDRESS_MS);
  };
  const keep = () => {
    if (places.size > 50) places.clear();
    places.set(JSON.stringify(paramsOf()), grid.place());
  };
  context.signal.addEventListener(
    "abort",
    () => {
      clearTimeout(timer);
      cancelAnimationFrame(frame);
      keep();
    },
    { once: true },
  );
  draw();
  const place = places.get(JSON.stringify(paramsOf()));
  if (place !== undefined) requestAnimationFrame(() => grid.restore(place));
  const stem = () =>
    `exits_${report.metadata.timestamp === null ? "report" : new Date(report.metadata.timestamp).toISOString().slice(0, 16).replace(/:/g, "-")}`;
  return {
    element: h(
      "div",
      { class: "relays" },
      form.element,
      h(
        "div",
        { class: "relay-bar" },
        count,
        h(
          "div",
          { class: "relay-export" },
          saveButton("Save as CSV", "text/csv;charset=utf-8", () => ({
            name: `${stem()}.csv`,
            text: toCsv(shown),
          })),
          saveButton("Save as JSON", "application/json", () => ({
            name: `${stem()}.json`,
            text: toJson(shown, report.metadata, paramsOf()),
          })),
        ),
      ),
      grid.box,
      h(
        "p",
        { class: "hint screen-only" },
        "In the table: arrow keys, Page Up and Down, Home and End move, Enter opens a relay. The strip is the last 60 runs, the newest at the right: low is working, high is failing, a gap is not reached, a dot is without a result.",
      ),
    ),
    update: (params) => {
      choice = choiceOf(params);
      draw();
    },
  };
}

/**
 * A cell with a text.
 * @param {(relay: Relay) => string} get
 * @returns {() => {element: HTMLElement, set: (relay: Relay) => void}}
 */
function textCell(get) {
  return () => {
    const element = h("bdi", null);
    return {
      element,
      set: (relay) => {
        element.textContent = get(relay);
      },
    };
  };
}

/**
 * @param {Context} context
 * @returns {GridColumn<Relay>[]}
 */
function columns(context) {
  return [
    {
      key: "name",
      label: "Relay",
      sort: "nickname",
      make: () => {
        const name = h("bdi", null);
        const link = h("a", { class: "grid-link", tabindex: "-1" }, name);
        return {
          element: link,
          set: (relay) => {
            name.textContent = nameOf(relay.nickname);
            if (relay.valid) {
              link.setAttribute("href", relayHref(relay.fingerprint, context.reportName));
            } else link.removeAttribute("href");
          },
        };
      },
    },
    {
      key: "fingerprint",
      label: "Fingerprint",
      sort: "fingerprint",
      make: textCell((relay) => visible(relay.fingerprint, 60)),
    },
    {
      key: "status",
      label: "Status",
      sort: "status",
      make: () => {
        const mark = statusMark();
        return {
          element: mark.element,
          set: (relay) => mark.set(relay.status, relay.provisional),
        };
      },
    },
    {
      key: "cause",
      label: "Cause",
      sort: "cause",
      make: textCell((relay) =>
        relay.code === null ? "" : visible(causeWords(relay.code).label, 80),
      ),
    },
    {
      key: "state",
      label: "State",
      sort: "state",
      make: () => {
        const mark = stateMark();
        return { element: mark.element, set: (relay) => mark.set(relay.state ?? "") };
      },
    },
    {
      key: "failures",
      label: "Failing",
      title: "Runs in a row that found its DNS failing",
      sort: "failures",
      down: true,
      make: textCell((relay) => (relay.failures === 0 ? "" : plural(relay.failures, "run"))),
    },
    {
      key: "recent",
      label: "Last 60 runs",
      sort: null,
      make: () => {
        const made = strip(60);
        return { element: made.element, set: (relay) => made.set(relay.recent) };
      },
    },
    {
      key: "rate",
      label: "7 days",
      title: "Successes among the tests of the last 7 days",
      sort: "rate",
      make: textCell((relay) => percent(relay.rate7)),
    },
    {
      key: "latency",
      label: "Resolve",
      title: "Resolve time",
      sort: "latency",
      down: true,
      make: textCell((relay) => ms(relay.latency)),
    },
    {
      key: "weight",
      label: "Weight",
      title: "Consensus weight",
      sort: "weight",
      down: true,
      make: textCell((relay) => compact(relay.weight)),
    },
    {
      key: "country",
      label: "Country",
      sort: "country",
      make: textCell((relay) => (relay.country === null ? MISSING : country(relay.country))),
    },
    {
      key: "address",
      label: "Address",
      sort: "address",
      make: textCell((relay) => visible(relay.address, 60)),
    },
  ];
}

/** What the narrow table, which has no heads of columns, can be sorted by. */
const SORT_LABELS = Object.freeze({
  "-failures": "failing longest first",
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
 * Search and filters.
 * @param {Report} report
 * @param {(changed: Partial<Choice>) => void} change
 * @returns {{element: HTMLElement, set: (choice: Choice) => void}}
 */
function controls(report, change) {
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
            h("option", { value }, visible(name === "sort" ? value : `${value} (0)`, 60)),
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
