// Finding a Chromium that starts, and saying what to do where there is none.

import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "../lib/chromium.js";

/** @type {string} */
let directory;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "chromium-"));
});

after(async () => {
  await rm(directory, { recursive: true, force: true });
});

/**
 * @param {string} name
 * @param {string} script
 * @returns {Promise<string>}
 */
async function program(name, script) {
  const path = join(directory, name);
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

describe("the browser", () => {
  test("that is named is taken, or refused by its name", async () => {
    const good = await program("mine", 'echo "Chromium 150.0.1 built on Debian"');
    assert.equal(await chromium({ CHROMIUM: good, PATH: "" }), good);
    const other = await program("other", 'echo "Mozilla Firefox 140.0"');
    for (const bad of [other, join(directory, "missing"), "chromium"]) {
      await assert.rejects(chromium({ CHROMIUM: bad, PATH: directory }), new RegExp(bad));
    }
  });

  test("a stub that wants snap is passed over for one that starts", async () => {
    await program("chromium-browser", 'echo "requires the chromium snap" >&2; exit 1');
    await assert.rejects(chromium({ PATH: directory }), /apt-get install chromium/);
    const chrome = await program("google-chrome", 'echo "Google Chrome 150.0.1"');
    assert.equal(await chromium({ PATH: directory }), chrome);
  });
});
