// One relay: what was asked, what came, how it went before, and what its operator should check.

import { readDetails } from "../data/details.js";
import { fingerprint as readFingerprint } from "../data/read.js";
import { operatorKey } from "../model/operators.js";
import { nameOf } from "../model/text.js";
import {
  blameWords,
  CIRCUITS,
  causeWords,
  FAILING,
  stateWords,
  statusWords,
  VIAS,
} from "../words.js";
import { copyButton } from "./buttons.js";
import { fill, foreign, h } from "./dom.js";
import { bytes, country, MISSING, ms, percent, plural, timeElement, utc, whole } from "./format.js";
import { metricsLink } from "./links.js";
import { ofMark, stateElement, statusElement, strip, stripWords } from "./marks.js";
import { notice, part } from "./part.js";
import { table } from "./table.js";

/** @import { Absent, Relay, Report } from "../data/report.js" */
/** @import { Attempt, Details, Query } from "../data/details.js" */
/** @import { Run } from "../data/trends.js" */
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
    return [identity(wanted), absentPart(context, absent)];
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
 * @param {string} fingerprint
 * @returns {HTMLElement}
 */
function identity(fingerprint) {
  return h(
    "div",
    { class: "identity" },
    h("code", { class: "fingerprint" }, fingerprint),
    h(
      "div",
      { class: "identity-links" },
      copyButton("Copy", () => fingerprint, { description: "Copy the fingerprint" }),
      metricsLink(fingerprint),
    ),
  );
}

/**
 * @param {Context} context
 * @param {Absent} relay
 * @returns {HTMLElement}
 */
function absentPart(context, relay) {
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
    history(context, relay.recent, null),
  );
}

/**
 * A list of names and values; those without a value are left out.
 * @param {readonly (readonly [string, Child | readonly Child[]])[]} entries
 * @returns {HTMLElement}
 */
function facts(entries) {
  return h(
    "dl",
    { class: "facts" },
    entries
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
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
    identity(relay.fingerprint),
    h(
      "div",
      { class: "columns columns-2" },
      h("div", null, verdict(context, relay, details), checks(relay)),
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
          history(context, relay.recent, report.metadata.timestamp),
        ),
        about(context, report, relay, details),
      ),
    ),
    attemptsPart(context, relay, details),
    vantagesPart(details),
  ];
}

/**
 * @param {Context} context
 * @param {Relay} relay
 * @param {Details} details
 * @returns {HTMLElement}
 */
function verdict(context, relay, details) {
  const words = statusWords(relay.status);
  const cause = relay.code === null ? null : causeWords(relay.code);
  return h(
    "section",
    { class: `card verdict verdict-${words.kind}` },
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
      ["When", timeElement(relay.timestamp, { seconds: true })],
      ["Resolve time", relay.latency === null ? null : ms(relay.latency)],
      ["Circuit built in", details.timing.circuit === null ? null : ms(details.timing.circuit)],
      ["First hop", details.firstHop === null ? null : hop(context, details.firstHop)],
      [
        "Decided by attempt",
        details.attempt === null || details.attempt === 0 ? null : whole(details.attempt),
      ],
    ]),
  );
}

/**
 * A first hop: no exit mostly, so its page is Tor Metrics'.
 * @param {Context} _context
 * @param {string} fingerprint
 * @returns {Child[]}
 */
function hop(_context, fingerprint) {
  return [h("code", { class: "wrap" }, fingerprint), " ", metricsLink(fingerprint)];
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
      ["IPv6", relay.ipv6 === null ? "none" : h("code", { class: "wrap" }, foreign(relay.ipv6))],
      ["Exits over IPv6", relay.ipv6Exit === null ? null : relay.ipv6Exit ? "yes" : "no"],
      ["Country", relay.country === null ? "unknown" : country(relay.country)],
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
      [
        "Operator",
        relay.operator === ""
          ? null
          : [
              foreign(kind === "relay" ? "this relay alone" : name, { limit: 250 }),
              kind === "family" ? " (a family without a contact)" : null,
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
        details.runId === null
          ? null
          : h("code", { class: "wrap" }, foreign(details.runId, { limit: 200 })),
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

/**
 * The last runs as a strip, and as a table with their times where those are known.
 * @param {Context} context
 * @param {string} recent
 * @param {number | null} timestamp of the report, which the newest of them is
 * @returns {HTMLElement}
 */
function history(context, recent, timestamp) {
  if (recent === "") return h("p", { class: "hint" }, "There are no earlier runs.");
  const made = strip(60);
  made.element.classList.add("strip-large");
  made.set(recent);
  const box = h("div", null);
  const details = h(
    "details",
    { class: "figures" },
    h("summary", null, "The runs as a table"),
    box,
  );
  details.addEventListener("toggle", () => {
    if (!details.open || box.childElementCount > 0) return;
    const times = runTimes(context.store.trends.value, recent.length, timestamp);
    const rows = [...recent]
      .map((char, i) => {
        const mark = ofMark(char);
        return [
          times === null ? `${recent.length - 1 - i} before the last` : utc(times[i]),
          mark.status === null ? "no result" : statusElement(mark.status, mark.provisional),
        ];
      })
      .reverse();
    fill(
      box,
      table({
        caption: "The last runs, newest first",
        hideCaption: true,
        columns: [{ label: "Run", header: true }, { label: "Result" }],
        rows,
      }),
    );
  });
  return h(
    "div",
    { class: "history" },
    made.element,
    h(
      "p",
      { class: "hint" },
      `${stripWords(recent)}. The newest is at the right; low is working, high is failing, a gap is not reached, a dot is without a result.`,
    ),
    details,
  );
}

/**
 * @param {readonly Run[] | null} runs
 * @param {number} count
 * @param {number | null} timestamp
 * @returns {number[] | null} the times of the last published runs up to this one; null where they
 *   are not all known
 */
function runTimes(runs, count, timestamp) {
  if (runs === null || timestamp === null) return null;
  const known = runs.filter((run) => run.published && run.timestamp <= timestamp);
  if (known.length < count || known.at(-1)?.timestamp !== timestamp) return null;
  return known.slice(-count).map((run) => run.timestamp);
}

/**
 * @param {Context} context
 * @param {Relay} relay
 * @param {Details} details
 * @returns {HTMLElement}
 */
function attemptsPart(context, relay, details) {
  const { attempts } = details;
  return h(
    "section",
    { class: "attempts" },
    h("h2", null, attempts.length === 0 ? "Attempts" : `${plural(attempts.length, "attempt")}`),
    attempts.length === 0
      ? h(
          "p",
          null,
          relay.status === "success"
            ? "A single attempt, which succeeded: what is above says all of it."
            : "The report has no attempts of this relay.",
        )
      : h(
          "ol",
          { class: "attempt-list" },
          attempts.map((attempt) => h("li", null, attemptCard(context, attempt))),
        ),
  );
}

/**
 * @param {Context} context
 * @param {Attempt} attempt
 * @returns {HTMLElement}
 */
function attemptCard(context, attempt) {
  const { circuit, timing } = attempt;
  const lasted =
    attempt.started === null || attempt.ended === null
      ? null
      : ms(Math.max(attempt.ended - attempt.started, 0));
  return h(
    "article",
    { class: "card attempt" },
    h(
      "h3",
      null,
      `Attempt ${attempt.number === null ? "" : whole(attempt.number)} `,
      statusElement(attempt.status),
    ),
    facts([
      [
        "Round",
        attempt.round === null
          ? null
          : attempt.round === 0
            ? "first pass"
            : `confirming round ${attempt.round}`,
      ],
      ["Started", timeElement(attempt.started, { seconds: true })],
      ["Took", lasted],
      ["First hop", attempt.firstHop === null ? null : hop(context, attempt.firstHop)],
      [
        "Circuit",
        [
          foreign(CIRCUITS.get(circuit.state ?? "") ?? circuit.state ?? MISSING, { limit: 60 }),
          circuit.hops === null ? null : `, ${plural(circuit.hops, "relay")} reached`,
          timing.circuit === null ? null : `, built in ${ms(timing.circuit)}`,
        ],
      ],
      [
        "Tor’s reason",
        circuit.reason === null
          ? null
          : h(
              "code",
              null,
              foreign([circuit.reason, circuit.remoteReason].filter(Boolean).join(" / "), {
                limit: 120,
              }),
            ),
      ],
      ["Tor’s refusal", circuit.refusal === null ? null : foreign(circuit.refusal, { limit: 300 })],
      [
        "Cause",
        attempt.code === null
          ? null
          : [
              foreign(causeWords(attempt.code).label, { limit: 100 }),
              " ",
              h("code", null, foreign(attempt.code, { limit: 80 })),
            ],
      ],
      [
        "Fault lies with",
        attempt.blame === null ? null : foreign(blameWords(attempt.blame).label, { limit: 60 }),
      ],
      ["In words", attempt.error === null ? null : foreign(attempt.error, { limit: 500 })],
      [
        "Came",
        attempt.resolved === null
          ? null
          : h("code", null, foreign(attempt.resolved, { limit: 100 })),
      ],
    ]),
    attempt.queries.length === 0
      ? h("p", { class: "hint" }, "Nothing was asked: the circuit was not built.")
      : attempt.queries.map((query, i) => queryBox(query, i === attempt.decidedBy)),
  );
}

/**
 * @param {Query} query
 * @param {boolean} decided
 * @returns {HTMLElement}
 */
function queryBox(query, decided) {
  const answer = [
    query.socksReply === null ? null : `SOCKS reply ${query.socksReply}`,
    query.rcode,
    query.addresses.length === 0 ? null : query.addresses.slice(0, 20).join(", "),
    query.localError,
  ].filter((text) => text !== null);
  const closed = [query.streamReason, query.streamRemoteReason].filter((text) => text !== null);
  return h(
    "div",
    { class: "query" },
    h(
      "h4",
      null,
      `Query by ${VIAS.get(query.via ?? "") ?? "another way"}`,
      decided ? h("span", { class: "tag" }, "decided") : null,
    ),
    facts([
      [
        "Name",
        query.name === null
          ? null
          : h("code", { class: "wrap" }, foreign(query.name, { limit: 300 })),
      ],
      ["Answer", answer.length === 0 ? "none" : foreign(answer.join("; "), { limit: 500 })],
      [
        "Stream closed with",
        closed.length === 0 ? null : h("code", null, foreign(closed.join(" / "), { limit: 120 })),
      ],
      ["Resolve time", query.resolve === null ? null : ms(query.resolve)],
      ["Waited locally", query.attach === null ? null : ms(query.attach)],
    ]),
  );
}

/**
 * @param {Details} details
 * @returns {HTMLElement | null}
 */
function vantagesPart({ vantages }) {
  if (vantages.length === 0) return null;
  return h(
    "section",
    { class: "card" },
    h("h2", null, "Seen from several places"),
    table({
      caption: "What each input found",
      hideCaption: true,
      columns: [
        { label: "Run", header: true },
        { label: "Result" },
        { label: "Cause" },
        { label: "Came" },
        { label: "Resolve time", number: true },
        { label: "When" },
      ],
      rows: vantages.map((vantage) => [
        foreign(vantage.runId ?? MISSING, { limit: 100 }),
        statusElement(vantage.status),
        vantage.code === null ? "" : foreign(causeWords(vantage.code).label, { limit: 100 }),
        vantage.resolved === null ? "" : foreign(vantage.resolved, { limit: 60 }),
        ms(vantage.latency),
        timeElement(vantage.timestamp, { seconds: true }),
      ]),
    }),
  );
}
