//! What the program says to people: the log and the last word on standard error, and the answer on
//! standard output. One voice for every verb.

use std::io::{self, IsTerminal, Write};

use settings::{LogArgs, LogFormat};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::exit::Exit;

/// How a verb ends.
pub(crate) type Ended = Result<Exit, Failure>;

/// Why a verb could not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What went wrong, why, and what to do; fit for a terminal. Empty where all has been said.
    text: String,
}

impl Failure {
    /// A failure with this error. Our errors say their causes themselves, before the advice.
    pub(crate) fn new(exit: Exit, error: impl std::fmt::Display) -> Self {
        Self { exit, text: record::printable(&error.to_string()) }
    }

    /// A failure in these words, which may have several lines.
    pub(crate) fn saying(exit: Exit, text: &str) -> Self {
        let lines: Vec<_> = text.lines().map(record::printable).collect();
        Self { exit, text: lines.join("\n") }
    }

    /// A failure that has been explained already.
    pub(crate) const fn explained(exit: Exit) -> Self {
        Self { exit, text: String::new() }
    }

    /// Says it on standard error, or in the log where that is for programs.
    #[expect(clippy::print_stderr, reason = "the last word of the program")]
    pub(crate) fn report(&self, format: LogFormat) {
        match format {
            _ if self.text.is_empty() => {}
            LogFormat::Json if tracing::dispatcher::has_been_set() => {
                tracing::error!("{}", self.text);
            }
            LogFormat::Json | LogFormat::Text => eprintln!("error: {}", self.text),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Our crates that say what they do, as log targets.
const OURS: [&str; 4] = ["exit_validator", "scanner", "aggregate", "upload"];

/// What warns of strangers' records that are not right: those are data, and nobody here has to act.
const OF_STRANGERS: [&str; 2] = ["hickory_net", "hickory_resolver"];

/// Which lines a log has, unless RUST_LOG says otherwise.
fn default_filter(verbose: u8) -> String {
    let (others, ours) = match verbose {
        0 => ("warn", "info"),
        1 => ("info", "debug"),
        _ => ("debug", "trace"),
    };
    let quiet =
        OF_STRANGERS.iter().filter(|_| verbose == 0).map(|crate_| format!(",{crate_}=error"));
    let ours = OURS.iter().map(|crate_| format!(",{crate_}={ours}"));
    others.to_owned() + &quiet.chain(ours).collect::<String>()
}

/// Starts the log.
pub(crate) fn start_log<W>(log: LogArgs, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let wished = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let wished = wished.trim();
    let parsed = (!wished.is_empty()).then(|| EnvFilter::builder().parse(wished));
    let (filter, wrong) = match parsed {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(default_filter(log.verbose)), Some(error)),
        None => (EnvFilter::new(default_filter(log.verbose)), None),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal() && may_colour(std::env::var_os("NO_COLOR")))
        .with_writer(writer);
    match log.log_format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.with_target(false).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!("RUST_LOG is ignored: {error}. Write it like info,scanner=debug");
    }
}

/// Whether colour is allowed: <https://no-color.org>.
fn may_colour(no_color: Option<std::ffi::OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty())
}

/// Writes the answer to standard output. A reader that has seen enough, such as `head`, is no
/// failure.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let text = format!("cannot write to standard output: {error}");
            Err(Failure::saying(Exit::Output, &text))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_says_is_fit_for_a_terminal() {
        let error = io::Error::other("broken \u{1b}");
        assert_eq!(Failure::new(Exit::Input, error).text, "broken \\u{1b}");
    }

    #[test]
    fn every_v_says_more() {
        for verbose in 0..4 {
            let filter = default_filter(verbose);
            assert!(filter.parse::<EnvFilter>().is_ok(), "{filter}");
        }
        assert!(default_filter(1).contains("scanner=debug"));
    }

    #[test]
    fn no_color_is_obeyed_if_it_is_not_empty() {
        assert!(may_colour(None) && may_colour(Some("".into())));
        assert!(!may_colour(Some("1".into())));
    }
}
