//! What people read of a report and a history, under snapshots: a change of a text shows in its
//! review.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use aggregate::gate::{self, Circumstances, HeldRun, Thresholds};
use aggregate::history::export::ExportError;
use aggregate::history::rebuild::{RebuildError, Rebuilt};
use aggregate::history::{Clash, HistoryError, Story, StoryRun};
use aggregate::input::InputError;
use aggregate::job::JobError;
use aggregate::merge::MergeError;
use aggregate::previous::PriorError;
use aggregate::publish::PublishError;
use aggregate::retain::RetainError;
use aggregate::retain::archive::ArchiveError;
use aggregate::summary;
use chrono::TimeDelta;
use record::{
    GateCode, Kind, KnownGood, Metadata, RejectReason, RejectedFile, Report, ShardCoverage, Status,
    ZoneCheck,
};
use shelf::read::ReadError;

use crate::fixture::{relay, scan, start_of};
use crate::reported::report_of;

fn bytes(report: &Report) -> Vec<u8> {
    serde_json::to_vec(report).unwrap()
}

/// A report of some failing relays, after one of fewer.
fn bad_day() -> Report {
    let marks = |failing| (0..30).map(move |n| (n, if n < failing { 'd' } else { 's' }));
    let before = report_of(&[scan(0, marks(3))], None, None);
    let now = marks(12).chain([(30, 'w'), (31, 'D'), (32, 'c'), (33, 't')]);
    report_of(&[scan(1, now)], Some(&bytes(&before)), None)
}

#[test]
fn the_summary_of_a_report() {
    let mut good = report_of(&[scan(0, [(1, 's'), (2, 's')])], None, None);
    good.metadata.publish.forced = false;
    let mut bad = bad_day();
    for failure in &mut bad.failures {
        failure.exit_nickname.push_str("\u{1b}[31m");
    }
    let metadata = &mut bad.metadata;
    metadata.rejected.total = 2;
    metadata.rejected.by_reason = [(RejectReason::Malformed, 1), (RejectReason::Version, 1)].into();
    metadata.rejected.files = ["input", ""]
        .map(|input| RejectedFile {
            input: input.to_owned(),
            file: "dnshealth_x.json".to_owned(),
            reason: RejectReason::Malformed,
            detail: "not JSON".to_owned(),
        })
        .to_vec();
    metadata.publish.zone_check = Some(ZoneCheck {
        ok: false,
        answered: false,
        servers: vec!["192.0.2.53:53".to_owned()],
        error: Some("no answer within 3 s".to_owned()),
    });
    let mut held = report_of(
        &[scan(2, [(1, 's'), (2, 's'), (3, 'd')]), scan(2, [(1, 's'), (2, 'd')]).vantage("b")],
        None,
        None,
    );
    held.metadata.publish.allowed = false;
    let resolvers = crate::resolvers::a_report();
    let summaries = [good, bad, held, resolvers].map(|report| summary::of_report(&report));
    insta::assert_snapshot!(summaries.join("\n----------\n"));
}

/// Every finding that closes the gate, and every note.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_the_gate_says() {
    let mut report = bad_day();
    let known = |status| KnownGood { fingerprint: relay(1), status };
    let zone = |ok, answered| ZoneCheck {
        ok,
        answered,
        servers: vec!["192.0.2.53:53".to_owned()],
        error: (!ok).then(|| "the name does not exist".to_owned()),
    };
    let thresholds = Thresholds::default();
    let circumstances = || Circumstances {
        now: start_of(0),
        thresholds: &thresholds,
        force: false,
        zone_check: Some(zone(false, true)),
        known_good: Some(known(Some(Status::Timeout))),
        later: true,
        held: &[],
    };
    let metadata = &mut report.metadata;
    metadata.inputs[0].complete = false;
    metadata.inputs[0].incomplete_reason = Some("interrupted by SIGTERM".to_owned());
    metadata.not_reached = 2;
    metadata.shards = Some(ShardCoverage { of: 3, present: vec![0], missing: vec![1, 2] });
    metadata.counts.error = 3;
    let previous = metadata.previous.report.as_mut().unwrap();
    previous.selection.as_mut().unwrap().country = Some("de".to_owned());
    previous.domain = Some("other.example.org".to_owned());
    previous.total_relays = 200;
    let spread = gate::judge(metadata, &report.results, circumstances());
    let limits = |change: fn(&mut Thresholds)| {
        let mut limits = Thresholds { min_relays: 1, ..Thresholds::default() };
        change(&mut limits);
        limits
    };
    let with = |metadata: &Metadata, limits: &Thresholds| {
        let zone_check = Some(zone(true, true));
        let circumstances = Circumstances { thresholds: limits, zone_check, ..circumstances() };
        gate::judge(metadata, &report.results, circumstances)
    };
    let few = Metadata { dns_success_rate_percent: Some(40.0), ..metadata.clone() };
    let few = with(&few, &limits(|_| {}));
    let fallen = with(metadata, &limits(|limits| limits.spread_percent = 30.0));
    let theirs = with(
        metadata,
        &limits(|limits| {
            limits.spread_percent = 30.0;
            limits.success_rate_points = 20.0;
            limits.circuit_fail_percent = 2.0;
        }),
    );

    // A mere change, which the last runs agree on; and an exit known to be good that was not tested.
    let healthy = |run, relays| scan(run, (0..relays).map(|number| (number, 's')));
    let before = report_of(&[healthy(0, 120)], None, None);
    let grown = report_of(&[healthy(1, 160)], Some(&bytes(&before)), None);
    let held = |minutes| HeldRun {
        run_id: format!("run{minutes}"),
        timestamp: before.metadata.timestamp + TimeDelta::minutes(minutes),
        total_relays: 160,
        dns_success_rate_percent: Some(100.0),
        reasons: vec![GateCode::RelayCount],
        counts: false,
    };
    let open = Circumstances {
        now: start_of(2),
        zone_check: Some(zone(false, false)),
        known_good: Some(known(None)),
        later: false,
        held: &[held(2), held(1)],
        ..circumstances()
    };
    let opened = gate::judge(&grown.metadata, &grown.results, open);
    assert_eq!(opened.reasons, []);

    let mut said = Vec::new();
    let mut codes = BTreeSet::new();
    for publish in [spread, few, fallen, theirs, opened] {
        for (kind, findings) in [("", publish.reasons), ("note: ", publish.notes)] {
            for finding in findings {
                codes.insert(finding.code);
                let line = format!("{kind}{}: {}", finding.code, finding.message);
                if !said.contains(&line) {
                    said.push(line);
                }
            }
        }
    }
    codes.insert(GateCode::OneKind);
    assert!(codes.iter().eq(GateCode::ALL), "each is here, but for the one of former versions");
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_a_history_tells() {
    let run = |number: i32, mark, code: Option<&str>, counted| StoryRun {
        ended: start_of(number),
        run_id: format!("run{number}"),
        counted,
        mark,
        code: code.map(str::to_owned),
        resolve_ms: (mark == 's').then_some(95),
        circuit_ms: (mark != 'c').then_some(640),
    };
    let story = Story {
        fingerprint: relay(1),
        nickname: "relay\u{1b}[31m".to_owned(),
        address: "192.0.2.1".to_owned(),
        runs: vec![
            run(0, 's', None, true),
            run(1, 'd', Some("RESOLVER_TIMEOUT"), true),
            run(2, 'D', Some("SERVFAIL"), true),
            run(3, 'c', Some("CIRCUIT_TIMEOUT"), false),
        ],
    };
    let rebuilt = |unread: Option<&str>, lost: usize| Rebuilt {
        reports: 4,
        runs: 3,
        span: Some((start_of(0), start_of(3))),
        unusable: vec!["dns_health_2026-01-01_00-00-00.json: not JSON".to_owned()],
        lost: (0..lost).map(|number| format!("run{number}")).collect(),
        unread: unread.map(str::to_owned),
        former: Some(PathBuf::from("analysis/history.sqlite.before")),
    };
    let told = [
        summary::of_story(&story),
        summary::of_rebuilt(&rebuilt(None, 12), false),
        summary::of_rebuilt(&rebuilt(Some("file is not a database"), 0), true),
        summary::of_rebuilt(&Rebuilt { former: None, ..rebuilt(None, 0) }, false),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn the_errors() {
    let path = || PathBuf::from("public");
    let gone = || io::Error::from_raw_os_error(2);
    let newer = || {
        let document = br#"{"format":{"name":"exit-validator/run","version":2}}"#;
        Kind::Run.parse::<record::Run>(document).unwrap_err()
    };
    let mut texts = Vec::new();
    let mut add = |error: &dyn std::error::Error| texts.push(error.to_string());

    let detail = ": Permission denied (os error 13)".to_owned();
    add(&JobError::NoRun { root: path(), detail });
    add(&JobError::Previous { path: path(), source: PriorError::Newer(newer()) });
    add(&InputError::Directory { directory: path(), source: gone() });
    let detail = "plan.json: not there; run.json: not there".to_owned();
    add(&InputError::Nothing { directory: path(), detail });
    add(&InputError::Newer { directory: path(), file: "run.json", source: newer() });
    add(&MergeError::None);
    let [one, other] = ["host-a", "host-b"].map(str::to_owned);
    add(&MergeError::Differ {
        what: "the mode",
        one: one.clone(),
        one_value: "\"wildcard\"".to_owned(),
        other: other.clone(),
        other_value: "\"nxdomain\"".to_owned(),
    });
    add(&MergeError::Apart { one, other, apart: TimeDelta::minutes(305) });
    let run_id = || "20260101T000000Z-00000000".to_owned();
    add(&Clash::Part { run_id: run_id() });
    add(&Clash::Fewer { run_id: run_id(), published: 1500, found: 1400 });

    add(&PriorError::Missing);
    add(&PriorError::Read(ReadError::TooLarge { limit: 64 << 20 }));
    let json = Kind::Report.parse::<Report>(b"{").unwrap_err();
    add(&PriorError::Damaged(json));
    add(&ReadError::Link);
    add(&ReadError::NotAFile);
    add(&ReadError::Io(gone()));

    add(&PublishError::Directory { directory: path(), source: gone() });
    add(&PublishError::Busy { directory: path() });
    add(&PublishError::Write { path: path(), source: gone() });
    add(&PublishError::Newer { path: path(), source: newer() });
    add(&PublishError::Variants { name: "dns_health_2026-01-01_00-00-00.json".to_owned() });

    let source = rusqlite::Error::QueryReturnedNoRows;
    add(&HistoryError::Sqlite { doing: "open", path: path(), source });
    add(&HistoryError::Foreign { path: path() });
    add(&HistoryError::Newer { path: path(), found: 9 });
    add(&HistoryError::Older { path: path(), found: 1 });
    add(&HistoryError::Damaged { path: path(), what: "a relay without a run".to_owned() });
    add(&RebuildError::Nothing { directory: path() });
    add(&RebuildError::File { doing: "rename", path: path(), source: gone() });
    add(&ExportError::Write(gone()));

    add(&RetainError::Read { doing: "list", path: path(), source: gone() });
    add(&RetainError::Write { doing: "remove", path: path(), source: gone() });
    add(&RetainError::Damaged { path: path(), what: "is cut".to_owned() });
    let (what, kept) = ("it is a symbolic link".to_owned(), "no report is moved");
    add(&RetainError::Latest { path: path(), what, kept });
    add(&ArchiveError::Damaged("it ends in the middle".to_owned()));
    add(&ArchiveError::Unlike("a report is missing".to_owned()));
    add(&ArchiveError::Changed { name: "dns_health_2026-01-01_00-00-00.json".to_owned() });
    insta::assert_snapshot!(texts.join("\n"));
}
