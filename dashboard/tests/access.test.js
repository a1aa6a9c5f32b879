// The pages for everybody: axe-core finds nothing in any view, in dark and light, narrow and wide;
// nothing has to be scrolled sideways; printed and with reduced motion they are what they should be.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import { open, ready, tour, VIEWS, visit, withBrowser } from "./support/browser.js";
import { ANY_FONTS } from "./support/fonts.js";
import { incidents, site } from "./support/site.js";

/** @import { Page } from "playwright-core" */

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const { files, latest } = site({ relays: 200, runs: 300, others: 30 });

const failing = latest.failures[0].exit_fingerprint;
const working = latest.results.find((one) => one.status === "success")?.exit_fingerprint;
const PAGES = [
  ...VIEWS,
  `#/relay/${failing}`,
  `#/relay/${working}`,
  "#/relays?status=failing&q=abuse",
  `#/operator/${encodeURIComponent(latest.failures[0].operator)}`,
  "#/operators?by=network&again=weeks",
  "#/changes",
  `#/incident/${incidents(latest).incidents[0].id}`,
  "#/nothing",
];

/**
 * @param {Page} page
 * @param {string} where
 */
async function axe(page, where) {
  await page.evaluate(`if (!globalThis.axe) { ${AXE} }`);
  const violations = await page.evaluate(async () => {
    const found = await globalThis.axe.run(document, {
      resultTypes: ["violations"],
      rules: { "target-size": { enabled: true } },
    });
    return found.violations.map((one) => ({
      rule: one.id,
      nodes: one.nodes
        .slice(0, 3)
        .map((node) => `${node.html.slice(0, 200)} ${node.failureSummary}`),
    }));
  });
  assert.deepEqual(violations, [], where);
}

/**
 * @param {Page} page
 * @param {string} where
 */
async function fits(page, where) {
  const wide = await page.evaluate(() => {
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    // What sticks out, so that a failure says more than that something does.
    return [...document.querySelectorAll("body *")]
      .filter((one) => one.getBoundingClientRect().right > room + 1)
      .slice(0, 5)
      .map((one) => `${one.tagName}.${one.getAttribute("class")}`);
  });
  assert.deepEqual(wide, [], `${where}: the page is wider than the window`);
}

describe("axe-core", () => {
  withBrowser();

  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    for (const width of [320, 1280]) {
      test(`${colorScheme}, ${width} wide`, async (t) => {
        const { page } = await open(t, { files, width, context: { colorScheme } });
        for (const hash of PAGES) {
          await visit(page, hash);
          await axe(page, `${hash} ${colorScheme} ${width}`);
          await fits(page, `${hash} ${width}`);
        }
      });
    }
  }

  test("messages of what went wrong", async (t) => {
    const { page } = await open(t, {
      files: new Map([["/latest.json", "{"]]),
      faults: { "/trends.json": 500, "/files.json": "html" },
    });
    for (const hash of VIEWS) {
      await visit(page, hash);
      await axe(page, `${hash} without data`);
    }
  });
});

describe("any fonts", () => {
  for (const fonts of ANY_FONTS.slice(1)) {
    describe(fonts, () => {
      withBrowser(fonts);

      test("axe-core, 320 wide", async (t) => {
        const { page } = await open(t, { files, width: 320 });
        for (const hash of PAGES) {
          await visit(page, hash);
          await axe(page, `${hash} ${fonts}`);
          await fits(page, `${hash} ${fonts}`);
        }
      });
    });
  }
});

describe("any window", () => {
  withBrowser();

  test("nothing has to be scrolled sideways, from 320 px to 4K", async (t) => {
    const { page } = await open(t, { files });
    for (const [width, height] of [
      [320, 568],
      [375, 812],
      [768, 1024],
      [1920, 1080],
      [3840, 2160],
    ]) {
      await page.setViewportSize({ width, height });
      for (const { hash, tooWide } of await tour(page, PAGES)) {
        if (tooWide <= 0) continue;
        await visit(page, hash);
        await fits(page, `${hash} ${width}`);
      }
    }
  });

  test("with letters twice as large everything is still there", async (t) => {
    const { page } = await open(t, { files, width: 640 });
    await page.evaluate(() => {
      document.documentElement.style.fontSize = "200%";
    });
    for (const hash of PAGES) {
      await visit(page, hash);
      await fits(page, `${hash} at 200 %`);
    }
  });

  test("forced colours leave every control visible", async (t) => {
    const { page } = await open(t, { files, context: { forcedColors: "active" } });
    for (const hash of ["#/overview", "#/relays"]) {
      await visit(page, hash);
      await axe(page, `${hash} with forced colours`);
    }
  });
});

describe("media", () => {
  withBrowser();

  test("with reduced motion nothing moves", async (t) => {
    const { page } = await open(t, { files, context: { reducedMotion: "reduce" } });
    for (const hash of PAGES) {
      await visit(page, hash);
      const moving = await page.evaluate(() =>
        [...document.querySelectorAll("*")]
          .filter((one) => {
            const style = getComputedStyle(one);
            const long = (/** @type {string} */ list) =>
              list.split(",").some((time) => Number.parseFloat(time) > 0.01);
            return (
              long(style.transitionDuration) ||
              (style.animationName !== "none" && long(style.animationDuration)) ||
              style.scrollBehavior === "smooth"
            );
          })
          .map((one) => one.outerHTML.slice(0, 100)),
      );
      assert.deepEqual(moving, [], hash);
    }
  });

  test("printed, the figures are there and the controls are not", async (t) => {
    const { page } = await open(t, { files });
    for (const hash of ["#/overview", "#/relays?status=failing", `#/relay/${failing}`]) {
      await page.emulateMedia({ media: "screen" });
      await visit(page, hash);
      await page.emulateMedia({ media: "print", colorScheme: "dark" });
      await page.waitForFunction(
        () => (document.querySelector("main")?.innerText ?? "").length > 200,
      );
      const seen = await page.evaluate(() => ({
        nav: [...document.querySelectorAll("nav, input, select, button")].filter((one) =>
          one.checkVisibility(),
        ).length,
        background: getComputedStyle(document.body).backgroundColor,
      }));
      assert.equal(seen.nav, 0, `${hash}: controls on paper`);
      assert.match(seen.background, /rgba?\((?:255, 255, 255|0, 0, 0, 0)/, "paper is white");
    }
  });

  test("a printed list has every relay that it shows, not only those on the screen", async (t) => {
    const { page } = await open(t, { files, hash: "#/relays?status=failing" });
    await ready(page);
    await page.emulateMedia({ media: "print" });
    // As a browser does before it prints.
    await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
    const text = await page.locator("main").innerText();
    for (const one of latest.failures.slice(0, 100)) {
      assert.ok(text.includes(one.exit_nickname), one.exit_nickname);
    }
  });
});
