// files.json, as docs/formats/files.md has it. Performs no IO.

import { parse } from "./format.js";
import { isArchiveName, isReportName } from "./names.js";
import { count, list, object, percent, text, texts, time } from "./read.js";

/** @typedef {import("./types.js").ListedReport} ListedReport */
/** @typedef {import("./types.js").ListedFile} ListedFile */

/**
 * @param {string} source the file's text
 * @returns {ListedFile[]} newest first; entries with a name that is none of ours are left out
 * @throws {import("./errors.js").DataError}
 */
export function readFiles(source) {
  const document = parse(source, "exit-validator/files");
  const files = list(document.files).flatMap((item) => {
    const entry = object(item);
    const name = text(entry.name) ?? "";
    /** @type {"report" | "archive" | null} */
    const kind = isReportName(name) ? "report" : isArchiveName(name) ? "archive" : null;
    if (kind === null) return [];
    const report = object(entry.report);
    const sha256 = text(entry.sha256);
    return [
      {
        name,
        kind,
        size: count(entry.size),
        sha256: sha256 !== null && /^[0-9a-f]{64}$/.test(sha256) ? sha256 : null,
        timestamp: time(entry.timestamp),
        report:
          kind === "archive"
            ? null
            : {
                total: count(report.total_relays),
                dnsRate: percent(report.dns_success_rate_percent),
                published: report.published === true,
                reasons: texts(report.reasons),
              },
      },
    ];
  });
  return files.sort((a, b) => (b.timestamp ?? 0) - (a.timestamp ?? 0));
}
