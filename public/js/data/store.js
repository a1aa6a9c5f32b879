// Every file that the page shows, each loaded at most once at a time and told to all who show it.

import { DataError } from "./errors.js";
import { fetchFile } from "./fetch.js";
import { readFiles } from "./files.js";
import { readFigures, readHead } from "./head.js";
import { readIncidents } from "./incidents.js";
import {
  FIGURES,
  FILES,
  INCIDENTS,
  isReportName,
  LATEST,
  REPORT_LIMITS,
  SIDE_LIMITS,
  TRENDS,
} from "./names.js";
import { readReport } from "./report.js";
import { Resource } from "./resource.js";
import { readTrends } from "./trends.js";

/** @import { Limits } from "./fetch.js" */
/** @import { Metadata } from "./metadata.js" */
/** @import { Report } from "./report.js" */
/** @import { Run, Trends } from "./trends.js" */
/** @import { FileList, ListedFile } from "./files.js" */
/** @import { IncidentList } from "./incidents.js" */

/** What it means that a file is not there, by its name. @type {Readonly<Record<string, string>>} */
const NOT_THERE = Object.freeze({
  [LATEST]:
    "There is no such file yet: nothing has been published here. The first report appears after the first run that the publish gate lets through.",
  [TRENDS]: "There is no such file yet: it comes with the first run that is kept in a history.",
  [INCIDENTS]: "There is no such file: it comes with the first run after which notices are made.",
  [FILES]: "There is no such file yet: it comes with the first report.",
  [FIGURES]: "There is no such file yet: it comes with the first report.",
});

/** How many earlier reports are kept in memory beside the latest. */
const KEPT_REPORTS = 3;

/**
 * A file of ours: its text, and what tells it from another.
 */
class Source {
  /** @type {string | null} */
  #tag = null;

  /**
   * @param {string} name
   * @param {URL} base
   * @param {Limits} limits
   */
  constructor(name, base, limits) {
    this.name = name;
    this.base = base;
    this.limits = limits;
  }

  /**
   * @template T
   * @param {boolean} ifNew
   * @param {(text: string) => T} read
   * @param {(text: string) => void} [onText]
   * @returns {Promise<T | null>} null where it is as it was, which only `ifNew` allows
   * @throws {DataError}
   */
  async load(ifNew, read, onText) {
    const { name } = this;
    // Only names of ours are ever asked for, whatever the address of this page says.
    if (!Object.hasOwn(NOT_THERE, name) && !isReportName(name)) {
      throw new DataError("missing", "No report can have this name.");
    }
    const { text, tag } = await this.#fetch(ifNew ? this.#tag : null, onText);
    if (text === null) return null;
    const value = read(text);
    // Only of what could be read: a damaged file is read again.
    this.#tag = tag;
    return value;
  }

  /**
   * @param {string | null} known
   * @param {((text: string) => void) | undefined} onText
   * @returns {Promise<import("./fetch.js").Fetched>}
   * @throws {DataError}
   */
  async #fetch(known, onText) {
    const { name, limits } = this;
    const immutable = isReportName(name);
    try {
      return await fetchFile(new URL(name, this.base), { limits, immutable, known, onText });
    } catch (error) {
      if (error instanceof DataError && error.why === "missing" && Object.hasOwn(NOT_THERE, name)) {
        throw new DataError("missing", NOT_THERE[name]);
      }
      throw error;
    }
  }
}

/** A report; its metadata may be there before the rest, those of the latest by a file of their own. @extends {Resource<Report>} */
export class ReportResource extends Resource {
  /**
   * @param {string} name
   * @param {URL} base
   */
  constructor(name, base) {
    const source = new Source(name, base, REPORT_LIMITS);
    const figures = new Source(FIGURES, base, SIDE_LIMITS);
    super(async (ifNew) => {
      // Only the first time: afterwards there is a whole report to show meanwhile.
      let wanted = this.value === null;
      /** @param {Metadata | null} head */
      const early = (head) => {
        if (!wanted || head === null) return;
        wanted = false;
        this.head = head;
        this.changed();
      };
      // They are on their way since the page is: index.html asks for them.
      if (wanted && name === LATEST) figures.load(false, readFigures).then(early, () => {});
      const report = await source.load(ifNew, readReport, (text) => {
        if (!wanted) return;
        const head = readHead(text);
        if (head === null) wanted = false;
        else if (head !== undefined) early(head);
      });
      wanted = false;
      if (report !== null) this.head = report.metadata;
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
    const trends = new Source(TRENDS, base, SIDE_LIMITS);
    /** @type {Resource<Trends>} */
    this.trends = new Resource((ifNew) => trends.load(ifNew, readTrends));
    const files = new Source(FILES, base, SIDE_LIMITS);
    /** @type {Resource<FileList>} */
    this.files = new Resource((ifNew) => files.load(ifNew, readFiles));
    const incidents = new Source(INCIDENTS, base, SIDE_LIMITS);
    /** Only where somebody looks at them. @type {Resource<IncidentList>} */
    this.incidents = new Resource((ifNew) => incidents.load(ifNew, readIncidents));
    /** @type {Map<string, ReportResource>} */
    this.earlier = new Map();
  }

  /** @returns {readonly Run[] | null} oldest first; null while they are not there */
  get runs() {
    return this.trends.value?.runs ?? null;
  }

  /** @returns {readonly ListedFile[] | null} newest first; null while the list is not there */
  get listed() {
    return this.files.value?.files ?? null;
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
   * Asks for newer files, quietly. An earlier report never changes: only one that did not come is
   * asked for.
   * @returns {Promise<void>}
   */
  async refresh() {
    const lost = [...this.earlier.values()].filter((report) => report.state === "failed");
    const seen = this.incidents.state === "idle" ? [] : [this.incidents];
    const all = [this.latest, this.trends, this.files, ...seen, ...lost];
    await Promise.all(all.map((resource) => resource.refresh()));
  }

  /**
   * Loads the latest files anew, whatever is there.
   * @returns {Promise<void>}
   */
  async reload() {
    const seen = this.incidents.state === "idle" ? [] : [this.incidents];
    const all = [this.latest, this.trends, this.files, ...seen];
    await Promise.all(all.map((resource) => resource.reload()));
  }
}
