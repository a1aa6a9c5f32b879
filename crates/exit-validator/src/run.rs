//! One run of the whole job: scan, report, upload, retention.
//!
//! [`job`] decides the order of things and how the run ends, and knows nothing but its [`job::Host`]:
//! a machine that does the stages and tells the time. [`settings`] reads what is configured, once,
//! before anything starts. [`host`] is the real machine; [`stage`] starts its programs and ends them,
//! [`heartbeat`] tells another machine that this one lives, [`machine`] looks at its disk, clock and
//! directories, [`log`] writes. [`rehearsal`] puts a private network and stores in the place of the real ones.

pub(crate) mod heartbeat;
pub(crate) mod host;
pub(crate) mod job;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod rehearsal;
pub(crate) mod settings;
pub(crate) mod stage;
