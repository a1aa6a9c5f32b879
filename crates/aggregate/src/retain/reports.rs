//! Dated reports: whole months that are past move into an archive. The order is what a reader
//! relies on: the archive is there and read back before `files.json` names it, and `files.json`
//! names no report any more before that is removed. Killed anywhere, every report is still a file
//! or in an archive that is whole, what `files.json` names is there, and the next run of this
//! program goes on.
//!
//! An archive that has been published never changes under its name either. Where reports of its
//! month turn up later, a new one holds them all, under the next number, and the old one goes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use record::{FileEntry, FileKind};
use rustix::fs::AtFlags;
use shelf::output::{self, LATEST_FILE, REPORT_LIMIT};
use shelf::read::{self, ReadError};

use super::archive::{self, ArchiveError, Contents, Member, MemberSource};
use super::choose::{self, Month};
use super::{Next, PartDone, RetainError, RetainOptions, RetainPart, count, shown};
use crate::previous::{self, PriorError};
use crate::publish::{self, Output, PublishError};

/// The output directory, as it was when the program began.
pub struct Public {
    directory: PathBuf,
    fd: OwnedFd,
    /// The time of the report that `latest.json` is; none where there is none, and why it cannot
    /// be told.
    latest: Result<Option<DateTime<Utc>>, String>,
    /// The time of the newest dated report.
    newest: Option<DateTime<Utc>>,
}

impl Public {
    /// None where there is no such directory: a host that only scans for another has no reports.
    pub fn look(directory: &Path) -> Result<Option<Self>, PublishError> {
        let failed = |source| PublishError::Directory { directory: directory.to_owned(), source };
        let fd = match read::open_directory(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            fd => fd.map_err(failed)?,
        };
        let names = read::names_in(&fd).map_err(failed)?;
        let newest = names.iter().filter_map(|name| output::of_dated_name(name)).max();
        let latest = match previous::read_head(&directory.join(LATEST_FILE)) {
            Ok(head) => Ok(Some(head.report.timestamp)),
            Err(PriorError::Missing) => Ok(None),
            Err(error) => Err(error.to_string()),
        };
        let newest = newest.map(|(time, _)| time);
        Ok(Some(Self { directory: directory.to_owned(), fd, latest, newest }))
    }

    /// When the last run ended that there is a report of.
    pub fn reported(&self) -> Result<Option<DateTime<Utc>>, RetainError> {
        match (self.newest, &self.latest) {
            (Some(newest), Ok(latest)) => Ok(Some(latest.map_or(newest, |time| time.max(newest)))),
            (Some(newest), Err(_)) => Ok(Some(newest)),
            (None, Ok(latest)) => Ok(*latest),
            (None, Err(what)) => Err(self.unknown(what, "every run is kept")),
        }
    }

    fn unknown(&self, what: &str, kept: &'static str) -> RetainError {
        RetainError::Latest { path: self.directory.join(LATEST_FILE), what: what.to_owned(), kept }
    }
}

pub fn run(
    options: &RetainOptions,
    public: Option<&Public>,
    output: Option<&Output>,
    now: DateTime<Utc>,
    doing: &mut Next<'_>,
) -> PartDone {
    let mut done = PartDone::new(RetainPart::Reports);
    if options.archive_after == 0 {
        "all stay files of their own".clone_into(&mut done.summary);
        return done;
    }
    let Some(public) = public else {
        done.summary = format!("there is no {}", shown(&options.output_directory));
        return done;
    };
    let mut part = Reports { public, output, done, moved: 0, months: 0, bytes: 0 };
    if let Err(error) = part.all(options, now, doing) {
        part.done.troubles.push(error);
    }
    let Reports { mut done, moved, months, bytes, .. } = part;
    let what =
        format!("{} of {}", count(moved, "report", "reports"), count(months, "month", "months"));
    done.summary = if options.dry_run {
        format!("{what} would be moved into archives, {bytes} bytes less what the archives take")
    } else {
        format!("{what} moved into archives, {bytes} bytes freed")
    };
    done
}

struct Reports<'a> {
    public: &'a Public,
    /// None where nothing is to be changed.
    output: Option<&'a Output>,
    done: PartDone,
    moved: usize,
    months: usize,
    bytes: u64,
}

impl Reports<'_> {
    fn all(
        &mut self,
        options: &RetainOptions,
        now: DateTime<Utc>,
        doing: &mut Next<'_>,
    ) -> Result<(), RetainError> {
        let public = self.public;
        let (mut files, unusable) = publish::list(&public.directory, &public.fd)?;
        for name in unusable {
            let path = public.directory.join(name);
            self.done.left.push(format!("{} is not what its name says", shown(&path)));
        }
        let names: Vec<String> = files.iter().map(|entry| entry.name.clone()).collect();
        let names = names.iter().map(String::as_str);
        let latest = public.latest.as_ref().ok().and_then(Option::as_ref);
        let needed: Vec<DateTime<Utc>> =
            latest.into_iter().chain(&public.newest).copied().collect();
        let months = choose::months(names, &needed, options.archive_after, now);
        if let (Err(what), false) = (&public.latest, months.is_empty()) {
            return Err(public.unknown(what, "no report is archived"));
        }
        for (month, held) in months {
            if let Err(error) = self.month(month, &held, &mut files, doing) {
                self.done.troubles.push(error);
            }
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.public.directory.join(name)
    }

    fn damaged(&self, name: &str, what: impl Into<String>) -> RetainError {
        RetainError::Damaged { path: self.path(name), what: what.into() }
    }

    fn month(
        &mut self,
        month: DateTime<Utc>,
        held: &Month,
        files: &mut Vec<FileEntry>,
        doing: &mut Next<'_>,
    ) -> Result<(), RetainError> {
        let archives = self.archives(month, held, files)?;
        let reports = self.reports(held, files)?;
        let union = self.union(&reports, &archives)?;
        let whole = archives.iter().rev().find(|(_, a)| a.members.len() == union.len());
        let next = held.archives.last().map_or(1, |(variant, _)| variant.saturating_add(1));
        let name = match whole {
            Some((name, _)) => name.clone(),
            None => output::archive_name(month, next, archive::END),
        };
        let superseded: Vec<(&str, u64)> = archives
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(other, contents)| (other.as_str(), contents.whole.size))
            .collect();

        let mut bytes: u64 = reports.values().map(|member| member.size).sum();
        bytes += superseded.iter().map(|(_, size)| size).sum::<u64>();
        let mut steps = vec![format!(
            "archive {} of {} in {} ({} bytes)",
            count(union.len(), "report", "reports"),
            month.format("%Y-%m"),
            shown(&self.path(&name)),
            union.values().map(|source| source.member.size).sum::<u64>(),
        )];
        if whole.is_some() {
            steps = vec![format!("{} has the reports already", shown(&self.path(&name)))];
        }
        let gone = reports.iter().map(|(name, member)| (name.as_str(), member.size));
        for (old, size) in gone.chain(superseded.iter().copied()) {
            steps.push(format!("remove {} ({size} bytes)", shown(&self.path(old))));
        }
        if let Some(output) = self.output {
            let member = match whole {
                Some((_, contents)) => contents.whole.clone(),
                None => {
                    let member = self.write(&name, month, &union, &archives, doing)?;
                    bytes = bytes.saturating_sub(member.size);
                    member
                }
            };
            files.retain(|entry| {
                entry.name != name
                    && !reports.contains_key(&entry.name)
                    && superseded.iter().all(|(old, _)| *old != entry.name)
            });
            files.push(FileEntry {
                name: name.clone(),
                kind: FileKind::Archive,
                size: member.size,
                sha256: member.sha256,
                timestamp: month,
                report: None,
            });
            publish::sort(files);
            doing("replace files.json");
            output.write_files(files.clone())?;
            self.remove(&reports, &superseded, doing)?;
        }
        self.done.steps.append(&mut steps);
        self.moved += reports.len();
        self.months += 1;
        self.bytes += bytes;
        Ok(())
    }

    /// The month's archives, all of them read.
    fn archives(
        &self,
        month: DateTime<Utc>,
        held: &Month,
        files: &[FileEntry],
    ) -> Result<Vec<(String, Contents)>, RetainError> {
        let mut archives = Vec::new();
        for (_, name) in &held.archives {
            let contents = match self.open(name).map(|file| archive::read(file, month))? {
                Ok(contents) => contents,
                Err(ArchiveError::Io(source)) => return Err(self.unreadable(name, source)),
                Err(error) => return Err(self.damaged(name, error.to_string())),
            };
            self.as_listed(name, &contents.whole, files)?;
            archives.push((name.clone(), contents));
        }
        Ok(archives)
    }

    fn open(&self, name: &str) -> Result<std::fs::File, RetainError> {
        read::open_in(&self.public.fd, OsStr::new(name)).map_err(|error| self.of_read(name, error))
    }

    fn unreadable(&self, name: &str, source: io::Error) -> RetainError {
        RetainError::Read { doing: "read", path: self.path(name), source }
    }

    fn of_read(&self, name: &str, error: ReadError) -> RetainError {
        match error {
            ReadError::Io(source) => self.unreadable(name, source),
            other => self.damaged(name, format!("cannot be read: {other}")),
        }
    }

    /// A file that is not what readers are told of it is damaged, whatever it looks like.
    fn as_listed(
        &self,
        name: &str,
        found: &Member,
        files: &[FileEntry],
    ) -> Result<(), RetainError> {
        let same = |entry: &FileEntry| entry.size == found.size && entry.sha256 == found.sha256;
        match files.iter().find(|entry| entry.name == name) {
            Some(entry) if !same(entry) => {
                Err(self.damaged(name, "has not the digest that files.json names"))
            }
            _ => Ok(()),
        }
    }

    /// The month's reports that are files.
    fn reports(
        &self,
        held: &Month,
        files: &[FileEntry],
    ) -> Result<BTreeMap<String, Member>, RetainError> {
        let mut reports = BTreeMap::new();
        for name in &held.reports {
            let member = self.member(name)?;
            self.as_listed(name, &member, files)?;
            reports.insert(name.clone(), member);
        }
        Ok(reports)
    }

    fn member(&self, name: &str) -> Result<Member, RetainError> {
        let bytes = read::file_in(&self.public.fd, OsStr::new(name), REPORT_LIMIT);
        Ok(Member::of(&bytes.map_err(|error| self.of_read(name, error))?))
    }

    /// All reports of the month, each from where it is had.
    fn union(
        &self,
        reports: &BTreeMap<String, Member>,
        archives: &[(String, Contents)],
    ) -> Result<BTreeMap<String, MemberSource>, RetainError> {
        let loose = |(name, member): (&String, &Member)| {
            (name.clone(), MemberSource { member: member.clone(), archive: None })
        };
        let mut union: BTreeMap<String, MemberSource> = reports.iter().map(loose).collect();
        for (place, (archive, contents)) in archives.iter().enumerate() {
            for (name, member) in &contents.members {
                let source = MemberSource { member: member.clone(), archive: Some(place) };
                let there = union.entry(name.clone()).or_insert(source);
                if there.member != *member {
                    let what = format!("holds {name} with other content than it has elsewhere");
                    return Err(self.damaged(archive, what));
                }
            }
        }
        Ok(union)
    }

    /// Writes the archive, which appears when it has been read back.
    fn write(
        &self,
        name: &str,
        month: DateTime<Utc>,
        union: &BTreeMap<String, MemberSource>,
        archives: &[(String, Contents)],
        doing: &mut Next<'_>,
    ) -> Result<Member, RetainError> {
        let opened = archives.iter().map(|(name, _)| self.open(name)).collect::<Result<_, _>>()?;
        let path = self.path(name);
        let mut written = None;
        doing(&format!("write {name}"));
        let done = shelf::atomic::create_with(&path, |file| {
            archive::write(file, union, &self.public.fd, opened)?;
            doing(&format!("read {name} back"));
            written = Some(archive::verify(file, month, union)?.whole);
            doing(&format!("give {name} its name"));
            Ok::<(), ArchiveError>(())
        });
        let failed =
            |source| RetainError::Write { doing: "write the archive", path: path.clone(), source };
        match (done, written) {
            (Ok(()), Some(member)) => Ok(member),
            (Ok(()), None) => Err(failed(io::Error::other("it was not read back"))),
            (Err(ArchiveError::Io(source)), _) => Err(failed(source)),
            (Err(error @ ArchiveError::Unlike(_)), _) => Err(failed(io::Error::other(error))),
            (Err(error @ ArchiveError::Changed { .. }), _) => {
                let ArchiveError::Changed { name } = &error else {
                    return Err(failed(io::Error::other(error)));
                };
                Err(self.damaged(name, error.to_string()))
            }
            (Err(error @ ArchiveError::Damaged(_)), _) => {
                Err(self.damaged(name, error.to_string()))
            }
        }
    }

    /// Removes what is in an archive now, and archives whose reports are in another.
    fn remove(
        &self,
        reports: &BTreeMap<String, Member>,
        superseded: &[(&str, u64)],
        doing: &mut Next<'_>,
    ) -> Result<(), RetainError> {
        let fd = &self.public.fd;
        let failed = |name: &str, source| RetainError::Write {
            doing: "remove",
            path: self.path(name),
            source,
        };
        for (name, member) in reports {
            // A last look, byte for byte: what is not in the archive is not removed.
            if self.member(name)? != *member {
                return Err(
                    self.damaged(name, ArchiveError::Changed { name: name.clone() }.to_string())
                );
            }
        }
        let names =
            reports.keys().map(String::as_str).chain(superseded.iter().map(|(name, _)| *name));
        for name in names {
            doing(&format!("remove {name}"));
            rustix::fs::unlinkat(fd, name, AtFlags::empty())
                .map_err(|errno| failed(name, errno.into()))?;
        }
        rustix::fs::fsync(fd).map_err(|errno| failed("", errno.into()))
    }
}
