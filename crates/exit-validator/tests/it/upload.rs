//! Uploads, against a real S3 server behind a proxy that fails.

#![expect(clippy::disallowed_methods, reason = "tests are an edge: they set files' times")]

mod causes;
mod drill;
mod faults;
mod fixture;
mod notices;
mod proxy;
mod runs;
mod said;
mod server;
mod store;
