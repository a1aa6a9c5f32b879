// The switch between the system's colours, light and dark.

import { h } from "./dom.js";

const KEY = "theme";

/** @typedef {"auto" | "light" | "dark"} Theme */

/** @type {readonly Theme[]} */
const THEMES = ["auto", "light", "dark"];

/** @returns {Theme} */
function current() {
  const found = document.documentElement.dataset.theme;
  return found === "light" || found === "dark" ? found : "auto";
}

/** @param {Theme} theme */
function choose(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // No storage: it holds until the page is left.
  }
  document.dispatchEvent(new Event("themechange"));
}

/** @returns {HTMLElement} */
export function themeSwitch() {
  const label = { auto: "System", light: "Light", dark: "Dark" };
  const select = h(
    "select",
    { id: "theme" },
    THEMES.map((theme) => h("option", { value: theme }, label[theme])),
  );
  select.value = current();
  select.addEventListener("change", () => {
    choose(THEMES.find((theme) => theme === select.value) ?? "auto");
  });
  return h(
    "label",
    { class: "theme", for: "theme" },
    h("span", { class: "visually-hidden" }, "Colours"),
    select,
  );
}
