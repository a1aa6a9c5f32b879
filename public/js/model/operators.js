// Failing relays by who can repair them, and the words to tell them. Performs no IO.

import { causeWords, FAILING, statusWords } from "../words.js";
import { visible } from "./text.js";

/** @import { Relay } from "../data/report.js" */

/**
 * Relays that fail and belong together.
 * @typedef {object} Group
 * @property {string} key an operator's key, or an address
 * @property {"contact" | "family" | "relay" | "address" | "unknown"} kind
 * @property {string} name the key without its kind
 * @property {string | null} contact the contact line as one of the relays has it
 * @property {Relay[]} failing the longest streak first
 * @property {number} relays how many relays the group has in all
 * @property {number} weight of the failing ones
 */

/**
 * @param {string} key
 * @returns {{kind: Group["kind"], name: string}}
 */
export function operatorKey(key) {
  const match = /^(contact|family|relay):(.*)$/s.exec(key);
  if (match === null) return { kind: "unknown", name: key };
  return { kind: /** @type {"contact" | "family" | "relay"} */ (match[1]), name: match[2] };
}

/**
 * @param {readonly Relay[]} relays
 * @param {"operator" | "address"} by
 * @returns {Group[]} the one with the most failing relays first, then by their weight, then by key
 */
export function groups(relays, by) {
  /** @type {Map<string, Group>} */
  const found = new Map();
  for (const relay of relays) {
    const key = keyOf(relay, by);
    let group = found.get(key);
    if (group === undefined) {
      const named =
        by === "address"
          ? /** @type {const} */ ({ kind: "address", name: relay.address })
          : operatorKey(key);
      group = { key, ...named, contact: null, failing: [], relays: 0, weight: 0 };
      found.set(key, group);
    }
    group.relays += 1;
    if (!FAILING.includes(relay.status)) continue;
    group.failing.push(relay);
    group.weight += relay.weight ?? 0;
    group.contact ??= relay.contact;
  }
  const failing = [...found.values()].filter((group) => group.failing.length > 0);
  for (const group of failing) {
    group.failing.sort(
      (a, b) => b.failures - a.failures || (a.fingerprint < b.fingerprint ? -1 : 1),
    );
  }
  return failing.sort(
    (a, b) =>
      b.failing.length - a.failing.length || b.weight - a.weight || (a.key < b.key ? -1 : 1),
  );
}

/**
 * @param {Relay} relay
 * @param {"operator" | "address"} by
 * @returns {string}
 */
function keyOf(relay, by) {
  if (by === "address") return relay.address;
  // Reports from before there were operators have none.
  return relay.operator !== "" ? relay.operator : `relay:${relay.fingerprint}`;
}

/**
 * An e-mail address that is one and nothing else: no display name, no comment, no quoting, ASCII
 * only. Stricter than RFC 5321, so that what is copied goes to nobody else.
 * @param {string} text
 * @returns {boolean}
 */
export function isMailAddress(text) {
  return (
    text.length <= 200 &&
    /^[a-z0-9][a-z0-9._+-]{0,63}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}$/i.test(
      text,
    )
  );
}

/** How many relays a mail names. */
const MAIL_RELAYS = 50;

/**
 * The text of a mail to an operator. What strangers wrote is in it in a visible form only.
 * @param {readonly Relay[]} failing
 * @param {number} timestamp of the report, milliseconds
 * @param {(relay: Relay) => string | null} link to a relay's page
 * @returns {{subject: string, body: string}}
 */
export function mail(failing, timestamp, link) {
  const day = (/** @type {number} */ ms) =>
    `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  const many = failing.length > 1;
  /** @type {string[]} */
  const lines = [
    "Hello,",
    "",
    `a test of all Tor exits found that ${many ? `${failing.length} of your exit relays` : "your exit relay"} cannot resolve names as ${many ? "they" : "it"} should. Connections through ${many ? "them" : "it"} fail for the people who use Tor.`,
    "",
    `Seen on ${day(timestamp)}:`,
    "",
  ];
  for (const relay of failing.slice(0, MAIL_RELAYS)) {
    const cause =
      relay.code === null ? statusWords(relay.status).label : causeWords(relay.code).label;
    lines.push(
      `* ${visible(relay.nickname, 40)} (${visible(relay.fingerprint, 60)}) at ${visible(relay.address, 60)}`,
    );
    lines.push(
      `  ${visible(cause, 100)}${relay.code === null ? "" : ` [${visible(relay.code, 60)}]`}`,
    );
    if (relay.failingSince !== null && relay.failures > 1) {
      lines.push(`  Failing since ${day(relay.failingSince)}, ${relay.failures} runs in a row`);
    }
    const page = link(relay);
    if (page !== null) lines.push(`  ${page}`);
  }
  if (failing.length > MAIL_RELAYS) lines.push(`* and ${failing.length - MAIL_RELAYS} more`);
  /** @type {Set<string>} */
  const codes = new Set(failing.flatMap((relay) => relay.code ?? []));
  /** @type {Set<string>} */
  const checks = new Set([...codes].flatMap((code) => causeWords(code).check));
  if (checks.size > 0) {
    lines.push("", "What to look at:", "");
    for (const check of checks) lines.push(`* ${check}`);
  }
  lines.push(
    "",
    "Each relay was asked several times, through different first hops, for names that nobody has asked for before. The next run shows whether a change has helped.",
    "",
    "Thank you for running exits!",
    "",
  );
  return {
    subject: many
      ? `DNS of ${failing.length} of your Tor exit relays does not work`
      : `DNS of your Tor exit relay ${visible(failing[0]?.nickname ?? "", 40)} does not work`,
    body: lines.join("\n"),
  };
}
