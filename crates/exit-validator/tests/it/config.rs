//! The program from the outside, with real files, modes and a real shell.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::program;

/// How a program ended.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn settings(arguments: &[&str]) -> Ended {
    run(Command::new(program("settings")).args(arguments))
}

/// A file in a directory of its own, whose name has a space and a quote.
fn file(text: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it's a config.env");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (dir, path)
}

fn check(path: &Path) -> Ended {
    settings(&["check", path.to_str().unwrap()])
}

#[test]
fn a_good_file() {
    let (_dir, path) = file(b"DO_SPACES_SECRET='a b'\nTZ=UTC\nSHARD=\n", 0o640);
    let ended = check(&path);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert_eq!(ended.out, format!("{}: right; 2 settings have a value\n", path.display()));
    let quiet = settings(&["check", "--quiet", path.to_str().unwrap()]);
    assert_eq!((quiet.code, quiet.out.as_str(), quiet.err.as_str()), (Some(0), "", ""));
}

#[test]
fn everything_that_is_wrong_a_line_each() {
    let text = b"SCAN_LIMIT=5\n\nDO_SPACES_SECRET=hunter2\nHUNTER =hunter2\nGATE_X=hunter2\n\
                 TOR_CONTROL_PASSWORD=a hunter2\nA=\x1b]0;hunter2\x07\n";
    let (_dir, path) = file(text, 0o664);
    let ended = check(&path);
    assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""));
    assert!(!ended.err.contains("hunter2"), "{}", ended.err);
    insta::assert_snapshot!("check", ended.err.replace(path.to_str().unwrap(), "config.env"));
    // Quiet is about good news alone.
    assert_eq!(settings(&["check", "-q", path.to_str().unwrap()]).err, ended.err);
}

#[test]
fn a_name_of_a_file_does_not_act_on_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("\x1b[31mred");
    fs::write(&path, "export A=1\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let ended = check(&path);
    assert_eq!(ended.code, Some(3));
    assert!(ended.err.contains("\\u{1b}[31mred:1: "), "{}", ended.err);
    assert!(!ended.err.contains('\x1b'));
}

#[test]
fn what_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let missing = check(&dir.path().join("none"));
    assert_eq!(missing.code, Some(3));
    assert!(missing.err.contains("none: cannot be read: No such file"), "{}", missing.err);
    let directory = check(dir.path());
    assert_eq!(directory.code, Some(3));
    assert!(directory.err.contains("not a regular file"), "{}", directory.err);
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(check(&pipe).code, Some(3));
    let large = dir.path().join("large");
    fs::write(&large, vec![b'\n'; (1 << 20) + 1]).unwrap();
    fs::set_permissions(&large, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(check(&large).code, Some(3));
    fs::write(&large, vec![b'\n'; 1 << 20]).unwrap();
    assert_eq!(check(&large).code, Some(0));
}

#[test]
fn usage() {
    for arguments in [&[][..], &["check"], &["chekc", "x"], &["check", "a", "b"], &["list", "x"]] {
        assert_eq!(settings(arguments).code, Some(2), "{arguments:?}");
    }
    let help = settings(&["--help"]);
    assert_eq!(help.code, Some(0));
    for code in [0, 1, 2, 3, 8] {
        assert!(help.out.contains(&format!("\n {code:>4}  ")), "{code}");
    }
}

#[test]
fn the_example_as_it_is_and_with_every_line_uncommented() {
    let example = settings(&["example"]).out;
    let list = settings(&["list"]).out;
    let (_dir, path) = file(example.as_bytes(), 0o640);
    assert_eq!(check(&path).code, Some(0));
    // As a person would do it: what looks like a setting loses its #.
    let edit =
        Command::new("sed").args(["-i", "s/^#\\([A-Z]\\)/\\1/"]).arg(&path).status().unwrap();
    assert!(edit.success());
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let ended = check(&path);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let by_sh = run(Command::new("sh")
        .args(["-c", "set -a; . \"$0\" && exec /usr/bin/env -0"])
        .arg(&path)
        .env_clear());
    assert_eq!((by_sh.code, by_sh.err.as_str()), (Some(0), ""));
    let mut seen = 0;
    for line in by_sh.out.split_terminator('\0') {
        let (name, value) = line.split_once('=').unwrap();
        let Some(key) = settings::find(name) else { continue };
        seen += 1;
        assert_eq!(value, key.decided.unwrap_or(key.default.value()), "{name}");
        assert!(list.contains(&format!("\n  {name}\n")), "{name}");
    }
    assert_eq!(seen, settings::keys().count());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let program = program("settings");
    let list = "\"$0\" list | head -n 1; echo ${PIPESTATUS[0]}";
    let ended = run(Command::new("bash").args(["-c", list]).arg(program));
    assert_eq!(ended.out.lines().collect::<Vec<_>>(), ["What is asked", "0"]);
}

#[test]
fn what_counts_of_a_setting() {
    let text = b"R2_ENABLED=True\nR2_PREFIX=/dns/\nDO_BUCKET=file\nDO_SPACES_SECRET='a b'\n";
    let (_dir, path) = file(text, 0o600);
    let get = |key: &str, environment: &[(&str, &str)]| {
        let mut command = Command::new(program("exit-validator"));
        let path = path.to_str().unwrap();
        command.env_clear().args(["config", "get", "--config", path, key]);
        run(command.envs(environment.iter().copied()))
    };
    for (key, environment, wanted) in [
        ("R2_ENABLED", &[][..], "true\n"),
        ("KEY_PREFIX", &[], "dns/\n"),
        ("PAGES_BRANCH", &[], "main\n"),
        ("PAGES_PROJECT", &[], ""),
        ("DO_SPACES_SECRET", &[], "a b\n"),
        ("DO_BUCKET", &[("DO_BUCKET", "environment")], "environment\n"),
        ("DO_BUCKET", &[("DO_BUCKET", "")], "file\n"),
    ] {
        let ended = get(key, environment);
        assert_eq!((ended.code, &*ended.out, &*ended.err), (Some(0), wanted, ""), "{key}");
    }
    let ended = get("R2_ENABLED", &[("R2_ENABLED", "perhaps")]);
    assert_eq!(ended.code, Some(3));
    assert!(ended.err.contains("R2_ENABLED in the environment is \"perhaps\""), "{}", ended.err);
    let ended = get("R2_ENABLE", &[]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("config list"), "{}", ended.err);
}
