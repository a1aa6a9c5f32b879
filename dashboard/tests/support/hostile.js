// What strangers, damage and other programs could put into the published files. Each document is
// text, as it would come over the wire; most of it no valid writer could have written. Performs no
// IO.

import { hash } from "./random.js";
import { LAST_RUN, report } from "./report.js";
import { site } from "./site.js";

/** Where markup that came to life would send a request; nothing may ever be asked of it. */
export const ELSEWHERE = "https://elsewhere.invalid";

/** Set on the window by every script here that is executed. */
export const SPRUNG = "__sprung";

const RUN = `globalThis.${SPRUNG}=1`;
const FETCH = `fetch('${ELSEWHERE}/f')`;

/** Texts that are something else in some language that a page speaks. */
export const TEXTS = Object.freeze([
  `<script>${RUN}</script>`,
  `</script></style></title></textarea><script>${RUN}</script>`,
  `<img src=x onerror="${RUN};${FETCH}">`,
  `"><svg onload=${RUN}>`,
  `' onfocus='${RUN}' autofocus='`,
  `" onmouseover="${RUN}" x="`,
  `<iframe srcdoc="<script>parent.${SPRUNG}=1</script>"></iframe>`,
  `<a href="javascript:${RUN}">click</a>`,
  `javascript:${RUN}`,
  ` java\tscript:${RUN}//`,
  `data:text/html,<script>${RUN}</script>`,
  `${ELSEWHERE}/page`,
  `//elsewhere.invalid/x`,
  `<meta http-equiv="refresh" content="0;url=${ELSEWHERE}">`,
  `<base href="${ELSEWHERE}/">`,
  `<link rel=stylesheet href="${ELSEWHERE}/a.css"><style>*{display:none}</style>`,
  `<form action="${ELSEWHERE}"><button>send</button></form>`,
  `<template><b>x</b></template><!-- --><![CDATA[ ]]>`,
  "&lt;b&gt;&amp;amp;&#x3c;b&#x3e;",
  "{{constructor.constructor('alert(1)')()}} \u0024{alert(1)} #{1} <%= 1 %>",
  "\u202Eesrever\u202C \u2066iso\u2069 \u200Fright\u200E \u061C\u2067",
  "שלום עולם مرحبا بالعالم",
  "\u0000nul\u0000 \u0001\u0002\u0007\b\u000b\u000c\u001f\u007f\u0080\u009f",
  "\u001b[31mred\u001b[0m\u001b]0;title\u0007\u001b[2J",
  "line\r\nbreak\n\n\tand\u2028line\u2029separators",
  "z\u0335\u0321\u0322\u031b\u030d\u030e".repeat(40),
  "👩‍👩‍👧‍👦🏳️‍🌈\u{1F3F4}\u{E0067}\u{E007F}",
  "\ud800 lone \udc00 surrogates \udfff\ud83d",
  '=HYPERLINK("https://elsewhere.invalid","x")',
  "+1+cmd|' /C calc'!A0",
  "-2+3",
  "@SUM(1+1)",
  "\t=1+1",
  'a,b"c"\r\nd;e',
  "%3Cscript%3E%00%2e%2e/",
  "#/relays?q=<b>&status=%",
  "?".repeat(300),
  "W".repeat(5_000),
  "long ".repeat(20_000),
  "unbroken".repeat(12_500),
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "",
  " ",
  "null",
  "NaN",
  "\ufeff",
  "' OR 1=1 --",
  "..%2f..%2fetc/passwd",
  "\\u003cscript\\u003e",
]);

/** Stands for a number too large for any; JSON has no way to write one but digits. */
const HUGE = "@@1e999@@";

/** Values of every type, each wrong for some field. */
export const VALUES = Object.freeze([
  null,
  true,
  false,
  0,
  -1,
  -0.5,
  1e308,
  -1e308,
  HUGE,
  2 ** 53,
  0.1 + 0.2,
  "12",
  "1e3",
  "",
  "success",
  [],
  [null],
  [[["deep"]]],
  ["a", 1, {}, null],
  {},
  { toString: "x", valueOf: 1, length: 3, 0: "a" },
  JSON.parse('{"then":"x","toJSON":"y","constructor":null,"__proto__":{"length":2}}'),
  "9999-99-99T99:99:99Z",
  "0000-01-01T00:00:00Z",
  "+275760-09-13T00:00:00Z",
  deep(200),
]);

/**
 * @param {number} levels
 * @returns {unknown}
 */
function deep(levels) {
  /** @type {unknown} */
  let value = "bottom";
  for (let level = 0; level < levels; level += 1) value = level % 2 ? [value] : { a: value };
  return value;
}

/** @typedef {{[key: string]: any}} Loose */

/**
 * As JSON, with the numbers that no number is.
 * @param {unknown} document
 * @returns {string}
 */
function text(document) {
  return JSON.stringify(document).replaceAll(`"${HUGE}"`, "1e999");
}

/**
 * Every place of a document that holds no object and no list.
 * @param {Loose} of
 * @param {(string | number)[]} [path]
 * @returns {(string | number)[][]}
 */
function leaves(of, path = []) {
  return Object.entries(of).flatMap(([key, value]) =>
    typeof value === "object" && value !== null && Object.keys(value).length > 0
      ? leaves(value, [...path, key])
      : [[...path, key]],
  );
}

/**
 * @param {Loose} of
 * @param {readonly (string | number)[]} path
 * @param {(holder: Loose, key: string | number) => void} change
 */
function at(of, path, change) {
  let holder = of;
  for (const key of path.slice(0, -1)) holder = holder[key];
  change(holder, path[path.length - 1]);
}

/** Where strangers' text is, by the format: everything else is checked by the programs. */
const STRANGERS = [
  ["exit_nickname"],
  ["error"],
  ["resolved_ip"],
  ["query_domain"],
  ["operator"],
  ["relay", "contact"],
  ["relay", "platform"],
  ["relay", "country"],
  ["location", "as_name"],
  ["domain", "name"],
  ["domain", "problem"],
  ["exit_address"],
  ["relay", "ipv6", "address"],
  ["relay", "flags", 0],
];

/**
 * Results in which each stranger's field has each of the texts at least once, with true
 * fingerprints so that each can be looked at.
 * @returns {Loose}
 */
function withTexts() {
  /** @type {Loose} */
  const document = report({ relays: TEXTS.length + 20, seed: 7 });
  for (const [index, one] of document.results.entries()) {
    one.domain ??= { name: "example.org", method: "uri-rsa", proved: false };
    one.location ??= { as_number: 64499, as_name: null, country: null };
    for (const [offset, path] of STRANGERS.entries()) {
      at(one, path, (holder, key) => {
        holder[key] = TEXTS[(index + offset) % TEXTS.length];
      });
    }
    if (index % 3 === 0) {
      // So that the texts are among the failures, their operators and their attempts as well.
      one.status = "dns_fail";
      one.state = "confirmed";
      one.error_code = index % 2 ? TEXTS[index % TEXTS.length] : "SERVFAIL";
      one.blame = "resolver";
      one.consecutive_failures = 3;
      one.failing_since = "2026-11-20T03:15:30Z";
      one.attempts = structuredClone(
        document.results.find((/** @type {Loose} */ r) => r.attempts.length)?.attempts ?? [],
      );
      for (const [number, attempt] of one.attempts.entries()) {
        attempt.error = TEXTS[(index + number) % TEXTS.length];
        attempt.first_hop = TEXTS[(index + number + 5) % TEXTS.length];
        if (attempt.queries[0])
          attempt.queries[0].name = TEXTS[(index + number + 9) % TEXTS.length];
      }
    }
  }
  const failing = document.results.filter((/** @type {Loose} */ one) =>
    ["wrong_ip", "dns_fail", "timeout"].includes(one.status),
  );
  document.failures = failing.map((/** @type {Loose} */ one) => ({ ...one, attempts: undefined }));
  document.failures_by_operator = failing.map((/** @type {Loose} */ one) => ({
    operator: one.operator,
    contact: one.relay.contact,
    failing: [one.exit_fingerprint],
    relays: 1,
    failing_weight: 1,
  }));
  document.failures_by_ip = Object.fromEntries(
    failing.map((/** @type {Loose} */ one) => [one.exit_address, [one.exit_fingerprint]]),
  );
  for (const [index, one] of document.absent.entries()) {
    one.exit_nickname = TEXTS[index % TEXTS.length];
  }
  document.metadata.domain = TEXTS[2];
  document.metadata.locations.attribution = TEXTS[3];
  document.metadata.publish.allowed = false;
  document.metadata.publish.reasons = TEXTS.slice(0, 30).map((message) => ({
    code: message,
    message,
  }));
  document.metadata.tor_versions = [...TEXTS];
  document.metadata.error_codes = Object.fromEntries(TEXTS.map((one, n) => [one, n]));
  document.metadata.blames = Object.fromEntries(TEXTS.map((one, n) => [one, n]));
  return document;
}

/**
 * A report in which each field of each relay in turn has another type.
 * @returns {Loose}
 */
function withTypes() {
  /** @type {Loose} */
  const document = report({ relays: 400, seed: 8 });
  const whole = document.results.find((/** @type {Loose} */ one) => one.attempts.length > 0);
  const paths = leaves(whole);
  for (const [index, one] of document.results.entries()) {
    const path = paths[index % paths.length];
    try {
      at(one, path, (holder, key) => {
        holder[key] = VALUES[hash(index) % VALUES.length];
      });
    } catch {
      // This relay has no attempts to put it into.
      one.attempts = VALUES[hash(index) % VALUES.length];
    }
    if (index % 11 === 0) one.relay = VALUES[index % VALUES.length];
    if (index % 13 === 0) one.timing = VALUES[index % VALUES.length];
  }
  return document;
}

/**
 * A report whose relays lack something each, are no relays, or are there twice.
 * @returns {Loose}
 */
function withHoles() {
  /** @type {Loose} */
  const document = report({ relays: 200, seed: 9 });
  const keys = Object.keys(document.results[0]);
  for (const [index, one] of document.results.entries()) delete one[keys[index % keys.length]];
  const twice = structuredClone(document.results.slice(0, 20));
  for (const one of twice) one.exit_nickname = "again";
  document.results.push(...twice, ...VALUES);
  document.failures.push(...VALUES);
  document.failures_by_operator.push(...VALUES);
  document.absent.push(...VALUES, { exit_fingerprint: 7 });
  return document;
}

/**
 * A report with keys that are something else to a careless reader.
 * @returns {string}
 */
function withKeys() {
  const own = text(report({ relays: 300, seed: 10 }));
  const proto = '"__proto__":{"polluted":true,"status":"dns_fail","exit_nickname":"polluted"}';
  return own
    .replaceAll(
      '{"exit_fingerprint"',
      `{${proto},"constructor":1,"hasOwnProperty":2,"exit_fingerprint"`,
    )
    .replace('"error_codes":{', '"error_codes":{"__proto__":3,"constructor":4,"toString":5,')
    .replace('"states":{', '"states":{"__proto__":{"healthy":9},"valueOf":6,')
    .replace('"failures_by_ip":{', '"failures_by_ip":{"__proto__":["x"],"toString":"y",')
    .replace(/^\{/, `{${proto},`);
}

/**
 * Reports that a reader must survive, by name. All are JSON and say that they are reports.
 * @returns {Map<string, string>}
 */
export function hostileReports() {
  const small = () => /** @type {Loose} */ (report({ relays: 30, seed: 11 }));
  /** @type {Map<string, string>} */
  const found = new Map([
    ["texts", text(withTexts())],
    ["types", text(withTypes())],
    ["holes", text(withHoles())],
    ["keys", withKeys()],
  ]);
  // The figures of the whole: every field at once another type, with several turns.
  for (const turn of [0, 1, 2, 3]) {
    const document = small();
    for (const [index, path] of leaves(document.metadata).entries()) {
      at(document.metadata, path, (holder, key) => {
        holder[key] = VALUES[(index + turn * 7) % VALUES.length];
      });
    }
    found.set(`metadata ${turn}`, text(document));
  }
  for (const [name, value] of [
    ["null", null],
    ["a list", []],
    ["a text", "x"],
    ["a number", 7],
    ["an object", { 0: {}, length: 5 }],
  ]) {
    const document = small();
    for (const key of Object.keys(document)) if (key !== "format") document[key] = value;
    found.set(`everything is ${name}`, text(document));
  }
  const nothing = small();
  found.set("nothing but its format", text({ format: nothing.format }));
  nothing.results = [];
  nothing.metadata = Object.fromEntries(Object.keys(nothing.metadata).map((key) => [key, null]));
  found.set("no relays", text(nothing));
  return found;
}

/**
 * Lists and trends that a reader must survive.
 * @returns {Map<string, {trends: string, files: string, incidents: string}>}
 */
export function hostileLists() {
  const { files } = site({ relays: 30, runs: 60, others: 30, dated: 2 });
  /** @type {(path: string) => Loose} */
  const read = (path) => JSON.parse(files.get(path) ?? "");
  const typed = { trends: read("/trends.json"), files: read("/files.json") };
  const paths = leaves(typed.trends.runs[0]);
  for (const [index, one] of typed.trends.runs.entries()) {
    at(one, paths[index % paths.length], (holder, key) => {
      holder[key] = VALUES[hash(index) % VALUES.length];
    });
    if (index % 5 === 0) one.resolve_ms = VALUES[index % VALUES.length];
    if (index % 7 === 0) one.timestamp = VALUES[index % VALUES.length];
  }
  typed.trends.runs.push(...VALUES);
  const places = leaves(typed.files.files[0]);
  for (const [index, one] of typed.files.files.entries()) {
    at(one, places[index % places.length], (holder, key) => {
      holder[key] = VALUES[hash(index) % VALUES.length];
    });
  }
  typed.files.files.push(...VALUES);

  const texts = { trends: read("/trends.json"), files: read("/files.json") };
  for (const [index, one] of texts.trends.runs.entries()) {
    one.run_id = TEXTS[index % TEXTS.length];
    one.reasons = [TEXTS[index % TEXTS.length]];
    one.published = false;
    one.error_codes = { [TEXTS[index % TEXTS.length]]: index };
  }
  texts.files.files = TEXTS.map((name, index) => ({
    ...texts.files.files[index % 30],
    name,
  }));
  for (const name of [
    "../latest.json",
    "/etc/passwd",
    `${ELSEWHERE}/dns_health_2026-01-01_00-00-00.json`,
    "dns_health_2026-01-01_00-00-00.json/../x",
    "dns_health_2026-01-01_00-00-00.json?x",
    "DNS_HEALTH_2026-01-01_00-00-00.json",
    "dns_health_2026-01-01_00-00-00.json\n",
  ]) {
    texts.files.files.push({ ...texts.files.files[0], name });
  }

  // So few relays have none that fails.
  const incidents = JSON.parse(site().files.get("/incidents.json") ?? "");
  const [one] = incidents.incidents;
  const spots = leaves(one);
  /** @type {(change: (holder: Loose, key: string | number, index: number) => void, count: number) => string} */
  const damaged = (change, count) =>
    text({
      ...incidents,
      incidents: Array.from({ length: count }, (_, index) => {
        const copy = structuredClone(one);
        at(copy, spots[index % spots.length], (holder, key) => change(holder, key, index));
        return copy;
      }).concat(VALUES),
    });

  /** @type {(value: unknown) => {trends: string, files: string, incidents: string}} */
  const all = (value) => ({
    trends: text({ ...read("/trends.json"), runs: value }),
    files: text({ ...read("/files.json"), files: value }),
    incidents: text({ ...incidents, incidents: value }),
  });
  return new Map([
    [
      "types",
      {
        trends: text(typed.trends),
        files: text(typed.files),
        incidents: damaged((holder, key, index) => {
          holder[key] = VALUES[hash(index) % VALUES.length];
        }, spots.length * VALUES.length),
      },
    ],
    [
      "texts",
      {
        trends: text(texts.trends),
        files: text(texts.files),
        incidents: damaged((holder, key, index) => {
          holder[key] = TEXTS[index % TEXTS.length];
        }, spots.length * TEXTS.length),
      },
    ],
    ["null", all(null)],
    ["an object", all({ length: 3, 0: {} })],
    ["a text", all("x")],
    ["empty", all([])],
    ["no documents", { trends: "[]", files: '"x"', incidents: "1" }],
  ]);
}

/**
 * Documents that are not reports of this version, with what a reader has to say of each.
 * @returns {Map<string, {text: string, kind: "newer" | "older" | "foreign" | "not_json"}>}
 */
export function otherReports() {
  const own = /** @type {Loose} */ (report({ relays: 30, seed: 12, run: LAST_RUN }));
  const { format: _, ...older } = own;
  return new Map(
    /** @type {[string, {text: string, kind: "newer" | "older" | "foreign" | "not_json"}][]} */ ([
      [
        "a newer version",
        { kind: "newer", text: text({ ...own, format: { ...own.format, version: 2 } }) },
      ],
      [
        "a far newer version",
        { kind: "newer", text: text({ format: { name: own.format.name, version: 1e9 } }) },
      ],
      ["the system before", { kind: "older", text: text(older) }],
      [
        "another program's",
        { kind: "foreign", text: text({ ...own, format: { name: "other/thing", version: 1 } }) },
      ],
      [
        "the list of files",
        {
          kind: "foreign",
          text: '{"format":{"name":"exit-validator/files","version":1},"files":[]}',
        },
      ],
      ["a list", { kind: "foreign", text: "[1,2,3]" }],
      ["null", { kind: "foreign", text: "null" }],
      ["a text", { kind: "foreign", text: '"report"' }],
      ["no bytes", { kind: "not_json", text: "" }],
      ["half", { kind: "not_json", text: text(own).slice(0, 9_000) }],
      ["a page", { kind: "not_json", text: "<!doctype html><title>404</title>" }],
      ["bytes", { kind: "not_json", text: "\u0000\u0001\u0002" }],
    ]),
  );
}
