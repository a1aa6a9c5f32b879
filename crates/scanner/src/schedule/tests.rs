//! The schedule against a tor that is a queue of events: no clock, no socket, any order of time.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::SeedableRng;
use record::{Blame, CheckName, CheckOutcome, ErrorCode};
use tor_control::{CircuitStatus, StreamStatus};

use super::*;
use crate::checks::WantedCheck;
use crate::hops::{Candidate, Ties};

/// What an exit of the simulated network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Right,
    Wrong,
    Nxdomain,
    /// Fails every query of the first attempt, and is right from then on.
    Recovers,
    Dead,
    Frozen,
    /// Takes the query and says nothing.
    Mute,
    /// Right, and its circuit's events come before tor's answer that names the circuit.
    Early,
    /// Has left the consensus.
    Gone,
    /// The circuit dies in mid-query.
    BreaksOff,
    /// Exits nowhere since the consensus.
    Shut,
    /// Says once that it cannot resolve, and is unreachable from then on.
    Vanishes,
    /// Right, once it has waited for its resolver's IPv6 answer in vain.
    Stalls,
    /// The same, at first.
    StallsOnce,
    /// Right, and the circuit dies in the lookup after the verdict.
    DiesAfter,
    /// Right, and says nothing to the lookup after the verdict.
    MuteAfter,
}

/// Those that the lookup after the verdict fares differently with.
const AFTER: [Exit; 4] = [Exit::Stalls, Exit::StallsOnce, Exit::DiesAfter, Exit::MuteAfter];

/// Those whose verdict does not depend on when tor is lost.
const EXITS: [Exit; 11] = [
    Exit::Right,
    Exit::Wrong,
    Exit::Nxdomain,
    Exit::Recovers,
    Exit::Dead,
    Exit::Frozen,
    Exit::Mute,
    Exit::Early,
    Exit::Gone,
    Exit::BreaksOff,
    Exit::Shut,
];

fn fingerprint(byte: u8) -> Fingerprint {
    Fingerprint::from_bytes([byte; 20])
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn pace() -> Pace {
    Pace {
        build_delay: ms(100),
        delay_noise: ms(50),
        limits: Limits { circuit: ms(3_000), query: ms(5_000) },
        tries: 2,
        retry_delay: ms(1_000),
        max_in_flight: 4,
        confirm_rounds: 1,
        confirm_after: ms(10_000),
        patience: ms(120_000),
    }
}

fn context() -> RunContext {
    RunContext {
        run_id: "run".to_owned(),
        shard: None,
        domain: "example.com".parse().unwrap(),
        judge: Judge {
            mode: Mode::Wildcard,
            expected: Some("192.0.2.1".parse().unwrap()),
            exit_dns_limit: ms(2_000),
        },
        expected_ipv6: None,
        checks: None,
    }
}

/// First hops each of a network of their own, or all of one.
fn ties(networks: bool) -> HashMap<Fingerprint, Ties> {
    let address = |byte| [if networks { byte } else { 1 }, 0, 0, 1].into();
    let tie = |byte| (fingerprint(byte), Ties::new(address(byte), None, None));
    (200..206).map(tie).collect()
}

fn first_hops(networks: bool, only: Option<Fingerprint>) -> FirstHops {
    let hops = (200..206).map(|byte| Candidate {
        fingerprint: fingerprint(byte),
        weight: u64::from(byte),
        exits: byte == 200,
    });
    FirstHops::new(hops, ties(networks), only, if only.is_some() { 9 } else { 2 })
}

/// Which check a name belongs to.
fn check_of(name: &str) -> Option<CheckName> {
    let label = name.strip_suffix(".checks.example.com")?.rsplit('.').next()?;
    CheckName::ALL.iter().copied().find(|check| check.as_str() == label)
}

const CHECKS: [WantedCheck; 4] =
    [WantedCheck::Who, WantedCheck::Dnssec, WantedCheck::Tcp, WantedCheck::V6];

struct Simulation {
    scan: Scan,
    exits: Vec<Exit>,
    queue: BTreeMap<(Duration, u64), ScanEvent>,
    serial: u64,
    now: Duration,
    open: HashMap<CircuitId, (u8, ProbeId)>,
    probes: HashMap<ProbeId, (u8, CircuitId)>,
    names: HashSet<String>,
    attempts: HashMap<u8, u32>,
    launches: Vec<(Duration, u8, Fingerprint)>,
    results: BTreeMap<u8, Vec<RelayResult>>,
    finals: BTreeMap<u8, u32>,
    rounds: Vec<usize>,
    closed_streams: u32,
    dead_hops: HashSet<Fingerprint>,
    /// Nothing comes from the network, and nothing gets there.
    cut: bool,
    pauses: Vec<bool>,
    gave_up: Option<String>,
}

impl Simulation {
    fn new(exits: &[Exit], pace: Pace, seed: u64) -> Self {
        Self::by(exits, pace, seed, None)
    }

    /// The same with one first hop alone.
    fn by(exits: &[Exit], pace: Pace, seed: u64, only: Option<Fingerprint>) -> Self {
        let targets = (0..exits.len()).map(|index| ScanTarget {
            relay: PlannedRelay {
                fingerprint: fingerprint(u8::try_from(index).unwrap()),
                nickname: format!("exit{index}"),
                address: [192, 0, 2, 7].into(),
            },
            info: RelayInfo::default(),
            attempts: Vec::new(),
            door: Some(([192, 0, 2, 1], 443).into()),
        });
        let hops = first_hops(true, only);
        let rng = StdRng::seed_from_u64(seed);
        Self {
            scan: Scan::new(context(), pace, targets.collect(), hops, rng),
            exits: exits.to_vec(),
            queue: BTreeMap::new(),
            serial: 0,
            now: Duration::ZERO,
            open: HashMap::new(),
            probes: HashMap::new(),
            names: HashSet::new(),
            attempts: HashMap::new(),
            launches: Vec::new(),
            results: BTreeMap::new(),
            finals: BTreeMap::new(),
            rounds: Vec::new(),
            closed_streams: 0,
            dead_hops: HashSet::new(),
            cut: false,
            pauses: Vec::new(),
            gave_up: None,
        }
    }

    /// The same, with exits that allow IPv6.
    fn with_ipv6(mut self) -> Self {
        for task in &mut self.scan.tasks {
            task.target.info.ipv6.exit = Some(true);
        }
        self
    }

    /// The same, with these checks after each verdict, and exits that allow IPv6.
    fn with_checks(self, wanted: &[WantedCheck]) -> Self {
        let mut simulation = self.with_ipv6();
        let plan = CheckPlan {
            domain: "checks.example.com".parse().unwrap(),
            wanted: wanted.iter().copied().collect(),
            since: None,
            began: DateTime::UNIX_EPOCH,
        };
        simulation.scan.checks = Some((plan, StdRng::seed_from_u64(9)));
        simulation
    }

    fn later(&mut self, after: u64, event: ScanEvent) {
        self.serial += 1;
        self.queue.insert((self.now + ms(after), self.serial), event);
    }

    fn tell(&mut self, event: ScanEvent) {
        for action in self.scan.step(event, self.now) {
            self.perform(action);
        }
        assert!(self.scan.in_flight() <= self.scan.pace.max_in_flight);
    }

    fn circuit(
        &mut self,
        after: u64,
        id: &CircuitId,
        status: CircuitStatus,
        hops: &[Fingerprint],
        why: [&str; 2],
    ) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let event = CircuitEvent {
            id: id.clone(),
            status,
            path: hops.to_vec(),
            purpose: Some("CONTROLLER".to_owned()),
            reason: some(why[0]),
            remote_reason: some(why[1]),
        };
        self.later(after, ScanEvent::Circuit(event));
    }

    /// An event of a stream: on this circuit, where it is not waiting.
    fn stream(
        &mut self,
        after: u64,
        (id, circuit): (&StreamId, Option<&CircuitId>),
        status: StreamStatus,
        name: &str,
        why: [&str; 2],
    ) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let source = (status == StreamStatus::Remap).then(|| "EXIT".to_owned());
        let event = StreamEvent {
            id: id.clone(),
            status,
            circuit: circuit.cloned(),
            target: name.to_owned(),
            port: 0,
            reason: some(why[0]),
            remote_reason: some(why[1]),
            source,
            source_addr: None,
            purpose: None,
            client_protocol: None,
            socks_username: None,
        };
        self.later(after, ScanEvent::Stream(event));
    }

    /// What an exit makes of a connection.
    fn connect(&mut self, probe: ProbeId, key: String) {
        let (exit, circuit) = self.probes[&probe].clone();
        self.serial += 1;
        let stream: StreamId = self.serial.to_string().parse().unwrap();
        let event = |status, circuit: Option<&CircuitId>, why: [Option<&str>; 2]| StreamEvent {
            id: stream.clone(),
            status,
            circuit: circuit.cloned(),
            target: "192.0.2.1".to_owned(),
            port: 443,
            reason: why[0].map(str::to_owned),
            remote_reason: why[1].map(str::to_owned),
            source: None,
            source_addr: None,
            purpose: Some("USER".to_owned()),
            client_protocol: None,
            socks_username: Some(key.clone()),
        };
        let none = [None, None];
        self.later(1, ScanEvent::Stream(event(StreamStatus::New, None, none)));
        self.later(3, ScanEvent::Stream(event(StreamStatus::SentConnect, Some(&circuit), none)));
        if self.exits[usize::from(exit)] == Exit::Shut {
            let why = [Some("END"), Some("EXITPOLICY")];
            self.later(20, ScanEvent::Stream(event(StreamStatus::Detached, Some(&circuit), why)));
        } else {
            self.later(20, ScanEvent::Stream(event(StreamStatus::Succeeded, Some(&circuit), none)));
            self.later(21, ScanEvent::Reply(probe, key, SocketReply::Socks(0, None)));
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Launch(probe, path) => self.launch(probe, path),
            Action::Ask(probe, via, name) => {
                let fresh = self.names.insert(name.clone());
                let once = check_of(&name).is_some() || via != Via::DnsPortAaaa;
                assert_eq!(fresh, once, "a name is asked for once, and after it");
                self.serial += 1;
                let stream: StreamId = self.serial.to_string().parse().unwrap();
                self.stream(1, (&stream, None), StreamStatus::NewResolve, &name, ["", ""]);
                self.answer(probe, via, &stream, &name);
            }
            Action::Connect(probe, _, key) => self.connect(probe, key),
            Action::Attach(_, circuit) => assert!(self.open.contains_key(&circuit)),
            Action::CloseCircuit(circuit) => {
                self.open.remove(&circuit).expect("only open circuits are closed");
            }
            Action::CloseStream(_) => self.closed_streams += 1,
            Action::Ping => self.later(1, ScanEvent::Pong),
            Action::GiveUp(why) => self.gave_up = Some(why),
            Action::Tell(Notice::Paused(_)) => self.pauses.push(true),
            Action::Tell(Notice::GoesOn) => self.pauses.push(false),
            Action::GiveBack(stream) => panic!("{stream} is ours"),
            Action::Tell(Notice::Result { result, last }) => {
                let exit = result.exit_fingerprint.as_bytes()[0];
                *self.finals.entry(exit).or_default() += u32::from(last);
                self.results.entry(exit).or_default().push(*result);
            }
            Action::Tell(Notice::Round { relays, .. }) => self.rounds.push(relays),
            Action::Tell(Notice::Attempt(relay, _)) => {
                *self.attempts.entry(relay.as_bytes()[0]).or_default() += 1;
            }
        }
    }

    fn launch(&mut self, probe: ProbeId, path: [Fingerprint; 2]) {
        let exit = path[1].as_bytes()[0];
        self.launches.push((self.now, exit, path[0]));
        self.serial += 1;
        let id: CircuitId = self.serial.to_string().parse().unwrap();
        let kind = match self.exits[usize::from(exit)] {
            Exit::Vanishes if self.attempts.contains_key(&exit) => Exit::Dead,
            kind => kind,
        };
        if self.cut {
            self.open.insert(id.clone(), (exit, probe));
            return self.later(1, ScanEvent::Launched(probe, id));
        }
        if self.dead_hops.contains(&path[0]) {
            self.open.insert(id.clone(), (exit, probe));
            self.later(1, ScanEvent::Launched(probe, id.clone()));
            return self.circuit(5, &id, CircuitStatus::Failed, &[], ["CHANNEL_CLOSED", ""]);
        }
        if kind == Exit::Gone {
            let words = format!("552 No such router \"{}\"", path[1]);
            return self.later(1, ScanEvent::LaunchRefused(probe, words));
        }
        self.open.insert(id.clone(), (exit, probe));
        self.probes.insert(probe, (exit, id.clone()));
        let answered = if kind == Exit::Early { 60 } else { 1 };
        self.later(answered, ScanEvent::Launched(probe, id.clone()));
        self.circuit(10, &id, CircuitStatus::Extended, &path[..1], ["", ""]);
        match kind {
            Exit::Dead => {
                let why = ["DESTROYED", "CHANNEL_CLOSED"];
                self.circuit(20, &id, CircuitStatus::Failed, &path[..1], why);
            }
            Exit::Frozen => {}
            _ => self.circuit(40, &id, CircuitStatus::Built, &path, ["", ""]),
        }
    }

    fn answer(&mut self, probe: ProbeId, via: Via, stream: &StreamId, name: &str) {
        let (exit, circuit) = self.probes[&probe].clone();
        let kind = self.exits[usize::from(exit)];
        let first = !self.attempts.contains_key(&exit);
        let on = (stream, Some(&circuit));
        self.stream(3, on, StreamStatus::SentResolve, name, ["", ""]);
        if via == Via::DnsPortAaaa || check_of(name).is_some() {
            return self.answer_after(probe, kind, on, name);
        }
        let waits = match kind {
            Exit::Stalls => 2_000,
            Exit::StallsOnce if first => 2_000,
            _ => 0,
        };
        let address = match kind {
            Exit::Mute => return,
            Exit::BreaksOff => {
                self.stream(20, on, StreamStatus::Closed, name, ["DESTROY", ""]);
                self.circuit(20, &circuit, CircuitStatus::Closed, &[], ["DESTROYED", ""]);
                self.later(
                    21,
                    ScanEvent::Reply(probe, name.to_owned(), SocketReply::Socks(4, None)),
                );
                return;
            }
            Exit::Nxdomain | Exit::Shut | Exit::Vanishes => None,
            Exit::Recovers if first => None,
            Exit::Wrong => Some("192.0.2.66".parse().unwrap()),
            _ => Some("192.0.2.1".parse().unwrap()),
        };
        let reply = match (via, address) {
            (Via::Socks, None) => SocketReply::Socks(4, None),
            (Via::Socks, address) => SocketReply::Socks(0, address),
            (_, None) => SocketReply::Dns("NXDOMAIN".to_owned(), Vec::new()),
            (_, Some(address)) => SocketReply::Dns("NOERROR".to_owned(), vec![address]),
        };
        // The two witnesses come in either order.
        let (socket, event) = if self.serial.is_multiple_of(2) { (30, 31) } else { (31, 30) };
        let (socket, event) = (waits + socket, waits + event);
        self.later(socket, ScanEvent::Reply(probe, name.to_owned(), reply));
        // As tor does it: from the answer on, the events name the address.
        let target = address.map_or(name.to_owned(), |address: IpAddr| address.to_string());
        if address.is_some() {
            self.stream(waits + 29, on, StreamStatus::Remap, &target, ["", ""]);
        }
        self.stream(event, on, StreamStatus::Closed, &target, ["DONE", ""]);
    }

    /// The answer to a lookup after the verdict: of IPv6 addresses, of which the zone has none, or of a
    /// name that shows that the resolver validates and has no IPv6.
    fn answer_after(
        &mut self,
        probe: ProbeId,
        kind: Exit,
        on: (&StreamId, Option<&CircuitId>),
        name: &str,
    ) {
        let dns = |code: &str, addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap());
            SocketReply::Dns(code.to_owned(), addresses.collect())
        };
        let (mut reply, waits) = match check_of(name) {
            None => (dns("NOERROR", &[]), 0),
            Some(CheckName::Who) => (dns("NOERROR", &["198.51.100.53"]), 0),
            Some(CheckName::Signed | CheckName::Tcp) => (dns("NOERROR", &["192.0.2.1"]), 0),
            Some(CheckName::Bogus) => (dns("SERVFAIL", &[]), 0),
            Some(CheckName::Who6 | CheckName::V6) => (dns("SERVFAIL", &[]), 2_000),
        };
        let mut reason = "DONE";
        match kind {
            Exit::MuteAfter => return,
            Exit::DiesAfter => {
                reply = dns("SERVFAIL", &[]);
                reason = "DESTROY";
                let circuit = on.1.unwrap().clone();
                self.circuit(19, &circuit, CircuitStatus::Closed, &[], ["DESTROYED", ""]);
            }
            _ => {}
        }
        self.later(waits + 30, ScanEvent::Reply(probe, name.to_owned(), reply));
        self.stream(waits + 20, on, StreamStatus::Closed, name, [reason, ""]);
    }

    /// Forgets circuits that tor has reported gone: nobody has to close those.
    fn gone(&mut self, event: &ScanEvent) {
        if let ScanEvent::Circuit(event) = event
            && matches!(event.status, CircuitStatus::Failed | CircuitStatus::Closed)
        {
            self.open.remove(&event.id);
        }
    }

    fn step(&mut self) {
        let event_at = self.queue.keys().next().map(|(at, _)| *at);
        let wake_at = self.scan.wake_at();
        let next = event_at.into_iter().chain(wake_at).min().expect("a scan never gets stuck");
        self.now = self.now.max(next);
        assert!(self.now < Duration::from_secs(3_600), "a scan ends");
        if event_at.is_some_and(|at| at <= self.now) {
            let (_, event) = self.queue.pop_first().unwrap();
            self.gone(&event);
            self.tell(event);
        } else {
            self.tell(ScanEvent::Tick);
        }
    }

    fn run(&mut self) {
        self.tell(ScanEvent::Tick);
        while !self.scan.finished() && self.gave_up.is_none() {
            self.step();
        }
    }

    /// Until this time of the scan.
    fn run_until(&mut self, end: Duration) {
        self.tell(ScanEvent::Tick);
        while self.now < end {
            self.step();
        }
    }

    /// The network goes away without a word.
    fn cut(&mut self) {
        self.cut = true;
        self.queue.retain(|_, event| match event {
            ScanEvent::Stream(event) => {
                matches!(event.status, StreamStatus::NewResolve | StreamStatus::SentResolve)
            }
            event => matches!(event, ScanEvent::Launched(..) | ScanEvent::Pong),
        });
    }

    fn lose_tor(&mut self) {
        self.queue.clear();
        self.open.clear();
        self.tell(ScanEvent::TorLost);
        assert_eq!(self.scan.in_flight(), 0);
        self.now += ms(5_000);
        self.tell(ScanEvent::TorBack);
    }

    fn last(&self, exit: u8) -> &RelayResult {
        self.results[&exit].last().unwrap()
    }
}

fn verdict(result: &RelayResult) -> (Status, Option<ErrorCode>, Option<Blame>) {
    (result.status, result.error_code, result.blame)
}

fn expected(exit: Exit) -> (Status, Option<ErrorCode>, Option<Blame>) {
    use Status::{CircuitFail, DnsFail, Success, Timeout, WrongIp};
    let fault = |status, code, blame| (status, Some(code), Some(blame));
    match exit {
        Exit::Right | Exit::Recovers | Exit::Early => (Success, None, None),
        Exit::Stalls | Exit::StallsOnce | Exit::DiesAfter | Exit::MuteAfter => {
            (Success, None, None)
        }
        Exit::Wrong => fault(WrongIp, ErrorCode::UnexpectedAddress, Blame::Resolver),
        Exit::Shut => fault(Status::Error, ErrorCode::NotAnExit, Blame::Exit),
        Exit::Nxdomain | Exit::Vanishes => fault(DnsFail, ErrorCode::Nxdomain, Blame::Resolver),
        Exit::Dead => fault(CircuitFail, ErrorCode::CircuitExitUnreachable, Blame::Exit),
        Exit::Frozen => fault(CircuitFail, ErrorCode::CircuitTimeout, Blame::Exit),
        Exit::Mute => fault(Timeout, ErrorCode::Timeout, Blame::Exit),
        Exit::Gone => fault(CircuitFail, ErrorCode::LeftConsensus, Blame::Exit),
        Exit::BreaksOff => fault(CircuitFail, ErrorCode::CircuitDestroyed, Blame::Exit),
    }
}

#[test]
fn every_kind_of_exit_gets_its_verdict() {
    let mut simulation = Simulation::new(&EXITS, pace(), 1);
    simulation.run();
    for (index, exit) in (0..).zip(EXITS) {
        assert_eq!(verdict(simulation.last(index)), expected(exit), "{exit:?}");
    }
    assert_eq!(simulation.rounds, [7], "what failed is confirmed once");
    assert_eq!(simulation.attempts[&0], 1);
    let timing = simulation.last(0).timing;
    assert_eq!(timing.resolve_ms.map(record::Millis::get), Some(26.0), "SENTRESOLVE to REMAP");
    assert_eq!(timing.circuit_ms.map(record::Millis::get), Some(40.0));
    assert_eq!(simulation.attempts[&1], 2, "a wrong answer is seen twice, and then enough");
    assert_eq!(simulation.attempts[&3], 2);
    let first = |exit| simulation.last(exit).first.map(|first| (first.attempt, first.status));
    assert_eq!(first(0), Some((1, Status::Success)));
    assert_eq!(first(3), Some((1, Status::DnsFail)), "what came later does not wipe it out");
    assert_eq!(first(6), Some((1, Status::Timeout)));
    let unreached = [4, 5, 8, 9, 10];
    assert!(unreached.into_iter().all(|exit| first(exit).is_none()));
    assert_eq!(simulation.attempts[&4], 3, "two tries, and one to confirm");
}

#[test]
fn tries_of_one_relay_are_apart_and_go_by_other_first_hops() {
    let mut simulation = Simulation::new(&[Exit::Dead], pace(), 5);
    simulation.run();
    let launches = &simulation.launches;
    assert_eq!(launches.len(), 3);
    assert!(launches[1].0 - launches[0].0 >= ms(1_000));
    assert!(launches[2].0 - launches[1].0 >= ms(10_000));
    let hops: HashSet<_> = launches.iter().map(|(.., hop)| hop).collect();
    assert_eq!(hops.len(), 3);
}

#[test]
fn a_dead_first_hop_costs_no_exit_its_tries() {
    let pace = Pace { tries: 1, confirm_rounds: 0, ..pace() };
    let mut simulation = Simulation::new(&[Exit::Right; 20], pace.clone(), 5);
    simulation.dead_hops = (200..203).map(fingerprint).collect();
    simulation.run();
    for exit in 0..20 {
        assert_eq!(simulation.last(exit).status, Status::Success);
    }
    assert!(simulation.pauses.is_empty(), "others worked all the while");
}

#[test]
fn a_way_out_that_is_closed_is_waited_for_and_no_relay_blamed() {
    let pace = Pace { tries: 1, confirm_rounds: 0, build_delay: ms(10), ..pace() };
    let all: HashSet<_> = (200..206).map(fingerprint).collect();
    for only in [None, Some(fingerprint(203))] {
        // From the start, and in the middle of a scan.
        for works_for in [0, 1_000] {
            let mut simulation = Simulation::by(&[Exit::Right; 60], pace.clone(), 5, only);
            simulation.run_until(ms(works_for));
            assert!(!simulation.scan.finished());
            simulation.dead_hops.clone_from(&all);
            simulation.run_until(ms(works_for + 60_000));
            assert_eq!(simulation.pauses.last(), Some(&true));
            let tries: Vec<_> = simulation.launches.iter().map(|launch| launch.0).collect();
            let tries = &tries[tries.partition_point(|&at| at < ms(works_for + 10_000))..];
            assert!(tries.len() > 3, "it is tried again and again");
            assert!(tries.windows(2).all(|pair| pair[1] - pair[0] >= ms(5_000)), "{tries:?}");
            simulation.dead_hops.clear();
            simulation.run();
            assert_eq!(simulation.pauses.last(), Some(&false));
            for exit in 0..60 {
                assert_eq!(simulation.last(exit).status, Status::Success);
                assert_eq!(simulation.results[&exit].len(), 1, "nothing else was said of it");
            }
        }
        // Where it stays so, the scan ends, and says nothing of any relay.
        let mut simulation = Simulation::by(&[Exit::Right; 9], pace.clone(), 5, only);
        simulation.dead_hops.clone_from(&all);
        simulation.run();
        let why = simulation.gave_up.clone().unwrap();
        assert!(why.contains("be reached for 120 s"), "{why}");
        assert_eq!(only.is_some(), why.contains(&fingerprint(203).to_string()), "{why}");
        simulation
            .scan
            .stop(simulation.now)
            .into_iter()
            .for_each(|action| simulation.perform(action));
        assert!(simulation.results.is_empty());
    }
}

#[test]
fn a_network_that_falls_silent_in_the_middle_makes_no_relay_fail() {
    let pace = Pace { tries: 1, confirm_rounds: 0, build_delay: ms(10), ..pace() };
    for seed in 0..20 {
        let mut simulation = Simulation::new(&[Exit::Right; 60], pace.clone(), seed);
        simulation.run_until(ms(700 + seed * 13));
        simulation.cut();
        simulation.run_until(ms(60_000));
        simulation.cut = false;
        simulation.run();
        for exit in 0..60 {
            assert_eq!(simulation.last(exit).status, Status::Success, "seed {seed}");
        }
        assert_eq!(simulation.pauses, [true, false]);
    }
}

#[test]
fn what_is_asked_while_tor_lacks_our_options_is_asked_again() {
    let pace = Pace { tries: 1, confirm_rounds: 0, ..pace() };
    let mut simulation = Simulation::new(&[Exit::Right; 12], pace, 5);
    simulation.tell(ScanEvent::Tick);
    let mut lost = 0;
    while !simulation.scan.finished() {
        simulation.step();
        let asking = simulation.scan.probes.values().filter(|(_, probe)| probe.is_asking()).count();
        if asking > 0 && lost < 4 {
            lost += 1;
            simulation.tell(ScanEvent::OptionsLost);
            assert!(simulation.scan.probes.values().all(|(_, probe)| !probe.is_asking()));
        }
    }
    assert_eq!(lost, 4);
    let mut again = 0;
    for exit in 0..12 {
        assert_eq!(simulation.last(exit).status, Status::Success);
        let lost = |attempt: &&Attempt| attempt.error_code == Some(ErrorCode::TorLost);
        for attempt in simulation.last(exit).attempts.iter().filter(lost) {
            assert_eq!((attempt.status, attempt.blame), (Status::Error, Some(Blame::Scanner)));
            again += 1;
        }
    }
    assert!(again >= lost, "{again}");
    assert!(simulation.open.is_empty(), "the circuits are closed");
}

#[test]
fn a_circuit_that_tor_takes_before_it_is_known_gets_no_lookup() {
    let mut simulation = Simulation::new(&[Exit::Early], pace(), 1);
    simulation.tell(ScanEvent::Tick);
    let id = simulation.open.keys().next().unwrap().clone();
    simulation.tell(ScanEvent::CircuitMinor(CircuitMinorEvent {
        id,
        change: "PURPOSE_CHANGED".to_owned(),
        purpose: Some("HS_VANGUARDS".to_owned()),
        old_purpose: Some("CONTROLLER".to_owned()),
    }));
    while !simulation.attempts.contains_key(&0) {
        simulation.step();
    }
    assert!(simulation.names.is_empty(), "nothing was asked on it");
}

#[test]
fn our_own_changes_of_a_circuits_purpose_are_no_trouble() {
    let mut simulation = Simulation::new(&[Exit::Right], pace(), 1);
    simulation.tell(ScanEvent::Tick);
    while simulation.names.is_empty() {
        simulation.step();
    }
    let id = simulation.open.keys().next().unwrap().clone();
    for purpose in ["GENERAL", "CONTROLLER"] {
        simulation.tell(ScanEvent::CircuitMinor(CircuitMinorEvent {
            id: id.clone(),
            change: "PURPOSE_CHANGED".to_owned(),
            purpose: Some(purpose.to_owned()),
            old_purpose: None,
        }));
    }
    simulation.run();
    assert_eq!((simulation.attempts[&0], simulation.last(0).status), (1, Status::Success));
}

#[test]
fn no_relay_has_more_attempts_than_a_reader_takes() {
    let mut first = Simulation::new(&[Exit::Dead], pace(), 3);
    first.run();
    let attempt = first.last(0).attempts[0].clone();
    for (had, has) in [(99, 100), (100, 100)] {
        let mut again = Simulation::new(&[Exit::Dead], pace(), 4);
        again.scan.tasks[0].target.attempts = vec![attempt.clone(); had];
        again.run();
        assert_eq!(again.last(0).attempts.len(), has);
        assert!(!again.last(0).provisional);
    }
}

#[test]
fn a_tor_that_goes_silent_makes_no_relay_fail() {
    let mut simulation = Simulation::new(&[Exit::Right; 4], pace(), 3);
    simulation.tell(ScanEvent::Tick);
    while simulation.names.len() < 2 {
        simulation.step();
    }
    // Frozen from here on: no event, no answer to a ping, for much longer than any deadline.
    simulation.queue.clear();
    simulation.open.clear();
    for _ in 0..60 {
        simulation.now += ms(1_000);
        for action in simulation.scan.step(ScanEvent::Tick, simulation.now) {
            assert!(matches!(action, Action::Ping | Action::Launch(..)), "{action:?}");
        }
    }
    simulation.lose_tor();
    simulation.run();
    for exit in 0..4 {
        assert_eq!(simulation.last(exit).status, Status::Success);
        let faults = simulation.last(exit).attempts.iter().filter_map(|attempt| attempt.error_code);
        assert!(faults.into_iter().all(|code| code == ErrorCode::TorLost));
    }
}

#[test]
fn an_answer_read_late_is_an_answer() {
    // This process sleeps while the exit answers, far beyond the query's limit. Then everything
    // is there at once: the closing event, the ping's answer and, last, the reply on the socket.
    let pace = Pace { tries: 1, confirm_rounds: 0, ..pace() };
    let mut simulation = Simulation::new(&[Exit::Right], pace, 3);
    simulation.tell(ScanEvent::Tick);
    while simulation.names.is_empty() {
        simulation.step();
    }
    for _ in 0..2 {
        simulation.step();
    }
    let mut late: Vec<ScanEvent> = std::mem::take(&mut simulation.queue).into_values().collect();
    late.sort_by_key(|event| matches!(event, ScanEvent::Reply(..)));
    let reply = late.pop().unwrap();
    assert!(matches!(reply, ScanEvent::Reply(..)), "{reply:?}");
    simulation.now += ms(60_000);
    simulation.tell(ScanEvent::Tick);
    late.into_iter().for_each(|event| simulation.tell(event));
    simulation.tell(ScanEvent::Pong);
    simulation.tell(reply);
    assert_eq!(verdict(simulation.last(0)), expected(Exit::Right));
}

#[test]
fn a_stopped_scan_says_what_it_has_and_closes_everything() {
    let mut simulation =
        Simulation::new(&[Exit::Right, Exit::Mute, Exit::Dead, Exit::Frozen], pace(), 3);
    simulation.tell(ScanEvent::Tick);
    while simulation.now < ms(2_500) {
        simulation.step();
    }
    for action in simulation.scan.stop(simulation.now) {
        simulation.perform(action);
    }
    assert_eq!(simulation.scan.in_flight(), 0);
    assert!(simulation.open.is_empty(), "{:?}", simulation.open);
    assert!(!simulation.last(0).provisional);
    assert!(simulation.last(2).provisional, "one try failed, the other was to come");
    assert!(!simulation.results.contains_key(&1), "never tried to the end: not reached");
    assert_eq!(simulation.scan.unfinished().len(), 3);
}

#[test]
fn a_resumed_relay_keeps_its_attempts() {
    let mut first = Simulation::new(&[Exit::Dead], pace(), 3);
    first.tell(ScanEvent::Tick);
    while first.attempts.is_empty() {
        first.step();
    }
    first.scan.stop(first.now).into_iter().for_each(|action| first.perform(action));
    let mut second = Simulation::new(&[Exit::Dead], pace(), 4);
    second.scan.tasks[0].target.attempts = first.last(0).attempts.clone();
    second.run();
    let numbers: Vec<u32> = second.last(0).attempts.iter().map(|a| a.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[test]
fn other_peoples_streams_are_given_back_and_tors_own_left_alone() {
    let mut simulation = Simulation::new(&[Exit::Right], pace(), 1);
    let mut told = |target: &str, purpose: Option<&str>, status| {
        let event = StreamEvent {
            id: "77".parse().unwrap(),
            status,
            circuit: None,
            target: target.to_owned(),
            port: 443,
            reason: None,
            remote_reason: None,
            source: None,
            source_addr: None,
            purpose: purpose.map(str::to_owned),
            client_protocol: None,
            socks_username: None,
        };
        let actions = simulation.scan.step(ScanEvent::Stream(event), Duration::ZERO);
        actions.iter().any(|action| matches!(action, Action::GiveBack(_)))
    };
    assert!(told("example.org", Some("USER"), StreamStatus::New));
    assert!(told("never-asked.example.com", None, StreamStatus::NewResolve));
    assert!(told("example.org", Some("USER"), StreamStatus::Detached));
    assert!(!told("example.org", Some("USER"), StreamStatus::SentConnect));
    assert!(!told("192.0.2.1.$AA.exit", Some("DIR_FETCH"), StreamStatus::New));
}

#[test]
fn a_lookup_that_another_controller_takes_elsewhere_says_nothing_of_the_exit() {
    let on = |circuit: u32| {
        let (sent, done) = (
            format!("SENTRESOLVE {circuit} name:0"),
            format!("CLOSED {circuit} name:0 REASON=DONE"),
        );
        let right = SocketReply::Socks(0, Some("192.0.2.1".parse().unwrap()));
        said(Mode::Wildcard, &["NEWRESOLVE 0 name:0", &sent, &done], right)
    };
    assert_eq!(on(5), (Status::Success, None, None));
    let elsewhere = (Some(ErrorCode::AttachRefused), Some(Blame::Scanner));
    assert_eq!(on(6), (Status::Error, elsewhere.0, elsewhere.1));
}

#[test]
fn a_failure_that_one_attempt_alone_saw_is_never_confirmed() {
    let mut simulation = Simulation::new(&[Exit::Vanishes], pace(), 1);
    simulation.run();
    assert_eq!(verdict(simulation.last(0)), expected(Exit::Vanishes));
    assert!(simulation.last(0).provisional, "it may have been a passing fault");
    assert_eq!(simulation.finals[&0], 1);
    // Two tries, one to confirm, and three more for a second witness.
    assert_eq!(simulation.attempts[&0], 6);
}

#[test]
fn a_failure_counts_when_two_first_hops_apart_or_two_rounds_have_seen_it() {
    let scan = |networks, confirm_rounds| {
        let pace = Pace { tries: 1, confirm_rounds, ..pace() };
        let mut simulation = Simulation::new(&[Exit::Nxdomain, Exit::Wrong], pace, 1);
        simulation.scan.hops = first_hops(networks, None);
        simulation.run();
        let one = |exit| (simulation.last(exit).provisional, simulation.attempts[&exit]);
        assert_eq!(simulation.last(1).status, Status::WrongIp, "set by one wrong answer");
        [one(0), one(1)]
    };
    // One more attempt by another network is a second witness.
    assert_eq!(scan(true, 0), [(false, 2), (false, 2)]);
    // First hops of one network are one, however many: only another round is.
    assert_eq!(scan(false, 0), [(true, 1), (true, 1)]);
    assert_eq!(scan(false, 1), [(false, 2), (false, 2)]);
}

#[test]
fn results_bear_the_wall_clocks_times_whatever_it_does() {
    let mut simulation = Simulation::new(&[Exit::Right], pace(), 1);
    let before = DateTime::UNIX_EPOCH + Duration::from_secs(1_000);
    simulation.scan.set_wall_clock(before);
    simulation.tell(ScanEvent::Tick);
    while simulation.names.is_empty() {
        simulation.step();
    }
    // The host sleeps for an hour: the scan's own time does not go on meanwhile.
    let after = before + Duration::from_secs(3_600);
    simulation.scan.set_wall_clock(after);
    simulation.run();
    let attempt = &simulation.last(0).attempts[0];
    assert_eq!((attempt.started, attempt.ended), (before, after));
    assert_eq!(simulation.last(0).timestamp, after);
}

/// An attempt whose circuit 5 is built, and that has asked for "name".
fn asking(first_query: Via) -> Probe {
    let limits = Limits { circuit: Duration::from_secs(9), query: Duration::from_secs(9) };
    let first_hop = fingerprint(200);
    let door = Some(([192, 0, 2, 1], 443).into());
    let further = Vec::new();
    let task = Attempting { first_hop, first_query, door, limits, expected: None, further };
    let mut probe = Probe::new(task, Duration::ZERO, DateTime::UNIX_EPOCH);
    probe.launched("5".parse().unwrap());
    let built = CircuitEvent {
        id: "5".parse().unwrap(),
        status: CircuitStatus::Built,
        path: Vec::new(),
        purpose: None,
        reason: None,
        remote_reason: None,
    };
    assert_eq!(probe.circuit_event(&built, Duration::ZERO), Next::Ask(first_query));
    probe.ask(first_query, "name".to_owned(), Duration::ZERO);
    probe
}

#[test]
fn a_connection_has_its_time_whichever_witness_comes_first() {
    for reply_first in [true, false] {
        let mut probe = asking(Via::Socks);
        probe.connect(To::Door(([192, 0, 2, 1], 443).into()), "key".to_owned(), ms(0));
        let event = |line: &str| parsed(&format!("STREAM 78 {line} 192.0.2.1:443")).unwrap();
        probe.stream_event(&event("NEW 0"), ms(1));
        probe.stream_event(&event("SENTCONNECT 5"), ms(2));
        let (made, reply) = (event("SUCCEEDED 5"), SocketReply::Socks(0, None));
        let steps = if reply_first {
            [probe.reply("key", reply, ms(30)), probe.stream_event(&made, ms(32))]
        } else {
            [probe.stream_event(&made, ms(32)), probe.reply("key", reply, ms(33))]
        };
        assert_eq!(steps, [Next::Wait, Next::Finish]);
        let query = probe.into_evidence().queries.pop().unwrap();
        assert_eq!(query.resolve_ms.map(record::Millis::get), Some(30.0));
    }
}

/// A line as the control port sends it: what the parser makes of it is what the attempt is told, if
/// it is a stream's event at all.
fn parsed(line: &str) -> Option<StreamEvent> {
    use tor_control::line::{Divider, ReplyLine};
    let line = ReplyLine {
        code: 650,
        divider: Divider::End,
        text: line.as_bytes().to_vec().into(),
        data: Default::default(),
    };
    match tor_control::Event::parse(&[line]) {
        tor_control::Event::Stream(event) => Some(event),
        _ => None,
    }
}

/// The status and cause after these events and this reply, in wildcard or nxdomain mode.
fn said(
    mode: Mode,
    lines: &[&str],
    reply: SocketReply,
) -> (Status, Option<ErrorCode>, Option<Blame>) {
    let first_query = if mode == Mode::Wildcard { Via::Socks } else { Via::DnsPortA };
    let mut probe = asking(first_query);
    for line in lines {
        if let Some(event) = parsed(&format!("STREAM 77 {line}")) {
            probe.stream_event(&event, Duration::ZERO);
        }
    }
    probe.reply("name", reply, Duration::ZERO);
    let evidence = probe.into_evidence();
    let expected = (mode == Mode::Wildcard).then(|| "192.0.2.1".parse().unwrap());
    let judge = Judge { mode, expected, exit_dns_limit: Duration::from_secs(2) };
    let exit = fingerprint(1);
    let verdict = classify::classify(&exit, &evidence.circuit, &evidence.queries, &judge);
    let (code, blame) = verdict.fault.unzip();
    (verdict.status, code, blame)
}

#[test]
#[expect(clippy::too_many_lines, reason = "one case after another")]
fn one_witness_is_none() {
    use ErrorCode::{AnsweredByTor, ForeignPort, WitnessesDisagree};
    let address = |text: &str| SocketReply::Socks(0, Some(text.parse().unwrap()));
    let (right, wrong) = (|| address("192.0.2.1"), || address("8.8.8.8"));
    let nothing = || SocketReply::Socks(4, None);
    let no_name = || SocketReply::Dns("NXDOMAIN".to_owned(), Vec::new());
    let new = "NEWRESOLVE 0 name:0";
    let sent = "SENTRESOLVE 5 name:0";
    let from_exit = "REMAP 5 192.0.2.1:0 SOURCE=EXIT";
    let from_cache = "REMAP 0 8.8.8.8:0 SOURCE=CACHE";
    let done = "CLOSED 5 192.0.2.1:0 REASON=DONE";
    let refused = "CLOSED 5 name:0 REASON=TORPROTOCOL";
    let good = said(Mode::Wildcard, &[new, sent, from_exit, done], right());
    assert_eq!(good, (Status::Success, None, None));
    let good = said(Mode::Nxdomain, &[new, sent, "CLOSED 5 name:0 REASON=DONE"], no_name());
    assert_eq!(good, (Status::Success, None, None));
    let rows: Vec<(&str, Mode, Vec<&str>, SocketReply, ErrorCode)> = vec![
        // AutomapHostsOnResolve, and MapAddress to an address.
        (
            "mapped",
            Mode::Wildcard,
            vec![new, "REMAP 0 10.192.0.1:0 SOURCE=CACHE", "CLOSED 0 10.192.0.1:0 REASON=DONE"],
            address("10.192.0.1"),
            AnsweredByTor,
        ),
        (
            "mapped to the right address",
            Mode::Wildcard,
            vec![new, "CLOSED 0 192.0.2.1:0 REASON=DONE"],
            right(),
            AnsweredByTor,
        ),
        (
            "mapped to another name, which the exit was asked for",
            Mode::Wildcard,
            vec![new, "SENTRESOLVE 5 other:0", from_exit, done],
            right(),
            AnsweredByTor,
        ),
        ("another tor's port", Mode::Wildcard, vec![], right(), ForeignPort),
        ("another tor's port, no", Mode::Wildcard, vec![], nothing(), ForeignPort),
        ("another's DNSPort", Mode::Nxdomain, vec![], no_name(), ForeignPort),
        (
            "an NXDOMAIN that was never asked for",
            Mode::Nxdomain,
            vec![new, "CLOSED 0 name:0 REASON=DONE"],
            no_name(),
            AnsweredByTor,
        ),
        (
            "another address on the socket than in the event",
            Mode::Wildcard,
            vec![new, sent, from_exit, done],
            wrong(),
            WitnessesDisagree,
        ),
        (
            "an end that no answer can have, made up",
            Mode::Wildcard,
            vec![new, sent, refused],
            right(),
            WitnessesDisagree,
        ),
        (
            "the same, with a name that ends the line",
            Mode::Wildcard,
            vec![new, sent, "CLOSED 5 name:0 REASON=END REMOTE_REASON=HIBERNATING"],
            right(),
            WitnessesDisagree,
        ),
        ("no end", Mode::Wildcard, vec![new, sent, from_exit], right(), WitnessesDisagree),
        (
            "a map made up",
            Mode::Wildcard,
            vec![new, sent, from_cache, done],
            right(),
            AnsweredByTor,
        ),
        (
            "an answer made up before there is one",
            Mode::Wildcard,
            vec![new, sent, "REMAP 5 8.8.8.8:0 SOURCE=EXIT", "CLOSED 5 8.8.8.8:0 REASON=DONE"],
            right(),
            WitnessesDisagree,
        ),
    ];
    for (row, mode, lines, reply, code) in rows {
        let expected = (Status::Error, Some(code), Some(Blame::Scanner));
        assert_eq!(said(mode, &lines, reply), expected, "{row}");
    }
}

proptest! {
    /// Whatever events are made up about a lookup, in whatever order: an address that the socket did
    /// not bring is never held against the exit, and never in its favour.
    #[test]
    fn made_up_events_accuse_nobody(
        lines in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "NEWRESOLVE", "SENTRESOLVE", "REMAP", "CLOSED", "FAILED", "DETACHED", "SUCCEEDED",
                ]),
                prop::sample::select(vec!["0", "5", "6"]),
                prop::sample::select(vec!["name", "192.0.2.1", "8.8.8.8", "10.0.0.1", "\u{1b}x y"]),
                prop::sample::select(vec![
                    "", " REASON=DONE", " REASON=TORPROTOCOL", " REASON=DESTROY", " SOURCE=EXIT",
                    " SOURCE=CACHE", " REASON=END REMOTE_REASON=EXITPOLICY",
                ]),
            ),
            0..8,
        ),
    ) {
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(status, circuit, target, rest)| format!("{status} {circuit} {target}:0{rest}"))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let right = SocketReply::Socks(0, Some("192.0.2.1".parse().unwrap()));
        let (status, _, blame) = said(Mode::Wildcard, &lines, right);
        prop_assert!(status != Status::WrongIp);
        prop_assert!(!status.counts_against_dns() || blame != Some(Blame::Resolver));
        let wrong = SocketReply::Socks(0, Some("8.8.8.8".parse().unwrap()));
        prop_assert!(said(Mode::Wildcard, &lines, wrong).0 != Status::Success);
    }
}

#[test]
fn a_tor_that_answers_itself_ends_the_scan() {
    let mut simulation = Simulation::new(&[Exit::Right; 9], pace(), 1);
    simulation.tell(ScanEvent::Tick);
    let attempt = |code| Attempt {
        number: 1,
        round: 0,
        started: DateTime::UNIX_EPOCH,
        ended: DateTime::UNIX_EPOCH,
        first_hop: fingerprint(200),
        status: Status::Error,
        error_code: Some(code),
        blame: Some(Blame::Scanner),
        error: None,
        resolved_ip: None,
        timing: record::Timing::default(),
        decided_by: None,
        circuit: asking(Via::Socks).into_evidence().circuit,
        queries: Vec::new(),
    };
    let foreign = attempt(ErrorCode::ForeignPort);
    let right = Attempt { status: Status::Success, error_code: None, ..foreign.clone() };
    let scan = &mut simulation.scan;
    scan.actions.clear();
    // One that somebody made up, between answers of exits, ends nothing.
    for attempt in [&foreign, &foreign, &right, &foreign, &foreign] {
        scan.watch_witnesses(attempt);
        assert_eq!(scan.actions, []);
    }
    scan.watch_witnesses(&foreign);
    assert!(matches!(&scan.actions[..], [Action::GiveUp(why)] if why.contains("SOCKS port")));
}

#[test]
fn a_circuit_that_tor_takes_for_itself_gets_no_lookup() {
    let mut simulation = Simulation::new(&[Exit::Right], pace(), 1);
    simulation.tell(ScanEvent::Tick);
    while simulation.names.is_empty() {
        simulation.step();
    }
    let id = simulation.open.keys().next().unwrap().clone();
    let event = CircuitMinorEvent {
        id,
        change: "PURPOSE_CHANGED".to_owned(),
        purpose: Some("HS_VANGUARDS".to_owned()),
        old_purpose: Some("GENERAL".to_owned()),
    };
    // The lookup's stream has not been shown yet: when it is, it must not go to another exit.
    simulation.tell(ScanEvent::CircuitMinor(event));
    simulation.open.clear();
    simulation.run();
    assert_eq!(simulation.closed_streams, 1);
    let attempts = &simulation.last(0).attempts;
    assert_eq!(attempts[0].error_code, Some(ErrorCode::ClosedLocally));
    assert_eq!(attempts[0].blame, Some(Blame::Scanner));
    assert_eq!(attempts[0].circuit.reason.as_deref(), Some("PURPOSE_HS_VANGUARDS"));
    assert_eq!(simulation.last(0).status, Status::Success);
}

proptest! {
    /// Whatever the network, the pace and the losses of tor: every relay gets exactly one final
    /// result, and it is the true one; pace and caps hold; nothing stays open.
    #[test]
    fn every_relay_gets_exactly_one_true_result(
        exits in prop::collection::vec(prop::sample::select(&EXITS[..]), 1..25),
        seed: u64,
        max_in_flight in 1_usize..20,
        delay in 0_u64..300,
        losses in prop::collection::vec(1_usize..200, 0..3),
        dead_hop: bool,
    ) {
        let pace = Pace { build_delay: ms(delay), delay_noise: ms(delay / 2), max_in_flight, ..pace() };
        let mut simulation = Simulation::new(&exits, pace, seed);
        simulation.dead_hops.extend(dead_hop.then(|| fingerprint(203)));
        simulation.tell(ScanEvent::Tick);
        for steps in losses {
            for _ in 0..steps {
                if !simulation.scan.finished() {
                    simulation.step();
                }
            }
            if !simulation.scan.finished() {
                simulation.lose_tor();
            }
        }
        while !simulation.scan.finished() {
            simulation.step();
        }
        for (index, &exit) in (0..).zip(&exits) {
            let results = &simulation.results[&index];
            prop_assert_eq!(simulation.finals[&index], 1);
            prop_assert_eq!(results.iter().filter(|result| !result.provisional).count(), 1);
            let result = simulation.last(index);
            // Twice lost and three ways that are dead may be all that there was: then it blames nobody.
            let reached = result.attempts.iter().filter(|attempt| !never_reached(attempt)).count();
            if reached < 2 && !simulation.dead_hops.is_empty() && verdict(result) != expected(exit) {
                let nobody = [Blame::FirstHop, Blame::Scanner, Blame::Unknown];
                prop_assert!(result.blame.is_some_and(|blame| nobody.contains(&blame)));
                continue;
            }
            prop_assert_eq!(verdict(result), expected(exit));
        }
        for pair in simulation.launches.windows(2) {
            prop_assert!(pair[1].0 - pair[0].0 >= ms(delay - delay / 2));
        }
        while let Some((_, event)) = simulation.queue.pop_first() {
            simulation.gone(&event);
            simulation.tell(event);
        }
        prop_assert!(simulation.open.is_empty());
    }
}

/// All kinds of exits, several of each, and what is said of them in the end.
fn mixture() -> Vec<Exit> {
    let many = [Exit::Right; 30].into_iter();
    many.chain(EXITS).chain(AFTER).collect()
}

#[test]
fn what_is_asked_after_the_verdict_changes_neither_verdicts_nor_the_scans_length() {
    for seed in 0..20 {
        let mut without = Simulation::new(&mixture(), pace(), seed);
        without.run();
        let mut with = Simulation::new(&mixture(), pace(), seed).with_ipv6();
        with.run();
        for (index, exit) in (0..).zip(mixture()) {
            let said = |of: &RelayResult| {
                (verdict(of), of.provisional, of.first.map(|first| first.status))
            };
            assert_eq!(said(with.last(index)), said(without.last(index)), "{exit:?}");
            assert_eq!(with.finals[&index], 1, "{exit:?}");
            assert!(without.last(index).ipv6.is_none());
        }
        assert!(with.now < without.now * 11 / 10, "{:?}, {:?}", with.now, without.now);
    }
}

#[test]
fn a_stall_is_found_where_two_circuits_see_it() {
    let mut simulation = Simulation::new(&AFTER, pace(), 2).with_ipv6();
    simulation.run();
    let outcome = |exit| simulation.last(exit).ipv6.clone().unwrap();
    assert_eq!(outcome(0).outcome, record::Ipv6Outcome::Stall);
    let hops: HashSet<_> = outcome(0).lookups.iter().map(|lookup| lookup.first_hop).collect();
    assert_eq!(hops.len(), 2);
    assert_eq!(simulation.last(0).findings[0].code, record::FindingCode::AaaaStall);
    assert_eq!(outcome(1).outcome, record::Ipv6Outcome::NoAddress);
    assert_eq!(outcome(1).lookups.len(), 2);
    assert_eq!(outcome(2).outcome, record::Ipv6Outcome::Unknown);
    assert_eq!(outcome(3).outcome, record::Ipv6Outcome::Unknown);
    let circuits = |exit| simulation.launches.iter().filter(|launch| launch.1 == exit).count();
    assert_eq!([0, 1, 2, 3].map(circuits), [2, 2, 1, 1]);
    for exit in 0..4 {
        let result = simulation.last(exit);
        assert_eq!(result.attempts.len(), 1);
        assert_eq!(result.attempts[0].circuit.state, record::CircuitState::Built);
        assert!(result.findings.len() <= 1);
        assert_eq!(result.attempts[0].queries.len(), 1, "it is no part of the evidence");
    }
}

#[test]
fn a_verdict_is_kept_whatever_happens_to_the_lookup_after_it() {
    type Happens = fn(&mut Simulation);
    // What happens, whether it ends the scan, and how many circuits are built in all: what this side has
    // broken off is asked again.
    let happenings: [(Happens, bool, usize); 4] = [
        (|simulation| simulation.lose_tor(), false, 2),
        (|simulation| simulation.tell(ScanEvent::OptionsLost), false, 2),
        (
            |simulation| {
                let id = *simulation.scan.probes.keys().next().unwrap();
                simulation.tell(ScanEvent::Fault(id, "a fault".to_owned()));
            },
            false,
            2,
        ),
        (
            |simulation| {
                let actions = simulation.scan.stop(simulation.now);
                actions.into_iter().for_each(|action| simulation.perform(action));
            },
            true,
            1,
        ),
    ];
    for (happens, ends, circuits) in happenings {
        let mut simulation = Simulation::new(&[Exit::MuteAfter], pace(), 1).with_ipv6();
        simulation.tell(ScanEvent::Tick);
        while !simulation.scan.probes.values().any(|(_, probe)| probe.is_settled()) {
            simulation.step();
        }
        simulation.step();
        happens(&mut simulation);
        if !ends {
            simulation.run();
        }
        let result = simulation.last(0);
        assert_eq!(verdict(result), expected(Exit::Right));
        assert!(!result.provisional);
        assert_eq!(result.attempts.len(), 1);
        assert_eq!(simulation.launches.len(), circuits);
        assert!(result.ipv6.is_some());
    }
}

#[test]
fn a_scan_that_ends_before_a_stall_is_seen_twice_has_the_verdict() {
    let mut simulation = Simulation::new(&[Exit::Stalls], pace(), 1).with_ipv6();
    simulation.tell(ScanEvent::Tick);
    while simulation.launches.len() < 2 {
        simulation.step();
    }
    let actions = simulation.scan.stop(simulation.now);
    actions.into_iter().for_each(|action| simulation.perform(action));
    let result = simulation.last(0);
    assert_eq!(verdict(result), expected(Exit::Right));
    assert!(!result.provisional && result.findings.is_empty());
}

#[test]
fn a_check_changes_nothing_but_what_it_found() {
    // One exit, one first hop, and a clock: all of the result is the same, times, names and attempts.
    let result = |exit, checks: bool| {
        let mut simulation = Simulation::by(&[exit], pace(), 3, Some(fingerprint(201)));
        simulation = if checks { simulation.with_checks(&CHECKS) } else { simulation.with_ipv6() };
        simulation.tell(ScanEvent::Tick);
        while !simulation.scan.finished() {
            let wall = DateTime::UNIX_EPOCH + simulation.now;
            simulation.scan.set_wall_clock(wall);
            simulation.step();
        }
        let circuits = simulation.launches.len();
        (simulation.last(0).clone(), circuits)
    };
    let mut checked = 0;
    for exit in EXITS.into_iter().chain(AFTER) {
        let ((without, circuits), (mut with, circuits_with)) =
            (result(exit, false), result(exit, true));
        assert_eq!(circuits, circuits_with, "{exit:?}");
        let works = without.status == Status::Success;
        let reached = works && exit != Exit::DiesAfter && exit != Exit::MuteAfter;
        assert_eq!(with.checks.is_some(), reached, "{exit:?}");
        checked += u32::from(reached);
        with.checks = None;
        assert_eq!(with, without, "{exit:?}");
    }
    assert!(checked >= 4);
}

#[test]
fn what_a_resolver_does_is_learned_on_the_circuit_of_the_verdict_alone() {
    let mut simulation = Simulation::new(&[Exit::Stalls], pace(), 2).with_checks(&CHECKS);
    simulation.run();
    // The second is for the IPv6 addresses.
    assert_eq!(simulation.launches.len(), 2);
    let checks = simulation.last(0).checks.clone().unwrap();
    let [resolver]: [IpAddr; 1] = ["198.51.100.53".parse().unwrap()];
    assert_eq!(checks.addresses, [resolver]);
    assert_eq!(checks.validates, Some(CheckOutcome::Yes));
    assert_eq!(checks.tcp, Some(CheckOutcome::Yes));
    assert_eq!(checks.ipv6, Some(CheckOutcome::No));
    let asked: Vec<_> = checks.lookups.iter().map(|lookup| lookup.asked.as_str()).collect();
    assert_eq!(asked, ["who", "signed", "bogus", "tcp", "who6", "v6"]);
    assert!(checks.lookups.iter().all(|lookup| lookup.first_hop == simulation.launches[0].2));
    let ends = format!(".00000000.{}.checks.example.com", "who");
    assert!(checks.lookups[0].query.name.ends_with(&ends));
}

#[test]
fn who_asks_takes_no_more_circuits_and_hardly_any_time() {
    // One that says nothing after its verdict is waited for as long as for any lookup.
    let exits: Vec<Exit> = mixture().into_iter().filter(|it| *it != Exit::MuteAfter).collect();
    for seed in 0..20 {
        let mut without = Simulation::new(&exits, pace(), seed);
        without.run();
        let mut with = Simulation::new(&exits, pace(), seed).with_checks(&[WantedCheck::Who]);
        for task in &mut with.scan.tasks {
            task.target.info.ipv6.exit = Some(false);
        }
        with.run();
        for (index, exit) in (0..).zip(&exits) {
            assert_eq!(verdict(with.last(index)), verdict(without.last(index)), "{exit:?}");
        }
        assert_eq!(with.launches.len(), without.launches.len());
        assert!(with.now < without.now * 11 / 10, "{:?}, {:?}", with.now, without.now);
    }
}

#[test]
fn a_check_that_is_broken_off_is_not_made_again() {
    type Happens = fn(&mut Simulation);
    let happenings: [Happens; 2] =
        [|simulation| simulation.lose_tor(), |simulation| simulation.tell(ScanEvent::OptionsLost)];
    for happens in happenings {
        let mut simulation = Simulation::new(&[Exit::Right], pace(), 1).with_checks(&CHECKS);
        simulation.tell(ScanEvent::Tick);
        while !simulation.names.iter().any(|name| check_of(name) == Some(CheckName::Bogus)) {
            simulation.step();
        }
        happens(&mut simulation);
        simulation.run();
        let result = simulation.last(0);
        assert_eq!(verdict(result), expected(Exit::Right));
        assert_eq!((result.attempts.len(), simulation.launches.len()), (1, 1));
        // What was there stays; the one under way is nobody's word.
        let checks = result.checks.clone().unwrap();
        assert_eq!(checks.addresses.len(), 1);
        assert_eq!(checks.lookups.len(), 2);
        assert_eq!(checks.validates, Some(CheckOutcome::Unknown));
        assert_eq!(checks.tcp, None);
    }
}
