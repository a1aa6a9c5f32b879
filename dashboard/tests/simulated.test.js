// Data that no network stands behind is marked as such on every page, and other data is not.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { serve } from "../serve.js";
import { theBrowser, VIEWS, withBrowser } from "./support/browser.js";
import { site } from "./support/site.js";

withBrowser();

test("every page of a simulated world says so, also without scripts", async (t) => {
  const data = await mkdtemp(join(tmpdir(), "simulated-"));
  const { files, latest } = site({ relays: 60, runs: 60, others: 5 });
  for (const [path, text] of files) await writeFile(join(data, path), text);
  const server = await serve({ data });
  const context = await theBrowser().newContext({ viewport: { width: 320, height: 700 } });
  t.after(async () => {
    await context.close();
    await server.close();
    await rm(data, { recursive: true });
  });
  const page = await context.newPage();
  const mark = page.locator("p.simulated");
  await page.goto(server.url);
  await page.locator("main h2").first().waitFor();
  assert.equal(await mark.count(), 0, "a network's own data has no mark");

  await writeFile(join(data, "SIMULATED"), "");
  const relay = `#/relay/${latest.failures[0].exit_fingerprint}`;
  for (const hash of [...VIEWS, relay, "#/operators?by=network", "#/changes"]) {
    await page.goto(server.url + hash);
    await page.reload();
    await page.locator("main h1").first().waitFor();
    assert.match(await mark.innerText(), /^Simulated\. No relay/, hash);
    assert.ok(await mark.isVisible(), hash);
    const box = await mark.boundingBox();
    assert.ok(box && box.y < 400, `${hash}: above the view`);
  }
  const plain = await theBrowser().newContext({ javaScriptEnabled: false });
  const without = await plain.newPage();
  await without.goto(server.url);
  assert.ok(await without.locator("p.simulated").isVisible());
  await writeFile(join(data, "summary.html"), "<!DOCTYPE html><main><h1>x</h1></main></html>\n");
  await without.goto(`${server.url}summary.html`);
  assert.match(await without.locator("p.simulated").innerText(), /^Simulated\. No relay/);
  await plain.close();
});
