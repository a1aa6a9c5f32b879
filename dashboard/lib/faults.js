// What a server or the way to it can do wrong, for tests. Without a fault nothing of this is used.

import { setTimeout as delay } from "node:timers/promises";

/** @import { ServerResponse } from "node:http" */

/**
 * What is wrong with a path:
 * - `hang`: takes the request and never answers;
 * - `hang-middle`: sends half and then nothing more;
 * - `cut`: the connection breaks after half;
 * - `half`: half of the document, as if that were all of it;
 * - `html`: a page instead of the document, with status 200;
 * - `empty`: no bytes;
 * - `slow`: each twentieth comes 50 ms after the one before;
 * - a number: that status.
 * @typedef {"hang" | "hang-middle" | "cut" | "half" | "html" | "empty" | "slow" | number} Fault
 */

const PAGE = "<!doctype html><title>Sign in</title><h1>Please sign in to this network</h1>";

/**
 * Answers as the fault wants.
 * @param {Fault} fault
 * @param {ServerResponse} response
 * @param {Record<string, string | number>} headers of the right answer
 * @param {Buffer} body of the right answer, not compressed
 */
export async function misbehave(fault, response, headers, body) {
  const half = body.subarray(0, Math.ceil(body.length / 2));
  if (typeof fault === "number") {
    response.writeHead(fault, { ...headers, "Content-Type": "text/plain; charset=utf-8" });
    response.end(`status ${fault}\n`);
  } else if (fault === "hang-middle" || fault === "cut") {
    response.writeHead(200, { ...headers, "Content-Length": body.length });
    response.write(half, () => {
      if (fault === "cut") response.destroy();
    });
  } else if (fault === "half") {
    response.writeHead(200, headers);
    response.end(half);
  } else if (fault === "html") {
    response.writeHead(200, { ...headers, "Content-Type": "text/html; charset=utf-8" });
    response.end(PAGE);
  } else if (fault === "empty") {
    response.writeHead(200, headers);
    response.end();
  } else if (fault === "slow") {
    response.writeHead(200, headers);
    const step = Math.ceil(body.length / 20) || 1;
    for (let from = 0; from < body.length && !response.destroyed; from += step) {
      response.write(body.subarray(from, from + step));
      await delay(50);
    }
    response.end();
  }
  // "hang": nothing, until the server is closed.
}
