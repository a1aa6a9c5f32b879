//! Asks every exit of the Tor network to resolve a name, and says truthfully what happened.
//!
//! The decisions are pure: [`consensus`], [`policy`], [`select`], [`names`], [`hops`],
//! [`probe`], [`schedule`] and [`classify`] are told the time and given their randomness. [`driver`],
//! [`session`], [`own_tor`], [`ask`], [`directory`], [`results`], [`progress`], [`signals`] and
//! [`guard`] are the edge. [`app`] puts them in order. Reads no history: that is the report's business.

pub mod app;
pub mod ask;
mod claim;
pub mod classify;
pub mod cli;
pub mod consensus;
pub mod directory;
pub mod driver;
pub mod dry_run;
pub mod guard;
pub mod hops;
pub mod names;
pub mod own_tor;
pub mod policy;
pub mod preflight;
pub mod probe;
pub mod progress;
pub mod results;
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
