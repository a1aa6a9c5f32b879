// The runs so far as figures over time. Performs no IO, and draws nothing.

import { DEGRADED_WORDS, FAILING, PUBLIC_RESOLVERS, RESOLVER_KINDS, stateWords } from "../words.js";

/** @import { Run } from "../data/trends.js" */

const DAY = 24 * 3600 * 1000;

/** The ranges that can be chosen. */
export const RANGES = Object.freeze({
  day: { label: "Day", ms: DAY },
  week: { label: "Week", ms: 7 * DAY },
  month: { label: "Month", ms: 30 * DAY },
  year: { label: "Year", ms: 365 * DAY },
  all: { label: "All", ms: Number.POSITIVE_INFINITY },
});

/** @typedef {keyof typeof RANGES} RangeName */

export const DEFAULT_RANGE = "month";

/**
 * @param {string | undefined} name
 * @returns {RangeName}
 */
export function rangeOf(name) {
  return name !== undefined && Object.hasOwn(RANGES, name)
    ? /** @type {RangeName} */ (name)
    : DEFAULT_RANGE;
}

/**
 * The runs of a range, which ends with the last run.
 * @param {readonly Run[]} runs oldest first
 * @param {RangeName} range
 * @returns {readonly Run[]}
 */
export function within(runs, range) {
  const last = runs.at(-1);
  if (last === undefined) return runs;
  const from = last.timestamp - RANGES[range].ms;
  return runs.filter((run) => run.timestamp >= from);
}

/**
 * One line of a chart.
 * @typedef {object} Line
 * @property {string} label
 * @property {(number | null)[]} values
 */

/**
 * @typedef {object} Chart
 * @property {string} id
 * @property {string} title
 * @property {"percent" | "count" | "ms"} unit
 * @property {readonly Line[]} lines
 * @property {boolean} fromZero whether the scale begins at 0
 * @property {readonly [number, number]} [band] the lines that are the ends of an interval
 * @property {string} [note] what has to be said of it
 */

/** How many causes are drawn each for itself. */
const CAUSES_DRAWN = 6;

/** The rest of the causes. */
export const OTHER = "other causes";

/**
 * @param {readonly Run[]} runs
 * @param {(code: string) => string} label the words for a cause
 * @returns {Chart[]}
 */
export function charts(runs, label) {
  const line = (
    /** @type {string} */ name,
    /** @type {(run: Run) => number | null | undefined} */ value,
  ) => ({ label: name, values: runs.map((run) => value(run) ?? null) });
  return [
    {
      id: "rates",
      title: "DNS success and reachability",
      unit: "percent",
      fromZero: false,
      lines: [
        line("DNS success", (run) => run.dnsRate),
        line("Reachability", (run) => run.reachRate),
      ],
    },
    {
      id: "lookups",
      title: "Lookups that fail",
      unit: "percent",
      fromZero: true,
      band: [1, 2],
      note: "What users meet: the share of first lookups that fail, each exit by its weight, without any second attempt. The true share lies between the ends 95 times of 100.",
      lines: [
        line("share of the lookups", (run) => run.lookups?.percent),
        line("lower end", (run) => run.lookups?.low),
        line("upper end", (run) => run.lookups?.high),
      ],
    },
    {
      id: "causes",
      title: "Failures by cause",
      unit: "count",
      fromZero: true,
      lines: causeLines(runs, label),
    },
    {
      id: "times",
      title: "Resolve time of the successes",
      unit: "ms",
      fromZero: true,
      lines: [
        line("median", (run) => run.resolve?.p50),
        line("90 %", (run) => run.resolve?.p90),
        line("95 %", (run) => run.resolve?.p95),
        line("99 %", (run) => run.resolve?.p99),
      ],
    },
    {
      id: "relays",
      title: "Relays",
      unit: "count",
      fromZero: false,
      lines: [
        line("with a result", (run) => run.total),
        line("tested", testedOf),
        line("working", (run) => run.statuses.get("success") ?? (run.total === null ? null : 0)),
      ],
    },
    {
      id: "states",
      title: "Relays in trouble, by state",
      unit: "count",
      fromZero: true,
      note: "Degraded relays pass by a second attempt alone; they have another state beside that.",
      lines: [
        ...["confirmed", "suspect", "flapping"].map((state) =>
          line(stateWords(state).label, (run) =>
            run.states.size === 0 ? null : (run.states.get(state) ?? 0),
          ),
        ),
        line(DEGRADED_WORDS.label, (run) => (run.lookups === null ? null : run.degraded)),
      ],
    },
    {
      id: "bandwidth",
      title: "Failing relays and their share of the bandwidth",
      unit: "percent",
      fromZero: true,
      lines: [
        line("of the bandwidth", (run) => run.failingPercent),
        line("of the relays tested", (run) => (run.dnsRate === null ? null : 100 - run.dnsRate)),
      ],
    },
  ];
}

/** Of each kind of resolver and each public one, as many lines as one can tell apart. */
const SERVICES_DRAWN = 5;

/**
 * @param {readonly Run[]} runs
 * @returns {Chart[]} who resolved names for the exits
 */
export function resolverCharts(runs) {
  const of = (/** @type {import("../data/types.js").Share | undefined} */ share) =>
    share === undefined ? null : (share.weight ?? share.percent);
  const line = (
    /** @type {string} */ label,
    /** @type {(shares: import("../data/types.js").ResolverShares) => number | null} */ value,
  ) => ({
    label,
    values: runs.map((run) => (run.resolvers === null ? null : value(run.resolvers))),
  });
  /** @type {Map<string, number>} */
  const sums = new Map();
  for (const { resolvers } of runs) {
    for (const [name, share] of resolvers?.public ?? []) {
      sums.set(name, (sums.get(name) ?? 0) + (of(share) ?? 0));
    }
  }
  const services = [...sums].sort((a, b) => b[1] - a[1]).slice(0, SERVICES_DRAWN);
  /** @type {Chart[]} */
  const all = [
    {
      id: "resolver-kinds",
      title: "Where the resolvers are",
      unit: "percent",
      fromZero: true,
      note: "Shares of the weight of the exits whose resolver is known.",
      lines: [...RESOLVER_KINDS].map(([kind, { label }]) =>
        line(label, (shares) => of(shares.kinds.get(kind)) ?? 0),
      ),
    },
    {
      id: "resolver-services",
      title: "Public resolvers",
      unit: "percent",
      fromZero: true,
      lines: services.map(([name]) =>
        line(PUBLIC_RESOLVERS.get(name) ?? name, (shares) => of(shares.public.get(name)) ?? 0),
      ),
    },
    {
      id: "resolver-abilities",
      title: "What resolvers can do",
      unit: "percent",
      fromZero: false,
      note: "Shares of the weight of those that were asked.",
      lines: [
        line("validate DNSSEC", (shares) => of(shares.validates?.yes)),
        line("fall back to TCP", (shares) => of(shares.tcp?.yes)),
        line("reach IPv6 servers", (shares) => of(shares.ipv6?.yes)),
        line("minimise names", (shares) => of(shares.minimises?.yes)),
        line("resolver known", (shares) => of(shares.covered)),
      ],
    },
  ];
  // What no run has is no line.
  const drawn = all.map((chart) => ({
    ...chart,
    lines: chart.lines.filter(({ values }) => values.some((value) => value !== null && value > 0)),
  }));
  return drawn.filter(({ lines }) => lines.length > 0);
}

/**
 * @param {Run} run
 * @returns {number | null} relays whose DNS was put to the test
 */
function testedOf(run) {
  if (run.total === null) return null;
  return ["success", ...FAILING].reduce((sum, name) => sum + (run.statuses.get(name) ?? 0), 0);
}

/**
 * @param {readonly Run[]} runs
 * @param {(code: string) => string} label
 * @returns {Line[]} the causes that had most failures, then the rest in one
 */
function causeLines(runs, label) {
  /** @type {Map<string, number>} */
  const sums = new Map();
  for (const run of runs) {
    for (const [code, n] of run.codes) sums.set(code, (sums.get(code) ?? 0) + n);
  }
  const codes = [...sums].sort((a, b) => b[1] - a[1]).map(([code]) => code);
  const drawn = codes.slice(0, CAUSES_DRAWN);
  const rest = codes.slice(CAUSES_DRAWN);
  const lines = drawn.map((code) => ({
    label: label(code),
    values: runs.map((run) => run.codes.get(code) ?? 0),
  }));
  if (rest.length > 0) {
    lines.push({
      label: OTHER,
      values: runs.map((run) => rest.reduce((sum, code) => sum + (run.codes.get(code) ?? 0), 0)),
    });
  }
  return lines;
}

/**
 * The values of the last published runs, for a sparkline.
 * @param {readonly Run[]} runs oldest first
 * @param {(run: Run) => number | null} value
 * @param {number} [most]
 * @returns {(number | null)[]}
 */
export function recentValues(runs, value, most = 60) {
  return runs
    .filter((run) => run.published)
    .slice(-most)
    .map(value);
}
