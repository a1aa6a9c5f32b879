// A network of relays that does not exist: who each relay is, and how it fares in each run. All of
// it follows from a seed, so that reports of several runs tell one story. Performs no IO.

import { hash, pick, unit } from "./random.js";

const WORDS = "amber birch cedar delta ember fjord grove hazel indigo juniper krill lotus".split(
  " ",
);
const COUNTRIES = ["de", "us", "nl", "fr", "se", "ch", "at", "ro", "fi", "lu", "gb", "ca", "is"];
const PLATFORMS = ["Linux", "FreeBSD", "OpenBSD", "Windows 10"];

/** How relays fare, and how many of a thousand do so. */
const KINDS = /** @type {const} */ ([
  ["broken", 14],
  ["dead-resolver", 9],
  ["lying", 2],
  ["new-trouble", 6],
  ["flapping", 6],
  ["recovered", 6],
  ["unreachable", 12],
  ["shaky", 8],
  ["fault", 1],
  ["well", 936],
]);

/** @typedef {typeof KINDS[number][0]} Kind */

/**
 * @typedef {object} Identity
 * @property {string} fingerprint
 * @property {string} nickname
 * @property {string} address
 * @property {string | null} contact
 * @property {string} operator the report's key
 * @property {string[]} familyIds the keys of its families
 * @property {string[]} flags
 * @property {string | null} platform
 * @property {number} weight
 * @property {string | null} ipv6
 * @property {boolean | null} ipv6Exit
 * @property {string | null} country by tor's database
 * @property {{as_number: number | null, as_name: string | null, country: string | null} | null} location
 * @property {Kind} kind
 */

/**
 * @param {number} seed
 * @param {number} index
 * @returns {string} 40 upper-case hexadecimal digits
 */
export function fingerprint(seed, index) {
  let text = "";
  for (let part = 0; part < 5; part += 1) {
    text += hash(seed, "fingerprint", index, part).toString(16).padStart(8, "0");
  }
  return text.toUpperCase();
}

/**
 * Who runs a relay: some run many, most run few, some say nothing.
 * @param {number} seed
 * @param {number} index
 * @param {string} own the relay's fingerprint
 * @returns {{contact: string | null, operator: string, name: string}}
 */
function operatorOf(seed, index, own) {
  const dice = unit(seed, "operator", index);
  if (dice < 0.08) return { contact: null, operator: `relay:${own}`, name: "Unnamed" };
  if (dice < 0.14) {
    const family = fingerprint(seed, 1_000_000 + (hash(seed, "family", index) % 40));
    return { contact: null, operator: `family:${family}`, name: "kin" };
  }
  // The square makes operator 0 the largest.
  const who = Math.floor(unit(seed, "who", index) ** 2 * 400);
  const name = `${pick(WORDS, seed, "name", who)}${who}`;
  const address = `abuse@${name}.example.org`;
  const forms = [
    `Operator of ${name} <abuse AT ${name} DOT example DOT org>`,
    `email:abuse[]${name}.example.org url:https://${name}.example.org proof:uri-rsa ciissversion:2`,
    address,
  ];
  return { contact: forms[who % 3], operator: `contact:${address}`, name };
}

/**
 * The relay of that number.
 * @param {number} seed
 * @param {number} index
 * @returns {Identity}
 */
export function identity(seed, index) {
  const own = fingerprint(seed, index);
  const { contact, operator, name } = operatorOf(seed, index, own);
  let dice = unit(seed, "kind", index) * 1000;
  /** @type {Kind} */
  let kind = "well";
  for (const [one, share] of KINDS) {
    if (dice < share) {
      kind = one;
      break;
    }
    dice -= share;
  }
  const flags = ["Exit", "Running", "Valid"];
  if (unit(seed, "fast", index) < 0.95) flags.push("Fast");
  if (unit(seed, "guard", index) < 0.4) flags.push("Guard");
  if (unit(seed, "stable", index) < 0.85) flags.push("Stable");
  if (unit(seed, "hsdir", index) < 0.6) flags.push("HSDir");
  if (kind === "lying") flags.push("BadExit");
  const has6 = unit(seed, "ipv6", index) < 0.45;
  const block = hash(seed, "address", index);
  return {
    fingerprint: own,
    nickname: `${name}x${(index % 97).toString(36)}`.slice(0, 19),
    // The blocks of RFC 5737 are too few for so many: 198.18.0.0/15 (RFC 2544) is used. Neighbours
    // share an address now and then, as relays do.
    address: `198.${18 + (block % 2)}.${(index >> 7) % 256}.${(index >> 1) % 256}`,
    contact,
    operator,
    familyIds: familyIdsOf(seed, operator),
    flags: flags.sort(),
    platform:
      unit(seed, "platform", index) < 0.02
        ? null
        : `Tor 0.4.${8 + (block % 2)}.${10 + (block % 9)} on ${pick(PLATFORMS, seed, "p", index)}`,
    weight: Math.floor(20 + unit(seed, "weight", index) ** 6 * 250_000),
    ipv6: has6 ? `2001:db8:${(block % 0xffff).toString(16)}::${(index + 1).toString(16)}` : null,
    ipv6Exit: unit(seed, "ipv6exit", index) < 0.1 ? null : has6,
    country: unit(seed, "nowhere", index) < 0.03 ? null : pick(COUNTRIES, seed, "country", index),
    location: locationOf(seed, index),
    kind,
  };
}

/**
 * The keys of an operator's families: a third of them has one, and some are changing it.
 * @param {number} seed
 * @param {string} operator
 * @returns {string[]}
 */
function familyIdsOf(seed, operator) {
  const own = [...operator].reduce((sum, one) => hash(sum, one), seed);
  const count = own % 3 !== 0 || operator.startsWith("relay:") ? 0 : own % 5 === 0 ? 2 : 1;
  const key = (/** @type {number} */ i) =>
    Buffer.from(fingerprint(own, i).slice(0, 32)).toString("base64").slice(0, 43);
  return Array.from({ length: count }, (_, i) => `ed25519:${key(i)}`);
}

/** Networks of documentation (RFC 5398), and names that have to be shown as they are. */
const NETWORKS = /** @type {const} */ ([
  [64496, "Example Hosting", "de"],
  [64497, "AMBER-AS <b>", "us"],
  [64498, null, "nl"],
  [65536, "Cedar Cloud", "fr"],
  [65537, "Delta Net", null],
]);

/**
 * Where the location database has an address: some are in no network that it knows.
 * @param {number} seed
 * @param {number} index
 * @returns {Identity["location"]}
 */
function locationOf(seed, index) {
  if (unit(seed, "unlocated", index) < 0.04) return null;
  const [as_number, as_name, country] = pick(NETWORKS, seed, "network", index);
  return { as_number, as_name, country };
}

/**
 * Whether the first lookup of a run failed, as a character of `recent`; the run may have passed by a
 * second one.
 * @param {number} seed
 * @param {number} index
 * @param {Kind} kind
 * @param {number} run
 * @returns {string} `.` where no lookup reached the relay
 */
export function first(seed, index, kind, run) {
  const found = mark(seed, index, kind, run);
  if (!"swdt".includes(found)) return ".";
  const passes = kind === "shaky" ? 0.25 : 0.007;
  return found === "s" && unit(seed, "first", index, run) < passes ? "d" : found;
}

/**
 * Whether the relay is there in a run; about four of a hundred come or go in sixty.
 * @param {number} seed
 * @param {number} index
 * @param {number} run
 * @returns {boolean}
 */
export function present(seed, index, run) {
  const dice = unit(seed, "coming", index);
  const when = hash(seed, "when", index) % 60;
  if (dice < 0.02) return run >= 1000 + when;
  if (dice < 0.04) return run < 1000 + when;
  return true;
}

/**
 * What a run found of a relay, as a character of `recent`.
 * @param {number} seed
 * @param {number} index
 * @param {Kind} kind
 * @param {number} run
 * @returns {string}
 */
export function mark(seed, index, kind, run) {
  if (!present(seed, index, run)) return ".";
  const dice = unit(seed, "mark", index, run);
  const since = 1000 + (hash(seed, "since", index) % 58);
  if (kind === "broken") return run < since ? "s" : "d";
  if (kind === "dead-resolver") return run < since ? "s" : dice < 0.3 ? "t" : "d";
  if (kind === "lying") return dice < 0.7 ? "w" : "s";
  if (kind === "new-trouble") return run >= 1000 + 59 ? "d" : "s";
  if (kind === "flapping") return dice < 0.5 ? "d" : "s";
  if (kind === "recovered") return run >= 1000 + 50 && run < 1000 + 58 ? "t" : "s";
  if (kind === "unreachable") return run < since ? "s" : "c";
  if (kind === "fault") return dice < 0.5 ? "e" : "x";
  return dice < 0.002 ? "c" : "s";
}
