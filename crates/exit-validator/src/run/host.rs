//! The real machine: does the stages of a run, keeps its log, and takes signals.

use std::ffi::OsStr;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use record::{FileKind, printable};
use settings::{LogArgs, LogFormat};
use shelf::run::{HANDED_OVER_FILE, PLAN_FILE};
use tokio::time::Instant;

use crate::exit::Exit;
use crate::run::heartbeat;
use crate::run::job::{Complete, Host, Level, Program, Reported, Stage, StageEnd, Status};
use crate::run::log::Log;
use crate::run::machine::{self, RunLock};
use crate::run::settings::JobSettings;
use crate::run::stage::{self, EndSignals, RunningStage};
use crate::terminal::Failure;

/// The largest mark that is read, in bytes: the name of a store.
const MARK_LIMIT: u64 = 256;

/// The machine that a run is on.
pub(crate) struct Machine {
    pub(crate) settings: JobSettings,
    pub(crate) log: Log,
    lock: RunLock,
    pub(crate) signals: EndSignals,
    pub(crate) stopped: Option<Exit>,
    started: Instant,
}

#[expect(clippy::disallowed_methods, reason = "the edge: the job takes the time from here")]
fn instant() -> Instant {
    Instant::now()
}

impl Machine {
    pub(crate) fn new(settings: JobSettings, log: Log, lock: RunLock, signals: EndSignals) -> Self {
        Self { settings, log, lock, signals, stopped: None, started: instant() }
    }

    /// Notes that a signal has come.
    pub(crate) fn stop(&mut self, exit: Exit, name: &str) {
        self.stopped = Some(exit);
        self.say(Level::Warn, &stopping(name));
    }

    async fn perform(&mut self, stage: Stage) -> std::io::Result<StageEnd> {
        let Stage { name, program, arguments, limit } = stage;
        let output = tempfile::tempfile_in(&self.settings.state_dir)?;
        let (mut command, _) =
            stage::command(&self.settings.program_dir, program, &self.settings.environment);
        let LogArgs { log_format, verbose } = self.settings.log;
        if log_format == LogFormat::Json {
            command.env("LOG_FORMAT", "json");
        }
        command.args(iter::repeat_n("-v", verbose.into())).args(arguments);
        let words = iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
        self.say(Level::Debug, &format!("{name}: {}", words.join(" ")));
        command
            .current_dir(&self.settings.state_dir)
            .stdout(output.try_clone()?)
            .stderr(self.log.for_child()?);
        self.lock.give(true)?;
        let started = RunningStage::start(command);
        self.lock.give(false)?;
        let running = started?;
        let (stopped, log) = (&mut self.stopped, &mut self.log);
        let status = running
            .end(limit, &mut self.signals, |exit, name| {
                *stopped = Some(exit);
                log.say(crate::cmd::now(), Level::Warn, &stopping(name));
            })
            .await?;
        let output = stage::output(output)?;
        for line in output.lines().filter(|line| !line.is_empty()) {
            self.say(Level::Info, &format!("{name}: {}", printable(line)));
        }
        Ok(StageEnd { status, output })
    }
}

fn stopping(signal: &str) -> String {
    format!("{signal}: ending what is under way")
}

impl Host for Machine {
    async fn stage(&mut self, stage: Stage) -> StageEnd {
        let nothing = |status| StageEnd { status, output: String::new() };
        if self.stopped.is_some() {
            return nothing(Status::Missing);
        }
        let name = stage.name;
        self.say(Level::Info, &format!("{name}: begins"));
        let begun = instant();
        let ended = match self.perform(stage).await {
            Ok(ended) => ended,
            Err(error) => {
                self.say(Level::Error, &format!("{name}: cannot be started: {error}"));
                nothing(Status::Missing)
            }
        };
        let took = begun.elapsed().as_secs();
        self.say(Level::Info, &format!("{name}: ended after {took} s with {}", ended.status));
        ended
    }

    async fn pause(&mut self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            (exit, name) = self.signals.next() => self.stop(exit, name),
        }
    }

    fn stopped(&self) -> Option<Exit> {
        self.stopped
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn now(&self) -> DateTime<Utc> {
        crate::cmd::now()
    }

    fn say(&mut self, level: Level, text: &str) {
        let now = self.now();
        self.log.say(now, level, text);
    }

    fn free_mb(&self) -> u64 {
        machine::free_mb(self.settings.places())
    }

    fn clock_trouble(&self) -> Option<String> {
        machine::clock_trouble(self.now(), &self.settings.output_dir)
    }

    fn complete_runs(&self) -> Vec<Complete> {
        let runs = aggregate::input::runs_in(&self.settings.analysis_root).unwrap_or_default();
        runs.into_iter()
            .filter(|found| found.run.complete && found.run.selection.is_whole())
            .map(|found| Complete {
                handed_to: handed_to(&found.path),
                directory: found.path,
                id: found.run.run_id,
                began: found.run.started,
                ended: found.run.ended,
                shard: found
                    .run
                    .shard
                    .filter(|shard| !shard.is_whole())
                    .map(|shard| shard.to_string()),
            })
            .collect()
    }

    fn reported(&self) -> Reported {
        let files = aggregate::publish::files_in(&self.settings.output_dir).unwrap_or_default();
        let reports = files.iter().filter(|file| file.kind == FileKind::Report);
        let mut reported = Reported::default();
        for file in reports {
            reported.newest = reported.newest.max(Some(file.timestamp));
            if let Some(report) = &file.report {
                // A report of several runs names them all.
                reported.runs.extend(report.run_id.split('+').map(str::to_owned));
            }
        }
        reported
    }

    async fn beat(&mut self, address: &str) -> Result<(), String> {
        tokio::select! {
            done = heartbeat::beat(address) => done,
            (exit, name) = self.signals.next() => {
                self.stop(exit, name);
                Err("a signal came".to_owned())
            }
        }
    }

    fn mark_handed_over(&mut self, directory: &Path, store: &str) {
        let mark = directory.join(HANDED_OVER_FILE);
        if let Err(error) = shelf::atomic::replace(&mark, store.as_bytes()) {
            let text =
                format!("cannot write {mark:?}: {error}; the next run hands this one over again");
            self.say(Level::Warn, &text);
        }
    }

    fn scans(&self) -> Vec<(PathBuf, Option<DateTime<Utc>>, bool)> {
        let entries = fs::read_dir(&self.settings.analysis_root).into_iter().flatten().flatten();
        let mut scans: Vec<PathBuf> = entries
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_str().and_then(|name| name.strip_prefix("scan_"));
                name.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            })
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect();
        scans.sort();
        scans
            .into_iter()
            .map(|path| {
                let plan = fs::metadata(path.join(PLAN_FILE)).and_then(|plan| plan.modified());
                let complete = aggregate::input::run_of(&path).is_some_and(|run| run.complete);
                (path, plan.ok().map(DateTime::from), complete)
            })
            .collect()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

/// The store that a run's mark names.
fn handed_to(run: &Path) -> Option<String> {
    let mark = shelf::read::file(&run.join(HANDED_OVER_FILE), MARK_LIMIT).ok()?;
    String::from_utf8(mark).ok()
}

/// Has the programs check the settings that only they can judge, and keeps the stores' names.
pub(crate) fn check_values(settings: &mut JobSettings) -> Result<(), Failure> {
    for program in [Program::Scan, Program::Report, Program::Upload, Program::Notify] {
        let (command, path) = stage::command(&settings.program_dir, program, &settings.environment);
        let asked = stage::ask(command, &["--check-settings".into()]);
        let (status, said, complained) = asked.map_err(|error| {
            let text = format!(
                "cannot start {path:?}: {error}. Build it (make build), or set PROGRAM_DIR to where \
                 the programs are"
            );
            Failure::saying(Exit::Program, &text)
        })?;
        if status != Status::Code(0) {
            let complained = complained.trim_end();
            let places = settings.places_of(complained);
            let text =
                format!("a setting is not valid; nothing was started:\n{complained}\n{places}");
            return Err(Failure::saying(Exit::Settings, text.trim_end()));
        }
        if program == Program::Upload {
            let is_name = |line: &&str| settings::is_target(line);
            settings.stores = said.lines().filter(is_name).map(str::to_owned).collect();
        }
    }
    Ok(())
}
