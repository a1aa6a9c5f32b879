// A checkout as deploy/install.sh finds one, with stand-ins for what it only copies, and the machine
// that it installs on: a directory (--root), or this machine's own root as one mount namespace sees it.

import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository. */
export const REPOSITORY = fileURLToPath(new URL("../../../../", import.meta.url));

/** What is installed where, below the root. */
export const LIB = "usr/local/lib/tor-exit-validator";
export const CONF = "etc/tor-exit-validator";
export const STATE = "var/lib/tor-exit-validator";
export const LOGS = "var/log/tor-exit-validator";
export const CRON = "etc/cron.d/tor-exit-validator";
export const UNITS = "usr/local/lib/systemd/system";
export const USER = "tor-exit-validator";

export const isRoot = process.getuid?.() === 0;

/**
 * Writes a file and the directories above it.
 * @param {string} path
 * @param {string | Buffer} text
 * @param {number} [mode]
 */
export function put(path, text, mode = 0o644) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  chmodSync(path, mode);
}

/**
 * A program that says by which name it is called and which version it is; `config check`, or `check`
 * of the link `settings`, takes a file without the word WRONG.
 * @param {string} version
 */
function program(version) {
  return `#!/bin/sh
name=$(basename "$0")
[ "$1" != config ] || shift
case "$1" in
--version) echo "$name ${version}" ;;
check) if grep -n WRONG "$2"; then exit 2; fi; [ -r "$2" ] ;;
wait) echo begun; while [ ! -e "$2" ]; do sleep 0.05; done; echo "$name ${version} to the end" ;;
esac
`;
}

const EXAMPLE = `# Where everything is kept.
#STATE_DIR=/somewhere

# LOG_DIR is the wrapper's.
#LOG_DIR=

R2_ENABLED=false
`;

/**
 * Makes a checkout and programs, both below a directory with a space in its name.
 * @returns {{home: string, path: string, binaries: string, version: (version: string) => void,
 *   remove: () => void}}
 */
export function checkout() {
  const home = mkdtempSync(join(tmpdir(), "ops "));
  chmodSync(home, 0o755);
  const path = join(home, "the checkout");
  const binaries = join(home, "given programs");
  mkdirSync(join(path, "deploy"), { recursive: true });
  cpSync(join(REPOSITORY, "deploy/install.sh"), join(path, "deploy/install.sh"));
  cpSync(join(REPOSITORY, "configs"), join(path, "configs"), { recursive: true });
  cpSync(join(REPOSITORY, "Cargo.toml"), join(path, "Cargo.toml"));
  put(join(path, "config.env.example"), EXAMPLE);
  const version = (/** @type {string} */ number) => {
    for (const name of ["exit-validator", "lab"]) {
      put(join(binaries, name), program(number), 0o755);
    }
    put(
      join(path, "deploy/run_dns_validation"),
      `#!/bin/sh\n# ${number}\nid -un && pwd && date > "\${1:-/dev/null}"\n`,
      0o755,
    );
  };
  version("1");
  for (const page of ["index.html", "assets/app.js", "assets/style.css", "404.html"]) {
    put(join(path, "public", page), `${page} 1\n`);
  }
  // What a run of the checkout's own leaves there, and what is not finished.
  for (const data of [
    "latest.json",
    "files.json",
    "trends.json",
    "metrics.prom",
    "figures.json",
    "onionoo-dns.json",
    "incidents.json",
    "feed.atom",
    "summary.html",
    "feeds/0123456789abcdef.atom",
    "badges/0.json",
    "compat/latest.json",
    "dns_health_2026-11-23_03-15-30.json",
    "dns_health_2026-10.tar.gz",
    ".latest.json.tmp",
    "_headers",
  ]) {
    put(join(path, "public", data), "of the checkout\n");
  }
  return { home, path, binaries, version, remove: () => rmSync(home, { recursive: true }) };
}

/**
 * @typedef {{code: number | null, out: string, err: string}} Ended
 */

/**
 * Runs a program to its end.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Ended}
 */
export function run(command, args, env = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: "utf8",
    env: { PATH: process.env.PATH, LC_ALL: "C", ...env },
    timeout: 60_000,
    maxBuffer: 64 * 1024 * 1024,
  });
  if (error !== undefined) throw error;
  return { code: status, out: stdout, err: stderr };
}

/**
 * Everything in a directory: type, mode, owner, inode, time of change and content or target of each.
 * Two snapshots are equal only if nothing was written between them, the same bytes included.
 * @param {string} root
 * @returns {Record<string, string>}
 */
export function snapshot(root) {
  /** @type {Record<string, string>} */
  const all = {};
  const walk = (/** @type {string} */ below) => {
    const path = join(root, below);
    const info = lstatSync(path);
    const what = [info.mode.toString(8), info.uid, info.gid, info.ino, info.ctimeMs];
    if (info.isSymbolicLink()) what.push(readlinkSync(path));
    if (info.isFile()) what.push(readFileSync(path, "hex"));
    all[below] = what.join(" ");
    if (info.isDirectory()) for (const name of readdirSync(path)) walk(join(below, name));
  };
  walk(".");
  return all;
}

// The parts of the machine that an installation changes, each replaced by a copy or an empty
// directory that only this namespace sees and that goes with it.
const NAMESPACE = `
set -eu
mount -t tmpfs none "$1"
cp -a /etc "$1/etc"
mount --bind "$1/etc" /etc
for one in /usr/local /var/lib /var/log /run; do mount -t tmpfs -o mode=755 none "$one"; done
rm -f /etc/cron.d/tor-exit-validator
echo ready
exec sleep 600
`;

/**
 * This machine with an /etc, /usr/local, /var and /run of its own: what an installation changes
 * there, users included, is gone with it. Needs root.
 * @param {string} home where its memory is mounted
 * @returns {Promise<{sh: (script: string, env?: NodeJS.ProcessEnv) => Ended, close: () => Promise<void>}>}
 *   `sh` runs a shell script there
 */
export async function machine(home) {
  const memory = mkdtempSync(join(home, "memory "));
  const holder = spawn(
    "setpriv",
    ["--pdeathsig=KILL", "unshare", "--mount", "sh", "-c", NAMESPACE, "sh", memory],
    { stdio: ["ignore", "pipe", "inherit"], env: { PATH: process.env.PATH, LC_ALL: "C" } },
  );
  const ended = new Promise((resolve) => holder.on("exit", resolve));
  await new Promise((resolve, reject) => {
    holder.stdout.on("data", resolve);
    ended.then((code) => reject(new Error(`the mount namespace ended with ${code}`)));
  });
  return {
    sh: (script, env) =>
      run("nsenter", [`--target=${holder.pid}`, "--mount", "--", "sh", "-euc", script], env),
    async close() {
      holder.kill("SIGKILL");
      await ended;
      rmSync(memory, { recursive: true });
    },
  };
}
