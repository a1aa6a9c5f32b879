//! The analysis directory: one run's plan, results and end. The only part that writes there.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use record::{
    Fingerprint, FormatError, Kind, PLAN_FILE, Plan, RUN_FILE, RelayResult, Run, result_file_name,
};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

/// Held locked while a scan writes, so that two scans cannot mix their results.
const LOCK_FILE: &str = ".scanner.lock";

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// It holds a run already.
    #[error(
        "{dir} already holds the results of a run: give another --analysis-dir, or --resume to go \
         on with an interrupted run"
    )]
    Occupied {
        /// The directory.
        dir: PathBuf,
    },
    /// There is nothing to resume.
    #[error("{dir} holds no run to resume: it has no {PLAN_FILE}")]
    NothingToResume {
        /// The directory.
        dir: PathBuf,
    },
    /// Another scan writes there.
    #[error("another scan is writing to {dir}; wait for it to end, or give another directory")]
    Busy {
        /// The directory.
        dir: PathBuf,
    },
    /// A file of the earlier part cannot be read as what it should be.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FormatError,
    },
    /// The file system said no.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl ResultsError {
    /// Whether the file system is at fault, rather than the choice of directory.
    #[must_use]
    pub const fn is_io(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}

/// One run's directory, locked for this process.
#[derive(Debug)]
pub struct AnalysisDir {
    path: PathBuf,
    /// Whether it was not there before.
    made: bool,
    _lock: File,
}

impl Drop for AnalysisDir {
    /// A run that came to nothing, for instance because there is no tor, leaves no directory.
    fn drop(&mut self) {
        if self.made && !self.path.join(PLAN_FILE).exists() {
            // One that holds anything else stays.
            let _ = fs::remove_file(self.path.join(LOCK_FILE));
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// What an interrupted run left.
#[derive(Debug)]
pub struct Earlier {
    /// What it set out to do.
    pub plan: Plan,
    /// How it ended, where it could still say so.
    pub run: Option<Run>,
    /// The results that could be read, provisional ones included.
    pub results: HashMap<Fingerprint, RelayResult>,
}

impl AnalysisDir {
    /// Makes the directory where it is missing, and locks it for a new run.
    ///
    /// # Errors
    ///
    /// [`ResultsError::Occupied`] where it holds a run, [`ResultsError::Busy`] where another
    /// scan writes there, otherwise what the file system says.
    pub fn create(path: &Path) -> Result<Self, ResultsError> {
        let made = !path.exists();
        fs::create_dir_all(path).map_err(io_error("create the directory", path))?;
        let mut dir = Self::lock(path)?;
        dir.made = made;
        for entry in fs::read_dir(path).map_err(io_error("list", path))? {
            let name = entry.map_err(io_error("list", path))?.file_name();
            let name = name.to_string_lossy();
            if name == PLAN_FILE || name == RUN_FILE || name.starts_with("dnshealth_") {
                return Err(ResultsError::Occupied { dir: path.to_owned() });
            }
        }
        Ok(dir)
    }

    /// Locks the directory of an earlier run, and reads what is there.
    ///
    /// # Errors
    ///
    /// [`ResultsError::NothingToResume`] without a plan, [`ResultsError::Unreadable`] where the
    /// plan is not one; otherwise as [`AnalysisDir::create`]. A result that cannot be read counts
    /// as missing: its relay is tested again.
    pub fn resume(path: &Path) -> Result<(Self, Earlier), ResultsError> {
        let plan_path = path.join(PLAN_FILE);
        let bytes = match fs::read(&plan_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ResultsError::NothingToResume { dir: path.to_owned() });
            }
            bytes => bytes.map_err(io_error("read", &plan_path))?,
        };
        let dir = Self::lock(path)?;
        let plan: Plan = Kind::Plan
            .parse(&bytes)
            .map_err(|source| ResultsError::Unreadable { path: plan_path, source })?;
        let run = fs::read(path.join(RUN_FILE)).ok().and_then(|b| Kind::Run.parse(&b).ok());
        let results = plan
            .relays
            .iter()
            .filter_map(|relay| {
                let file = path.join(result_file_name(&relay.fingerprint));
                let result: RelayResult = Kind::Result.parse(&fs::read(file).ok()?).ok()?;
                let ours =
                    result.run_id == plan.run_id && result.exit_fingerprint == relay.fingerprint;
                ours.then_some((relay.fingerprint, result))
            })
            .collect();
        Ok((dir, Earlier { plan, run, results }))
    }

    fn lock(path: &Path) -> Result<Self, ResultsError> {
        let lock_path = path.join(LOCK_FILE);
        let lock = File::create(&lock_path).map_err(io_error("create", &lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), made: false, _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(ResultsError::Busy { dir: path.to_owned() }),
            Err(error) => Err(io_error("lock", &lock_path)(error.into())),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes back that the run has ended, now that it goes on: a directory without the run's file
    /// holds a run that is under way.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn reopen_run(&self) -> Result<(), ResultsError> {
        let path = self.path.join(RUN_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Writes what the scan sets out to do.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn write_plan(&self, plan: &Plan) -> Result<(), ResultsError> {
        self.write(PLAN_FILE, plan)
    }

    /// Writes one relay's result, in place of an earlier one.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn write_result(&self, result: &RelayResult) -> Result<(), ResultsError> {
        self.write(&result_file_name(&result.exit_fingerprint), result)
    }

    /// Writes how the scan ended.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn write_run(&self, run: &Run) -> Result<(), ResultsError> {
        self.write(RUN_FILE, run)
    }

    fn write(&self, name: &str, document: &impl Serialize) -> Result<(), ResultsError> {
        let path = self.path.join(name);
        let mut bytes = serde_json::to_vec_pretty(document)
            .map_err(|error| io_error("write", &path)(error.into()))?;
        bytes.push(b'\n');
        atomic_file::replace(&path, &bytes).map_err(io_error("write", &path))
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ResultsError {
    let path = path.to_owned();
    move |source| ResultsError::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_holds_one_run_and_serves_one_scan() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let held = AnalysisDir::create(&path).unwrap();
        assert!(matches!(AnalysisDir::create(&path), Err(ResultsError::Busy { .. })));
        drop(held);
        assert!(!path.exists(), "nothing came of it");
        fs::create_dir_all(&path).unwrap();
        drop(AnalysisDir::create(&path).unwrap());
        assert!(path.exists(), "it was there before");
        assert!(matches!(AnalysisDir::resume(&path), Err(ResultsError::NothingToResume { .. })));
        fs::write(path.join("dnshealth_X.json"), "").unwrap();
        assert!(matches!(AnalysisDir::create(&path), Err(ResultsError::Occupied { .. })));
        fs::write(
            path.join(PLAN_FILE),
            "{\"format\":{\"name\":\"exit-validator/plan\",\"version\":2}}",
        )
        .unwrap();
        let error = AnalysisDir::resume(&path).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
    }
}
