// The one place that knows the formats: true documents come through whole, and whatever else comes,
// reading gives something that can be shown or one error that says what is wrong.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { readDetails } from "../../public/js/data/details.js";
import { DataError } from "../../public/js/data/errors.js";
import { readFiles } from "../../public/js/data/files.js";
import { readHead } from "../../public/js/data/head.js";
import { isReportName } from "../../public/js/data/names.js";
import { readReport } from "../../public/js/data/report.js";
import { readTrends } from "../../public/js/data/trends.js";
import { hostileLists, hostileReports, otherReports } from "./support/hostile.js";
import { examples, lab } from "./support/published.js";
import { counts } from "./support/report.js";
import { site } from "./support/site.js";

/** @import { Report } from "./support/report.js" */

const { latest, files } = site({ relays: 500 });

/**
 * What a document of the programs must be read as.
 * @param {string} source
 */
function comesThrough(source) {
  /** @type {Report} */
  const written = JSON.parse(source);
  const read = readReport(source);
  assert.deepEqual(read.problems, []);
  assert.equal(read.older, false);
  assert.equal(read.relays.length, written.results.length);
  assert.equal(read.absent.length, written.absent.length);
  assert.equal(read.metadata.total, written.metadata.total_relays);
  assert.equal(read.metadata.dnsRate, written.metadata.dns_success_rate_percent);
  assert.equal(read.metadata.timestamp, Date.parse(written.metadata.timestamp));
  assert.equal(read.metadata.publish.allowed, written.metadata.publish.allowed);
  assert.deepEqual(Object.fromEntries(read.metadata.codes), written.metadata.error_codes);
  assert.deepEqual(Object.fromEntries(read.metadata.states), written.metadata.states);
  assert.deepEqual(
    counts(read.relays.map((one) => one.status)),
    counts(written.results.map((one) => one.status)),
  );
  for (const [index, relay] of read.relays.entries()) {
    const one = written.results[index];
    assert.equal(relay.fingerprint, one.exit_fingerprint);
    assert.equal(relay.nickname, one.exit_nickname);
    assert.equal(relay.address, one.exit_address);
    assert.equal(relay.code, one.error_code);
    assert.equal(relay.state, one.state);
    assert.equal(relay.latency, one.latency_ms);
    assert.equal(relay.recent, one.recent);
    assert.equal(relay.failures, one.consecutive_failures);
    assert.equal(relay.operator, one.operator);
    assert.deepEqual(relay.flags, one.relay.flags);
    assert.equal(relay.weight, one.relay.bandwidth.consensus_weight);
    assert.equal(relay.ipv6, one.relay.ipv6.address);
    const details = readDetails(relay.raw);
    assert.equal(details.attempts.length, one.attempts.length);
    assert.equal(details.query, one.query_domain);
  }
  const head = readHead(source);
  assert.equal(head?.timestamp, read.metadata.timestamp);
  assert.equal(head?.dnsRate, read.metadata.dnsRate);
}

describe("true documents", () => {
  test("generated reports", () => comesThrough(files.get("/latest.json") ?? ""));

  test("rates that leave out the bad exits are no contradiction, and are checked all the same", () => {
    /** @type {Report["metadata"] & {bad_exits?: number}} */
    const metadata = structuredClone(latest.metadata);
    const results = structuredClone(latest.results);
    for (const one of results) one.relay.flags = one.relay.flags.filter((f) => f !== "BadExit");
    const bad = results.filter((one) => one.status === "success").slice(0, 9);
    for (const one of bad) one.relay.flags.push("BadExit");
    const rated = metadata.total_relays - bad.length;
    const well = metadata.success - bad.length;
    /** @type {(part: number, whole: number) => number} */
    const rate = (part, whole) => Math.floor((part / whole) * 100_000) / 1000;
    const tested = metadata.tested - bad.length;
    metadata.bad_exits = bad.length;
    metadata.success_rate_percent = rate(well, rated);
    metadata.dns_success_rate_percent = rate(well, tested);
    metadata.reachability_rate_percent = rate(tested, rated);
    const total = results
      .filter((one) => !bad.includes(one))
      .reduce((sum, one) => sum + one.relay.bandwidth.consensus_weight, 0);
    metadata.bandwidth.failing_percent = rate(metadata.bandwidth.failing_weight, total);
    metadata.bandwidth.unreached_percent = rate(metadata.bandwidth.unreached_weight, total);
    // A test of its own has that share.
    delete metadata.lookup_failure;
    const report = { ...latest, metadata, results };
    comesThrough(JSON.stringify(report));
    metadata.bad_exits = 3;
    assert.match(readReport(JSON.stringify(report)).problems.join(), /bad_exits 3, counted 9/);
  });

  test("the share of lookups that fail is checked, and an interval that it is not in is none", () => {
    const report = structuredClone(latest);
    const lookups = report.metadata.lookup_failure;
    assert.ok(lookups);
    lookups.failed += 1;
    const wrong = readReport(JSON.stringify(report));
    assert.match(wrong.problems.join(), /lookup_failure\.failed \d+, counted \d+/);
    assert.equal(wrong.metadata.lookups?.failed, lookups.failed - 1);
    assert.equal(wrong.metadata.lookups?.low, null, "no interval of what was counted here");
    lookups.failed -= 1;
    lookups.low_percent = lookups.percent + 1;
    const odd = readReport(JSON.stringify(report));
    assert.match(odd.problems.join(), /“lookup_failure” .*cannot be read/);
    assert.equal(odd.metadata.lookups?.low, null);
    lookups.low_percent = 0;
    const [one] = report.results.filter((each) => each.failure_rate_30d);
    const rate = one.failure_rate_30d;
    assert.ok(rate);
    rate.failed = rate.asked + 1;
    report.metadata.degraded = 500;
    const { problems, relays } = readReport(JSON.stringify(report));
    assert.match(problems.join(), /“failure_rate_30d” cannot be read for 1 relays/);
    assert.match(problems.join(), /degraded 500, counted/);
    assert.equal(relays.find((each) => each.fingerprint === one.exit_fingerprint)?.lookups30, null);
  });

  test("the reports of the lab", async () => {
    const published = await lab();
    comesThrough(published.get("/latest.json") ?? "");
    assert.equal(readTrends(published.get("/trends.json") ?? "").runs.length, 2);
    assert.equal(readFiles(published.get("/files.json") ?? "").files.length, 2);
  });

  test("the examples of aggregate", async () => {
    for (const source of (await examples()).values()) comesThrough(source);
  });

  test("trends and the list of files", () => {
    const { runs, problems } = readTrends(files.get("/trends.json") ?? "");
    assert.deepEqual(problems, []);
    assert.equal(runs.length, 1460);
    const last = runs[runs.length - 1];
    assert.equal(last.timestamp, Date.parse(latest.metadata.timestamp));
    assert.equal(last.dnsRate, latest.metadata.dns_success_rate_percent);
    assert.equal(last.resolve?.p90, latest.metadata.resolve_ms?.p90);
    assert.ok(runs.some((one) => !one.published && one.reasons.length > 0));
    const list = readFiles(files.get("/files.json") ?? "");
    assert.deepEqual(list.problems, []);
    const listed = list.files;
    assert.equal(listed.length, JSON.parse(files.get("/files.json") ?? "").files.length);
    assert.ok(
      listed.every(
        (one, at) => at === 0 || (one.timestamp ?? 0) <= (listed[at - 1].timestamp ?? 0),
      ),
    );
    assert.ok(listed.some((one) => one.kind === "archive" && one.report === null));
  });

  test("metadata is there as soon as its last byte is, and not before", () => {
    const source = files.get("/latest.json") ?? "";
    const end = source.indexOf(',"results":[');
    assert.ok(end > 0);
    for (const length of [0, 1, 10, 60, end - 1]) {
      assert.equal(readHead(source.slice(0, length)), undefined, `${length}`);
    }
    assert.ok(readHead(source.slice(0, end)));
    assert.ok(readHead(source));
  });

  test("metadata that is elsewhere, or not to be trusted, is not found in the beginning", () => {
    const { format, ...rest } = latest;
    assert.equal(readHead(JSON.stringify({ ...rest, format })), null);
    assert.equal(readHead(JSON.stringify({ format: { ...format, version: 2 }, ...rest })), null);
    assert.equal(readHead("<!doctype html>".padEnd(5000)), null);
  });
});

describe("other documents", () => {
  for (const [name, { text, kind }] of otherReports()) {
    test(name, () => {
      if (kind === "older") {
        const read = readReport(text);
        assert.equal(read.older, true);
        assert.ok(read.relays.length > 0);
        return;
      }
      assert.throws(
        () => readReport(text),
        (error) => {
          assert.ok(error instanceof DataError, `${error}`);
          assert.equal(error.why === "newer", kind === "newer");
          assert.match(error.message, /\.$/);
          return true;
        },
      );
    });
  }
});

/**
 * Whatever was read, it has the types that everything behind relies on.
 * @param {ReturnType<typeof readReport>} read
 */
function isSound(read) {
  /** @type {(value: unknown) => boolean} */
  const amount = (value) => value === null || (Number.isFinite(value) && Number(value) >= 0);
  for (const relay of read.relays) {
    for (const value of [relay.nickname, relay.address, relay.status, relay.operator]) {
      assert.equal(typeof value, "string");
    }
    for (const value of [relay.code, relay.blame, relay.error, relay.state, relay.contact]) {
      assert.ok(value === null || (typeof value === "string" && value !== ""));
    }
    for (const value of [relay.latency, relay.failures, relay.failingSince, relay.weight]) {
      assert.ok(amount(value), `${value}`);
    }
    assert.ok(relay.flags.every((one) => typeof one === "string"));
    assert.match(relay.recent, /^[A-Za-z.?]{0,60}$/);
    assert.ok(!relay.valid || /^[0-9A-F]{40}$/.test(relay.fingerprint));
    const details = readDetails(relay.raw);
    for (const attempt of details.attempts) assert.equal(typeof attempt.status, "string");
  }
  const { metadata } = read;
  for (const value of [metadata.total, metadata.dnsRate, metadata.timestamp, metadata.tested]) {
    assert.ok(amount(value));
  }
  for (const map of [metadata.codes, metadata.states, metadata.blames, metadata.statuses]) {
    for (const [key, n] of map) assert.ok(typeof key === "string" && Number.isSafeInteger(n));
  }
}

describe("hostile documents", () => {
  for (const [name, source] of hostileReports()) {
    test(`a report: ${name}`, () => {
      isSound(readReport(source));
      assert.equal(/** @type {any} */ ({}).polluted, undefined);
    });
  }

  for (const [name, { trends, files }] of hostileLists()) {
    test(`trends and list: ${name}`, () => {
      try {
        const { runs } = readTrends(trends);
        assert.ok(runs.every((one) => Number.isFinite(one.timestamp)));
      } catch (error) {
        assert.ok(error instanceof DataError);
      }
      try {
        for (const file of readFiles(files).files)
          assert.match(file.name, /^dns_health_[0-9_.a-z-]+$/);
      } catch (error) {
        assert.ok(error instanceof DataError);
      }
    });
  }

  test("a name that leads elsewhere is no report's name", () => {
    assert.ok(isReportName("dns_health_2026-11-23_03-15-30-2.json"));
    for (const name of [
      "",
      "latest.json",
      "../dns_health_2026-11-23_03-15-30.json",
      "dns_health_2026-11-23_03-15-30.json\n",
      "dns_health_2026-11-23_03-15-30.json?",
      "x/dns_health_2026-11-23_03-15-30.json",
      "//dns_health_2026-11-23_03-15-30.json",
    ]) {
      assert.equal(isReportName(name), false, name);
    }
  });

  test("any JSON at all is read or refused", () => {
    const format = { name: "exit-validator/report", version: 1 };
    const result = fc.oneof(
      fc.jsonValue(),
      fc.record(
        Object.fromEntries(
          Object.keys(latest.results[0]).map((key) => [key, fc.jsonValue({ maxDepth: 2 })]),
        ),
        { requiredKeys: [] },
      ),
    );
    const document = fc.oneof(
      fc.jsonValue(),
      fc.record({
        format: fc.constant(format),
        metadata: fc.oneof(
          fc.jsonValue(),
          fc.record(
            Object.fromEntries(Object.keys(latest.metadata).map((key) => [key, fc.jsonValue()])),
            { requiredKeys: [] },
          ),
        ),
        results: fc.oneof(fc.jsonValue(), fc.array(result)),
        absent: fc.oneof(fc.jsonValue(), fc.array(fc.jsonValue())),
      }),
    );
    fc.assert(
      fc.property(document, (value) => {
        const source = JSON.stringify(value);
        readHead(source);
        try {
          isSound(readReport(source));
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });

  test("a report cut anywhere is refused or read, and never half", () => {
    const source = JSON.stringify({ ...latest, results: latest.results.slice(0, 3) });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: source.length - 1 }), (length) => {
        assert.throws(() => readReport(source.slice(0, length)), DataError);
        readHead(source.slice(0, length));
      }),
      { numRuns: 300 },
    );
  });
});
