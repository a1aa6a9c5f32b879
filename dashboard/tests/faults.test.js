// What goes wrong with a file is said where that file would be shown, in words, and everything else
// goes on working.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { open, ready, tour, VIEWS, visit, withBrowser } from "./support/browser.js";
import { otherReports } from "./support/hostile.js";
import { LAST_END, report } from "./support/report.js";
import { site } from "./support/site.js";

/** @import { Page } from "playwright-core" */
/** @import { Fault } from "../lib/faults.js" */

withBrowser();

const { files, latest } = site({ relays: 150, runs: 200, others: 20 });

const HOUR = 3600 * 1000;

/** Where each file is shown, and a word that is there only where it was read. */
const SHOWN = Object.freeze({
  "/latest.json": { hash: "#/relays", there: latest.failures[0].exit_nickname },
  "/trends.json": { hash: "#/trends", there: "DNS success" },
  "/files.json": { hash: "#/history", there: latest.metadata.timestamp.slice(0, 10) },
});

/** @typedef {keyof typeof SHOWN} Path */

/** What a reader is told, by what went wrong. */
const TOLD = Object.freeze(
  /** @type {[string, Fault | null, RegExp][]} */ ([
    ["not there", null, /no such file|not there|nothing/i],
    ["status 500", 500, /error.*500/i],
    ["a connection that breaks off", "cut", /connection|broke off/i],
    ["half a file", "half", /damaged|cut|complete/i],
    ["no bytes", "empty", /empty/i],
    ["a page in its place", "html", /web page|not there/i],
  ]),
);

/**
 * @param {Page} page
 * @returns {Promise<string>} what the messages of the view say
 */
async function messages(page) {
  return (await page.locator(".notice").allInnerTexts()).join("\n");
}

for (const path of /** @type {Path[]} */ (Object.keys(SHOWN))) {
  describe(path, () => {
    test("what goes wrong is said, the rest works, and trying again helps", async (t) => {
      const { hash, there } = SHOWN[path];
      const opened = await open(t, { files, hash });
      for (const [name, fault, words] of TOLD) {
        await t.test(name, async () => {
          const { page, server } = opened;
          const own = new Map(files);
          if (fault === null) own.delete(path);
          await opened.again({
            files: own,
            faults: fault === null ? {} : { [path]: fault },
            hash,
          });
          await page.locator(".notice", { hasText: words }).first().waitFor();
          for (const { hash: view, text } of await tour(page, VIEWS)) {
            const other = Object.entries(SHOWN).find(
              ([one, to]) => one !== path && to.hash === view,
            );
            if (other === undefined) continue;
            assert.ok(text.includes(other[1].there), `${view} does not work without ${path}`);
          }
          await visit(page, hash);
          // The server is well again.
          server.faults.clear();
          server.files.set(path, files.get(path) ?? "");
          await page.getByRole("button", { name: "Try again" }).first().click();
          await page.locator("main", { hasText: there }).waitFor();
          await ready(page);
          assert.doesNotMatch(await messages(page), words);
        });
      }
    });

    test("a server that never answers: is said after a while", async (t) => {
      const { hash } = SHOWN[path];
      const { page } = await open(t, {
        files,
        faults: { [path]: "hang" },
        hash,
        ready: false,
        hurry: true,
      });
      await page
        .locator(".notice", { hasText: /too long/i })
        .first()
        .waitFor();
      for (const [other, { hash: view, there }] of Object.entries(SHOWN)) {
        if (other === path) continue;
        await page.evaluate((to) => {
          location.hash = to;
        }, view);
        await page.locator("main", { hasText: there }).waitFor();
      }
    });

    test("a newer format: is said, with what to do", async (t) => {
      const { hash } = SHOWN[path];
      const own = new Map(files);
      const document = JSON.parse(files.get(path) ?? "");
      document.format.version = 2;
      own.set(path, JSON.stringify(document));
      const { page } = await open(t, { files: own, hash });
      const said = page.locator(".notice", { hasText: /version 2.*version 1[\s\S]*reload/i });
      await said.first().waitFor();
    });
  });
}

describe("the report", () => {
  test("something else in its place: every view stays usable", async (t) => {
    const opened = await open(t, { files });
    for (const [name, { text, kind }] of otherReports()) {
      await t.test(name, async () => {
        await opened.again({ files: new Map(files).set("/latest.json", text) });
        for (const { hash, links, notices } of await tour(opened.page, VIEWS)) {
          assert.ok(links >= VIEWS.length);
          if (kind !== "older" && hash === "#/overview") {
            assert.match(notices.join("\n"), /cannot be shown/i);
          }
        }
      });
    }
  });

  test("that broke off in the middle shows its figures meanwhile, and then says so", async (t) => {
    const { page } = await open(t, {
      files,
      faults: { "/latest.json": "hang-middle" },
      hash: "#/overview",
      ready: false,
    });
    const rate = String(latest.metadata.dns_success_rate_percent).slice(0, 4);
    await page.locator("main", { hasText: rate }).waitFor();
  });

  test("that is old is said plainly in every view", async (t) => {
    const { page } = await open(t, { files, now: LAST_END + 50 * HOUR });
    for (const view of ["#/overview", "#/relays", "#/operators"]) {
      await visit(page, view);
      const text = await page.locator("body").innerText();
      assert.match(text, /\b(?:2 days|50 hours|50 h)\b/, view);
      assert.match(text, /old|stale|overdue|no newer/i, view);
    }
  });

  test("that is fresh is not called old", async (t) => {
    const { page } = await open(t, { files, now: LAST_END + HOUR });
    assert.equal(await page.locator(".notice-warn, .notice-bad").count(), 0);
  });

  test("from the future is said", async (t) => {
    const { page } = await open(t, { files, now: LAST_END - 30 * HOUR });
    assert.match(await page.locator("body").innerText(), /future|clock/i);
  });

  test("that the gate held back is said, with its reasons", async (t) => {
    const reasons = [
      { code: "dns_success_rate", message: "the rate fell from 97.1 % to 41.5 %" },
      { code: "one_kind", message: "91.0 % of the relays tested fail, all in one way" },
    ];
    const own = new Map(files);
    own.set("/latest.json", JSON.stringify(report({ relays: 150, reasons })));
    const { page } = await open(t, { files: own });
    for (const { message } of reasons) {
      await page.locator(".notice", { hasText: message }).first().waitFor();
    }
  });

  test("that was held back after it, in the list of files, is said", async (t) => {
    const own = new Map(files);
    const list = JSON.parse(files.get("/files.json") ?? "");
    list.files.unshift({
      ...list.files[0],
      name: "dns_health_2026-11-23_09-15-30.json",
      timestamp: "2026-11-23T09:15:30Z",
      report: { ...list.files[0].report, published: false, reasons: ["zone_check"] },
    });
    own.set("/files.json", JSON.stringify(list));
    const { page } = await open(t, { files: own, now: LAST_END + 7 * HOUR });
    await page
      .locator(".notice", { hasText: /held back/i })
      .first()
      .waitFor();
  });

  test("without any relay, every view says so and none breaks", async (t) => {
    const own = new Map(files);
    own.set("/latest.json", JSON.stringify({ ...report({ relays: 0 }) }));
    const { page } = await open(t, { files: own });
    for (const { hash, text } of await tour(page, VIEWS)) {
      assert.ok(text.length > 50, hash);
    }
  });
});

describe("everything at once", () => {
  test("nothing is published yet: the page says what will be here", async (t) => {
    const { page } = await open(t, { files: new Map() });
    for (const { hash, text } of await tour(page, VIEWS)) assert.ok(text.length > 60, hash);
    await visit(page, "#/about");
    assert.equal(await page.locator(".notice-bad").count(), 0, "about needs no data");
  });

  test("offline after loading, what was loaded stays", async (t) => {
    const { page, context } = await open(t, { files });
    await tour(page, VIEWS);
    await page.locator("main").waitFor();
    await context.setOffline(true);
    for (const { hash, bad } of await tour(page, VIEWS)) assert.deepEqual(bad, [], hash);
  });
});
