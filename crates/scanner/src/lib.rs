//! Asks every exit of the Tor network to resolve a name, and says truthfully what happened.
//!
//! The decisions are pure: [`consensus`], [`policy`], [`select`], [`names`], [`hops`],
//! [`probe`], [`schedule`] and [`classify`] are told the time and given their randomness. [`driver`],
//! [`session`], [`own_tor`], [`ask`], [`directory`], [`results`], [`progress`], [`signals`] and
//! [`guard`] are the edge. [`app`] puts them in order: it reads what the scan is given (`inputs`), whom the
//! directory leaves to test (`prepare`), and begins or goes on with one part of a run (`part`).

pub mod app;
pub mod ask;
pub mod checks;
mod claim;
pub mod classify;
pub mod cli;
pub mod consensus;
pub mod directory;
pub mod driver;
mod dry_run;
mod family_cert;
mod filters;
mod findings;
mod first;
pub mod guard;
pub mod hops;
mod inputs;
mod ipv6;
pub mod names;
pub mod own_tor;
mod part;
pub mod policy;
pub mod preflight;
mod prepare;
pub mod probe;
pub mod progress;
pub mod results;
mod scan_error;
pub mod schedule;
pub mod select;
pub mod session;
pub mod signals;
pub mod story;
pub mod summary;
#[cfg(test)]
mod texts;
pub mod torrc;
mod way_out;
pub mod witness;

pub use inputs::PASSWORD_VARIABLE;
pub use scan_error::ScanError;
