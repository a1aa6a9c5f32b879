//! The integration tests, one program.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[expect(dead_code, reason = "shared with the program's tests, which use all of it")]
mod fixture;
mod golden;
mod properties;
mod reported;
mod schema;
mod texts;
