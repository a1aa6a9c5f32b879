// The function in the real Workers runtime, bundled as Pages gets it: R2 with real content, and a
// second store that misbehaves.

import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, before, beforeEach, describe, test } from "node:test";
import { FAULTS, origin } from "./support/origin.js";
import {
  example,
  exampleBadges,
  exampleFeed,
  exampleFiles,
  exampleMetrics,
  large,
} from "./support/reports.js";
import { worker } from "./support/worker.js";

const DATED = "dns_health_2026-11-23_03-15-30.json";
const ARCHIVE = "dns_health_2026-10.tar.gz";
const SHORT = "public, max-age=60";
const YEAR = "public, max-age=31536000, immutable";
/** How long a store may take that never answers, or never ends: the others on a busy machine answer in it. */
const SOON_MS = 1500;

/** An archive of some hundred kilobytes, so that it comes in several pieces. */
const archive = Buffer.alloc(300_000, "report ");
archive.set([0x1f, 0x8b, 0x08]);

/** @type {Awaited<ReturnType<typeof origin>>} */
let spaces;
/** @type {import("./support/worker.js").Worker} */
let both;
/** @type {import("./support/worker.js").Worker} */
let alone;
/** @type {import("./support/worker.js").Worker} */
let neither;

before(async () => {
  spaces = await origin();
  const variables = { OVERDUE_AFTER_MINUTES: "60" };
  both = await worker({ ...variables, FALLBACK_URL: spaces.url });
  alone = await worker(variables);
  neither = await worker({ FALLBACK_URL: "http://example.org/" }, { bucket: false });
});

after(async () => {
  await Promise.all([both, alone, neither].map((one) => one?.close()));
  await spaces?.close();
});

const EXPORTS = [
  "feed.atom",
  "summary.html",
  "figures.json",
  "onionoo-dns.json",
  "metrics.prom",
  "compat/latest.json",
  "compat/metrics.prom",
];
const NAMES = ["latest.json", "files.json", "trends.json", "badges/9.json", ...EXPORTS].concat(
  DATED,
  ARCHIVE,
);

beforeEach(async () => {
  spaces.files.clear();
  spaces.asked.length = 0;
  for (const one of [both, alone]) for (const name of NAMES) await one.remove(name);
});

/** @type {(document: unknown) => string} */
const text = (document) => JSON.stringify(document);

/** @type {(name: string, document: unknown, more?: object) => void} */
const inSpaces = (name, document, more = {}) => {
  spaces.files.set(name, { body: Buffer.from(text(document)), ...more });
};

/**
 * Fails unless an answer is an error that nothing keeps.
 * @param {Response} response
 * @param {Record<string, string>} stores
 */
async function isUpstreamError(response, stores) {
  assert.equal(response.status, 502);
  assert.equal(response.headers.get("Cache-Control"), "no-store");
  assert.equal(response.headers.get("ETag"), null);
  const body = await response.json();
  assert.equal(body.error, "upstream");
  assert.deepEqual(body.stores, stores);
}

describe("data", () => {
  test("comes from the bucket, with its headers", async () => {
    const body = text(example("everything"));
    for (const [name, cache] of [
      ["latest.json", SHORT],
      ["files.json", SHORT],
      ["trends.json", SHORT],
      [DATED, YEAR],
    ]) {
      const etag = await both.put(name, body);
      const response = await both.ask(`/${name}?v=1`);
      assert.equal(response.status, 200);
      assert.equal(await response.text(), body);
      const { headers } = response;
      assert.equal(headers.get("Content-Type"), "application/json; charset=utf-8");
      assert.equal(headers.get("Content-Length"), String(body.length));
      assert.equal(headers.get("Cache-Control"), cache);
      assert.equal(headers.get("ETag"), etag);
      assert.equal(headers.get("X-Served-From"), "r2");
      assert.equal(headers.get("X-Content-Type-Options"), "nosniff");
      assert.equal(headers.get("Access-Control-Allow-Origin"), "*");
      assert.equal(headers.get("X-Frame-Options"), "DENY");
      assert.match(headers.get("Content-Security-Policy") ?? "", /default-src 'none'.*sandbox/);
      assert.ok(!Number.isNaN(Date.parse(headers.get("Last-Modified") ?? "")));
    }
    assert.deepEqual(spaces.asked, []);
  });

  test("an archive is passed on as it is", async () => {
    await both.put(ARCHIVE, archive);
    const response = await both.ask(`/${ARCHIVE}`);
    assert.equal(response.headers.get("Content-Type"), "application/gzip");
    assert.equal(response.headers.get("Cache-Control"), YEAR);
    assert.equal(response.headers.get("Content-Length"), String(archive.length));
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), archive);
  });

  test("HEAD says what GET says, without a body", async () => {
    await both.put("latest.json", text(example("everything")));
    await both.put(ARCHIVE, archive);
    for (const path of ["/latest.json", `/${ARCHIVE}`, "/api/failures", "/trends.json"]) {
      const get = await both.ask(path);
      const length = (await get.arrayBuffer()).byteLength;
      const head = await both.ask(path, { method: "HEAD" });
      assert.equal(head.status, get.status, path);
      assert.equal(await head.text(), "");
      for (const name of ["Content-Type", "Cache-Control", "ETag", "X-Served-From"]) {
        assert.equal(head.headers.get(name), get.headers.get(name), `${path} ${name}`);
      }
      if (!path.startsWith("/api") && get.status === 200) {
        assert.equal(head.headers.get("Content-Length"), String(length), path);
      }
    }
  });

  test("what the client has is not sent again", async () => {
    for (const [name, body, cache] of /** @type {const} */ ([
      ["latest.json", text(example("everything")), SHORT],
      [ARCHIVE, archive, YEAR],
    ])) {
      const etag = await both.put(name, body);
      for (const tags of [etag, `W/${etag}`, `"other", W/${etag}`, "*"]) {
        const response = await both.ask(`/${name}`, { headers: { "If-None-Match": tags } });
        assert.equal(response.status, 304, tags);
        assert.equal(response.headers.get("ETag"), etag);
        assert.equal(response.headers.get("Cache-Control"), cache);
        assert.equal(await response.text(), "");
      }
      const other = await both.ask(`/${name}`, { headers: { "If-None-Match": '"other"' } });
      assert.equal(other.status, 200);
      await other.arrayBuffer();
    }
  });

  test("ranges", async () => {
    const body = text(example("everything"));
    await both.put("latest.json", body);
    const etag = await both.put(ARCHIVE, archive);
    for (const [path, whole] of /** @type {[string, Buffer][]} */ ([
      ["/latest.json", Buffer.from(body)],
      [`/${ARCHIVE}`, archive],
    ])) {
      /** @type {(range: string, more?: Record<string, string>) => Promise<Response>} */
      const part = (range, more) => both.ask(path, { headers: { Range: range, ...more } });
      for (const [range, start, end] of /** @type {[string, number, number][]} */ ([
        ["bytes=5-9", 5, 10],
        ["bytes=100-", 100, whole.length],
        ["bytes=-7", whole.length - 7, whole.length],
      ])) {
        const response = await part(range);
        assert.equal(response.status, 206, `${path} ${range}`);
        assert.equal(
          response.headers.get("Content-Range"),
          `bytes ${start}-${end - 1}/${whole.length}`,
        );
        assert.deepEqual(Buffer.from(await response.arrayBuffer()), whole.subarray(start, end));
      }
      const beyond = await part(`bytes=${whole.length}-`);
      assert.equal(beyond.status, 416);
      assert.equal(beyond.headers.get("Content-Range"), `bytes */${whole.length}`);
      assert.equal(beyond.headers.get("Cache-Control"), "no-store");
      const changed = await part("bytes=0-0", { "If-Range": '"other"' });
      assert.equal(changed.status, 200);
      assert.equal((await changed.arrayBuffer()).byteLength, whole.length);
    }
    const same = await both.ask(`/${ARCHIVE}`, {
      headers: { Range: "bytes=0-1", "If-Range": etag },
    });
    assert.equal(same.status, 206);
    await same.arrayBuffer();
  });

  test("where the bucket lacks it or fails, the second store is asked", async () => {
    const document = example("a_good_first_run");
    inSpaces("latest.json", document, { etag: '"spaces-1"' });
    const response = await both.ask("/latest.json");
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), document);
    assert.equal(response.headers.get("X-Served-From"), "spaces");
    assert.equal(response.headers.get("ETag"), '"spaces-1"');
    assert.equal(response.headers.get("Content-Type"), "application/json; charset=utf-8");
    assert.equal(response.headers.get("Last-Modified"), "Mon, 23 Nov 2026 03:15:30 GMT");
    assert.deepEqual(spaces.asked, ["/bucket/latest.json"]);
    const again = await both.ask("/latest.json", { headers: { "If-None-Match": '"spaces-1"' } });
    assert.equal(again.status, 304);

    await both.put("latest.json", text(example("everything")));
    for (const r2 of ["throws", "stalls", "breaks_off", "stalls_in_body", "cut"]) {
      const deadline = r2.startsWith("stalls") ? SOON_MS : undefined;
      const other = await both.ask("/latest.json", { r2, deadline });
      assert.equal(other.headers.get("X-Served-From"), "spaces", r2);
      assert.deepEqual(await other.json(), document);
    }
    for (const damaged of ["", '{"format":', "<html></html>"]) {
      await both.put("latest.json", damaged);
      const other = await both.ask("/latest.json");
      assert.equal(other.headers.get("X-Served-From"), "spaces", damaged);
      await other.arrayBuffer();
    }
    spaces.files.set(ARCHIVE, { body: archive });
    for (const damaged of ["", "<html></html>", new Uint8Array([0x1f])]) {
      await both.put(ARCHIVE, damaged);
      const other = await both.ask(`/${ARCHIVE}`);
      assert.equal(other.headers.get("X-Served-From"), "spaces", String(damaged));
      assert.deepEqual(Buffer.from(await other.arrayBuffer()), archive);
    }
    // The second store is not asked for parts.
    const whole = await both.ask(`/${ARCHIVE}`, { headers: { Range: "bytes=0-1" } });
    assert.equal(whole.status, 200);
    await whole.arrayBuffer();
  });

  test("answers of the second store that are well, in other shapes", async () => {
    const document = example("a_good_first_run");
    for (const mode of ["gzip", "chunked"]) {
      inSpaces(DATED, document, { mode });
      const response = await both.ask(`/${DATED}`);
      assert.equal(response.status, 200, mode);
      assert.deepEqual(await response.json(), document);
      assert.equal(response.headers.get("ETag"), null);
    }
  });

  test("what is in neither store is 404, and soon asked for again", async () => {
    for (const path of ["/latest.json", `/${DATED}`, `/${ARCHIVE}`]) {
      for (const one of [both, alone]) {
        const response = await one.ask(path);
        assert.equal(response.status, 404);
        assert.equal(response.headers.get("Cache-Control"), "public, max-age=30");
        assert.equal((await response.json()).error, "not_found");
      }
    }
  });

  const WORDS = {
    status_500: "failed",
    status_503: "failed",
    forbidden: "forbidden",
    no_bucket: "failed",
    redirect: "failed",
    no_content: "failed",
    reset: "failed",
    stall: "too_slow",
    stall_in_body: "too_slow",
    cut: "failed",
    half: "not_json",
    half_chunked: "not_json",
    empty: "empty",
    html: "not_the_file",
    html_called_json: "not_json",
  };
  for (const [mode, word] of Object.entries(WORDS)) {
    test(`the second store misbehaves: ${mode}`, async () => {
      assert.ok(mode in FAULTS);
      inSpaces(DATED, example("a_good_first_run"), { mode });
      const deadline = word === "too_slow" ? SOON_MS : undefined;
      const missing = await both.ask(`/${DATED}`, { deadline });
      await isUpstreamError(missing, { r2: "missing", spaces: word });
      const failed = await both.ask(`/${DATED}`, { deadline, r2: "throws" });
      await isUpstreamError(failed, { r2: "failed", spaces: word });
    });
  }

  test("an archive of a second store that misbehaves is never taken for whole", async () => {
    for (const [mode, word] of Object.entries({
      status_500: "failed",
      reset: "failed",
      stall: "too_slow",
      empty: "empty",
      html: "not_the_file",
      html_called_json: "not_the_file",
      chunked: "failed",
      gzip: "failed",
    })) {
      spaces.files.set(ARCHIVE, { body: archive, mode });
      const deadline = word === "too_slow" ? SOON_MS : undefined;
      const response = await both.ask(`/${ARCHIVE}`, { deadline });
      await isUpstreamError(response, { r2: "missing", spaces: word });
    }
    // Once it has begun, breaking off is the only way to tell the client.
    for (const mode of ["cut", "stall_in_body"]) {
      spaces.files.set(ARCHIVE, { body: archive, mode });
      const got = await raw(`/${ARCHIVE}`);
      assert.equal(got.whole, false, mode);
      assert.ok(got.bytes < archive.length, mode);
    }
    // A bucket's object that is something else than its name and length say.
    await both.put(ARCHIVE, archive);
    spaces.files.clear();
    await isUpstreamError(await both.ask(`/${ARCHIVE}`, { r2: "cut" }), {
      r2: "not_the_file",
      spaces: "missing",
    });
  });

  test("a bucket that fails is no 404, whatever the second store says", async () => {
    for (const [r2, word] of Object.entries({
      throws: "failed",
      stalls: "too_slow",
      breaks_off: "failed",
      stalls_in_body: "too_slow",
      cut: "cut",
    })) {
      await both.put(DATED, text(example("everything")));
      await alone.put(DATED, text(example("everything")));
      const how = { r2, deadline: word === "too_slow" ? SOON_MS : undefined };
      const response = await both.ask(`/${DATED}`, how);
      await isUpstreamError(response, { r2: word, spaces: "missing" });
      await isUpstreamError(await alone.ask(`/${DATED}`, how), { r2: word });
    }
    await both.put(DATED, "");
    await isUpstreamError(await both.ask(`/${DATED}`), { r2: "empty", spaces: "missing" });
    await both.put(DATED, text(example("everything")).slice(0, -1));
    await isUpstreamError(await both.ask(`/${DATED}`), { r2: "not_json", spaces: "missing" });
  });

  test("403 of a store that does so for what is not there", async () => {
    const one = await worker({ FALLBACK_URL: spaces.url, FALLBACK_FORBIDDEN_IS_MISSING: "true" });
    try {
      inSpaces(DATED, {}, { mode: "forbidden" });
      assert.equal((await one.ask(`/${DATED}`)).status, 404);
    } finally {
      await one.close();
    }
  });

  test("names in the bucket may have a prefix", async () => {
    const one = await worker({ KEY_PREFIX: "reports/" });
    try {
      await one.put("reports/latest.json", text({ a: 1 }));
      assert.deepEqual(await (await one.ask("/latest.json")).json(), { a: 1 });
    } finally {
      await one.close();
    }
  });

  test("a deployment without a usable store says so", async () => {
    const response = await neither.ask("/latest.json");
    await isUpstreamError(response, {});
  });

  test("a report of the network's size", async () => {
    const body = text(large(3000));
    await both.put("latest.json", body);
    const response = await both.ask("/latest.json");
    assert.equal(await response.text(), body);
  });
});

/**
 * A GET that tells whether all of the body came.
 * @param {string} path
 * @returns {Promise<{status: number | undefined, bytes: number, whole: boolean}>}
 */
function raw(path) {
  return new Promise((resolve, reject) => {
    const headers = { "x-test-deadline": String(SOON_MS) };
    const request = httpRequest(new URL(path, both.url), { headers }, (response) => {
      let bytes = 0;
      response.on("data", (chunk) => {
        bytes += chunk.length;
      });
      response.on("error", () => {});
      response.on("close", () =>
        resolve({ status: response.statusCode, bytes, whole: response.complete }),
      );
    });
    request.on("error", reject);
    request.end();
  });
}

describe("requests", () => {
  test("methods", async () => {
    for (const path of ["/latest.json", "/api/status", "/", "/dns_health_x"]) {
      for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
        const response = await both.ask(path, { method });
        assert.equal(response.status, 405, `${method} ${path}`);
        assert.equal(response.headers.get("Allow"), "GET, HEAD, OPTIONS");
        assert.equal(response.headers.get("Cache-Control"), "no-store");
        await response.arrayBuffer();
      }
    }
    const preflight = await both.ask("/api/failures", { method: "OPTIONS" });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers.get("Access-Control-Allow-Origin"), "*");
    assert.equal(preflight.headers.get("Access-Control-Allow-Methods"), "GET, HEAD, OPTIONS");
    assert.match(preflight.headers.get("Access-Control-Allow-Headers") ?? "", /If-None-Match/);
  });

  test("only the data's names reach a store", async () => {
    await both.put("config.env", "secret");
    for (const path of [
      "/config.env",
      "/analysis/plan.json",
      "/%6catest.json",
      "/a/../config.env",
      "/a/..%2flatest.json",
      "//latest.json",
    ]) {
      const response = await both.ask(path);
      assert.match(await response.text(), /^page \//, path);
    }
    for (const path of ["/dns_health_x.json", "/dns_health_2026-13.tar", "/api", "/api/x"]) {
      const response = await both.ask(path);
      assert.equal(response.status, 404, path);
      assert.equal(response.headers.get("Cache-Control"), "public, max-age=30");
      assert.equal((await response.json()).error, "not_found");
    }
    assert.deepEqual(spaces.asked, []);
    assert.equal(await (await both.ask("/index.html")).text(), "page /index.html");
  });
});

describe("/api/status", () => {
  /** @type {(age_minutes: number) => string} */
  const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
  /** @type {(minutes: number) => any} */
  const reportOf = (minutes) => {
    const report = large(3000);
    report.metadata.timestamp = ago(minutes);
    report.metadata.publish = { allowed: true, forced: false, reasons: [], notes: [] };
    return report;
  };

  test("the last report, in time and overdue", async () => {
    for (const [minutes, state, strict] of /** @type {const} */ ([
      [10, "ok", 200],
      [90, "overdue", 503],
      [-90, "clock", 503],
    ])) {
      await both.put("latest.json", text(reportOf(minutes)));
      const response = await both.ask("/api/status");
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("Cache-Control"), "no-store");
      assert.equal(response.headers.get("X-Served-From"), "r2");
      const body = await response.json();
      assert.equal(body.state, state);
      assert.equal(body.overdue, state === "overdue");
      assert.equal(body.overdue_after_seconds, 3600);
      assert.ok(Math.abs(body.age_seconds - minutes * 60) < 30);
      assert.equal(body.latest.run_id, large(1).metadata.run_id);
      assert.deepEqual(body.gate, { allowed: true, forced: false, reasons: [] });
      assert.deepEqual(body.problems, ["files.json is not there"]);
      const asked = await both.ask("/api/status?strict");
      assert.equal(asked.status, strict, state);
      assert.equal((await asked.json()).state, state);
    }
  });

  test("a newer report that was held back", async () => {
    await both.put("latest.json", text(reportOf(30)));
    const files = exampleFiles();
    files.files[0].timestamp = ago(5);
    const held = { published: false, reasons: ["dns_success_rate", "one_kind"] };
    Object.assign(files.files[0].report, held);
    await both.put("files.json", text(files));
    const body = await (await both.ask("/api/status?strict")).json();
    assert.equal(body.state, "held_back");
    assert.equal(body.newest.name, files.files[0].name);
    assert.equal(body.newest.published, false);
    assert.deepEqual(body.gate, {
      allowed: false,
      forced: false,
      reasons: ["dns_success_rate", "one_kind"],
    });
    assert.deepEqual(body.problems, []);
  });

  test("no report yet, and no store", async () => {
    const response = await both.ask("/api/status");
    assert.equal(response.status, 200);
    assert.equal((await response.json()).state, "none");
    assert.equal((await both.ask("/api/status?strict")).status, 503);
    await isUpstreamError(await both.ask("/api/status", { r2: "throws" }), {
      r2: "failed",
      spaces: "missing",
    });
  });

  test("a list that cannot be read is named, and is no reason for no answer", async () => {
    await both.put("latest.json", text(reportOf(10)));
    await both.put("files.json", "{}");
    inSpaces("files.json", {}, { mode: "status_500" });
    const body = await (await both.ask("/api/status")).json();
    assert.equal(body.state, "ok");
    assert.deepEqual(body.problems, ["files.json could not be had"]);
  });
});

describe("/api from the last report", () => {
  test("failures", async () => {
    const document = example("everything");
    const etag = await both.put("latest.json", text(document));
    const response = await both.ask("/api/failures");
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("Cache-Control"), SHORT);
    assert.equal(response.headers.get("X-Served-From"), "r2");
    const body = await response.json();
    assert.deepEqual(body.failures, document.failures);
    assert.equal(body.count, 3);
    assert.equal(body.report.timestamp, document.metadata.timestamp);
    const tag = response.headers.get("ETag") ?? "";
    assert.equal(tag, `W/"api1-${etag.slice(1)}`);
    const again = await both.ask("/api/failures", { headers: { "If-None-Match": tag } });
    assert.equal(again.status, 304);
    // The report is another now: what was parsed before is not used again.
    await both.put("latest.json", text({ ...document, failures: [] }));
    const newer = await both.ask("/api/failures", { headers: { "If-None-Match": tag } });
    assert.equal((await newer.json()).count, 0);
  });

  test("a relay", async () => {
    const document = example("everything");
    await both.put("latest.json", text(document));
    const [result] = document.results;
    const [gone] = document.absent;
    const { exit_fingerprint: known } = result;
    for (const path of [known, known.toLowerCase(), `$${known}`, `%24${known}`]) {
      const body = await (await both.ask(`/api/relay/${path}`)).json();
      assert.deepEqual(body.result, result);
      assert.equal(body.absent, null);
      assert.equal(body.report.run_id, document.metadata.run_id);
    }
    const absent = await (await both.ask(`/api/relay/${gone.exit_fingerprint}`)).json();
    assert.equal(absent.result, null);
    assert.deepEqual(absent.absent, gone);
    const unknown = await both.ask(`/api/relay/${"0".repeat(40)}`);
    assert.equal(unknown.status, 404);
    assert.equal(unknown.headers.get("ETag"), null);
    assert.equal(unknown.headers.get("Cache-Control"), "public, max-age=30");
    assert.equal((await unknown.json()).error, "unknown_relay");
    for (const path of ["", "nickname", known.slice(1), `${known}0`, "%3Cscript%3E"]) {
      const bad = await both.ask(`/api/relay/${path}`);
      assert.equal(bad.status, 400, path);
      assert.equal((await bad.json()).error, "bad_fingerprint");
    }
  });

  test("strangers' words are JSON and nothing else", async () => {
    const document = example("everything");
    const hostile = '</script><script>alert(1)</script>\u2028"\u0000\ud800';
    document.failures[0].exit_nickname = hostile;
    document.failures[0].__proto__polluted = 1;
    const body = text(document).replace('"__proto__polluted"', '"__proto__"');
    await both.put("latest.json", body);
    const response = await both.ask("/api/failures");
    assert.equal(response.headers.get("Content-Type"), "application/json; charset=utf-8");
    assert.equal(response.headers.get("X-Content-Type-Options"), "nosniff");
    assert.equal((await response.json()).failures[0].exit_nickname, hostile);
  });

  test("a newer format is refused, and the other store is not asked for an older report", async () => {
    const newer = example("everything");
    newer.format.version = 2;
    await both.put("latest.json", text(newer));
    inSpaces("latest.json", example("everything"));
    for (const path of ["/api/status", "/api/failures", `/api/relay/${"0".repeat(40)}`]) {
      const response = await both.ask(path);
      assert.equal(response.status, 502, path);
      assert.equal(response.headers.get("Cache-Control"), "no-store");
      assert.equal(response.headers.get("ETag"), null);
      const body = await response.json();
      assert.equal(body.error, "newer_format");
      assert.match(body.message, /version 2.*up to 1/);
    }
    assert.ok(!spaces.asked.includes("/bucket/latest.json"));
    // The file itself is for readers who know it.
    assert.deepEqual(await (await both.ask("/latest.json")).json(), newer);
  });

  test("a damaged report is a store that failed", async () => {
    await both.put("latest.json", '{"format": not JSON }');
    await isUpstreamError(await both.ask("/api/failures"), { r2: "not_json", spaces: "missing" });
    inSpaces("latest.json", example("everything"), { etag: '"good"' });
    for (const damaged of ['{"format": not JSON }', "{}", '{"metadata":{}}']) {
      await both.put("latest.json", damaged);
      for (const path of ["/api/failures", "/api/status"]) {
        const response = await both.ask(path);
        assert.equal(response.status, 200, `${path} ${damaged}`);
        assert.equal(response.headers.get("X-Served-From"), "spaces");
        await response.arrayBuffer();
      }
    }
  });
});

describe("what is made of a report for other programs", () => {
  const METRICS = "text/plain; version=0.0.4; charset=utf-8";

  test("has the types that its readers ask for", async () => {
    for (const name of ["metrics.prom", "compat/metrics.prom"]) {
      await both.put(name, exampleMetrics());
      const response = await both.ask(`/${name}`);
      assert.equal(response.status, 200);
      assert.equal(await response.text(), exampleMetrics());
      assert.equal(response.headers.get("Content-Type"), METRICS);
      assert.equal(response.headers.get("Cache-Control"), SHORT);
    }
    for (const name of ["onionoo-dns.json", "compat/latest.json", "badges/9.json"]) {
      await both.put(name, text(exampleBadges()));
      const response = await both.ask(`/${name}`);
      assert.equal(response.status, 200, name);
      assert.equal(response.headers.get("Content-Type"), "application/json; charset=utf-8");
      assert.equal(response.headers.get("Cache-Control"), SHORT);
    }
    assert.equal((await both.ask("/badges/0.json")).status, 404);
    assert.equal((await both.ask("/compat/other")).status, 404);
  });

  test("a feed has its type, and half of one is none", async () => {
    const feed = exampleFeed();
    spaces.files.set("feed.atom", { body: Buffer.from(feed) });
    for (const half of [feed.slice(0, 500), "", "<html></html>"]) {
      await both.put("feed.atom", half);
      const response = await both.ask("/feed.atom");
      assert.equal(response.headers.get("X-Served-From"), "spaces", half.slice(0, 20));
      assert.equal(await response.text(), feed);
    }
    await both.put("feed.atom", feed);
    const response = await both.ask("/feed.atom");
    assert.equal(response.headers.get("X-Served-From"), "r2");
    assert.equal(response.headers.get("Content-Type"), "application/atom+xml; charset=utf-8");
    const again = { headers: { "If-None-Match": response.headers.get("ETag") ?? "" } };
    assert.equal((await both.ask("/feed.atom", again)).status, 304);
  });

  test("the summary is a page, which may do nothing, and half of it is none", async () => {
    const page = "<!DOCTYPE html><html><head><title>x</title></head><body></body></html>\n";
    spaces.files.set("summary.html", { body: Buffer.from(page) });
    for (const half of [page.slice(0, 40), "", "<html></html>\n"]) {
      await both.put("summary.html", half);
      const response = await both.ask("/summary.html");
      assert.equal(response.headers.get("X-Served-From"), "spaces", half.slice(0, 20));
      assert.equal(await response.text(), page);
    }
    await both.put("summary.html", page);
    const response = await both.ask("/summary.html");
    assert.equal(response.headers.get("X-Served-From"), "r2");
    assert.equal(response.headers.get("Content-Type"), "text/html; charset=utf-8");
    assert.equal(response.headers.get("Cache-Control"), SHORT);
    const policy = response.headers.get("Content-Security-Policy") ?? "";
    assert.match(policy, /^default-src 'none'; style-src 'unsafe-inline';.*frame-ancestors 'none'/);
  });

  test("half of the metrics are none: the other store is asked", async () => {
    const metrics = exampleMetrics();
    for (const half of [metrics.slice(0, 1000), "", "<html>", metrics.slice(10)]) {
      await both.put("metrics.prom", half);
      spaces.files.set("metrics.prom", { body: Buffer.from(metrics) });
      const response = await both.ask("/metrics.prom");
      assert.equal(response.headers.get("X-Served-From"), "spaces", half.slice(0, 20));
      assert.equal(await response.text(), metrics);
    }
  });
});

describe("badges", () => {
  const RELAY = "9E3779B15A5A5A5A5A5A5A5A5A5A5A5A00000001";
  const relay = `/badge/relay/${RELAY}.svg`;
  const operator = `/badge/operator/${RELAY}.svg`;

  /** @type {(change?: (index: any) => void) => any} an index of now */
  const index = (change = () => {}) => {
    const made = { ...exampleBadges(), timestamp: new Date().toISOString() };
    change(made);
    return made;
  };

  /** @type {(path: string) => Promise<string>} what a badge says, which is in it three times */
  const says = async (path) => {
    const response = await both.ask(path);
    assert.equal(response.headers.get("Content-Type"), "image/svg+xml; charset=utf-8");
    assert.match(
      response.headers.get("Content-Security-Policy") ?? "",
      /default-src 'none'.*sandbox/,
    );
    const picture = await response.text();
    const [, title] = /<title>exit DNS: ([^<]*)<\/title>/.exec(picture) ?? [];
    assert.ok(
      picture.includes(`aria-label="exit DNS: ${title}"`) && picture.includes(`>${title}</text>`),
    );
    return `${response.status} ${title}`;
  };

  test("of a relay and of who runs it", async () => {
    await both.put("badges/9.json", text(index()));
    assert.equal(await says(relay), "200 works");
    assert.equal(await says(relay.toLowerCase()), "200 works");
    const { operators } = exampleBadges();
    assert.equal(
      await says(operator),
      `200 ${operators[0].fail} of ${operators[0].relays} failing`,
    );
    const response = await both.ask(relay);
    assert.equal(response.headers.get("Cache-Control"), "public, max-age=300");
    const unknown = `/badge/relay/9${"0".repeat(39)}.svg`;
    assert.equal(await says(unknown), "404 unknown relay");
    assert.equal((await both.ask("/badge/relay/9.svg")).status, 400);
    assert.equal((await both.ask("/badge/relay/x.svg")).status, 400);
    // Of a digit that there is no index for.
    assert.equal((await both.ask(`/badge/relay/${"A".repeat(40)}.svg`)).status, 404);
  });

  test("each word of the index", async () => {
    for (const [word, failures, wanted] of [
      ["works", 0, "works"],
      ["degraded", 0, "works on retry"],
      ["flapping", 1, "flapping"],
      ["unconfirmed", 3, "failed once"],
      ["failing", 1, "failing"],
      ["failing", 7, "failing, 7 runs"],
      ["not_reached", 7, "not reached"],
      ["not_tested", 0, "not tested"],
    ]) {
      const made = index((made) => Object.assign(made.relays[RELAY], { word, failures }));
      await both.put("badges/9.json", text(made));
      assert.equal(await says(relay), `200 ${wanted}`);
    }
    for (const [numbers, wanted] of /** @type {const} */ ([
      [{ relays: 60, work: 58, fail: 2 }, "2 of 60 failing"],
      [{ relays: 60, work: 59, fail: 0 }, "59 of 60 work"],
      [{ relays: 3, work: 0, fail: 0 }, "not reached"],
    ])) {
      const made = index((made) => {
        made.operators = [numbers];
        made.relays[RELAY].operator = 0;
      });
      await both.put("badges/9.json", text(made));
      assert.equal(await says(operator), `200 ${wanted}`);
    }
  });

  test("an old report says nothing of today", async () => {
    const old = new Date(Date.now() - 61 * 60 * 1000).toISOString();
    for (const timestamp of [old, "never", null]) {
      await both.put("badges/9.json", text(index((made) => Object.assign(made, { timestamp }))));
      assert.equal(await says(relay), "200 no recent report");
      assert.equal(await says(operator), "200 no recent report");
    }
  });

  test("nothing of an index that somebody else wrote gets into a picture", async () => {
    const evil = '"/><script>alert(1)</script><x a="';
    for (const change of /** @type {((made: any) => void)[]} */ ([
      (made) => Object.assign(made.relays[RELAY], { word: evil, failures: evil }),
      (made) => Object.assign(made.relays[RELAY], { word: "failing", failures: evil }),
      (made) => Object.assign(made.relays[RELAY], { word: "failing", failures: 1e99 }),
      (made) => Object.assign(made.relays[RELAY], { word: ["works"], operator: evil }),
      (made) => Object.assign(made.relays[RELAY], { operator: -1 }),
      (made) => Object.assign(made.relays[RELAY], { operator: "__proto__" }),
      (made) => Object.assign(made, { operators: [{ relays: evil, work: evil, fail: 2 }] }),
      (made) => Object.assign(made, { operators: [evil, null] }),
      (made) => Object.assign(made.relays, { [RELAY]: evil }),
      (made) => Object.assign(made.relays, { [RELAY]: null }),
      (made) => Object.assign(made, { nickname: evil, timestamp: evil }),
    ])) {
      await both.put("badges/9.json", text(index(change)));
      for (const path of [relay, operator]) {
        const picture = await (await both.ask(path)).text();
        assert.doesNotMatch(picture, /script|alert|undefined|NaN|null|e\+/, picture);
        assert.equal(picture.match(/</g)?.length, 17, picture);
      }
    }
  });

  test("a damaged index is not one: the other store is asked, and a newer one is named", async () => {
    inSpaces("badges/9.json", index());
    for (const wrong of [
      "{}",
      '{"format":{"name":"exit-validator/badges","version":1}}',
      "<html>",
    ]) {
      await both.put("badges/9.json", wrong);
      assert.equal(await says(relay), "200 works");
    }
    const newer = index((made) => Object.assign(made.format, { version: 2 }));
    await both.put("badges/9.json", text(newer));
    const response = await both.ask(relay);
    assert.equal(response.status, 502);
    assert.equal((await response.json()).error, "newer_format");
  });
});
