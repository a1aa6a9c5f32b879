//! How the program can end. A panic is none of these: it is a bug, and ends with 101.

use std::process::ExitCode;

/// How the program can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The report is out, and `latest.json` is it.
    Published,
    /// The arguments are wrong: clap's own code.
    Usage,
    /// Nothing that could be read.
    Input,
    /// The gate is closed.
    Held,
    /// Something could not be written.
    Write,
    /// The report is out, but the history was not kept.
    History,
    /// Of the runs asked for, shards are missing.
    Shards,
    /// An archive, or a report that was to go into one, is damaged.
    Damaged,
}

impl Exit {
    /// Every way to end, by code.
    pub const ALL: [Self; 8] = [
        Self::Published,
        Self::Usage,
        Self::Input,
        Self::Held,
        Self::Write,
        Self::History,
        Self::Shards,
        Self::Damaged,
    ];

    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Published => 0,
            Self::Usage => 2,
            Self::Input => 3,
            Self::Held => 4,
            Self::Write => 5,
            Self::History => 6,
            Self::Shards => 8,
            Self::Damaged => 7,
        }
    }

    /// What it means, for `--help`.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Published => {
                "done: the report is published, or what was asked for is printed or removed"
            }
            Self::Usage => "the arguments are wrong",
            Self::Input => {
                "no run, or one that cannot be used; inputs that do not belong together; a \
                 previous report, history or list of a newer version; a relay that is not known; \
                 a zone that is not well"
            }
            Self::Held => {
                "the gate is closed: the dated report is written, latest.json is as it was"
            }
            Self::Write => {
                "something cannot be written, or, by retain, looked at or removed; or another \
                 aggregate is publishing"
            }
            Self::History => {
                "the history cannot be read or kept; a report that was asked for is written, and the \
                 log says whether the gate let it through"
            }
            Self::Shards => "`runs` printed what is there, and a shard is missing",
            Self::Damaged => {
                "retain: an archive, a report that was to go into one, or latest.json is damaged; \
                 what depends on it was left, the rest is done; history rebuild: a report or an \
                 archive cannot be used, and the history is made of the others"
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
