// Every file that the page shows, each loaded at most once at a time and told to all who show it.

import { DataError } from "./errors.js";
import { fetchText } from "./fetch.js";
import { readFiles } from "./files.js";
import { readHead } from "./head.js";
import { FILES, isReportName, LATEST, REPORT_LIMITS, SIDE_LIMITS, TRENDS } from "./names.js";
import { readReport } from "./report.js";
import { Resource } from "./resource.js";
import { readTrends } from "./trends.js";

/** @import { Metadata } from "./metadata.js" */
/** @import { Report } from "./report.js" */
/** @import { Run } from "./trends.js" */
/** @import { ListedFile } from "./files.js" */

/** How many earlier reports are kept in memory beside the latest. */
const KEPT_REPORTS = 3;

/** A report; its metadata may be there before the rest. @extends {Resource<Report>} */
export class ReportResource extends Resource {
  /**
   * @param {string} name
   * @param {URL} base
   */
  constructor(name, base) {
    super(async () => {
      // Only the first time: afterwards there is a whole report to show meanwhile.
      let wanted = this.value === null;
      const source = await fetchText(new URL(name, base), {
        limits: REPORT_LIMITS,
        immutable: name !== LATEST,
        onText: (text) => {
          if (!wanted) return;
          const head = readHead(text);
          if (head === undefined) return;
          wanted = false;
          if (head !== null) {
            this.head = head;
            this.changed();
          }
        },
      });
      const report = readReport(source);
      this.head = report.metadata;
      return report;
    });
    this.name = name;
    /** @type {Metadata | null} */
    this.head = null;
  }
}

export class Store {
  /** @param {URL} base where the files lie */
  constructor(base) {
    this.base = base;
    this.latest = new ReportResource(LATEST, base);
    /** @type {Resource<Run[]>} */
    this.trends = new Resource(async () =>
      readTrends(await fetchText(new URL(TRENDS, base), { limits: SIDE_LIMITS, immutable: false })),
    );
    /** @type {Resource<ListedFile[]>} */
    this.files = new Resource(async () =>
      readFiles(await fetchText(new URL(FILES, base), { limits: SIDE_LIMITS, immutable: false })),
    );
    /** @type {Map<string, ReportResource>} */
    this.earlier = new Map();
  }

  /**
   * The report of this name, loading or loaded.
   * @param {string | null} name null for the latest
   * @returns {ReportResource}
   */
  report(name) {
    if (name === null || name === LATEST) return this.latest;
    const known = this.earlier.get(name);
    if (known !== undefined) return known;
    const resource = new ReportResource(name, this.base);
    if (!isReportName(name)) {
      resource.state = "failed";
      resource.error = new DataError("missing", "No report can have this name.");
      return resource;
    }
    this.earlier.set(name, resource);
    for (const old of this.earlier.keys()) {
      if (this.earlier.size <= KEPT_REPORTS) break;
      this.earlier.delete(old);
    }
    return resource;
  }

  /**
   * Loads the latest files anew, whatever is there.
   * @returns {Promise<void>}
   */
  async reload() {
    await Promise.all([this.latest.reload(), this.trends.reload(), this.files.reload()]);
  }
}
