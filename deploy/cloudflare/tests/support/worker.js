// The function in the real Workers runtime, with R2 as miniflare simulates it, and the faults that
// R2 does not show by itself. Its deadline for a store is the function's own, which a busy machine keeps;
// a request for what never comes can shorten it.

import { Miniflare } from "miniflare";
import { COMPATIBILITY_DATE } from "../../tools/assemble.js";
import { bundle } from "./bundle.js";

// Stands before the function and spoils its bucket as a request's x-test-r2 header says, and
// shortens its deadline for a store as x-test-deadline says.
const HARNESS = `
import worker from "./function.js";

const body = (start, pull) => new ReadableStream({ start, pull });
const spoilt = {
  throws: () => { throw new Error("get: We encountered an internal error. (10001)"); },
  stalls: () => new Promise(() => {}),
  breaks_off: (object) => ({ ...known(object), body: body(
    (c) => c.enqueue(new TextEncoder().encode('{"a":')),
    (c) => c.error(new Error("reset")),
  ) }),
  stalls_in_body: (object) => ({ ...known(object), body: body(
    (c) => c.enqueue(new TextEncoder().encode('{"a":')),
    () => new Promise(() => {}),
  ) }),
  cut: (object) => ({ ...known(object), body: body((c) => {
    c.enqueue(new TextEncoder().encode('{}'));
    c.close();
  }) }),
};
const known = ({ size, httpEtag, uploaded }) => ({ size, httpEtag, uploaded });

export default {
  fetch(request, env, context) {
    const fault = request.headers.get("x-test-r2");
    const deadline = request.headers.get("x-test-deadline");
    const here = { ...env };
    if (deadline !== null) here.STORE_DEADLINE_MS = deadline;
    if (fault !== null) {
      here.REPORTS = {
        get: async (key) => spoilt[fault](await env.REPORTS.get(key)),
        put: async () => spoilt[fault](null),
      };
    }
    return worker.fetch(request, here, context);
  },
};
`;

/** @type {Promise<string> | undefined} */
let bundled;

/**
 * @typedef {object} Worker
 * @property {(path: string, how?: {method?: string, headers?: Record<string, string>, r2?: string,
 *   deadline?: number, body?: BodyInit}) => Promise<Response>} ask `r2` is a fault of the bucket, `deadline` how many
 *   milliseconds a store has
 * @property {(name: string, body: string | Uint8Array) => Promise<string>} put into the bucket;
 *   gives its entity tag
 * @property {(name: string) => Promise<void>} remove from the bucket
 * @property {() => Promise<Map<string, Uint8Array>>} objects of the bucket, by name
 * @property {URL} url
 * @property {() => Promise<void>} close
 */

/**
 * Starts the function.
 * @param {Record<string, string>} variables
 * @param {{bucket?: boolean}} [how] without a bucket there is no binding
 * @returns {Promise<Worker>}
 */
export async function worker(variables, { bucket = true } = {}) {
  bundled ??= bundle();
  const miniflare = new Miniflare({
    host: "127.0.0.1",
    port: 0,
    cf: false,
    modules: [
      { type: "ESModule", path: "harness.js", contents: HARNESS },
      { type: "ESModule", path: "function.js", contents: await bundled },
    ],
    compatibilityDate: COMPATIBILITY_DATE,
    bindings: variables,
    r2Buckets: bucket ? ["REPORTS"] : [],
    serviceBindings: {
      ASSETS: async (/** @type {{url: string}} */ { url }) =>
        /** @type {any} */ (new Response(`page ${new URL(url).pathname}`)),
    },
    // Its own log of requests that a test broke off on purpose.
    handleRuntimeStdio: (/** @type {any} */ out, /** @type {any} */ err) => {
      out.resume();
      err.resume();
    },
  });
  const url = await miniflare.ready;
  const r2 = async () => miniflare.getR2Bucket("REPORTS");
  return {
    url,
    ask(path, { method = "GET", headers = {}, r2: fault, deadline, body } = {}) {
      // Encoded on the way, an answer's length would be another.
      /** @type {Record<string, string>} */
      const all = { "Accept-Encoding": "identity", ...headers };
      // The runtime ends a connection of which it did not read all: the next request is on another.
      if (body !== undefined) Object.assign(all, { Connection: "close" });
      if (fault !== undefined) Object.assign(all, { "x-test-r2": fault });
      if (deadline !== undefined) Object.assign(all, { "x-test-deadline": String(deadline) });
      return fetch(`${url.origin}${path}`, { method, headers: all, redirect: "manual", body });
    },
    async put(name, body) {
      // Miniflare does not take a view of a part of a buffer, as Node's are.
      const bytes = typeof body === "string" ? body : new Uint8Array(body).buffer;
      const object = await (await r2()).put(name, bytes);
      return object?.httpEtag ?? "";
    },
    async remove(name) {
      await (await r2()).delete(name);
    },
    async objects() {
      const bucket = await r2();
      const names = (await bucket.list()).objects.map(({ key }) => key);
      /** @type {Map<string, Uint8Array>} */
      const all = new Map();
      for (const name of names) {
        const object = await bucket.get(name);
        if (object !== null) all.set(name, new Uint8Array(await object.arrayBuffer()));
      }
      return all;
    },
    close: () => miniflare.dispose(),
  };
}
