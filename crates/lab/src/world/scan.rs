//! One scan of a world, in virtual time: the scanner's state machine before the simulated tor's, with
//! nothing between them but the control port's own lines.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chrono::{DateTime, TimeDelta, Utc};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use record::{
    Bandwidth, Fingerprint, Kind, Mode, Plan, PlannedRelay, RelayFilter, RelayInfo, RelayResult,
    Run, Selection, Status, TorInfo, Via, unreached,
};
use scanner::classify::Judge;
use scanner::hops::{Candidate, FirstHops, Ties};
use scanner::probe::{Limits, SocketReply, To};
use scanner::schedule::{Action, Notice, Pace, ProbeId, RunContext, Scan, ScanEvent, ScanTarget};
use shelf::run::{PLAN_FILE, RUN_FILE, result_name};
use tor_control::reply::{Codec, Message};
use tor_control::{CircuitId, Event};

use super::truth::{Ours, Truths, What, WorldExit};
use super::{WorldError, address, failed, people};
use crate::Fault;
use crate::simulated::documents::Documents;
use crate::simulated::machine::{Connection, Outgoing, SimulatedMachine, TorPlace, VERSION};
use crate::simulated::network::Zone;
use crate::simulated::streams::{Stream, StreamKind};
use crate::simulated::{Noise, SimulatedNetwork, Uplink};
use crate::zone::{EXPECTED_ADDRESS, WILDCARD_DOMAIN};

/// How many first hops there are.
const FIRST_HOPS: u8 = 150;

/// How many circuits a first hop carries at once: the scanner's default.
const MOST_PER_FIRST_HOP: u32 = 4;

/// When the uplink goes in a run in which it goes, in seconds from the scan's start.
const UPLINK_GOES: Duration = Duration::from_secs(600);

/// The one controller of the simulated tor.
const CONTROLLER: u32 = 0;

/// The network as it is seen from here.
#[derive(Debug)]
pub(super) struct Sky {
    network: SimulatedNetwork,
    documents: Arc<Documents>,
    /// What the network has seen so far: no two lookups have the same luck.
    before: Option<SimulatedMachine>,
}

/// When a scan is made, and in what weather.
#[derive(Debug)]
pub(super) struct Moment {
    /// The run's number.
    pub(super) number: u32,
    /// What is ours and fails.
    pub(super) weather: Option<Ours>,
    /// When the scan starts.
    pub(super) started: DateTime<Utc>,
    /// What its chance comes from.
    pub(super) seed: u64,
}

/// What a scan left.
#[derive(Debug)]
pub(super) struct Scanned {
    /// When it ended.
    pub(super) ended: DateTime<Utc>,
    /// How many results it has.
    pub(super) results: usize,
}

impl Sky {
    pub(super) fn new(truths: &Truths, seed: u64) -> Self {
        let faults = vec![Fault::Correct; truths.exits.len()];
        let network = SimulatedNetwork::new(&faults, FIRST_HOPS.into(), Noise::LIVE, seed)
            .with_a_zone_that_answers();
        // Nobody reads them: the scan is told whom to test.
        let documents =
            Arc::new(Documents { consensus: String::new(), descriptors: String::new() });
        Self { network, documents, before: None }
    }

    /// The fingerprint of an exit.
    pub(super) fn fingerprint(&self, exit: usize) -> Fingerprint {
        self.network.relays()[exit].fingerprint
    }

    /// Scans everybody who is there, and leaves a run's directory as a scanner does.
    pub(super) fn scan(
        &mut self,
        truths: &Truths,
        moment: &Moment,
        directory: &Path,
    ) -> Result<Scanned, WorldError> {
        let &Moment { number, weather, started, seed } = moment;
        let mut network = self.network.clone();
        network.set_zone(match weather {
            Some(Ours::ZoneBroken) => Zone::Broken,
            Some(Ours::ZoneParked) => Zone::Parked,
            Some(Ours::UplinkLost) | None => Zone::Well,
        });
        for (exit, what) in truths.wrong(number) {
            match what {
                What::Broken(fault) => network.set_fault(exit, fault),
                What::Unreliable(share) => network.set_failing(exit, share),
            }
        }
        let plan = self.plan(truths, number, started);
        let targets = self.targets(truths, number, &plan);
        let mut tor = VirtualTor::new(network, Arc::clone(&self.documents), started);
        if let Some(before) = self.before.take() {
            tor.machine.succeed(before);
        }
        tor.uplink_goes = (weather == Some(Ours::UplinkLost)).then_some(UPLINK_GOES);
        let rng = StdRng::seed_from_u64(seed);
        let scan = Scan::new(context(&plan), pace(), targets, self.first_hops(truths), rng);
        let ((why, took), mut results) = tor.run(scan, started);
        self.add_checks(truths, number, &mut results);
        tor.machine.set_uplink(Uplink::Up);
        self.before = Some(tor.machine);
        leave(directory, &plan, &results, started + took, why)?;
        Ok(Scanned { ended: started + took, results: results.len() })
    }

    fn plan(&self, truths: &Truths, number: u32, started: DateTime<Utc>) -> Plan {
        let mut relays: Vec<PlannedRelay> = truths
            .there(number)
            .map(|exit| PlannedRelay {
                fingerprint: self.fingerprint(exit),
                nickname: people::nickname(truths.exits[exit].operator, exit),
                address: address(truths.exits[exit].network, exit).into(),
            })
            .collect();
        relays.sort_by_key(|relay| relay.fingerprint);
        let count = u32::try_from(relays.len()).unwrap_or(u32::MAX);
        Plan {
            format: Kind::Plan.format(),
            run_id: format!("{}-{number:08x}", started.format("%Y%m%dT%H%M%SZ")),
            started,
            mode: Mode::Wildcard,
            domain: WILDCARD_DOMAIN.to_owned(),
            expected_ip: Some(EXPECTED_ADDRESS.into()),
            shard: None,
            selection: Selection {
                filter: RelayFilter::Exits,
                country: None,
                relays_in_consensus: count + u32::from(FIRST_HOPS),
                exits_in_consensus: count,
                excluded: Vec::new(),
                on_request: 0,
                left_out: BTreeMap::new(),
            },
            settings: pace().settings(MOST_PER_FIRST_HOP, None),
            consensus_valid_after: Some(started),
            exit_dns_limit: Some(2.0),
            relays,
        }
    }

    fn targets(&self, truths: &Truths, number: u32, plan: &Plan) -> Vec<ScanTarget> {
        let info: HashMap<Fingerprint, RelayInfo> = truths
            .there(number)
            .map(|exit| {
                let &WorldExit { operator, network, weight, .. } = &truths.exits[exit];
                let info = RelayInfo {
                    flags: ["Exit", "Running", "Valid"].map(str::to_owned).into(),
                    contact: people::contact_line(operator),
                    family_ids: people::family_ids(operator),
                    bandwidth: Bandwidth { consensus_weight: Some(weight), observed: None },
                    country: Some(people::country(network)),
                    ..RelayInfo::default()
                };
                (self.fingerprint(exit), info)
            })
            .collect();
        let target = |relay: &PlannedRelay| ScanTarget {
            relay: relay.clone(),
            info: info.get(&relay.fingerprint).cloned().unwrap_or_default(),
            attempts: Vec::new(),
            door: Some(SocketAddr::from((EXPECTED_ADDRESS, 443))),
        };
        plan.relays.iter().map(target).collect()
    }

    /// What further lookups would have shown of each resolver that worked.
    fn add_checks(
        &self,
        truths: &Truths,
        number: u32,
        results: &mut BTreeMap<Fingerprint, RelayResult>,
    ) {
        for exit in truths.there(number) {
            let &WorldExit { operator, network, .. } = &truths.exits[exit];
            if let Some(result) = results.get_mut(&self.fingerprint(exit))
                && result.status == Status::Success
                && let IpAddr::V4(address) = result.exit_address
            {
                result.checks = Some(people::resolver(operator, network, address));
            }
        }
    }

    fn first_hops(&self, truths: &Truths) -> FirstHops {
        let exits = truths.exits.len();
        let hop = |index: usize| self.network.relays()[index].fingerprint;
        let candidates = (0..FIRST_HOPS).map(|number| Candidate {
            fingerprint: hop(exits + usize::from(number)),
            weight: self.network.relays()[exits + usize::from(number)].bandwidth,
            exits: false,
        });
        let ties: HashMap<Fingerprint, Ties> =
            (0..exits)
                .map(|exit| (hop(exit), address(truths.exits[exit].network, exit)))
                .chain((0..FIRST_HOPS).map(|number| {
                    (hop(exits + usize::from(number)), Ipv4Addr::new(90, number, 0, 1))
                }))
                .map(|(relay, address)| (relay, Ties::new(address.into(), None, None)))
                .collect();
        FirstHops::new(candidates, ties, None, MOST_PER_FIRST_HOP)
    }
}

fn context(plan: &Plan) -> RunContext {
    RunContext {
        run_id: plan.run_id.clone(),
        shard: None,
        #[expect(clippy::expect_used, reason = "a constant")]
        domain: WILDCARD_DOMAIN.parse().expect("the lab's zone is a domain"),
        judge: Judge {
            mode: plan.mode,
            expected: plan.expected_ip,
            exit_dns_limit: Duration::from_secs(2),
        },
        expected_ipv6: None,
        checks: None,
    }
}

/// The default pace.
fn pace() -> Pace {
    Pace {
        build_delay: Duration::from_secs(2),
        delay_noise: Duration::from_secs(1),
        limits: Limits { circuit: Duration::from_secs(20), query: Duration::from_secs(10) },
        tries: 2,
        retry_delay: Duration::from_secs(1),
        max_in_flight: 64,
        confirm_rounds: 2,
        confirm_after: Duration::from_secs(60),
        patience: Duration::from_secs(1_800),
    }
}

/// Writes what a scanner writes, but for its syncing: no power is cut here.
fn leave(
    directory: &Path,
    plan: &Plan,
    results: &BTreeMap<Fingerprint, RelayResult>,
    ended: DateTime<Utc>,
    why: Option<String>,
) -> Result<(), WorldError> {
    fs::create_dir_all(directory).map_err(failed("create", directory))?;
    let have: BTreeSet<Fingerprint> = results.keys().copied().collect();
    let not_reached = unreached(&plan.relays, &have);
    let provisional = results.values().filter(|result| result.provisional);
    let unconfirmed: Vec<Fingerprint> = provisional.map(|result| result.exit_fingerprint).collect();
    let run = Run {
        format: Kind::Run.format(),
        run_id: plan.run_id.clone(),
        complete: why.is_none(),
        incomplete_reason: why,
        mode: plan.mode,
        domain: plan.domain.clone(),
        expected_ip: plan.expected_ip,
        shard: None,
        selection: plan.selection.clone(),
        settings: plan.settings.clone(),
        started: plan.started,
        ended,
        probing_seconds: (ended - plan.started).as_seconds_f64(),
        resumed: 0,
        consensus_valid_after: plan.consensus_valid_after,
        exit_dns_limit: plan.exit_dns_limit,
        tor: TorInfo { version: VERSION.to_owned(), own: true, restarts: 0 },
        scanner_version: env!("CARGO_PKG_VERSION").to_owned(),
        selected: u32::try_from(plan.relays.len()).unwrap_or(u32::MAX),
        counts: results.values().map(|result| result.status).collect(),
        not_reached,
        unconfirmed,
    };
    let write = |name: &str, bytes: Result<Vec<u8>, serde_json::Error>| {
        let path = directory.join(name);
        let bytes = bytes.map_err(std::io::Error::from).map_err(failed("write", &path))?;
        fs::write(&path, bytes).map_err(failed("write", &path))
    };
    write(PLAN_FILE, serde_json::to_vec(plan))?;
    for (relay, result) in results {
        write(&result_name(relay), serde_json::to_vec(result))?;
    }
    write(RUN_FILE, serde_json::to_vec(&run))
}

/// The simulated tor, and who asks it.
struct VirtualTor {
    machine: SimulatedMachine,
    codec: Codec,
    now: Duration,
    uplink_goes: Option<Duration>,
    /// What waits for an answer, by its stream.
    asked: HashMap<u32, (ProbeId, String, StreamKind)>,
    events: VecDeque<ScanEvent>,
    results: BTreeMap<Fingerprint, RelayResult>,
    gave_up: Option<String>,
}

impl VirtualTor {
    fn new(network: SimulatedNetwork, documents: Arc<Documents>, began: DateTime<Utc>) -> Self {
        let place = TorPlace {
            cookie: [0; 32],
            cookie_file: String::new(),
            pid: 0,
            socks: String::new(),
            dns: String::new(),
            microdescriptors: false,
            began,
        };
        let mut machine = SimulatedMachine::new(Arc::new(network), documents, place);
        let events = ["CIRC", "CIRC_MINOR", "STREAM"].map(str::to_owned).into();
        let connection = Connection { authenticated: true, expected: None, events };
        machine.connections.insert(CONTROLLER, connection);
        machine.leave_streams_unattached();
        Self {
            machine,
            codec: Codec::default(),
            now: Duration::ZERO,
            uplink_goes: None,
            asked: HashMap::new(),
            events: VecDeque::new(),
            results: BTreeMap::new(),
            gave_up: None,
        }
    }

    /// Runs a scan to its end: why it was given up, if it was, how long it took, and its results.
    fn run(
        &mut self,
        mut scan: Scan,
        started: DateTime<Utc>,
    ) -> ((Option<String>, TimeDelta), BTreeMap<Fingerprint, RelayResult>) {
        self.events.push_back(ScanEvent::Tick);
        while !scan.finished() && self.gave_up.is_none() {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => self.wait(&scan),
            };
            scan.set_wall_clock(started + self.passed());
            for action in scan.step(event, self.now) {
                self.act(action);
            }
            self.take_in();
        }
        if self.gave_up.is_some() {
            for action in scan.stop(self.now) {
                self.act(action);
            }
        }
        ((self.gave_up.take(), self.passed()), std::mem::take(&mut self.results))
    }

    fn passed(&self) -> TimeDelta {
        TimeDelta::from_std(self.now).unwrap_or_default()
    }

    /// Lets time pass until something is due.
    fn wait(&mut self, scan: &Scan) -> ScanEvent {
        let uplink = self.uplink_goes;
        let due = [self.machine.wake_at(), scan.wake_at(), uplink].into_iter().flatten().min();
        self.now = due.unwrap_or(self.now).max(self.now);
        if uplink.is_some_and(|at| at <= self.now) {
            self.uplink_goes = None;
            self.machine.set_uplink(Uplink::Silent);
        }
        self.machine.tick(self.now);
        self.take_in();
        self.events.pop_front().unwrap_or(ScanEvent::Tick)
    }

    fn act(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::Launch(probe, path) => {
                let [first_hop, exit] = path.map(|relay| self.machine.network.find(&relay));
                let (Some(first_hop), Some(exit)) = (first_hop, exit) else { return };
                let id = self.machine.launch([first_hop, exit], "CONTROLLER", now);
                if let Ok(id) = id.to_string().parse::<CircuitId>() {
                    self.events.push_back(ScanEvent::Launched(probe, id));
                }
            }
            Action::Ask(probe, via, name) => {
                let kind = match via {
                    Via::Socks | Via::Connect => StreamKind::Resolve,
                    Via::DnsPortA => StreamKind::DnsA,
                    Via::DnsPortAaaa => StreamKind::DnsAaaa,
                };
                self.ask(probe, name.clone(), Stream::new(kind, name, 0, asker()));
            }
            Action::Connect(probe, to, key) => {
                let (target, port) = match to {
                    To::Door(door) => (door.ip().to_string(), door.port()),
                    To::Name(port) => (key.clone(), port),
                };
                let user = Some((key.clone(), String::new()));
                let stream = Stream::new(StreamKind::Connect, target, port, asker());
                self.ask(probe, key, Stream { user, ..stream });
            }
            Action::Attach(stream, circuit) => {
                if let (Some(stream), Some(circuit)) = (number(&stream), number(&circuit)) {
                    self.machine.set_purpose(circuit, "GENERAL");
                    self.machine.attach(stream, circuit, now);
                    self.machine.set_purpose(circuit, "CONTROLLER");
                }
            }
            Action::GiveBack(stream) => {
                if let Some(stream) = number(&stream) {
                    self.machine.give_back(stream, now);
                }
            }
            Action::CloseStream(stream) => {
                if let Some(stream) = number(&stream) {
                    self.machine.stream_fails(stream, "MISC");
                }
            }
            Action::CloseCircuit(circuit) => {
                if let Some(circuit) = number(&circuit) {
                    self.machine.circuit_ends(circuit, "REQUESTED", None);
                }
            }
            Action::Ping => self.events.push_back(ScanEvent::Pong),
            Action::GiveUp(why) => self.gave_up = Some(why),
            Action::Tell(Notice::Result { result, .. }) => {
                self.results.insert(result.exit_fingerprint, *result);
            }
            Action::Tell(_) => {}
        }
    }

    fn ask(&mut self, probe: ProbeId, key: String, stream: Stream) {
        let kind = stream.kind;
        let id = self.machine.asked(stream, self.now);
        self.asked.insert(id, (probe, key, kind));
    }

    /// What tor has to say becomes what the scan hears.
    fn take_in(&mut self) {
        for output in self.machine.output() {
            match output {
                Outgoing::Say(_, bytes) => {
                    let mut buffer = BytesMut::from(&bytes[..]);
                    while let Ok(Some(message)) = self.codec.next(&mut buffer) {
                        let Message::Event(lines) = message else { continue };
                        let event = match Event::parse(&lines) {
                            Event::Circuit(event) => ScanEvent::Circuit(event),
                            Event::CircuitMinor(event) => ScanEvent::CircuitMinor(event),
                            Event::Stream(event) => ScanEvent::Stream(event),
                            _ => continue,
                        };
                        self.events.push_back(event);
                    }
                }
                Outgoing::Answer(stream, answer) => {
                    let Some((probe, key, kind)) = self.asked.remove(&stream) else { continue };
                    let reply = match kind {
                        StreamKind::Resolve | StreamKind::Connect => {
                            SocketReply::Socks(answer.socks, answer.address)
                        }
                        StreamKind::DnsA | StreamKind::DnsAaaa => {
                            let code = match answer.rcode {
                                0 => "NOERROR",
                                3 => "NXDOMAIN",
                                _ => "SERVFAIL",
                            };
                            let addresses: Vec<IpAddr> = answer.address.into_iter().collect();
                            SocketReply::Dns(code.to_owned(), addresses)
                        }
                    };
                    self.events.push_back(ScanEvent::Reply(probe, key, reply));
                }
                Outgoing::HangUp(_) | Outgoing::Crash => {}
            }
        }
    }
}

/// Where the scanner asks from.
fn asker() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 1))
}

/// A number of the simulated tor's.
fn number(id: &(impl ToString + ?Sized)) -> Option<u32> {
    id.to_string().parse().ok()
}
