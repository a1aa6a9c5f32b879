// Who resolves names for exits, as docs/resolvers.md has it: of a relay, of the network, by network.
// Tolerates whatever is missing. Performs no IO.

import {
  count,
  fingerprint,
  flag,
  isObject,
  number,
  percent,
  Reading,
  text,
  time,
} from "./read.js";

/** @import { Flaws } from "./read.js" */
/** @import { AbilityShare, LookupAtZone, RelayResolver, ResolverNetwork, ResolverShares, SeenOutcome, Share } from "./types.js" */

/** The most addresses of a relay's resolvers, and networks, that are read. */
const MOST_ADDRESSES = 8;
const MOST_NETWORKS = 5000;

/**
 * @param {unknown} value
 * @returns {number | null} an autonomous system has 32 bits, and none is 0 (RFC 7607)
 */
export function asNumber(value) {
  const found = count(value);
  return found !== null && found > 0 && found < 2 ** 32 ? found : null;
}

/**
 * @param {Reading} reading
 * @param {string} name
 * @returns {boolean} whether there is nothing in the field
 */
function lacks({ fields }, name) {
  return fields[name] === undefined || fields[name] === null;
}

/**
 * @param {Reading} resolver
 * @param {string} name
 * @returns {SeenOutcome | null}
 */
function seenOutcome(resolver, name) {
  if (lacks(resolver, name)) return null;
  const seen = resolver.within(name);
  const outcome = seen.get("outcome", text);
  return outcome === null ? null : { outcome, seen: seen.get("seen", time) };
}

/**
 * @param {Reading} relay a relay's entry
 * @returns {RelayResolver | null} null where nothing is known
 */
export function readResolver(relay) {
  if (lacks(relay, "resolver")) return null;
  const resolver = relay.within("resolver");
  const addresses = resolver.list("addresses").slice(0, MOST_ADDRESSES);
  const declared = resolver.within("declared");
  return {
    kind: resolver.get("kind", text),
    seen: resolver.get("seen", time),
    addresses: addresses.filter(isObject).map((item) => {
      const address = new Reading(item, resolver.flaws, "resolver.addresses.");
      const location = address.within("location");
      return {
        address: address.get("address", text) ?? "",
        kind: address.get("kind", text),
        public: address.get("public", text),
        asNumber: location.get("as_number", asNumber),
        asName: location.get("as_name", text),
      };
    }),
    validates: seenOutcome(resolver, "validates"),
    tcp: seenOutcome(resolver, "tcp"),
    ipv6: seenOutcome(resolver, "ipv6"),
    minimises: seenOutcome(resolver, "minimises"),
    declared: lacks(resolver, "declared")
      ? null
      : {
          locations: declared.texts("locations").slice(0, MOST_ADDRESSES),
          validates: declared.get("validates", flag),
          minimises: declared.get("minimises", flag),
        },
  };
}

/**
 * @param {Reading} relay a relay's entry
 * @returns {LookupAtZone | null} what became of its deciding lookup, by the zone's log
 */
export function readAtZone(relay) {
  if (lacks(relay, "at_zone")) return null;
  const lookup = relay.within("at_zone");
  const fate = lookup.get("fate", text);
  if (fate === null) return null;
  return {
    fate,
    asked: lookup.get("asked", count) ?? 0,
    firstWithin: lookup.get("first_within_ms", number),
  };
}

/**
 * @param {Reading} share
 * @returns {Share}
 */
function readShare(share) {
  return {
    relays: share.get("relays", count) ?? 0,
    percent: share.get("percent", percent),
    weight: share.get("weight_percent", percent),
  };
}

/**
 * @param {Reading} shares
 * @param {string} name
 * @returns {AbilityShare | null}
 */
function readAbility(shares, name) {
  if (lacks(shares, name)) return null;
  const ability = shares.within(name);
  return {
    yes: readShare(ability.within("yes")),
    no: readShare(ability.within("no")),
    unknown: ability.get("unknown", count) ?? 0,
  };
}

/**
 * The values of an object of ours, by name.
 * @template T
 * @param {Reading} shares
 * @param {string} name
 * @param {(of: Reading, key: string) => T | null} read
 * @returns {Map<string, T>}
 */
function byName(shares, name, read) {
  const of = shares.within(name);
  /** @type {Map<string, T>} */
  const found = new Map();
  for (const key of Object.keys(of.fields).slice(0, 50)) {
    const value = read(of, key);
    if (value !== null) found.set(key, value);
  }
  return found;
}

/**
 * @param {Reading} metadata a report's, or a run of the trends
 * @returns {ResolverShares | null} null where nothing is known
 */
export function readShares(metadata) {
  if (lacks(metadata, "resolvers")) return null;
  const shares = metadata.within("resolvers");
  const share = (/** @type {Reading} */ of, /** @type {string} */ key) => readShare(of.within(key));
  return {
    covered: readShare(shares.within("covered")),
    kinds: byName(shares, "kinds", share),
    public: byName(shares, "public", share),
    largeNetworks: shares.get("large_networks", count) ?? 0,
    validates: readAbility(shares, "validates"),
    tcp: readAbility(shares, "tcp"),
    ipv6: readAbility(shares, "ipv6"),
    minimises: readAbility(shares, "minimises"),
    rules: byName(shares, "rules", readAbility),
  };
}

/**
 * @param {readonly unknown[]} items a report's `resolver_networks`
 * @param {Flaws} flaws what could not be read is added
 * @returns {ResolverNetwork[]} in the report's order
 */
export function readNetworks(items, flaws) {
  return items
    .slice(0, MOST_NETWORKS)
    .filter(isObject)
    .flatMap((item) => {
      const network = new Reading(item, flaws, "resolver_networks.");
      const as = network.get("as_number", asNumber);
      if (as === null) return [];
      return [
        {
          asNumber: as,
          asName: network.get("as_name", text),
          public: network.get("public", text),
          share: readShare(network.within("share")),
          operators: network.get("operators", count) ?? 0,
          tested: network.get("tested", count) ?? 0,
          failing: network.get("failing", count) ?? 0,
          relays: network.list("relays").flatMap((one) => fingerprint(one) ?? []).length,
        },
      ];
    });
}
