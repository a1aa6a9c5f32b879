// How much the exits of each country and network carry, and how much of it fails: a map, and a table.

import { depthOf, PLACE_SORTS, placeSortOf, places, sortPlaces } from "../model/places.js";
import { visible } from "../model/text.js";
import { COLUMNS, HEIGHT, TILES } from "../model/tiles.js";
import { attribution } from "./attribution.js";
import { fill, foreign, h, svg } from "./dom.js";
import { percent, plural, whole } from "./format.js";
import { groupingLinks, groupName, groupParams } from "./groups.js";
import { growing } from "./growing.js";
import { part } from "./part.js";

/** @import { Report } from "../data/report.js" */
/** @import { Place, PlaceSort } from "../model/places.js" */
/** @import { Context, View } from "./context.js" */

/** How many rows are shown at first, and more with each press of the button. */
const STEP = 50;

/** A tile's side, and what lies between two. */
const SIDE = 28;
const GAP = 3;

const BY = Object.freeze(/** @type {const} */ (["country", "network"]));

/** @typedef {(typeof BY)[number]} By */

/** What is where. @type {Readonly<Record<PlaceSort, string>>} */
const LABELS = Object.freeze({
  name: "",
  exits: "Exits",
  failing: "Failing",
  failingShare: "Share of its exits failing",
  weight: "Share of all weight",
  failingWeight: "Share of all weight failing here",
});

/** In the order of the table. @type {readonly PlaceSort[]} */
const ORDER = ["name", "weight", "exits", "failing", "failingShare", "failingWeight"];

/**
 * @param {Readonly<Record<string, string>>} params
 * @returns {{by: By, sort: PlaceSort}}
 */
function chosenOf(params) {
  return { by: BY.find((one) => one === params.by) ?? "country", sort: placeSortOf(params.sort) };
}

/**
 * @param {Context} context
 * @returns {View}
 */
export function placesView(context) {
  let chosen = chosenOf(context.route.params);
  const links = h("div", null);
  const box = h("div", { class: "part-content" });
  /** @type {Report | null} */
  let report = null;
  const show = () => {
    fill(
      links,
      groupingLinks(
        chosen.by,
        (by) => context.href("places", { params: { by: by === "country" ? null : by } }),
        BY,
      ),
    );
    if (report !== null) fill(box, ...content(context, report, chosen));
  };
  show();
  return {
    title: "Places",
    element: h(
      "div",
      { class: "view" },
      h("h1", null, "Places"),
      h(
        "p",
        null,
        "Where the exits are, by country and by network (autonomous system): how much of Tor’s exit bandwidth they carry, by consensus weight, and how much of that fails.",
      ),
      links,
      part({
        resource: context.report,
        what: "the report",
        signal: context.signal,
        render: (value) => {
          report = value;
          show();
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
 * @param {Context} context
 * @param {Report} report
 * @param {{by: By, sort: PlaceSort}} chosen
 * @returns {(HTMLElement | null)[]}
 */
function content(context, report, { by, sort }) {
  const all = places(report.relays, by);
  const failing = all.filter((place) => place.failing > 0).length;
  const words = by === "country" ? ["country", "countries"] : ["network", "networks"];
  return [
    h(
      "p",
      { class: "hint", role: "status" },
      `${plural(all.length, words[0], words[1])}, ${whole(failing)} of them with failing exits.`,
    ),
    by === "country" ? map(context, all) : null,
    ...placeTable(context, all, { by, sort }),
    attribution(report.metadata),
  ];
}

/**
 * @param {Context} context
 * @param {Place} place
 * @param {boolean} failing whether only those that fail
 * @returns {string} the list of its exits
 */
function listHref(context, { group }, failing) {
  const params = groupParams(group);
  return context.href("relays", { params: failing ? { ...params, status: "failing" } : params });
}

/**
 * Every country a tile, the deeper the more weight its exits have; those with failing exits are marked.
 * @param {Context} context
 * @param {readonly Place[]} all
 * @returns {HTMLElement}
 */
function map(context, all) {
  const by = new Map(all.map((place) => [place.group.key, place]));
  const step = SIDE + GAP;
  const box = `0 0 ${COLUMNS * step - GAP} ${HEIGHT * step - GAP}`;
  const tiles = TILES.map(({ country, column, row }) => {
    const place = by.get(country);
    const [x, y] = [column * step, row * step];
    const square = { x, y, width: SIDE, height: SIDE, rx: 3 };
    if (place === undefined) return svg("rect", { ...square, class: "tile tile-none" });
    // What is written on it comes first, for who calls it by that.
    const words = `${country.toUpperCase()}, ${groupName(place.group)}: ${percent(place.weight)} of all weight, ${plural(place.exits, "exit")}, ${whole(place.failing)} failing`;
    return svg(
      "a",
      { href: listHref(context, place, false), "aria-label": words },
      svg("title", null, words),
      svg("rect", { ...square, class: `tile tile-${depthOf(place)}` }),
      place.failing === 0
        ? null
        : svg("circle", { cx: x + SIDE - 5, cy: y + 5, r: 4, class: "tile-failing" }),
      svg(
        "text",
        {
          x: x + SIDE / 2,
          y: y + SIDE / 2 + 4,
          "text-anchor": "middle",
          class: `tile-code tile-code-${depthOf(place)}`,
          "aria-hidden": "true",
        },
        country.toUpperCase(),
      ),
    );
  });
  return h(
    "figure",
    { class: "place-map" },
    svg("svg", { viewBox: box, role: "group", "aria-label": "Countries as tiles" }, tiles),
    h(
      "figcaption",
      { class: "hint" },
      "Each country is a tile, the deeper its colour the more weight its exits have: under 0.5 %, from 0.5, 2, 5 and 10 %. A dot marks those with failing exits. The table below says the same.",
    ),
  );
}

/**
 * @param {Context} context
 * @param {readonly Place[]} all
 * @param {{by: By, sort: PlaceSort}} chosen
 * @returns {(HTMLElement | null)[]}
 */
function placeTable(context, all, { by, sort }) {
  const caption = by === "country" ? "Exits by country" : "Exits by network";
  const sorted = sortPlaces(all, sort, ({ group }) => groupName(group));
  const { list, button } = growing({
    list: h("tbody", null),
    items: sorted,
    draw: (place) => placeRow(context, place),
    first: STEP,
    step: STEP,
    label: "Show more",
  });
  return [
    h(
      "div",
      { class: "table-box place-table", tabindex: "0", role: "region", "aria-label": caption },
      h(
        "table",
        null,
        h("caption", { class: "visually-hidden" }, caption),
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            ORDER.filter((name) => PLACE_SORTS.includes(name)).map((name) =>
              h(
                "th",
                {
                  scope: "col",
                  class: name === "name" ? null : "number",
                  "aria-sort": name !== sort ? null : name === "name" ? "ascending" : "descending",
                },
                h(
                  "a",
                  {
                    class: "sort-link",
                    href: context.href("places", {
                      params: {
                        by: by === "country" ? null : by,
                        sort: name === "weight" ? null : name,
                      },
                    }),
                  },
                  name === "name" ? (by === "country" ? "Country" : "Network") : LABELS[name],
                ),
              ),
            ),
          ),
        ),
        list,
      ),
    ),
    button,
  ];
}

/**
 * @param {Context} context
 * @param {Place} place
 * @returns {HTMLElement}
 */
function placeRow(context, place) {
  const { group, exits, failing, failingShare, weight, failingWeight } = place;
  const name = groupName(group);
  return h(
    "tr",
    null,
    h(
      "th",
      { scope: "row" },
      h("a", { href: listHref(context, place, false) }, foreign(name, { limit: 120 })),
    ),
    h("td", { class: "number" }, percent(weight)),
    h("td", { class: "number" }, whole(exits)),
    h(
      "td",
      { class: "number" },
      failing === 0
        ? "0"
        : h(
            "a",
            {
              href: listHref(context, place, true),
              "aria-label": `${whole(failing)} failing: ${visible(name, 120)}`,
            },
            whole(failing),
          ),
    ),
    h("td", { class: "number" }, percent(failingShare)),
    h("td", { class: "number" }, percent(failingWeight)),
  );
}
