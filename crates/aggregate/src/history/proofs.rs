//! The checks of the domains that relays claim: each with what came of it, when it was made, and from which
//! run on it counts. So a report of a run says the same whenever it is made.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use contact::claim::DomainClaim;
use contact::proof::{COUNTS, Check};
use record::{Fingerprint, ProofMethod, ProofProblem, Report};
use rusqlite::{Connection, params};

use super::{History, Result};

/// The checks of each relay, oldest first.
pub type Checks = HashMap<Fingerprint, Vec<Check>>;

impl History {
    /// The checks that count for a run that ended at this time; without one, all of them.
    ///
    /// # Errors
    ///
    /// [`super::HistoryError`].
    pub fn checks(&self, run: Option<DateTime<Utc>>) -> Result<Checks> {
        let doing = self.sqlite("read");
        let mut statement = self
            .connection
            .prepare(
                "SELECT fingerprint, checked, domain, method, problem FROM proof WHERE since <= ?1
                 ORDER BY fingerprint, checked",
            )
            .map_err(&doing)?;
        let until = run.map_or(i64::MAX, |run| run.timestamp());
        let mut rows = statement.query([until]).map_err(&doing)?;
        let mut checks = Checks::new();
        while let Some(row) = rows.next().map_err(&doing)? {
            let relay = Fingerprint::from_bytes(row.get(0).map_err(&doing)?);
            let method: String = row.get(3).map_err(&doing)?;
            let problem: Option<String> = row.get(4).map_err(&doing)?;
            let method = ProofMethod::ALL.iter().find(|known| known.as_str() == method);
            let known = |text: &String| {
                ProofProblem::ALL.iter().copied().find(|known| known.as_str() == text)
            };
            let (Some(method), true) =
                (method, problem.as_ref().is_none_or(|p| known(p).is_some()))
            else {
                return Err(self.damaged(format!("a check of {relay} that is none")));
            };
            let domain = row.get(2).map_err(&doing)?;
            checks.entry(relay).or_default().push(Check {
                claim: DomainClaim { domain, method: *method },
                at: self.time(row.get(1).map_err(&doing)?)?,
                problem: problem.as_ref().and_then(known),
            });
        }
        Ok(checks)
    }

    /// Keeps checks, which count from the run on that ended at `since`. One that is there already stays.
    ///
    /// # Errors
    ///
    /// [`super::HistoryError`]; the history is then as it was.
    pub fn keep_checks(
        &mut self,
        checks: &[(Fingerprint, Check)],
        since: DateTime<Utc>,
    ) -> Result<()> {
        let doing = self.sqlite("write");
        let transaction = self.transaction().map_err(&doing)?;
        checks
            .iter()
            .try_for_each(|(relay, check)| put(&transaction, *relay, check, since))
            .and_then(|()| transaction.commit())
            .map_err(doing)
    }

    /// Keeps the checks that a report names.
    ///
    /// # Errors
    ///
    /// [`super::HistoryError`]; the history is then as it was.
    pub(crate) fn keep_checks_of(&mut self, report: &Report) -> Result<()> {
        let mut checks = Vec::new();
        for relay in &report.results {
            let Some(domain) = &relay.domain else { continue };
            let claim = DomainClaim { domain: domain.name.clone(), method: domain.method };
            let mut add = |at: Option<DateTime<Utc>>, problem| {
                let Some(at) = at else { return };
                let claim = claim.clone();
                checks.push((relay.exit_fingerprint, Check { claim, at, problem }));
            };
            add(domain.proved_at, None);
            if domain.checked_at != domain.proved_at {
                add(domain.checked_at, domain.problem);
            }
        }
        if checks.is_empty() {
            return Ok(());
        }
        self.keep_checks(&checks, report.metadata.timestamp)
    }
}

fn put(
    connection: &Connection,
    relay: Fingerprint,
    check: &Check,
    since: DateTime<Utc>,
) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO proof VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET since = min(since, excluded.since)",
        params![
            relay.as_bytes(),
            check.at.timestamp(),
            since.timestamp(),
            check.claim.domain,
            check.claim.method.as_str(),
            check.problem.map(ProofProblem::as_str)
        ],
    )?;
    Ok(())
}

/// Forgets the checks that count for no run from this time on.
pub(super) fn forget_before(connection: &Connection, time: DateTime<Utc>) -> rusqlite::Result<()> {
    let last = time.checked_sub_signed(COUNTS).unwrap_or(DateTime::<Utc>::MIN_UTC);
    connection.execute("DELETE FROM proof WHERE checked < ?1", [last.timestamp()])?;
    Ok(())
}
