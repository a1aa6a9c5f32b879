// What was asked of a relay, and what came: every attempt, and what each place that looked found.

import { blameWords, CIRCUITS, causeWords, VIAS } from "../words.js";
import { foreign, h } from "./dom.js";
import { facts } from "./facts.js";
import { MISSING, ms, plural, timeElement, whole } from "./format.js";
import { metricsLink } from "./links.js";
import { statusElement } from "./marks.js";
import { table } from "./table.js";

/** @import { Attempt, Details, Query } from "../data/details.js" */
/** @import { Relay } from "../data/report.js" */
/** @import { Child } from "./dom.js" */

/**
 * A first hop: no exit mostly, so its page is Tor Metrics'.
 * @param {string} fingerprint
 * @returns {Child[]}
 */
export function hop(fingerprint) {
  return [h("code", null, fingerprint), " ", metricsLink(fingerprint)];
}

/**
 * @param {Relay} relay
 * @param {Details} details
 * @returns {HTMLElement}
 */
export function attemptsPart(relay, details) {
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
          attempts.map((attempt) => h("li", null, attemptCard(attempt))),
        ),
  );
}

/**
 * @param {Attempt} attempt
 * @returns {HTMLElement}
 */
function attemptCard(attempt) {
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
      ["First hop", attempt.firstHop === null ? null : hop(attempt.firstHop)],
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
      ["Name", query.name === null ? null : h("code", null, foreign(query.name, { limit: 300 }))],
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
export function vantagesPart({ vantages }) {
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
