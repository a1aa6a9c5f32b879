// Waiting that ends. The clock is the runtime's timer, nothing else.

/** Something took longer than it may. */
export class TooSlow extends Error {}

/** A time limit on several steps together. */
export class Deadline {
  /** @type {(error: Error) => void} */
  #expire = () => {};
  /** @type {Promise<never>} */
  #expired;
  /** @type {ReturnType<typeof setTimeout>} */
  #timer;
  #abort = new AbortController();

  /** @param {number} ms how long from now */
  constructor(ms) {
    this.#expired = new Promise((_, reject) => {
      this.#expire = reject;
    });
    // Nobody may be waiting when it expires.
    this.#expired.catch(() => {});
    this.#timer = setTimeout(() => {
      this.#expire(new TooSlow(`no end after ${ms} ms`));
      this.#abort.abort();
    }, ms);
  }

  /**
   * Aborted when the time is over.
   * @returns {AbortSignal}
   */
  get signal() {
    return this.#abort.signal;
  }

  /**
   * Waits for a step.
   * @template T
   * @param {Promise<T>} step
   * @returns {Promise<T>}
   * @throws {TooSlow} when the time is over
   */
  wait(step) {
    return Promise.race([step, this.#expired]);
  }

  /** Ends the limit: the steps that it was for are done. */
  clear() {
    clearTimeout(this.#timer);
  }
}
