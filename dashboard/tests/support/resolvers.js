// Who resolves names for the invented relays: of each, and of the network, in the plainest way. Performs no
// IO. docs/resolvers.md

import { unit } from "./random.js";

/** @import { Result } from "./report.js" */

/** Public resolvers: name, system, its name, an address. @type {readonly [string, number, string, string][]} */
const SERVICES = [
  ["google", 15169, "GOOGLE", "172.253.1.7"],
  ["cloudflare", 13335, "CLOUDFLARENET", "172.68.1.7"],
  ["quad9", 19281, "QUAD9-AS-1", "66.185.1.7"],
];

/**
 * @typedef {{as_number: number | null, as_name: string | null, country: string | null}} Location
 * @typedef {{address: string, kind: string, public?: string, location?: Location}} Address
 * @typedef {{kind: string, addresses: Address[], validates: string}} Resolver
 */

/**
 * @param {number} seed
 * @param {number} index
 * @param {{address: string, location: Location | null}} relay
 * @returns {Resolver | null}
 */
export function resolverOf(seed, index, { address, location }) {
  const dice = unit(seed, "resolver", index);
  if (dice < 0.05) return null;
  const service = SERVICES[Math.floor(unit(seed, "service", index) * SERVICES.length)];
  const [name, as_number, as_name, from] = service;
  const own = { address, kind: "local", ...(location === null ? {} : { location }) };
  const validates = unit(seed, "validates", index) < 0.7 ? "yes" : "no";
  if (dice < 0.6) return { kind: "local", addresses: [own], validates };
  if (dice < 0.75) {
    return { kind: "unknown", addresses: [{ address: "100.64.0.9", kind: "unknown" }], validates };
  }
  const theirs = {
    address: from,
    kind: "public",
    public: name,
    location: { as_number, as_name, country: "us" },
  };
  const addresses = dice < 0.9 ? [theirs] : [theirs, own];
  return { kind: "public", addresses, validates };
}

/** @type {(part: number, whole: number) => number} */
const share = (part, whole) => (whole === 0 ? 0 : Math.floor((part * 100_000) / whole) / 1000);

/** @type {(list: readonly Result[]) => number} */
const weight = (list) => list.reduce((sum, one) => sum + one.relay.bandwidth.consensus_weight, 0);

/** @type {(part: readonly Result[], of: readonly Result[]) => {relays: number, percent: number, weight_percent: number}} */
const among = (part, of) => ({
  relays: part.length,
  percent: share(part.length, of.length),
  weight_percent: share(weight(part), weight(of)),
});

/**
 * @param {readonly Result[]} results
 * @param {(one: NonNullable<Result["resolver"]>) => boolean} does
 */
function ability(results, does) {
  const asked = results.filter((one) => one.resolver !== undefined);
  const yes = asked.filter((one) => one.resolver !== undefined && does(one.resolver));
  const no = asked.filter((one) => !yes.includes(one));
  return { yes: among(yes, asked), no: among(no, asked) };
}

/** @param {readonly Result[]} results */
export function sharesOf(results) {
  const known = results.filter((one) => one.resolver !== undefined);
  /** @type {(keys: (one: Result) => string[]) => Record<string, ReturnType<typeof among>>} */
  const by = (keys) => {
    const all = [...new Set(known.flatMap(keys))].sort();
    return Object.fromEntries(
      all.map((key) => [
        key,
        among(
          known.filter((one) => keys(one).includes(key)),
          known,
        ),
      ]),
    );
  };
  const services = (/** @type {Result} */ one) => [
    ...new Set((one.resolver?.addresses ?? []).flatMap((address) => address.public ?? [])),
  ];
  const notPublic = ability(results, (one) => one.kind !== "public");
  return {
    covered: among(known, results),
    kinds: by((one) => [one.resolver?.kind ?? ""]),
    public: by(services),
    large_networks: networksOf(results).filter((one) => one.share.weight_percent > 10).length,
    validates: ability(results, (one) => one.validates.outcome === "yes"),
    tcp: ability(results, () => true),
    minimises: ability(results, () => false),
    rules: {
      no_public: notPublic,
      validates: ability(results, (one) => one.validates.outcome === "yes"),
      own_network: notPublic,
    },
  };
}

/** @param {readonly Result[]} results */
export function networksOf(results) {
  const known = results.filter((one) => one.resolver !== undefined);
  /** @type {Map<number, {name: string | null, service: string | undefined, relays: Result[]}>} */
  const found = new Map();
  for (const one of known) {
    for (const address of one.resolver?.addresses ?? []) {
      const { location, public: service } = address;
      if (location === undefined || location.as_number === null) continue;
      const entry = found.get(location.as_number) ?? {
        name: location.as_name,
        service,
        relays: [],
      };
      if (!entry.relays.includes(one)) entry.relays.push(one);
      found.set(location.as_number, entry);
    }
  }
  return [...found]
    .map(([as_number, { name, service, relays }]) => {
      const tested = relays.filter((one) =>
        ["success", "wrong_ip", "dns_fail", "timeout"].includes(one.status),
      );
      return {
        as_number,
        as_name: name,
        ...(service === undefined ? {} : { public: service }),
        share: among(relays, known),
        operators: new Set(relays.map((one) => one.operator)).size,
        tested: tested.length,
        failing: tested.filter((one) => one.status !== "success").length,
        relays: relays.map((one) => one.exit_fingerprint),
      };
    })
    .sort((a, b) => b.share.weight_percent - a.share.weight_percent);
}
