//! What lies on the disk. Owns the names of files and how large they may be, what may be read and
//! how, that files appear whole or not at all, and who may write where. Knows nothing of what the
//! files say: their formats are `record`'s.

pub mod atomic;
pub mod lock;
pub mod notices;
pub mod output;
pub mod read;
pub mod run;
