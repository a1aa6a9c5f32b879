// Failing relays by who can repair them, with the words to tell them.

import { totalWeight } from "../model/causes.js";
import { groups, isMailAddress, mail } from "../model/operators.js";
import { formatRoute } from "../model/route.js";
import { causeWords, statusWords } from "../words.js";
import { copyButton } from "./buttons.js";
import { fill, foreign, freshId, h } from "./dom.js";
import { percent, plural, whole } from "./format.js";
import { relayLink } from "./links.js";
import { statusElement } from "./marks.js";
import { part } from "./part.js";

/** @import { Relay, Report } from "../data/report.js" */
/** @import { Group } from "../model/operators.js" */
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
  const list = h("ol", { class: "group-list" });
  const button = h("button", { type: "button", class: "button" }, "Show more");
  let shown = 0;
  const more = () => {
    const next = all.slice(shown, shown + STEP);
    shown += next.length;
    const items = next.map((group) => h("li", null, groupCard(context, report, group, weight)));
    list.append(...items);
    button.hidden = shown >= all.length;
    return items[0];
  };
  more();
  button.addEventListener("click", () => {
    const heading = more()?.querySelector("h2");
    if (heading instanceof HTMLElement) heading.focus();
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
 * @param {Context} context
 * @param {Report} report
 * @param {Group} group
 * @param {number} weight of all relays
 * @returns {HTMLElement}
 */
function groupCard(context, report, group, weight) {
  /** @type {Record<string, string>} */
  /** @type {Record<string, string>} */
  const params = group.kind === "address" ? { address: group.name } : { operator: group.key };
  const causes = [
    ...new Set(
      group.failing.map((relay) =>
        relay.code === null ? statusWords(relay.status).label : causeWords(relay.code).label,
      ),
    ),
  ];
  const relays = h("ul", { class: "relay-list" });
  const fillRelays = (/** @type {readonly Relay[]} */ some) =>
    fill(
      relays,
      some.map((relay) =>
        h(
          "li",
          null,
          h("span", { class: "relay-list-name" }, relayLink(relay, context.reportName)),
          statusElement(relay.status, relay.provisional),
          h("span", { class: "count" }, relay.failures > 0 ? plural(relay.failures, "run") : ""),
        ),
      ),
    );
  fillRelays(group.failing.slice(0, RELAYS));
  const all =
    group.failing.length > RELAYS
      ? h(
          "button",
          {
            type: "button",
            class: "button",
            on: {
              click: (event) => {
                fillRelays(group.failing);
                if (event.currentTarget instanceof HTMLElement) event.currentTarget.remove();
                relays.querySelector("a")?.focus();
              },
            },
          },
          `Show all ${whole(group.failing.length)}`,
        )
      : null;
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
    relays,
    all,
    mailBox(context, report, group),
  );
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
    const { subject, body } = mail(
      group.failing,
      report.metadata.timestamp ?? context.now(),
      (relay) =>
        relay.valid
          ? new URL(formatRoute("relay", { argument: relay.fingerprint }), document.baseURI).href
          : null,
    );
    const id = freshId("mail");
    const area = h("textarea", { id, readonly: true, rows: 14, spellcheck: "false" });
    area.value = body;
    fill(
      box,
      group.kind === "contact" && isMailAddress(group.name)
        ? h(
            "p",
            { class: "mail-line" },
            h("span", null, "To: ", foreign(group.name)),
            copyButton("Copy", () => group.name, { description: "Copy the address" }),
          )
        : null,
      h(
        "p",
        { class: "mail-line" },
        h("span", null, "Subject: ", foreign(subject)),
        copyButton("Copy", () => subject, { description: "Copy the subject" }),
      ),
      h("label", { for: id }, "Text"),
      area,
      copyButton("Copy the text", () => body),
    );
  });
  return details;
}
