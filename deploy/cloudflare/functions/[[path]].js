// The edge: what Cloudflare Pages calls for every path that _routes.json names. Everything else is
// in lib/.

import { answer } from "../lib/answer.js";

/** @import { Env } from "../lib/settings.js" */

/**
 * @param {EventContext<Env, string, unknown>} context
 * @returns {Promise<Response>}
 */
export function onRequest({ request, env, next }) {
  return answer(request, env, () => next(), Date.now());
}
