//! The integration tests, one program.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod domains;
mod example;
mod fixture;
mod gate;
mod properties;
mod rates;
mod reported;
mod resolvers;
mod rules;
mod schema;
mod texts;
mod view;
mod whole;
