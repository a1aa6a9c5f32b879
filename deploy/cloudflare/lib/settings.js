// The variables and bindings of the deployment, checked. A value that cannot be used is named and
// replaced by its default: a page that answers is worth more than one that insists.

/**
 * What the function is given: `deploy` writes these.
 * @typedef {object} Env
 * @property {R2Bucket} [REPORTS] the R2 bucket with the data
 * @property {string} [KEY_PREFIX] what stands before the names in the R2 bucket, as `reports/`
 * @property {string} [FALLBACK_URL] where the second copy is, an HTTPS URL that names are added to
 * @property {string} [FALLBACK_FORBIDDEN_IS_MISSING] `true` where the second store answers 403 for
 *   a name that is not there
 * @property {string} [STORE_DEADLINE_MS] how long one store may take, in milliseconds
 * @property {string} [NOTIFY_SEAL_KEY] the host's public key of X25519, as base64
 * @property {string} [NOTIFY_VERIFY_KEY] the host's public key of Ed25519, as base64
 * @property {string} [OVERDUE_AFTER_MINUTES] from which age on the last report is overdue
 */

/**
 * @typedef {object} Settings
 * @property {string} keyPrefix
 * @property {URL | null} fallback its path ends with a slash
 * @property {boolean} forbiddenIsMissing
 * @property {number} deadlineMs
 * @property {number} overdueAfterSeconds
 * @property {{seal: Uint8Array<ArrayBuffer>, verify: Uint8Array<ArrayBuffer>} | null} subscriptionKeys
 *   null where subscribers are not served
 * @property {string[]} problems what could not be used, for the log
 */

/** Half as long again as six hours, the usual time between runs. */
export const DEFAULT_OVERDUE_MINUTES = 540;

/** Long enough for a report of some megabytes, short enough that a person still waits for the second store. */
export const DEFAULT_DEADLINE_MS = 8000;

/**
 * Reads the settings.
 * @param {Env} env
 * @returns {Settings}
 */
export function settings(env) {
  /** @type {string[]} */
  const problems = [];
  /** @type {(name: keyof Env, value: string | undefined, low: number, high: number, otherwise: number) => number} */
  const whole = (name, value, low, high, otherwise) => {
    if (value === undefined || value === "") return otherwise;
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= low && number <= high) return number;
    problems.push(`${name} is not a whole number from ${low} to ${high}; ${otherwise} is used`);
    return otherwise;
  };
  const minutes = whole(
    "OVERDUE_AFTER_MINUTES",
    env.OVERDUE_AFTER_MINUTES,
    1,
    525_600,
    DEFAULT_OVERDUE_MINUTES,
  );
  const deadlineMs = whole(
    "STORE_DEADLINE_MS",
    env.STORE_DEADLINE_MS,
    100,
    60_000,
    DEFAULT_DEADLINE_MS,
  );
  let fallback = null;
  if (env.FALLBACK_URL !== undefined && env.FALLBACK_URL !== "") {
    fallback = fallbackUrl(env.FALLBACK_URL);
    if (fallback === null) {
      problems.push(
        "FALLBACK_URL is not an HTTPS URL without user, query and fragment; it is not used",
      );
    }
  }
  const keyPrefix = env.KEY_PREFIX ?? "";
  const usable = /^[A-Za-z0-9._/-]*$/.test(keyPrefix);
  if (!usable) {
    problems.push("KEY_PREFIX may have letters, digits and ._/- only; none is used");
  }
  if (!["", "true", "false"].includes(env.FALLBACK_FORBIDDEN_IS_MISSING ?? "")) {
    problems.push("FALLBACK_FORBIDDEN_IS_MISSING is neither true nor false; false is used");
  }
  const subscriptionKeys = keysOf(env);
  if (subscriptionKeys === null && (env.NOTIFY_SEAL_KEY || env.NOTIFY_VERIFY_KEY)) {
    problems.push(
      "NOTIFY_SEAL_KEY and NOTIFY_VERIFY_KEY must both be what `exit-validator notify keys` prints; they are not used",
    );
  }
  return {
    subscriptionKeys,
    keyPrefix: usable ? keyPrefix : "",
    fallback,
    forbiddenIsMissing: env.FALLBACK_FORBIDDEN_IS_MISSING === "true",
    deadlineMs,
    overdueAfterSeconds: minutes * 60,
    problems,
  };
}

/**
 * @param {Env} env
 * @returns {Settings["subscriptionKeys"]}
 */
function keysOf({ NOTIFY_SEAL_KEY, NOTIFY_VERIFY_KEY }) {
  const seal = decoded(NOTIFY_SEAL_KEY ?? "");
  const verify = decoded(NOTIFY_VERIFY_KEY ?? "");
  return seal?.length === 32 && verify?.length === 32 ? { seal, verify } : null;
}

/**
 * Bytes, or null where the text is not base64.
 * @param {string} text base64 or base64url
 * @returns {Uint8Array<ArrayBuffer> | null}
 */
export function decoded(text) {
  try {
    const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(plain, (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

/**
 * The base of the second store's URLs. HTTP is taken for this machine alone, for trying it out.
 * @param {string} text
 * @returns {URL | null}
 */
export function fallbackUrl(text) {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const local = ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && local)) return null;
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    return null;
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}
