//! What is known of a setting.

use std::fmt;

/// A program that reads settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The wrapper that runs the whole job.
    Wrapper,
    /// The program `scanner`.
    Scanner,
    /// The program `aggregate`.
    Aggregate,
    /// Its command `retain`.
    Retain,
    /// The program `upload`.
    Upload,
    /// The verb `notify`.
    Notify,
    /// The name server, `zone serve`.
    Zone,
    /// The program that deploys the dashboard and its function.
    Cloudflare,
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wrapper => "run_dns_validation",
            Self::Scanner => "scanner",
            Self::Aggregate => "aggregate",
            Self::Retain => "aggregate retain",
            Self::Upload => "upload",
            Self::Notify => "exit-validator notify",
            Self::Zone => "exit-validator zone serve",
            Self::Cloudflare => "deploy/cloudflare/deploy",
        })
    }
}

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// What only its program can judge, by `--check-settings` or when it runs.
    Programs,
    /// A file, a directory or a program.
    Path,
    /// Yes or no, in one of the usual words.
    Flag,
    /// `true` or `false`: read by a shell script or a function that knows no other word.
    TrueFalse,
    /// A whole number from the first to the second.
    Whole(u64, u64),
    /// The name of a store, or none.
    Target,
    /// Something that is never shown, and that not everybody may read.
    Secret,
}

/// What a setting is where it is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// Nothing: what it is for is then not done.
    None,
    /// This value.
    Value(&'static str),
    /// What these words say: it depends on something else.
    Words(&'static str),
}

impl DefaultValue {
    /// What can stand in a file for it: the value, or nothing, which means the default.
    #[must_use]
    pub const fn value(self) -> &'static str {
        match self {
            Self::Value(value) => value,
            Self::None | Self::Words(_) => "",
        }
    }
}

/// What people think of when they look for a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The name that is asked for.
    Asked,
    /// Which exits.
    Exits,
    /// How fast.
    Pace,
    /// Which tor.
    Tor,
    /// The report, and what keeps it from being published.
    Report,
    /// Where reports are stored.
    Stores,
    /// Several hosts that share the exits.
    Hosts,
    /// Who is told, and how.
    Notices,
    /// The zone's own name server.
    Zone,
    /// Places, time limits, logs.
    Limits,
    /// What is kept, and how long.
    Retention,
    /// The dashboard on Cloudflare.
    Cloudflare,
}

impl Group {
    /// Every group, in the order of the example.
    pub const ALL: [Self; 12] = [
        Self::Asked,
        Self::Exits,
        Self::Pace,
        Self::Tor,
        Self::Report,
        Self::Stores,
        Self::Hosts,
        Self::Notices,
        Self::Zone,
        Self::Limits,
        Self::Retention,
        Self::Cloudflare,
    ];

    /// Its heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Asked => "What is asked",
            Self::Exits => "Which exits",
            Self::Pace => "Pace",
            Self::Tor => "Tor",
            Self::Report => "Report and publish gate",
            Self::Stores => "Stores",
            Self::Hosts => "Several hosts",
            Self::Notices => "Notices",
            Self::Zone => "Name server of the zone",
            Self::Limits => "Places, limits and logs",
            Self::Retention => "Retention",
            Self::Cloudflare => "Cloudflare Pages",
        }
    }
}

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The variable's name.
    pub name: &'static str,
    /// Where people look for it.
    pub group: Group,
    /// Who reads it.
    pub readers: &'static [Reader],
    /// What it may be.
    pub kind: ValueKind,
    /// What it is where it is not given.
    pub default: DefaultValue,
    /// What the example sets it to, as nearly everybody decides it.
    pub decided: Option<&'static str>,
    /// What it means, in one line, with its unit.
    pub about: &'static str,
}

impl Key {
    /// Whether its value is never shown.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, ValueKind::Secret)
    }
}
