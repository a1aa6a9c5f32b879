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
import { addressOf, isMailAddress, mailAddresses } from "../../public/js/model/contact.js";
import { csvCell, toCsv, toJson } from "../../public/js/model/export.js";
import {
  age,
  failingStates,
  heldBack,
  level,
  runBefore,
  UNCONFIRMED,
} from "../../public/js/model/health.js";
import { against, leftOutWords, mail } from "../../public/js/model/mail.js";
import { groups } from "../../public/js/model/operators.js";
import { recentRuns, reportOf, untilNow } from "../../public/js/model/runs.js";
import { cut, visible } from "../../public/js/model/text.js";
import { charts, RANGES, recentValues, within } from "../../public/js/model/trends.js";
import { ago, duration, percent } from "../../public/js/view/format.js";
import {
  BLAMES,
  CAUSES,
  DECLARED,
  FINDINGS,
  GATE,
  IPV6_OUTCOMES,
  PROOF_PROBLEMS,
  PUBLIC_RESOLVERS,
  RESOLVER_KINDS,
  RESOLVER_RULES,
  STATES,
  STATUSES,
  ZONE_FATES,
} from "../../public/js/words.js";
import { parseCsv } from "./support/csv.js";
import { difference } from "./support/expect.js";
import { hostileReports, TEXTS } from "./support/hostile.js";
import { examples } from "./support/published.js";
import { counts, LAST_END, LAST_RUN, report } from "./support/report.js";
import { site, trends } from "./support/site.js";

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
        relays: one.all.length,
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

  test("only an address that the contact itself has is one to write to", async () => {
    /** @type {{line: string, addresses: string[]}[]} */
    const lines = JSON.parse(
      await readFile(new URL("../../crates/contact/testdata/lines.json", import.meta.url), "utf8"),
    );
    assert.ok(lines.length > 30);
    for (const { line, addresses } of lines) {
      assert.deepEqual(mailAddresses(line), addresses, line);
    }
    assert.equal(addressOf("us@example.org", ["please write to us at example.org"]), null);
    assert.equal(addressOf("a@b.example.org", [null, "x", "A@b.example.org"]), "a@b.example.org");
  });

  test("any text is searched for addresses, and what is found is one", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.constantFrom(...TEXTS),
          fc.string({ unit: fc.constantFrom(..."a@.[]<> atAT:dotDOT\n") }),
        ),
        (text) => {
          for (const one of mailAddresses(text)) assert.ok(isMailAddress(one), one);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe("the mail", () => {
  const failing = groups(read.relays, "operator")[0].failing;

  /** @type {(some: typeof failing, link?: string | null) => {subject: string, body: string}} */
  const words = (some, link = null) => {
    const made = mail(some, LAST_END, link);
    assert.ok(made !== null);
    return made;
  };

  test("names each relay, its cause, what to look at, and where the evidence is", () => {
    const { subject, body } = words(failing, "https://x/#here");
    assert.match(subject, /DNS/);
    for (const relay of failing.slice(0, 50)) {
      assert.ok(body.includes(relay.fingerprint));
      assert.ok(body.includes(relay.nickname));
      assert.ok(body.includes(relay.code ?? "?"));
    }
    assert.ok(body.includes("https://x/#here"));
    assert.match(body, /2026-11-23 03:15 UTC/);
  });

  test("says of the attempts what the report has of them, and no more", () => {
    const [one] = failing;
    const attempts = /** @type {object[]} */ (one.raw.attempts);
    assert.ok(attempts.length > 1);
    const many = words([one]).body;
    assert.match(many, new RegExp(`was asked ${attempts.length} times, through \\d different`));
    const once = { ...one, raw: { ...one.raw, attempts: attempts.slice(0, 1) } };
    assert.match(words([once]).body, /was asked once, for a name/);
    const sameHop = attempts.map((attempt) => ({ ...attempt, first_hop: "A".repeat(40) }));
    const same = words([{ ...one, raw: { ...one.raw, attempts: sameHop } }]).body;
    assert.match(same, /times, each time/);
    const unbuilt = { .../** @type {object} */ (attempts[0]), status: "circuit_fail" };
    const more = words([{ ...one, raw: { ...one.raw, attempts: [...attempts, unbuilt] } }]).body;
    assert.equal(more, many);
    const none = words([{ ...one, raw: { ...one.raw, attempts: [] } }]).body;
    for (const text of [words([once]).body, same, none]) {
      assert.doesNotMatch(text, /several|different first hops/);
    }
  });

  test("presents no failure that is not confirmed, nor one whose fault is ours", () => {
    const [one, other] = failing;
    const doubtful = { ...one, provisional: true };
    const ours = { ...one, blame: "zone" };
    assert.equal(mail([doubtful], LAST_END, null), null);
    assert.equal(mail([ours], LAST_END, null), null);
    const { subject, body } = words([doubtful, other]);
    assert.ok(!body.includes(one.fingerprint) && body.includes(other.fingerprint));
    assert.ok(subject.includes(other.nickname), "of one relay");
    assert.match(leftOutWords([doubtful, ours]) ?? "", /1 failure not confirmed.*1 failure whose/);
    assert.equal(leftOutWords([]), null);
  });

  test("is not written from a report that was held back, unless it was forced", () => {
    const { publish } = read.metadata;
    const held = { ...read.metadata, publish: { ...publish, allowed: false, forced: false } };
    assert.match(against(held) ?? "", /held this report back/);
    assert.equal(against(read.metadata), null);
    assert.equal(against({ ...held, publish: { ...held.publish, forced: true } }), null);
  });

  test("of 31 relays on 4 addresses names each address and cause once", () => {
    const many = Array.from({ length: 31 }, (_, at) => ({
      ...failing[0],
      fingerprint: at.toString(16).padStart(40, "A"),
      address: `198.51.100.${at % 4}`,
    }));
    const { body } = words(many, "https://x/");
    for (let at = 0; at < 4; at += 1) {
      assert.equal(body.split(`198.51.100.${at}`).length, 2);
    }
    assert.equal(body.split(failing[0].code ?? "?").length, 2);
    for (const { fingerprint } of many) assert.ok(body.includes(fingerprint));
    const list = body.slice(body.indexOf("did not resolve"), body.indexOf("What was asked"));
    assert.ok(list.trim().split("\n").length <= 40, list);
  });

  test("strangers' texts in it act on nothing and stay short", () => {
    for (const source of hostileReports().values()) {
      for (const group of groups(readReport(source).relays, "operator")) {
        const made = mail(group.failing, LAST_END, null);
        if (made === null) continue;
        assert.doesNotMatch(made.subject, ACTING);
        assert.doesNotMatch(made.body.replaceAll("\n", " "), ACTING);
        assert.ok(made.body.length < 4000 + group.failing.length * 600, `${made.body.length}`);
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

  test("what is not confirmed is no fact in either", () => {
    const [failing] = read.relays.filter((one) => one.status === "dns_fail");
    const doubtful = { ...failing, provisional: true };
    const well = { ...failing, status: "success" };
    const now = compare([well], [doubtful]);
    assert.deepEqual([now.unconfirmed.length, now.failing.length], [1, 0]);
    const later = compare([doubtful], [well]);
    assert.deepEqual([later.recovered.length, later.unclear.length], [0, 0]);
    assert.equal(compare([doubtful], [failing]).failing.length, 1);
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

describe("the keys of families", () => {
  test("what is none is left out, and said", () => {
    const strange = structuredClone(written);
    const good = `ed25519:${"a".repeat(43)}`;
    for (const [at, ids] of [["ed25519:<b>", good], "x", Array(20).fill(good)].entries()) {
      Object.assign(strange.results[at].relay, { family_ids: ids });
    }
    const { relays, problems } = readReport(JSON.stringify(strange));
    assert.deepEqual(relays[0].familyIds, [good]);
    assert.deepEqual(relays[1].familyIds, []);
    assert.equal(relays[2].familyIds.length, 16);
    assert.ok(problems.some((problem) => problem.includes("relay.family_ids")));
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
      assert.equal(cell(row, "family_ids"), one.relay.family_ids?.join(" ") ?? "");
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
      assert.equal(JSON.parse(toJson(relays, metadata, {}).text).count, relays.length);
    }
  });

  test("an entry that cannot be written is left out of the JSON, and its columns are there", () => {
    const [one, other] = read.relays;
    const toJSON = () => {
      throw new RangeError("Maximum call stack size exceeded");
    };
    const deep = { ...one, raw: { toJSON } };
    const { text, cut } = toJson([deep, other], read.metadata, {});
    assert.equal(cut, 1);
    const { count, results } = JSON.parse(text);
    assert.equal(count, 2);
    assert.equal(results[0].exit_fingerprint, one.fingerprint);
    assert.match(results[0].left_out, /too deeply/);
    assert.deepEqual(results[1], other.raw);
  });

  test("the JSON has the report's own entries, and which report and choice they are of", () => {
    const some = read.relays.filter((one) => one.status === "dns_fail");
    const { text, cut } = toJson(some, read.metadata, { status: "dns_fail" });
    assert.equal(cut, 0);
    const exported = JSON.parse(text);
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
    const after = (hours) =>
      age(read.metadata, null, LAST_END + hours * HOUR, LAST_END + hours * HOUR).state;
    assert.equal(after(0), "fresh");
    assert.equal(after(11.9), "fresh");
    assert.equal(after(12.1), "stale");
    assert.equal(after(24 * 365), "stale");
    assert.equal(after(-0.9), "fresh");
    assert.equal(after(-1.1), "future");
    const nothing = { ...read.metadata, timestamp: null };
    assert.equal(age(nothing, null, LAST_END, LAST_END).state, "unknown");
    const asked = (/** @type {number | null} */ when) =>
      age(read.metadata, null, LAST_END + 13 * HOUR, when).state;
    assert.equal(asked(null), "unasked");
    assert.equal(asked(LAST_END + 11 * HOUR), "unasked");
    assert.equal(asked(LAST_END + 12.5 * HOUR), "stale");
  });

  test("a newer report that was held back is seen", () => {
    const { files, latest } = site({ relays: 60, dated: 2 });
    const { metadata } = readReport(JSON.stringify(latest));
    const listed = readFiles(files.get("/files.json") ?? "").files;
    assert.equal(heldBack(metadata, listed), null);
    const newer = { ...listed[0], timestamp: LAST_END + 6 * HOUR };
    newer.report = { runId: null, total: 1, dnsRate: 1, published: false, reasons: ["one_kind"] };
    assert.equal(heldBack(metadata, [newer, ...listed]), newer);
    newer.report.published = true;
    assert.equal(heldBack(metadata, [newer, ...listed]), null);
    assert.equal(heldBack(metadata, null), null);
  });
});

describe("shares and ages", () => {
  test("are rounded to the nearest; only all is 100 and only none is 0", () => {
    for (const [value, words] of /** @type {[number, string][]} */ ([
      [12.39, "12.4 %"],
      [12.34, "12.3 %"],
      [0.996, "1.00 %"],
      [95.756, "95.76 %"],
      [99.996, "over 99.99 %"],
      [100, "100 %"],
      [0, "0 %"],
      [0.004, "under 0.01 %"],
      [4.25, "4.3 %"],
    ])) {
      assert.equal(percent(value), words);
    }
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 2 }), (parts) => {
        const all = parts.reduce((sum, one) => sum + one, 0);
        const off = parts.reduce(
          (sum, one) => sum + Number.parseFloat(percent((one / all) * 100).replace(/^\D+/, "")),
          -100,
        );
        assert.ok(Math.abs(off) <= 0.06 * parts.length, `${off}`);
      }),
    );
  });

  test("a report of the year 9999 has no age, and spoils no other figure", () => {
    const far = { ...read.metadata, timestamp: Date.UTC(9999, 11, 31) };
    const found = age(far, null, LAST_END, LAST_END);
    assert.equal(found.state, "future");
    assert.ok(found.everyMs <= 31 * 24 * HOUR);
    assert.match(ago(far.timestamp, LAST_END), /^in 7,97\d years$/);
    assert.equal(duration(1e9), "32 years");
    const { runs } = readTrends(site({ relays: 60 }).files.get("/trends.json") ?? "");
    const spoilt = [...runs, { ...runs[runs.length - 1], timestamp: far.timestamp }];
    assert.equal(age(read.metadata, spoilt, LAST_END, LAST_END).everyMs, 6 * HOUR);
    const past = untilNow(spoilt, LAST_END);
    assert.deepEqual([past.runs.length, past.future], [runs.length, 1]);
  });

  test("the failing relays' states are the whole of them", () => {
    const some = [...read.relays];
    const at = some.findIndex((one) => one.status === "dns_fail");
    some[at] = { ...some[at], provisional: true };
    const states = failingStates(some);
    const sum = [...states.values()].reduce((all, one) => all + one, 0);
    assert.equal(sum, written.failures.length);
    assert.equal(states.get(UNCONFIRMED), 1);
    assert.ok(states.size > 2, "others than confirmed and suspect are among them");
  });
});

describe("trends", () => {
  const { runs } = readTrends(site({ relays: 60 }).files.get("/trends.json") ?? "");

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

describe("from a run to its report", () => {
  const { files, latest } = site({ relays: 60, dated: 2 });
  const list = readFiles(files.get("/files.json") ?? "").files;
  const run = { timestamp: LAST_END, runId: latest.metadata.run_id };

  test("by its time and its id, the last of those that were made again", () => {
    assert.equal(reportOf(list, run), "dns_health_2026-11-23_03-15-30.json");
    assert.equal(reportOf(null, run), "dns_health_2026-11-23_03-15-30.json");
    assert.equal(reportOf(list, { ...run, timestamp: LAST_END - 1000 }), null);
    assert.equal(reportOf(list, { ...run, runId: "another" }), null);
    const [first] = list;
    const again = { ...first, name: "dns_health_2026-11-23_03-15-30-2.json" };
    const tenth = { ...first, name: "dns_health_2026-11-23_03-15-30-10.json" };
    assert.equal(reportOf([again, tenth, ...list], run), tenth.name);
    const report = first.report === null ? null : { ...first.report, published: false };
    const held = [{ ...tenth, report }, again, ...list];
    assert.equal(reportOf(held, { ...run, published: true }), again.name);
  });

  describe("the marks of a relay are those of the runs that count", () => {
    const all = Array.from({ length: 6 }, (_, at) =>
      report({ relays: 300, run: LAST_RUN - 5 + at }),
    );
    const last = readReport(JSON.stringify(all[5]));
    const text = JSON.stringify(trends({ reports: all, runs: 100 }));
    const { runs: known } = readTrends(text);
    const here = known.slice(-6);
    const times = here.map((one) => one.timestamp).reverse();
    /** @type {(runs: typeof known) => number[]} */
    const found = (runs) => recentRuns(runs, last).map((one) => one.timestamp);

    test("all of them where all were published", () => {
      assert.deepEqual(found(here), times);
      assert.deepEqual(found(here.slice(0, -1)), [], "the report's own run is not known");
      assert.deepEqual(recentRuns(null, last), []);
    });

    test("also one that was held back or late, where its figures are those of the marks", () => {
      const off = { statuses: new Map([["dns_fail", 290]]) };
      const down = { ...here[3], ...off, published: false, timestamp: here[3].timestamp + HOUR };
      const more = [...here.slice(0, 4), down, ...here.slice(4)];
      assert.deepEqual(found(more), times, "one that is far off does not count");
      const late = here.map((one, at) => (at === 3 ? { ...one, published: false } : one));
      late[2] = { ...here[2], ...off };
      assert.ok(found(late).includes(here[3].timestamp), "one that fits far better does");
    });

    test("no further than it can be told", () => {
      const twin = { ...here[3], published: false, timestamp: here[3].timestamp + HOUR };
      const more = [...here.slice(0, 4), twin, ...here.slice(4)];
      assert.deepEqual(found(more), times.slice(0, 2));
    });
  });
});

describe("words", () => {
  test("there are some for every value that the formats have", async () => {
    const schema = JSON.parse(
      await readFile(new URL("../../docs/formats/report.schema.json", import.meta.url), "utf8"),
    );
    for (const [name, words] of /** @type {const} */ ([
      ["Status", STATUSES],
      ["State", STATES],
      ["ErrorCode", CAUSES],
      ["Blame", BLAMES],
      ["GateCode", GATE],
      ["FindingCode", FINDINGS],
      ["Ipv6Outcome", IPV6_OUTCOMES],
      ["ProofProblem", PROOF_PROBLEMS],
      ["ResolverKind", RESOLVER_KINDS],
      ["PublicResolver", PUBLIC_RESOLVERS],
      ["ResolverRule", RESOLVER_RULES],
      ["DeclaredLocation", DECLARED],
      ["ZoneFate", ZONE_FATES],
    ])) {
      /** @type {{ const: string }[]} */
      const values = schema.$defs[name].oneOf;
      assert.deepEqual([...words.keys()].sort(), values.map((one) => one.const).sort(), name);
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
