// The mail address in a contact line. A contact is anybody's text, and the report's key of an operator
// is what was made of it, so an address is only taken where the text itself has it. Performs no IO.

/** Ends of names that no mail reaches. */
const NOWHERE = /\.(?:invalid|localhost|local|localdomain|internal|test|onion|exit|i2p)$/i;

/**
 * An e-mail address that is one and nothing else: no display name, no comment, no quoting, ASCII
 * only. Stricter than RFC 5321, so that what is copied goes to nobody else.
 * @param {string} text
 * @returns {boolean}
 */
export function isMailAddress(text) {
  return (
    text.length <= 200 &&
    /^(?=[^@]{1,64}@)[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}$/i.test(
      text,
    ) &&
    /^[a-z0-9]/i.test(text) &&
    !NOWHERE.test(text)
  );
}

/**
 * What stands for `@` where somebody hides it from machines: in brackets, or in capitals, but not
 * the word "at" of a sentence ("write to us at example.org").
 */
const HIDDEN_AT = /\s*(?:[[({<]\s*(?:at|@)\s*[\])}>]|\bAT\b)\s*|\s+@\s+/gi;

/** What stands for a dot. */
const HIDDEN_DOT = /\s*[[({<]\s*(?:dot|\.)\s*[\])}>]\s*|\s+dot\s+/gi;

/**
 * Fields of the ContactInfo specification, and habits like them, whose address is not the operator's
 * mail: for abuse, or of another service.
 */
const OTHER_FIELD =
  /(?:abuse|xmpp|jabber|otr3?|mastodon|fediverse|matrix|sip|twitter|keybase|hoster|trafficacct|donationurl|bitcoin|zcash|cost|uplinkbw):\S*/gi;

/**
 * The addresses that a contact line has.
 * @param {string} contact
 * @returns {string[]} lower case, without those that are none
 */
export function mailAddresses(contact) {
  const text = contact.slice(0, 2000).replace(OTHER_FIELD, " ");
  /** @type {Set<string>} */
  const found = new Set();
  const add = (/** @type {string} */ one) => {
    const address = one.toLowerCase().replace(/^[.]+|[.]+$/g, "");
    if (isMailAddress(address)) found.add(address);
  };
  // The specification writes [] for @.
  for (const [, field] of text.matchAll(/(?:^|\s)email:(\S+)/gi)) add(field.replace("[]", "@"));
  const plain = (
    /\sat\s\S+\sdot\s/i.test(text) ? text.replace(/\sat\s(?=\S+\sdot\s)/gi, "@") : text
  )
    .replace(HIDDEN_AT, (hidden) => (/^\s*at\s*$/.test(hidden) ? hidden : "@"))
    .replace(HIDDEN_DOT, ".");
  // What is glued to something else is a part of that: a link, or another service's name.
  for (const [one] of plain.matchAll(/(?<![\w.+:/@-])[\w.+-]+@[a-z0-9.-]+(?![\w@:/-])/gi)) add(one);
  return [...found];
}

/**
 * Whom to write to.
 * @param {string} wanted the address that the operator's key names
 * @param {Iterable<string | null>} contacts of the operator's relays
 * @returns {string | null} null where no contact has it
 */
export function addressOf(wanted, contacts) {
  const address = wanted.toLowerCase();
  if (!isMailAddress(address)) return null;
  for (const contact of contacts) {
    if (contact !== null && mailAddresses(contact).includes(address)) return address;
  }
  return null;
}
