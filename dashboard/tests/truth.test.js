// What the pages say adds up, or they say that it does not: damaged figures, sums, shares, mails,
// paper, exports.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { open, visit, withBrowser } from "./support/browser.js";
import { shown } from "./support/expect.js";
import { FAILING } from "./support/report.js";
import { site } from "./support/site.js";

/** @import { Page } from "playwright-core" */

withBrowser();

const { files, latest } = site({ relays: 400, runs: 120, others: 20, dated: 2 });

/** @typedef {{[key: string]: any}} Loose */

/**
 * What is published, with a report that was changed.
 * @param {(report: Loose) => void} change
 * @param {string} [path]
 */
function damaged(change, path = "/latest.json") {
  const document = JSON.parse(files.get(path) ?? "");
  change(document);
  return new Map(files).set(path, JSON.stringify(document));
}

/** @type {(page: Page) => Promise<string>} */
const notices = async (page) => (await page.locator(".notice").allInnerTexts()).join("\n");

/**
 * The figures of the overview: those of the sentence, the cards and the list.
 * @param {Page} page
 */
async function overview(page) {
  /** @type {(text: string) => number[]} */
  const numbers = (text) => [...text.replaceAll(",", "").matchAll(/\d+/g)].map(([n]) => Number(n));
  const [well, tested, fail] = numbers(await page.locator(".answer p").innerText());
  const card = page.locator(".card.figure", { hasText: "Failing exits" });
  return {
    well,
    tested,
    fail,
    card: numbers(await card.locator(".card-value").innerText())[0],
    parts: numbers(await card.locator(".card-detail").innerText()),
    shares: (await page.locator(".composition .share").allInnerTexts()).map((one) =>
      Number.parseFloat(one.replace(/^\D+/, "")),
    ),
  };
}

const failed = latest.failures.length;

describe("damaged figures", () => {
  test("each is said, and what is shown is what the results say", async (t) => {
    const opened = await open(t, { files });
    const { page } = opened;
    const cases = /** @type {[string, (report: Loose) => void, RegExp][]} */ ([
      [
        "a count that is a text",
        (r) => (r.metadata.dns_fail = "112"),
        /“dns_fail”.*cannot be read/,
      ],
      ["a count that is another", (r) => (r.metadata.dns_fail += 7), /dns_fail \d+, counted \d+/],
      ["a rate", (r) => (r.metadata.dns_success_rate_percent = 95.75), /dns_success_rate_percent/],
      ["a rate over 100", (r) => (r.metadata.dns_success_rate_percent = 1000), /cannot be read/],
      ["a total", (r) => (r.metadata.total_relays = 7), /total_relays 7, counted/],
      ["states", (r) => (r.metadata.states.confirmed = 1), /states\.confirmed 1, counted/],
      ["causes", (r) => (r.metadata.error_codes = { SERVFAIL: 99999 }), /error_codes\.SERVFAIL/],
      [
        "weights",
        (r) => (r.metadata.bandwidth.failing_percent = 0.5),
        /bandwidth\.failing_percent/,
      ],
      ["a relay twice", (r) => r.results.push(r.results[3]), /more than once: 1/],
      [
        "figures of relays",
        (r) => {
          for (const one of r.results.slice(0, 5)) one.consecutive_failures = "many";
        },
        /“consecutive_failures” cannot be read for 5 relays/,
      ],
      [
        "a relay that contradicts itself",
        (r) =>
          (r.results.find((/** @type {Loose} */ one) => one.status === "dns_fail").recent = "sss"),
        /contradicts itself: 1/,
      ],
    ]);
    for (const [name, change, words] of cases) {
      await t.test(name, async () => {
        await opened.again({ files: damaged(change), hash: "#/overview" });
        assert.match(await page.locator("#banner").innerText(), words);
        const seen = await overview(page);
        assert.equal(seen.fail, failed, "the failing are those of the results");
        assert.equal(seen.card, failed);
        assert.equal(seen.well + seen.fail, seen.tested);
      });
    }
  });

  test("of the trends and of the list are said where they are shown", async (t) => {
    const opened = await open(t, { files });
    const { page } = opened;
    const trends = damaged((r) => {
      r.runs[3].success = "x";
      r.runs[4].timestamp = "yesterday";
      r.runs[5].success += 1;
      r.runs.push(r.runs[9]);
    }, "/trends.json");
    await opened.again({ files: trends, hash: "#/trends" });
    const said = await notices(page);
    assert.match(said, /have no time: 1/);
    assert.match(said, /“success” cannot be read for 1 runs/);
    assert.match(said, /do not add up: 2/);
    assert.match(said, /there more than once: 1/);
    const list = damaged((r) => {
      r.files[1].size = "big";
      r.files[2].name = "../x";
    }, "/files.json");
    await opened.again({ files: list, hash: "#/history" });
    assert.match(await notices(page), /“size” cannot be read[\s\S]*|name no file of ours/);
    assert.match(await notices(page), /no file of ours can have: 1/);
  });

  test("of one relay are said on its page", async (t) => {
    const [first] = latest.failures;
    const own = damaged((r) => {
      const one = r.results.find(
        (/** @type {Loose} */ found) => found.exit_fingerprint === first.exit_fingerprint,
      );
      one.attempts[0].started = "noon";
      one.recent = "s";
    });
    const { page } = await open(t, { files: own, hash: `#/relay/${first.exit_fingerprint}` });
    assert.match(await notices(page), /“attempts.started” cannot be read/);
    assert.match(await notices(page), /the last of its runs is not this one/);
  });

  test("a sound report has nothing said of it", async (t) => {
    const { page } = await open(t, { files });
    for (const hash of ["#/overview", "#/trends", "#/history"]) {
      await visit(page, hash);
      assert.equal(await notices(page), "", hash);
    }
  });
});

describe("sums and shares", () => {
  test("the parts of the failing are the whole, whatever their states; shares come to 100", async (t) => {
    const own = damaged((r) => {
      const some = r.results.filter((/** @type {Loose} */ one) => one.status === "dns_fail");
      for (const one of some.slice(0, 2)) {
        one.provisional = true;
        one.recent = `${one.recent.slice(0, -1)}D`;
      }
      r.metadata.unconfirmed = 2;
      // A state is also that of a relay which this run did not reach.
      const far = r.results.filter((/** @type {Loose} */ one) => one.status === "circuit_fail");
      for (const one of far) {
        r.metadata.states[one.state] -= 1;
        one.state = "confirmed";
        r.metadata.states.confirmed += 1;
      }
    });
    const { page } = await open(t, { files: own, hash: "#/overview" });
    const { parts, card, shares } = await overview(page);
    assert.ok(parts.length > 2);
    assert.equal(
      parts.reduce((sum, one) => sum + one, 0),
      card,
    );
    const text = await page.locator("main").innerText();
    assert.match(text, /2 not confirmed/);
    assert.match(text, /\(2 of them not confirmed\)/);
    assert.ok(Math.abs(shares.reduce((sum, one) => sum + one, 0) - 100) < 0.1, `${shares}`);
  });

  test("the numbers in the menus are what each value would show", async (t) => {
    const { page } = await open(t, { files, hash: "#/relays?status=failing&q=abuse" });
    const menu = page.getByRole("combobox", { name: "Country", exact: true });
    const flag = page.getByRole("combobox", { name: "Flag", exact: true });
    for (const extra of /** @type {Record<string, string>[]} */ ([{}, { flag: "Stable" }])) {
      if (extra.flag) await flag.selectOption("Stable");
      const choice = { status: "failing", q: "abuse", ...extra };
      const all = ["de", "us", "nl", "se", "-"];
      const expected = all.map((country) => shown(latest, { ...choice, country }).length);
      await page.waitForFunction(
        ([countries, counts]) => {
          const select = [...document.querySelectorAll("select")].find((one) =>
            one.parentElement?.textContent?.startsWith("Country"),
          );
          const options = [...(select?.options ?? [])];
          return countries.every((country, i) =>
            options.find((one) => one.value === country)?.text.endsWith(`(${counts[i]})`),
          );
        },
        /** @type {[string[], number[]]} */ ([all, expected]),
      );
      await menu.selectOption("de");
      const counted = shown(latest, { ...choice, country: "de" }).length;
      await page.locator(".relay-count", { hasText: new RegExp(`^${counted} of`) }).waitFor();
      await menu.selectOption("");
    }
    const statuses = page.getByRole("combobox", { name: "Status", exact: true });
    const failing = shown(latest, { status: "failing", q: "abuse", flag: "Stable" }).length;
    await statuses.locator("option", { hasText: `all that fail (${failing})` }).waitFor({
      state: "attached",
    });
  });

  test("the year 9999: of a report, and of one run among the trends", async (t) => {
    const opened = await open(t, { files });
    const { page } = opened;
    const far = damaged((r) => {
      r.metadata.timestamp = "9999-12-31T23:59:59Z";
    });
    await opened.again({ files: far, hash: "#/overview" });
    assert.match(await notices(page), /from the future/);
    const card = page.locator(".card.figure", { hasText: "Age of these figures" });
    assert.doesNotMatch(await card.innerText(), /-|\d{4,}/);
    const runs = damaged((r) => {
      r.runs.push({ ...r.runs[0], timestamp: "9999-12-31T23:59:59Z" });
    }, "/trends.json");
    await opened.again({ files: runs, hash: "#/trends?range=week" });
    assert.match(await notices(page), /1 run in the future is left out/);
    assert.match(await page.locator("main [role=status]").first().innerText(), /^29 runs/);
  });
});

describe("a mail", () => {
  /**
   * @param {Page} page
   * @param {string} operator
   */
  async function opens(page, operator) {
    const group = page.locator(`li[data-key="${operator}"]`);
    await group.getByText("A text for a mail").click();
    return group;
  }

  const own = latest.failures_by_operator.find(
    (one) => one.operator.startsWith("contact:") && one.failing.length > 1,
  );
  const operator = own?.operator ?? "";

  test("leads to the evidence of this very report, and to its relays", async (t) => {
    const { page } = await open(t, { files, hash: "#/operators" });
    const group = await opens(page, operator);
    const text = await group.locator("textarea").inputValue();
    const link = /https?:\S+/.exec(text)?.[0] ?? "";
    assert.ok(link.includes("report=dns_health_2026-11-23_03-15-30.json"), link);
    await visit(page, new URL(link).hash);
    const failing = new RegExp(`^${own?.failing.length} of`);
    await page.locator(".relay-count", { hasText: failing }).waitFor();
    await page.locator("#banner", { hasText: "the report of 2026-11-23 03:15" }).waitFor();
  });

  test("tells only what was confirmed, and as often as it was asked", async (t) => {
    const opened = await open(t, { files });
    const { page } = opened;
    const [first] = own?.failing ?? [];
    const doubtful = damaged((r) => {
      for (const one of r.results.filter(
        (/** @type {Loose} */ each) => each.operator === operator,
      )) {
        if (!FAILING.has(one.status)) continue;
        one.attempts = one.attempts.slice(0, 1);
        if (one.exit_fingerprint !== first) continue;
        one.provisional = true;
        one.recent = `${one.recent.slice(0, -1)}${one.recent.at(-1).toUpperCase()}`;
      }
      r.metadata.unconfirmed = 1;
    });
    await opened.again({ files: doubtful, hash: "#/operators" });
    const group = await opens(page, operator);
    const text = await group.locator("textarea").inputValue();
    assert.ok(!text.includes(first), text);
    assert.match(text, /asked once/);
    assert.doesNotMatch(text, /several|different first hops/);
    assert.match(await group.innerText(), /Left out: 1 failure not confirmed/);
  });

  test("is not there where nothing is confirmed, nor from a report that was held back", async (t) => {
    const opened = await open(t, { files });
    const { page } = opened;
    await opened.again({
      files: damaged((r) => {
        for (const one of r.results) one.provisional = one.status !== "success";
      }),
      hash: "#/operators",
    });
    let group = await opens(page, operator);
    await group.filter({ hasText: /nothing to write about yet/ }).waitFor();
    assert.equal(await group.locator("textarea").count(), 0);
    await opened.again({
      files: damaged((r) => {
        r.metadata.publish.allowed = false;
        r.metadata.publish.reasons = [{ code: "one_kind", message: "all in one way" }];
      }),
      hash: "#/operators",
    });
    group = await opens(page, operator);
    await group.filter({ hasText: /Write to nobody because of it/ }).waitFor();
    assert.equal(await group.locator("textarea").count(), 0);
  });

  test("has an address only where the contact has it", async (t) => {
    const contact = "please write to us at example.org";
    const changed = damaged((r) => {
      for (const one of r.results) {
        if (one.operator !== operator) continue;
        one.operator = "contact:us@example.org";
        one.relay.contact = contact;
      }
    });
    const { page } = await open(t, { files: changed, hash: "#/operators" });
    const group = await opens(page, "contact:us@example.org");
    await group.filter({ hasText: /names no mail address/ }).waitFor();
    assert.doesNotMatch(await group.innerText(), /To:/);
    const other = latest.failures_by_operator.find(
      (one) => one.operator.startsWith("contact:") && one.operator !== operator,
    );
    const right = await opens(page, other?.operator ?? "");
    await right.filter({ hasText: `To: ${other?.operator.slice(8)}` }).waitFor();
  });
});

describe("on paper", () => {
  test("a chart is whole and dark on white, whatever the screen was", async (t) => {
    const { page } = await open(t, {
      files,
      hash: "#/trends",
      width: 1600,
      context: { colorScheme: "dark" },
      // The browser's advice to whoever reads a canvas again and again, as this test does.
      expected: /willReadFrequently/,
    });
    const canvas = page.locator(".plot canvas").first();
    await canvas.waitFor();
    /** Whether something is drawn in this colour. */
    const drawn = (/** @type {number[]} */ colour) =>
      canvas.evaluate((one, [r, g, b]) => {
        if (!(one instanceof HTMLCanvasElement)) throw new Error("no canvas");
        const { data } = /** @type {CanvasRenderingContext2D} */ (
          one.getContext("2d")
        ).getImageData(0, 0, one.width, one.height);
        for (let i = 0; i < data.length; i += 4) {
          if (data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255) {
            return true;
          }
        }
        return false;
      }, colour);
    // --c1 of css/tokens.css.
    const [light, dark] = [
      [0x5b, 0x3a, 0x9a],
      [0xbd, 0xa8, 0xf4],
    ];
    assert.deepEqual([await drawn(light), await drawn(dark)], [false, true], "on the screen");
    // A sheet of A4, within its margins.
    await page.emulateMedia({ media: "print", colorScheme: "dark" });
    await page.setViewportSize({ width: 690, height: 1000 });
    await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
    await page.evaluate(
      () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
    );
    const box = await page.evaluate(() =>
      [...document.querySelectorAll(".plot")].map((plot) => {
        const canvas = plot.querySelector("canvas");
        const [inner, outer] = [canvas, plot.closest(".card")].map((one) =>
          one?.getBoundingClientRect(),
        );
        if (!inner || !outer || !canvas) throw new Error("no chart");
        return {
          within: inner.right <= outer.right + 1 && inner.left >= outer.left - 1,
          wide: inner.width / outer.width,
          shape: inner.width / inner.height / (canvas.width / canvas.height),
        };
      }),
    );
    assert.equal(box.length, 7);
    for (const one of box) {
      assert.ok(one.within && one.wide > 0.85, JSON.stringify(one));
      assert.ok(Math.abs(one.shape - 1) < 0.02, "not distorted");
    }
    assert.deepEqual([await drawn(light), await drawn(dark)], [true, false], "on paper");
  });
});

describe("an export", () => {
  test("that fails says so", async (t) => {
    const { page } = await open(t, { files, hash: "#/relays", expected: /no room/ });
    await page.evaluate(() => {
      URL.createObjectURL = () => {
        throw new Error("no room");
      };
    });
    await page.getByRole("button", { name: "Save as CSV" }).click();
    await page.locator(".save-said", { hasText: "could not be saved: no room." }).waitFor();
  });

  test("of values nested as deep as they may be is saved, and says what is not whole", async (t) => {
    const depth = 30_000;
    const deep = `${"[".repeat(depth)}${"]".repeat(depth)}`;
    const source = files.get("/latest.json") ?? "";
    const own = new Map(files).set(
      "/latest.json",
      source.replace('"results":[{', `"results":[{"strange":${deep},`),
    );
    const { page } = await open(t, { files: own, hash: "#/relays?sort=fingerprint" });
    for (const name of ["Save as JSON", "Save as CSV"]) {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name }).click(),
      ]);
      const text = await readFile(await download.path(), "utf8");
      if (name.endsWith("CSV")) continue;
      const { results } = JSON.parse(text);
      assert.equal(results.length, latest.results.length);
      // As browsers are, one can write it and another cannot: then that is said.
      if (!text.includes(deep)) {
        assert.ok("left_out" in results[0]);
        assert.match(await page.locator(".save-said").nth(1).innerText(), /1 relay are not whole/);
      }
    }
  });
});
