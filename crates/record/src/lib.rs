//! The published formats of the Tor exit validator.
//!
//! Owns what is written for others to read: one relay's [`RelayResult`], a scan's [`Plan`] and
//! [`Run`], the closed lists of [`Status`], [`ErrorCode`] and [`Blame`], and the versions of each
//! format. Performs no IO and decides no verdict. `docs/formats/` describes every format for
//! people, and holds a JSON Schema for each that the tests check real output against.

mod fingerprint;
mod format;
mod result;
mod run;
mod shard;
mod text;
mod verdict;

pub use fingerprint::{Fingerprint, InvalidFingerprint};
pub use format::{Format, FormatError, Kind};
pub use result::{
    Attempt, Bandwidth, Circuit, CircuitState, Ipv6, Millis, Query, RelayInfo, RelayResult, Timing,
    Via, result_file_name,
};
pub use run::{
    Counts, Excluded, PLAN_FILE, Plan, PlannedRelay, RUN_FILE, Run, Selection, Settings, TorInfo,
    unreached,
};
pub use shard::{InvalidShard, Shard};
pub use text::printable;
pub use verdict::{Blame, ErrorCode, Mode, Status};
