//! From the results of one run, or of all its shards and vantage points, to one report that can
//! be published without anybody looking at it first.
//!
//! The decisions are pure: [`input::check`] whether a file is a result, [`shards`] which runs are one
//! scan, [`merge`] what several inputs say together, [`fold`] what the history's rows say in the order of
//! time, [`streak`] what that means for a relay, [`rate`] how often its lookups fail, [`operator`] whose relay it is, [`resolver`] who resolves its names, [`gate`] whether the
//! report may be published, [`report`] what stands in it, [`summary`] how a person reads it. The edges are
//! [`input`] (files in), [`location`] (whose networks addresses are in), [`history`] (the database), [`publish`] (files out) and [`zone`] (one DNS
//! question); [`domains`] reads what relays of a run claim. [`reconcile`] brings history and output directory together, by what is really there; [`job`]
//! does all of it in order, and [`retain`] removes what is old.

pub mod cli;
pub mod domains;
pub mod fold;
pub mod gate;
pub mod history;
pub mod input;
pub mod job;
pub mod location;
pub mod merge;
pub mod operator;
pub mod previous;
pub mod publish;
pub mod rate;
pub mod reconcile;
pub mod rejections;
pub mod report;
pub mod resolver;
pub mod retain;
pub mod shards;
pub mod stats;
pub mod streak;
pub mod summary;
pub mod zone;
