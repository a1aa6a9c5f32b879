//! A directory of published reports to object stores by the S3 API, and runs between hosts.
//!
//! Owns what lies where in a bucket (`docs/formats/store.md`), in which order it is written, and
//! that a reader never sees a pointer without its data, whenever the program is killed. Changes no
//! report and decides nothing about its content.
//!
//! Pure: [`keys`], [`plan`], [`prune::choose`], [`retry`], [`err`], [`config`] (names and headers; what is to
//! be sent, in which order; when to try again; evidence to cause), and `words`. The edges: [`local`] (files),
//! [`store`] (one store), [`sync`] and [`restore`] (its turn, and the way back), [`check`], [`runs`], [`notices`]; [`app`]
//! takes the stores side by side.

pub mod app;
pub mod check;
pub mod cli;
pub mod config;
pub mod digest;
pub mod err;
pub mod keys;
pub mod local;
pub mod notices;
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
