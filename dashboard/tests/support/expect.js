// What the pages ought to show, computed a second time and in the plainest way from the report as it
// was written: of the pages' own code only the words are used. Performs no IO.

import { CAUSES, DEGRADED_WORDS, STATES, STATUSES } from "../../../public/js/words.js";
import { FAILING } from "./report.js";

/** @import { Report, Result } from "./report.js" */

const COUNTRIES = new Intl.DisplayNames(["en"], { type: "region" });

/**
 * A relay's country: the location database's word, and otherwise tor's.
 * @param {Result} one
 * @returns {string | null}
 */
export function countryOf(one) {
  return one.location?.country ?? one.relay.country;
}

/**
 * Whether its failure is a fact, and not our own fault.
 * @param {Result} one
 * @returns {boolean}
 */
export function isFact(one) {
  return (
    FAILING.has(one.status) && !one.provisional && !["scanner", "zone"].includes(one.blame ?? "")
  );
}

/**
 * How often it began to fail within its last runs.
 * @param {string} marks
 * @returns {number}
 */
export function outagesOf(marks) {
  return marks.split("s").filter((between) => /[wdt]/.test(between)).length;
}

/**
 * Whether it failed in each of the last weeks that its runs reach back, with four runs a day.
 * @param {string} marks
 * @returns {boolean}
 */
export function failsWeekly(marks) {
  if (marks.length < 56) return false;
  return /[wdt]/.test(marks.slice(-28)) && /[wdt]/.test(marks.slice(-56, -28));
}

/**
 * Whether a relay is among those that a choice shows.
 * @param {Result} one
 * @param {Readonly<Record<string, string>>} choice as in the address
 * @returns {boolean}
 */
export function isShown(one, choice) {
  /** @type {(wanted: string, value: string | null) => boolean} */
  const same = (wanted, value) => (wanted === "-" ? value === null : value === wanted);
  const {
    q = "",
    status,
    cause,
    blame,
    state,
    flag,
    country,
    again,
    network,
    ipv6,
    operator,
    address,
  } = choice;
  const where = countryOf(one);
  const system = one.location?.as_number ?? null;
  const text = [
    one.exit_fingerprint,
    one.exit_nickname,
    one.exit_address,
    one.relay.ipv6.address,
    one.operator,
    one.relay.contact,
    one.relay.family_ids?.join(" ") ?? null,
    one.error_code,
    one.status,
    one.relay.platform,
    one.resolved_ip,
    where === null ? null : (COUNTRIES.of(where.toUpperCase()) ?? null),
    system === null ? null : [`AS${system}`, one.location?.as_name].filter(Boolean).join(" "),
    STATUSES.get(one.status)?.label,
    STATES.get(one.state ?? "")?.label,
    one.degraded ? DEGRADED_WORDS.label : null,
    CAUSES.get(one.error_code ?? "")?.label,
  ];
  const failed = one.status !== "success";
  if (q.trim() !== "") {
    for (const word of q.trim().toLowerCase().split(/\s+/)) {
      if (!text.some((field) => field?.toLowerCase().includes(word))) return false;
    }
  }
  if (status === "confirmed" && !isFact(one)) return false;
  if (status === "failing" && !FAILING.has(one.status)) return false;
  if (status && !["confirmed", "failing"].includes(status) && one.status !== status) return false;
  if (again === "weeks" && !failsWeekly(one.recent)) return false;
  if (again === "outages" && outagesOf(one.recent) < 2) return false;
  if (cause && !(failed && same(cause, one.error_code))) return false;
  if (blame && !(failed && same(blame, one.blame))) return false;
  if (state && !(state === "degraded" ? one.degraded === true : same(state, one.state)))
    return false;
  if (flag && !one.relay.flags.includes(flag)) return false;
  if (country && !same(country, where)) return false;
  if (network && !same(network, system === null ? null : String(system))) return false;
  if (ipv6 === "yes" && one.relay.ipv6.address === null) return false;
  if (ipv6 === "no" && one.relay.ipv6.address !== null) return false;
  if (ipv6 === "exit" && one.relay.ipv6.exit !== true) return false;
  if (ipv6 === "noexit" && one.relay.ipv6.exit === true) return false;
  if (operator && one.operator !== operator) return false;
  return !(address && one.exit_address !== address);
}

/**
 * The fingerprints of the relays that a choice shows, in the report's order.
 * @param {Report} report
 * @param {Readonly<Record<string, string>>} choice
 * @returns {string[]}
 */
export function shown(report, choice) {
  return report.results.filter((one) => isShown(one, choice)).map((one) => one.exit_fingerprint);
}

/**
 * How two reports differ.
 * @param {Report} before
 * @param {Report} after
 */
export function difference(before, after) {
  /** @type {(report: Report, test: (one: Result) => boolean) => Set<string>} */
  const set = (report, test) =>
    new Set(report.results.filter(test).map((one) => one.exit_fingerprint));
  const all = () => true;
  const fails = (/** @type {Result} */ one) => FAILING.has(one.status);
  const [old, now] = [set(before, all), set(after, all)];
  const [failedThen, failsNow] = [set(before, fails), set(after, fails)];
  const worksNow = set(after, (one) => one.status === "success");
  /** @type {(list: Set<string>, test: (one: string) => boolean) => string[]} */
  const only = (list, test) => [...list].filter(test).sort();
  return {
    failing: only(failsNow, (one) => !failedThen.has(one)),
    recovered: only(failedThen, (one) => worksNow.has(one)),
    still: only(failsNow, (one) => failedThen.has(one)),
    gone: only(old, (one) => !now.has(one)),
    added: only(now, (one) => !old.has(one)),
  };
}
