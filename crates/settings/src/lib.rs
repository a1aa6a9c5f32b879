//! The settings of the Tor exit validator.
//!
//! Owns `config.env`: how it is read ([`file`](mod@file)), the closed list of every setting that
//! there is ([`keys`]), what can be wrong with a file ([`check`]) and the example of one
//! ([`example`]); and what the programs share in reading their arguments and variables
//! ([`arguments`], [`Seconds`]). Never acts on a setting: that is each program's own, and so is the
//! check of a value that only one program knows.

pub mod arguments;
pub mod check;
pub mod example;
pub mod file;
mod key;
mod list;
pub mod listing;
mod log;
pub mod read;
mod seconds;
mod value;
mod words;

pub use arguments::Usage;
pub use file::parse;
pub use key::{DefaultValue, Group, Key, Reader, ValueKind};
pub use list::{find, keys, of_target};
pub use log::{LogArgs, LogFormat};
pub use seconds::Seconds;
pub use value::value;
pub use words::{is_target, trimmed, yes_or_no};
