// The program `deploy`, up to what Cloudflare's API is sent.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { assemble, configuration, isPage } from "../tools/assemble.js";
import { quiet, ROOT } from "./support/bundle.js";
import { ACCOUNT, cloudflare, TOKEN } from "./support/cloudflare.js";

/** Where cargo has put the program that reads the settings. */
const PROGRAMS = ["../../target/debug", "../../target/release"]
  .map((path) => join(ROOT, path))
  .find((path) => existsSync(join(path, "exit-validator")));
const built = { skip: PROGRAMS === undefined && "cargo has not built exit-validator here" };

/** @type {string} */
let home;
/** @type {string} */
let pages;
/** @type {string} */
let output;
/** @type {string} */
let config;

before(async () => {
  home = await mkdtemp(join(tmpdir(), "deploy-test-"));
  pages = join(home, "public");
  output = join(home, "output");
  config = join(home, "config.env");
  await mkdir(join(pages, "js"), { recursive: true });
  for (const [name, body] of [
    ["index.html", "<!doctype html><title>x</title>"],
    ["js/app.js", "export {};"],
    ["js/.swp", "x"],
    ["latest.json", "{}"],
    ["files.json", "{}"],
    ["trends.json", "{}"],
    ["dns_health_2026-11-23_03-15-30.json", "{}"],
    ["dns_health_2026-10.tar.zst", "x"],
    [".unfinished-x", "x"],
    [".env", "SECRET=1"],
  ]) {
    await writeFile(join(pages, name), body);
  }
});

after(() => rm(home, { recursive: true, force: true }));

/**
 * Runs the program.
 * @param {string[]} args
 * @param {Record<string, string>} env
 * @returns {Promise<{code: number | null, text: string}>} what it printed on either stream
 */
async function deploy(args, env) {
  const child = spawn(
    join(ROOT, "deploy"),
    ["--public", pages, "--output", output, "--config", config, ...args],
    { env: { ...quiet(home), PROGRAM_DIR: PROGRAMS, ...env }, stdio: ["ignore", "pipe", "pipe"] },
  );
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      text += chunk;
    });
  }
  const code = await new Promise((resolve) => child.on("close", resolve));
  return { code, text };
}

test("a dry run lays out pages and function, and needs no account", built, async () => {
  await writeFile(
    config,
    `# settings
PAGES_PROJECT="exit-validator"
R2_ENABLED=True
R2_BUCKET='exit-reports'
R2_PREFIX=reports
DO_ENABLED=yes
DO_PREFIX=dns
DO_BUCKET=exit-spaces
DO_SPACES_REGION=fra1
DO_SPACES_SECRET=hidden-secret
CLOUDFLARE_API_TOKEN=hidden-token
NOTIFY_KEY=hidden-key
NOTIFY_SEAL_KEY=5w10EhdBQbrUPiZMSHvc3NgGLzK3GIpGCAyJEaEyXkY=
NOTIFY_VERIFY_KEY=hzVvK6XDegb2hS8+OL+xV8yEwl1d8c7eNI/e7vU7ukw=
OVERDUE_AFTER_MINUTES=1
`,
    { mode: 0o600 },
  );
  const { code, text } = await deploy(["--dry-run"], { OVERDUE_AFTER_MINUTES: "300" });
  assert.equal(code, 0, text);
  assert.ok(!text.includes("hidden-"), text);
  const wrangler = JSON.parse(await readFile(join(output, "wrangler.json"), "utf8"));
  assert.equal(wrangler.name, "exit-validator");
  assert.deepEqual(wrangler.vars, {
    KEY_PREFIX: "reports/",
    FALLBACK_URL: "https://exit-spaces.fra1.digitaloceanspaces.com/dns/",
    FALLBACK_FORBIDDEN_IS_MISSING: "false",
    STORE_DEADLINE_MS: "8000",
    NOTIFY_SEAL_KEY: "5w10EhdBQbrUPiZMSHvc3NgGLzK3GIpGCAyJEaEyXkY=",
    NOTIFY_VERIFY_KEY: "hzVvK6XDegb2hS8+OL+xV8yEwl1d8c7eNI/e7vU7ukw=",
    OVERDUE_AFTER_MINUTES: "300",
  });
  assert.deepEqual(wrangler.r2_buckets, [{ binding: "REPORTS", bucket_name: "exit-reports" }]);
  const assets = (await readdir(join(output, "assets"), { recursive: true })).sort();
  assert.deepEqual(assets, [
    "404.html",
    "_headers",
    "_routes.json",
    "index.html",
    "js",
    "js/app.js",
  ]);
  assert.ok((await readFile(join(output, "worker/index.js"), "utf8")).includes("X-Served-From"));

  // The file is read, not executed.
  await writeFile(config, `KEY_PREFIX=$(touch ${home}/executed)\nR2_BUCKET=exit-reports\n`);
  const refused = await deploy(["--dry-run"], { PAGES_PROJECT: "exit-validator" });
  assert.equal(refused.code, 2, refused.text);
  assert.match(refused.text, /config\.env:1: /);
  assert.ok(!(await readdir(home)).includes("executed"));
});

test("what is missing or wrong is named", built, async () => {
  await writeFile(config, "");
  const good = {
    PAGES_PROJECT: "exit-validator",
    R2_ENABLED: "true",
    R2_BUCKET: "exit-reports",
  };
  const account = { CLOUDFLARE_API_TOKEN: TOKEN, CLOUDFLARE_ACCOUNT_ID: ACCOUNT };
  for (const [
    args,
    env,
    code,
    message,
  ] of /** @type {[string[], Record<string, string>, number, RegExp][]} */ ([
    [[], good, 2, /please set CLOUDFLARE_API_TOKEN CLOUDFLARE_ACCOUNT_ID /],
    [[], { ...good, CLOUDFLARE_API_TOKEN: TOKEN }, 2, /please set CLOUDFLARE_ACCOUNT_ID /],
    [[], { ...account, ...good, PAGES_PROJECT: "" }, 2, /PAGES_PROJECT must name/],
    [["--dry-run"], { PAGES_PROJECT: "exit-validator" }, 2, /no store to serve from/],
    [["--dry-run"], { ...good, R2_ENABLED: "false" }, 2, /no store to serve from/],
    [["--dry-run"], { ...good, R2_BUCKET: "Not_A_Bucket" }, 2, /R2_BUCKET is not/],
    [["--dry-run"], { ...good, FALLBACK_URL: "http://example.org" }, 2, /FALLBACK_URL is not/],
    [["--dry-run"], { ...good, OVERDUE_AFTER_MINUTES: "soon" }, 2, /OVERDUE_AFTER_MINUTES in the/],
    [["--dry-run"], { ...good, R2_ENABLED: "perhaps" }, 2, /R2_ENABLED in the/],
    [["--dry-run"], { ...good, R2_PREFIX: "a b" }, 2, /KEY_PREFIX may have/],
    [["--dry-run"], { ...good, PROGRAM_DIR: home }, 3, /no program exit-validator/],
    [["--dry-run"], { ...good, PAGES_BRANCH: "--x" }, 2, /PAGES_BRANCH is not/],
    [["--dry-run", "--public", join(home, "none")], good, 2, /static pages cannot be read/],
    [["--config", join(home, "none")], good, 2, /cannot read/],
    [["--token", "x"], good, 2, /unknown argument --token/],
    [["--public"], good, 2, /needs a value/],
  ])) {
    const done = await deploy(args, env);
    assert.equal(done.code, code, done.text);
    assert.match(done.text, message);
    assert.ok(!done.text.includes(TOKEN));
  }
  await writeFile(join(pages, "_worker.js"), "");
  const own = await deploy(["--dry-run"], good);
  assert.match(own.text, /would replace/);
  await rm(join(pages, "_worker.js"));
});

test("it is deployed", built, async () => {
  const account = `CLOUDFLARE_API_TOKEN=${TOKEN}\nCF_ACCOUNT_ID=${ACCOUNT}\n`;
  await writeFile(config, account, { mode: 0o600 });
  const api = await cloudflare();
  try {
    const env = {
      PAGES_PROJECT: "exit-validator",
      R2_ENABLED: "true",
      R2_BUCKET: "exit-reports",
      CLOUDFLARE_API_BASE_URL: api.url,
    };
    const { code, text } = await deploy([], env);
    assert.equal(code, 0, text);
    assert.match(text, /done; see \/api\/status/);
    assert.ok(!text.includes(TOKEN));
    const project = `/accounts/${ACCOUNT}/pages/projects/exit-validator`;
    const sent = api.asked.find(({ line }) => line === `POST ${project}/deployments`);
    assert.ok(sent !== undefined, api.asked.map(({ line }) => line).join("\n"));
    assert.equal(sent.authorization, `Bearer ${TOKEN}`);
    const form = sent.body.toString("latin1");
    for (const part of ["manifest", "_headers", "_routes.json", "_worker.bundle"]) {
      assert.ok(form.includes(`name="${part}"`), `${part} in ${form.slice(0, 2000)}`);
    }
    assert.match(form, /exit-reports/);
    assert.match(form, /Content-Security-Policy: default-src 'none'/);
    assert.match(form, /dns_health_\*/);
    assert.ok(!form.includes(TOKEN));
    const manifest = /name="manifest"\r\n\r\n(.*)\r\n/.exec(form)?.[1] ?? "{}";
    assert.deepEqual(Object.keys(JSON.parse(manifest)).sort(), [
      "/404.html",
      "/index.html",
      "/js/app.js",
    ]);

    const refused = await deploy([], { ...env, CLOUDFLARE_API_TOKEN: "a-wrong-token" });
    assert.equal(refused.code, 4, refused.text);
    assert.match(refused.text, /Authentication error/);
    assert.ok(!refused.text.includes("a-wrong-token"));
    const unknown = await deploy([], { ...env, PAGES_PROJECT: "another" });
    assert.equal(unknown.code, 4, unknown.text);
  } finally {
    await api.close();
  }
});

test("what is a page", () => {
  for (const name of ["index.html", "css", "charts.json", "favicon.ico"]) {
    assert.equal(isPage(name), true, name);
  }
  for (const name of ["latest.json", "dns_health_x", ".env", "api", ".unfinished-1"]) {
    assert.equal(isPage(name), false, name);
  }
  const both = { PAGES_PROJECT: "p", FALLBACK_URL: "https://s.example.org" };
  assert.deepEqual(Reflect.get(configuration(both), "r2_buckets"), []);
});

test("a page that is a link is copied, not linked", built, async () => {
  await writeFile(join(home, "elsewhere.txt"), "text");
  await symlink(join(home, "elsewhere.txt"), join(pages, "linked.txt"));
  await writeFile(config, "PAGES_PROJECT=exit-validator\nR2_ENABLED=1\nR2_BUCKET=exit-reports\n");
  const { code, text } = await deploy(["--dry-run"], {});
  await rm(join(pages, "linked.txt"));
  assert.equal(code, 0, text);
  assert.equal(await readFile(join(output, "assets/linked.txt"), "utf8"), "text");
  await rm(join(home, "elsewhere.txt"));
  assert.equal(await readFile(join(output, "assets/linked.txt"), "utf8"), "text");
});

test("the dashboard is laid out whole, and says the policy of _headers of itself", async () => {
  const own = join(ROOT, "../../public");
  const laid = join(home, "dashboard");
  await assemble(own, laid, { PAGES_PROJECT: "exit-validator", R2_BUCKET: "exit-reports" });
  const assets = join(laid, "assets");
  const page = await readFile(join(assets, "index.html"), "utf8");
  const named = [...page.matchAll(/(?:href|src)="([a-z][^"#:]*\.(?:js|css|svg))"/g)].map(
    ([, name]) => name,
  );
  assert.ok(named.includes("js/main.js"));
  for (const name of [...named, "vendor/uplot/uPlot.js", "vendor/uplot/LICENSE"]) {
    assert.ok((await readFile(join(assets, name))).length > 0, name);
  }
  const [, said] = /http-equiv="Content-Security-Policy"\s+content="([^"]*)"/.exec(page) ?? [];
  const headers = await readFile(join(assets, "_headers"), "utf8");
  const [, sent] = /Content-Security-Policy: (.*)/.exec(headers) ?? [];
  // A page cannot say this one of itself.
  assert.equal(`${said}; frame-ancestors 'none'`, sent);
});
