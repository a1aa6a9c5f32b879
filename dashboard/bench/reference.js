// The reference of the benchmark: how the predecessor of this dashboard drew its relays. The whole
// table is put together as one text and given to innerHTML, and again for each search and each
// order. It shows the same columns as the dashboard, the last runs as plain letters.

/** @typedef {{[key: string]: any}} Loose */

/** @type {(id: string) => HTMLElement} */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @type {Readonly<Record<string, string>>} */
const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** @type {(value: unknown) => string} */
const escaped = (value) => String(value ?? "").replace(/[&<>"']/g, (one) => ENTITIES[one]);

/** @type {readonly [string, (one: Loose) => unknown][]} */
const COLUMNS = [
  ["Relay", (one) => one.exit_nickname],
  ["Fingerprint", (one) => one.exit_fingerprint],
  ["Address", (one) => one.exit_address],
  ["Country", (one) => one.relay.country],
  ["Status", (one) => one.status],
  ["Cause", (one) => one.error_code],
  ["State", (one) => one.state],
  ["Failures", (one) => one.consecutive_failures],
  ["Time", (one) => one.latency_ms],
  ["7 days", (one) => one.dns_success_rate_7d_percent],
  ["Weight", (one) => one.relay.bandwidth.consensus_weight],
  ["Last runs", (one) => one.recent],
];

/** @type {Loose[]} */
let relays = [];
let by = 7;

function draw() {
  const q = /** @type {HTMLInputElement} */ (element("search")).value.toLowerCase();
  const [, key] = COLUMNS[by];
  const shown = relays
    .filter((one) =>
      [one.exit_nickname, one.exit_fingerprint, one.exit_address, one.relay.contact, one.operator]
        .join(" ")
        .toLowerCase()
        .includes(q),
    )
    .sort((a, b) => {
      const [x, y] = [key(a) ?? 0, key(b) ?? 0];
      return x === y ? 0 : x < y ? 1 : -1;
    });
  let html = "<thead><tr>";
  for (const [name] of COLUMNS) html += `<th>${escaped(name)}</th>`;
  html += "</tr></thead><tbody>";
  for (const one of shown) {
    html += "<tr>";
    for (const [, get] of COLUMNS) html += `<td>${escaped(get(one))}</td>`;
    html += "</tr>";
  }
  html += "</tbody>";
  element("table").innerHTML = html;
  element("count").textContent = `${shown.length} of ${relays.length} relays`;
}

const report = await (await fetch("latest.json")).json();
relays = report.results;
element("summary").textContent = `DNS success: ${report.metadata.dns_success_rate_percent} %`;
element("search").addEventListener("input", draw);
element("table").addEventListener("click", (event) => {
  const cell = /** @type {HTMLElement} */ (event.target);
  if (!(cell instanceof HTMLTableCellElement) || cell.tagName !== "TH") return;
  by = cell.cellIndex;
  draw();
});
draw();
