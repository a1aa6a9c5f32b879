// All that is published beside a report: trends.json of a year, files.json, dated reports.
// docs/formats/trends.md, docs/formats/files.md. Performs no IO.

import { createHash } from "node:crypto";
import { hash, unit } from "./random.js";
import { datedName, iso, LAST_END, LAST_RUN, report, runId } from "./report.js";

/** @import { Report } from "./report.js" */

const SIX_HOURS = 6 * 3600 * 1000;

/** @typedef {ReturnType<typeof trends>["runs"][number]} Trend */

/**
 * A report's figures.json.
 * @param {Pick<Report, "metadata">} of
 * @returns {string}
 */
export function figures({ metadata }) {
  return JSON.stringify({ format: { name: "exit-validator/figures", version: 1 }, metadata });
}

/**
 * A report's entry of trends.json.
 * @param {Report} of
 */
export function trendOf({ metadata }) {
  return {
    timestamp: metadata.timestamp,
    run_id: metadata.run_id,
    published: metadata.publish.allowed,
    reasons: metadata.publish.reasons.map((one) => one.code),
    total_relays: metadata.total_relays,
    success: metadata.success,
    wrong_ip: metadata.wrong_ip,
    dns_fail: metadata.dns_fail,
    timeout: metadata.timeout,
    circuit_fail: metadata.circuit_fail,
    error: metadata.error,
    exception: metadata.exception,
    dns_success_rate_percent: metadata.dns_success_rate_percent,
    reachability_rate_percent: metadata.reachability_rate_percent,
    ...(metadata.lookup_failure ? { lookup_failure: metadata.lookup_failure } : {}),
    ...(metadata.degraded ? { degraded: metadata.degraded } : {}),
    resolvers: metadata.resolvers,
    failing_bandwidth_percent: metadata.bandwidth.failing_percent,
    states: metadata.states,
    error_codes: metadata.error_codes,
    blames: metadata.blames,
    resolve_ms: metadata.resolve_ms,
    circuit_ms: metadata.circuit_ms,
  };
}

/** @type {(value: number) => number} */
const tenths = (value) => Math.round(value * 10) / 10;

/** @typedef {NonNullable<Report["metadata"]["resolve_ms"]>} Percentiles */

/**
 * The times of a report, slower or faster.
 * @param {Percentiles | null} times
 * @param {number} factor
 * @param {number} count
 * @returns {Percentiles | null}
 */
function scaled(times, factor, count) {
  if (times === null) return null;
  const entries = Object.entries(times).map(([key, value]) => [key, tenths(value * factor)]);
  return { ...Object.fromEntries(entries), count };
}

/**
 * A share of lookups, a little greater or less, with its interval.
 * @template {{percent: number, low_percent: number, high_percent: number}} T
 * @param {T} like
 * @param {number} dice
 * @returns {T}
 */
function shifted(like, dice) {
  const by = 0.8 + 0.4 * dice;
  return {
    ...like,
    percent: like.percent * by,
    low_percent: like.low_percent * by,
    high_percent: like.high_percent * by,
  };
}

/**
 * An entry that no report stands behind.
 * @param {number} seed
 * @param {number} run
 * @param {Report["metadata"]} like a report whose size and times it has, more or less
 * @returns {ReturnType<typeof trendOf>}
 */
function invented(seed, run, like) {
  const relays = like.total_relays;
  /** @type {(name: string) => number} */
  const dice = (name) => unit(seed, name, run);
  const total = Math.round(relays * (0.95 + 0.05 * Math.sin(run / 200)) + dice("total") * 20);
  // A zone that is down now and then: everything fails, and the gate is closed.
  const down = dice("down") < 0.008;
  const held = down || dice("held") < 0.012;
  const failing = down
    ? total * 0.9
    : total * (0.02 + 0.01 * Math.sin(run / 90) + dice("f") * 0.01);
  const parts = {
    wrong_ip: Math.round(failing * 0.06),
    dns_fail: Math.round(failing * 0.74),
    timeout: Math.round(failing * 0.2),
    circuit_fail: Math.round(total * 0.012 + dice("c") * 8),
    error: dice("e") < 0.05 ? 2 : 0,
    exception: dice("x") < 0.01 ? 1 : 0,
  };
  const bad = Object.values(parts).reduce((sum, one) => sum + one, 0);
  const success = total - bad;
  const tested = success + parts.wrong_ip + parts.dns_fail + parts.timeout;
  const nxdomain = Math.round(parts.dns_fail * 0.2);
  /** @type {(entries: Record<string, number>) => Record<string, number>} */
  const some = (entries) => Object.fromEntries(Object.entries(entries).filter(([, n]) => n > 0));
  return {
    timestamp: iso(LAST_END + (run - LAST_RUN) * SIX_HOURS),
    run_id: runId(run),
    published: !held,
    reasons: down ? ["dns_success_rate", "one_kind"] : held ? ["circuit_failures"] : [],
    total_relays: total,
    success,
    ...parts,
    dns_success_rate_percent: Math.floor((success * 100_000) / tested) / 1000,
    reachability_rate_percent: Math.floor((tested * 100_000) / total) / 1000,
    ...(like.lookup_failure ? { lookup_failure: shifted(like.lookup_failure, dice("l")) } : {}),
    ...(like.degraded ? { degraded: like.degraded } : {}),
    resolvers: like.resolvers,
    failing_bandwidth_percent: Math.floor(((failing * 0.7) / total) * 100_000) / 1000,
    states: some({
      confirmed: Math.round(failing * 0.7),
      healthy: success - Math.round(total * 0.01),
      recovered: Math.round(total * 0.01),
      suspect: Math.round(failing * 0.3),
      unreachable: parts.circuit_fail,
    }),
    error_codes: some({
      CIRCUIT_EXIT_UNREACHABLE: parts.circuit_fail,
      EXCEPTION: parts.exception,
      NXDOMAIN: nxdomain,
      SERVFAIL: parts.dns_fail - nxdomain,
      SOCKS_GENERAL_FAILURE: parts.error,
      TIMEOUT: parts.timeout,
      UNEXPECTED_ADDRESS: parts.wrong_ip,
    }),
    blames: some({
      exit: parts.circuit_fail,
      resolver: parts.wrong_ip + parts.dns_fail,
      scanner: parts.error + parts.exception,
      unknown: parts.timeout,
    }),
    // Now and then a run has no times at all.
    resolve_ms:
      dice("none") < 0.005
        ? null
        : scaled(like.resolve_ms, 0.9 + 0.2 * Math.sin(run / 40) + 0.1 * dice("r"), success),
    circuit_ms: scaled(like.circuit_ms, 0.9 + 0.2 * dice("ms"), tested),
  };
}

/**
 * The trends, oldest first, ending with those of the reports.
 * @param {object} of
 * @param {Report[]} of.reports oldest first; one at least
 * @param {number} [of.runs] how many in all
 * @param {number} [of.seed]
 */
export function trends({ reports, runs = 1460, seed = 1 }) {
  const like = reports[reports.length - 1].metadata;
  const first = LAST_RUN - runs + 1;
  return {
    format: { name: "exit-validator/trends", version: 1 },
    runs: [
      ...Array.from({ length: Math.max(0, runs - reports.length) }, (_, at) =>
        invented(seed, first + at, like),
      ),
      ...reports.map(trendOf),
    ],
  };
}

/**
 * The list of files, newest first: those of `documents` with their true size and hash, then others
 * that the list only names.
 * @param {object} of
 * @param {Map<string, string>} of.documents dated reports by name
 * @param {number} [of.others]
 */
export function files({ documents, others = 200 }) {
  const real = [...documents].map(([name, text]) => {
    const { metadata } = /** @type {Report} */ (JSON.parse(text));
    return {
      name,
      kind: "report",
      size: Buffer.byteLength(text),
      sha256: createHash("sha256").update(text).digest("hex"),
      timestamp: metadata.timestamp,
      report: {
        run_id: metadata.run_id,
        total_relays: metadata.total_relays,
        dns_success_rate_percent: metadata.dns_success_rate_percent,
        published: metadata.publish.allowed,
        reasons: metadata.publish.reasons.map((one) => one.code),
      },
    };
  });
  /** @type {(name: string) => string} */
  const digest = (name) => createHash("sha256").update(name).digest("hex");
  const oldest = Math.min(LAST_END, ...real.map((one) => Date.parse(one.timestamp)));
  const invented = Array.from({ length: others }, (_, at) => {
    const run = LAST_RUN - documents.size - at;
    const timestamp = iso(oldest - (at + 1) * SIX_HOURS);
    const name = datedName(timestamp);
    const held = hash("held", at) % 40 === 0;
    return {
      name,
      kind: "report",
      size: 5_000_000 + (hash("size", at) % 900_000),
      sha256: digest(name),
      timestamp,
      report: {
        run_id: runId(run),
        total_relays: 2950 + (at % 100),
        dns_success_rate_percent: 97.1 + (at % 20) / 10,
        published: !held,
        reasons: held ? ["relay_count"] : [],
      },
    };
  });
  const archives = ["2026-08", "2026-07"].map((month) => ({
    name: `dns_health_${month}.tar.gz`,
    kind: "archive",
    size: 48_000_000,
    sha256: digest(month),
    timestamp: `${month}-01T00:00:00Z`,
    report: null,
  }));
  return {
    format: { name: "exit-validator/files", version: 1 },
    files: [...real, ...invented, ...archives].sort((a, b) => (a.timestamp > b.timestamp ? -1 : 1)),
  };
}

/**
 * What fails in a report as incidents: one an operator, of which the last is over.
 * @param {Report} latest
 */
export function incidents({ metadata, failures, results }) {
  const operators = [...new Set(failures.map((one) => one.operator))];
  const at = metadata.timestamp;
  return {
    format: { name: "exit-validator/incidents", version: 1 },
    incidents: operators.map((operator, i) => ({
      id: `${at.slice(0, 10)}-${i.toString(16).padStart(8, "0")}`,
      subject: { kind: "operator", operator },
      since: at,
      opened: at,
      closed: i === operators.length - 1 ? at : null,
      reopened: i % 2,
      relays: Object.fromEntries(
        results
          .filter((one) => one.operator === operator && one.error_code !== null)
          .map((one) => [
            one.exit_fingerprint,
            {
              nickname: one.exit_nickname,
              address: one.exit_address,
              since: one.failing_since ?? at,
              failed: one.consecutive_failures,
              causes: { [one.error_code ?? ""]: one.consecutive_failures },
              weight_ppm: 300,
              network: null,
              tested: at,
              worked: 0,
              working_since: null,
              left: i === operators.length - 1 ? at : null,
            },
          ]),
      ),
      detail: null,
      gone: false,
    })),
  };
}

/**
 * Everything a site publishes, by path.
 * @param {object} [of]
 * @param {number} [of.relays]
 * @param {number} [of.seed]
 * @param {number} [of.dated] how many dated reports there are, the latest among them
 * @param {number} [of.runs] how many runs trends.json has
 * @param {number} [of.others] how many reports files.json names that cannot be fetched here
 * @returns {{latest: Report, reports: Report[], files: Map<string, string>}} reports oldest first
 */
export function site({ relays = 300, seed = 1, dated = 3, runs = 1460, others = 200 } = {}) {
  const reports = Array.from({ length: dated }, (_, at) =>
    report({ relays, seed, run: LAST_RUN - dated + 1 + at }),
  );
  const documents = new Map(
    reports.map((one) => [datedName(one.metadata.timestamp), JSON.stringify(one)]),
  );
  const latest = reports[reports.length - 1];
  return {
    latest,
    reports,
    files: new Map([
      ["/latest.json", JSON.stringify(latest)],
      ["/figures.json", figures(latest)],
      ["/trends.json", JSON.stringify(trends({ reports, runs, seed }))],
      ["/files.json", JSON.stringify(files({ documents, others }))],
      ["/incidents.json", JSON.stringify(incidents(latest))],
      ...[...documents].map(([name, text]) => /** @type {[string, string]} */ ([`/${name}`, text])),
    ]),
  };
}

/**
 * What a site had published when one of its reports was the latest.
 * @param {Map<string, string>} all everything that it publishes, by path
 * @param {Report} latest
 * @returns {Map<string, string>}
 */
export function asOf(all, latest) {
  const until = latest.metadata.timestamp;
  /** @type {(path: string, key: string) => [string, string]} */
  const cut = (path, key) => {
    const document = JSON.parse(all.get(path) ?? "");
    const entries = document[key].filter(
      (/** @type {{timestamp: string}} */ one) => one.timestamp <= until,
    );
    return [path, JSON.stringify({ ...document, [key]: entries })];
  };
  return new Map([
    ...all,
    ["/latest.json", JSON.stringify(latest)],
    ["/figures.json", figures(latest)],
    cut("/trends.json", "runs"),
    cut("/files.json", "files"),
  ]);
}
