// The files' names and limits. Performs no IO. The names are those of docs/formats/files.md.

/** @import { Limits } from "./fetch.js" */

export const LATEST = "latest.json";
export const TRENDS = "trends.json";
export const FILES = "files.json";
export const FIGURES = "figures.json";
export const INCIDENTS = "incidents.json";

const MIB = 1024 * 1024;

/** As `aggregate` has it: a larger report is damaged. @type {Limits} */
export const REPORT_LIMITS = { bytes: 64 * MIB, idleMs: 20_000, totalMs: 180_000 };

/** @type {Limits} */
export const SIDE_LIMITS = { bytes: 32 * MIB, idleMs: 20_000, totalMs: 60_000 };

const REPORT = /^dns_health_\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}(?:-[1-9]\d{0,3})?\.json$/;
const ARCHIVE = /^dns_health_\d{4}-\d{2}\.(?:tar|tar\.gz|tar\.xz|tar\.zst|zip)$/;

/**
 * @param {string} name
 * @returns {boolean} whether a dated report can have this name
 */
export function isReportName(name) {
  return REPORT.test(name);
}

/**
 * @param {string} name
 * @returns {boolean} whether an archive of reports can have this name
 */
export function isArchiveName(name) {
  return ARCHIVE.test(name);
}
