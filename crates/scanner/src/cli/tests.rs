//! The flags' variables are those of the list of settings, with its defaults.

use std::collections::BTreeSet;

use clap::CommandFactory;
use settings::{DefaultValue, Reader};

use super::*;

/// The settings that this program reads.
fn listed() -> impl Iterator<Item = &'static settings::Key> {
    settings::keys().filter(|key| key.readers.contains(&Reader::Scanner))
}

#[test]
fn the_arguments_are_consistent() {
    ScanCli::command().debug_assert();
}

#[test]
fn every_variable_is_a_setting() {
    let command = ScanCli::command();
    let mut read: BTreeSet<&str> =
        command.get_arguments().filter_map(|arg| arg.get_env()?.to_str()).collect();
    // Not flags of the scan: one is a secret, the others belong to the log.
    read.extend([
        crate::PASSWORD_VARIABLE,
        "LOG_FORMAT",
        tracing_subscriber::EnvFilter::DEFAULT_ENV,
    ]);
    assert_eq!(read, listed().map(|key| key.name).collect::<BTreeSet<_>>());
}

#[test]
fn every_default_is_as_the_list_says() {
    let command = ScanCli::command();
    let check = |flags: &[String]| {
        let flags = ["scanner".to_owned()].into_iter().chain(flags.iter().cloned());
        ScanCli::try_parse_from(flags).unwrap().check().unwrap()
    };
    let alone = check(&[]);
    let mut all = Vec::new();
    for key in listed() {
        let DefaultValue::Value(value) = key.default else { continue };
        if key.name == "LOG_FORMAT" {
            continue;
        }
        let arg =
            command.get_arguments().find(|arg| arg.get_env().is_some_and(|name| name == key.name));
        let flag = format!("--{}", arg.unwrap().get_long().unwrap());
        if key.kind == settings::ValueKind::Flag {
            // Has no value on the command line: given is true.
            assert_eq!(value, "false", "{}", key.name);
            assert_ne!(check(&[flag]), alone, "{}", key.name);
        } else {
            all.push(format!("{flag}={value}"));
            assert_eq!(check(&all), alone, "{}", key.name);
        }
    }
    assert!(all.len() > 10, "{all:?}");
    // Another one would be seen.
    for flag in ["--build-delay=2.1", "--expected-ip=64.65.4.2", "--tor-wait=121", "--tor=/tor"] {
        assert_ne!(check(&[flag.to_owned()]), alone, "{flag}");
    }
    let per_first_hop = settings::find("MAX_PER_FIRST_HOP").unwrap();
    let words = format!("{}, or MAX_IN_FLIGHT with FIRST_HOP", alone.max_per_first_hop);
    assert!(matches!(per_first_hop.default, DefaultValue::Words(text) if text == words));
}
