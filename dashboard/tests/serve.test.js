// The development server: what it sends, and what it never does.

import assert from "node:assert/strict";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { headersFor, parseHeaders } from "../lib/headers.js";
import { place } from "../lib/paths.js";
import { serve } from "../serve.js";

/** @type {string} */
let directory;
/** @type {import("../serve.js").Server} */
let server;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "serve-"));
  await writeFile(join(directory, "index.html"), "<!doctype html><title>page</title>");
  await writeFile(join(directory, "latest.json"), JSON.stringify({ a: "b".repeat(10_000) }));
  await writeFile(join(directory, "_headers"), "/*\n");
  await writeFile(join(directory, ".hidden.js"), "");
  await symlink("/etc/passwd", join(directory, "out.txt"));
  server = await serve({ pages: directory });
});

after(async () => {
  await server?.close();
  await rm(directory, { recursive: true, force: true });
});

/**
 * A request as it is, which fetch would tidy up.
 * @param {string} path
 * @param {{method?: string, headers?: Record<string, string>, to?: string}} [more]
 * @returns {Promise<{status: number, headers: import("node:http").IncomingHttpHeaders, body: Buffer}>}
 */
function raw(path, { method = "GET", headers = {}, to = server.url } = {}) {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(to);
    const request = httpRequest({ hostname, port, path, method, headers }, async (response) => {
      try {
        const chunks = [];
        for await (const chunk of response) chunks.push(chunk);
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
        });
      } catch (error) {
        reject(error);
      }
    });
    request.on("error", reject);
    request.end();
  });
}

describe("what is sent", () => {
  test("pages have the headers that they are published with", async () => {
    const { status, headers } = await raw("/");
    assert.equal(status, 200);
    assert.match(String(headers["content-security-policy"]), /default-src 'none'/);
    assert.equal(headers["x-frame-options"], "DENY");
    assert.equal(headers["content-type"], "text/html; charset=utf-8");
  });

  test("an answer is compressed for who takes it, and whole", async () => {
    const plain = await raw("/latest.json");
    const packed = await raw("/latest.json", { headers: { "Accept-Encoding": "br, gzip" } });
    assert.equal(packed.headers["content-encoding"], "gzip");
    assert.ok(packed.body.length < plain.body.length / 10);
    assert.deepEqual(gunzipSync(packed.body), plain.body);
    const refused = await raw("/latest.json", { headers: { "Accept-Encoding": "gzip;q=0" } });
    assert.equal(refused.headers["content-encoding"], undefined);
  });

  test("what a reader has is not sent again", async () => {
    const { headers } = await raw("/latest.json");
    const again = await raw("/latest.json", {
      headers: { "If-None-Match": `"other", ${headers.etag}` },
    });
    assert.equal(again.status, 304);
    assert.equal(again.body.length, 0);
    await writeFile(join(directory, "latest.json"), "{}");
    const changed = await raw("/latest.json", {
      headers: { "If-None-Match": String(headers.etag) },
    });
    assert.equal(changed.status, 200);
    assert.equal(changed.body.toString(), "{}");
  });

  test("HEAD is GET without a body; other methods are refused", async () => {
    const head = await raw("/", { method: "HEAD" });
    assert.equal(head.status, 200);
    assert.equal(head.body.length, 0);
    assert.equal((await raw("/", { method: "POST" })).status, 405);
  });

  test("data comes from its own directory alone", async () => {
    const data = await mkdtemp(join(tmpdir(), "serve-data-"));
    const other = await serve({ pages: directory, data });
    try {
      assert.equal((await raw("/latest.json", { to: other.url })).status, 404);
      await writeFile(join(data, "latest.json"), '{"other":true}');
      await writeFile(join(data, "index.html"), "other");
      assert.match((await raw("/latest.json", { to: other.url })).body.toString(), /other/);
      assert.match((await raw("/", { to: other.url })).body.toString(), /page/);
    } finally {
      await other.close();
      await rm(data, { recursive: true, force: true });
    }
  });
});

describe("what is not", () => {
  test("nothing outside of the directory can be named", async () => {
    for (const path of [
      "/../serve.js",
      "/..%2fserve.js",
      "/%2e%2e/serve.js",
      "/%2e%2e%5cserve.js",
      "/js/../../serve.js",
      "//etc/passwd",
      "/%00",
      "/index.html%00.js",
      "/%c0%ae%c0%ae/serve.js",
      "/%",
      "/.hidden.js",
      "/_headers",
      "/out.txt",
      "/dns_health_2026-13-01_00-00-00.json",
      "/api/status",
      "/nothing.js",
    ]) {
      const { status, body } = await raw(path);
      assert.equal(status, 404, path);
      assert.match(body.toString(), /Not found/, path);
    }
  });

  test("another site's name is not answered to", async () => {
    assert.equal((await raw("/", { headers: { Host: "rebound.example" } })).status, 421);
    assert.equal((await raw("/", { headers: { Host: "localhost:1" } })).status, 200);
  });

  test("a path names a file by the same rules everywhere", () => {
    assert.deepEqual(place("/js/main.js"), {
      where: "pages",
      name: "js/main.js",
      type: "text/javascript; charset=utf-8",
      immutable: false,
    });
    assert.equal(place("/dns_health_2026-11-23_03-15-30-2.json")?.immutable, true);
    for (const path of ["", "js", "/js/", "/a//b.js", "/a.exe", "/-/../x.js"]) {
      assert.equal(place(path), null, path);
    }
  });
});

describe("faults", () => {
  test("each is what it says", async () => {
    const whole = "x".repeat(1000);
    server.files.set("/trends.json", whole);
    server.faults.set("/trends.json", "half");
    assert.equal((await raw("/trends.json")).body.length, 500);
    server.faults.set("/trends.json", 503);
    assert.equal((await raw("/trends.json")).status, 503);
    server.faults.set("/trends.json", "html");
    assert.match((await raw("/trends.json")).body.toString(), /^<!doctype html>/);
    server.faults.set("/trends.json", "empty");
    assert.equal((await raw("/trends.json")).body.length, 0);
    server.faults.set("/trends.json", "slow");
    assert.equal((await raw("/trends.json")).body.toString(), whole);
    server.faults.set("/trends.json", "cut");
    await assert.rejects(raw("/trends.json"));
    server.faults.set("/trends.json", "hang");
    await assert.rejects(
      fetch(`${server.url}trends.json`, { signal: AbortSignal.timeout(100) }),
      /timeout/,
    );
    server.faults.clear();
    assert.equal((await raw("/trends.json")).body.toString(), whole);
  });
});

describe("_headers", () => {
  test("is read as Pages reads it", () => {
    const rules = parseHeaders(
      "# c\n/*\n  A: 1\n  B: x: y\n/js/*\n  ! A\n  B: z\n/:one/b\n  C: 2\n",
    );
    assert.deepEqual(headersFor(rules, "/"), { A: "1", B: "x: y" });
    assert.deepEqual(headersFor(rules, "/js/a.js"), { B: "x: y, z" });
    assert.deepEqual(headersFor(rules, "/q/b"), { A: "1", B: "x: y", C: "2" });
    assert.throws(() => parseHeaders("/*\n  nonsense\n"), /line 2/);
    assert.throws(() => parseHeaders("A: 1\n"), /line 1/);
  });
});
