// The answers of /api/, made from latest.json and files.json.

import { readJson, StoreError } from "./body.js";
import { fromFirst, notDelivered } from "./choose.js";
import { failure, json, MISSING_SECONDS, NO_STORE, notModified, SHORT_SECONDS } from "./http.js";
import { dataFile } from "./names.js";
import { metadataOf, NewerFormat, newestReport, origin, report, WrongDocument } from "./report.js";
import { status } from "./status.js";
import { cancel } from "./stores.js";

/** @import { DataFile } from "./names.js" */
/** @import { Report } from "./report.js" */
/** @import { Settings } from "./settings.js" */
/** @import { Store } from "./stores.js" */
/** @template T @typedef {import("./choose.js").Outcome<T>} Outcome */

const LATEST = /** @type {DataFile} */ (dataFile("latest.json"));
const FILES = /** @type {DataFile} */ (dataFile("files.json"));

/**
 * The last report that this isolate parsed, which takes some tens of milliseconds, by its entity tag.
 * @type {{etag: string, report: Report} | null}
 */
let last = null;

/**
 * Reads with `parse`; a document that is damaged counts as a store that failed.
 * @template T
 * @param {() => T} parse
 * @returns {T}
 * @throws {StoreError | NewerFormat}
 */
function orFault(parse) {
  try {
    return parse();
  } catch (error) {
    if (error instanceof WrongDocument) throw new StoreError("not_json", error.message);
    throw error;
  }
}

/**
 * A document as `parse` makes it of its bytes.
 * @template T
 * @param {DataFile} file
 * @param {readonly Store[]} stores
 * @param {number} deadlineMs
 * @param {(bytes: Uint8Array) => T} parse
 * @returns {Promise<Outcome<{document: T, store: string}> | {newer: string}>}
 */
async function read(file, stores, deadlineMs, parse) {
  const outcome = await fromFirst(stores, file, deadlineMs, async (opened, store, deadline) => {
    const bytes = await readJson(opened.body, opened.size, deadline);
    return { document: newerAside(() => orFault(() => parse(bytes))), store: store.name };
  });
  if (!outcome.found) return outcome;
  const { document, store } = outcome.value;
  return "newer" in document
    ? document
    : { found: true, value: { document: document.value, store } };
}

/**
 * A newer format is no fault of the store: the other one is not asked for an older document.
 * @template T
 * @param {() => T} parse
 * @returns {{value: T} | {newer: string}}
 */
function newerAside(parse) {
  try {
    return { value: parse() };
  } catch (error) {
    if (error instanceof NewerFormat) return { newer: error.message };
    throw error;
  }
}

/**
 * @param {string} message
 * @returns {Response}
 */
function newerFormat(message) {
  return failure(502, "newer_format", message);
}

/**
 * /api/status: 200 with a document that says how things are; with `?strict` 503 unless they are
 * well, for monitoring that looks at nothing else.
 * @param {Request} request
 * @param {readonly Store[]} stores
 * @param {Settings} settings
 * @param {number} now milliseconds
 * @returns {Promise<Response>}
 */
export async function statusOf(request, stores, settings, now) {
  const [latest, files] = await Promise.all([
    read(LATEST, stores, settings.deadlineMs, metadataOf),
    read(FILES, stores, settings.deadlineMs, newestReport),
  ]);
  if ("newer" in latest) return newerFormat(latest.newer);
  if (!latest.found && !latest.missing) return notDelivered(LATEST, latest);
  // The list only adds to the answer: without it there still is one.
  const problems = [];
  if ("newer" in files) problems.push(files.newer);
  else if (!files.found)
    problems.push(`files.json ${files.missing ? "is not there" : "could not be had"}`);
  const { healthy, document } = status(
    latest.found ? latest.value.document : null,
    "found" in files && files.found ? files.value.document : null,
    problems,
    now,
    settings.overdueAfterSeconds,
  );
  const strict = new URL(request.url).searchParams.has("strict");
  return json(document, {
    status: strict && !healthy ? 503 : 200,
    cache: NO_STORE,
    headers: latest.found ? { "X-Served-From": latest.value.store } : {},
  });
}

/**
 * An answer made from the last report.
 * @param {Request} request
 * @param {readonly Store[]} stores
 * @param {Settings} settings
 * @param {(report: Report) => Response} make
 * @returns {Promise<Response>}
 */
async function fromReport(request, stores, settings, make) {
  const outcome = await fromFirst(
    stores,
    LATEST,
    settings.deadlineMs,
    async (opened, store, deadline) => {
      // The answer's own bytes are others than the report's, and change with it alone: a weak tag.
      const etag =
        opened.etag === null ? null : `W/"api1-${opened.etag.replace(/^W\//, "").slice(1)}`;
      /** @type {(response: Response) => Response} */
      const marked = (response) => {
        response.headers.set("X-Served-From", store.name);
        if (etag !== null && response.status !== 404) response.headers.set("ETag", etag);
        return response;
      };
      if (notModified(request.headers, etag, null)) {
        cancel(opened.body);
        const { headers } = json(null, { cache: `public, max-age=${SHORT_SECONDS}` });
        headers.delete("Content-Type");
        return marked(new Response(null, { status: 304, headers }));
      }
      if (last !== null && last.etag === opened.etag) {
        cancel(opened.body);
        return marked(make(last.report));
      }
      const bytes = await readJson(opened.body, opened.size, deadline);
      const document = newerAside(() => orFault(() => report(bytes)));
      if ("newer" in document) return newerFormat(document.newer);
      if (opened.etag !== null) last = { etag: opened.etag, report: document.value };
      return marked(make(document.value));
    },
  );
  return outcome.found ? outcome.value : notDelivered(LATEST, outcome);
}

/**
 * /api/failures: the relays whose DNS failed, as the last report has them.
 * @param {Request} request
 * @param {readonly Store[]} stores
 * @param {Settings} settings
 * @returns {Promise<Response>}
 */
export function failures(request, stores, settings) {
  return fromReport(request, stores, settings, ({ metadata, failures }) =>
    json(
      {
        format: { name: "exit-validator/failures", version: 1 },
        report: origin(metadata),
        count: failures.length,
        failures,
      },
      { cache: `public, max-age=${SHORT_SECONDS}` },
    ),
  );
}

/**
 * /api/relay/FINGERPRINT: what the last report says of one relay. `result` is null for one that an
 * earlier run knew and this one did not have, which `absent` then describes.
 * @param {Request} request
 * @param {string} fingerprint
 * @param {readonly Store[]} stores
 * @param {Settings} settings
 * @returns {Promise<Response>}
 */
export function relay(request, fingerprint, stores, settings) {
  return fromReport(request, stores, settings, ({ metadata, results, absent }) => {
    /** @type {(all: Record<string, unknown>[]) => Record<string, unknown> | null} */
    const find = (all) => all.find((one) => one.exit_fingerprint === fingerprint) ?? null;
    const result = find(results);
    const gone = result === null ? find(absent) : null;
    if (result === null && gone === null) {
      return failure(404, "unknown_relay", `the last report has no exit relay ${fingerprint}`, {
        cache: `public, max-age=${MISSING_SECONDS}`,
        more: { report: origin(metadata) },
      });
    }
    return json(
      {
        format: { name: "exit-validator/relay", version: 1 },
        report: origin(metadata),
        result,
        absent: gone,
      },
      { cache: `public, max-age=${SHORT_SECONDS}` },
    );
  });
}
