// What it takes to see something: how many bytes, how many questions, and to whom.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { PUBLIC } from "../serve.js";
import { open, VIEWS, visit, withBrowser } from "./support/browser.js";
import { figures, site } from "./support/site.js";

withBrowser();

const { files, latest } = site({ relays: 150, runs: 200, others: 20 });

/** The most that the page may weigh without data, compressed. */
const MOST_BYTES = 200_000;

/** The same, with the library that draws the charts, which comes when somebody looks at them. */
const MOST_BYTES_WITH_CHARTS = 225_000;

const isData = (/** @type {string} */ path) => /\.json$/.test(path);

describe("the pages", () => {
  /**
   * @param {readonly string[]} requests
   * @returns {Promise<{sum: number, sizes: Record<string, number>}>}
   */
  async function weigh(requests) {
    /** @type {Record<string, number>} */
    const sizes = {};
    for (const request of new Set(requests.map((one) => one.replace(/[?#].*/, "")))) {
      if (isData(request)) continue;
      const name = request === "/" ? "index.html" : request.slice(1);
      sizes[name] = gzipSync(await readFile(join(PUBLIC, name))).length;
    }
    return { sum: Object.values(sizes).reduce((sum, one) => sum + one, 0), sizes };
  }

  test("weigh less than 200 KB compressed", async (t) => {
    const { page, requests } = await open(t, { files });
    for (const view of VIEWS) {
      if (view !== "#/trends") await visit(page, view);
    }
    await visit(page, `#/relay/${latest.failures[0].exit_fingerprint}`);
    const { sum, sizes } = await weigh(requests);
    t.diagnostic(`${sum} bytes compressed in ${Object.keys(sizes).length} files`);
    assert.ok(sum < MOST_BYTES, `${sum} ${JSON.stringify(sizes, null, 1)}`);
    await visit(page, "#/trends");
    await page.locator(".charts canvas").first().waitFor();
    const all = await weigh(requests);
    t.diagnostic(`${all.sum} bytes with the charts`);
    assert.ok(all.sum < MOST_BYTES_WITH_CHARTS, `${all.sum}`);
  });

  test("nothing is asked for twice, and every file that is asked for is there", async (t) => {
    const { page, server } = await open(t, { files });
    for (const view of [...VIEWS, ...VIEWS]) await visit(page, view);
    const asked = server.asked
      .map((one) => one.replace(/^GET /, ""))
      // The browser itself looks whether that has changed.
      .filter((one) => one !== "/favicon.svg");
    assert.deepEqual(asked.toSorted(), [...new Set(asked)].sort());
  });

  test("the first figures are seen before any relay is here, of whichever file comes first", async (t) => {
    const rate = String(latest.metadata.dns_success_rate_percent).slice(0, 4);
    const { metadata } = latest;
    const damaged = figures({ metadata: { ...metadata, dns_fail: metadata.dns_fail + 1 } });
    // The figures by themselves; half of the report, of which the rest never comes.
    for (const [name, text, report] of /** @type {const} */ ([
      ["whole", files.get("/figures.json"), "hang"],
      ["not there", undefined, "hang-middle"],
      ["cut", "{", "hang-middle"],
      ["damaged", damaged, "hang-middle"],
      ["newer", damaged.replace('"version":1', '"version":2'), "hang-middle"],
    ])) {
      const published = new Map(files);
      published.delete("/figures.json");
      if (text !== undefined) published.set("/figures.json", text);
      const { page, requests } = await open(t, {
        files: published,
        ready: false,
        faults: { "/latest.json": report },
      });
      await page.locator("main", { hasText: rate }).waitFor();
      const asked = requests.filter(isData).sort();
      assert.deepEqual(asked, ["/figures.json", "/latest.json"], name);
    }
  });

  test("figures of another run give way to the report", async (t) => {
    const [before] = site({ relays: 60, dated: 2, runs: 10, others: 0 }).reports;
    const published = new Map(files).set("/figures.json", figures(before));
    const { page } = await open(t, { files: published });
    const tested = `of ${latest.metadata.tested} exits tested`;
    await page.locator(".cards", { hasText: tested }).waitFor();
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
