// The answer to a request for a data file.

import { passOn, readFeed, readJson, readMetrics, readPage } from "./body.js";
import { fromFirst, notDelivered } from "./choose.js";
import { baseHeaders, cacheControl, extent, failure, notModified, PAGE_POLICY } from "./http.js";
import { cancel } from "./stores.js";

/** @import { Deadline } from "./deadline.js" */
/** @import { DataFile } from "./names.js" */
/** @import { Settings } from "./settings.js" */
/** @import { Opened, Store } from "./stores.js" */

/**
 * Answers GET; for HEAD the body is left away afterwards, so both say the same.
 * @param {Request} request
 * @param {DataFile} file
 * @param {readonly Store[]} stores
 * @param {Settings} settings
 * @returns {Promise<Response>}
 */
export async function data(request, file, stores, settings) {
  const { form } = file;
  const outcome = await fromFirst(stores, file, settings.deadlineMs, (opened, store, deadline) =>
    form === "archive"
      ? archive(request, file, opened, store, deadline, settings.deadlineMs)
      : document(request, { ...file, form }, opened, store, deadline),
  );
  return outcome.found ? outcome.value : notDelivered(file, outcome);
}

/**
 * A JSON document, metrics, a feed or a page. It is read whole before a byte of it is sent: one that is cut or breaks off is
 * then found in time to ask the other store.
 * @param {Request} request
 * @param {DataFile & {form: "json" | "metrics" | "feed" | "page"}} file
 * @param {Opened} opened
 * @param {Store} store
 * @param {Deadline} deadline
 * @returns {Promise<Response>}
 */
async function document(request, file, opened, store, deadline) {
  const headers = fileHeaders(file, opened, store);
  if (notModified(request.headers, opened.etag, opened.modified)) {
    cancel(opened.body);
    return new Response(null, { status: 304, headers });
  }
  const bytes = await READ[file.form](opened.body, opened.size, deadline);
  const part = wanted(request, bytes.length, opened.etag);
  if (part.kind === "unsatisfiable") return unsatisfiable(bytes.length);
  if (part.kind === "whole") return sized(bytes, bytes.length, 200, headers);
  setRange(headers, part, bytes.length);
  return sized(bytes.subarray(part.start, part.start + part.length), part.length, 206, headers);
}

/**
 * An archive, which may be larger than a worker's memory and is passed on as it comes.
 * @param {Request} request
 * @param {DataFile} file
 * @param {Opened} opened with a size
 * @param {Store} store
 * @param {Deadline} deadline
 * @param {number} stallMs
 * @returns {Promise<Response>}
 */
async function archive(request, file, opened, store, deadline, stallMs) {
  const headers = fileHeaders(file, opened, store);
  if (notModified(request.headers, opened.etag, opened.modified)) {
    cancel(opened.body);
    return new Response(null, { status: 304, headers });
  }
  // Both stores say it, or have failed before.
  const size = opened.size ?? 0;
  // A store that cannot send a part sends the whole, as RFC 9110 allows.
  const part = store.part === undefined ? WHOLE : wanted(request, size, opened.etag);
  // The beginning is looked at for a part too: half of a foreign page is no better.
  const body = await passOn(opened.body, size, file.magic, deadline, stallMs);
  if (part.kind === "whole" || store.part === undefined) return sized(body, size, 200, headers);
  cancel(body);
  if (part.kind === "unsatisfiable") return unsatisfiable(size);
  const some = await store.part(file, opened, part.start, part.length, deadline);
  setRange(headers, part, size);
  return sized(await passOn(some, part.length, [], deadline, stallMs), part.length, 206, headers);
}

/** How a document of each form is read. */
const READ = { json: readJson, metrics: readMetrics, feed: readFeed, page: readPage };

/** @type {import("./http.js").Extent} */
const WHOLE = { kind: "whole" };

/**
 * A range is for GET alone (RFC 9110, 14.2).
 * @param {Request} request
 * @param {number} size
 * @param {string | null} etag
 */
function wanted(request, size, etag) {
  return request.method === "GET" ? extent(request.headers, size, etag) : WHOLE;
}

/**
 * @param {DataFile} file
 * @param {Opened} opened
 * @param {Store} store
 * @returns {Headers}
 */
function fileHeaders(file, opened, store) {
  const headers = baseHeaders();
  headers.set("Content-Type", file.contentType);
  if (file.form === "page") headers.set("Content-Security-Policy", PAGE_POLICY);
  headers.set("Cache-Control", cacheControl(file.immutable));
  headers.set("Accept-Ranges", "bytes");
  headers.set("X-Served-From", store.name);
  if (opened.etag !== null) headers.set("ETag", opened.etag);
  if (opened.modified !== null) headers.set("Last-Modified", opened.modified.toUTCString());
  return headers;
}

/**
 * @param {Headers} headers
 * @param {{start: number, length: number}} part
 * @param {number} size
 */
function setRange(headers, { start, length }, size) {
  headers.set("Content-Range", `bytes ${start}-${start + length - 1}/${size}`);
}

/**
 * @param {Uint8Array | ReadableStream<Uint8Array>} body
 * @param {number} length
 * @param {number} status
 * @param {Headers} headers
 * @returns {Response}
 */
function sized(body, length, status, headers) {
  headers.set("Content-Length", String(length));
  return new Response(body, { status, headers });
}

/**
 * @param {number} size
 * @returns {Response}
 */
function unsatisfiable(size) {
  return failure(416, "range_not_satisfiable", `the file has ${size} bytes`, {
    headers: { "Content-Range": `bytes */${size}` },
  });
}
