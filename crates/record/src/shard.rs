//! Splitting the exits over several hosts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::Fingerprint;

/// One of `of` equal parts of the exits, written `N/M` with N counted from 0.
///
/// A relay belongs to shard `h mod M`, where `h` is the first 8 bytes, as a big-endian number, of
/// the SHA-256 digest of its fingerprint written as 40 upper-case hexadecimal digits. The rule is
/// part of the published format: it is the same on every host and in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "String", extend("pattern" = "^[0-9]+/[0-9]+$")))]
pub struct Shard {
    index: u32,
    of: u32,
}

/// Text that is not a shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a shard is N/M with M at least 1 and N from 0 to M-1, for example 0/3")]
pub struct InvalidShard;

impl Shard {
    /// All exits: they are not split.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Whether this is all exits.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Shard `index` of `of`.
    ///
    /// # Errors
    ///
    /// [`InvalidShard`] unless `index < of`.
    pub const fn new(index: u32, of: u32) -> Result<Self, InvalidShard> {
        if index < of { Ok(Self { index, of }) } else { Err(InvalidShard) }
    }

    /// Which part, from 0.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many parts there are.
    #[must_use]
    pub const fn of(self) -> u32 {
        self.of
    }

    /// Whether this part holds the relay.
    #[must_use]
    pub fn holds(self, relay: &Fingerprint) -> bool {
        let digest = Sha256::digest(relay.to_string().as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(first) % u64::from(self.of) == u64::from(self.index)
    }
}

impl FromStr for Shard {
    type Err = InvalidShard;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten().ok_or(InvalidShard)
        };
        let (index, of) = text.split_once('/').ok_or(InvalidShard)?;
        Self::new(number(index)?, number(of)?)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_relay_is_in_exactly_one_shard(bytes: [u8; 20], of in 1_u32..20) {
            let relay = Fingerprint::from_bytes(bytes);
            let holders = (0..of).filter(|&index| Shard::new(index, of).unwrap().holds(&relay));
            prop_assert_eq!(holders.count(), 1);
        }
    }

    /// Computed with `printf %s FINGERPRINT | sha256sum`: the rule may never change.
    #[test]
    fn the_rule_is_fixed() {
        let shard_of_7 = |digit: &str| {
            let relay: Fingerprint = digit.repeat(40).parse().unwrap();
            (0..7).find(|&index| Shard::new(index, 7).unwrap().holds(&relay)).unwrap()
        };
        assert_eq!(["0", "1", "2", "a", "F"].map(shard_of_7), [4, 2, 5, 6, 5]);
    }

    #[test]
    fn refuses_what_is_not_one() {
        for text in
            ["3/3", "0/0", "x", "", "/", "1", "-1/2", "+1/2", "0/3/4", " 0/3", "0/99999999999"]
        {
            assert_eq!(text.parse::<Shard>(), Err(InvalidShard), "{text}");
        }
        assert_eq!("2/3".parse(), Shard::new(2, 3));
    }
}
