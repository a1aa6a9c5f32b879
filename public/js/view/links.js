// Links to relays: only what is a fingerprint becomes an address.

import { formatRoute } from "../model/route.js";
import { nameOf } from "../model/text.js";
import { h } from "./dom.js";

/**
 * A relay's page.
 * @param {string} fingerprint
 * @param {string | null} report the name of an earlier report
 * @returns {string}
 */
export function relayHref(fingerprint, report) {
  return formatRoute("relay", { argument: fingerprint, params: { report } });
}

/**
 * A relay's nickname, as a link to its page where it has a fingerprint.
 * @param {{fingerprint: string, valid: boolean, nickname: string}} relay
 * @param {string | null} report
 * @returns {HTMLElement}
 */
export function relayLink(relay, report) {
  const name = h("bdi", { class: "foreign" }, nameOf(relay.nickname));
  return relay.valid
    ? h("a", { href: relayHref(relay.fingerprint, report) }, name)
    : h("span", null, name);
}

/**
 * @param {string} fingerprint 40 hexadecimal digits
 * @returns {HTMLElement}
 */
export function metricsLink(fingerprint) {
  return h(
    "a",
    {
      href: `https://metrics.torproject.org/rs.html#details/${fingerprint}`,
      rel: "noopener noreferrer",
      target: "_blank",
    },
    "Tor Metrics",
    h("span", { class: "visually-hidden" }, " (opens in a new tab)"),
  );
}
