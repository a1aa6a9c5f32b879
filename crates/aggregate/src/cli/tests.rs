//! The arguments, and that their variables and defaults are those of the list of settings.

use std::collections::BTreeSet;

use clap::CommandFactory;
use settings::{DefaultValue, Reader};

use super::*;

#[test]
fn the_arguments_are_consistent() {
    AggregateCli::command().debug_assert();
}

fn options(arguments: &[&str]) -> ReportOptions {
    let arguments = ["aggregate"].iter().chain(arguments);
    AggregateCli::try_parse_from(arguments).unwrap().report.options()
}

#[test]
fn the_output_is_beside_the_previous_report() {
    let given = options(&["--previous", "latest.json"]);
    assert_eq!(given.target, ReportTarget::Directory(".".into()));
    assert_eq!(given.previous, PathBuf::from("latest.json"));
    let given = options(&["--previous", "a/b/latest.json", "--output-dir", "c"]);
    assert_eq!(given.target, ReportTarget::Directory("c".into()));
    let given = options(&["-i", "x", "y", "--stdout"]);
    assert_eq!(given.inputs.len(), 2);
    assert_eq!(given.target, ReportTarget::Print);
}

#[test]
fn percentages_are_checked() {
    for value in ["-1", "101", "NaN", "x", ""] {
        let arguments = ["aggregate", &format!("--gate-one-kind={value}")];
        assert!(AggregateCli::try_parse_from(arguments).is_err(), "{value}");
    }
}

/// Every argument that has a variable, of the program and its commands, with the variable.
fn with_variables() -> Vec<(String, clap::Arg)> {
    let mut found = Vec::new();
    let mut commands = vec![AggregateCli::command()];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands().cloned());
        found.extend(command.get_arguments().filter_map(|arg| {
            let name = arg.get_env()?.to_str().unwrap().to_owned();
            Some((name, arg.clone()))
        }));
    }
    found
}

#[test]
fn every_variable_is_a_setting() {
    let arguments = with_variables();
    let mut read: BTreeSet<&str> = arguments.iter().map(|(name, _)| name.as_str()).collect();
    // Of the log, which is the program's.
    read.extend(["LOG_FORMAT", "RUST_LOG"]);
    // Its settings are only read where there is that command.
    let retains = AggregateCli::command().find_subcommand("retain").is_some();
    let listed: BTreeSet<&str> = settings::keys()
        .filter(|key| {
            key.readers.contains(&Reader::Aggregate)
                || retains && key.readers.contains(&Reader::Retain)
        })
        .map(|key| key.name)
        .collect();
    assert_eq!(read, listed);
}

#[test]
fn every_default_is_as_the_list_says() {
    for (name, arg) in with_variables() {
        let key = settings::find(&name).unwrap();
        let own: Vec<&str> =
            arg.get_default_values().iter().map(|value| value.to_str().unwrap()).collect();
        match key.default {
            DefaultValue::Value("false") if key.kind == settings::ValueKind::Flag => {
                // A flag that is not given is false.
                assert!(matches!(arg.get_action(), clap::ArgAction::SetTrue), "{name}");
                assert_eq!(own.len(), 0, "{name}");
            }
            DefaultValue::Value(value) => assert_eq!(own, [value], "{name}"),
            // Without the wrapper it is what the words cannot say: in the working directory.
            DefaultValue::Words(_) if name == "OUTPUT_DIR" => {
                assert_eq!(own, [job::DEFAULT_OUTPUT]);
            }
            DefaultValue::Words(_) | DefaultValue::None => {
                assert!(own.is_empty(), "{name}: {own:?}");
            }
        }
    }
    let words = format!("{} in ANALYSIS_ROOT", job::DEFAULT_HISTORY);
    let history = settings::find("HISTORY_FILE").unwrap().default;
    assert!(matches!(history, DefaultValue::Words(text) if text == words));
    for (name, place) in [("ANALYSIS_ROOT", job::DEFAULT_ROOT), ("OUTPUT_DIR", job::DEFAULT_OUTPUT)]
    {
        let words = format!("{place} in STATE_DIR");
        let default = settings::find(name).unwrap().default;
        assert!(matches!(default, DefaultValue::Words(text) if text == words), "{name}");
    }
}
