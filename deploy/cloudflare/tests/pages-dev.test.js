// What `deploy` lays out, under `wrangler pages dev`: Pages' own routes, headers and static pages
// around the function, and the configuration as it is deployed.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { assemble } from "../tools/assemble.js";
import { quiet, WRANGLER } from "./support/bundle.js";
import { origin } from "./support/origin.js";
import { example } from "./support/reports.js";

const REPORT = JSON.stringify(example("everything"));

/** @type {string} */
let home;
/** @type {import("node:child_process").ChildProcess} */
let wrangler;
/** @type {Awaited<ReturnType<typeof origin>>} */
let spaces;
/** @type {string} */
let url;

before(async () => {
  home = await mkdtemp(join(tmpdir(), "pages-dev-"));
  const pages = join(home, "public");
  const output = join(home, "output");
  await mkdir(pages);
  await writeFile(join(pages, "index.html"), "<!doctype html><title>overview</title>");
  await mkdir(join(pages, "js"));
  await writeFile(join(pages, "js/main.js"), "export {};");
  await writeFile(join(pages, "latest.json"), "never deployed");
  spaces = await origin();
  await assemble(pages, output, {
    PAGES_PROJECT: "exit-validator",
    R2_BUCKET: "exit-reports",
    FALLBACK_URL: spaces.url,
  });
  const report = join(home, "report.json");
  await writeFile(report, REPORT);
  const state = join(home, "state");
  const how = { cwd: output, env: quiet(home) };
  await promisify(execFile)(
    process.execPath,
    [
      WRANGLER,
      "r2",
      "object",
      "put",
      "exit-reports/latest.json",
      `--file=${report}`,
      "--local",
      `--persist-to=${state}`,
    ],
    how,
  );
  wrangler = spawn(
    process.execPath,
    [
      WRANGLER,
      "pages",
      "dev",
      "--ip=127.0.0.1",
      "--port=0",
      "--inspector-port=0",
      `--persist-to=${state}`,
    ],
    // A group of its own, so that the runtime that it starts ends with it.
    { ...how, stdio: ["ignore", "pipe", "pipe"], detached: true },
  );
  let text = "";
  url = await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`not ready after 60 s:\n${text}`)), 60_000);
    for (const stream of [wrangler.stdout, wrangler.stderr]) {
      stream?.on("data", (chunk) => {
        text += chunk;
        const ready = /Ready on (http:\/\/127\.0\.0\.1:\d+)/.exec(text);
        if (ready !== null) {
          clearTimeout(late);
          resolve(ready[1]);
        }
      });
    }
    wrangler.on("exit", (code) => reject(new Error(`ended with ${code}:\n${text}`)));
  });
});

after(async () => {
  if (wrangler?.pid !== undefined && wrangler.exitCode === null) {
    const ended = new Promise((resolve) => wrangler.on("exit", resolve));
    process.kill(-wrangler.pid, "SIGTERM");
    const forced = setTimeout(() => process.kill(-Number(wrangler.pid), "SIGKILL"), 5000);
    await ended;
    clearTimeout(forced);
  }
  await spaces?.close();
  await rm(home, { recursive: true, force: true, maxRetries: 5 });
});

test("static pages have the policy of _headers", async () => {
  const response = await fetch(`${url}/`);
  assert.match(await response.text(), /overview/);
  const policy = response.headers.get("Content-Security-Policy") ?? "";
  assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
  assert.ok(!policy.includes("unsafe"));
  assert.equal(response.headers.get("X-Content-Type-Options"), "nosniff");
  assert.equal(response.headers.get("X-Served-From"), null);
});

test("a script is asked for again before it is used", async () => {
  const response = await fetch(`${url}/js/main.js`);
  assert.match(response.headers.get("Content-Type") ?? "", /javascript/);
  assert.equal(response.headers.get("Cache-Control"), "no-cache");
  const again = await fetch(`${url}/js/main.js`, {
    headers: { "If-None-Match": response.headers.get("ETag") ?? "" },
  });
  assert.equal(again.status, 304);
});

test("what is no page and no data is 404, not the first page", async () => {
  for (const path of ["/nothing", "/config.env", "/wrangler.json", "/lib/api.js"]) {
    const response = await fetch(url + path);
    assert.equal(response.status, 404, path);
    assert.match(await response.text(), /Not found/);
  }
});

test("data comes from the bucket, and else from the second store", async () => {
  const response = await fetch(`${url}/latest.json`);
  assert.equal(response.status, 200);
  assert.equal(await response.text(), REPORT);
  assert.equal(response.headers.get("X-Served-From"), "r2");
  assert.equal(response.headers.get("Cache-Control"), "public, max-age=60");
  const again = await fetch(`${url}/latest.json`, {
    headers: { "If-None-Match": response.headers.get("ETag") ?? "" },
  });
  assert.equal(again.status, 304);

  const dated = "dns_health_2026-11-23_03-15-30.json";
  assert.equal((await fetch(`${url}/${dated}`)).status, 404);
  spaces.files.set(dated, { body: Buffer.from(REPORT) });
  const second = await fetch(`${url}/${dated}`);
  assert.equal(await second.text(), REPORT);
  assert.equal(second.headers.get("X-Served-From"), "spaces");
  assert.match(second.headers.get("Cache-Control") ?? "", /immutable/);
  spaces.files.set("trends.json", { body: Buffer.from("{}"), mode: "status_500" });
  assert.equal((await fetch(`${url}/trends.json`)).status, 502);
});

test("calls and methods", async () => {
  const status = await (await fetch(`${url}/api/status`)).json();
  assert.equal(status.state, "overdue");
  const failures = await (await fetch(`${url}/api/failures`)).json();
  assert.equal(failures.count, 3);
  const refused = await fetch(`${url}/latest.json`, { method: "DELETE" });
  assert.equal(refused.status, 405);
  assert.equal(refused.headers.get("Allow"), "GET, HEAD, OPTIONS");
});
