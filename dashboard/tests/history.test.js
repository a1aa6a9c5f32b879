// Earlier reports, opened and compared; and the operators and relays that a report is about.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { open, ready, visit, withBrowser } from "./support/browser.js";
import { difference } from "./support/expect.js";
import { datedName, LAST_RUN, report } from "./support/report.js";
import { site } from "./support/site.js";

/** @import { Page } from "playwright-core" */

withBrowser();

const { files, latest } = site({ relays: 700, runs: 100, others: 250, dated: 2 });
const earlier = report({ relays: 700, run: LAST_RUN - 45 });
const name = datedName(earlier.metadata.timestamp);
// The list names it already, as it does reports that cannot be fetched here.
files.set(`/${name}`, JSON.stringify(earlier));

/**
 * The fingerprints that a part of the page links to.
 * @param {Page} page
 * @param {string} title of the part
 * @returns {Promise<string[]>}
 */
async function linked(page, title) {
  const part = page.locator("section", {
    has: page.getByRole("heading", { name: new RegExp(`^${title}`) }),
  });
  const more = part.last().getByRole("button", { name: /Show all/ });
  if (await more.count()) await more.click();
  const links = await part.last().locator("li .relay-list-name a").all();
  const found = await Promise.all(links.map((one) => one.getAttribute("href")));
  return found.map((one) => /[0-9A-F]{40}/.exec(one ?? "")?.[0] ?? "").sort();
}

describe("history", () => {
  test("a comparison names who newly fails, recovered, is gone and is new", async (t) => {
    const { page } = await open(t, { files, hash: `#/history?with=${name}` });
    const expected = difference(earlier, latest);
    for (const [title, key] of /** @type {[string, keyof typeof expected][]} */ ([
      ["Newly failing", "failing"],
      ["Recovered", "recovered"],
      ["Still failing", "still"],
      ["Gone", "gone"],
      ["New ?\\d", "added"],
    ])) {
      assert.ok(expected[key].length > 0, `nobody is ${key}`);
      assert.deepEqual(await linked(page, title), expected[key], title);
    }
  });

  test("the list has every report, the gate's word on each, and archives", async (t) => {
    const { page } = await open(t, { files, hash: "#/history" });
    const list = JSON.parse(files.get("/files.json") ?? "").files;
    await page.getByRole("button", { name: /Show all/ }).click();
    const table = page.getByRole("table").first();
    const rows = await table.locator("tbody tr").count();
    const written = list.filter((/** @type {{kind: string}} */ one) => one.kind === "report");
    assert.equal(rows, written.length);
    const held = written.filter((/** @type {any} */ one) => !one.report.published).length;
    assert.ok(held > 0);
    assert.equal(await table.getByText("held back").count(), held);
    assert.equal(await page.locator('a[href$=".tar.gz"]').count(), 2);
  });

  test("an earlier report opens in every view, which says that it is one", async (t) => {
    const { page } = await open(t, { files, hash: "#/history" });
    await page.locator(`a[href*="${name}"]`, { hasText: "open" }).first().click();
    await ready(page);
    await page.locator("#banner", { hasText: "report of" }).waitFor();
    // Rounded to the nearest by its decimals, which a double may lie just below.
    const thousandths = Math.round((earlier.metadata.dns_success_rate_percent ?? 0) * 1000);
    const rate = (Math.round(thousandths / 10) / 100).toFixed(2);
    await page.locator("main", { hasText: rate }).waitFor();
    // By the menu, as a reader would.
    await page.locator("nav").getByRole("link", { name: "Relays", exact: true }).click();
    await ready(page);
    assert.ok(page.url().includes(name), "the menu stays with the report");
    const count = await page.locator(".relay-count").innerText();
    assert.equal(Number(count.replace(/\D/g, "")), earlier.results.length);
    await page.getByRole("link", { name: /latest report/ }).click();
    await ready(page);
    assert.equal(await page.locator("#banner", { hasText: "report of" }).count(), 0);
  });

  test("a report that cannot be fetched is said, and the list stays", async (t) => {
    const list = JSON.parse(files.get("/files.json") ?? "").files;
    const gone = list.find(
      (/** @type {any} */ one) => one.kind === "report" && !files.has(`/${one.name}`),
    );
    const { page } = await open(t, {
      files,
      hash: `#/history?with=${gone.name}`,
      faults: { [`/${gone.name}`]: 404 },
    });
    await page.locator(".notice", { hasText: /no such file/i }).waitFor();
    assert.ok((await page.getByRole("table").first().locator("tbody tr").count()) > 100);
  });

  test("a name that no report has is never asked for", async (t) => {
    const { page, requests } = await open(t, { files, hash: "#/history?with=../../x.json" });
    await visit(page, "#/relays?report=https://elsewhere.invalid/x.json");
    assert.ok((await page.locator(".notice").count()) > 0);
    assert.ok(requests.every((one) => !/elsewhere|\/x\.json/.test(one)));
  });
});

describe("operators", () => {
  test("are those that the report names, worst first", async (t) => {
    const { page } = await open(t, { files, hash: "#/operators" });
    const groups = await page.locator("article.group").all();
    const expected = latest.failures_by_operator;
    assert.equal(groups.length, Math.min(25, expected.length));
    for (const [at, group] of groups.slice(0, 10).entries()) {
      const text = await group.innerText();
      const { failing, relays } = expected[at];
      assert.ok(text.includes(`${failing.length} of ${relays} relay`), text);
      if (failing.length <= 12) {
        const links = await group.locator(".relay-list a").all();
        const found = await Promise.all(links.map((one) => one.getAttribute("href")));
        assert.deepEqual(
          found.map((one) => /[0-9A-F]{40}/.exec(one ?? "")?.[0]).sort(),
          failing.toSorted(),
        );
      }
    }
  });

  test("by address, too, and every group is reached", async (t) => {
    const { page } = await open(t, { files, hash: "#/operators?by=address" });
    const all = Object.keys(latest.failures_by_ip);
    while (await page.getByRole("button", { name: "Show more" }).isVisible()) {
      await page.getByRole("button", { name: "Show more" }).click();
    }
    const names = await page.locator("article.group h2").allInnerTexts();
    assert.deepEqual(names.toSorted(), all.toSorted());
  });

  test("there is a mail to copy, which names each relay, its cause and what to look at", async (t) => {
    const { page, context } = await open(t, { files, hash: "#/operators" });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const at = latest.failures_by_operator.findIndex((one) => one.operator.startsWith("contact:"));
    const group = page.locator("article.group").nth(at);
    await group.getByText("A text for a mail").click();
    const text = await group.locator("textarea").inputValue();
    for (const print of latest.failures_by_operator[at].failing.slice(0, 50)) {
      assert.ok(text.includes(print));
    }
    assert.match(text, /#\/relay(?:s\?|\/)\S*report=dns_health_2026-11-23_03-15-30\.json/);
    await group.getByRole("button", { name: "Copy the text" }).click();
    await group.getByText(/copied/).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), text);
  });
});

describe("a relay's own page", () => {
  test("says what was asked, what came, every attempt, and what to check", async (t) => {
    const { page } = await open(t, { files });
    for (const { exit_fingerprint: print } of latest.failures.slice(0, 12)) {
      await visit(page, `#/relay/${print}`);
      const one = latest.results.find((found) => found.exit_fingerprint === print);
      assert.ok(one);
      const text = await page.locator("main").innerText();
      for (const wanted of [
        print,
        one.exit_nickname,
        one.exit_address,
        one.query_domain,
        one.error_code,
        one.error,
        one.relay.contact,
        one.relay.platform,
        ...one.attempts.flatMap((attempt) => [attempt.first_hop, attempt.queries[0]?.name]),
      ]) {
        if (wanted) assert.ok(text.includes(wanted), `${print}: ${wanted}`);
      }
      assert.equal(await page.locator("article.attempt").count(), one.attempts.length);
      assert.match(text, /should check/);
      const metrics = page.locator(
        `a[href="https://metrics.torproject.org/rs.html#details/${print}"]`,
      );
      assert.ok((await metrics.count()) >= 1);
      assert.match((await metrics.first().getAttribute("rel")) ?? "", /noopener/);
    }
  });

  test("of a relay that is not in this run says when it was seen", async (t) => {
    const absent = latest.absent[0];
    const { page } = await open(t, { files, hash: `#/relay/${absent.exit_fingerprint}` });
    const text = await page.locator("main").innerText();
    assert.match(text, /not in this run/i);
    assert.ok(text.includes(absent.last_seen.slice(0, 10)), text);
  });

  test("is found by a fingerprint in any case, as others link to it", async (t) => {
    const { exit_fingerprint: print, exit_nickname: nickname } = latest.results[7];
    const { page } = await open(t, { files, hash: `#/relay/${print.toLowerCase()}` });
    assert.equal(await page.locator("h1").innerText(), nickname);
  });
});
