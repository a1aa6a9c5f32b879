// In Firefox, of which Tor Browser is made: every page opens without an error, and what people come for
// is found as in Chromium.

import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import puppeteer from "puppeteer-core";
import { firefox } from "../lib/firefox.js";
import { serve } from "../serve.js";
import { NOW, VIEWS } from "./support/browser.js";
import { site } from "./support/site.js";
import { counted, TASKS } from "./support/tasks.js";

/** @import { Browser, ElementHandle, Page } from "puppeteer-core" */
/** @import { Server } from "../serve.js" */
/** @import { Reader } from "./support/tasks.js" */

/** How long anything may take, on a machine that is busy. */
const PATIENCE_MS = 60_000;

const { files, latest } = site({ relays: 400, runs: 300, dated: 1, others: 10 });

/** @type {Browser} */
let browser;
/** @type {Server} */
let server;
/** @type {string} */
let downloads;

before(async () => {
  downloads = await mkdtemp(join(tmpdir(), "downloads-"));
  const { program, env } = await firefox();
  browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: program,
    env: { ...process.env, ...env },
    headless: true,
    extraPrefsFirefox: {
      "browser.download.dir": downloads,
      "browser.download.folderList": 2,
      "browser.download.useDownloadDir": true,
    },
  });
  server = await serve({ files, data: "/nonexistent" });
});
after(async () => {
  await browser?.close();
  await server?.close();
  await rm(downloads, { recursive: true, force: true });
});

/**
 * A page whose errors, of scripts, of the policy and of files that are not there, end up in `problems`.
 * @returns {Promise<{page: Page, problems: string[]}>}
 */
async function blank() {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.setViewport({ width: 1000, height: 800 });
  /** @type {string[]} */
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (!["error", "warn"].includes(message.type())) return;
    const at = problems.push(message.text()) - 1;
    // An error that was printed says what it is only when it is asked.
    message
      .args()[0]
      ?.evaluate((value) => (value instanceof Error ? `${value} ${value.stack}` : String(value)))
      .then((text) => {
        problems[at] = text;
      })
      .catch(() => {});
  });
  await page.evaluateOnNewDocument((now) => {
    const shift = now - Date.now();
    const real = Date.now.bind(Date);
    Date.now = () => real() + shift;
  }, NOW);
  return { page, problems };
}

/**
 * Waits for an element that can be seen and has a text.
 * @param {Page} page
 * @param {string} selector
 * @param {string} [text]
 * @returns {Promise<ElementHandle<Element>>}
 */
async function find(page, selector, text = "") {
  const found = await page.waitForFunction(
    (wanted, words) =>
      [...document.querySelectorAll(wanted)].find(
        (one) => one.textContent?.includes(words) && one.getClientRects().length > 0,
      ),
    {},
    selector,
    text,
  );
  return /** @type {ElementHandle<Element>} */ (found.asElement());
}

/** @type {(page: Page) => Reader} */
const reader = (page) => ({
  press: async (selector, text) => (await find(page, selector, text)).click(),
  type: async (selector, text) => (await find(page, selector)).type(text),
  see: async (selector, text) =>
    (await find(page, selector, text)).evaluate((one) =>
      one instanceof HTMLTextAreaElement ? one.value : /** @type {HTMLElement} */ (one).innerText,
    ),
  download: async () => {
    await (await find(page, "button", "Save as CSV")).click();
    for (let waited = 0; ; waited += 100) {
      const name = (await readdir(downloads)).find((one) => one.endsWith(".csv"));
      const text = name === undefined ? "" : await readFile(join(downloads, name), "utf8");
      if (text !== "") return text;
      assert.ok(waited < PATIENCE_MS, "nothing was saved");
      await new Promise((done) => setTimeout(done, 100));
    }
  },
});

describe("Firefox", () => {
  test("opens every page without an error, and nothing is beyond its edge", async () => {
    const { page, problems } = await blank();
    const relay = `#/relay/${latest.failures[0].exit_fingerprint}`;
    const operator = `#/operator/${encodeURIComponent(latest.failures[0].operator)}`;
    for (const width of [320, 1280]) {
      await page.setViewport({ width, height: 800 });
      for (const hash of [...VIEWS, "#/changes", relay, operator]) {
        // Anew: from one view to the next the page stays, and what it still loads would break off.
        await page.goto("about:blank");
        await page.goto(server.url + hash);
        await find(page, "main h1");
        // A chart, a list or a table: each page has drawn what it is for.
        await page.waitForFunction(() => document.querySelector(".loading") === null);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${hash}: ${wide} at ${width}`);
        assert.deepEqual(problems, [], `${hash} at ${width}`);
      }
    }
    await page.close();
  });

  for (const { question, answer } of TASKS) {
    test(question, async () => {
      const { page, problems } = await blank();
      await page.goto(server.url);
      await find(page, ".card-value");
      await answer(counted(reader(page)), latest);
      assert.deepEqual(problems, []);
      await page.close();
    });
  }

  test("axe finds nothing in any page", async () => {
    const source = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
    const axe = await readFile(source, "utf8");
    const { page } = await blank();
    for (const hash of VIEWS) {
      await page.goto(server.url + hash);
      await find(page, "main h1");
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run(document, {}));
      assert.deepEqual(
        violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`),
        [],
        hash,
      );
    }
    await page.close();
  });
});
