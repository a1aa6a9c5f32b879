//! The published formats of the Tor exit validator.
//!
//! Owns what is written for others to read: one relay's [`RelayResult`], a scan's [`Plan`] and
//! [`Run`], a [`Report`] with its [`Trends`], [`Files`] and exports, the closed lists of [`Status`],
//! [`ErrorCode`] and [`Blame`], and the versions of each format. Performs no IO and decides no
//! verdict. `docs/formats/` describes every format for people, and holds a JSON Schema for each.
//! The schemas are generated from the types here and their doc comments (feature `schema`).

mod checks;
mod export;
mod fingerprint;
mod format;
mod incident;
mod report;
mod resolver;
mod result;
mod run;
#[cfg(feature = "schema")]
pub mod schema;
mod sealed;
mod shard;
mod text;
mod trends;
mod verdict;
mod zone;

pub use checks::{CheckLookup, CheckName, CheckOutcome, ResolverChecks};
pub use export::{
    BadgeWord, Badges, CompatMetadata, CompatPercentiles, CompatRelay, CompatReport, CompatTime,
    CompatTimings, CompatVantages, OnionooDns, OnionooRelay, OperatorBadge, RelayBadge,
};
pub use fingerprint::{Fingerprint, InvalidFingerprint};
pub use format::{Format, FormatError, Kind};
pub use incident::{AffectedRelay, Incident, IncidentSubject, Incidents};
pub use report::{
    ABSENT_MARK, AbsentRelay, BandwidthShare, Disagreements, FailingRelay, FailureRate, Figures,
    GateCode, GateFinding, KnownGood, LocationSource, Metadata, NetworkFailureRate,
    OperatorFailures, Percentiles, Previous, PreviousReport, PreviousSource, ProofMethod,
    ProofProblem, Publish, Publisher, RECENT_RUNS, RejectReason, Rejected, RejectedFile,
    RelayDomain, RelayLocation, Report, ReportInput, ReportSelection, ReportedInfo, ReportedRelay,
    ShardCoverage, State, Streak, Vantage, ZoneCheck, of_recent_mark, recent_mark,
};
pub use resolver::{
    AbilityShare, DeclaredLocation, DeclaredResolver, LookupAtZone, PublicResolver, RelayResolver,
    RelayShare, ResolverAddress, ResolverKind, ResolverNetwork, ResolverRule, ResolverShares,
    SeenOutcome, ZoneFate,
};
pub use result::{
    Attempt, Bandwidth, Circuit, CircuitState, FirstAnswer, Ipv6, Ipv6Lookup, Ipv6Lookups,
    MAX_ATTEMPTS, Millis, Query, RelayFinding, RelayInfo, RelayResult, Remap, Timing, Via,
    is_family_id,
};
pub use run::{
    Counts, Excluded, Plan, PlannedRelay, RelayFilter, Run, Selection, Settings, TorInfo, unreached,
};
pub use sealed::SealedNotices;
pub use shard::{InvalidShard, Shard};
pub use text::printable;
pub use trends::{FileEntry, FileKind, FileReport, Files, TrendEntry, Trends};
pub use verdict::{Blame, ErrorCode, FindingCode, Ipv6Outcome, Mode, Status};
pub use zone::{DEFAULT_DOMAIN, DEFAULT_EXPECTED};
