// The figures beside a verdict, where a reader looks for them: how often lookups fail, with the
// interval; which exits are degraded, and what to do; in which network and country they are, and whose
// data that is.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { open, ready, visit, withBrowser } from "./support/browser.js";
import { countryOf, shown } from "./support/expect.js";
import { lab } from "./support/published.js";
import { datedName } from "./support/report.js";
import { site } from "./support/site.js";

withBrowser();

const { files, latest, reports } = site({ relays: 500, runs: 120, others: 30 });
const lookups = latest.metadata.lookup_failure;
assert.ok(lookups);
const degraded = latest.results.filter((one) => one.degraded === true);
const [shaky] = degraded;

/** Rounded as the page rounds it. @type {(n: number) => string} */
const near = (n) => (n < 1 ? String(Number(n.toFixed(2))) : n < 10 ? n.toFixed(1) : n.toFixed(0));

/** @type {(rate: {low_percent: number, high_percent: number}) => string} */
const interval = ({ low_percent, high_percent }) =>
  `${near(low_percent)} to ${near(high_percent)} %`;

describe("how often lookups fail", () => {
  test("in the network: on the overview with its interval, and over time with each run's", async (t) => {
    const { page } = await open(t, { files });
    const card = page.locator(".card.figure", { hasText: "Lookups that fail" });
    assert.ok((await card.innerText()).includes(near(lookups.percent)), await card.innerText());
    assert.ok((await card.innerText()).includes(interval(lookups)), await card.innerText());
    await card.getByRole("link").click();
    await page.waitForURL(/trends/);
    await ready(page);
    const chart = page.locator(".chart", { hasText: "Lookups that fail" });
    await chart.locator("canvas").waitFor();
    await chart.getByText("The figures as a table").click();
    const row = chart.locator("tr", {
      hasText: reports[1].metadata.timestamp.slice(0, 16).replace("T", " "),
    });
    const earlier = reports[1].metadata.lookup_failure;
    assert.ok(earlier);
    for (const end of [earlier.percent, earlier.low_percent, earlier.high_percent]) {
      assert.ok((await row.innerText()).includes(near(end)), `${end}: ${await row.innerText()}`);
    }
  });

  test("at a relay: within 7 and 30 days, with the intervals and what they mean", async (t) => {
    const { page } = await open(t, { files, hash: `#/relay/${shaky.exit_fingerprint}` });
    const card = page.locator("section.card", { hasText: "How often a lookup fails" });
    const text = await card.innerText();
    for (const rate of [shaky.failure_rate_7d, shaky.failure_rate_30d]) {
      assert.ok(rate);
      assert.ok(text.includes(`${rate.failed} of ${rate.asked} lookups`), text);
      assert.ok(text.includes(interval(rate)), text);
    }
    assert.match(text, /95 times of 100/);
    assert.match(text, /what the operator should check/);
  });

  test("a report from before them says nothing of them, and nothing is wrong", async (t) => {
    const published = await lab();
    const { page } = await open(t, { files: published });
    assert.equal(await page.locator(".card.figure", { hasText: "Lookups that fail" }).count(), 0);
    assert.equal(await page.locator(".card", { hasText: "Degraded" }).count(), 0);
    await visit(page, "#/trends?range=all");
    assert.doesNotMatch(await page.locator("main").innerText(), /NaN|undefined|null/);
    await visit(page, "#/relays");
    assert.doesNotMatch(await page.locator("main").innerText(), /Networks and countries/);
  });
});

describe("degraded exits", () => {
  test("are on the overview, a filter, a column, and told apart from healthy ones", async (t) => {
    const { page } = await open(t, { files });
    assert.ok(degraded.length > 1);
    await page.getByRole("link", { name: /exits are degraded/ }).click();
    await page.waitForURL(/state=degraded/);
    await page.locator(".relay-count", { hasText: new RegExp(`^${degraded.length} of`) }).waitFor();
    assert.deepEqual(
      shown(latest, { state: "degraded" }),
      degraded.map((one) => one.exit_fingerprint),
    );
    const rows = page.locator(".grid-body .grid-row:not([hidden])");
    for (const row of await rows.all()) {
      assert.match(await row.locator(".c-state").innerText(), /Degraded/);
      assert.match(await row.locator(".c-lookups").innerText(), /^\d.* % \(.*–.*\)$/);
    }
    await rows.first().getByRole("link").click();
    await ready(page);
    assert.match(await page.locator("main").innerText(), /pass by a second attempt alone/);
  });
});

describe("where an exit is", () => {
  test("its page says network and country, which lead to the others there", async (t) => {
    const one = latest.results.find((each) => (each.location?.as_name ?? "").includes("<b>"));
    const { page } = await open(t, { files, hash: `#/relay/${one?.exit_fingerprint}` });
    await page.locator("main", { hasText: "AS64497 AMBER-AS <b>" }).waitFor();
    await page.getByRole("link", { name: "AS64497", exact: true }).click();
    await page.waitForURL(/network=64497/);
    const all = shown(latest, { network: "64497" }).length;
    await page.locator(".relay-count", { hasText: new RegExp(`^${all} of`) }).waitFor();
    const other = latest.results.find(
      (each) => each.location?.country && each.location.country !== each.relay.country,
    );
    assert.ok(other?.relay.country);
    const names = new Intl.DisplayNames(["en"], { type: "region" });
    await visit(page, `#/relay/${other.exit_fingerprint}`);
    const text = await page.locator("main").innerText();
    assert.ok(text.includes(names.of((countryOf(other) ?? "").toUpperCase()) ?? "?"));
    assert.ok(text.includes(`${names.of(other.relay.country.toUpperCase())}, says tor`), text);
  });

  test("every page that shows it says whose data it is, of when, and if it was old", async (t) => {
    const opened = await open(t, { files });
    const { page } = opened;
    const pages = ["#/relays", `#/relay/${shaky.exit_fingerprint}`, "#/about"];
    const { date, attribution } = latest.metadata.locations;
    for (const hash of pages) {
      await visit(page, hash);
      const said = page.locator("p", { hasText: "Networks and countries: " }).last();
      const text = await said.innerText();
      assert.ok(text.includes(attribution), `${hash}: ${text}`);
      assert.ok(text.includes(date.slice(0, 10)), `${hash}: ${text}`);
      assert.doesNotMatch(text, /old/);
    }
    const old = structuredClone(latest);
    const changed = { ...old.metadata.locations, old: true };
    const text = JSON.stringify({
      ...old,
      metadata: { ...old.metadata, locations: changed },
    });
    await opened.again({ files: new Map(files).set("/latest.json", text), hash: "#/relays" });
    await page.locator("p", { hasText: "which was old when the run was made" }).waitFor();
  });
});

describe("the columns of the table", () => {
  test("are the reader's choice, at every width, and the address says it", async (t) => {
    const { page, server } = await open(t, { files, hash: "#/relays", width: 1280 });
    await page.getByText("Columns", { exact: true }).click();
    for (const [name, key] of [
      ["Operator", "operator"],
      ["Network", "network"],
      ["Address", "address"],
    ]) {
      await page.getByRole("checkbox", { name, exact: true }).check();
      await page.locator(`.grid-body .c-${key}`).first().waitFor({ state: "visible" });
    }
    await page.getByRole("checkbox", { name: "Cause", exact: true }).uncheck();
    // The address follows a moment after the choice: the last one is waited for.
    await page.waitForURL((url) => /columns=/.test(url.hash) && !url.hash.includes("cause"));
    await page.keyboard.press("Escape");
    const hash = new URL(page.url()).hash;
    for (const width of [360, 1280, 2560]) {
      await page.setViewportSize({ width, height: 800 });
      await page.goto(server.url + hash);
      await page.reload();
      await ready(page);
      await page.locator(".grid-body .c-operator").first().waitFor({ state: "visible" });
      assert.equal(await page.locator(".grid-headrow .c-cause").first().isVisible(), false);
      const wide = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      assert.ok(wide <= 0, `the page is wider than ${width}`);
    }
    // What was searched for is there beside what was chosen; clearing leaves the columns.
    await page.getByRole("searchbox").fill("64496");
    await page.locator(".grid-body .c-why").first().waitFor({ state: "visible" });
    await page.getByRole("button", { name: "Clear" }).click();
    await page.locator(".grid-body .c-why").first().waitFor({ state: "hidden" });
    await page.locator(".grid-body .c-operator").first().waitFor({ state: "visible" });
    await page.getByText("Columns", { exact: true }).click();
    await page.getByRole("button", { name: "As many as there is room for" }).click();
    await page.locator(".grid-body .c-cause").first().waitFor({ state: "visible" });
    await page.waitForURL((url) => !url.hash.includes("columns"));
  });

  test("a choice that names none is no choice", async (t) => {
    const { page } = await open(t, { files, hash: "#/relays?columns=nonsense,%3Cb%3E" });
    await page.locator(".grid-body .c-cause").first().waitFor({ state: "visible" });
    await visit(page, `#/relays?columns=state&report=${datedName(latest.metadata.timestamp)}`);
    await page.locator(".grid-body .c-state").first().waitFor({ state: "visible" });
    assert.equal(await page.locator(".grid-body .c-cause").first().isVisible(), false);
  });
});
