//! What is private and lies in a store all the same: sealed, so that only its host can read it.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::Format;

/// The memory of the notices, sealed by HPKE (RFC 9180) to the key of the host that it is of. Documented in
/// `docs/formats/store.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedNotices {
    /// Name and version of this format.
    pub format: Format,
    /// What the key goes by that it is sealed to.
    pub key: String,
    /// The id of the memory, which stays the same as long as it goes on.
    pub memory: String,
    /// How often it had been sealed before.
    pub generation: u64,
    /// When it was sealed.
    pub saved: DateTime<Utc>,
    /// The encapsulated key and the ciphertext, as base64.
    pub sealed: String,
}

impl SealedNotices {
    /// Everything that stands beside the ciphertext: nobody can change it without its being seen.
    #[must_use]
    pub fn associated(&self) -> Vec<u8> {
        let Self { format: Format { name, version }, key, memory, generation, saved, .. } = self;
        let saved = saved.to_rfc3339_opts(SecondsFormat::Nanos, true);
        format!("{name}\n{version}\n{key}\n{memory}\n{generation}\n{saved}").into_bytes()
    }
}
