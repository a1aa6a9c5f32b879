//! The one door: its names, its help, and its words.

use std::fs;
use std::process::{Command, Output};

use crate::support::program;

fn run(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(program(name))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

#[track_caller]
fn out(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr, b"");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(output.stdout, b"");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Every verb, with its subcommands.
const VERBS: &[(&str, &[&str])] = &[
    ("scan", &[]),
    ("report", &["files", "runs", "summary"]),
    #[cfg(feature = "upload")]
    ("upload", &["prune", "push-run", "pull"]),
    ("retain", &[]),
    ("run", &[]),
    ("check", &[]),
    ("history", &["export", "relay", "prune"]),
    ("domains", &[]),
    ("notify", &["status", "contacted", "evidence"]),
    ("zone", &["check", "correlate", "serve"]),
    ("config", &["check", "list", "example"]),
    ("completions", &[]),
    ("manual", &[]),
];

#[test]
fn the_help() {
    let help = out(run("exit-validator", &["--help"], &[]));
    for (verb, _) in VERBS {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb}: {help}");
    }
    assert!(!help.contains("aggregate"), "a name of old is not advertised: {help}");
    insta::assert_snapshot!(help);
}

#[test]
fn the_help_of_each_verb() {
    for (verb, commands) in VERBS {
        let mut all = vec![vec![*verb, "--help"]];
        all.extend(commands.iter().map(|command| vec![*verb, *command, "--help"]));
        let mut shown = Vec::new();
        for arguments in all {
            let help = out(run("exit-validator", &arguments, &[("LOG_FORMAT", "text")]));
            assert!(help.contains("\nExit codes:\n    0  done\n"), "{arguments:?}: {help}");
            shown.push(format!("$ exit-validator {}\n{help}", arguments.join(" ")));
        }
        insta::assert_snapshot!(format!("help_{verb}"), shown.join("\n"));
    }
}

/// A page for each verb that the help names, and a script that the shell itself takes.
#[test]
fn manual_pages_and_completions() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man/man1");
    out(run("exit-validator", &["manual", pages.to_str().unwrap()], &[]));
    let help = out(run("exit-validator", &["--help"], &[]));
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs = verbs.take_while(|line| line.starts_with("  "));
    let verbs: Vec<&str> = verbs.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(verbs.len() > 10, "{verbs:?}");
    for verb in verbs.iter().filter(|verb| **verb != "help") {
        let page = fs::read_to_string(pages.join(format!("exit-validator-{verb}.1"))).unwrap();
        assert!(page.starts_with(".ie") && page.contains(".SH OPTIONS"), "{verb}");
    }
    let script = dir.path().join("completions");
    fs::write(&script, out(run("exit-validator", &["completions", "bash"], &[]))).unwrap();
    let ask = format!(
        ". {}; COMP_WORDS=(exit-validator zon); COMP_CWORD=1; \
         _exit__validator exit-validator zon exit-validator; echo \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let answer = Command::new("bash").args(["-c", &ask]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "zone");
    for shell in ["zsh", "fish"] {
        assert!(out(run("exit-validator", &["completions", shell], &[])).contains("correlate"));
    }
}

#[test]
fn the_names_of_old_are_links_to_it() {
    for (name, verb) in [("scanner", "scan"), ("upload", "upload"), ("settings", "config")] {
        if verb == "upload" && cfg!(not(feature = "upload")) {
            continue;
        }
        let by_name = out(run(name, &["--help"], &[]));
        let by_verb = out(run("exit-validator", &[verb, "--help"], &[]));
        let usage = format!("Usage: exit-validator {verb}");
        assert_eq!(by_name, by_verb.replace(&usage, &format!("Usage: {name}")));
        let version = out(run(name, &["--version"], &[]));
        assert_eq!(version, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
    insta::assert_snapshot!("help_aggregate", out(run("aggregate", &["--help"], &[])));
}

#[test]
fn an_error_has_one_form() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().to_str().unwrap();
    let place = [("ANALYSIS_ROOT", here), ("OUTPUT_DIR", here)];
    let said = refused(&run("exit-validator", &["report"], &place), 21);
    assert!(said.starts_with("error: there is no complete run"), "{said}");
    let said = refused(&run("exit-validator", &["report", "--log-format", "json"], &place), 21);
    let line: serde_json::Value = serde_json::from_str(said.trim_end()).unwrap();
    assert_eq!(line["level"], "ERROR");
    let said = refused(&run("exit-validator", &["scan", "--resume"], &[]), 2);
    assert!(said.starts_with("error: --resume needs --analysis-dir"), "{said}");
    let said = refused(&run("exit-validator", &["scna"], &[]), 2);
    assert!(said.contains("scan"), "{said}");
    // What is wrong with another verb's variable is no fault of this one.
    out(run("exit-validator", &["config", "list"], &[("BUILD_DELAY", "soon")]));
    let said =
        refused(&run("exit-validator", &["scan", "--dry-run"], &[("BUILD_DELAY", "soon")]), 2);
    assert!(said.contains("BUILD_DELAY (--build-delay"), "{said}");
}

#[test]
fn a_log_level_that_is_not_valid_is_said_and_ignored() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("public")).unwrap();
    let public = dir.path().join("public");
    let place = [("OUTPUT_DIR", public.to_str().unwrap()), ("RUST_LOG", "scanner=loud")];
    let output = run("exit-validator", &["report", "files"], &place);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("RUST_LOG is ignored") && said.contains("info,scanner=debug"), "{said}");
}
