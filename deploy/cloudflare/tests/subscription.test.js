// What subscribers ask for, in the real Workers runtime: what is stored, and what is not. The tokens were
// signed by the host's program, and it opens what is sealed here: both by the same file
// (crates/notify/testdata/subscription.json).

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, beforeEach, describe, test } from "node:test";
import { nameOf } from "../lib/subscription.js";
import { worker } from "./support/worker.js";

const VECTOR = JSON.parse(
  await readFile(
    new URL("../../../crates/notify/testdata/subscription.json", import.meta.url),
    "utf8",
  ),
);
const KEYS = { NOTIFY_SEAL_KEY: VECTOR.seal_key, NOTIFY_VERIFY_KEY: VECTOR.verify_key };
const { confirm, unsubscribe } = VECTOR.tokens;
const FORM = "application/x-www-form-urlencoded";

/** @type {import("./support/worker.js").Worker} */
let served;

before(async () => {
  served = await worker({ ...KEYS, KEY_PREFIX: "reports/" });
});

after(() => served?.close());

beforeEach(async () => {
  for (const name of (await served.objects()).keys()) await served.remove(name);
});

/** @type {(token: string, body: BodyInit, more?: object) => Promise<Response>} */
const post = (token, body, more = {}) =>
  served.ask(`/subscription/${token}`, {
    method: "POST",
    headers: { "Content-Type": FORM },
    body,
    ...more,
  });

describe("a link in a mail", () => {
  test("shows a button, and changes nothing", async () => {
    for (const [token, field] of [
      [confirm, 'name="confirm" value="yes"'],
      [unsubscribe, 'name="List-Unsubscribe" value="One-Click"'],
    ]) {
      const response = await served.ask(`/subscription/${token}`);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("Content-Type"), "text/html; charset=utf-8");
      assert.equal(response.headers.get("Cache-Control"), "no-store");
      assert.equal(response.headers.get("Referrer-Policy"), "no-referrer");
      assert.equal(response.headers.get("Access-Control-Allow-Origin"), null);
      const policy = response.headers.get("Content-Security-Policy") ?? "";
      assert.match(policy, /default-src 'none'; form-action 'self'/);
      const html = await response.text();
      assert.ok(html.includes(`<button ${field}>`), html);
      assert.ok(!html.includes(token) && !html.includes("<script"), html);
      const head = await served.ask(`/subscription/${token}`, { method: "HEAD" });
      assert.equal(head.status, 200);
    }
    assert.equal((await served.objects()).size, 0);
  });

  test("a POST stores one sealed object for each token, however often it comes", async () => {
    /** @type {(token: string, body: string) => Promise<void>} */
    const done = async (token, body) => {
      const response = await post(token, body);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("Location"), null);
      assert.match(await response.text(), /Done\./);
    };
    for (let time = 0; time < 3; time += 1) {
      // A mail program's, in both encodings that RFC 8058 names, and a person's.
      await done(unsubscribe, "List-Unsubscribe=One-Click");
      await done(confirm, "confirm=yes");
      const form = new FormData();
      form.set("List-Unsubscribe", "One-Click");
      const multipart = await served.ask(`/subscription/${unsubscribe}`, {
        method: "POST",
        body: form,
      });
      assert.equal(multipart.status, 200);
      await multipart.text();
    }
    const stored = await served.objects();
    const names = await Promise.all([confirm, unsubscribe].map(nameOf));
    assert.deepEqual([...stored.keys()], names.map((name) => `reports/requests/${name}`).sort());
    for (const bytes of stored.values()) {
      // An encapsulated key, the token in JSON, and a tag: nothing to be read.
      assert.equal(bytes.length, 32 + JSON.stringify({ token: confirm }).length + 16);
      assert.ok(!Buffer.from(bytes).includes("token"));
    }
    // No route gives it back.
    for (const name of stored.keys()) {
      for (const path of [`/${name}`, `/${name.slice("reports/".length)}`]) {
        const response = await served.ask(path);
        assert.ok(!(await response.text()).includes("served"), path);
        assert.notEqual(response.headers.get("X-Served-From"), "r2");
      }
    }
  });

  test("what the host did not sign is not there", async () => {
    const other = confirm.startsWith("Y") ? `Z${confirm.slice(1)}` : `Y${confirm.slice(1)}`;
    const changed = [0, 1, 20, 60, 107].map((at) => {
      const character = confirm[at] === "A" ? "B" : "A";
      return `${confirm.slice(0, at)}${character}${confirm.slice(at + 1)}`;
    });
    for (const token of [
      other,
      ...changed,
      `${confirm}A`,
      confirm.slice(1),
      `${confirm}=`,
      "A".repeat(108),
      "%41".repeat(36),
      encodeURIComponent("<script>alert(1)</script>"),
      "",
      "x".repeat(7000),
    ]) {
      for (const body of ["List-Unsubscribe=One-Click", "confirm=yes"]) {
        const response = await post(token, body);
        assert.equal(response.status, 404, token);
        assert.equal((await response.json()).error, "not_found");
      }
      assert.equal((await served.ask(`/subscription/${token}`)).status, 404, token);
    }
    assert.equal((await served.ask(`/subscription/${confirm}/more`)).status, 404);
    assert.equal((await served.objects()).size, 0);
  });

  test("a body that is not the form's stores nothing", async () => {
    for (const body of [
      "",
      "confirm=no",
      "List-Unsubscribe=One-Click",
      "\u0000",
      `x=${"a".repeat(100_000)}&confirm=yes`,
      "confirm",
      "%zz=%zz",
    ]) {
      const response = await post(confirm, body);
      assert.equal(response.status, 400, body.slice(0, 40));
      assert.match(await response.text(), /<button/);
    }
    for (const type of ["", "text/plain", "application/json", "multipart/form-data", FORM]) {
      const response = await served.ask(`/subscription/${confirm}`, {
        method: "POST",
        headers: { "Content-Type": type },
        body: '--x\r\nContent-Disposition: form-data; name="confirm"',
      });
      assert.equal(response.status, 400, type);
      await response.text();
    }
    assert.equal((await served.objects()).size, 0);
  });

  test("other methods, and other paths by POST, are refused as ever", async () => {
    for (const method of ["PUT", "DELETE", "PATCH"]) {
      assert.equal((await served.ask(`/subscription/${confirm}`, { method })).status, 405);
    }
    for (const path of ["/latest.json", "/subscription", "/requests/x", "/api/status"]) {
      assert.equal((await served.ask(path, { method: "POST", body: "x" })).status, 405, path);
    }
  });

  test("a bucket that fails is said, and asked for again", async () => {
    for (const [r2, deadline] of /** @type {const} */ ([
      ["throws", undefined],
      ["stalls", 1500],
    ])) {
      const response = await post(confirm, "confirm=yes", {
        headers: {
          "Content-Type": FORM,
          "x-test-r2": r2,
          ...(deadline === undefined ? {} : { "x-test-deadline": String(deadline) }),
        },
      });
      assert.equal(response.status, 502, r2);
      assert.equal(response.headers.get("Cache-Control"), "no-store");
      assert.match(await response.text(), /try again later/);
    }
  });

  test("without both keys, or without a bucket, there is no such page", async () => {
    for (const [variables, how] of /** @type {[Record<string, string>, object][]} */ ([
      [{}, {}],
      [{ NOTIFY_SEAL_KEY: VECTOR.seal_key }, {}],
      [{ ...KEYS, NOTIFY_VERIFY_KEY: "AAAA" }, {}],
      [{ ...KEYS, NOTIFY_VERIFY_KEY: VECTOR.seal_key }, {}],
      [KEYS, { bucket: false }],
    ])) {
      const one = await worker(variables, how);
      try {
        const response = await one.ask(`/subscription/${confirm}`);
        assert.equal(response.status, 404, JSON.stringify(variables));
        await response.arrayBuffer();
      } finally {
        await one.close();
      }
    }
  });
});
