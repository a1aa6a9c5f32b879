// The words to tell an operator, ready to be copied.

import { addressOf, mailAddresses } from "../model/contact.js";
import { against, isConfirmed, leftOutWords, mail } from "../model/mail.js";
import { formatRoute } from "../model/route.js";
import { reportOf } from "../model/runs.js";
import { copyButton } from "./buttons.js";
import { foreign, freshId, h } from "./dom.js";
import { folded } from "./folded.js";
import { groupParams } from "./groups.js";
import { guarded, notice } from "./part.js";

/** @import { Report } from "../data/report.js" */
/** @import { Group } from "../model/operators.js" */
/** @import { Child } from "./dom.js" */
/** @import { Context } from "./context.js" */

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
export function mailBox(context, report, group) {
  return folded("A text for a mail", () =>
    h(
      "div",
      { class: "mail" },
      guarded(() => mailParts(context, report, group), "the text for a mail"),
    ),
  );
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
  if (group.kind !== "contact" && group.kind !== "domain") return null;
  // Whoever is in a family with a domain's relays has not been proved to be the domain's.
  const proved = group.all.filter(({ domain }) => domain?.proved && domain.name === group.name);
  const address =
    group.kind === "domain"
      ? (proved.flatMap(({ contact }) => mailAddresses(contact ?? ""))[0] ?? null)
      : addressOf(
          group.name,
          group.all.map((relay) => relay.contact),
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
