// Addresses and networks as numbers. Performs no IO.

/**
 * @typedef {object} Net
 * @property {4 | 6} family
 * @property {bigint} value the network's first address
 * @property {number} bits how many of its bits the addresses in it share
 */

const WIDTH = Object.freeze({ 4: 32, 6: 128 });

/**
 * @param {string} text
 * @returns {bigint | null}
 */
function ipv4(text) {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return null;
  let value = 0n;
  for (const part of match.slice(1)) {
    if (Number(part) > 255) return null;
    value = value * 256n + BigInt(part);
  }
  return value;
}

/**
 * @param {string} text
 * @returns {bigint | null}
 */
function ipv6(text) {
  if (!/^[0-9a-f:]{2,39}$/i.test(text)) return null;
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const [head, tail] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const given = head.length + (tail?.length ?? 0);
  if (tail === undefined ? given !== 8 : given > 7) return null;
  const groups = [...head, ...Array(8 - given).fill("0"), ...(tail ?? [])];
  let value = 0n;
  for (const group of groups) {
    if (!/^[0-9a-f]{1,4}$/i.test(group)) return null;
    value = value * 65536n + BigInt(`0x${group}`);
  }
  return value;
}

/**
 * @param {string} text an address, without a prefix
 * @returns {{family: 4 | 6, value: bigint} | null} null where it is none
 */
export function parseAddress(text) {
  const four = ipv4(text);
  if (four !== null) return { family: 4, value: four };
  const six = ipv6(text);
  return six === null ? null : { family: 6, value: six };
}

/**
 * @param {string} text for instance `198.51.100.0/24` or `2001:db8::/32`
 * @returns {Net | null} null where it is none
 */
export function parseNet(text) {
  const match = /^([0-9a-f.:]+)\/(\d{1,3})$/i.exec(text);
  const address = match === null ? null : parseAddress(match[1]);
  if (match === null || address === null) return null;
  const bits = Number(match[2]);
  return bits > WIDTH[address.family] ? null : { ...address, bits };
}

/**
 * @param {Net} net
 * @param {{family: 4 | 6, value: bigint} | null} address
 * @returns {boolean} whether the address is in the network
 */
export function isWithin(net, address) {
  if (address === null || address.family !== net.family) return false;
  const rest = BigInt(WIDTH[net.family] - net.bits);
  return address.value >> rest === net.value >> rest;
}
