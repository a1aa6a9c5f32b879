//! `exit-validator check`: whether a run could begin: configuration, directories, disk space, clock,
//! tor, zone, stores. Touches only tor's cache, and a probe object that is removed again.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use rustix::fs::{Access, access};

use super::run::ConfigArgs;
use super::{Call, Verb, now, runtime};
use crate::exit::Exit;
use crate::run::host::check_values;
use crate::run::job::{Program, Status};
use crate::run::machine;
use crate::run::settings::{Called, JobSettings};
use crate::run::stage::{self, EndSignals, RunningStage};
use crate::terminal::{Ended, Failure, print};

pub(crate) const VERB: Verb = Verb {
    name: "check",
    link: None,
    arguments: |command| {
        ConfigArgs::augment_args(command).about(
            "Check configuration, directories, disk, clock, tor, zone and stores before a run",
        )
    },
    run: |call: &Call<'_>| check(&call.arguments::<ConfigArgs>().called()?),
    exits: &[
        Exit::Settings,
        Exit::Program,
        Exit::Place,
        Exit::Disk,
        Exit::Clock,
        Exit::Output,
        Exit::NoTor,
        Exit::Zone,
        Exit::Stores,
        Exit::Hangup,
        Exit::Interrupted,
        Exit::Terminated,
    ],
};

/// How long tor, the zone or the stores may take.
const LIMIT: Duration = Duration::from_secs(600);

/// The lines of the check, and how it ends so far.
struct Checks {
    exit: Exit,
}

impl Checks {
    fn ok(what: &str, text: &str) -> Result<(), Failure> {
        print(format!("ok      {what:<14} {}\n", record::printable(text)).as_bytes())
    }

    fn failed(&mut self, exit: Exit, what: &str, text: &str) -> Result<(), Failure> {
        if self.exit == Exit::Done {
            self.exit = exit;
        }
        let mut lines = text.lines();
        let first = record::printable(lines.next().unwrap_or_default()).to_string();
        let mut shown = format!("FAILED  {what:<14} {first}\n");
        for line in lines {
            shown.push_str(&format!("                       {}\n", record::printable(line)));
        }
        print(shown.as_bytes())
    }
}

/// Checks everything, a line each.
pub(crate) fn check(called: &Called) -> Ended {
    let mut settings = JobSettings::read(called)?;
    check_values(&mut settings)?;
    let mut report = Checks { exit: Exit::Done };
    let file = settings.file.as_ref().map(|file| file.display().to_string());
    Checks::ok("configuration", &file.unwrap_or_else(|| "the environment alone".to_owned()))?;
    check_places(&settings, &mut report)?;
    match machine::clock_trouble(now(), &settings.output_dir) {
        Some(trouble) => report.failed(Exit::Clock, "clock", &trouble)?,
        None => Checks::ok("clock", &now().format("%Y-%m-%d %H:%M:%S UTC").to_string())?,
    }
    runtime()?.block_on(async {
        let mut signals = EndSignals::new().map_err(|error| Failure::new(Exit::Internal, error))?;
        let mut attempt = ProgramCheck { settings: &settings, signals: &mut signals };
        attempt.tor(&mut report).await?;
        attempt.zone(&mut report).await?;
        attempt.stores(&mut report).await
    })?;
    Ok(report.exit)
}

fn check_places(settings: &JobSettings, report: &mut Checks) -> Result<(), Failure> {
    for directory in [settings.state_dir.as_path()].into_iter().chain(settings.places()) {
        // The nearest one that exists: the others are made at the first run.
        let existing = directory.ancestors().find(|path| path.exists()).unwrap_or(directory);
        match access(existing, Access::WRITE_OK) {
            Ok(()) if existing.is_dir() => {
                Checks::ok("directory", &directory.to_string_lossy())?;
            }
            Ok(()) => {
                let text = format!("{existing:?} is in the way: it is not a directory");
                report.failed(Exit::Place, "directory", &text)?;
            }
            Err(error) => {
                let text = format!("cannot write to {existing:?}: {error}");
                report.failed(Exit::Place, "directory", &text)?;
            }
        }
        let (free, least) = (machine::free_mb([existing]), settings.min_free_mb);
        if free < least {
            let place = directory.display();
            let text = format!("{free} MB are free for {place}, and MIN_FREE_MB is {least}");
            report.failed(Exit::Disk, "disk space", &text)?;
        }
    }
    if settings.state_dir.is_dir()
        && let Err(failure) = machine::is_ours(&settings.state_dir)
    {
        report.failed(Exit::Place, "directory", &failure.to_string())?;
    }
    Ok(())
}

/// What needs a program of ours.
struct ProgramCheck<'a> {
    settings: &'a JobSettings,
    signals: &'a mut EndSignals,
}

impl ProgramCheck<'_> {
    async fn tor(&mut self, report: &mut Checks) -> Result<(), Failure> {
        let (well, said) = self.ask(Program::Scan, &["--dry-run"]).await?;
        if well {
            Checks::ok("tor", said.lines().last().unwrap_or_default())
        } else {
            report.failed(Exit::NoTor, "tor", &said)
        }
    }

    async fn zone(&mut self, report: &mut Checks) -> Result<(), Failure> {
        if !self.settings.zone_check {
            return Checks::ok("zone", "not asked, as ZONE_CHECK is false");
        }
        let (well, said) = self.ask(Program::Report, &["zone"]).await?;
        if well {
            Checks::ok("zone", said.lines().last().unwrap_or_default())
        } else {
            report.failed(Exit::Zone, "zone", &said)
        }
    }

    /// Each store by itself, so that each has its line.
    async fn stores(&mut self, report: &mut Checks) -> Result<(), Failure> {
        if self.settings.stores.is_empty() {
            return Checks::ok("stores", "none is enabled");
        }
        for store in &self.settings.stores {
            let (well, said) = self.ask(Program::Upload, &["--check", "--target", store]).await?;
            if well {
                Checks::ok("stores", said.lines().last().unwrap_or_default())?;
            } else {
                report.failed(Exit::Stores, "stores", &said)?;
            }
        }
        Ok(())
    }

    /// Asks a program; whether all is well, and what it says.
    async fn ask(&mut self, program: Program, words: &[&str]) -> Result<(bool, String), Failure> {
        let internal = |error: std::io::Error| Failure::new(Exit::Internal, error);
        let output = tempfile::tempfile().map_err(internal)?;
        let settings = self.settings;
        let (mut command, path) =
            stage::command(&settings.program_dir, program, &settings.environment);
        command.args(words.iter().map(OsString::from));
        command.stdout(output.try_clone().map_err(internal)?);
        command.stderr(output.try_clone().map_err(internal)?);
        let running = RunningStage::start(command).map_err(|error| {
            Failure::saying(Exit::Program, &format!("cannot start {path:?}: {error}"))
        })?;
        let mut stopped = None;
        let status = running
            .end(LIMIT, self.signals, |exit, _| stopped = Some(exit))
            .await
            .map_err(internal)?;
        if let Some(exit) = stopped {
            return Err(Failure::explained(exit));
        }
        let said = stage::output(output).map_err(internal)?.trim_end().to_owned();
        Ok((status == Status::Code(0), said))
    }
}
