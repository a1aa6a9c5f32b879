// configs/: the systemd units as systemd itself reads them, and the cron table as cron does.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { put, REPOSITORY, run } from "./support/checkout.js";

const SERVICE = join(REPOSITORY, "configs/systemd/tor-exit-validator.service");
const ZONE = join(REPOSITORY, "configs/systemd/tor-exit-validator-zone.service");
const TIMER = join(REPOSITORY, "configs/systemd/tor-exit-validator.timer");
const CRON = join(REPOSITORY, "configs/cron.d/tor-exit-validator");
const COMMAND =
  "/usr/local/lib/tor-exit-validator/run_dns_validation --config /etc/tor-exit-validator/config.env";

/**
 * What systemd-analyze security may come to at most, of 10. What is left: the network, which is what
 * this is for, 0.5; no list of addresses, 0.2; /proc/uptime, and files that a web server reads, 0.1 each.
 */
const EXPOSURE = 1.5;

/** The same of the name server: port 53 costs it 0.1, and the machine's own users 0.2. */
const EXPOSURE_OF_ZONE = 1.7;

/** @type {(path: string) => Map<string, string[]>} */
function settings(path) {
  /** @type {Map<string, string[]>} */
  const all = new Map();
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const match = /^([A-Za-z]+)=(.*)$/.exec(line);
    if (match !== null) all.set(match[1], [...(all.get(match[1]) ?? []), match[2]]);
  }
  return all;
}

/** The default of a setting that config.env.example shows. */
function byDefault(/** @type {string} */ name) {
  const example = readFileSync(join(REPOSITORY, "config.env.example"), "utf8");
  const match = new RegExp(`^#?${name}=(\\d+)$`, "m").exec(example);
  assert.ok(match, `config.env.example has ${name}`);
  return Number(match[1]);
}

describe("systemd", () => {
  const service = settings(SERVICE);
  const timer = settings(TIMER);

  test("reads the units without a complaint", () => {
    // In a root with what they refer to, so that it complains of what is wrong with them alone.
    const root = mkdtempSync(join(tmpdir(), "units-"));
    try {
      put(join(root, COMMAND.split(" ")[0]), "#!/bin/sh\n", 0o755);
      put(join(root, "usr/local/lib/tor-exit-validator/exit-validator"), "#!/bin/sh\n", 0o755);
      put(
        join(root, "etc/passwd"),
        "root:x:0:0::/:/bin/sh\ntor-exit-validator:x:999:999::/:/bin/sh\n",
      );
      put(join(root, "etc/group"), "root:x:0:\ntor-exit-validator:x:999:\n");
      for (const unit of [SERVICE, TIMER, ZONE]) {
        const name = unit.slice(unit.lastIndexOf("/") + 1);
        put(join(root, "usr/local/lib/systemd/system", name), readFileSync(unit, "utf8"));
      }
      mkdirSync(join(root, "usr/lib/systemd"), { recursive: true });
      assert.equal(
        run("cp", ["-r", "/lib/systemd/system", join(root, "usr/lib/systemd/")]).code,
        0,
      );
      const verify = () =>
        run("systemd-analyze", [
          "verify",
          `--root=${root}`,
          "--man=no",
          "--recursive-errors=no",
          "tor-exit-validator.service",
          "tor-exit-validator.timer",
          "tor-exit-validator-zone.service",
        ]);
      const { code, out, err } = verify();
      assert.equal(code, 0, out + err);
      assert.equal(out + err, "");
      // And it would complain.
      put(
        join(root, "usr/local/lib/systemd/system/tor-exit-validator.service"),
        readFileSync(SERVICE, "utf8").replace("KillMode=mixed", "KillMode=gently"),
      );
      assert.match(verify().err, /Failed to parse kill mode/);
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  test("finds nothing to expose but the network", () => {
    for (const [unit, limit] of /** @type {[string, number][]} */ ([
      [SERVICE, EXPOSURE],
      [ZONE, EXPOSURE_OF_ZONE],
    ])) {
      const { code, out, err } = run("systemd-analyze", [
        "security",
        "--offline=true",
        "--no-pager",
        `--threshold=${limit * 10}`,
        unit,
      ]);
      assert.equal(code, 0, out + err);
      const overall = /Overall exposure level for .*: ([\d.]+)/.exec(out);
      assert.ok(overall);
      assert.ok(Number(overall[1]) <= limit, out);
    }
  });

  test("starts a run every six hours at a quarter past", () => {
    const [calendar] = timer.get("OnCalendar") ?? [];
    const { code, out } = run("systemd-analyze", [
      "calendar",
      "--iterations=4",
      "--base-time=2026-11-23 00:00:00 UTC",
      calendar,
    ]);
    assert.equal(code, 0);
    assert.deepEqual(
      [...out.matchAll(/(?:elapse|Iter(?:ation|\.) #\d): \w+ [\d-]+ (\d\d:\d\d:\d\d)/g)].map(
        (one) => one[1],
      ),
      ["00:15:00", "06:15:00", "12:15:00", "18:15:00"],
    );
    assert.deepEqual(timer.get("Persistent"), ["yes"]);
    // Shards on several hosts begin together: only the program knows whether there are any.
    assert.match(calendar, / UTC$/);
    assert.equal(timer.get("RandomizedDelaySec"), undefined);
    assert.match(service.get("ExecStart")?.[0] ?? "", / --spread \d+$/);
  });

  test("gives the wrapper its time", () => {
    const stages = ["SCAN_LIMIT", "AGGREGATE_LIMIT", "UPLOAD_LIMIT", "RETAIN_LIMIT", "GATHER_WAIT"];
    // Each is killed two minutes after its limit at the latest.
    const longest = stages.reduce((sum, name) => sum + byDefault(name) + 120, 0);
    assert.ok(Number(service.get("TimeoutStartSec")?.[0]) > longest);
    assert.ok(Number(service.get("TimeoutStopSec")?.[0]) > 120);
    assert.deepEqual(service.get("KillMode"), ["mixed"]);
    assert.deepEqual(service.get("ExecStart"), [`${COMMAND} --spread 600`]);
  });
});

describe("cron", () => {
  const text = readFileSync(CRON, "utf8");
  const entries = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));

  test("has what it needs to read the table at all", () => {
    assert.ok(text.endsWith("\n"), "or it leaves out the last line");
    assert.match(CRON, /\/[A-Za-z0-9_-]+$/, "no dot in the name");
    const variables = entries.filter((line) => /^[A-Z]+=/.test(line));
    assert.deepEqual(
      variables.map((line) => line.split("=")[0]),
      ["SHELL", "PATH", "MAILTO"],
    );
    assert.equal(entries.length, 4);
  });

  test("starts a run every six hours at a quarter past, as the user", () => {
    const fields = entries[3].split(/\s+/);
    assert.deepEqual(fields.slice(0, 6), ["15", "*/6", "*", "*", "*", "tor-exit-validator"]);
    assert.equal(fields.slice(6).join(" "), COMMAND);
    assert.ok(!COMMAND.includes("%"), "which cron takes for a line's end");
  });
});
