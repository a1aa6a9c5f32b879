// HTTP's own rules as far as they are needed here: validators, ranges, and the headers of every
// answer. Knows nothing of stores or reports, and performs no IO.

/** The methods that are answered. */
export const METHODS = "GET, HEAD, OPTIONS";

/** How long a pointer, or an answer made from one, may be kept: seconds. */
export const SHORT_SECONDS = 60;

/** How long a file that never changes may be kept: a year, the longest that RFC 2616 allowed. */
export const LONG_SECONDS = 31_536_000;

/** How long a name that is not there may be taken for absent: seconds. */
export const MISSING_SECONDS = 30;

/** For what must not be kept at all. */
export const NO_STORE = "no-store";

/**
 * The Cache-Control of a file.
 * @param {boolean} immutable
 * @returns {string}
 */
export function cacheControl(immutable) {
  return immutable
    ? `public, max-age=${LONG_SECONDS}, immutable`
    : `public, max-age=${SHORT_SECONDS}`;
}

/** What a page of a report may do: it has its style within it, and nothing else. */
export const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * The headers of every answer that is not a static page. The data is for everybody, may be read
 * by any page, and is never a page itself.
 * @returns {Headers}
 */
export function baseHeaders() {
  return new Headers({
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers":
      "Accept-Ranges, Content-Length, Content-Range, ETag, Last-Modified, X-Served-From",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
  });
}

/**
 * A JSON document.
 * @param {unknown} document
 * @param {{status?: number, cache: string, headers?: Record<string, string>}} how
 * @returns {Response}
 */
export function json(document, { status = 200, cache, headers = {} }) {
  const all = baseHeaders();
  all.set("Content-Type", "application/json; charset=utf-8");
  all.set("Cache-Control", cache);
  for (const [name, value] of Object.entries(headers)) all.set(name, value);
  return new Response(`${JSON.stringify(document)}\n`, { status, headers: all });
}

/**
 * An error, as a JSON document with a word for programs and a sentence for people.
 * @param {number} status
 * @param {string} error
 * @param {string} message
 * @param {{cache?: string, headers?: Record<string, string>, more?: object}} [how]
 * @returns {Response}
 */
export function failure(status, error, message, { cache = NO_STORE, headers, more } = {}) {
  return json({ error, message, ...more }, { status, cache, headers });
}

/**
 * The answer to a method that is not answered.
 * @returns {Response}
 */
export function methodNotAllowed() {
  return failure(405, "method_not_allowed", `allowed here: ${METHODS}`, {
    headers: { Allow: METHODS },
  });
}

/**
 * The answer to OPTIONS, a browser's question before a request of another origin included.
 * @returns {Response}
 */
export function options() {
  const headers = baseHeaders();
  headers.set("Allow", METHODS);
  headers.set("Access-Control-Allow-Methods", METHODS);
  headers.set("Access-Control-Allow-Headers", "If-Modified-Since, If-None-Match, If-Range, Range");
  headers.set("Access-Control-Max-Age", "86400");
  return new Response(null, { status: 204, headers });
}

/**
 * The same answer without its body, as HEAD asks for. The length stays.
 * @param {Response} response
 * @returns {Response}
 */
export function withoutBody(response) {
  const { status, headers } = response;
  // Where the runtime refuses to cancel what it has not begun, there is nothing to stop.
  response.body?.cancel().catch(() => {});
  return new Response(null, { status, headers });
}

// RFC 9110, 8.8.3: a quoted string of visible characters other than the quote.
const ENTITY_TAG = /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/;

/**
 * A well-formed entity tag, or null.
 * @param {string | null} text
 * @returns {string | null}
 */
export function entityTag(text) {
  return text !== null && ENTITY_TAG.test(text) ? text : null;
}

/**
 * Whether what the client has is what would be sent (RFC 9110, 13.1.2 and 13.1.3): by
 * If-None-Match, compared weakly, or only where there is none, by If-Modified-Since.
 * @param {Headers} request
 * @param {string | null} etag
 * @param {Date | null} modified
 * @returns {boolean}
 */
export function notModified(request, etag, modified) {
  const wanted = request.get("If-None-Match");
  if (wanted !== null) {
    if (wanted.trim() === "*") return true;
    if (etag === null) return false;
    const opaque = etag.replace(/^W\//, "");
    // Within a quoted tag a comma is allowed, so the list is not split at commas.
    for (const [, tag] of wanted.matchAll(/(?:W\/)?("[^"]*")/g)) {
      if (tag === opaque) return true;
    }
    return false;
  }
  const since = Date.parse(request.get("If-Modified-Since") ?? "");
  if (Number.isNaN(since) || modified === null) return false;
  // The header tells whole seconds.
  return Math.floor(modified.getTime() / 1000) * 1000 <= since;
}

/**
 * Which bytes to send.
 * @typedef {{kind: "whole"}
 *   | {kind: "part", start: number, length: number}
 *   | {kind: "unsatisfiable"}} Extent
 */

/**
 * What a GET's Range asks of `size` bytes (RFC 9110, 14). Several ranges, other units and what is
 * not well-formed are ignored, as the RFC allows; so is a range whose If-Range does not hold.
 * @param {Headers} request
 * @param {number} size more than 0
 * @param {string | null} etag
 * @returns {Extent}
 */
export function extent(request, size, etag) {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(request.get("Range")?.trim() ?? "");
  if (match === null || (match[1] === "" && match[2] === "")) return { kind: "whole" };
  const condition = request.get("If-Range");
  // A date is not used: of two versions within one second it cannot tell which.
  if (condition !== null && (condition.startsWith("W/") || condition !== etag)) {
    return { kind: "whole" };
  }
  if (match[1] === "") {
    const length = Math.min(Number(match[2]), size);
    if (length === 0) return { kind: "unsatisfiable" };
    return { kind: "part", start: size - length, length };
  }
  const start = Number(match[1]);
  const end = match[2] === "" ? size - 1 : Math.min(Number(match[2]), size - 1);
  if (match[2] !== "" && Number(match[2]) < start) return { kind: "whole" };
  if (start >= size) return { kind: "unsatisfiable" };
  return { kind: "part", start, length: end - start + 1 };
}
