//! Scans as the scanner would write them, made from a few characters: for tests and the benchmark.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use aggregate::input::{Facts, Input};
use aggregate::rejections::Rejections;
use chrono::{DateTime, TimeDelta, Utc};
use record::{
    Attempt, Bandwidth, Blame, Circuit, CircuitState, Counts, ErrorCode, Fingerprint, FirstAnswer,
    Kind, Millis, Mode, Plan, PlannedRelay, Query, RelayFilter, RelayInfo, RelayResult, Run,
    Selection, Settings, Shard, Status, Timing, TorInfo, Via, of_recent_mark,
};
use shelf::run::{PLAN_FILE, RUN_FILE, result_name};

pub const DOMAIN: &str = "tor.exit.validator.example.org";
pub const EXPECTED: &str = "64.65.4.1";

/// The relay with this number.
pub fn relay(number: u32) -> Fingerprint {
    let mut bytes = [0x5a; 20];
    // Spread, so that neighbours are in different shards and places of a table.
    bytes[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
    bytes[16..].copy_from_slice(&number.to_be_bytes());
    Fingerprint::from_bytes(bytes)
}

pub fn millis(value: f64) -> Millis {
    Duration::from_secs_f64(value / 1e3).into()
}

/// When the run with this number starts: one every six hours.
pub fn start_of(run: i32) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap() + TimeDelta::hours(6) * run
}

/// A scan and its results.
#[derive(Debug, Clone)]
pub struct Scan {
    pub plan: Plan,
    pub run: Option<Run>,
    pub results: Vec<RelayResult>,
}

pub fn settings() -> Settings {
    Settings {
        build_delay: 2.0,
        delay_noise: 1.0,
        query_timeout: 10.0,
        circuit_timeout: 30.0,
        max_retries: 2,
        retry_delay: 1.0,
        max_in_flight: 64,
        max_per_first_hop: 4,
        confirm_rounds: 2,
        confirm_after: 300.0,
        first_hop: None,
    }
}

/// A scan that tested relays with these results: the marks of `recent`, and `.` for a relay that
/// was selected and not reached.
pub fn scan(run: i32, results: impl IntoIterator<Item = (u32, char)>) -> Scan {
    let started = start_of(run);
    let run_id = format!("{}-{run:08x}", started.format("%Y%m%dT%H%M%SZ"));
    let ended = started + TimeDelta::minutes(110);
    let results: Vec<(u32, char)> = results.into_iter().collect();
    let relays: BTreeSet<u32> = results.iter().map(|(number, _)| *number).collect();
    let relays = relays
        .into_iter()
        .map(|number| PlannedRelay {
            fingerprint: relay(number),
            nickname: format!("relay{number}"),
            address: address(number),
        })
        .collect();
    let expected_ip = Some(EXPECTED.parse().unwrap());
    let selection = Selection {
        filter: RelayFilter::Exits,
        country: None,
        relays_in_consensus: 9000,
        exits_in_consensus: 3100,
        excluded: Vec::new(),
        on_request: 0,
        left_out: BTreeMap::new(),
    };
    let plan = Plan {
        format: Kind::Plan.format(),
        run_id: run_id.clone(),
        started,
        mode: Mode::Wildcard,
        domain: DOMAIN.to_owned(),
        expected_ip,
        shard: None,
        selection,
        settings: settings(),
        consensus_valid_after: Some(started - TimeDelta::hours(1)),
        exit_dns_limit: Some(2.0),
        relays,
    };
    let results: Vec<RelayResult> =
        results.iter().filter_map(|(number, mark)| result(&plan, *number, *mark)).collect();
    let mut scan = Scan { plan, run: None, results };
    scan.finish(ended);
    scan
}

fn address(number: u32) -> IpAddr {
    let [a, b, c, _] = (number / 4).to_be_bytes();
    IpAddr::from([192, a ^ b, c, (number / 4).to_be_bytes()[3]])
}

/// The result of a relay, of its mark.
#[expect(clippy::too_many_lines, reason = "one document, field by field")]
pub fn result(plan: &Plan, number: u32, mark: char) -> Option<RelayResult> {
    let (status, provisional) = of_recent_mark(mark)?;
    let fingerprint = relay(number);
    let (error_code, blame, error) = match status {
        Status::Success => (None, None, None),
        Status::WrongIp => (
            Some(ErrorCode::UnexpectedAddress),
            Some(Blame::Resolver),
            Some("192.0.2.1 came, where 64.65.4.1 was expected"),
        ),
        Status::DnsFail => {
            (Some(ErrorCode::Servfail), Some(Blame::Resolver), Some("the resolver failed at once"))
        }
        Status::Timeout => {
            (Some(ErrorCode::Timeout), Some(Blame::Exit), Some("no answer within 10 s"))
        }
        Status::CircuitFail => (
            Some(ErrorCode::CircuitExitUnreachable),
            Some(Blame::Exit),
            Some("the first hop could not reach the exit"),
        ),
        Status::Error => {
            (Some(ErrorCode::SocksFailed), Some(Blame::Scanner), Some("the SOCKS port broke off"))
        }
        Status::Exception => {
            (Some(ErrorCode::Exception), Some(Blame::Scanner), Some("a fault of the scanner"))
        }
    };
    let error = error.map(str::to_owned);
    let built = !matches!(status, Status::CircuitFail);
    let answered = matches!(status, Status::Success | Status::WrongIp | Status::DnsFail);
    let resolve_ms = answered.then(|| millis(40.0 + f64::from(number % 97) * 3.25));
    let timing = Timing {
        circuit_ms: built.then(|| millis(300.0 + f64::from(number % 89) * 11.5)),
        attach_ms: built.then(|| millis(1.5)),
        resolve_ms,
    };
    let resolved_ip = match status {
        Status::Success => Some(EXPECTED.to_owned()),
        Status::WrongIp => Some("192.0.2.1".to_owned()),
        _ => None,
    };
    let first_hop = relay(900_000 + number % 50);
    let name = format!("{number:08x}-0000-4000-8000-000000000000.{}.{DOMAIN}", fingerprint.short());
    let timestamp = plan.started + TimeDelta::seconds(i64::from(number % 6000));
    let attempts = if status == Status::Success { 1 } else { 3 };
    let attempt = |number: u32| Attempt {
        number,
        round: u32::from(number > 2),
        started: timestamp - TimeDelta::seconds(2),
        ended: timestamp,
        first_hop,
        status,
        error_code,
        blame,
        error: error.clone(),
        resolved_ip: resolved_ip.clone(),
        circuit: Circuit {
            state: if built { CircuitState::Built } else { CircuitState::Failed },
            hops: if built { 2 } else { 1 },
            path_ms: None,
            reason: (!built).then(|| "DESTROYED".to_owned()),
            remote_reason: (!built).then(|| "CHANNEL_CLOSED".to_owned()),
            refusal: None,
        },
        queries: built
            .then(|| Query {
                socks_reply: Some(if resolved_ip.is_some() { 0 } else { 4 }),
                addresses: resolved_ip.iter().map(|ip| ip.parse().unwrap()).collect(),
                stream_reason: Some("DONE".to_owned()),
                attach_ms: timing.attach_ms,
                resolve_ms,
                ..Query::new(Via::Socks, name.clone())
            })
            .into_iter()
            .collect(),
        decided_by: built.then_some(0),
        timing,
    };
    Some(RelayResult {
        format: Kind::Result.format(),
        exit_fingerprint: fingerprint,
        exit_nickname: format!("relay{number}"),
        exit_address: address(number),
        first_hop_fingerprint: Some(first_hop),
        query_domain: Some(name.clone()),
        expected_ip: plan.expected_ip,
        timestamp,
        run_id: plan.run_id.clone(),
        shard: plan.shard,
        mode: plan.mode,
        status,
        resolved_ip: resolved_ip.clone(),
        latency_ms: resolve_ms,
        error: error.clone(),
        error_code,
        attempt: attempts,
        blame,
        timing,
        provisional,
        first: status.tested().then_some(FirstAnswer { attempt: 1, status, error_code }),
        checks: None,
        ipv6: None,
        findings: Vec::new(),
        attempts: (1..=attempts).map(attempt).collect(),
        relay: RelayInfo {
            flags: ["Exit", "Fast", "Guard", "Running", "Stable", "Valid"]
                .map(str::to_owned)
                .into(),
            contact: Some(format!("Operator {0} <tor{0}[at]example.org>", number / 8)),
            family: (number / 8 * 8..number / 8 * 8 + 8)
                .map(|n| format!("${}", relay(n)))
                .collect(),
            platform: Some("Tor 0.4.8.16 on Linux".to_owned()),
            bandwidth: Bandwidth {
                consensus_weight: Some(u64::from(1000 + number % 5000)),
                observed: Some(u64::from(number % 5000) * 1000),
            },
            country: Some("de".to_owned()),
            ..RelayInfo::default()
        },
    })
}

impl Scan {
    /// Lets it end at this time, with the figures of its results.
    pub fn finish(&mut self, ended: DateTime<Utc>) {
        let plan = &self.plan;
        let have: BTreeSet<Fingerprint> =
            self.results.iter().map(|result| result.exit_fingerprint).collect();
        let not_reached = record::unreached(&plan.relays, &have);
        let unconfirmed: Vec<Fingerprint> = self
            .results
            .iter()
            .filter(|result| result.provisional)
            .map(|result| result.exit_fingerprint)
            .collect();
        let complete = not_reached.is_empty() && unconfirmed.is_empty();
        self.run = Some(Run {
            format: Kind::Run.format(),
            run_id: plan.run_id.clone(),
            complete,
            incomplete_reason: (!complete).then(|| "interrupted by SIGTERM".to_owned()),
            mode: plan.mode,
            domain: plan.domain.clone(),
            expected_ip: plan.expected_ip,
            shard: plan.shard,
            selection: plan.selection.clone(),
            settings: plan.settings.clone(),
            started: plan.started,
            ended,
            probing_seconds: 6500.25,
            resumed: 0,
            consensus_valid_after: plan.consensus_valid_after,
            exit_dns_limit: Some(2.0),
            tor: TorInfo { version: "0.4.9.11".to_owned(), own: true, restarts: 0 },
            scanner_version: "0.1.0".to_owned(),
            selected: u32::try_from(plan.relays.len()).unwrap(),
            counts: self.results.iter().map(|result| result.status).collect::<Counts>(),
            not_reached,
            unconfirmed,
        });
    }

    /// Makes it the part of a scan that this shard is.
    pub fn shard(mut self, index: u32, of: u32) -> Self {
        let shard = Shard::new(index, of).unwrap();
        self.plan.shard = Some(shard);
        self.plan.run_id = format!("{}-{index}", self.plan.run_id);
        self.plan.relays.retain(|relay| shard.holds(&relay.fingerprint));
        self.results.retain(|result| shard.holds(&result.exit_fingerprint));
        for result in &mut self.results {
            result.shard = Some(shard);
            result.run_id.clone_from(&self.plan.run_id);
        }
        let ended = self.run.as_ref().unwrap().ended;
        self.finish(ended);
        self
    }

    /// Gives it another run id, as a second vantage point has.
    pub fn vantage(mut self, name: &str) -> Self {
        self.plan.run_id = format!("{}-{name}", self.plan.run_id);
        for result in &mut self.results {
            result.run_id.clone_from(&self.plan.run_id);
        }
        let ended = self.run.as_ref().unwrap().ended;
        self.finish(ended);
        self
    }

    /// Writes it as the scanner does.
    pub fn write(&self, directory: &Path) {
        fs::create_dir_all(directory).unwrap();
        let pretty =
            |path: &str, text: String| fs::write(directory.join(path), text + "\n").unwrap();
        pretty(PLAN_FILE, serde_json::to_string_pretty(&self.plan).unwrap());
        for result in &self.results {
            let name = result_name(&result.exit_fingerprint);
            pretty(&name, serde_json::to_string_pretty(result).unwrap());
        }
        if let Some(run) = &self.run {
            pretty(RUN_FILE, serde_json::to_string_pretty(run).unwrap());
        }
    }

    /// As it would be read.
    pub fn input(&self, name: &str) -> Input {
        let plan = self.plan.clone();
        let planned = plan.relays.iter().map(|relay| relay.fingerprint).collect();
        Input {
            name: name.to_owned(),
            facts: Facts {
                run_id: plan.run_id,
                mode: plan.mode,
                domain: plan.domain,
                expected_ip: plan.expected_ip,
                shard: plan.shard,
                selection: plan.selection,
                settings: plan.settings,
                started: plan.started,
                consensus_valid_after: plan.consensus_valid_after,
                planned: Some(planned),
            },
            run: self.run.clone(),
            results: self
                .results
                .iter()
                .map(|result| (result.exit_fingerprint, result.clone()))
                .collect::<BTreeMap<_, _>>(),
            other_files: 0,
            rejections: Rejections::default(),
        }
    }
}
