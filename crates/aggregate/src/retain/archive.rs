//! A month's reports as one archive: a gzipped ustar of the dated reports' files, sorted by name,
//! each with its report's time, user 0 and mode 0644, so that the same reports give the same
//! bytes. Written and read as streams. An archive that is found is somebody else's until all of it
//! has been read: nothing in it is believed before its checksums are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::fd::OwnedFd;

use chrono::{DateTime, Datelike as _, Utc};
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use shelf::output::{self, REPORT_LIMIT};
use shelf::read::{self, ReadError};

use crate::publish::hex;

/// How the names of the archives end that this program writes and reads.
pub const END: &str = "tar.gz";

/// The most reports in one archive: one a minute.
const MOST: usize = 45_000;

/// A file in an archive, or one that is to go there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 digest of its bytes, as in `files.json`.
    pub sha256: String,
}

impl Member {
    /// What these bytes are.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) }
    }
}

/// What an archive holds, all of it read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Its reports, by name.
    pub members: BTreeMap<String, Member>,
    /// The archive itself.
    pub whole: Member,
}

/// Why an archive cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is not a whole archive of one month's reports.
    #[error("is damaged, or no archive of this program: {0}")]
    Damaged(String),
    /// Read back from the disk, it is not what was written.
    #[error("was not written as it should be: {0}")]
    Unlike(String),
    /// A report that is to go into it is not the one that was looked at.
    #[error("has changed while it was archived")]
    Changed {
        /// The report.
        name: String,
    },
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Where a member comes from when an archive is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSource {
    /// What it is.
    pub member: Member,
    /// The place of the archive that has it; none for a file in the directory.
    pub archive: Option<usize>,
}

type Tar = tar::Archive<GzDecoder<BufReader<Counted>>>;

/// Counts and digests what is read of a file.
struct Counted {
    file: File,
    digest: Sha256,
    size: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.digest.update(&buffer[..length]);
        self.size += length as u64;
        Ok(length)
    }
}

fn open(file: File) -> Tar {
    let counted = Counted { file, digest: Sha256::new(), size: 0 };
    tar::Archive::new(GzDecoder::new(BufReader::with_capacity(1 << 16, counted)))
}

fn digest(from: &mut (impl Read + ?Sized)) -> io::Result<Member> {
    let (mut digest, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(Member { size, sha256: hex(&digest.finalize()) }),
            length => {
                digest.update(&buffer[..length]);
                size += length as u64;
            }
        }
    }
}

fn damaged(error: &io::Error) -> ArchiveError {
    ArchiveError::Damaged(error.to_string())
}

/// Reads all of an archive of this month's reports.
///
/// # Errors
///
/// [`ArchiveError::Damaged`], where anything in it is not a report of the month in its place, a
/// checksum is wrong, or it ends too early or too late.
pub fn read(file: File, month: DateTime<Utc>) -> Result<Contents, ArchiveError> {
    walk(file, month, |_, entry| digest(entry))
}

/// Calls `each` with the name and the bytes of every report in an archive of this month, in the
/// order of names, as long as it returns true. What is damaged is told after what comes before it.
///
/// # Errors
///
/// As [`read()`].
pub fn each(
    file: File,
    month: DateTime<Utc>,
    mut each: impl FnMut(String, Vec<u8>) -> bool,
) -> Result<(), ArchiveError> {
    walk(file, month, |name, entry| {
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let size = bytes.len() as u64;
        if each(name.to_owned(), bytes) {
            Ok(Member { size, sha256: String::new() })
        } else {
            Err(io::Error::other("not read on"))
        }
    })
    .map(drop)
}

/// The time and the variant of the first report in an archive, as far as its name can be read.
#[must_use]
pub fn first(file: File) -> Option<(DateTime<Utc>, u32)> {
    let mut archive = open(file);
    let entry = archive.entries().ok()?.next()?.ok()?;
    output::of_dated_name(&String::from_utf8_lossy(&entry.path_bytes()))
}

fn walk(
    file: File,
    month: DateTime<Utc>,
    mut take: impl FnMut(&str, &mut dyn Read) -> io::Result<Member>,
) -> Result<Contents, ArchiveError> {
    let mut members: BTreeMap<String, Member> = BTreeMap::new();
    let mut archive = open(file);
    // Raw: an extended header is an entry that no archive of ours has.
    for entry in archive.entries().map_err(|error| damaged(&error))?.raw(true) {
        let mut entry = entry.map_err(|error| damaged(&error))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let size = entry.size();
        let regular = entry.header().entry_type() == tar::EntryType::Regular;
        let of_month = output::of_dated_name(&name)
            .is_some_and(|(time, _)| (time.year(), time.month()) == (month.year(), month.month()));
        if !regular || !of_month || size > REPORT_LIMIT || members.len() == MOST {
            return Err(ArchiveError::Damaged(format!("{name:?} is no report of its month")));
        }
        if members.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(ArchiveError::Damaged(format!("{name} is not in its order")));
        }
        let member = take(&name, &mut entry).map_err(|error| damaged(&error))?;
        if member.size != size {
            return Err(ArchiveError::Damaged(format!("{name} is cut")));
        }
        members.insert(name, member);
    }
    if members.is_empty() {
        return Err(ArchiveError::Damaged("it is empty".to_owned()));
    }
    // To its end, where the checksum is; and nothing may follow that.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|error| damaged(&error))?;
    let mut file = rest.into_inner();
    if !file.fill_buf().map_err(|error| damaged(&error))?.is_empty() {
        return Err(ArchiveError::Damaged("something follows its end".to_owned()));
    }
    let Counted { digest, size, .. } = file.into_inner();
    Ok(Contents { members, whole: Member { size, sha256: hex(&digest.finalize()) } })
}

/// Writes an archive of these reports, which lie in `directory` or in `archives`, all of them read
/// before.
///
/// # Errors
///
/// [`ArchiveError`].
pub fn write(
    to: &mut File,
    reports: &BTreeMap<String, MemberSource>,
    directory: &OwnedFd,
    archives: Vec<File>,
) -> Result<(), ArchiveError> {
    let mut archives: Vec<Tar> = archives.into_iter().map(open).collect();
    let mut entries =
        archives.iter_mut().map(tar::Archive::entries).collect::<io::Result<Vec<_>>>()?;
    let gzip = GzEncoder::new(BufWriter::with_capacity(1 << 16, to), Compression::default());
    let mut archive = tar::Builder::new(gzip);
    for (name, source) in reports {
        let changed = || ArchiveError::Changed { name: name.clone() };
        let bytes = match source.archive {
            None => match read::file_in(directory, name.as_ref(), REPORT_LIMIT) {
                Ok(bytes) => bytes,
                Err(ReadError::Io(error)) => return Err(error.into()),
                Err(_) => return Err(changed()),
            },
            // They are sorted, as the reports are: each archive is read once.
            Some(place) => loop {
                let mut entry =
                    entries.get_mut(place).and_then(Iterator::next).ok_or_else(changed)??;
                if *entry.path_bytes() == *name.as_bytes() {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes)?;
                    break bytes;
                }
            },
        };
        if Member::of(&bytes) != source.member {
            return Err(changed());
        }
        let time = output::of_dated_name(name).map_or(0, |(time, _)| time.timestamp());
        let mut header = tar::Header::new_ustar();
        header.set_size(source.member.size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(u64::try_from(time).unwrap_or(0));
        header.set_entry_type(tar::EntryType::Regular);
        archive.append_data(&mut header, name, &*bytes)?;
    }
    archive.into_inner()?.finish()?.flush()?;
    Ok(())
}

/// Reads an archive that was just written back from the disk, and compares each report's digest.
///
/// # Errors
///
/// [`ArchiveError::Unlike`], where it does not hold exactly these.
pub fn verify(
    written: &File,
    month: DateTime<Utc>,
    reports: &BTreeMap<String, MemberSource>,
) -> Result<Contents, ArchiveError> {
    use std::io::Seek as _;
    written.sync_all()?;
    // What is synced need not be kept in memory: reading then tells of the disk. Only a hint.
    let _ = rustix::fs::fadvise(written, 0, None, rustix::fs::Advice::DontNeed);
    let mut again = written.try_clone()?;
    again.rewind()?;
    let contents = read(again, month).map_err(|error| ArchiveError::Unlike(error.to_string()))?;
    let same = contents.members.len() == reports.len()
        && reports.iter().all(|(name, source)| contents.members.get(name) == Some(&source.member));
    if same { Ok(contents) } else { Err(ArchiveError::Unlike("a report differs".to_owned())) }
}
