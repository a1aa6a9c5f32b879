//! `exit-validator zone`: our own zone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write as _};
use std::net::IpAddr;
use std::time::Instant;

use aggregate::cli::ZoneArgs;
use aggregate::job;
use aggregate::zone::Expectation;
use clap::Subcommand;
use record::{Status, printable};
use tokio::signal::unix::{SignalKind, signal};
use zone::cli::{CorrelateArgs, ImportArgs, KeysArgs, ServeArgs};
use zone::correlate::{ClockOffset, Correlation, resolvers};
use zone::log::QueryLog;
use zone::serve::{Serving, ZoneSockets, serve};
use zone::sign::ZoneSigner;

use super::{Call, Verb, now, random, runtime};
use crate::exit::Exit;
use crate::terminal::{Ended, Failure, print, start_log};
use crate::zone_log;

pub(crate) const VERB: Verb = Verb {
    name: "zone",
    link: None,
    arguments: |command| {
        ZoneCommand::augment_subcommands(command)
            .about("Look after our own zone")
            .subcommand_required(true)
            .arg_required_else_help(true)
    },
    run: |call: &Call<'_>| {
        start_log(call.log, io::stderr);
        match call.arguments() {
            ZoneCommand::Check(arguments) => check(&arguments),
            ZoneCommand::Serve(arguments) => answer(&arguments),
            ZoneCommand::Keys(arguments) => keys(&arguments),
            ZoneCommand::Import(arguments) => import(&arguments),
            ZoneCommand::Correlate(arguments) => correlate(&arguments),
        }
    },
    exits: EXITS,
};

const EXITS: &[Exit] = &[Exit::Output, Exit::Input, Exit::Zone, Exit::Listen];

#[derive(Debug, Subcommand)]
enum ZoneCommand {
    /// Resolve a fresh name in our zone directly, and say whether the answer is right
    Check(ZoneArgs),
    Serve(ServeArgs),
    Keys(KeysArgs),
    Import(ImportArgs),
    Correlate(CorrelateArgs),
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

/// Makes the key where there is none, and prints what the zone above needs.
fn keys(arguments: &KeysArgs) -> Ended {
    let zone = arguments.zone().map_err(|error| Failure::new(Exit::Usage, error))?;
    let failed = |error: &dyn Display| Failure::new(Exit::Listen, error);
    let made = zone::keys::make(&arguments.key).map_err(|error| failed(&error))?;
    if made {
        tracing::info!("made the key {:?}", arguments.key);
    }
    let key = zone::keys::read(&arguments.key).map_err(|error| failed(&error))?;
    let records = zone::keys::delegation(&zone, &key).map_err(|error| failed(&error))?;
    print(records.as_bytes())?;
    Ok(Exit::Done)
}

/// Answers for the zone until it is told to end.
fn answer(arguments: &ServeArgs) -> Ended {
    let zone = arguments.zone().map_err(|error| Failure::new(Exit::Usage, error))?;
    let failed = |error: &dyn Display| Failure::new(Exit::Listen, error);
    let key = arguments.key().map(zone::keys::read).transpose().map_err(|error| failed(&error))?;
    let signer = key.map(|key| ZoneSigner::new(key, &zone));
    let passed = ZoneSockets::passed().map_err(|error| failed(&error))?;
    let sockets = match passed {
        Some(sockets) => sockets,
        None => ZoneSockets::bind(arguments.listen()).map_err(|error| failed(&error))?,
    };
    let (log, writer) = match arguments.log() {
        None => (QueryLog::none(), None),
        Some((directory, keep)) => {
            let (log, writer) = QueryLog::open(&directory, keep, now).map_err(|error| {
                failed(&format_args!("cannot keep the log of queries in {directory:?}: {error}"))
            })?;
            (log, Some(writer))
        }
    };
    for address in sockets.addresses() {
        tracing::info!("answering on {address}");
    }
    let serving = Serving { zone, signer, rate: arguments.rate(), log, clock: now, ticks };
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

/// Writes the queries of other servers' logs as lines of ours.
fn import(arguments: &ImportArgs) -> Ended {
    // Not `print`: it goes out as it comes in.
    let mut out = BufWriter::new(io::stdout().lock());
    let mut readable = 0;
    for path in &arguments.files {
        let failed = |error: &dyn Display| {
            Failure::new(Exit::Input, format_args!("cannot read the log {path:?}: {error}"))
        };
        let input: Box<dyn BufRead> = if path.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            Box::new(BufReader::new(File::open(path).map_err(|error| failed(&error))?))
        };
        let mut written = Ok(());
        let imported = zone::import::import(arguments.format, input, &mut |line| {
            written = serde_json::to_writer(&mut out, &line)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n"));
            // The reader ends; which of both failed is told below.
            written.as_ref().copied().map_err(|_| io::ErrorKind::Other.into())
        });
        if let Err(error) = written {
            return unwritten(&error);
        }
        let imported = imported.map_err(|error| failed(&error))?;
        readable += imported.queries + imported.others;
        tracing::info!(
            "{path:?}: {} queries, {} other records, {} that cannot be read",
            imported.queries,
            imported.others,
            imported.bad
        );
        if let Some(first) = imported.first_bad {
            tracing::warn!("{path:?}: the first that cannot be read: {first}");
        }
    }
    if let Err(error) = out.flush() {
        return unwritten(&error);
    }
    if readable == 0 {
        let none = "nothing could be read; is it in the format that was named?";
        return Err(Failure::saying(Exit::Input, none));
    }
    Ok(Exit::Done)
}

/// Standard output takes no more. Who reads it may have seen enough.
fn unwritten(error: &io::Error) -> Ended {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(Exit::Done);
    }
    Err(Failure::new(Exit::Output, format_args!("cannot write to standard output: {error}")))
}

/// How many resolvers are shown.
const SHOWN: usize = 20;

/// Holds a run beside the log.
fn correlate(arguments: &CorrelateArgs) -> Ended {
    let runs = std::slice::from_ref(&arguments.run);
    let correlation = zone_log::correlate(runs, &arguments.log)
        .map_err(|error| Failure::new(Exit::Input, error))?;
    let text = if arguments.json {
        let json = serde_json::to_string_pretty(&correlation);
        json.map_err(|error| Failure::new(Exit::Internal, error))? + "\n"
    } else {
        told(&correlation)
    };
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

/// A run beside the log, for people.
fn told(correlation: &Correlation) -> String {
    let Correlation { clock_offset, names, names_seen, nicknames, relays, minimises, asked_again } =
        correlation;
    let mut text = format!("the zone was asked for {names_seen} of the run's {names} names\n");
    // Writing into a string does not fail.
    let _ = match clock_offset {
        Some(ClockOffset { least_ms, most_ms }) => {
            writeln!(text, "its clock is ahead of the scanner's by {least_ms} to {most_ms} ms")
        }
        None => {
            writeln!(text, "its clock cannot be told from the scanner's: no times are compared")
        }
    };
    let mut behind: BTreeMap<IpAddr, u32> = BTreeMap::new();
    for names in relays.values() {
        resolvers(names).into_iter().for_each(|address| *behind.entry(address).or_default() += 1);
    }
    let mut behind: Vec<(IpAddr, u32)> = behind.into_iter().collect();
    behind.sort_by_key(|(address, count)| (Reverse(*count), *address));
    let _ = writeln!(text, "\naddresses that asked: {}; those behind most exits:", behind.len());
    for (address, count) in behind.iter().take(SHOWN) {
        let _ = writeln!(text, "{count:>6}  {address}");
    }
    let minimise = minimises.values().filter(|does| **does).count();
    let _ = writeln!(
        text,
        "{minimise} of {} exits have a resolver that tells no more of a name than is needed",
        minimises.len()
    );
    text.push_str("\nlookups that failed:\n");
    for (relay, names) in relays {
        let nickname = nicknames.get(relay).map_or("", String::as_str);
        for name in names.iter().filter(|name| name.status != Status::Success) {
            let by: Vec<String> =
                name.queries.iter().map(|query| query.address.to_string()).collect();
            let by: BTreeSet<String> = by.into_iter().collect();
            let by = by.into_iter().collect::<Vec<_>>().join(", ");
            let by = if by.is_empty() { by } else { format!(" Asked by {by}.") };
            let _ = writeln!(
                text,
                "{relay} {}: attempt {}, {}. {}{by}",
                printable(nickname),
                name.attempt,
                name.status,
                name.fate.meaning()
            );
        }
    }
    if !asked_again.is_empty() {
        text.push_str("\nnames that were asked for again more than an hour later:\n");
    }
    for (name, by) in asked_again {
        let by: Vec<String> = by.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "{}: by {}", printable(name), by.join(", "));
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "the program's edge: the libraries take the time")]
fn ticks() -> Instant {
    Instant::now()
}
