//! `exit-validator scan`: asks the exits.

use clap::Args;
use scanner::app::{self, Failure as ScanFailure};
use scanner::cli::Cli;
use scanner::progress::Screen;

use super::{Call, Verb, runtime};
use crate::exit::Exit;
use crate::terminal::{Ended, Failure, start_log};

pub(crate) const VERB: Verb = Verb {
    name: "scan",
    link: Some("scanner"),
    arguments: Cli::augment_args,
    run,
    exits: &[Exit::NoTor, Exit::Incomplete, Exit::Results],
};

fn run(call: &Call<'_>) -> Ended {
    let cli: Cli = call.arguments();
    if cli.check_settings {
        settings::arguments::check_variables(call.command);
        return cli.check().map(|_| Exit::Done).map_err(|usage| failure(&usage.into()));
    }
    let config = cli.check().map_err(|usage| failure(&usage.into()))?;
    let screen = Screen::new(config.progress);
    start_log(call.log, screen.clone());
    runtime()?.block_on(app::run(config, &screen)).map_err(|error| failure(&error))?;
    Ok(Exit::Done)
}

fn failure(failure: &ScanFailure) -> Failure {
    let exit = match failure {
        ScanFailure::Usage(_) => Exit::Usage,
        ScanFailure::Tor(_) => Exit::NoTor,
        ScanFailure::Write(_) => Exit::Results,
        ScanFailure::Internal(_) => Exit::Internal,
        // The summary has said it, with its reason.
        ScanFailure::Incomplete => return Failure::explained(Exit::Incomplete),
    };
    Failure::saying(exit, &failure.to_string())
}
