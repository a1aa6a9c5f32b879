// What people come for, in Chromium: each from the overview in at most three actions.

import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { open, withBrowser } from "./support/browser.js";
import { site } from "./support/site.js";
import { counted, TASKS } from "./support/tasks.js";

withBrowser();

const { files, latest } = site({ relays: 400, runs: 300, dated: 1, others: 10 });

describe("a reader's question", () => {
  for (const width of [360, 1280]) {
    for (const { question, answer } of TASKS) {
      test(`${question} (${width} wide)`, async (t) => {
        const { page } = await open(t, { files, width });
        const of = (/** @type {string} */ selector, /** @type {string} */ text = "") =>
          page.locator(selector).filter({ hasText: text, visible: true }).first();
        await answer(
          counted({
            press: (selector, text) => of(selector, text).click(),
            type: (selector, text) => of(selector).fill(text),
            see: async (selector, text) => {
              await of(selector, text).waitFor();
              return of(selector, text).evaluate((one) =>
                one instanceof HTMLTextAreaElement
                  ? one.value
                  : /** @type {HTMLElement} */ (one).innerText,
              );
            },
            download: async () => {
              const [download] = await Promise.all([
                page.waitForEvent("download"),
                page.getByRole("button", { name: "Save as CSV" }).click(),
              ]);
              return readFile(await download.path(), "utf8");
            },
          }),
          latest,
        );
      });
    }
  }
});
