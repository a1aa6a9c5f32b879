// The bodies of a store's answers: read whole and checked, or passed on and held to their length.
// What is empty, cut or something else than its name says never gets through as if it were well.

import { Deadline, TooSlow } from "./deadline.js";

/**
 * What was wrong with a store's answer. The words are in docs/cloudflare.md.
 * @typedef {"failed" | "too_slow" | "forbidden" | "empty" | "cut" | "not_json" | "not_the_file"
 *   | "too_large"} Fault
 */

/** A store that did not deliver. */
export class StoreError extends Error {
  /**
   * @param {Fault} fault
   * @param {string} detail for the log, not for the public
   */
  constructor(fault, detail) {
    super(detail);
    this.fault = fault;
  }
}

/**
 * Any error of a store's as one of ours.
 * @param {unknown} error
 * @returns {StoreError}
 */
export function storeError(error) {
  if (error instanceof StoreError) return error;
  if (error instanceof TooSlow) return new StoreError("too_slow", error.message);
  return new StoreError("failed", error instanceof Error ? error.message : String(error));
}

/** The largest document that is read: bytes. A worker has 128 MB for all its requests. */
export const JSON_LIMIT = 32 * 1024 * 1024;

const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * Whether these bytes begin and end as a JSON object does. It does not tell that all between is
 * well, only what a cut or a foreign page looks like.
 * @param {Uint8Array} bytes
 * @returns {boolean}
 */
export function endsAsJson(bytes) {
  let first = 0;
  let last = bytes.length - 1;
  while (first <= last && SPACE.has(bytes[first])) first += 1;
  while (last > first && SPACE.has(bytes[last])) last -= 1;
  return last > first && bytes[first] === 0x7b && bytes[last] === 0x7d;
}

/**
 * Reads a JSON document whole and checks it.
 * @param {ReadableStream<Uint8Array>} body
 * @param {number | null} size how long it should be, where the store says so
 * @param {Deadline} deadline
 * @returns {Promise<Uint8Array>}
 * @throws {StoreError | TooSlow} and what the body fails with
 */
export async function readJson(body, size, deadline) {
  const bytes = await readWhole(body, size, deadline);
  if (!endsAsJson(bytes)) {
    throw new StoreError("not_json", "does not begin and end as a JSON object");
  }
  return bytes;
}

/** How metrics begin as ours are written. */
const METRICS_HEAD = new TextEncoder().encode("# HELP ");

/**
 * Reads metrics in Prometheus' text format whole, which begin with a comment and end with a line.
 * @param {ReadableStream<Uint8Array>} body
 * @param {number | null} size how long they should be, where the store says so
 * @param {Deadline} deadline
 * @returns {Promise<Uint8Array>}
 * @throws {StoreError | TooSlow} and what the body fails with
 */
export async function readMetrics(body, size, deadline) {
  const bytes = await readWhole(body, size, deadline);
  if (METRICS_HEAD.some((byte, at) => bytes[at] !== byte) || bytes.at(-1) !== 0x0a) {
    throw new StoreError("not_the_file", "does not begin and end as metrics do");
  }
  return bytes;
}

/** How a feed, and a page, begins and ends as ours are written. */
const FEED = { head: "<?xml ", tail: "</feed>\n", what: "a feed" };
const PAGE = { head: "<!DOCTYPE html>", tail: "</html>\n", what: "a page of ours" };

/**
 * Reads a feed whole.
 * @param {ReadableStream<Uint8Array>} body
 * @param {number | null} size how long it should be, where the store says so
 * @param {Deadline} deadline
 * @returns {Promise<Uint8Array>}
 * @throws {StoreError | TooSlow} and what the body fails with
 */
export async function readFeed(body, size, deadline) {
  return framed(await readWhole(body, size, deadline), FEED);
}

/**
 * Reads a page whole.
 * @param {ReadableStream<Uint8Array>} body
 * @param {number | null} size how long it should be, where the store says so
 * @param {Deadline} deadline
 * @returns {Promise<Uint8Array>}
 * @throws {StoreError | TooSlow} and what the body fails with
 */
export async function readPage(body, size, deadline) {
  return framed(await readWhole(body, size, deadline), PAGE);
}

/**
 * @param {Uint8Array} bytes
 * @param {{head: string, tail: string, what: string}} frame how they must begin and end
 * @returns {Uint8Array} the same
 * @throws {StoreError}
 */
function framed(bytes, frame) {
  const text = new TextDecoder();
  const head = text.decode(bytes.subarray(0, frame.head.length));
  const tail = text.decode(bytes.subarray(-frame.tail.length));
  if (head !== frame.head || tail !== frame.tail) {
    throw new StoreError("not_the_file", `does not begin and end as ${frame.what} does`);
  }
  return bytes;
}

/**
 * @param {ReadableStream<Uint8Array>} body
 * @param {number | null} size
 * @param {Deadline} deadline
 * @returns {Promise<Uint8Array>}
 */
async function readWhole(body, size, deadline) {
  const reader = body.getReader();
  /** @type {Uint8Array[]} */
  const chunks = [];
  let length = 0;
  try {
    if (size !== null && size > JSON_LIMIT) {
      throw new StoreError("too_large", `${size} bytes; at most ${JSON_LIMIT} are read`);
    }
    for (;;) {
      const { done, value } = await deadline.wait(reader.read());
      if (done) break;
      chunks.push(value);
      length += value.length;
      if (length > JSON_LIMIT) {
        throw new StoreError("too_large", `more than ${JSON_LIMIT} bytes`);
      }
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error;
  }
  if (length === 0) throw new StoreError("empty", "0 bytes");
  if (size !== null && length !== size) {
    throw new StoreError("cut", `${length} bytes of ${size}`);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

/**
 * Passes a body on, exactly `size` bytes of it. The beginning is read and compared with `magic`
 * before this returns, so that a foreign page is found while another store can still be asked.
 * A body that ends early, goes on too long or stalls breaks the answer off, and the client sees
 * fewer bytes than its Content-Length says.
 * @param {ReadableStream<Uint8Array>} body
 * @param {number} size more than 0
 * @param {readonly number[]} magic
 * @param {Deadline} deadline for the beginning
 * @param {number} stallMs how long the body may then stand still while somebody reads
 * @returns {Promise<ReadableStream<Uint8Array>>}
 * @throws {StoreError | TooSlow} and what the body fails with
 */
export async function passOn(body, size, magic, deadline, stallMs) {
  const reader = body.getReader();
  let head = new Uint8Array(0);
  let ended = false;
  try {
    while (!ended && head.length < Math.max(magic.length, 1)) {
      const { done, value } = await deadline.wait(reader.read());
      ended = done;
      if (!done) {
        const longer = new Uint8Array(head.length + value.length);
        longer.set(head);
        longer.set(value, head.length);
        head = longer;
      }
    }
    if (head.length === 0) throw new StoreError("empty", "0 bytes");
    if (ended && head.length < size) throw new StoreError("cut", `${head.length} bytes of ${size}`);
    if (magic.some((byte, at) => head[at] !== byte)) {
      throw new StoreError("not_the_file", "does not begin as such an archive does");
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error;
  }
  const rest = new ReadableStream({
    start(controller) {
      controller.enqueue(head);
      if (ended) controller.close();
    },
    async pull(controller) {
      const stall = new Deadline(stallMs);
      try {
        const { done, value } = await stall.wait(reader.read());
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        reader.cancel().catch(() => {});
        throw error;
      } finally {
        stall.clear();
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
  const { readable, writable } = new FixedLengthStream(size);
  // The readable side fails with it; the client's going away is no news either.
  rest.pipeTo(writable).catch(() => {});
  return readable;
}
