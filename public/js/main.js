// The page: which view is shown, the menu, and the order in which files are asked for.

import { LATEST } from "./data/names.js";
import { Store } from "./data/store.js";
import { formatRoute, parseRoute } from "./model/route.js";
import { aboutView } from "./view/about.js";
import { showBanner } from "./view/banner.js";
import { causesView } from "./view/causes.js";
import { changesView } from "./view/changes.js";
import { fill, h } from "./view/dom.js";
import { ago, utc } from "./view/format.js";
import { keepFresh } from "./view/fresh.js";
import { historyView } from "./view/history.js";
import { incidentsView, incidentView } from "./view/incidents.js";
import { operatorView } from "./view/operator.js";
import { operatorsView } from "./view/operators.js";
import { overviewView } from "./view/overview.js";
import { notice } from "./view/part.js";
import { placesView } from "./view/places.js";
import { relayView } from "./view/relay.js";
import { relaysView } from "./view/relays.js";
import { resolversView } from "./view/resolvers.js";
import { themeSwitch } from "./view/theme.js";
import { trendsView } from "./view/trends.js";

/** @import { Route, ViewName } from "./model/route.js" */
/** @import { Context, View } from "./view/context.js" */

/** @type {Readonly<Record<ViewName, (context: Context) => View>>} */
const VIEWS = {
  overview: overviewView,
  trends: trendsView,
  causes: causesView,
  relays: relaysView,
  operators: operatorsView,
  resolvers: resolversView,
  places: placesView,
  incidents: incidentsView,
  history: historyView,
  about: aboutView,
  relay: relayView,
  operator: operatorView,
  changes: changesView,
  incident: incidentView,
};

/** Views that are not in the menu: under which that is they are. @type {Partial<Record<ViewName, ViewName>>} */
const WITHIN = {
  relay: "relays",
  operator: "operators",
  changes: "overview",
  incident: "incidents",
};

const TITLE = document.title;

/** How often what depends on the time is drawn again. */
const TICK_MS = 30_000;

/**
 * @param {string} id
 * @returns {HTMLElement}
 * @throws {Error} where index.html has no such element
 */
function need(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`index.html has no #${id}`);
  return element;
}

const main = need("main");
const banner = need("banner");
const store = new Store(new URL(".", document.baseURI));

/** @type {{route: Route, view: View, leave: AbortController} | null} */
let shown = null;

/**
 * @param {Route} route
 * @returns {string | null} the earlier report that it asks for
 */
function reportNameOf(route) {
  const name = route.params.report ?? "";
  return name === "" || name === LATEST ? null : name;
}

/**
 * Shows what the address says.
 * @param {boolean} focus whether the new heading gets the focus: not when the page opens
 */
function show(focus) {
  const route = parseRoute(location.hash);
  const reportName = reportNameOf(route);
  if (
    shown !== null &&
    shown.view.update !== undefined &&
    shown.route.view === route.view &&
    shown.route.argument === route.argument &&
    reportNameOf(shown.route) === reportName
  ) {
    shown.route = route;
    shown.view.update(route);
    return;
  }
  shown?.leave.abort();
  const leave = new AbortController();
  /** @type {Context} */
  const context = {
    store,
    route,
    reportName,
    report: store.report(reportName),
    signal: leave.signal,
    now: () => Date.now(),
    replace: (params) => {
      const next = { ...route, params };
      history.replaceState(null, "", formatRoute(route.view, { argument: route.argument, params }));
      if (shown?.leave === leave) shown.route = next;
    },
    href: (view, { argument, params } = {}) =>
      formatRoute(view, { argument, params: { ...params, report: reportName } }),
  };
  const view = VIEWS[route.view](context);
  shown = { route, view, leave };
  document.title = `${view.title} – ${TITLE}`;
  showMenu(route, reportName);
  fill(
    main,
    route.known ? null : notice("info", "There is no such page; this is the overview."),
    view.element,
  );
  context.report.watch(showStatus, leave.signal);
  showStatus();
  if (!focus) return;
  window.scrollTo(0, 0);
  const heading = main.querySelector("h1");
  if (heading !== null) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
}

/**
 * @param {Route} route
 * @param {string | null} report
 */
function showMenu(route, report) {
  const active = WITHIN[route.view] ?? route.view;
  for (const link of document.querySelectorAll("#menu a")) {
    if (!(link instanceof HTMLAnchorElement)) continue;
    const view = parseRoute(link.hash).view;
    link.hash = formatRoute(view, { params: { report } });
    if (view === active) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** The banner and the age in the header. */
function showStatus() {
  if (shown === null) return;
  const reportName = reportNameOf(shown.route);
  const report = store.report(reportName);
  const now = Date.now();
  showBanner(banner, { store, report, reportName, now });
  const latest = store.latest.value?.metadata ?? store.latest.head;
  const time = latest?.timestamp ?? null;
  need("age").textContent = time === null ? "" : `Latest report: ${utc(time)}, ${ago(time, now)}`;
}

/** The rest of the files, once the report is here or is known not to come. */
function loadRest() {
  if (store.latest.state === "loading" || store.latest.state === "idle") return;
  // After the frame that shows the report.
  requestAnimationFrame(() =>
    setTimeout(() => {
      void store.trends.ensure();
      void store.files.ensure();
    }),
  );
}

function start() {
  const always = new AbortController().signal;
  need("theme-place").append(themeSwitch());
  const reload = h("button", { type: "button", class: "button button-quiet" }, "Reload the data");
  reload.addEventListener("click", async () => {
    reload.disabled = true;
    await store.reload();
    reload.disabled = false;
    reload.focus();
  });
  need("reload-place").append(reload);
  // The address's fragment is the view's, so the link to the content moves the focus by itself.
  document.querySelector(".skip")?.addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  store.latest.watch(loadRest, always);
  store.latest.watch(showStatus, always);
  store.trends.watch(showStatus, always);
  store.files.watch(showStatus, always);
  setInterval(showStatus, TICK_MS);
  keepFresh(store, TICK_MS, always);
  window.addEventListener("hashchange", () => show(true));
  show(false);
  // Also where the view shows an earlier report: the banner and the header compare with it.
  void store.latest.ensure();
}

start();
