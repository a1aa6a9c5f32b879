//! What people read of a scan, under snapshots: a change of a text shows in its review.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Parser;
use record::{
    Attempt, Blame, Circuit, CircuitState, Counts, ErrorCode, Fingerprint, Kind, Millis, Mode,
    PlannedRelay, Query, RelayFilter, RelayInfo, RelayResult, Run, Selection, Status, Timing,
    TorInfo, Via,
};

use crate::cli::{ScanCli, ScanConfig};
use crate::hops::Candidate;
use crate::own_tor::OwnTorError;
use crate::part::settings;
use crate::prepare::Basis;
use crate::results::ResultsError;
use crate::scan_error::ScanError;
use crate::select::Exclusion;
use crate::session::SessionError;
use crate::summary::{Tally, summary};
use crate::{dry_run, story};

fn relay(number: u8) -> Fingerprint {
    Fingerprint::from_bytes([number; 20])
}

fn noon() -> DateTime<Utc> {
    "2026-11-29T12:00:00Z".parse().unwrap()
}

fn ms(time: u64) -> Option<Millis> {
    Some(Duration::from_millis(time).into())
}

fn config(flags: &[&str]) -> ScanConfig {
    ScanCli::parse_from(["scanner"].iter().chain(flags)).check().unwrap()
}

fn selection() -> Selection {
    Selection {
        filter: RelayFilter::Exits,
        country: None,
        relays_in_consensus: 9000,
        exits_in_consensus: 1500,
        excluded: Vec::new(),
        on_request: 0,
        left_out: std::collections::BTreeMap::new(),
    }
}

fn query(via: Via, name: &str) -> Query {
    Query { attach_ms: ms(1), ..Query::new(via, name.to_owned()) }
}

fn attempt(number: u32, state: CircuitState, hops: u8) -> Attempt {
    Attempt {
        number,
        round: 0,
        started: noon(),
        ended: noon(),
        first_hop: relay(0xF1),
        status: Status::CircuitFail,
        error_code: Some(ErrorCode::CircuitFailed),
        blame: Some(Blame::Unknown),
        error: Some("the circuit failed".to_owned()),
        resolved_ip: None,
        circuit: Circuit {
            state,
            hops,
            path_ms: None,
            reason: None,
            remote_reason: None,
            refusal: None,
        },
        queries: Vec::new(),
        decided_by: None,
        timing: Timing::default(),
    }
}

fn result(number: u8, status: Status, error_code: Option<ErrorCode>) -> RelayResult {
    let success = status == Status::Success;
    RelayResult {
        format: Kind::Result.format(),
        exit_fingerprint: relay(number),
        exit_nickname: "relay\u{1b}[31m".to_owned(),
        exit_address: [192, 0, 2, number].into(),
        first_hop_fingerprint: Some(relay(0xF1)),
        query_domain: Some("a.example.com".to_owned()),
        expected_ip: Some([192, 0, 2, 99].into()),
        timestamp: noon(),
        run_id: "20261129T120000Z-0a1b2c3d".to_owned(),
        shard: None,
        mode: Mode::Wildcard,
        status,
        resolved_ip: success.then(|| "192.0.2.99".to_owned()),
        latency_ms: ms(u64::from(number) * 100).filter(|_| success),
        error: (!success).then(|| "in words".to_owned()),
        error_code,
        attempt: 1,
        blame: (!success).then_some(Blame::Resolver),
        timing: Timing::default(),
        provisional: false,
        first: None,
        checks: None,
        ipv6: None,
        findings: Vec::new(),
        attempts: Vec::new(),
        relay: RelayInfo::default(),
    }
}

#[test]
fn the_story_of_a_relay() {
    let mut refused = attempt(1, CircuitState::Refused, 0);
    refused.circuit.refusal = Some("552 No such router\u{1b}[2J".to_owned());
    let pending = attempt(2, CircuitState::Pending, 1);
    let mut failed = attempt(3, CircuitState::Failed, 1);
    failed.circuit.reason = Some("DESTROYED".to_owned());
    failed.circuit.remote_reason = Some("CONNECTFAILED".to_owned());
    let mut died = attempt(4, CircuitState::Died, 2);
    died.timing.circuit_ms = ms(812);
    died.circuit.reason = Some("DESTROYED".to_owned());
    let lost = attempt(5, CircuitState::Lost, 0);

    let mut broken = attempt(6, CircuitState::Built, 2);
    broken.round = 1;
    broken.timing.circuit_ms = ms(640);
    (broken.status, broken.error_code) = (Status::DnsFail, Some(ErrorCode::Servfail));
    broken.error = Some("the exit's resolver failed, after 0.2 s at most".to_owned());
    let name = "f47ac10b-58cc-4372-a567-0e02b2c3d479.01010101.example.com";
    broken.queries = vec![
        Query {
            socks_reply: Some(4),
            stream_reason: Some("DONE".to_owned()),
            resolve_ms: ms(230),
            ..query(Via::Socks, name)
        },
        Query { rcode: Some("SERVFAIL".to_owned()), ..query(Via::DnsPortA, name) },
        Query { local_error: Some("timed out".to_owned()), ..query(Via::DnsPortAaaa, name) },
        Query {
            socks_reply: Some(2),
            stream_reason: Some("END".to_owned()),
            stream_remote_reason: Some("EXITPOLICY".to_owned()),
            ..query(Via::Connect, "192.0.2.99:443")
        },
    ];
    let mut works = attempt(7, CircuitState::Built, 2);
    (works.status, works.error_code, works.error) = (Status::Success, None, None);
    works.resolved_ip = Some("192.0.2.99".to_owned());
    works.queries = vec![Query {
        socks_reply: Some(0),
        addresses: vec![[192, 0, 2, 99].into()],
        resolve_ms: ms(95),
        ..query(Via::Socks, name)
    }];
    let attempts = [refused, pending, failed, died, lost, broken, works];
    let verdicts = [
        result(1, Status::Success, None),
        result(2, Status::DnsFail, Some(ErrorCode::ResolverTimeout)),
    ];
    let told = attempts.iter().map(story::attempt).chain(verdicts.iter().map(story::verdict));
    insta::assert_snapshot!(told.collect::<String>());
}

#[test]
fn the_summary() {
    let results = (1..=25).map(|number| match number {
        1..=2 => result(number, Status::Success, None),
        3 => result(number, Status::WrongIp, Some(ErrorCode::UnexpectedAddress)),
        4..=20 => result(number, Status::DnsFail, Some(ErrorCode::ResolverTimeout)),
        _ => result(number, Status::DnsFail, Some(ErrorCode::Servfail)),
    });
    let results: Vec<RelayResult> = results.collect();
    let run = Run {
        format: Kind::Run.format(),
        run_id: "20261129T120000Z-0a1b2c3d".to_owned(),
        complete: true,
        incomplete_reason: None,
        mode: Mode::Wildcard,
        domain: "example.com".to_owned(),
        expected_ip: Some([192, 0, 2, 99].into()),
        shard: None,
        selection: selection(),
        settings: settings(&config(&[])),
        started: noon(),
        ended: noon(),
        probing_seconds: 3725.0,
        resumed: 0,
        consensus_valid_after: None,
        exit_dns_limit: None,
        tor: TorInfo { version: "0.4.9.11".to_owned(), own: true, restarts: 0 },
        scanner_version: "0.1.0".to_owned(),
        selected: 25,
        counts: results.iter().map(|result| result.status).collect(),
        not_reached: Vec::new(),
        unconfirmed: Vec::new(),
    };
    let told = |run: &Run, results: &[RelayResult]| {
        let mut tally = Tally::default();
        results.iter().for_each(|result| tally.add(result));
        summary(run, &mut tally, "analysis/today".as_ref())
    };
    let cut_short = Run {
        complete: false,
        incomplete_reason: Some("interrupted by SIGTERM".to_owned()),
        tor: TorInfo { version: "0.4.9.11".to_owned(), own: false, restarts: 1 },
        probing_seconds: 42.0,
        counts: Counts { success: 2, ..Counts::default() },
        not_reached: (3..=25).map(relay).collect(),
        ..run.clone()
    };
    insta::assert_snapshot!([told(&run, &results), told(&cut_short, &results[..2])].join("\n"));
}

#[test]
fn the_dry_run() {
    let flags = ["Exit", "Fast", "Running", "Stable", "Valid"];
    let exit = |number: u8| {
        let planned = PlannedRelay {
            fingerprint: relay(number),
            nickname: format!("relay{number}\u{1b}[31m"),
            address: [192, 0, 2, number].into(),
        };
        let info = RelayInfo {
            flags: flags.map(str::to_owned).to_vec(),
            country: number.is_multiple_of(2).then(|| "de".to_owned()),
            ..RelayInfo::default()
        };
        (planned, info, None)
    };
    let prepared = |exits: u8, valid_after| Basis {
        exits: (1..=exits).map(exit).collect(),
        hops: (0..7)
            .map(|n| Candidate { fingerprint: relay(n), weight: 1, exits: false })
            .collect(),
        ties: HashMap::new(),
        selection: selection(),
        valid_after,
        exit_dns_limit: Duration::from_secs(15),
    };
    let one = dry_run::tell(&config(&[]), &prepared(2, Some(noon())), true, "0.4.9.11");
    let first_hop = relay(0xF1).to_string();
    let other = config(&["-H", "example.com", "--first-hop", &first_hop, "--pace", "aggressive"]);
    let many = dry_run::tell(&other, &prepared(52, None), false, "0.4.9.11");
    // The fifty that are listed look alike.
    let many: Vec<&str> = many.lines().filter(|line| !line.contains("192.0.2.")).collect();
    insta::assert_snapshot!([one, many.join("\n")].join("\n"));
}

#[test]
fn the_errors() {
    let dir = || PathBuf::from("analysis/today");
    let path = || PathBuf::from("/var/lib/tor");
    let denied = || io::Error::from_raw_os_error(13);
    let unreadable = Kind::Plan.parse::<record::Plan>(b"{").unwrap_err();
    let results = [
        ResultsError::Occupied { dir: dir() },
        ResultsError::NothingToResume { dir: dir() },
        ResultsError::Busy { dir: dir() },
        ResultsError::Unreadable { path: dir(), source: unreadable },
        ResultsError::Io { doing: "write", path: dir(), source: denied() },
    ];
    let own = [
        crate::torrc::Layout::new("/a\"b".into()).unwrap_err().into(),
        OwnTorError::NotInstalled("tor".into()),
        OwnTorError::NotPrivate { dir: path(), mode: 0o755 },
        OwnTorError::Busy(path()),
        OwnTorError::Ended {
            status: "exit status: 1".to_owned(),
            log: path(),
            tail: "[warn] Failed to bind one of the listener ports.".to_owned(),
        },
        OwnTorError::Mute { limit: Duration::from_secs(60), log: path() },
        OwnTorError::Io { doing: "lock", path: path(), source: denied() },
    ];
    let refused = tor_control::Error::Protocol { what: "the answer names no circuit".to_owned() };
    let session = [
        SessionError::Control(refused),
        SessionError::Bootstrap {
            limit: 300,
            progress: 10,
            summary: "Handshaking with a relay".to_owned(),
            hint: "Its log: /var/lib/tor/log".to_owned(),
        },
        SessionError::NoListener {
            what: "RESOLVE",
            key: "socks",
            answer: String::new(),
            option: "SocksPort",
        },
        SessionError::Unfit("its network is switched off".to_owned()),
        SessionError::InUse { pid: "4242".to_owned() },
        SessionError::Gone {
            address: "127.0.0.1:9051".parse().unwrap(),
            waited: Duration::from_secs(120),
            cause: Box::new(SessionError::Own(OwnTorError::Busy(path()))),
        },
    ];
    let own = own.map(SessionError::Own);
    let failures = results.map(ScanError::from).into_iter();
    let failures = failures.chain(own.into_iter().chain(session).map(ScanError::Tor));
    let mut texts: Vec<String> = failures.map(|failure| failure.to_string()).collect();
    texts.push(ScanError::Incomplete.to_string());
    let internal = anyhow::Error::new(denied()).context("cannot watch for signals");
    texts.push(ScanError::Internal(internal).to_string());
    let domain = |text: &str| text.parse::<crate::names::Domain>().unwrap_err().to_string();
    texts.extend(["a..b", "192.0.2.1", "a.onion", &"a.".repeat(120)].map(domain));
    texts.push("nowhere".parse::<crate::ask::SocksAddr>().unwrap_err().to_string());
    let usage = |flags: &[&str]| {
        let usage = ScanCli::parse_from(["scanner"].iter().chain(flags)).check().unwrap_err();
        usage.to_string()
    };
    texts.push(usage(&["--resume"]));
    texts.push(usage(&["--resume", "--analysis-dir", "d", "--dry-run"]));
    texts.push(usage(&["--bad-exits", "-e", &relay(1).to_string()]));
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn why_a_relay_is_not_tested() {
    let reasons = [
        Exclusion::NotInConsensus,
        Exclusion::OnRequest,
        Exclusion::ExitsNowhere,
        Exclusion::NoIpv6,
        Exclusion::NotRunning,
        Exclusion::NoExitFlag,
        Exclusion::BadExit,
    ];
    let text = reasons.map(|why| format!("{}: {} {why}", why.name(), relay(1)));
    insta::assert_snapshot!(text.join("\n"));
}
