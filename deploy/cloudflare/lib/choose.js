// Which store answers: the first that delivers a file that is whole. Knows the difference between
// "not there" and "could not be had", which is the difference between 404 and 502.

import { storeError } from "./body.js";
import { Deadline } from "./deadline.js";
import { failure, MISSING_SECONDS } from "./http.js";

/** @import { Fault } from "./body.js" */
/** @import { DataFile } from "./names.js" */
/** @import { Opened, Store } from "./stores.js" */

/**
 * @template T
 * @typedef {{found: true, value: T}
 *   | {found: false, missing: boolean, stores: Record<string, Fault | "missing">}} Outcome
 */

/**
 * Asks the stores one after another, each with a deadline of its own.
 * @template T
 * @param {readonly Store[]} stores
 * @param {DataFile} file
 * @param {number} deadlineMs
 * @param {(opened: Opened, store: Store, deadline: Deadline) => Promise<T>} use what is made of the
 *   file; where it fails, the next store is asked
 * @returns {Promise<Outcome<T>>} `missing` only where every store says so
 */
export async function fromFirst(stores, file, deadlineMs, use) {
  /** @type {Record<string, Fault | "missing">} */
  const said = {};
  for (const store of stores) {
    const deadline = new Deadline(deadlineMs);
    try {
      const opened = await store.open(file, deadline);
      if (opened !== null) return { found: true, value: await use(opened, store, deadline) };
      said[store.name] = "missing";
    } catch (caught) {
      const error = storeError(caught);
      said[store.name] = error.fault;
      console.error(`${file.name} from ${store.name}: ${error.fault}: ${error.message}`);
    } finally {
      deadline.clear();
    }
  }
  const all = Object.values(said);
  return {
    found: false,
    missing: all.length > 0 && all.every((one) => one === "missing"),
    stores: said,
  };
}

/**
 * The answer where no store delivered.
 * @param {DataFile} file
 * @param {{missing: boolean, stores: Record<string, string>}} outcome
 * @returns {Response}
 */
export function notDelivered(file, { missing, stores }) {
  if (missing) {
    return failure(404, "not_found", `${file.name} is not there; files.json lists what is`, {
      cache: `public, max-age=${MISSING_SECONDS}`,
    });
  }
  const message =
    Object.keys(stores).length === 0
      ? "no store is configured: bind a bucket as REPORTS, or set FALLBACK_URL"
      : `${file.name} could not be had from any store at this time; please try again`;
  return failure(502, "upstream", message, { more: { stores } });
}
