//! A directory of published reports to object stores by the S3 API, and runs between hosts.
//!
//! Owns what lies where in a bucket (`docs/formats/store.md`), in which order it is written, and
//! that a reader never sees a pointer without its data, whenever the program is killed. Changes no
//! report and decides nothing about its content.

pub mod app;
pub mod check;
pub mod cli;
pub mod config;
pub mod digest;
pub mod err;
pub mod keys;
pub mod local;
pub mod plan;
pub mod progress;
pub mod prune;
pub mod restore;
pub mod retry;
pub mod runs;
pub mod store;
pub mod sync;
#[cfg(test)]
mod texts;
mod words;
