// What is found by typing, and why. Performs no IO, and draws nothing.

import { causeWords, DEGRADED_WORDS, stateWords, statusWords } from "../words.js";
import { isWithin, parseAddress, parseNet } from "./addresses.js";
import { country } from "./countries.js";
import { cut } from "./text.js";

/** @import { Relay } from "../data/report.js" */
/** @import { Net } from "./addresses.js" */

/**
 * What is searched, in the order in which it is named as the reason.
 * @type {readonly (readonly [string, (relay: Relay) => string])[]}
 */
const FIELDS = [
  ["fingerprint", (relay) => relay.fingerprint],
  ["name", (relay) => relay.nickname],
  ["address", (relay) => relay.address],
  ["IPv6 address", (relay) => relay.ipv6 ?? ""],
  ["country", (relay) => (relay.country === null ? "" : country(relay.country))],
  ["status", (relay) => `${statusWords(relay.status).label} ${relay.status}`],
  ["network", networkWords],
  [
    "state",
    (relay) =>
      `${relay.state === null ? "" : stateWords(relay.state).label}${relay.degraded ? ` ${DEGRADED_WORDS.label}` : ""}`,
  ],
  [
    "cause",
    (relay) => (relay.code === null ? "" : `${causeWords(relay.code).label} ${relay.code}`),
  ],
  ["operator", (relay) => relay.operator.slice(0, 300)],
  ["family", (relay) => relay.familyIds.join(" ")],
  ["contact", (relay) => (relay.contact ?? "").slice(0, 2000)],
  ["software", (relay) => (relay.platform ?? "").slice(0, 100)],
  ["answer", (relay) => relay.resolved ?? ""],
];

/**
 * @param {Relay} relay
 * @returns {string} for instance "AS64496 Example Net"; empty where it is not known
 */
export function networkWords({ asNumber, asName }) {
  if (asNumber === null) return asName ?? "";
  return asName === null ? `AS${asNumber}` : `AS${asNumber} ${asName}`;
}

/** The fields that hold addresses. */
const ADDRESSES = Object.freeze(["address", "IPv6 address", "answer"]);

/**
 * A part of what was typed. All parts must be found.
 * @typedef {{text: string} | {system: string} | {net: Net} | {fingerprint: string, nickname: string}} Term
 */

/** @typedef {{field: string, excerpt: string}} Reason */

/**
 * A relay made ready for searching: a line for each field.
 * @param {Relay} relay
 * @returns {string}
 */
export function haystack(relay) {
  return FIELDS.map(([, get]) => get(relay).toLowerCase().replaceAll("\n", " ")).join("\n");
}

/**
 * @param {string} word lower case, without blanks
 * @returns {Term}
 */
function termOf(word) {
  // As tor writes it: `$FINGERPRINT~nickname`, `$FINGERPRINT=nickname`.
  const named = /^\$?([0-9a-f]{40})[~=](.+)$/.exec(word);
  if (named !== null) return { fingerprint: named[1], nickname: named[2] };
  const net = parseNet(word.replace(/^\[([0-9a-f:]+)\]/, "$1"));
  if (net !== null) return { net };
  if (/^as[1-9]\d{0,9}$/.test(word)) return { system: word };
  const bare = word
    .replace(/^\$(?=[0-9a-f]{6,40}$)/, "")
    .replace(/^\[([0-9a-f:]+)\]$/, "$1")
    // A prefix that is not typed to its end.
    .replace(/^([0-9a-f.:]*[.:][0-9a-f.:]*)\/$/, "$1");
  const address = bare.includes(":") ? parseAddress(bare) : null;
  // An IPv6 address has many spellings.
  return address?.family === 6 ? { net: { ...address, bits: 128 } } : { text: bare };
}

/**
 * @param {string} q what was typed
 * @returns {Term[]}
 */
export function termsOf(q) {
  return q.toLowerCase().split(/\s+/).filter(Boolean).map(termOf);
}

/**
 * @param {Term} term
 * @param {string} text a relay's `haystack`
 * @returns {boolean}
 */
export function isFound(term, text) {
  if ("text" in term) return text.includes(term.text);
  if ("system" in term && !text.includes(term.system)) return false;
  const lines = text.split("\n");
  if ("system" in term) return withWord(lines, term.system) >= 0;
  if ("fingerprint" in term) return lines[0] === term.fingerprint && lines[1] === term.nickname;
  return inNet(term.net, lines) !== null;
}

const NETWORK = FIELDS.findIndex(([field]) => field === "network");

/**
 * Where a word is; the number of a network only whole, as AS680 is not AS6805.
 * @param {readonly string[]} lines
 * @param {string} word
 * @returns {number} -1 where it is nowhere
 */
function withWord(lines, word) {
  return lines.findIndex((line, i) =>
    i === NETWORK ? `${line} `.startsWith(`${word} `) : line.includes(word),
  );
}

/**
 * @param {Net} net
 * @param {readonly string[]} lines
 * @returns {Reason | null}
 */
function inNet(net, lines) {
  for (const [i, [field]] of FIELDS.entries()) {
    if (!ADDRESSES.includes(field) || lines[i] === "") continue;
    if (isWithin(net, parseAddress(lines[i]))) return { field, excerpt: lines[i] };
  }
  return null;
}

/** How much is shown around what was found. */
const AROUND = 12;

/**
 * @param {string} line lower case, in which it was found
 * @param {string} original the same field as it was written
 * @param {string} word
 * @returns {string}
 */
function around(line, original, word) {
  const at = line.indexOf(word);
  // Some letters change their length with their case.
  const text = original.length === line.length ? original.replaceAll("\n", " ") : line;
  const from = at <= AROUND ? 0 : at - AROUND;
  const part = cut(text.slice(from), at - from + word.length + AROUND);
  return from === 0 ? part : `…${part}`;
}

/**
 * Why a relay was found.
 * @param {Relay} relay
 * @param {readonly Term[]} terms
 * @returns {Reason[]} one for each part of what was typed
 */
export function reasons(relay, terms) {
  const lines = haystack(relay).split("\n");
  return terms.flatMap((term) => {
    if ("fingerprint" in term) return [{ field: "fingerprint and name", excerpt: "" }];
    if ("net" in term) return inNet(term.net, lines) ?? [];
    const word = "system" in term ? term.system : term.text;
    const i =
      "system" in term ? withWord(lines, word) : lines.findIndex((line) => line.includes(word));
    if (i < 0) return [];
    const [field, get] = FIELDS[i];
    return [{ field, excerpt: around(lines[i], get(relay), word) }];
  });
}
