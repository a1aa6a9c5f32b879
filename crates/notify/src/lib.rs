//! Who is to be told what: what other programs read of a report, and what is sent to them.
//!
//! Reads published reports. Decides nothing about relays, and changes no report.

pub mod export;
pub mod heartbeat;
pub mod http;
