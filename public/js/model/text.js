// Strangers' texts made fit for a page: characters that act on what is around them, or that cannot
// be seen, become visible; what is too long is cut. Performs no IO.

/**
 * Control characters, line and paragraph ends; marks that change the direction; joiners, blanks
 * without width, and other characters that are not drawn; variation selectors; tags; surrogates
 * that stand alone; private use.
 */
const UNSEEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is its purpose
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: each is meant by itself
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\u{e0000}-\u{e0fff}\p{Cs}\p{Co}]/gu;

/** More marks over one letter than any script needs. */
const PILED = /(\p{M}{4})\p{M}+/gu;

/**
 * @param {string} text
 * @param {number} [limit] how many characters to keep
 * @returns {string}
 */
export function visible(text, limit = 2000) {
  const kept = cut(text, limit);
  if (/^[\x20-\x7e]*$/.test(kept)) return kept;
  return kept
    .replace(UNSEEN, (c) => {
      const code = /** @type {number} */ (c.codePointAt(0));
      return `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
    })
    .replace(PILED, "$1…");
}

/**
 * @param {string} text
 * @param {number} limit
 * @returns {string} never ending within a character
 */
export function cut(text, limit) {
  if (text.length <= limit) return text;
  const end = /[\ud800-\udbff]/.test(text[limit - 1]) ? limit - 1 : limit;
  return `${text.slice(0, end)}…`;
}

/**
 * A relay's nickname, or words in its place.
 * @param {string} nickname
 * @param {number} [limit]
 * @returns {string}
 */
export function nameOf(nickname, limit = 60) {
  return nickname.trim() === "" ? "(no name)" : visible(nickname, limit);
}
