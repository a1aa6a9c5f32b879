// What subscribers ask for: a link in a mail leads to a page with a button, and the button, or the mail
// program by itself (RFC 8058), sends one POST. A token that the host signed is sealed to the host and
// stored for it to fetch. There is no secret here: nothing that is stored can be read with what is known
// here, and nothing is stored that the host did not mail to somebody.

import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import { Deadline } from "./deadline.js";
import { baseHeaders, failure, MISSING_SECONDS, NO_STORE } from "./http.js";
import { decoded } from "./settings.js";

/** @import { Env, Settings } from "./settings.js" */

/** How long a token is: what it asks for, its number, and a signature of Ed25519, as base64url. */
const TOKEN_CHARACTERS = 108;
const ID_BYTES = 16;

/** What the signature is of begins with this. */
const TOKEN_CONTEXT = "exit-validator/token/1\n";

/** What the host opens is sealed as this: HPKE's `info` (RFC 9180). */
const INFO = "exit-validator/request/1";

/** Where requests are in the store; no route serves that. */
const PREFIX = "requests/";

/** The longest body of a POST that is looked at: a form with one field, in either encoding. */
const BODY_BYTES = 2048;

/**
 * What a token asks for, and what the form says that goes with it (of RFC 8058 for one of them).
 * @type {ReadonlyMap<string, {field: string, value: string, title: string, button: string, done: string}>}
 */
const ACTS = new Map([
  [
    "c",
    {
      field: "confirm",
      value: "yes",
      title: "Mail about your Tor exits",
      button: "Yes, send me mail",
      done: "Done. This address gets a mail when these exits cannot resolve names.",
    },
  ],
  [
    "u",
    {
      field: "List-Unsubscribe",
      value: "One-Click",
      title: "No more mail about your Tor exits",
      button: "Send me no more mail",
      done: "Done. This address gets no more mail, from the next run on.",
    },
  ],
]);

/**
 * What a token asks for, by its signature; null where it is not the host's.
 * @param {string} token
 * @param {Uint8Array<ArrayBuffer>} verifyKey
 * @returns {Promise<string | null>}
 */
export async function actOf(token, verifyKey) {
  if (token.length !== TOKEN_CHARACTERS || !/^[A-Za-z0-9_-]*$/.test(token)) return null;
  const bytes = decoded(token);
  if (bytes === null) return null;
  const act = String.fromCharCode(bytes[0]);
  if (!ACTS.has(act)) return null;
  const context = new TextEncoder().encode(TOKEN_CONTEXT);
  const signed = new Uint8Array([...context, ...bytes.subarray(0, 1 + ID_BYTES)]);
  const key = await crypto.subtle.importKey("raw", verifyKey, "Ed25519", false, ["verify"]);
  const genuine = await crypto.subtle.verify("Ed25519", key, bytes.subarray(1 + ID_BYTES), signed);
  return genuine ? act : null;
}

/**
 * The name that a token's request has: its SHA-256.
 * @param {string} token
 * @returns {Promise<string>}
 */
export async function nameOf(token) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * A request as it is stored: the encapsulated key and the ciphertext.
 * @param {string} token
 * @param {string} name
 * @param {Uint8Array<ArrayBuffer>} sealKey
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function sealed(token, name, sealKey) {
  const suite = new CipherSuite({
    kem: new DhkemX25519HkdfSha256(),
    kdf: new HkdfSha256(),
    aead: new Aes256Gcm(),
  });
  const encoder = new TextEncoder();
  const recipientPublicKey = await suite.kem.deserializePublicKey(sealKey.buffer);
  const { enc, ct } = await suite.seal(
    { recipientPublicKey, info: encoder.encode(INFO).buffer },
    encoder.encode(JSON.stringify({ token })).buffer,
    encoder.encode(name).buffer,
  );
  return new Uint8Array([...new Uint8Array(enc), ...new Uint8Array(ct)]);
}

/**
 * Whether a form says this, in either of the two encodings of RFC 8058, section 3.2.
 * @param {Uint8Array<ArrayBuffer> | null} bytes
 * @param {string} type
 * @param {string} field
 * @param {string} value
 * @returns {Promise<boolean>}
 */
async function says(bytes, type, field, value) {
  if (bytes === null) return false;
  if (!/^(?:application\/x-www-form-urlencoded|multipart\/form-data)\b/i.test(type)) return false;
  try {
    const form = await new Response(bytes, { headers: { "Content-Type": type } }).formData();
    return form.get(field) === value;
  } catch {
    return false;
  }
}

/**
 * A body, if it is short.
 * @param {ReadableStream<Uint8Array> | null} body
 * @returns {Promise<Uint8Array<ArrayBuffer> | null>}
 */
async function beginning(body) {
  if (body === null) return null;
  /** @type {number[]} */
  const bytes = [];
  for await (const chunk of body) {
    if (bytes.length + chunk.length > BODY_BYTES) return null;
    bytes.push(...chunk);
  }
  return new Uint8Array(bytes);
}

/**
 * /subscription/TOKEN. GET changes nothing: programs that look through mails follow links.
 * @param {Request} request GET, HEAD or POST
 * @param {string} token
 * @param {Env} env
 * @param {Settings} settings
 * @returns {Promise<Response>}
 */
export async function subscription(request, token, env, settings) {
  // Also where it says nothing: a connection whose request is answered unread cannot be used again.
  const body = await beginning(request.body);
  const { subscriptionKeys: keys } = settings;
  const act = keys === null ? null : await actOf(token, keys.verify);
  const words = act === null ? undefined : ACTS.get(act);
  if (keys === null || env.REPORTS === undefined || words === undefined) {
    return failure(404, "not_found", "there is no such link here", {
      cache: `public, max-age=${MISSING_SECONDS}`,
    });
  }
  if (request.method !== "POST") return page(words.title, form(words), 200);
  const type = request.headers.get("Content-Type") ?? "";
  if (!(await says(body, type, words.field, words.value))) {
    return page(words.title, form(words), 400);
  }
  const name = await nameOf(token);
  const deadline = new Deadline(settings.deadlineMs);
  try {
    const bytes = await sealed(token, name, keys.seal);
    // One object for each token, however often it comes.
    await deadline.wait(env.REPORTS.put(`${settings.keyPrefix}${PREFIX}${name}`, bytes));
  } catch (error) {
    console.error(`a request cannot be stored: ${error instanceof Error ? error.message : error}`);
    return page(words.title, "<p>This did not work. Please try again later.</p>", 502);
  } finally {
    deadline.clear();
  }
  return page(words.title, `<p>${words.done}</p>`, 200);
}

/**
 * @param {{field: string, value: string, button: string}} words
 * @returns {string}
 */
function form({ field, value, button }) {
  return `<form method="post"><button name="${field}" value="${value}">${button}</button></form>`;
}

/**
 * A page of our own words alone.
 * @param {string} title
 * @param {string} content
 * @param {number} status
 * @returns {Response}
 */
function page(title, content, status) {
  const headers = baseHeaders();
  headers.set("Content-Type", "text/html; charset=utf-8");
  headers.set("Cache-Control", NO_STORE);
  // The form is sent to this very page, and nothing else happens here.
  headers.set(
    "Content-Security-Policy",
    "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  );
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  headers.delete("Access-Control-Allow-Origin");
  headers.delete("Access-Control-Expose-Headers");
  headers.set("X-Robots-Tag", "noindex");
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<h1>${title}</h1>
${content}
</html>
`;
  return new Response(html, { status, headers });
}
