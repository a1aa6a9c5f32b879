//! `aggregate`: what is now the verbs report, history, zone check and retain, under the name that it
//! had when it was a program of its own.

use std::io;

use aggregate::cli::{AggregateCli, AggregateCommand};
use clap::Args;

use super::{Call, Verb, history, report, retain, zone};
use crate::exit::Exit;
use crate::terminal::{Ended, start_log};

pub(crate) const VERB: Verb = Verb {
    name: "aggregate",
    link: Some("aggregate"),
    arguments: |command| AggregateCli::augment_args(command).hide(true),
    run,
    exits: &[
        Exit::Output,
        Exit::Input,
        Exit::Report,
        Exit::History,
        Exit::Held,
        Exit::Shards,
        Exit::Exports,
        Exit::Zone,
        Exit::Retain,
        Exit::Damaged,
    ],
};

fn run(call: &Call<'_>) -> Ended {
    let cli: AggregateCli = call.arguments();
    if cli.check_settings {
        // What the arguments say together is clap's to judge, and judged.
        settings::arguments::check_variables(call.command);
        return Ok(Exit::Done);
    }
    start_log(call.log, io::stderr);
    match cli.command {
        None => report::make(cli.report),
        Some(AggregateCommand::Report(command)) => report::beside(command),
        Some(AggregateCommand::History(arguments)) => history::run(arguments),
        Some(AggregateCommand::Zone(arguments)) => zone::check(&arguments),
        Some(AggregateCommand::Retain(arguments)) => retain::run(arguments),
    }
}
