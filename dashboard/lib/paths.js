// From a request's path to a file, so that nothing outside of the directories can be named.

import { realpath } from "node:fs/promises";
import { extname, join, sep } from "node:path";
import { route } from "../../deploy/cloudflare/lib/names.js";

/** @type {Readonly<Record<string, string>>} */
const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/vnd.microsoft.icon",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".md": "text/markdown; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
};

/**
 * @typedef {object} Place
 * @property {"pages" | "data"} where in which of the two directories
 * @property {string} name the file's name in it, with `/` between its parts
 * @property {string} type its content type
 * @property {boolean} immutable whether its content never changes under its name
 */

/**
 * What a path names; null where it can name nothing.
 * @param {string} path as in a request, still percent-encoded, without the query
 * @returns {Place | null}
 */
export function place(path) {
  let decoded;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return null;
  }
  if (!decoded.startsWith("/")) return null;
  const to = route(decoded);
  if (to.to === "data") {
    const { name, contentType, immutable } = to.file;
    return { where: "data", name, type: contentType, immutable };
  }
  if (to.to !== "pages") return null;
  const name = decoded === "/" ? "index.html" : decoded.slice(1);
  const parts = name.split("/");
  // No empty, hidden or parent part, no separator of another system, and nothing that Pages keeps
  // for itself.
  if (!parts.every((part) => /^[A-Za-z0-9-][A-Za-z0-9._-]*$/.test(part))) return null;
  const type = TYPES[extname(name).toLowerCase()];
  return type === undefined ? null : { where: "pages", name, type, immutable: false };
}

/**
 * The file of that name in a directory; null where there is none, or where a link leads out.
 * @param {string} directory
 * @param {string} name
 * @returns {Promise<string | null>}
 */
export async function within(directory, name) {
  try {
    const root = await realpath(directory);
    const file = await realpath(join(root, name));
    return file.startsWith(root.endsWith(sep) ? root : root + sep) ? file : null;
  } catch {
    return null;
  }
}
