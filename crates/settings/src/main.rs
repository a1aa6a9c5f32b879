//! The program `settings`: checks, lists and shows the configuration. Changes nothing.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use record::printable;
use settings::{check, example, listing, read};

const AFTER_HELP: &str = "\
Examples:
  settings check config.env                everything that is wrong with it, a line each
  settings list                            every setting, its default, and who reads it
  settings example > config.env.example    a file to begin with

Exit codes:
  0  the configuration is right, or what was asked for is printed
  1  standard output cannot be written
  2  usage
  3  the configuration is wrong
  4  the configuration cannot be read";

/// Checks the configuration file config.env before work starts.
#[derive(Debug, Parser)]
#[command(name = "settings", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell everything that is wrong with a configuration file, a line each
    ///
    /// That is: a line that sh, systemd and the programs do not read alike; a name that seems meant
    /// as a setting and is none; a value that no program takes; a secret that everybody may read;
    /// a file that others may change. Each program checks its own values by --check-settings.
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Say nothing where all is well
        #[arg(short, long)]
        quiet: bool,
    },
    /// Print every setting with its meaning, its default, and who reads it
    List,
    /// Print config.env.example
    Example,
}

/// The configuration is wrong.
const WRONG: u8 = 3;
/// The configuration cannot be read.
const UNREADABLE: u8 = 4;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check { file, quiet } => checked(&file, quiet),
        Command::List => print(&listing::listing()),
        Command::Example => print(&example::example()),
    }
}

fn checked(file: &Path, quiet: bool) -> ExitCode {
    let name = printable(&file.to_string_lossy());
    let found = match read::read(file) {
        Ok(found) => found,
        Err(error) => {
            told(&format!("{name}: cannot be read: {error}\n"));
            return ExitCode::from(UNREADABLE);
        }
    };
    let caller = rustix::process::geteuid().as_raw();
    let checked = check::check(&found, caller);
    if checked.problems.is_empty() {
        return if quiet {
            ExitCode::SUCCESS
        } else {
            print(&format!("{name}: right; {} settings have a value\n", checked.given))
        };
    }
    let lines: String =
        checked.problems.iter().map(|problem| format!("{name}:{problem}\n")).collect();
    told(&lines);
    ExitCode::from(WRONG)
}

/// To standard error. That it cannot be written is no reason to end otherwise.
fn told(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            told(&format!("settings: cannot write to standard output: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
