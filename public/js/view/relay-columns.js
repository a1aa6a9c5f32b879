// The columns of the table of relays.

import { country } from "../model/countries.js";
import { operatorKey } from "../model/operators.js";
import { outages } from "../model/recurrence.js";
import { networkWords, reasons } from "../model/search.js";
import { nameOf, visible } from "../model/text.js";
import { causeWords, PUBLIC_RESOLVERS, RESOLVER_KINDS } from "../words.js";
import { h } from "./dom.js";
import { compact, MISSING, ms, percent, plural, rateShort, whole } from "./format.js";
import { TABLE_REM } from "./grid.js";
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

/** Room for every column that is in a card, too. */
const always = () => true;

/** @type {(rem: number) => (room: number) => boolean} */
const from = (rem) => (room) => room >= rem;

/**
 * @param {Relay} relay
 * @returns {string}
 */
function operatorWords(relay) {
  const { kind, name } = operatorKey(relay.operator);
  if (relay.operator === "") return MISSING;
  if (kind === "relay") return "this relay alone";
  return kind === "family" ? `family of ${name}` : name;
}

/**
 * @param {Relay} relay
 * @returns {string}
 */
function resolverWords({ resolver }) {
  if (resolver === null || resolver.kind === null) return MISSING;
  const service = resolver.addresses.find((one) => one.public !== null)?.public ?? "";
  const label = PUBLIC_RESOLVERS.get(service) ?? RESOLVER_KINDS.get(resolver.kind)?.label;
  return label ?? visible(resolver.kind, 40);
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
      width: "minmax(7rem, 1.1fr)",
      least: 7,
      fits: always,
      paper: true,
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
      width: "minmax(6.25rem, 0.4fr)",
      least: 6.25,
      fits: from(66),
      paper: true,
      label: "Fingerprint",
      sort: "fingerprint",
      make: textCell((relay) => visible(relay.fingerprint, 60)),
    },
    {
      key: "status",
      width: "minmax(8.5rem, 0.8fr)",
      least: 8.5,
      fits: always,
      paper: true,
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
      width: "minmax(7rem, 1.6fr)",
      least: 8,
      fits: always,
      paper: true,
      label: "Cause",
      sort: "cause",
      make: textCell((relay) =>
        relay.code === null
          ? relay.degraded
            ? "Passes by a second attempt"
            : ""
          : visible(causeWords(relay.code).label, 80),
      ),
    },
    {
      key: "state",
      width: "minmax(6.5rem, 0.7fr)",
      least: 6.5,
      fits: from(TABLE_REM),
      paper: true,
      label: "State",
      sort: "state",
      make: () => {
        const mark = stateMark();
        return { element: mark.element, set: (relay) => mark.set(relay.state, relay.degraded) };
      },
    },
    {
      key: "failures",
      width: "4.75rem",
      least: 4.75,
      fits: always,
      paper: true,
      label: "Failing",
      title: "Runs in a row that found its DNS failing",
      sort: "failures",
      down: true,
      make: textCell((relay) => (relay.failures === 0 ? "" : plural(relay.failures, "run"))),
    },
    {
      key: "outages",
      label: "Outages",
      title: "How often it began to fail within its last 60 runs",
      width: "5rem",
      least: 5,
      fits: from(110),
      paper: false,
      sort: "outages",
      down: true,
      make: textCell((relay) => {
        const n = outages(relay.recent);
        return n === 0 ? "" : whole(n);
      }),
    },
    {
      key: "recent",
      width: "minmax(6rem, 11rem)",
      least: 9,
      fits: (room) => reading.terms.length === 0 || room >= 82,
      paper: false,
      label: "Last 60 runs",
      sort: null,
      make: () => {
        const made = strip(60);
        return { element: made.element, set: (relay) => made.set(relay.recent) };
      },
    },
    {
      key: "why",
      width: "minmax(9rem, 1.8fr)",
      least: 9,
      fits: () => false,
      paper: false,
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
      key: "lookups",
      label: "Failure rate",
      title:
        "Share of the first lookups that failed within 30 days, and the interval in which it lies 95 times of 100. Sorted by its lower end",
      width: "minmax(7.75rem, 0.4fr)",
      least: 7.75,
      fits: from(66),
      paper: false,
      sort: "lookups",
      down: true,
      make: textCell((relay) => rateShort(relay.lookups30 ?? relay.lookups7)),
    },
    {
      key: "rate",
      width: "4.25rem",
      least: 4.25,
      fits: from(110),
      paper: false,
      label: "7 days",
      title: "Successes among the tests of the last 7 days",
      sort: "rate",
      make: textCell((relay) => percent(relay.rate7)),
    },
    {
      key: "latency",
      width: "4.75rem",
      least: 4.75,
      fits: from(74),
      paper: false,
      label: "Resolve",
      title: "Resolve time",
      sort: "latency",
      down: true,
      make: textCell((relay) => ms(relay.latency)),
    },
    {
      key: "weight",
      width: "4.25rem",
      least: 4.25,
      fits: from(66),
      paper: false,
      label: "Weight",
      title: "Consensus weight",
      sort: "weight",
      down: true,
      make: textCell((relay) => compact(relay.weight)),
    },
    {
      key: "country",
      width: "minmax(5rem, 0.7fr)",
      least: 6,
      fits: from(82),
      paper: false,
      label: "Country",
      sort: "country",
      make: textCell((relay) => (relay.country === null ? MISSING : country(relay.country))),
    },
    {
      key: "network",
      label: "Network",
      title: "The autonomous system that its address is in",
      width: "minmax(7rem, 0.9fr)",
      least: 9,
      fits: from(82),
      paper: false,
      sort: "network",
      make: textCell((relay) => visible(networkWords(relay), 80) || MISSING),
    },
    {
      key: "resolver",
      label: "Resolver",
      title: "Who resolves its names: where the farthest of its resolvers is",
      width: "minmax(7rem, 0.7fr)",
      least: 8,
      fits: from(140),
      paper: false,
      sort: "resolver",
      make: textCell((relay) => resolverWords(relay)),
    },
    {
      key: "operator",
      label: "Operator",
      title: "Contact or family: whom to ask",
      width: "minmax(8rem, 0.9fr)",
      least: 10,
      fits: from(110),
      paper: false,
      sort: "operator",
      make: textCell((relay) => visible(operatorWords(relay), 100)),
    },
    {
      key: "address",
      width: "minmax(8.5rem, 0.5fr)",
      least: 8.5,
      fits: from(110),
      paper: false,
      label: "Address",
      sort: "address",
      make: textCell((relay) => visible(relay.address, 60)),
    },
  ];
}
