// The way down: from a point of a chart to its run, from a mark of a strip to what that run found, from
// any report to any other; and what is found by typing, and why.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { open, ready, visit, withBrowser } from "./support/browser.js";
import { countryOf, difference, shown } from "./support/expect.js";
import { datedName } from "./support/report.js";
import { site } from "./support/site.js";

/** @import { Page } from "playwright-core" */

withBrowser();

const { files, latest, reports } = site({ relays: 500, runs: 120, others: 30, dated: 4 });

/** The name of a report. @type {(of: typeof latest) => string} */
const nameOf = ({ metadata }) => datedName(metadata.timestamp);

/** @type {(of: typeof latest) => string} */
const shownTime = ({ metadata }) => metadata.timestamp.slice(0, 16).replace("T", " ");

/**
 * Waits until the page shows that report.
 * @param {Page} page
 * @param {typeof latest} report
 */
async function at(page, report) {
  await page.waitForURL((url) => url.hash.includes(nameOf(report)));
  await page.locator("#banner", { hasText: `the report of ${shownTime(report)}` }).waitFor();
  await ready(page);
}

describe("a point of a chart", () => {
  test("leads to its run: by the keyboard, by the link, by a click, by the table", async (t) => {
    const { page } = await open(t, { files, hash: "#/trends?range=day" });
    const plot = page.locator(".plot").first();
    const wanted = reports[1];
    const arrive = async () => {
      await plot.locator("canvas").waitFor();
      await plot.focus();
      await page.keyboard.press("End");
      for (let step = 0; step < 2; step += 1) await page.keyboard.press("ArrowLeft");
    };
    await arrive();
    await page.keyboard.press("Enter");
    await at(page, wanted);

    await page.goBack();
    await ready(page);
    await arrive();
    const when = page.locator(".chart-when").first();
    assert.ok((await when.innerText()).startsWith(shownTime(wanted)));
    await when.getByRole("link").click();
    await at(page, wanted);

    await page.goBack();
    await ready(page);
    await plot.locator("canvas").waitFor();
    const over = plot.locator(".u-over");
    const box = await over.boundingBox();
    assert.ok(box);
    // Five runs of a day: the middle one.
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await at(page, reports[1]);

    await page.goBack();
    await ready(page);
    await page.getByText("The figures as a table").first().click();
    await page
      .getByRole("link", { name: `${shownTime(reports[2])} UTC` })
      .first()
      .click();
    await at(page, reports[2]);
  });

  test("whose report is in an archive says so, and leads nowhere", async (t) => {
    const { page } = await open(t, { files, hash: "#/trends?range=all" });
    const plot = page.locator(".plot").first();
    await plot.locator("canvas").waitFor();
    await plot.focus();
    await page.keyboard.press("Home");
    await page.locator(".chart-when", { hasText: "in an archive" }).first().waitFor();
    const before = page.url();
    await page.keyboard.press("Enter");
    assert.equal(page.url(), before);
  });
});

describe("the charts", () => {
  /** Where the line of each chart stands, from its left edge; null where there is none. */
  const lines = (/** @type {Page} */ page) =>
    page.evaluate(() =>
      [...document.querySelectorAll(".u-cursor-x")].map((one) => {
        const at = /translate\(([\d.]+)px/.exec(one.getAttribute("style") ?? "")?.[1];
        const width = one.closest(".u-over")?.getBoundingClientRect().width ?? 1;
        return at === undefined ? null : Math.round((Number(at) / width) * 50);
      }),
    );

  test("point at one run together, by mouse and by keyboard", async (t) => {
    const { page } = await open(t, { files, hash: "#/trends?range=month" });
    const whens = page.locator(".chart-when");
    await page.locator(".charts canvas").nth(6).waitFor();
    const told = async () => [
      ...new Set((await whens.allInnerTexts()).map((one) => one.slice(0, 16))),
    ];
    const over = page.locator(".u-over").nth(3);
    await over.scrollIntoViewIfNeeded();
    const box = await over.boundingBox();
    assert.ok(box);
    await page.mouse.move(box.x + box.width * 0.3, box.y + box.height / 2);
    await page.waitForFunction(
      (last) => !document.querySelector(".chart-when")?.textContent?.startsWith(last),
      shownTime(latest),
    );
    assert.equal((await told()).length, 1, String(await told()));
    const places = await lines(page);
    assert.equal(places.length, 7);
    assert.ok(
      places.every((one) => one !== null && Math.abs(one - 15) <= 1),
      String(places),
    );
    await page.locator(".plot").nth(5).focus();
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    assert.deepEqual(await told(), [shownTime(reports[2])]);
  });

  test("of many more runs than there are pixels still show the one that stands out", async (t) => {
    const list = JSON.parse(files.get("/trends.json") ?? "").runs;
    const last = Date.parse(list.at(-1).timestamp);
    const [like] = list.filter((/** @type {{published: boolean}} */ one) => one.published);
    const runs = Array.from({ length: 9000 }, (_, at) => ({
      ...like,
      run_id: `run ${at}`,
      timestamp: new Date(last - (9000 - at) * 3600_000).toISOString(),
      resolve_ms: {
        ...like.resolve_ms,
        p50: 100,
        p90: 110,
        p95: 120,
        p99: at === 4500 ? 9000 : 130,
      },
    }));
    const many = new Map(files).set(
      "/trends.json",
      JSON.stringify({ format: { name: "exit-validator/trends", version: 1 }, runs }),
    );
    const { page } = await open(t, {
      files: many,
      hash: "#/trends?range=all",
      width: 700,
      context: { colorScheme: "light" },
      expected: /willReadFrequently/,
    });
    const chart = page.locator(".chart", { hasText: "Resolve time" });
    await chart.locator("canvas").waitFor();
    // Of the middle of the chart, the upper half has nothing but that run.
    const drawn = await chart.locator("canvas").evaluate((one) => {
      if (!(one instanceof HTMLCanvasElement)) throw new Error("no canvas");
      const { data, width, height } = /** @type {CanvasRenderingContext2D} */ (
        one.getContext("2d")
      ).getImageData(0, 0, one.width, one.height);
      let found = 0;
      for (let y = Math.round(height * 0.2); y < height * 0.5; y += 1) {
        for (let x = Math.round(width * 0.3); x < width * 0.8; x += 1) {
          const at = (y * width + x) * 4;
          // --c4 of css/tokens.css, and what is nearly so at its edges.
          if (data[at + 3] > 100 && data[at] > 150 && data[at + 1] < 120) found += 1;
        }
      }
      return found;
    });
    assert.ok(drawn > 10, `${drawn} pixels`);
  });
});

describe("a mark of a relay's runs", () => {
  const relay = latest.failures.find((one) => one.consecutive_failures > 4);
  const print = relay?.exit_fingerprint ?? "";

  test("leads to what that run found, by click and by the table", async (t) => {
    const { page, context } = await open(t, { files, hash: `#/relay/${print}` });
    const strip = page.locator(".strip-large");
    const box = await strip.boundingBox();
    assert.ok(box);
    const { recent } = latest.results.find((one) => one.exit_fingerprint === print) ?? {
      recent: "",
    };
    assert.ok(recent.length <= 60 && recent.length > 4);
    // The third from the right.
    await page.mouse.move(box.x + (box.width * 57.5) / 60, box.y + box.height / 2);
    assert.match(await strip.locator("title").innerHTML(), new RegExp(shownTime(reports[1])));
    await page.mouse.click(box.x + (box.width * 57.5) / 60, box.y + box.height / 2);
    await at(page, reports[1]);
    assert.ok(page.url().includes(print));
    const then = reports[1].results.find((one) => one.exit_fingerprint === print);
    assert.ok((await page.locator("main").innerText()).includes(then?.query_domain ?? "?"));

    await page.goBack();
    await ready(page);
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: /which stays as it is/ }).click();
    await page.getByText("copied").waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.ok(copied.endsWith(`#/relay/${print}?report=${nameOf(latest)}`), copied);
    await page.getByText("The runs as a table").click();
    await page
      .locator(".history")
      .getByRole("link", { name: shownTime(reports[2]) })
      .click();
    await at(page, reports[2]);
    assert.ok(page.url().includes(print));
  });
});

describe("any two reports", () => {
  test("are compared, whichever is named first", async (t) => {
    const { page } = await open(t, { files, hash: "#/history" });
    const form = page.locator("form.picker");
    await form
      .getByRole("combobox", { name: "Compare", exact: true })
      .selectOption(nameOf(reports[2]));
    await form
      .getByRole("combobox", { name: "with", exact: true })
      .selectOption(nameOf(reports[0]));
    await form.getByRole("button").click();
    const text = page.locator(".comparison p", { hasText: "From" }).first();
    await text.waitFor();
    assert.match(
      await text.innerText(),
      new RegExp(`From ${shownTime(reports[0])}.*to ${shownTime(reports[2])}`),
    );
    const expected = difference(reports[0], reports[2]);
    for (const [title, key] of /** @type {[string, keyof typeof expected][]} */ ([
      ["Newly failing", "failing"],
      ["Recovered", "recovered"],
      ["Still failing", "still"],
    ])) {
      const part = page.locator("section.card", {
        has: page.getByRole("heading", { name: new RegExp(`^${title}`) }),
      });
      const links = await part.locator(".relay-list a").all();
      const found = await Promise.all(links.map((one) => one.getAttribute("href")));
      const prints = found.map((one) => /[0-9A-F]{40}/.exec(one ?? "")?.[0] ?? "");
      assert.deepEqual(prints.sort(), expected[key], title);
      assert.ok(
        found.every((one) => one?.includes(nameOf(reports[2]))),
        "as it was then",
      );
    }
  });
});

describe("what is typed", () => {
  /**
   * Types, and waits for what an independent computation finds.
   * @param {Page} page
   * @param {string} q
   * @param {number} wanted
   */
  async function finds(page, q, wanted) {
    await page.getByRole("searchbox").fill(q);
    const all = latest.results.length;
    await page.locator(".relay-count", { hasText: new RegExp(`^${wanted} of ${all} `) }).waitFor();
  }
  const why = (/** @type {Page} */ page) =>
    page.locator(".grid-body .grid-row:not([hidden]) .c-why").first();

  test("is found as people write it, and each row says why", async (t) => {
    const { page } = await open(t, { files, hash: "#/relays", width: 1600 });
    const one = latest.results[11];
    const six = latest.results.find((found) => found.relay.ipv6.address !== null);
    const name = one.exit_nickname;
    const print = one.exit_fingerprint;
    /** @type {(test: (one: typeof latest.results[number]) => boolean) => number} */
    const count = (test) => latest.results.filter(test).length;
    for (const [q, wanted, reason] of /** @type {[string, number, RegExp][]} */ ([
      [`$${print}~${name}`, 1, /^fingerprint and name$/],
      [`${print.toLowerCase()}=${name}`, 1, /^fingerprint and name$/],
      ["germany", count((found) => countryOf(found) === "de"), /^country: germany/i],
      ["united states", count((found) => countryOf(found) === "us"), /country: united states/i],
      ["AS64496", count((found) => found.location?.as_number === 64496), /^network: AS64496/],
      ["AS6449", 0, /./],
      [
        "cedar cloud",
        count((found) => found.location?.as_name === "Cedar Cloud"),
        /network: .*cloud/i,
      ],
      ["degraded", count((found) => found.degraded === true), /^state: .*degraded/i],
      ["flapping", count((found) => found.state === "flapping"), /^state: flapping/i],
      [
        "resolver was silent",
        count((found) => found.error_code === "RESOLVER_TIMEOUT"),
        /cause: .*resolver/i,
      ],
      [
        "198.18.0.0/16",
        count((found) => found.exit_address.startsWith("198.18.")),
        /^address: 198\.18\./,
      ],
      [
        "2001:db8::/32",
        count((found) => found.relay.ipv6.address !== null),
        /^IPv6 address: 2001:db8/,
      ],
      [`${six?.relay.ipv6.address?.replace("2001:db8", "2001:0DB8")}`, 1, /^IPv6 address/],
      ["abuse@", shown(latest, { q: "abuse@" }).length, /abuse@/],
    ])) {
      await finds(page, q, wanted);
      if (wanted === 0) continue;
      // Two searches can find as many: what the row said before goes at the next frame.
      await why(page).filter({ hasText: reason }).waitFor();
    }
    await finds(page, `$${print}~another`, 0);
    await finds(page, "198.18.0.0/33", 0);
  });

  test("says why at every width, and only while something is typed", async (t) => {
    const { page } = await open(t, { files, hash: "#/relays?q=germany", width: 360 });
    for (const width of [360, 800, 1280, 1900]) {
      await page.setViewportSize({ width, height: 800 });
      await why(page).waitFor({ state: "visible" });
    }
    await visit(page, "#/relays");
    await page.locator(".grid-body .c-recent").first().waitFor({ state: "visible" });
    assert.equal(await why(page).isVisible(), false);
  });
});
