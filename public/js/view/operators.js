// Failing relays by who can repair them, with the words to tell them.

import { totalWeight } from "../model/causes.js";
import { addressOf } from "../model/contact.js";
import { against, isConfirmed, leftOutWords, mail } from "../model/mail.js";
import { groups } from "../model/operators.js";
import { formatRoute } from "../model/route.js";
import { reportOf } from "../model/runs.js";
import { causeWords, statusWords } from "../words.js";
import { copyButton } from "./buttons.js";
import { fill, foreign, freshId, h } from "./dom.js";
import { percent, plural, whole } from "./format.js";
import { growing } from "./growing.js";
import { relayLink } from "./links.js";
import { statusElement } from "./marks.js";
import { guarded, notice, part } from "./part.js";

/** @import { Report } from "../data/report.js" */
/** @import { Group } from "../model/operators.js" */
/** @import { Child } from "./dom.js" */
/** @import { Context, View } from "./context.js" */

/** How many groups are shown at first, and more with each press of the button. */
const STEP = 25;

/** How many relays a group shows before "show all". */
const RELAYS = 12;

/**
 * @param {Context} context
 * @returns {View}
 */
export function operatorsView(context) {
  const by = context.route.params.by === "address" ? "address" : "operator";
  const tab = (/** @type {"operator" | "address"} */ name, /** @type {string} */ label) =>
    h(
      "a",
      {
        class: "choice",
        href: context.href("operators", { params: { by: name === "operator" ? null : name } }),
        "aria-current": by === name ? "true" : null,
      },
      label,
    );
  return {
    title: "Operators",
    element: h(
      "div",
      { class: "view" },
      h("h1", null, "Operators"),
      h("p", null, "Relays whose DNS fails, grouped by who can repair them, worst first."),
      h(
        "nav",
        { class: "choices", "aria-label": "Grouped by" },
        tab("operator", "By contact and family"),
        tab("address", "By address"),
      ),
      h(
        "p",
        { class: "hint" },
        by === "operator"
          ? "A contact proves nothing, as anybody can write anybody’s: it says whom to ask, not who it is."
          : "Relays on one address share one resolver mostly.",
      ),
      part({
        resource: context.report,
        what: "the report",
        signal: context.signal,
        render: (report) => groupList(context, report, by),
      }),
    ),
  };
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {"operator" | "address"} by
 * @returns {HTMLElement}
 */
function groupList(context, report, by) {
  const all = groups(report.relays, by);
  const weight = totalWeight(report.relays);
  if (all.length === 0) return h("p", null, "No exit’s DNS failed in this run.");
  const { list, button } = growing({
    list: h("ol", { class: "group-list", "data-key": "groups" }),
    items: all,
    draw: (group) => h("li", { "data-key": group.key }, groupCard(context, report, group, weight)),
    first: STEP,
    step: STEP,
    label: "Show more",
  });
  return h(
    "div",
    null,
    h(
      "p",
      { class: "hint" },
      `${plural(all.length, by === "operator" ? "operator" : "address", by === "operator" ? "operators" : "addresses")} with failing relays.`,
    ),
    list,
    button,
  );
}

const KINDS = Object.freeze({
  contact: "contact",
  family: "family without a contact",
  relay: "single relay without a contact",
  address: "address",
  unknown: "operator",
});

/**
 * @param {Group} group
 * @returns {Record<string, string>} the choice that shows its relays
 */
function groupParams(group) {
  if (group.kind === "address") return { address: group.name };
  // In reports from before there were operators, a relay does not name its own key.
  return group.kind === "relay" ? { q: group.name } : { operator: group.key };
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {Group} group
 * @param {number} weight of all relays
 * @returns {HTMLElement}
 */
function groupCard(context, report, group, weight) {
  const params = groupParams(group);
  const unconfirmed = group.failing.filter((relay) => relay.provisional).length;
  const causes = [
    ...new Set(
      group.failing.map((relay) =>
        relay.code === null ? statusWords(relay.status).label : causeWords(relay.code).label,
      ),
    ),
  ];
  const relays = growing({
    list: h("ul", { class: "relay-list", "data-key": "relays" }),
    items: group.failing,
    draw: (relay) =>
      h(
        "li",
        null,
        h("span", { class: "relay-list-name" }, relayLink(relay, context.reportName)),
        statusElement(relay.status, relay.provisional),
        h("span", { class: "count" }, relay.failures > 0 ? plural(relay.failures, "run") : ""),
      ),
    first: RELAYS,
    label: `Show all ${whole(group.failing.length)}`,
  });
  return h(
    "article",
    { class: "card group" },
    h(
      "h2",
      { tabindex: "-1" },
      foreign(
        group.kind === "relay"
          ? (group.failing[0]?.nickname ?? group.name)
          : group.name || "(none)",
        { limit: 200 },
      ),
    ),
    h(
      "p",
      { class: "group-figures" },
      h("span", { class: "tag" }, KINDS[group.kind]),
      " ",
      h("strong", null, `${whole(group.failing.length)} of ${plural(group.relays, "relay")}`),
      group.failing.length === 1 ? " fails" : " fail",
      unconfirmed === 0 ? null : ` (${whole(unconfirmed)} of them not confirmed)`,
      weight === 0 ? null : `, ${percent((group.weight / weight) * 100)} of all weight`,
      " – ",
      h("a", { href: context.href("relays", { params }) }, "all of them"),
    ),
    h("p", null, foreign(causes.slice(0, 4).join("; "), { limit: 300 })),
    group.kind !== "address" && group.contact !== null
      ? h(
          "p",
          { class: "contact-line" },
          h("span", { class: "hint" }, "Contact as written: "),
          foreign(group.contact, { class: "contact", limit: 400 }),
        )
      : null,
    relays.list,
    relays.button,
    mailBox(context, report, group),
  );
}

/**
 * Where a group's failing relays are in this very report: what it shows never changes.
 * @param {Context} context
 * @param {Report} report
 * @param {Group} group
 * @returns {{href: string, lasting: boolean}}
 */
function groupLink(context, report, group) {
  const { timestamp, runId } = report.metadata;
  const name = context.reportName ?? reportOf(context.store.listed, { timestamp, runId });
  const told = group.failing.filter(isConfirmed);
  const hash =
    told.length === 1 && told[0].valid
      ? formatRoute("relay", { argument: told[0].fingerprint, params: { report: name } })
      : formatRoute("relays", {
          params: { status: "failing", ...groupParams(group), report: name },
        });
  return { href: new URL(hash, document.baseURI).href, lasting: name !== null };
}

/**
 * The mail, made when it is opened. Never a mailto: the contact is a stranger's text.
 * @param {Context} context
 * @param {Report} report
 * @param {Group} group
 * @returns {HTMLElement}
 */
function mailBox(context, report, group) {
  const box = h("div", { class: "mail" });
  const details = h("details", { class: "figures" }, h("summary", null, "A text for a mail"), box);
  details.addEventListener("toggle", () => {
    if (!details.open || box.childElementCount > 0) return;
    fill(
      box,
      guarded(() => mailParts(context, report, group), "the text for a mail"),
    );
  });
  return details;
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {Group} group
 * @returns {Child | readonly Child[]}
 */
function mailParts(context, report, group) {
  const held = against(report.metadata);
  if (held !== null) return notice("warn", "There is no text for a mail.", held);
  const { href, lasting } = groupLink(context, report, group);
  const made = mail(group.failing, report.metadata.timestamp ?? context.now(), href);
  const left = leftOutWords(group.failing.filter((relay) => !isConfirmed(relay)));
  if (made === null) {
    return notice(
      "info",
      "There is nothing to write about yet.",
      left,
      "Wait for the next run: it shows whether they fail again.",
    );
  }
  const { subject, body } = made;
  const id = freshId("mail");
  const area = h("textarea", { id, readonly: true, rows: 14, spellcheck: "false" });
  area.value = body;
  return [
    receiver(group),
    h(
      "p",
      { class: "mail-line" },
      h("span", null, "Subject: ", foreign(subject)),
      copyButton("Copy", () => subject, { description: "Copy the subject" }),
    ),
    h("label", { for: id }, "Text"),
    area,
    left === null ? null : h("p", { class: "hint" }, left),
    lasting
      ? null
      : h(
          "p",
          { class: "hint" },
          "The dated report is no longer there by itself, so the link in the text shows whatever report is the latest.",
        ),
    copyButton("Copy the text", () => body),
  ];
}

/**
 * Whom to write to: only an address that the contact itself has.
 * @param {Group} group
 * @returns {HTMLElement | null}
 */
function receiver(group) {
  if (group.kind !== "contact") return null;
  const address = addressOf(
    group.name,
    group.failing.map((relay) => relay.contact),
  );
  if (address === null) {
    return h(
      "p",
      { class: "hint" },
      "The contact names no mail address that can be told from its text: read it yourself.",
    );
  }
  return h(
    "p",
    { class: "mail-line" },
    h("span", null, "To: ", foreign(address)),
    copyButton("Copy", () => address, { description: "Copy the address" }),
  );
}
