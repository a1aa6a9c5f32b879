//! Reading files that may be anything: bounded, never through a link unless the operator named
//! it, never waiting for a pipe. Knows nothing of what the files hold.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is a symbolic link.
    #[error("a symbolic link; nothing is read through links")]
    Link,
    /// It is a directory, a pipe, a socket or a device.
    #[error("not a regular file")]
    NotAFile,
    /// It is larger than `limit` bytes.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The most that is read.
        limit: u64,
    },
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for ReadError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => error,
            other => Self::other(other),
        }
    }
}

impl ReadError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Opens a directory; `path` itself may be a link.
///
/// # Errors
///
/// The system's error, also where it is not a directory.
pub fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Opens the directory `name` in `directory`; never through a link.
///
/// # Errors
///
/// The system's error, also where it is a link or no directory.
pub fn directory_in(directory: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
}

/// The names in a directory, sorted. Bytes that are no UTF-8 are replaced: such a name is none of
/// ours, and is not found again.
///
/// # Errors
///
/// The system's error.
pub fn names_in(directory: impl AsFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Opens the file `name` in `directory`, for reading piece by piece; never through a link.
///
/// # Errors
///
/// [`ReadError`], never [`ReadError::TooLarge`].
pub fn open_in(directory: impl AsFd, name: &OsStr) -> Result<File, ReadError> {
    // O_NONBLOCK: opening a pipe must not wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(descriptor) => {
            let file = File::from(descriptor);
            if file.metadata()?.is_file() { Ok(file) } else { Err(ReadError::NotAFile) }
        }
        Err(Errno::LOOP) => Err(ReadError::Link),
        Err(Errno::NXIO) => Err(ReadError::NotAFile),
        Err(errno) => Err(errno.into()),
    }
}

/// The bytes of the file `name` in `directory`, at most `limit` of them; never through a link.
///
/// # Errors
///
/// [`ReadError`].
pub fn file_in(directory: impl AsFd, name: &OsStr, limit: u64) -> Result<Vec<u8>, ReadError> {
    whole(open_in(directory, name)?, limit)
}

/// Opens the file at `path`, for reading piece by piece; never through a link.
///
/// # Errors
///
/// [`ReadError`], never [`ReadError::TooLarge`].
pub fn open(path: &Path) -> Result<File, ReadError> {
    open_in(CWD, path.as_os_str())
}

/// The bytes of the file at `path`, at most `limit` of them. `path` may be a link: the operator
/// named it.
///
/// # Errors
///
/// [`ReadError`], never [`ReadError::Link`].
pub fn file(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(descriptor) => whole(File::from(descriptor), limit),
        Err(Errno::NXIO) => Err(ReadError::NotAFile),
        Err(errno) => Err(errno.into()),
    }
}

fn whole(file: File, limit: u64) -> Result<Vec<u8>, ReadError> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(ReadError::NotAFile);
    }
    if metadata.len() > limit {
        return Err(ReadError::TooLarge { limit });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    // It may grow while it is read.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(ReadError::TooLarge { limit });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn links_pipes_directories_and_large_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "12345").unwrap();
        std::os::unix::fs::symlink("file", dir.path().join("link")).unwrap();
        fs::create_dir(dir.path().join("directory")).unwrap();
        rustix::fs::mknodat(
            CWD,
            dir.path().join("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        let fd = open_directory(dir.path()).unwrap();
        let read = |name: &str, limit| file_in(&fd, OsStr::new(name), limit);
        assert_eq!(read("file", 5).unwrap(), b"12345");
        assert!(matches!(read("file", 4), Err(ReadError::TooLarge { limit: 4 })));
        assert!(matches!(read("link", 5), Err(ReadError::Link)));
        for name in ["directory", "pipe", "socket"] {
            assert!(matches!(read(name, 5), Err(ReadError::NotAFile)), "{name}");
        }
        assert!(read("missing", 5).unwrap_err().is_not_found());
        assert_eq!(file(&dir.path().join("link"), 5).unwrap(), b"12345");
    }
}
