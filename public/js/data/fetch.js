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
 * @property {typeof fetch} [fetcher]
 */

/**
 * Reads a file.
 * @param {URL | string} url
 * @param {Options} options
 * @returns {Promise<string>}
 * @throws {DataError}
 */
export async function fetchText(url, { limits, immutable, onText, fetcher = fetch }) {
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
    const length = Number(response.headers.get("content-length"));
    // Of a compressed answer this is the compressed length: a lower bound, which is enough here.
    if (length > limits.bytes) throw tooLarge(limits);
    if (response.body === null) return "";
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
    return text + decoder.decode();
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
