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
 * Elements and attributes that the pages never make, so that one of them came from the data.
 * @param {Page} page
 * @returns {Promise<string[]>}
 */
function strangers(page) {
  return page.evaluate(() => {
    /** @type {string[]} */
    const found = [];
    const own = new Set([location.origin, "https://metrics.torproject.org"]);
    for (const one of document.querySelectorAll("*")) {
      const shown = one.outerHTML.slice(0, 120);
      if (
        one.matches(
          "iframe, object, embed, base, form[action], meta[http-equiv]:not([http-equiv=Content-Security-Policy]), template, portal, audio, video, math, foreignObject",
        )
      ) {
        found.push(shown);
      }
      if (
        one.matches("script, link") &&
        !/^(?:\w|\.\/|\/)[^:]*$/.test(one.getAttribute("src") ?? one.getAttribute("href") ?? "")
      ) {
        found.push(shown);
      }
      if (one.localName === "style" || (one.localName === "img" && !one.hasAttribute("alt"))) {
        found.push(shown);
      }
      for (const { name, value } of one.attributes) {
        if (/^on|^srcdoc$|^formaction$/i.test(name)) found.push(`${name}: ${shown}`);
        if (/^(?:href|src|action|xlink:href)$/.test(name) && !value.startsWith("#")) {
          const { origin, protocol } = new URL(value, location.href);
          if (!own.has(origin) && protocol !== "data:" && protocol !== "blob:") {
            found.push(`${name}=${value.slice(0, 80)}`);
          }
          if (protocol === "data:" && !one.matches("img, image, link[rel=icon]")) found.push(shown);
        }
      }
    }
    return found;
  });
}

/**
 * Goes everywhere and looks at everything.
 * @param {Page} page
 * @param {string[]} fingerprints relays whose own pages are looked at
 */
async function lookAround(page, fingerprints) {
  const views = [...VIEWS, "#/relays?sort=nickname", "#/relays?sort=-cause"];
  for (const hash of views) {
    await visit(page, hash);
    assert.deepEqual(await strangers(page), [], hash);
    assert.ok((await page.locator("nav a").count()) >= VIEWS.length, hash);
  }
  const relays = fingerprints.map(
    (one) => `#/relay/${encodeURIComponent(one.replace(/\p{Cs}/gu, "?"))}`,
  );
  for (const { hash, text, tooWide } of await tour(page, [...views, ...relays])) {
    assert.doesNotMatch(text, /A fault of this page/, hash);
    assert.ok(tooWide <= 0, `${hash} is ${tooWide} px too wide`);
  }
  assert.deepEqual(await strangers(page), [], "a relay's page");
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
      for (const range of ["day", "week", "month", "year", "all"]) {
        await visit(page, `#/trends?range=${range}`);
        assert.deepEqual(await strangers(page), []);
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
      assert.deepEqual(await strangers(page), []);
      assert.equal(await page.getByText("A fault of this page").count(), 0);
      await visit(page, "#/relays");
      assert.ok((await page.locator("main").innerText()).length > 100);
    });
  }
});
