// Lays out what is deployed: the static pages without the data, the function, and the
// configuration that wrangler reads. Sends nothing anywhere.
//
// node tools/assemble.js PUBLIC OUTPUT, with the settings in the environment: PAGES_PROJECT,
// R2_BUCKET, KEY_PREFIX, FALLBACK_URL, FALLBACK_FORBIDDEN_IS_MISSING, STORE_DEADLINE_MS,
// NOTIFY_SEAL_KEY, NOTIFY_VERIFY_KEY, OVERDUE_AFTER_MINUTES.

import { cp, mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { route } from "../lib/names.js";
import { settings } from "../lib/settings.js";

/** The runtime's behaviour that the function was tested with. */
export const COMPATIBILITY_DATE = "2026-04-01";

/** What Pages takes: bytes a file, and files. */
const PAGES_FILE_BYTES = 25 * 1024 * 1024;
const PAGES_FILES = 20_000;

const HERE = fileURLToPath(new URL("../", import.meta.url));

/** Something that the operator has to put right. */
class Refused extends Error {}

/**
 * Whether an entry of the public directory is a page's and not data, a file being written, or
 * hidden.
 * @param {string} name
 * @returns {boolean}
 */
export function isPage(name) {
  return !name.startsWith(".") && route(`/${name}`).to === "pages";
}

/**
 * What wrangler reads.
 * @param {NodeJS.ProcessEnv} env
 * @returns {object}
 * @throws {Refused} naming every setting that is wrong
 */
export function configuration(env) {
  const problems = [];
  const project = env.PAGES_PROJECT ?? "";
  // Cloudflare's rules for the names of projects and of buckets.
  if (!/^[a-z0-9](?:[a-z0-9-]{0,56}[a-z0-9])?$/.test(project)) {
    problems.push(
      "PAGES_PROJECT must name the Pages project: lower-case letters, digits and dashes",
    );
  }
  const bucket = env.R2_BUCKET ?? "";
  if (bucket !== "" && !/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(bucket)) {
    problems.push(
      "R2_BUCKET is not the name of a bucket: 3 to 63 lower-case letters, digits and dashes",
    );
  }
  if (bucket === "" && (env.FALLBACK_URL ?? "") === "") {
    problems.push(
      "there is no store to serve from: set R2_ENABLED=true and R2_BUCKET, or FALLBACK_URL",
    );
  }
  /** @type {Record<string, string>} */
  const vars = {};
  for (const name of /** @type {const} */ ([
    "KEY_PREFIX",
    "FALLBACK_URL",
    "FALLBACK_FORBIDDEN_IS_MISSING",
    "STORE_DEADLINE_MS",
    "NOTIFY_SEAL_KEY",
    "NOTIFY_VERIFY_KEY",
    "OVERDUE_AFTER_MINUTES",
  ])) {
    const value = env[name];
    if (value !== undefined && value !== "") vars[name] = value;
  }
  problems.push(...settings(vars).problems);
  if (problems.length > 0) throw new Refused(problems.join("\n"));
  return {
    name: project,
    pages_build_output_dir: "assets",
    compatibility_date: COMPATIBILITY_DATE,
    send_metrics: false,
    vars,
    r2_buckets: bucket === "" ? [] : [{ binding: "REPORTS", bucket_name: bucket }],
  };
}

/**
 * Lays everything out in a directory, which is emptied first.
 * @param {string} pages the public directory
 * @param {string} output
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<{pages: number, left: number}>} entries of the public directory that were
 *   taken and that were left out
 * @throws {Refused}
 */
export async function assemble(pages, output, env) {
  const config = configuration(env);
  const entries = await readdir(pages).catch((error) => {
    throw new Refused(`the directory of the static pages cannot be read: ${error.message}`);
  });
  const chosen = entries.filter(isPage);
  for (const own of ["_headers", "_routes.json", "_worker.js", "functions"]) {
    // The function and its routes are tested as they stand here.
    if (chosen.includes(own))
      throw new Refused(`${join(pages, own)} would replace deploy/cloudflare's own`);
  }
  await rm(output, { recursive: true, force: true });
  const assets = join(output, "assets");
  await mkdir(assets, { recursive: true });
  for (const name of chosen) {
    await cp(join(pages, name), join(assets, name), {
      recursive: true,
      dereference: true,
      filter: (source) => !basename(source).startsWith("."),
    });
  }
  // Without one, Pages answers every unknown path with the first page and status 200.
  if (!chosen.includes("404.html"))
    await cp(join(HERE, "static/404.html"), join(assets, "404.html"));
  for (const name of ["_headers", "_routes.json"]) await cp(join(HERE, name), join(assets, name));
  await checkLimits(assets);
  for (const name of ["functions", "lib"]) {
    await cp(join(HERE, name), join(output, name), { recursive: true });
  }
  // What the function uses beside its own code.
  await cp(join(HERE, "node_modules/@hpke"), join(output, "node_modules/@hpke"), {
    recursive: true,
  });
  await writeFile(join(output, "package.json"), '{ "type": "module" }\n');
  await writeFile(join(output, "wrangler.json"), `${JSON.stringify(config, null, 2)}\n`);
  return { pages: chosen.length, left: entries.length - chosen.length };
}

/**
 * @param {string} assets
 * @throws {Refused} where Pages would
 */
async function checkLimits(assets) {
  const files = await readdir(assets, { recursive: true });
  if (files.length > PAGES_FILES) {
    throw new Refused(`${files.length} static files; Pages takes ${PAGES_FILES}`);
  }
  for (const name of files) {
    const { size } = await stat(join(assets, name));
    if (size > PAGES_FILE_BYTES) {
      throw new Refused(
        `${name} has ${size} bytes; Pages takes files of up to ${PAGES_FILE_BYTES}`,
      );
    }
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [pages, output] = process.argv.slice(2);
  try {
    const done = await assemble(pages, output, process.env);
    console.log(
      `static pages: ${done.pages} taken from ${pages}, ${done.left} left out (data, hidden)`,
    );
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    for (const line of error.message.split("\n")) console.error(`deploy: ${line}`);
    process.exitCode = 2;
  }
}
