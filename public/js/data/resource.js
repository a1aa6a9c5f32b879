// A file that is loaded once, and again when somebody asks for it: its state, for all who show it.

import { dataError } from "./errors.js";

/**
 * - `idle`: nobody has asked for it;
 * - `loading`: it is on its way; `value` may still hold an earlier one;
 * - `ready`: it is there;
 * - `failed`: it is not, and `error` says why.
 * @typedef {"idle" | "loading" | "ready" | "failed"} State
 */

/**
 * @template T
 */
export class Resource {
  /** @type {() => Promise<T>} */
  #load;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {Promise<void> | null} */
  #pending = null;

  /** @param {() => Promise<T>} load */
  constructor(load) {
    this.#load = load;
    /** @type {State} */
    this.state = "idle";
    /** @type {T | null} */
    this.value = null;
    /** @type {import("./errors.js").DataError | null} */
    this.error = null;
  }

  /**
   * Loads it unless it is there or on its way.
   * @returns {Promise<void>} never rejects: the state says how it went
   */
  ensure() {
    return this.state === "ready" || this.state === "failed" ? Promise.resolve() : this.reload();
  }

  /**
   * Loads it, also where it is there already. What is there stays until the new one is.
   * @returns {Promise<void>} never rejects
   */
  reload() {
    this.#pending ??= this.#run().finally(() => {
      this.#pending = null;
    });
    return this.#pending;
  }

  async #run() {
    this.state = "loading";
    this.error = null;
    this.changed();
    try {
      this.value = await this.#load();
      this.state = "ready";
    } catch (error) {
      this.error = dataError(error);
      this.state = "failed";
    }
    this.changed();
  }

  /**
   * Calls when something changed, until the signal says to stop.
   * @param {() => void} listener
   * @param {AbortSignal} signal
   */
  watch(listener, signal) {
    if (signal.aborted) return;
    this.#listeners.add(listener);
    signal.addEventListener("abort", () => this.#listeners.delete(listener), { once: true });
  }

  /** Tells everybody who watches. */
  changed() {
    for (const listener of [...this.#listeners]) listener();
  }
}
