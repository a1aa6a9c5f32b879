//! `exit-validator` from the outside, but for what needs a Tor network, which is in `../scan`: each
//! verb by its own name and by the one that it had as a program.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod config;
mod door;
#[cfg(feature = "notices")]
mod notify;
#[path = "../support/others.rs"]
mod others;
mod report;
#[path = "../support/program.rs"]
mod support;
#[cfg(feature = "upload")]
mod upload;
mod zone;
