//! `exit-validator retain`: removes what is old, and moves old reports into archives.

use std::io;

use aggregate::cli::RetainArgs;
use aggregate::publish::PublishError;
use aggregate::retain::{self, RetainError};
use clap::Args;

use super::history::exit_of;
use super::{Verb, now};
use crate::exit::Exit;
use crate::terminal::{Ended, Failure, print, start_log};

pub(crate) const VERB: Verb = Verb {
    name: "retain",
    link: None,
    arguments: |command| {
        RetainArgs::augment_args(command)
            .about("Remove old runs and logs, shorten the history, and archive old reports")
    },
    run: |call| {
        start_log(call.log, io::stderr);
        run(call.arguments())
    },
    exits: EXITS,
};

pub(crate) const EXITS: &[Exit] =
    &[Exit::Output, Exit::Input, Exit::Report, Exit::History, Exit::Retain, Exit::Damaged];

pub(crate) fn run(arguments: RetainArgs) -> Ended {
    let options = arguments.options();
    let mut next = |step: &str| tracing::debug!("{}", record::printable(step));
    let done = retain::run(&options, now(), &mut next)
        .map_err(|error| Failure::new(exit(&error), &error))?;
    let mut worst = Exit::Done;
    for part in done {
        let name = part.part;
        for step in part.steps {
            if options.dry_run {
                print(format!("{name}: would {step}\n").as_bytes())?;
            } else {
                tracing::debug!("{name}: {step}");
            }
        }
        for left in part.left {
            tracing::warn!("{name}: {left}");
        }
        for trouble in part.troubles {
            let exit = exit(&trouble);
            // What a person must see to first decides how it ends.
            let urgency = [Exit::History, Exit::Input, Exit::Damaged, Exit::Report, Exit::Retain];
            let of = |exit| urgency.iter().position(|other| *other == exit);
            if of(exit) > of(worst) {
                worst = exit;
            }
            tracing::error!("{name}: {}", record::printable(&trouble.to_string()));
        }
        print(format!("{name}: {}\n", part.summary).as_bytes())?;
    }
    Ok(worst)
}

fn exit(error: &RetainError) -> Exit {
    match error {
        RetainError::Write { .. } | RetainError::Read { .. } => Exit::Retain,
        RetainError::Damaged { .. } | RetainError::Latest { .. } => Exit::Damaged,
        RetainError::Publish(PublishError::Newer { .. }) => Exit::Input,
        RetainError::History(error) => exit_of(error),
        RetainError::Publish(_) => Exit::Report,
    }
}
