// Buttons that copy a text or save a file.

import { h } from "./dom.js";

/** How long a button says that it is done. */
const DONE_MS = 2000;

/**
 * @param {string} label
 * @param {() => string} text
 * @param {{description?: string}} [more] what a screen reader says in place of the label
 * @returns {HTMLButtonElement}
 */
export function copyButton(label, text, { description } = {}) {
  const button = h("button", { type: "button", class: "button", "aria-label": description }, label);
  const say = h("span", { class: "said", role: "status" });
  button.append(say);
  button.addEventListener("click", async () => {
    const done = await copy(text());
    say.textContent = done ? " – copied" : " – select it and press Ctrl+C";
    setTimeout(() => {
      say.textContent = "";
    }, DONE_MS);
  });
  return button;
}

/**
 * @param {string} text
 * @returns {Promise<boolean>} whether it is in the clipboard
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without HTTPS there is no such clipboard: the old way.
    const area = h("textarea", { class: "visually-hidden", readonly: true, "aria-hidden": "true" });
    area.value = text;
    const before = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (before instanceof HTMLElement) before.focus();
    return done;
  }
}

/**
 * @typedef {object} Saved
 * @property {string} name
 * @property {string} text
 * @property {string} [note] what has to be said of it
 */

/**
 * A button that saves a file, and says so where that did not go as it should.
 * @param {string} label
 * @param {string} type of the file
 * @param {() => Saved} make
 * @returns {HTMLElement}
 */
export function saveButton(label, type, make) {
  const say = h("span", { class: "save-said", role: "status" });
  const save = () => {
    say.textContent = "";
    try {
      const { name, text, note } = make();
      offerFile(name, new Blob([text], { type }));
      say.textContent = note ?? "";
    } catch (error) {
      console.error(error);
      const words = error instanceof Error ? error.message : String(error);
      say.textContent = `It could not be saved: ${words}. Filter the table, so that there is less to save.`;
    }
  };
  return h(
    "span",
    { class: "save" },
    h("button", { type: "button", class: "button", on: { click: save } }, label),
    say,
  );
}

/**
 * @param {string} name
 * @param {Blob} blob
 */
function offerFile(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  // The download has begun by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
