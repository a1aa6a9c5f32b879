//! `exit-validator config`: checks the configuration, lists the settings, prints one. Changes nothing.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use record::printable;
use settings::{Key, check, example, listing, read};

use super::run::ConfigArgs;
use super::{Call, Verb};
use crate::exit::Exit;
use crate::run::settings::Configuration;
use crate::terminal::{Ended, Failure, print};

const AFTER_HELP: &str = "\
Examples:
  exit-validator config check config.env                everything that is wrong with it, a line each
  exit-validator config list                            every setting, its default, and who reads it
  exit-validator config get R2_BUCKET                   a setting's value, for a script
  exit-validator config example > config.env.example    a file to begin with";

pub(crate) const VERB: Verb = Verb {
    name: "config",
    link: Some("settings"),
    arguments: |command| {
        ConfigCommand::augment_subcommands(command)
            .about("Check the configuration file before work starts, and list every setting")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .after_help(AFTER_HELP)
    },
    run,
    exits: &[Exit::Settings, Exit::Output],
};

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say everything that is wrong with a configuration file, a line each
    ///
    /// That is: a line that sh, systemd and the programs do not read alike; a name that seems meant
    /// as a setting and is none; a value that no verb takes; a secret that everybody may read; a
    /// file that others may change. Each verb checks its own values by --check-settings.
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print nothing if all is well
        #[arg(short, long)]
        quiet: bool,
    },
    /// Print every setting with its meaning, its default, and who reads it
    List,
    /// Print config.env.example
    Example,
    /// Print a setting's value: from the environment, else from the file, else its default
    ///
    /// Yes and no are printed as true and false. A setting without a value prints nothing. A secret is
    /// printed too: keep it out of logs and of other programs' arguments.
    Get {
        #[command(flatten)]
        config: ConfigArgs,
        /// The setting's name
        #[arg(value_name = "KEY", value_parser = setting)]
        key: &'static Key,
    },
}

fn setting(name: &str) -> Result<&'static Key, &'static str> {
    settings::find(name).ok_or("no such setting: `exit-validator config list` shows all of them")
}

fn run(call: &Call<'_>) -> Ended {
    match call.arguments() {
        ConfigCommand::Check { file, quiet } => return checked(&file, quiet),
        ConfigCommand::List => print(listing::listing().as_bytes())?,
        ConfigCommand::Example => print(example::example().as_bytes())?,
        ConfigCommand::Get { config, key } => {
            if let Some(value) = Configuration::read(&config.called()?)?.value(key)? {
                print(format!("{value}\n").as_bytes())?;
            }
        }
    }
    Ok(Exit::Done)
}

fn checked(file: &Path, quiet: bool) -> Ended {
    let name = printable(&file.to_string_lossy());
    let found = read::read(file).map_err(|error| {
        Failure::saying(Exit::Settings, &format!("{name}: cannot be read: {error}"))
    })?;
    let caller = rustix::process::geteuid().as_raw();
    let checked = check::check(&found, caller);
    if checked.problems.is_empty() {
        if !quiet {
            print(format!("{name}: right; {} settings have a value\n", checked.given).as_bytes())?;
        }
        return Ok(Exit::Done);
    }
    let lines: String =
        checked.problems.iter().map(|problem| format!("{name}:{problem}\n")).collect();
    // Lines as a compiler's, for an editor to jump to. That they cannot be written is no reason to
    // end otherwise.
    let _ = io::stderr().lock().write_all(lines.as_bytes());
    Err(Failure::explained(Exit::Settings))
}
