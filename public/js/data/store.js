// Every file that the page shows, each loaded at most once at a time and told to all who show it.

import { DataError } from "./errors.js";
import { fetchText } from "./fetch.js";
import { readFiles } from "./files.js";
import { readHead } from "./head.js";
import { FILES, isReportName, LATEST, REPORT_LIMITS, SIDE_LIMITS, TRENDS } from "./names.js";
import { readReport } from "./report.js";
import { Resource } from "./resource.js";
import { readTrends } from "./trends.js";

/** @import { Limits } from "./fetch.js" */
/** @import { Metadata } from "./metadata.js" */
/** @import { Report } from "./report.js" */
/** @import { Run } from "./trends.js" */
/** @import { ListedFile } from "./files.js" */

/** What it means that a file is not there, by its name. @type {Readonly<Record<string, string>>} */
const NOT_THERE = Object.freeze({
  [LATEST]:
    "There is no such file yet: nothing has been published here. The first report appears after the first run that the publish gate lets through.",
  [TRENDS]: "There is no such file yet: it comes with the first run that is kept in a history.",
  [FILES]: "There is no such file yet: it comes with the first report.",
});

/** How many earlier reports are kept in memory beside the latest. */
const KEPT_REPORTS = 3;

/**
 * A file's text.
 * @param {string} name
 * @param {URL} base
 * @param {{limits: Limits, onText?: (text: string) => void}} how
 * @returns {Promise<string>}
 * @throws {DataError}
 */
async function load(name, base, how) {
  // Only names of ours are ever asked for, whatever the address of this page says.
  if (!Object.hasOwn(NOT_THERE, name) && !isReportName(name)) {
    throw new DataError("missing", "No report can have this name.");
  }
  try {
    return await fetchText(new URL(name, base), { ...how, immutable: isReportName(name) });
  } catch (error) {
    if (error instanceof DataError && error.why === "missing" && Object.hasOwn(NOT_THERE, name)) {
      throw new DataError("missing", NOT_THERE[name]);
    }
    throw error;
  }
}

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
      const source = await load(name, base, {
        limits: REPORT_LIMITS,
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
      readTrends(await load(TRENDS, base, { limits: SIDE_LIMITS })),
    );
    /** @type {Resource<ListedFile[]>} */
    this.files = new Resource(async () =>
      readFiles(await load(FILES, base, { limits: SIDE_LIMITS })),
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
    if (!isReportName(name)) return resource;
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
