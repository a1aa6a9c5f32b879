// Whether the reports keep coming: decided from the last published report, the newest one in the
// list, and the time. Performs no IO.

/**
 * What /api/status says in a word, in the order in which they are decided:
 *
 * - `none`: nothing has been published yet, or its time cannot be read;
 * - `clock`: the published report is from the future, so no age can be told;
 * - `overdue`: the published report is too old, whatever the reason;
 * - `held_back`: it is not, but a newer one was held back by the publish gate;
 * - `ok`.
 * @typedef {"ok" | "held_back" | "overdue" | "clock" | "none"} State
 */

/** How far a report may be in the future: seconds, as the publish gate has it. */
const FUTURE_SECONDS = 3600;

/**
 * @param {unknown} text
 * @returns {number | null} milliseconds
 */
function time(text) {
  const ms = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) ? null : ms;
}

/**
 * @param {unknown} value
 * @returns {Record<string, unknown>}
 */
function fields(value) {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

/**
 * @param {unknown} reasons as a report or the list of files has them
 * @returns {unknown[]} their codes
 */
function codes(reasons) {
  if (!Array.isArray(reasons)) return [];
  return reasons.map((reason) => (typeof reason === "string" ? reason : fields(reason).code));
}

/**
 * The document of /api/status.
 * @param {Record<string, unknown> | null} metadata of the published report
 * @param {Record<string, unknown> | null} newest the newest report in the list
 * @param {string[]} problems what could not be found out
 * @param {number} now milliseconds
 * @param {number} overdueAfterSeconds
 * @returns {{healthy: boolean, document: Record<string, unknown>}} `healthy` is what ?strict turns
 *   into a status code: `ok` and `held_back` are
 */
export function status(metadata, newest, problems, now, overdueAfterSeconds) {
  /** @type {(at: number | null) => number | null} */
  const age = (at) => (at === null ? null : Math.floor((now - at) / 1000));
  const latestTime = time(metadata?.timestamp);
  const newestTime = time(newest?.timestamp);
  const latestAge = age(latestTime);
  const newestAge = age(newestTime);
  const newestReport = fields(newest?.report);
  const heldBack =
    newest !== null &&
    newestReport.published === false &&
    (latestTime === null || newestTime === null || newestTime > latestTime);

  /** @type {State} */
  let state = "ok";
  if (latestAge === null) state = "none";
  else if (latestAge < -FUTURE_SECONDS) state = "clock";
  else if (latestAge > overdueAfterSeconds) state = "overdue";
  else if (heldBack) state = "held_back";

  const publish = fields(metadata?.publish);
  return {
    healthy: state === "ok" || state === "held_back",
    document: {
      format: { name: "exit-validator/status", version: 1 },
      state,
      time: new Date(now).toISOString(),
      overdue: state === "overdue" || state === "none",
      overdue_after_seconds: overdueAfterSeconds,
      age_seconds: latestAge,
      latest:
        metadata === null
          ? null
          : {
              timestamp: metadata.timestamp,
              run_id: metadata.run_id,
              total_relays: metadata.total_relays,
              dns_success_rate_percent: metadata.dns_success_rate_percent,
              reachability_rate_percent: metadata.reachability_rate_percent,
            },
      newest:
        newest === null
          ? null
          : {
              name: newest.name,
              timestamp: newest.timestamp,
              age_seconds: newestAge,
              run_id: newestReport.run_id,
              published: newestReport.published,
            },
      gate: heldBack
        ? { allowed: false, forced: false, reasons: codes(newestReport.reasons) }
        : {
            // A report of before there was a gate was published all the same.
            allowed: metadata === null ? null : (publish.allowed ?? true),
            forced: publish.forced ?? false,
            reasons: codes(publish.reasons),
          },
      problems,
    },
  };
}
