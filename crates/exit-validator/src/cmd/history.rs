//! `exit-validator history`: looks into the history, exports it, shortens it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aggregate::cli::{self, HistoryArgs, HistoryCommand};
use aggregate::history::export::{self, ExportError};
use aggregate::history::rebuild::{self, RebuildError};
use aggregate::history::{History, HistoryError};
use aggregate::{job, summary};
use chrono::TimeDelta;
use clap::Args;
use record::Fingerprint;

use super::{Call, Verb, now};
use crate::exit::Exit;
use crate::terminal::{Ended, Failure, print, start_log};

pub(crate) const VERB: Verb = Verb {
    name: "history",
    link: None,
    arguments: |command| {
        HistoryArgs::augment_args(command).about("Look into the history, export it, or shorten it")
    },
    run: |call: &Call<'_>| {
        start_log(call.log, io::stderr);
        run(call.arguments())
    },
    exits: EXITS,
};

pub(crate) const EXITS: &[Exit] =
    &[Exit::Output, Exit::Input, Exit::Report, Exit::History, Exit::Damaged];

pub(crate) fn run(arguments: HistoryArgs) -> Ended {
    let path = arguments.history.unwrap_or_else(|| {
        let root = std::env::var_os("ANALYSIS_ROOT").filter(|root| !root.is_empty());
        analysis_root(root.map(PathBuf::from)).join(job::DEFAULT_HISTORY)
    });
    let open = || History::open_existing(&path).map_err(failure);
    match arguments.command {
        HistoryCommand::Rebuild { output_dir, dry_run } => {
            return make_again(&path, &output_dir, dry_run);
        }
        HistoryCommand::Export { parquet, to, csv: _ } => {
            export(&open()?, parquet, to.as_deref())?;
        }
        HistoryCommand::Relay { fingerprint } => story(&open()?, fingerprint)?,
        HistoryCommand::Prune { keep_days, dry_run } => {
            let mut history = open()?;
            if keep_days == 0 {
                print(b"all runs are kept\n")?;
                return Ok(Exit::Done);
            }
            let before = now() - TimeDelta::days(keep_days.into());
            let runs = if dry_run {
                history.runs_before(before).map_err(failure)?.to_string()
            } else {
                history.prune(before).map_err(failure)?.to_string()
            };
            let done = if dry_run { "would be forgotten" } else { "forgotten" };
            let day = before.format("%Y-%m-%d");
            print(format!("runs before {day} {done}: {runs}\n").as_bytes())?;
        }
    }
    Ok(Exit::Done)
}

/// Makes the history again from what was published.
fn make_again(path: &Path, directory: &Path, dry_run: bool) -> Ended {
    let mut doing = |step: &str| tracing::info!("{step}");
    let done = rebuild::run(path, directory, dry_run, &mut doing).map_err(|error| {
        let exit = match &error {
            RebuildError::Nothing { .. } => Exit::Input,
            RebuildError::Publish(_) | RebuildError::File { .. } => Exit::Report,
            RebuildError::History(_) => Exit::History,
        };
        Failure::new(exit, error)
    })?;
    print(summary::of_rebuilt(&done, dry_run).as_bytes())?;
    for what in &done.unusable {
        tracing::warn!("not used: {}", record::printable(what));
    }
    Ok(if done.unusable.is_empty() { Exit::Done } else { Exit::Damaged })
}

/// Where runs are.
pub(crate) fn analysis_root(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| job::default_root(&cli::output_directory()))
}

/// How the program ends for want of the history.
pub(crate) const fn exit_of(error: &HistoryError) -> Exit {
    match error {
        HistoryError::Newer { .. } | HistoryError::Older { .. } | HistoryError::Foreign { .. } => {
            Exit::Input
        }
        HistoryError::Sqlite { .. } | HistoryError::Full { .. } | HistoryError::Damaged { .. } => {
            Exit::History
        }
    }
}

fn failure(error: HistoryError) -> Failure {
    Failure::new(exit_of(&error), error)
}

fn export(history: &History, parquet: bool, to: Option<&Path>) -> Result<(), Failure> {
    let write = |to: &mut (dyn Write + Send)| {
        let mut to = io::BufWriter::new(to);
        if parquet {
            as_parquet(history, &mut to)?;
        } else {
            export::csv(history, &mut to)?;
        }
        to.flush()?;
        Ok::<(), ExportError>(())
    };
    let done = match to {
        Some(path) => shelf::atomic::replace_with(path, |file| write(file)),
        None => write(&mut io::stdout()),
    };
    match done {
        Ok(()) => Ok(()),
        // A reader that has seen enough, such as `head`, is no failure.
        Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(ExportError::History(error)) => Err(failure(error)),
        Err(error) => Err(Failure::new(Exit::Report, error)),
    }
}

#[cfg(feature = "parquet")]
fn as_parquet(history: &History, to: impl Write + Send) -> Result<(), ExportError> {
    export::parquet(history, to)
}

#[cfg(not(feature = "parquet"))]
fn as_parquet(_: &History, _: impl Write + Send) -> Result<(), ExportError> {
    let why = "this program was built without Parquet. Build it with: make build";
    Err(io::Error::other(why).into())
}

fn story(history: &History, fingerprint: Fingerprint) -> Result<(), Failure> {
    let story = history.story(fingerprint).map_err(failure)?.ok_or_else(|| {
        Failure::new(Exit::Input, format_args!("no run in the history has seen {fingerprint}"))
    })?;
    print(summary::of_story(&story).as_bytes())
}
