// The pages' computations: causes, operators, comparison, exports, health, trends, words.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import fc from "fast-check";
import { readFiles } from "../../public/js/data/files.js";
import { readReport } from "../../public/js/data/report.js";
import { readTrends } from "../../public/js/data/trends.js";
import { byBlame, byCause } from "../../public/js/model/causes.js";
import { compare } from "../../public/js/model/compare.js";
import { csvCell, toCsv, toJson } from "../../public/js/model/export.js";
import { age, heldBack, level, runBefore } from "../../public/js/model/health.js";
import { groups, isMailAddress, mail } from "../../public/js/model/operators.js";
import { cut, visible } from "../../public/js/model/text.js";
import { charts, RANGES, recentValues, within } from "../../public/js/model/trends.js";
import { BLAMES, CAUSES, GATE, STATES, STATUSES } from "../../public/js/words.js";
import { parseCsv } from "./support/csv.js";
import { difference } from "./support/expect.js";
import { hostileReports, TEXTS } from "./support/hostile.js";
import { examples } from "./support/published.js";
import { counts, LAST_END, LAST_RUN, report } from "./support/report.js";
import { site } from "./support/site.js";

const written = report({ relays: 800, seed: 4 });
const read = readReport(JSON.stringify(written));

const HOUR = 3600 * 1000;

/** Characters that act on what is around them, or that nobody sees. */
const ACTING =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is its purpose
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Cs}/u;

describe("causes", () => {
  test("add up to what the report says", () => {
    /** @type {Record<string, number>} */
    const found = {};
    for (const one of byCause(read.relays)) found[one.code ?? ""] = one.relays;
    assert.deepEqual(found, written.metadata.error_codes);
    /** @type {Record<string, number>} */
    const blamed = {};
    for (const one of byBlame(read.relays)) blamed[one.blame ?? ""] = one.relays;
    assert.deepEqual(blamed, written.metadata.blames);
  });
});

describe("operators", () => {
  /** @param {string} source */
  function asWritten(source) {
    /** @type {typeof written} */
    const own = JSON.parse(source);
    const { relays } = readReport(source);
    assert.deepEqual(
      groups(relays, "operator").map((one) => ({
        operator: one.key,
        failing: one.failing.map((relay) => relay.fingerprint).sort(),
        relays: one.relays,
        failing_weight: one.weight,
      })),
      own.failures_by_operator.map(({ contact: _, ...one }) => ({
        ...one,
        failing: one.failing.toSorted(),
      })),
    );
    assert.deepEqual(
      Object.fromEntries(
        groups(relays, "address")
          .map(
            (one) => /** @type {const} */ ([one.key, one.failing.map((r) => r.fingerprint).sort()]),
          )
          .sort(([a], [b]) => (a < b ? -1 : 1)),
      ),
      own.failures_by_ip,
    );
  }

  test("are grouped as the report groups them", () => asWritten(JSON.stringify(written)));

  test("are grouped as aggregate's examples have it", async () => {
    for (const source of (await examples()).values()) asWritten(source);
  });

  test("an address to write to is one, and nothing beside it", () => {
    for (const good of ["a@example.org", "first.last+tor@mail.example.co"]) {
      assert.ok(isMailAddress(good), good);
    }
    for (const bad of [
      "",
      "a@b",
      "a b@example.org",
      "a@example.org,b@example.org",
      "a@example.org?bcc=b@example.org",
      "a@example.org\nBcc: b@example.org",
      "a@example.org%0abcc",
      '"a"@example.org',
      "<a@example.org>",
      "mailto:a@example.org",
      "a@éxample.org",
      "javascript:alert(1)@example.org",
      `${"a".repeat(300)}@example.org`,
    ]) {
      assert.ok(!isMailAddress(bad), bad);
    }
  });

  test("the mail names each relay, its cause and what to look at", () => {
    const failing = groups(read.relays, "operator")[0].failing;
    const { subject, body } = mail(failing, LAST_END, (relay) => `https://x/#${relay.fingerprint}`);
    assert.match(subject, /DNS/);
    for (const relay of failing.slice(0, 50)) {
      assert.ok(body.includes(relay.fingerprint));
      assert.ok(body.includes(relay.nickname));
      assert.ok(body.includes(`https://x/#${relay.fingerprint}`));
      assert.ok(body.includes(relay.code ?? "?"));
    }
    assert.match(body, /2026-11-23 03:15 UTC/);
  });

  test("strangers' texts in a mail act on nothing and stay short", () => {
    for (const source of hostileReports().values()) {
      for (const group of groups(readReport(source).relays, "operator")) {
        const { subject, body } = mail(group.failing, LAST_END, () => null);
        assert.doesNotMatch(subject, ACTING);
        assert.doesNotMatch(body.replaceAll("\n", " "), ACTING);
        assert.ok(body.length < 2000 + group.failing.length * 600, `${body.length}`);
      }
    }
  });
});

describe("two reports compared", () => {
  test("newly failing, recovered, gone and new are what they are", () => {
    const before = report({ relays: 800, seed: 4, run: LAST_RUN - 12 });
    const found = compare(readReport(JSON.stringify(before)).relays, read.relays);
    const expected = difference(before, written);
    for (const key of /** @type {(keyof typeof expected)[]} */ (Object.keys(expected))) {
      assert.deepEqual(
        found[key].map((one) => (one.after ?? one.before)?.fingerprint).sort(),
        expected[key],
        key,
      );
    }
    for (const key of /** @type {const} */ (["failing", "recovered", "gone", "added"])) {
      assert.ok(expected[key].length > 0, `nothing is ${key}: the comparison proves little`);
    }
  });

  test("a report beside itself differs in nothing", () => {
    const same = compare(read.relays, read.relays);
    assert.equal(same.still.length, written.failures.length);
    for (const key of /** @type {const} */ (["failing", "recovered", "gone", "added", "unclear"])) {
      assert.deepEqual(same[key], [], key);
    }
  });

  test("the other way round, what is new is gone", () => {
    const other = readReport(JSON.stringify(report({ relays: 800, seed: 4, run: LAST_RUN - 30 })));
    const [there, back] = [compare(other.relays, read.relays), compare(read.relays, other.relays)];
    /** @type {(list: typeof there.added) => string[]} */
    const names = (list) => list.map((one) => (one.after ?? one.before)?.fingerprint ?? "").sort();
    assert.deepEqual(names(there.added), names(back.gone));
    assert.deepEqual(names(there.gone), names(back.added));
  });

  test("hostile reports can be compared", () => {
    for (const source of hostileReports().values()) {
      compare(readReport(source).relays, read.relays);
      compare(read.relays, readReport(source).relays);
    }
  });
});

describe("exports", () => {
  test("the CSV is RFC 4180's, a line for each relay, and says what the report says", () => {
    const [header, ...rows] = parseCsv(toCsv(read.relays));
    assert.equal(rows.length, written.results.length);
    /** @type {(row: string[], name: string) => string} */
    const cell = (row, name) => row[header.indexOf(name)];
    for (const [at, row] of rows.entries()) {
      const one = written.results[at];
      assert.equal(row.length, header.length);
      assert.equal(cell(row, "exit_fingerprint"), one.exit_fingerprint);
      assert.equal(cell(row, "status"), one.status);
      assert.equal(cell(row, "error_code"), one.error_code ?? "");
      assert.equal(cell(row, "latency_ms"), String(one.latency_ms ?? ""));
      assert.equal(cell(row, "consensus_weight"), String(one.relay.bandwidth.consensus_weight));
      assert.equal(cell(row, "flags"), one.relay.flags.join(" "));
      assert.equal(cell(row, "contact"), one.relay.contact ?? "");
    }
  });

  test("no text of a stranger is a formula, and none is lost", () => {
    const texts = fc.oneof(
      fc.string({ unit: "binary", maxLength: 30 }),
      fc.constantFrom(...TEXTS),
      fc.string({ unit: fc.constantFrom(..."=+-@\t\r\n\",;' a1\uff1d\u0000"), maxLength: 8 }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const [[cell, last]] = parseCsv(`${csvCell(text)},x\r\n`);
        assert.equal(last, "x");
        assert.doesNotMatch(cell, /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/);
        assert.ok(cell === text || cell === `'${text}`, cell);
      }),
      { numRuns: 2000 },
    );
    assert.equal(csvCell(-0.5), "-0.5");
    assert.equal(csvCell(null), "");
  });

  test("hostile reports give CSV and JSON all the same", () => {
    for (const source of hostileReports().values()) {
      const { relays, metadata } = readReport(source);
      const rows = parseCsv(toCsv(relays));
      assert.equal(rows.length, relays.length + 1);
      assert.ok(rows.every((row) => row.length === rows[0].length));
      assert.equal(JSON.parse(toJson(relays, metadata, {})).count, relays.length);
    }
  });

  test("the JSON has the report's own entries, and which report and choice they are of", () => {
    const some = read.relays.filter((one) => one.status === "dns_fail");
    const exported = JSON.parse(toJson(some, read.metadata, { status: "dns_fail" }));
    assert.deepEqual(
      exported.results,
      written.results.filter((one) => one.status === "dns_fail"),
    );
    assert.equal(exported.report.run_id, written.metadata.run_id);
    assert.deepEqual(exported.choice, { status: "dns_fail" });
  });
});

describe("how the network does", () => {
  test("the level follows the figures", () => {
    /** @type {(dnsRate: number | null, failingPercent: number | null, tested?: number) => string} */
    const of = (dnsRate, failingPercent, tested = 100) =>
      level({ ...read.metadata, dnsRate, failingPercent, tested });
    assert.equal(of(99, 0), "good");
    assert.equal(of(99, 3), "fair");
    assert.equal(of(96, 0), "fair");
    assert.equal(of(90, 0), "bad");
    assert.equal(of(99.9, 50), "bad");
    assert.equal(of(100, null), "good");
    assert.equal(of(null, 0), "unknown");
    assert.equal(of(100, 0, 0), "unknown");
  });

  test("a report is stale when more than two runs are missing, and not before", () => {
    /** @type {(hours: number) => string} */
    const after = (hours) => age(read.metadata, null, LAST_END + hours * HOUR).state;
    assert.equal(after(0), "fresh");
    assert.equal(after(11.9), "fresh");
    assert.equal(after(12.1), "stale");
    assert.equal(after(24 * 365), "stale");
    assert.equal(after(-0.9), "fresh");
    assert.equal(after(-1.1), "future");
    const nothing = { ...read.metadata, timestamp: null };
    assert.equal(age(nothing, null, LAST_END).state, "unknown");
  });

  test("a newer report that was held back is seen", () => {
    const { files, latest } = site({ relays: 60, dated: 2 });
    const { metadata } = readReport(JSON.stringify(latest));
    const listed = readFiles(files.get("/files.json") ?? "");
    assert.equal(heldBack(metadata, listed), null);
    const newer = { ...listed[0], timestamp: LAST_END + 6 * HOUR };
    newer.report = { total: 1, dnsRate: 1, published: false, reasons: ["one_kind"] };
    assert.equal(heldBack(metadata, [newer, ...listed]), newer);
    newer.report.published = true;
    assert.equal(heldBack(metadata, [newer, ...listed]), null);
    assert.equal(heldBack(metadata, null), null);
  });
});

describe("trends", () => {
  const runs = readTrends(site({ relays: 60 }).files.get("/trends.json") ?? "");

  test("a range ends with the last run and holds what is in it", () => {
    assert.equal(within(runs, "all").length, 1460);
    assert.equal(within(runs, "day").length, 5);
    assert.equal(within(runs, "week").length, 29);
    assert.equal(within(runs, "month").length, 121);
    assert.equal(within(runs, "year").length, 1460);
    assert.deepEqual(within([], "week"), []);
  });

  test("every line has a value or none for every run", () => {
    for (const range of /** @type {(keyof typeof RANGES)[]} */ (Object.keys(RANGES))) {
      const some = within(runs, range);
      for (const chart of charts(some, (code) => code)) {
        for (const line of chart.lines) {
          assert.equal(line.values.length, some.length);
          assert.ok(line.values.every((one) => one === null || Number.isFinite(one)));
        }
      }
    }
  });

  test("the causes drawn add up to all failures", () => {
    const causes = charts(runs, (code) => code).find((one) => one.id === "causes");
    for (const [at, run] of runs.entries()) {
      const all = [...run.codes.values()].reduce((sum, one) => sum + one, 0);
      const drawn = causes?.lines.reduce((sum, line) => sum + (line.values[at] ?? 0), 0);
      assert.equal(drawn, all);
    }
  });

  test("the small trend and the change before are of published runs alone", () => {
    const values = recentValues(runs, (run) => run.dnsRate);
    assert.equal(values.length, 60);
    const published = runs.filter((one) => one.published);
    assert.deepEqual(
      values,
      published.slice(-60).map((one) => one.dnsRate),
    );
    const before = runBefore(read.metadata, runs);
    assert.equal(
      before,
      published.findLast((one) => one.timestamp < LAST_END),
    );
  });
});

describe("strangers' texts", () => {
  test("nothing in them acts or hides, and they end", () => {
    const any = fc.oneof(
      fc.constantFrom(...TEXTS),
      fc.string({ unit: "binary", maxLength: 200 }),
      fc
        .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 50 })
        .map((codes) => String.fromCharCode(...codes)),
    );
    fc.assert(
      fc.property(any, fc.integer({ min: 1, max: 3000 }), (text, limit) => {
        assert.doesNotMatch(visible(text, limit), ACTING);
        assert.ok(visible(text, limit).length <= limit * 12 + 12);
        assert.ok(cut(text, limit).length <= limit + 1);
      }),
      { numRuns: 2000 },
    );
  });

  test("what is harmless stays as it is", () => {
    for (const text of ["relay1", "José <x@example.org>", "שלום", "日本語", "a & b", "👍"]) {
      assert.equal(visible(text), text);
    }
  });
});

describe("words", () => {
  test("there are some for every value that the formats have", async () => {
    const schema = JSON.parse(
      await readFile(new URL("../../docs/formats/report.schema.json", import.meta.url), "utf8"),
    );
    for (const [name, words] of /** @type {const} */ ([
      ["status", STATUSES],
      ["state", STATES],
      ["error_code", CAUSES],
      ["blame", BLAMES],
      ["gate_code", GATE],
    ])) {
      assert.deepEqual([...words.keys()].sort(), schema.$defs[name].enum.toSorted(), name);
    }
    assert.deepEqual(counts([]), {});
  });

  test("every failure that an operator can do something about says what", () => {
    for (const [code, { check }] of CAUSES) {
      const seen = written.results.filter((one) => one.error_code === code);
      const theirs = seen.some((one) => one.blame === "resolver" || one.blame === "exit");
      assert.ok(!theirs || check.length > 0, code);
    }
  });
});
