// Countries by their English names. Performs no IO.

const REGIONS = new Intl.DisplayNames(["en"], { type: "region", fallback: "none" });

/** @type {Map<string, string>} */
const known = new Map();

/**
 * @param {string | null} code two lower-case letters
 * @returns {string} the code in capitals where it is no country's
 */
export function country(code) {
  if (code === null) return "unknown";
  let name = known.get(code);
  if (name === undefined) {
    const upper = code.toUpperCase();
    name = REGIONS.of(upper) ?? upper;
    known.set(code, name);
  }
  return name;
}
