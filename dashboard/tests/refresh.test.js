// A page that stays open: it asks for newer reports by itself, says nothing that it does not know, and
// leaves the reader where they are.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LEAST_MS, nextCheck } from "../../public/js/model/refresh.js";
import { open, visit, withBrowser } from "./support/browser.js";
import { LAST_END } from "./support/report.js";
import { asOf, site } from "./support/site.js";

/** @import { Page } from "playwright-core" */
/** @import { Opened } from "./support/browser.js" */

withBrowser();

const HOUR = 3600 * 1000;
const { files, reports } = site({ relays: 500, runs: 300, others: 200, dated: 3 });
const [, before, latest] = reports;
const earlier = asOf(files, before);

/** An hour after the run before the last. */
const THEN = LAST_END - 5 * HOUR;

/** The time of a report, as the page's foot has it. @type {(of: typeof latest) => string} */
const shownTime = ({ metadata }) => metadata.timestamp.slice(0, 16).replace("T", " ");

/**
 * @param {Opened} opened
 * @param {ReadonlyMap<string, string>} published
 */
function publish({ server }, published) {
  server.files.clear();
  for (const [path, text] of published) server.files.set(path, text);
}

/**
 * @param {Page} page
 * @param {number} ms
 */
async function later(page, ms) {
  await page.evaluate((time) => __later(time), ms);
}

/**
 * @param {Page} page
 * @param {typeof latest} report
 */
async function shows(page, report) {
  await page.locator("#age", { hasText: shownTime(report) }).waitFor();
}

/** @type {(page: Page) => Promise<string>} */
const everything = (page) => page.locator("body").innerText();

describe("a page that is left open", () => {
  test("shows the newer report when it is due, and never calls the old one overdue", async (t) => {
    const opened = await open(t, { files: earlier, hash: "#/overview", now: THEN });
    const { page } = opened;
    await shows(page, before);
    publish(opened, files);
    await page.evaluate(() => {
      globalThis.__said = "";
      const note = () => {
        globalThis.__said += document.body.innerText;
      };
      new MutationObserver(note).observe(document.body, { subtree: true, childList: true });
    });
    await later(page, 13 * HOUR);
    await shows(page, latest);
    await page.locator("main", { hasText: shownTime(latest) }).waitFor();
    assert.doesNotMatch(await page.evaluate(() => globalThis.__said), /runs? (?:is|are) missing/i);
    // That one is 8 hours old now, which is in time.
    assert.doesNotMatch(await everything(page), /overdue|are old|missing since/i);
    assert.ok((await page.locator("main").innerText()).includes(String(latest.metadata.success)));
  });

  test("calls it overdue only when the server has nothing newer", async (t) => {
    const opened = await open(t, { files, hash: "#/overview" });
    const { page, server } = opened;
    const asked = () => server.asked.filter((one) => one === "GET /latest.json").length;
    const first = asked();
    await later(page, 13 * HOUR);
    await page.locator(".notice", { hasText: "These figures are old" }).waitFor();
    assert.ok(asked() > first, "it was asked before that was said");
    await page.locator("main", { hasText: "overdue: runs are missing" }).waitFor();
  });

  test("says that runs were held back where they were, and not that they are missing", async (t) => {
    const own = new Map(files);
    const list = JSON.parse(files.get("/files.json") ?? "");
    list.files.unshift({
      ...list.files[0],
      name: "dns_health_2026-11-23_15-15-30.json",
      timestamp: "2026-11-23T15:15:30Z",
      report: { ...list.files[0].report, published: false, reasons: ["one_kind"] },
    });
    own.set("/files.json", JSON.stringify(list));
    const { page } = await open(t, { files: own, now: LAST_END + 14 * HOUR, hash: "#/overview" });
    await page.locator("main", { hasText: "newer runs were held back" }).waitFor();
    assert.doesNotMatch(await everything(page), /runs? (?:is|are) missing/i);
  });

  test("without a network says that it cannot know, and asks when the network is back", async (t) => {
    const opened = await open(t, {
      files: earlier,
      hash: "#/overview",
      now: THEN,
      expected: /ERR_INTERNET_DISCONNECTED/,
    });
    const { page, context } = opened;
    await context.setOffline(true);
    await later(page, 13 * HOUR);
    await page.locator(".notice", { hasText: "could not be asked" }).waitFor();
    assert.doesNotMatch(await everything(page), /runs? (?:is|are) missing|overdue: runs/i);
    assert.equal(await page.locator("[role=alert]").count(), 0, "quietly");
    publish(opened, files);
    await context.setOffline(false);
    await shows(page, latest);
    await page.locator(".notice", { hasText: "could not be asked" }).waitFor({ state: "detached" });
  });

  test("asks when the reader comes back, but not at every move", async (t) => {
    const opened = await open(t, { files, hash: "#/overview" });
    const { page, server } = opened;
    const asked = () => server.asked.filter((one) => one === "GET /latest.json").length;
    const first = asked();
    await page.evaluate(() => window.dispatchEvent(new Event("focus")));
    await later(page, 30 * 60 * 1000);
    assert.equal(asked(), first, "neither a moment after it was loaded, nor before it is due");
    await page.locator(".answer").evaluate((one) => one.setAttribute("data-mark", ""));
    const again = page.waitForResponse(/files\.json/);
    await page.evaluate(() => window.dispatchEvent(new Event("focus")));
    await (await again).finished();
    await page.evaluate(
      () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
    );
    assert.ok(asked() > first);
    assert.equal(
      await page.locator(".answer[data-mark]").count(),
      1,
      "the same is not drawn again",
    );
  });

  test("a newer format is said, and what there is stays", async (t) => {
    const opened = await open(t, { files: earlier, hash: "#/overview", now: THEN });
    const { page } = opened;
    const newer = { ...latest, format: { ...latest.format, version: 2 } };
    publish(opened, new Map(files).set("/latest.json", JSON.stringify(newer)));
    await later(page, 6 * HOUR);
    await page
      .locator(".notice", { hasText: /newer report is out[\s\S]*Reload the page/ })
      .waitFor();
    assert.ok((await page.locator("main").innerText()).includes(shownTime(before)));
  });
});

describe("a newer report leaves the reader where they are", () => {
  /** @type {Opened} */
  let opened;
  /** Which report is out. */
  let turn = 0;

  /** Another report comes while the reader is there. */
  async function another() {
    turn += 1;
    const { page } = opened;
    publish(opened, turn % 2 === 1 ? files : earlier);
    await page.evaluate((time) => {
      __later(time);
      window.dispatchEvent(new Event("focus"));
    }, LEAST_MS * 2);
    await shows(page, turn % 2 === 1 ? latest : before);
  }

  test("in every view", async (t) => {
    opened = await open(t, { files: earlier, now: THEN });
    const { page } = opened;

    await t.test("relays: what is typed and chosen, the row, the focus", async () => {
      await visit(page, "#/relays?flag=Stable");
      await page.locator("details.filter-box").evaluate((/** @type {HTMLDetailsElement} */ one) => {
        one.open = false;
      });
      const search = page.getByRole("searchbox");
      await search.fill("abuse");
      await page.waitForURL(/q=abuse/);
      const top = () =>
        page.evaluate(() => {
          const grid = document.querySelector(".grid");
          const head = document.querySelector(".grid-head")?.getBoundingClientRect().height ?? 0;
          const at = (grid?.getBoundingClientRect().top ?? 0) + head - 1;
          const rows = [...document.querySelectorAll(".grid-body .grid-row:not([hidden])")];
          const row = rows
            .map((one) => ({ one, y: one.getBoundingClientRect().top }))
            .filter(({ y }) => y >= at)
            .sort((a, b) => a.y - b.y)[0]?.one;
          return row?.querySelector("a")?.getAttribute("href");
        });
      await page.locator(".grid").evaluate(async (one) => {
        one.scrollTop = 1800;
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      });
      await search.press("ArrowLeft");
      const row = await top();
      await another();
      await page.locator(".relay-count").waitFor();
      assert.equal(await top(), row);
      assert.equal(await search.inputValue(), "abuse");
      assert.deepEqual(
        await search.evaluate((/** @type {HTMLInputElement} */ one) => [
          one === document.activeElement,
          one.selectionStart,
        ]),
        [true, 4],
      );
      assert.equal(
        await page
          .locator("details.filter-box")
          .evaluate((/** @type {HTMLDetailsElement} */ one) => one.open),
        false,
      );
      assert.match(page.url(), /q=abuse/);
      assert.match(page.url(), /flag=Stable/);
    });

    await t.test("operators: the open text and its selection, the place of the page", async () => {
      await visit(page, "#/operators");
      const key = await page.evaluate(() => {
        const groups = [...document.querySelectorAll("li[data-key]")];
        const one = groups.find(
          (group, at) => at > 3 && group.getAttribute("data-key")?.startsWith("contact:"),
        );
        return one?.getAttribute("data-key") ?? "";
      });
      const group = page.locator(`li[data-key="${key}"]`);
      await group.getByText("A text for a mail").click();
      await group.locator("textarea").evaluate((/** @type {HTMLTextAreaElement} */ one) => {
        one.focus({ preventScroll: true });
        one.setSelectionRange(3, 9);
      });
      const place = () => group.evaluate((one) => Math.round(one.getBoundingClientRect().top));
      const at = await place();
      await another();
      assert.ok(await group.locator("textarea").isVisible());
      assert.deepEqual(
        await group
          .locator("textarea")
          .evaluate((/** @type {HTMLTextAreaElement} */ one) => [
            one === document.activeElement,
            one.selectionStart,
            one.selectionEnd,
          ]),
        [true, 3, 9],
      );
      assert.ok(Math.abs((await place()) - at) <= 2, "nothing jumped");
    });

    await t.test("history: all that was asked for", async () => {
      await visit(page, "#/history");
      await page.getByRole("button", { name: /Show all/ }).click();
      const rows = page.getByRole("table").first().locator("tbody tr");
      const many = await rows.count();
      assert.ok(many > 120);
      await another();
      assert.ok(Math.abs((await rows.count()) - many) <= 1);
    });

    await t.test("trends: the range, the point, the open table", async () => {
      await visit(page, "#/trends?range=week");
      const plot = page.locator(".plot").first();
      await plot.locator("canvas").waitFor();
      await plot.focus();
      await page.keyboard.press("ArrowLeft");
      await page.keyboard.press("ArrowLeft");
      await page.getByText("The figures as a table").first().click();
      const run = (await plot.getAttribute("aria-valuetext"))?.slice(0, 16);
      await another();
      await plot.locator("canvas").waitFor();
      assert.equal((await plot.getAttribute("aria-valuetext"))?.slice(0, 16), run);
      assert.ok(await page.locator(".figures table").first().isVisible());
      assert.equal(await page.locator('[data-range="week"]').getAttribute("aria-pressed"), "true");
    });

    await t.test("a relay: its open runs", async () => {
      await visit(page, `#/relay/${latest.failures[0].exit_fingerprint}`);
      await page.getByText("The runs as a table").click();
      await page.locator(".history table").waitFor();
      await another();
      assert.ok(await page.locator(".history table").isVisible());
    });
  });
});

describe("when to ask", () => {
  const known = { asked: 0, failures: 0, timestamp: 0, everyMs: 6 * HOUR, dice: 0 };

  test("when a report is due, soon after that, and seldom while none comes", () => {
    assert.equal(nextCheck(known), 6 * HOUR);
    assert.equal(nextCheck({ ...known, asked: 6 * HOUR }), 6.5 * HOUR);
    assert.equal(nextCheck({ ...known, asked: 90 * HOUR }), 90.5 * HOUR);
  });

  test("not all at one moment", () => {
    const times = new Set([0, 0.2, 0.5, 0.9].map((dice) => nextCheck({ ...known, dice })));
    assert.equal(times.size, 4);
  });

  test("soon where the server did not answer, and then more and more seldom", () => {
    const waits = [1, 2, 3, 9, 5000].map((failures) => nextCheck({ ...known, failures }));
    assert.deepEqual(waits, [LEAST_MS, 2 * LEAST_MS, 4 * LEAST_MS, 0.5 * HOUR, 0.5 * HOUR]);
  });

  test("not at every tick, whatever the report says of its time", () => {
    for (const timestamp of [null, 0, -1e15, 1e15]) {
      for (const everyMs of [1, 60_000, 6 * HOUR, 31 * 24 * HOUR]) {
        assert.ok(nextCheck({ ...known, asked: 1000, timestamp, everyMs }) >= 1000 + LEAST_MS);
      }
    }
  });
});
