//! `exit-validator zone`: our own zone.

use std::io;
use std::time::Instant;

use aggregate::cli::ZoneArgs;
use aggregate::job;
use aggregate::zone::Expectation;
use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};
use zone::cli::ServeArgs;
use zone::log::Log;
use zone::serve::{Serving, Sockets, serve};

use super::{Call, Verb, now, random, runtime};
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
        match call.arguments() {
            Zone::Check(arguments) => check(&arguments),
            Zone::Serve(arguments) => answer(&arguments),
        }
    },
    exits: EXITS,
};

const EXITS: &[Exit] = &[Exit::Output, Exit::Zone, Exit::Listen];

#[derive(Debug, Subcommand)]
enum Zone {
    /// Resolve a fresh name in our zone directly, and say whether the answer is right
    Check(ZoneArgs),
    Serve(ServeArgs),
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

/// Answers for the zone until it is told to end.
fn answer(arguments: &ServeArgs) -> Ended {
    let zone = arguments.zone().map_err(|error| Failure::new(Exit::Usage, error))?;
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Listen, error);
    let passed = Sockets::passed().map_err(|error| failed(&error))?;
    let sockets = match passed {
        Some(sockets) => sockets,
        None => Sockets::bind(arguments.listen()).map_err(|error| failed(&error))?,
    };
    let (log, writer) = match arguments.log() {
        None => (Log::none(), None),
        Some((directory, keep)) => {
            let (log, writer) = Log::open(&directory, keep, now).map_err(|error| {
                failed(&format_args!("cannot keep the log of queries in {directory:?}: {error}"))
            })?;
            (log, Some(writer))
        }
    };
    for address in sockets.addresses() {
        tracing::info!("answering on {address}");
    }
    let serving = Serving { zone, rate: arguments.rate(), log, clock: now, ticks };
    runtime()?
        .block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let end = async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            serve(serving, sockets, end).await
        })
        .map_err(|error| failed(&error))?;
    if let Some(writer) = writer {
        // It ends when nobody is left who logs; what it panicked with has been printed.
        let _ = writer.join();
    }
    Ok(Exit::Done)
}

#[expect(clippy::disallowed_methods, reason = "the program's edge: the libraries take the time")]
fn ticks() -> Instant {
    Instant::now()
}
