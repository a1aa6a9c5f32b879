//! Arguments and the variables that stand for them, read alike by the programs: a variable that is
//! empty counts as not given, as in a configuration that names every setting; a value that cannot
//! be used is named by the variable that it came from, and all such in one go. Reads the process's
//! environment; writes to the terminal only what is wrong with it, or help.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use clap::builder::{OsStr as Name, Resettable};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command, Error};

/// Flags that do not go together, or a value out of range, in words for the person who gave them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The exit code of a usage error: clap's own.
const USAGE: i32 = 2;

/// What the arguments, the program's name first, mean to `command`; where they cannot be used, or
/// help is asked for, the process ends as with [`Command::get_matches`].
#[must_use]
pub fn read(command: &Command, arguments: &[OsString]) -> ArgMatches {
    let error = match without_empty(command.clone()).try_get_matches_from(arguments) {
        Ok(matches) => return matches,
        Err(error) => error,
    };
    if from_a_variable(command, arguments, &error) {
        check_variables(command);
    }
    printable(error).exit()
}

/// Ends the process with a usage error where any variable of the command has a value that it cannot
/// use, also those of its subcommands that are not given now: what a later run would stumble over.
pub fn check_variables(command: &Command) {
    let wrong = wrong_variables(command);
    if !wrong.is_empty() {
        refuse(&wrong);
    }
}

/// Whether a variable is there and blank, which counts as not given: only white space is blank too,
/// as for the settings that are no flags.
fn blank(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| value.to_string_lossy().trim().is_empty())
}

/// The command, blind to variables that are empty.
fn without_empty(command: Command) -> Command {
    blind(command, &blank)
}

fn blind(command: Command, to: &dyn Fn(&OsStr) -> bool) -> Command {
    command
        .mut_args(|arg| match arg.get_env() {
            Some(name) if to(name) => arg.env(Resettable::<Name>::Reset),
            _ => arg,
        })
        .mut_subcommands(|command| blind(command, to))
}

/// Whether an error is gone, or another, when the variables are.
fn from_a_variable(command: &Command, arguments: &[OsString], error: &Error) -> bool {
    let about_a_value = matches!(
        error.kind(),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::InvalidUtf8
    );
    let same = |other: Error| {
        other.kind() == error.kind()
            && [ContextKind::InvalidArg, ContextKind::InvalidValue]
                .into_iter()
                .all(|kind| context(&other, kind) == context(error, kind))
    };
    let alone = blind(command.clone(), &|_| true);
    about_a_value && !alone.try_get_matches_from(arguments).is_err_and(same)
}

/// What is wrong with each variable of the program and its commands whose value cannot be used.
fn wrong_variables(command: &Command) -> Vec<String> {
    // By name, as commands share variables.
    let mut wrong: BTreeMap<String, String> = BTreeMap::new();
    let mut commands = vec![command];
    while let Some(next) = commands.pop() {
        commands.extend(next.get_subcommands());
        for arg in next.get_arguments() {
            let Some(name) = arg.get_env().filter(|name| !blank(name)) else { continue };
            if let Err(error) = alone(arg) {
                let name = name.to_string_lossy().into_owned();
                let told = in_words(error, &name);
                wrong.entry(name).or_insert(told);
            }
        }
    }
    wrong.into_values().collect()
}

/// Reads one argument from its variable, whatever it demands of others.
fn alone(arg: &Arg) -> Result<(), Error> {
    let copy = arg
        .clone()
        .required(false)
        .global(false)
        .conflicts_with(Resettable::Reset)
        .overrides_with(Resettable::Reset)
        .requires(Resettable::Reset);
    Command::new("alone")
        .no_binary_name(true)
        .arg(copy)
        .try_get_matches_from(std::iter::empty::<&str>())
        .map(drop)
}

/// The error of a variable's value, with the variable before the flag that it stands for.
fn in_words(mut error: Error, variable: &str) -> String {
    let Some(flag) = context(&error, ContextKind::InvalidArg) else {
        // Its words do not say what it is about.
        return format!("error: the value of '{variable}' cannot be used: it is not UTF-8");
    };
    let both = ContextValue::String(format!("{variable} ({flag})"));
    error.insert(ContextKind::InvalidArg, both);
    let text = printable(error).render().to_string();
    // The hint at the help comes once, at the end.
    text.split("\n\nFor more information").next().unwrap_or_default().trim_end().to_owned()
}

/// The error, with nothing in it that acts on a terminal: a value, or a word that is no argument.
fn printable(mut error: Error) -> Error {
    for kind in [ContextKind::InvalidValue, ContextKind::InvalidArg, ContextKind::InvalidSubcommand]
    {
        if let Some(value) = context(&error, kind) {
            error.insert(kind, ContextValue::String(record::printable(&value)));
        }
    }
    error
}

fn context(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(value)) => Some(value.clone()),
        _ => None,
    }
}

#[expect(clippy::print_stderr, reason = "the program ends here, before it has a log")]
fn refuse(problems: &[String]) -> ! {
    eprintln!("{}\n\nFor more information, try '--help'.", problems.join("\n"));
    std::process::exit(USAGE);
}
