//! Every way in which the program can end: the one list of exit codes, for every verb. A panic is
//! none of these: it is a bug, and ends with 101.

use std::process::ExitCode;

/// Makes the enum and what is known of each of its values from one table.
macro_rules! exits {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $meaning:literal;)+) => {
        /// How the program can end.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Exit {
            $($(#[$doc])* #[doc = $meaning] $name = $code,)+
        }

        impl Exit {
            /// Every way to end, by code.
            const ALL: &[Self] = &[$(Self::$name),+];

            /// What it means, for the help and the documentation.
            pub(crate) const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)+
                }
            }
        }
    };
}

exits! {
    #[default]
    Done = 0, "done";
    Internal = 1, "internal error: a fault of the program, or of the system under it";
    Usage = 2, "a flag, a variable or a combination of them is not valid; nothing was started";
    Settings = 3, "the configuration is not valid or cannot be read; nothing was started";
    Program = 4, "a program of ours is missing";
    Place = 5, "a directory or the lock cannot be written, or others could write there";
    Disk = 6, "less disk space is free than MIN_FREE_MB";
    Clock = 7, "the clock is wrong";
    Output = 8, "standard output cannot be written";
    Scan = 10, "the scan failed";
    NoTor = 11, "no tor: not installed, not reachable, not authenticated, or not bootstrapped";
    Incomplete = 12, "the scan was interrupted or is incomplete; --resume continues it";
    Results = 13, "the scan's results cannot be written";
    ScanLimit = 14, "the scan took longer than SCAN_LIMIT; --only scan continues it";
    ReportFailed = 20, "the report failed";
    Input = 21, "no run, report or history that can be used: missing, damaged, or of a newer version";
    Report = 22, "the report cannot be written, or another program is publishing";
    History = 23, "the history cannot be read or kept; a report that was asked for is written";
    ReportLimit = 24, "the report took longer than AGGREGATE_LIMIT";
    Held = 25, "the gate is closed: the dated report is written, latest.json is as it was";
    Shards = 26, "shards of other hosts are missing";
    Zone = 27, "our zone does not answer as it should";
    Exports = 28, "what is made of the latest report for other programs cannot be written; the report is";
    Listen = 29, "the name server cannot listen there, or its key or its log of queries cannot be used";
    Stores = 30, "a store failed, or several, each for another reason; the others have everything";
    Older = 31, "the store already holds a newer report; latest.json was not replaced, the list names both";
    Late = 32, "the upload was interrupted, or not done in time; the next one continues it";
    Local = 33, "a local file cannot be used, or the store was written by a newer version";
    HandOver = 34, "this host's shard could not be put where the others fetch it";
    Fetch = 35, "the other hosts' shards could not be fetched";
    Notices = 36, "the notices' memory, or what is public of the incidents, cannot be used or written";
    Told = 37, "somebody could not be told; the next run tries again";
    Domains = 38, "the domains that relays name cannot be checked; what is known of them stands";
    Retain = 40, "something that should be removed or moved stays";
    RetainLimit = 41, "retention took longer than RETAIN_LIMIT";
    Damaged = 42, "an archive or a report is damaged; what depends on it was left, the rest is done";
    Untrue = 50, "dry run: the verdicts are not true, or the stores do not hold the report";
    NoLab = 51, "dry run: the private network or the stores did not start";
    NoCredentials = 60, "no credentials, or the store does not accept them";
    Denied = 61, "the key may not do this";
    NoBucket = 62, "the bucket does not exist, or is in another region";
    ClockSkew = 63, "the clocks of this host and the store disagree";
    NoRoute = 64, "no connection to the store: name, route, refused, or TLS";
    Throttled = 65, "the store asks for fewer requests, also after waiting";
    Unavailable = 66, "the store or the way to it fails, also after more tries";
    Conflict = 67, "the store, or this host, holds other bytes under a name that never changes, or other notices";
    Unverified = 68, "the store does not hold what was sent to it";
    Answer = 69, "another answer of the store";
    Hangup = 129, "ended by SIGHUP";
    Interrupted = 130, "ended by SIGINT";
    Terminated = 143, "ended by SIGTERM";
}

impl Exit {
    /// The process's exit code.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// The way to end that has this code.
    pub(crate) fn of(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|exit| exit.code() == code)
    }

    /// A table of these, by code, for the help.
    pub(crate) fn table(exits: &[Self]) -> String {
        let mut all: Vec<Self> = exits.to_vec();
        all.extend([Self::Done, Self::Internal, Self::Usage]);
        all.sort_unstable();
        all.dedup();
        all.iter().map(|exit| format!("  {:>3}  {}\n", exit.code(), exit.meaning())).collect()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_used_by_a_verb_and_explained_in_the_documentation() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/exit-codes.md");
        let page = std::fs::read_to_string(path).unwrap();
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<String> = Exit::ALL
            .iter()
            .map(|exit| format!("| `{}` | {} |", exit.code(), exit.meaning()))
            .collect();
        for (row, expected) in rows.iter().zip(&expected) {
            assert!(row.starts_with(expected.as_str()), "{row}\nshould begin with\n{expected}");
        }
        assert_eq!(rows.len(), expected.len(), "docs/exit-codes.md");
        for exit in Exit::ALL {
            let shared = [Exit::Done, Exit::Internal, Exit::Usage].contains(exit);
            let used = crate::cmd::VERBS.iter().any(|verb| verb.exits.contains(exit));
            assert!(shared || used, "no verb ends with {exit:?}");
        }
    }
}
