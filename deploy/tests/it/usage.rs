//! What is refused before any work starts.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::host::{Host, SECRET, Stores, script};

pub fn wrong_arguments() {
    let host = Host::new();
    for (arguments, said) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["--only", "lunch"], "--only is scan"),
        (&["--only"], "needs a value"),
        (&["--dry-run", "--check"], "goes with neither"),
        (&["--check", "--only", "scan"], "do not go together"),
        (&["\u{1b}[31m"], "unknown argument '"),
    ] {
        let ended = host.run(arguments).with(2).saying(&[said]);
        assert!(!ended.said.contains('\u{1b}'), "{}", ended.said);
    }
    assert!(!host.state().exists());
}

pub fn wrong_settings() {
    let stores = Stores::start();
    let refused = |set: &dyn Fn(&mut Host), said: &[&str]| {
        let mut host = Host::publishing_to(&stores);
        set(&mut host);
        let ended = host.run(&[]).with(3).saying(said);
        assert!(!ended.said.contains(SECRET), "{}", ended.said);
        assert!(!host.state().exists(), "something was started");
    };
    refused(&|host| host.set("BUILD_DELAI", "2"), &["BUILD_DELAI", "BUILD_DELAY"]);
    refused(&|host| host.set("SCAN_LIMIT", "soon"), &["SCAN_LIMIT"]);
    refused(&|host| host.set("BUILD_DELAY", "-1"), &["BUILD_DELAY"]);
    refused(&|host| host.set("GATE_CIRCUIT_FAIL_PERCENT", "101"), &["GATE_CIRCUIT_FAIL_PERCENT"]);
    refused(&|host| host.set("R2_BUCKET", ""), &["R2_BUCKET"]);
    refused(&|host| host.set("GATHER", "true"), &["GATHER is set and SHARD is not"]);
    refused(
        &|host| {
            host.set("GATHER", "true");
            host.set("SHARD", "0/2");
        },
        &["RUN_STORE is not"],
    );

    // A file with keys that others can read.
    let host = Host::publishing_to(&stores);
    host.configure();
    fs::set_permissions(host.config(), fs::Permissions::from_mode(0o644)).unwrap();
    let output = host.wrapper(&[]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("chmod") && !said.contains(SECRET), "{said}");

    // A line that the shell would run.
    let canary = host.path("canary");
    fs::write(host.config(), format!("TZ=$(touch '{}')\n", canary.display())).unwrap();
    let output = host.wrapper(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(!canary.exists());

    fs::remove_file(host.config()).unwrap();
    assert_eq!(host.wrapper(&[]).output().unwrap().status.code(), Some(3));
}

pub fn every_exit_code_is_told() {
    let script = fs::read_to_string(script()).unwrap();
    let (help, code) = script.split_once("\nHELP\n}").unwrap();
    let used = code.lines().flat_map(|line| {
        ["fail ", "refuse ", "verdict ", "try "]
            .iter()
            .filter_map(move |word| line.split_once(word))
            .filter_map(|(_, rest)| rest.split_whitespace().next()?.parse::<u32>().ok())
            .collect::<Vec<_>>()
    });
    let used: BTreeSet<u32> = used.collect();
    assert!(used.len() > 20, "{used:?}");
    let told: BTreeSet<u32> = help
        .lines()
        .skip_while(|line| !line.starts_with("Exit codes"))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    let untold: Vec<_> = used.difference(&told).collect();
    assert!(untold.is_empty(), "used and not told: {untold:?}");
    let unused: Vec<_> = told.difference(&used).filter(|code| ![0, 1].contains(*code)).collect();
    assert!(unused.is_empty(), "told and not used: {unused:?}");
}

pub fn programs_that_are_missing() {
    let host = Host::new();
    host.configure();
    let output = host.wrapper(&[]).env("PROGRAM_DIR", host.path("nowhere")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("settings") && said.contains("PROGRAM_DIR"), "{said}");
}

pub fn the_environment_goes_before_the_file() {
    let host = Host::new();
    host.configure();
    let other = host.path("another state");
    let output = host.wrapper(&["--only", "retain"]).env("STATE_DIR", &other).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(other.join("log").exists() && !host.state().exists());

    // Without a file, the environment is enough.
    let command = host.wrapper(&[]);
    let bare = std::process::Command::new(script())
        .args(["--only", "retain"])
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("STATE_DIR", host.path("a third"))
        .current_dir(host.path(""))
        .output()
        .unwrap();
    assert_eq!(bare.status.code(), Some(0), "{}", String::from_utf8_lossy(&bare.stderr));
}

pub fn relative_places_are_those_of_the_caller() {
    let mut host = Host::new();
    host.set("LOG_DIR", "logs here");
    host.configure();
    std::os::unix::fs::symlink(crate::network::programs(), host.path("programs")).unwrap();
    let mut wrapper = host.wrapper(&["--only", "retain"]);
    let output = wrapper.env("PROGRAM_DIR", "programs").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_dir(host.path("logs here")).unwrap().count(), 1);
}
