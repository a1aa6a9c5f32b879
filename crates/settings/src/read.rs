//! A configuration file from the disk: its bytes, and who may touch it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Largest file that is read, in bytes: a real one has a few thousand.
pub const LARGEST: u64 = 1 << 20;

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Who owns it, and who may do what.
    pub access: Access,
}

/// Who owns a file, and who may do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The owner's number.
    pub owner: u32,
    /// The permission bits.
    pub mode: u32,
}

/// Reads a file. What is not a regular file, a pipe for instance, is refused without waiting for it.
///
/// # Errors
///
/// What the system says, or that it is not a regular file, or larger than [`LARGEST`].
pub fn read(path: &Path) -> io::Result<ConfigFile> {
    // Without it, opening a pipe waits for somebody to write.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let bytes = bounded(&file)?;
    Ok(ConfigFile {
        bytes,
        access: Access { owner: metadata.uid(), mode: metadata.mode() & 0o7777 },
    })
}

fn bounded(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
        return Err(io::Error::other("it has more than 1 MiB, which no configuration has"));
    }
    Ok(bytes)
}
