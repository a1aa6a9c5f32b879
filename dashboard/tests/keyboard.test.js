// The keyboard alone reaches and uses everything, and shows where it is.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { open, ready, VIEWS, visit, withBrowser } from "./support/browser.js";
import { site } from "./support/site.js";

/** @import { Page } from "playwright-core" */

withBrowser();

const { files, latest } = site({ relays: 150, runs: 200, others: 12 });
const failing = latest.failures[0].exit_fingerprint;

/**
 * Presses Tab until the page is left, and tells of every stop.
 * @param {Page} page
 * @returns {Promise<{stops: number, missed: string[], unseen: string[]}>} what can be used and was
 *   not reached, and what shows no focus
 */
async function walk(page) {
  await page.evaluate(() => {
    document.documentElement.tabIndex = -1;
    document.documentElement.focus();
    document.documentElement.removeAttribute("tabindex");
    for (const one of document.querySelectorAll("[data-stop]")) one.removeAttribute("data-stop");
  });
  let stops = 0;
  /** @type {string[]} */
  const unseen = [];
  for (;;) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(async () => {
      const one = document.activeElement;
      if (!(one instanceof Element) || one === document.body || one.hasAttribute("data-stop")) {
        return null;
      }
      one.setAttribute("data-stop", "");
      const shows = () => {
        const style = getComputedStyle(one);
        // A link that fills its card has the ring around the card.
        const around = getComputedStyle(one, "::after");
        const ring =
          style.boxShadow !== "none" ||
          [style, around].some(
            (look) => look.outlineStyle !== "none" && Number.parseFloat(look.outlineWidth) >= 2,
          );
        const box = one.getBoundingClientRect();
        return ring && box.width > 0 && box.bottom > 0 && box.top < innerHeight;
      };
      // Scrolling to it, and a chart above it that has just come, take a frame or some.
      for (let frame = 0; frame < 60 && !shows(); frame += 1) {
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
      return { shown: shows(), name: one.outerHTML.slice(0, 120) };
    });
    if (stop === null) break;
    stops += 1;
    if (!stop.shown) unseen.push(stop.name);
    assert.ok(stops < 2000, "Tab never ends");
  }
  const missed = await page.evaluate(() =>
    [
      ...document.querySelectorAll(
        "a[href], button, input, select, textarea, summary, [tabindex='0']",
      ),
    ]
      .filter(
        (one) =>
          one instanceof HTMLElement &&
          one.checkVisibility({ visibilityProperty: true }) &&
          one.tabIndex >= 0 &&
          !(/** @type {HTMLButtonElement} */ (one).disabled) &&
          !one.hasAttribute("data-stop"),
      )
      .map((one) => one.outerHTML.slice(0, 120)),
  );
  return { stops, missed, unseen };
}

describe("the Tab key", () => {
  for (const width of [1280, 360]) {
    test(`reaches everything in every view and shows where it is, ${width} wide`, async (t) => {
      const { page } = await open(t, { files, width, context: { reducedMotion: "reduce" } });
      for (const hash of [...VIEWS, `#/relay/${failing}`]) {
        await visit(page, hash);
        const { stops, missed, unseen } = await walk(page);
        assert.ok(stops >= VIEWS.length, `${hash}: ${stops} stops`);
        assert.deepEqual(missed, [], `${hash}: not reached`);
        assert.deepEqual(unseen, [], `${hash}: no sign of the focus`);
      }
    });
  }
});

describe("keys", () => {
  test("the first stop leads past the menu, and stays in the view", async (t) => {
    const { page } = await open(t, { files, hash: "#/causes" });
    await page.keyboard.press("Tab");
    assert.match((await page.locator(":focus").textContent()) ?? "", /content/i);
    await page.keyboard.press("Enter");
    await page.locator("h1", { hasText: /^Causes$/ }).waitFor();
    await page.keyboard.press("Tab");
    assert.ok(await page.evaluate(() => document.activeElement?.closest("main") !== null));
  });

  test("a link in the menu opens its view, whose heading has the focus then", async (t) => {
    const { page } = await open(t, { files });
    for (const name of ["Trends", "Operators", "About"]) {
      await page.locator("nav").getByRole("link", { name, exact: true }).focus();
      await page.keyboard.press("Enter");
      await page.waitForFunction((wanted) => {
        const one = document.activeElement;
        return one?.localName === "h1" && one.textContent === wanted;
      }, name);
    }
  });

  test("a relay is found, opened and left without a mouse", async (t) => {
    const { page } = await open(t, { files, hash: "#/relays" });
    await page.getByRole("searchbox").focus();
    await page.keyboard.type(failing.slice(0, 16));
    await page.waitForFunction(() =>
      /^1 of/.test(document.querySelector(".relay-count")?.textContent ?? ""),
    );
    for (;;) {
      await page.keyboard.press("Tab");
      if ((await page.locator(":focus").getAttribute("role")) === "grid") break;
    }
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.waitForURL(new RegExp(failing));
    await ready(page);
    await page.keyboard.press("Alt+ArrowLeft");
    await page.goBack().catch(() => {});
    await page.waitForURL(/#\/relays/);
  });

  test("the figures of a chart are told run by run", async (t) => {
    const { page } = await open(t, { files, hash: "#/trends?range=week" });
    const chart = page.locator(".charts [tabindex='0']").first();
    await chart.focus();
    // What is told comes with the next frame.
    const figure = page.locator(".charts figure, .charts section, .charts > *").first();
    const told = (/** @type {RegExp} */ run) => figure.filter({ hasText: run }).waitFor();
    await page.keyboard.press("End");
    await told(/2026-11-23 03:15|23 Nov(?:ember)? 2026/);
    await page.keyboard.press("ArrowLeft");
    await told(/2026-11-22 21:15|22 Nov(?:ember)? 2026/);
    await page.keyboard.press("Home");
    await told(/2026-11-16/);
  });

  test("the figures of a chart are there as a table, too", async (t) => {
    const { page } = await open(t, { files, hash: "#/trends?range=day" });
    const summaries = page.locator(".charts summary");
    assert.ok((await summaries.count()) >= 4);
    await summaries.first().focus();
    await page.keyboard.press("Enter");
    const table = page.locator(".charts table").first();
    await table.waitFor({ state: "visible" });
    const rate = latest.metadata.dns_success_rate_percent ?? 0;
    assert.ok((await table.innerText()).includes((Math.round(rate * 100) / 100).toFixed(2)));
  });

  test("a range of the trends is chosen, kept in the address, and held against the figures", async (t) => {
    const { page } = await open(t, { files, hash: "#/trends" });
    for (const [name, runs] of /** @type {[string, number][]} */ ([
      ["Day", 5],
      ["Week", 29],
      ["Month", 121],
      ["Year", 200],
    ])) {
      await page.getByRole("button", { name, exact: true }).focus();
      await page.keyboard.press("Enter");
      await page.getByText(new RegExp(`^${runs} runs`)).waitFor();
      await page.waitForURL(new RegExp(`range=${name.toLowerCase()}`));
    }
    await page.reload();
    await ready(page);
    await page.getByText(/^200 runs/).waitFor();
  });

  test("the colours are chosen, and kept", async (t) => {
    const { page } = await open(t, { files, context: { colorScheme: "light" } });
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.getByLabel("Colours").selectOption("dark");
    const dark = await background();
    assert.notEqual(dark, light);
    await page.reload();
    await ready(page);
    assert.equal(await background(), dark);
    assert.equal(await page.getByLabel("Colours").inputValue(), "dark");
  });
});
