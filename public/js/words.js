// Every status, state, cause, blame and finding of the gate in plain words, and what to do about
// it. The lists are those of docs/formats/error-codes.md and report.md; a value that is not in
// them is shown as it stands. Decides nothing.

/**
 * What a status means for the relay's DNS: it works; it was tested and failed; it was not
 * reached, so nothing is known; or the fault is ours.
 * @typedef {"ok" | "fail" | "unreached" | "fault" | "unknown"} Kind
 */

/**
 * @typedef {object} StatusWords
 * @property {string} label
 * @property {Kind} kind
 * @property {string} meaning
 */

/** @type {ReadonlyMap<string, StatusWords>} in the order of the formats */
export const STATUSES = new Map([
  [
    "success",
    {
      label: "Works",
      kind: "ok",
      meaning:
        "The expected answer came. (When names that do not exist are asked for: a definite answer of the exit’s resolver.)",
    },
  ],
  [
    "wrong_ip",
    {
      label: "Wrong answer",
      kind: "fail",
      meaning:
        "An address other than the expected one came, on any attempt: a later right answer does not wipe out a wrong one.",
    },
  ],
  [
    "dns_fail",
    {
      label: "Cannot resolve",
      kind: "fail",
      meaning: "The exit answered that it could not resolve the name.",
    },
  ],
  [
    "timeout",
    {
      label: "No answer",
      kind: "fail",
      meaning: "The query was sent on a built circuit and nothing came back in time.",
    },
  ],
  [
    "circuit_fail",
    {
      label: "Not reached",
      kind: "unreached",
      meaning:
        "The circuit did not build, or died before an answer came. That says nothing about the relay’s DNS.",
    },
  ],
  [
    "error",
    {
      label: "Local fault",
      kind: "fault",
      meaning:
        "The tor on the scanning host failed us, or what came was not the answer of an exit. That says nothing about the relay’s DNS.",
    },
  ],
  [
    "exception",
    {
      label: "Scanner fault",
      kind: "fault",
      meaning: "A fault of the scanner itself. That says nothing about the relay.",
    },
  ],
]);

/** The statuses that count against a relay's DNS. */
export const FAILING = Object.freeze(["wrong_ip", "dns_fail", "timeout"]);

/**
 * @param {string} status
 * @returns {StatusWords}
 */
export function statusWords(status) {
  return (
    STATUSES.get(status) ?? {
      label: status === "" ? "No status" : status,
      kind: "unknown",
      meaning: "A status that this page does not know; a newer program wrote it.",
    }
  );
}

/**
 * @typedef {object} StateWords
 * @property {string} label
 * @property {Kind} kind
 * @property {string} meaning
 */

/** @type {ReadonlyMap<string, StateWords>} */
export const STATES = new Map([
  [
    "confirmed",
    { label: "Confirmed", kind: "fail", meaning: "The last two tests or more failed." },
  ],
  [
    "suspect",
    { label: "Suspect", kind: "fail", meaning: "The last test failed, the one before did not." },
  ],
  [
    "flapping",
    {
      label: "Flapping",
      kind: "fail",
      meaning:
        "The verdict changed at least four times within the last twelve tests, and the last six do not agree.",
    },
  ],
  [
    "recovered",
    {
      label: "Recovered",
      kind: "ok",
      meaning: "The last test was a success, and one of the four before it failed.",
    },
  ],
  [
    "healthy",
    {
      label: "Healthy",
      kind: "ok",
      meaning: "The last test was a success, and so were those shortly before it.",
    },
  ],
  [
    "unreachable",
    {
      label: "Unreachable",
      kind: "unreached",
      meaning: "No circuit reached it in the last three runs that tried, or in any so far.",
    },
  ],
]);

/** The filter's value for relays that are marked `degraded`, beside their state. */
export const DEGRADED = "degraded";

/** @type {StateWords} */
export const DEGRADED_WORDS = Object.freeze({
  label: "Degraded",
  kind: "unknown",
  meaning:
    "It fails so many lookups that its runs pass by a second attempt alone. Who uses this exit waits for that, or gets an error, each time.",
});

/** What the operator of a degraded exit should look at. */
export const DEGRADED_CHECKS = Object.freeze([
  "See whether the resolver is overloaded now and then, or limits how many queries it takes.",
  "Ask each server in /etc/resolv.conf by itself, many times: one of several that is broken fails that share of the lookups.",
  "See whether packets are lost on the way to the resolver; one on the host itself loses none.",
  "Compare with tor’s own count of the same failures: the metric tor_relay_exit_dns_error_total (MetricsPort).",
]);

/**
 * What the interval of a share means.
 */
export const INTERVAL_MEANING =
  "A share of few lookups says little. The two ends are where the true share lies 95 times of 100; where those of two exits overlap widely, they cannot be told apart yet.";

/**
 * @param {string | null} state
 * @returns {StateWords}
 */
export function stateWords(state) {
  if (state === null) {
    return { label: "None yet", kind: "unknown", meaning: "No run has tested or reached it yet." };
  }
  return (
    STATES.get(state) ?? {
      label: state,
      kind: "unknown",
      meaning: "A state that this page does not know; a newer program wrote it.",
    }
  );
}

/**
 * @typedef {object} CauseWords
 * @property {string} label
 * @property {string} meaning
 * @property {readonly string[]} check what the relay's operator should look at; empty where there is
 *   nothing that they could do
 */

const RESOLVER_BASICS = Object.freeze([
  "Look up a name on the relay’s host: “dig +tries=1 +time=2 example.org”, once for each server in /etc/resolv.conf.",
  "Run a caching resolver on the host itself (unbound, for instance) and name only 127.0.0.1 in /etc/resolv.conf.",
  "Let tor read the change: reload it, or restart it where ServerDNSResolvConfFile is set.",
]);

const OURS = Object.freeze(/** @type {string[]} */ ([]));

/** @type {ReadonlyMap<string, CauseWords>} */
export const CAUSES = new Map([
  [
    "UNEXPECTED_ADDRESS",
    {
      label: "A wrong public address came",
      meaning: "The exit’s resolver gave a public address other than the expected one.",
      check: [
        "Find out which resolver the host uses. Providers and filtering services that send unknown names to a page of their own must not be used by an exit.",
        "Look for a firewall or router that answers DNS in the resolver’s place (port 53 redirected).",
        ...RESOLVER_BASICS.slice(1),
      ],
    },
  ],
  [
    "PRIVATE_ADDRESS",
    {
      label: "A private address came",
      meaning:
        "The exit’s resolver gave an address that is private, local or otherwise not public. Tor refuses such an answer, so the address itself is often not known.",
      check: [
        "Switch off blocking in the resolver: block lists (Pi-hole, AdGuard, a “family” or “security” resolver) answer with 0.0.0.0 or 127.0.0.1.",
        "Look for a captive portal or a router that answers in the resolver’s place.",
        ...RESOLVER_BASICS.slice(1),
      ],
    },
  ],
  [
    "NXDOMAIN",
    {
      label: "“No such name” for a name that exists",
      meaning:
        "The resolver’s permanent error: no such name, refused, or no such record. Tor does not tell them apart.",
      check: [
        "See whether the resolver refuses this host: an access list (allow-query, access-control), a licence, a quota of queries.",
        "Switch off filtering of new or unknown domains in the resolver.",
        ...RESOLVER_BASICS,
      ],
    },
  ],
  [
    "NO_ADDRESS",
    {
      label: "The name has no address of this family",
      meaning: "The name resolves, but not in the address family asked for.",
      check: [
        "See whether the resolver drops AAAA or A records (DNS64, filter-aaaa and the like).",
        ...RESOLVER_BASICS.slice(1),
      ],
    },
  ],
  [
    "SERVFAIL",
    {
      label: "The resolver failed",
      meaning:
        "The resolver’s passing error, which came before the exit gave up waiting: SERVFAIL, a cut answer without TCP, or an answer that cannot be read.",
      check: [
        "Read the resolver’s log. DNSSEC fails when the host’s clock is wrong or its trust anchor is old.",
        "See whether the resolver may send queries out (UDP and TCP port 53) and has not run out of sockets or memory.",
        ...RESOLVER_BASICS,
      ],
    },
  ],
  [
    "RESOLVER_TIMEOUT",
    {
      label: "The resolver was silent",
      meaning: "The exit gave up waiting: its resolver is silent, too slow, or not configured.",
      check: [
        "See whether the servers in /etc/resolv.conf still exist and answer; an old one of a former provider is the usual cause.",
        "See whether a limit on queries (by the provider, or by the firewall’s connection tracking) is reached under load.",
        ...RESOLVER_BASICS,
      ],
    },
  ],
  [
    "RESOLVE_FAILED",
    {
      label: "The exit could not resolve",
      meaning:
        "The exit answered that it could not resolve, but of which kind the error is could not be learned: the second lookup failed, or the path itself is too slow to tell.",
      check: RESOLVER_BASICS,
    },
  ],
  [
    "EXIT_ENDED_STREAM",
    {
      label: "The exit ended the lookup",
      meaning: "The exit ended the lookup without an answer of either kind.",
      check: [
        "Read tor’s log on the relay for warnings about DNS, and for limits (memory, MaxMemInQueues, descriptors).",
        ...RESOLVER_BASICS,
      ],
    },
  ],
  [
    "NOT_AN_EXIT",
    {
      label: "No longer an exit",
      meaning:
        "The relay no longer exits: it refuses lookups, and by its exit policy a connection that its published policy allows.",
      check: [
        "Nothing, if the relay is meant to have stopped exiting; otherwise read tor’s log for a policy that tor has put in place of yours (it does so where its DNS answers everything alike).",
      ],
    },
  ],
  [
    "HIBERNATING",
    {
      label: "The exit hibernates",
      meaning:
        "The exit is out of its traffic allowance or shuts down: it takes no streams, and answers lookups without asking its resolver.",
      check: ["See AccountingMax in the torrc, and tor’s log for “hibernating”."],
    },
  ],
  [
    "TIMEOUT",
    {
      label: "Nothing came back in time",
      meaning: "Nothing came back in time, neither an answer nor the exit’s own giving up.",
      check: [
        "See whether the host is overloaded: CPU, bandwidth, tor’s log (“Your computer is too slow to handle this many circuit creation requests”).",
        ...RESOLVER_BASICS,
      ],
    },
  ],
  [
    "CIRCUIT_TIMEOUT",
    {
      label: "The circuit was not built in time",
      meaning: "The circuit was not built in time.",
      check: [
        "Where it lasts for several runs: see whether the ORPort can be reached from other networks, and whether the host is overloaded.",
      ],
    },
  ],
  [
    "CIRCUIT_FIRST_HOP_FAILED",
    {
      label: "The first hop failed",
      meaning: "The first relay of the circuit could not be reached, or refused.",
      check: OURS,
    },
  ],
  [
    "CIRCUIT_EXIT_UNREACHABLE",
    {
      label: "The first hop could not reach the exit",
      meaning: "The first relay of the circuit was reached and could not reach the exit.",
      check: [
        "Where it lasts for several runs: see whether the ORPort can be reached from other networks; some firewalls and providers block other relays’ addresses.",
      ],
    },
  ],
  [
    "CIRCUIT_DESTROYED",
    {
      label: "The circuit died before an answer",
      meaning: "The circuit was built and died before an answer came.",
      check: [
        "Where it lasts for several runs: see whether tor restarts, runs out of memory, or the host’s network breaks connections.",
      ],
    },
  ],
  [
    "CIRCUIT_FAILED",
    {
      label: "The circuit failed in another way",
      meaning:
        "The circuit failed in a way that is not known to mean any of the others; the reasons that tor gave are kept with the attempt.",
      check: OURS,
    },
  ],
  [
    "LEFT_CONSENSUS",
    {
      label: "Left the consensus",
      meaning: "The relay left the consensus after it was selected.",
      check: ["Read tor’s log on the relay: does it run, and does it publish its descriptor?"],
    },
  ],
  [
    "NO_DESCRIPTOR",
    {
      label: "No descriptor",
      meaning: "The local tor has no descriptor of the relay, or of the first hop.",
      check: OURS,
    },
  ],
  [
    "TOR_GAVE_UP",
    {
      label: "The local tor gave up the circuit",
      meaning:
        "The local tor gave the circuit up before the scanner’s own time limit: it has learned, or was told, to be less patient.",
      check: OURS,
    },
  ],
  [
    "CLOSED_LOCALLY",
    {
      label: "The circuit was closed here",
      meaning: "The local tor, or another controller of it, closed the circuit.",
      check: OURS,
    },
  ],
  [
    "FOREIGN_PORT",
    {
      label: "The port belongs to another tor",
      meaning:
        "A reply came, and tor never showed the stream of our lookup: the port belongs to another tor or another program.",
      check: OURS,
    },
  ],
  [
    "ANSWERED_BY_TOR",
    {
      label: "The local tor answered itself",
      meaning:
        "Tor answered the lookup itself, or changed its name, by a map of addresses, and asked no exit for it.",
      check: OURS,
    },
  ],
  [
    "WITNESSES_DISAGREE",
    {
      label: "The witnesses disagree",
      meaning:
        "What tor’s events say of the lookup and the reply on its socket do not agree, or one of them never came.",
      check: OURS,
    },
  ],
  ...socks(),
  [
    "SOCKS_FAILED",
    {
      label: "The local SOCKS port failed",
      meaning: "Tor’s SOCKS port could not be reached, or broke off without a reply.",
      check: OURS,
    },
  ],
  [
    "DNS_PORT_FAILED",
    {
      label: "The local DNSPort failed",
      meaning: "Tor’s DNSPort could not be reached, or did not answer as DNS.",
      check: OURS,
    },
  ],
  [
    "STREAM_NOT_SEEN",
    {
      label: "The lookup was never seen",
      meaning: "The local tor never showed the stream of our lookup.",
      check: OURS,
    },
  ],
  [
    "ATTACH_REFUSED",
    {
      label: "The lookup could not be attached",
      meaning: "The local tor refused our lookup, or another program took it elsewhere.",
      check: OURS,
    },
  ],
  [
    "STREAM_FAILED",
    {
      label: "The lookup ended in another way",
      meaning:
        "The stream closed in a way that is not known to mean any of the others; the reasons that tor gave are kept with the attempt.",
      check: OURS,
    },
  ],
  [
    "LAUNCH_REFUSED",
    {
      label: "The circuit was not launched",
      meaning: "The local tor refused to launch the circuit for a reason of its own.",
      check: OURS,
    },
  ],
  [
    "TOR_LOST",
    {
      label: "The local tor was lost",
      meaning: "The local tor died or its control port went silent in the middle of the attempt.",
      check: OURS,
    },
  ],
  [
    "EXCEPTION",
    { label: "A fault of the scanner", meaning: "A fault of the scanner.", check: OURS },
  ],
]);

/**
 * The SOCKS replies: all of them the local tor's word.
 * @returns {[string, CauseWords][]}
 */
function socks() {
  return [
    ["SOCKS_GENERAL_FAILURE", "SOCKS reply 1: general failure."],
    ["SOCKS_NOT_ALLOWED", "SOCKS reply 2: not allowed."],
    ["SOCKS_NETWORK_UNREACHABLE", "SOCKS reply 3: network unreachable."],
    [
      "SOCKS_HOST_UNREACHABLE",
      "SOCKS reply 4 without the closing event of the stream that would tell what it means.",
    ],
    ["SOCKS_CONNECTION_REFUSED", "SOCKS reply 5: connection refused."],
    ["SOCKS_TTL_EXPIRED", "SOCKS reply 6: time to live expired."],
    ["SOCKS_COMMAND_NOT_SUPPORTED", "SOCKS reply 7: command not supported."],
    ["SOCKS_ADDRESS_TYPE_NOT_SUPPORTED", "SOCKS reply 8: address type not supported."],
    ["SOCKS_UNKNOWN_REPLY", "A SOCKS reply that RFC 1928 does not assign."],
  ].map(([code, meaning]) => [
    code,
    {
      label: `The local tor said no (${code.slice(6).toLowerCase().replaceAll("_", " ")})`,
      meaning,
      check: OURS,
    },
  ]);
}

/**
 * @param {string | null} code null where a relay that is no success has none
 * @returns {CauseWords}
 */
export function causeWords(code) {
  if (code === null) {
    return { label: "No cause given", meaning: "The report names no cause.", check: [] };
  }
  return (
    CAUSES.get(code) ?? {
      label: code,
      meaning: "A cause that this page does not know; a newer program wrote it.",
      check: [],
    }
  );
}

/**
 * @typedef {object} FindingWords
 * @property {string} label
 * @property {string} meaning
 */

/** @type {ReadonlyMap<string, FindingWords>} what is found beside a verdict */
export const FINDINGS = new Map([
  [
    "NAMED_FILTER",
    {
      label: "A filter’s page",
      meaning: "The answer was the page of a well-known filter in the place of the true one.",
    },
  ],
  [
    "AAAA_STALL",
    {
      label: "Waits for IPv6",
      meaning:
        "The exit allows IPv6, and its resolver never answers for IPv6 addresses. Every name takes every user as long as the exit waits, 2 seconds.",
    },
  ],
]);

/**
 * @param {string} code
 * @returns {FindingWords}
 */
export function findingWords(code) {
  return (
    FINDINGS.get(code) ?? {
      label: code,
      meaning: "A finding that this page does not know; a newer program wrote it.",
    }
  );
}

/** @type {ReadonlyMap<string, string>} what came of asking for IPv6 addresses */
export const IPV6_OUTCOMES = new Map([
  ["expected", "the expected address"],
  ["address", "an address; none was expected"],
  ["wrong_address", "another address than the expected one"],
  ["no_address", "no address: the zone has none, or the resolver failed"],
  ["stall", "the exit waited in vain for its resolver, on two circuits"],
  ["unknown", "no certain answer"],
]);

/** Where a resolver is, from near to far. @type {ReadonlyMap<string, {label: string, meaning: string}>} */
export const RESOLVER_KINDS = new Map([
  ["local", { label: "The relay itself", meaning: "It asks from an address of the relay." }],
  [
    "same_network",
    { label: "Beside the relay", meaning: "It asks from the relay’s /24, or /48 with IPv6." },
  ],
  [
    "same_as",
    { label: "Its hoster’s network", meaning: "It asks from the relay’s autonomous system." },
  ],
  [
    "unknown",
    {
      label: "Not known where",
      meaning: "It asks from elsewhere, and no database says from where.",
    },
  ],
  ["other", { label: "Another network", meaning: "It asks from another autonomous system." }],
  ["public", { label: "A public resolver", meaning: "A service that resolves for everybody." }],
]);

/** Services that resolve for everybody. @type {ReadonlyMap<string, string>} */
export const PUBLIC_RESOLVERS = new Map([
  ["google", "Google"],
  ["cloudflare", "Cloudflare"],
  ["quad9", "Quad9"],
  ["opendns", "OpenDNS"],
  ["level3", "Level 3 (4.2.2.x)"],
  ["adguard", "AdGuard"],
  ["nextdns", "NextDNS"],
  ["cleanbrowsing", "CleanBrowsing"],
  ["yandex", "Yandex"],
]);

/** What a resolver can do. */
export const RESOLVER_ABILITIES = Object.freeze({
  validates: "It refuses a name whose DNSSEC signature is wrong, and resolves one whose is right.",
  tcp: "It asks again by TCP where an answer does not fit into UDP.",
  ipv6: "It reaches name servers that have an IPv6 address alone.",
  minimises: "It tells servers on the way no more of a name than they need.",
});

/** What the guide for exits asks of resolvers. @type {ReadonlyMap<string, {label: string, meaning: string}>} */
export const RESOLVER_RULES = new Map([
  [
    "no_public",
    {
      label: "No public resolver",
      meaning: "No address is Google’s, OpenDNS’s, Quad9’s, Cloudflare’s or Level 3’s.",
    },
  ],
  ["validates", { label: "Validates DNSSEC", meaning: "It refuses a wrong signature." }],
  [
    "own_network",
    {
      label: "In the own network",
      meaning: "Every resolver is in the exit’s own autonomous system.",
    },
  ],
  ["at_most_two", { label: "Two at most", meaning: "At most two addresses of a family ask." }],
  [
    "no_relays_address",
    {
      label: "No relay’s address",
      meaning: "It asks from an address that is no exit’s: some name servers refuse those.",
    },
  ],
  [
    "minimises",
    { label: "Minimises names", meaning: "It tells servers no more of a name than they need." },
  ],
]);

/** Where an operator says that resolvers are. @type {ReadonlyMap<string, string>} */
export const DECLARED = new Map([
  ["local", "on the relay’s host"],
  ["sameas", "in its network"],
  ["remote", "elsewhere"],
]);

/** What became of a lookup, by the zone’s log. @type {ReadonlyMap<string, string>} */
export const ZONE_FATES = new Map([
  ["answered", "the zone was asked, and the exit got the answer"],
  [
    "never_asked",
    "the zone was never asked: the exit’s resolver, or its way out, lost the question",
  ],
  ["answer_lost", "the zone answered in time; the answer did not reach the exit, or not as it was"],
  ["asked_late", "the zone was asked when the exit had given up: the resolver is slow"],
  ["asked", "the zone was asked; when, the clocks do not tell"],
]);

/** Why a check did not prove a relay's domain. */
export const PROOF_PROBLEMS = new Map([
  ["not_listed", "the domain’s list is there and does not have this relay"],
  ["no_list", "the website has no list"],
  ["too_long", "the list is too long to be one"],
  ["redirect", "the website leads to another domain"],
  ["inner_address", "the domain leads to an address inside a network"],
  ["no_record", "there is no record of this relay below the domain"],
  ["other_record", "the record has another text, or is one of several"],
  ["not_signed", "the record is not secured by DNSSEC"],
  ["bogus", "the record’s DNSSEC signature is not right"],
  ["no_name", "the name of the website did not resolve"],
  ["certificate", "the website’s certificate is not valid"],
  ["no_answer", "there was no answer"],
]);

/**
 * @typedef {object} BlameWords
 * @property {string} label
 * @property {string} meaning
 */

/** @type {ReadonlyMap<string, BlameWords>} */
export const BLAMES = new Map([
  ["resolver", { label: "The exit’s resolver", meaning: "The DNS resolver that the exit uses." }],
  ["exit", { label: "The exit", meaning: "The exit relay, apart from its resolver." }],
  ["first_hop", { label: "The first hop", meaning: "The first relay of the circuit." }],
  ["scanner", { label: "Our host", meaning: "The scanning host, its tor, or its network." }],
  ["zone", { label: "Our zone", meaning: "The DNS zone that the test names are in." }],
  [
    "unknown",
    {
      label: "Not known",
      meaning:
        "The evidence does not tell, for instance whether the first hop or the exit broke the link between them.",
    },
  ],
]);

/**
 * @param {string | null} blame
 * @returns {BlameWords}
 */
export function blameWords(blame) {
  if (blame === null) return { label: "Not named", meaning: "The report names nobody." };
  return (
    BLAMES.get(blame) ?? {
      label: blame,
      meaning: "A value that this page does not know; a newer program wrote it.",
    }
  );
}

/** What can close the publish gate. @type {ReadonlyMap<string, string>} */
export const GATE = new Map([
  ["incomplete_run", "the run did not end, or did not reach every relay"],
  ["missing_shard", "a part of the exits is missing"],
  ["too_few_relays", "too few relays for a run of the whole network"],
  ["relay_count", "the number of relays is too far from the previous report’s"],
  ["dns_success_rate", "the DNS success rate fell too far from the previous report’s"],
  ["selection_changed", "other relays were asked for than in the previous report"],
  ["settings_changed", "the mode, the domain or the expected address changed"],
  ["circuit_failures", "so many circuits failed that the fault is more likely ours"],
  ["scanner_faults", "too many results are faults of the scanner or of its tor"],
  ["success_floor", "so few relays succeed that their successes show nothing"],
  ["spread_failures", "relays fail over all operators and networks, as when our own zone is down"],
  ["failing_place", "many relays of one operator, network or country fail, and few elsewhere"],
  ["one_kind", "many relays fail, and all in one way, as when our own zone is down"],
  ["zone_check", "our own zone did not answer as it must"],
  ["known_good", "the exit known to be good failed, and so did most others"],
  ["older_than_previous", "the previous report is of a later run"],
  ["from_the_future", "the run ended in the future, by the host’s clock"],
]);

/**
 * @param {string} code
 * @returns {string}
 */
export function gateWords(code) {
  return GATE.get(code) ?? code;
}

/** The ways a query was asked. @type {ReadonlyMap<string, string>} */
export const VIAS = new Map([
  ["socks", "SOCKS RESOLVE"],
  ["dns_port_a", "DNSPort, A"],
  ["dns_port_aaaa", "DNSPort, AAAA"],
]);

/** What became of a circuit. @type {ReadonlyMap<string, string>} */
export const CIRCUITS = new Map([
  ["refused", "not launched"],
  ["pending", "not built in time"],
  ["failed", "failed"],
  ["built", "built"],
  ["died", "built, then died"],
  ["lost", "lost with the local tor"],
]);

/** The characters of `recent`, lower case. @type {ReadonlyMap<string, string>} */
export const MARKS = new Map([
  ["s", "success"],
  ["w", "wrong_ip"],
  ["d", "dns_fail"],
  ["t", "timeout"],
  ["c", "circuit_fail"],
  ["e", "error"],
  ["x", "exception"],
]);

/** Which relays a run asked for. @type {ReadonlyMap<string, string>} */
export const SELECTIONS = new Map([
  ["exits", "exits"],
  ["all-exits", "exits, also those flagged bad"],
  ["bad-exits", "exits that are flagged bad"],
  ["named", "relays named by the operator"],
]);
