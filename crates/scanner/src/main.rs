//! The program `scanner`: flags to configuration, errors to exit codes.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use scanner::app::{self, Failure};
use scanner::cli::{Cli, LogFormat};
use scanner::progress::Screen;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli: Cli = settings::arguments::read();
    let (format, verbose) = (cli.log_format, cli.verbose);
    if cli.check_settings {
        settings::arguments::check_variables::<Cli>();
        return match cli.check() {
            Ok(_) => ExitCode::SUCCESS,
            Err(usage) => {
                let failure = Failure::from(usage);
                tell(&failure);
                failure.exit_code()
            }
        };
    }
    let outcome = cli.check().map_err(Failure::from).and_then(|config| {
        let screen = Screen::new(config.progress);
        start_log(format, verbose, screen.clone());
        // One thread: events are stamped as they come, and nothing else computes for long.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Internal(error.into()))?;
        runtime.block_on(app::run(config, &screen))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&failure);
            failure.exit_code()
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of the program, log or no log")]
fn tell(failure: &Failure) {
    match failure {
        // Said already, with its reason, in the summary.
        Failure::Incomplete => {}
        failure => eprintln!("scanner: {failure}"),
    }
}

fn start_log(format: LogFormat, verbose: u8, screen: Screen) {
    let default = match verbose {
        0 => "info",
        1 => "info,scanner=debug",
        _ => "debug,scanner=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(screen);
    match format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.with_target(false).init(),
    }
}
