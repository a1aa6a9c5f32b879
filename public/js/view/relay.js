// One relay: what was asked, what came, how it went before, and what its operator should check.

import { contradiction } from "../data/audit.js";
import { readDetails } from "../data/details.js";
import { fingerprint as readFingerprint } from "../data/read.js";
import { country } from "../model/countries.js";
import { operatorKey } from "../model/operators.js";
import { reportOf } from "../model/runs.js";
import { nameOf } from "../model/text.js";
import {
  blameWords,
  causeWords,
  DEGRADED_CHECKS,
  DEGRADED_WORDS,
  FAILING,
  findingWords,
  INTERVAL_MEANING,
  IPV6_OUTCOMES,
  PROOF_PROBLEMS,
  stateWords,
  statusWords,
} from "../words.js";
import { attemptsPart, hop, vantagesPart } from "./attempts.js";
import { attribution } from "./attribution.js";
import { badgeBox } from "./badge-box.js";
import { copyButton } from "./buttons.js";
import { fill, foreign, h, svg } from "./dom.js";
import { facts } from "./facts.js";
import { bytes, ends, ms, percent, plural, timeElement, whole } from "./format.js";
import { metricsLink, relayHref } from "./links.js";
import { stateElement, statusElement } from "./marks.js";
import { notice, part, problemNotice } from "./part.js";
import { history } from "./recent.js";
import { atZoneFact, resolverPart } from "./resolvers.js";

/** @import { Absent, Relay, Report } from "../data/report.js" */
/** @import { Details } from "../data/details.js" */
/** @import { LookupRate, RelayDomain } from "../data/types.js" */
/** @import { Child } from "./dom.js" */
/** @import { Context, View } from "./context.js" */

/**
 * @param {Context} context
 * @returns {View}
 */
export function relayView(context) {
  const wanted = readFingerprint(context.route.argument);
  const heading = h("h1", null, "Relay");
  const content =
    wanted === null
      ? notice(
          "bad",
          "This is not a relay’s fingerprint.",
          "A fingerprint is 40 hexadecimal digits.",
        )
      : part({
          resource: context.report,
          what: "the report",
          signal: context.signal,
          render: (report) => relayPage(context, report, wanted, heading),
        });
  return {
    title: wanted === null ? "Relay" : `Relay ${wanted.slice(0, 8)}`,
    element: h(
      "div",
      { class: "view view-relay" },
      h("p", { class: "crumbs" }, h("a", { href: context.href("relays") }, "Relays")),
      heading,
      content,
    ),
  };
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {string} wanted
 * @param {HTMLElement} heading
 * @returns {Child[]}
 */
function relayPage(context, report, wanted, heading) {
  const relay = report.relays.find((found) => found.valid && found.fingerprint === wanted);
  if (relay !== undefined) {
    fill(heading, foreign(nameOf(relay.nickname, 100)));
    return present(context, report, relay);
  }
  const absent = report.absent.find((found) => found.valid && found.fingerprint === wanted);
  if (absent !== undefined) {
    fill(heading, foreign(nameOf(absent.nickname, 100)));
    return [identity(wanted), absentPart(context, report, absent)];
  }
  return [
    identity(wanted),
    notice(
      "info",
      "This report has no such relay.",
      h(
        "p",
        null,
        "It is no exit, was not running, or has been gone for more than 30 days. Look at ",
        metricsLink(wanted),
        ".",
      ),
    ),
  ];
}

/**
 * A link to this relay in this very report: what it shows never changes.
 * @param {Context} context
 * @param {Report} report
 * @param {Relay} relay
 * @returns {HTMLElement | null} null where the report is not there under a name of its own
 */
function lastingLink(context, report, relay) {
  const link = () => {
    const { timestamp, runId } = report.metadata;
    const name = context.reportName ?? reportOf(context.store.listed, { timestamp, runId });
    return name === null ? null : relayHref(relay.fingerprint, name);
  };
  return link() === null
    ? null
    : copyButton("Copy a link", () => new URL(link() ?? "", document.baseURI).href, {
        description: "Copy a link to this result, which stays as it is",
      });
}

/**
 * @param {string} fingerprint
 * @param {HTMLElement | null} [more]
 * @returns {HTMLElement}
 */
function identity(fingerprint, more = null) {
  return h(
    "div",
    { class: "identity" },
    h("code", { class: "fingerprint" }, fingerprint),
    h(
      "div",
      { class: "identity-links" },
      copyButton("Copy", () => fingerprint, { description: "Copy the fingerprint" }),
      more,
      metricsLink(fingerprint),
    ),
  );
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {Absent} relay
 * @returns {HTMLElement}
 */
function absentPart(context, report, relay) {
  return h(
    "section",
    { class: "card" },
    h("h2", null, "Not in this run"),
    h(
      "p",
      null,
      "The relay had no result in this run. What earlier runs found waits here for up to 30 days, and goes on when it is back.",
    ),
    facts([
      ["Last seen", timeElement(relay.lastSeen)],
      ["Address then", foreign(relay.address)],
      ["State then", stateElement(relay.state)],
      ["Failing", relay.failures === 0 ? "no" : `${plural(relay.failures, "run")} in a row`],
      ["Failing since", relay.failingSince === null ? null : timeElement(relay.failingSince)],
      ["Last worked", timeElement(relay.lastSuccess)],
    ]),
    history(context, {
      recent: relay.recent,
      report,
      fingerprint: relay.fingerprint,
    }),
  );
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {Relay} relay
 * @returns {Child[]}
 */
function present(context, report, relay) {
  const details = readDetails(relay.raw);
  return [
    identity(relay.fingerprint, lastingLink(context, report, relay)),
    problemNotice([...oddities(report, relay), ...details.problems], "this relay’s entry"),
    h(
      "div",
      { class: "columns columns-2" },
      h(
        "div",
        null,
        verdict(relay, details),
        findings(details),
        checks(relay),
        resolverPart(context, relay.resolver),
        badgeBox("relay", relay),
      ),
      h(
        "div",
        null,
        h(
          "section",
          { class: "card" },
          h("h2", null, "Its last runs"),
          facts([
            [
              "State",
              [
                stateElement(relay.state),
                " ",
                h("span", { class: "hint" }, stateWords(relay.state).meaning),
              ],
            ],
            ["Also", degradedFact(relay)],
            ["Failing", relay.failures === 0 ? null : `${plural(relay.failures, "run")} in a row`],
            ["Failing since", relay.failingSince === null ? null : timeElement(relay.failingSince)],
            [
              "Last worked",
              relay.lastSuccess === null
                ? "never, as far as is known"
                : timeElement(relay.lastSuccess),
            ],
            [
              "Not reached",
              relay.unreachableRuns === 0
                ? null
                : `${plural(relay.unreachableRuns, "run")} in a row`,
            ],
            [
              "Worked in 7 days",
              relay.rate7 === null ? null : `${percent(relay.rate7)} of the tests`,
            ],
            [
              "Worked in 30 days",
              relay.rate30 === null ? null : `${percent(relay.rate30)} of the tests`,
            ],
          ]),
          history(context, {
            recent: relay.recent,
            report,
            fingerprint: relay.fingerprint,
          }),
        ),
        lookupsPart(relay),
        about(context, report, relay, details),
      ),
    ),
    attemptsPart(relay, details),
    vantagesPart(details),
    attribution(report.metadata),
  ];
}

/**
 * @param {Relay} relay
 * @returns {Child | readonly Child[]}
 */
function degradedFact({ state, degraded }) {
  if (!degraded) return null;
  return [stateElement(state, true), " ", h("span", { class: "hint" }, DEGRADED_WORDS.meaning)];
}

/**
 * How often its lookups fail, and what is to be thought of it.
 * @param {Relay} relay
 * @returns {HTMLElement | null} null where the report does not know
 */
function lookupsPart({ lookups7, lookups30, degraded }) {
  if (lookups7 === null && lookups30 === null) return null;
  const share = (/** @type {LookupRate | null} */ rate) => {
    if (rate === null) return null;
    const interval = ends(rate);
    return [
      h("strong", null, percent(rate.percent)),
      ` (${whole(rate.failed)} of ${plural(rate.asked, "lookup")}); `,
      interval === null ? "its interval is not known" : `95 % interval: ${interval}`,
      intervalBar(rate),
    ];
  };
  return h(
    "section",
    { class: "card" },
    h("h2", null, "How often a lookup fails"),
    h(
      "p",
      { class: "hint" },
      "Of the first lookup of each run, without any second attempt: what a user of this exit meets.",
    ),
    facts([
      ["Within 7 days", share(lookups7)],
      ["Within 30 days", share(lookups30)],
    ]),
    h("p", { class: "hint" }, INTERVAL_MEANING),
    degraded
      ? [
          h("h3", null, "It is degraded: what the operator should check"),
          h(
            "ul",
            { class: "checks" },
            DEGRADED_CHECKS.map((text) => h("li", null, text)),
          ),
        ]
      : null,
  );
}

/**
 * The interval on a line from none to all.
 * @param {LookupRate} rate
 * @returns {SVGSVGElement | null}
 */
function intervalBar({ percent: share, low, high }) {
  if (low === null || high === null) return null;
  return svg(
    "svg",
    {
      class: "interval",
      viewBox: "0 0 100 8",
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    },
    svg("rect", { x: 0, y: 3, width: 100, height: 2, class: "bar-ground" }),
    svg("rect", {
      x: low,
      y: 2,
      width: Math.max(high - low, 0.4),
      height: 4,
      class: "interval-reach",
    }),
    svg("rect", { x: Math.min(share, 99.4), y: 0, width: 0.6, height: 8, class: "bar-fill" }),
  );
}

/**
 * @param {Context} context
 * @param {Relay} relay
 * @returns {Child | readonly Child[]}
 */
function network(context, { asNumber, asName }) {
  if (asNumber === null && asName === null) return null;
  return [
    asNumber === null
      ? null
      : h(
          "a",
          { href: context.href("relays", { params: { network: String(asNumber) } }) },
          `AS${asNumber}`,
        ),
    asName === null ? null : [" ", foreign(asName, { limit: 200 })],
  ].flat();
}

/**
 * @param {Report} report
 * @param {Relay} relay
 * @returns {string[]} what of the relay's entry does not add up
 */
function oddities(report, relay) {
  const same = report.relays.filter((other) => other.fingerprint === relay.fingerprint).length;
  const found = contradiction(relay);
  return [
    ...(same > 1 ? [`The report has ${same} entries of this relay; this is the first.`] : []),
    ...(found === null ? [] : [`It contradicts itself: ${found}.`]),
  ];
}

/**
 * @param {Relay} relay
 * @param {Details} details
 * @returns {HTMLElement}
 */
function verdict(relay, details) {
  const words = statusWords(relay.status);
  const cause = relay.code === null ? null : causeWords(relay.code);
  return h(
    "section",
    { class: `card verdict kind-${words.kind}` },
    h("h2", null, statusElement(relay.status, relay.provisional)),
    h("p", null, words.meaning),
    relay.provisional
      ? h("p", null, "The run ended before this failure was confirmed, so it does not count yet.")
      : null,
    facts([
      [
        "Cause",
        cause === null
          ? null
          : [foreign(cause.label), " ", h("code", null, foreign(relay.code ?? "", { limit: 80 }))],
      ],
      ["That is", cause?.meaning],
      [
        "Fault lies with",
        relay.blame === null
          ? null
          : [
              foreign(blameWords(relay.blame).label, { limit: 60 }),
              " ",
              h("span", { class: "hint" }, blameWords(relay.blame).meaning),
            ],
      ],
      ["In the scanner’s words", relay.error === null ? null : foreign(relay.error)],
      ["Asked for", details.query === null ? null : h("code", null, foreign(details.query))],
      [
        "Expected",
        details.mode === "nxdomain"
          ? "any definite answer"
          : details.expected === null
            ? null
            : h("code", null, foreign(details.expected)),
      ],
      ["Came", relay.resolved === null ? "nothing" : h("code", null, foreign(relay.resolved))],
      [
        "IPv6 addresses",
        details.ipv6 === null
          ? null
          : (IPV6_OUTCOMES.get(details.ipv6) ?? foreign(details.ipv6, { limit: 60 })),
      ],
      ["At the zone", atZoneFact(details.atZone)],
      ["When", timeElement(relay.timestamp, { seconds: true })],
      ["Resolve time", relay.latency === null ? null : ms(relay.latency)],
      ["Circuit built in", details.timing.circuit === null ? null : ms(details.timing.circuit)],
      ["First hop", details.firstHop === null ? null : hop(details.firstHop)],
      [
        "Decided by attempt",
        details.attempt === null || details.attempt === 0 ? null : whole(details.attempt),
      ],
    ]),
  );
}

/**
 * @param {Details} details
 * @returns {HTMLElement | null}
 */
function findings(details) {
  if (details.findings.length === 0) return null;
  return h(
    "section",
    { class: "card" },
    h("h2", null, "Also found"),
    facts(
      details.findings.map(({ code, message, remedy }) => [
        findingWords(code).label,
        [
          foreign(message ?? findingWords(code).meaning, { limit: 500 }),
          remedy === null ? null : h("p", { class: "hint" }, foreign(remedy, { limit: 500 })),
        ],
      ]),
    ),
  );
}

/**
 * @param {Relay} relay
 * @returns {HTMLElement | null}
 */
function checks(relay) {
  if (relay.status === "success") return null;
  const { check } = causeWords(relay.code);
  if (check.length === 0) {
    return FAILING.includes(relay.status)
      ? null
      : h(
          "section",
          { class: "card" },
          h("h2", null, "What the operator should check"),
          h("p", null, "Nothing, by this run alone: the fault lies elsewhere, or cannot be told."),
        );
  }
  return h(
    "section",
    { class: "card" },
    h("h2", null, "What the operator should check"),
    h(
      "ul",
      { class: "checks" },
      check.map((text) => h("li", null, text)),
    ),
    h("p", { class: "hint" }, "The next run shows whether a change has helped."),
  );
}

/**
 * The domain that a relay's contact names, and whether the domain names the relay.
 * @param {RelayDomain} domain
 * @returns {Child[]}
 */
function domainWords({ name, proved, provedAt, checkedAt, problem }) {
  const why = problem === null ? null : (PROOF_PROBLEMS.get(problem) ?? problem);
  return [
    foreign(name, { limit: 250 }),
    proved ? " – proved" : " – not proved: anybody can write that",
    proved && provedAt !== null ? [" ", timeElement(provedAt)] : null,
    why === null ? null : [". Last check: ", foreign(why, { limit: 200 })],
    checkedAt === null || checkedAt === provedAt ? null : [", ", timeElement(checkedAt)],
  ].flat();
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {Relay} relay
 * @param {Details} details
 * @returns {HTMLElement}
 */
function about(context, report, relay, details) {
  const { kind, name } = operatorKey(relay.operator);
  const same =
    relay.operator === ""
      ? 0
      : report.relays.filter((other) => other.operator === relay.operator).length;
  return h(
    "section",
    { class: "card" },
    h("h2", null, "The relay"),
    facts([
      ["Address", h("code", null, foreign(relay.address))],
      ["IPv6", relay.ipv6 === null ? "none" : h("code", null, foreign(relay.ipv6))],
      ["Exits over IPv6", relay.ipv6Exit === null ? null : relay.ipv6Exit ? "yes" : "no"],
      [
        "Country",
        [
          relay.country === null
            ? "unknown"
            : h(
                "a",
                { href: context.href("relays", { params: { country: relay.country } }) },
                country(relay.country),
              ),
          relay.otherCountry === null ? null : ` (${country(relay.otherCountry)}, says tor)`,
        ],
      ],
      ["Network", network(context, relay)],
      [
        "Flags",
        relay.flags.length === 0
          ? null
          : relay.flags
              .slice(0, 30)
              .flatMap((flag) => [h("span", { class: "tag" }, foreign(flag, { limit: 40 })), " "]),
      ],
      ["Consensus weight", relay.weight === null ? null : whole(relay.weight)],
      ["Observed bandwidth", details.observed === null ? null : `${bytes(details.observed)}/s`],
      ["Software", relay.platform === null ? null : foreign(relay.platform, { limit: 300 })],
      ["Contact", relay.contact === null ? "none" : foreign(relay.contact, { class: "contact" })],
      ["Domain", relay.domain === null ? null : domainWords(relay.domain)],
      [
        relay.familyIds.length > 1 ? "Family keys" : "Family key",
        relay.familyIds.length === 0
          ? null
          : relay.familyIds.flatMap((id) => [
              h("a", { href: context.href("relays", { params: { q: id } }) }, h("code", null, id)),
              " ",
            ]),
      ],
      [
        "Operator",
        relay.operator === ""
          ? null
          : [
              h(
                "a",
                { href: context.href("operator", { argument: relay.operator }) },
                foreign(kind === "relay" ? "this relay alone" : name, { limit: 250 }),
              ),
              kind === "family" ? " (a family without a contact)" : null,
              kind === "domain" ? " (proved)" : null,
              same > 1
                ? [
                    " – ",
                    h(
                      "a",
                      { href: context.href("relays", { params: { operator: relay.operator } }) },
                      `${plural(same, "relay")} of this operator`,
                    ),
                  ]
                : null,
            ].flat(),
      ],
      [
        "Run",
        details.runId === null ? null : h("code", null, foreign(details.runId, { limit: 200 })),
      ],
      ["Shard", details.shard === null ? null : foreign(details.shard, { limit: 20 })],
    ]),
    h(
      "p",
      { class: "hint" },
      "Name, contact and software are the operator’s own words; nobody has checked them.",
    ),
  );
}
