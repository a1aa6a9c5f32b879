//! `--check`: whether a store takes what `upload` will send it. Writes one probe object, reads it,
//! lists it and removes it.

use crate::digest::Digest;
use crate::err::{Cause, StoreError};
use crate::keys::PROBE_KEY;
use crate::local::Whole;
use crate::store::{Attributes, Condition, Store};

/// Largest probe that is read back.
const PROBE_LIMIT: u64 = 1 << 16;

/// What a store can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreCheck {
    /// It refuses to overwrite where it is asked to.
    pub conditional: bool,
    /// The probe is gone again: the key may remove objects, which only `prune` needs.
    pub removed: bool,
}

/// Tries a store out. `random` makes this probe unlike others.
///
/// # Errors
///
/// [`StoreError`], that says which right is missing.
pub async fn run(store: &Store, random: u128) -> Result<StoreCheck, StoreError> {
    let text = format!("upload --check at {}, {random:032x}\n", store.now().to_rfc3339());
    let probe = |text: String| {
        let bytes = text.into_bytes();
        let digest = Digest::of(&bytes);
        Whole { bytes: bytes.into(), digest }
    };
    let first = probe(text);
    // Private: it is nobody's but ours.
    let attributes = Attributes { timestamp: None, private: true };
    store.list("").await?;
    store.write(PROBE_KEY, &first, Condition::Always, attributes).await?;
    let read = store.get(PROBE_KEY, PROBE_LIMIT).await?;
    if read.is_none_or(|(read, _)| read.digest != first.digest) {
        return Err(StoreError::new("read the probe back", Cause::Unverified, ""));
    }
    if !store.list("").await?.contains_key(PROBE_KEY) {
        let detail = "the probe is not listed; this needs a store that lists what it holds";
        return Err(StoreError::new("list the probe", Cause::Unverified, detail));
    }
    let other = probe(format!("{random:032x}, again\n"));
    let conditional = match store.write(PROBE_KEY, &other, Condition::Absent, attributes).await {
        Ok(()) => false,
        Err(error) if error.cause == Cause::Changed => store.conditional(),
        Err(error) => return Err(error),
    };
    let removed = match store.delete(PROBE_KEY).await {
        Ok(()) => true,
        Err(error) if error.cause == Cause::Denied => false,
        Err(error) => return Err(error),
    };
    Ok(StoreCheck { conditional, removed })
}
