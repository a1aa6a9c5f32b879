//! `exit-validator zone`: our own zone.

use std::io;

use aggregate::cli::ZoneArgs;
use aggregate::job;
use aggregate::zone::Expectation;
use clap::Subcommand;

use super::{Call, Verb, random};
use crate::exit::Exit;
use crate::terminal::{Ended, Failure, print, start_log};

pub(crate) const VERB: Verb = Verb {
    name: "zone",
    link: None,
    arguments: |command| {
        Zone::augment_subcommands(command)
            .about("Look after our own zone")
            .subcommand_required(true)
            .arg_required_else_help(true)
    },
    run: |call: &Call<'_>| {
        start_log(call.log, io::stderr);
        let Zone::Check(arguments) = call.arguments();
        check(&arguments)
    },
    exits: EXITS,
};

pub(crate) const EXITS: &[Exit] = &[Exit::Output, Exit::Zone];

#[derive(Debug, Subcommand)]
enum Zone {
    /// Resolve a fresh name in our zone directly, and say whether the answer is right
    Check(ZoneArgs),
}

pub(crate) fn check(arguments: &ZoneArgs) -> Ended {
    let ZoneArgs { domain, expected_ip, zone_server } = arguments;
    let check = job::ask_zone(*zone_server, domain, Expectation::Address(*expected_ip), random());
    if let Some(error) = check.error {
        let error = format!("the zone {domain} does not answer as it should: {error}");
        return Err(Failure::saying(Exit::Zone, &error));
    }
    let asked = check.servers.join(", ");
    print(format!("{domain} answers {expected_ip}, by {asked}\n").as_bytes())?;
    Ok(Exit::Done)
}
