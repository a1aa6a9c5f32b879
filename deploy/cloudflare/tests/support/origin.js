// A second store on loopback that can misbehave in every way that a test names.

import { once } from "node:events";
import { createServer } from "node:http";
import { gzipSync } from "node:zlib";

/**
 * @typedef {object} Stored
 * @property {Buffer} body
 * @property {string} [mode] a fault of {@link FAULTS}; none where it is left out
 * @property {string} [etag]
 */

/** @typedef {(response: import("node:http").ServerResponse, body: Buffer) => void} Fault */

/** @type {Record<string, Fault>} */
export const FAULTS = {
  status_500: (response) => response.writeHead(500).end("<Error/>"),
  status_503: (response) => response.writeHead(503).end("<Error><Code>SlowDown</Code></Error>"),
  forbidden: (response) => response.writeHead(403).end("<Error><Code>AccessDenied</Code></Error>"),
  not_found: (response) => response.writeHead(404).end("<Error><Code>NoSuchKey</Code></Error>"),
  no_bucket: (response) => response.writeHead(404).end("<Error><Code>NoSuchBucket</Code></Error>"),
  redirect: (response) => response.writeHead(302, { Location: "/elsewhere" }).end(),
  no_content: (response) => response.writeHead(204).end(),
  reset: (response) => response.socket?.resetAndDestroy(),
  stall: () => {},
  stall_in_body: (response, body) => {
    response.writeHead(200, { "Content-Length": body.length });
    response.write(body.subarray(0, body.length / 2));
  },
  cut: (response, body) => {
    response.writeHead(200, { "Content-Length": body.length });
    response.write(body.subarray(0, body.length / 2), () => response.socket?.destroy());
  },
  // A store that holds half a file and thinks that it is all: only the end tells.
  half: (response, body) => {
    const half = body.subarray(0, body.length / 2);
    response.writeHead(200, { "Content-Length": half.length }).end(half);
  },
  half_chunked: (response, body) => {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.write(body.subarray(0, body.length / 2));
    response.end();
  },
  empty: (response) => response.writeHead(200, { "Content-Length": 0 }).end(),
  html: (response) =>
    response.writeHead(200, { "Content-Type": "text/html" }).end("<html>{}</html>"),
  html_called_json: (response) =>
    response
      .writeHead(200, { "Content-Type": "application/json", "Content-Length": 18 })
      .end("<html>hello</html>"),
  gzip: (response, body) => {
    const packed = gzipSync(body);
    response
      .writeHead(200, { "Content-Encoding": "gzip", "Content-Length": packed.length })
      .end(packed);
  },
  chunked: (response, body) => {
    response.writeHead(200, { "Content-Type": "application/octet-stream" });
    response.write(body);
    response.end();
  },
};

/**
 * Starts the store.
 * @returns {Promise<{url: string, files: Map<string, Stored>, asked: string[], close: () => Promise<void>}>}
 *   `files` by name; `asked` are the paths in the order of the requests
 */
export async function origin() {
  /** @type {Map<string, Stored>} */
  const files = new Map();
  /** @type {string[]} */
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    const file = files.get((request.url ?? "").replace("/bucket/", ""));
    if (file === undefined) {
      FAULTS.not_found(response, Buffer.alloc(0));
    } else if (file.mode !== undefined) {
      FAULTS[file.mode](response, file.body);
    } else {
      response.writeHead(200, {
        "Content-Length": file.body.length,
        "Content-Type": "binary/octet-stream",
        "Last-Modified": "Mon, 23 Nov 2026 03:15:30 GMT",
        ...(file.etag === undefined ? {} : { ETag: file.etag }),
      });
      response.end(file.body);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  return {
    url: `http://127.0.0.1:${port}/bucket`,
    files,
    asked,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
