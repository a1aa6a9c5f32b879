// Who resolves names for exits: the network's page, the way to the relays behind each figure, and a relay's
// own. What is expected is counted from the report itself.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { open, withBrowser } from "./support/browser.js";
import { site } from "./support/site.js";

withBrowser();

const { files, latest } = site({ relays: 120, runs: 12, dated: 2, others: 3 });
const { resolvers } = latest.metadata;

/** @type {(change: (report: any) => void) => Map<string, string>} */
const changed = (change) => {
  const report = structuredClone(latest);
  change(report);
  return new Map([...files, ["/latest.json", JSON.stringify(report)]]);
};

/** @type {(keep: (resolver: NonNullable<typeof latest.results[0]["resolver"]>) => boolean) => number} */
const relaysWith = (keep) =>
  latest.results.filter(({ resolver }) => resolver !== undefined && keep(resolver)).length;

describe("resolvers", () => {
  test("shares of kinds, services, abilities and networks, each with its relays", async (t) => {
    const { page } = await open(t, { files, hash: "#/resolvers" });
    const text = await page.locator("main").innerText();
    assert.match(text, new RegExp(`Known for ${resolvers.covered.relays} exits`));
    for (const title of [
      "Where the resolvers are",
      "Public resolvers",
      "What they can do",
      "By network",
      "Over time",
    ]) {
      assert.ok(await page.getByRole("heading", { name: title }).first().isVisible(), title);
    }
    const bars = page.locator(".bars").first().locator("li");
    assert.equal(await bars.count(), Object.keys(resolvers.kinds).length);
    const first = await bars.first().innerText();
    assert.match(first, new RegExp(`The relay itself[^]*${resolvers.kinds.local.relays} exits`));

    await page.getByRole("link", { name: "Google", exact: true }).click();
    const google = relaysWith(({ addresses }) => addresses.some((one) => one.public === "google"));
    await page.getByText(`${google} of ${latest.results.length}`).first().waitFor();
    await page.goBack();
    await page.getByRole("link", { name: /^AS15169/ }).click();
    await page.getByText("resolved by AS15169").waitFor();
    await page.getByText(`${google} of ${latest.results.length}`).first().waitFor();
    await page.goBack();
    await page.getByRole("link", { name: "Those that do not." }).click();
    const no = relaysWith(({ validates }) => validates.outcome === "no");
    await page.getByText(`${no} of ${latest.results.length}`).first().waitFor();
  });

  test("a relay's page says who answers for it, and what its operator declares", async (t) => {
    const known = latest.results.findIndex(({ resolver }) => resolver?.kind === "public");
    const { exit_fingerprint: fingerprint } = latest.results[known];
    const hostile = "\u202e<img src=x onerror=alert(1)>";
    const beside = changed(({ results }) => {
      const relay = results[known];
      relay.resolver.addresses[0].location.as_name = hostile;
      relay.resolver.declared = { locations: ["local", "sameas"], validates: true };
      relay.at_zone = { fate: "asked_late", asked: 3, first_within_ms: 2400 };
    });
    const { page } = await open(t, { files: beside, hash: `#/relay/${fingerprint}` });
    const part = page.locator("section", { hasText: "Who resolves its names" }).last();
    const text = await part.innerText();
    assert.match(text, /A public resolver/);
    assert.match(text, /on the relay’s host, then in its network; validates: yes/);
    assert.ok(!text.includes("\u202e"));
    assert.equal(await page.locator("main img").count(), 0);
    const at = await page.getByText(/the zone was asked when the exit had given up/).innerText();
    assert.match(at, /asked 3 times, first within 2/);
  });

  test("a report that knows of none says so, and damage is said", async (t) => {
    const none = changed((report) => {
      report.metadata.resolvers = undefined;
      report.resolver_networks = undefined;
      for (const one of report.results) one.resolver = undefined;
    });
    const { page } = await open(t, { files: none, hash: "#/resolvers" });
    await page.getByText("This report says nothing of resolvers.").waitFor();
    const damaged = changed((report) => {
      report.metadata.resolvers.covered = "all";
      report.resolver_networks[0].share = 7;
    });
    const other = await open(t, { files: damaged, hash: "#/overview" });
    await other.page.getByText("“resolvers.covered” of the run’s own figures").waitFor();
  });
});
