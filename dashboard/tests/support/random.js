// Numbers that look random and are the same in every run. Performs no IO.

/**
 * A hash of some numbers and texts, spread over 32 bits (FNV-1a, then Murmur3's last step).
 * @param {...(number | string)} parts
 * @returns {number} from 0 to 2^32 - 1
 */
export function hash(...parts) {
  let h = 0x811c9dc5;
  for (const character of parts.join("\u0001")) {
    h = Math.imul(h ^ (character.codePointAt(0) ?? 0), 0x01000193);
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * A number that depends on nothing but its arguments.
 * @param {...(number | string)} parts
 * @returns {number} from 0 to below 1
 */
export function unit(...parts) {
  return hash(...parts) / 2 ** 32;
}

/**
 * One of a list, each as likely.
 * @template T
 * @param {readonly T[]} list
 * @param {...(number | string)} parts
 * @returns {T}
 */
export function pick(list, ...parts) {
  return list[hash(...parts) % list.length];
}
