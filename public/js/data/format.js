// What a document is, and whether this page can read it: the `format` field, which stands first in
// every file of ours. Performs no IO.

import { DataError } from "./errors.js";
import { count, isObject, object, text } from "./read.js";

/** The newest versions that this page reads. */
export const VERSIONS = Object.freeze({
  "exit-validator/report": 1,
  "exit-validator/trends": 1,
  "exit-validator/files": 1,
  "exit-validator/figures": 1,
  "exit-validator/incidents": 1,
});

/** @typedef {keyof typeof VERSIONS} FormatName */

/**
 * Parses a file.
 * @param {string} source
 * @param {FormatName} name what it must be
 * @returns {import("./read.js").Fields}
 * @throws {DataError} where it is not JSON, something else, or of a newer version
 */
export function parse(source, name) {
  if (/^\s*</.test(source.slice(0, 200))) {
    throw new DataError("missing", "A web page came in place of the file: it is not there.");
  }
  if (source.trim() === "") throw new DataError("malformed", "The file is empty.");
  /** @type {unknown} */
  let document;
  try {
    document = JSON.parse(source);
  } catch {
    throw new DataError("malformed", "The file is damaged or was cut: it is not complete JSON.");
  }
  if (!isObject(document)) {
    throw new DataError("malformed", "The file is not a document of the exit validator.");
  }
  checkFormat(document.format, name);
  return document;
}

/**
 * @param {unknown} format the document's field; missing in reports from before there were formats
 * @param {FormatName} name
 * @throws {DataError}
 */
export function checkFormat(format, name) {
  if (format === undefined && name === "exit-validator/report") return;
  const found = object(format);
  if (text(found.name) !== name) {
    throw new DataError("malformed", `The file is not a document of the format ${name}.`);
  }
  const version = count(found.version);
  const newest = VERSIONS[name];
  if (version === null || version === 0) {
    throw new DataError("malformed", "The file does not say which version of the format it is.");
  }
  if (version > newest) {
    throw new DataError(
      "newer",
      `The file is of version ${version} of its format, and this page reads up to version ${newest}. Reload the page; if that does not help, its newer version has not been deployed yet.`,
    );
  }
}
