//! Reports, history and retention.

mod domains;
#[path = "../../../aggregate/tests/it/fixture.rs"]
pub mod fixture;
mod kill;
mod memory;
pub mod program;
#[path = "../../../aggregate/tests/it/reported.rs"]
mod reported;
mod retain;
#[path = "../../../aggregate/tests/it/schema.rs"]
mod schema;
