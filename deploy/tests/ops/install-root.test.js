// deploy/install.sh into a directory (--root): everything but packages, users and services. Needs no
// privilege.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import {
  CONF,
  CRON,
  checkout,
  isRoot,
  LIB,
  LOGS,
  put,
  REPOSITORY,
  run,
  STATE,
  snapshot,
  UNITS,
} from "./support/checkout.js";

const WANTS = "etc/systemd/system/timers.target.wants/tor-exit-validator.timer";

/** @type {ReturnType<typeof checkout>} */
let source;
/** @type {string} */
let root;

beforeEach(() => {
  source = checkout();
  root = join(source.home, "a root");
  mkdirSync(root);
});

afterEach(() => source.remove());

/** @type {(...args: string[]) => import("./support/checkout.js").Ended} */
const installer = (...args) => run(join(source.path, "deploy/install.sh"), args);

/** @type {(...args: string[]) => import("./support/checkout.js").Ended} */
const install = (...args) => {
  const ended = installer("--root", root, "--binaries", source.binaries, ...args);
  assert.equal(ended.code, 0, ended.err);
  return ended;
};

/** @type {(path: string) => string} */
const mode = (path) => (statSync(join(root, path)).mode & 0o7777).toString(8);

/** @type {(path: string) => string} */
const read = (path) => readFileSync(join(root, path), "utf8");

/** @type {(path: string) => boolean} */
const there = (path) => existsSync(join(root, path));

test("everything is where it belongs, with its mode", () => {
  const { out } = install();
  for (const [path, wanted] of [
    [LIB, "755"],
    [`${LIB}/exit-validator`, "755"],
    [`${LIB}/scanner`, "755"],
    [`${LIB}/aggregate`, "755"],
    [`${LIB}/upload`, "755"],
    [`${LIB}/settings`, "755"],
    [`${LIB}/lab`, "755"],
    [`${LIB}/run_dns_validation`, "755"],
    [CONF, "750"],
    [`${CONF}/config.env`, "640"],
    [`${CONF}/config.env.example`, "644"],
    [STATE, "755"],
    [`${STATE}/analysis`, "700"],
    [`${STATE}/tor`, "700"],
    [`${STATE}/public`, "755"],
    [`${STATE}/public/index.html`, "644"],
    [LOGS, "750"],
    [`${UNITS}/tor-exit-validator.service`, "644"],
    [`${UNITS}/tor-exit-validator.timer`, "644"],
  ]) {
    assert.equal(mode(path), wanted, path);
    assert.ok(out.includes(join(root, path)) || path.endsWith("index.html"), `${path} is told`);
  }
  // Through the link, and wherever the root is mounted.
  assert.equal(read("usr/local/bin/run_dns_validation"), read(`${LIB}/run_dns_validation`));
  assert.equal(
    readlinkSync(join(root, WANTS)),
    "/usr/local/lib/systemd/system/tor-exit-validator.timer",
  );
  assert.ok(!there(CRON));
});

test("a second time there is nothing to do, and nothing is written", () => {
  install();
  const before = snapshot(root);
  const { out } = install();
  assert.match(out, /Nothing to do/);
  assert.deepEqual(snapshot(root), before);
});

test("the configuration says where an installation keeps its files, and is then kept", () => {
  install();
  const first = read(`${CONF}/config.env`);
  assert.match(first, /^STATE_DIR=\/var\/lib\/tor-exit-validator$/m);
  assert.match(first, /^LOG_DIR=\/var\/log\/tor-exit-validator$/m);
  assert.equal(first.match(/STATE_DIR=/g)?.length, 1, "the example's own line was taken");
  assert.match(first, /^# LOG_DIR is the wrapper's\.$/m);
  assert.match(first, /^R2_ENABLED=false$/m);

  writeFileSync(
    join(root, CONF, "config.env"),
    "STATE_DIR=/elsewhere\nR2_SECRET_ACCESS_KEY=mine\n",
  );
  chmodSync(join(root, CONF, "config.env"), 0o644);
  put(join(source.path, "config.env.example"), "# a newer one\n");
  install();
  assert.equal(
    read(`${CONF}/config.env`),
    "STATE_DIR=/elsewhere\nR2_SECRET_ACCESS_KEY=mine\n",
    "kept",
  );
  assert.equal(mode(`${CONF}/config.env`), "640", "and closed to others");
  assert.equal(read(`${CONF}/config.env.example`), "# a newer one\n");
});

test("an example without the two settings gets them at its end", () => {
  put(join(source.path, "config.env.example"), "# nothing\n");
  install();
  assert.equal(
    read(`${CONF}/config.env`),
    "# nothing\nSTATE_DIR=/var/lib/tor-exit-validator\nLOG_DIR=/var/log/tor-exit-validator\n",
  );
});

test("a program that runs while it is upgraded goes on to its end", async () => {
  install();
  const flag = join(source.home, "go on");
  const running = spawn(join(root, LIB, "scanner"), ["wait", flag]);
  let said = "";
  running.stdout.on("data", (chunk) => {
    said += chunk;
  });
  await once(running.stdout, "data");
  source.version("2");
  install();
  writeFileSync(flag, "");
  const [code] = await once(running, "close");
  assert.equal(code, 0);
  assert.equal(said, "begun\nscanner 1 to the end\n");
  assert.equal(run(join(root, LIB, "scanner"), ["--version"]).out, "scanner 2\n");
});

test("an upgrade from the five programs keeps configuration, data and schedule", () => {
  install("--schedule=cron");
  const bin = join(root, "usr/local/bin");
  // As the version before the one program left it.
  rmSync(join(bin, "exit-validator"));
  for (const name of ["scanner", "aggregate", "upload", "settings"]) {
    rmSync(join(root, LIB, name));
    put(join(root, LIB, name), `#!/bin/sh\necho ${name} 0\n`, 0o755);
  }
  rmSync(join(root, LIB, "exit-validator"));
  put(join(root, CONF, "config.env"), "MINE=1\n", 0o640);
  put(join(root, STATE, "analysis/history.sqlite"), "years");
  source.version("2");
  const { out } = installer("--root", root, "--binaries", source.binaries);
  assert.match(out, /link .*scanner to exit-validator/);
  for (const name of ["scanner", "aggregate", "upload", "settings"]) {
    assert.equal(readlinkSync(join(root, LIB, name)), "exit-validator");
    assert.equal(run(join(root, LIB, name), ["--version"]).out, `${name} 2\n`);
  }
  assert.equal(run(join(bin, "exit-validator"), ["--version"]).out, "exit-validator 2\n");
  assert.equal(read(`${CONF}/config.env`), "MINE=1\n");
  assert.equal(read(`${STATE}/analysis/history.sqlite`), "years");
  assert.ok(there(CRON) && !there("usr/local/lib/systemd/system/tor-exit-validator.timer"));
  assert.match(install().out, /Nothing to do/);
});

test("killed at any moment, it leaves whole programs, and is finished by the next", async () => {
  install();
  for (let delay = 20; delay <= 200; delay += 20) {
    source.version(String(delay));
    const child = spawn(
      join(source.path, "deploy/install.sh"),
      ["--root", root, "--binaries", source.binaries],
      // A group of its own, so that what it started dies with it.
      { stdio: "ignore", detached: true },
    );
    // It may be over before the delay is.
    const ended = once(child, "close");
    await new Promise((resolve) => setTimeout(resolve, delay));
    if (child.exitCode === null) {
      process.kill(-Number(child.pid), delay % 40 === 0 ? "SIGKILL" : "SIGTERM");
    }
    await ended;
    for (const name of ["scanner", "aggregate", "upload", "settings"]) {
      const { out } = run(join(root, LIB, name), ["--version"]);
      assert.match(out, new RegExp(`^${name} \\d+\n$`), "old or new, and whole");
    }
  }
  source.version("300");
  install();
  for (const path of Object.keys(snapshot(root))) assert.doesNotMatch(path, /\.new$/);
  assert.equal(run(join(root, LIB, "upload"), ["--version"]).out, "upload 300\n");
});

test("programs that are missing or do not run replace nothing", () => {
  install();
  const before = snapshot(root);
  source.version("2");
  writeFileSync(join(source.binaries, "exit-validator"), "\x7fELF of another machine");
  const broken = installer("--root", root, "--binaries", source.binaries);
  assert.equal(broken.code, 4);
  assert.match(broken.err, /exit-validator does not run on this machine/);
  unlinkSync(join(source.binaries, "exit-validator"));
  const missing = installer("--root", root, "--binaries", source.binaries);
  assert.equal(missing.code, 4);
  assert.match(missing.err, /has no program 'exit-validator'/);
  assert.deepEqual(snapshot(root), before);
});

test("without the lab everything but its rehearsal is installed", () => {
  unlinkSync(join(source.binaries, "lab"));
  const { out } = install();
  assert.match(out, /no lab in .*--dry-run will not work/);
  assert.ok(!there(`${LIB}/lab`));
});

test("pages come without data, and data stays", () => {
  install();
  assert.equal(read(`${STATE}/public/assets/app.js`), "assets/app.js 1\n");
  for (const name of ["latest.json", "files.json", "_headers", ".latest.json.tmp"]) {
    assert.ok(!there(`${STATE}/public/${name}`), name);
  }
  put(join(root, STATE, "public/latest.json"), "ours\n");
  put(join(root, STATE, "public/dns_health_2026-11-24_03-15-30.json"), "ours\n");
  put(join(root, STATE, "public/own.html"), "somebody's own page\n");
  // A later version: one page is another, one has gone with its directory, one has come.
  put(join(source.path, "public/index.html"), "index.html 2\n");
  rmSync(join(source.path, "public/assets"), { recursive: true });
  put(join(source.path, "public/app.js"), "app.js 2\n");
  install();
  assert.equal(read(`${STATE}/public/index.html`), "index.html 2\n");
  assert.equal(read(`${STATE}/public/app.js`), "app.js 2\n");
  assert.ok(!there(`${STATE}/public/assets`));
  assert.equal(read(`${STATE}/public/latest.json`), "ours\n");
  assert.equal(read(`${STATE}/public/dns_health_2026-11-24_03-15-30.json`), "ours\n");
  assert.equal(read(`${STATE}/public/own.html`), "somebody's own page\n");
});

test("the pages that are installed are those of the repository", () => {
  // Git refuses a checkout that somebody else owns, unless it is told that this one is meant.
  const { code, out, err } = run("git", [
    ...["-C", REPOSITORY, "-c", `safe.directory=${REPOSITORY.replace(/\/$/, "")}`],
    ...["ls-files", "public"],
  ]);
  assert.equal(code, 0, err);
  assert.match(out, /^public\/index\.html$/m);
  const tracked = out.split("\n").filter((line) => line !== "");
  rmSync(join(source.path, "public"), { recursive: true });
  mkdirSync(join(source.path, "public"));
  for (const path of tracked) put(join(source.path, path), path);
  install();
  const listed = there(`${LIB}/pages`) ? read(`${LIB}/pages`).split("\n") : [];
  assert.deepEqual(
    listed
      .filter((line) => line !== "")
      .map((line) => `public/${line}`)
      .sort(),
    tracked.filter((path) => !/(^|\/)[._]/.test(path)).sort(),
  );
});

test("one schedule takes the place of the other, and an upgrade keeps it", () => {
  install("--schedule", "cron");
  assert.equal(mode(CRON), "644");
  assert.ok(!there(`${UNITS}/tor-exit-validator.timer`));
  install();
  assert.ok(there(CRON), "kept, although systemd is the default here");
  install("--schedule=systemd");
  assert.ok(!there(CRON));
  assert.ok(there(WANTS) || readlinkSync(join(root, WANTS)));
  install("--schedule", "none");
  assert.ok(!there(CRON));
  assert.ok(!there(`${UNITS}/tor-exit-validator.service`));
  assert.throws(() => readlinkSync(join(root, WANTS)));
  install();
  assert.ok(!there(CRON));
  assert.ok(!there(`${UNITS}/tor-exit-validator.timer`), "none is kept too");
});

test("a cron table that was edited is kept, one that was not is upgraded", () => {
  install("--schedule", "cron");
  const template = join(source.path, "configs/cron.d/tor-exit-validator");
  const original = read(CRON);
  writeFileSync(template, `${original}# 2\n`);
  install();
  assert.equal(read(CRON), `${original}# 2\n`);
  const mine = original.replace("15   */6", "7    */6");
  writeFileSync(join(root, CRON), mine);
  writeFileSync(template, `${original}# 3\n`);
  const { out } = install();
  assert.match(out, /was edited and is kept/);
  assert.equal(read(CRON), mine);
  // Cron does not read a name with a dot.
  assert.equal(read(`${CRON}.new`), `${original}# 3\n`);
  const before = snapshot(root);
  assert.match(install().out, /Nothing to do/);
  assert.deepEqual(snapshot(root), before);
  writeFileSync(join(root, CRON), `${original}# 3\n`);
  install();
  assert.ok(!there(`${CRON}.new`));
});

test("--dry-run says every step and takes none", () => {
  const empty = snapshot(root);
  const first = install("--dry-run");
  for (const path of [`${LIB}/scanner`, `${CONF}/config.env`, STATE, "tor-exit-validator.timer"]) {
    assert.match(first.out, new RegExp(`would: .*${path}`));
  }
  assert.match(first.out, /would: dashboard: 4 of 4 files/);
  assert.match(first.out, /\d+ steps; nothing was changed/);
  assert.deepEqual(snapshot(root), empty);
  // The same steps as are then taken.
  const steps = (/** @type {string} */ out) =>
    out.split("\n").filter((line) => line.includes(root));
  const done = install();
  assert.deepEqual(
    steps(first.out).map((line) => line.replace(/^would: /, "")),
    steps(done.out).filter((line) => !line.startsWith("Laid out")),
  );
  const installed = snapshot(root);
  source.version("2");
  assert.match(install("--dry-run", "--schedule=cron").out, /would: replace .*exit-validator/);
  assert.match(
    installer("--root", root, "--uninstall", "--purge", "--dry-run").out,
    /would: remove .*with everything in it/,
  );
  assert.deepEqual(snapshot(root), installed);
});

test("--uninstall keeps configuration, data and logs; --purge does not", () => {
  install("--schedule=cron");
  put(join(root, STATE, "public/latest.json"), "a report\n");
  put(join(root, STATE, "analysis/history.sqlite"), "history\n");
  put(join(root, LOGS, "run_2026-11-23T03-15-00Z.log"), "a log\n");
  const kept = installer("--root", root, "--uninstall");
  assert.equal(kept.code, 0, kept.err);
  assert.ok(!there(LIB));
  assert.ok(!there(CRON));
  assert.throws(() => readlinkSync(join(root, "usr/local/bin/run_dns_validation")));
  for (const path of [CONF, STATE, LOGS]) {
    assert.match(kept.out, new RegExp(`kept: .*${path}`));
  }
  assert.equal(read(`${STATE}/analysis/history.sqlite`), "history\n");
  assert.ok(there(`${CONF}/config.env`));
  // It comes back with its data, and is then removed with it.
  install();
  assert.equal(read(`${STATE}/public/latest.json`), "a report\n");
  const purged = installer("--root", root, "--uninstall", "--purge");
  assert.equal(purged.code, 0, purged.err);
  for (const path of [CONF, STATE, LOGS]) {
    assert.match(purged.out, new RegExp(`remove .*${path} with everything in it: .*, \\d`));
    assert.ok(!there(path), path);
  }
  const again = installer("--root", root, "--uninstall", "--purge");
  assert.equal(again.code, 0);
  assert.match(again.out, /Nothing to do/);
});

test("what is in the way and not ours stays", () => {
  put(join(root, "usr/local/bin/run_dns_validation"), "somebody's own\n");
  const ended = installer("--root", root, "--binaries", source.binaries);
  assert.equal(ended.code, 1);
  assert.match(ended.err, /is in the way/);
  assert.equal(read("usr/local/bin/run_dns_validation"), "somebody's own\n");
});

test("wrong usage is named", () => {
  for (const [args, word] of /** @type {[string[], RegExp][]} */ ([
    [["--frobnicate"], /unknown argument '--frobnicate'/],
    [["--schedule", "hourly"], /systemd, cron or none, not 'hourly'/],
    [["--schedule"], /--schedule needs a value/],
    [["--root="], /--root needs a value/],
    [["--root", join(source.home, "nowhere")], /is not a directory/],
    [["--binaries", "/nowhere"], /is not a directory/],
    [["--purge"], /--purge goes with --uninstall/],
    [["--uninstall", "--schedule=cron"], /takes neither/],
  ])) {
    const ended = installer(...args);
    assert.equal(ended.code, 2, args.join(" "));
    assert.match(ended.err, word);
  }
  const help = installer("--help");
  assert.equal(help.code, 0);
  for (const code of [0, 1, 2, 3, 4, 5, 6]) assert.match(help.out, new RegExp(`^ +${code}  `, "m"));
});

test("an incomplete checkout is named before anything is changed", () => {
  unlinkSync(join(source.path, "deploy/run_dns_validation"));
  const before = snapshot(root);
  const ended = installer("--root", root, "--binaries", source.binaries);
  assert.equal(ended.code, 4);
  assert.match(ended.err, /deploy\/run_dns_validation is missing/);
  assert.deepEqual(snapshot(root), before);
});

test("a configuration that the new version refuses is said", () => {
  install();
  writeFileSync(join(root, CONF, "config.env"), "R2_ENABELD=WRONG\n");
  source.version("2");
  const ended = installer("--root", root, "--binaries", source.binaries);
  assert.equal(ended.code, 6);
  assert.match(ended.err, /1:R2_ENABELD=WRONG/);
  assert.equal(run(join(root, LIB, "scanner"), ["--version"]).out, "scanner 2\n");
});

test(
  "a disk that is full leaves the old program whole",
  { skip: !isRoot && "needs root to mount" },
  () => {
    const script = `
    set -eu
    mount -t tmpfs -o size=600k none "$1"
    "$2" --root "$1" --binaries "$3" >/dev/null
    dd if=/dev/urandom bs=1k count=400 2>/dev/null >"$3/tail"
    cat "$3/tail" "$3/tail" >>"$3/exit-validator"
    sed -i "1a exit 0" "$3/exit-validator"
    code=0
    "$2" --root "$1" --binaries "$3" 2>"$3/err" >/dev/null || code=$?
    [ "$code" = 1 ]
    grep -q "could not: replace" "$3/err"
    "$1/${LIB}/aggregate" --version
    if ls -A "$1/${LIB}" | grep -F .new; then exit 1; fi
  `;
    const ended = run("unshare", [
      "--mount",
      "sh",
      "-c",
      script,
      "sh",
      root,
      join(source.path, "deploy/install.sh"),
      source.binaries,
    ]);
    assert.equal(ended.code, 0, ended.err + ended.out);
    assert.equal(ended.out, "aggregate 1\n");
  },
);
