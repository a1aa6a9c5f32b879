// Every view is drawn from everything that the programs write, and from as much as there may be.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { open, tour, VIEWS, visit, withBrowser } from "./support/browser.js";
import { examples, lab } from "./support/published.js";
import { site } from "./support/site.js";

/** @import { Page } from "playwright-core" */
/** @import { Report } from "./support/report.js" */

withBrowser();

/**
 * Draws every view, and the pages of some relays of every status.
 * @param {Page} page
 * @param {Report} report
 */
async function drawAll(page, report) {
  const some = new Map(report.results.map((one) => [`${one.status} ${one.error_code}`, one]));
  for (const one of report.results) {
    if ((one.relay.family_ids ?? []).length > 0) some.set("a family's key", one);
  }
  const relays = [...some.values()].map((one) => `#/relay/${one.exit_fingerprint}`);
  const seen = await tour(page, [...VIEWS, ...relays]);
  for (const { hash, text, title, headings, bad, doubled } of seen) {
    assert.ok(text.trim().length > 100, `${hash}: ${text}`);
    assert.doesNotMatch(text, /undefined|\bNaN\b|\[object|Invalid Date|Infinity/, hash);
    assert.deepEqual(bad, [], hash);
    assert.equal(headings, 1, hash);
    assert.deepEqual(doubled, [], hash);
    assert.ok(title.length > 5, `${hash}: a title of its own`);
  }
}

describe("every view", () => {
  test("of a generated network", async (t) => {
    const { files, latest } = site();
    const { page } = await open(t, { files });
    await drawAll(page, latest);
  });

  test("of the lab's two runs", async (t) => {
    const files = await lab();
    /** @type {Report} */
    const latest = JSON.parse(files.get("/latest.json") ?? "");
    const { page } = await open(t, {
      files,
      now: Date.parse(latest.metadata.timestamp) + 60_000,
    });
    await drawAll(page, latest);
  });

  test("of the examples of aggregate", async (t) => {
    const all = await examples();
    const { files } = site({ relays: 20, runs: 20, others: 0, dated: 1 });
    const opened = await open(t, { files });
    for (const [name, text] of all) {
      /** @type {Report} */
      const report = JSON.parse(text);
      await t.test(name, async () => {
        await opened.again({ files: new Map(files).set("/latest.json", text) });
        await drawAll(opened.page, report);
      });
    }
  });

  test("has a title and an address of its own, and is marked in the menu", async (t) => {
    const { page } = await open(t, { files: site({ relays: 40 }).files });
    const titles = new Set();
    for (const hash of VIEWS) {
      await visit(page, hash);
      titles.add(await page.title());
      const current = page.locator('nav [aria-current="page"]');
      assert.equal(await current.count(), 1, hash);
      assert.match((await current.getAttribute("href")) ?? "", new RegExp(`${hash}`));
    }
    assert.equal(titles.size, VIEWS.length);
  });

  test("what was found beside a verdict is told with what to do, and as text", async (t) => {
    const { files, latest } = site({ relays: 40 });
    const findings = [
      {
        code: "NAMED_FILTER",
        name: "A",
        message: "answered with A’s <b>page</b>",
        remedy: "Use B.",
      },
      { code: "OF_TOMORROW", name: null, message: "something new", remedy: "Wait." },
    ];
    const ipv6 = { outcome: "stall", expected: null, lookups: [] };
    const results = latest.results.map((one) => ({ ...one, ipv6, findings }));
    const text = JSON.stringify({ ...latest, results });
    const { page } = await open(t, { files: new Map(files).set("/latest.json", text) });
    await visit(page, `#/relay/${results[0].exit_fingerprint}`);
    const shown = await page.locator("main").innerText();
    for (const words of ["A’s <b>page</b>", "Use B.", "A filter’s page", "OF_TOMORROW"]) {
      assert.ok(shown.includes(words), `${words}: ${shown}`);
    }
    assert.match(shown, /the exit waited in vain for its resolver/);
  });

  test("an address that names nothing is told, and leads on", async (t) => {
    const { page } = await open(t, { files: site({ relays: 40 }).files });
    for (const hash of ["#/nothing", "#/relay/", "#/relay/xyz", `#/relay/${"0".repeat(40)}`]) {
      await visit(page, hash);
      const text = await page.locator("main").innerText();
      assert.match(text, /no such|not (?:a |in |known|found)|unknown|no relay|no page/i, hash);
      assert.ok((await page.locator("main a, nav a").count()) > 0);
    }
  });
});
