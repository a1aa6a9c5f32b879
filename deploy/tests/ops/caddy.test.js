// deploy/caddy/Caddyfile, in Caddy, beside the function of deploy/cloudflare in its own runtime: the
// same files, the same requests, the same answers, but for what the Caddyfile's first lines name.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import {
  example,
  exampleBadges,
  exampleFiles,
  exampleMetrics,
} from "../../cloudflare/tests/support/reports.js";
import { worker } from "../../cloudflare/tests/support/worker.js";
import { ask, CADDY, caddy } from "./support/caddy.js";
import { put, REPOSITORY, run } from "./support/checkout.js";

const DATED = "dns_health_2026-11-23_03-15-30.json";
const NUMBERED = "dns_health_2026-11-23_03-15-30-2.json";

/** @type {string} */
let directory;
/** @type {Awaited<ReturnType<typeof caddy>>} */
let server;
/** @type {Awaited<ReturnType<typeof worker>>} */
let pages;

/** @type {(path: string, how?: {method?: string, headers?: Record<string, string>}) => Promise<import("./support/caddy.js").Answer>} */
const served = (path, how) => ask(server.port, path, how);

/** @type {typeof served} */
const expected = (path, how) =>
  ask(Number(pages.url.port), path, {
    ...how,
    headers: { "Accept-Encoding": "identity", ...how?.headers },
  });

/** @type {Record<string, string | Buffer>} */
const DATA = {
  "latest.json": JSON.stringify(example("everything")),
  "files.json": JSON.stringify(exampleFiles()),
  "trends.json": JSON.stringify({ trends: [] }),
  "figures.json": JSON.stringify({ metadata: {} }),
  "onionoo-dns.json": JSON.stringify({ relays: [] }),
  "metrics.prom": exampleMetrics(),
  "summary.html": "<!DOCTYPE html><html><head><title>x</title></head><body></body></html>\n",
  "badges/9.json": JSON.stringify(exampleBadges()),
  "compat/latest.json": JSON.stringify({ results: [] }),
  "compat/metrics.prom": exampleMetrics(),
  [DATED]: JSON.stringify(example("everything")),
  [NUMBERED]: JSON.stringify(example("a_good_first_run")),
  "dns_health_2026-10.tar.gz": Buffer.from("1f8b08000000000000030300", "hex"),
  "dns_health_2026-09.tar": Buffer.alloc(1024, "t"),
  "dns_health_2026-08.tar.xz": Buffer.from("fd377a585a000000", "hex"),
  "dns_health_2026-07.tar.zst": Buffer.from("28b52ffd00000000", "hex"),
  "dns_health_2026-06.zip": Buffer.from("504b030400000000", "hex"),
};

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "public "));
  pages = await worker({});
  for (const [name, body] of Object.entries(DATA)) {
    put(join(directory, name), body);
    await pages.put(name, body);
  }
  put(join(directory, "index.html"), `<!doctype html><title>overview</title>${" ".repeat(1000)}`);
  put(join(directory, "404.html"), "<!doctype html><title>Not found</title>");
  put(join(directory, "about.html"), "<!doctype html><title>about</title>");
  put(join(directory, "js/app.js"), "export {};\n");
  put(join(directory, "favicon.svg"), "<svg/>\n");
  // What is there and for nobody.
  for (const name of [
    ".latest.json.tmp",
    "_headers",
    "js/.hidden.js",
    "dns_health_draft.json",
    "dns_health_2026-13.tar.gz",
  ]) {
    put(join(directory, name), "not for the public\n");
  }
  mkdirSync(join(directory, "empty"));
  server = await caddy(directory);
});

after(async () => {
  await server?.close();
  await pages?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** All that the two answers can both have; a date differs. */
const COMPARED = [
  "Accept-Ranges",
  "Access-Control-Allow-Headers",
  "Access-Control-Allow-Methods",
  "Access-Control-Allow-Origin",
  "Access-Control-Expose-Headers",
  "Access-Control-Max-Age",
  "Allow",
  "Cache-Control",
  "Content-Length",
  "Content-Range",
  "Content-Security-Policy",
  "Content-Type",
  "Cross-Origin-Resource-Policy",
  "Referrer-Policy",
  "Strict-Transport-Security",
  "X-Content-Type-Options",
  "X-Frame-Options",
];

/**
 * @param {string} path
 * @param {{method?: string, headers?: Record<string, string>}} [how]
 * @param {string[]} [but] headers that are not compared
 */
async function same(path, how, but = []) {
  const [ours, theirs] = [await served(path, how), await expected(path, how)];
  const what = `${how?.method ?? "GET"} ${path} ${JSON.stringify(how?.headers ?? {})}`;
  assert.equal(ours.status, theirs.status, what);
  for (const name of COMPARED) {
    if (but.includes(name)) continue;
    assert.equal(ours.headers.get(name), theirs.headers.get(name), `${what}: ${name}`);
  }
  for (const name of ["ETag", "Last-Modified"]) {
    assert.equal(ours.headers.has(name), theirs.headers.has(name), `${what}: ${name}`);
  }
  return { ours, theirs };
}

describe("data, as the function answers", () => {
  test("every kind of file", async () => {
    for (const [name, body] of Object.entries(DATA)) {
      const { ours } = await same(`/${name}`);
      assert.deepEqual(ours.body, Buffer.from(body), name);
      const head = await same(`/${name}`, { method: "HEAD" });
      assert.equal(head.ours.body.length, 0);
      assert.equal(head.ours.headers.get("Content-Length"), String(body.length));
    }
  });

  test("what the client has is not sent again", async () => {
    for (const path of ["/latest.json", `/${DATED}`, "/dns_health_2026-10.tar.gz"]) {
      const tag = (await served(path)).headers.get("ETag") ?? "";
      assert.match(tag, /^"[^"]+"$/);
      for (const tags of [tag, `W/${tag}`, `"other", ${tag}`]) {
        const again = await served(path, { headers: { "If-None-Match": tags } });
        assert.equal(again.status, 304, tags);
        assert.equal(again.body.length, 0);
        const theirTag = (await expected(path)).headers.get("ETag") ?? "";
        const theirs = await expected(path, { headers: { "If-None-Match": theirTag } });
        for (const name of ["Cache-Control", "Content-Security-Policy", "X-Content-Type-Options"]) {
          assert.equal(again.headers.get(name), theirs.headers.get(name), name);
        }
      }
      const other = await served(path, { headers: { "If-None-Match": '"other"' } });
      assert.equal(other.status, 200);
    }
  });

  test("ranges", async () => {
    for (const range of ["bytes=2-5", "bytes=4-", "bytes=-3", "bytes=0-0"]) {
      for (const path of ["/latest.json", "/dns_health_2026-10.tar.gz"]) {
        const { ours, theirs } = await same(path, { headers: { Range: range } });
        assert.equal(ours.status, 206);
        assert.deepEqual(ours.body, theirs.body);
      }
    }
    const changed = await served("/latest.json", {
      headers: { Range: "bytes=0-0", "If-Range": '"other"' },
    });
    assert.equal(changed.status, 200);
    // The Caddyfile says how this one differs.
    const beyond = { headers: { Range: "bytes=9999999-" } };
    await same("/latest.json", beyond, [
      "Cache-Control",
      "Content-Type",
      "Content-Length",
      "Accept-Ranges",
    ]).catch((error) => {
      if (!/ETag|Last-Modified/.test(error.message)) throw error;
    });
  });

  test("other methods, and a browser's question beforehand", async () => {
    for (const path of ["/latest.json", `/${DATED}`, "/api/status", "/dns_health_"]) {
      for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
        // The function ends its JSON with a line's end.
        const { ours, theirs } = await same(path, { method }, ["Content-Length"]);
        assert.equal(ours.status, 405);
        assert.equal(`${ours.body}\n`, String(theirs.body));
      }
      const { ours } = await same(path, { method: "OPTIONS" });
      assert.equal(ours.status, 204);
    }
  });

  test("what looks like data and is not there", async () => {
    for (const path of [
      "/dns_health_draft.json",
      "/dns_health_2026-13.tar.gz",
      "/dns_health_",
      "/dns_health_2026-11-23_03-15-30.json.bak",
      "/api",
      "/api/",
      "/api/nothing",
    ]) {
      const { ours, theirs } = await same(path, {}, ["Content-Length"]);
      assert.equal(ours.status, 404, path);
      assert.equal(`${ours.body}\n`, String(theirs.body), path);
    }
    // A name that is right, of a file that is not there: the function's sentence names it.
    const { ours } = await same("/dns_health_2020-01-01_00-00-00.json", {}, ["Content-Length"]);
    assert.equal(JSON.parse(String(ours.body)).error, "not_found");
    // What only a program can answer.
    for (const path of ["/api/status", "/api/failures", `/api/relay/${"0".repeat(40)}`]) {
      assert.equal((await served(path)).status, 404, path);
    }
  });

  test("compressed, it is the same, and its tag is a weak one", async () => {
    for (const encoding of ["gzip", "zstd"]) {
      const answer = await served("/latest.json", { headers: { "Accept-Encoding": encoding } });
      assert.equal(answer.headers.get("Content-Encoding"), encoding);
      assert.match(answer.headers.get("Vary") ?? "", /Accept-Encoding/);
      assert.match(answer.headers.get("ETag") ?? "", /^W\/"/);
      if (encoding === "gzip") {
        assert.equal(String(gunzipSync(answer.body)), DATA["latest.json"]);
      }
      const again = await served("/latest.json", {
        headers: {
          "Accept-Encoding": encoding,
          "If-None-Match": answer.headers.get("ETag") ?? "",
        },
      });
      assert.equal(again.status, 304);
    }
    // A part is of the file itself, and an archive is not compressed a second time.
    const part = await served("/latest.json", {
      headers: { "Accept-Encoding": "gzip", Range: "bytes=0-600" },
    });
    assert.equal(part.status, 206);
    assert.equal(part.headers.get("Content-Encoding"), null);
    assert.equal(String(part.body), String(DATA["latest.json"]).slice(0, 601));
    const archive = await served("/dns_health_2026-09.tar", {
      headers: { "Accept-Encoding": "gzip" },
    });
    assert.equal(archive.headers.get("Content-Encoding"), null);
    assert.match(archive.headers.get("ETag") ?? "", /^"/);
  });

  test("a file that is replaced is served as it is then", async () => {
    const before = await served("/latest.json");
    const newer = JSON.stringify(example("a_good_first_run"));
    run("sh", [
      "-c",
      'printf %s "$2" >"$1/.new" && mv "$1/.new" "$1/latest.json"',
      "sh",
      directory,
      newer,
    ]);
    const after = await served("/latest.json", {
      headers: { "If-None-Match": before.headers.get("ETag") ?? "" },
    });
    assert.equal(after.status, 200);
    assert.equal(String(after.body), newer);
    writeFileSync(join(directory, "latest.json"), DATA["latest.json"]);
  });
});

describe("pages, as Cloudflare Pages answers", () => {
  /** The headers of _headers for every path, as it writes them. */
  const policy = readFileSync(join(REPOSITORY, "deploy/cloudflare/_headers"), "utf8")
    .split(/^\/\*$/m)[1]
    .split(/^\/.*$/m)[0]
    .split("\n")
    .map((line) => /^ {2}([A-Za-z-]+): (.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, name, value]) => [name, value]);

  test("they have the headers of _headers", async () => {
    assert.ok(policy.length >= 8);
    for (const [path, type] of [
      ["/", "text/html; charset=utf-8"],
      ["/about", "text/html; charset=utf-8"],
      ["/js/app.js", /javascript/],
      ["/nothing", "text/html; charset=utf-8"],
    ]) {
      const { headers } = await served(String(path));
      for (const [name, value] of policy) assert.equal(headers.get(name), value, `${path} ${name}`);
      assert.equal(headers.get("Server"), null, String(path));
      if (typeof type === "string") assert.equal(headers.get("Content-Type"), type, String(path));
      else assert.match(headers.get("Content-Type") ?? "", type);
      assert.equal(headers.get("Access-Control-Allow-Origin"), null);
    }
    const { headers, body } = await served("/");
    assert.equal(headers.get("Cache-Control"), "no-cache");
    for (const [path, kept] of [
      ["/js/app.js", "no-cache"],
      ["/favicon.svg", "public, max-age=86400"],
      ["/about", "public, max-age=0, must-revalidate"],
    ]) {
      assert.equal((await served(String(path))).headers.get("Cache-Control"), kept, String(path));
    }
    assert.match(String(body), /overview/);
    const again = await served("/", { headers: { "If-None-Match": headers.get("ETag") ?? "" } });
    assert.equal(again.status, 304);
  });

  test("what is no page is 404, with the page for that, and nothing hidden is shown", async () => {
    for (const path of [
      "/nothing",
      "/.latest.json.tmp",
      "/_headers",
      "/js/.hidden.js",
      "/js/",
      "/js",
      "/empty/",
      "/../etc/passwd",
      "/%2e%2e/etc/passwd",
      "/LATEST.JSON",
    ]) {
      const { status, body, headers } = await served(path);
      assert.equal(status, 404, path);
      assert.match(String(body), /Not found/, path);
      assert.equal(headers.get("Cache-Control"), "public, max-age=30");
    }
    rmSync(join(directory, "404.html"));
    const { status, body } = await served("/nothing");
    assert.equal(status, 404);
    assert.equal(String(body), "Not found");
  });

  test("other methods are refused", async () => {
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const { status, headers } = await served("/", { method });
      assert.equal(status, 405);
      assert.equal(headers.get("Allow"), "GET, HEAD");
    }
  });
});

test("as Caddy itself writes it", () => {
  const { code, out, err } = run(CADDY, ["fmt", join(REPOSITORY, "deploy/caddy/Caddyfile")]);
  const written = readFileSync(join(REPOSITORY, "deploy/caddy/Caddyfile"), "utf8");
  assert.ok(out === written, `caddy fmt would change it: ${err}`);
  assert.equal(code, 0);
});
