// What the address says is to be shown, and back: `#/VIEW/ARGUMENT?PARAMETERS`. Everything that a
// reader chose is in it, so that any view can be linked to. Performs no IO.

/** The views, in the order of the menu; the last four are reached by links only. */
export const VIEWS = Object.freeze(
  /** @type {const} */ ([
    "overview",
    "trends",
    "causes",
    "relays",
    "operators",
    "resolvers",
    "places",
    "incidents",
    "history",
    "about",
    "relay",
    "operator",
    "changes",
    "incident",
  ]),
);

/** @typedef {(typeof VIEWS)[number]} ViewName */

/**
 * @typedef {object} Route
 * @property {ViewName} view
 * @property {string} argument what follows the view's name; empty mostly
 * @property {Readonly<Record<string, string>>} params without empty ones
 * @property {boolean} known false where the address names no view: the overview is shown then
 */

/** Longer values are no choice of anybody's. */
const VALUE_LIMIT = 500;

/**
 * @param {string} text
 * @returns {string}
 */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * @param {string} hash as in a URL, with or without `#`
 * @returns {Route}
 */
export function parseRoute(hash) {
  const text = hash.replace(/^#?\/?/, "");
  const mark = text.indexOf("?");
  const path = mark < 0 ? text : text.slice(0, mark);
  const slash = path.indexOf("/");
  const name = decode(slash < 0 ? path : path.slice(0, slash));
  const argument = slash < 0 ? "" : decode(path.slice(slash + 1)).slice(0, VALUE_LIMIT);
  /** @type {Record<string, string>} */
  const params = Object.create(null);
  if (mark >= 0) {
    for (const [key, value] of new URLSearchParams(text.slice(mark + 1))) {
      if (value !== "" && /^[a-z0-9_-]{1,30}$/.test(key)) params[key] = value.slice(0, VALUE_LIMIT);
    }
  }
  const view = VIEWS.find((known) => known === name);
  return { view: view ?? "overview", argument, params, known: view !== undefined || name === "" };
}

/**
 * @param {string} text
 * @returns {string} without halves of characters, which no address can hold
 */
function wellFormed(text) {
  return text.replace(/\p{Cs}/gu, "\ufffd");
}

/**
 * @param {ViewName} view
 * @param {{argument?: string, params?: Readonly<Record<string, string | null | undefined>>}} [more]
 * @returns {string} with its `#`
 */
export function formatRoute(view, { argument = "", params = {} } = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") query.set(key, wellFormed(value));
  }
  const path = argument === "" ? view : `${view}/${encodeURIComponent(wellFormed(argument))}`;
  const tail = query.toString();
  return tail === "" ? `#/${path}` : `#/${path}?${tail}`;
}
