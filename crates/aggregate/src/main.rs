//! The program `aggregate`: reads its arguments, calls the library, and tells how it ended.

mod cli;
mod exit;

use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aggregate::history::export::{self, ExportError};
use aggregate::history::rebuild::{self, RebuildError};
use aggregate::history::{History, HistoryError};
use aggregate::job::{self, JobError, Machine, Outcome, Target};
use aggregate::publish::{self, Output, PublishError};
use aggregate::retain::{self, RetainError};
use aggregate::zone::Expectation;
use aggregate::{previous, read, summary};
use anyhow::{Context as _, anyhow};
use chrono::{DateTime, TimeDelta, Utc};
use record::{Fingerprint, Kind, Report};

use crate::cli::{Cli, Command, HistoryCommand, LogFormat, ReportArgs};
use crate::exit::Exit;

/// What went wrong, and how to end.
struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into() }
    }
}

fn main() -> ExitCode {
    let cli: Cli = settings::arguments::read();
    if cli.check_settings {
        // What the arguments say together is clap's to judge, and judged.
        settings::arguments::check_variables::<Cli>();
        return ExitCode::SUCCESS;
    }
    log(cli.log_format);
    let done = match cli.command {
        None => report(cli.report),
        Some(Command::History { history, command }) => look_back(history, command),
        Some(Command::Files { output_dir }) => list_files(&output_dir),
        Some(Command::Runs { of, analysis_root }) => list_runs(of.as_deref(), analysis_root),
        Some(Command::Zone { domain, expected_ip, zone_server }) => {
            ask_zone(&domain, expected_ip, zone_server)
        }
        Some(Command::Retain(arguments)) => keep(&arguments.options()),
        Some(Command::Summary { report, output_dir }) => {
            summarise(&report.unwrap_or_else(|| job::latest_in(&output_dir)))
        }
    };
    match done {
        Ok(exit) => exit.into(),
        // A reader that has seen enough, such as `head`, is no failure.
        Err(Failure { error, .. }) if is_broken_pipe(&error) => Exit::Published.into(),
        Err(Failure { exit, error }) => {
            tracing::error!("{}", told(&error));
            exit.into()
        }
    }
}

fn log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .from_env_lossy();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the program's edge: the library takes the time")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

#[expect(clippy::disallowed_methods, reason = "the program's edge: the library takes the number")]
fn random() -> u128 {
    rand::random()
}

fn report(arguments: ReportArgs) -> Result<Exit, Failure> {
    let quiet = arguments.quiet;
    let options = arguments.options();
    let machine = Machine { now: now(), random: random() };
    let Outcome { report, written, history } = job::run(&options, machine).map_err(|error| {
        let exit = match &error {
            JobError::NoRun { .. }
            | JobError::Input(_)
            | JobError::Merge(_)
            | JobError::Clash(_)
            | JobError::Previous { .. }
            | JobError::Publish(PublishError::Newer { .. }) => Exit::Input,
            JobError::Publish(_) => Exit::Write,
        };
        Failure::new(exit, error)
    })?;
    if options.target == Target::Print {
        let bytes = publish::json("the report", &report)
            .map_err(|error| Failure::new(Exit::Write, error))?;
        print(&bytes)?;
    } else if !quiet {
        print(summary::of_report(&report).as_bytes())?;
        if let Some(path) = written {
            print(format!("{}\n", record::printable(&path.to_string_lossy())).as_bytes())?;
        }
    }
    let metadata = &report.metadata;
    for reason in &metadata.publish.reasons {
        tracing::warn!("gate: {}: {}", reason.code, record::printable(&reason.message));
    }
    if metadata.rejected.total > 0 {
        tracing::warn!("{} files were not used", metadata.rejected.total);
        for file in &metadata.rejected.files {
            tracing::warn!(
                "not used: {}/{}: {}",
                record::printable(&file.input),
                record::printable(&file.file),
                record::printable(&file.detail)
            );
        }
    }
    Ok(match (metadata.publish.allowed, history) {
        // A closed gate opens by itself again; a history that cannot be kept needs a person.
        (_, Some(_)) => Exit::History,
        (false, None) => Exit::Held,
        (true, None) => Exit::Published,
    })
}

fn look_back(history: Option<PathBuf>, command: HistoryCommand) -> Result<Exit, Failure> {
    let path = history.unwrap_or_else(|| {
        let root = std::env::var_os("ANALYSIS_ROOT").filter(|root| !root.is_empty());
        analysis_root(root.map(PathBuf::from)).join(job::DEFAULT_HISTORY)
    });
    if let HistoryCommand::Rebuild { output_dir, dry_run } = command {
        return rebuild_history(&path, &output_dir, dry_run);
    }
    let mut history = History::open_existing(&path).map_err(of_history)?;
    match command {
        HistoryCommand::Rebuild { .. } => {}
        HistoryCommand::Export { parquet, to, csv: _ } => {
            export(&history, parquet, to.as_deref())?;
        }
        HistoryCommand::Relay { fingerprint } => story(&history, fingerprint)?,
        HistoryCommand::Prune { keep_days, dry_run } => {
            if keep_days == 0 {
                print(b"all runs are kept\n")?;
                return Ok(Exit::Published);
            }
            let before = now() - TimeDelta::days(keep_days.into());
            let runs = if dry_run {
                history.runs_before(before).map_err(of_history)?.to_string()
            } else {
                history.prune(before).map_err(of_history)?.to_string()
            };
            let done = if dry_run { "would be forgotten" } else { "forgotten" };
            let day = before.format("%Y-%m-%d");
            print(format!("runs before {day} {done}: {runs}\n").as_bytes())?;
        }
    }
    Ok(Exit::Published)
}

fn rebuild_history(path: &Path, directory: &Path, dry_run: bool) -> Result<Exit, Failure> {
    let mut doing = |step: &str| tracing::info!("{step}");
    let done = rebuild::run(path, directory, dry_run, &mut doing).map_err(|error| {
        let exit = match &error {
            RebuildError::Nothing { .. } => Exit::Input,
            RebuildError::Publish(_) | RebuildError::File { .. } => Exit::Write,
            RebuildError::History(_) => Exit::History,
        };
        Failure::new(exit, error)
    })?;
    print(summary::of_rebuilt(&done, dry_run).as_bytes())?;
    for what in &done.unusable {
        tracing::warn!("not used: {}", record::printable(what));
    }
    Ok(if done.unusable.is_empty() { Exit::Published } else { Exit::Damaged })
}

fn analysis_root(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| job::default_root(&cli::output_directory()))
}

fn ask_zone(domain: &str, expected: IpAddr, server: Option<SocketAddr>) -> Result<Exit, Failure> {
    let check = job::ask_zone(server, domain, Expectation::Address(expected), random());
    if let Some(error) = check.error {
        let error = anyhow!("the zone {domain} is not well: {error}");
        return Err(Failure::new(Exit::Input, error));
    }
    let asked = check.servers.join(", ");
    print(format!("{domain} answers {expected}, by {asked}\n").as_bytes())?;
    Ok(Exit::Published)
}

fn list_runs(of: Option<&Path>, root: Option<PathBuf>) -> Result<Exit, Failure> {
    let set =
        job::inputs(&analysis_root(root), of).map_err(|error| Failure::new(Exit::Input, error))?;
    let mut lines = Vec::new();
    for path in &set.paths {
        lines.extend_from_slice(path.as_os_str().as_encoded_bytes());
        lines.push(b'\n');
    }
    print(&lines)?;
    if set.missing > 0 {
        tracing::warn!("shards missing: {}", set.missing);
        return Ok(Exit::Shards);
    }
    Ok(Exit::Published)
}

fn of_history(error: HistoryError) -> Failure {
    let exit = match error {
        HistoryError::Newer { .. } | HistoryError::Older { .. } | HistoryError::Foreign { .. } => {
            Exit::Input
        }
        HistoryError::Sqlite { .. } | HistoryError::Damaged { .. } => Exit::History,
    };
    Failure::new(exit, error)
}

fn export(history: &History, parquet: bool, to: Option<&Path>) -> Result<(), Failure> {
    let write = |to: &mut (dyn Write + Send)| {
        let mut to = io::BufWriter::new(to);
        if parquet {
            export::parquet(history, &mut to)?;
        } else {
            export::csv(history, &mut to)?;
        }
        to.flush()?;
        Ok::<(), ExportError>(())
    };
    let done = match to {
        Some(path) => atomic_file::replace_with(path, |file| write(file)),
        None => write(&mut io::stdout()),
    };
    done.map_err(|error| match error {
        ExportError::History(error) => of_history(error),
        ExportError::Write(_) | ExportError::Parquet(_) => Failure::new(Exit::Write, error),
    })
}

fn story(history: &History, fingerprint: Fingerprint) -> Result<(), Failure> {
    let story = history.story(fingerprint).map_err(of_history)?.ok_or_else(|| {
        Failure::new(Exit::Input, anyhow!("no run in the history has seen {fingerprint}"))
    })?;
    print(summary::of_story(&story).as_bytes())
}

fn list_files(directory: &Path) -> Result<Exit, Failure> {
    let output = Output::open(directory).map_err(|error| Failure::new(Exit::Write, error))?;
    let (files, unusable) = output.files().map_err(|error| Failure::new(Exit::Input, error))?;
    for name in unusable {
        tracing::warn!("{name} is not what its name says; not listed");
    }
    let count = files.len();
    output.write_files(files).map_err(|error| Failure::new(Exit::Write, error))?;
    print(format!("files.json lists {count} files\n").as_bytes())?;
    Ok(Exit::Published)
}

fn keep(options: &retain::Options) -> Result<Exit, Failure> {
    let mut next = |step: &str| tracing::debug!("{}", record::printable(step));
    let done = retain::run(options, now(), &mut next)
        .map_err(|error| Failure::new(of_retain(&error), error))?;
    let mut worst = Exit::Published;
    for part in done {
        let name = part.part;
        if options.dry_run {
            for step in part.steps {
                print(format!("{name}: would {step}\n").as_bytes())?;
            }
        } else {
            for step in part.steps {
                tracing::debug!("{name}: {step}");
            }
        }
        for left in part.left {
            tracing::warn!("{name}: {left}");
        }
        for trouble in part.troubles {
            let exit = of_retain(&trouble);
            // What a person must see to first decides how the program ends.
            let urgency = [Exit::History, Exit::Input, Exit::Damaged, Exit::Write];
            let of = |exit| urgency.iter().position(|other| *other == exit);
            if of(exit) > of(worst) {
                worst = exit;
            }
            tracing::error!("{name}: {}", told(&trouble.into()));
        }
        print(format!("{name}: {}\n", part.summary).as_bytes())?;
    }
    Ok(worst)
}

fn of_retain(error: &RetainError) -> Exit {
    match error {
        RetainError::Write { .. } | RetainError::Read { .. } => Exit::Write,
        RetainError::Damaged { .. } | RetainError::Latest { .. } => Exit::Damaged,
        RetainError::History(HistoryError::Newer { .. } | HistoryError::Foreign { .. })
        | RetainError::Publish(PublishError::Newer { .. }) => Exit::Input,
        RetainError::History(_) => Exit::History,
        RetainError::Publish(_) => Exit::Write,
    }
}

fn summarise(path: &Path) -> Result<Exit, Failure> {
    let report: Report = read::file(path, previous::PREVIOUS_LIMIT)
        .map_err(anyhow::Error::from)
        .and_then(|bytes| Ok(Kind::Report.parse(&bytes)?))
        .with_context(|| format!("cannot read the report {path:?}"))
        .map_err(|error| Failure::new(Exit::Input, error))?;
    print(summary::of_report(&report).as_bytes())?;
    Ok(Exit::Published)
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .context("cannot write to standard output")
        .map_err(|error| Failure::new(Exit::Write, error))
}

/// An error with its causes, each once: many errors tell theirs themselves.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    record::printable(&text)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
