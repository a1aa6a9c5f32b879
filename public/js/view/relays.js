// All relays: search, filters, sorting, export. What was chosen is in the address.

import { toCsv, toJson } from "../model/export.js";
import { choiceOf, DEFAULT_SORT, FILTERS, facets, networkNames } from "../model/relays.js";
import { parseRoute } from "../model/route.js";
import { termsOf } from "../model/search.js";
import { attribution } from "./attribution.js";
import { saveButton } from "./buttons.js";
import { columnChooser } from "./column-chooser.js";
import { indexOf } from "./context.js";
import { fill, h } from "./dom.js";
import { plural, whole } from "./format.js";
import { Grid } from "./grid.js";
import { relayHref } from "./links.js";
import { part } from "./part.js";
import { columns } from "./relay-columns.js";
import { controls } from "./relay-filters.js";

/** @import { Relay, Report } from "../data/report.js" */
/** @import { Choice } from "../model/relays.js" */
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
  /** @type {RelayTable | null} */
  let list = null;
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
          list ??= relayTable(context, report);
          list.show(report);
          return list.element;
        },
      }),
    ),
    update: (route) => list?.update(route.params),
  };
}

/** How long after the last change the menus count again. */
const COUNT_MS = 200;

/**
 * @typedef {object} RelayTable
 * @property {HTMLElement} element
 * @property {(params: Readonly<Record<string, string>>) => void} update
 * @property {(report: Report) => void} show shows another report in the same place
 */

/**
 * @param {Context} context
 * @param {Report} first
 * @returns {RelayTable}
 */
function relayTable(context, first) {
  let report = first;
  let choice = choiceOf(parseRoute(location.hash).params);
  /** @type {readonly Relay[]} */
  let shown = [];
  let timer = 0;
  let countTimer = 0;
  let frame = 0;
  /** For which choice the columns are laid out. */
  let fitted = "";
  /** What the rows are found by. @type {import("./relay-columns.js").Reading} */
  const reading = { terms: [] };
  const count = h("p", { class: "relay-count", role: "status" });
  const all = columns(context, reading);
  const grid = new Grid({
    label: "Relays",
    columns: all,
    extra: (key) => key === "why" && reading.terms.length > 0,
    same: (/** @type {Relay} */ a, /** @type {Relay} */ b) => a.fingerprint === b.fingerprint,
    open: (/** @type {Relay} */ relay) => {
      if (relay.valid) location.hash = relayHref(relay.fingerprint, context.reportName);
    },
    sort: (sort) => choose({ ...choice, sort }),
    empty: "No relay fits. Take a filter away, or search for less.",
    signal: context.signal,
  });
  const form = controls((changed) => choose({ ...choice, ...changed }));
  const chooser = columnChooser(
    all.filter(({ key }) => key !== "why"),
    () => grid.shown(),
    (keys) => choose({ ...choice, columns: keys }),
  );
  const source = h("div", null);

  const paramsOf = () => {
    /** @type {Record<string, string>} */
    const params = {};
    for (const name of FILTERS) if (choice[name] !== "") params[name] = choice[name];
    if (choice.sort !== DEFAULT_SORT) params.sort = choice.sort;
    if (choice.columns !== "") params.columns = choice.columns;
    return params;
  };
  const recount = () => form.count(indexOf(context.store, report).facets(choice));
  const draw = (/** @type {boolean} */ stay) => {
    shown = indexOf(context.store, report).select(choice);
    reading.terms = termsOf(choice.q);
    const wanted = `${choice.columns} ${reading.terms.length > 0}`;
    if (wanted !== fitted) {
      grid.choose(chooser.read(choice.columns));
      fitted = wanted;
    }
    grid.setItems(shown, choice.sort, stay);
    const total = report.relays.length;
    count.textContent =
      shown.length === total
        ? plural(total, "relay")
        : `${whole(shown.length)} of ${plural(total, "relay")}`;
    form.set(choice);
    clearTimeout(countTimer);
    countTimer = window.setTimeout(recount, COUNT_MS);
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
    frame = requestAnimationFrame(() => draw(false));
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
      clearTimeout(countTimer);
      cancelAnimationFrame(frame);
      keep();
    },
    { once: true },
  );
  const offer = () => {
    form.offer(facets(report.relays), networkNames(report.relays));
    fill(source, attribution(report.metadata));
  };
  offer();
  draw(false);
  const place = places.get(JSON.stringify(paramsOf()));
  if (place !== undefined) {
    requestAnimationFrame(() => {
      grid.restore(place);
      // Whoever came from a row goes on from there.
      if (place.active >= 0) grid.element.focus({ preventScroll: true });
    });
  }
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
          chooser.element,
          saveButton("Save as CSV", "text/csv;charset=utf-8", () => ({
            name: `${stem()}.csv`,
            text: toCsv(shown),
          })),
          saveButton("Save as JSON", "application/json", () => {
            const { text, cut } = toJson(shown, report.metadata, paramsOf());
            const note =
              cut === 0
                ? ""
                : `Saved. The entries of ${plural(cut, "relay")} are not whole: they are nested too deeply to be written.`;
            return { name: `${stem()}.json`, text, note };
          }),
        ),
      ),
      grid.box,
      h(
        "p",
        { class: "hint screen-only" },
        "In the table: arrow keys, Page Up and Down, Home and End move, Enter opens a relay. The strip is the last 60 runs, the newest at the right: low is working, high is failing, a gap is not reached, a dot is without a result.",
      ),
      source,
    ),
    update: (params) => {
      choice = choiceOf(params);
      draw(false);
    },
    show: (next) => {
      if (next === report) return;
      report = next;
      offer();
      draw(true);
    },
  };
}
