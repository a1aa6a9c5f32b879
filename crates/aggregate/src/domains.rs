//! What relays of a run claim, and what is known of it: for whoever checks domains before the report is made.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use contact::claim::DomainClaim;
use contact::proof::Claimant;

use crate::history::{History, HistoryError, Standing};
use crate::input::{Input, InputError};
use crate::report;

/// What the relays of a run claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Each relay whose contact claims a domain, with the checks so far.
    pub claimants: Vec<Claimant>,
    /// From which run's end on a check counts that is made now: this run's, if it has no report yet.
    pub since: DateTime<Utc>,
}

/// Why nothing is known of what relays claim.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    /// An input cannot be used.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The history.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// What the relays claim of the run in these analysis directories.
///
/// # Errors
///
/// [`ClaimsError`].
pub fn claims(directories: &[PathBuf], history: &History) -> Result<Claims, ClaimsError> {
    let inputs: Result<Vec<Input>, InputError> =
        directories.iter().map(|directory| Input::read(directory)).collect();
    let inputs = inputs?;
    let ended = report::ended(&inputs);
    let settled = history
        .knows(&report::run_ids(&inputs).join("+"))?
        .is_some_and(|standing| standing > Standing::Entered);
    let mut known = history.checks(None)?;
    let mut claimants: Vec<Claimant> = Vec::new();
    for result in inputs.iter().flat_map(|input| input.results.values()) {
        let claim = result.relay.contact.as_deref().and_then(DomainClaim::of);
        let Some(claim) = claim else { continue };
        let relay = result.exit_fingerprint;
        claimants.push(Claimant { relay, claim, checks: known.remove(&relay).unwrap_or_default() });
    }
    // Several vantage points saw a relay: once is enough.
    claimants.sort_by_key(|one| (one.relay, std::cmp::Reverse(one.checks.len())));
    claimants.dedup_by_key(|one| one.relay);
    Ok(Claims { claimants, since: if settled { ended + TimeDelta::seconds(1) } else { ended } })
}
