// Finds a Firefox that can be driven. `node lib/firefox.js` says that there is one, or what to install,
// with exit code 1.

import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

/** The names that it goes by: Tor Browser is made of the ESR, so that comes first. */
const NAMES = ["firefox-esr", "firefox"];

/** Where `tools/unpack` brings Debian's, with those of its libraries that others may have older. */
const UNPACKED = fileURLToPath(new URL("../../.unpacked/firefox/usr/lib/", import.meta.url));

/** How long a program may take to say its version: a cold start from a slow disk. */
const VERSION_MS = 60_000;

const ADVICE = `No Firefox was found that starts.
  Debian:  make firefox, or apt-get install firefox-esr
  others:  install Firefox ESR or Firefox
or name one that is elsewhere: FIREFOX=/path/to/firefox`;

/**
 * A Firefox, and what it is started with.
 * @typedef {object} FoundFirefox
 * @property {string} program
 * @property {Record<string, string>} env beside the environment
 */

/**
 * @param {FoundFirefox} one
 * @returns {Promise<boolean>} whether it is a Firefox that runs
 */
async function runs({ program, env }) {
  try {
    await access(program, constants.X_OK);
    const { stdout } = await promisify(execFile)(program, ["--version"], {
      timeout: VERSION_MS,
      env: { ...process.env, ...env },
    });
    return /Mozilla Firefox \d+/.test(stdout);
  } catch {
    return false;
  }
}

/**
 * The Firefox to start.
 * @param {NodeJS.ProcessEnv} [env] `FIREFOX`, if set, is taken and nothing else
 * @returns {Promise<FoundFirefox>}
 * @throws {Error} saying what to install
 */
export async function firefox(env = process.env) {
  const named = env.FIREFOX ?? "";
  if (named !== "") {
    const one = { program: named, env: {} };
    if (isAbsolute(named) && (await runs(one))) return one;
    throw new Error(`FIREFOX=${named} is not the absolute path of a Firefox that starts`);
  }
  for (const name of NAMES) {
    for (const directory of (env.PATH ?? "").split(delimiter)) {
      const one = { program: join(directory, name), env: {} };
      if (directory !== "" && (await runs(one))) return one;
    }
  }
  const unpacked = {
    program: join(UNPACKED, "firefox-esr/firefox-esr"),
    env: {
      LD_LIBRARY_PATH: ["x86_64-linux-gnu", "aarch64-linux-gnu", "firefox-esr"]
        .map((name) => join(UNPACKED, name))
        .join(":"),
    },
  };
  if (await runs(unpacked)) return unpacked;
  throw new Error(ADVICE);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    console.log((await firefox()).program);
  } catch (error) {
    console.error(/** @type {Error} */ (error).message);
    process.exitCode = 1;
  }
}
