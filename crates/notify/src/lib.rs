//! Who is to be told what: what other programs read of a report, and what is sent to people and programs
//! where something fails, or works again.
//!
//! Reads published reports. Decides nothing about relays, and changes no report.

pub mod cli;
pub mod evidence;
pub mod export;
pub mod feed;
pub mod heartbeat;
pub mod http;
pub mod incident;
pub mod mail;
pub mod memory;
pub mod notices;
pub mod parcel;
pub mod seen;
pub mod webhook;
pub mod words;
