// deploy/container/Containerfile: what can be known of it without a container engine.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { checker } from "./support/checkers.js";
import { put, REPOSITORY } from "./support/checkout.js";

const FILE = join(REPOSITORY, "deploy/container/Containerfile");
const text = readFileSync(FILE, "utf8");

test("hadolint has no complaint", () => {
  const { code, out, err } = checker("hadolint", [FILE]);
  assert.equal(code, 0, out + err);
  // And it would have one.
  const home = mkdtempSync(join(tmpdir(), "container-"));
  try {
    const wrong = join(home, "Containerfile");
    put(
      wrong,
      text
        .replace("debian:bookworm-slim", "debian:latest")
        .replace("USER 10001:10001", "USER root"),
    );
    const said = checker("hadolint", [wrong]);
    assert.notEqual(said.code, 0);
    for (const rule of ["DL3007", "DL3002"]) assert.match(said.out, new RegExp(rule));
  } finally {
    rmSync(home, { recursive: true });
  }
});

test("the toolchain is the one that the workspace asks for", () => {
  const wanted = /^rust-version = "(.*)"$/m.exec(
    readFileSync(join(REPOSITORY, "Cargo.toml"), "utf8"),
  );
  assert.equal(
    /^FROM docker\.io\/library\/rust:([\d.]+)-bookworm AS build$/m.exec(text)?.[1],
    wanted?.[1],
  );
  // Built and run with one libc.
  assert.match(text, /^FROM docker\.io\/library\/debian:bookworm-slim$/m);
});

test("what the build is given is there, and nothing with a secret is", () => {
  const ignored = readFileSync(`${FILE}.dockerignore`, "utf8").split("\n");
  assert.equal(
    ignored.find((line) => line !== "" && !line.startsWith("#")),
    "*",
  );
  // An installation can do without the pages.
  for (const line of ignored.filter((one) => one.startsWith("!") && one !== "!public")) {
    statSync(join(REPOSITORY, line.slice(1)));
  }
  assert.ok(!ignored.includes("!config.env"));
});
