// What is installed here with stand-ins elsewhere: the real wrapper, the real example of a
// configuration, and the real program that checks one, where cargo has built it.

import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { yaml } from "./support/checkers.js";
import { CONF, checkout, LIB, put, REPOSITORY, run, STATE } from "./support/checkout.js";

const PROGRAM = ["target/debug/exit-validator", "target/release/exit-validator"]
  .map((path) => join(REPOSITORY, path))
  .find((path) => existsSync(path));

/** @type {ReturnType<typeof checkout>} */
let source;
/** @type {string} */
let root;

before(() => {
  source = checkout();
  root = join(source.home, "root");
  mkdirSync(root);
  for (const path of ["deploy/run_dns_validation", "config.env.example"]) {
    cpSync(join(REPOSITORY, path), join(source.path, path));
  }
  // By a script in its place: the program with its debug information is large.
  if (PROGRAM !== undefined) {
    const program = join(source.binaries, "exit-validator");
    put(program, `#!/bin/sh\nexec "${PROGRAM}" "$@"\n`, 0o755);
  }
  const { code, err } = run(join(source.path, "deploy/install.sh"), [
    "--root",
    root,
    "--binaries",
    source.binaries,
  ]);
  assert.equal(code, 0, err);
});

after(() => source.remove());

test("the example becomes a configuration by two lines alone", () => {
  const example = readFileSync(join(REPOSITORY, "config.env.example"), "utf8").split("\n");
  const written = readFileSync(join(root, CONF, "config.env"), "utf8").split("\n");
  assert.equal(written.length, example.length, "in the place of the example's own");
  assert.deepEqual(
    written.filter((line, at) => line !== example[at]),
    [`STATE_DIR=/${STATE}`, "LOG_DIR=/var/log/tor-exit-validator"],
  );
});

const built = { skip: PROGRAM === undefined && "cargo has not built it here" };

test("the wrapper is found by its link, and finds the program beside itself", built, () => {
  const wrapper = join(root, "usr/local/bin/run_dns_validation");
  assert.equal(run(wrapper, ["--help"]).code, 0);
  const wrong = join(source.home, "wrong.env");
  // No line of a configuration, for the real program and for the stand-in.
  put(wrong, "export WRONG=1\n", 0o600);
  const refused = run(wrapper, ["--config", wrong, "--check"]);
  assert.equal(refused.code, 3, "by the program in its directory");
  assert.ok(existsSync(join(root, LIB, "exit-validator")));
});

describe(
  "the program that checks configurations",
  {
    skip: PROGRAM === undefined && "cargo has not built it here",
  },
  () => {
    test("takes what the installation writes", () => {
      const { code, out, err } = run(String(PROGRAM), [
        "config",
        "check",
        join(root, CONF, "config.env"),
      ]);
      assert.equal(code, 0, out + err);
    });

    test("takes what is in the ConfigMap", () => {
      const [map] = yaml(join(REPOSITORY, "deploy/kubernetes/configmap.yaml"));
      const file = join(source.home, "from-configmap.env");
      put(file, map.data["config.env"]);
      const { code, out, err } = run(String(PROGRAM), ["config", "check", file]);
      assert.equal(code, 0, out + err);
    });
  },
);

test("the exit codes that docs/operations.md explains are the wrapper's", built, () => {
  const { out } = run(String(PROGRAM), ["run", "--help"]);
  const known = new Set([...out.matchAll(/^ {2,4}(\d+) {2}/gm)].map((match) => match[1]));
  const table = readFileSync(join(REPOSITORY, "docs/operations.md"), "utf8").split(
    "| exit code | what to do |",
  )[1];
  const explained = new Set();
  for (const [, cell] of table.matchAll(/^\| ([\d, toand]+) \|/gm)) {
    for (const one of cell.split(", ")) {
      const [from, to = from] = one.split(/ (?:to|and) /).map(Number);
      for (let code = from; code <= to; code += 1) explained.add(String(code));
    }
  }
  for (const code of explained) assert.ok(known.has(code), `${code} is an exit code`);
  // Those of the rehearsal explain themselves, as does a fault of the wrapper.
  for (const code of known) {
    assert.ok(explained.has(code) || ["0", "1", "50", "51"].includes(code), `${code} is explained`);
  }
});
