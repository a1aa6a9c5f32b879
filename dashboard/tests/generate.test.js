// The generated data is what the programs could have written: the other tests rest on that.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { examples, lab, states } from "./support/published.js";
import { counts, LAST_RUN, report, stateOf } from "./support/report.js";
import { site } from "./support/site.js";

const FORMATS = new URL("../../docs/formats/", import.meta.url);

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
  test("is of the schema, and its codes are counted as the generator counts them", async () => {
    const check = await schema("report");
    const written = [...(await examples()).values(), (await lab()).get("/latest.json") ?? ""];
    for (const text of written) {
      /** @type {import("./support/report.js").Report} */
      const document = JSON.parse(text);
      check(document);
      assert.deepEqual(
        counts(document.results.map((one) => one.error_code)),
        document.metadata.error_codes,
      );
    }
  });

  test("has the states that the generator gives", async () => {
    const rows = await states();
    assert.equal(new Set(rows.map(([, state]) => state)).size, 7);
    for (const [marks, state] of rows) assert.equal(stateOf(marks), state, marks);
  });
});
