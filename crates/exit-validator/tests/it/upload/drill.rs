//! The drill: a host is lost at some moment, is made again from its store, and goes on. From then on
//! it is as one that was not lost.

use std::fs;
use std::path::Path;

use aggregate::gate::Thresholds;
use aggregate::history::{History, export, rebuild};
use aggregate::job::{self, JobMachine, ReportTarget};

use super::fixture::{assert_consistent, ends, push, upload};
use super::proxy::{Fault, Proxy};
use super::server::Server;
use crate::report::fixture as scans;

/// How many runs there are.
const RUNS: i32 = 9;

/// What a relay got in a run: streaks of all lengths, and two that come and go.
fn marks(run: i32) -> Vec<(u32, char)> {
    let of = |relay: u32| {
        let run = u32::try_from(run).unwrap();
        match relay {
            0 => Some('d'),
            1 => Some(if run < 5 { 's' } else { 'w' }),
            2 => Some(['s', 'd', 'c', 't'][usize::try_from(run % 4).unwrap()]),
            3 => (run % 3 != 1).then_some('d'),
            4 => (run > 3).then_some('c'),
            _ => Some('s'),
        }
    };
    (0..40).filter_map(|relay| Some((relay, of(relay)?))).collect()
}

/// Reports a run, as `aggregate --input` does.
fn report(host: &Path, run: i32) {
    let input = host.join(format!("analysis/{run}"));
    scans::scan(run, marks(run)).write(&input);
    let output = host.join("public");
    let options = job::ReportOptions {
        inputs: vec![input],
        root: host.join("analysis"),
        target: ReportTarget::Directory(output.clone()),
        previous: job::latest_in(&output),
        output_directory: output,
        history: Some(host.join("analysis/history.sqlite")),
        thresholds: Thresholds { min_relays: 1, ..Thresholds::default() },
        // One of the runs is held back.
        force: run != 2,
        zone_check: false,
        zone_server: None,
        known_good: None,
        location_db: host.join("none"),
        license: job::DEFAULT_LICENSE.to_owned(),
        publisher: None,
    };
    let machine = JobMachine { now: scans::start_of(RUNS + 1), random: 1, zone: None };
    let outcome = job::run(&options, machine).unwrap();
    assert!(outcome.history.is_none());
}

/// What a host knows: its history, row by row, and its latest report.
fn known(host: &Path) -> (Vec<String>, Vec<u8>) {
    let history = History::open_existing(&host.join("analysis/history.sqlite")).unwrap();
    let mut csv = Vec::new();
    export::csv(&history, &mut csv).unwrap();
    let mut rows: Vec<String> =
        String::from_utf8(csv).unwrap().lines().map(str::to_owned).collect();
    rows.sort();
    (rows, fs::read(host.join("public/latest.json")).unwrap())
}

#[test]
fn a_host_that_is_lost_is_made_again_from_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    for run in 0..RUNS {
        report(&whole, run);
    }
    // Lost in this run, when its upload had made so many requests.
    let mut chance = 20_261_125_u64;
    let mut random = |below: u64| {
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % below
    };
    for _ in 0..5 {
        let lost = i32::try_from(1 + random(7)).unwrap();
        let requests = usize::try_from(random(14)).unwrap();
        let when = format!("lost in run {lost}, after {requests} requests");
        let host = dir.path().join("host");
        let server = Server::start();
        for run in 0..=lost {
            report(&host, run);
            if run < lost {
                ends(&mut push(server.address, &host.join("public")), 0);
            }
        }
        let proxy =
            Proxy::start(
                &server,
                move |seen| {
                    if seen.number < requests { Fault::Pass } else { Fault::Drop }
                },
            );
        let mut last = push(proxy.address, &host.join("public"));
        last.args(["--max-tries", "1"]).output().unwrap();
        fs::remove_dir_all(&host).unwrap();
        assert_consistent(&server.bucket(), &when);

        fs::create_dir_all(host.join("analysis")).unwrap();
        let public = host.join("public");
        ends(upload(server.address).args(["restore", "--dir"]).arg(&public), 0);
        let history = host.join("analysis/history.sqlite");
        let rebuilt = rebuild::run(&history, &public, false, &mut |_| {}).unwrap();
        assert!(rebuilt.unusable.is_empty(), "{when}: {rebuilt:?}");
        for run in lost..RUNS {
            report(&host, run);
            ends(&mut push(server.address, &public), 0);
        }
        assert_eq!(known(&host), known(&whole), "{when}");
        let latest = fs::read(server.bucket().join("latest.json")).unwrap();
        assert_eq!(latest, known(&whole).1, "{when}");
        for entry in fs::read_dir(whole.join("public")).unwrap() {
            let name = entry.unwrap().file_name();
            let (one, other) =
                (fs::read(whole.join("public").join(&name)), fs::read(public.join(&name)));
            assert!(one.unwrap() == other.unwrap(), "{when}: {name:?}");
        }
        fs::remove_dir_all(&host).unwrap();
    }
}
