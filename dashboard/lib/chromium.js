// Finds a Chromium that can be driven. `node lib/chromium.js` prints its path, or says what to
// install and ends with exit code 1.

import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

/** The names that it goes by, the one that Debian's package has first. */
const NAMES = ["chromium", "google-chrome-stable", "google-chrome", "chromium-browser", "chrome"];

/** How long a program may take to say its version: a cold start from a slow disk. */
const VERSION_MS = 30_000;

const ADVICE = `No Chromium was found that starts.
  Debian:  apt-get install chromium
  Ubuntu:  its chromium package is a stub that wants snap; install Google Chrome's .deb package
           (https://www.google.com/chrome/), or run: snap install chromium
  others:  install Chromium or Google Chrome
or name one that is elsewhere: CHROMIUM=/path/to/chromium`;

/**
 * Whether it is a Chromium that runs. Ubuntu's stub is a script that only tells of the snap, and a
 * snap that cannot start here fails as well.
 * @param {string} program
 * @returns {Promise<boolean>}
 */
async function runs(program) {
  try {
    await access(program, constants.X_OK);
    const { stdout } = await promisify(execFile)(program, ["--version"], { timeout: VERSION_MS });
    return /Chrom(?:e|ium).* \d+\./.test(stdout);
  } catch {
    return false;
  }
}

/**
 * The program to start.
 * @param {NodeJS.ProcessEnv} [env] `CHROMIUM`, if set, is taken and nothing else
 * @returns {Promise<string>}
 * @throws {Error} saying what to install
 */
export async function chromium(env = process.env) {
  const named = env.CHROMIUM ?? "";
  if (named !== "") {
    if (isAbsolute(named) && (await runs(named))) return named;
    throw new Error(`CHROMIUM=${named} is not the absolute path of a Chromium that starts`);
  }
  for (const name of NAMES) {
    for (const directory of (env.PATH ?? "").split(delimiter)) {
      if (directory !== "" && (await runs(join(directory, name)))) return join(directory, name);
    }
  }
  throw new Error(ADVICE);
}

/**
 * What it is started with: nothing that asks anybody for anything, and no sandbox for root alone,
 * for whom it cannot be set up.
 * @returns {string[]}
 */
export function flags() {
  return [
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ];
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    console.log(await chromium());
  } catch (error) {
    console.error(/** @type {Error} */ (error).message);
    process.exitCode = 1;
  }
}
