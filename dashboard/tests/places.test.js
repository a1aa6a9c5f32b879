// How much bandwidth, in which country, which network?

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { readReport } from "../../public/js/data/report.js";
import { depthOf, PLACE_SORTS, places, sortPlaces } from "../../public/js/model/places.js";
import { COLUMNS, HEIGHT, TILES } from "../../public/js/model/tiles.js";
import { open, visit, withBrowser } from "./support/browser.js";
import { site } from "./support/site.js";

withBrowser();

const { files, latest } = site({ relays: 600, runs: 60, dated: 1, others: 5 });

const [like] = readReport(JSON.stringify(latest)).relays;

test("each country has a tile of its own, inside the map", () => {
  assert.equal(new Set(TILES.map(({ country }) => country)).size, TILES.length);
  assert.equal(new Set(TILES.map(({ column, row }) => `${column} ${row}`)).size, TILES.length);
  for (const { country, column, row } of TILES) {
    assert.match(country, /^[a-z]{2}$/);
    assert.ok(column < COLUMNS && row < HEIGHT, country);
    // What is no country has no name.
    const name = new Intl.DisplayNames(["en"], { type: "region" }).of(country.toUpperCase());
    assert.notEqual(name, country.toUpperCase());
  }
  const at = (/** @type {string} */ code) => TILES.find(({ country }) => country === code);
  for (const [west, east] of [
    ["us", "gb"],
    ["fr", "de"],
    ["de", "pl"],
    ["de", "ru"],
  ]) {
    assert.ok((at(west)?.column ?? 99) < (at(east)?.column ?? 0), `${west} is west of ${east}`);
  }
  for (const [north, south] of [
    ["se", "it"],
    ["de", "za"],
    ["us", "br"],
  ]) {
    assert.ok((at(north)?.row ?? 99) < (at(south)?.row ?? 0), `${north} is north of ${south}`);
  }
});

test("the places are all relays, whatever is known of them", () => {
  const relay = fc.record({
    country: fc.option(fc.constantFrom("de", "us", "zz")),
    weight: fc.option(fc.nat(1000)),
    status: fc.constantFrom("success", "timeout", "circuit_fail"),
  });
  fc.assert(
    fc.property(fc.array(relay, { minLength: 1, maxLength: 30 }), (some) => {
      const relays = some.map((one) => ({ ...like, ...one }));
      const found = places(relays, "country");
      assert.equal(
        found.reduce((sum, { exits }) => sum + exits, 0),
        relays.length,
      );
      const shares = found.reduce((sum, { weight }) => sum + (weight ?? 0), 0);
      const none = relays.every(({ weight }) => !weight);
      assert.ok(Math.abs(shares - (none ? 0 : 100)) < 1e-6);
      for (const sort of PLACE_SORTS) {
        const sorted = sortPlaces(found, sort, ({ group }) => group.key);
        assert.equal(sorted.length, found.length);
        for (const [i, place] of sorted.entries()) {
          const before = sorted[i - 1];
          if (before === undefined) continue;
          if (sort === "name") assert.ok(before.group.key <= place.group.key);
          else assert.ok((before[sort] ?? 0) >= (place[sort] ?? 0), sort);
        }
      }
      for (const place of found) assert.ok([0, 1, 2, 3, 4].includes(depthOf(place)));
    }),
  );
});

describe("the page of places", () => {
  test("says how much each country carries and how much of it fails: one step; its exits: two", async (t) => {
    const { page } = await open(t, { files });
    await page.locator("#menu").getByRole("link", { name: "Places" }).click();
    const rows = page.locator("table tbody tr");
    await rows.first().waitFor();
    const { results } = latest;
    const sum = (/** @type {typeof results} */ some) =>
      some.reduce((all, { relay }) => all + (relay.bandwidth.consensus_weight ?? 0), 0);
    const code = (/** @type {(typeof results)[number]} */ one) =>
      one.location?.country ?? one.relay.country;
    const countries = new Set(results.map(code));
    const heaviest = [...countries]
      .map((country) => results.filter((one) => code(one) === country))
      .sort((a, b) => sum(b) - sum(a))[0];
    const share = ((sum(heaviest) / sum(results)) * 100).toFixed(1);
    const first = await rows.first().innerText();
    assert.ok(first.includes(`${share} %`), `${first} has ${share} %`);
    assert.ok(first.includes(String(heaviest.length)));
    // The map says the same.
    const name = await rows.first().locator("th").innerText();
    const tile = page.locator(`.place-map a[aria-label*=", ${name}: "]`);
    assert.ok((await tile.getAttribute("aria-label"))?.includes(`${share} % of all weight`));
    await tile.click();
    await page.locator(".relay-count", { hasText: String(heaviest.length) }).waitFor();
  });

  test("is sorted by each column, and leads to what fails", async (t) => {
    const { page } = await open(t, { files, hash: "#/places?by=network" });
    await page.locator("th a", { hasText: /^Failing$/ }).click();
    const sorted = page.locator('th[aria-sort="descending"]');
    assert.equal(await sorted.innerText(), "Failing");
    const cells = page.locator("tbody tr td:nth-of-type(3)");
    const counts = (await cells.allInnerTexts()).map(Number);
    assert.deepEqual(
      counts,
      counts.toSorted((a, b) => b - a),
    );
    assert.ok(counts[0] > 0);
    await cells.first().locator("a").click();
    await page.locator(".relay-count", { hasText: String(counts[0]) }).waitFor();
    // The address has it all: going back shows the same.
    await page.goBack();
    await sorted.waitFor();
    await visit(page, "#/places?by=network&sort=name");
    assert.equal(await page.locator('th[aria-sort="ascending"]').count(), 1);
  });
});
