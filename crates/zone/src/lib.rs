//! The name server of the zone in which every exit is asked for a name of its own.
//!
//! What is asked for decides the answer, so it needs no zone file: [`layout`] says which names there are,
//! [`answer`] what is answered to the bytes of a query, [`sign`] how the checks zone is signed, [`limit`] how much a
//! network may have. These are pure. [`serve`] owns the sockets, [`keys`] the key's file, and [`log`] what is remembered of each query; [`read`] reads that again,
//! [`import`] what other servers write, and [`correlate`] holds a run beside it.

pub mod answer;
pub mod cli;
pub mod correlate;
pub mod import;
pub mod keys;
pub mod layout;
pub mod limit;
pub mod log;
pub mod read;
pub mod serve;
pub mod sign;
