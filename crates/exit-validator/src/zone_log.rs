//! Runs held beside the log of the zone's name server.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use aggregate::resolver::{SeenAtZone, ZoneWitness};
use chrono::TimeDelta;
use record::{CheckOutcome, Fingerprint, LookupAtZone, printable};
use zone::correlate::{Correlation, Correlator, first_within, resolvers};

/// Why a run cannot be held beside the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CorrelateError {
    /// The run cannot be read.
    #[error("cannot read the analysis directory {0:?}: {1}")]
    Run(PathBuf, std::io::Error),
    /// It asked for nothing.
    #[error(
        "{0:?} has no results with names that were asked for; name a directory that the scanner wrote"
    )]
    Nothing(PathBuf),
    /// The log cannot be read.
    #[error("cannot read the log of queries {0:?}: {1}")]
    Log(PathBuf, std::io::Error),
}

/// The runs of these directories, beside the logs of all name servers.
pub(crate) fn correlate(
    directories: &[PathBuf],
    logs: &[PathBuf],
) -> Result<Correlation, CorrelateError> {
    let mut correlator = Correlator::default();
    for directory in directories {
        let left_out = zone::read::run(directory, |result| correlator.result(result))
            .map_err(|error| CorrelateError::Run(directory.clone(), error))?;
        for file in left_out {
            tracing::warn!("left out: {}", printable(&file));
        }
    }
    let Some(began) = correlator.began() else {
        let directory = directories.first().map_or(Path::new(""), PathBuf::as_path);
        return Err(CorrelateError::Nothing(directory.to_owned()));
    };
    for log in logs {
        // A day for clocks that differ: the names say what belongs together.
        zone::read::log(log, began - TimeDelta::days(1), |line| correlator.line(line))
            .map_err(|error| CorrelateError::Log(log.clone(), error))?;
    }
    Ok(correlator.finish())
}

/// The logs of the zone's name servers, as a report reads them.
#[derive(Debug)]
pub(crate) struct ZoneLogs(pub(crate) Vec<PathBuf>);

impl ZoneWitness for ZoneLogs {
    fn of(&self, directories: &[PathBuf]) -> HashMap<Fingerprint, SeenAtZone> {
        match correlate(directories, &self.0) {
            Ok(correlation) => seen(&correlation),
            Err(CorrelateError::Nothing(_)) => HashMap::new(),
            Err(error) => {
                tracing::warn!("{error}: the report is made without what it says");
                HashMap::new()
            }
        }
    }
}

/// What a correlation says of each relay. Where the log has no query of the whole run, it is not of this zone
/// or of that time, and says nothing.
fn seen(correlation: &Correlation) -> HashMap<Fingerprint, SeenAtZone> {
    if correlation.names_seen == 0 {
        return HashMap::new();
    }
    let of = |(relay, names): (&Fingerprint, &Vec<_>)| {
        let minimises = correlation.minimises.get(relay).map(|does| match does {
            true => CheckOutcome::Yes,
            false => CheckOutcome::No,
        });
        let lookups = names.iter().map(|name: &zone::correlate::NameAtZone| {
            let lookup = LookupAtZone {
                fate: name.fate,
                asked: name.asked,
                first_within_ms: first_within(name, correlation.clock_offset),
            };
            (name.name.clone(), lookup)
        });
        let addresses: BTreeSet<_> = resolvers(names);
        let seen = SeenAtZone {
            addresses: addresses.into_iter().collect(),
            minimises,
            lookups: lookups.collect(),
        };
        (*relay, seen)
    };
    correlation.relays.iter().map(of).collect()
}
