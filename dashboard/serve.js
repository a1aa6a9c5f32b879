// Serves the dashboard on loopback, as Cloudflare Pages would: the pages of ../public under the
// headers of ../deploy/cloudflare/_headers, and the data of a directory laid over them. Writes
// nothing, and answers nobody but this machine.
//
// node serve.js [--data DIR] [--port N]

import { once } from "node:events";
import { createReadStream } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { createGzip, gzipSync } from "node:zlib";
import { misbehave } from "./lib/faults.js";
import { headersFor, parseHeaders } from "./lib/headers.js";
import { place, within } from "./lib/paths.js";

/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { Fault } from "./lib/faults.js" */
/** @import { Rule } from "./lib/headers.js" */

const HERE = fileURLToPath(new URL("./", import.meta.url));
const CLOUDFLARE = resolve(HERE, "../deploy/cloudflare");

/** The pages, as they are in this repository. */
export const PUBLIC = resolve(HERE, "../public");

/**
 * @typedef {object} Options
 * @property {string} [pages] the directory of the pages
 * @property {string} [data] the directory of `latest.json`, `files.json`, `trends.json` and the
 *   dated reports
 * @property {number} [port] 0 for one that the system picks
 * @property {Map<string, string | Buffer>} [files] for tests: documents by path, which come before
 *   the directories
 * @property {Map<string, Fault>} [faults] for tests: what is wrong with which path
 * @property {string} [headers] for tests: the text of a `_headers` in place of the deployed one
 */

/**
 * @typedef {object} Server
 * @property {string} url with a slash at its end
 * @property {Map<string, string | Buffer>} files
 * @property {Map<string, Fault>} faults
 * @property {string[]} asked the paths so far, with their methods
 * @property {() => Promise<void>} close
 */

/**
 * Starts a server.
 * @param {Options} [options]
 * @returns {Promise<Server>}
 * @throws {Error} where the port is taken, or `_headers` cannot be read
 */
export async function serve(options = {}) {
  const { pages = PUBLIC, data = pages, port = 0 } = options;
  const { files = new Map(), faults = new Map() } = options;
  const rules = parseHeaders(
    options.headers ?? (await readFile(resolve(CLOUDFLARE, "_headers"), "utf8")),
  );
  /** @type {string[]} */
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    answer({ pages, data, files, faults, rules }, request, response).catch((error) => {
      // A reader that went away is its own affair; anything else is told.
      if (error?.code !== "ERR_STREAM_PREMATURE_CLOSE") console.error(`serve: ${error?.stack}`);
      response.destroy();
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const taken = typeof address === "object" && address !== null ? address.port : port;
  return {
    url: `http://127.0.0.1:${taken}/`,
    files,
    faults,
    asked,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

/**
 * @param {Required<Pick<Options, "pages" | "data" | "files" | "faults">> & {rules: Rule[]}} from
 * @param {IncomingMessage} request
 * @param {ServerResponse} response
 */
async function answer(from, request, response) {
  const path = (request.url ?? "/").replace(/[?#].*/s, "");
  const wanted = place(path);
  const own = wanted?.where === "data" ? dataHeaders(wanted.immutable) : pageHeaders(from, path);
  /** @type {(status: number, text: string, more?: Record<string, string>) => void} */
  const say = (status, text, more = {}) => {
    response.writeHead(status, { ...own, "Content-Type": "text/plain; charset=utf-8", ...more });
    response.end(request.method === "HEAD" ? undefined : `${text}\n`);
  };
  // Another name that leads here is another site's, which could then read what is served.
  if (!/^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?$/.test(request.headers.host ?? "")) {
    return say(421, "this server answers to 127.0.0.1 and localhost only");
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    return say(405, "GET and HEAD only", { Allow: "GET, HEAD" });
  }
  if (wanted === null) return missing(from, path, request, response);
  const headers = { ...own, "Content-Type": wanted.type, Vary: "Accept-Encoding" };
  const kept = from.files.get(path === "/" ? "/index.html" : path);
  const fault = from.faults.get(path);
  if (fault !== undefined) {
    const file = await within(from[wanted.where], wanted.name);
    const body = kept ?? (file === null ? "" : await readFile(file));
    return misbehave(fault, response, headers, Buffer.from(body));
  }
  if (kept !== undefined) return sendKept(kept, headers, request, response);
  const file = await within(from[wanted.where], wanted.name);
  if (file === null) return missing(from, path, request, response);
  if (MARKED.includes(wanted.name) && (await within(from.data, SIMULATED)) !== null) {
    return sendKept(marked(await readFile(file, "utf8")), headers, request, response);
  }
  return sendFile(file, headers, request, response);
}

/** In a directory of data that no network stands behind: every page says so. */
const SIMULATED = "SIMULATED";

/** The documents that are pages. */
const MARKED = ["index.html", "summary.html"];

/**
 * The page, with a word above all views where its data is a simulation's.
 * @param {string} html
 * @returns {string}
 */
export function marked(html) {
  // The dashboard has it above its banner, the summary above its heading.
  return html.replace(
    /<div id="banner"|<h1>/,
    (place) =>
      `<p class="simulated"><strong>Simulated.</strong> No relay, operator or address here exists: this is a world that the lab plays. Its time is its own, so its figures may be called old.</p>
    ${place}`,
  );
}

/**
 * What the function says of data, but for the caches: here the newest is wanted at once.
 * @param {boolean} immutable
 * @returns {Record<string, string>}
 */
function dataHeaders(immutable) {
  return {
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": immutable ? "public, max-age=31536000, immutable" : "no-cache",
    "X-Content-Type-Options": "nosniff",
  };
}

/**
 * @param {{rules: Rule[]}} from
 * @param {string} path
 * @returns {Record<string, string>}
 */
function pageHeaders(from, path) {
  // The first is what Pages sends with every page.
  return { "Cache-Control": "public, max-age=0, must-revalidate", ...headersFor(from.rules, path) };
}

/**
 * @param {{rules: Rule[], pages: string}} from
 * @param {string} path
 * @param {IncomingMessage} request
 * @param {ServerResponse} response
 */
async function missing(from, path, request, response) {
  const page = (await within(from.pages, "404.html")) ?? resolve(CLOUDFLARE, "static", "404.html");
  response.writeHead(404, {
    ...pageHeaders(from, path),
    "Content-Type": "text/html; charset=utf-8",
  });
  response.end(request.method === "HEAD" ? undefined : await readFile(page));
}

/**
 * @param {IncomingMessage} request
 * @returns {boolean} whether the answer may be compressed
 */
function takesGzip(request) {
  const accepted = String(request.headers["accept-encoding"] ?? "").split(",");
  return accepted.some((one) => /^\s*(?:gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?$/i.test(one));
}

/**
 * @param {IncomingMessage} request
 * @param {string} tag
 * @returns {boolean} whether the reader has it already
 */
function has(request, tag) {
  const asked = request.headers["if-none-match"];
  if (asked === undefined) return false;
  /** @type {(one: string) => string} */
  const weak = (one) => one.trim().replace(/^W\//, "");
  return asked.split(",").some((one) => weak(one) === weak(tag) || one.trim() === "*");
}

/** @type {(type: string) => boolean} */
const compressible = (type) => /^text\/|json|svg|javascript/.test(type);

/**
 * @param {string} file
 * @param {Record<string, string>} headers
 * @param {IncomingMessage} request
 * @param {ServerResponse} response
 */
async function sendFile(file, headers, request, response) {
  const handle = await open(file, "r");
  try {
    const { size, mtimeNs } = await handle.stat({ bigint: true });
    // Weak: the same file, but not the same bytes where one reader takes gzip.
    const tag = `W/"${size.toString(16)}-${mtimeNs.toString(16)}"`;
    const all = { ...headers, ETag: tag };
    if (has(request, tag)) {
      response.writeHead(304, all);
      response.end();
      return;
    }
    const gzip = compressible(headers["Content-Type"]) && takesGzip(request);
    response.writeHead(
      200,
      gzip ? { ...all, "Content-Encoding": "gzip" } : { ...all, "Content-Length": size.toString() },
    );
    if (request.method === "HEAD") {
      response.end();
      return;
    }
    const bytes = createReadStream("", { fd: handle, autoClose: false });
    await (gzip ? pipeline(bytes, createGzip(), response) : pipeline(bytes, response));
  } finally {
    await handle.close();
  }
}

/**
 * What a document kept in memory is compressed, made once: a large one takes half a second, in which
 * nothing else would be served.
 * @type {Map<string | Buffer, Buffer>}
 */
const packed = new Map();

/** How many are remembered. */
const PACKED = 50;

/**
 * @param {string | Buffer} body
 * @returns {Buffer}
 */
function pack(body) {
  const known = packed.get(body);
  if (known !== undefined) return known;
  const made = gzipSync(body);
  if (packed.size >= PACKED) packed.clear();
  packed.set(body, made);
  return made;
}

/**
 * @param {string | Buffer} body
 * @param {Record<string, string>} headers
 * @param {IncomingMessage} request
 * @param {ServerResponse} response
 */
function sendKept(body, headers, request, response) {
  const gzip = takesGzip(request);
  const sent = gzip ? pack(body) : Buffer.from(body);
  response.writeHead(200, {
    ...headers,
    ...(gzip ? { "Content-Encoding": "gzip" } : {}),
    "Content-Length": sent.length,
  });
  response.end(request.method === "HEAD" ? undefined : sent);
}

/**
 * The program.
 * @param {string[]} args
 */
async function main(args) {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: { data: { type: "string" }, port: { type: "string", default: "0" } },
    }));
  } catch (error) {
    console.error(`serve: ${/** @type {Error} */ (error).message}`);
    console.error("serve: usage: node serve.js [--data DIR] [--port N]");
    process.exit(2);
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    console.error(`serve: --port takes a number from 0 to 65535, not ${values.port}`);
    process.exit(2);
  }
  const data = values.data === undefined ? PUBLIC : resolve(values.data);
  try {
    const { url } = await serve({ data, port });
    console.log(url);
    if ((await within(data, "latest.json")) === null) {
      console.error(`serve: there is no latest.json in ${data} yet; the pages will say so`);
    }
  } catch (error) {
    const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
    const taken = code === "EADDRINUSE" ? "; leave --port out to have a free one picked" : "";
    console.error(`serve: cannot listen on port ${port}: ${message}${taken}`);
    process.exit(1);
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(process.argv.slice(2));
}
