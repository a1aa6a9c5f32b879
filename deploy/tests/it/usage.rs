//! What is refused before any work starts.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::host::{Host, SECRET, Stores, script};

pub fn wrong_arguments() {
    let host = Host::new();
    for (arguments, said) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["--only", "lunch"], "possible values: scan"),
        (&["--only"], "a value is required"),
        (&["--dry-run", "--check"], "cannot be used with"),
        (&["--check", "--only", "scan"], "cannot be used with"),
        (&["\u{1b}[31m"], "unexpected argument '"),
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

/// Values in the environment, which no check of the file sees.
pub fn wrong_settings_in_the_environment() {
    let stores = Stores::start();
    let host = Host::publishing_to(&stores);
    host.configure();
    for (name, value, said) in [
        ("MIN_FREE_MB", "abc", "MIN_FREE_MB in the environment is \"abc\""),
        ("SCAN_LIMIT", "abc", "SCAN_LIMIT in the environment is \"abc\""),
        ("BUILD_DELAY", "soon", "BUILD_DELAY is set in the environment"),
        ("R2_ENABLED", "maybe", "R2_ENABLED is set in the environment"),
    ] {
        let output = host.wrapper(&[]).env(name, value).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{name}: {text}");
        assert!(text.contains(said), "{name}: {text}");
    }
    assert!(!host.state().exists(), "something was started");
    // A value of the file that only a verb can judge is named with its line.
    let mut host = Host::new();
    host.set("SHARD", "3/3");
    host.run(&[]).with(3).saying(&["SHARD is set in ", "config.env, line "]);
    // One that is blank is none: the file's holds.
    let host = Host::publishing_to(&stores);
    host.configure();
    let output = host.wrapper(&["--check"]).env("R2_ENABLED", "").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("stores         do:") && text.contains("stores         r2:"), "{text}");
}

pub fn programs_that_are_missing() {
    let host = Host::new();
    host.configure();
    let output = host.wrapper(&[]).env("PROGRAM_DIR", host.path("nowhere")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("exit-validator") && said.contains("PROGRAM_DIR"), "{said}");
}

/// What the file says of the programs holds for all of them.
pub fn programs_that_the_file_names() {
    let mut host = Host::new();
    host.replace(
        "scanner",
        "case \"$1\" in --check-settings) exec \"$REAL\" \"$@\" ;; esac\nexit 11",
    );
    host.set("PROGRAM_DIR", host.path("programs").to_str().unwrap());
    host.configure();
    let mut wrapper = host.wrapper(&[]);
    let output = wrapper.env("PROGRAM_DIR", crate::network::programs()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "the environment goes before the file");
    // By the program itself, as no other place is named.
    let run = std::process::Command::new(crate::network::programs().join("exit-validator"))
        .arg("run")
        .arg("--config")
        .arg(host.config())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .current_dir(host.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(11), "{said}");
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
