//! A tor that has no network: what it answers to commands, and what it tells of circuits and streams
//! and in which order. A state machine: it is told what came and when, and says what to send. Written
//! after what tor 0.4.9.11 was seen to do, and from none of the code that it is there to test.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::documents::Documents;
use super::network::{Course, Saying, SimulatedNetwork, of_family};
use super::options::TorOptions;
use super::streams::{State, Stream, StreamKind};
use crate::Fault;
use crate::fault::{FREEZE_IN_QUERY, SEQUENCE_RESTARTS_AFTER};
use crate::zone::{EXPECTED_ADDRESS, exists};

/// The version that it says it is.
pub(crate) const VERSION: &str = "0.4.9.11";

/// The circuit of tor's own on which streams go that are given back to it.
const OWN_CIRCUIT: u32 = 1;

/// How long tor leaves a stream on a circuit that gives no answer, unless `CircuitStreamTimeout` says
/// otherwise.
const STREAM_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a step takes that needs no other host.
const AT_ONCE: Duration = Duration::from_millis(1);

/// This host's way to the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uplink {
    /// It works.
    Up,
    /// Nothing gets through, and nobody says so.
    Silent,
    /// No connection can be made, and those that there were are gone.
    Refuses,
}

/// Something to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// To a controller.
    Say(u32, Vec<u8>),
    /// To whoever asked by this stream.
    Answer(u32, CommandAnswer),
    /// This controller's connection is closed.
    HangUp(u32),
    /// Tor ends with an assertion.
    Crash,
}

/// What whoever asked is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommandAnswer {
    /// The reply byte of SOCKS.
    pub(crate) socks: u8,
    /// The response code of DNS (RFC 1035, section 4.1.1).
    pub(crate) rcode: u8,
    pub(crate) address: Option<IpAddr>,
}

/// What is due at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// The circuit has reached so many relays.
    Extended(u32, usize),
    /// The circuit has failed: REASON, and REMOTE_REASON where another relay gave one.
    Failed(u32, &'static str, Option<&'static str>),
    /// The exit's answer to a stream: the circuit, and how often it had been attached by then.
    Answer(u32, u32, u32),
    /// The stream has waited for an answer for long enough.
    Patience(u32, u32),
}

#[derive(Debug)]
pub(crate) struct SimulatedCircuit {
    pub(crate) path: [usize; 2],
    pub(crate) hops: usize,
    pub(crate) purpose: String,
    pub(crate) created: String,
}

impl SimulatedCircuit {
    pub(crate) const fn is_built(&self) -> bool {
        self.hops == 2
    }
}

/// What is known of an exit since the network began.
#[derive(Debug, Default)]
struct ExitMemory {
    circuits: usize,
    /// Lookups, and among them different names in a row.
    lookups: usize,
    names: usize,
    last_name: String,
    frozen_until: Duration,
    away_until: Duration,
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SimulatedTally {
    /// Circuits that were asked for.
    pub circuits: u64,
    /// Lookups and connections that were attached to them.
    pub streams: u64,
    /// Lookups and connections that tor itself took elsewhere.
    pub given_back: u64,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) authenticated: bool,
    /// What AUTHCHALLENGE made of the two nonces.
    pub(crate) expected: Option<Vec<u8>>,
    /// The events that it asked for.
    pub(crate) events: Vec<String>,
}

/// What a tor is told about its place.
#[derive(Debug, Clone)]
pub(crate) struct TorPlace {
    pub(crate) cookie: [u8; 32],
    pub(crate) cookie_file: String,
    pub(crate) pid: u32,
    pub(crate) socks: String,
    pub(crate) dns: String,
    pub(crate) microdescriptors: bool,
    pub(crate) began: DateTime<Utc>,
}

#[derive(Debug)]
pub(crate) struct SimulatedMachine {
    pub(crate) network: Arc<SimulatedNetwork>,
    pub(crate) documents: Arc<Documents>,
    pub(crate) place: TorPlace,
    pub(crate) options: TorOptions,
    pub(crate) circuits: BTreeMap<u32, SimulatedCircuit>,
    pub(crate) streams: BTreeMap<u32, Stream>,
    pub(crate) connections: BTreeMap<u32, Connection>,
    memory: HashMap<usize, ExitMemory>,
    next_circuit: u32,
    next_stream: u32,
    due: BinaryHeap<Reverse<(Duration, u64, Due)>>,
    serial: u64,
    uplink: Uplink,
    tally: SimulatedTally,
    /// Events that have not been sent yet: the kind, and the line.
    told: Vec<(&'static str, String)>,
    output: Vec<Outgoing>,
}

impl SimulatedMachine {
    pub(crate) fn new(
        network: Arc<SimulatedNetwork>,
        documents: Arc<Documents>,
        place: TorPlace,
    ) -> Self {
        Self {
            options: TorOptions::new(place.microdescriptors),
            network,
            documents,
            place,
            circuits: BTreeMap::new(),
            streams: BTreeMap::new(),
            connections: BTreeMap::new(),
            memory: HashMap::new(),
            next_circuit: OWN_CIRCUIT + 1,
            next_stream: 1,
            due: BinaryHeap::new(),
            serial: 0,
            uplink: Uplink::Up,
            tally: SimulatedTally::default(),
            told: Vec::new(),
            output: Vec::new(),
        }
    }

    /// Streams wait for a controller from now on.
    pub(crate) fn leave_streams_unattached(&mut self) {
        let wanted = [("__LeaveStreamsUnattached".to_owned(), Some("1".to_owned()))];
        // It is one of its options, and 1 a value of it.
        let _ = self.options.set(&wanted);
    }

    /// What the network has seen is the network's: it outlives a tor.
    pub(crate) fn succeed(&mut self, before: Self) {
        self.memory = before.memory;
        self.uplink = before.uplink;
        self.tally = before.tally;
    }

    pub(crate) const fn tally(&self) -> SimulatedTally {
        self.tally
    }

    /// When [`Machine::tick`] is due.
    pub(crate) fn wake_at(&self) -> Option<Duration> {
        self.due.peek().map(|Reverse((at, ..))| *at)
    }

    /// What there is to be sent: events go out when everything that has come together is done.
    pub(crate) fn output(&mut self) -> Vec<Outgoing> {
        let told = std::mem::take(&mut self.told);
        for (id, connection) in self.connections.iter().filter(|_| !told.is_empty()) {
            let mut lines = String::new();
            for (kind, line) in &told {
                if connection.events.iter().any(|wanted| wanted == kind) {
                    lines += line;
                }
            }
            if !lines.is_empty() {
                self.output.push(Outgoing::Say(*id, lines.into_bytes()));
            }
        }
        std::mem::take(&mut self.output)
    }

    pub(crate) fn push(&mut self, output: Outgoing) {
        self.output.push(output);
    }

    pub(crate) fn tell(&mut self, kind: &'static str, text: &str) {
        self.told.push((kind, format!("650 {kind} {text}\r\n")));
    }

    pub(crate) fn tell_lines(&mut self, kind: &'static str, lines: &[String]) {
        let mut text = format!("650-{kind}\r\n");
        for line in lines {
            let _ = write!(text, "650-{line}\r\n");
        }
        text += "650 OK\r\n";
        self.told.push((kind, text));
    }

    fn later(&mut self, at: Duration, due: Due) {
        self.serial += 1;
        self.due.push(Reverse((at, self.serial, due)));
    }

    /// Does what is due by now.
    pub(crate) fn tick(&mut self, now: Duration) {
        while self.wake_at().is_some_and(|at| at <= now) {
            let Some(Reverse((_, _, due))) = self.due.pop() else { return };
            match due {
                Due::Extended(id, hops) => self.extended(id, hops),
                Due::Failed(id, reason, remote) => self.circuit_ends(id, reason, remote),
                Due::Answer(stream, circuit, turn) => self.answered(stream, circuit, turn, now),
                Due::Patience(stream, turn) => self.out_of_patience(stream, turn),
            }
        }
    }

    /// This host's way to the network changes.
    pub(crate) fn set_uplink(&mut self, uplink: Uplink) {
        self.uplink = uplink;
        if uplink == Uplink::Up {
            return;
        }
        // What was on its way is lost.
        self.due.retain(|Reverse((_, _, due))| matches!(due, Due::Patience(..)));
        if uplink == Uplink::Refuses {
            for id in self.circuits.keys().copied().collect::<Vec<_>>() {
                self.circuit_ends(id, "CHANNEL_CLOSED", None);
            }
        }
    }

    // Circuits.

    /// Launches a circuit, and gives its number.
    pub(crate) fn launch(&mut self, path: [usize; 2], purpose: &str, now: Duration) -> u32 {
        let id = self.next_circuit;
        self.next_circuit += 1;
        self.tally.circuits += 1;
        let [first_hop, exit] = path;
        let memory = self.memory.entry(exit).or_default();
        let nth = memory.circuits;
        memory.circuits += 1;
        let (frozen, away) = (memory.frozen_until > now, memory.away_until > now);
        let course = match self.network.course(first_hop, exit, nth) {
            Course::Built(first, _) if frozen => Course::Stalls(first),
            Course::Built(first, second) if away => {
                Course::ExitFails(first, second, "CHANNEL_CLOSED")
            }
            course => course,
        };
        let at = self.place.began + now;
        let circuit = SimulatedCircuit {
            path,
            hops: 0,
            purpose: purpose.to_ascii_uppercase(),
            created: at.format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
        };
        self.circuits.insert(id, circuit);
        self.tell_circuit(id, "LAUNCHED", "");
        match (self.uplink, course) {
            (Uplink::Silent, _) => {}
            (Uplink::Refuses, _) => {
                self.later(now + AT_ONCE, Due::Failed(id, "CHANNEL_CLOSED", None));
            }
            (Uplink::Up, Course::FirstHopFails(after)) => {
                self.later(now + after, Due::Failed(id, "CHANNEL_CLOSED", None));
            }
            (Uplink::Up, Course::Stalls(first)) => self.later(now + first, Due::Extended(id, 1)),
            (Uplink::Up, Course::ExitFails(first, second, remote)) => {
                self.later(now + first, Due::Extended(id, 1));
                let failed = Due::Failed(id, "DESTROYED", Some(remote));
                self.later(now + first + second, failed);
            }
            (Uplink::Up, Course::Built(first, second)) => {
                self.later(now + first, Due::Extended(id, 1));
                self.later(now + first + second, Due::Extended(id, 2));
            }
        }
        id
    }

    /// Tells of a circuit: `rest` follows what every event has.
    fn tell_circuit(&mut self, id: u32, status: &str, rest: &str) {
        let text = self.circuit_line(id, status, rest);
        self.tell("CIRC", &text);
    }

    fn circuit_line(&self, id: u32, status: &str, rest: &str) -> String {
        let Some(circuit) = self.circuits.get(&id) else { return String::new() };
        let relays = circuit.path[..circuit.hops].iter().map(|hop| &self.network.relays()[*hop]);
        let path: Vec<String> =
            relays.map(|relay| format!("${}~{}", relay.fingerprint, relay.nickname)).collect();
        let path = if path.is_empty() { String::new() } else { format!(" {}", path.join(",")) };
        let SimulatedCircuit { purpose, created, .. } = circuit;
        format!("{id} {status}{path} PURPOSE={purpose} TIME_CREATED={created}{rest}")
    }

    fn extended(&mut self, id: u32, hops: usize) {
        let Some(circuit) = self.circuits.get_mut(&id) else { return };
        circuit.hops = hops;
        self.tell_circuit(id, "EXTENDED", "");
        if hops == 2 {
            self.tell_circuit(id, "BUILT", "");
        }
    }

    /// A circuit is gone, and what was on it.
    pub(crate) fn circuit_ends(&mut self, id: u32, reason: &str, remote: Option<&str>) {
        let Some(circuit) = self.circuits.get(&id) else { return };
        let status = if circuit.is_built() { "CLOSED" } else { "FAILED" };
        let remote = remote.map(|remote| format!(" REMOTE_REASON={remote}")).unwrap_or_default();
        self.tell_circuit(id, status, &format!(" REASON={reason}{remote}"));
        self.circuits.remove(&id);
        let on_it = self.streams.iter().filter(|(_, stream)| stream.circuit == Some(id));
        for stream in on_it.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.stream_fails(stream, "DESTROY");
        }
    }

    /// Gives a circuit another purpose.
    pub(crate) fn set_purpose(&mut self, id: u32, purpose: &str) {
        let Some(circuit) = self.circuits.get_mut(&id) else { return };
        let purpose = purpose.to_ascii_uppercase();
        if circuit.purpose != purpose {
            let old = std::mem::replace(&mut circuit.purpose, purpose);
            let line = self.circuit_line(id, "PURPOSE_CHANGED", &format!(" OLD_PURPOSE={old}"));
            self.tell("CIRC_MINOR", &line);
        }
    }

    // Streams.

    /// A program asks; gives the stream's number.
    pub(crate) fn asked(&mut self, stream: Stream, now: Duration) -> u32 {
        let id = self.next_stream;
        self.next_stream += 1;
        self.streams.insert(id, stream);
        self.tell_stream(
            id,
            if self.streams[&id].kind == StreamKind::Connect { "NEW" } else { "NEWRESOLVE" },
            "",
        );
        if self.options.is_on("__LeaveStreamsUnattached") {
            self.tell_stream(id, "CONTROLLER_WAIT", "");
        } else {
            self.give_back(id, now);
        }
        id
    }

    fn tell_stream(&mut self, id: u32, status: &str, reason: &str) {
        if let Some(stream) = self.streams.get(&id) {
            let text = format!("{id} {}", stream.line(status, reason));
            self.tell("STREAM", &text);
        }
    }

    /// Whether a stream waits for a controller, or for an answer.
    pub(crate) fn is_managed(&self, id: u32) -> bool {
        self.streams.get(&id).is_some_and(|stream| stream.state != State::Open)
    }

    /// Attaches a stream to a circuit that is built.
    pub(crate) fn attach(&mut self, id: u32, circuit: u32, now: Duration) {
        let (Some(stream), Some(on)) = (self.streams.get_mut(&id), self.circuits.get(&circuit))
        else {
            return;
        };
        if stream.kind != StreamKind::Connect && on.purpose != "GENERAL" {
            // That of connection_ap_handshake_send_resolve.
            self.output.push(Outgoing::Crash);
            return;
        }
        self.tally.streams += 1;
        stream.attached(circuit);
        let (kind, turn) = (stream.kind, stream.turn);
        let (target, exit) = (stream.target.clone(), on.path[1]);
        self.tell_stream(id, kind.sent(), "");
        self.later(now + self.patience(), Due::Patience(id, turn));
        if self.uplink != Uplink::Up {
            return;
        }
        let memory = self.memory.entry(exit).or_default();
        if memory.frozen_until > now {
            return;
        }
        let (saying, after) = if kind == StreamKind::Connect {
            (Saying::Addresses(None, None), self.network.round_trip(exit, memory.lookups))
        } else {
            if memory.last_name != target {
                memory.names += usize::from(!memory.last_name.is_empty());
                memory.last_name.clone_from(&target);
            }
            memory.lookups += 1;
            self.network.lookup(exit, &target, memory.names, memory.lookups - 1)
        };
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.saying = saying;
        }
        match saying {
            Saying::Nothing => {}
            Saying::Freezes => memory.frozen_until = now + FREEZE_IN_QUERY,
            _ => self.later(now + after, Due::Answer(id, circuit, turn)),
        }
    }

    fn patience(&self) -> Duration {
        let set =
            self.options.get("CircuitStreamTimeout").and_then(|(_, value)| value.parse().ok());
        set.filter(|seconds| *seconds > 0).map_or(STREAM_TIMEOUT, Duration::from_secs)
    }

    /// Takes a stream into tor's own hands: it goes to whatever exit tor likes, which is a good one.
    pub(crate) fn give_back(&mut self, id: u32, now: Duration) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        self.tally.given_back += 1;
        stream.attached(OWN_CIRCUIT);
        let (kind, turn) = (stream.kind, stream.turn);
        stream.saying = match (exists(&stream.target), kind) {
            (true, _) | (_, StreamKind::Connect) => Saying::Addresses(Some(EXPECTED_ADDRESS), None),
            _ => Saying::Permanent,
        };
        self.tell_stream(id, kind.sent(), "");
        if self.uplink == Uplink::Up {
            self.later(now + AT_ONCE * 50, Due::Answer(id, OWN_CIRCUIT, turn));
        }
    }

    fn answered(&mut self, id: u32, circuit: u32, turn: u32, now: Duration) {
        let waits = |stream: &&Stream| stream.turn == turn && stream.state == State::Sent;
        let Some(stream) = self.streams.get(&id).filter(waits) else { return };
        let exit = self.circuits.get(&circuit).map(|circuit| circuit.path[1]);
        if stream.kind == StreamKind::Connect {
            return self.connected(id, exit);
        }
        let (kind, saying) = (stream.kind, stream.saying);
        match saying {
            Saying::Addresses(v4, v6) => {
                match of_family(v4, v6, kind == StreamKind::DnsAaaa) {
                    Some(address) => {
                        if let Some(stream) = self.streams.get_mut(&id) {
                            stream.target = address.to_string();
                        }
                        self.tell_stream(id, "REMAP", " SOURCE=EXIT");
                        self.close(
                            id,
                            "DONE",
                            CommandAnswer { socks: 0, rcode: 0, address: Some(address) },
                        );
                    }
                    // It resolves, and to none of the family asked for.
                    None => {
                        self.close(id, "DONE", CommandAnswer { socks: 4, rcode: 0, address: None });
                    }
                }
            }
            Saying::Private => self.close(id, "TORPROTOCOL", CommandAnswer::SERVFAIL),
            Saying::Permanent => {
                self.close(id, "DONE", CommandAnswer { socks: 4, rcode: 3, address: None });
            }
            Saying::Transient => self.close(id, "DONE", CommandAnswer::SERVFAIL),
            Saying::Destroyed => self.circuit_ends(circuit, "DESTROYED", Some("CHANNEL_CLOSED")),
            Saying::CutLinks => {
                if let Some(exit) = exit {
                    self.cut_links(exit, now);
                }
            }
            Saying::Nothing | Saying::Freezes => {}
        }
    }

    fn cut_links(&mut self, exit: usize, now: Duration) {
        if self.network.relays()[exit].fault == Some(Fault::Vanishes) {
            self.memory.entry(exit).or_default().away_until = now + SEQUENCE_RESTARTS_AFTER;
        }
        let ends_there = |circuit: &SimulatedCircuit| circuit.path[1] == exit && circuit.is_built();
        let there = self.circuits.iter().filter(|(_, circuit)| ends_there(circuit));
        for id in there.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.circuit_ends(id, "DESTROYED", Some("CHANNEL_CLOSED"));
        }
    }

    /// What an exit makes of a connection; none where tor itself chose the exit.
    fn connected(&mut self, id: u32, exit: Option<usize>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let by_name = stream.target.parse::<IpAddr>().is_err();
        match exit.and_then(|exit| self.network.relays()[exit].fault) {
            Some(Fault::ExitsNoLonger) => {
                self.tell_stream(id, "DETACHED", " REASON=END REMOTE_REASON=EXITPOLICY");
                self.tell_stream(id, "CONTROLLER_WAIT", "");
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.detached();
                }
            }
            Some(Fault::PrivateAddress) if by_name => self.stream_fails(id, "TORPROTOCOL"),
            _ if exit.is_some() && !self.network.zone_takes_connections() => {
                self.stream_fails(id, "END REMOTE_REASON=INTERNAL");
            }
            _ => {
                stream.state = State::Open;
                self.tell_stream(id, "SUCCEEDED", "");
                self.output.push(Outgoing::Answer(
                    id,
                    CommandAnswer { socks: 0, rcode: 0, address: None },
                ));
            }
        }
    }

    fn out_of_patience(&mut self, id: u32, turn: u32) {
        let waits = |stream: &&Stream| stream.turn == turn && stream.state == State::Sent;
        if self.streams.get(&id).filter(waits).is_none() {
            return;
        }
        self.tell_stream(id, "DETACHED", " REASON=TIMEOUT");
        self.tell_stream(id, "CONTROLLER_WAIT", "");
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.detached();
        }
    }

    /// A stream ends without an answer, for this reason.
    pub(crate) fn stream_fails(&mut self, id: u32, reason: &str) {
        let Some(stream) = self.streams.get(&id) else { return };
        let answer = if stream.kind == StreamKind::Connect {
            if stream.state != State::Open {
                self.tell_stream(id, "FAILED", &format!(" REASON={reason}"));
            }
            CommandAnswer { socks: 1, ..CommandAnswer::SERVFAIL }
        } else {
            CommandAnswer::SERVFAIL
        };
        self.close(id, reason, answer);
    }

    fn close(&mut self, id: u32, reason: &str, answer: CommandAnswer) {
        self.tell_stream(id, "CLOSED", &format!(" REASON={reason}"));
        if let Some(stream) = self.streams.remove(&id)
            && stream.state != State::Open
        {
            self.output.push(Outgoing::Answer(id, answer));
        }
    }

    /// The program that asked has gone.
    pub(crate) fn hung_up(&mut self, id: u32) {
        if self.streams.contains_key(&id) {
            self.tell_stream(id, "CLOSED", " REASON=DONE");
            self.streams.remove(&id);
        }
    }
}

impl CommandAnswer {
    const SERVFAIL: Self = Self { socks: 4, rcode: 2, address: None };
}
