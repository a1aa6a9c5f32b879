//! `exit-validator run`: the whole job, once, for cron, systemd or a person.

use std::env;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum as _};
use settings::LogFormat;
use tempfile::TempDir;

use super::{Call, Verb, now, runtime};
use crate::exit::Exit;
use crate::run::host::{Machine, check_values};
use crate::run::job::{Host as _, Job, JobPart, Level, RunOutcome};
use crate::run::log::{self, Log};
use crate::run::machine::{self, RunLock, Taken};
use crate::run::rehearsal::Rehearsal;
use crate::run::settings::{Called, JobSettings};
use crate::run::stage::EndSignals;
use crate::terminal::{Ended, Failure};

const AFTER_HELP: &str = "\
One run at a time: a second one says so and ends with success. Each run has its own log in LOG_DIR.
SIGTERM and SIGINT end what is under way in good order; what a scan has found is kept, and --only scan
continues it. Complete runs that no report holds are reported first, oldest first.

Examples:
  exit-validator run               scan, report, upload, and remove what is no longer kept
  exit-validator run --only scan   continue a scan that was not finished
  exit-validator run --dry-run     the whole job on a private Tor network, and stores on this machine";

pub(crate) const VERB: Verb = Verb {
    name: "run",
    link: None,
    arguments: |command| {
        RunArgs::augment_args(command)
            .about("Do the whole job once: scan, report, upload, retain")
            .after_help(AFTER_HELP)
    },
    run,
    exits: &[
        Exit::Settings,
        Exit::Program,
        Exit::Place,
        Exit::Disk,
        Exit::Clock,
        Exit::Output,
        Exit::Scan,
        Exit::NoTor,
        Exit::Incomplete,
        Exit::Results,
        Exit::ScanLimit,
        Exit::ReportFailed,
        Exit::Input,
        Exit::Report,
        Exit::History,
        Exit::ReportLimit,
        Exit::Held,
        Exit::Shards,
        Exit::Zone,
        Exit::Exports,
        Exit::Stores,
        Exit::Older,
        Exit::Late,
        Exit::Local,
        Exit::HandOver,
        Exit::Fetch,
        Exit::Notices,
        Exit::Told,
        Exit::Domains,
        Exit::Retain,
        Exit::RetainLimit,
        Exit::Untrue,
        Exit::NoLab,
        Exit::Hangup,
        Exit::Interrupted,
        Exit::Terminated,
    ],
};

/// Where the configuration is.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Read the settings from FILE [default: $CONFIG_FILE, config.env at the root of the checkout, or
    /// /etc/tor-exit-validator/config.env]
    ///
    /// What the environment sets overrides the file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The checkout that this is called from
    #[arg(long, value_name = "DIR", hide = true)]
    checkout: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// Do only PART of the job
    #[arg(long, value_name = "PART", value_enum)]
    only: Option<JobPart>,

    /// Begin up to SECONDS later, always by the same amount on one host; at once if SHARD is set
    ///
    /// So hosts that do not belong together do not all begin at once, and those that scan shards do.
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u16).range(1..=3600),
        conflicts_with_all = ["only", "check", "dry_run"]
    )]
    spread: Option<u16>,

    /// Rehearse the whole job on a private Tor network, with stores on this machine; nothing is left
    #[arg(long, conflicts_with_all = ["only", "check"])]
    dry_run: bool,

    /// Only check configuration, disk space, clock, tor, zone and stores, as the verb check does
    #[arg(long, conflicts_with = "only")]
    check: bool,
}

impl ConfigArgs {
    /// How the program was called.
    pub(crate) fn called(self) -> Result<Called, Failure> {
        let place = |result: io::Result<PathBuf>, what: &str| {
            result.map_err(|error| {
                Failure::saying(Exit::Internal, &format!("cannot find {what}: {error}"))
            })
        };
        let program = place(env::current_exe(), "this program's own file")?;
        Ok(Called {
            config: self.config,
            checkout: self.checkout,
            directory: place(env::current_dir(), "the working directory")?,
            environment: env::vars_os().collect(),
            program_dir: program.parent().map(PathBuf::from).unwrap_or_default(),
            ..Called::default()
        })
    }
}

fn run(call: &Call<'_>) -> Ended {
    let arguments: RunArgs = call.arguments();
    let called = Called {
        log_format: call.log_format_flag(),
        verbose: call.log.verbose,
        ..arguments.config.called()?
    };
    if arguments.check {
        return super::check::check(&called);
    }
    let mut settings = JobSettings::read(&called)?;
    let work = arguments.dry_run.then(TempDir::new).transpose().map_err(|error| {
        Failure::saying(Exit::Place, &format!("cannot make a temporary directory: {error}"))
    })?;
    if let Some(work) = &work {
        // The settings that stand in the file are the lab's to decide.
        settings = settings.elsewhere(&work.path().join("state"), &[]);
    } else {
        check_values(&mut settings)?;
    }
    if let Some(spread) = arguments.spread.filter(|_| settings.shard.is_none())
        && let Some(ended) = wait(delay(spread, &machine::id()))?
    {
        return Err(Failure::explained(ended));
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    machine::prepare(&settings.state_dir, settings.places())?;
    let log = settings.log;
    let lock = match RunLock::take(&settings.state_dir, now())? {
        Taken::Ours(lock) => lock,
        Taken::Theirs(holder) => {
            let text = format!("another run is under way ({holder}); nothing to do");
            say(log.log_format, Level::Info, &text);
            return Ok(Exit::Done);
        }
    };
    let shown = io::stderr().is_terminal() || work.is_some();
    let log = Log::open(&settings.log_dir, now(), log, shown).map_err(|error| {
        let place = &settings.log_dir;
        Failure::saying(Exit::Place, &format!("cannot write a log in {place:?}: {error}"))
    })?;
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let signals = EndSignals::new().map_err(|error| Failure::new(Exit::Internal, error))?;
        let mut machine = Machine::new(settings, log, lock, signals);
        let outcome = perform(&mut machine, arguments.only, work.as_ref()).await;
        Ok::<_, Failure>((machine, outcome))
    });
    let (machine, outcome) = done?;
    let (exit, format) = (outcome.exit, machine.settings.log.log_format);
    finish(machine, &outcome);
    if let Some(work) = work
        && exit != Exit::Done
    {
        let text = format!("what it left is in {}", work.keep().display());
        say(format, Level::Info, &text);
    }
    if exit == Exit::Done { Ok(exit) } else { Err(Failure::explained(exit)) }
}

/// How much later a host begins, of this many seconds at most.
fn delay(spread: u16, host: &str) -> Duration {
    let mut hasher = DefaultHasher::new();
    host.hash(&mut hasher);
    Duration::from_secs(hasher.finish() % u64::from(spread.max(1)))
}

/// Waits, unless a signal ends it: then with that signal's code.
fn wait(time: Duration) -> Result<Option<Exit>, Failure> {
    runtime()?.block_on(async {
        let mut signals = EndSignals::new().map_err(|error| Failure::new(Exit::Internal, error))?;
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(None),
            (exit, _) = signals.next() => Ok(Some(exit)),
        }
    })
}

async fn perform(
    machine: &mut Machine,
    only: Option<JobPart>,
    work: Option<&TempDir>,
) -> RunOutcome {
    let file = machine.settings.file.as_ref().map(|file| file.display().to_string());
    let file = file.unwrap_or_else(|| "no configuration file".to_owned());
    let state = machine.settings.state_dir.display();
    let part = only.and_then(|part| part.to_possible_value());
    let part = part.map(|part| format!("; only {}", part.get_name())).unwrap_or_default();
    let text = format!("a run of exit-validator: {file}; state in {state}{part}");
    machine.say(Level::Info, &text);
    let Some(work) = work else {
        let settings = machine.settings.clone();
        return Job::new(machine, &settings).run(only).await;
    };
    match Rehearsal::start(work.path(), machine).await {
        Ok(rehearsal) => {
            let settings = machine.settings.clone();
            let mut outcome = Job::new(machine, &settings).run(None).await;
            rehearsal.check(machine, &mut outcome);
            outcome
        }
        Err(trouble) => {
            machine.say(Level::Error, &trouble);
            let exit = machine.stopped.unwrap_or(Exit::NoLab);
            RunOutcome { exit, troubles: vec![trouble], ..RunOutcome::default() }
        }
    }
}

/// The last line of a run.
fn last_line(outcome: &RunOutcome, took: Duration) -> (Level, String) {
    let mut line = format!("after {}", in_words(took));
    if !outcome.figures.is_empty() {
        line.push_str(&format!("; {}", outcome.figures));
    }
    if !outcome.stores.is_empty() {
        line.push_str(&format!("; stores: {}", outcome.stores));
    }
    match outcome.exit {
        Exit::Done => (Level::Info, format!("done {line}")),
        Exit::Hangup | Exit::Interrupted | Exit::Terminated => {
            (Level::Warn, format!("ended by a signal {line}"))
        }
        exit => {
            for trouble in &outcome.troubles {
                line.push_str(&format!("; {trouble}"));
            }
            (Level::Error, format!("FAILED (exit code {}) {line}", exit.code()))
        }
    }
}

fn finish(mut machine: Machine, outcome: &RunOutcome) {
    let (level, line) = last_line(outcome, machine.uptime());
    machine.say(level, &line);
    // Cron mails what is on standard error: a run that went well has nothing to say.
    let heard = outcome.exit != Exit::Done || env::var_os("JOURNAL_STREAM").is_some();
    let path = machine.log.path().to_owned();
    let shown = machine.log.is_shown();
    machine.log.close();
    if heard && !shown {
        say(machine.settings.log.log_format, level, &format!("{line}; log: {}", path.display()));
    }
}

fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[expect(clippy::print_stderr, reason = "what cron mails, and a person reads")]
fn say(format: LogFormat, level: Level, text: &str) {
    match format {
        LogFormat::Text => eprintln!("run: {}", record::printable(text)),
        LogFormat::Json => eprint!("{}", log::line(now(), level, text, format)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_begin_at_different_times_and_one_always_at_the_same() {
        let of = |host: u32| delay(600, &format!("host{host}")).as_secs();
        let all: std::collections::BTreeSet<u64> = (0..100).map(of).collect();
        assert!(all.len() > 60 && all.iter().all(|seconds| *seconds < 600), "{all:?}");
        assert_eq!(of(1), of(1));
        assert_eq!(delay(1, "host"), Duration::ZERO);
    }

    #[test]
    fn the_last_line_says_how_it_ended() {
        let mut outcome = RunOutcome {
            figures: "DNS works at 8 of 8".to_owned(),
            stores: "do r2".to_owned(),
            ..RunOutcome::default()
        };
        let line = |outcome: &RunOutcome| last_line(outcome, Duration::from_secs(3725)).1;
        assert_eq!(line(&outcome), "done after 1 h 2 min; DNS works at 8 of 8; stores: do r2");
        outcome.exit = Exit::Held;
        outcome.troubles = vec!["report: the gate is closed".to_owned()];
        assert_eq!(
            line(&outcome),
            "FAILED (exit code 25) after 1 h 2 min; DNS works at 8 of 8; stores: do r2; report: the \
             gate is closed"
        );
        outcome.exit = Exit::Terminated;
        assert!(line(&outcome).starts_with("ended by a signal after"));
    }
}
