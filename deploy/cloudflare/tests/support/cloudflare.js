// As much of Cloudflare's API as `wrangler pages deploy` uses, on loopback, for a project of the
// name `exit-validator` and one good token.

import { once } from "node:events";
import { createServer } from "node:http";

/** The token that this API takes. */
export const TOKEN = "good-token-0123456789";

/** The account that it knows. */
export const ACCOUNT = "0123456789abcdef0123456789abcdef";

/**
 * @typedef {object} Asked
 * @property {string} line method and path
 * @property {string | undefined} authorization
 * @property {Buffer} body
 */

/** A JSON Web Token that only its reader's clock is asked about. */
function uploadToken() {
  const part = (/** @type {object} */ value) =>
    Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 3600;
  return `${part({ alg: "none" })}.${part({ exp, max_file_count_allowed: 20000 })}.`;
}

/**
 * Starts the API.
 * @returns {Promise<{url: string, asked: Asked[], close: () => Promise<void>}>}
 */
export async function cloudflare() {
  /** @type {Asked[]} */
  const asked = [];
  const project = {
    name: "exit-validator",
    subdomain: "exit-validator.pages.dev",
    production_branch: "main",
    deployment_configs: { production: {}, preview: {} },
  };
  const deployment = {
    id: "11111111-2222-3333-4444-555555555555",
    url: "https://11111111.exit-validator.pages.dev",
    environment: "production",
    aliases: [],
    latest_stage: { name: "deploy", status: "success" },
  };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const { authorization } = request.headers;
    const path = (request.url ?? "").replace(/\?.*/, "");
    asked.push({ line: `${request.method} ${path}`, authorization, body });
    /** @type {(status: number, result: unknown, errors?: object[]) => void} */
    const reply = (status, result, errors = []) => {
      response.writeHead(status, { "Content-Type": "application/json" });
      const success = errors.length === 0;
      response.end(JSON.stringify({ success, errors, messages: [], result }));
    };
    const base = `/accounts/${ACCOUNT}/pages/projects/exit-validator`;
    if (path === "/pages/assets/check-missing") {
      const { hashes } = JSON.parse(body.toString());
      reply(200, hashes);
    } else if (path.startsWith("/pages/assets/")) {
      reply(200, null);
    } else if (authorization !== `Bearer ${TOKEN}`) {
      reply(403, null, [{ code: 10000, message: "Authentication error" }]);
    } else if (path === base) {
      reply(200, project);
    } else if (path === `${base}/upload-token`) {
      reply(200, { jwt: uploadToken() });
    } else if (path === `${base}/deployments` || path.startsWith(`${base}/deployments/`)) {
      reply(200, deployment);
    } else {
      reply(404, null, [{ code: 8000007, message: "Project not found." }]);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
