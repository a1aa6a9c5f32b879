//! The integration tests, one program.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod fixture;
mod golden;
mod memory;
mod program;
mod properties;
mod retain;
mod schema;
