// A file's text from the network, within limits of time and size. Knows nothing of what is in it.

import { DataError } from "./errors.js";

/**
 * @typedef {object} Limits
 * @property {number} bytes the largest file that is read
 * @property {number} idleMs how long the server may be silent, before its answer and within it
 * @property {number} totalMs how long all of it may take
 */

/**
 * @typedef {object} Options
 * @property {Limits} limits
 * @property {boolean} immutable whether its content never changes under its name
 * @property {(text: string) => void} [onText] called with the text so far after each piece
 * @property {string | null} [known] the `tag` of what is there already
 * @property {typeof fetch} [fetcher]
 */

/**
 * @typedef {object} Fetched
 * @property {string | null} text null where it is the same as what is there already
 * @property {string} tag says whether it is the same another time
 */

/**
 * Reads a file.
 * @param {URL | string} url
 * @param {Options} options
 * @returns {Promise<Fetched>}
 * @throws {DataError}
 */
export async function fetchFile(url, { limits, immutable, onText, known, fetcher = fetch }) {
  const abort = new AbortController();
  let late = false;
  const giveUp = () => {
    late = true;
    abort.abort();
  };
  const total = setTimeout(giveUp, limits.totalMs);
  let idle = setTimeout(giveUp, limits.idleMs);
  try {
    const response = await fetcher(url, {
      signal: abort.signal,
      cache: immutable ? "default" : "no-cache",
      credentials: "same-origin",
      redirect: "follow",
    });
    checkStatus(response);
    const said = tagOf(response);
    if (said !== null && said === known) {
      abort.abort();
      return { text: null, tag: said };
    }
    const length = Number(response.headers.get("content-length"));
    // Of a compressed answer this is the compressed length: a lower bound, which is enough here.
    if (length > limits.bytes) throw tooLarge(limits);
    if (response.body === null) return { text: "", tag: said ?? "" };
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let text = "";
    let bytes = 0;
    for (;;) {
      clearTimeout(idle);
      idle = setTimeout(giveUp, limits.idleMs);
      const { done, value } = await reader.read();
      if (done) break;
      bytes += value.byteLength;
      if (bytes > limits.bytes) {
        abort.abort();
        throw tooLarge(limits);
      }
      text += decoder.decode(value, { stream: true });
      onText?.(text);
    }
    text += decoder.decode();
    const tag = said ?? digest(text);
    return { text: tag === known ? null : text, tag };
  } catch (error) {
    if (error instanceof DataError) throw error;
    if (late) {
      throw new DataError("timeout", "The server took too long to answer. Try again in a moment.");
    }
    throw new DataError(
      "network",
      "The connection failed, or broke off before the end. Look whether you are online, then try again.",
    );
  } finally {
    clearTimeout(total);
    clearTimeout(idle);
  }
}

/**
 * @param {Response} response
 * @returns {string | null} what the server says that changes with the file
 */
function tagOf({ headers }) {
  const tag = headers.get("etag");
  if (tag !== null) return tag;
  const [time, length] = [headers.get("last-modified"), headers.get("content-length")];
  // A second may see two files; they have two lengths mostly, and the next check sees the rest.
  return time === null || length === null ? null : `${time} ${length}`;
}

/**
 * @param {string} text
 * @returns {string} tells texts apart; no defence against somebody who wants two to be the same
 */
function digest(text) {
  let [a, b] = [0x811c9dc5, 0x9e3779b9];
  for (let i = 0; i < text.length; i += 1) {
    const c = text.charCodeAt(i);
    a = Math.imul(a ^ c, 0x01000193);
    b = Math.imul(b ^ c, 0x5bd1e995) + 1;
  }
  return `${text.length} ${a >>> 0} ${b >>> 0}`;
}

/**
 * @param {Response} response
 * @throws {DataError} where it is not the file
 */
function checkStatus(response) {
  if (response.ok) return;
  if (response.status === 404 || response.status === 410) {
    throw new DataError("missing", "The server has no such file.");
  }
  throw new DataError(
    "http",
    `The server answered with an error (status ${response.status}). Try again in a moment.`,
  );
}

/**
 * @param {Limits} limits
 * @returns {DataError}
 */
function tooLarge(limits) {
  const mib = Math.round(limits.bytes / 1024 / 1024);
  return new DataError("too_large", `The file is larger than the ${mib} MiB that this page reads.`);
}
