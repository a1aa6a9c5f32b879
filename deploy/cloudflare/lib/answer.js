// A request to its answer: the one way in.

import { failures, relay, statusOf } from "./api.js";
import { badge } from "./badge.js";
import { data } from "./data.js";
import { failure, MISSING_SECONDS, methodNotAllowed, options, withoutBody } from "./http.js";
import { route } from "./names.js";
import { settings as settingsOf } from "./settings.js";
import { stores as storesOf } from "./stores.js";
import { subscription } from "./subscription.js";

/** @import { Route } from "./names.js" */
/** @import { Env } from "./settings.js" */

/**
 * Answers a request.
 * @param {Request} request
 * @param {Env} env
 * @param {() => Promise<Response>} pages what the static pages answer
 * @param {number} now milliseconds
 * @returns {Promise<Response>}
 */
export async function answer(request, env, pages, now) {
  const path = route(new URL(request.url).pathname);
  if (request.method === "OPTIONS" && path.to !== "pages") return options();
  const takesPost = path.to === "subscription" && request.method === "POST";
  if (request.method !== "GET" && request.method !== "HEAD" && !takesPost) {
    return methodNotAllowed();
  }
  if (path.to === "pages") return pages();
  let response;
  try {
    response = await dynamic(path, request, env, now);
  } catch (error) {
    // A fault of ours: said as such, and never kept by a cache.
    console.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
    response = failure(500, "internal", "a fault of this function; its log has more");
  }
  return request.method === "HEAD" ? withoutBody(response) : response;
}

/**
 * @param {Exclude<Route, {to: "pages"}>} path
 * @param {Request} request
 * @param {Env} env
 * @param {number} now
 * @returns {Promise<Response>}
 */
async function dynamic(path, request, env, now) {
  if (path.to === "unknown") {
    return failure(404, "not_found", "no such file or call; files.json lists what is there", {
      cache: `public, max-age=${MISSING_SECONDS}`,
    });
  }
  if (path.to === "bad_fingerprint") {
    return failure(400, "bad_fingerprint", "a fingerprint is 40 hexadecimal digits", {
      cache: `public, max-age=${MISSING_SECONDS}`,
    });
  }
  const settings = settingsOf(env);
  for (const problem of settings.problems) console.error(problem);
  if (path.to === "subscription") return subscription(request, path.token, env, settings);
  const stores = storesOf(env, settings);
  switch (path.to) {
    case "data":
      return data(request, path.file, stores, settings);
    case "status":
      return statusOf(request, stores, settings, now);
    case "failures":
      return failures(request, stores, settings);
    case "badge":
      return badge(path.of, path.fingerprint, stores, settings, now);
    case "relay":
      return relay(request, path.fingerprint, stores, settings);
  }
}
