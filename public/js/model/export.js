// What is shown, as CSV and JSON. Performs no IO.

/** @import { Relay } from "../data/report.js" */
/** @import { Metadata } from "../data/metadata.js" */

/** @type {readonly (readonly [string, (relay: Relay) => string | number | boolean | null])[]} */
const COLUMNS = [
  ["exit_fingerprint", (relay) => relay.fingerprint],
  ["exit_nickname", (relay) => relay.nickname],
  ["exit_address", (relay) => relay.address],
  ["country", (relay) => relay.country],
  ["as_number", (relay) => relay.asNumber],
  ["as_name", (relay) => relay.asName],
  ["status", (relay) => relay.status],
  ["error_code", (relay) => relay.code],
  ["blame", (relay) => relay.blame],
  ["error", (relay) => relay.error],
  ["state", (relay) => relay.state],
  ["degraded", (relay) => relay.degraded],
  ["consecutive_failures", (relay) => relay.failures],
  ["failing_since", (relay) => iso(relay.failingSince)],
  ["last_success", (relay) => iso(relay.lastSuccess)],
  ["resolved_ip", (relay) => relay.resolved],
  ["latency_ms", (relay) => relay.latency],
  ["dns_success_rate_7d_percent", (relay) => relay.rate7],
  ["dns_success_rate_30d_percent", (relay) => relay.rate30],
  ["failure_rate_7d_percent", (relay) => relay.lookups7?.percent ?? null],
  ["failure_rate_7d_low_percent", (relay) => relay.lookups7?.low ?? null],
  ["failure_rate_7d_high_percent", (relay) => relay.lookups7?.high ?? null],
  ["failure_rate_30d_percent", (relay) => relay.lookups30?.percent ?? null],
  ["failure_rate_30d_low_percent", (relay) => relay.lookups30?.low ?? null],
  ["failure_rate_30d_high_percent", (relay) => relay.lookups30?.high ?? null],
  ["consensus_weight", (relay) => relay.weight],
  ["ipv6_address", (relay) => relay.ipv6],
  ["ipv6_exit", (relay) => relay.ipv6Exit],
  ["flags", (relay) => relay.flags.join(" ")],
  ["platform", (relay) => relay.platform],
  ["contact", (relay) => relay.contact],
  ["family_ids", (relay) => relay.familyIds.join(" ")],
  ["operator", (relay) => relay.operator],
  ["resolver_kind", (relay) => relay.resolver?.kind ?? null],
  [
    "resolver_addresses",
    (relay) => relay.resolver?.addresses.map((one) => one.address).join(" ") ?? null,
  ],
  ["resolver_validates", (relay) => relay.resolver?.validates?.outcome ?? null],
  ["recent", (relay) => relay.recent],
  ["timestamp", (relay) => iso(relay.timestamp)],
];

/**
 * @param {number | null} ms
 * @returns {string | null}
 */
function iso(ms) {
  return ms === null || Math.abs(ms) > 8.64e15 ? null : new Date(ms).toISOString();
}

/**
 * A cell as RFC 4180 has it. A spreadsheet takes a text that begins with one of these characters
 * for a formula, so such a text gets an apostrophe before it; numbers are no texts.
 * @param {string | number | boolean | null} value
 * @returns {string}
 */
export function csvCell(value) {
  if (value === null) return "";
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text))
    text = `'${text}`;
  return /[",\r\n\t]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * @param {readonly Relay[]} relays
 * @returns {string} with a header, lines ended by CR LF
 */
export function toCsv(relays) {
  const lines = [COLUMNS.map(([name]) => name).join(",")];
  for (const relay of relays) lines.push(COLUMNS.map(([, get]) => csvCell(get(relay))).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

/**
 * What a JSON has of a relay whose own entry cannot be written: a hostile file may nest its values
 * deeper than a writer can go, though a reader could.
 * @param {Relay} relay
 * @returns {string}
 */
function withoutDepths(relay) {
  const fields = Object.fromEntries(COLUMNS.map(([name, get]) => [name, get(relay)]));
  return JSON.stringify({ ...fields, left_out: "what is nested too deeply to be written" });
}

/**
 * @param {readonly Relay[]} relays
 * @param {Metadata} metadata
 * @param {Readonly<Record<string, string>>} choice the filters and the order, as in the address
 * @returns {{text: string, cut: number}} the report's own entries; and how many of them are not
 *   whole, as they are nested too deeply
 */
export function toJson(relays, metadata, choice) {
  let cut = 0;
  const entries = relays.map((relay) => {
    try {
      return JSON.stringify(relay.raw);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      cut += 1;
      return withoutDepths(relay);
    }
  });
  const head = JSON.stringify({
    report: { timestamp: iso(metadata.timestamp), run_id: metadata.runId },
    choice,
    count: relays.length,
  });
  return { text: `${head.slice(0, -1)},"results":[\n${entries.join(",\n")}\n]}\n`, cut };
}
