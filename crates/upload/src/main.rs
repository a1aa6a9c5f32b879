//! The program `upload`: flags and settings to a configuration, errors to exit codes.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Parser;
use tracing_subscriber::EnvFilter;
use upload::app::{self, Failure, Machine};
use upload::cli::{Cli, LogFormat, Usage};
use upload::config::{self, ConfigError, Environment};
use upload::progress::Screen;

/// The arguments or settings are wrong: clap's own code.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let screen = Screen::new(cli.progress());
    let (format, verbose) = cli.log();
    start_log(format, verbose, screen.clone());
    let environment = match environment(cli.config_file().map(std::path::PathBuf::as_path)) {
        Ok(environment) => environment,
        Err(error) => return told(&error, USAGE),
    };
    let only_check = cli.check_settings();
    let config = match cli.check(&environment) {
        Ok(config) => config,
        Err(error) => return told(&error, USAGE),
    };
    let targets = match config::targets(&environment, &config.targets) {
        Ok(targets) if only_check => {
            let names: String = targets.iter().map(|target| format!("{}\n", target.name)).collect();
            return print(&names);
        }
        // That there is nowhere to upload to is no fault of the settings.
        Err(ConfigError::NoTarget) if only_check => return print("no store is enabled\n"),
        Ok(targets) => targets,
        Err(error) => return told(&error, USAGE),
    };
    // One thread: what waits is the network. Hashing large files has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(Failure::Internal).and_then(|runtime| {
        let machine = Machine { chance, now, random: random() };
        runtime.block_on(app::run(config, targets, machine, &screen))
    });
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => told(&failure, failure.exit_code()),
    }
}

fn print(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = Failure::Internal(error);
            told(&failure, failure.exit_code())
        }
    }
}

fn told(error: &dyn std::error::Error, code: u8) -> ExitCode {
    tracing::error!("{}", record::printable(&error.to_string()));
    ExitCode::from(code)
}

/// The file's settings, and over them those of the process.
fn environment(file: Option<&Path>) -> Result<Environment, Usage> {
    let mut all = Environment::new();
    if let Some(path) = file {
        let bytes =
            std::fs::read(path).map_err(|error| Usage(format!("cannot read {path:?}: {error}")))?;
        let settings =
            settings::parse(&bytes).map_err(|error| Usage(format!("{path:?}: {error}")))?;
        all.extend(settings.into_iter().map(|(name, setting)| (name, setting.value)));
    }
    let process = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    all.extend(process.filter(|(_, value)| !value.trim().is_empty()));
    Ok(all)
}

#[expect(clippy::disallowed_methods, reason = "the program's edge: the library takes the time")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

#[expect(clippy::disallowed_methods, reason = "the program's edge: the library takes the number")]
fn chance() -> f64 {
    rand::random()
}

#[expect(clippy::disallowed_methods, reason = "the program's edge: the library takes the number")]
fn random() -> u128 {
    rand::random()
}

fn start_log(format: LogFormat, verbose: u8, screen: Screen) {
    let default = match verbose {
        0 => "warn,upload=info",
        1 => "info,upload=debug",
        _ => "debug,upload=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(screen);
    match format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.with_target(false).init(),
    }
}
