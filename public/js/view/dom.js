// Elements made from code: text is always text, nothing is parsed as markup, and no attribute can
// hold a script or a style. The only place that makes elements.

import { visible } from "../model/text.js";

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * @typedef {object} Special
 * @property {string | null} [class]
 * @property {Readonly<Record<string, EventListener>>} [on] listeners by event
 */

/** @typedef {Special & Readonly<Record<string, unknown>>} Attributes */

/** Where a link of ours may lead: a place in this page, a file beside it, or Tor Metrics. */
const HREF = /^(?:#[/a-z]|[a-z0-9_.-]+$|https:\/\/metrics\.torproject\.org\/)/i;

/**
 * Sets attributes: true is an attribute without a value, false and null are none.
 * @param {Element} element
 * @param {Attributes} attributes
 */
function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(
        /** @type {Required<Special>["on"]} */ (value),
      )) {
        element.addEventListener(event, listener);
      }
      continue;
    }
    if (/^(?:on|style$|src)/i.test(name)) throw new Error(`no ${name} attributes are made here`);
    const text = value === true ? "" : String(value);
    if (name === "href" && !HREF.test(text)) throw new Error("no such links are made here");
    element.setAttribute(name, text);
  }
}

/**
 * @param {Element} element
 * @param {readonly (Child | readonly Child[])[]} children
 */
function append(element, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * Makes an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes | null} [attributes]
 * @param {(Child | readonly Child[])[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  if (attributes) setAttributes(element, attributes);
  append(element, children);
  return element;
}

/**
 * An address of somebody's choosing: a link where it is one of the web, else its text.
 * @param {string} address
 * @returns {HTMLElement}
 */
export function outerLink(address) {
  const words = foreign(address, { limit: 220 });
  if (!/^https?:\/\//.test(address) || !URL.canParse(address)) return words;
  const link = h("a", { rel: "noopener noreferrer" }, words);
  link.href = address;
  return link;
}

/** What the function draws: pictures of badges, below this page. */
const PICTURE = /^badge\/(?:relay|operator)\/[0-9A-F]{40}\.svg$/;

/**
 * @param {string} path below this page
 * @param {string} alt
 * @returns {HTMLImageElement}
 */
export function picture(path, alt) {
  if (!PICTURE.test(path)) throw new Error("no such pictures are shown here");
  const image = h("img", { alt });
  image.src = path;
  return image;
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element of a drawing.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes | null} [attributes]
 * @param {(Child | readonly Child[])[]} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  if (attributes) setAttributes(element, attributes);
  append(element, children);
  return element;
}

/**
 * A stranger's text: its direction stays its own, what cannot be seen is made visible, what is too
 * long is cut.
 * @param {string} text
 * @param {{limit?: number, class?: string}} [how]
 * @returns {HTMLElement}
 */
export function foreign(text, { limit = 2000, class: name } = {}) {
  return h("bdi", { class: name ? `foreign ${name}` : "foreign" }, visible(text, limit));
}

/**
 * Replaces all that is in an element.
 * @param {Element} element
 * @param {(Child | readonly Child[])[]} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

let lastId = 0;

/**
 * @param {string} stem
 * @returns {string} an id that no other element has
 */
export function freshId(stem) {
  lastId += 1;
  return `${stem}-${lastId}`;
}
