// The names that are data, and what each may be told to caches and readers: decided by the name
// alone, so that nothing from a request ever reaches a store. Performs no IO.
// The names are those of docs/formats/files.md, report.md and store.md.

/**
 * A file of the published data.
 * @typedef {object} DataFile
 * @property {string} name the file's name, which is its key in a store
 * @property {"json" | "metrics" | "feed" | "page" | "archive"} form what its bytes are
 * @property {boolean} immutable whether its content never changes under its name
 * @property {string} contentType
 * @property {readonly number[]} magic the bytes that it begins with; empty where nothing is sure
 */

const JSON_TYPE = "application/json; charset=utf-8";

// Prometheus' text format, as its servers have to call it.
const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

// RFC 4287, section 7.
const FEED_TYPE = "application/atom+xml; charset=utf-8";

const PAGE_TYPE = "text/html; charset=utf-8";

/** A page, which is of the latest report and needs no script. */
const SUMMARY = "summary.html";

/** What is replaced with each report. */
const POINTERS = new Set(["latest.json", "files.json", "trends.json"]);

/** What is made of reports for other programs. */
const EXPORT =
  /^(?:figures\.json|onionoo-dns\.json|incidents\.json|metrics\.prom|compat\/(?:latest\.json|metrics\.prom))$/;

/** The incidents as feeds, of all and of single operators. */
const FEED = /^(?:feed|feeds\/[0-9a-f]{16})\.atom$/;

/** What the badges of relays say, by the first digit of the fingerprint. */
const BADGES = /^badges\/[0-9A-F]\.json$/;

// A report's time, and from the second report of the same second on its number.
const REPORT =
  /^dns_health_(\d{4})-(\d{2})-(\d{2})_(\d{2})-(\d{2})-(\d{2})(?:-([2-9]|[1-9]\d{1,3}))?\.json$/;

// A month, and from its second archive on its number: the later holds what the earlier held.
const ARCHIVE =
  /^dns_health_\d{4}-(?:0[1-9]|1[0-2])(?:-(?:[2-9]|[1-9]\d{1,3}))?\.(tar|tar\.gz|tar\.xz|tar\.zst|zip)$/;

/** @type {Readonly<Record<string, {type: string, magic: readonly number[]}>>} */
const ARCHIVES = {
  // A tar begins with a file's name, which is not known here.
  tar: { type: "application/x-tar", magic: [] },
  // RFC 1952, 2.3.1.
  "tar.gz": { type: "application/gzip", magic: [0x1f, 0x8b] },
  // The .xz file format, 2.1.1.1.
  "tar.xz": { type: "application/x-xz", magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  // RFC 8878, 3.1.1.
  "tar.zst": { type: "application/zstd", magic: [0x28, 0xb5, 0x2f, 0xfd] },
  // APPNOTE.TXT, 4.3.7; an archive of nothing begins otherwise, and is none of ours.
  zip: { type: "application/zip", magic: [0x50, 0x4b, 0x03, 0x04] },
};

/**
 * The data file of this name; null where it is not the name of one.
 * @param {string} name
 * @returns {DataFile | null}
 */
export function dataFile(name) {
  if (POINTERS.has(name) || EXPORT.test(name) || BADGES.test(name)) {
    return name.endsWith(".prom")
      ? { name, form: "metrics", immutable: false, contentType: METRICS_TYPE, magic: [] }
      : { name, form: "json", immutable: false, contentType: JSON_TYPE, magic: [] };
  }
  if (FEED.test(name)) {
    return { name, form: "feed", immutable: false, contentType: FEED_TYPE, magic: [] };
  }
  if (name === SUMMARY) {
    return { name, form: "page", immutable: false, contentType: PAGE_TYPE, magic: [] };
  }
  const report = REPORT.exec(name);
  if (report !== null) {
    const [year, month, day, hour, minute, second] = report.slice(1, 7).map(Number);
    const time = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
    // A date that does not exist rolls over into one that does.
    const exists =
      time.getUTCMonth() === month - 1 &&
      time.getUTCDate() === day &&
      time.getUTCHours() === hour &&
      time.getUTCMinutes() === minute &&
      time.getUTCSeconds() === second;
    return exists
      ? { name, form: "json", immutable: true, contentType: JSON_TYPE, magic: [] }
      : null;
  }
  const archive = ARCHIVE.exec(name);
  if (archive !== null) {
    const { type, magic } = ARCHIVES[archive[1]];
    return { name, form: "archive", immutable: true, contentType: type, magic };
  }
  return null;
}

/**
 * What a path asks for.
 * @typedef {{to: "data", file: DataFile}
 *   | {to: "status"}
 *   | {to: "failures"}
 *   | {to: "relay", fingerprint: string}
 *   | {to: "badge", of: "relay" | "operator", fingerprint: string}
 *   | {to: "subscription", token: string}
 *   | {to: "bad_fingerprint"}
 *   | {to: "unknown"}
 *   | {to: "pages"}} Route
 */

/**
 * Where a request's path leads. Paths that look like data and are none are `unknown`; everything
 * else is the static pages'.
 * @param {string} path as in a URL: with its leading slash, still percent-encoded
 * @returns {Route}
 */
export function route(path) {
  if (path === "/api" || path.startsWith("/api/")) {
    const relay = /^\/api\/relay\/([^/]*)$/.exec(path);
    if (relay !== null) {
      const found = fingerprint(relay[1]);
      return found === null ? { to: "bad_fingerprint" } : { to: "relay", fingerprint: found };
    }
    if (path === "/api/status") return { to: "status" };
    if (path === "/api/failures") return { to: "failures" };
    return { to: "unknown" };
  }
  const badge = /^\/badge\/(relay|operator)\/([^/]*)\.svg$/.exec(path);
  if (badge !== null) {
    const found = fingerprint(badge[2]);
    if (found === null) return { to: "bad_fingerprint" };
    return { to: "badge", of: badge[1] === "relay" ? "relay" : "operator", fingerprint: found };
  }
  const token = /^\/subscription\/([^/]*)$/.exec(path);
  if (token !== null) return { to: "subscription", token: token[1] };
  const file = dataFile(path.slice(1));
  if (file !== null) return { to: "data", file };
  return path.startsWith("/dns_health_") ||
    /^\/(?:badges?|compat|private|requests|subscription)(?:\/|$)/.test(path)
    ? { to: "unknown" }
    : { to: "pages" };
}

/**
 * A relay's fingerprint as the reports write it: 40 upper-case hexadecimal digits. Takes either
 * case, and tor's leading `$`, which a URL may hold encoded.
 * @param {string} text
 * @returns {string | null} null where it is none
 */
export function fingerprint(text) {
  const match = /^(?:\$|%24)?([0-9A-Fa-f]{40})$/.exec(text);
  return match === null ? null : match[1].toUpperCase();
}
