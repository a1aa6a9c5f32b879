// What it takes to see something: how many bytes, how many questions, and to whom.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { PUBLIC } from "../serve.js";
import { open, VIEWS, visit, withBrowser } from "./support/browser.js";
import { site } from "./support/site.js";

withBrowser();

const { files, latest } = site({ relays: 150, runs: 200, others: 20 });

/** The most that the pages may weigh without data, compressed. */
const MOST_BYTES = 100_000;

const isData = (/** @type {string} */ path) => /\.json$/.test(path);

describe("the pages", () => {
  test("weigh less than 100 KB compressed, all views together", async (t) => {
    const { page, requests } = await open(t, { files });
    for (const view of VIEWS) await visit(page, view);
    await visit(page, `#/relay/${latest.failures[0].exit_fingerprint}`);
    const paths = new Set(
      requests.map((one) => one.replace(/[?#].*/, "")).filter((one) => !isData(one)),
    );
    let sum = 0;
    /** @type {Record<string, number>} */
    const sizes = {};
    for (const path of paths) {
      const name = path === "/" ? "index.html" : path.slice(1);
      sizes[name] = gzipSync(await readFile(join(PUBLIC, name))).length;
      sum += sizes[name];
    }
    t.diagnostic(`${sum} bytes compressed in ${paths.size} files`);
    assert.ok(sum < MOST_BYTES, JSON.stringify(sizes, null, 1));
  });

  test("nothing is asked for twice, and every file that is asked for is there", async (t) => {
    const { page, server } = await open(t, { files });
    for (const view of [...VIEWS, ...VIEWS]) await visit(page, view);
    const asked = server.asked.map((one) => one.replace(/^GET /, ""));
    assert.deepEqual(asked.toSorted(), [...new Set(asked)].sort());
  });

  test("one file of data is asked for before the first figures are seen", async (t) => {
    const { page, requests } = await open(t, {
      files,
      ready: false,
      faults: { "/latest.json": "slow" },
    });
    const rate = String(latest.metadata.dns_success_rate_percent).slice(0, 4);
    await page.locator("main", { hasText: rate }).waitFor();
    const first = requests.filter(isData);
    assert.equal(first[0], "/latest.json");
    assert.ok(
      first.length <= 1 || !(await page.evaluate(() => document.querySelector(".loading"))),
      `asked for ${first}`,
    );
  });

  test("without scripts the page says that it needs them, and where the data is", async (t) => {
    const { page } = await open(t, {
      files,
      ready: false,
      context: { javaScriptEnabled: false },
    });
    const text = await page.locator("body").innerText();
    assert.match(text, /JavaScript/);
    assert.ok((await page.locator('a[href$="latest.json"]').count()) >= 1);
  });

  test("no view has an inline script or style, or an attribute that is one", async (t) => {
    const { page } = await open(t, { files });
    for (const view of VIEWS) {
      await visit(page, view);
      const inline = await page.evaluate(() =>
        [...document.querySelectorAll("script:not([src]), style, [onclick], [onload]")].map((one) =>
          one.outerHTML.slice(0, 100),
        ),
      );
      assert.deepEqual(inline, [], view);
    }
    const html = await readFile(join(PUBLIC, "index.html"), "utf8");
    assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=/);
    assert.doesNotMatch(html, /(?:src|href)="(?:https?:)?\/\//, "nothing from elsewhere");
  });

  test("work from a directory below the root as well", async (t) => {
    // As where a site has other pages of its own: every address in the pages is relative.
    const html = await readFile(join(PUBLIC, "index.html"), "utf8");
    for (const [, address] of html.matchAll(/(?:src|href)="([^"]*)"/g)) {
      assert.doesNotMatch(address, /^\//, address);
    }
    t.diagnostic("addresses are relative");
  });
});
