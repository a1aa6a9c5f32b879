//! The analysis directory: one run's plan, results and end. The only part that writes there.

mod keep;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use record::{Fingerprint, FormatError, Kind, Plan, RelayResult, Run};
use serde::Serialize;
use shelf::run::{LOCK_FILE, PLAN_FILE, RESULTS_LOG_FILE, RUN_FILE, seems_result};

use keep::Disk;

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
        r#source: FormatError,
    },
    /// The file system said no.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        r#source: io::Error,
    },
}

impl ResultsError {
    /// Whether the file system is at fault, rather than the choice of directory.
    #[must_use]
    pub const fn is_io(&self) -> bool {
        matches!(self, Self::Io { .. })
    }

    fn unwritable(error: impl Into<io::Error>) -> Self {
        io_error("write", Path::new("a result"))(error.into())
    }
}

/// One run's directory, locked for this process.
#[derive(Debug)]
pub struct AnalysisDir {
    folder: Folder,
    /// Whether it was not there before.
    made: bool,
    _lock: File,
}

/// The directory itself, and its log while there is one.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    log: Option<File>,
}

impl Drop for AnalysisDir {
    /// A run that came to nothing, for instance because there is no tor, leaves no directory.
    fn drop(&mut self) {
        let path = self.path();
        if self.made && !path.join(PLAN_FILE).exists() {
            // One that holds anything else stays.
            let _ = fs::remove_file(path.join(LOCK_FILE));
            let _ = fs::remove_dir(path);
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
            if [PLAN_FILE, RUN_FILE, RESULTS_LOG_FILE].contains(&&*name) || seems_result(&name) {
                return Err(ResultsError::Occupied { dir: path.to_owned() });
            }
        }
        Ok(dir)
    }

    /// Locks the directory of an earlier run, puts its results in order if it was killed or the
    /// power went, and reads what is there.
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
        let mut dir = Self::lock(path)?;
        let plan: Plan = Kind::Plan
            .parse(&bytes)
            .map_err(|source| ResultsError::Unreadable { path: plan_path, source })?;
        let run = fs::read(path.join(RUN_FILE)).ok().and_then(|b| Kind::Run.parse(&b).ok());
        let results = keep::recover(&mut dir.folder, &plan)?;
        Ok((dir, Earlier { plan, run, results }))
    }

    fn lock(path: &Path) -> Result<Self, ResultsError> {
        let lock_path = path.join(LOCK_FILE);
        let lock = File::create(&lock_path).map_err(io_error("create", &lock_path))?;
        if !shelf::lock::take(&lock).map_err(io_error("lock", &lock_path))? {
            return Err(ResultsError::Busy { dir: path.to_owned() });
        }
        let folder = Folder { path: path.to_owned(), log: None };
        Ok(Self { folder, made: false, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder.path
    }

    /// Takes back that the run has ended, now that it goes on: a directory without the run's file
    /// holds a run that is under way.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn reopen_run(&self) -> Result<(), ResultsError> {
        let path = self.path().join(RUN_FILE);
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

    /// Writes these results, each in place of an earlier one of its relay. When this returns, no
    /// kill and no power cut takes them any more, as far as [`AnalysisDir::resume`] goes; their own
    /// files are safe once [`AnalysisDir::settle`] has returned.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn keep(&mut self, results: &[RelayResult]) -> Result<(), ResultsError> {
        keep::keep(&mut self.folder, results)
    }

    /// Waits until the files of all results are on the disk: when the scan ends.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn settle(&mut self) -> Result<(), ResultsError> {
        if self.folder.log.is_some() { keep::settle(&mut self.folder) } else { Ok(()) }
    }

    /// Writes how the scan ended, after [`AnalysisDir::settle`].
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn write_run(&self, run: &Run) -> Result<(), ResultsError> {
        self.write(RUN_FILE, run)
    }

    fn write(&self, name: &str, document: &impl Serialize) -> Result<(), ResultsError> {
        let path = self.path().join(name);
        let mut bytes = serde_json::to_vec_pretty(document)
            .map_err(|error| io_error("write", &path)(error.into()))?;
        bytes.push(b'\n');
        shelf::atomic::replace(&path, &bytes).map_err(io_error("write", &path))
    }
}

impl Folder {
    fn log_path(&self) -> PathBuf {
        self.path.join(RESULTS_LOG_FILE)
    }
}

impl Disk for Folder {
    fn append(&mut self, lines: &[u8]) -> Result<(), ResultsError> {
        let path = self.log_path();
        if self.log.is_none() {
            let log = File::options().append(true).create_new(true).open(&path);
            self.log = Some(log.map_err(io_error("create", &path))?);
            shelf::atomic::sync_directory(&self.path).map_err(io_error("sync", &self.path))?;
        }
        let log = self.log.as_mut();
        log.map_or(Ok(()), |log| log.write_all(lines)).map_err(io_error("write", &path))
    }

    fn sync_log(&mut self) -> Result<(), ResultsError> {
        let path = self.log_path();
        let synced = match &self.log {
            Some(log) => log.sync_data(),
            // One that an earlier part of the run left.
            None => File::open(&path)
                .and_then(|log| log.sync_all())
                .and_then(|()| shelf::atomic::sync_directory(&self.path)),
        };
        synced.map_err(io_error("sync", &path))
    }

    fn place(&mut self, name: &str, bytes: &[u8]) -> Result<(), ResultsError> {
        let path = self.path.join(name);
        shelf::atomic::place(&path, bytes).map_err(io_error("write", &path))
    }

    fn sync_all(&mut self) -> Result<(), ResultsError> {
        shelf::atomic::sync_file_system(&self.path).map_err(io_error("sync", &self.path))
    }

    fn remove_log(&mut self) -> Result<(), ResultsError> {
        let path = self.log_path();
        self.log = None;
        fs::remove_file(&path).map_err(io_error("remove", &path))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ResultsError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ResultsError {
    let path = path.to_owned();
    move |source| ResultsError::Io { doing, path, source }
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::DateTime;
    use record::{Mode, PlannedRelay, RelayInfo, Selection, Settings, Status, Timing};

    use super::*;

    /// How many relays the plan has.
    pub const RELAYS: u8 = 6;

    fn relay(number: u8) -> Fingerprint {
        Fingerprint::from_bytes([number; 20])
    }

    pub fn plan() -> Plan {
        Plan {
            format: Kind::Plan.format(),
            run_id: "run".to_owned(),
            started: DateTime::UNIX_EPOCH,
            mode: Mode::Wildcard,
            domain: "example.com".to_owned(),
            expected_ip: None,
            shard: None,
            selection: Selection {
                filter: record::RelayFilter::Exits,
                country: None,
                relays_in_consensus: 1,
                exits_in_consensus: 1,
                excluded: Vec::new(),
                on_request: 0,
                left_out: std::collections::BTreeMap::new(),
            },
            settings: Settings {
                build_delay: 1.0,
                delay_noise: 1.0,
                query_timeout: 1.0,
                circuit_timeout: 1.0,
                max_retries: 1,
                retry_delay: 1.0,
                max_in_flight: 1,
                max_per_first_hop: 1,
                confirm_rounds: 1,
                confirm_after: 1.0,
                first_hop: None,
            },
            consensus_valid_after: None,
            exit_dns_limit: None,
            relays: (0..RELAYS)
                .map(|number| PlannedRelay {
                    fingerprint: relay(number),
                    nickname: String::new(),
                    address: [192, 0, 2, number].into(),
                })
                .collect(),
        }
    }

    /// The `version`th result of all, for this relay.
    pub fn result(number: u8, version: u32) -> RelayResult {
        RelayResult {
            format: Kind::Result.format(),
            exit_fingerprint: relay(number),
            exit_nickname: "relay".to_owned(),
            exit_address: [192, 0, 2, number].into(),
            first_hop_fingerprint: None,
            query_domain: None,
            expected_ip: None,
            timestamp: DateTime::UNIX_EPOCH,
            run_id: "run".to_owned(),
            shard: None,
            mode: Mode::Wildcard,
            status: Status::Success,
            resolved_ip: None,
            latency_ms: None,
            error: None,
            error_code: None,
            attempt: version,
            blame: None,
            timing: Timing::default(),
            provisional: version.is_multiple_of(2),
            first: None,
            checks: None,
            ipv6: None,
            findings: Vec::new(),
            attempts: Vec::new(),
            relay: RelayInfo::default(),
        }
    }

    /// Which result it is.
    pub fn version(result: &RelayResult) -> u32 {
        result.attempt
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_run_from_its_plan_to_its_end_and_one_that_was_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mut held = AnalysisDir::create(dir.path()).unwrap();
        held.write_plan(&plan()).unwrap();
        held.settle().unwrap();
        held.keep(&[result(0, 1), result(1, 2), result(0, 3)]).unwrap();
        held.keep(&[result(2, 4)]).unwrap();
        let file = |number| shelf::run::result_name(&relay(number));
        assert_eq!(
            names(dir.path()),
            [
                LOCK_FILE.to_owned(),
                file(0),
                file(1),
                file(2),
                PLAN_FILE.into(),
                "results.log".into()
            ]
        );
        // Killed here: of what the disk tore, the log has it all; one line of it is torn as well.
        drop(held);
        fs::write(dir.path().join(file(0)), "").unwrap();
        fs::write(dir.path().join(file(1)), "{\"format\":").unwrap();
        fs::remove_file(dir.path().join(file(2))).unwrap();
        let log = dir.path().join(RESULTS_LOG_FILE);
        File::options().append(true).open(log).unwrap().write_all(b"{\"format\"\0\0").unwrap();
        assert!(matches!(AnalysisDir::create(dir.path()), Err(ResultsError::Occupied { .. })));
        for _ in 0..2 {
            let (mut held, earlier) = AnalysisDir::resume(dir.path()).unwrap();
            let left = [0, 1, 2].map(|number| version(&earlier.results[&relay(number)]));
            assert_eq!(left, [3, 2, 4]);
            assert_eq!(
                names(dir.path()),
                [LOCK_FILE.to_owned(), file(0), file(1), file(2), PLAN_FILE.into()]
            );
            held.keep(&[result(1, 2)]).unwrap();
            held.settle().unwrap();
        }
    }

    const INTO: &str = "EXIT_VALIDATOR_TEST_WRITES_INTO";

    #[test]
    #[ignore = "the process that a_kill_at_any_moment_takes_nothing_that_was_shown kills"]
    fn writes_until_it_is_killed() {
        let Some(path) = std::env::var_os(INTO) else { return };
        File::create(Path::new(&path).with_extension("up")).unwrap();
        let (mut dir, earlier) = AnalysisDir::resume(Path::new(&path)).unwrap();
        let mut number = earlier.results.values().map(version).max().unwrap_or(0);
        loop {
            let batch: Vec<RelayResult> = (0..=number % 5)
                .map(|more| {
                    number += 1;
                    result(u8::try_from((number + more) % u32::from(RELAYS)).unwrap(), number)
                })
                .collect();
            dir.keep(&batch).unwrap();
            if number.is_multiple_of(7) {
                dir.settle().unwrap();
            }
        }
    }

    #[test]
    fn a_kill_at_any_moment_takes_nothing_that_was_shown() {
        let root = tempfile::tempdir().unwrap();
        let (path, up) = (root.path().join("run"), root.path().join("run.up"));
        AnalysisDir::create(&path).unwrap().write_plan(&plan()).unwrap();
        let mut shown: HashMap<Fingerprint, u32> = HashMap::new();
        for round in 0..40 {
            let mut writer = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "results::tests::writes_until_it_is_killed", "--ignored"])
                .env(INTO, &path)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            while !up.exists() {
                assert!(writer.try_wait().unwrap().is_none(), "it writes until it is killed");
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            // Any moment will do, and each round has another.
            std::thread::sleep(std::time::Duration::from_micros(round * 1_709 % 20_000));
            writer.kill().unwrap();
            writer.wait().unwrap();
            fs::remove_file(&up).unwrap();
            for name in names(&path).iter().filter(|name| seems_result(name)) {
                let bytes = fs::read(path.join(name)).unwrap();
                let seen: RelayResult = Kind::Result.parse(&bytes).expect("a file is whole");
                let latest = shown.entry(seen.exit_fingerprint).or_default();
                assert!(version(&seen) >= *latest, "a file never goes back");
                *latest = version(&seen);
            }
            if round % 3 == 0 {
                let (_held, earlier) = AnalysisDir::resume(&path).unwrap();
                for (relay, number) in &shown {
                    assert!(version(&earlier.results[relay]) >= *number);
                }
                assert!(!path.join(RESULTS_LOG_FILE).exists());
            }
        }
        assert!(shown.values().any(|number| *number > 5), "something was written: {shown:?}");
    }

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
