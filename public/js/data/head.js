// The figures of a report before all of it has come: `format` and `metadata` stand first in the
// file, so the page can show the overview while the relays are still on their way. Performs no IO.

import { addsUp } from "./audit.js";
import { checkFormat } from "./format.js";
import { readMetadata } from "./metadata.js";

/** Beyond this many characters the metadata is waited for no longer. */
const GIVE_UP = 1024 * 1024;

const START = /^\s*\{\s*"format"\s*:\s*(\{[^{}]*\})\s*,\s*"metadata"\s*:\s*(?=\{)/;

/**
 * The metadata in the beginning of a report.
 * @param {string} source
 * @returns {import("./metadata.js").Metadata | null | undefined} undefined where it is not complete
 *   yet, null where it will not be found this way
 */
export function readHead(source) {
  const start = START.exec(source.slice(0, 4096));
  if (start === null) return source.length < 4096 ? undefined : null;
  const end = endOfObject(source, start[0].length);
  if (end === null) return source.length < GIVE_UP ? undefined : null;
  try {
    checkFormat(JSON.parse(start[1]), "exit-validator/report");
    return sound(JSON.parse(source.slice(start[0].length, end)));
  } catch {
    // The whole file's reader will say what is wrong with it.
    return null;
  }
}

/**
 * The metadata in figures.json, which is the same as in the report that it is of.
 * @param {string} source
 * @returns {import("./metadata.js").Metadata | null} null where the report itself has to be waited for
 */
export function readFigures(source) {
  try {
    const { format, metadata } = JSON.parse(source);
    checkFormat(format, "exit-validator/figures");
    return sound(metadata);
  } catch {
    return null;
  }
}

/**
 * Figures that are damaged are not shown before the results can be counted.
 * @param {unknown} value
 * @returns {import("./metadata.js").Metadata | null}
 */
function sound(value) {
  /** @type {import("./read.js").Flaws} */
  const flaws = new Map();
  const metadata = readMetadata(/** @type {any} */ (value), flaws);
  return flaws.size === 0 && addsUp(metadata) ? metadata : null;
}

/**
 * @param {string} source
 * @param {number} start where the object begins
 * @returns {number | null} where it ends; null where it does not end here
 */
function endOfObject(source, start) {
  let depth = 0;
  let inText = false;
  const limit = Math.min(source.length, GIVE_UP);
  for (let i = start; i < limit; i += 1) {
    const c = source.charCodeAt(i);
    if (inText) {
      if (c === 0x5c) i += 1;
      else if (c === 0x22) inText = false;
    } else if (c === 0x22) inText = true;
    else if (c === 0x7b) depth += 1;
    else if (c === 0x7d) {
      depth -= 1;
      if (depth === 0) return i + 1;
    }
  }
  return null;
}
