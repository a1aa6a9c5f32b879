//! `exit-validator`: finds the exit relays of the Tor network that cannot resolve names. The one
//! program; its verbs are in `cmd/`, one file each: arguments to the libraries' options, errors to exit
//! codes (`exit`). `run` is the whole job: its order is `run::job`, which is told of stages and clock;
//! `run::settings` is what is configured, and the rest of `run` the real machine.

mod cmd;
mod exit;
mod run;
mod terminal;
mod zone_log;

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = scanner::guard::serve() {
        return code;
    }
    let arguments: Vec<OsString> = std::env::args_os().collect();
    cmd::start(&arguments)
}
