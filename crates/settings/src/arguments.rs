//! Arguments and the variables that stand for them, read alike by the programs: a variable that is
//! empty counts as not given, as in a configuration that names every setting; a value that cannot
//! be used is named by the variable that it came from, and all such in one go. Reads the process's
//! arguments and environment; writes to the terminal only what is wrong with them.

use std::ffi::OsStr;

use clap::builder::{OsStr as Name, Resettable};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error, Parser};

/// The exit code of a usage error: clap's own.
const USAGE: i32 = 2;

/// The program's arguments; where they cannot be used, or help is asked for, the process ends as
/// with [`Parser::parse`].
#[must_use]
pub fn read<C: Parser>() -> C {
    let matches = without_empty(C::command()).try_get_matches();
    let read = matches.and_then(|mut matches| C::from_arg_matches_mut(&mut matches));
    match read.map_err(printable) {
        Ok(arguments) => arguments,
        Err(error) if from_a_variable::<C>(&error) => refuse(&wrong_variables(&C::command())),
        Err(error) => error.exit(),
    }
}

/// Ends the process with a usage error where any variable of the program has a value that it cannot
/// use, also those of commands that are not given now: what a later run would stumble over.
pub fn check_variables<C: Parser>() {
    let wrong = wrong_variables(&C::command());
    if !wrong.is_empty() {
        refuse(&wrong);
    }
}

fn set(name: &OsStr) -> bool {
    // Only white space is empty too, as for the programs' other settings.
    std::env::var_os(name).is_some_and(|value| !value.to_string_lossy().trim().is_empty())
}

/// The command, blind to variables that are empty.
fn without_empty(command: Command) -> Command {
    blind(command, &|name| !set(name))
}

fn blind(command: Command, to: &dyn Fn(&OsStr) -> bool) -> Command {
    command
        .mut_args(|arg| match arg.get_env() {
            Some(name) if to(name) => arg.env(Resettable::<Name>::Reset),
            _ => arg,
        })
        .mut_subcommands(|command| blind(command, to))
}

/// Whether an error is gone when the variables are.
fn from_a_variable<C: Parser>(error: &Error) -> bool {
    let invalid = error.get(ContextKind::InvalidArg).is_some();
    let alone = blind(C::command(), &|_| true).try_get_matches();
    // The same value of the same flag is wrong on the command line too.
    let same = |other: Error| {
        [ContextKind::InvalidArg, ContextKind::InvalidValue]
            .into_iter()
            .all(|kind| printable_context(&other, kind) == printable_context(error, kind))
    };
    invalid && !alone.is_err_and(same)
}

/// Every variable of the program and its commands whose value cannot be used, as errors that name
/// the variable.
fn wrong_variables(command: &Command) -> Vec<Error> {
    let mut wrong: Vec<(String, Error)> = Vec::new();
    let mut commands = vec![command];
    while let Some(next) = commands.pop() {
        commands.extend(next.get_subcommands());
        for arg in next.get_arguments() {
            let Some(name) = arg.get_env().filter(|name| set(name)) else { continue };
            let name = name.to_string_lossy().into_owned();
            // Commands share variables.
            let error = alone(arg).err();
            if let Some(error) = error.filter(|_| wrong.iter().all(|(other, _)| *other != name)) {
                wrong.push((name.clone(), named(error, &name, arg)));
            }
        }
    }
    wrong.into_iter().map(|(_, error)| error).collect()
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

/// The error, with the variable before the flag that it stands for.
fn named(mut error: Error, variable: &str, arg: &Arg) -> Error {
    error.insert(ContextKind::InvalidArg, ContextValue::String(format!("{variable} ({arg})")));
    printable(error)
}

/// The error, with a value that can be shown.
fn printable(mut error: Error) -> Error {
    if let Some(value) = printable_context(&error, ContextKind::InvalidValue) {
        error.insert(ContextKind::InvalidValue, ContextValue::String(value));
    }
    error
}

fn printable_context(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(value)) => Some(record::printable(value)),
        _ => None,
    }
}

#[expect(clippy::print_stderr, reason = "the program ends here, before it has a log")]
fn refuse(errors: &[Error]) -> ! {
    for error in errors {
        let text = match error.kind() {
            // Has no context that could name the variable.
            ErrorKind::InvalidUtf8 => format!("{error}\n"),
            _ => error.render().to_string(),
        };
        // The hint at the help once, at the end.
        let text = text.split("\n\nFor more information").next().unwrap_or_default();
        eprintln!("{}", text.trim_end());
    }
    eprintln!("\nThe values are of the environment; --help tells what they may be.");
    std::process::exit(USAGE);
}
