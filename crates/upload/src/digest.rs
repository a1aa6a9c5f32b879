//! The digests by which a copy is known to be the same: MD5, which is what stores call an ETag,
//! and SHA-256, which is what the project's own lists and metadata name. Pure.

use std::fmt;

use md5::Md5;
use sha2::{Digest as _, Sha256};

/// Both digests of some bytes, and their number.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    /// How many bytes.
    pub size: u64,
    /// Their SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Their MD5.
    pub md5: [u8; 16],
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, SHA-256 {}", self.size, self.sha256)
    }
}

impl Digest {
    /// Of bytes in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The ETag of an object that was written in one piece and is not encrypted with a key of the
    /// customer's.
    #[must_use]
    pub fn etag(&self) -> String {
        hex(&self.md5)
    }
}

/// Takes bytes in as they come.
#[derive(Debug, Clone, Default)]
pub struct Hasher {
    size: u64,
    sha256: Sha256,
    md5: Md5,
}

impl Hasher {
    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.sha256.update(bytes);
        self.md5.update(bytes);
    }

    /// The digests of all of them.
    #[must_use]
    pub fn finish(self) -> Digest {
        let (sha256, md5) = (hex(&self.sha256.finalize()), self.md5.finalize().into());
        Digest { size: self.size, sha256, md5 }
    }
}

/// The ETag of an object that was written in these parts: the MD5 of the parts' MD5s, and how
/// many there were. S3, R2 and Spaces all do this.
#[must_use]
pub fn etag_of_parts(parts: &[[u8; 16]]) -> String {
    let mut all = Md5::new();
    for part in parts {
        all.update(part);
    }
    format!("{}-{}", hex(&all.finalize()), parts.len())
}

/// An ETag without its quotes.
#[must_use]
pub fn bare_etag(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}

/// Whether an ETag is an MD5, as far as its form tells.
#[must_use]
pub fn is_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a text is a SHA-256 as the project writes it.
#[must_use]
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.size, 3);
        assert_eq!(digest.etag(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(
            digest.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(is_sha256(&digest.sha256) && is_md5(&digest.etag()));
        assert!(!is_md5(&etag_of_parts(&[digest.md5])));
        assert_eq!(bare_etag("W/\"x\""), "x");
    }

    #[test]
    fn in_pieces_as_in_one() {
        let mut hasher = Hasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), Digest::of(b"abc"));
    }
}
