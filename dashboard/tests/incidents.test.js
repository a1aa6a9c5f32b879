// What fails together: the list, an incident's page, the way from a notice, and files that are damaged
// or hostile.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { open, withBrowser } from "./support/browser.js";
import { site } from "./support/site.js";

withBrowser();

const { files, latest } = site({ relays: 60, runs: 20, others: 5 });
const [relay] = latest.results;

/** @type {(id: string, more?: object) => object} */
const incident = (id, more = {}) => ({
  id,
  subject: { kind: "operator", operator: relay.operator },
  since: "2026-11-20T00:00:00Z",
  opened: "2026-11-20T06:00:00Z",
  closed: null,
  reopened: 0,
  relays: {
    [relay.exit_fingerprint]: {
      nickname: "<img src=x onerror=alert(1)>\u202e",
      address: "192.0.2.7",
      since: "2026-11-20T00:00:00Z",
      failed: 4,
      causes: { SERVFAIL: 4 },
      weight_ppm: 12_500,
      network: null,
      tested: "2026-11-20T18:00:00Z",
      worked: 0,
      working_since: null,
      left: null,
    },
  },
  detail: null,
  gone: false,
  ...more,
});

/** @type {(incidents: readonly object[]) => Map<string, string>} */
const beside = (incidents) => {
  const format = { name: "exit-validator/incidents", version: 1 };
  return new Map([...files, ["/incidents.json", JSON.stringify({ format, incidents })]]);
};

const OVER = { closed: "2026-11-21T00:00:00Z", opened: "2026-11-19T00:00:00Z" };
const ZONE = { subject: { kind: "zone" }, relays: {} };

describe("incidents", () => {
  test("the open ones and those that are over, and from one to its exits and its operator", async (t) => {
    const all = [
      incident("2026-11-20-0123abcd"),
      incident("2026-11-19-00000001", { ...OVER, ...ZONE }),
    ];
    const { page } = await open(t, { files: beside(all), hash: "#/incidents" });
    const tables = page.locator("main table");
    assert.equal(await tables.count(), 2);
    assert.match(await tables.nth(1).innerText(), /zone of the validator itself/);
    await tables.nth(0).getByRole("link").click();
    await page.waitForURL(/#\/incident\/2026-11-20-0123abcd$/);
    const main = page.locator("main");
    const text = await main.innerText();
    for (const word of [
      "2026-11-20-0123abcd",
      "192.0.2.7",
      "open",
      "<img src=x",
      "Their share of all exits’ weight",
    ]) {
      assert.ok(text.includes(word), `${word}: ${text}`);
    }
    await main.getByRole("link", { name: /operator’s page/ }).click();
    await page.waitForURL(/#\/operator\//);
    assert.equal(await page.locator("main img").count(), 0);
  });

  test("an incident that is not known, and a list that is damaged or missing", async (t) => {
    const damaged = [incident("2026-11-20-0123abcd"), incident("no id"), incident("../../x")];
    const { page } = await open(t, {
      files: beside(damaged),
      hash: "#/incident/2026-01-01-00000000",
    });
    assert.match(await page.locator("main").innerText(), /There is no such incident/);
    await page.evaluate(() => {
      location.hash = "#/incidents";
    });
    await page.getByText("Entries that are no incidents, or have no id: 2.").waitFor();
    const none = new Map([...files].filter(([path]) => path !== "/incidents.json"));
    const without = await open(t, { files: none, hash: "#/incidents" });
    assert.match(await without.page.locator("main").innerText(), /There is no such file/);
  });
});
