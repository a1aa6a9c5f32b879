//! `exit-validator scan`: asks the exits.

use clap::Args;
use scanner::cli::ScanCli;
use scanner::progress::Screen;
use scanner::{ScanError, app};

use super::{Call, Verb, runtime};
use crate::exit::Exit;
use crate::terminal::{Ended, Failure, start_log};

pub(crate) const VERB: Verb = Verb {
    name: "scan",
    link: Some("scanner"),
    arguments: ScanCli::augment_args,
    run,
    exits: &[Exit::NoTor, Exit::Incomplete, Exit::Results],
};

fn run(call: &Call<'_>) -> Ended {
    let cli: ScanCli = call.arguments();
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

fn failure(error: &ScanError) -> Failure {
    let exit = match error {
        ScanError::Usage(_) => Exit::Usage,
        ScanError::Tor(_) => Exit::NoTor,
        ScanError::Write(_) => Exit::Results,
        ScanError::Internal(_) => Exit::Internal,
        // The summary has said it, with its reason.
        ScanError::Incomplete => return Failure::explained(Exit::Incomplete),
    };
    Failure::saying(exit, &error.to_string())
}
