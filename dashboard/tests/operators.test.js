// Operators first: whom to write to, and what; is it the same ones each week; what happened in a run,
// and to whom; how much bandwidth, in which country and network. Each by a few steps from the overview.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { open, ready, visit, withBrowser } from "./support/browser.js";
import { countryOf, difference, failsWeekly, isFact, outagesOf } from "./support/expect.js";
import { datedName, FAILING } from "./support/report.js";
import { site } from "./support/site.js";

/** @import { Page } from "playwright-core" */
/** @import { Result } from "./support/report.js" */

withBrowser();

const { files, latest, reports } = site({ relays: 600, runs: 120, others: 30 });

/** @type {(list: readonly Result[]) => number} */
const weightOf = (list) => list.reduce((sum, one) => sum + one.relay.bandwidth.consensus_weight, 0);
const whole = weightOf(latest.results);

/**
 * The relays by a key.
 * @param {(one: Result) => string} key
 * @returns {Map<string, Result[]>}
 */
function by(key) {
  /** @type {Map<string, Result[]>} */
  const found = new Map();
  for (const one of latest.results) found.set(key(one), [...(found.get(key(one)) ?? []), one]);
  return found;
}

/**
 * The keys of the groups that are shown, in their order; all of them.
 * @param {Page} page
 * @returns {Promise<string[]>}
 */
async function shownGroups(page) {
  const more = page.getByRole("button", { name: "Show more" });
  while ((await more.count()) > 0 && (await more.isVisible())) await more.click();
  return page.evaluate(() =>
    [...document.querySelectorAll(".group-list > li")].map(
      (one) => /** @type {HTMLElement} */ (one).dataset.key ?? "",
    ),
  );
}

describe("whom do I write to today, and what?", () => {
  test("the overview names them, the operator's page has the text: two steps", async (t) => {
    const { page } = await open(t, { files });
    const facts = [...by((one) => one.operator)]
      .map(([operator, all]) => ({ operator, all, told: all.filter(isFact) }))
      .filter(({ told }) => told.length > 0)
      .sort((a, b) => b.told.length - a.told.length || weightOf(b.told) - weightOf(a.told));
    const [first] = facts;
    const card = page.locator("section.card", {
      has: page.getByRole("heading", { name: /^Whom to write to/ }),
    });
    assert.equal(await card.locator(".badge").innerText(), String(facts.length));
    await card.locator("li a").first().click();
    await page.waitForURL((url) =>
      decodeURIComponent(url.hash).startsWith(`#/operator/${first.operator}`),
    );
    await ready(page);
    await page.getByText("A text for a mail").click();
    const text = await page.locator(".mail textarea").inputValue();
    for (const one of first.told) assert.ok(text.includes(one.exit_fingerprint));
    const others = latest.results.filter((one) => one.operator !== first.operator);
    assert.ok(others.every((one) => !text.includes(one.exit_fingerprint)));
  });
});

describe("the domain that a contact names", () => {
  test("is said to be proved where it is, on the pages of operator and relay", async (t) => {
    const one = latest.results.find((relay) => relay.domain?.proved);
    assert.ok(one?.domain);
    const { page } = await open(t, {
      files,
      hash: `#/operator/${encodeURIComponent(one.operator)}`,
    });
    const text = await page.locator("main").innerText();
    assert.match(text, /that is proved/);
    assert.match(
      text,
      new RegExp(`${one.domain.name.replaceAll(".", "\\.")}, proved for \\d+ relay`),
    );
    await visit(page, `#/relay/${one.exit_fingerprint}`);
    await ready(page);
    const relay = await page.locator("main").innerText();
    assert.match(relay, new RegExp(`${one.domain.name.replaceAll(".", "\\.")} – proved`));
  });

  test("is said not to be where it is not, and why", async (t) => {
    const one = latest.results.find((relay) => relay.domain?.proved === false);
    assert.ok(one?.domain);
    const { page } = await open(t, {
      files,
      hash: `#/operator/${encodeURIComponent(one.operator)}`,
    });
    const text = await page.locator("main").innerText();
    assert.match(text, /not proved: anybody can write that/);
    await visit(page, `#/relay/${one.exit_fingerprint}`);
    await ready(page);
    const relay = await page.locator("main").innerText();
    assert.match(
      relay,
      /not proved: anybody can write that\. Last check: .*does not have this relay/,
    );
  });
});

describe("an operator's page", () => {
  const byCount = [...by((one) => one.operator)].sort((a, b) => b[1].length - a[1].length);
  const [operator, own] = byCount.find(([key]) => key.startsWith("contact:")) ?? byCount[0];
  const hash = `#/operator/${encodeURIComponent(operator)}`;

  test("has its relays, causes, addresses, weight, recurrence, and what its name is worth", async (t) => {
    const { page } = await open(t, { files, hash });
    const text = await page.locator("main").innerText();
    const failing = own.filter((one) => FAILING.has(one.status));
    assert.ok(text.includes(`${failing.length} of ${own.length} relays`), text);
    assert.match(text, /Nothing proves it/);
    const outages = own.reduce((sum, one) => sum + outagesOf(one.recent), 0);
    assert.match(text, new RegExp(`Outages\\s+${outages} in the last 60 runs`));
    const share = ((weightOf(own) / whole) * 100).toFixed(1);
    assert.ok(text.includes(`${share} % of all weight`), `${share}: ${text}`);
    for (const one of failing) assert.ok(text.includes(one.exit_nickname));
    const list = page.locator("section.card", {
      has: page.getByRole("heading", { name: "Their addresses" }),
    });
    const more = list.getByRole("button", { name: /^Show all/ });
    if (await more.isVisible()) await more.click();
    const addresses = new Set(own.map((one) => one.exit_address));
    assert.equal(await list.locator("li").count(), addresses.size);
    for (const one of addresses) assert.ok((await list.innerText()).includes(one));
    await page.getByRole("link", { name: `all ${own.length} relays` }).click();
    await page.locator(".relay-count", { hasText: new RegExp(`^${own.length} of`) }).waitFor();
  });

  test("a bar of its runs leads to the operator in that run, by click and by the table", async (t) => {
    const { page } = await open(t, { files, hash });
    const strip = page.locator(".strip-large");
    const box = await strip.boundingBox();
    assert.ok(box);
    const name = datedName(reports[1].metadata.timestamp);
    await page.mouse.move(box.x + (box.width * 58.5) / 60, box.y + box.height / 2);
    const failed = own.filter((one) => "wdt".includes(one.recent.at(-2) ?? "-")).length;
    const tested = own.filter((one) => "swdt".includes(one.recent.at(-2) ?? "-")).length;
    assert.match(
      await strip.locator("title").innerHTML(),
      new RegExp(`${failed} of ${tested} failed$`),
    );
    await page.mouse.click(box.x + (box.width * 58.5) / 60, box.y + box.height / 2);
    await page.waitForURL((url) => url.hash.includes(name));
    await ready(page);
    assert.ok(decodeURIComponent(page.url()).includes(`#/operator/${operator}`));
    await page.getByText("The runs as a table").click();
    await page
      .locator(".history")
      .getByRole("link", { name: reports[0].metadata.timestamp.slice(0, 16).replace("T", " ") })
      .click();
    await page.waitForURL((url) => url.hash.includes(datedName(reports[0].metadata.timestamp)));
  });

  test("is reached from each of its relays, and says so where it is gone", async (t) => {
    const { page } = await open(t, { files, hash: `#/relay/${own[0].exit_fingerprint}` });
    await page
      .locator(".facts")
      .getByRole("link", { name: operator.replace(/^\w+:/, "") })
      .click();
    await page.waitForURL(/operator/);
    await visit(page, "#/operator/contact%3Anobody%3Cb%3E");
    await page.locator(".notice", { hasText: "no relay of this operator" }).waitFor();
  });
});

describe("the list of operators", () => {
  test("is sorted by weight, duration and recurrence; confirmed only", async (t) => {
    const { page } = await open(t, { files, hash: "#/operators" });
    const groups = [...by((one) => one.operator)].map(([key, all]) => ({
      key,
      all,
      failing: all.filter((one) => FAILING.has(one.status)),
    }));
    const failing = groups.filter((one) => one.failing.length > 0);
    /** @type {Record<string, (one: typeof groups[number]) => number>} */
    const keys = {
      weight: (one) => weightOf(one.failing),
      duration: (one) => Math.max(...one.failing.map((each) => each.consecutive_failures)),
      recurrence: (one) =>
        one.all.reduce((sum, each) => sum + outagesOf(each.recent), 0) / one.all.length,
    };
    for (const [name, key] of Object.entries(keys)) {
      await page.getByRole("combobox", { name: "Sorted by" }).selectOption(name);
      await page.waitForURL((url) => url.hash.includes(`sort=${name}`));
      const found = await shownGroups(page);
      const values = found.map((one) => {
        const group = failing.find((each) => each.key === one);
        assert.ok(group);
        return key(group);
      });
      assert.equal(found.length, failing.length);
      assert.deepEqual(
        values,
        values.toSorted((a, b) => b - a),
        name,
      );
    }
    await page.getByRole("checkbox", { name: "confirmed only" }).check();
    await page.waitForURL(/confirmed=yes/);
    const told = groups.filter((one) => one.all.some(isFact)).map((one) => one.key);
    assert.deepEqual((await shownGroups(page)).sort(), told.sort());
  });

  test("how much bandwidth, in which country, in which network", async (t) => {
    const { page } = await open(t, { files, hash: "#/operators" });
    for (const [words, key] of /** @type {[string, (one: Result) => string][]} */ ([
      ["By country", (one) => countryOf(one) ?? ""],
      ["By network", (one) => String(one.location?.as_number ?? "")],
    ])) {
      await page.getByRole("link", { name: words }).click();
      await page.locator(".choice[aria-current]", { hasText: words }).waitFor();
      const expected = [...by(key)].filter(([, all]) => all.some((one) => FAILING.has(one.status)));
      assert.deepEqual((await shownGroups(page)).sort(), expected.map(([one]) => one).sort());
      const [[first, all]] = expected;
      const weight = weightOf(all.filter((one) => FAILING.has(one.status)));
      const text = await page.locator(`li[data-key="${first}"] .group-figures`).innerText();
      const said = Number(/([\d.]+) % of all weight/.exec(text)?.[1]);
      assert.ok(Math.abs(said - (weight / whole) * 100) < 0.051, `${text} ${weight / whole}`);
      await page.locator("p", { hasText: "Networks and countries" }).waitFor();
    }
  });
});

describe("is it the same ones each week?", () => {
  test("the overview says how many of this week's failed last week, and who: one step", async (t) => {
    const { page } = await open(t, { files });
    const now = latest.results.filter((one) => /[wdt]/.test(one.recent.slice(-28)));
    const both = now.filter((one) => /[wdt]/.test(one.recent.slice(-56, -28)));
    const card = page.locator("section.card", {
      has: page.getByRole("heading", { name: /^The same ones every week/ }),
    });
    const text = await card.innerText();
    assert.ok(text.includes(`${now.length} exits failed within the last 7 days`), text);
    assert.ok(text.includes(`${both.length} of them in both`), text);
    await card.getByRole("link", { name: "All that fail every week" }).click();
    await page.waitForURL(/again=weeks/);
    await ready(page);
    const weekly = latest.results.filter((one) => failsWeekly(one.recent));
    assert.ok(weekly.length > 2);
    assert.deepEqual(
      (await shownGroups(page)).sort(),
      [...new Set(weekly.map((one) => one.operator))].sort(),
    );
    await visit(page, "#/relays?again=weeks");
    await page.locator(".relay-count", { hasText: new RegExp(`^${weekly.length} of`) }).waitFor();
  });
});

describe("how long a week is", () => {
  test("is told by the trends, also where the run before was missed", async (t) => {
    const missed = structuredClone(latest);
    const before = Date.parse(latest.metadata.timestamp) - 12 * 3600 * 1000;
    missed.metadata.previous.report.timestamp = new Date(before).toISOString();
    const own = new Map(files).set("/latest.json", JSON.stringify(missed));
    const { page } = await open(t, { files: own });
    const now = latest.results.filter((one) => /[wdt]/.test(one.recent.slice(-28)));
    await page
      .locator("section.card", { hasText: `${now.length} exits failed within the last 7 days` })
      .waitFor();
  });
});

describe("what happened in a run?", () => {
  const expected = difference(reports[1], latest);

  /**
   * The relays of a list.
   * @param {Page} page
   * @param {string} title
   */
  async function listed(page, title) {
    const card = page.locator("section.card", {
      has: page.getByRole("heading", { name: new RegExp(`^${title}`) }),
    });
    for (;;) {
      const more = card.getByRole("button", { name: /^Show all/ }).first();
      if ((await more.count()) === 0 || !(await more.isVisible())) break;
      await more.click();
    }
    const links = await card.locator(".relay-list a").all();
    const found = await Promise.all(links.map((one) => one.getAttribute("href")));
    return found.map((one) => /[0-9A-F]{40}/.exec(one ?? "")?.[0] ?? "").sort();
  }

  test("who newly fails, recovered, came and went, by operator, network, country, cause", async (t) => {
    const { page } = await open(t, { files });
    await page.getByRole("link", { name: /Who changed in this run/ }).click();
    await page.waitForURL(/changes/);
    await ready(page);
    for (const words of ["By operator", "By network", "By country", "By cause", "By address"]) {
      const link = page.getByRole("link", { name: words });
      if ((await link.count()) > 0) await link.click();
      await ready(page);
      assert.deepEqual(await listed(page, "Newly failing"), expected.failing, words);
      assert.deepEqual(await listed(page, "Recovered"), expected.recovered, words);
    }
    assert.deepEqual(await listed(page, "New$|^New\\d"), expected.added);
    assert.deepEqual(await listed(page, "Gone"), expected.gone);
  });

  test("of an earlier run, from a point of a chart: the same, as it was then", async (t) => {
    const { page } = await open(t, { files, hash: "#/trends?range=day" });
    const plot = page.locator(".plot").first();
    await plot.locator("canvas").waitFor();
    await plot.focus();
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => url.hash.includes(datedName(reports[1].metadata.timestamp)));
    await ready(page);
    await page.getByRole("link", { name: /Who changed in this run/ }).click();
    await page.waitForURL(/changes/);
    await ready(page);
    const then = difference(reports[0], reports[1]);
    assert.deepEqual(await listed(page, "Newly failing"), then.failing);
  });
});
