//! One attempt at one exit: a circuit, one or two queries on it, and the evidence of each. A
//! state machine that is told what happened and when, and says what to do next; it talks to
//! nobody and decides no verdict.

use std::net::IpAddr;
use std::time::Duration;

use record::{Circuit, CircuitState, Fingerprint, Millis, Query, Timing, Via};
use tor_control::{CircuitEvent, CircuitId, CircuitStatus, StreamEvent, StreamId, StreamStatus};

/// How long tor may take to show the stream of a lookup, or to send it once it is attached. These
/// are steps inside one process; only a machine in trouble needs more.
const LOCAL_LIMIT: Duration = Duration::from_secs(15);

/// How long the second of two witnesses of one answer (the reply on the socket, and the closing
/// event on the control port) may come after the first. They leave tor at the same moment.
const WITNESS_LIMIT: Duration = Duration::from_secs(3);

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
pub enum Reply {
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
    /// A query: see [`Probe::ask`].
    Ask(Via),
    /// This stream attached to this circuit.
    Attach(StreamId, CircuitId),
    /// Nothing more: it is over.
    Finish,
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
    first_hop: Fingerprint,
    first_query: Via,
    limits: Limits,
    started: Duration,
    deadline: Duration,
    phase: Phase,
    id: Option<CircuitId>,
    circuit: Circuit,
    circuit_ms: Option<Millis>,
    queries: Vec<Asked>,
}

/// A query, and what is not yet evidence.
#[derive(Debug)]
struct Asked {
    query: Query,
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
    /// When the circuit was asked for.
    pub started: Duration,
    /// What became of the circuit.
    pub circuit: Circuit,
    /// From asking for it until it was built.
    pub circuit_ms: Option<Millis>,
    /// The queries, in order.
    pub queries: Vec<Query>,
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
    /// An attempt whose circuit through `first_hop` is asked for now, and whose first query goes
    /// by `first_query`.
    #[must_use]
    pub fn new(first_hop: Fingerprint, first_query: Via, limits: Limits, now: Duration) -> Self {
        Self {
            first_hop,
            first_query,
            limits,
            started: now,
            deadline: now + limits.circuit,
            phase: Phase::Building,
            id: None,
            circuit: Circuit {
                state: CircuitState::Pending,
                hops: 0,
                reason: None,
                remote_reason: None,
                refusal: None,
            },
            circuit_ms: None,
            queries: Vec::new(),
        }
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

    /// The name that has been asked for and whose stream tor has not shown yet.
    #[must_use]
    pub fn name_without_stream(&self) -> Option<&str> {
        let asked = self.queries.last().filter(|asked| asked.stream.is_none() && !asked.replied)?;
        Some(&asked.query.name)
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
                self.circuit_ms = Some(now.saturating_sub(self.started).into());
                self.phase = Phase::Asking;
                Next::Ask(self.first_query)
            }
            CircuitStatus::Failed | CircuitStatus::Closed => {
                self.circuit.hops = self.circuit.hops.max(hops);
                self.circuit.reason.clone_from(&event.reason);
                self.circuit.remote_reason.clone_from(&event.remote_reason);
                self.circuit_gone(now)
            }
            _ => {
                self.circuit.hops = self.circuit.hops.max(hops);
                Next::Wait
            }
        }
    }

    /// Whether a name is being asked for.
    #[must_use]
    pub const fn is_asking(&self) -> bool {
        matches!(self.phase, Phase::Asking)
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

    /// Starts a query for `name`, as [`Next::Ask`] wanted.
    pub fn ask(&mut self, via: Via, name: String, now: Duration) {
        self.deadline = now + LOCAL_LIMIT;
        self.queries.push(Asked {
            query: Query {
                via,
                name,
                socks_reply: None,
                rcode: None,
                addresses: Vec::new(),
                stream_reason: None,
                stream_remote_reason: None,
                local_error: None,
                attach_ms: None,
                resolve_ms: None,
            },
            asked: now,
            sent: None,
            stream: None,
            closed: false,
            replied: false,
        });
    }

    /// Something happened to a stream whose target is the name of the current query.
    pub fn stream_event(&mut self, event: &StreamEvent, now: Duration) -> Next {
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
                let astray = event.circuit.as_ref().map(ToString::to_string).unwrap_or_default();
                asked.closed = matches!(event.status, StreamStatus::Closed | StreamStatus::Failed);
                asked.query.socks_reply = None;
                asked.query.rcode = None;
                asked.query.addresses.clear();
                asked.query.stream_reason = Some(ATTACH_REFUSED.to_owned());
                asked.query.local_error = Some(format!(
                    "another controller of this tor attached the lookup to its circuit {astray}"
                ));
                self.finish()
            }
            StreamStatus::SentResolve => {
                asked.sent = Some(now);
                asked.query.attach_ms = Some(now.saturating_sub(asked.asked).into());
                self.deadline = now + self.limits.query;
                Next::Wait
            }
            StreamStatus::Remap => {
                asked.answered(now);
                Next::Wait
            }
            StreamStatus::Closed | StreamStatus::Failed | StreamStatus::Detached => {
                asked.answered(now);
                asked.closed = event.status != StreamStatus::Detached;
                asked.query.stream_reason.clone_from(&event.reason);
                asked.query.stream_remote_reason.clone_from(&event.remote_reason);
                match event.status {
                    // It waits for another circuit now, which it will not get.
                    StreamStatus::Detached => self.finish(),
                    _ => self.witnessed(now),
                }
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

    /// A reply came on the socket of the query for `name`.
    pub fn reply(&mut self, name: &str, reply: Reply, now: Duration) -> Next {
        let Some(asked) = self.queries.last_mut().filter(|asked| {
            matches!(self.phase, Phase::Asking) && asked.query.name == name && !asked.replied
        }) else {
            return Next::Wait;
        };
        asked.replied = true;
        match reply {
            Reply::Socks(byte, address) => {
                asked.query.socks_reply = Some(byte);
                asked.query.addresses.extend(address);
            }
            Reply::Dns(rcode, addresses) => {
                asked.query.rcode = Some(rcode);
                asked.query.addresses = addresses;
            }
            Reply::Failed(error) => asked.query.local_error = Some(error),
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
        // "No address" says nothing more by SOCKS. A second query by DNSPort, with a fresh name on
        // the same circuit, tells a permanent error from a transient one.
        let query = &asked.query;
        let unexplained = query.via == Via::Socks
            && query.socks_reply == Some(4)
            && query.stream_reason.as_deref() == Some("DONE");
        if unexplained && self.circuit.state == CircuitState::Built {
            return Next::Ask(Via::DnsPortA);
        }
        self.finish()
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
        Evidence {
            first_hop: self.first_hop,
            started: self.started,
            circuit: self.circuit,
            circuit_ms: self.circuit_ms,
            queries: self.queries.into_iter().map(|asked| asked.query).collect(),
        }
    }
}

/// Whether a circuit has a purpose that the scan gives it: it is asked for, and kept, as a
/// controller's, to which tor attaches nobody's streams; it is general in the moment in which a lookup
/// is attached.
fn is_ours(purpose: Option<&str>) -> bool {
    purpose.is_none_or(|purpose| matches!(purpose, "CONTROLLER" | "GENERAL"))
}

impl Asked {
    const fn over(&self) -> bool {
        self.closed && self.replied
    }

    fn answered(&mut self, now: Duration) {
        if let Some(sent) = self.sent {
            self.query.resolve_ms.get_or_insert_with(|| now.saturating_sub(sent).into());
        }
    }
}
