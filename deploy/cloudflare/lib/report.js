// What the function needs to know of the published documents: their envelope, and where a
// report's metadata ends. The formats are described in docs/formats/; what is in them comes from
// strangers and is only ever passed on as JSON. Performs no IO.

/** The newest version of exit-validator/report and exit-validator/files that this reads. */
export const NEWEST_VERSION = 1;

/** A document that a newer release wrote. */
export class NewerFormat extends Error {}

/** A document that is not what its name says. */
export class WrongDocument extends Error {}

/**
 * The fields of a report that are used here. Any of them may be of another type in a damaged one.
 * @typedef {object} Report
 * @property {Record<string, unknown>} metadata
 * @property {Record<string, unknown>[]} results
 * @property {Record<string, unknown>[]} failures
 * @property {Record<string, unknown>[]} absent empty in a report of before there was a format
 */

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>[]}
 */
function isObjects(value) {
  return Array.isArray(value) && value.every(isObject);
}

/**
 * Checks what a document says that it is.
 * @param {unknown} document
 * @param {string} name the file's, for the message
 * @param {string} wanted the format's name
 * @returns {Record<string, unknown>}
 * @throws {NewerFormat | WrongDocument}
 */
function ofFormat(document, name, wanted) {
  if (!isObject(document)) throw new WrongDocument(`${name} is not a JSON object`);
  const { format } = document;
  // A report of the system before this one has none, and the same fields under the same names.
  if (format === undefined && wanted === "exit-validator/report") return document;
  if (!isObject(format) || format.name !== wanted || !Number.isInteger(format.version)) {
    throw new WrongDocument(`${name} is not of format ${wanted}`);
  }
  const version = Number(format.version);
  if (version < 1) throw new WrongDocument(`${name} is of version ${version}`);
  if (version > NEWEST_VERSION) {
    throw new NewerFormat(
      `${name} is ${wanted} version ${version}, and this function reads versions up to ${NEWEST_VERSION}; ` +
        "deploy the function of the release that wrote it",
    );
  }
  return document;
}

/**
 * @param {string} text
 * @param {string} name
 * @returns {unknown}
 * @throws {WrongDocument}
 */
function parsed(text, name) {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message may quote the document.
    throw new WrongDocument(`${name} is not JSON`);
  }
}

/**
 * Reads a report.
 * @param {Uint8Array} bytes
 * @returns {Report}
 * @throws {NewerFormat | WrongDocument}
 */
export function report(bytes) {
  const document = ofFormat(
    parsed(new TextDecoder().decode(bytes), "latest.json"),
    "latest.json",
    "exit-validator/report",
  );
  const { metadata, results, failures, absent = [] } = document;
  if (!isObject(metadata) || !isObjects(results) || !isObjects(failures) || !isObjects(absent)) {
    throw new WrongDocument("latest.json lacks something that a report has");
  }
  return { metadata, results, failures, absent };
}

/** Metadata is some kilobytes; with a hundred rejected files some tens. */
const HEAD_BYTES = 256 * 1024;

/**
 * A report's metadata, as a rule without parsing its megabytes: it stands before the results.
 * @param {Uint8Array} bytes
 * @returns {Record<string, unknown>}
 * @throws {NewerFormat | WrongDocument}
 */
export function metadataOf(bytes) {
  const head = new TextDecoder().decode(bytes.subarray(0, HEAD_BYTES));
  // Inside a string the quotes would be escaped, so this is a key, and no object of the metadata
  // has a list under it. If one ever does, what is before it does not parse.
  const results = /,\s*"results"\s*:\s*\[/.exec(head);
  if (results !== null) {
    let document;
    try {
      document = JSON.parse(`${head.slice(0, results.index)}}`);
    } catch {
      document = null;
    }
    // Without a format here it may stand further on.
    if (isObject(document) && isObject(document.metadata) && document.format !== undefined) {
      const { metadata } = ofFormat(document, "latest.json", "exit-validator/report");
      if (isObject(metadata)) return metadata;
    }
  }
  return report(bytes).metadata;
}

/**
 * The newest report of the list, published or held back; null where it lists none.
 * @param {Uint8Array} bytes of files.json, which has the newest first
 * @returns {Record<string, unknown> | null}
 * @throws {NewerFormat | WrongDocument}
 */
export function newestReport(bytes) {
  const { files } = ofFormat(
    parsed(new TextDecoder().decode(bytes), "files.json"),
    "files.json",
    "exit-validator/files",
  );
  if (!isObjects(files)) throw new WrongDocument("files.json has no list of files");
  return files.find(({ kind, report }) => kind === "report" && isObject(report)) ?? null;
}

/**
 * What the badges of some relays are made of. Any field may be of another type in a damaged one.
 * @param {Uint8Array} bytes of a file of badges/
 * @returns {{timestamp: unknown, relays: Record<string, unknown>, operators: unknown[]}}
 * @throws {NewerFormat | WrongDocument}
 */
export function badges(bytes) {
  const { timestamp, relays, operators } = ofFormat(
    parsed(new TextDecoder().decode(bytes), "the badges"),
    "the badges",
    "exit-validator/badges",
  );
  if (!isObject(relays) || !Array.isArray(operators)) {
    throw new WrongDocument("the badges lack something that they have");
  }
  return { timestamp, relays, operators };
}

/**
 * What an answer says of the report that it was made from.
 * @param {Record<string, unknown>} metadata
 * @returns {Record<string, unknown>}
 */
export function origin(metadata) {
  const { timestamp, run_id, mode, domain, expected_ip } = metadata;
  return { timestamp, run_id, mode, domain, expected_ip };
}
