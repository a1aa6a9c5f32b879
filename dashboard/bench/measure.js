// How a page's speed is measured from within it, in the same way whatever the page is.

import { readFile } from "node:fs/promises";

/** @import { Browser, Page } from "playwright-core" */

/**
 * @typedef {object} Subject
 * @property {string} name
 * @property {string} hash what follows the server's address
 * @property {string} useful a selector: once this is painted with a text, something useful is seen
 * @property {string} row a selector of the rows
 * @property {string} search a selector of the field to type into
 * @property {string} count a selector of what says how many relays are shown
 */

/**
 * Runs in the page before anything of it: notes when the first thing that is useful was painted, and
 * every long task (50 ms and more, as the Long Tasks API has it).
 * @param {string} useful
 */
export function watchPaints(useful) {
  const notes = { useful: 0, tasks: /** @type {{start: number, end: number}[]} */ ([]) };
  globalThis.__notes = notes;
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) {
      notes.tasks.push({ start: startTime, end: startTime + duration });
    }
  }).observe({ type: "longtask", buffered: true });
  const watcher = new MutationObserver(() => {
    if (!document.querySelector(useful)?.textContent?.trim()) return;
    watcher.disconnect();
    // The frame that shows it is over when the first message after its callbacks arrives.
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        notes.useful = performance.now();
      };
      port2.postMessage(null);
    });
  });
  watcher.observe(document, { childList: true, subtree: true, characterData: true });
}

/**
 * Milliseconds from the beginning of the navigation to the first useful paint, and to where the page
 * has all rows and no long task comes for half a second: the end of the last one before that.
 * @param {Page} page
 * @param {Subject} subject
 * @returns {Promise<{useful: number, interactive: number}>}
 */
export async function loading(page, { count }) {
  await page.waitForFunction(
    (selector) =>
      globalThis.__notes.useful > 0 &&
      /\d/.test(document.querySelector(selector)?.textContent ?? ""),
    count,
  );
  return page.evaluate(async () => {
    const { __notes: notes } = globalThis;
    const shown = performance.now();
    for (;;) {
      await new Promise((done) => setTimeout(done, 100));
      const last = notes.tasks.at(-1)?.end ?? 0;
      if (performance.now() - Math.max(last, shown) > 500) {
        return { useful: notes.useful, interactive: Math.max(last, notes.useful) };
      }
    }
  });
}

/**
 * What is left after a collection.
 * @param {Browser} browser
 * @param {Page} page
 * @returns {Promise<{process: number, heap: number, nodes: number}>} megabytes: what belongs to the
 *   page's process alone (0 where the system does not tell), and JavaScript's part of it, in which the
 *   elements and their layout are not
 */
export async function memory(browser, page) {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.enable");
  await session.send("HeapProfiler.collectGarbage");
  await session.send("Performance.enable");
  const { metrics } = await session.send("Performance.getMetrics");
  await session.detach();
  const whole = await browser.newBrowserCDPSession();
  const { processInfo } = await whole.send("SystemInfo.getProcessInfo");
  await whole.detach();
  // One page is open; a process kept in reserve for the next is smaller by far.
  const sizes = await Promise.all(
    processInfo.filter((one) => one.type === "renderer").map((one) => privateMemory(one.id)),
  );
  return {
    process: Math.max(0, ...sizes),
    heap: (metrics.find((one) => one.name === "JSHeapUsedSize")?.value ?? 0) / 1e6,
    nodes: await page.evaluate(() => document.querySelectorAll("*").length),
  };
}

/**
 * @param {number} pid
 * @returns {Promise<number>} megabytes that the process shares with no other; 0 where that cannot be
 *   read
 */
async function privateMemory(pid) {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
  let kibibytes = 0;
  for (const [, size] of text.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB$/gm)) {
    kibibytes += Number(size);
  }
  return (kibibytes * 1024) / 1e6;
}

/** What is typed, a key at a time, and taken back: each changes how many relays are found. */
const TYPED = "198.18.2";

/**
 * Milliseconds from each key to the end of the frame that shows its result.
 * @param {Page} page
 * @param {Subject} subject
 * @returns {Promise<{keystroke: number, keystrokeWorst: number}>}
 */
export async function keystrokes(page, { search, count }) {
  await page.locator(search).first().focus();
  await page.evaluate((selector) => {
    const shown = document.querySelector(selector);
    /** @type {number[]} */
    const times = [];
    let began = 0;
    globalThis.__times = times;
    document.addEventListener(
      "keydown",
      () => {
        began = performance.now();
      },
      { capture: true },
    );
    new MutationObserver(() => {
      if (began === 0) return;
      const from = began;
      began = 0;
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => times.push(performance.now() - from);
        port2.postMessage(null);
      });
    }).observe(/** @type {Node} */ (shown), {
      childList: true,
      subtree: true,
      characterData: true,
    });
  }, count);
  const keys = [...TYPED, ...Array(TYPED.length).fill("Backspace")];
  for (const [at, key] of keys.entries()) {
    await page.keyboard.press(key);
    await page.waitForFunction((n) => globalThis.__times.length > n, at);
  }
  /** @type {number[]} */
  const times = await page.evaluate(() => globalThis.__times);
  const sorted = times.toSorted((a, b) => a - b);
  return {
    keystroke: sorted[sorted.length >> 1],
    keystrokeWorst: sorted[sorted.length - 1],
  };
}

/** From the top to the bottom in so many frames: a fast throw of a list of 10,000. */
const STEPS = 120;

/**
 * Scrolls from the top to the bottom, a step each frame.
 * @param {Page} page
 * @param {Subject} subject
 * @returns {Promise<{frame: number, task: number}>} the longest time between two frames, and the
 *   longest long task, milliseconds; 0 where no task was long
 */
export async function frames(page, { row }) {
  return page.evaluate(
    async ([selector, steps]) => {
      /** @type {Element} */
      let box = document.scrollingElement ?? document.documentElement;
      for (
        let one = document.querySelector(String(selector))?.parentElement;
        one;
        one = one.parentElement
      ) {
        if (
          one.scrollHeight > one.clientHeight + 10 &&
          /auto|scroll/.test(getComputedStyle(one).overflowY)
        ) {
          box = one;
          break;
        }
      }
      box.scrollTop = 0;
      const frame = () => new Promise((done) => requestAnimationFrame(done));
      await frame();
      await frame();
      const began = performance.now();
      let last = began;
      let longest = 0;
      for (let step = 1; step <= Number(steps); step += 1) {
        box.scrollTop = ((box.scrollHeight - box.clientHeight) * step) / Number(steps);
        await frame();
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
      }
      await frame();
      // So that the observer has told of the last task.
      await new Promise((done) => setTimeout(done, 200));
      const { tasks } = globalThis.__notes;
      const lengths = tasks
        .filter((one) => one.end > began && one.start < last)
        .map((one) => one.end - one.start);
      return { frame: longest, task: Math.max(0, ...lengths) };
    },
    /** @type {[string, number]} */ ([row, STEPS]),
  );
}
