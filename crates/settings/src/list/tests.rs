//! The list by itself; the programs' own tests hold it to the programs.

use std::collections::BTreeSet;

use super::*;

#[test]
fn names_are_names_and_there_is_one_of_each() {
    let mut names = BTreeSet::new();
    for key in keys() {
        assert!(names.insert(key.name), "{} is there twice", key.name);
        assert!(
            key.name.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
        );
        assert!(!key.readers.is_empty(), "{}", key.name);
        assert!(of(key.group).iter().any(|other| other.name == key.name), "{}", key.name);
        assert!(key.about.ends_with('.') || key.about.ends_with("..."), "{}", key.name);
    }
    for group in Group::ALL {
        assert!(!of(group).is_empty());
    }
}

#[test]
fn defaults_are_in_range() {
    for key in keys() {
        if let (ValueKind::Whole(least, most), DefaultValue::Value(value)) = (key.kind, key.default)
        {
            let value: u64 = value.parse().unwrap();
            assert!((least..=most).contains(&value), "{}", key.name);
        }
        assert!(!key.is_secret() || key.default == DefaultValue::None, "{}", key.name);
        assert!(
            key.decided.is_none() || matches!(key.default, DefaultValue::Value(_)),
            "{}",
            key.name
        );
    }
}

#[test]
fn a_store_of_ones_own_has_the_settings_of_s3() {
    assert!(of_target("attic", "ATTIC_SECRET_ACCESS_KEY").unwrap().is_secret());
    assert_eq!(
        of_target("attic", "ATTIC_REGION").unwrap().default,
        DefaultValue::Value("us-east-1")
    );
    assert!(of_target("attic", "ATTIC_SPACES_KEY").is_none());
    assert!(of_target("attic", "ATTICBUCKET").is_none());
    assert!(of_target("attic", "BUCKET").is_none());
}

/// The text of a file of the repository.
fn source(path: &str) -> String {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_deploy_program_of_cloudflare_reads_these() {
    let script = source("deploy/cloudflare/deploy");
    let (_, rest) = script.split_once("\nfor name in ").unwrap();
    let (names, _) = rest.split_once("; do").unwrap();
    let mut read: BTreeSet<&str> = names.split_whitespace().filter(|word| *word != "\\").collect();
    // What stands in for a setting that is not given.
    let others = std::cell::RefCell::new(BTreeSet::new());
    for name in &read {
        let _ = crate::value(find(name).unwrap(), &|name| {
            others.borrow_mut().insert(find(name)?.name);
            ["DO_ENABLED", "DO_BUCKET", "DO_REGION"].contains(&name).then(|| "true".to_owned())
        });
    }
    read.extend(others.into_inner());
    let listed: BTreeSet<&str> = keys()
        .filter(|key| key.readers.contains(&Reader::Cloudflare))
        .map(|key| key.name)
        .collect();
    assert_eq!(read, listed);
}

#[test]
fn the_function_of_cloudflare_has_these_defaults_and_ranges() {
    let script: String = source("deploy/cloudflare/lib/settings.js").split_whitespace().collect();
    for (name, constant) in [
        ("OVERDUE_AFTER_MINUTES", "DEFAULT_OVERDUE_MINUTES"),
        ("STORE_DEADLINE_MS", "DEFAULT_DEADLINE_MS"),
    ] {
        let key = find(name).unwrap();
        let (DefaultValue::Value(value), ValueKind::Whole(least, most)) = (key.default, key.kind)
        else {
            panic!("{name}")
        };
        assert!(script.contains(&format!("exportconst{constant}={value};")), "{name}");
        // As it is written there: digits in groups.
        let digits = script.replace("525_600", "525600").replace("60_000", "60000");
        let call = format!("\"{name}\",env.{name},{least},{most},{constant},");
        assert!(digits.contains(&call), "{name}");
    }
}
