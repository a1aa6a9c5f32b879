//! Scans of the lab: their verdicts, and what becomes of them on bad days.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::zone::{EXPECTED_ADDRESS, EXPECTED_ADDRESS_V6, NXDOMAIN_DOMAIN, WILDCARD_DOMAIN};
use lab::{Client, Fault, Manifest, Network, Recursor, Spec, TAKES_LOOPBACK};
use record::{Blame, ErrorCode, Fingerprint, Mode, Status};
use rustix::process::Signal;
use tempfile::TempDir;
use tor_control::{CircuitStatus, Event, EventKind};

use crate::run::{FAST, Left, names, results, run, scanner, signal, start, tors_of, until, within};
use crate::shared::{DELAY, DELAYED, Home, Lab, block_on, lab, named};
use crate::tor::Tor;

/// A place for results that does not exist yet.
pub fn analysis() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("analysis");
    (dir, path)
}

/// A fast scan into a directory.
pub fn into(analysis: &Path) -> Command {
    at_pace("--build-delay=0", analysis)
}

pub fn at_pace(pace: &str, analysis: &Path) -> Command {
    let mut command = scanner(FAST);
    command.arg(pace).arg("--analysis-dir").arg(analysis);
    command
}

/// A scan of the exits that are the same for everyone, at a pace at which it has a middle.
pub fn steady(lab: &Lab, analysis: &Path) -> Command {
    let mut command = at_pace("--build-delay=0.1", analysis);
    command.args(named(&lab.steady()));
    command
}

/// A fast scan by a tor of its own.
fn own(lab: &Lab, home: &Home<'_>, analysis: &Path) -> Command {
    let mut command = into(analysis);
    command.args(lab.own(home));
    command
}

/// The same again, to go on.
fn resumed(command: &Command) -> Command {
    let flags: Vec<OsString> = command.get_args().map(OsString::from).collect();
    let mut again = scanner(flags);
    again.arg("--resume");
    again
}

/// The same again, in another process.
fn again(command: &Command) -> Command {
    scanner(command.get_args().map(OsString::from).collect::<Vec<_>>())
}

fn all(lab: &Lab) -> Vec<Fingerprint> {
    lab.network.exits().iter().map(|exit| exit.fingerprint).collect()
}

#[track_caller]
fn scan_everything(lab: &Lab, mut command: Command, analysis: &Path, mode: Mode) {
    if mode == Mode::Nxdomain {
        command.args(["-H", NXDOMAIN_DOMAIN]);
    }
    // Also the exit without the flag, which lets out IPv6 alone.
    command.arg("--all-exits");
    let ended = run(command).with(0);
    assert!(ended.out.contains("is complete"), "{}", ended.out);
    lab.check(analysis, &all(lab));
    let left = Left::by(analysis);
    left.accounts_for_everyone();
    assert_eq!(left.run().mode, mode);
    assert_eq!(left.run().tor.restarts, 0);
}

pub fn every_verdict_is_true_in_wildcard_mode() {
    let lab = lab();
    let (_beside, _every) = (lab.beside_others(), lab.every_exit());
    let ((_dir, analysis), home) = (analysis(), lab.home());
    scan_everything(&lab, own(&lab, &home, &analysis), &analysis, Mode::Wildcard);
    assert_eq!(tors_of(&home.path), Vec::<u32>::new());
    let left = Left::by(&analysis);
    assert!(left.run().tor.own);

    // What a hostile operator wrote stands in the JSON as it is.
    let hostile = left.of(&lab.exit(Fault::Correct)).relay.contact.clone().unwrap();
    assert!(hostile.starts_with("\u{1b}]0;owned\u{7}"), "{}", hostile.escape_debug());
    assert!(hostile.contains("\u{202e}玉ねぎ"), "{}", hostile.escape_debug());
}

pub fn every_verdict_is_true_in_nxdomain_mode() {
    let lab = lab();
    let (_beside, _every) = (lab.beside_others(), lab.every_exit());
    let ((_dir, analysis), home) = (analysis(), lab.home());
    scan_everything(&lab, own(&lab, &home, &analysis), &analysis, Mode::Nxdomain);
    assert_eq!(tors_of(&home.path), Vec::<u32>::new());
}

/// How long an exit takes at most until it has noticed: it looks 60 to 180 s after its start.
const NOTICES: Duration = Duration::from_secs(240);

/// So many names an exit makes up to notice by, of which more than five must have one address
/// (tor, `dns_launch_wildcard_checks`); the address is then none for it.
const MADE_UP: usize = 12;

pub fn an_exit_that_has_noticed_that_its_resolver_makes_up_answers() {
    let (dir, (_results, analysis)) = (tempfile::tempdir().unwrap(), analysis());
    let spec = Spec { exits: vec![Fault::HijackNoticed], guards: 2, ..Spec::healthy(1) };
    let network = block_on(Network::start(&spec, &dir.path().join("lab"), |_| ())).unwrap();
    let exit = network.exits()[0].fingerprint;
    within(NOTICES, "the exit has asked for names that do not exist", || {
        let asked = network.asked(&exit).unwrap();
        let ours = |name: &str| name.ends_with(&format!("{WILDCARD_DOMAIN}."));
        asked.iter().filter(|q| q.record_type == "A" && !ours(&q.name)).count() >= MADE_UP
    });
    let mut command = into(&analysis);
    command.args(["--control", &network.client().unwrap().control]);
    run(command).with(0);
    let checked = lab::check(&analysis, &Manifest::of(&network).unwrap()).unwrap();
    assert!(checked.is_true(), "{}", checked.table());
    block_on(network.stop());
}

/// Each kind of resolver that the names of the checks zone tell apart, and each place where the zone's log
/// says that a lookup got lost.
pub fn what_resolvers_do_is_found_and_where_lookups_get_lost() {
    let (dir, (_results, analysis)) = (tempfile::tempdir().unwrap(), analysis());
    let scripted = [
        Fault::Correct,
        Fault::CorrectIpv6,
        Fault::RightThenWrong,
        Fault::Silent,
        Fault::LosesAnswers,
        Fault::AsksLate,
        Fault::Replays,
    ];
    let spec = Spec { exits: scripted.into(), ..Spec::healthy(1) };
    let spec = spec.with_recursors(&Recursor::ALL);
    let network = block_on(Network::start(&spec, &dir.path().join("lab"), |_| ())).unwrap();
    let torrc = dir.path().join("scanner.torrc");
    fs::write(&torrc, network.torrc_lines() + TAKES_LOOPBACK).unwrap();
    let scan = |checks: &str, since: Option<&str>, analysis: &Path| {
        network.begin_anew();
        let mut command = into(analysis);
        command.arg(format!("--checks={checks}"));
        command.args(since.map(|time| format!("--checks-since={time}")));
        command.arg("--tor-dir").arg(dir.path().join("tor")).arg("--torrc-extra").arg(&torrc);
        let ended = run(command).with(0);
        let checked = lab::check(analysis, &Manifest::of(&network).unwrap()).unwrap();
        let table = checked.resolver_table().unwrap_or_default();
        assert!(checked.is_true(), "{}{table}", checked.table());
        (ended.out, checked.resolvers)
    };
    let (told, resolvers) = scan("who,dnssec,tcp,v6", None, &analysis);
    // Whoever gave the right address was looked at; the others were not.
    assert_eq!(resolvers.len(), spec.exits.len() - 3);
    assert!(told.contains("exits say who asks; validates: yes 4, no 3"), "{told}");
    let left = Left::by(&analysis);
    for exit in network.exits() {
        let result = left.of(&exit.fingerprint);
        assert!(result.attempts.iter().all(|attempt| attempt.queries.len() <= 3));
        assert_eq!(result.checks.is_some(), result.status == Status::Success);
    }
    // In a run that is no relay's turn, who asks is all that is asked.
    let again = dir.path().join("again");
    let (told, resolvers) = scan("who,dnssec", Some("2999-01-01T00:00:00Z"), &again);
    assert!(told.contains("exits say who asks\n"), "{told}");
    assert!(resolvers.iter().all(|resolver| resolver.found.validates.is_none()));
    block_on(network.stop());
}

pub fn every_verdict_is_true_through_a_running_tor() {
    let lab = lab();
    let (_beside, _every) = (lab.beside_others(), lab.every_exit());
    let (_dir, analysis) = analysis();
    let Client { control, .. } = lab.network.client().unwrap();
    let mut command = into(&analysis);
    command.arg("--control").arg(control);
    scan_everything(&lab, command, &analysis, Mode::Wildcard);
    assert!(!Left::by(&analysis).run().tor.own);
}

/// A running tor whose own circuits end at exits without fault.
pub fn shared_tor(lab: &Lab) -> Tor {
    let exits: Vec<String> = lab.healthy(4).iter().map(|exit| format!("${exit}")).collect();
    Tor::with_cookie(lab, &format!("ExitNodes {}\nCircuitStreamTimeout 33", exits.join(",")))
}

pub fn other_programs_use_the_tor_while_it_scans() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = shared_tor(&lab);
    let state = tor.state();
    let (_dir, analysis) = analysis();
    let mut command = steady(&lab, &analysis);
    command.arg(tor.flag());
    let mut running = start(command);
    running.until("there are results", || results(&analysis) > 2);
    assert_ne!(tor.state(), state, "a scan has its own settings");
    for number in 0..3 {
        let name = format!("other{number}.{WILDCARD_DOMAIN}");
        let answer = tor.resolve(&name);
        assert_eq!(answer, Ok(EXPECTED_ADDRESS.to_string()));
    }
    assert!(!running.has_ended(), "it scanned all the while");
    running.end().with(0);
    assert_eq!(tor.state(), state);
    lab.check(&analysis, &lab.steady());
    let answer = tor.resolve(&format!("after.{WILDCARD_DOMAIN}"));
    assert_eq!(answer, Ok(EXPECTED_ADDRESS.to_string()));
}

pub fn a_tor_that_another_scan_uses_is_refused() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = shared_tor(&lab);
    let state = tor.state();
    let (_dir, first) = analysis();
    let mut command = steady(&lab, &first);
    command.arg(tor.flag());
    let mut running = start(command);
    running.until("there are results", || results(&first) > 2);
    let (_dir, second) = analysis();
    let mut command = steady(&lab, &second);
    command.arg(tor.flag());
    run(command).with(11).saying(&["another scan is using this tor"]);
    assert!(!running.has_ended(), "it scanned all the while");
    running.end().with(0);
    assert_eq!(tor.state(), state);
    lab.check(&first, &lab.steady());
    // A scan that was killed keeps nobody out: what refused it is gone with its process.
    let (_dir, third) = analysis();
    let mut command = steady(&lab, &third);
    command.arg(tor.flag());
    let mut running = start(command);
    running.until("there are results", || results(&third) > 2);
    running.signal(Signal::KILL);
    running.end();
    let mut command = steady(&lab, &second);
    command.arg(tor.flag());
    run(command).with(0);
    lab.check(&second, &lab.steady());
}

/// Interrupts a scan in the middle, looks at what is left, and has it resumed.
fn interrupt(
    lab: &Lab,
    command: Command,
    analysis: &Path,
    by: Signal,
    name: &str,
    then: impl Fn(),
) {
    let again = resumed(&command);
    let mut running = start(command);
    running.until("it is in the middle", || results(analysis) > 4);
    running.signal(by);
    let ended = running.end().with(12);
    assert!(ended.out.contains("INCOMPLETE"), "{}", ended.out);
    assert!(ended.out.contains(&format!("interrupted by {name}")), "{}", ended.out);
    assert!(ended.out.contains("--resume goes on"), "{}", ended.out);
    then();
    let left = Left::by(analysis);
    left.accounts_for_everyone();
    assert!(!left.run().complete);
    assert!(!left.run().not_reached.is_empty(), "it was in the middle");
    assert_eq!(left.run().incomplete_reason, Some(format!("interrupted by {name}")));

    run(again).with(0);
    then();
    lab.check(analysis, &lab.steady());
    let after = Left::by(analysis);
    after.accounts_for_everyone();
    assert_eq!(after.run().resumed, 1);
    assert_eq!(after.run().run_id, left.run().run_id);
    for result in left.results.iter().filter(|result| !result.provisional) {
        assert_eq!(after.of(&result.exit_fingerprint), result, "final results are not touched");
    }
}

pub fn interrupted_with_a_tor_of_its_own() {
    let lab = lab();
    let _beside = lab.beside_others();
    let ((_dir, analysis), home) = (analysis(), lab.home());
    let mut command = steady(&lab, &analysis);
    command.args(lab.own(&home));
    interrupt(&lab, command, &analysis, Signal::INT, "SIGINT", || {
        assert_eq!(tors_of(&home.path), Vec::<u32>::new());
    });
}

pub fn interrupted_with_a_running_tor() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = shared_tor(&lab);
    let state = tor.state();
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let (_dir, analysis) = analysis();
        let mut command = steady(&lab, &analysis);
        command.arg(tor.flag());
        interrupt(&lab, command, &analysis, signal, name, || assert_eq!(tor.state(), state));
    }
}

pub fn interrupted_before_the_first_circuit() {
    let lab = lab();
    let _beside = lab.beside_others();
    let ((_dir, analysis), home) = (analysis(), lab.home());
    let extra = home.path.join("extra");
    fs::write(&extra, format!("{}DisableNetwork 1\n", lab.network.torrc_lines())).unwrap();
    let mut command = into(&analysis);
    command.arg("--tor-dir").arg(&home.path).arg("--torrc-extra").arg(&extra);
    let mut running = start(command);
    running
        .until("tor runs", || home.path.join("cookie").exists() && !tors_of(&home.path).is_empty());
    std::thread::sleep(Duration::from_millis(500));
    running.signal(Signal::INT);
    running.end().with(12).saying(&["interrupted by SIGINT before the first circuit"]);
    assert_eq!(tors_of(&home.path), Vec::<u32>::new());
    assert!(!analysis.exists(), "{:?}", names(&analysis));
}

pub fn killed_and_resumed() {
    let lab = lab();
    let _beside = lab.beside_others();
    let ((_dir, analysis), home) = (analysis(), lab.home());
    let mut command = steady(&lab, &analysis);
    command.args(lab.own(&home));
    let (again, without) = (resumed(&command), again(&command));
    let mut running = start(command);
    running.until("it is in the middle", || results(&analysis) > 4);
    running.signal(Signal::KILL);
    running.end();
    until("its tor is gone", || tors_of(&home.path).is_empty());
    let left = names(&analysis);
    assert!(!left.contains(&"run.json".to_owned()));
    assert!(results(&analysis) < lab.steady().len());
    // A killed process may leave a file that it was writing; it never passes for a result.
    let unfinished: Vec<_> =
        left.iter().filter(|name| name.starts_with(shelf::atomic::TEMPORARY_PREFIX)).collect();
    assert!(unfinished.len() <= 1, "{left:?}");
    run(without).with(2).saying(&["already holds the results of a run"]);
    run(again).with(0);
    lab.check(&analysis, &lab.steady());
    assert_eq!(tors_of(&home.path), Vec::<u32>::new());
}

/// What may be done to a tor of the scanner's own in the middle of a scan.
fn harmed(by: Signal) {
    let lab = lab();
    let _beside = lab.beside_others();
    let ((_dir, analysis), home) = (analysis(), lab.home());
    let mut command = steady(&lab, &analysis);
    command.args(lab.own(&home));
    let mut running = start(command);
    running.until("it is in the middle", || results(&analysis) > 4);
    let [tor] = tors_of(&home.path)[..] else { panic!("one tor of its own") };
    signal(tor, by);
    running.end().with(0).saying(&["tor was lost in the middle of the scan", "tor is back"]);
    lab.check(&analysis, &lab.steady());
    let left = Left::by(&analysis);
    left.accounts_for_everyone();
    assert_eq!(left.run().tor.restarts, 1);
    assert_eq!(tors_of(&home.path), Vec::<u32>::new());
    let lost = left.results.iter().flat_map(|result| &result.attempts);
    let lost = lost.filter(|attempt| attempt.error_code == Some(ErrorCode::TorLost));
    for attempt in lost {
        assert_eq!((attempt.status, attempt.blame), (Status::Error, Some(Blame::Scanner)));
    }
}

pub fn a_tor_of_its_own_that_dies_is_started_again() {
    harmed(Signal::KILL);
}

pub fn a_tor_of_its_own_that_hangs_is_started_again() {
    harmed(Signal::STOP);
}

pub fn a_running_tor_that_comes_back_is_used_again() {
    let lab = lab();
    let _beside = lab.beside_others();
    let mut tor = shared_tor(&lab);
    let state = tor.state();
    let (_dir, analysis) = analysis();
    let mut command = steady(&lab, &analysis);
    command.arg(tor.flag());
    let mut running = start(command);
    running.until("it is in the middle", || results(&analysis) > 4);
    tor.kill();
    tor.restart();
    running.end().with(0).saying(&["tor was lost", "tor is back"]);
    lab.check(&analysis, &lab.steady());
    assert_eq!(Left::by(&analysis).run().tor.restarts, 1);
    let same = |state: Vec<(String, Option<String>)>| -> Vec<_> {
        // A port that tor picks is another one after a restart.
        state.into_iter().filter(|(key, _)| key != "net/listeners/socks").collect()
    };
    assert_eq!(same(tor.state()), same(state));
}

pub fn a_running_tor_that_does_not_come_back_leaves_a_run_to_resume() {
    let lab = lab();
    let _beside = lab.beside_others();
    let mut tor = shared_tor(&lab);
    let (_dir, analysis) = analysis();
    let mut command = steady(&lab, &analysis);
    command.args([&tor.flag(), "--tor-wait=1"]);
    let again = resumed(&command);
    let mut patient = steady(&lab, &analysis);
    patient.args([&tor.flag(), "--resume"]);
    let mut running = start(command);
    running.until("it is in the middle", || results(&analysis) > 4);
    tor.kill();
    let ended = running.end().with(12);
    assert!(ended.out.contains("did not come back within 1 s"), "{}", ended.out);
    let left = Left::by(&analysis);
    left.accounts_for_everyone();
    assert!(!left.run().complete && !left.run().not_reached.is_empty());

    // There is no tor to begin with: the run stays as it is.
    run(self::again(&again)).with(11).saying(&["cannot connect"]);
    assert_eq!(Left::by(&analysis).run, left.run);
    tor.restart();
    let state = tor.state();
    let mut running = start(patient);
    let before = left.results.len();
    running.until("it goes on", || results(&analysis) > before);
    tor.kill();
    std::thread::sleep(Duration::from_secs(1));
    running.signal(Signal::TERM);
    running.end().with(12);
    Left::by(&analysis).accounts_for_everyone();

    tor.restart();
    run(again).with(0);
    lab.check(&analysis, &lab.steady());
    assert_eq!(Left::by(&analysis).run().resumed, 2);
    assert_eq!(tor.state()[..4], state[..4]);
}

/// A script for `sh` that gives the scanner an analysis directory of 64 KiB, and copies what is
/// left there: a file system of its own where that is allowed, which ends with the script.
const SMALL_DISK: &str = "mount -t tmpfs -o size=64k tmpfs \"$1\" && { out=$2; shift 2; \"$@\"; \
                          code=$?; cp -r \"$0\"/. \"$out\"; exit $code; }";

pub fn a_disk_that_fills_up() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = shared_tor(&lab);
    let state = tor.state();
    let dir = tempfile::tempdir().unwrap();
    let [disk, copy] = ["disk", "copy"].map(|name| dir.path().join(name));
    fs::create_dir(&disk).unwrap();
    fs::create_dir(&copy).unwrap();
    let scan = {
        let mut command = steady(&lab, &disk);
        command.arg(tor.flag());
        command
    };
    let own_mounts: &[&str] = if rustix::process::geteuid().is_root() { &["-m"] } else { &["-rm"] };
    let mut command = Command::new("unshare");
    command.args(own_mounts).args(["sh", "-c", SMALL_DISK]).arg(&disk).arg(&disk).arg(&copy);
    command.arg(scan.get_program()).args(scan.get_args());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let ended = run(command).with(13);
    ended.saying(&["cannot write", "No space left on device"]);
    assert_eq!(tor.state(), state);
    // Every file that is there is whole, and the run is not marked as ended.
    let left = Left::by(&copy);
    assert_eq!(left.run, None);
    assert!(!left.results.is_empty() && left.results.len() < lab.steady().len());

    // With room again, it goes on.
    let mut command = into(&copy);
    command.args([&tor.flag(), "--resume"]);
    command.args(named(&lab.steady()));
    run(command).with(0);
    lab.check(&copy, &lab.steady());
}

pub fn a_directory_that_goes_away() {
    let lab = lab();
    let _beside = lab.beside_others();
    let ((_dir, analysis), home) = (analysis(), lab.home());
    let mut command = steady(&lab, &analysis);
    command.args(lab.own(&home));
    let mut running = start(command);
    running.until("it is in the middle", || results(&analysis) > 4);
    fs::rename(&analysis, analysis.with_extension("gone")).unwrap();
    running.end().with(13).saying(&["cannot write", "No such file or directory"]);
    assert_eq!(tors_of(&home.path), Vec::<u32>::new());
}

pub fn a_tor_that_never_bootstraps() {
    let lab = lab();
    let _beside = lab.beside_others();
    let ((_dir, analysis), home) = (analysis(), lab.home());
    let extra = home.path.join("extra");
    fs::write(&extra, format!("{}DisableNetwork 1\n", lab.network.torrc_lines())).unwrap();
    let mut command = into(&analysis);
    command.arg("--tor-dir").arg(&home.path).arg("--torrc-extra").arg(&extra);
    command.arg("--bootstrap-timeout=3");
    let ended = run(command).with(11);
    ended.saying(&["tor did not bootstrap within 3 s", "it is at 0 %", "tor.log"]);
    assert_eq!(tors_of(&home.path), Vec::<u32>::new());
    assert_eq!(results(&analysis), 0);
}

pub fn the_first_hop_that_was_asked_for() {
    let lab = lab();
    let _beside = lab.beside_others();
    let exits = lab.healthy(3);
    let tor = shared_tor(&lab);
    let by = |hop: Fingerprint| {
        let (_dir, analysis) = analysis();
        let mut command = into(&analysis);
        command.args(named(&exits)).arg(tor.flag()).arg(format!("--first-hop={hop}"));
        run(command).with(0);
        let left = Left::by(&analysis);
        left.accounts_for_everyone();
        assert_eq!(left.run().settings.first_hop, Some(hop));
        for attempt in left.results.iter().flat_map(|result| &result.attempts) {
            assert_eq!(attempt.first_hop, hop);
        }
        left.results
    };
    for result in by(lab.network.guards()[1].fingerprint) {
        assert_eq!(result.status, Status::Success);
    }
    let unknown = format!("--first-hop={}", "A".repeat(40));
    let ended = run(scanner([&tor.flag(), "--dry-run", &unknown])).with(2);
    ended.saying(&["the first hop AAAA", "is not in the consensus"]);
    // A first hop cannot be its own exit, and there is another for that one.
    let exit = exits[0];
    let (_dir, analysis) = analysis();
    let mut command = into(&analysis);
    command.args([tor.flag(), format!("--exit={exit}"), format!("--first-hop={exit}")]);
    run(command).with(0);
    let left = Left::by(&analysis);
    assert_eq!(left.of(&exit).status, Status::Success);
    assert_ne!(left.of(&exit).first_hop_fingerprint, Some(exit));
}

/// The exits that a dry run names.
fn would_test(out: &str) -> Vec<Fingerprint> {
    let first = |line: &str| line.split_whitespace().next().and_then(|word| word.parse().ok());
    let mut exits: Vec<Fingerprint> = out.lines().filter_map(first).collect();
    exits.sort_unstable();
    exits
}

fn sorted(mut exits: Vec<Fingerprint>) -> Vec<Fingerprint> {
    exits.sort_unstable();
    exits
}

pub fn which_exits_are_chosen() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = Tor::with_cookie(&lab, "UseMicrodescriptors 0");
    let dir = tempfile::tempdir().unwrap();
    let dry = |flags: &[&str]| {
        let mut command = scanner([&tor.flag(), "--dry-run"]);
        command.args(flags).current_dir(dir.path());
        run(command)
    };
    let some = sorted(lab.steady().into_iter().take(20).collect());
    let list = dir.path().join("exits");
    let lines: Vec<String> = some.iter().map(|exit| format!("${exit} # one\n")).collect();
    fs::write(&list, format!("# exits\n\n{}", lines.concat().to_lowercase())).unwrap();
    let list = format!("--exit-file={}", list.display());
    assert_eq!(would_test(&dry(&[&list]).with(0).out), some);
    let parts = ["0/2", "1/2"].map(|part| would_test(&dry(&[&list, "--shard", part]).with(0).out));
    assert!(!parts[0].is_empty() && !parts[1].is_empty());
    assert_eq!(sorted(parts.concat()), some);
    let one = format!("--exit={}", some[0]);
    assert_eq!(would_test(&dry(&[&one, &one]).with(0).out), some[..1]);

    let out = dry(&[]).with(0).out;
    // One lets out IPv6 alone, and has no Exit flag.
    let exits = lab.network.exits().len();
    let (would, have) = (format!("Would test {}", exits - 1), format!("has {} exits", exits - 1));
    assert!(out.contains(&would) && out.contains(&have), "{out}");
    let all = dry(&["--all-exits"]).with(0).out;
    assert!(all.contains(&format!("Would test {exits}")) && all.contains(&have), "{all}");
    let nothing = "there is nothing to test";
    dry(&["--bad-exits"]).with(2).saying(&[nothing, "--bad-exits"]);
    dry(&["-e", &"B".repeat(40)]).with(2).saying(&[nothing, "is not in the consensus"]);
    let guard = lab.network.guards()[0].fingerprint.to_string();
    dry(&["-e", &guard]).with(2).saying(&[nothing, "allows no exiting"]);
    // One that is there and one that is not.
    let other = dry(&[&one, "-e", &"B".repeat(40)]).with(0);
    let other = other.saying(&["BBBB", "is not tested: it is not in the consensus"]);
    assert_eq!(would_test(&other.out), some[..1]);
    let shard = if parts[0].contains(&some[0]) { "1/2" } else { "0/2" };
    dry(&[&one, "--shard", shard]).with(2).saying(&[nothing, "--shard"]);
    assert_eq!(names(dir.path()), ["exits"]);
}

pub fn exits_of_a_country() {
    let lab = lab();
    let _beside = lab.beside_others();
    let home = lab.home();
    let geoip = home.path.join("geoip");
    fs::create_dir_all(&home.path).unwrap();
    fs::write(&geoip, "2130706432,2147483647,QX\n").unwrap();
    let extra = home.path.join("extra");
    let by_lines = |lines: &str, country: &str| {
        fs::write(&extra, lab.network.torrc_lines() + lines).unwrap();
        let mut command = scanner(["--dry-run", "--country", country]);
        command.arg("--tor-dir").arg(&home.path).arg("--torrc-extra").arg(&extra);
        command.args(named(&lab.healthy(2)));
        run(command)
    };
    let with_file = format!("GeoIPFile {}\n", geoip.display());
    let out = by_lines(&with_file, "qX").with(0).out;
    assert_eq!(would_test(&out), sorted(lab.healthy(2)));
    assert!(out.contains(" qx "), "{out}");
    by_lines(&with_file, "se").with(2).saying(&["there is nothing to test", "--country"]);
    let ended = by_lines("GeoIPFile /nonexistent/geoip\n", "se").with(2);
    ended.saying(&["--country needs tor's GeoIP file"]);
    assert_eq!(tors_of(&home.path), Vec::<u32>::new());
}

pub fn a_dry_run_touches_nothing() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = Tor::with_cookie(&lab, "");
    let no_circuits = [("__DisablePredictedCircuits", Some("1"))];
    block_on(async { tor.control().await.0.set_conf(&no_circuits).await.unwrap() });
    let state = tor.state();
    let dir = tempfile::tempdir().unwrap();
    let circuits = block_on(async {
        let (control, mut events) = tor.control().await;
        control.set_events(&[EventKind::Circuit]).await.unwrap();
        let flag = tor.flag();
        let dir = dir.path().to_owned();
        let scan = tokio::task::spawn_blocking(move || {
            let mut command = scanner([&flag, "--dry-run", "--analysis-dir=analysis"]);
            command.current_dir(dir);
            run(command).with(0)
        });
        let out = scan.await.unwrap().out;
        assert!(out.contains("No circuit was built"), "{out}");
        control.get_info(&["version"]).await.unwrap();
        drop(control);
        let mut circuits = 0;
        while let Ok(Some(event)) =
            tokio::time::timeout(Duration::from_millis(200), events.next()).await
        {
            // Tor's own have three hops, or one to a directory.
            circuits += usize::from(matches!(event.event, Event::Circuit(circuit)
                if circuit.status == CircuitStatus::Built && circuit.path.len() == 2));
        }
        circuits
    });
    assert_eq!(circuits, 0);
    assert_eq!(names(dir.path()), Vec::<String>::new());
    assert_eq!(tor.state(), state);
}

pub fn one_relay_has_its_story_told() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = shared_tor(&lab);
    let story = |fault: Fault| {
        let (_dir, analysis) = analysis();
        let mut command = into(&analysis);
        command.arg(tor.flag()).args(["-e", &lab.exit(fault).to_string()]);
        let out = run(command).with(0).out;
        assert_eq!(results(&analysis), 1);
        out
    };
    let right = story(Fault::Correct);
    for word in
        ["Attempt 1 through ", "circuit built in ", "by SOCKS RESOLVE", "64.65.4.1", "success"]
    {
        assert!(right.contains(word), "{right}");
    }
    let wrong = story(Fault::Servfail);
    for word in ["Attempt 3", "confirming round 1", "dns_fail SERVFAIL, fault: resolver"] {
        assert!(wrong.contains(word), "{wrong}");
    }
}

pub fn ipv6_addresses_are_asked_of_exits_that_have_ipv6() {
    let lab = lab();
    let _beside = lab.beside_others();
    let ((_dir, analysis), home) = (analysis(), lab.home());
    let mut command = own(&lab, &home, &analysis);
    command.arg(format!("--expected-ip={EXPECTED_ADDRESS_V6}"));
    run(command).with(0);
    let left = Left::by(&analysis);
    let relays: BTreeSet<_> = left.plan.relays.iter().map(|relay| relay.fingerprint).collect();
    let with_ipv6 = [Fault::CorrectIpv6, Fault::DropsAaaa, Fault::FailsAaaa];
    assert_eq!(relays, with_ipv6.map(|fault| lab.exit(fault)).into());
    let result = left.of(&lab.exit(Fault::CorrectIpv6));
    assert_eq!(result.status, Status::Success);
    assert_eq!(result.resolved_ip, Some(EXPECTED_ADDRESS_V6.to_string()));
    let mut command = own(&lab, &home, &analysis.with_extension("none"));
    command.arg(format!("--expected-ip={EXPECTED_ADDRESS_V6}")).args(named(&lab.healthy(1)));
    run(command).with(2).saying(&["allows no exiting over IPv6"]);

    // A tor with microdescriptors, as most are: those have the policies too.
    let tor = shared_tor(&lab);
    let (_dir, analysis) = self::analysis();
    let mut command = into(&analysis);
    command.args([tor.flag(), format!("--expected-ip={EXPECTED_ADDRESS_V6}")]);
    run(command).with(0);
    let left = Left::by(&analysis);
    assert_eq!(left.plan.relays.len(), with_ipv6.len());
    let result = left.of(&lab.exit(Fault::CorrectIpv6));
    assert_eq!(result.status, Status::Success);
    assert_eq!((result.relay.ipv6.exit, &result.relay.contact), (Some(true), &None));
}

pub fn a_relay_that_has_left_the_consensus_and_one_with_a_hostile_name() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = shared_tor(&lab);
    let (_dir, analysis) = analysis();
    let exits = lab.healthy(2);
    let mut command = into(&analysis);
    command.args([tor.flag(), format!("--exit={}", exits[0])]);
    let again = resumed(&command);
    run(command).with(0);

    // The plan of a scan that was killed before it came to two more: the one has gone since, the
    // other has a name that no tor lets through, but a plan's file may hold.
    let gone: Fingerprint = "C".repeat(40).parse().unwrap();
    let mut plan = Left::by(&analysis).plan;
    let name = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}玉\r\n";
    for fingerprint in [gone, exits[1]] {
        let mut relay = plan.relays[0].clone();
        relay.fingerprint = fingerprint;
        relay.nickname = name.to_owned();
        plan.relays.push(relay);
    }
    fs::write(analysis.join("plan.json"), serde_json::to_vec(&plan).unwrap()).unwrap();
    fs::remove_file(analysis.join("run.json")).unwrap();
    let mut loud = again;
    loud.arg("-vv");
    let ended = run(loud).with(0);
    assert!(ended.out.contains("\\u{1b}]0;owned\\u{7}\\u{9b}31m\\u{202e}玉"), "{}", ended.out);
    let left = Left::by(&analysis);
    left.accounts_for_everyone();
    let lost = left.of(&gone);
    assert_eq!(lost.status, Status::CircuitFail);
    assert_eq!(lost.error_code, Some(ErrorCode::LeftConsensus));
    assert!(lost.attempts[0].circuit.refusal.as_ref().unwrap().contains("No such router"));
    assert_eq!(left.of(&exits[1]).status, Status::Success);
    assert_eq!(left.of(&exits[1]).exit_nickname, name);
}

pub fn a_complete_run_has_nothing_to_resume_and_another_question_is_another_run() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = shared_tor(&lab);
    let (_dir, analysis) = analysis();
    let mut command = into(&analysis);
    command.arg(tor.flag()).args(named(&lab.healthy(1)));
    let (again, twice) = (resumed(&command), again(&command));
    let mut other = resumed(&command);
    other.args(["-H", NXDOMAIN_DOMAIN]);
    run(command).with(0);
    let before = fs::read(analysis.join("run.json")).unwrap();
    let ended = run(again).with(0);
    assert!(ended.out.contains("is complete already"), "{}", ended.out);
    run(twice).with(2).saying(&["already holds the results of a run"]);
    run(other).with(2).saying(&["was made with another mode, another domain"]);
    assert_eq!(fs::read(analysis.join("run.json")).unwrap(), before);
}

pub fn the_log_can_be_read_by_programs() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = shared_tor(&lab);
    let (_dir, analysis) = analysis();
    let mut command = into(&analysis);
    command.args([&tor.flag(), "--log-format=json", "-v", "--no-progress"]);
    command.args(named(&lab.healthy(2)));
    let ended = run(command).with(0);
    assert!(!ended.err.is_empty());
    for line in ended.err.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
}

pub fn the_resolve_time_is_the_resolvers_own() {
    let lab = lab();
    let _alone = lab.alone();
    let tor = shared_tor(&lab);
    let (_dir, analysis) = analysis();
    let mut command = into(&analysis);
    let delayed: Vec<_> = lab
        .network
        .exits()
        .iter()
        .filter(|exit| exit.fault == Fault::Slow(DELAY))
        .map(|exit| exit.fingerprint)
        .collect();
    assert_eq!(delayed.len(), DELAYED);
    let healthy = lab.healthy(6);
    command.arg(tor.flag()).args(["--max-in-flight=40", "--max-per-first-hop=40"]);
    command.args(named(&delayed)).args(named(&healthy));
    run(command).with(0);
    let left = Left::by(&analysis);
    let median = |exits: &[Fingerprint]| {
        let mut times: Vec<f64> = exits
            .iter()
            .map(|exit| left.of(exit).timing.resolve_ms.expect("it was resolved").get())
            .collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (round_trip, found) = (median(&healthy), median(&delayed));
    let due = DELAY.as_secs_f64() * 1e3 + round_trip;
    assert!((found - due).abs() <= 0.1 * due, "{found} ms instead of {due} ms");
    let under_way: Vec<_> = delayed.iter().map(|exit| &left.of(exit).attempts[0]).collect();
    let at_once = |first: &&&record::Attempt| {
        under_way.iter().filter(|a| (a.started..a.ended).contains(&first.started)).count()
    };
    let most = under_way.iter().map(|attempt| at_once(&attempt)).max().unwrap();
    assert!(most > DELAYED / 2, "they were asked at once: {most} of {DELAYED}");
}
