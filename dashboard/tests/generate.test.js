// The generated data is what the programs could have written: the other tests rest on that.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { counts, LAST_RUN, report, stateOf } from "./support/report.js";
import { site } from "./support/site.js";

const FORMATS = new URL("../../docs/formats/", import.meta.url);
const TESTDATA = new URL("../../crates/aggregate/testdata/", import.meta.url);

/**
 * @param {"report" | "trends" | "files"} name
 * @returns {Promise<(document: unknown) => void>} throws where the document is not of the format
 */
async function schema(name) {
  // The formats' schemas list several types for a field, which strict mode would complain about.
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  // The package's type says that it is a namespace; it is the function.
  /** @type {(ajv: Ajv2020) => unknown} */ (/** @type {unknown} */ (formats))(ajv);
  const check = ajv.compile(
    JSON.parse(await readFile(new URL(`${name}.schema.json`, FORMATS), "utf8")),
  );
  return (document) => {
    assert.ok(check(document), JSON.stringify(check.errors?.slice(0, 3)));
  };
}

describe("generated data", () => {
  const whole = site({ relays: 1000 });

  test("is of the published formats", async () => {
    (await schema("report"))(whole.latest);
    (await schema("trends"))(JSON.parse(whole.files.get("/trends.json") ?? ""));
    (await schema("files"))(JSON.parse(whole.files.get("/files.json") ?? ""));
  });

  test("is the same for the same seed, and other for another", () => {
    assert.deepEqual(report({ relays: 50 }), report({ relays: 50 }));
    assert.notDeepEqual(report({ relays: 50 }), report({ relays: 50, seed: 2 }));
  });

  test("is as various as the network", () => {
    const { metadata, results } = whole.latest;
    const failing = metadata.wrong_ip + metadata.dns_fail + metadata.timeout;
    assert.ok(failing > 0.015 * results.length && failing < 0.06 * results.length, `${failing}`);
    assert.equal(Object.keys(metadata.states).length, 6);
    assert.ok(Object.keys(metadata.error_codes).length >= 7);
    assert.ok(results.some((one) => one.relay.ipv6.address !== null));
    assert.ok(results.some((one) => one.relay.country === null));
    assert.ok(results.some((one) => one.relay.contact === null));
    assert.equal(new Set(results.map((one) => one.exit_fingerprint)).size, results.length);
  });

  test("tells one story through its runs", () => {
    const before = report({ relays: 200, run: LAST_RUN - 1 });
    const after = report({ relays: 200, run: LAST_RUN });
    const known = new Map(before.results.map((one) => [one.exit_fingerprint, one]));
    for (const one of after.results) {
      const old = known.get(one.exit_fingerprint);
      if (old === undefined) continue;
      assert.equal(old.recent.slice(-30), one.recent.slice(0, -1).slice(-30));
    }
  });
});

describe("what the programs wrote", () => {
  test("is of the schema, and its states are those that the generator would give", async () => {
    const check = await schema("report");
    let seen = 0;
    for (const name of await readdir(TESTDATA)) {
      const text = await readFile(new URL(`${name}/expected-report.json`, TESTDATA), "utf8").catch(
        () => null,
      );
      if (text === null) continue;
      /** @type {import("./support/report.js").Report} */
      const document = JSON.parse(text);
      check(document);
      seen += 1;
      for (const one of document.results) {
        // A mark that is not confirmed, and what lies before the sixty runs, need more than `recent`.
        if (/[A-Z]/.test(one.recent) || one.state === null || one.recent.length === 60) continue;
        assert.equal(stateOf(one.recent), one.state, `${name}: ${one.recent}`);
      }
      assert.deepEqual(
        counts(document.results.map((one) => one.error_code)),
        document.metadata.error_codes,
      );
    }
    assert.ok(seen >= 20, `${seen} reports`);
  });
});
