//! Files that appear whole or not at all.
//!
//! The bytes are written to a file beside the target, synced, and renamed over it, and the directory is
//! synced, so that a reader sees the old file or the new one and nothing else, even across a crash.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// How the names of unfinished files begin. A crash can leave one behind; readers skip them.
pub const TEMPORARY_PREFIX: &str = ".unfinished-";

/// Mode of the files written: readable by a web server under another user.
const MODE: u32 = 0o644;

/// Writes `bytes` to `path`, replacing what is there.
///
/// # Errors
///
/// Any error of creating, writing, syncing or renaming. `path` is then untouched and nothing is
/// left beside it.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, |file| file.write_all(bytes))
}

/// As [`replace`], but without waiting for the disk: every process sees the old file or the new one,
/// and a power cut before [`sync_file_system`] can leave any part of either. For many files that
/// are written again if that happens.
///
/// # Errors
///
/// As [`replace`].
pub fn place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = begin(directory_of(path))?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(Permissions::from_mode(MODE))?;
    file.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}

/// Waits until everything that was written to the file system of `directory`, by whomever, is on
/// the disk: once for many files. Linux tells of all errors since 5.8.
///
/// # Errors
///
/// Any error of writing.
pub fn sync_file_system(directory: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(directory)?)?)
}

/// As [`replace`], for what only its owner may read: mode 600.
///
/// # Errors
///
/// As [`replace`].
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = directory_of(path);
    // Temporary files are made private.
    let mut file = begin(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    sync_directory(directory)
}

/// Replaces `path` by what `write` writes into the file it is given: for content that is too large
/// to be held in memory.
///
/// # Errors
///
/// As [`replace`], and whatever `write` fails with.
pub fn replace_with<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let directory = directory_of(path);
    let mut file = begin(directory)?;
    write(file.as_file_mut())?;
    finish(&file)?;
    file.persist(path).map_err(|failed| failed.error)?;
    Ok(sync_directory(directory)?)
}

/// Writes `bytes` to `path`, which must not exist yet.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] where `path` exists, which is then untouched; otherwise as
/// [`replace`].
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create_with(path, |file| file.write_all(bytes))
}

/// Makes `path`, which must not exist yet, of what `write` writes into the file it is given. `write`
/// may read that back: the file appears only when it returns without an error.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] where `path` exists, which is then untouched; otherwise as
/// [`replace_with`].
pub fn create_with<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let directory = directory_of(path);
    let mut file = begin(directory)?;
    write(file.as_file_mut())?;
    finish(&file)?;
    file.persist_noclobber(path).map_err(|failed| failed.error)?;
    Ok(sync_directory(directory)?)
}

fn begin(directory: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(directory)
}

fn finish(file: &NamedTempFile) -> io::Result<()> {
    file.as_file().set_permissions(Permissions::from_mode(MODE))?;
    file.as_file().sync_all()
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Waits until the names in `directory` are on the disk.
///
/// # Errors
///
/// Any error of opening or writing.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn replace_swaps_the_whole_content_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latest.json");
        replace(&path, b"a long first content").unwrap();
        replace(&path, b"short").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
    }

    #[test]
    fn what_is_placed_is_whole_and_readable_by_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result.json");
        place(&path, b"a long first content").unwrap();
        place(&path, b"short").unwrap();
        sync_file_system(dir.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
    }

    #[test]
    fn what_is_private_is_never_readable_by_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.env");
        replace(&path, b"public").unwrap();
        replace_private(&path, b"secret").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn create_refuses_to_overwrite() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        create(&path, b"first").unwrap();
        let error = create(&path, b"second").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        let error = create_with(&path, |file| file.write_all(b"third")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_writer_that_fails_leaves_the_old_file_and_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("export.csv");
        replace_with(&path, |file| file.write_all(b"whole")).unwrap();
        let failed = replace_with(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("the source broke"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "the source broke");
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_does_not_exist_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing").join("x.json");
        assert_eq!(replace(&path, b"x").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
