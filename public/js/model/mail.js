// The words to tell an operator which of their relays fail. Only what is a fact is told: what was
// confirmed, and what evidence there is for it. Performs no IO.

import { readDetails } from "../data/details.js";
import { causeWords, FAILING, statusWords } from "../words.js";
import { visible } from "./text.js";

/** @import { Relay } from "../data/report.js" */
/** @import { Metadata } from "../data/metadata.js" */

/** How many relays a mail names. */
const MAIL_RELAYS = 50;

/** What an attempt comes to whose lookup reached the exit. */
const ASKED = Object.freeze(["success", ...FAILING]);

/** Whose fault it cannot be held against the operator for. */
const NOT_THEIRS = Object.freeze(["scanner", "zone"]);

/**
 * Whether it is a fact that the relay's DNS failed, and the operator's to know.
 * @param {Relay} relay
 * @returns {boolean}
 */
export function isConfirmed(relay) {
  return (
    FAILING.includes(relay.status) && !relay.provisional && !NOT_THEIRS.includes(relay.blame ?? "")
  );
}

/**
 * Why nobody should be written to because of this report.
 * @param {Metadata} metadata
 * @returns {string | null} null where nothing speaks against it
 */
export function against({ publish }) {
  if (publish.allowed !== false || publish.forced) return null;
  return "The publish gate held this report back: its failures may be our own fault. Write to nobody because of it.";
}

/**
 * @param {number} ms
 * @returns {string}
 */
function day(ms) {
  return `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/**
 * @param {number} n
 * @param {string} one
 * @returns {string}
 */
function plural(n, one) {
  return `${n} ${one}${n === 1 ? "" : "s"}`;
}

/**
 * @param {readonly number[]} values
 * @returns {string} for instance "3" or "3 to 5"
 */
function reach(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return low === high ? `${low}` : `${low} to ${high}`;
}

/**
 * @param {Relay} relay
 * @returns {string}
 */
function nameLine(relay) {
  return `${visible(relay.fingerprint, 60)} ${visible(relay.nickname, 40) || "(no name)"}`;
}

/**
 * @param {readonly Relay[]} relays
 * @returns {string} since when they fail; empty where this is the first run
 */
function sinceWords(relays) {
  const runs = relays.map((relay) => relay.failures);
  const times = relays.flatMap((relay) => relay.failingSince ?? []);
  if (Math.min(...runs) < 2 || times.length === 0) return "";
  return `${reach(runs)} runs in a row, since ${day(Math.min(...times))}`;
}

/**
 * @template T
 * @param {Iterable<T>} items
 * @param {(item: T) => string} key
 * @returns {Map<string, T[]>} the largest first
 */
function grouped(items, key) {
  /** @type {Map<string, T[]>} */
  const found = new Map();
  for (const item of items) {
    const group = found.get(key(item));
    if (group === undefined) found.set(key(item), [item]);
    else group.push(item);
  }
  return new Map([...found].sort((a, b) => b[1].length - a[1].length));
}

/**
 * The relays of one cause: a block for each address that several share, a line for each other.
 * @param {readonly Relay[]} relays
 * @returns {string[]}
 */
function addressLines(relays) {
  /** @type {string[]} */
  const lines = [];
  for (const [address, some] of grouped(relays, (relay) => relay.address)) {
    const since = sinceWords(some);
    const where = visible(address, 60) || "no address";
    if (some.length === 1) {
      lines.push(`  ${nameLine(some[0])} at ${where}${since === "" ? "" : `: ${since}`}`);
      continue;
    }
    lines.push(`  At ${where}, ${some.length} relays${since === "" ? "" : `, ${since}`}:`);
    for (const relay of some) lines.push(`    ${nameLine(relay)}`);
  }
  return lines;
}

/**
 * @param {Relay} relay
 * @returns {string} the cause in words
 */
function causeOf(relay) {
  if (relay.code === null) return visible(statusWords(relay.status).label, 100);
  return `${visible(causeWords(relay.code).label, 100)} [${visible(relay.code, 60)}]`;
}

/**
 * How the failures were seen, by the attempts that the report has.
 * @param {readonly Relay[]} relays
 * @returns {string} empty where the report has no attempts of some
 */
function evidenceWords(relays) {
  const seen = relays.map((relay) => {
    // A circuit that did not reach the exit asked it nothing.
    const attempts = readDetails(relay.raw).attempts.filter(({ status }) => ASKED.includes(status));
    const hops = new Set(attempts.flatMap((attempt) => attempt.firstHop ?? []));
    return { attempts: attempts.length, hops: hops.size };
  });
  if (seen.some(({ attempts }) => attempts === 0)) return "";
  const who = relays.length > 1 ? "Each relay was" : "The relay was";
  const attempts = seen.map((one) => one.attempts);
  const hops = seen.map((one) => one.hops);
  const times = Math.max(...attempts) === 1 ? "once" : `${reach(attempts)} times`;
  const names =
    Math.max(...attempts) === 1
      ? "for a name that nobody had asked for before"
      : "each time for a name that nobody had asked for before";
  const through = Math.min(...hops) > 1 ? `, through ${reach(hops)} different first hops` : "";
  return `${who} asked ${times}${through}, ${names}. `;
}

/**
 * What was left out, so that the mail and the page agree.
 * @param {readonly Relay[]} left
 * @returns {string | null}
 */
export function leftOutWords(left) {
  const unconfirmed = left.filter((relay) => relay.provisional).length;
  const others = left.length - unconfirmed;
  const parts = [];
  if (unconfirmed > 0) parts.push(`${plural(unconfirmed, "failure")} not confirmed by this run`);
  if (others > 0) parts.push(`${plural(others, "failure")} whose fault was our own`);
  return parts.length === 0 ? null : `Left out: ${parts.join(", ")}.`;
}

/**
 * @typedef {object} Mail
 * @property {string} subject
 * @property {string} body
 */

/**
 * The text of a mail to an operator. What strangers wrote is in it in a visible form only.
 * @param {readonly Relay[]} failing
 * @param {number} timestamp of the report, milliseconds
 * @param {string | null} link to these relays in this very report
 * @returns {Mail | null} null where no failure is a fact
 */
export function mail(failing, timestamp, link) {
  const told = failing.filter(isConfirmed);
  if (told.length === 0) return null;
  const many = told.length > 1;
  const lines = [
    "Hello,",
    "",
    `in a test of all Tor exits on ${day(timestamp)}, ${many ? `${told.length} of your exit relays` : "your exit relay"} did not resolve a name as ${many ? "they" : "it"} should. When that happens, connections through an exit fail for the people who use Tor.`,
  ];
  const named = told.slice(0, MAIL_RELAYS);
  for (const [cause, relays] of grouped(named, causeOf)) {
    lines.push("", relays.length === 1 ? `${cause}:` : `${cause}, ${relays.length} relays:`);
    lines.push(...addressLines(relays));
  }
  if (told.length > named.length) lines.push("", `And ${told.length - named.length} more.`);
  if (link !== null) lines.push("", "What was asked, and what came:", link);
  const checks = new Set(
    told.flatMap((relay) => (relay.code === null ? [] : causeWords(relay.code).check)),
  );
  if (checks.size > 0) {
    lines.push("", "What to look at:", "");
    for (const check of checks) lines.push(`* ${check}`);
  }
  lines.push(
    "",
    `${evidenceWords(told)}The next run shows whether a change has helped.`,
    "",
    "Thank you for running exits!",
    "",
  );
  return {
    subject: many
      ? `DNS failed at ${told.length} of your Tor exit relays`
      : `DNS failed at your Tor exit relay ${visible(told[0].nickname, 40)}`,
    body: lines.join("\n"),
  };
}
