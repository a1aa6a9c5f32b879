//! Analysis directories: old ones go. A directory is removed only when everything in it is what
//! the scanner writes. It gets a name first that nobody takes for a run, so that a kill in the
//! middle leaves no half of one; the next run of this program finishes it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use record::{FormatError, Kind, Plan};
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;
use shelf::read::{self, ReadError};
use shelf::run::{self, PLAN_FILE, PLAN_LIMIT, RUN_FILE};

use super::reports::Public;
use super::{Next, PartDone, RetainError, RetainOptions, RetainPart, choose, count, shown};
use crate::input::check;

/// How the names of directories begin that are being removed. Hidden ones are no runs to anybody.
const REMOVING: &str = ".removing-";

pub fn run(
    options: &RetainOptions,
    public: Option<&Public>,
    now: DateTime<Utc>,
    doing: &mut Next<'_>,
) -> PartDone {
    let mut part =
        RunsOnDisk { options, now, done: PartDone::new(RetainPart::Runs), removed: 0, bytes: 0 };
    let root = &options.root;
    match read::open_directory(root) {
        // Nothing has been scanned yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => {
            let path = root.clone();
            part.done.troubles.push(RetainError::Read { doing: "open", path, source });
        }
        Ok(fd) => part.all(&fd, public, doing),
    }
    let RunsOnDisk { mut done, removed, bytes, .. } = part;
    let directories = count(removed, "directory", "directories");
    done.summary = if options.dry_run {
        format!("{directories} would be removed, {bytes} bytes freed")
    } else {
        format!("{directories} removed, {bytes} bytes freed")
    };
    done
}

struct RunsOnDisk<'a> {
    options: &'a RetainOptions,
    now: DateTime<Utc>,
    done: PartDone,
    removed: usize,
    bytes: u64,
}

/// What a directory is.
enum SeenDirectory {
    Run(choose::RunOnDisk),
    /// A run that this program cannot judge, and why.
    Unknown(String),
    /// None of ours.
    Other,
}

impl RunsOnDisk<'_> {
    fn all(&mut self, root: &OwnedFd, public: Option<&Public>, doing: &mut Next<'_>) {
        let names = match read::names_in(root) {
            Ok(names) => names,
            Err(source) => {
                let path = self.options.root.clone();
                self.done.troubles.push(RetainError::Read { doing: "list", path, source });
                return;
            }
        };
        // What a kill interrupted comes first: it needs no decision any more.
        for name in &names {
            if self.is_left_over(root, name) {
                self.clear(root, name, name, doing);
            }
        }
        if self.options.keep_runs == 0 {
            return;
        }
        let mut found = Vec::new();
        for name in names.iter().filter(|name| !name.starts_with('.')) {
            match look(root, name) {
                Ok(SeenDirectory::Run(run)) => found.push(run),
                Ok(SeenDirectory::Unknown(why)) => self.leave(name, &why),
                Ok(SeenDirectory::Other) => {}
                Err(source) => self.trouble(name, source),
            }
        }
        let reported = match public.map_or(Ok(None), Public::reported) {
            Ok(reported) => reported,
            Err(error) => {
                self.done.troubles.push(error);
                return;
            }
        };
        for run in choose::runs(&found, self.options.keep_runs, reported, self.now) {
            self.remove(root, &run.name, doing);
        }
    }

    /// Whether a directory is what a kill left: of a removal, or of a run that was being fetched.
    fn is_left_over(&self, root: &OwnedFd, name: &str) -> bool {
        if name.starts_with(REMOVING) {
            return true;
        }
        // Fetching does not take a day.
        name.starts_with(shelf::atomic::TEMPORARY_PREFIX)
            && read::directory_in(root, OsStr::new(name))
                .and_then(|fd| Ok(rustix::fs::fstat(fd)?))
                .is_ok_and(|stat| self.now - modified(&stat) > TimeDelta::days(1))
    }

    fn leave(&mut self, name: &str, why: &str) {
        let path = self.options.root.join(name);
        self.done.left.push(format!("{} is left: {why}", shown(&path)));
    }

    fn trouble(&mut self, name: &str, source: io::Error) {
        let path = self.options.root.join(name);
        self.done.troubles.push(RetainError::Read { doing: "look into", path, source });
    }

    /// Removes a run, unless a scan writes there.
    fn remove(&mut self, root: &OwnedFd, name: &str, doing: &mut Next<'_>) {
        let held = read::directory_in(root, OsStr::new(name)).and_then(|fd| lock(&fd));
        let _lock = match held {
            Ok(ScanLock::Ours(lock)) => Some(lock),
            Ok(ScanLock::None) => None,
            Ok(ScanLock::Theirs) => {
                self.leave(name, "a scan is writing to it");
                return;
            }
            Err(source) => {
                self.trouble(name, source);
                return;
            }
        };
        if self.options.dry_run {
            self.clear(root, name, name, doing);
            return;
        }
        // Before it is renamed: what is not ours must stay where its owner put it.
        match Content::of(root, name) {
            Ok(content) if content.other.is_none() => {}
            Ok(content) => {
                self.leave(name, &content.why_not());
                return;
            }
            Err(source) => {
                self.trouble(name, source);
                return;
            }
        }
        let hidden = format!("{REMOVING}{name}");
        doing(&format!("rename {name} to {hidden}"));
        let renamed = rustix::fs::renameat(root, name, root, hidden.as_str())
            .and_then(|()| rustix::fs::fsync(root));
        if let Err(errno) = renamed {
            let (path, source) = (self.options.root.join(name), errno.into());
            self.done.troubles.push(RetainError::Write { doing: "rename", path, source });
            return;
        }
        self.clear(root, &hidden, name, doing);
    }

    /// Removes the directory `name`, which is told by the name `told`, where all in it is ours.
    fn clear(&mut self, root: &OwnedFd, name: &str, told: &str, doing: &mut Next<'_>) {
        let content = match Content::of(root, name) {
            Ok(content) => content,
            Err(source) => {
                self.trouble(name, source);
                return;
            }
        };
        if content.other.is_some() {
            self.leave(name, &content.why_not());
            return;
        }
        let path = self.options.root.join(told);
        if !self.options.dry_run {
            let unlink = |file: &String, doing: &mut Next<'_>| {
                doing(&format!("remove {name}/{file}"));
                rustix::fs::unlinkat(&content.fd, file.as_str(), AtFlags::empty())
            };
            let removed =
                content.files.iter().try_for_each(|file| unlink(file, doing)).and_then(|()| {
                    doing(&format!("remove the directory {name}"));
                    rustix::fs::unlinkat(root, name, AtFlags::REMOVEDIR)
                });
            if let Err(errno) = removed {
                let source = errno.into();
                self.done.troubles.push(RetainError::Write { doing: "remove", path, source });
                return;
            }
        }
        let files = count(content.files.len(), "file", "files");
        self.done.steps.push(format!("remove {} ({files}, {} bytes)", shown(&path), content.bytes));
        self.removed += 1;
        self.bytes += content.bytes;
    }
}

enum ScanLock {
    /// Held by this value: no scan begins here while it lives.
    Ours(OwnedFd),
    /// A scan holds it.
    Theirs,
    /// No scanner has ever written here.
    None,
}

fn lock(directory: &OwnedFd) -> io::Result<ScanLock> {
    let lock = match read::open_in(directory, OsStr::new(run::LOCK_FILE)) {
        Err(error) if error.is_not_found() => return Ok(ScanLock::None),
        lock => lock?.into(),
    };
    Ok(if shelf::lock::take(&lock)? { ScanLock::Ours(lock) } else { ScanLock::Theirs })
}

fn modified(stat: &Stat) -> DateTime<Utc> {
    DateTime::from_timestamp(stat.st_mtime, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn look(root: &OwnedFd, name: &str) -> io::Result<SeenDirectory> {
    let fd = match read::directory_in(root, OsStr::new(name)) {
        Ok(fd) => fd,
        // A file, a link, or gone.
        Err(error)
            if [Errno::NOTDIR, Errno::LOOP, Errno::NOENT]
                .iter()
                .any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) =>
        {
            return Ok(SeenDirectory::Other);
        }
        Err(error) => return Err(error),
    };
    let stat = rustix::fs::fstat(&fd)?;
    let modified = modified(&stat);
    let (complete, time) = match document::<record::Run>(&fd, RUN_FILE, Kind::Run) {
        Ok(Some(run)) => (run.complete, Some(run.ended)),
        Err(error) => return Ok(SeenDirectory::Unknown(error.to_string())),
        Ok(None) => match document::<Plan>(&fd, PLAN_FILE, Kind::Plan) {
            Ok(Some(plan)) => (false, Some(plan.started)),
            Err(error) => return Ok(SeenDirectory::Unknown(error.to_string())),
            Ok(None) => {
                if !read::names_in(&fd)?.iter().any(|name| run::relay_of(name).is_some()) {
                    return Ok(SeenDirectory::Other);
                }
                (false, None)
            }
        },
    };
    Ok(SeenDirectory::Run(choose::RunOnDisk {
        name: name.to_owned(),
        complete,
        time: time.filter(|time| check::is_date(*time)).unwrap_or(modified),
        modified,
        lockable: rustix::fs::statat(&fd, run::LOCK_FILE, AtFlags::SYMLINK_NOFOLLOW).is_ok(),
    }))
}

/// A plan or a run; `None` where it is missing or damaged, and an error where it is of a newer
/// version or cannot be read.
fn document<T: serde::de::DeserializeOwned>(
    directory: impl AsFd,
    file: &str,
    kind: Kind,
) -> Result<Option<T>, anyhow::Error> {
    let bytes = match read::file_in(directory, OsStr::new(file), PLAN_LIMIT) {
        Ok(bytes) => bytes,
        Err(error @ ReadError::Io(_)) if !error.is_not_found() => return Err(error.into()),
        Err(_) => return Ok(None),
    };
    match kind.parse(&bytes) {
        Ok(document) => Ok(Some(document)),
        Err(error @ FormatError::Version { .. }) => Err(error.into()),
        Err(FormatError::Json(_) | FormatError::Kind { .. }) => Ok(None),
    }
}

/// What is in a directory.
struct Content {
    fd: OwnedFd,
    files: Vec<String>,
    bytes: u64,
    /// The first entry that is not ours.
    other: Option<String>,
}

impl Content {
    fn of(root: &OwnedFd, name: &str) -> io::Result<Self> {
        let fd = read::directory_in(root, OsStr::new(name))?;
        let mut content = Self { fd, files: Vec::new(), bytes: 0, other: None };
        for file in read::names_in(&content.fd)? {
            let stat = rustix::fs::statat(&content.fd, file.as_str(), AtFlags::SYMLINK_NOFOLLOW);
            let regular = stat
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
            if !regular || !run::is_scans(&file) {
                content.other.get_or_insert(file);
                continue;
            }
            content.bytes += stat.map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0));
            content.files.push(file);
        }
        // The marks of a run last: what is half removed still shows what it was.
        content.files.sort_by_key(|file| run::relay_of(file).is_none());
        Ok(content)
    }

    fn why_not(&self) -> String {
        let other = self.other.as_deref().unwrap_or_default();
        format!("{} in it is not the scanner's", shown(Path::new(other)))
    }
}
