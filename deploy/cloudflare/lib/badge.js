// The badges: a small picture for a relay or for its operator, made from a small index of the report.
// Nothing of a request or of the index is ever put into the picture: words from a list, and numbers.

import { readJson, StoreError } from "./body.js";
import { fromFirst, notDelivered } from "./choose.js";
import { baseHeaders, failure, MISSING_SECONDS } from "./http.js";
import { dataFile } from "./names.js";
import { badges, NewerFormat, WrongDocument } from "./report.js";

/** @import { DataFile } from "./names.js" */
/** @import { Settings } from "./settings.js" */
/** @import { Store } from "./stores.js" */

/** How long a badge may be kept: seconds. Pages that show badges are asked often. */
const BADGE_SECONDS = 300;

/** What stands on the left. */
const LABEL = "exit DNS";

const GREEN = "#2e7d32";
const YELLOW = "#8a6d00";
const RED = "#b3261e";
const GREY = "#5f6368";

/**
 * The words of the index (docs/formats/badges.md), as a badge says them.
 * @type {ReadonlyMap<string, readonly [string, string]>}
 */
const WORDS = new Map([
  ["works", ["works", GREEN]],
  ["degraded", ["works on retry", YELLOW]],
  ["flapping", ["flapping", YELLOW]],
  ["unconfirmed", ["failed once", YELLOW]],
  ["failing", ["failing", RED]],
  ["not_reached", ["not reached", GREY]],
  ["not_tested", ["not tested", GREY]],
]);

/** @type {readonly [string, string]} */
const UNKNOWN = ["unknown relay", GREY];

/** @type {readonly [string, string]} */
const OLD = ["no recent report", GREY];

/**
 * @param {unknown} value
 * @returns {number} 0 for what is not a whole number that can be shown
 */
function count(value) {
  return typeof value === "number" && Number.isInteger(value) && value > 0 && value < 1e6
    ? value
    : 0;
}

/**
 * @param {unknown} value
 * @returns {Record<string, unknown>}
 */
function fields(value) {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

/**
 * What a badge says.
 * @param {"relay" | "operator"} of
 * @param {string} fingerprint
 * @param {ReturnType<typeof badges>} index
 * @param {number} now milliseconds
 * @param {number} overdueAfterSeconds
 * @returns {{found: boolean, text: string, colour: string}}
 */
export function said(of, fingerprint, index, now, overdueAfterSeconds) {
  const timestamp = typeof index.timestamp === "string" ? Date.parse(index.timestamp) : Number.NaN;
  const own = Object.hasOwn(index.relays, fingerprint) ? fields(index.relays[fingerprint]) : null;
  /** @type {(words: readonly [string, string], more?: string) => ReturnType<typeof said>} */
  const say = ([text, colour], more = "") => ({ found: own !== null, text: text + more, colour });
  if (own === null) return say(UNKNOWN);
  // A verdict of last month says nothing of today, whoever has stopped testing.
  if (!(now - timestamp <= overdueAfterSeconds * 1000)) return say(OLD);
  if (of === "relay") {
    const words = WORDS.get(String(own.word)) ?? UNKNOWN;
    const failures = count(own.failures);
    return say(words, own.word === "failing" && failures > 1 ? `, ${failures} runs` : "");
  }
  const place = typeof own.operator === "number" ? own.operator : -1;
  const operator = fields(index.operators[place]);
  const [relays, work, fail] = [operator.relays, operator.work, operator.fail].map(count);
  if (fail > 0) return say([`${fail} of ${relays} failing`, RED]);
  if (work === 0) return say(["not reached", GREY]);
  return say([`${work} of ${relays} work`, GREEN]);
}

/** Of an average character at this size: pixels. The text is fitted to it, whatever the font. */
const CHARACTER = 6.5;

/**
 * A picture with two texts of our own words.
 * @param {string} text
 * @param {string} colour
 * @returns {string}
 */
export function svg(text, colour) {
  const [left, right] = [LABEL, text].map((one) => Math.round(one.length * CHARACTER) + 12);
  const width = left + right;
  const name = `${LABEL}: ${text}`;
  /** @type {(words: string, middle: number, length: number) => string} */
  const line = (words, middle, length) =>
    `<text x="${middle}" y="14" textLength="${length}" lengthAdjust="spacingAndGlyphs">${words}</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="20" role="img" aria-label="${name}">`,
    `<title>${name}</title>`,
    `<clipPath id="r"><rect width="${width}" height="20" rx="3"/></clipPath>`,
    `<g clip-path="url(#r)"><rect width="${left}" height="20" fill="#3c4043"/>`,
    `<rect x="${left}" width="${right}" height="20" fill="${colour}"/></g>`,
    `<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">`,
    line(LABEL, left / 2, left - 12),
    line(text, left + right / 2, right - 12),
    "</g></svg>\n",
  ].join("");
}

/**
 * The index that has a relay.
 * @param {string} fingerprint
 * @returns {DataFile}
 */
function indexOf(fingerprint) {
  return /** @type {DataFile} */ (dataFile(`badges/${fingerprint[0]}.json`));
}

/**
 * /badge/relay/FINGERPRINT.svg, and /badge/operator/FINGERPRINT.svg for whoever runs that relay.
 * @param {"relay" | "operator"} of
 * @param {string} fingerprint
 * @param {readonly Store[]} stores
 * @param {Settings} settings
 * @param {number} now milliseconds
 * @returns {Promise<Response>}
 */
export async function badge(of, fingerprint, stores, settings, now) {
  const file = indexOf(fingerprint);
  const outcome = await fromFirst(
    stores,
    file,
    settings.deadlineMs,
    async (opened, store, deadline) => {
      const bytes = await readJson(opened.body, opened.size, deadline);
      let index;
      try {
        index = badges(bytes);
      } catch (error) {
        if (error instanceof NewerFormat) return failure(502, "newer_format", error.message);
        if (error instanceof WrongDocument) throw new StoreError("not_json", error.message);
        throw error;
      }
      const { found, text, colour } = said(
        of,
        fingerprint,
        index,
        now,
        settings.overdueAfterSeconds,
      );
      const response = picture(text, colour, found ? 200 : 404);
      response.headers.set("X-Served-From", store.name);
      return response;
    },
  );
  return outcome.found ? outcome.value : notDelivered(file, outcome);
}

/**
 * @param {string} text
 * @param {string} colour
 * @param {number} status
 * @returns {Response}
 */
function picture(text, colour, status) {
  const headers = baseHeaders();
  headers.set("Content-Type", "image/svg+xml; charset=utf-8");
  const seconds = status === 200 ? BADGE_SECONDS : MISSING_SECONDS;
  headers.set("Cache-Control", `public, max-age=${seconds}`);
  return new Response(svg(text, colour), { status, headers });
}
