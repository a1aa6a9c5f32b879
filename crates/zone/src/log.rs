//! What is remembered of each query: a line of JSON, in files that are begun anew by day and by size, kept for
//! some days and never more than so many bytes (docs/formats/zone-log.md).
//!
//! Answering never waits for the disk: where lines come faster than they can be written, or the disk is
//! full, they are counted instead, and so are the queries of a flood.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::answer::{QuerySource, QueryTransport, Seen};

/// The file that is written.
pub(crate) const CURRENT: &str = "queries.jsonl";

/// What the names of the others begin with; a time and `.jsonl` follow.
pub(crate) const PREFIX: &str = "queries-";

/// Bytes of lines that wait to be written: some ten thousand lines.
const WAITING: usize = 4 << 20;

/// When so many wait, whoever writes is woken.
const MANY: usize = WAITING / 8;

/// How long a line may wait in memory for others.
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// A query, as a line of the log has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryLine {
    /// When it came.
    pub time: DateTime<Utc>,
    /// Who asked.
    pub address: IpAddr,
    /// From which port; none where another server's log does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How; none where another server's log does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<QueryTransport>,
    /// What, and how it was answered.
    #[serde(flatten)]
    pub seen: Seen,
}

/// Queries that have no line of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlogged {
    /// Until when.
    pub time: DateTime<Utc>,
    /// How many since the last such line: of networks that asked too much, or more than the disk took.
    pub unlogged: u64,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// For how many days.
    pub days: u16,
    /// Most bytes of all files together.
    pub bytes: u64,
}

impl Keep {
    /// Most bytes of one file: so many that what goes first is a small part.
    const fn file(self) -> u64 {
        self.bytes / 16
    }
}

/// The log as those who answer see it.
#[derive(Debug, Clone)]
pub struct QueryLog {
    lines: Option<Arc<LogEnd>>,
}

/// What those who answer and the one who writes share.
#[derive(Debug, Default)]
struct WaitingLines {
    /// Whole lines.
    bytes: Mutex<Vec<u8>>,
    /// Many wait, or nobody is left who answers.
    many: Condvar,
    ended: AtomicBool,
    unlogged: AtomicU64,
}

/// Says that nobody is left who answers when it goes.
#[derive(Debug)]
struct LogEnd(Arc<WaitingLines>);

impl Drop for LogEnd {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
        // With the lock, so that it does not come between the writer's look and its wait.
        drop(self.0.bytes.lock());
        self.0.many.notify_all();
    }
}

impl QueryLog {
    /// One that remembers nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self { lines: None }
    }

    /// Opens the directory's log, makes it where it is missing, and starts the thread that writes it. That
    /// ends when no log is left.
    ///
    /// # Errors
    ///
    /// Where the directory or the file cannot be made, read or written.
    pub fn open(
        directory: &Path,
        keep: Keep,
        clock: fn() -> DateTime<Utc>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let files = LogFiles::open(directory, keep, clock())?;
        let waiting = Arc::<WaitingLines>::default();
        let lines = Some(Arc::new(LogEnd(Arc::clone(&waiting))));
        let writer = std::thread::Builder::new()
            .name("zone-log".to_owned())
            .spawn(move || write(files, &waiting, clock))?;
        Ok((Self { lines }, writer))
    }

    /// Remembers a query.
    pub(crate) fn query(&self, time: DateTime<Utc>, from: QuerySource, port: u16, seen: Seen) {
        let Some(end) = &self.lines else { return };
        let waiting = &end.0;
        let QuerySource { address, transport } = from;
        let (port, transport) = (Some(port), Some(transport));
        let Ok(mut line) = serde_json::to_vec(&QueryLine { time, address, port, transport, seen })
        else {
            return self.count();
        };
        line.push(b'\n');
        let mut bytes = waiting.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = bytes.len();
        if before + line.len() > WAITING {
            drop(bytes);
            return self.count();
        }
        bytes.extend_from_slice(&line);
        drop(bytes);
        // Once, when there are so many: to wake somebody costs more than the line.
        if before < MANY && before + line.len() >= MANY {
            waiting.many.notify_one();
        }
    }

    /// Counts a query that is not worth a line.
    pub(crate) fn count(&self) {
        if let Some(end) = &self.lines {
            end.0.unlogged.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes what comes, until nobody is left who sends.
fn write(mut files: LogFiles, waiting: &WaitingLines, clock: fn() -> DateTime<Utc>) {
    let mut taken = Vec::new();
    loop {
        // What came before that was set is in what is taken now.
        let ended = waiting.ended.load(Ordering::Acquire);
        {
            let bytes = waiting.bytes.lock().unwrap_or_else(PoisonError::into_inner);
            let wait =
                |bytes: &mut Vec<u8>| bytes.len() < MANY && !waiting.ended.load(Ordering::Acquire);
            let waited = waiting.many.wait_timeout_while(bytes, FLUSH_AFTER, wait);
            let (mut bytes, _) = waited.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut *bytes, &mut taken);
        }
        let now = clock();
        for line in taken.split_inclusive(|byte| *byte == b'\n') {
            if let Err(error) = files.write(line, now) {
                waiting.unlogged.fetch_add(1, Ordering::Relaxed);
                files.complain(&error, now);
            }
        }
        taken.clear();
        tidy(&mut files, &waiting.unlogged, now);
        if ended {
            return;
        }
    }
}

/// Puts onto the disk what waits, and the count of what has no line.
fn tidy(files: &mut LogFiles, unlogged: &AtomicU64, now: DateTime<Utc>) {
    let count = unlogged.swap(0, Ordering::Relaxed);
    let counted = match count {
        0 => Ok(()),
        unlogged => serde_json::to_vec(&Unlogged { time: now, unlogged })
            .map_err(io::Error::from)
            .and_then(|line| files.write(&[&line[..], b"\n"].concat(), now)),
    };
    if counted.is_err() {
        unlogged.fetch_add(count, Ordering::Relaxed);
    }
    if let Err(error) = counted.and_then(|()| files.flush()) {
        files.complain(&error, now);
    }
}

/// A time as the names of files have it, so that they are in its order.
pub(crate) fn stamp(time: DateTime<Utc>) -> String {
    time.format("%Y%m%dT%H%M%S%.6fZ").to_string()
}

/// The files.
#[derive(Debug)]
struct LogFiles {
    directory: PathBuf,
    keep: Keep,
    file: BufWriter<File>,
    /// Bytes in the file.
    size: u64,
    /// The day of its lines.
    day: NaiveDate,
    complained: Option<DateTime<Utc>>,
}

impl LogFiles {
    fn open(directory: &Path, keep: Keep, now: DateTime<Utc>) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
        let path = directory.join(CURRENT);
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(&path)?;
        let size = file.seek(SeekFrom::End(0))?;
        let written = file.metadata()?.modified().map(DateTime::<Utc>::from).unwrap_or(now);
        let mut files = Self {
            directory: directory.to_owned(),
            keep,
            file: BufWriter::new(file),
            size,
            day: if size == 0 { now.date_naive() } else { written.date_naive() },
            complained: None,
        };
        files.end_the_line()?;
        files.remove_old(now)?;
        Ok(files)
    }

    /// Ends a line that somebody who was killed left half written.
    fn end_the_line(&mut self) -> io::Result<()> {
        if self.size == 0 {
            return Ok(());
        }
        let mut last = [0];
        self.file.get_mut().seek(SeekFrom::End(-1))?;
        self.file.get_mut().read_exact(&mut last)?;
        if last != [b'\n'] {
            self.file.write_all(b"\n")?;
            self.size += 1;
        }
        Ok(())
    }

    /// Writes a line, which has its end.
    fn write(&mut self, line: &[u8], now: DateTime<Utc>) -> io::Result<()> {
        let length = line.len() as u64;
        let full = self.size + length > self.keep.file();
        if self.size > 0 && (full || now.date_naive() != self.day) {
            self.begin_anew(now)?;
        }
        self.file.write_all(line)?;
        self.size += length;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Puts the file aside under the time at which it ends, and begins another.
    fn begin_anew(&mut self, now: DateTime<Utc>) -> io::Result<()> {
        self.file.flush()?;
        let aside = self.directory.join(format!("{PREFIX}{}.jsonl", stamp(now)));
        let current = self.directory.join(CURRENT);
        fs::rename(&current, aside)?;
        let file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(current)?;
        self.file = BufWriter::new(file);
        self.size = 0;
        self.day = now.date_naive();
        self.remove_old(now)
    }

    /// Removes what is older than is kept, and the oldest while there is too much.
    fn remove_old(&self, now: DateTime<Utc>) -> io::Result<()> {
        let mut aside: Vec<(String, u64)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(PREFIX) && name.ends_with(".jsonl") {
                aside.push((name, entry.metadata()?.len()));
            }
        }
        // Their names are in the order of time.
        aside.sort();
        let mut bytes: u64 = aside.iter().map(|(_, size)| size).sum();
        let oldest = now - TimeDelta::days(self.keep.days.into());
        let oldest = format!("{PREFIX}{}", stamp(oldest));
        for (name, size) in aside {
            // One file's room is for what is being written.
            if name >= oldest && bytes + self.keep.file() <= self.keep.bytes {
                break;
            }
            fs::remove_file(self.directory.join(name))?;
            bytes -= size;
        }
        Ok(())
    }

    /// Says that lines are lost: once a minute, as the log of a full disk would fill another.
    fn complain(&mut self, error: &io::Error, now: DateTime<Utc>) {
        let minute = TimeDelta::minutes(1);
        if self.complained.is_none_or(|last| (now - last).abs() >= minute) {
            self.complained = Some(now);
            tracing::error!(
                "queries are not logged: {error}; check disk space and rights of {:?}",
                self.directory
            );
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's beginning is any moment")]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600 + seconds, 0).unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn unlogged(seconds: i64) -> Unlogged {
        Unlogged { time: at(seconds), unlogged: 7 }
    }

    fn line(seconds: i64) -> Vec<u8> {
        [serde_json::to_vec(&unlogged(seconds)).unwrap(), b"\n".to_vec()].concat()
    }

    #[test]
    fn a_file_lasts_a_day_at_most_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep { days: 2, bytes: 1 << 20 };
        let day = 86_400;
        let mut files = LogFiles::open(&dir.path().join("log"), keep, at(0)).unwrap();
        for n in 0..6 {
            files.write(&line(n * day), at(n * day)).unwrap();
        }
        files.flush().unwrap();
        let directory = &files.directory;
        assert_eq!(
            names(directory),
            [
                "queries-20260104T000000.000000Z.jsonl",
                "queries-20260105T000000.000000Z.jsonl",
                "queries-20260106T000000.000000Z.jsonl",
                "queries.jsonl",
            ]
        );
    }

    #[test]
    fn they_never_have_more_bytes_than_they_may_and_the_newest_stay() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep { days: 30, bytes: 16 * 200 };
        let mut files = LogFiles::open(dir.path(), keep, at(0)).unwrap();
        for n in 0..500 {
            files.write(&line(n), at(n)).unwrap();
            files.flush().unwrap();
            let all = names(dir.path());
            let bytes: u64 =
                all.iter().map(|name| fs::metadata(dir.path().join(name)).unwrap().len()).sum();
            assert!(bytes <= keep.bytes, "{bytes}");
        }
        let last = fs::read_to_string(dir.path().join(CURRENT)).unwrap();
        let last: Unlogged = serde_json::from_str(last.lines().last().unwrap()).unwrap();
        assert_eq!(last, unlogged(499));
        assert!(names(dir.path()).len() > 10);
    }

    #[test]
    fn a_line_that_was_left_half_written_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep { days: 30, bytes: 1 << 20 };
        fs::write(dir.path().join(CURRENT), "{\"time\":\"20").unwrap();
        let now = Utc::now();
        let mut files = LogFiles::open(dir.path(), keep, now).unwrap();
        files.write(&line(1), now).unwrap();
        files.flush().unwrap();
        let text = fs::read_to_string(dir.path().join(CURRENT)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(serde_json::from_str::<Unlogged>(lines[1]).unwrap(), unlogged(1));
    }

    #[test]
    fn what_does_not_fit_is_counted_and_nobody_waits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (log, writer) =
            QueryLog::open(&path, Keep { days: 1, bytes: 1 << 30 }, Utc::now).unwrap();
        let from =
            QuerySource { address: IpAddr::from([192, 0, 2, 1]), transport: QueryTransport::Udp };
        let seen = Seen {
            name: Some("a.".repeat(100)),
            record_type: Some("A".to_owned()),
            flags: Vec::new(),
            edns: None,
            cookie: false,
            client_subnet: None,
            answer: Some("NOERROR".to_owned()),
            data: Some(true),
            truncated: false,
        };
        let sent = WAITING / 100;
        for _ in 0..sent {
            log.query(Utc::now(), from, 53, seen.clone());
        }
        drop(log);
        writer.join().unwrap();
        let text = fs::read_to_string(path.join(CURRENT)).unwrap();
        let (mut queries, mut unlogged) = (0, 0);
        for line in text.lines() {
            match serde_json::from_str::<Unlogged>(line) {
                Ok(line) => unlogged += line.unlogged,
                Err(_) => {
                    let _: QueryLine = serde_json::from_str(line).unwrap();
                    queries += 1;
                }
            }
        }
        assert_eq!(queries + unlogged, sent as u64, "none is lost without a word");
        assert!(queries >= (WAITING / 500) as u64, "{queries}");
    }
}
