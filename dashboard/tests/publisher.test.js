// Who publishes, and what others can put on pages of their own.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { open, visit, withBrowser } from "./support/browser.js";
import { site } from "./support/site.js";

withBrowser();

const { files, latest } = site({ relays: 60, runs: 30, dated: 1, others: 0 });

/** @param {unknown} publisher */
const by = (publisher) => {
  const metadata = { ...latest.metadata, publisher };
  const figures = { format: { name: "exit-validator/figures", version: 1 }, metadata };
  return new Map(files)
    .set("/latest.json", JSON.stringify({ ...latest, metadata }))
    .set("/figures.json", JSON.stringify(figures));
};

describe("about", () => {
  test("names the publisher, their contact and their source", async (t) => {
    const { page, again } = await open(t, {
      files: by({
        name: "Zwiebeln <e. V.>",
        contact: "dns@example.org",
        source: "https://example.org/source",
      }),
      hash: "#/about",
    });
    const main = page.locator("main");
    await main.locator("dd", { hasText: "Zwiebeln <e. V.>, dns@example.org" }).waitFor();
    const link = main.getByRole("link", { name: "https://example.org/source" });
    assert.equal(await link.getAttribute("href"), "https://example.org/source");
    assert.equal(await link.getAttribute("rel"), "noopener noreferrer");
    // What is no address of the web leads nowhere.
    for (const source of ["javascript:alert(1)", "https://", "//example.org", "data:text/html,x"]) {
      await again({ files: by({ name: "<img src=x>", source }), hash: "#/about" });
      await main.getByText(source, { exact: true }).waitFor();
      assert.equal(await main.locator(`a[href="${source}"]`).count(), 0, source);
      assert.equal(await main.locator("img").count(), 0);
    }
    await again({ files, hash: "#/about" });
    await main.getByText("Licence of the data").waitFor();
    assert.equal(await main.getByText("Published by").count(), 0);
  });
});

describe("a badge", () => {
  test("is there to copy on a relay's and an operator's page, and says so where there is none", async (t) => {
    const { exit_fingerprint: fingerprint, operator } = latest.failures[0];
    const { page, server } = await open(t, {
      files,
      hash: `#/relay/${fingerprint}`,
      expected: /404|Failed to load/,
    });
    server.files.set(
      `/badge/relay/${fingerprint}.svg`,
      "<svg xmlns='http://www.w3.org/2000/svg'/>",
    );
    await page.getByText("A badge to copy").click();
    await page.locator(".snippet").nth(1).waitFor();
    const [markdown, html] = await page.locator(".snippet code").allInnerTexts();
    const image = `${server.url}badge/relay/${fingerprint}.svg`;
    const link = `${server.url}#/relay/${fingerprint}`;
    assert.equal(markdown, `[![DNS of this Tor exit](${image})](${link})`);
    assert.equal(html, `<a href="${link}"><img src="${image}" alt="DNS of this Tor exit"></a>`);
    await visit(page, `#/operator/${encodeURIComponent(operator)}`);
    await page.getByText("A badge to copy").click();
    const first = latest.results.find((one) => one.operator === operator)?.exit_fingerprint;
    assert.ok(
      (await page.locator(".snippet code").first().innerText()).includes(`operator/${first}`),
    );
    // No function stands behind these pages.
    await page.getByText("This site makes no badges").waitFor();
  });

  test("holds no text of strangers, and ends nothing that it is put into", async () => {
    // The module needs a document only to be drawn.
    const { badge } = await import("../../public/js/view/badge-box.js");
    const place = fc.string({ unit: fc.constantFrom(..."ab/()\"'&<>[] !") });
    fc.assert(
      fc.property(place, (text) => {
        const base = new URL(`https://example.org/${text}`).href;
        const { path, markdown, html } = badge("relay", "A".repeat(40), base);
        assert.equal(path, `badge/relay/${"A".repeat(40)}.svg`);
        assert.equal(markdown.match(/[()]/g)?.length, 4);
        assert.equal(html.match(/"/g)?.length, 6);
        assert.equal(html.match(/[<>]/g)?.length, 6);
      }),
    );
  });
});
