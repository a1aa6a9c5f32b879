// Reading files over a real connection that misbehaves: every fault ends in time, and as what it is.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { DataError } from "../../public/js/data/errors.js";
import { fetchFile } from "../../public/js/data/fetch.js";
import { Resource } from "../../public/js/data/resource.js";
import { Store } from "../../public/js/data/store.js";
import { serve } from "../serve.js";
import { site } from "./support/site.js";

/** Longer than anything takes that does not hang, however busy the machine is. */
const LIMITS = { bytes: 1_000_000, idleMs: 60_000, totalMs: 120_000 };

/** So that a hang is seen soon. */
const SOON = Object.freeze({ idleMs: 400 });

const { files, latest } = site({ relays: 120 });

/** @type {Awaited<ReturnType<typeof serve>>} */
let server;

before(async () => {
  server = await serve({ data: "/nonexistent" });
});

after(async () => {
  await server?.close();
});

beforeEach(() => {
  server.faults.clear();
  server.files.clear();
  for (const [path, text] of files) server.files.set(path, text);
});

/** @type {(limits?: Partial<typeof LIMITS>) => Promise<string | null>} */
const get = async (limits = {}) => {
  const how = { limits: { ...LIMITS, ...limits }, immutable: false };
  return (await fetchFile(`${server.url}latest.json`, how)).text;
};

/**
 * @param {Promise<unknown>} failing
 * @param {import("../../public/js/data/errors.js").Why} why
 */
async function fails(failing, why) {
  await assert.rejects(failing, (error) => {
    assert.ok(error instanceof DataError, `${error}`);
    assert.equal(error.why, why);
    assert.match(error.message, /^[A-Z].*\.$/);
    return true;
  });
}

describe("a file", () => {
  test("comes whole, however slowly it comes", async () => {
    assert.equal(await get(), files.get("/latest.json"));
    server.faults.set("/latest.json", "slow");
    let last = "";
    const { text } = await fetchFile(`${server.url}latest.json`, {
      limits: LIMITS,
      immutable: false,
      onText(soFar) {
        assert.ok(soFar.startsWith(last));
        last = soFar;
      },
    });
    assert.equal(text, files.get("/latest.json"));
    assert.ok(last.length > 0);
  });

  test("characters that are cut by the pieces of the connection come whole", async () => {
    const text = JSON.stringify("ж👍".repeat(5_000));
    server.files.set("/latest.json", text);
    server.faults.set("/latest.json", "slow");
    assert.equal(await get(), text);
  });

  test("that is not there", async () => {
    server.files.delete("/latest.json");
    await fails(get(), "missing");
  });

  test("for which the server has an error", async () => {
    for (const status of [500, 502, 503, 403, 429]) {
      server.faults.set("/latest.json", status);
      await fails(get(), "http");
    }
  });

  test("whose connection breaks off", async () => {
    server.faults.set("/latest.json", "cut");
    await fails(get(), "network");
  });

  test("from a server that is not there", async () => {
    const gone = await serve();
    await gone.close();
    await fails(fetchFile(gone.url, { limits: LIMITS, immutable: false }), "network");
  });

  test("whose server is silent, from the beginning or from the middle on", async () => {
    server.faults.set("/latest.json", "hang");
    await fails(get(SOON), "timeout");
    server.faults.set("/latest.json", "hang-middle");
    await fails(get(SOON), "timeout");
  });

  test("that never ends", async () => {
    server.faults.set("/latest.json", "slow");
    await fails(get({ totalMs: 300 }), "timeout");
  });

  test("that is too large, said by the server or not", async () => {
    await fails(get({ bytes: 10_000 }), "too_large");
    server.faults.set("/latest.json", "slow");
    await fails(get({ bytes: 10_000 }), "too_large");
  });
});

describe("what is shown of it", () => {
  test("the figures are there before the relays are", async () => {
    server.faults.set("/latest.json", "hang-middle");
    const store = new Store(new URL(server.url));
    const ended = new AbortController();
    await /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        store.latest.watch(() => {
          if (store.latest.head !== null) resolve();
        }, ended.signal);
        store.latest.ensure();
      })
    );
    ended.abort();
    assert.equal(store.latest.value, null);
    assert.equal(store.latest.head?.dnsRate, latest.metadata.dns_success_rate_percent);
    // So that the rest is not waited for.
    await server.close();
    server = await serve({ data: "/nonexistent" });
  });

  test("each file fails for itself, and is there when it is tried again", async () => {
    const store = new Store(new URL(server.url));
    server.faults.set("/trends.json", 500);
    server.faults.set("/files.json", "html");
    await store.reload();
    assert.equal(store.latest.state, "ready");
    assert.equal(store.trends.error?.why, "http");
    assert.equal(store.files.error?.why, "missing");
    server.faults.clear();
    await store.reload();
    assert.equal(store.runs?.length, 1460);
    assert.equal(store.files.state, "ready");
  });

  test("what was there stays where the next attempt fails", async () => {
    const store = new Store(new URL(server.url));
    await store.latest.ensure();
    server.faults.set("/latest.json", "half");
    await store.latest.reload();
    assert.equal(store.latest.state, "failed");
    assert.equal(store.latest.error?.why, "malformed");
    assert.equal(store.latest.value?.relays.length, latest.results.length);
  });

  test("quietly: what is the same is not read again, what fails leaves all as it was", async () => {
    const store = new Store(new URL(server.url));
    await store.reload();
    const { value, confirmed } = store.latest;
    await store.refresh();
    assert.equal(store.latest.value, value, "the same is not drawn again");
    assert.ok((store.latest.confirmed ?? 0) >= (confirmed ?? Number.POSITIVE_INFINITY));
    for (const fault of /** @type {const} */ ([500, "half", "cut"])) {
      server.faults.set("/latest.json", fault);
      await store.refresh();
      assert.equal(store.latest.state, "ready", `${fault}`);
      assert.equal(store.latest.value, value);
      assert.ok(store.latest.missed !== null);
    }
    server.faults.clear();
    server.files.set("/latest.json", JSON.stringify({ ...latest, results: [] }));
    await store.refresh();
    assert.equal(store.latest.value?.relays.length, 0);
    assert.equal(store.latest.missed, null);
  });

  test("what is the same is known by its text where the server says nothing of it", async () => {
    /** @type {(text: string) => typeof fetch} */
    const bare = (text) => async () => new Response(text);
    const url = "https://reports.example.org/latest.json";
    const how = { limits: LIMITS, immutable: false };
    const one = await fetchFile(url, { ...how, fetcher: bare("one") });
    assert.equal(one.text, "one");
    const same = await fetchFile(url, { ...how, known: one.tag, fetcher: bare("one") });
    assert.equal(same.text, null);
    const other = await fetchFile(url, { ...how, known: one.tag, fetcher: bare("eno") });
    assert.equal(other.text, "eno");
  });

  test("a file is asked for once, by however many", async () => {
    let asked = 0;
    const resource = new Resource(async () => {
      asked += 1;
      return 1;
    });
    await Promise.all([resource.ensure(), resource.ensure(), resource.reload()]);
    await resource.ensure();
    assert.equal(asked, 1);
  });

  test("a report whose name leads elsewhere is never asked for", async () => {
    const store = new Store(new URL(server.url));
    const before = server.asked.length;
    for (const name of ["../x.json", "https://elsewhere.invalid/x", "dns_health_x.json", ""]) {
      const report = store.report(name);
      await report.ensure();
      assert.equal(report.state, "failed", name);
    }
    assert.equal(server.asked.length, before);
  });

  test("earlier reports do not fill the memory", async () => {
    const store = new Store(new URL(server.url));
    for (let day = 10; day < 30; day += 1) store.report(`dns_health_2026-10-${day}_00-00-00.json`);
    assert.ok(store.earlier.size <= 5);
  });
});
