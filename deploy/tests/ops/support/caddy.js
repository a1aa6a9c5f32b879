// Caddy itself, on loopback, over a directory, as deploy/caddy/Caddyfile has it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPOSITORY } from "./checkout.js";

/** Where `tools/unpack` puts it; where there is no apt-get, the machine's own. */
const UNPACKED = join(REPOSITORY, ".unpacked/caddy/usr/bin/caddy");
export const CADDY = existsSync(UNPACKED) ? UNPACKED : "caddy";

/** A port that was free just now. */
async function freePort() {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/**
 * @typedef {{status: number, headers: Headers, body: Buffer}} Answer
 */

/**
 * One request over a connection of its own; what is asked is sent as it is given, the path unresolved.
 * @param {number} port
 * @param {string} path
 * @param {{method?: string, headers?: Record<string, string>}} [how]
 * @returns {Promise<Answer>}
 */
export function ask(port, path, { method = "GET", headers = {} } = {}) {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: "127.0.0.1", port, path, method, headers, agent: false },
      async (response) => {
        const chunks = [];
        for await (const chunk of response) chunks.push(chunk);
        const all = new Headers();
        for (const [name, value] of Object.entries(response.headersDistinct)) {
          for (const one of value ?? []) all.append(name, one);
        }
        resolve({ status: response.statusCode ?? 0, headers: all, body: Buffer.concat(chunks) });
      },
    );
    request.on("error", reject);
    request.end();
  });
}

/**
 * Starts Caddy.
 * @param {string} directory what it serves
 * @returns {Promise<{port: number, close: () => Promise<void>}>}
 */
export async function caddy(directory) {
  const home = mkdtempSync(join(tmpdir(), "caddy-"));
  // Nothing but the one site: no administration, no certificates.
  const config = join(home, "Caddyfile");
  writeFileSync(
    config,
    `{\n\tadmin off\n\tauto_https off\n}\nimport ${REPOSITORY}deploy/caddy/Caddyfile\n`,
  );
  try {
    // The port may be taken between the two; then another one is tried.
    for (let tries = 1; ; tries += 1) {
      const port = await freePort();
      const server = spawn(CADDY, ["run", "--config", config, "--adapter", "caddyfile"], {
        stdio: ["ignore", "ignore", "pipe"],
        env: {
          PATH: process.env.PATH,
          HOME: home,
          XDG_DATA_HOME: home,
          XDG_CONFIG_HOME: home,
          PUBLIC_DIR: directory,
          SITE_ADDRESS: `http://127.0.0.1:${port}`,
        },
      });
      let log = "";
      server.stderr.on("data", (chunk) => {
        log += chunk;
      });
      const ended = once(server, "exit");
      const deadline = Date.now() + 20_000;
      while (server.exitCode === null && Date.now() < deadline) {
        const up = await ask(port, "/").then(
          () => true,
          () => false,
        );
        if (up) {
          return {
            port,
            async close() {
              server.kill("SIGTERM");
              await ended;
              rmSync(home, { recursive: true, force: true });
            },
          };
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      server.kill("SIGKILL");
      await ended;
      if (tries === 3 || !log.includes("address already in use")) {
        throw new Error(`Caddy did not start:\n${log}`);
      }
    }
  } catch (error) {
    rmSync(home, { recursive: true, force: true });
    throw error;
  }
}
