//! The database's tables (`docs/formats/history.md`), and how one of an older layout becomes one
//! of this.

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{History, HistoryError, Result};

/// The version of the layout that this program writes, in SQLite's `user_version`.
pub const LAYOUT: i64 = 6;

/// SQLite's `application_id` of a history: "exit" in ASCII.
pub const APPLICATION_ID: i64 = 0x6578_6974;

const SCHEMA: &str = "
CREATE TABLE run (
    run      INTEGER PRIMARY KEY,
    run_id   TEXT NOT NULL UNIQUE,
    ended    INTEGER NOT NULL,
    standing INTEGER NOT NULL CHECK (standing BETWEEN 0 AND 3),
    asked    TEXT,
    trend    TEXT NOT NULL
);
CREATE INDEX run_by_end ON run (ended, run_id);
CREATE TABLE run_input (
    input TEXT PRIMARY KEY,
    run   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX input_by_run ON run_input (run);
CREATE TABLE relay (
    relay       INTEGER PRIMARY KEY,
    fingerprint BLOB NOT NULL UNIQUE CHECK (length(fingerprint) = 20),
    nickname    TEXT NOT NULL,
    address     TEXT NOT NULL,
    seen        INTEGER NOT NULL
);
CREATE TABLE code (
    code INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE result (
    run        INTEGER NOT NULL,
    relay      INTEGER NOT NULL,
    mark       TEXT NOT NULL,
    code       INTEGER,
    resolve_ms INTEGER,
    circuit_ms INTEGER,
    first      TEXT,
    resolver   INTEGER,
    checks     TEXT,
    PRIMARY KEY (run, relay)
) WITHOUT ROWID;
CREATE TABLE point (
    point  INTEGER PRIMARY KEY,
    ended  INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    times  TEXT NOT NULL
);
CREATE TABLE track (
    point        INTEGER NOT NULL,
    relay        INTEGER NOT NULL,
    seen         INTEGER NOT NULL,
    failures     INTEGER NOT NULL,
    since        INTEGER,
    success      INTEGER,
    unreachable  INTEGER NOT NULL,
    strip        TEXT NOT NULL,
    first        TEXT NOT NULL,
    PRIMARY KEY (point, relay)
) WITHOUT ROWID;
CREATE TABLE flag (name TEXT PRIMARY KEY) WITHOUT ROWID;
";

/// From layout 1: `run` had `published`, no more; `relay` had no `seen`; and `result` was clustered
/// by relay and then run. The loops are in the order of the new table, which so grows at its end.
const FROM_1: &str = "
DROP INDEX run_by_end;
ALTER TABLE run RENAME TO run_1;
ALTER TABLE run_input RENAME TO run_input_1;
ALTER TABLE relay RENAME TO relay_1;
ALTER TABLE code RENAME TO code_1;
ALTER TABLE result RENAME TO result_1;
";
const COPY_1: &str = "
INSERT INTO run SELECT run, run_id, ended, CASE published WHEN 1 THEN 3 ELSE 1 END, NULL, trend
    FROM run_1;
INSERT INTO run_input SELECT input, run FROM run_input_1;
INSERT INTO code SELECT code, name FROM code_1;
INSERT INTO relay
    SELECT relay, fingerprint, nickname, address, coalesce((
        SELECT max(run_1.ended) FROM result_1 CROSS JOIN run_1 USING (run)
        WHERE result_1.relay = relay_1.relay
    ), 0) FROM relay_1;
INSERT INTO result (run, relay, mark, code, resolve_ms, circuit_ms)
    SELECT old.run, old.relay, old.mark, old.code, old.resolve_ms, old.circuit_ms
    FROM run CROSS JOIN relay
        CROSS JOIN result_1 AS old ON old.relay = relay.relay AND old.run = run.run;
DROP TABLE run_1;
DROP TABLE run_input_1;
DROP TABLE relay_1;
DROP TABLE code_1;
DROP TABLE result_1;
INSERT INTO flag VALUES ('adopt');
";

/// From layout 2: `result` had no `first`. What was not kept is not known.
const FROM_2: &str = "ALTER TABLE result ADD COLUMN first TEXT;";

/// From layout 3: `track` had no `first`. All points but the base are made again from the rows, which
/// have it; the base is from before them.
const FROM_3: &str = "
ALTER TABLE track ADD COLUMN first TEXT NOT NULL DEFAULT '';
DELETE FROM track WHERE point <> 0;
DELETE FROM point WHERE point <> 0;
";

/// What layout 4 did not have: nothing had been checked.
const PROOF: &str = "
CREATE TABLE proof (
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 20),
    checked     INTEGER NOT NULL,
    since       INTEGER NOT NULL,
    domain      TEXT NOT NULL,
    method      TEXT NOT NULL,
    problem     TEXT,
    PRIMARY KEY (fingerprint, checked)
) WITHOUT ROWID;
";

/// The addresses of resolvers, by number: what layout 5 did not have.
const RESOLVER: &str = "
CREATE TABLE resolver (
    resolver  INTEGER PRIMARY KEY,
    addresses TEXT NOT NULL UNIQUE
);
";

/// From layout 5: `result` said nothing of resolvers.
const FROM_5: &str = "
ALTER TABLE result ADD COLUMN resolver INTEGER;
ALTER TABLE result ADD COLUMN checks TEXT;
";

/// Makes sure that the tables are those of this layout: a history that may be begun may be brought
/// to it as well. One that is only looked at may have an older one.
pub(super) fn prepare(history: &mut History, flags: OpenFlags) -> Result<()> {
    let path = history.path.clone();
    let sqlite = |source| HistoryError::sqlite("open", path.clone(), source);
    let connection = &mut history.connection;
    let may_make = flags.contains(OpenFlags::SQLITE_OPEN_CREATE);
    let found = found(connection).map_err(sqlite)?;
    let found = match found {
        DatabaseKind::Layout(LAYOUT) => return Ok(()),
        // It is looked at again in a transaction, so that two programs make or migrate one.
        DatabaseKind::Nothing | DatabaseKind::Layout(1..LAYOUT) if may_make => {
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(sqlite)?;
            let found = self::found(&transaction).map_err(sqlite)?;
            let steps: &[&str] = match found {
                DatabaseKind::Nothing => &[SCHEMA, PROOF, RESOLVER],
                DatabaseKind::Layout(1) => &[FROM_1, SCHEMA, PROOF, RESOLVER, COPY_1],
                DatabaseKind::Layout(2) => &[FROM_2, FROM_3, PROOF, FROM_5, RESOLVER],
                DatabaseKind::Layout(3) => &[FROM_3, PROOF, FROM_5, RESOLVER],
                DatabaseKind::Layout(4) => &[PROOF, FROM_5, RESOLVER],
                DatabaseKind::Layout(5) => &[FROM_5, RESOLVER],
                _ => &[],
            };
            if !steps.is_empty() {
                if matches!(found, DatabaseKind::Layout(1)) {
                    tracing::info!("the history is brought to layout {LAYOUT}; this takes a while");
                }
                steps
                    .iter()
                    .try_for_each(|step| transaction.execute_batch(step))
                    .map_err(sqlite)?;
                transaction
                    .pragma_update(None, "application_id", APPLICATION_ID)
                    .and_then(|()| transaction.pragma_update(None, "user_version", LAYOUT))
                    .map_err(sqlite)?;
            }
            transaction.commit().map_err(sqlite)?;
            self::found(connection).map_err(sqlite)?
        }
        found => found,
    };
    match found {
        DatabaseKind::Layout(LAYOUT) => Ok(()),
        DatabaseKind::Layout(found @ 1..LAYOUT)
            if flags.contains(OpenFlags::SQLITE_OPEN_READ_ONLY) =>
        {
            history.layout = found;
            Ok(())
        }
        DatabaseKind::Layout(found @ 1..LAYOUT) => {
            Err(HistoryError::Older { path: path.clone(), found })
        }
        DatabaseKind::Layout(found) => Err(HistoryError::Newer { path: path.clone(), found }),
        DatabaseKind::Nothing | DatabaseKind::Foreign => {
            Err(HistoryError::Foreign { path: path.clone() })
        }
    }
}

enum DatabaseKind {
    /// An empty database.
    Nothing,
    /// A history with this layout.
    Layout(i64),
    /// Something else.
    Foreign,
}

fn found(connection: &Connection) -> rusqlite::Result<DatabaseKind> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok(match (pragma("application_id")?, pragma("user_version")?) {
        (APPLICATION_ID, layout) => DatabaseKind::Layout(layout),
        (0, 0) => {
            let tables: i64 =
                connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if tables == 0 { DatabaseKind::Nothing } else { DatabaseKind::Foreign }
        }
        _ => DatabaseKind::Foreign,
    })
}
