// The page that needs no script: as the exports' own tests are held to it, in a browser that runs none.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { test } from "node:test";
import { serve } from "../serve.js";
import { theBrowser, withBrowser } from "./support/browser.js";

withBrowser();

const SNAPSHOT = new URL(
  "../../crates/notify/src/export/summary/snapshots/notify__export__summary__tests__the_page.snap",
  import.meta.url,
);

/** @returns {Promise<string>} the page, which comes after the snapshot's own head */
async function summary() {
  const [, , page] = (await readFile(SNAPSHOT, "utf8")).split(/^---$/m);
  return page.trimStart();
}

test("is reached where scripts are off, says who fails, and reads well at every width", async (t) => {
  const server = await serve({ data: "/nonexistent" });
  server.files.set("/summary.html", await summary());
  t.after(() => server.close());
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    const context = await theBrowser().newContext({ javaScriptEnabled: false, colorScheme });
    const page = await context.newPage();
    await page.goto(server.url);
    await page.getByRole("link", { name: /summary/i }).click();
    await page.getByRole("heading", { name: "Who fails" }).waitFor();
    assert.equal(server.asked.at(-1), "GET /summary.html", "nothing is asked for beside it");
    assert.match(await page.locator("main").innerText(), /not proved: anybody can write that/);
    const ground = await page
      .locator("body")
      .evaluate((body) => getComputedStyle(body).backgroundColor);
    assert.equal(ground, colorScheme === "dark" ? "rgb(18, 19, 23)" : "rgb(255, 255, 255)");
    await context.close();
  }
});

test("has no fault that axe finds, at 320 and 1280, and nothing beyond its edge", async (t) => {
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  // axe is a script: in a browser that runs them, on the page without its own policy.
  const html = (await summary()).replace(/<meta http-equiv[^>]*>/, "");
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    for (const width of [320, 1280]) {
      const context = await theBrowser().newContext({
        viewport: { width, height: 800 },
        colorScheme,
      });
      t.after(() => context.close());
      const page = await context.newPage();
      await page.setContent(html);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run(document, {}));
      assert.deepEqual(
        violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`),
        [],
        `${width} ${colorScheme}`,
      );
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${wide} at ${width}`);
    }
  }
});
