// files.json, as docs/formats/files.md has it. Performs no IO.

import { parse } from "./format.js";
import { isArchiveName, isReportName } from "./names.js";
import { count, flag, flawWords, isObject, list, percent, Reading, text, time } from "./read.js";

/** @import { Flaws } from "./read.js" */

/** @typedef {import("./types.js").ListedReport} ListedReport */
/** @typedef {import("./types.js").ListedFile} ListedFile */
/** @typedef {import("./types.js").FileList} FileList */

/**
 * @param {unknown} value
 * @returns {string | null}
 */
function sha256(value) {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value) ? value : null;
}

/**
 * @param {unknown} item
 * @param {Flaws} flaws
 * @returns {ListedFile | null} null for one with a name that is none of ours
 */
function readFile(item, flaws) {
  const name = text(isObject(item) ? item.name : null) ?? "";
  /** @type {"report" | "archive" | null} */
  const kind = isReportName(name) ? "report" : isArchiveName(name) ? "archive" : null;
  if (kind === null) return null;
  const file = new Reading(item, flaws);
  const report = file.within("report");
  return {
    name,
    kind,
    size: file.get("size", count),
    sha256: file.get("sha256", sha256),
    timestamp: file.get("timestamp", time),
    report:
      kind === "archive"
        ? null
        : {
            runId: report.get("run_id", text),
            total: report.get("total_relays", count),
            dnsRate: report.get("dns_success_rate_percent", percent),
            published: report.get("published", flag) === true,
            reasons: report.texts("reasons"),
          },
  };
}

/**
 * @param {string} source the file's text
 * @returns {FileList}
 * @throws {import("./errors.js").DataError}
 */
export function readFiles(source) {
  const document = parse(source, "exit-validator/files");
  const items = list(document.files);
  /** @type {Flaws} */
  const flaws = new Map();
  const files = items.flatMap((item) => readFile(item, flaws) ?? []);
  files.sort((a, b) => (b.timestamp ?? 0) - (a.timestamp ?? 0));
  /** @type {string[]} */
  const problems = [];
  if (!Array.isArray(document.files)) problems.push("The list of files is missing.");
  const dropped = items.length - files.length;
  if (dropped > 0) problems.push(`Entries whose name no file of ours can have: ${dropped}.`);
  const again = files.length - new Set(files.map((file) => file.name)).size;
  if (again > 0) problems.push(`Files that are named more than once: ${again}.`);
  problems.push(...flawWords(flaws, (name, n) => `“${name}” cannot be read for ${n} files.`));
  return { files, problems };
}
