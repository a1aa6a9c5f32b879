//! What runs found of the relays' resolvers: kept beside each result, and found again for the reports of
//! the week after it.

use std::collections::HashMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use record::{CheckOutcome, Fingerprint};
use rusqlite::{Connection, OptionalExtension as _, Statement, params};

use super::{History, Result};
use crate::resolver::{FoundResolver, STANDS, SeenResolvers};

impl History {
    /// What the runs of the week before this time saw of each relay's resolver, but for the runs with these
    /// ids. What a run saw is true whatever became of its verdicts.
    ///
    /// # Errors
    ///
    /// [`super::HistoryError`].
    pub fn seen_resolvers(
        &self,
        before: DateTime<Utc>,
        run_ids: &[String],
    ) -> Result<SeenResolvers> {
        let doing = self.sqlite("read");
        let own = super::own_runs(&self.connection, run_ids).map_err(&doing)?;
        let mut statement = self
            .connection
            .prepare(
                "SELECT run.run, run.ended, relay.fingerprint, resolver.addresses, result.checks
                 FROM run CROSS JOIN result ON result.run = run.run
                 CROSS JOIN relay ON relay.relay = result.relay
                 LEFT JOIN resolver ON resolver.resolver = result.resolver
                 WHERE run.ended BETWEEN ?1 AND ?2
                   AND (result.resolver IS NOT NULL OR result.checks IS NOT NULL)
                 ORDER BY run.ended, run.run_id",
            )
            .map_err(&doing)?;
        let from = before.checked_sub_signed(STANDS).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let mut rows =
            statement.query(params![from.timestamp(), before.timestamp()]).map_err(&doing)?;
        let mut seen = SeenResolvers::new();
        while let Some(row) = rows.next().map_err(&doing)? {
            if own.contains(&row.get::<_, i64>(0).map_err(&doing)?) {
                continue;
            }
            let at = self.time(row.get(1).map_err(&doing)?)?;
            let relay = Fingerprint::from_bytes(row.get(2).map_err(&doing)?);
            let addresses: Option<String> = row.get(3).map_err(&doing)?;
            let checks: Option<String> = row.get(4).map_err(&doing)?;
            let found = found(addresses.as_deref(), checks.as_deref())
                .ok_or_else(|| self.damaged(format!("a resolver of {relay} that is none")))?;
            seen.entry(relay).or_default().add(&found, at);
        }
        Ok(seen)
    }

    /// Whether the run with this id is known, and says nothing of any relay's resolver.
    ///
    /// # Errors
    ///
    /// [`super::HistoryError`].
    pub(crate) fn lacks_resolvers(&self, run_id: &str) -> Result<bool> {
        let doing = self.sqlite("read");
        let runs = super::own_runs(&self.connection, &[run_id.to_owned()]).map_err(&doing)?;
        let Some(run) = runs.first() else { return Ok(false) };
        self.connection
            .query_row(
                "SELECT NOT EXISTS (SELECT 1 FROM result WHERE run = ?1 AND resolver IS NOT NULL)",
                [run],
                |row| row.get(0),
            )
            .map_err(doing)
    }

    /// Adds what the zone's log says of a run that is known.
    ///
    /// # Errors
    ///
    /// [`super::HistoryError`]; the history is then as it was.
    pub(crate) fn add_resolvers(
        &mut self,
        run_id: &str,
        all: &[(Fingerprint, FoundResolver)],
    ) -> Result<()> {
        let doing = self.sqlite("write");
        let transaction = self.transaction().map_err(&doing)?;
        add_to(&transaction, run_id, all).and_then(|()| transaction.commit()).map_err(doing)
    }
}

fn add_to(
    connection: &Connection,
    run_id: &str,
    all: &[(Fingerprint, FoundResolver)],
) -> rusqlite::Result<()> {
    let runs = super::own_runs(connection, &[run_id.to_owned()])?;
    let Some(run) = runs.first() else { return Ok(()) };
    let mut resolvers = Resolvers::prepare(connection)?;
    let mut read = connection.prepare(
        "SELECT relay.relay, resolver.addresses, result.checks FROM relay
         CROSS JOIN result ON result.run = ?1 AND result.relay = relay.relay
         LEFT JOIN resolver ON resolver.resolver = result.resolver
         WHERE relay.fingerprint = ?2",
    )?;
    let mut write = connection
        .prepare("UPDATE result SET resolver = ?3, checks = ?4 WHERE run = ?1 AND relay = ?2")?;
    for (relay, new) in all {
        let known = read
            .query_row(params![run, relay.as_bytes()], |row| {
                let texts: (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
                Ok((row.get::<_, i64>(0)?, texts))
            })
            .optional()?;
        let Some((relay, (addresses, checks))) = known else { continue };
        let mut all = found(addresses.as_deref(), checks.as_deref()).unwrap_or_default();
        all.join(new);
        let number = addresses_text(&all).map(|text| resolvers.number(&text)).transpose()?;
        write.execute(params![run, relay, number, checks_text(&all)])?;
    }
    Ok(())
}

/// Finds the numbers of resolvers' addresses, and gives them to those that have none.
pub(super) struct Resolvers<'a> {
    known: HashMap<String, i64>,
    find: Statement<'a>,
    insert: Statement<'a>,
}

impl<'a> Resolvers<'a> {
    pub(super) fn prepare(connection: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            known: HashMap::new(),
            find: connection.prepare("SELECT resolver FROM resolver WHERE addresses = ?1")?,
            insert: connection.prepare("INSERT INTO resolver (addresses) VALUES (?1)")?,
        })
    }

    pub(super) fn number(&mut self, addresses: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.known.get(addresses) {
            return Ok(*number);
        }
        let found = self.find.query_row([addresses], |row| row.get(0)).optional()?;
        let number = match found {
            Some(number) => number,
            None => self.insert.insert([addresses])?,
        };
        self.known.insert(addresses.to_owned(), number);
        Ok(number)
    }
}

/// Addresses as they are kept: with spaces between them, and none where there is none.
pub(super) fn addresses_text(found: &FoundResolver) -> Option<String> {
    let texts: Vec<String> = found.addresses.iter().map(IpAddr::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

/// Outcomes as they are kept: `y`, `n`, `u` for unknown and `.` for none, and none where all are none.
pub(super) fn checks_text(found: &FoundResolver) -> Option<String> {
    let letter = |outcome: &Option<CheckOutcome>| match outcome {
        Some(CheckOutcome::Yes) => 'y',
        Some(CheckOutcome::No) => 'n',
        Some(CheckOutcome::Unknown) => 'u',
        None => '.',
    };
    let any = found.outcomes.iter().any(Option::is_some);
    any.then(|| found.outcomes.iter().map(letter).collect())
}

/// What texts as those say; none of others.
fn found(addresses: Option<&str>, checks: Option<&str>) -> Option<FoundResolver> {
    let mut found = FoundResolver::default();
    for address in addresses.into_iter().flat_map(|text| text.split(' ')) {
        found.addresses.push(address.parse().ok()?);
    }
    if let Some(checks) = checks {
        if checks.len() != found.outcomes.len() {
            return None;
        }
        for (outcome, letter) in found.outcomes.iter_mut().zip(checks.bytes()) {
            *outcome = match letter {
                b'y' => Some(CheckOutcome::Yes),
                b'n' => Some(CheckOutcome::No),
                b'u' => Some(CheckOutcome::Unknown),
                b'.' => None,
                _ => return None,
            };
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again() {
        let all =
            [None, Some(CheckOutcome::Yes), Some(CheckOutcome::No), Some(CheckOutcome::Unknown)];
        for one in all {
            for other in all {
                let kept = FoundResolver {
                    addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
                    outcomes: [one, other, None, one],
                };
                let texts = (addresses_text(&kept), checks_text(&kept));
                assert_eq!(found(texts.0.as_deref(), texts.1.as_deref()), Some(kept));
            }
        }
        assert_eq!(addresses_text(&FoundResolver::default()), None);
        assert_eq!(checks_text(&FoundResolver::default()), None);
        for wrong in ["y", "yyyyy", "yyyx", "é.."] {
            assert_eq!(found(None, Some(wrong)), None);
        }
        assert_eq!(found(Some("192.0.2.1 x"), None), None);
    }
}
