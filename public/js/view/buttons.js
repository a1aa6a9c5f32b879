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
 * @param {string} label
 * @param {string} type of the file
 * @param {() => {name: string, text: string}} make
 * @returns {HTMLButtonElement}
 */
export function saveButton(label, type, make) {
  return h(
    "button",
    {
      type: "button",
      class: "button",
      on: {
        click: () => {
          const { name, text } = make();
          const url = URL.createObjectURL(new Blob([text], { type }));
          const link = document.createElement("a");
          link.href = url;
          link.download = name;
          document.body.append(link);
          link.click();
          link.remove();
          // The download has begun by then.
          setTimeout(() => URL.revokeObjectURL(url), 60_000);
        },
      },
    },
    label,
  );
}
