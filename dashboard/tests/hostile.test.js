// A report full of what strangers could write: all of it is text. That no script ran, nothing was
// asked elsewhere, no dialog or window opened and nothing was logged is looked at in every test.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { open, ready, tour, VIEWS, visit, withBrowser } from "./support/browser.js";
import { hostileLists, hostileReports } from "./support/hostile.js";
import { site } from "./support/site.js";

/** @import { Page } from "playwright-core" */

withBrowser();

const { files } = site({ relays: 60, runs: 60, others: 20 });

/**
 * Goes everywhere and looks at everything.
 * @param {Page} page
 * @param {string[]} fingerprints relays whose own pages are looked at
 */
async function lookAround(page, fingerprints) {
  const relays = fingerprints.map(
    (one) => `#/relay/${encodeURIComponent(one.replace(/\p{Cs}/gu, "?"))}`,
  );
  const hashes = [...VIEWS, "#/relays?sort=nickname", "#/relays?sort=-cause", ...relays];
  for (const { hash, text, tooWide, strangers, links } of await tour(page, hashes)) {
    assert.deepEqual(strangers, [], hash);
    assert.doesNotMatch(text, /A fault of this page/, hash);
    assert.ok(tooWide <= 0, `${hash} is ${tooWide} px too wide`);
    assert.ok(links >= VIEWS.length, hash);
  }
}

describe("hostile reports", () => {
  for (const [name, text] of hostileReports()) {
    test(name, async (t) => {
      const own = new Map(files);
      own.set("/latest.json", text);
      const { page } = await open(t, { files: own, width: name === "texts" ? 320 : 1280 });
      /** @type {{[key: string]: any}} */
      const document = JSON.parse(text);
      const prints = (Array.isArray(document.results) ? document.results : [])
        .map((/** @type {any} */ one) => one?.exit_fingerprint)
        .filter((/** @type {any} */ one) => typeof one === "string" && one.length < 200);
      const some = name === "texts" ? prints : prints.filter((_, at) => at % 12 === 0);
      await lookAround(page, some);
    });
  }

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
  for (const [name, { trends, files: list }] of hostileLists()) {
    test(name, async (t) => {
      const own = new Map(files);
      own.set("/trends.json", trends);
      own.set("/files.json", list);
      const { page, requests } = await open(t, { files: own });
      const ranges = ["day", "week", "month", "year", "all"].map((one) => `#/trends?range=${one}`);
      for (const { hash, strangers } of await tour(page, ranges)) {
        assert.deepEqual(strangers, [], hash);
      }
      await lookAround(page, []);
      await visit(page, "#/history");
      await ready(page);
      const data = requests.filter((one) => /json/.test(one));
      for (const one of data)
        assert.match(one, /^\/(?:latest|trends|files|dns_health_[\d_-]+)\.json$/);
    });
  }
});

describe("hostile addresses", () => {
  for (const hash of [
    "#/relays?q=<img src=x onerror=globalThis.__sprung=1>",
    "#/relays?status=%3Cscript%3E&sort=__proto__&cause=constructor",
    "#/relay/<script>globalThis.__sprung=1</script>",
    "#/relay/%",
    "#/history?report=https://elsewhere.invalid/x.json",
    "#/history?report=../../x.json&compare=//elsewhere.invalid/",
    "#/relays?report=javascript:globalThis.__sprung=1",
    "#/trends?range=__proto__",
    "#/operators?by=toString",
    "#javascript:globalThis.__sprung=1",
    `#/${"x".repeat(20_000)}`,
    `#/relays?q=${"x".repeat(20_000)}`,
  ]) {
    test(hash.slice(0, 70), async (t) => {
      const { page } = await open(t, { files, hash });
      assert.equal(await page.getByText("A fault of this page").count(), 0);
      assert.deepEqual(await page.evaluate(() => __strangers()), []);
      const [{ text }] = await tour(page, ["#/relays"]);
      assert.ok(text.length > 100);
    });
  }
});
