// Reads a `_headers` file as Cloudflare Pages does, so that a page is tried out under the very
// headers that it is published with. Performs no IO.
// https://developers.cloudflare.com/pages/configuration/headers/

/**
 * @typedef {object} Rule
 * @property {RegExp} path
 * @property {[string, string][]} set
 * @property {string[]} remove
 */

/**
 * @param {string} pattern a path, in which `*` stands for anything and `:name` for one part
 * @returns {RegExp}
 */
function expression(pattern) {
  const source = pattern
    .replace(/[.+?^${}()|[\]\\]/g, "\\$&")
    .replace(/\*/g, ".*")
    .replace(/:[A-Za-z]\w*/g, "[^/]+");
  return new RegExp(`^${source}$`);
}

/**
 * The rules of a `_headers` file.
 * @param {string} text
 * @returns {Rule[]}
 * @throws {Error} naming the line that is none of Pages' forms
 */
export function parseHeaders(text) {
  /** @type {Rule[]} */
  const rules = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    if (trimmed.startsWith("/")) {
      rules.push({ path: expression(trimmed), set: [], remove: [] });
      continue;
    }
    const rule = rules.at(-1);
    const header = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*(.+)$/.exec(trimmed);
    const removed = /^!\s*([\w-]+)$/.exec(trimmed);
    if (rule !== undefined && removed !== null) rule.remove.push(removed[1]);
    else if (rule !== undefined && header !== null) rule.set.push([header[1], header[2]]);
    else throw new Error(`_headers, line ${index + 1}: neither a path nor a header: ${trimmed}`);
  }
  return rules;
}

/**
 * The headers for a path. A header that several rules set has all their values, as on Pages.
 * @param {readonly Rule[]} rules
 * @param {string} path
 * @returns {Record<string, string>}
 */
export function headersFor(rules, path) {
  /** @type {Map<string, [string, string]>} */
  const found = new Map();
  for (const rule of rules) {
    if (!rule.path.test(path)) continue;
    for (const name of rule.remove) found.delete(name.toLowerCase());
    for (const [name, value] of rule.set) {
      const before = found.get(name.toLowerCase());
      found.set(name.toLowerCase(), [name, before ? `${before[1]}, ${value}` : value]);
    }
  }
  return Object.fromEntries(found.values());
}
