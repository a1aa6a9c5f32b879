//! The keys of the notices: all of them are derived from one secret, which never leaves this host. What is
//! sealed to it, only this host can open; what it signed, whoever has the public key can verify. Pure:
//! randomness comes in.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::CryptoRng;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use sha2::{Digest as _, Sha256};

/// What is derived from the secret is derived for this program and this version of the derivation.
const SALT: &[u8] = b"exit-validator/notify-key/1";

/// What a token's signature is of begins with this, so that it is good for nothing else.
const TOKEN_CONTEXT: &[u8] = b"exit-validator/token/1\n";

/// How long an encapsulated key of X25519 is (RFC 9180, section 7.1).
const ENCAPSULATED: usize = 32;

/// How long a token's own number is: as much as a UUID has.
const ID: usize = 16;

/// How long a signature of Ed25519 is (RFC 8032).
const SIGNATURE: usize = 64;

/// The number in a token: nobody can guess it.
pub type TokenId = [u8; ID];

/// What is sealed: the same bytes sealed as one thing cannot be opened as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// The notices' memory.
    Memory,
    /// A request of a subscriber, which the function took.
    Request,
}

impl Sealed {
    /// HPKE's `info`.
    const fn info(self) -> &'static [u8] {
        match self {
            Self::Memory => b"exit-validator/sealed-notices/1",
            Self::Request => b"exit-validator/request/1",
        }
    }
}

/// What a token asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// To send mails to the address that the token was mailed to.
    Confirm,
    /// To send it none any more.
    Unsubscribe,
}

impl Act {
    const fn byte(self) -> u8 {
        match self {
            Self::Confirm => b'c',
            Self::Unsubscribe => b'u',
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Confirm, Self::Unsubscribe].into_iter().find(|act| act.byte() == byte)
    }
}

/// Why a text is no key. No text of it holds the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not 32 random bytes as base64; make one: head -c 32 /dev/urandom | base64")]
pub struct KeyError;

/// The keys.
pub struct NotifyKeys {
    private: <X25519HkdfSha256 as Kem>::PrivateKey,
    public: <X25519HkdfSha256 as Kem>::PublicKey,
    signing: SigningKey,
}

impl std::fmt::Debug for NotifyKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NotifyKeys({})", self.id())
    }
}

impl NotifyKeys {
    /// The keys that come of a secret: 32 bytes as base64.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn new(secret: &str) -> Result<Self, KeyError> {
        let secret = STANDARD.decode(secret.trim()).map_err(|_| KeyError)?;
        // All alike is what a person writes who fills in the form.
        if secret.len() != 32 || secret.iter().all(|byte| *byte == secret[0]) {
            return Err(KeyError);
        }
        let derive = Hkdf::<Sha256>::new(Some(SALT), &secret);
        let of = |name: &[u8]| {
            let mut key = [0; 32];
            derive.expand(name, &mut key).map(|()| key).map_err(|_| KeyError)
        };
        let (private, public) = X25519HkdfSha256::derive_keypair(&of(b"seal")?);
        Ok(Self { private, public, signing: SigningKey::from_bytes(&of(b"sign")?) })
    }

    /// The public key that is sealed to, as base64: a setting of the function.
    #[must_use]
    pub fn seal_key(&self) -> String {
        STANDARD.encode(self.public.to_bytes())
    }

    /// The public key that tokens are verified with, as base64: a setting of the function.
    #[must_use]
    pub fn verify_key(&self) -> String {
        STANDARD.encode(self.signing.verifying_key().as_bytes())
    }

    /// What the keys go by in what is sealed to them: 16 hexadecimal digits, which tell nothing else.
    #[must_use]
    pub fn id(&self) -> String {
        let digest = Sha256::digest(self.public.to_bytes());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Seals, for this host alone; `aad` must be said again to open it. `None` only where the library
    /// fails, which it has no reason to.
    pub(crate) fn seal(
        &self,
        what: Sealed,
        aad: &[u8],
        text: &[u8],
        random: &mut impl CryptoRng,
    ) -> Option<Vec<u8>> {
        let sealed = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &self.public,
            what.info(),
            text,
            aad,
            random,
        );
        let (encapsulated, mut text) = sealed.ok()?;
        let mut bytes = encapsulated.to_bytes().to_vec();
        bytes.append(&mut text);
        Some(bytes)
    }

    /// Opens what was sealed to this host; `None` where it was sealed to another, as something else, or
    /// has been changed.
    pub(crate) fn open(&self, what: Sealed, aad: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
        let (encapsulated, text) = bytes.split_at_checked(ENCAPSULATED)?;
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
        hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.private,
            &encapsulated,
            what.info(),
            text,
            aad,
        )
        .ok()
    }

    /// A token: what it asks for, its number, and our signature; 108 characters that a URL can hold.
    pub(crate) fn token(&self, act: Act, id: &TokenId) -> String {
        let signature = self.signing.sign(&signed(act, id));
        let mut bytes = vec![act.byte()];
        bytes.extend(id);
        bytes.extend(signature.to_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token of ours asks for; `None` of any other text.
    pub(crate) fn read_token(&self, text: &str) -> Option<(Act, TokenId)> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (act, rest) = bytes.split_first()?;
        let (id, signature) = rest.split_at_checked(ID)?;
        let (act, id) = (Act::of(*act)?, TokenId::try_from(id).ok()?);
        let signature: [u8; SIGNATURE] = signature.try_into().ok()?;
        let key: VerifyingKey = self.signing.verifying_key();
        key.verify_strict(&signed(act, &id), &Signature::from_bytes(&signature)).ok()?;
        Some((act, id))
    }
}

fn signed(act: Act, id: &TokenId) -> Vec<u8> {
    [TOKEN_CONTEXT, &[act.byte()], id].concat()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    /// A secret of tests: 0 to 31.
    pub(crate) const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    pub(crate) fn keys() -> NotifyKeys {
        NotifyKeys::new(SECRET).unwrap()
    }

    #[test]
    fn a_key_is_32_random_bytes_and_errors_do_not_show_it() {
        let zeroes = STANDARD.encode([0; 32]);
        for wrong in ["", "AAEC", "not base64 at all", &zeroes, &SECRET[1..], &format!("{SECRET}A")]
        {
            let error = NotifyKeys::new(wrong).unwrap_err().to_string();
            assert!(wrong.is_empty() || !error.contains(wrong), "{error}");
        }
        let keys = NotifyKeys::new(&format!(" {SECRET}\n")).unwrap();
        assert_eq!(format!("{keys:?}"), format!("NotifyKeys({})", keys.id()));
        assert_ne!(keys.seal_key(), keys.verify_key());
    }

    #[test]
    fn only_the_right_key_opens_and_only_as_what_it_was_sealed() {
        let (keys, mut random) = (keys(), StdRng::seed_from_u64(1));
        let other = NotifyKeys::new(&STANDARD.encode([[7; 16], [8; 16]].concat())).unwrap();
        let sealed = keys.seal(Sealed::Memory, b"aad", b"text", &mut random).unwrap();
        assert_eq!(keys.open(Sealed::Memory, b"aad", &sealed).as_deref(), Some(&b"text"[..]));
        assert_eq!(keys.open(Sealed::Request, b"aad", &sealed), None);
        assert_eq!(keys.open(Sealed::Memory, b"other", &sealed), None);
        assert_eq!(other.open(Sealed::Memory, b"aad", &sealed), None);
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(keys.open(Sealed::Memory, b"aad", &damaged), None, "{at}");
            assert_eq!(keys.open(Sealed::Memory, b"aad", &sealed[..at]), None, "{at}");
        }
        assert_ne!(keys.seal(Sealed::Memory, b"aad", b"text", &mut random).unwrap(), sealed);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_token_is_ours_or_none(id: TokenId, text in "[A-Za-z0-9_=-]{0,120}", at in 0..108_usize) {
            let keys = keys();
            for act in [Act::Confirm, Act::Unsubscribe] {
                let token = keys.token(act, &id);
                prop_assert_eq!(token.len(), 108);
                prop_assert_eq!(keys.read_token(&token), Some((act, id)));
                // One character less, more, or another.
                prop_assert_eq!(keys.read_token(&token[1..]), None);
                prop_assert_eq!(keys.read_token(&format!("{token}A")), None);
                let other = if &token[at..=at] == "A" { "B" } else { "A" };
                prop_assert_eq!(keys.read_token(&format!("{}{other}{}", &token[..at], &token[at + 1..])), None);
            }
            prop_assert_eq!(keys.read_token(&text), None);
        }
    }
}
