//! The machine under a run: directories that are ours, the lock, free space, the clock.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use chrono::{DateTime, Datelike as _, Utc};
use record::printable;
use rustix::fs::{Access, access, statvfs};

use crate::exit::Exit;
use crate::terminal::Failure;

fn failed(text: &str) -> Failure {
    Failure::saying(Exit::Place, text)
}

/// Makes the directories that are not there. `state` is the one with the lock.
pub(crate) fn prepare(state: &Path, others: [&Path; 3]) -> Result<(), Failure> {
    for directory in [state].iter().chain(&others) {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(|error| {
            failed(&format!(
                "cannot make the directory {directory:?}: {error}. Make it for this user, or set \
                 another in the configuration"
            ))
        })?;
        access(*directory, Access::WRITE_OK).map_err(|error| {
            failed(&format!("cannot write to the directory {directory:?}: {error}"))
        })?;
    }
    is_ours(state)
}

/// What this host is known by: its machine id (machine-id(5)), or else its name.
pub(crate) fn id() -> String {
    ["/etc/machine-id", "/proc/sys/kernel/hostname"]
        .into_iter()
        .find_map(|file| fs::read_to_string(file).ok())
        .unwrap_or_default()
}

/// Whether nobody but this user and root could put something else into a directory or in its place.
pub(crate) fn is_ours(state: &Path) -> Result<(), Failure> {
    let metadata = fs::metadata(state)
        .map_err(|error| failed(&format!("cannot look at the directory {state:?}: {error}")))?;
    let caller = rustix::process::geteuid().as_raw();
    if [0, caller].contains(&metadata.uid()) && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(failed(&format!(
        "others can write to {state:?} (STATE_DIR), or it is not this user's. The lock would not be \
         safe there: chmod go-w, or choose another"
    )))
}

/// The lock of the one run at a time. It goes with the last process that has it open, the stages'
/// programs included: no crash leaves it behind, and what goes on after a crash is not run into.
#[derive(Debug)]
pub(crate) struct RunLock(File);

/// What came of taking the lock.
#[derive(Debug)]
pub(crate) enum Taken {
    Ours(RunLock),
    /// Another run has it; in its words.
    Theirs(String),
}

impl RunLock {
    pub(crate) fn take(state: &Path, now: DateTime<Utc>) -> Result<Taken, Failure> {
        let path = state.join("run.lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options
            .open(&path)
            .map_err(|error| failed(&format!("cannot open the lock {path:?}: {error}")))?;
        match shelf::lock::take(&file) {
            Ok(true) => {}
            Ok(false) => {
                let mut holder = String::new();
                let _ = file.take(200).read_to_string(&mut holder);
                return Ok(Taken::Theirs(printable(holder.trim_end()).to_string()));
            }
            Err(error) => {
                return Err(failed(&format!(
                    "cannot take the lock {path:?}: {error}. STATE_DIR must be on a file system \
                     that has locks"
                )));
            }
        }
        let line = format!("pid {}, since {}\n", std::process::id(), now.format("%FT%TZ"));
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = file.write_all(line.as_bytes());
        Ok(Taken::Ours(Self(file)))
    }

    /// Lets the programs that are started from now on hold it too, or not.
    pub(crate) fn give(&self, given: bool) -> std::io::Result<()> {
        let flags = if given { rustix::io::FdFlags::empty() } else { rustix::io::FdFlags::CLOEXEC };
        Ok(rustix::io::fcntl_setfd(&self.0, flags)?)
    }
}

/// The least free space of these directories, or of what is to hold them, in megabytes.
pub(crate) fn free_mb<'a>(directories: impl IntoIterator<Item = &'a Path>) -> u64 {
    let free = directories.into_iter().filter_map(|directory| {
        let existing = directory.ancestors().find(|path| path.exists())?;
        let found = statvfs(existing).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize) >> 20)
    });
    free.min().unwrap_or(0)
}

/// What is wrong with the clock; nothing where it can be right.
pub(crate) fn clock_trouble(now: DateTime<Utc>, output_dir: &Path) -> Option<String> {
    let shown = now.format("%Y-%m-%d_%H-%M-%S");
    if now.year() < 2026 {
        return Some(format!("it shows {shown}, which is before this program was written"));
    }
    let names = fs::read_dir(output_dir).ok()?.flatten().filter_map(|entry| {
        shelf::output::of_dated_name(entry.file_name().to_str()?).map(|(time, _)| time)
    });
    let newest = names.max().filter(|newest| *newest > now)?;
    // A clock that is right now may have been wrong then.
    if is_synchronised() {
        return None;
    }
    let newest = newest.format("%Y-%m-%d_%H-%M-%S");
    Some(format!(
        "it shows {shown}, and there is a report of {newest}. Set the clock, or, if it is right, \
         move that report away"
    ))
}

/// Whether the system's own keeper of the clock trusts it.
fn is_synchronised() -> bool {
    let asked = Command::new("timedatectl")
        .args(["show", "-p", "NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    asked.is_ok_and(|output| output.stdout.trim_ascii() == b"yes")
}
