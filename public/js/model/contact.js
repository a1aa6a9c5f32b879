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

/** How many characters of a contact are read. */
const LONGEST = 2000;

/**
 * Fields of the ContactInfo specification, and habits like them, whose value is not the operator's
 * mail: it is for abuse, of another service, or somebody else's, such as the hoster's.
 */
const OTHER_FIELDS =
  /(?:abuse|xmpp|jabber|otr3?|mastodon|fediverse|matrix|sip|twitter|keybase|hoster|trafficacct|donationurl|bitcoin|zcash|btc|zec|xmr|cost|uplinkbw|pgp|url|proof):\s*\S*/gi;

/** `at` of a sentence stands for `@` only where a dot is written out as well. */
const SPOKEN_AT = /\s+at\s+(\S+\s+dot\s)/g;

/** What stands for `@`: a word in brackets, in capitals or between underlines, or the sign by itself. */
const HIDDEN_AT = /(?:\s*[[({<]\s*(?:[aA][tT]|@)\s*[\])}>]|\[\]|_[aA][tT]_|\s+AT\s|\s+@\s)\s*/g;

/** What stands for a dot. */
const HIDDEN_DOT = /\s*[[({<]\s*(?:dot|\.)\s*[\])}>]\s*|_dot_|\s+dot\s+/gi;

/** What is glued to something else is a part of that: of a link, or of a name at another service. */
const PLAIN = /(?<![\p{L}\p{N}_@:/.+-])[A-Za-z0-9_.+-]+@[A-Za-z0-9.-]+(?![\p{L}\p{N}_@:/.-])/gu;

/**
 * @param {string} text
 * @returns {string} with `@` and dots where they stand in disguise
 */
function undisguised(text) {
  return text.replace(SPOKEN_AT, "@$1").replace(HIDDEN_AT, "@").replace(HIDDEN_DOT, ".");
}

/**
 * The addresses for mail that a contact line has, the ContactInfo specification's `email:` first. The
 * report's keys are made by the same rules (`crates/contact`); both are held to one table of lines.
 * @param {string} contact
 * @returns {string[]} lower case, without those that are none
 */
export function mailAddresses(contact) {
  const text = [...contact.slice(0, 2 * LONGEST)]
    .slice(0, LONGEST)
    .join("")
    .replace(/[\u200b-\u200f\u202a-\u202e\ufeff]/g, "")
    .replace(/[\p{Cc}\s]/gu, " ");
  // Of several, the first counts.
  const email = /(?:^|\s)email:(\S*)/i.exec(text)?.[1] ?? "";
  /** @type {Set<string>} */
  const found = new Set();
  for (const part of [email, text.replace(OTHER_FIELDS, " ")]) {
    for (const [one] of undisguised(part).matchAll(PLAIN)) {
      const address = one.toLowerCase().replace(/^\.+|\.+$/g, "");
      if (isMailAddress(address)) found.add(address);
    }
  }
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
