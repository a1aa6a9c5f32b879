//! A tor whose answers are not those of exits, and one that knows less than a fresh one: recognised
//! before anything is written, or not in the way.

use lab::Fault;
use lab::zone::{NXDOMAIN_DOMAIN, WILDCARD_DOMAIN};
use record::{Attempt, Blame, ErrorCode, Status};

use crate::network::at_pace;
use crate::run::{Left, run, scanner};
use crate::shared::{Lab, lab};
use crate::tor::Tor;

/// A scan of three exits without fault through this tor.
fn scan(lab: &Lab, tor: &Tor, analysis: &std::path::Path) -> std::process::Command {
    let mut command = at_pace("--build-delay=0.1", analysis);
    command.arg(tor.flag());
    for exit in lab.healthy(3) {
        command.args(["-e", &exit.to_string()]);
    }
    command
}

/// That a scan through a tor with these lines is refused in these words, and leaves nothing behind.
fn refused(lines: &str, words: &[&str]) {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = Tor::with_cookie(&lab, lines);
    let state = tor.state();
    let dir = tempfile::tempdir().unwrap();
    let analysis = dir.path().join("analysis");
    run(scan(&lab, &tor, &analysis)).with(11).saying(words);
    assert!(!analysis.exists());
    assert_eq!(tor.state(), state);
}

pub fn a_tor_that_maps_addresses_is_named_and_refused() {
    refused(
        "AutomapHostsOnResolve 1\nAutomapHostsSuffixes .",
        &["cannot serve a scan", "AutomapHostsOnResolve is 1"],
    );
    let map = format!("MapAddress *.{WILDCARD_DOMAIN} 8.8.8.8");
    refused(&map, &["cannot serve a scan", "to 8.8.8.8 (MapAddress)"]);
}

pub fn a_port_that_takes_no_lookups_is_named_and_another_is_taken() {
    refused("SocksPort auto OnionTrafficOnly", &["cannot serve a scan", "takes no lookups"]);
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = Tor::with_cookie(&lab, "SocksPort auto OnionTrafficOnly\nSocksPort auto");
    let dir = tempfile::tempdir().unwrap();
    let analysis = dir.path().join("analysis");
    run(scan(&lab, &tor, &analysis)).with(0);
    lab.check(&analysis, &lab.healthy(3));
}

pub fn a_tor_that_has_learned_how_long_circuits_take_is_not_believed() {
    let lab = lab();
    let _beside = lab.beside_others();
    // What a thousand circuits of 0.3 to 0.4 s leave in tor's state: it gives up at less than a second.
    let bins: String =
        (30..40).map(|bin| format!("CircuitBuildTimeBin {} 100\n", bin * 10 + 5)).collect();
    let tor = Tor::aged(&lab, &format!("TotalBuildTimes 1000\n{bins}"));
    let dir = tempfile::tempdir().unwrap();
    let analysis = dir.path().join("analysis");
    // Its circuits come to nothing, which a tor that is fresh leaves to the scan to find.
    let frozen = lab.exit(Fault::Frozen);
    let mut command = scan(&lab, &tor, &analysis);
    command.args(["-e", &frozen.to_string()]);
    run(command).with(0);
    let left = Left::by(&analysis);
    for exit in lab.healthy(3) {
        assert_eq!(left.of(&exit).status, Status::Success);
    }
    let result = left.of(&frozen);
    let gave_up = |attempt: &&Attempt| attempt.error_code == Some(ErrorCode::TorGaveUp);
    let given_up: Vec<_> = result.attempts.iter().filter(gave_up).collect();
    assert!(!given_up.is_empty(), "tor has not given up: {result:#?}");
    for attempt in given_up {
        assert_eq!((attempt.status, attempt.blame), (Status::Error, Some(Blame::Scanner)));
    }
    assert_ne!(result.blame, Some(Blame::Exit), "{result:#?}");
}

/// Puts a map into a tor that is running.
fn map(tor: &Tor, from: &str, to: &str) {
    crate::shared::block_on(async {
        let (control, _events) = tor.control().await;
        control.set_conf(&[("MapAddress", Some(&format!("{from} {to}")))]).await.unwrap();
    });
}

pub fn a_tor_that_begins_to_map_in_the_middle_ends_the_scan_and_blames_no_exit() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = Tor::with_cookie(&lab, "");
    let dir = tempfile::tempdir().unwrap();
    let analysis = dir.path().join("analysis");
    let mut command = at_pace("--build-delay=0.1", &analysis);
    command.arg(tor.flag());
    for exit in lab.steady() {
        command.args(["-e", &exit.to_string()]);
    }
    let mut running = crate::run::start(command);
    running.until("there are results", || crate::run::results(&analysis) > 2);
    map(&tor, &format!("*.{WILDCARD_DOMAIN}"), "8.8.8.8");
    let ended = running.end().with(12);
    assert!(ended.out.contains("this tor answers lookups itself"), "{}", ended.out);
    let left = Left::by(&analysis);
    assert!(!left.run().complete);
    for result in &left.results {
        assert_ne!(result.resolved_ip.as_deref(), Some("8.8.8.8"), "no exit said so");
    }
}

pub fn a_tor_with_microdescriptors_knows_who_exits() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = Tor::with_cookie(&lab, "UseMicrodescriptors 1");
    let guard = lab.network.guards()[0].fingerprint.to_string();
    for host in [&[][..], &["-H", NXDOMAIN_DOMAIN]] {
        let mut command = scanner([&tor.flag(), "--dry-run", "-e", &guard]);
        command.args(host);
        run(command).with(2).saying(&["allows no exiting"]);
    }
    // One that lets out IPv6 alone answers; one that has stopped exiting is no resolver's fault.
    let exits = [lab.exit(Fault::Ipv6Policy), lab.exit(Fault::ExitsNoLonger)];
    for host in [&[][..], &["-H", NXDOMAIN_DOMAIN]] {
        let dir = tempfile::tempdir().unwrap();
        let analysis = dir.path().join("analysis");
        let mut command = at_pace("--build-delay=0.1", &analysis);
        command.arg(tor.flag()).args(host);
        command.args(exits.iter().flat_map(|exit| ["-e".to_owned(), exit.to_string()]));
        run(command).with(0);
        lab.check(&analysis, &exits);
    }
}
