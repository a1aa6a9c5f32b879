//! Forgetting old runs. What they say of relays that are still there is folded into the base
//! first, so that no streak is cut where its first runs are forgotten.

use chrono::{DateTime, Utc};
use rusqlite::params;

use super::{History, Position, Result, Standing, memory, proofs};

impl History {
    /// Forgets runs that ended before `time`, and relays that no run is left of; returns how many
    /// runs that were. The file keeps its size: later runs use the room.
    ///
    /// # Errors
    ///
    /// [`super::HistoryError`]; the history is then as it was.
    pub fn prune(&mut self, time: DateTime<Utc>) -> Result<usize> {
        let doing = self.sqlite("prune");
        let transaction = self.connection.unchecked_transaction().map_err(&doing)?;
        // Taken now and not at the first change: what is folded is what is forgotten.
        transaction.execute("DELETE FROM flag WHERE name = ''", []).map_err(&doing)?;
        let runs = {
            let mut statement = transaction
                .prepare(
                    "SELECT run, ended, run_id, standing FROM run WHERE ended < ?1
                     ORDER BY ended, run_id",
                )
                .map_err(&doing)?;
            let rows = statement
                .query_map([time.timestamp()], |row| {
                    let at: Position = (row.get(1)?, row.get(2)?);
                    Ok((row.get::<_, i64>(0)?, at, row.get::<_, i64>(3)?))
                })
                .map_err(&doing)?;
            rows.collect::<rusqlite::Result<Vec<_>>>().map_err(&doing)?
        };
        let counted = runs.iter().rfind(|(_, _, standing)| *standing >= Standing::Counted as i64);
        if let Some((_, at, _)) = counted {
            let fold = self.fold_to(at)?;
            for table in ["track", "point"] {
                let old = "SELECT point FROM point WHERE point = 0 OR (ended, run_id) <= (?1, ?2)";
                let delete = format!("DELETE FROM {table} WHERE point IN ({old})");
                transaction.execute(&delete, params![at.0, at.1]).map_err(&doing)?;
            }
            memory::put(&transaction, memory::BASE, &fold, at, self.time(at.0)?).map_err(&doing)?;
        }
        for (run, ..) in &runs {
            super::remove(&transaction, *run).map_err(&doing)?;
        }
        if !runs.is_empty() {
            // A relay's `seen` is at most a day behind.
            let relays = "DELETE FROM relay
                 WHERE seen + 86400 < coalesce((SELECT min(ended) FROM run), ?1)
                 AND NOT EXISTS (SELECT 1 FROM track
                     WHERE track.relay = relay.relay AND track.point IN (SELECT point FROM point))";
            transaction.execute(relays, [time.timestamp()]).map_err(&doing)?;
        }
        proofs::forget_before(&transaction, time).map_err(&doing)?;
        transaction.commit().map_err(doing)?;
        Ok(runs.len())
    }
}
