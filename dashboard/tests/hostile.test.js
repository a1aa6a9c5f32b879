// A report full of what strangers could write: all of it is text. That no script ran, nothing was
// asked elsewhere, no dialog or window opened and nothing was logged is looked at in every test.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatRoute } from "../../public/js/model/route.js";
import { open, tour, VIEWS, visit, withBrowser } from "./support/browser.js";
import { hostileLists, hostileReports } from "./support/hostile.js";
import { site } from "./support/site.js";

/** @import { Page } from "playwright-core" */

withBrowser();

const { files } = site({ relays: 60, runs: 60, others: 20 });

/**
 * Goes everywhere and looks at everything.
 * @param {Page} page
 * @param {string[]} fingerprints relays whose own pages are looked at
 * @param {string[]} keys operators whose own pages are looked at
 */
async function lookAround(page, fingerprints, keys) {
  const relays = fingerprints.map(
    (one) => `#/relay/${encodeURIComponent(one.replace(/\p{Cs}/gu, "?"))}`,
  );
  const operators = keys.map((one) => formatRoute("operator", { argument: one }));
  const hashes = [
    ...VIEWS,
    "#/relays?sort=nickname",
    "#/relays?sort=-cause",
    "#/operators?by=network",
    "#/operators?by=country&sort=recurrence",
    "#/operators?by=cause&again=weeks",
    "#/changes",
    "#/changes?by=network",
    ...relays,
    ...operators,
  ];
  for (const { hash, text, tooWide, strangers, links } of await tour(page, hashes)) {
    assert.deepEqual(strangers, [], hash);
    assert.doesNotMatch(text, /A fault of this page/, hash);
    assert.ok(tooWide <= 0, `${hash} is ${tooWide} px too wide`);
    assert.ok(links >= VIEWS.length, hash);
  }
}

describe("hostile reports", () => {
  test("each", async (t) => {
    const opened = await open(t, { files });
    for (const [name, text] of hostileReports()) {
      await t.test(name, async () => {
        const { page } = opened;
        await page.setViewportSize({ width: name === "texts" ? 320 : 1280, height: 800 });
        /** @type {{results?: unknown, metadata?: unknown}} */
        const { results, metadata } = JSON.parse(text);
        const format = { name: "exit-validator/figures", version: 1 };
        await opened.again({
          files: new Map(files)
            .set("/latest.json", text)
            .set("/figures.json", JSON.stringify({ format, metadata })),
        });
        const prints = (Array.isArray(results) ? results : [])
          .map((one) => one?.exit_fingerprint)
          .filter((one) => typeof one === "string" && one.length < 200);
        // Every text is in some field of some relay; of the other reports a sample does.
        const some = (/** @type {string[]} */ list) =>
          name === "texts" ? list : list.filter((_, at) => at % 12 === 0);
        const keys = (Array.isArray(results) ? results : [])
          .map((one) => one?.operator)
          .filter((one) => typeof one === "string" && one.length < 400);
        await lookAround(page, some(prints), some([...new Set(keys)]));
        assert.deepEqual(opened.problems, []);
      });
    }
  });

  test("what strangers wrote is there to be read, as they wrote it", async (t) => {
    const own = new Map(files);
    own.set("/latest.json", hostileReports().get("texts") ?? "");
    const { page } = await open(t, { files: own });
    await visit(page, "#/relays?sort=nickname");
    await page.getByRole("searchbox").fill("onerror");
    await page.locator("main", { hasText: "<img src=x onerror=" }).waitFor();
    // A mark that turns the direction is shown, not obeyed.
    await page.getByRole("searchbox").fill("esrever");
    await page.locator("main", { hasText: "‹U+202E›esrever" }).waitFor();
  });
});

describe("hostile trends and lists", () => {
  test("each", async (t) => {
    const opened = await open(t, { files });
    for (const [name, { trends, files: list, incidents }] of hostileLists()) {
      await t.test(name, async () => {
        const { page, requests } = opened;
        await opened.again({
          files: new Map(files)
            .set("/trends.json", trends)
            .set("/files.json", list)
            .set("/incidents.json", incidents),
        });
        const ranges = ["day", "week", "month", "year", "all"];
        const hashes = ranges.map((one) => `#/trends?range=${one}`);
        for (const { hash, strangers } of await tour(page, hashes)) {
          assert.deepEqual(strangers, [], hash);
        }
        await lookAround(page, [], []);
        for (const one of requests.filter((path) => /json/.test(path))) {
          assert.match(
            one,
            /^\/(?:latest|figures|trends|files|incidents|dns_health_[\d_-]+)\.json$/,
          );
        }
        assert.deepEqual(opened.problems, []);
      });
    }
  });
});

describe("hostile addresses", () => {
  const addresses = [
    "#/relays?q=<img src=x onerror=globalThis.__sprung=1>",
    "#/relays?status=%3Cscript%3E&sort=__proto__&cause=constructor",
    "#/relay/<script>globalThis.__sprung=1</script>",
    "#/relay/%",
    "#/causes/<b>x</b>",
    "#/history?report=https://elsewhere.invalid/x.json",
    "#/history?report=../../x.json&with=//elsewhere.invalid/",
    "#/relays?report=javascript:globalThis.__sprung=1",
    "#/trends?range=__proto__",
    "#/operators?by=toString",
    "#javascript:globalThis.__sprung=1",
    `#/${"x".repeat(20_000)}`,
    `#/relays?q=${"x".repeat(20_000)}`,
  ];

  test("are followed within the page", async (t) => {
    const { page } = await open(t, { files });
    for (const address of addresses) {
      const [there, after] = await tour(page, [address, "#/relays"]);
      assert.deepEqual(there.strangers, [], address);
      assert.doesNotMatch(there.text, /A fault of this page/, address);
      assert.ok(after.text.length > 100, address);
    }
  });

  test("are opened", async (t) => {
    const opened = await open(t, { files });
    for (const hash of addresses.slice(0, 6)) {
      await opened.again({ files, hash });
      assert.deepEqual(await opened.page.evaluate(() => __strangers()), [], hash);
    }
  });
});
