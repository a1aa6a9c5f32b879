// What the readers make of the files: the types of everything that the page shows. Never fetched by a
// browser. Times are milliseconds since 1970; null is what the file does not say.

import type { Fields } from "./read.js";

/** Percentiles in milliseconds. */
export interface Percentiles {
  count: number | null;
  min: number | null;
  p50: number | null;
  p75: number | null;
  p90: number | null;
  p95: number | null;
  p99: number | null;
  max: number | null;
}

/** A share of lookups that failed, with the interval of 95 % in which its true value lies. */
export interface LookupRate {
  asked: number;
  failed: number;
  /** Percent, as the ends of the interval are; those are null where they cannot be told. */
  percent: number;
  low: number | null;
  high: number | null;
}

/** So many relays, and their shares in percent; null where the report does not say. */
export interface Share {
  relays: number;
  /** Of the relays. */
  percent: number | null;
  /** Of the consensus weight. */
  weight: number | null;
}

/** Relays that do something, and that do not: each a share of both together. */
export interface AbilityShare {
  yes: Share;
  no: Share;
  /** How many were asked, and it could not be told. */
  unknown: number;
}

/** Who resolves names for the network's exits. */
export interface ResolverShares {
  covered: Share;
  kinds: Map<string, Share>;
  public: Map<string, Share>;
  /** Networks that answer for more than 10 % of the weight each. */
  largeNetworks: number;
  validates: AbilityShare | null;
  tcp: AbilityShare | null;
  ipv6: AbilityShare | null;
  minimises: AbilityShare | null;
  rules: Map<string, AbilityShare>;
}

/** A network that resolves names for exits. */
export interface ResolverNetwork {
  asNumber: number;
  /** A stranger's text. */
  asName: string | null;
  /** Which public resolver it is. */
  public: string | null;
  share: Share;
  operators: number;
  tested: number;
  failing: number;
  relays: number;
}

/** What was found of a resolver, and when. */
export interface SeenOutcome {
  /** `yes`, `no` or `unknown`. */
  outcome: string;
  seen: number | null;
}

/** Who resolves names for a relay. */
export interface RelayResolver {
  /** Where the farthest of its addresses is. */
  kind: string | null;
  seen: number | null;
  addresses: readonly {
    address: string;
    kind: string | null;
    public: string | null;
    asNumber: number | null;
    /** A stranger's text. */
    asName: string | null;
  }[];
  validates: SeenOutcome | null;
  tcp: SeenOutcome | null;
  ipv6: SeenOutcome | null;
  minimises: SeenOutcome | null;
  /** What the operator's contact line says. */
  declared: {
    locations: readonly string[];
    validates: boolean | null;
    minimises: boolean | null;
  } | null;
}

/** What became of a lookup, as the zone's log has it. */
export interface LookupAtZone {
  fate: string;
  asked: number;
  /** Milliseconds until the first query for its name, at most. */
  firstWithin: number | null;
}

/** Where the relays' networks and countries come from. */
export interface LocationSource {
  /** When the database was made. */
  date: number | null;
  /** What its licence asks to be said wherever the data is shown. */
  attribution: string;
  /** Whether it was old already when the run was made. */
  old: boolean;
}

export interface Finding {
  code: string;
  message: string | null;
}

export interface Input {
  name: string | null;
  runId: string | null;
  shard: string | null;
  complete: boolean | null;
  /** Why it is not complete. */
  reason: string | null;
  /** Running exits in the consensus. */
  exits: number | null;
  selected: number | null;
  results: number | null;
}

export interface Metadata {
  /** Milliseconds, as all times here. */
  timestamp: number | null;
  started: number | null;
  durationSeconds: number | null;
  consensusValidAfter: number | null;
  runId: string | null;
  mode: string | null;
  domain: string | null;
  expectedIp: string | null;
  filter: string | null;
  country: string | null;
  total: number | null;
  /** Results by status; those without any are not there. */
  statuses: Map<string, number>;
  tested: number | null;
  successRate: number | null;
  dnsRate: number | null;
  reachRate: number | null;
  /** Relays with the BadExit flag, which the rates and the shares of the weight leave out. */
  badExits: number;
  /** The network's share of first lookups that fail, by consensus weight; exits are counted. */
  lookups: LookupRate | null;
  /** Exits that fail so many lookups that their runs pass by retries alone. */
  degraded: number;
  /** Null where nothing is known of resolvers. */
  resolvers: ResolverShares | null;
  unconfirmed: number;
  notReached: number;
  states: Map<string, number>;
  codes: Map<string, number>;
  blames: Map<string, number>;
  resolve: Percentiles | null;
  circuit: Percentiles | null;
  /** Of the consensus weight. */
  failingPercent: number | null;
  unreachedPercent: number | null;
  /** Null where the report has no locations. */
  locations: LocationSource | null;
  previous: { timestamp: number | null; total: number | null; dnsRate: number | null } | null;
  publish: {
    allowed: boolean | null;
    forced: boolean;
    reasons: Finding[];
    notes: Finding[];
    zoneCheck: { ok: boolean | null; error: string | null } | null;
    knownGood: { fingerprint: string | null; status: string | null } | null;
  };
  /** Relays whose DNS several inputs saw differently. */
  disagreements: number;
  /** Files that were found and not used. */
  rejected: number;
  missingShards: number[];
  inputs: Input[];
  torVersions: string[];
  scannerVersions: string[];
  aggregateVersion: string | null;
  /** An SPDX identifier. */
  license: string | null;
  /** Who publishes; each null where they do not say. */
  publisher: { name: string | null; contact: string | null; source: string | null };
  /** Whose locations there are in it, and under which licence. */
  attribution: string | null;
}

/** A relay of a report. Texts are strangers' unless said otherwise; times are milliseconds. */
export interface Relay {
  /** As the report has it; it need not be one. */
  fingerprint: string;
  /** Whether it is a fingerprint. */
  valid: boolean;
  nickname: string;
  address: string;
  /** Empty where the report has none. */
  status: string;
  code: string | null;
  blame: string | null;
  error: string | null;
  state: string | null;
  /** Whether the run ended before the failure was confirmed. */
  provisional: boolean;
  /** Milliseconds. */
  latency: number | null;
  /** The address that came. */
  resolved: string | null;
  /** Runs in a row that found its DNS failing. */
  failures: number;
  failingSince: number | null;
  lastSuccess: number | null;
  unreachableRuns: number;
  /** The last runs, a character each, newest last. */
  recent: string;
  rate7: number | null;
  rate30: number | null;
  /** How often its first lookup failed within 7 and 30 days; runs are counted. */
  lookups7: LookupRate | null;
  lookups30: LookupRate | null;
  /** Whether it fails so many lookups that its runs pass by retries alone. */
  degraded: boolean;
  /** Whether this run's first lookup failed; null where none reached it. */
  firstFailed: boolean | null;
  /** The operator's key; empty where there is none. */
  operator: string;
  /** The domain that its contact names. */
  domain: RelayDomain | null;
  flags: readonly string[];
  contact: string | null;
  /** The keys of its families: `ed25519:` and base64. */
  familyIds: readonly string[];
  platform: string | null;
  /** Consensus weight. */
  weight: number | null;
  ipv6: string | null;
  ipv6Exit: boolean | null;
  /** Two lower-case letters, by the location database, and otherwise by tor's. */
  country: string | null;
  /** By tor's database, where that says another one. */
  otherCountry: string | null;
  /** The autonomous system that its address is in. */
  asNumber: number | null;
  asName: string | null;
  /** Null where nothing is known of it. */
  resolver: RelayResolver | null;
  timestamp: number | null;
  /** The report's own entry. */
  raw: Fields;
}

export interface RelayDomain {
  name: string;
  /** Whether the domain names the relay in turn. */
  proved: boolean;
  provedAt: number | null;
  checkedAt: number | null;
  /** Why the last check did not prove it. */
  problem: string | null;
}

/** A relay of earlier runs without a result in this one. */
export interface Absent {
  fingerprint: string;
  valid: boolean;
  nickname: string;
  address: string;
  state: string | null;
  lastSeen: number | null;
  failures: number;
  failingSince: number | null;
  lastSuccess: number | null;
  recent: string;
}

export interface Report {
  metadata: Metadata;
  relays: readonly Relay[];
  /** The largest share of the weight first. */
  resolverNetworks: readonly ResolverNetwork[];
  absent: readonly Absent[];
  /** Whether it is from before there were formats. */
  older: boolean;
  /** What is missing or damaged, a sentence each. */
  problems: readonly string[];
}

export interface Timing {
  /** Milliseconds, as all of these. */
  circuit: number | null;
  attach: number | null;
  resolve: number | null;
}

export interface Query {
  via: string | null;
  name: string | null;
  socksReply: number | null;
  rcode: string | null;
  addresses: string[];
  streamReason: string | null;
  streamRemoteReason: string | null;
  localError: string | null;
  attach: number | null;
  resolve: number | null;
}

export interface Attempt {
  number: number | null;
  round: number | null;
  started: number | null;
  ended: number | null;
  /** A fingerprint. */
  firstHop: string | null;
  status: string;
  code: string | null;
  blame: string | null;
  error: string | null;
  resolved: string | null;
  circuit: {
    state: string | null;
    hops: number | null;
    reason: string | null;
    remoteReason: string | null;
    refusal: string | null;
  };
  queries: Query[];
  decidedBy: number | null;
  timing: Timing;
}

export interface Vantage {
  runId: string | null;
  status: string;
  code: string | null;
  resolved: string | null;
  latency: number | null;
  timestamp: number | null;
}

/** Something found beside a verdict. */
export interface RelayFinding {
  code: string;
  message: string | null;
  /** What the exit's operator can do. */
  remedy: string | null;
}

export interface Details {
  /** The name asked for in the deciding query. */
  query: string | null;
  expected: string | null;
  firstHop: string | null;
  /** The number of the deciding attempt. */
  attempt: number | null;
  mode: string | null;
  runId: string | null;
  shard: string | null;
  timing: Timing;
  /** Bytes a second. */
  observed: number | null;
  attempts: Attempt[];
  vantages: Vantage[];
  /** What became of the deciding lookup, by the zone's log; null where that was not read. */
  atZone: LookupAtZone | null;
  /** What came of asking for IPv6 addresses; null where that was not asked. */
  ipv6: string | null;
  /** What was found beside the verdict. */
  findings: RelayFinding[];
  /** What is missing or damaged, a sentence each. */
  problems: readonly string[];
}

/** The figures of one run. */
export interface Run {
  /** Milliseconds. */
  timestamp: number;
  runId: string | null;
  /** Whether it replaced latest.json. */
  published: boolean;
  /** What the gate found against it. */
  reasons: string[];
  total: number | null;
  statuses: Map<string, number>;
  dnsRate: number | null;
  reachRate: number | null;
  lookups: LookupRate | null;
  failingPercent: number | null;
  /** Degraded relays. */
  degraded: number;
  resolvers: ResolverShares | null;
  states: Map<string, number>;
  codes: Map<string, number>;
  blames: Map<string, number>;
  resolve: Percentiles | null;
  circuit: Percentiles | null;
}

export interface Trends {
  /** Oldest first. */
  runs: readonly Run[];
  /** What is missing or damaged, a sentence each. */
  problems: readonly string[];
}

export interface FileList {
  /** Newest first. */
  files: readonly ListedFile[];
  /** What is missing or damaged, a sentence each. */
  problems: readonly string[];
}

export interface ListedReport {
  runId: string | null;
  total: number | null;
  dnsRate: number | null;
  published: boolean;
  reasons: string[];
}

/** A file beside latest.json. */
export interface ListedFile {
  /** A name that a file of ours can have, so that it can be linked to. */
  name: string;
  kind: "report" | "archive";
  /** Bytes. */
  size: number | null;
  sha256: string | null;
  /** Milliseconds. */
  timestamp: number | null;
  /** Null for an archive. */
  report: ListedReport | null;
}
