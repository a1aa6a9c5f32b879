// A badge for a page of the operator's own: a picture, and what to copy.

import { copyButton } from "./buttons.js";
import { h, picture } from "./dom.js";
import { folded } from "./folded.js";
import { relayHref } from "./links.js";

/** What is said in the picture's place. @type {Readonly<Record<"relay" | "operator", string>>} */
const ALT = Object.freeze({
  relay: "DNS of this Tor exit",
  operator: "DNS of our Tor exits",
});

/**
 * What to copy. There is no text of strangers in it: an operator's badge goes by one of the relays, as
 * their key changes with the contact.
 * @param {"relay" | "operator"} of
 * @param {string} fingerprint 40 hexadecimal digits
 * @param {string} base this page's address
 * @returns {{path: string, markdown: string, html: string}}
 */
export function badge(of, fingerprint, base) {
  /** @type {(path: string) => string} */
  const absolute = (path) => {
    const url = new URL(path, base);
    url.search = "";
    // What ends a link's address in Markdown.
    return url.href.replaceAll("(", "%28").replaceAll(")", "%29");
  };
  const path = `badge/${of}/${fingerprint}.svg`;
  const image = absolute(path);
  const page = absolute(relayHref(fingerprint, null));
  /** @type {(text: string) => string} */
  const quoted = (text) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
  return {
    path,
    markdown: `[![${ALT[of]}](${image})](${page})`,
    html: `<a href="${quoted(page)}"><img src="${quoted(image)}" alt="${ALT[of]}"></a>`,
  };
}

/**
 * @param {"relay" | "operator"} of
 * @param {{fingerprint: string, valid: boolean}} relay
 * @returns {HTMLElement | null} null where no badge can go by the relay
 */
export function badgeBox(of, { fingerprint, valid }) {
  if (!valid) return null;
  return folded("A badge to copy", () => {
    const { path, markdown, html } = badge(of, fingerprint, document.baseURI);
    const image = picture(path, ALT[of]);
    const shown = h("p", null, image);
    image.addEventListener("error", () => {
      shown.textContent =
        "This site makes no badges: that takes the function that it can be deployed with.";
    });
    /** @type {(name: string, text: string) => HTMLElement} */
    const snippet = (name, text) =>
      h(
        "div",
        { class: "snippet" },
        h("p", null, name),
        h("pre", { tabindex: "0" }, h("code", null, text)),
        copyButton("Copy", () => text, { description: `Copy the ${name}` }),
      );
    return [
      h(
        "p",
        { class: "hint" },
        of === "relay"
          ? "How this exit fares in the latest report, as a small picture for a page of your own."
          : "How all exits of this operator fare in the latest report, as a small picture. It goes by one of the relays, and finds the others.",
      ),
      shown,
      snippet("Markdown", markdown),
      snippet("HTML", html),
    ];
  });
}
