//! `exit-validator report`: makes a report of a scan, and what belongs to that.

use std::io;
use std::path::{Path, PathBuf};

use aggregate::cli::{ReportArgs, ReportCli, ReportCommand};
use aggregate::job::{self, JobError, JobMachine, JobOutcome, ReportTarget};
use aggregate::publish::{self, Output, PublishError};
use aggregate::resolver::ZoneWitness;
use aggregate::summary;
use clap::Args;
use notify::export::ExportError;
use record::{Kind, Report};
use shelf::output::REPORT_LIMIT;
use shelf::read;

use super::history::analysis_root;
use super::{Call, Verb, now, random};
use crate::exit::Exit;
use crate::terminal::{Ended, Failure, print, start_log};
use crate::zone_log::ZoneLogs;

pub(crate) const VERB: Verb = Verb {
    name: "report",
    link: None,
    arguments: ReportCli::augment_args,
    run,
    exits: &[
        Exit::Output,
        Exit::Input,
        Exit::Report,
        Exit::History,
        Exit::Held,
        Exit::Shards,
        Exit::Exports,
    ],
};

fn run(call: &Call<'_>) -> Ended {
    let cli: ReportCli = call.arguments();
    if cli.check_settings {
        // What the arguments say together is clap's to judge, and judged.
        settings::arguments::check_variables(call.command);
        return Ok(Exit::Done);
    }
    start_log(call.log, io::stderr);
    match cli.command {
        None => make(cli.report),
        Some(command) => beside(command),
    }
}

/// What there is beside making a report.
pub(crate) fn beside(command: ReportCommand) -> Ended {
    match command {
        ReportCommand::Files { output_dir } => list_files(&output_dir),
        ReportCommand::Runs { of, analysis_root } => list_runs(of.as_deref(), analysis_root),
        ReportCommand::Exports { output_dir } => export(&output_dir),
        ReportCommand::Summary { report, output_dir } => {
            summarise(&report.unwrap_or_else(|| job::latest_in(&output_dir)))
        }
    }
}

/// Makes a report.
pub(crate) fn make(arguments: ReportArgs) -> Ended {
    let quiet = arguments.quiet;
    let logs = ZoneLogs(arguments.zone_log.clone());
    let zone = (!logs.0.is_empty()).then_some(&logs as &dyn ZoneWitness);
    let options = arguments.options();
    let machine = JobMachine { now: now(), random: random(), zone };
    let JobOutcome { report, written, history } = job::run(&options, machine).map_err(|error| {
        let exit = match &error {
            JobError::NoRun { .. }
            | JobError::Input(_)
            | JobError::Merge(_)
            | JobError::Clash(_)
            | JobError::Previous { .. }
            | JobError::Publish(PublishError::Newer { .. }) => Exit::Input,
            JobError::Publish(_) | JobError::Full(_) => Exit::Report,
        };
        Failure::new(exit, error)
    })?;
    if options.target == ReportTarget::Print {
        let bytes = publish::json("the report", &report)
            .map_err(|error| Failure::new(Exit::Report, error))?;
        print(&bytes)?;
    } else if !quiet {
        print(summary::of_report(&report).as_bytes())?;
        if let Some(path) = written {
            print(format!("{}\n", record::printable(&path.to_string_lossy())).as_bytes())?;
        }
    }
    // Its relays go before the latest report is read again.
    let metadata = report.metadata;
    drop((report.results, report.absent));
    // Whatever the gate said: those of an earlier report may be missing.
    let exports = match &options.target {
        ReportTarget::Directory(directory) => notify::export::refresh(directory).map(|_| ()),
        ReportTarget::Print | ReportTarget::File(_) => Ok(()),
    };
    if let Err(error) = &exports {
        tracing::error!("{error}. The report is written; the next one makes the rest again");
    }
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
        (true, None) if exports.is_err() => Exit::Exports,
        (true, None) => Exit::Done,
    })
}

fn export(directory: &Path) -> Ended {
    let written = notify::export::refresh(directory).map_err(|error| {
        let exit = match error {
            ExportError::Read { .. } | ExportError::Report { .. } => Exit::Input,
            _ => Exit::Exports,
        };
        Failure::new(exit, error)
    })?;
    print(format!("{written} files were written\n").as_bytes())?;
    Ok(Exit::Done)
}

fn list_runs(of: Option<&Path>, root: Option<PathBuf>) -> Ended {
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
    Ok(Exit::Done)
}

fn list_files(directory: &Path) -> Ended {
    let output = Output::open(directory).map_err(|error| Failure::new(Exit::Report, error))?;
    let (files, unusable) = output.files().map_err(|error| Failure::new(Exit::Input, error))?;
    for name in unusable {
        tracing::warn!("{name} is not what its name says; not listed");
    }
    let count = files.len();
    output.write_files(files).map_err(|error| Failure::new(Exit::Report, error))?;
    print(format!("files.json lists {count} files\n").as_bytes())?;
    Ok(Exit::Done)
}

fn summarise(path: &Path) -> Ended {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Input, format_args!("cannot read the report {path:?}: {error}"))
    };
    let bytes = read::file(path, REPORT_LIMIT).map_err(|error| unreadable(&error))?;
    let report: Report = Kind::Report.parse(&bytes).map_err(|error| unreadable(&error))?;
    print(summary::of_report(&report).as_bytes())?;
    Ok(Exit::Done)
}
