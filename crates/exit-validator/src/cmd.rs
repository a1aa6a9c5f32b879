//! The verbs: which there are, how one is chosen, and what they share. Each has a file of its own
//! with its arguments, its exit codes and its order of things.

mod aggregate;
mod check;
mod completions;
mod config;
mod domains;
mod history;
mod manual;
mod notify;
mod report;
mod retain;
mod run;
mod scan;
mod upload;
mod zone;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use settings::{LogArgs, LogFormat};

use crate::exit::Exit;
use crate::terminal::{Ended, Failure};

/// The program's name.
const NAME: &str = "exit-validator";

/// A verb.
pub(crate) struct Verb {
    /// What it is called: `exit-validator NAME`.
    name: &'static str,
    /// The name of the program that it was, and that a link still has.
    link: Option<&'static str>,
    /// Puts in its arguments and its description.
    arguments: fn(Command) -> Command,
    /// Does it.
    run: fn(&Call<'_>) -> Ended,
    /// How it can end, beside [`Exit::Done`], [`Exit::Internal`] and [`Exit::Usage`].
    pub(crate) exits: &'static [Exit],
}

/// Every verb, in the order of the help.
pub(crate) const VERBS: &[&Verb] = &[
    &scan::VERB,
    &report::VERB,
    &upload::VERB,
    &retain::VERB,
    &run::VERB,
    &check::VERB,
    &history::VERB,
    &domains::VERB,
    &notify::VERB,
    &zone::VERB,
    &config::VERB,
    &completions::VERB,
    &manual::VERB,
    &aggregate::VERB,
];

/// How a verb was called.
pub(crate) struct Call<'a> {
    /// Its command, as the arguments were read by.
    pub(crate) command: &'a Command,
    /// Its arguments.
    matches: &'a ArgMatches,
    /// What is to be logged, and how.
    pub(crate) log: LogArgs,
}

impl Call<'_> {
    /// The verb's arguments as its own type.
    fn arguments<A: FromArgMatches>(&self) -> A {
        // The command was made from this type.
        A::from_arg_matches(self.matches).unwrap_or_else(|error| error.exit())
    }

    /// The format of --log-format, if the flag was given.
    fn log_format_flag(&self) -> Option<LogFormat> {
        let given = self.matches.value_source("log_format") == Some(ValueSource::CommandLine);
        given.then_some(self.log.log_format)
    }
}

#[cfg(not(all(feature = "domains", feature = "notices", feature = "upload")))]
impl Verb {
    /// A verb that this program was built without: it takes anything, and says so.
    const fn left_out(name: &'static str, link: Option<&'static str>) -> Self {
        let arguments = |command: Command| {
            let rest = clap::Arg::new("rest").num_args(0..).trailing_var_arg(true);
            let rest = rest.allow_hyphen_values(true).hide(true);
            command.about("(this program was built without it)").arg(rest)
        };
        let run = |call: &Call<'_>| {
            let name = call.command.get_name();
            let why = format!("this program was built without {name}. Build it with: make build");
            Err(Failure::saying(Exit::Usage, &why))
        };
        Self { name, link, arguments, run, exits: &[] }
    }
}

impl Verb {
    /// Its whole command: arguments, log, exit codes, version.
    fn command(&self) -> Command {
        let command = (self.arguments)(Command::new(self.name));
        // Whatever is put in brings its own description.
        let about = command.get_about().cloned();
        let long_about = command.get_long_about().cloned();
        let command = LogArgs::augment_args(command)
            .about(Resettable::from(about))
            .long_about(Resettable::from(long_about));
        with_help(command, &Exit::table(self.exits)).version(env!("CARGO_PKG_VERSION"))
    }

    /// Does what was asked for.
    fn call(&self, command: &Command, matches: &ArgMatches) -> ExitCode {
        let log = LogArgs::from_arg_matches(matches)
            .unwrap_or(LogArgs { log_format: LogFormat::Text, verbose: 0 });
        match (self.run)(&Call { command, matches, log }) {
            Ok(exit) => exit.into(),
            Err(failure) => {
                failure.report(log.log_format);
                failure.exit.into()
            }
        }
    }
}

/// The command with the exit codes in its long help and that of its subcommands, and with no
/// variable's value in it.
fn with_help(command: Command, exits: &str) -> Command {
    let examples = command.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
    command
        .after_long_help(format!("{examples}Exit codes:\n{}", exits.trim_end()))
        .mut_args(|argument| argument.hide_env_values(true))
        .mut_subcommands(|command| with_help(command, exits))
}

/// The command of the program itself.
fn program() -> Command {
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about("Finds the exit relays of the Tor network that cannot resolve names")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(VERBS.iter().map(|verb| verb.command()))
}

/// What is asked for.
struct ChosenVerb<'a> {
    verb: &'static Verb,
    /// What the verb goes by in messages: the name of a link, or the program's and its own.
    name: String,
    /// The arguments, from the verb on.
    rest: &'a [OsString],
}

/// The verb that these arguments, the program's name first, ask for.
fn choose(arguments: &[OsString]) -> Option<ChosenVerb<'_>> {
    let called = Path::new(arguments.first()?).file_name()?;
    for verb in VERBS {
        if let Some(link) = verb.link.filter(|link| called == *link) {
            return Some(ChosenVerb { verb, name: link.to_owned(), rest: arguments });
        }
    }
    let verb = VERBS.iter().find(|verb| arguments.get(1).is_some_and(|word| word == verb.name))?;
    Some(ChosenVerb { verb, name: format!("{NAME} {}", verb.name), rest: &arguments[1..] })
}

/// Does what the arguments, the program's name first, ask for.
pub(crate) fn start(arguments: &[OsString]) -> ExitCode {
    // Only the one verb's variables are looked at: what is wrong with another's is its own.
    if let Some(ChosenVerb { verb, name, rest }) = choose(arguments) {
        let command = verb.command().bin_name(name.clone()).display_name(name);
        let matches = settings::arguments::read(&command, rest);
        return verb.call(&command, &matches);
    }
    let command = program();
    let matches = settings::arguments::read(&command, arguments);
    let chosen = matches.subcommand().and_then(|(name, matches)| {
        let verb = VERBS.iter().find(|verb| verb.name == name)?;
        Some(verb.call(command.find_subcommand(name)?, matches))
    });
    chosen.unwrap_or_else(|| Exit::Usage.into())
}

#[expect(clippy::disallowed_methods, reason = "the program's edge: the libraries take the time")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

#[expect(clippy::disallowed_methods, reason = "the program's edge: the libraries take the number")]
fn random() -> u128 {
    rand::random()
}

/// The runtime of a verb: one thread, as what waits is the network.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(Into::into).collect()
    }

    fn chosen(text: &str) -> Option<(String, usize)> {
        let arguments = words(text);
        choose(&arguments).map(|chosen| (chosen.name, chosen.rest.len()))
    }

    #[test]
    fn the_arguments_are_consistent() {
        program().debug_assert();
        for verb in VERBS {
            verb.command().debug_assert();
        }
    }

    #[test]
    fn a_verb_is_chosen_by_the_first_word_or_by_the_name_of_a_link() {
        let is = |text: &str, name: &str, words: usize| {
            assert_eq!(chosen(text), Some((name.to_owned(), words)), "{text}");
        };
        is("/usr/bin/exit-validator scan --dry-run", "exit-validator scan", 2);
        is("target/release/scanner --dry-run", "scanner", 2);
        is("aggregate retain", "aggregate", 2);
        is("settings check x", "settings", 3);
        is("upload upload", "upload", 2);
        is("exit-validator upload", "exit-validator upload", 1);
        assert_eq!(chosen("exit-validator --help"), None);
        assert_eq!(chosen("another-name"), None);
    }

    #[test]
    fn no_help_shows_the_value_of_a_variable() {
        for verb in VERBS {
            let mut commands = vec![verb.command()];
            while let Some(command) = commands.pop() {
                commands.extend(command.get_subcommands().cloned());
                assert!(command.get_arguments().all(clap::Arg::is_hide_env_values_set));
            }
        }
    }
}
