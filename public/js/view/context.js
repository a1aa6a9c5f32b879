// What every view is given.

import { interval } from "../model/health.js";
import { runsAWeek } from "../model/recurrence.js";
import { RelayIndex } from "../model/relays.js";

/** @import { Store, ReportResource } from "../data/store.js" */
/** @import { Report } from "../data/report.js" */
/** @import { Route, ViewName } from "../model/route.js" */

/**
 * @typedef {object} Context
 * @property {Store} store
 * @property {Route} route as it was when the view was made
 * @property {string | null} reportName the earlier report that is shown; null for the latest
 * @property {ReportResource} report the report that is shown
 * @property {AbortSignal} signal ends when the view is left
 * @property {() => number} now milliseconds
 * @property {(params: Readonly<Record<string, string>>) => void} replace puts other parameters in
 *   the address, without a step in the browser's history
 * @property {(view: ViewName, more?: {argument?: string,
 *   params?: Readonly<Record<string, string | null>>}) => string} href a link that stays with the
 *   report that is shown
 */

/**
 * @typedef {object} View
 * @property {string} title
 * @property {HTMLElement} element its first heading gets the focus
 * @property {(route: Route) => void} [update] for other parameters of the same view; without it, the
 *   view is made anew
 */

/** @type {WeakMap<Report, RelayIndex>} */
const indexes = new WeakMap();

/**
 * @param {Store} store
 * @param {Report} report
 * @returns {number} how many runs a week has
 */
export function perWeek(store, report) {
  return runsAWeek(interval(store.runs, report.metadata));
}

/**
 * @param {Store} store
 * @param {Report} report
 * @returns {RelayIndex} made once for each report
 */
export function indexOf(store, report) {
  let index = indexes.get(report);
  if (index === undefined) {
    index = new RelayIndex(report.relays, () => perWeek(store, report));
    indexes.set(report, index);
  }
  return index;
}
