// The columns of the table of relays.

import { country } from "../model/countries.js";
import { reasons } from "../model/search.js";
import { nameOf, visible } from "../model/text.js";
import { causeWords } from "../words.js";
import { h } from "./dom.js";
import { compact, MISSING, ms, percent, plural } from "./format.js";
import { relayHref } from "./links.js";
import { stateMark, statusMark, strip } from "./marks.js";

/** @import { Relay } from "../data/report.js" */
/** @import { Term } from "../model/search.js" */
/** @import { Context } from "./context.js" */
/** @import { GridColumn } from "./grid.js" */

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

/** @typedef {{terms: readonly Term[]}} Reading what the rows are found by */

/**
 * @param {Relay} relay
 * @param {readonly Term[]} terms
 * @returns {string}
 */
function whyFound(relay, terms) {
  return reasons(relay, terms)
    .map(({ field, excerpt }) => (excerpt === "" ? field : `${field}: ${visible(excerpt, 60)}`))
    .join("; ");
}

/**
 * @param {Context} context
 * @param {Reading} reading
 * @returns {GridColumn<Relay>[]}
 */
export function columns(context, reading) {
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
      key: "why",
      label: "Found by",
      title: "What of the relay fits the search",
      sort: null,
      make: () => {
        const element = h("bdi", null);
        return {
          element,
          set: (relay) => {
            const words = reading.terms.length === 0 ? "" : whyFound(relay, reading.terms);
            element.textContent = words;
            element.title = words;
          },
        };
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
