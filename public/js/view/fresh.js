// Keeps the files fresh while the page is looked at: when the reader comes back to it, when the
// network is back, and when a report is due.

import { interval } from "../model/health.js";
import { LEAST_MS, nextCheck } from "../model/refresh.js";

/** @import { Store } from "../data/store.js" */

/**
 * @param {Store} store
 * @param {number} tickMs how often to see whether it is time
 * @param {AbortSignal} signal
 */
export function keepFresh(store, tickMs, signal) {
  const dice = Math.random();
  let asked = Date.now();
  let failures = 0;
  const ask = async () => {
    if (document.visibilityState === "hidden") return;
    asked = Date.now();
    await store.refresh();
    failures = store.latest.missed === null ? 0 : failures + 1;
  };
  const back = () => {
    // A clock that was set back is no reason to wait.
    if (Math.abs(Date.now() - asked) >= LEAST_MS) void ask();
  };
  const tick = () => {
    const { value, head } = store.latest;
    const metadata = value?.metadata ?? head;
    const next = nextCheck({
      asked,
      failures,
      timestamp: metadata?.timestamp ?? null,
      everyMs: interval(store.runs, metadata),
      dice,
    });
    if (Date.now() >= next) void ask();
  };
  const timer = setInterval(tick, tickMs);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  document.addEventListener("visibilitychange", back, { signal });
  window.addEventListener("focus", back, { signal });
  window.addEventListener("pageshow", back, { signal });
  window.addEventListener("online", () => void ask(), { signal });
}
