//! A run's directory as one compressed archive, and back. The same directory gives the same bytes.
//! What comes back is a stranger's: only files that a run has are taken, of bounded sizes, and
//! none by a path that the archive names.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use shelf::run::{PLAN_FILE, PLAN_LIMIT, RESULT_LIMIT, RESULTS_LIMIT, RUN_FILE, relay_of};

use crate::local;

/// The most that an archive may unpack to: 4 GiB.
const UNPACKED_LIMIT: u64 = 4 << 30;

/// How large a run's file of this name may be; `None` where a run has no such file.
fn limit(name: &str) -> Option<u64> {
    if name == PLAN_FILE {
        return Some(PLAN_LIMIT);
    }
    relay_of(name).map(|_| RESULT_LIMIT)
}

/// Writes the archive of a run's directory, without `run.json`.
///
/// # Errors
///
/// Of the system.
pub fn pack(directory: &Path, to: &mut File) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        if let Ok(name) = entry?.file_name().into_string()
            && limit(&name).is_some()
        {
            names.push(name);
        }
    }
    names.sort();
    let gzip = GzEncoder::new(BufWriter::new(to), Compression::default());
    let mut archive = tar::Builder::new(gzip);
    for name in names {
        let most = limit(&name).unwrap_or(0);
        let whole = local::whole(&directory.join(&name), most)
            .map_err(|error| io::Error::other(error.to_string()))?;
        let mut header = tar::Header::new_ustar();
        header.set_size(whole.digest.size);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        archive.append_data(&mut header, &name, &*whole.bytes)?;
    }
    archive.into_inner()?.finish()?.flush()
}

/// Why a run could not be placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The archive is not one of a run.
    #[error("{0}")]
    Malformed(String),
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Unpacks an archive into the directory `id` of `root`: whole, or not at all.
///
/// # Errors
///
/// [`PlaceError`].
pub fn place(root: &Path, id: &str, mut archive: File, run: &[u8]) -> Result<(), PlaceError> {
    archive.rewind()?;
    let unfinished =
        tempfile::Builder::new().prefix(shelf::atomic::TEMPORARY_PREFIX).tempdir_in(root)?;
    unpack(archive, unfinished.path())?;
    create(unfinished.path(), RUN_FILE)?.write_all(run)?;
    // Readable as directories that the scanner makes are.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(unfinished.path(), mode)?;
    // Once for all of its files.
    shelf::atomic::sync_file_system(unfinished.path())?;
    match fs::rename(unfinished.path(), root.join(id)) {
        Ok(()) => {
            // It has another name now: nothing is left to remove.
            let _ = unfinished.keep();
        }
        // Another pull was first.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    shelf::atomic::sync_directory(root)?;
    Ok(())
}

fn create(directory: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(directory.join(name))
}

fn unpack(archive: impl Read, directory: &Path) -> Result<(), PlaceError> {
    let malformed = |why: String| PlaceError::Malformed(format!("results.tar.gz: {why}"));
    let unreadable = |error: io::Error| malformed(error.to_string());
    let mut archive = tar::Archive::new(GzDecoder::new(archive).take(UNPACKED_LIMIT));
    // Raw: extended headers are entries that a run does not have.
    for (number, entry) in archive.entries().map_err(unreadable)?.raw(true).enumerate() {
        let mut entry = entry.map_err(unreadable)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let size = entry.size();
        let regular = entry.header().entry_type() == tar::EntryType::Regular;
        if number > RESULTS_LIMIT || !regular || limit(&name).is_none_or(|most| size > most) {
            return Err(malformed(format!("{name:?} is no file of a run")));
        }
        let mut file = match create(directory, &name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(malformed(format!("{name} is in it twice")));
            }
            file => file?,
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 != size {
            return Err(malformed(format!("{name} is cut")));
        }
        file.write_all(&bytes)?;
    }
    // To its end, where the checksum is.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(unreadable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = "dnshealth_0123456789ABCDEF0123456789ABCDEF01234567.json";

    fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> File {
        let mut archive =
            tar::Builder::new(GzEncoder::new(tempfile::tempfile().unwrap(), Compression::fast()));
        for (name, kind, bytes) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_mode(0o777);
            header.set_entry_type(*kind);
            if *kind == tar::EntryType::Symlink {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            archive.append(&header, *bytes).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    const ID: &str = "20261123T031530Z-0123abcd";

    #[test]
    fn there_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir(&from).unwrap();
        for name in [RESULT, "plan.json", "run.json", "tor.log"] {
            fs::write(from.join(name), name).unwrap();
        }
        let packed = || {
            let mut file = tempfile::tempfile().unwrap();
            pack(&from, &mut file).unwrap();
            file
        };
        let bytes = |mut file: File| {
            let mut bytes = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(bytes(packed()), bytes(packed()));
        place(dir.path(), ID, packed(), b"{}").unwrap();
        let mut names: Vec<_> = fs::read_dir(dir.path().join(ID))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [RESULT, "plan.json", "run.json"]);
        assert_eq!(fs::read_to_string(dir.path().join(ID).join(RESULT)).unwrap(), RESULT);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        // Again is no error, and changes nothing.
        place(dir.path(), ID, packed(), b"other").unwrap();
        assert_eq!(fs::read(dir.path().join(ID).join("run.json")).unwrap(), b"{}");
    }

    #[test]
    fn hostile_archives_leave_nothing() {
        use tar::EntryType::{Directory, Regular, Symlink, XHeader};
        let dir = tempfile::tempdir().unwrap();
        let large = vec![b' '; 1 << 21];
        let cases: [&[(&str, tar::EntryType, &[u8])]; 8] = [
            &[("../evil", Regular, b"x")],
            &[("/tmp/evil", Regular, b"x")],
            &[("run.json", Regular, b"x")],
            &[(RESULT, Symlink, b"")],
            &[(RESULT, Directory, b"")],
            &[(RESULT, Regular, b"x"), (RESULT, Regular, b"x")],
            &[(RESULT, Regular, &large)],
            &[("x", XHeader, b"20 path=../../../x\n")],
        ];
        for entries in cases {
            let placed = place(dir.path(), ID, archive(entries), b"{}");
            assert!(matches!(placed, Err(PlaceError::Malformed(_))), "{:?}", entries[0].0);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{:?}", entries[0].0);
        }
        let cut = archive(&[(RESULT, Regular, b"a result")]);
        cut.set_len(cut.metadata().unwrap().len() - 5).unwrap();
        assert!(matches!(place(dir.path(), ID, cut, b"{}"), Err(PlaceError::Malformed(_))));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
