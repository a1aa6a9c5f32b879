// The checkers of requirements.txt, which `checkers` installs.

import { fileURLToPath } from "node:url";
import { run } from "./checkout.js";

const BIN = fileURLToPath(new URL("../.checkers/bin/", import.meta.url));

/**
 * @param {string} name
 * @param {string[]} args
 */
export const checker = (name, args) => run(`${BIN}${name}`, args);

/**
 * The documents of a YAML file.
 * @param {string} path
 * @returns {any[]}
 */
export function yaml(path) {
  const script =
    "import json,sys,yaml;print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
  const { code, out, err } = checker("python3", ["-c", script, path]);
  if (code !== 0) throw new Error(`${path}: ${err}`);
  return JSON.parse(out);
}
