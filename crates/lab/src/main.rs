//! The `lab` program: reads its arguments, calls the library, and says how it went.

mod demo;
mod program;

use std::process::ExitCode;

use clap::Parser as _;

use crate::program::{LabArguments, run};

fn main() -> ExitCode {
    let arguments = LabArguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            program::complain(&format!("lab: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
