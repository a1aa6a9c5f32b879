//! The key in a family's certificate (proposal 321; cert-spec, "Document structure" and "Types of
//! certificates"). Pure.
//!
//! Tor takes in no descriptor whose family certificates it has not verified (`routerparse.c`), so only
//! the key is taken out here: whose signature it is, of which relay, and until when it holds, tor has
//! seen to.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// Longest text of a certificate that is read. One has 188 characters.
pub(crate) const MAX_TEXT: usize = 2_000;

/// The type of a certificate by which a family's key signs a relay's identity.
const FAMILY_V_IDENTITY: u8 = 0x0c;

/// The type of an extension that holds the key which signed.
const SIGNED_WITH: u8 = 0x04;

/// What follows the extensions: an ed25519 signature.
const SIGNATURE: usize = 64;

/// The id of the family whose certificate has this base64 text; none where it is no such certificate.
pub(crate) fn id(text: &str) -> Option<String> {
    let key = key(&STANDARD.decode(text).ok()?)?;
    Some(format!("ed25519:{}", STANDARD_NO_PAD.encode(key)))
}

/// `version type expiration(4) key-type key(32) count`, then extensions, each `length(2) type flags
/// data`, then the signature.
fn key(certificate: &[u8]) -> Option<[u8; 32]> {
    let (&[1, FAMILY_V_IDENTITY, _, _, _, _, 1], rest) = certificate.split_first_chunk()? else {
        return None;
    };
    let (_, rest) = rest.split_first_chunk::<32>()?;
    let (&count, mut rest) = rest.split_first()?;
    let mut found = None;
    for _ in 0..count {
        let (&[high, low, kind, _], after) = rest.split_first_chunk()?;
        let (data, after) = after.split_at_checked(u16::from_be_bytes([high, low]).into())?;
        rest = after;
        if kind == SIGNED_WITH {
            found = Some(data.try_into().ok()?);
        }
    }
    (rest.len() == SIGNATURE).then_some(found?)
}

/// A certificate by this key, with a signature that nobody has made.
#[cfg(test)]
pub(crate) fn sample(key: [u8; 32]) -> Vec<u8> {
    let mut bytes = vec![1, FAMILY_V_IDENTITY, 0, 7, 0xa1, 0x20, 1];
    bytes.extend([0x11; 32]);
    bytes.extend([1, 0, 32, SIGNED_WITH, 0]);
    bytes.extend(key);
    bytes.extend([0x55; SIGNATURE]);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_key_is_the_extensions_and_not_the_relays() {
        assert_eq!(key(&sample([9; 32])), Some([9; 32]));
        let id = id(&STANDARD.encode(sample([9; 32]))).unwrap();
        assert_eq!(id, "ed25519:CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk");
    }

    #[test]
    fn what_is_no_family_certificate_has_no_key() {
        let sound = sample([9; 32]);
        // Another version, type or kind of key; no extension; one too long; none of this type.
        for (at, byte) in [(0, 2), (1, 4), (6, 2), (39, 0), (40, 0xff), (42, 5)] {
            let mut bytes = sound.clone();
            bytes[at] = byte;
            assert_eq!(key(&bytes), None, "byte {at}");
        }
        assert_eq!(id("no base64!"), None);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>, text: String, at in 0_usize..140, byte: u8) {
            let _ = key(&bytes);
            let _ = id(&text);
            let mut certificate = sample([9; 32]);
            certificate[at] = byte;
            let _ = key(&certificate);
        }

        #[test]
        fn a_part_of_a_certificate_has_no_key(length in 0_usize..140) {
            prop_assert_eq!(key(&sample([9; 32])[..length]), None);
        }
    }
}
