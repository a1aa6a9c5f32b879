// Reports in the published format, of as many relays as are wanted. What the format says is
// computed here a second time, in the plainest way: the pages' own code is not used. Performs no IO.
// docs/formats/report.md

import { hash, unit } from "./random.js";
import { fingerprint, first, identity, mark, present } from "./relays.js";
import { networksOf, resolverOf, sharesOf } from "./resolvers.js";

/** @import { Identity } from "./relays.js" */

/** The last run of the story; sixty runs before it are known of each relay. */
export const LAST_RUN = 1059;

/** When that run ended, milliseconds. */
export const LAST_END = Date.UTC(2026, 10, 23, 3, 15, 30);

const SIX_HOURS = 6 * 3600 * 1000;

/** The status of each character of `recent`. */
export const STATUS = Object.freeze({
  s: "success",
  w: "wrong_ip",
  d: "dns_fail",
  t: "timeout",
  c: "circuit_fail",
  e: "error",
  x: "exception",
});

/** The statuses that count against a relay's DNS. */
export const FAILING = new Set(["wrong_ip", "dns_fail", "timeout"]);

/**
 * A time as the reports write it.
 * @param {number} ms
 * @returns {string}
 */
export const iso = (ms) => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** @type {(run: number) => number} */
const endOf = (run) => LAST_END + (run - LAST_RUN) * SIX_HOURS;

/**
 * A run's id.
 * @param {number} run
 * @returns {string}
 */
export function runId(run) {
  const started = iso(endOf(run) - 2 * 3600 * 1000).replace(/[-:]/g, "");
  return `${started}-${hash("run", run).toString(16).padStart(8, "0")}`;
}

/**
 * The name of the dated report of a time.
 * @param {string} timestamp
 * @returns {string}
 */
export function datedName(timestamp) {
  return `dns_health_${timestamp.slice(0, 19).replace("T", "_").replace(/:/g, "-")}.json`;
}

/** @type {(value: number, digits: number) => number} */
const floor = (value, digits) => Math.floor(value * 10 ** digits) / 10 ** digits;

/** @type {(part: number, whole: number) => number | null} */
const percent = (part, whole) => (whole === 0 ? null : floor((part * 100) / whole, 3));

/**
 * Percentiles by the nearest-rank method; null of nothing.
 * @param {number[]} values
 */
function percentiles(values) {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  /** @type {(share: number) => number} */
  const rank = (share) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  return {
    count: sorted.length,
    min: sorted[0],
    p50: rank(0.5),
    p75: rank(0.75),
    p90: rank(0.9),
    p95: rank(0.95),
    p99: rank(0.99),
    max: sorted[sorted.length - 1],
  };
}

/**
 * The state that follows from what the runs found: report.md, "States".
 * @param {string} marks newest last
 * @returns {string | null}
 */
export function stateOf(marks) {
  const tried = [...marks].filter((one) => "swdtc".includes(one));
  if (tried.length === 0) return null;
  const tests = tried.filter((one) => one !== "c");
  if (tests.length === 0 || tried.slice(-3).every((one) => one === "c")) return "unreachable";
  const ok = tests.map((one) => one === "s");
  const lately = ok.slice(-12);
  const changes = lately.filter((one, at) => at > 0 && one !== lately[at - 1]).length;
  const agree = new Set(ok.slice(-6)).size === 1;
  if (changes >= 4 && !agree) return "flapping";
  if (!ok[ok.length - 1]) return ok.length > 1 && !ok[ok.length - 2] ? "confirmed" : "suspect";
  return ok.slice(-5, -1).includes(false) ? "recovered" : "healthy";
}

/** @type {(value: number) => number} */
const thousandths = (value) => Math.round(Math.min(Math.max(value, 0), 1) * 100_000) / 1000;

/**
 * Wilson's interval of 95 %, in percent.
 * @param {number} share
 * @param {number} of
 */
function interval(share, of) {
  const z = 1.959964;
  const middle = share + z ** 2 / (2 * of);
  const half = z * Math.sqrt((share * (1 - share)) / of + z ** 2 / (4 * of ** 2));
  const low = share === 0 ? 0 : (middle - half) / (1 + z ** 2 / of);
  const high = share === 1 ? 1 : (middle + half) / (1 + z ** 2 / of);
  return { low_percent: thousandths(low), high_percent: thousandths(high) };
}

/**
 * How often the first lookup failed in the last runs: docs/rates.md.
 * @param {number} seed
 * @param {number} index
 * @param {Identity["kind"]} kind
 * @param {number} run
 * @param {number} count
 */
function failureRate(seed, index, kind, run, count) {
  let [asked, failed, passed] = [0, 0, 0];
  for (let one = run - count + 1; one <= run; one += 1) {
    const found = first(seed, index, kind, one);
    if (found === ".") continue;
    asked += 1;
    if (found === "s") continue;
    failed += 1;
    if (mark(seed, index, kind, one) === "s") passed += 1;
  }
  if (asked === 0) return null;
  return {
    asked,
    failed,
    ...(passed === 0 ? {} : { passed_by_retry: passed }),
    percent: percent(failed, asked) ?? 0,
    ...interval(failed / asked, asked),
  };
}

/**
 * @param {string | null} state
 * @param {...[ReturnType<typeof failureRate>, number, number]} windows each with how many lookups it
 *   must have, and the bound
 */
function isDegraded(state, ...windows) {
  if (state === null || ["confirmed", "unreachable"].includes(state)) return false;
  return windows.some(([rate, least, bound]) => {
    if (rate === null) return false;
    const passed = rate.passed_by_retry ?? 0;
    const asked = rate.asked - (rate.failed - passed);
    return asked >= least && interval(passed / asked, asked).low_percent > bound;
  });
}

/**
 * @param {Identity} who
 * @param {string} status
 * @param {number} dice
 * @returns {{code: string | null, blame: string | null, error: string | null, ip: string | null}}
 */
function cause(who, status, dice) {
  /** @type {(code: string, blame: string, error: string, ip?: string | null) => {code: string, blame: string, error: string, ip: string | null}} */
  const because = (code, blame, error, ip = null) => ({ code, blame, error, ip });
  switch (status) {
    case "success":
      return { code: null, blame: null, error: null, ip: "64.65.4.1" };
    case "wrong_ip":
      return dice < 0.7
        ? because(
            "UNEXPECTED_ADDRESS",
            "resolver",
            "203.0.113.7 came, where 64.65.4.1 was expected",
            "203.0.113.7",
          )
        : because("PRIVATE_ADDRESS", "resolver", "an address that is not public came");
    case "dns_fail":
      if (who.kind === "dead-resolver") {
        return because("RESOLVER_TIMEOUT", "resolver", "the exit gave up waiting for its resolver");
      }
      if (dice < 0.2) return because("NXDOMAIN", "resolver", "the resolver says: no such name");
      if (dice < 0.3) return because("EXIT_ENDED_STREAM", "exit", "the exit ended the lookup");
      return because("SERVFAIL", "resolver", "the resolver failed at once");
    case "timeout":
      return because("TIMEOUT", "unknown", "nothing came back within 30 s");
    case "circuit_fail":
      return dice < 0.6
        ? because("CIRCUIT_EXIT_UNREACHABLE", "exit", "the first hop could not reach the exit")
        : because("CIRCUIT_TIMEOUT", "unknown", "the circuit was not built within 60 s");
    case "error":
      return because("SOCKS_GENERAL_FAILURE", "scanner", "SOCKS reply 1");
    default:
      return because("EXCEPTION", "scanner", "a fault of the scanner");
  }
}

/**
 * @param {object} of
 * @param {number} of.seed
 * @param {number} of.index
 * @param {number} of.run
 * @param {Identity} of.who
 * @param {string} of.status
 * @param {boolean} of.provisional
 */
function attemptsOf({ seed, index, run, who, status, provisional }) {
  if (status === "success") return [];
  const started = endOf(run) - 3600 * 1000 + (index % 3000) * 1000;
  const dice = unit(seed, "cause", index);
  const why = cause(who, status, dice);
  return Array.from({ length: provisional ? 1 : 3 }, (_, number) => {
    const took = 400 + Math.floor(unit(seed, "took", index, run, number) * 9000);
    const begun = started + number * 60_000;
    const built = status !== "circuit_fail";
    const timing = {
      circuit_ms: built ? 200 + took / 8 : null,
      attach_ms: built ? 1.5 : null,
      resolve_ms: status === "dns_fail" || status === "wrong_ip" ? took / 2 : null,
    };
    return {
      number: number + 1,
      round: number === 2 ? 1 : 0,
      started: new Date(begun).toISOString(),
      ended: new Date(begun + took).toISOString(),
      first_hop: fingerprint(seed, 2_000_000 + (hash(index, number) % 900)),
      status,
      error_code: why.code,
      blame: why.blame,
      error: why.error,
      resolved_ip: why.ip,
      circuit: {
        state: built ? "built" : "failed",
        hops: built ? 2 : 1,
        reason: built ? null : "DESTROYED",
        remote_reason: built ? null : "CONNECTFAILED",
        refusal: null,
      },
      queries: built
        ? [
            {
              via: "socks",
              name: `${queryName(seed, index, run, number)}.${who.fingerprint.slice(0, 8).toLowerCase()}.tor.example.org`,
              socks_reply: status === "wrong_ip" ? 0 : status === "timeout" ? null : 4,
              rcode: null,
              addresses: why.ip === null ? [] : [why.ip],
              stream_reason: status === "timeout" ? "TIMEOUT" : "DONE",
              stream_remote_reason: null,
              local_error: null,
              attach_ms: timing.attach_ms,
              resolve_ms: timing.resolve_ms,
            },
          ]
        : [],
      timing,
      decided_by: built ? 0 : null,
    };
  });
}

/** @type {(...parts: (number | string)[]) => string} */
function queryName(...parts) {
  const hex = hash(...parts)
    .toString(16)
    .padStart(8, "0");
  return `${hex}-0000-4000-8000-000000000000`;
}

/**
 * What the first lookup came to.
 * @param {string} answer a character of `recent`
 * @param {Identity} who
 * @param {number} dice
 */
function firstOf(answer, who, dice) {
  const status = STATUS[/** @type {keyof typeof STATUS} */ (answer)];
  return { attempt: 1, status, error_code: cause(who, status, dice).code };
}

/**
 * Who resolves a relay's names, as a run saw it.
 * @param {number} seed
 * @param {number} index
 * @param {Identity} who
 * @param {string} seen
 */
function seenResolver(seed, index, who, seen) {
  const known = resolverOf(seed, index, who);
  if (known === null) return null;
  const { validates, ...rest } = known;
  const of = (/** @type {string} */ outcome) => ({ outcome, seen });
  return { ...rest, seen, validates: of(validates), tcp: of("yes"), minimises: of("no") };
}

/**
 * @param {number} seed
 * @param {number} index
 * @param {number} run
 */
function result(seed, index, run) {
  const who = identity(seed, index);
  const from = run - 59;
  let marks = "";
  for (let one = from; one <= run; one += 1) marks += mark(seed, index, who.kind, one);
  marks = marks.replace(/^\.+/, "");
  const last = /** @type {keyof typeof STATUS} */ (marks.at(-1));
  const status = STATUS[last];
  const dice = unit(seed, "cause", index);
  const why = cause(who, status, dice);
  let streak = 0;
  let since = null;
  let unreachable = 0;
  let success = null;
  for (const [at, one] of [...marks].entries()) {
    const end = endOf(run - marks.length + 1 + at);
    if (one === "s") {
      streak = 0;
      since = null;
      success = iso(end);
    } else if ("wdt".includes(one)) {
      streak += 1;
      since ??= iso(end);
    }
    if (one === "c") unreachable += 1;
    else if ("swdt".includes(one)) unreachable = 0;
  }
  /** @type {(count: number) => number | null} */
  const rate = (count) => {
    const tests = [...marks.slice(-count)].filter((one) => "swdt".includes(one));
    return percent(tests.filter((one) => one === "s").length, tests.length);
  };
  const tested = "swdt".includes(last);
  const resolver = seenResolver(seed, index, who, iso(endOf(run)));
  const answer = first(seed, index, who.kind, run);
  const week = failureRate(seed, index, who.kind, run, 28);
  const month = failureRate(seed, index, who.kind, run, 120);
  const state = stateOf(marks);
  const degraded = isDegraded(state, [week, 20, 6], [month, 100, 2.8]);
  const attempts = attemptsOf({ seed, index, run, who, status, provisional: false });
  const latency = floor(20 + unit(seed, "latency", index, run) ** 4 * 3000, 2);
  const timing = attempts.at(-1)?.timing ?? {
    circuit_ms: floor(150 + unit(seed, "circuit", index, run) ** 3 * 4000, 2),
    attach_ms: 1.5,
    resolve_ms: latency,
  };
  return {
    exit_fingerprint: who.fingerprint,
    exit_nickname: who.nickname,
    exit_address: who.address,
    first_hop_fingerprint: fingerprint(seed, 2_000_000 + (hash(index, run) % 900)),
    query_domain: tested
      ? `${queryName(seed, index, run)}.${who.fingerprint.slice(0, 8).toLowerCase()}.tor.example.org`
      : null,
    expected_ip: "64.65.4.1",
    timestamp: iso(endOf(run) - 3600 * 1000 + (index % 3000) * 1000),
    run_id: runId(run),
    shard: null,
    mode: "wildcard",
    status,
    resolved_ip: why.ip,
    latency_ms: timing.resolve_ms,
    error: why.error,
    error_code: why.code,
    attempt: attempts.length || 1,
    blame: why.blame,
    timing,
    provisional: false,
    state,
    consecutive_failures: streak,
    failing_since: since,
    last_success: success,
    unreachable_runs: unreachable,
    recent: marks,
    dns_success_rate_7d_percent: rate(28),
    dns_success_rate_30d_percent: rate(60),
    ...(week === null ? {} : { failure_rate_7d: week }),
    ...(month === null ? {} : { failure_rate_30d: month }),
    ...(degraded ? { degraded } : {}),
    ...(answer === "." ? {} : { first: firstOf(answer, who, dice) }),
    operator: who.operator,
    ...(who.domain === null ? {} : { domain: who.domain }),
    ...(who.location === null ? {} : { location: who.location }),
    ...(resolver === null ? {} : { resolver }),
    relay: {
      flags: who.flags,
      contact: who.contact,
      ...(who.familyIds.length > 0 ? { family_ids: who.familyIds } : {}),
      platform: who.platform,
      bandwidth: { consensus_weight: who.weight, observed: who.weight * 1000 },
      ipv6: { address: who.ipv6, exit: who.ipv6Exit },
      country: who.country,
    },
    attempts,
  };
}

/** @typedef {ReturnType<typeof result>} Result */
/** @typedef {ReturnType<typeof report>} Report */

/**
 * How often each value occurs.
 * @param {Iterable<string | null>} values
 * @returns {Record<string, number>}
 */
export function counts(values) {
  /** @type {Record<string, number>} */
  const found = {};
  for (const value of values) if (value !== null) found[value] = (found[value] ?? 0) + 1;
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * @template T
 * @param {T[]} list
 * @param {(one: T) => string} key
 * @returns {Map<string, T[]>}
 */
function groupBy(list, key) {
  /** @type {Map<string, T[]>} */
  const groups = new Map();
  for (const one of list) {
    const group = groups.get(key(one));
    if (group === undefined) groups.set(key(one), [one]);
    else group.push(one);
  }
  return groups;
}

/** @type {<T>(list: T[], keys: ((one: T) => number | string)[]) => T[]} */
const ordered = (list, keys) =>
  list.toSorted((a, b) => {
    for (const key of keys) {
      const [x, y] = [key(a), key(b)];
      if (x !== y) return x < y ? -1 : 1;
    }
    return 0;
  });

/**
 * @param {Result[]} failing
 * @param {Result[]} results
 */
function byOperator(failing, results) {
  /** @type {Map<string, Result[]>} */
  const groups = groupBy(failing, (one) => one.operator);
  const all = counts(results.map((one) => one.operator));
  return ordered(
    [...groups].map(([operator, relays]) => ({
      operator,
      contact: relays[0].relay.contact,
      failing: relays.map((one) => one.exit_fingerprint).sort(),
      relays: all[operator],
      failing_weight: relays.reduce((sum, one) => sum + one.relay.bandwidth.consensus_weight, 0),
    })),
    [(one) => -one.failing.length, (one) => -one.failing_weight, (one) => one.operator],
  );
}

/**
 * The network's share of first lookups that failed. The interval is a plain one, without the
 * operators: the pages only show it.
 * @param {Result[]} results
 */
function networkRate(results) {
  const asked = results.filter((one) => one.first && !one.relay.flags.includes("BadExit"));
  const failed = asked.filter((one) => one.first?.status !== "success");
  /** @type {(list: Result[]) => number} */
  const weight = (list) => list.reduce((sum, one) => sum + one.relay.bandwidth.consensus_weight, 0);
  const share = percent(weight(failed), weight(asked));
  if (share === null) return null;
  return {
    asked: asked.length,
    failed: failed.length,
    percent: share,
    ...interval(share / 100, asked.length),
  };
}

/**
 * A report.
 * @param {object} [of]
 * @param {number} [of.relays] how many there are in all; about two of a hundred are not in the run
 * @param {number} [of.seed]
 * @param {number} [of.run] which run: `LAST_RUN`, or one of the sixty before it
 * @param {{code: string, message: string}[]} [of.reasons] why the gate is closed
 */
export function report({ relays = 300, seed = 1, run = LAST_RUN, reasons = [] } = {}) {
  const results = [];
  const absent = [];
  for (let index = 0; index < relays; index += 1) {
    if (present(seed, index, run)) {
      results.push(result(seed, index, run));
    } else if (present(seed, index, run - 59)) {
      let last = run;
      while (!present(seed, index, last)) last -= 1;
      const { recent, state, last_success, ...one } = result(seed, index, last);
      absent.push({
        exit_fingerprint: one.exit_fingerprint,
        exit_nickname: one.exit_nickname,
        exit_address: one.exit_address,
        last_seen: iso(endOf(last)),
        state,
        recent: (recent + ".".repeat(run - last)).slice(-60),
        ...(last_success === null ? {} : { last_success }),
      });
    }
  }
  results.sort((a, b) => (a.exit_fingerprint < b.exit_fingerprint ? -1 : 1));
  absent.sort((a, b) => (a.exit_fingerprint < b.exit_fingerprint ? -1 : 1));
  const failing = results.filter((one) => FAILING.has(one.status));
  const unreached = results.filter((one) => one.status === "circuit_fail");
  /** @type {(list: Result[]) => number} */
  const weight = (list) => list.reduce((sum, one) => sum + one.relay.bandwidth.consensus_weight, 0);
  const statuses = counts(results.map((one) => one.status));
  /** @type {(status: string) => number} */
  const n = (status) => statuses[status] ?? 0;
  const total = results.length;
  const tested = n("success") + failing.length;
  const end = endOf(run);
  /** @type {(list: Result[], key: "resolve_ms" | "circuit_ms") => number[]} */
  const times = (list, key) => list.flatMap((one) => one.timing[key] ?? []);
  const degraded = results.filter((one) => one.degraded === true).length;
  const lookups = networkRate(results);
  const before = results.filter((one) => one.recent.length > 1);
  const testedBefore = before.filter((one) => "swdt".includes(one.recent.at(-2) ?? ""));
  /** @type {[string, string[]][]} */
  const byIp = [...groupBy(failing, (one) => one.exit_address)].map(([ip, list]) => [
    ip,
    list.map((one) => one.exit_fingerprint).sort(),
  ]);
  return {
    format: { name: "exit-validator/report", version: 1 },
    metadata: {
      timestamp: iso(end),
      total_relays: total,
      success: n("success"),
      wrong_ip: n("wrong_ip"),
      dns_fail: n("dns_fail"),
      timeout: n("timeout"),
      circuit_fail: n("circuit_fail"),
      error: n("error"),
      exception: n("exception"),
      success_rate_percent: percent(n("success"), total),
      tested,
      dns_success_rate_percent: percent(n("success"), tested),
      reachability_rate_percent: percent(tested, total),
      ...(lookups === null ? {} : { lookup_failure: lookups }),
      ...(degraded === 0 ? {} : { degraded }),
      unconfirmed: 0,
      not_reached: 0,
      run_id: runId(run),
      mode: "wildcard",
      domain: "tor.example.org",
      expected_ip: "64.65.4.1",
      selection: { filter: "exits", country: null },
      shards: null,
      consensus_valid_after: iso(end - 3 * 3600 * 1000).replace(/:\d\d:\d\dZ$/, ":00:00Z"),
      started: iso(end - 2 * 3600 * 1000),
      duration_seconds: 7200,
      tor_versions: ["0.4.9.11"],
      scanner_versions: ["0.1.0"],
      aggregate_version: "0.1.0",
      license: "CC0-1.0",
      inputs: [
        {
          name: runId(run),
          run_id: runId(run),
          shard: null,
          complete: true,
          incomplete_reason: null,
          started: iso(end - 2 * 3600 * 1000),
          ended: iso(end),
          probing_seconds: 7000.5,
          relays_in_consensus: total * 3,
          exits_in_consensus: total,
          selected: total,
          results: total,
          not_reached: 0,
          other_files: 0,
          tor: { version: "0.4.9.11", own: true, restarts: 0 },
          scanner_version: "0.1.0",
        },
      ],
      disagreements: { dns: 0, reachability: 0 },
      states: counts(results.map((one) => one.state)),
      resolve_ms: percentiles(
        times(
          results.filter((one) => one.status === "success"),
          "resolve_ms",
        ),
      ),
      circuit_ms: percentiles(times(results, "circuit_ms")),
      error_codes: counts(results.map((one) => one.error_code)),
      blames: counts(results.map((one) => one.blame)),
      bandwidth: {
        total_weight: weight(results),
        failing_weight: weight(failing),
        failing_percent: percent(weight(failing), weight(results)),
        unreached_weight: weight(unreached),
        unreached_percent: percent(weight(unreached), weight(results)),
      },
      resolvers: sharesOf(results),
      locations: {
        date: iso(end - 40 * 86_400_000),
        attribution: "IPFire Location Database, https://location.ipfire.org/, CC BY-SA 4.0",
      },
      previous: {
        source: "report",
        note: null,
        report: {
          run_id: runId(run - 1),
          timestamp: iso(endOf(run - 1)),
          total_relays: before.length,
          dns_success_rate_percent: percent(
            testedBefore.filter((one) => one.recent.at(-2) === "s").length,
            testedBefore.length,
          ),
          mode: "wildcard",
          domain: "tor.example.org",
          expected_ip: "64.65.4.1",
          selection: { filter: "exits", country: null },
        },
      },
      rejected: { total: 0, by_reason: {}, files: [] },
      publish: {
        allowed: reasons.length === 0,
        forced: false,
        reasons,
        notes: [],
        zone_check: { ok: true, servers: ["192.0.2.53"], error: null },
        known_good: null,
      },
    },
    results,
    failures: ordered(failing, [
      (one) => -one.consecutive_failures,
      (one) => one.exit_fingerprint,
    ]).map((one) => ({
      exit_fingerprint: one.exit_fingerprint,
      exit_nickname: one.exit_nickname,
      exit_address: one.exit_address,
      status: one.status,
      error: one.error,
      error_code: one.error_code,
      blame: one.blame,
      resolved_ip: one.resolved_ip,
      latency_ms: one.latency_ms,
      timestamp: one.timestamp,
      provisional: one.provisional,
      state: one.state,
      consecutive_failures: one.consecutive_failures,
      failing_since: one.failing_since,
      last_success: one.last_success,
      operator: one.operator,
    })),
    failures_by_ip: Object.fromEntries(ordered(byIp, [(one) => one[0]])),
    failures_by_operator: byOperator(failing, results),
    resolver_networks: networksOf(results),
    absent,
  };
}
