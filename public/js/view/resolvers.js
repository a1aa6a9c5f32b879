// Who resolves names for exits: the network as a whole, and one relay's.

import { formatRoute } from "../model/route.js";
import { reportOf, untilNow } from "../model/runs.js";
import { rangeOf, resolverCharts, within } from "../model/trends.js";
import {
  DECLARED,
  PUBLIC_RESOLVERS,
  RESOLVER_ABILITIES,
  RESOLVER_KINDS,
  RESOLVER_RULES,
  ZONE_FATES,
} from "../words.js";
import { attribution } from "./attribution.js";
import { chartFigure, Pointer } from "./chart.js";
import { foreign, h, svg } from "./dom.js";
import { facts } from "./facts.js";
import { ms, percent, plural, timeElement, whole } from "./format.js";
import { notice, part } from "./part.js";
import { table } from "./table.js";

/** @import { Report } from "../data/report.js" */
/** @import { AbilityShare, LookupAtZone, RelayResolver, ResolverNetwork, ResolverShares, SeenOutcome, Share } from "../data/types.js" */
/** @import { Child } from "./dom.js" */
/** @import { Context, View } from "./context.js" */

/** How many networks are listed. */
const LISTED = 100;

/**
 * @param {Context} context
 * @returns {View}
 */
export function resolversView(context) {
  return {
    title: "Resolvers",
    element: h(
      "div",
      { class: "view" },
      h("h1", null, "Resolvers"),
      h(
        "p",
        { class: "hint" },
        "An exit asks a resolver for the names of its users, and whoever runs that resolver sees them. This is who asked the validator’s own name server for each exit in the last seven days.",
      ),
      part({
        resource: context.report,
        what: "the report",
        signal: context.signal,
        render: (report) => {
          const shares = report.metadata.resolvers;
          return shares === null ? [unknownPart()] : network(context, report, shares);
        },
      }),
      part({
        resource: context.store.trends,
        what: "the history of the runs",
        signal: context.signal,
        render: ({ runs }) => overTime(context, untilNow(runs, context.now()).runs),
      }),
    ),
  };
}

/** @returns {HTMLElement} */
function unknownPart() {
  return notice(
    "info",
    "This report says nothing of resolvers.",
    "They are seen where the zone is answered by the validator’s own name server, and the scan asks it who asks.",
  );
}

/**
 * @param {Context} context
 * @param {Report} report
 * @param {ResolverShares} shares
 * @returns {Child[]}
 */
function network(context, report, shares) {
  const large = shares.largeNetworks;
  return [
    h(
      "p",
      null,
      "Known for ",
      h("strong", null, plural(shares.covered.relays, "exit")),
      shares.covered.weight === null ? null : `, ${percent(shares.covered.weight)} of the weight`,
      ". All other shares are of these, and of the weight by which clients choose exits. ",
      large === 0
        ? "No network answers for more than 10 % of it."
        : `${plural(large, "network answers", "networks answer")} for more than 10 % of it each.`,
    ),
    h(
      "div",
      { class: "columns columns-2" },
      sharesPart(context, "Where the resolvers are", "Each exit with its farthest resolver.", [
        ...[...RESOLVER_KINDS].flatMap(([kind, words]) => {
          const share = shares.kinds.get(kind);
          const params = { resolver: kind };
          return share === undefined
            ? []
            : [{ label: words.label, title: words.meaning, share, params }];
        }),
      ]),
      sharesPart(
        context,
        "Public resolvers",
        "Services that resolve for everybody. An exit counts for each that asks for it.",
        [...shares.public]
          .sort((a, b) => weightOf(b[1]) - weightOf(a[1]))
          .map(([name, share]) => ({
            label: PUBLIC_RESOLVERS.get(name) ?? name,
            title: null,
            share,
            params: { resolver: name },
          })),
      ),
    ),
    abilities(context, shares),
    networks(context, report.resolverNetworks),
    attribution(report.metadata),
  ];
}

/**
 * @param {Share} share
 * @returns {number} by which it is drawn and sorted
 */
function weightOf(share) {
  return share.weight ?? share.percent ?? 0;
}

/**
 * @typedef {object} Bar
 * @property {string} label
 * @property {string | null} title
 * @property {Share} share
 * @property {Record<string, string>} params the choice that shows its relays
 */

/**
 * Shares as bars, with their figures.
 * @param {Context} context
 * @param {string} title
 * @param {string} hint
 * @param {readonly Bar[]} bars
 * @returns {HTMLElement}
 */
function sharesPart(context, title, hint, bars) {
  return h(
    "section",
    { class: "card" },
    h("h2", null, title),
    h("p", { class: "hint" }, hint),
    bars.length === 0
      ? h("p", null, "None.")
      : h(
          "ul",
          { class: "bars" },
          bars.map(({ label, title: meaning, share, params }) =>
            h(
              "li",
              { title: meaning },
              h("a", { href: context.href("relays", { params }) }, foreign(label, { limit: 60 })),
              h(
                "span",
                null,
                h("strong", null, percent(weightOf(share))),
                ` ${plural(share.relays, "exit")}`,
              ),
              svg(
                "svg",
                {
                  class: "bar",
                  viewBox: "0 0 100 4",
                  preserveAspectRatio: "none",
                  "aria-hidden": "true",
                },
                svg("rect", { width: 100, height: 4, class: "bar-ground" }),
                svg("rect", { width: weightOf(share), height: 4, class: "bar-share" }),
              ),
            ),
          ),
        ),
  );
}

/**
 * What the resolvers can do, and which rules they keep.
 * @param {Context} context
 * @param {ResolverShares} shares
 * @returns {HTMLElement}
 */
function abilities(context, shares) {
  const row = (
    /** @type {string} */ label,
    /** @type {string} */ meaning,
    /** @type {AbilityShare | null | undefined} */ of,
    /** @type {Child} */ more = null,
  ) =>
    of === null || of === undefined
      ? []
      : [
          [
            h("span", null, label, h("br", null), h("span", { class: "hint" }, meaning, more)),
            percent(weightOf(of.yes)),
            whole(of.yes.relays),
            whole(of.no.relays),
            of.unknown === 0 ? "" : whole(of.unknown),
          ],
        ];
  const validating = h(
    "a",
    { href: context.href("relays", { params: { validates: "no" } }) },
    " Those that do not.",
  );
  const rows = [
    ...row("Validates DNSSEC", RESOLVER_ABILITIES.validates, shares.validates, validating),
    ...row("Falls back to TCP", RESOLVER_ABILITIES.tcp, shares.tcp),
    ...row("Reaches IPv6 servers", RESOLVER_ABILITIES.ipv6, shares.ipv6),
    ...row("Minimises names", RESOLVER_ABILITIES.minimises, shares.minimises),
  ];
  const rules = [...RESOLVER_RULES].flatMap(([rule, { label, meaning }]) =>
    row(label, meaning, shares.rules.get(rule)),
  );
  const columns = [
    { label: "What", header: true },
    { label: "Of the weight", number: true },
    { label: "Exits that do", number: true },
    { label: "that do not", number: true },
    { label: "not told", number: true },
  ];
  return h(
    "section",
    { class: "card" },
    h("h2", null, "What they can do"),
    rows.length === 0
      ? h("p", null, "No exit was asked in the last seven days.")
      : table({ caption: "What the resolvers can do", hideCaption: true, columns, rows }),
    h("h2", null, "The Tor Project’s rules for exits"),
    h("p", { class: "hint" }, "As far as they can be measured from outside."),
    rules.length === 0
      ? h("p", null, "Nothing is known of them.")
      : table({ caption: "The rules for exits", hideCaption: true, columns, rows: rules }),
  );
}

/**
 * @param {Context} context
 * @param {readonly ResolverNetwork[]} list
 * @returns {HTMLElement}
 */
function networks(context, list) {
  return h(
    "section",
    { class: "card" },
    h("h2", null, "By network"),
    h(
      "p",
      { class: "hint" },
      "An exit counts for each network that asks for it, so these can come to more than 100 %.",
    ),
    list.length === 0
      ? h("p", null, "No network is known: the report has no locations.")
      : table({
          caption: "Networks that resolve names for exits, the largest share of the weight first",
          hideCaption: true,
          columns: [
            { label: "Network", header: true },
            { label: "Of the weight", number: true },
            { label: "Exits", number: true },
            { label: "Operators", number: true },
            { label: "Failing", number: true },
          ],
          rows: list
            .slice(0, LISTED)
            .map(({ asNumber, asName, public: service, share, operators, tested, failing }) => [
              h(
                "span",
                null,
                h(
                  "a",
                  { href: context.href("relays", { params: { through: String(asNumber) } }) },
                  `AS${asNumber} `,
                  foreign(asName ?? "", { limit: 80 }),
                ),
                service === null
                  ? null
                  : h("span", { class: "tag" }, PUBLIC_RESOLVERS.get(service) ?? "public"),
              ),
              percent(weightOf(share)),
              whole(share.relays),
              whole(operators),
              tested === 0 ? "" : `${whole(failing)} of ${whole(tested)}`,
            ]),
        }),
    list.length > LISTED
      ? h("p", null, `And ${whole(list.length - LISTED)} more, in the report.`)
      : null,
  );
}

/**
 * @param {Context} context
 * @param {readonly import("../data/trends.js").Run[]} all
 * @returns {Child[]}
 */
function overTime(context, all) {
  const runs = within(all, rangeOf("year")).filter((run) => run.resolvers !== null);
  if (runs.length < 2) return [];
  const pointer = new Pointer();
  const { signal } = context;
  const { files } = context.store;
  const href = (/** @type {import("../data/trends.js").Run} */ run) => {
    const name = reportOf(context.store.listed, run);
    return name === null ? null : formatRoute("resolvers", { params: { report: name } });
  };
  return [
    h("h2", null, "Over time"),
    h(
      "div",
      { class: "charts" },
      resolverCharts(runs).map((chart) =>
        chartFigure({ chart, runs, signal, pointer, href, files }),
      ),
    ),
  ];
}

/**
 * @param {SeenOutcome | null} seen
 * @returns {Child[] | null}
 */
function outcome(seen) {
  if (seen === null) return null;
  const words = new Map([
    ["yes", "yes"],
    ["no", "no"],
    ["unknown", "could not be told"],
  ]);
  return [
    words.get(seen.outcome) ?? foreign(seen.outcome, { limit: 30 }),
    seen.seen === null ? null : h("span", { class: "hint" }, " ", timeElement(seen.seen)),
  ];
}

/**
 * Who resolves a relay's names: a part of its page.
 * @param {Context} context
 * @param {RelayResolver | null} resolver
 * @returns {HTMLElement | null} null where nothing is known
 */
export function resolverPart(context, resolver) {
  if (resolver === null) return null;
  const { declared } = resolver;
  const yesNo = (/** @type {boolean | null} */ value) =>
    value === null ? null : value ? "yes" : "no";
  const said =
    declared === null
      ? null
      : [
          declared.locations.map((at) => DECLARED.get(at) ?? at).join(", then ") || null,
          declared.validates === null ? null : `validates: ${yesNo(declared.validates)}`,
          declared.minimises === null ? null : `minimises: ${yesNo(declared.minimises)}`,
        ]
          .filter((one) => one !== null)
          .join("; ");
  const kind = RESOLVER_KINDS.get(resolver.kind ?? "");
  return h(
    "section",
    { class: "card" },
    h("h2", null, "Who resolves its names"),
    facts([
      [
        "Where",
        resolver.kind === null
          ? null
          : [
              kind?.label ?? foreign(resolver.kind, { limit: 40 }),
              " ",
              h("span", { class: "hint" }, kind?.meaning ?? ""),
            ],
      ],
      [
        resolver.addresses.length === 1 ? "Address" : "Addresses",
        resolver.addresses.length === 0
          ? null
          : h(
              "ul",
              { class: "plain" },
              resolver.addresses.map((one) =>
                h(
                  "li",
                  null,
                  h("code", null, foreign(one.address, { limit: 60 })),
                  " ",
                  one.public === null ? null : [PUBLIC_RESOLVERS.get(one.public) ?? "public", " "],
                  one.asNumber === null
                    ? null
                    : h(
                        "a",
                        {
                          href: context.href("relays", {
                            params: { through: String(one.asNumber) },
                          }),
                        },
                        `AS${one.asNumber} `,
                        foreign(one.asName ?? "", { limit: 80 }),
                      ),
                ),
              ),
            ),
      ],
      ["Seen", resolver.seen === null ? null : timeElement(resolver.seen)],
      ["Validates DNSSEC", outcome(resolver.validates)],
      ["Falls back to TCP", outcome(resolver.tcp)],
      ["Reaches IPv6 servers", outcome(resolver.ipv6)],
      ["Minimises names", outcome(resolver.minimises)],
      ["The operator says", said === null || said === "" ? null : foreign(said, { limit: 200 })],
    ]),
  );
}

/**
 * What became of the deciding lookup, by the zone's log.
 * @param {LookupAtZone | null} lookup
 * @returns {Child[] | null}
 */
export function atZoneFact(lookup) {
  if (lookup === null) return null;
  return [
    ZONE_FATES.get(lookup.fate) ?? foreign(lookup.fate, { limit: 40 }),
    lookup.asked === 0 ? null : ` (asked ${plural(lookup.asked, "time")}`,
    lookup.asked === 0
      ? null
      : lookup.firstWithin === null
        ? ")"
        : `, first within ${ms(lookup.firstWithin)})`,
  ];
}
