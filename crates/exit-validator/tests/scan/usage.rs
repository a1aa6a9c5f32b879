//! What is wrong before anything has begun: flags, variables, directories, the program tor.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use record::Fingerprint;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, test_kill_process};
use shelf::run::result_name;

use crate::run::{Ended, names, now, run, scanner, tors_of, until};

const RELAY: &str = "0123456789ABCDEF0123456789ABCDEF01234567";

/// The scanner with a tor of its own in `dir`, where nothing is started that a flag forbids.
fn with(dir: &Path, flags: &[&str]) -> Ended {
    let mut command = scanner(flags);
    command.arg("--tor-dir").arg(dir.join("tor")).current_dir(dir);
    run(command)
}

/// That these flags are a usage error in these words, which leaves nothing behind.
#[track_caller]
fn refused(flags: &[&str], words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let ended = with(dir.path(), flags).with(2).saying(words);
    assert_eq!(ended.out, "");
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

pub fn single_values_are_checked() {
    for fingerprint in ["", "x", "$", &RELAY[1..], "G123456789ABCDEF0123456789ABCDEF01234567"] {
        let words = &["40 hexadecimal digits", "--exit"];
        refused(&[&format!("--exit={fingerprint}")], words);
    }
    refused(&["--first-hop", "guard1"], &["40 hexadecimal digits", "--first-hop"]);
    for shard in ["3/3", "0/0", "x", "1", "-1/3"] {
        refused(&[&format!("--shard={shard}")], &["a shard is N/M", "--shard"]);
    }
    let long = "a.".repeat(104) + "a";
    for (domain, word) in [
        ("a b", "labels of 1 to 63 letters"),
        ("a..b", "labels of 1 to 63 letters"),
        (&"a".repeat(64), "labels of 1 to 63 letters"),
        (&long, "it may have 207"),
        ("192.0.2.1", "an address, not a domain"),
        ("abc.onion", ".onion"),
    ] {
        refused(&["--domain", domain], &[word, "--domain"]);
        refused(&["-H", domain], &[word, "--host"]);
    }
    refused(&["-H", ""], &["labels of 1 to 63 letters", "--host"]);
    refused(&["--expected-ip", "64.65.4"], &["invalid IP address", "--expected-ip"]);
    refused(&["--country", "deu"], &["two-letter country code", "--country"]);
    refused(&["--control", "9051"], &["HOST:PORT or unix:PATH", "--control"]);
    for number in ["-1", "x", "NaN", "inf", "86401"] {
        for flag in [
            "--build-delay",
            "--delay-noise",
            "--query-timeout",
            "--circuit-timeout",
            "--retry-delay",
            "--confirm-after",
            "--bootstrap-timeout",
        ] {
            refused(&[&format!("{flag}={number}")], &["expected seconds", flag]);
        }
    }
    for number in ["0", "-1", "x", "1.5", "10001"] {
        for flag in ["--max-retries", "--max-in-flight", "--max-per-first-hop"] {
            refused(&[&format!("{flag}={number}")], &["expected a whole number", flag]);
        }
    }
    refused(&["--confirm-rounds=101"], &["expected a whole number", "--confirm-rounds"]);
    refused(&["--query-timeout=0"], &["would fail every relay"]);
    refused(&["--query-timeout=111"], &["110 at most"]);
    refused(&["--pace=hasty"], &["conservative"]);
    refused(&["--log-format=xml"], &["json"]);
    refused(&["--frobnicate"], &["--frobnicate"]);
    refused(&["leftover"], &["leftover"]);
}

pub fn flags_that_do_not_go_together_are_refused() {
    refused(&["--resume"], &["--resume needs --analysis-dir"]);
    refused(&["--resume", "--dry-run", "--analysis-dir=a"], &["--resume and --dry-run"]);
    refused(&["--bad-exits", "-e", RELAY], &["--bad-exits", "give one"]);
    refused(&["--control=127.0.0.1:1", "--torrc-extra=x"], &["--torrc-extra", "give one"]);
}

pub fn lists_that_cannot_be_read_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("exits");
    let listed = |text: &[u8]| {
        fs::write(&list, text).unwrap();
        let ended = with(dir.path(), &["--exit-file", list.to_str().unwrap()]).with(2);
        assert_eq!(names(dir.path()), ["exits"]);
        ended
    };
    let bad = format!("# mine\n${RELAY} # right\n\nA\x1b[31mB\n");
    listed(bad.as_bytes()).saying(&["exits, line 4", "40 hexadecimal digits", "u{1b}[31mB"]);
    listed(b"# none\n").saying(&["names no exit"]);
    listed(b"\xff\xfe").saying(&["cannot read --exit-file"]);
    let none = ["--exit-file=/nonexistent/exits"];
    with(dir.path(), &none).with(2).saying(&["cannot read --exit-file /nonexistent/exits"]);
    let none = ["--torrc-extra=/nonexistent/torrc"];
    with(dir.path(), &none).with(2).saying(&["cannot read --torrc-extra /nonexistent/torrc"]);
}

pub fn a_directory_with_a_run_needs_resume_and_resume_needs_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let analysis = dir.path().join("analysis");
    let flag = format!("--analysis-dir={}", analysis.display());
    // Whatever a flag or a directory is refused for, it is refused before tor is started.
    let no_tor = "--tor=/nonexistent/tor";
    let resume = with(dir.path(), &[&flag, "--resume", no_tor]).with(2);
    resume.saying(&["no run to resume", "plan.json"]);
    assert!(!analysis.exists());

    let relay: Fingerprint = RELAY.parse().unwrap();
    for left in ["plan.json", "run.json", &result_name(&relay)] {
        let _ = fs::remove_dir_all(&analysis);
        fs::create_dir(&analysis).unwrap();
        fs::write(analysis.join(left), "{}").unwrap();
        let ended = with(dir.path(), &[&flag, no_tor]).with(2);
        ended.saying(&["already holds the results of a run", "--resume"]);
        assert_eq!(fs::read(analysis.join(left)).unwrap(), b"{}");
    }
    fs::write(analysis.join("plan.json"), "{\"format\":").unwrap();
    with(dir.path(), &[&flag, "--resume", no_tor]).with(2).saying(&["cannot read", "plan.json"]);
    let newer = "{\"format\":{\"name\":\"exit-validator/plan\",\"version\":99}}";
    fs::write(analysis.join("plan.json"), newer).unwrap();
    with(dir.path(), &[&flag, "--resume", no_tor]).with(2).saying(&["version 99", "newer program"]);

    let lock = File::create(analysis.join(".scanner.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    with(dir.path(), &[&flag, no_tor]).with(2).saying(&["another scan is writing"]);
}

pub fn a_directory_that_cannot_be_written_is_told_before_tor_is_started() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let below = dir.path().join("file/analysis");
    for path in [below.to_str().unwrap(), "/proc/analysis", "/proc/self/fd/none/such"] {
        let ended = with(dir.path(), &["--tor=/nonexistent/tor", "--analysis-dir", path]).with(13);
        ended.saying(&["cannot create", path]);
    }
    assert_eq!(names(dir.path()), ["file", "tor"]);
}

pub fn an_empty_variable_is_as_good_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = scanner(["--dry-run"]);
    for name in [
        "ANALYSIS_DIR",
        "DNS_WILDCARD_DOMAIN",
        "DNS_EXPECTED_IP",
        "DNS_EXPECTED_IPV6",
        "ALL_EXITS",
        "SHARD",
        "FIRST_HOP",
        "BUILD_DELAY",
        "DELAY_NOISE",
        "QUERY_TIMEOUT",
        "CIRCUIT_TIMEOUT",
        "MAX_RETRIES",
        "RETRY_DELAY",
        "MAX_IN_FLIGHT",
        "MAX_PER_FIRST_HOP",
        "CONFIRM_ROUNDS",
        "CONFIRM_AFTER",
        "TOR_CONTROL",
        "TOR_CONTROL_PASSWORD",
        "TOR",
        "TOR_DIR",
        "BOOTSTRAP_TIMEOUT",
        "TOR_WAIT",
    ] {
        command.env(name, "");
    }
    // Without a PATH there is no tor: so far, and no further.
    command.env("PATH", "/nonexistent").env("HOME", dir.path());
    run(command).with(11).saying(&["no program \"tor\""]);
    assert!(dir.path().join(".local/state/exit-validator/tor").exists());
}

pub fn variables_stand_for_flags() {
    let dir = tempfile::tempdir().unwrap();
    let by = |name: &str, value: &str, code: i32, words: &[&str]| {
        let mut command = scanner(["--tor=/nonexistent/tor", "--tor-dir"]);
        command.arg(dir.path().join("tor")).env(name, value).current_dir(dir.path());
        run(command).with(code).saying(words);
    };
    by("DNS_WILDCARD_DOMAIN", "a b", 2, &["labels", "--domain"]);
    by("DNS_EXPECTED_IP", "x", 2, &["--expected-ip"]);
    by("DNS_EXPECTED_IPV6", "192.0.2.1", 2, &["--expected-ipv6"]);
    by("SHARD", "3/3", 2, &["a shard is N/M"]);
    by("FIRST_HOP", "x", 2, &["40 hexadecimal"]);
    by("BUILD_DELAY", "x", 2, &["--build-delay", "BUILD_DELAY"]);
    by("DELAY_NOISE", "x", 2, &["--delay-noise"]);
    by("QUERY_TIMEOUT", "0", 2, &["would fail every relay"]);
    by("MAX_RETRIES", "0", 2, &["--max-retries"]);
    by("BOOTSTRAP_TIMEOUT", "x", 2, &["--bootstrap-timeout"]);
    by("TOR_WAIT", "x", 2, &["--tor-wait"]);
    by("ANALYSIS_DIR", "/proc/analysis", 13, &["/proc/analysis"]);
    by("TOR_CONTROL", "unix:/nonexistent/control", 11, &["unix:/nonexistent/control"]);
    // A blank is as easily left behind as nothing.
    by("TOR_CONTROL", " unix:/nonexistent/control ", 11, &["unix:/nonexistent/control:"]);
    let mut command = scanner(["--dry-run"]);
    command.env("TOR_DIR", dir.path().join("home")).env("TOR", "/nonexistent/tor");
    run(command).with(11).saying(&["no program \"/nonexistent/tor\""]);
    assert!(dir.path().join("home").exists());
    run(scanner(["--dry-run"])).with(2).saying(&["neither XDG_STATE_HOME nor HOME"]);
    // A flag outdoes its variable.
    let mut command = scanner(["--control=unix:/nonexistent/flag"]);
    command
        .env("TOR_CONTROL", "unix:/nonexistent/variable")
        .env("ANALYSIS_DIR", dir.path().join("a"));
    run(command).with(11).saying(&["unix:/nonexistent/flag"]);
}

/// A script in place of tor.
fn script(dir: &Path, text: &str) -> String {
    let path = dir.join("not-tor");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("--tor={}", path.display())
}

pub fn settings_are_checked_and_nothing_else_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let check = |flags: &[&str], variables: &[(&str, &str)]| {
        let mut command = scanner(flags);
        command.arg("--check-settings").current_dir(dir.path());
        // Neither a home nor a tor is needed for it.
        command.env_remove("PATH").envs(variables.iter().copied());
        let ended = run(command);
        assert_eq!(ended.out, "");
        assert_eq!(names(dir.path()), Vec::<String>::new());
        ended
    };
    assert_eq!(check(&[], &[]).with(0).err, "");
    let good = [("BUILD_DELAY", "0.5"), ("SHARD", ""), ("ANALYSIS_DIR", "a"), ("ALL_EXITS", "no")];
    assert_eq!(check(&[], &good).with(0).err, "");
    // The example, with everything in it set.
    let all: Vec<_> = settings::keys().map(|key| (key.name, key.default.value())).collect();
    assert_eq!(check(&[], &all).with(0).err, "");
    let bad = [
        ("BUILD_DELAY", "soon\x1b[31m"),
        ("QUERY_TIMEOUT", "111"),
        ("CIRCUIT_TIMEOUT", "0"),
        ("SHARD", "3/3"),
        ("MAX_RETRIES", " "),
    ];
    let ended = check(&[], &bad).with(2);
    let begins: Vec<&str> =
        ended.err.lines().filter(|line| line.starts_with("error: invalid value")).collect();
    assert_eq!(begins.len(), 4, "{}", ended.err);
    let ended = ended.saying(&["'BUILD_DELAY (--build-delay <SECONDS>)'", "soon\\u{1b}[31m"]);
    let ended = ended.saying(&["'SHARD (--shard <N/M>)': a shard is N/M", "110 at most"]);
    ended.saying(&["CIRCUIT_TIMEOUT (--circuit-timeout <SECONDS>)", "would fail every relay"]);
    // Also a variable that a flag overrides: the next run may be without it.
    let overridden = check(&["--shard=0/2"], &[("SHARD", "x")]).with(2);
    overridden.saying(&["'SHARD (--shard <N/M>)'"]);
    // What is wrong on the command line is not blamed on a variable.
    let flag = check(&["--shard=y"], &[("SHARD", "0/2")]).with(2).saying(&["for '--shard <N/M>'"]);
    assert!(!flag.err.contains("SHARD ("), "{}", flag.err);
    check(&["--resume"], &[]).with(2).saying(&["--resume needs"]);
}

pub fn a_tor_that_cannot_be_started_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let extra = dir.path().join("extra");
    let with = |flags: &[&str]| with(dir.path(), &[&["--dry-run"], flags].concat()).with(11);
    with(&["--tor=/nonexistent/tor"]).saying(&["no program", "install tor", "--tor PATH"]);
    with(&["--tor=no-such-tor-program"]).saying(&["no program \"no-such-tor-program\""]);
    with(&["--tor=/"]).saying(&["cannot start /"]);
    with(&["--tor=/bin/false"]).saying(&["tor ended while it started (exit status: 1)", "log"]);
    let talks = script(dir.path(), "printf 'this is \\033[31mno tor\\n'; exit 7");
    with(&[&talks]).saying(&["(exit status: 7)", "this is \\u{1b}[31mno tor"]);
    fs::write(&extra, "Nonsense 1\n").unwrap();
    let extra = format!("--torrc-extra={}", extra.display());
    with(&[&extra]).saying(&["tor ended while it started", "Unknown option 'Nonsense'"]);
    assert_eq!(tors_of(dir.path()), Vec::<u32>::new());

    let id_file = dir.path().join("id");
    let mute = script(dir.path(), &format!("echo $$ > {}; exec sleep 300", id_file.display()));
    let started = now();
    with(&[&mute, "--bootstrap-timeout=2"]).saying(&["did not open its control port within 2 s"]);
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
    let id: i32 = fs::read_to_string(id_file).unwrap().trim().parse().unwrap();
    until("what was started in place of tor is gone", || {
        test_kill_process(Pid::from_raw(id).unwrap()).is_err()
    });
}

pub fn a_tor_directory_that_cannot_be_used_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    DirBuilder::new().mode(0o700).create(&home).unwrap();
    let lock = File::create(home.join(".lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let in_home = |home: &Path| {
        let mut command = scanner(["--dry-run", "--tor-dir"]);
        command.arg(home);
        run(command).with(11)
    };
    in_home(&home).saying(&["another scan runs its tor in", "--tor-dir"]);
    assert!(!home.join("torrc").exists());
    drop(lock);
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    let open = in_home(&home);
    open.saying(&["can be entered by other users (mode 755)", "chmod 700", "--tor-dir"]);
    in_home(&dir.path().join("ho\"me")).saying(&["has a quote", "--tor-dir"]);
    in_home(Path::new("/proc/home")).saying(&["cannot create the directory /proc/home"]);
}

pub fn help_tells_the_exit_codes() {
    let help = run(scanner(["--help"])).with(0).out;
    for word in [
        "Exit codes",
        "\n   11  no tor",
        "[env: ANALYSIS_DIR]",
        "--analysis-dir",
        "TOR_CONTROL_PASSWORD",
        "Examples",
    ] {
        assert!(help.contains(word), "{help}");
    }
    let version = run(scanner(["--version"])).with(0).out;
    assert_eq!(version, format!("scanner {}\n", env!("CARGO_PKG_VERSION")));
}
