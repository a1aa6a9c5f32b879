//! What a scan is given: the files it is told to read, its tor, and the directory of its results.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use record::{Fingerprint, Shard, printable};
use tor_control::Password;

use crate::cli::{ScanConfig, TorChoice, WantedExits};
use crate::own_tor::OwnTorHome;
use crate::results::{AnalysisDir, Earlier};
use crate::scan_error::ScanError;
use crate::select::Filter;
use crate::session::Source;

/// The environment variable with the control port's password: never a flag, which others could
/// read in the process list.
pub const PASSWORD_VARIABLE: &str = "TOR_CONTROL_PASSWORD";

/// Largest list of exits or torrc lines that is read, in bytes.
const MAX_INPUT: u64 = 16 * 1024 * 1024;

pub(crate) fn filter(wanted: &WantedExits) -> Result<Filter, ScanError> {
    Ok(match wanted {
        WantedExits::Exits => Filter::Exits,
        WantedExits::AllExits => Filter::AllExits,
        WantedExits::BadExits => Filter::BadExits,
        WantedExits::Named(names, file) => {
            let mut names = names.clone();
            if let Some(path) = file {
                let listed = exit_file(path, "--exit-file")?;
                if listed.is_empty() {
                    return Err(ScanError::Usage(format!("{} names no exit", path.display())));
                }
                names.extend(listed);
            }
            Filter::Named(names)
        }
    })
}

/// Reads a list of fingerprints: one a line, `#` begins a comment.
pub(crate) fn exit_file(path: &Path, flag: &str) -> Result<BTreeSet<Fingerprint>, ScanError> {
    let text = read_input(path, flag)?;
    let mut names = BTreeSet::new();
    for (number, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        let name = entry.parse().map_err(|error| {
            ScanError::Usage(format!(
                "{}, line {}: {:?}: {error}",
                path.display(),
                number + 1,
                printable(entry)
            ))
        })?;
        names.insert(name);
    }
    Ok(names)
}

fn read_input(path: &Path, flag: &str) -> Result<String, ScanError> {
    use std::io::Read;
    let read = || -> std::io::Result<String> {
        let mut text = String::new();
        std::fs::File::open(path)?.take(MAX_INPUT).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(|error| {
        ScanError::Usage(format!("cannot read {flag} {}: {error}", path.display()))
    })
}

pub(crate) fn source(config: &ScanConfig) -> Result<Source, ScanError> {
    match &config.tor {
        TorChoice::Running(address) => {
            let password = std::env::var(PASSWORD_VARIABLE).ok().filter(|text| !text.is_empty());
            Ok(Source::Running(address.clone(), password.map(Password::from)))
        }
        TorChoice::Own { program, dir, torrc_extra } => {
            let extra = match torrc_extra {
                Some(path) => read_input(path, "--torrc-extra")?,
                None => String::new(),
            };
            let dir = match dir {
                Some(dir) => dir.clone(),
                None => default_tor_dir()?,
            };
            let dir = std::path::absolute(&dir).map_err(|error| {
                ScanError::Usage(format!("--tor-dir {}: {error}", dir.display()))
            })?;
            let home = OwnTorHome::prepare(program.clone(), dir, extra)
                .map_err(|error| ScanError::Tor(error.into()))?;
            Ok(Source::Own(Box::new(home)))
        }
    }
}

fn default_tor_dir() -> Result<PathBuf, ScanError> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = var("XDG_STATE_HOME").or_else(|| Some(var("HOME")?.join(".local/state")));
    state.map(|state| state.join("exit-validator/tor")).ok_or_else(|| {
        ScanError::Usage("neither XDG_STATE_HOME nor HOME is set: give --tor-dir".to_owned())
    })
}

pub(crate) fn open_results(
    config: &ScanConfig,
    started: DateTime<Utc>,
) -> Result<(Option<AnalysisDir>, Option<Earlier>), ScanError> {
    if config.dry_run {
        return Ok((None, None));
    }
    let default =
        || PathBuf::from(format!("analysis/scan_{}", started.format("%Y-%m-%d_%H-%M-%S")));
    let path = config.analysis_dir.clone().unwrap_or_else(default);
    if !config.resume {
        return Ok((Some(AnalysisDir::create(&path)?), None));
    }
    let (dir, earlier) = AnalysisDir::resume(&path)?;
    let plan = &earlier.plan;
    let differs = [
        ("mode", plan.mode != config.mode),
        ("domain", plan.domain != config.domain.as_str()),
        ("expected address", plan.expected_ip != config.expected),
        ("shard", plan.shard.unwrap_or(Shard::WHOLE) != config.shard),
    ];
    let differs: Vec<&str> = differs.iter().filter(|(_, d)| *d).map(|(name, _)| *name).collect();
    if !differs.is_empty() {
        return Err(ScanError::Usage(format!(
            "the run in {} was made with another {}: resume it with the flags it began with",
            path.display(),
            differs.join(", another ")
        )));
    }
    Ok((Some(dir), Some(earlier)))
}
