// Why a file cannot be shown, in words for people. Performs no IO.

/**
 * - `missing`: it is not there (yet);
 * - `http`: the server answered with an error;
 * - `network`: no connection, or it broke off;
 * - `timeout`: nothing came for too long;
 * - `too_large`: larger than any file of this kind may be;
 * - `malformed`: not JSON, cut, or no document of ours;
 * - `newer`: written in a version of the format that this page does not know.
 * @typedef {"missing" | "http" | "network" | "timeout" | "too_large" | "malformed" | "newer"} Why
 */

/** A file that cannot be shown. */
export class DataError extends Error {
  /**
   * @param {Why} why
   * @param {string} message a sentence: what went wrong, and what to do where that can be said
   */
  constructor(why, message) {
    super(message);
    this.name = "DataError";
    /** @type {Why} */
    this.why = why;
  }
}

/**
 * Any error as one that can be shown.
 * @param {unknown} error
 * @returns {DataError}
 */
export function dataError(error) {
  if (error instanceof DataError) return error;
  console.error(error);
  const words = error instanceof Error ? error.message : String(error);
  return new DataError("malformed", `It could not be read: ${words}.`);
}
