// What is decided without a runtime: names, validators, ranges, settings, the state of the reports.

import assert from "node:assert/strict";
import { test } from "node:test";
import { endsAsJson } from "../lib/body.js";
import { extent, notModified } from "../lib/http.js";
import { dataFile, fingerprint, route } from "../lib/names.js";
import { metadataOf, NewerFormat, newestReport, report, WrongDocument } from "../lib/report.js";
import { fallbackUrl, settings } from "../lib/settings.js";
import { status } from "../lib/status.js";
import { example, exampleFiles, large } from "./support/reports.js";

/** @type {(document: unknown) => Uint8Array} */
const bytes = (document) => new TextEncoder().encode(JSON.stringify(document));

test("names of data", () => {
  for (const name of [
    "latest.json",
    "files.json",
    "trends.json",
    "figures.json",
    "onionoo-dns.json",
    "incidents.json",
    "compat/latest.json",
    "badges/0.json",
    "badges/F.json",
  ]) {
    assert.deepEqual([dataFile(name)?.form, dataFile(name)?.immutable], ["json", false], name);
  }
  for (const name of [
    "dns_health_2026-11-23_03-15-30.json",
    "dns_health_2024-02-29_23-59-59.json",
    "dns_health_2026-11-23_03-15-30-2.json",
    "dns_health_2026-11-23_03-15-30-12.json",
  ]) {
    assert.deepEqual([dataFile(name)?.form, dataFile(name)?.immutable], ["json", true], name);
  }
  for (const name of ["feed.atom", "feeds/0123456789abcdef.atom"]) {
    assert.deepEqual([dataFile(name)?.form, dataFile(name)?.immutable], ["feed", false], name);
  }
  assert.deepEqual(dataFile("summary.html"), {
    name: "summary.html",
    form: "page",
    immutable: false,
    contentType: "text/html; charset=utf-8",
    magic: [],
  });
  for (const [end, type] of [
    ["tar", "application/x-tar"],
    ["tar.gz", "application/gzip"],
    ["tar.xz", "application/x-xz"],
    ["tar.zst", "application/zstd"],
    ["zip", "application/zip"],
  ]) {
    for (const name of [`dns_health_2026-11.${end}`, `dns_health_2026-11-12.${end}`]) {
      const file = dataFile(name);
      assert.deepEqual(
        [file?.form, file?.immutable, file?.contentType],
        ["archive", true, type],
        name,
      );
    }
  }
});

test("names that are none", () => {
  for (const name of [
    "",
    "Latest.json",
    "latest.json/",
    "latest.json%00",
    "../latest.json",
    "config.env",
    "analysis/plan.json",
    "dns_health_.json",
    "dns_health_2026-11-23_03-15-30-1.json",
    "dns_health_2026-11-23_03-15-30-02.json",
    "dns_health_2026-13-23_03-15-30.json",
    "dns_health_2026-02-30_03-15-30.json",
    "dns_health_2026-11-23_24-00-00.json",
    "dns_health_2026-11-23_03-15-60.json",
    "dns_health_2026-11-23_03-15-30.json.gz",
    "dns_health_2026-11-23_03-15-30.json\n",
    "dns_health_2026-11.json",
    "dns_health_2026-1.tar.gz",
    "dns_health_2026-13.tar.gz",
    "dns_health_2026-11.tar.bz2",
    "dns_health_2026-11-1.tar.gz",
    "dns_health_2026-11-02.tar.gz",
    "dns_health_2026-11-.tar.gz",
    "badges/a.json",
    "badges/00.json",
    "badges/../latest.json",
    "badges/",
    "compat/files.json",
    "metrics.prom\n",
    "old/metrics.prom",
    "constructor",
    "__proto__",
  ]) {
    assert.equal(dataFile(name), null, name);
  }
});

test("routes", () => {
  assert.equal(route("/").to, "pages");
  assert.equal(route("/index.html").to, "pages");
  assert.equal(route("//latest.json").to, "pages");
  assert.equal(route("/apiary").to, "pages");
  assert.equal(route("/latest.json").to, "data");
  assert.equal(route("/dns_health_2026").to, "unknown");
  assert.equal(route("/api").to, "unknown");
  assert.equal(route("/metrics.prom").to, "data");
  assert.equal(route("/badges").to, "unknown");
  assert.equal(route("/compat/x").to, "unknown");
  assert.deepEqual(route("/subscription/a"), { to: "subscription", token: "a" });
  for (const path of ["/subscription", "/subscription/a/b", "/requests/a", "/private/a"]) {
    assert.equal(route(path).to, "unknown", path);
  }
  assert.equal(route("/badge/relay/").to, "unknown");
  assert.equal(route("/badge/relay/.svg").to, "bad_fingerprint");
  assert.equal(route("/badge/family/x.svg").to, "unknown");
  assert.equal(route("/compatible").to, "pages");
  assert.equal(route("/api/status/").to, "unknown");
  assert.equal(route("/api/relay").to, "unknown");
  assert.equal(route("/api/relay/").to, "bad_fingerprint");
  assert.equal(route("/api/relay/a/b").to, "unknown");
  const upper = "3C6EF3625A5A5A5A5A5A5A5A5A5A5A5A00000002";
  for (const given of [upper, upper.toLowerCase(), `$${upper}`, `%24${upper}`]) {
    assert.deepEqual(route(`/api/relay/${given}`), { to: "relay", fingerprint: upper });
    for (const of of ["relay", "operator"]) {
      const wanted = { to: "badge", of, fingerprint: upper };
      assert.deepEqual(route(`/badge/${of}/${given}.svg`), wanted);
    }
  }
  for (const given of ["", upper.slice(1), `${upper}0`, upper.replace("3", "G"), `${upper}\n`]) {
    assert.equal(fingerprint(given), null, given);
  }
});

test("not modified", () => {
  const modified = new Date("2026-11-23T03:15:30.750Z");
  /** @type {(headers: Record<string, string>, etag?: string | null) => boolean} */
  const check = (headers, etag = '"a,b"') => notModified(new Headers(headers), etag, modified);
  assert.equal(check({ "If-None-Match": '"a,b"' }), true);
  assert.equal(check({ "If-None-Match": 'W/"a,b"' }), true);
  assert.equal(check({ "If-None-Match": '"a,b"' }, 'W/"a,b"'), true);
  assert.equal(check({ "If-None-Match": '"x", W/"y" ,"a,b"' }), true);
  assert.equal(check({ "If-None-Match": "*" }), true);
  assert.equal(check({ "If-None-Match": '"a", "b"' }), false);
  assert.equal(check({ "If-None-Match": "a,b" }), false);
  assert.equal(check({ "If-None-Match": '"a,b"' }, null), false);
  assert.equal(check({}), false);
  // The tag decides alone where both are there.
  const since = { "If-Modified-Since": "Mon, 23 Nov 2026 03:15:30 GMT" };
  assert.equal(check({ ...since, "If-None-Match": '"x"' }), false);
  assert.equal(check(since), true);
  assert.equal(check({ "If-Modified-Since": "Mon, 23 Nov 2026 03:15:29 GMT" }), false);
  assert.equal(check({ "If-Modified-Since": "yesterday" }), false);
});

test("ranges", () => {
  /** @type {(range: string, more?: Record<string, string>) => unknown} */
  const of = (range, more = {}) => {
    const found = extent(new Headers({ Range: range, ...more }), 10, '"e"');
    return found.kind === "part" ? [found.start, found.length] : found.kind;
  };
  assert.deepEqual(of("bytes=0-0"), [0, 1]);
  assert.deepEqual(of("bytes=2-5"), [2, 4]);
  assert.deepEqual(of("bytes=2-99"), [2, 8]);
  assert.deepEqual(of("bytes=9-"), [9, 1]);
  assert.deepEqual(of("bytes=-3"), [7, 3]);
  assert.deepEqual(of("bytes=-30"), [0, 10]);
  for (const range of ["bytes=10-", "bytes=10-20", "bytes=-0"]) {
    assert.equal(of(range), "unsatisfiable", range);
  }
  for (const range of ["bytes=-", "bytes=5-2", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b"]) {
    assert.equal(of(range), "whole", range);
  }
  assert.deepEqual(of("bytes=0-0", { "If-Range": '"e"' }), [0, 1]);
  for (const condition of ['"f"', 'W/"e"', "Mon, 23 Nov 2026 03:15:30 GMT"]) {
    assert.equal(of("bytes=0-0", { "If-Range": condition }), "whole", condition);
  }
});

test("the ends of a JSON document", () => {
  /** @type {(text: string) => boolean} */
  const ends = (text) => endsAsJson(new TextEncoder().encode(text));
  for (const text of ["{}", ' \n{"a":1}\r\n', "{}\t"]) assert.equal(ends(text), true, text);
  for (const text of ["", " ", "{", "}", "[]", '{"a":1', "<html>", "<p>{}", "{}x"]) {
    assert.equal(ends(text), false, text);
  }
});

test("settings", () => {
  assert.deepEqual(settings({}).problems, []);
  assert.equal(settings({}).fallback, null);
  assert.equal(settings({ OVERDUE_AFTER_MINUTES: "60" }).overdueAfterSeconds, 3600);
  for (const value of ["0", "-1", "1.5", "1e3", "soon", "999999999"]) {
    const found = settings({ OVERDUE_AFTER_MINUTES: value, STORE_DEADLINE_MS: value });
    assert.equal(found.problems.length, 2, value);
    assert.equal(found.overdueAfterSeconds, 540 * 60);
  }
  assert.equal(settings({ KEY_PREFIX: "a b" }).problems.length, 1);
  assert.equal(settings({ FALLBACK_FORBIDDEN_IS_MISSING: "yes" }).problems.length, 1);
  assert.equal(fallbackUrl("https://b.r.example.org")?.href, "https://b.r.example.org/");
  assert.equal(fallbackUrl("https://b.example.org/data")?.href, "https://b.example.org/data/");
  assert.equal(fallbackUrl("http://127.0.0.1:1/x/")?.href, "http://127.0.0.1:1/x/");
  for (const url of [
    "http://b.example.org/",
    "https://user@b.example.org/",
    "https://:pass@b.example.org/",
    "https://b.example.org/?a",
    "https://b.example.org/#a",
    "ftp://127.0.0.1/",
    "b.example.org",
    "/data",
  ]) {
    assert.equal(fallbackUrl(url), null, url);
    assert.equal(settings({ FALLBACK_URL: url }).problems.length, 1, url);
  }
});

test("reports are read, newer ones refused, damaged ones named", () => {
  const document = example("everything");
  assert.equal(report(bytes(document)).failures.length, 3);
  assert.deepEqual(metadataOf(bytes(document)), document.metadata);
  // As published, on one line, and as an example, on many; with results beyond the head.
  assert.deepEqual(metadataOf(bytes(large(3000))), document.metadata);
  const pretty = new TextEncoder().encode(JSON.stringify(document, null, 2));
  assert.deepEqual(metadataOf(pretty), document.metadata);
  // A report of before there was a format.
  const { format, absent, ...older } = document;
  assert.deepEqual([format.version, absent.length], [1, 2]);
  assert.deepEqual(metadataOf(bytes(older)), document.metadata);
  assert.deepEqual(report(bytes(older)).absent, []);
  // The metadata after the results, and a key that looks like them within it.
  const { metadata, ...rest } = document;
  assert.deepEqual(metadataOf(bytes({ ...rest, metadata })), metadata);
  const odd = { ...document, metadata: { a: 1, x: { b: 1, results: [] }, ...metadata } };
  assert.deepEqual(metadataOf(bytes(odd)), odd.metadata);

  const newer = { ...document, format: { ...format, version: 2 } };
  for (const read of [report, metadataOf]) {
    assert.throws(() => read(bytes(newer)), NewerFormat);
    for (const wrong of [
      { ...document, format: { ...format, version: 0 } },
      { ...document, format: { ...format, version: "1" } },
      { ...document, format: { ...format, name: "exit-validator/files" } },
      { ...document, format: null },
      { ...document, metadata: null },
      [],
    ]) {
      assert.throws(() => read(bytes(wrong)), WrongDocument, JSON.stringify(wrong).slice(0, 99));
    }
    assert.throws(() => read(bytes(document).subarray(0, 900)), WrongDocument);
  }
  for (const wrong of [{ results: {} }, { results: [1] }, { failures: undefined }, { absent: 1 }]) {
    assert.throws(() => report(bytes({ ...document, ...wrong })), WrongDocument);
  }
  // A newer version may have changed everything else.
  const foreign = { format: { name: "exit-validator/report", version: 7 }, other: true };
  assert.throws(() => metadataOf(bytes(foreign)), NewerFormat);
});

test("the newest report of the list", () => {
  const files = exampleFiles();
  assert.equal(newestReport(bytes(files))?.name, files.files[0].name);
  const archives = { ...files, files: [{ kind: "archive", report: null }] };
  assert.equal(newestReport(bytes(archives)), null);
  assert.throws(() => newestReport(bytes({ ...files, files: {} })), WrongDocument);
  assert.throws(() => newestReport(bytes({ files: [] })), WrongDocument);
  const newer = { ...files, format: { ...files.format, version: 2 } };
  assert.throws(() => newestReport(bytes(newer)), NewerFormat);
});

test("the state of the reports", () => {
  const now = Date.parse("2026-11-23T12:00:00Z");
  const published = (/** @type {string} */ timestamp) => ({
    timestamp,
    publish: { allowed: true, forced: false, reasons: [] },
  });
  const held = (/** @type {string} */ timestamp) => ({
    name: "n",
    timestamp,
    report: { published: false, reasons: ["one_kind"], run_id: "r" },
  });
  /** @type {(metadata: any, newest: any) => [unknown, boolean, unknown, unknown]} */
  const of = (metadata, newest) => {
    const { healthy, document } = status(metadata, newest, [], now, 9 * 3600);
    const { state, overdue, gate } = /** @type {any} */ (document);
    return [state, healthy, overdue, gate.reasons];
  };
  assert.deepEqual(of(published("2026-11-23T03:00:00Z"), null), ["ok", true, false, []]);
  assert.deepEqual(of(published("2026-11-23T02:59:59Z"), null), ["overdue", false, true, []]);
  const in_time = published("2026-11-23T04:00:00Z");
  const late = published("2026-11-22T04:00:00Z");
  const later = held("2026-11-23T10:00:00Z");
  assert.deepEqual(of(in_time, later), ["held_back", true, false, ["one_kind"]]);
  assert.deepEqual(of(late, later), ["overdue", false, true, ["one_kind"]]);
  // One that was held back before the published report is of no interest.
  assert.deepEqual(of(in_time, held("2026-11-23T01:00:00Z")), ["ok", true, false, []]);
  assert.deepEqual(of(published("2026-11-23T13:00:01Z"), null), ["clock", false, false, []]);
  assert.deepEqual(of(published("2026-11-23T12:59:59Z"), null), ["ok", true, false, []]);
  assert.deepEqual(of(null, null), ["none", false, true, []]);
  assert.deepEqual(of({ timestamp: 7 }, null), ["none", false, true, []]);
  assert.deepEqual(of({ timestamp: "soon", publish: [] }, null), ["none", false, true, []]);
  const forced = { ...in_time, publish: { allowed: true, forced: true, reasons: [{ code: "x" }] } };
  assert.deepEqual(of(forced, null), ["ok", true, false, ["x"]]);
});
