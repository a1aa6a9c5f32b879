// The dashboard beside the predecessor's way of drawing, in one Chromium, on one report of 10,000
// relays: when something useful is seen, when everything answers, how long a keystroke in the search
// takes until its result is painted, memory, and the longest frame while scrolling. Rounds alternate
// between the two, each in a fresh profile; medians are printed, and the ratio.
//
// node bench/bench.js [--rounds N] [--relays N] [--json FILE]

import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium as playwright } from "playwright-core";
import { chromium, flags } from "../lib/chromium.js";
import { serve } from "../serve.js";
import { site } from "../tests/support/site.js";
import { frames, keystrokes, loading, memory, watchPaints } from "./measure.js";

/** @import { Browser } from "playwright-core" */
/** @import { Server } from "../serve.js" */
/** @import { Subject } from "./measure.js" */

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    relays: { type: "string", default: "10000" },
    json: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const relays = Number(values.relays);
if (!(rounds >= 1) || !(relays >= 100)) {
  console.error("bench: --rounds takes a number from 1, --relays one from 100");
  process.exit(2);
}

/**
 * One round of one page.
 * @param {Browser} browser
 * @param {Server} server
 * @param {Subject} subject
 * @returns {Promise<Record<string, number>>}
 */
async function round(browser, server, subject) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(120_000);
    await page.addInitScript(watchPaints, subject.useful);
    await page.goto(server.url + subject.hash);
    const loaded = await loading(page, subject);
    const heap = await memory(browser, page);
    const typed = await keystrokes(page, subject);
    const scrolled = await frames(page, subject);
    return { ...loaded, ...heap, ...typed, ...scrolled };
  } finally {
    await context.close();
  }
}

/**
 * When the overview's first figures are painted: they need no relay.
 * @param {Browser} browser
 * @param {Server} server
 * @returns {Promise<number>}
 */
async function overview(browser, server) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  try {
    const page = await context.newPage();
    await page.addInitScript(watchPaints, ".card-value");
    await page.goto(server.url);
    await page.waitForFunction(() => __notes.useful > 0);
    return await page.evaluate(() => __notes.useful);
  } finally {
    await context.close();
  }
}

/** @type {(numbers: number[]) => number} */
const median = (numbers) => {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/** What is printed: key, words, unit. @type {[string, string, string][]} */
const LINES = [
  ["useful", "relays: first useful paint", "ms"],
  ["interactive", "relays: full interactivity", "ms"],
  ["keystroke", "search: keystroke to repaint, median", "ms"],
  ["keystrokeWorst", "search: keystroke to repaint, worst", "ms"],
  ["process", "memory of the page's process", "MB"],
  ["heap", "of that, JS heap", "MB"],
  ["nodes", "DOM nodes", ""],
  ["frame", "longest frame while scrolling", "ms"],
  ["task", "longest task while scrolling", "ms"],
];

/** @type {Subject} */
const dashboard = {
  name: "dashboard",
  hash: "#/relays",
  useful: ".grid-body .grid-row",
  row: ".grid-body .grid-row",
  search: "input[type=search]",
  count: ".relay-count",
};
/** @type {Subject} */
const reference = {
  name: "reference",
  hash: "reference.html",
  useful: "tbody tr",
  row: "tbody tr",
  search: "input[type=search]",
  count: "#count",
};

// Some more, as about two of a hundred are not in the run.
const { files, latest } = site({ relays: Math.ceil(relays * 1.02), dated: 1 });
const servers = {
  dashboard: await serve({ files, data: "/nonexistent" }),
  reference: await serve({
    files,
    pages: fileURLToPath(new URL("./", import.meta.url)),
    data: "/nonexistent",
    // The deployed policy refuses innerHTML altogether.
    headers: "/*\n  X-Content-Type-Options: nosniff\n",
  }),
};
const browser = await playwright.launch({ executablePath: await chromium(), args: flags() });
try {
  console.log(
    `${latest.results.length} relays, ${(Buffer.byteLength(files.get("/latest.json") ?? "") / 1e6).toFixed(1)} MB of JSON; Chromium ${browser.version()}, ${cpus().length} × ${cpus()[0]?.model ?? "CPU"}, ${rounds} rounds`,
  );
  /** @type {Record<string, Record<string, number[]>>} */
  const measured = { dashboard: {}, reference: {} };
  /** @type {number[]} */
  const glance = [];
  for (let number = 0; number < rounds; number += 1) {
    glance.push(await overview(browser, servers.dashboard));
    // Who is first changes, so that neither always has the warmer machine.
    const turn = number % 2 ? [reference, dashboard] : [dashboard, reference];
    for (const subject of turn) {
      const name = /** @type {keyof typeof servers} */ (subject.name);
      const found = await round(browser, servers[name], subject);
      for (const [key, value] of Object.entries(found)) {
        measured[name][key] ??= [];
        measured[name][key].push(value);
      }
    }
  }
  console.log(`${"".padEnd(42)}${"dashboard".padStart(12)}${"reference".padStart(12)}   ratio`);
  console.log(
    `${"overview: first figures".padEnd(42)}${`${median(glance).toFixed(0)} ms`.padStart(12)}`,
  );
  for (const [key, words, unit] of LINES) {
    const [own, other] = [median(measured.dashboard[key]), median(measured.reference[key])];
    /** @type {(value: number) => string} */
    const shown = (value) => `${value.toFixed(value < 100 && unit ? 1 : 0)} ${unit}`.trim();
    const ratio = own > 0 && other > 0 ? `${(other / own).toFixed(1)} x` : "-";
    console.log(
      `${words.padEnd(42)}${shown(own).padStart(12)}${shown(other).padStart(12)}${ratio.padStart(8)}`,
    );
  }
  if (values.json !== undefined)
    await writeFile(values.json, JSON.stringify({ glance, ...measured }, null, 1));
} finally {
  await browser.close();
  await Promise.all(Object.values(servers).map((one) => one.close()));
}
