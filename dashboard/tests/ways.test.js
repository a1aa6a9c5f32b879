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
      assert.match(await why(page).innerText(), reason, q);
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
