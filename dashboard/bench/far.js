// The built pages beside the plain sources where the way is long, as through Tor: a round trip of
// 600 ms, 1 Mbit/s, HTTP/1.1. When the overview's first figures are seen, on a first and on a second
// visit, and how many files each asks for.
//
// node bench/far.js [--rounds N] [--relays N]

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { chromium as playwright } from "playwright-core";
import { build } from "../build.js";
import { chromium, flags } from "../lib/chromium.js";
import { serve } from "../serve.js";
import { site } from "../tests/support/site.js";
import { watchPaints } from "./measure.js";

/** @import { Browser } from "playwright-core" */
/** @import { Server } from "../serve.js" */

/** A way through Tor: so long for each request, and so many bytes a second. */
export const WAY = Object.freeze({ latency: 600, bytesPerSecond: 125_000 });

/** The visits, in their order. */
const VISITS = /** @type {const} */ (["first", "second"]);

/**
 * What was seen of one visit.
 * @typedef {object} Visit
 * @property {number} figures milliseconds until the first figures are painted
 * @property {string[]} asked the requests until then
 */

/**
 * A first and a second visit of one reader.
 * @param {Browser} browser
 * @param {Server} server
 * @returns {Promise<Record<(typeof VISITS)[number], Visit>>}
 */
export async function visits(browser, server) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(120_000);
    await page.addInitScript(watchPaints, ".card-value");
    const devtools = await context.newCDPSession(page);
    await devtools.send("Network.enable");
    await devtools.send("Network.emulateNetworkConditions", {
      offline: false,
      latency: WAY.latency,
      downloadThroughput: WAY.bytesPerSecond,
      uploadThroughput: WAY.bytesPerSecond,
    });
    /** @type {Partial<Record<(typeof VISITS)[number], Visit>>} */
    const found = {};
    for (const visit of VISITS) {
      const before = server.asked.length;
      await page.goto(server.url, { waitUntil: "commit" });
      await page.waitForFunction(() => globalThis.__notes?.useful > 0);
      found[visit] = {
        figures: await page.evaluate(() => globalThis.__notes.useful),
        asked: server.asked.slice(before),
      };
      // What is asked for after the figures is a part of the first visit.
      await page.waitForLoadState("networkidle");
      await page.goto("about:blank");
    }
    return /** @type {Record<(typeof VISITS)[number], Visit>} */ (found);
  } finally {
    await context.close();
  }
}

/** @type {(numbers: number[]) => number} */
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

/**
 * @param {number} rounds
 * @param {number} relays
 */
async function main(rounds, relays) {
  const out = await mkdtemp(join(tmpdir(), "built-"));
  await build(out);
  const { files } = site({ relays, runs: 400, dated: 1 });
  const browser = await playwright.launch({ executablePath: await chromium(), args: flags() });
  const servers = {
    built: await serve({ pages: out, files, data: "/nonexistent" }),
    sources: await serve({ files, data: "/nonexistent" }),
  };
  try {
    /** @type {Record<string, Visit[]>} */
    const all = {};
    for (let number = 0; number < rounds; number += 1) {
      for (const [name, server] of Object.entries(servers)) {
        const found = await visits(browser, server);
        for (const visit of VISITS) {
          all[`${name} ${visit}`] ??= [];
          all[`${name} ${visit}`].push(found[visit]);
        }
      }
    }
    console.log(
      `${relays} relays, a round trip of ${WAY.latency} ms and ${(WAY.bytesPerSecond * 8) / 1e6} Mbit/s, ${rounds} rounds`,
    );
    console.log(`${"".padEnd(42)}${"built".padStart(12)}${"sources".padStart(12)}   ratio`);
    for (const visit of VISITS) {
      /** @type {(name: string) => number} */
      const of = (name) => median(all[`${name} ${visit}`].map(({ figures }) => figures));
      /** @type {(name: string) => number} */
      const asked = (name) => median(all[`${name} ${visit}`].map((one) => one.asked.length));
      const [own, other] = [of("built"), of("sources")];
      console.log(
        `${`${visit} visit: first figures`.padEnd(42)}${`${own.toFixed(0)} ms`.padStart(12)}${`${other.toFixed(0)} ms`.padStart(12)}${`${(other / own).toFixed(1)} x`.padStart(8)}`,
      );
      console.log(
        `${`${visit} visit: requests until then`.padEnd(42)}${String(asked("built")).padStart(12)}${String(asked("sources")).padStart(12)}`,
      );
    }
  } finally {
    await browser.close();
    await Promise.all(Object.values(servers).map((one) => one.close()));
    await rm(out, { recursive: true, force: true });
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "3" },
      relays: { type: "string", default: "3100" },
    },
  });
  const [rounds, relays] = [Number(values.rounds), Number(values.relays)];
  if (!(rounds >= 1) || !(relays >= 100)) {
    console.error("far: --rounds takes a number from 1, --relays one from 100");
    process.exit(2);
  }
  await main(rounds, relays);
}
