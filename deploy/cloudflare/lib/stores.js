// The two places that hold the data: R2 by its binding, and a second store by public URLs. Opens
// one file in one store. Does not choose between them, and checks no content.

import { StoreError } from "./body.js";
import { entityTag } from "./http.js";

/** @import { Deadline } from "./deadline.js" */
/** @import { DataFile } from "./names.js" */
/** @import { Env, Settings } from "./settings.js" */

/**
 * A file as a store has it.
 * @typedef {object} Opened
 * @property {number | null} size bytes in all; null where the store does not say
 * @property {string | null} etag
 * @property {Date | null} modified
 * @property {ReadableStream<Uint8Array>} body not yet read: to be read or cancelled
 */

/**
 * A store.
 * @typedef {object} Store
 * @property {"r2" | "spaces"} name as X-Served-From says it
 * @property {(file: DataFile, deadline: Deadline) => Promise<Opened | null>} open null where the
 *   store is well and does not have the file; otherwise fails
 * @property {(file: DataFile, opened: Opened, start: number, length: number, deadline: Deadline)
 *   => Promise<ReadableStream<Uint8Array>>} [part] some bytes of what was opened, of the same
 *   version
 */

/**
 * The stores of this deployment, in the order in which they are asked.
 * @param {Env} env
 * @param {Settings} settings
 * @returns {Store[]}
 */
export function stores(env, settings) {
  const all = [];
  if (env.REPORTS !== undefined) all.push(r2(env.REPORTS, settings.keyPrefix));
  if (settings.fallback !== null) all.push(spaces(settings.fallback, settings.forbiddenIsMissing));
  return all;
}

/**
 * @param {R2Bucket} bucket
 * @param {string} prefix
 * @returns {Store}
 */
function r2(bucket, prefix) {
  return {
    name: "r2",
    async open(file, deadline) {
      const object = await deadline.wait(bucket.get(prefix + file.name));
      if (object === null) return null;
      if (object.size === 0) {
        cancel(object.body);
        throw new StoreError("empty", "0 bytes");
      }
      return {
        size: object.size,
        etag: entityTag(object.httpEtag),
        modified: object.uploaded,
        body: object.body,
      };
    },
    async part(file, opened, start, length, deadline) {
      const object = await deadline.wait(
        bucket.get(prefix + file.name, {
          range: { offset: start, length },
          onlyIf:
            opened.etag === null ? undefined : { etagMatches: opened.etag.replaceAll('"', "") },
        }),
      );
      if (object === null || !("body" in object)) {
        throw new StoreError("failed", "replaced while it was being read");
      }
      return object.body;
    },
  };
}

/**
 * @param {URL} base
 * @param {boolean} forbiddenIsMissing
 * @returns {Store}
 */
function spaces(base, forbiddenIsMissing) {
  return {
    name: "spaces",
    async open(file, deadline) {
      const response = await deadline.wait(
        fetch(new URL(file.name, base), {
          // Lengths are compared, so what is sent must be what is stored.
          headers: { "Accept-Encoding": "identity" },
          // An object that is public is served where it is; a redirect leads somewhere else.
          redirect: "manual",
          // The edge must not keep an error or half a file of the store's either.
          cache: "no-store",
          signal: deadline.signal,
        }),
      );
      if (response.status === 404) {
        const reason = await deadline.wait(beginning(response));
        // The S3 API says 404 for a whole bucket too.
        if (reason.includes("NoSuchBucket")) throw new StoreError("failed", "no such bucket");
        return null;
      }
      if (response.status !== 200 || response.body === null) {
        cancel(response.body);
        if (response.status === 403) {
          if (forbiddenIsMissing) return null;
          throw new StoreError(
            "forbidden",
            "status 403: not public, or not there and not listable",
          );
        }
        throw new StoreError("failed", `status ${response.status}`);
      }
      const wrong = wrongHeaders(response.headers, file);
      if (wrong !== null) {
        cancel(response.body);
        throw wrong;
      }
      return {
        size: length(response.headers),
        etag: entityTag(response.headers.get("ETag")),
        modified: date(response.headers.get("Last-Modified")),
        body: response.body,
      };
    },
  };
}

/**
 * What the headers alone show to be wrong.
 * @param {Headers} headers
 * @param {DataFile} file
 * @returns {StoreError | null}
 */
function wrongHeaders(headers, file) {
  if (/^\s*(?:text\/html|application\/xhtml)/i.test(headers.get("Content-Type") ?? "")) {
    return new StoreError("not_the_file", "an HTML page");
  }
  if (file.form !== "archive") return null;
  // The end of an archive is not looked at, so its length must be known.
  if (length(headers) === null) {
    return new StoreError("failed", "an archive without a length that can be checked");
  }
  return length(headers) === 0 ? new StoreError("empty", "0 bytes") : null;
}

/**
 * The length of the body as it will be read; null where the headers do not tell it.
 * @param {Headers} headers
 * @returns {number | null}
 */
function length(headers) {
  const text = headers.get("Content-Length") ?? "";
  // An encoded body is read decoded.
  const encoded = !["", "identity"].includes(headers.get("Content-Encoding") ?? "");
  return encoded || !/^\d{1,15}$/.test(text) ? null : Number(text);
}

/**
 * @param {string | null} text
 * @returns {Date | null}
 */
function date(text) {
  const time = Date.parse(text ?? "");
  return Number.isNaN(time) ? null : new Date(time);
}

/**
 * The beginning of an error's body, a few kilobytes at most.
 * @param {Response} response
 * @returns {Promise<string>}
 */
async function beginning(response) {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (text.length < 4096) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value, { stream: true });
  }
  reader.cancel().catch(() => {});
  return text;
}

/**
 * Lets go of a body that nobody will read.
 * @param {ReadableStream | null} body
 */
export function cancel(body) {
  body?.cancel().catch(() => {});
}
