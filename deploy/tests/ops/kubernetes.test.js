// deploy/kubernetes/ against the schemas of Kubernetes' own API, and against itself: what one manifest
// says of another, and what the wrapper is told.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { checker, yaml } from "./support/checkers.js";
import { put, REPOSITORY, run } from "./support/checkout.js";

const DIRECTORY = join(REPOSITORY, "deploy/kubernetes");
/** The oldest version that is named in docs/operations.md, and the newest that the checker knows. */
const VERSIONS = ["1.31", "1.37"];
const MANIFESTS = readdirSync(DIRECTORY).filter(
  (name) => name.endsWith(".yaml") && name !== "kustomization.yaml",
);

/**
 * Whether a file passes; a kind that the checker has no schema of does not.
 * @param {string} path
 * @param {string} version
 */
function passes(path, version) {
  const { code, out, err } = checker("kubernetes-validate", [
    "--strict",
    `--kubernetes-version=${version}`,
    path,
  ]);
  const said = out + err;
  return { ok: code === 0 && /\bpassed for resource\b/.test(said) && !/WARN/.test(said), said };
}

const all = Object.fromEntries(
  ["kustomization.yaml", ...MANIFESTS].map((name) => {
    const documents = yaml(join(DIRECTORY, name));
    assert.equal(documents.length, 1, `${name} has one document`);
    return [name, documents[0]];
  }),
);
const config = all["configmap.yaml"].data;
const scan = all["scan.yaml"].spec;
const gather = all["gather.yaml"].spec;
const jobs = [scan, gather];

/**
 * The settings in the ConfigMap's config.env.
 * @type {Map<string, string>}
 */
const settings = new Map();
for (const [, name, value] of config["config.env"].matchAll(/^([A-Z0-9_]+)=(.*)$/gm)) {
  settings.set(name, value);
}

/** @type {(job: any) => any} */
const podOf = (job) => job.jobTemplate.spec.template.spec;
/** @type {(job: any) => any} */
const containerOf = (job) => podOf(job).containers[0];

/**
 * A container's environment as the kubelet makes it: $(NAME) is what a variable *before* it has.
 * @param {any} job
 * @param {Record<string, string>} annotations
 */
function environment(job, annotations) {
  /** @type {Record<string, string>} */
  const env = {};
  for (const { name, value, valueFrom } of containerOf(job).env) {
    if (valueFrom?.configMapKeyRef !== undefined) {
      assert.equal(valueFrom.configMapKeyRef.name, all["configmap.yaml"].metadata.name);
      env[name] = config[valueFrom.configMapKeyRef.key];
    } else if (valueFrom?.fieldRef !== undefined) {
      const path = /^metadata\.annotations\['(.+)'\]$/.exec(valueFrom.fieldRef.fieldPath);
      assert.ok(path);
      env[name] = annotations[path[1]];
    } else {
      env[name] = value.replaceAll(
        /\$\(([A-Za-z0-9_]+)\)/g,
        (/** @type {string} */ whole, /** @type {string} */ other) => env[other] ?? whole,
      );
    }
    assert.equal(typeof env[name], "string", name);
  }
  return env;
}

describe("the schemas", () => {
  for (const version of VERSIONS) {
    test(`of Kubernetes ${version} take every manifest`, () => {
      for (const name of MANIFESTS) {
        const { ok, said } = passes(join(DIRECTORY, name), version);
        assert.ok(ok, said);
      }
    });
  }

  test("refuse what is wrong", () => {
    const home = mkdtempSync(join(tmpdir(), "manifests-"));
    const path = join(home, "wrong.yaml");
    const right = readFileSync(join(DIRECTORY, "scan.yaml"), "utf8");
    try {
      for (const [from, to] of [
        ["completionMode: Indexed", "completionsMode: Indexed"],
        ["completions: 2", "completions: two"],
        ["          restartPolicy: Never\n", "          restartPolicies: Never\n"],
        ["  jobTemplate:", "  jobTemplates:"],
        ["kind: CronJob", "kind: CronJobs"],
        ["apiVersion: batch/v1", "apiVersion: batch/v2"],
        ["drop: [ALL]", "drop: ALL"],
        ["readOnlyRootFilesystem: true", 'readOnlyRootFilesystem: "true"'],
        ["            - name: validator\n", "            - title: validator\n"],
        ["concurrencyPolicy: Forbid", "concurrencyPolicy:\n    forbid: true"],
      ]) {
        assert.equal(right.split(from).length >= 2, true, from);
        writeFileSync(path, right.replace(from, to));
        assert.ok(!passes(path, VERSIONS[1]).ok, to);
      }
      writeFileSync(path, right);
      assert.ok(passes(path, VERSIONS[1]).ok, "and the right one is taken from there");
    } finally {
      rmSync(home, { recursive: true });
    }
  });
});

describe("the shards", () => {
  const shards = Number(config.SHARDS);

  test("are every part once: the scan's indexes, and the gatherer's last one", () => {
    const job = scan.jobTemplate.spec;
    assert.equal(job.completionMode, "Indexed");
    assert.equal(job.completions, shards - 1);
    assert.equal(job.parallelism, job.completions, "at the same time");
    const parts = [];
    for (let index = 0; index < job.completions; index += 1) {
      const env = environment(scan, { "batch.kubernetes.io/job-completion-index": String(index) });
      assert.equal(env.GATHER, "false");
      parts.push(env.SHARD);
    }
    const env = environment(gather, {});
    assert.equal(env.GATHER, "true");
    parts.push(env.SHARD);
    assert.deepEqual(
      parts,
      Array.from({ length: shards }, (_, index) => `${index}/${shards}`),
    );
    assert.ok(settings.get("RUN_STORE"), "by which they meet");
    for (const name of ["SHARD", "GATHER"]) assert.ok(!settings.has(name), name);
  });

  test("run at the same time, one run at a time, within six hours", () => {
    const number = (/** @type {string} */ name) => Number(settings.get(name));
    const stages = ["SCAN_LIMIT", "GATHER_WAIT", "AGGREGATE_LIMIT", "UPLOAD_LIMIT", "RETAIN_LIMIT"];
    const longest = stages.reduce((sum, name) => sum + number(name), 0);
    const gathering = gather.jobTemplate.spec.activeDeadlineSeconds;
    assert.ok(longest < gathering, `${longest} < ${gathering}`);
    for (const job of jobs) {
      assert.equal(job.schedule, "15 */6 * * *");
      assert.equal(job.timeZone, "Etc/UTC");
      assert.equal(job.concurrencyPolicy, "Forbid");
      assert.ok(job.jobTemplate.spec.activeDeadlineSeconds < 6 * 3600);
      // The wrapper gives its children two minutes.
      assert.ok(podOf(job).terminationGracePeriodSeconds > 120);
      assert.equal(podOf(job).restartPolicy, "Never");
    }
    assert.ok(
      number("SCAN_LIMIT") + number("UPLOAD_LIMIT") < scan.jobTemplate.spec.activeDeadlineSeconds,
    );
  });
});

test("a scan is not repeated for what another scan does not mend", () => {
  const codes = readFileSync(join(REPOSITORY, "docs/exit-codes.md"), "utf8");
  const known = new Set([...codes.matchAll(/^\| `(\d+)` \|/gm)].map((one) => Number(one[1])));
  for (const [job, action] of /** @type {const} */ ([
    [scan, "FailIndex"],
    [gather, "FailJob"],
  ])) {
    /** @type {{action: string, onExitCodes?: {containerName: string, operator: string, values: number[]}}[]} */
    const rules = job.jobTemplate.spec.podFailurePolicy.rules;
    const rule = rules.find((one) => one.onExitCodes !== undefined);
    assert.ok(rule?.onExitCodes);
    assert.equal(rule.action, action);
    assert.equal(rule.onExitCodes.operator, "In");
    assert.equal(rule.onExitCodes.containerName, podOf(job).containers[0].name);
    for (const code of rule.onExitCodes.values) assert.ok(known.has(code), String(code));
    // What a second scan may well mend.
    for (const code of [10, 11, 12, 13, 14]) assert.ok(!rule.onExitCodes.values.includes(code));
  }
});

describe("the pods", () => {
  test("have no privilege and write only where they keep something", () => {
    for (const job of jobs) {
      const pod = podOf(job);
      assert.equal(pod.automountServiceAccountToken, false);
      assert.equal(pod.securityContext.runAsNonRoot, true);
      assert.equal(pod.securityContext.seccompProfile.type, "RuntimeDefault");
      assert.ok(pod.securityContext.runAsUser >= 10_000);
      for (const key of ["hostNetwork", "hostPID", "hostIPC"]) assert.equal(pod[key], undefined);
      assert.equal(pod.containers.length, 1);
      const { securityContext, resources, volumeMounts, image } = containerOf(job);
      assert.equal(securityContext.readOnlyRootFilesystem, true);
      assert.equal(securityContext.allowPrivilegeEscalation, false);
      assert.deepEqual(securityContext.capabilities, { drop: ["ALL"] });
      for (const kind of ["memory", "ephemeral-storage"]) {
        assert.ok(resources.limits[kind] && resources.requests[kind], kind);
      }
      assert.deepEqual(
        volumeMounts.map((/** @type {any} */ { name }) => name).sort(),
        pod.volumes.map((/** @type {any} */ { name }) => name).sort(),
      );
      assert.equal(image, all["kustomization.yaml"].images[0].name);
    }
  });

  test("are those of the container file: user, places", () => {
    const container = readFileSync(join(REPOSITORY, "deploy/container/Containerfile"), "utf8");
    const user = /^USER (\d+):(\d+)$/m.exec(container);
    for (const job of jobs) {
      const { runAsUser, runAsGroup, fsGroup } = podOf(job).securityContext;
      assert.deepEqual([runAsUser, runAsGroup, fsGroup], [10001, 10001, 10001]);
      assert.deepEqual(user?.slice(1), ["10001", "10001"]);
      const mounts = containerOf(job).volumeMounts.map((/** @type {any} */ one) => one.mountPath);
      const state = settings.get("STATE_DIR") ?? "";
      assert.ok(mounts.some((/** @type {string} */ path) => state.startsWith(`${path}/`)));
      const [, file] = containerOf(job).args;
      assert.equal(file, "/etc/tor-exit-validator/config.env");
    }
    // The environment goes before the file: an image that sets something would undo it.
    for (const [, name] of container.matchAll(/^ENV (\w+)=/gm)) assert.equal(name, "HOME");
  });

  test("find what they refer to", () => {
    const names = Object.values(all)
      .filter((one) => one.kind !== "Kustomization" && one.kind !== "Namespace")
      .map((one) => one.metadata.namespace);
    assert.deepEqual(new Set(names), new Set([all["namespace.yaml"].metadata.name]));
    const claims = podOf(gather).volumes.filter(
      (/** @type {any} */ one) => one.persistentVolumeClaim,
    );
    assert.deepEqual(
      claims.map((/** @type {any} */ one) => one.persistentVolumeClaim.claimName),
      [all["state.yaml"].metadata.name],
    );
    for (const job of jobs) {
      assert.equal(
        containerOf(job).envFrom[0].secretRef.name,
        all["secret.example.yaml"].metadata.name,
      );
      const [configuration] = podOf(job).volumes.filter((/** @type {any} */ one) => one.configMap);
      for (const { key } of configuration.configMap.items) assert.ok(key in config, key);
    }
    assert.deepEqual(
      [...all["kustomization.yaml"].resources].sort(),
      MANIFESTS.filter((name) => name !== "secret.example.yaml").sort(),
    );
  });
});

test("no secret is in the repository, and none in the ConfigMap", () => {
  for (const [name, value] of Object.entries(all["secret.example.yaml"].stringData)) {
    assert.equal(value, "", name);
    assert.ok(!settings.has(name), name);
  }
  for (const name of settings.keys())
    assert.doesNotMatch(name, /SECRET|_KEY$|KEY_ID|TOKEN|PASSWORD/);
  assert.match(readFileSync(join(DIRECTORY, ".gitignore"), "utf8"), /^\/secret\.yaml$/m);
});

test("the programs know every setting of the ConfigMap", () => {
  const example = readFileSync(join(REPOSITORY, "config.env.example"), "utf8");
  for (const name of [...settings.keys(), ...Object.keys(all["secret.example.yaml"].stringData)]) {
    assert.match(example, new RegExp(`^#?${name}=`, "m"), name);
  }
  // As sh reads it, which is what the wrapper does.
  const home = mkdtempSync(join(tmpdir(), "config-"));
  try {
    put(join(home, "config.env"), config["config.env"]);
    const { code, out, err } = run("sh", [
      "-euc",
      '. "$1"; echo "$RUN_STORE $SCAN_LIMIT"',
      "sh",
      join(home, "config.env"),
    ]);
    assert.equal(code, 0, err);
    assert.equal(out, `${settings.get("RUN_STORE")} ${settings.get("SCAN_LIMIT")}\n`);
  } finally {
    rmSync(home, { recursive: true });
  }
});
