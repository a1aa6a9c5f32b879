//! One attempt at one exit: a circuit, a few queries on it, and the evidence of each. A state
//! machine that is told what happened and when, and says what to do next; it talks to nobody and
//! decides no verdict.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chrono::{DateTime, Utc};
use record::{CheckName, Circuit, CircuitState, Fingerprint, Millis, Query, Remap, Timing, Via};
use tor_control::{CircuitEvent, CircuitId, CircuitStatus, StreamEvent, StreamId, StreamStatus};

use crate::checks;

/// How long tor may take to show the stream of a lookup, or to send it once it is attached. These
/// are steps inside one process; only a machine in trouble needs more.
const LOCAL_LIMIT: Duration = Duration::from_secs(15);

/// How long the second of two witnesses of one answer (the reply on the socket, and the closing
/// event on the control port) may come after the first. They leave tor at the same moment.
const WITNESS_LIMIT: Duration = Duration::from_secs(3);

/// How long an exit may take to say what it makes of a connection. It refuses at once what its
/// policy does not allow; what it does allow may well lead to an address where nobody answers.
const DOOR_LIMIT: Duration = Duration::from_secs(3);

/// How long an exit may take to answer a lookup of a name that it has just resolved. It has the answer
/// already.
const KNOWN_LIMIT: Duration = Duration::from_secs(5);

/// The port that a connection by name asks for where the exit's policy is not known.
const ANY_PORT: u16 = 443;

/// Stands for a stream's closing reason where tor would not attach it to the circuit.
pub const ATTACH_REFUSED: &str = "ATTACH_REFUSED";

/// Time limits of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For the circuit, from asking for it until it is built.
    pub circuit: Duration,
    /// For a query, from tor's sending it until the answer.
    pub query: Duration,
}

/// What came back on a query's own socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketReply {
    /// A SOCKS reply: the byte, and the address where it is 0.
    Socks(u8, Option<IpAddr>),
    /// An answer of the DNSPort: the response code's name, and the addresses.
    Dns(String, Vec<IpAddr>),
    /// Something went wrong on this host.
    Failed(String),
}

/// What an attempt needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until something happens or [`Probe::deadline`] passes.
    Wait,
    /// A lookup of a fresh name: see [`Probe::ask`].
    Ask(Via),
    /// The verdict is known; a lookup after it: see [`Probe::ask_further`].
    AskFurther(Further),
    /// A connection: see [`Probe::connect`].
    Connect(To),
    /// This stream attached to this circuit.
    Attach(StreamId, CircuitId),
    /// Nothing more: it is over.
    Finish,
}

/// A lookup after the verdict, which says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Further {
    /// Of the IPv6 addresses of the name that has just been answered.
    Ipv6,
    /// Of a name of the zone that shows something of the resolver. It is made only where the exit has
    /// given the right address.
    Check(CheckName),
}

impl Further {
    /// The way by which it is asked.
    #[must_use]
    pub const fn via(self) -> Via {
        match self {
            Self::Ipv6 => Via::DnsPortAaaa,
            Self::Check(name) => checks::via(name),
        }
    }
}

/// Where a connection is to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// To an address and port that the exit's policy allows.
    Door(SocketAddr),
    /// To this port of a fresh name.
    Name(u16),
}

/// What an attempt sets out with.
#[derive(Debug, Clone)]
pub struct Attempting {
    /// The circuit's first relay.
    pub first_hop: Fingerprint,
    /// How the first lookup goes.
    pub first_query: Via,
    /// An address and port that the exit's policy allows; none where that is not known.
    pub door: Option<SocketAddr>,
    /// Time limits.
    pub limits: Limits,
    /// The right address, where there is one.
    pub expected: Option<IpAddr>,
    /// What is asked on the same circuit once the exit has given an address by SOCKS, in this order.
    pub further: Vec<Further>,
}

#[derive(Debug)]
enum Phase {
    Building,
    Asking,
    Finished,
}

/// An attempt under way. Times are offsets from the scan's start.
#[derive(Debug)]
pub struct Probe {
    attempting: Attempting,
    started: Duration,
    began: DateTime<Utc>,
    deadline: Duration,
    phase: Phase,
    id: Option<CircuitId>,
    circuit: Circuit,
    circuit_ms: Option<Millis>,
    /// When the first hop was reached.
    at_first_hop: Option<Duration>,
    queries: Vec<OpenQuery>,
    /// Once the verdict is known, and something more is asked.
    settled: Option<SettledAttempt>,
}

/// What an attempt had come to when its verdict was known. What comes after says nothing of it.
#[derive(Debug)]
struct SettledAttempt {
    circuit: Circuit,
    /// How many queries the verdict rests on.
    queries: usize,
    /// When, by the wall clock.
    ended: DateTime<Utc>,
    /// Whether the lookup under way is taken back.
    taken_back: bool,
}

/// A query, and what is not yet evidence.
#[derive(Debug)]
struct OpenQuery {
    query: Query,
    /// By which it is known among others: nobody else has it.
    key: String,
    asked: Duration,
    sent: Option<Duration>,
    stream: Option<StreamId>,
    closed: bool,
    replied: bool,
}

/// What an attempt leaves behind.
#[derive(Debug)]
pub struct Evidence {
    /// The circuit's first relay.
    pub first_hop: Fingerprint,
    /// When the circuit was asked for, by the wall clock.
    pub began: DateTime<Utc>,
    /// What became of the circuit.
    pub circuit: Circuit,
    /// From asking for it until it was built.
    pub circuit_ms: Option<Millis>,
    /// The queries, in order.
    pub queries: Vec<Query>,
    /// When the verdict was known, by the wall clock, where something more was asked after it.
    pub settled: Option<DateTime<Utc>>,
    /// The lookups after the verdict, in order.
    pub further: Vec<(Further, Query)>,
}

impl Evidence {
    /// The times of the attempt, with those of this query.
    #[must_use]
    pub fn timing(&self, query: Option<usize>) -> Timing {
        let query = query.and_then(|index| self.queries.get(index));
        Timing {
            circuit_ms: self.circuit_ms,
            attach_ms: query.and_then(|query| query.attach_ms),
            resolve_ms: query.and_then(|query| query.resolve_ms),
        }
    }
}

impl Probe {
    /// An attempt whose circuit is asked for now: `began`, by the wall clock.
    #[must_use]
    pub fn new(attempting: Attempting, now: Duration, began: DateTime<Utc>) -> Self {
        Self {
            started: now,
            began,
            deadline: now + attempting.limits.circuit,
            attempting,
            phase: Phase::Building,
            id: None,
            circuit: Circuit {
                state: CircuitState::Pending,
                hops: 0,
                path_ms: None,
                reason: None,
                remote_reason: None,
                refusal: None,
            },
            circuit_ms: None,
            at_first_hop: None,
            queries: Vec::new(),
            settled: None,
        }
    }

    /// The circuit's first relay.
    #[must_use]
    pub const fn first_hop(&self) -> Fingerprint {
        self.attempting.first_hop
    }

    /// When it must be looked at again, if nothing happens before.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The circuit to close when the attempt is over; none where it has never been or is gone.
    #[must_use]
    pub fn circuit_to_close(&self) -> Option<&CircuitId> {
        let open = matches!(self.circuit.state, CircuitState::Pending | CircuitState::Built);
        self.id.as_ref().filter(|_| open)
    }

    /// The stream to close when the attempt is over: it has not closed by itself.
    #[must_use]
    pub fn stream_to_close(&self) -> Option<&StreamId> {
        self.queries.last().filter(|asked| !asked.closed)?.stream.as_ref()
    }

    /// The key of the query that has been asked and whose stream tor has not shown yet.
    #[must_use]
    pub fn key_without_stream(&self) -> Option<&str> {
        let asked = self.queries.last().filter(|asked| asked.stream.is_none() && !asked.replied)?;
        Some(&asked.key)
    }

    /// Tor has launched the circuit.
    pub fn launched(&mut self, id: CircuitId) {
        self.id = Some(id);
    }

    /// Tor would not launch the circuit.
    pub fn refused(&mut self, refusal: String) -> Next {
        self.circuit.state = CircuitState::Refused;
        self.circuit.refusal = Some(refusal);
        self.finish()
    }

    /// The local tor is gone.
    pub fn lost(&mut self) -> Next {
        self.circuit.state = CircuitState::Lost;
        self.finish()
    }

    /// Something happened to the circuit.
    pub fn circuit_event(&mut self, event: &CircuitEvent, now: Duration) -> Next {
        if matches!(self.phase, Phase::Finished) {
            return Next::Wait;
        }
        let hops = u8::try_from(event.path.len()).unwrap_or(u8::MAX).min(2);
        match event.status {
            CircuitStatus::Built if is_ours(event.purpose.as_deref()) => {
                self.circuit.hops = hops;
                if !matches!(self.phase, Phase::Building) {
                    return Next::Wait;
                }
                self.circuit.state = CircuitState::Built;
                self.circuit.path_ms =
                    self.at_first_hop.map(|reached| now.saturating_sub(reached).into());
                self.circuit_ms = Some(now.saturating_sub(self.started).into());
                self.phase = Phase::Asking;
                Next::Ask(self.attempting.first_query)
            }
            CircuitStatus::Failed | CircuitStatus::Closed => {
                self.circuit.hops = self.circuit.hops.max(hops);
                self.circuit.reason.clone_from(&event.reason);
                self.circuit.remote_reason.clone_from(&event.remote_reason);
                self.circuit_gone(now)
            }
            _ => {
                self.circuit.hops = self.circuit.hops.max(hops);
                if hops == 1 {
                    self.at_first_hop.get_or_insert(now);
                }
                Next::Wait
            }
        }
    }

    /// Whether a name is being asked for.
    #[must_use]
    pub const fn is_asking(&self) -> bool {
        matches!(self.phase, Phase::Asking)
    }

    /// Whether the verdict is known, and nothing that comes can change it.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.settled.is_some()
    }

    /// Takes back the lookup after the verdict that is under way: what came of it is not certain to be the
    /// exit's word. Gives it; none where there is none.
    pub fn forget_further(&mut self) -> Option<Further> {
        let further = self.further_under_way();
        if let Some(settled) = self.settled.as_mut() {
            settled.taken_back = true;
        }
        further
    }

    fn further_under_way(&self) -> Option<Further> {
        let last = self.queries.len().checked_sub(self.settled.as_ref()?.queries + 1)?;
        self.attempting.further.get(last).copied()
    }

    /// Tor took the circuit for a purpose of its own: attaching a stream to it now would end tor
    /// (an assertion in `connection_ap_handshake_send_resolve`, measured on 0.4.9).
    pub fn purpose_changed(&mut self, purpose: Option<&str>, now: Duration) -> Next {
        if matches!(self.phase, Phase::Finished) || is_ours(purpose) {
            return Next::Wait;
        }
        self.circuit.reason = Some(format!("PURPOSE_{}", purpose.unwrap_or("CHANGED")));
        self.circuit_gone(now)
    }

    fn circuit_gone(&mut self, now: Duration) -> Next {
        if matches!(self.phase, Phase::Building) {
            self.circuit.state = CircuitState::Failed;
            return self.finish();
        }
        self.circuit.state = CircuitState::Died;
        match self.queries.last() {
            // The stream's own closing event says more, and comes at the same moment.
            Some(asked) if asked.stream.is_some() && !asked.over() => {
                self.deadline = self.deadline.min(now + WITNESS_LIMIT);
                Next::Wait
            }
            _ => self.finish(),
        }
    }

    /// Starts a lookup of `name`, which nobody has asked for before, as [`Next::Ask`] wanted.
    pub fn ask(&mut self, via: Via, name: String, now: Duration) {
        self.begin(via, name.clone(), name, now);
    }

    /// Starts a lookup after the verdict, as [`Next::AskFurther`] wanted, and gives its name: a `fresh` one,
    /// or the last again. `wall`: the time by the wall clock.
    pub fn ask_further(
        &mut self,
        further: Further,
        fresh: impl FnOnce() -> String,
        now: Duration,
        wall: DateTime<Utc>,
    ) -> Option<String> {
        let name = match further {
            Further::Ipv6 => self.queries.last()?.query.name.clone(),
            Further::Check(_) => fresh(),
        };
        if self.settled.is_none() {
            let (circuit, queries) = (self.circuit.clone(), self.queries.len());
            self.settled =
                Some(SettledAttempt { circuit, queries, ended: wall, taken_back: false });
        }
        self.begin(further.via(), name.clone(), name.clone(), now);
        Some(name)
    }

    /// Starts a connection, as [`Next::Connect`] wanted. Tor's events know it by `key`: the user of
    /// the SOCKS port, or the name that it leads to.
    pub fn connect(&mut self, to: To, key: String, now: Duration) {
        let name = match to {
            To::Door(address) => address.to_string(),
            To::Name(port) => format!("{key}:{port}"),
        };
        self.begin(Via::Connect, key, name, now);
    }

    fn begin(&mut self, via: Via, key: String, name: String, now: Duration) {
        self.deadline = now + LOCAL_LIMIT;
        self.queries.push(OpenQuery {
            query: Query::new(via, name),
            key,
            asked: now,
            sent: None,
            stream: None,
            closed: false,
            replied: false,
        });
    }

    /// Something happened to a stream that bears the key of the current query.
    pub fn stream_event(&mut self, event: &StreamEvent, now: Duration) -> Next {
        let further = self.further_under_way();
        let Some(asked) = self.queries.last_mut().filter(|_| matches!(self.phase, Phase::Asking))
        else {
            return Next::Wait;
        };
        match event.status {
            StreamStatus::New | StreamStatus::NewResolve if asked.stream.is_none() => {
                asked.stream = Some(event.id.clone());
                match (&self.id, self.circuit.state) {
                    (Some(circuit), CircuitState::Built) => {
                        Next::Attach(event.id.clone(), circuit.clone())
                    }
                    _ => self.finish(),
                }
            }
            // Another stream for the same name is not ours to judge by.
            _ if asked.stream.as_ref() != Some(&event.id) => Next::Wait,
            // Another controller of this tor took it there: what comes is another exit's word.
            _ if event.circuit.is_some() && event.circuit != self.id => {
                asked.astray(event);
                self.finish()
            }
            StreamStatus::SentResolve | StreamStatus::SentConnect => {
                // Once, and on our own circuit: anything else is not tor's word on this lookup.
                if asked.sent.is_none() && event.circuit.is_some() {
                    let known = further == Some(Further::Ipv6);
                    let most = if known { KNOWN_LIMIT } else { Duration::MAX };
                    let limit = asked.sent(event, now).unwrap_or(self.attempting.limits.query);
                    self.deadline = now + limit.min(most);
                }
                Next::Wait
            }
            StreamStatus::Remap => {
                asked.remapped(event, now);
                Next::Wait
            }
            // A connection: it exits.
            StreamStatus::Succeeded => {
                asked.answered(now);
                self.witnessed(now)
            }
            StreamStatus::Closed | StreamStatus::Failed | StreamStatus::Detached => {
                asked.answered(now);
                asked.closed = event.status != StreamStatus::Detached;
                asked.query.stream_reason.clone_from(&event.reason);
                asked.query.stream_remote_reason.clone_from(&event.remote_reason);
                if asked.query.via == Via::Connect {
                    // What the exit makes of it is known, and nothing comes of the rest.
                    return self.finish();
                }
                // A detached one waits for another circuit now, which it will not get; a reply that
                // comes all the same belies the event.
                self.witnessed(now)
            }
            _ => Next::Wait,
        }
    }

    /// Tor would not attach the stream.
    pub fn attach_refused(&mut self, stream: &StreamId, refusal: String, now: Duration) -> Next {
        match self.queries.last_mut() {
            Some(asked) if asked.stream.as_ref() == Some(stream) && asked.sent.is_none() => {
                asked.query.stream_reason = Some(ATTACH_REFUSED.to_owned());
                asked.query.local_error = Some(refusal);
                if self.circuit.state == CircuitState::Built {
                    // Most likely the circuit has just died: its event says so in a moment.
                    self.deadline = self.deadline.min(now + WITNESS_LIMIT);
                    return Next::Wait;
                }
                self.finish()
            }
            _ => Next::Wait,
        }
    }

    /// A reply came on the socket of the query with this key.
    pub fn reply(&mut self, key: &str, reply: SocketReply, now: Duration) -> Next {
        let Some(asked) = self.queries.last_mut().filter(|asked| {
            matches!(self.phase, Phase::Asking) && asked.key == key && !asked.replied
        }) else {
            return Next::Wait;
        };
        asked.replied = true;
        match reply {
            SocketReply::Socks(byte, address) => {
                asked.query.socks_reply = Some(byte);
                asked.query.addresses.extend(address);
            }
            SocketReply::Dns(rcode, addresses) => {
                asked.query.rcode = Some(rcode);
                asked.query.addresses = addresses;
            }
            SocketReply::Failed(error) => {
                asked.query.local_error = Some(error);
                // No verdict waits for the other witness.
                if self.is_settled() {
                    return self.finish();
                }
            }
        }
        self.witnessed(now)
    }

    /// One witness of the answer has spoken; goes on when both have.
    fn witnessed(&mut self, now: Duration) -> Next {
        let Some(asked) = self.queries.last() else { return Next::Wait };
        if !asked.over() {
            // The answer is here: also where it came too late, or was read late, its other half
            // has this long. There are two witnesses, so that this comes once.
            self.deadline = now + WITNESS_LIMIT;
            return Next::Wait;
        }
        match self.next_query() {
            Some(next) if self.circuit.state == CircuitState::Built => next,
            _ => self.finish(),
        }
    }

    /// What is still to be asked on the same circuit, once both witnesses of the last query have
    /// spoken.
    fn next_query(&self) -> Option<Next> {
        let query = &self.queries.last()?.query;
        query.attach_ms?;
        let door = self.attempting.door.map(|door| Next::Connect(To::Door(door)));
        if self.is_settled() {
            return self.next_further();
        }
        let permanent = query.rcode.as_deref() == Some("NXDOMAIN");
        match (query.via, query.stream_reason.as_deref()) {
            (Via::Connect, _) => None,
            // "No address" says nothing more by SOCKS. A second query by DNSPort, with a fresh name,
            // tells a permanent error from a transient one.
            (Via::Socks, Some("DONE")) if query.socks_reply == Some(4) => {
                Some(Next::Ask(Via::DnsPortA))
            }
            (Via::Socks, Some("DONE")) if query.socks_reply == Some(0) => self.next_further(),
            // A relay that exits nowhere says the same as a resolver that knows no name; and how
            // long the path alone takes tells one that failed from one that never answered.
            (Via::DnsPortA | Via::DnsPortAaaa, Some("DONE")) if query.addresses.is_empty() => {
                door.filter(|_| permanent || query.rcode.as_deref() == Some("SERVFAIL"))
            }
            // A private address, or a cell that tor could not read? An exit tells the address also
            // where a connection by name comes to nothing for it.
            (_, Some("TORPROTOCOL")) => {
                let port = self.attempting.door.map_or(ANY_PORT, |door| door.port());
                Some(Next::Connect(To::Name(port)))
            }
            _ => None,
        }
    }

    /// What is to be asked after the verdict, that has not been.
    fn next_further(&self) -> Option<Next> {
        let verdict = self.settled.as_ref().map_or(self.queries.len(), |settled| settled.queries);
        let next = *self.attempting.further.get(self.queries.len() - verdict)?;
        let right = || {
            let addresses =
                verdict.checked_sub(1).map(|last| &self.queries[last].query.addresses[..]);
            addresses.is_some_and(|all| self.attempting.expected.is_some_and(|it| all == [it]))
        };
        // An exit that lies of one name lies of others.
        (next == Further::Ipv6 || right()).then_some(Next::AskFurther(next))
    }

    /// The deadline has passed.
    pub fn timed_out(&mut self) -> Next {
        self.finish()
    }

    fn finish(&mut self) -> Next {
        self.phase = Phase::Finished;
        Next::Finish
    }

    /// What it has learned.
    #[must_use]
    pub fn into_evidence(self) -> Evidence {
        let mut queries: Vec<Query> = self.queries.into_iter().map(|asked| asked.query).collect();
        let (mut circuit, mut settled, mut further) = (self.circuit, None, Vec::new());
        if let Some(known) = self.settled {
            let mut after = queries.split_off(known.queries);
            if known.taken_back {
                after.pop();
            }
            further = self.attempting.further.into_iter().zip(after).collect();
            (circuit, settled) = (known.circuit, Some(known.ended));
        }
        Evidence {
            first_hop: self.attempting.first_hop,
            began: self.began,
            circuit,
            circuit_ms: self.circuit_ms,
            queries,
            settled,
            further,
        }
    }
}

/// Whether a circuit has a purpose that the scan gives it: it is asked for, and kept, as a
/// controller's, to which tor attaches nobody's streams; it is general in the moment in which a lookup
/// is attached.
fn is_ours(purpose: Option<&str>) -> bool {
    purpose.is_none_or(|purpose| matches!(purpose, "CONTROLLER" | "GENERAL"))
}

impl OpenQuery {
    fn over(&self) -> bool {
        // A connection that an exit makes stays open until we close it. How long it took is known by its
        // event, which may come after the reply.
        let made = self.query.socks_reply == Some(0) && self.query.resolve_ms.is_some();
        let open = self.query.via == Via::Connect && (made || self.query.local_error.is_some());
        self.replied && (self.closed || open)
    }

    /// Tor has sent it. Gives the time limit of the answer, where it has one of its own.
    fn sent(&mut self, event: &StreamEvent, now: Duration) -> Option<Duration> {
        self.sent = Some(now);
        self.query.attach_ms = Some(now.saturating_sub(self.asked).into());
        if self.query.via == Via::Connect {
            return Some(DOOR_LIMIT);
        }
        if !event.target.eq_ignore_ascii_case(&self.query.name) {
            let to = event.target.clone();
            self.query.remap.get_or_insert(Remap { to, source: None });
        }
        None
    }

    /// Tor put something in the place of the name. What it did itself counts for good.
    fn remapped(&mut self, event: &StreamEvent, now: Duration) {
        if event.source.as_deref() == Some("EXIT") {
            self.answered(now);
        }
        if self.query.remap.as_ref().is_none_or(|remap| remap.source.as_deref() == Some("EXIT")) {
            self.query.remap =
                Some(Remap { to: event.target.clone(), source: event.source.clone() });
        }
    }

    /// Another controller of this tor attached it to a circuit of its own.
    fn astray(&mut self, event: &StreamEvent) {
        let circuit = event.circuit.as_ref().map(ToString::to_string).unwrap_or_default();
        self.closed = matches!(event.status, StreamStatus::Closed | StreamStatus::Failed);
        self.query.socks_reply = None;
        self.query.rcode = None;
        self.query.addresses.clear();
        self.query.stream_reason = Some(ATTACH_REFUSED.to_owned());
        self.query.local_error = Some(format!(
            "another controller of this tor attached the lookup to its circuit {circuit}"
        ));
    }

    fn answered(&mut self, now: Duration) {
        if let Some(sent) = self.sent {
            self.query.resolve_ms.get_or_insert_with(|| now.saturating_sub(sent).into());
        }
    }
}
