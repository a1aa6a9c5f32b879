// How a verdict comes about, what each word means, the limits of the method, and where the data is.

import { FILES, LATEST, TRENDS } from "../data/names.js";
import { LEVELS } from "../model/health.js";
import {
  BLAMES,
  DEGRADED,
  DEGRADED_WORDS,
  GATE,
  INTERVAL_MEANING,
  SELECTIONS,
  STATES,
  STATUSES,
} from "../words.js";
import { attribution } from "./attribution.js";
import { foreign, h, outerLink } from "./dom.js";
import { facts } from "./facts.js";
import { duration, MISSING, timeElement, whole } from "./format.js";
import { stateElement, statusElement } from "./marks.js";
import { part } from "./part.js";
import { table } from "./table.js";

/** @import { Metadata } from "../data/metadata.js" */
/** @import { Context, View } from "./context.js" */
/** @import { Child } from "./dom.js" */

/**
 * @param {Context} context
 * @returns {View}
 */
export function aboutView(context) {
  return {
    title: "About",
    element: h(
      "div",
      { class: "view view-text" },
      h("h1", null, "About"),
      h(
        "p",
        null,
        "Several times a day, every exit relay of the Tor network is asked to resolve a name that nobody has ever asked for, in a zone that answers every name with one known address. Whether that address comes back shows whether the exit can resolve names.",
      ),
      section(
        "How a verdict comes about",
        h(
          "ol",
          null,
          h("li", null, "A circuit of two relays is built: a first hop, then the exit."),
          h("li", null, "The exit is asked for a fresh name, so that no cache can answer."),
          h(
            "li",
            null,
            "If it says that there is no address, a second query on the same circuit tells what kind of “no” it was.",
          ),
          h(
            "li",
            null,
            "An attempt that failed is made again through another first hop with another name; what still fails is confirmed by later rounds of the same run.",
          ),
          h(
            "li",
            null,
            "All attempts are weighed together: a wrong address wins over everything, then a success, then the failures. What fails before the exit is not held against it.",
          ),
          h(
            "li",
            null,
            "A report is published only where a gate finds nothing that would rather be our own fault. A report that is held back is in the history all the same.",
          ),
        ),
      ),
      section(
        "What each status means",
        wordList(
          STATUSES,
          ({ meaning }) => meaning,
          (status) => statusElement(status),
        ),
      ),
      section(
        "What each state means",
        h("p", null, "A state is what the runs so far say together."),
        wordList(
          STATES,
          ({ meaning }) => meaning,
          (state) => stateElement(state),
        ),
      ),
      section(
        "How often lookups fail",
        h(
          "p",
          null,
          "Whoever fails is asked again, and any success wins: an exit that fails half its lookups passes nearly every run. So how often users meet a failure is told by the first lookup of each run alone, without any second attempt: for each relay over 7 and 30 days, and for the network in each run, each exit by its weight.",
        ),
        h(
          "p",
          null,
          INTERVAL_MEANING,
          " For the network, relays of one operator are taken to fail together.",
        ),
        h(
          "dl",
          { class: "words" },
          h(
            "div",
            null,
            h("dt", null, stateElement(null, true), " ", h("code", null, DEGRADED)),
            h(
              "dd",
              null,
              DEGRADED_WORDS.meaning,
              " The mark stands beside a state, where within 7 days at least 6 %, or within 30 days at least 2.8 %, of the lookups certainly fail and the runs pass all the same.",
            ),
          ),
        ),
      ),
      section(
        "Where a fault lies",
        wordList(
          BLAMES,
          ({ meaning }) => meaning,
          (_, { label }) => label,
        ),
      ),
      section(
        "What the publish gate looks at",
        wordList(GATE, (words) => words),
      ),
      section(
        "The answer on the overview",
        h(
          "p",
          null,
          `DNS “works at nearly all exits” while at most ${LEVELS.good} % of the exits tested, and of the bandwidth, fail; it “fails at some” up to ${LEVELS.fair} %, and “at many” beyond.`,
        ),
      ),
      section(
        "The limits of the method",
        h(
          "ul",
          null,
          h(
            "li",
            null,
            "One name is asked. A resolver that is broken only for some names, or only at times, can pass.",
          ),
          h(
            "li",
            null,
            "The name is always a fresh one, which slow resolvers take longest for; the resolve time shows that slowness too.",
          ),
          h(
            "li",
            null,
            "Tor’s exit takes the first address of an answer; further ones are not seen.",
          ),
          h(
            "li",
            null,
            "Tor does not pass on whether a permanent error was “no such name”, a refusal or an empty answer.",
          ),
          h(
            "li",
            null,
            "An exit may recognise the zone, or a circuit of two hops, and treat it specially.",
          ),
        ),
      ),
      section(
        "The data",
        h(
          "p",
          null,
          "Everything on this page comes from files beside it, which anybody may fetch:",
        ),
        h(
          "ul",
          null,
          fileItem(LATEST, "the last report that the gate let through"),
          fileItem(TRENDS, "the figures of every run"),
          fileItem(FILES, "the list of earlier reports and archives"),
        ),
        h(
          "p",
          null,
          "Networks and countries come from the location database that the report names below. Where the pages’ function is deployed there are also /api/status, /api/failures and /api/relay/FINGERPRINT. The formats are described in docs/formats of the source.",
        ),
      ),
      h(
        "section",
        null,
        h("h2", null, "This report"),
        part({
          resource: context.report,
          what: "the report",
          signal: context.signal,
          render: (report) => run(report.metadata),
          early: () => (context.report.head === null ? undefined : run(context.report.head)),
        }),
      ),
    ),
  };
}

/**
 * @param {string} title
 * @param {HTMLElement[]} content
 * @returns {HTMLElement}
 */
function section(title, ...content) {
  return h("section", null, h("h2", null, title), content);
}

/**
 * A list of the formats' values and their meanings.
 * @template T
 * @param {ReadonlyMap<string, T>} list
 * @param {(words: T) => string} meaning
 * @param {(value: string, words: T) => Child} [sign] what stands before the value
 * @returns {HTMLElement}
 */
function wordList(list, meaning, sign) {
  return h(
    "dl",
    { class: "words" },
    [...list].map(([value, words]) =>
      h(
        "div",
        null,
        h(
          "dt",
          null,
          sign === undefined ? null : [sign(value, words), " "],
          h("code", null, value),
        ),
        h("dd", null, meaning(words)),
      ),
    ),
  );
}

/**
 * @param {string} name
 * @param {string} words
 * @returns {HTMLElement}
 */
function fileItem(name, words) {
  return h("li", null, h("a", { href: name }, name), `: ${words}`);
}

/**
 * @param {Metadata} m
 * @returns {Child[] | null} who publishes, and how they are reached
 */
function publisherWords({ publisher: { name, contact } }) {
  if (name === null && contact === null) return null;
  return [
    name === null ? null : foreign(name, { limit: 200 }),
    name === null || contact === null ? null : ", ",
    contact === null ? null : foreign(contact, { limit: 200 }),
  ];
}

/**
 * @param {Metadata} m
 * @returns {HTMLElement[]}
 */
function run(m) {
  const selection = m.filter === null ? null : (SELECTIONS.get(m.filter) ?? m.filter);
  /** @type {[string, Child | readonly Child[]][]} */
  const entries = [
    ["Run", m.runId === null ? null : h("code", null, foreign(m.runId, { limit: 400 }))],
    ["Ended", timeElement(m.timestamp, { seconds: true })],
    ["Started", timeElement(m.started, { seconds: true })],
    ["Took", m.durationSeconds === null ? null : duration(m.durationSeconds)],
    [
      "Consensus valid after",
      m.consensusValidAfter === null ? null : timeElement(m.consensusValidAfter),
    ],
    ["Asked for", selection === null ? null : foreign(selection, { limit: 60 })],
    ["Country", m.country === null ? null : foreign(m.country, { limit: 10 })],
    [
      "Mode",
      m.mode === null
        ? null
        : foreign(
            m.mode === "nxdomain"
              ? "names that do not exist: any definite answer is a success"
              : m.mode === "wildcard"
                ? "names in a zone that answers every name with one address"
                : m.mode,
            { limit: 100 },
          ),
    ],
    ["Domain", m.domain === null ? null : h("code", null, foreign(m.domain, { limit: 300 }))],
    [
      "Expected address",
      m.expectedIp === null ? null : h("code", null, foreign(m.expectedIp, { limit: 60 })),
    ],
    [
      "Our zone",
      m.publish.zoneCheck === null
        ? null
        : m.publish.zoneCheck.ok
          ? "answered as it must"
          : [
              "did not answer as it must: ",
              foreign(m.publish.zoneCheck.error ?? "", { limit: 300 }),
            ],
    ],
    ["Seen differently from several places", m.disagreements === 0 ? null : whole(m.disagreements)],
    ["Published by", publisherWords(m)],
    [
      "Source of what the publisher runs",
      m.publisher.source === null ? null : outerLink(m.publisher.source),
    ],
    ["Licence of the data", m.license === null ? null : foreign(m.license, { limit: 64 })],
    ["Locations by", m.attribution === null ? null : foreign(m.attribution, { limit: 200 })],
    ["Files not used", m.rejected === 0 ? null : whole(m.rejected)],
    ["tor", m.torVersions.length === 0 ? null : foreign(m.torVersions.join(", "), { limit: 200 })],
    [
      "scanner",
      m.scannerVersions.length === 0 ? null : foreign(m.scannerVersions.join(", "), { limit: 200 }),
    ],
    ["aggregate", m.aggregateVersion === null ? null : foreign(m.aggregateVersion, { limit: 60 })],
  ];
  const list = facts(entries);
  const source = [attribution(m)].filter((one) => one !== null);
  if (m.inputs.length === 0) return [list, ...source];
  return [
    list,
    ...source,
    table({
      caption: "The scans in this report",
      columns: [
        { label: "Scan", header: true },
        { label: "Shard" },
        { label: "Exits in the consensus", number: true },
        { label: "Selected", number: true },
        { label: "Results", number: true },
        { label: "Complete" },
      ],
      rows: m.inputs
        .slice(0, 100)
        .map((input) =>
          [
            foreign(input.name ?? input.runId ?? MISSING, { limit: 100 }),
            input.shard === null ? "" : foreign(input.shard, { limit: 20 }),
            whole(input.exits),
            whole(input.selected),
            whole(input.results),
            input.complete === null
              ? MISSING
              : input.complete
                ? "yes"
                : ["no: ", foreign(input.reason ?? "", { limit: 200 })],
          ].map((cell) => (Array.isArray(cell) ? h("span", null, cell) : cell)),
        ),
    }),
  ];
}
