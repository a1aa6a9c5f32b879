//! The memory's backup: sealed, so that it can lie in a store. Pure: bytes in and out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hpke::rand_core::CryptoRng;
use record::{FormatError, Kind, SealedNotices};

use crate::keys::{NotifyKeys, Sealed};

/// What is sealed is at least so long, and beyond that twice, four times and so on: 64 KiB. So the size of
/// a backup tells little of what is in it.
const SMALLEST: usize = 64 << 10;

/// How many bytes say how long the text is.
const LENGTH: usize = 8;

/// Why a backup cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is another file, cut, or of a newer version.
    #[error("{0}")]
    Format(#[from] FormatError),
    /// Sealed to another key.
    #[error(
        "it is sealed to another NOTIFY_KEY, which goes by {found}; the one that is set goes by {ours}"
    )]
    OtherKey {
        /// What the key goes by that it is sealed to.
        found: String,
        /// What ours goes by.
        ours: String,
    },
    /// Changed or cut.
    #[error("it is damaged: what it says is not what was sealed")]
    Damaged,
    /// The library failed.
    #[error("it cannot be sealed")]
    Seal,
}

/// What stands beside the ciphertext.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BackupOf<'a> {
    /// The id of the memory.
    pub(crate) memory: &'a str,
    /// How often it had been sealed before.
    pub(crate) generation: u64,
    /// When it is sealed.
    pub(crate) saved: DateTime<Utc>,
}

/// Seals a memory.
pub(crate) fn seal(
    keys: &NotifyKeys,
    of: BackupOf<'_>,
    text: &[u8],
    random: &mut impl CryptoRng,
) -> Result<Vec<u8>, BackupError> {
    let mut document = SealedNotices {
        format: Kind::SealedNotices.format(),
        key: keys.id(),
        memory: of.memory.to_owned(),
        generation: of.generation,
        saved: of.saved,
        sealed: String::new(),
    };
    let sealed = keys
        .seal(Sealed::Memory, &document.associated(), &padded(text), random)
        .ok_or(BackupError::Seal)?;
    document.sealed = STANDARD.encode(sealed);
    serde_json::to_vec(&document).map_err(|error| FormatError::from(error).into())
}

/// Opens what [`seal`] made.
pub(crate) fn open(keys: &NotifyKeys, bytes: &[u8]) -> Result<Vec<u8>, BackupError> {
    let document: SealedNotices = Kind::SealedNotices.parse(bytes)?;
    let ours = keys.id();
    if document.key != ours {
        let found = record::printable(&document.key).chars().take(32).collect();
        return Err(BackupError::OtherKey { found, ours });
    }
    let sealed = STANDARD.decode(&document.sealed).map_err(|_| BackupError::Damaged)?;
    let text = keys.open(Sealed::Memory, &document.associated(), &sealed);
    text.and_then(|text| unpadded(&text)).ok_or(BackupError::Damaged)
}

fn padded(text: &[u8]) -> Vec<u8> {
    let size = (text.len() + LENGTH).next_power_of_two().max(SMALLEST);
    let mut padded = Vec::with_capacity(size);
    padded.extend((text.len() as u64).to_le_bytes());
    padded.extend(text);
    padded.resize(size, 0);
    padded
}

fn unpadded(padded: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = padded.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    rest.get(..length).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::keys;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn sealed(text: &[u8]) -> Vec<u8> {
        let saved = DateTime::from_timestamp(1_795_953_600, 0).unwrap();
        let of = BackupOf { memory: "0123456789abcdef", generation: 7, saved };
        seal(&keys(), of, text, &mut StdRng::seed_from_u64(1)).unwrap()
    }

    #[test]
    fn its_size_tells_little() {
        let size = |length: usize| sealed(&vec![b'x'; length]).len();
        assert_eq!(size(0), size(60_000));
        assert_eq!(size(70_000), size(130_000));
        assert!(size(60_000) < size(70_000));
    }

    #[test]
    fn another_key_damage_and_newer_versions_are_told_apart() {
        let bytes = sealed(b"the memory");
        assert_eq!(open(&keys(), &bytes).unwrap(), b"the memory");
        let other = NotifyKeys::new(&STANDARD.encode([[3; 16], [4; 16]].concat())).unwrap();
        let said = |bytes: &[u8], keys: &NotifyKeys| open(keys, bytes).unwrap_err().to_string();
        let text = String::from_utf8(bytes.clone()).unwrap();
        // Nothing beside the ciphertext can be changed either.
        let older = text.replace("\"generation\":7", "\"generation\":8");
        let foreign = text.replace("0123456789abcdef", "fedcba9876543210");
        let cut = format!("{}\"}}", &text[..text.len() - "xxxx\"}".len()]);
        let newer = text.replace("\"version\":1", "\"version\":2");
        let mut said = vec![said(&bytes, &other), said(&bytes[..99], &keys()), said(b"", &keys())]
            .into_iter()
            .chain([older, foreign, cut, newer].map(|text| said(text.as_bytes(), &keys())))
            .collect::<Vec<_>>();
        said.dedup();
        insta::assert_snapshot!(said.join("\n"));
    }

    proptest! {
        #[test]
        fn what_is_padded_comes_back_and_nothing_else_does_harm(text: Vec<u8>, hostile: Vec<u8>) {
            prop_assert_eq!(unpadded(&padded(&text)), Some(text));
            prop_assert!(open(&keys(), &hostile).is_err());
            let _ = unpadded(&hostile);
        }
    }
}
