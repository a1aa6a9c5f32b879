//! Reads a run's results, and the log of queries line by line, however long it is.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use chrono::{DateTime, Utc};
use record::{FormatError, Kind, RelayResult};
use shelf::read;
use shelf::run::{RESULT_LIMIT, RESULTS_LIMIT, relay_of};

use crate::log::{CURRENT, PREFIX, stamp};

/// Longest line: a name of 255 octets, each written with six characters, and the rest.
const LINE: u64 = 8 << 10;

/// Hands each result of an analysis directory to `each`, and returns what cannot be read, with the reason.
///
/// # Errors
///
/// Where the directory cannot be read.
pub fn run(directory: &Path, mut each: impl FnMut(RelayResult)) -> io::Result<Vec<String>> {
    let directory = read::open_directory(directory)?;
    let mut left_out = Vec::new();
    let names = read::names_in(&directory)?.into_iter().filter(|name| relay_of(name).is_some());
    for name in names.take(RESULTS_LIMIT) {
        let bytes = read::file_in(&directory, OsStr::new(&name), RESULT_LIMIT);
        let result = bytes.map_err(|error| error.to_string()).and_then(|bytes| {
            Kind::Result.parse(&bytes).map_err(|error: FormatError| error.to_string())
        });
        match result {
            Ok(result) => each(result),
            Err(error) => left_out.push(format!("{name}: {error}")),
        }
    }
    Ok(left_out)
}

/// Hands each line of a log to `each`: of a file, or of those in a directory that end after `since`, in
/// their order. The lines are as they stand there; longer ones than any of ours are left out.
///
/// # Errors
///
/// Where the directory or a file cannot be read. What was read before was handed over.
pub fn log(path: &Path, since: DateTime<Utc>, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut each = |line: Option<&[u8]>| {
        line.into_iter().for_each(&mut each);
        true
    };
    if !path.is_dir() {
        return lines(BufReader::new(fs::File::open(path)?), &mut each);
    }
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    let first = format!("{PREFIX}{}", stamp(since));
    names.retain(|name| name == CURRENT || name.starts_with(PREFIX) && *name >= first);
    // By time, and the one that is being written last.
    names.sort_unstable_by_key(|name| (name == CURRENT, name.clone()));
    for name in names {
        match read::open(&path.join(name)) {
            Ok(file) => lines(BufReader::new(file), &mut each)?,
            // It has been put aside, or removed, since the directory was read.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(())
}

/// Hands each line to `each`, with its end, until that has enough; nothing in the place of one that is too long.
pub(crate) fn lines(
    mut file: impl BufRead,
    each: &mut impl FnMut(Option<&[u8]>) -> bool,
) -> io::Result<()> {
    let mut line = Vec::new();
    let mut whole = true;
    loop {
        line.clear();
        if file.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let ended = line.last() == Some(&b'\n');
        let fits = ended || (line.len() as u64) < LINE;
        if whole && !each(fits.then_some(&line)) {
            return Ok(());
        }
        whole = ended;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_any_line_of_ours_is_left_out() {
        let mut read = Vec::new();
        let long = "x".repeat(20_000);
        let text = format!("one\n{long}\ntwo\n\nthree");
        lines(text.as_bytes(), &mut |line| {
            read.push(line.map(|line| String::from_utf8_lossy(line).into_owned()));
            read.len() < 5
        })
        .unwrap();
        let read: Vec<Option<&str>> = read.iter().map(Option::as_deref).collect();
        assert_eq!(read, [Some("one\n"), None, Some("two\n"), Some("\n"), Some("three")]);
    }

    #[test]
    fn the_files_of_a_directory_come_in_their_order_and_older_ones_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let since = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        for (name, text) in [
            ("queries.jsonl", "last\n"),
            ("queries-20260101T000001.000000Z.jsonl", "first\n"),
            ("queries-20251231T235959.999999Z.jsonl", "older\n"),
            ("notes.txt", "none\n"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let mut read = Vec::new();
        log(dir.path(), since, |line| read.extend_from_slice(line)).unwrap();
        assert_eq!(read, b"first\nlast\n");
        let mut read = Vec::new();
        log(&dir.path().join("notes.txt"), since, |line| read.extend_from_slice(line)).unwrap();
        assert_eq!(read, b"none\n");
    }
}
