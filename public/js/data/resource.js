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
  /** @type {(ifNew: boolean) => Promise<T | null>} */
  #load;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {Promise<void> | null} */
  #pending = null;

  /**
   * @param {(ifNew: boolean) => Promise<T | null>} load null where it is as it was, which only
   *   `ifNew` allows
   */
  constructor(load) {
    this.#load = load;
    /** @type {State} */
    this.state = "idle";
    /** @type {T | null} */
    this.value = null;
    /** @type {import("./errors.js").DataError | null} */
    this.error = null;
    /** When the server last said that this is what it has, milliseconds. @type {number | null} */
    this.confirmed = null;
    /** Whether it is being asked for quietly. */
    this.asking = false;
    /** Why it could not be asked for the last time. @type {import("./errors.js").DataError | null} */
    this.missed = null;
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

  /**
   * Asks whether there is a newer one, quietly: what is shown, also of a failure, stays until there
   * is.
   * @returns {Promise<void>} never rejects
   */
  refresh() {
    if (this.state === "idle") return this.reload();
    this.#pending ??= this.#ask().finally(() => {
      this.#pending = null;
    });
    return this.#pending;
  }

  async #ask() {
    this.asking = true;
    try {
      this.#has(await this.#load(this.value !== null));
    } catch (error) {
      this.missed = dataError(error);
    }
    this.asking = false;
    this.changed();
  }

  /** @param {T | null} value null for the one that is there */
  #has(value) {
    this.value = value ?? this.value;
    this.state = "ready";
    this.error = null;
    this.missed = null;
    this.confirmed = Date.now();
  }

  async #run() {
    this.state = "loading";
    this.error = null;
    this.changed();
    try {
      this.#has(await this.#load(false));
    } catch (error) {
      this.error = dataError(error);
      this.missed = this.error;
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
