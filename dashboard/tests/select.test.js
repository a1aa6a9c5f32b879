// Search, filters and sorting beside an independent computation, and the address that holds them.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { readReport } from "../../public/js/data/report.js";
import { choiceOf, FILTERS, facets, RelayIndex, SORTS } from "../../public/js/model/relays.js";
import { formatRoute, parseRoute, VIEWS } from "../../public/js/model/route.js";
import { countryOf, isFact, outagesOf, shown } from "./support/expect.js";
import { hostileReports, TEXTS } from "./support/hostile.js";
import { counts, report } from "./support/report.js";

const written = report({ relays: 800, seed: 3 });
const { relays } = readReport(JSON.stringify(written));
const index = new RelayIndex(relays);

/** @type {(choice: Record<string, string>) => string[]} */
const select = (choice) => index.select(choiceOf(choice)).map((one) => one.fingerprint);

/** @type {(key: (one: typeof written.results[number]) => string | null) => string[]} */
const values = (key) => [...new Set(written.results.map((one) => key(one) ?? "-"))];

/** What a reader can choose, with values that exist and some that do not. */
const choices = fc.record(
  {
    q: fc.oneof(
      fc.constantFrom("abuse", "amber birch", "198.18", "2001:db8", "servfail", "Linux", "zzz"),
      fc.constantFrom(...written.results.map((one) => one.exit_fingerprint)),
      fc.constantFrom(...written.results.map((one) => `${one.exit_nickname} ${one.exit_address}`)),
      fc.string({ maxLength: 4 }).filter((one) => !/[$[\]]/.test(one)),
    ),
    status: fc.constantFrom(...values((one) => one.status), "failing", "confirmed", "nonsense"),
    cause: fc.constantFrom(...values((one) => one.error_code), "NONSENSE"),
    blame: fc.constantFrom(...values((one) => one.blame)),
    state: fc.constantFrom(...values((one) => one.state), "degraded"),
    flag: fc.constantFrom("Guard", "Stable", "BadExit", "Nothing"),
    country: fc.constantFrom(...values(countryOf), "zz"),
    network: fc.constantFrom("64496", "64497", "65537", "-", "1", "x"),
    ipv6: fc.constantFrom("yes", "no", "exit", "noexit"),
    again: fc.constantFrom("weeks", "outages"),
    operator: fc.constantFrom(...values((one) => one.operator)),
    address: fc.constantFrom(...values((one) => one.exit_address)),
  },
  { requiredKeys: [] },
);

describe("which relays are shown", () => {
  test("any choice shows exactly those that it names", () => {
    fc.assert(
      fc.property(choices, (choice) => {
        assert.deepEqual(select(choice).toSorted(), shown(written, choice));
      }),
      { numRuns: 1000 },
    );
  });

  test("each filter alone shows some and hides some", () => {
    for (const choice of /** @type {Record<string, string>[]} */ ([
      { q: "abuse@" },
      { status: "dns_fail" },
      { status: "failing" },
      { cause: "SERVFAIL" },
      { blame: "resolver" },
      { state: "confirmed" },
      { flag: "Guard" },
      { country: "de" },
      { country: "-" },
      { network: "64496" },
      { network: "-" },
      { state: "degraded" },
      { ipv6: "yes" },
      { again: "weeks" },
      { again: "outages" },
      { status: "confirmed" },
      { operator: written.failures[0].operator },
      { address: written.failures[0].exit_address },
    ])) {
      const found = select(choice).length;
      assert.ok(found > 0 && found < relays.length, `${JSON.stringify(choice)}: ${found}`);
    }
  });

  test("a fingerprint is found as tor and people write it", () => {
    const { exit_fingerprint: own } = written.results[5];
    for (const q of [own, own.toLowerCase(), `$${own}`, own.slice(0, 12), ` ${own} `]) {
      assert.ok(select({ q }).includes(own), q);
    }
    const six = written.results.find((one) => one.relay.ipv6.address !== null);
    assert.ok(select({ q: `[${six?.relay.ipv6.address}]` }).includes(six?.exit_fingerprint ?? ""));
  });

  test("the menus count what there is", () => {
    const found = facets(relays);
    assert.deepEqual(Object.fromEntries(found.status), {
      ...counts(written.results.map((one) => one.status)),
      confirmed: written.results.filter(isFact).length,
    });
    assert.deepEqual(
      Object.fromEntries(found.state),
      counts(
        written.results.flatMap((one) => [one.state ?? "-", ...(one.degraded ? ["degraded"] : [])]),
      ),
    );
    assert.deepEqual(
      Object.fromEntries(found.cause),
      counts(
        written.results.filter((one) => one.status !== "success").map((one) => one.error_code),
      ),
    );
    assert.deepEqual(
      Object.fromEntries(found.flag),
      counts(written.results.flatMap((one) => one.relay.flags)),
    );
  });
});

describe("their order", () => {
  /** @type {Record<string, (one: typeof written.results[number]) => string | number | null>} */
  const plain = {
    nickname: (one) => one.exit_nickname.toLowerCase(),
    fingerprint: (one) => one.exit_fingerprint,
    address: (one) =>
      one.exit_address
        .split(".")
        .map((part) => part.padStart(3, "0"))
        .join("."),
    country: countryOf,
    network: (one) => one.location?.as_number ?? null,
    operator: (one) => one.operator,
    lookups: (one) => (one.failure_rate_30d ?? one.failure_rate_7d)?.low_percent ?? null,
    cause: (one) => one.error_code,
    failures: (one) => one.consecutive_failures,
    latency: (one) => one.latency_ms,
    outages: (one) => outagesOf(one.recent),
    rate: (one) => one.dns_success_rate_7d_percent ?? one.dns_success_rate_30d_percent,
    weight: (one) => one.relay.bandwidth.consensus_weight,
  };
  const known = new Map(written.results.map((one) => [one.exit_fingerprint, one]));

  for (const name of Object.keys(SORTS)) {
    test(`by ${name}, both ways`, () => {
      const up = select({ sort: name });
      const down = select({ sort: `-${name}` });
      const all = written.results.map((one) => one.exit_fingerprint);
      assert.deepEqual(up.toSorted(), all);
      assert.deepEqual(down.toSorted(), all);
      const key = plain[name];
      if (key === undefined) return;
      for (const [list, sign] of /** @type {[string[], number][]} */ ([
        [up, 1],
        [down, -1],
      ])) {
        const keys = list.map((one) => {
          const found = known.get(one);
          assert.ok(found);
          return key(found);
        });
        const some = keys.filter((one) => one !== null);
        // What has no value comes last, whichever way.
        assert.ok(keys.slice(some.length).every((one) => one === null));
        for (let at = 1; at < some.length; at += 1) {
          const [a, b] = [some[at - 1], some[at]];
          assert.ok(sign * (a < b ? -1 : a > b ? 1 : 0) <= 0, `${a} before ${b}`);
        }
      }
    });
  }

  test("a broken relay is never below one that works, unless the reader asks for it", () => {
    const statuses = select({}).map((one) => known.get(one)?.status === "success");
    const first = statuses.indexOf(true);
    const failing = written.failures.length;
    assert.ok(first >= failing, `the first that works is number ${first} of ${failing} failing`);
  });

  test("finds a family by its key, and a network by its whole number", () => {
    const keys = relays.flatMap((one) => one.familyIds);
    const key = keys.find((one, at) => keys.indexOf(one) < at) ?? "none";
    const kin = written.results.filter((one) => one.relay.family_ids?.includes(key));
    assert.ok(kin.length > 1);
    const found = (/** @type {string} */ q) => select({ q }).toSorted();
    assert.deepEqual(found(key), kin.map((one) => one.exit_fingerprint).toSorted());
    const network = written.results.filter((one) => one.location?.as_number === 64496);
    assert.deepEqual(found("AS64496"), network.map((one) => one.exit_fingerprint).toSorted());
    assert.deepEqual(found("as6449"), []);
  });

  test("is the same however the report is ordered", () => {
    const turned = new RelayIndex(relays.toReversed());
    for (const sort of Object.keys(SORTS)) {
      assert.deepEqual(
        turned.select(choiceOf({ sort })).map((one) => one.fingerprint),
        select({ sort }),
      );
    }
  });
});

describe("hostile reports", () => {
  for (const [name, source] of hostileReports()) {
    test(`${name}: can be searched, filtered and sorted`, () => {
      const strange = readReport(source).relays;
      const all = new RelayIndex(strange);
      for (const sort of Object.keys(SORTS)) {
        assert.equal(all.select(choiceOf({ sort })).length, strange.length);
        assert.equal(all.select(choiceOf({ sort: `-${sort}` })).length, strange.length);
      }
      for (const filter of FILTERS) {
        for (const text of TEXTS) all.select(choiceOf({ [filter]: text.slice(0, 500) }));
      }
      for (const map of Object.values(facets(strange))) assert.ok(map.size <= 300);
    });
  }
});

describe("the address", () => {
  /** Texts with halves of characters, which encodeURIComponent refuses. */
  const texts = fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.constantFrom(...TEXTS.map((one) => one.slice(0, 400))),
    fc.string({ unit: fc.constantFrom("\ud800", "a", "%", "/", "?", "#", "&", "+", " ") }),
  );

  test("says the same when it is read again", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...VIEWS),
        fc.string({ unit: "grapheme", maxLength: 60 }),
        fc.dictionary(
          fc.stringMatching(/^[a-z0-9_-]{1,30}$/),
          fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }),
        ),
        (view, argument, params) => {
          const route = parseRoute(formatRoute(view, { argument, params }));
          assert.equal(route.view, view);
          assert.equal(route.argument, argument);
          assert.deepEqual({ ...route.params }, { ...params });
          assert.equal(route.known, true);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("takes any text in it, and makes one of any text", () => {
    fc.assert(
      fc.property(texts, texts, (one, other) => {
        const made = formatRoute("relay", { argument: one, params: { q: other } });
        const route = parseRoute(made);
        assert.equal(route.view, "relay");
        assert.match(made, /^#\/relay/);
        parseRoute(one);
        parseRoute(`#/${one}?${other}`);
        choiceOf(parseRoute(`#/relays?${other}=${one}`).params);
      }),
      { numRuns: 1000 },
    );
  });

  test("one that names no view is known to be such", () => {
    for (const hash of ["", "#", "#/", "#/overview"]) {
      assert.deepEqual([parseRoute(hash).view, parseRoute(hash).known], ["overview", true], hash);
    }
    for (const hash of ["#/nothing", "#/__proto__", "#/constructor", "#/RELAYS"]) {
      assert.equal(parseRoute(hash).known, false, hash);
    }
    assert.equal(parseRoute("#/relays?__proto__=x").params.polluted, undefined);
    assert.equal(choiceOf({ sort: "toString" }).sort, choiceOf({}).sort);
  });
});
