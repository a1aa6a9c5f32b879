// What every reader must know before they read on: the figures are old, are an earlier report's,
// were held back or forced, or a part of the file is damaged.

import { age, heldBack } from "../model/health.js";
import { formatRoute } from "../model/route.js";
import { gateWords } from "../words.js";
import { fill, foreign, h } from "./dom.js";
import { ago, plural, utc } from "./format.js";
import { notice, problemNotice } from "./part.js";

/** @import { Metadata, Finding } from "../data/metadata.js" */
/** @import { ReportResource, Store } from "../data/store.js" */

/**
 * @param {HTMLElement} box
 * @param {{store: Store, report: ReportResource, reportName: string | null, now: number}} what
 */
export function showBanner(box, { store, report, reportName, now }) {
  const metadata = report.value?.metadata ?? report.head;
  /** @type {HTMLElement[]} */
  const notices = [];
  if (reportName !== null) {
    notices.push(
      notice(
        "info",
        metadata === null || metadata.timestamp === null
          ? "This is an earlier report."
          : `This is the report of ${utc(metadata.timestamp)}.`,
        h(
          "p",
          null,
          h("a", { href: formatRoute("overview") }, "Back to the latest report"),
          ", or ",
          h(
            "a",
            { href: formatRoute("history", { params: { with: reportName } }) },
            "compare it with the latest",
          ),
          ".",
        ),
      ),
    );
  }
  if (metadata !== null) notices.push(...aboutReport(metadata, reportName !== null));
  if (metadata !== null && reportName === null) notices.push(...aboutAge(store, metadata, now));
  const damage = problemNotice(report.value?.problems ?? [], "this report");
  if (damage !== null) notices.push(damage);
  if (report.value?.older) {
    notices.push(
      notice(
        "info",
        "This report is from before the present format.",
        "What it does not say is counted from its relays, or left out.",
      ),
    );
  }
  // Told again only where something changed: a screen reader reads it each time.
  const key = notices.map((element) => element.textContent).join("\n");
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  fill(box, notices);
}

/** More findings than the gate makes of one run. */
const SHOWN = 14;

/**
 * @param {readonly Finding[]} findings
 * @returns {HTMLElement}
 */
function findingList(findings) {
  return h(
    "ul",
    null,
    findings
      .slice(0, SHOWN)
      .map(({ code, message }) =>
        h(
          "li",
          null,
          foreign(gateWords(code), { limit: 120 }),
          message === null ? null : [" – ", foreign(message, { limit: 300 })],
        ),
      ),
  );
}

/**
 * @param {Metadata} metadata
 * @param {boolean} earlier
 * @returns {HTMLElement[]}
 */
function aboutReport({ publish, missingShards }, earlier) {
  /** @type {HTMLElement[]} */
  const notices = [];
  if (publish.reasons.length > 0 || publish.allowed === false) {
    notices.push(
      publish.forced
        ? notice(
            "warn",
            "The publish gate found something against this report, and it was published by force.",
            findingList(publish.reasons),
          )
        : notice(
            "warn",
            `${earlier ? "This report was" : "By its own word this report was"} held back by the publish gate: do not rely on it.`,
            findingList(publish.reasons),
          ),
    );
  }
  if (missingShards.length > 0) {
    notices.push(
      notice(
        "warn",
        `${plural(missingShards.length, "part")} of the exits missing from this report.`,
      ),
    );
  }
  return notices;
}

/**
 * @param {Store} store
 * @param {Metadata} metadata
 * @param {number} now
 * @returns {HTMLElement[]}
 */
function aboutAge(store, metadata, now) {
  /** @type {HTMLElement[]} */
  const notices = [];
  const { latest } = store;
  const found = age(metadata, store.runs, now, latest.confirmed);
  const held = heldBack(metadata, store.listed);
  const when =
    metadata.timestamp === null
      ? ""
      : `${utc(metadata.timestamp)}, ${ago(metadata.timestamp, now)}`;
  if (found.state === "stale") {
    notices.push(
      notice(
        "warn",
        `These figures are old: the last report is of ${when}.`,
        held === null
          ? "At least one run is missing since. What is shown may no longer be true."
          : "No run since then was published. What is shown may no longer be true.",
      ),
    );
  }
  const { missed } = latest;
  if (latest.value !== null && missed !== null && !latest.asking) {
    if (missed.why === "newer") {
      notices.push(
        notice(
          "warn",
          "A newer report is out, and this page cannot read it.",
          foreign(missed.message),
        ),
      );
    } else if (found.state === "unasked") {
      notices.push(
        notice(
          "warn",
          `These figures may be old: they are of ${when}, and the server could not be asked for newer ones.`,
          foreign(missed.message),
        ),
      );
    }
  }
  if (found.state === "future") {
    notices.push(
      notice(
        "warn",
        "This report is from the future.",
        "A clock is wrong: yours, or that of the host that made the report.",
      ),
    );
  }
  if (held?.report) {
    notices.push(
      notice(
        "info",
        `A newer report, of ${utc(held.timestamp)}, was held back by the publish gate.`,
        h(
          "p",
          null,
          foreign(held.report.reasons.map(gateWords).join("; "), { limit: 400 }),
          held.report.reasons.length === 0 ? null : ". ",
          h(
            "a",
            { href: formatRoute("overview", { params: { report: held.name } }) },
            "Look at it all the same",
          ),
        ),
      ),
    );
  }
  return notices;
}
