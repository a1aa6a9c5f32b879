// Real Chromium on the real pages. Whatever a test is about, it fails where the page logs an error,
// breaks the Content-Security-Policy, asks another origin for anything, opens a dialog or a window,
// or goes away.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { chromium as playwright } from "playwright-core";
import { chromium, flags } from "../../lib/chromium.js";
import { serve } from "../../serve.js";
import { ANY_FONTS, fontsAlone } from "./fonts.js";
import { SPRUNG } from "./hostile.js";
import { LAST_END } from "./report.js";

/** @import { TestContext } from "node:test" */
/** @import { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core" */
/** @import { Fault } from "../../lib/faults.js" */
/** @import { Server } from "../../serve.js" */

/** An hour after the last run of the generated reports. */
export const NOW = LAST_END + 3600 * 1000;

/** How long a page may take for anything, on a machine that is busy. */
const PATIENCE_MS = 60_000;

/** @type {Browser | undefined} */
let browser;

/**
 * Starts the browser before the tests of the file or suite that calls this, and ends it after them.
 * @param {string} [fonts] the only fonts that it sees
 */
export function withBrowser(fonts = ANY_FONTS[0]) {
  /** @type {Awaited<ReturnType<typeof fontsAlone>> | undefined} */
  let seen;
  before(async () => {
    seen = await fontsAlone(fonts);
    browser = await playwright.launch({
      executablePath: await chromium(),
      args: flags(),
      env: { ...process.env, ...seen.env },
    });
  });
  after(async () => {
    await browser?.close();
    await seen?.remove();
  });
}

/**
 * The browser itself, for what a page cannot do.
 * @returns {Browser}
 */
export function theBrowser() {
  assert.ok(browser, "withBrowser() comes first");
  return browser;
}

/**
 * @typedef {object} Opening
 * @property {ReadonlyMap<string, string>} [files] what is published, by path
 * @property {string} [pages] a directory of pages in the place of the sources
 * @property {Record<string, Fault>} [faults] what is wrong with which path
 * @property {string} [hash] where to begin, from `#` on
 * @property {number} [now] milliseconds
 * @property {number} [width]
 * @property {number} [height]
 * @property {BrowserContextOptions} [context]
 * @property {RegExp} [expected] messages of the console that belong to what the test does
 * @property {boolean} [ready] whether to wait until the page has drawn its first view; true unless
 *   said
 * @property {boolean} [hurry] whether the page's long waits end soon: a timer of more than five
 *   seconds takes a fiftieth of its time
 */

/**
 * @typedef {object} Opened
 * @property {Page} page
 * @property {BrowserContext} context
 * @property {Server} server
 * @property {string[]} problems what went wrong so far; empty at the end of every test
 * @property {string[]} requests every path that the page asked this server for
 * @property {(next: {files: ReadonlyMap<string, string>, faults?: Record<string, Fault>,
 *   hash?: string}) => Promise<void>} again publishes something else and loads the page anew, which
 *   takes a fraction of a new profile; at its end the page has been quiet so far
 */

/**
 * Opens the dashboard in a browser profile of its own, for one test.
 * @param {TestContext} t
 * @param {Opening} [opening]
 * @returns {Promise<Opened>}
 */
export async function open(t, opening = {}) {
  const { files = new Map(), faults = {}, hash = "", now = NOW, expected } = opening;
  const { width = 1280, height = 800 } = opening;
  const server = await serve({
    ...(opening.pages === undefined ? {} : { pages: opening.pages }),
    files: new Map(files),
    faults: new Map(Object.entries(faults)),
    // Without data of its own: what a test does not publish is not there.
    data: "/nonexistent",
  });
  const context = await theBrowser().newContext({
    viewport: { width, height },
    locale: "en-GB",
    timezoneId: "UTC",
    ...opening.context,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  /** @type {string[]} */
  const problems = [];
  /** @type {string[]} */
  const requests = [];
  /** @type {Set<string>} */
  const missing = new Set();
  /** @param {ReadonlyMap<string, string>} published @param {Record<string, Fault>} wrong */
  const willFail = (published, wrong) => {
    for (const path of Object.keys(wrong)) missing.add(path);
    for (const path of DATA) if (!published.has(path)) missing.add(path);
  };
  willFail(files, faults);
  watch(page, { server, problems, requests, missing, expected });
  await page.exposeBinding("__violation", (_, text) => {
    problems.push(`Content-Security-Policy: ${text}`);
  });
  await page.addInitScript(inPage, { now, hurry: opening.hurry ?? false });
  t.after(async () => {
    try {
      if (!page.isClosed()) {
        const sprung = await page.evaluate((name) => name in globalThis, SPRUNG);
        if (sprung) problems.push("a script from the data was executed");
      }
      assert.deepEqual(problems, [], "the page was quiet");
    } finally {
      await context.close();
      await server.close();
    }
  });
  await page.addInitScript(inspector);
  await page.goto(server.url + hash);
  if (opening.ready !== false) await ready(page);
  return {
    page,
    context,
    server,
    problems,
    requests,
    async again({ files: published, faults: wrong = {}, hash: to = "" }) {
      willFail(published, wrong);
      server.files.clear();
      server.faults.clear();
      for (const [path, text] of published) server.files.set(path, text);
      for (const [path, fault] of Object.entries(wrong)) server.faults.set(path, fault);
      await page.goto(server.url + to);
      await page.reload();
      await ready(page);
      assert.deepEqual(problems, [], "the page was quiet before");
    },
  };
}

/** The files that every view needs one of. */
const DATA = ["/latest.json", "/trends.json", "/files.json", "/incidents.json", "/figures.json"];

/**
 * Runs in the page before anything of it.
 * @param {{now: number, hurry: boolean}} how
 */
function inPage({ now, hurry }) {
  const Real = Date;
  let shift = now - Real.now();
  /** @type {Map<number, () => void>} */
  const beats = new Map();
  const [set, clear] = [globalThis.setInterval, globalThis.clearInterval];
  // @ts-expect-error: as the page uses it
  globalThis.setInterval = (/** @type {() => void} */ what, ms) => {
    const id = Number(set(what, ms));
    beats.set(id, what);
    return id;
  };
  globalThis.clearInterval = (id) => {
    beats.delete(Number(id));
    clear(id);
  };
  // As on a machine that wakes after so long: it is later, and what was due happens once.
  globalThis.__later = (ms) => {
    shift += ms;
    for (const beat of [...beats.values()]) beat();
  };
  // Time goes on, from another beginning.
  globalThis.Date = /** @type {DateConstructor} */ (
    class extends Real {
      /** @param {any[]} parts */
      constructor(...parts) {
        if (parts.length === 0) super(Real.now() + shift);
        else super(.../** @type {[]} */ (parts));
      }
      static now() {
        return Real.now() + shift;
      }
    }
  );
  if (hurry) {
    const later = globalThis.setTimeout;
    // @ts-expect-error: as the page uses it
    globalThis.setTimeout = (what, ms = 0, ...more) =>
      later(what, ms > 5000 ? ms / 50 : ms, ...more);
  }
  // To another view; done when the page has heard of it, whose own listener is the first.
  globalThis.__go = async (hash) => {
    if (location.hash === hash) return;
    const heard = new Promise((done) => addEventListener("hashchange", done, { once: true }));
    location.hash = hash;
    await heard;
  };
  document.addEventListener("securitypolicyviolation", (event) => {
    globalThis.__violation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
  });
}

/**
 * Runs in the page before anything of it: puts there what finds elements and attributes that the
 * pages never make, so that one of them came from the data.
 */
function inspector() {
  globalThis.__strangers = () => {
    /** @type {string[]} */
    const found = [];
    const own = new Set([location.origin, "https://metrics.torproject.org"]);
    for (const one of document.querySelectorAll("*")) {
      const shown = one.outerHTML.slice(0, 120);
      if (
        one.matches(
          "iframe, object, embed, base, form[action], meta[http-equiv]:not([http-equiv=Content-Security-Policy]), template, portal, audio, video, math, foreignObject",
        )
      ) {
        found.push(shown);
      }
      if (
        one.matches("script, link") &&
        !/^(?:\w|\.\/|\/)[^:]*$/.test(one.getAttribute("src") ?? one.getAttribute("href") ?? "")
      ) {
        found.push(shown);
      }
      if (one.localName === "style" || (one.localName === "img" && !one.hasAttribute("alt"))) {
        found.push(shown);
      }
      for (const { name, value } of one.attributes) {
        if (/^on|^srcdoc$|^formaction$/i.test(name)) found.push(`${name}: ${shown}`);
        if (/^(?:href|src|action|xlink:href)$/.test(name) && !value.startsWith("#")) {
          const { origin, protocol } = new URL(value, location.href);
          if (!own.has(origin) && protocol !== "data:" && protocol !== "blob:") {
            found.push(`${name}=${value.slice(0, 80)}`);
          }
          if (protocol === "data:" && !one.matches("img, image, link[rel=icon]")) found.push(shown);
        }
      }
    }
    return found;
  };
}

/**
 * @param {Page} page
 * @param {{server: Server, problems: string[], requests: string[], expected?: RegExp,
 *   missing: ReadonlySet<string>}} of `missing`: paths about whose answers the browser itself will
 *   complain
 */
function watch(page, { server, problems, requests, expected, missing }) {
  page.on("console", (message) => {
    const { url } = message.location();
    const own = url.startsWith(server.url) ? `/${url.slice(server.url.length)}` : url;
    if (/^Failed to load resource/.test(message.text()) && missing.has(own)) return;
    if (!["error", "warning", "assert"].includes(message.type())) return;
    if (expected?.test(message.text())) return;
    problems.push(`console: ${message.text()} (${own})`);
  });
  page.on("pageerror", (error) => problems.push(`exception: ${error.stack ?? error}`));
  page.on("crash", () => problems.push("the page crashed"));
  page.on("dialog", (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  page.on("popup", (popup) => problems.push(`window: ${popup.url()}`));
  page.on("request", (request) => {
    const url = request.url();
    if (url.startsWith(server.url)) requests.push(`/${url.slice(server.url.length)}`);
    else if (!/^(?:data|blob):/.test(url)) problems.push(`request elsewhere: ${url}`);
  });
  page.on("framenavigated", (frame) => {
    if (frame !== page.mainFrame()) problems.push(`a frame: ${frame.url()}`);
    else if (!frame.url().startsWith(server.url) && frame.url() !== "about:blank") {
      problems.push(`gone to ${frame.url()}`);
    }
  });
}

/**
 * Waits until the view that was asked for is drawn, and everything that it loads is there or has
 * failed.
 * @param {Page} page
 */
export async function ready(page) {
  await page.waitForFunction(async () => {
    const came = performance
      .getEntriesByType("resource")
      .filter((one) => /\/(?:latest|trends|files)\.json$/.test(one.name));
    if (came.length < 3) return false;
    // What comes last is drawn in the frame after it.
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    await frame();
    await frame();
    return (
      document.querySelector("main .view h1") !== null &&
      document.querySelector("main .loading") === null
    );
  });
}

/**
 * Goes to another view in the page that is open.
 * @param {Page} page
 * @param {string} hash from `#` on
 */
export async function visit(page, hash) {
  await page.evaluate((to) => __go(to), hash);
  await ready(page);
}

/**
 * What a view shows.
 * @typedef {object} Seen
 * @property {string} hash
 * @property {string} text
 * @property {string} title
 * @property {number} headings how many of the first rank
 * @property {string[]} bad messages that something cannot be shown or drawn
 * @property {number} tooWide by how many pixels the page is wider than the window
 * @property {string[]} strangers elements and attributes that came from the data
 * @property {number} links how many links the menu has
 * @property {string[]} doubled names of facts that stand twice in one list
 * @property {string[]} notices what the messages say
 */

/**
 * Goes to one view after the other, without a word to the test between them: many views are looked
 * at in the time of a few.
 * @param {Page} page
 * @param {readonly string[]} hashes
 * @returns {Promise<Seen[]>}
 */
export function tour(page, hashes) {
  return page.evaluate(async (all) => {
    /** @type {Seen[]} */
    const seen = [];
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    for (const hash of all) {
      await __go(hash);
      const began = performance.now();
      do {
        await frame();
        await frame();
      } while (document.querySelector("main .loading") && performance.now() - began < 60_000);
      const main = document.querySelector("main");
      const root = document.documentElement;
      seen.push({
        hash,
        text: main?.innerText ?? "",
        title: document.title,
        headings: document.querySelectorAll("h1").length,
        bad: [...document.querySelectorAll(".notice-bad")].map((one) => one.textContent ?? ""),
        tooWide: root.scrollWidth - root.clientWidth,
        strangers: __strangers(),
        links: document.querySelectorAll("nav a").length,
        doubled: [...document.querySelectorAll("main dl")].flatMap((list) => {
          const names = [...list.querySelectorAll(":scope > dt, :scope > div > dt")];
          const texts = names.map((name) => name.textContent ?? "");
          return texts.filter((text, at) => texts.indexOf(text) !== at);
        }),
        notices: [...document.querySelectorAll(".notice")].map((one) => one.textContent ?? ""),
      });
    }
    return seen;
  }, hashes);
}

/** Every view but a relay's own page. */
export const VIEWS = Object.freeze([
  "#/overview",
  "#/trends",
  "#/causes",
  "#/relays",
  "#/operators",
  "#/resolvers",
  "#/places",
  "#/incidents",
  "#/history",
  "#/about",
]);
