//! The scan as a whole: which attempt starts when, through what, and when a relay is done.
//!
//! A state machine: [`Scan::step`] is told what happened and when, and answers with what to do.
//! It owns pace, caps, tries, confirming rounds, and the matching of tor's events to attempts;
//! what an attempt does is [`crate::probe`]'s, what it means is [`crate::classify`]'s. No clock,
//! no socket, and randomness is passed in.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use record::{
    Attempt, CheckLookup, ErrorCode, Fingerprint, Ipv6Lookup, Kind, Mode, PlannedRelay, RelayInfo,
    RelayResult, Settings, Shard, Status, Via,
};
use tor_control::{CircuitEvent, CircuitId, CircuitMinorEvent, StreamEvent, StreamId};

use crate::checks::{self, CheckPlan};
use crate::classify::{self, Judge, Verdict};
use crate::hops::FirstHops;
use crate::names::Domain;
use crate::probe::{Attempting, Evidence, Further, Limits, Next, Probe, SocketReply, To};
use crate::way_out::WayOut;
use crate::witness::{can_confirm, seen_twice};
use crate::{findings, first, ipv6};

/// How many attempts at one relay that never got as far as the relay do not count as tries: those
/// that fell together with the loss of the local tor, and those that failed at a first hop. Without a
/// limit, a relay that crashes tor would keep a scan from ending.
const FREE_ATTEMPTS: u32 = 3;

/// After so many lookups in a row that no exit answered, and not one that an exit did, this tor is of
/// no use. One alone may be an event that another user of the host made up.
const USELESS_AFTER: u32 = 3;

/// Pace, caps and tries.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// Shortest time between two circuits.
    pub build_delay: Duration,
    /// Random part of that time, up to this much more or less.
    pub delay_noise: Duration,
    /// Limits of an attempt.
    pub limits: Limits,
    /// Tries for each relay in the first pass, in all.
    pub tries: u32,
    /// Shortest time between two tries of one relay.
    pub retry_delay: Duration,
    /// Most circuits under way at once.
    pub max_in_flight: usize,
    /// Confirming rounds, each of one try for each relay that still fails.
    pub confirm_rounds: u32,
    /// Time between the end of a pass or round and the next.
    pub confirm_after: Duration,
    /// How long the scan waits while no first hop can be reached, until it is given up.
    pub patience: Duration,
}

impl Pace {
    /// The pace as plan and run say it, with what a first hop may carry at most, and the one that was
    /// asked for.
    #[must_use]
    pub fn settings(&self, max_per_first_hop: u32, first_hop: Option<Fingerprint>) -> Settings {
        Settings {
            build_delay: self.build_delay.as_secs_f64(),
            delay_noise: self.delay_noise.as_secs_f64(),
            query_timeout: self.limits.query.as_secs_f64(),
            circuit_timeout: self.limits.circuit.as_secs_f64(),
            max_retries: self.tries,
            retry_delay: self.retry_delay.as_secs_f64(),
            max_in_flight: u32::try_from(self.max_in_flight).unwrap_or(u32::MAX),
            max_per_first_hop,
            confirm_rounds: self.confirm_rounds,
            confirm_after: self.confirm_after.as_secs_f64(),
            first_hop,
        }
    }
}

/// What every result of the run repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunContext {
    /// The run's id.
    pub run_id: String,
    /// The shard, where the exits are split.
    pub shard: Option<Shard>,
    /// The domain that names are made under.
    pub domain: Domain,
    /// What answers are judged against.
    pub judge: Judge,
    /// The IPv6 address that every name in the zone has too, where one was named.
    pub expected_ipv6: Option<Ipv6Addr>,
    /// What is asked for of each exit's resolver after the verdict, if anything is.
    pub checks: Option<CheckPlan>,
}

/// A relay to test.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanTarget {
    /// Who it is.
    pub relay: PlannedRelay,
    /// What the directory says of it.
    pub info: RelayInfo,
    /// Attempts of an earlier part of the same run, when it is resumed.
    pub attempts: Vec<Attempt>,
    /// An address and port that its exit policy allows; none where the policy is not known.
    pub door: Option<SocketAddr>,
}

impl ScanTarget {
    /// The first hops that it has been tried through, unless this host broke off the attempt.
    fn first_hops(&self) -> HashSet<Fingerprint> {
        let tried = self.attempts.iter().filter(|attempt| !broke_off_here(attempt));
        tried.map(|attempt| attempt.first_hop).collect()
    }
}

/// Names an attempt, for as long as it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(u64);

/// What happened.
#[derive(Debug)]
pub enum ScanEvent {
    /// Time has passed.
    Tick,
    /// Tor launched the circuit of an attempt.
    Launched(ProbeId, CircuitId),
    /// Tor would not; its words.
    LaunchRefused(ProbeId, String),
    /// The control port's CIRC event.
    Circuit(CircuitEvent),
    /// The control port's `CIRC_MINOR` event.
    CircuitMinor(CircuitMinorEvent),
    /// The control port's STREAM event.
    Stream(StreamEvent),
    /// Tor would not attach a stream; its words.
    AttachRefused(StreamId, String),
    /// A query's socket has spoken.
    Reply(ProbeId, String, SocketReply),
    /// A fault of ours in an attempt.
    Fault(ProbeId, String),
    /// Tor has answered [`Action::Ping`].
    Pong,
    /// Somebody changed the options that the scan had set: for a while, lookups went wherever tor
    /// wanted.
    OptionsLost,
    /// The local tor is gone.
    TorLost,
    /// It is back.
    TorBack,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Ask tor for a circuit of these two relays.
    Launch(ProbeId, [Fingerprint; 2]),
    /// Ask for a name by the given way.
    Ask(ProbeId, Via, String),
    /// Ask for a connection, by this key: see [`Probe::connect`].
    Connect(ProbeId, To, String),
    /// Attach a stream to a circuit.
    Attach(StreamId, CircuitId),
    /// Give a stream that is not ours back to tor.
    GiveBack(StreamId),
    /// Close a stream.
    CloseStream(StreamId),
    /// Close a circuit.
    CloseCircuit(CircuitId),
    /// Ask tor for anything: its answer proves that it is alive, and that every event from before
    /// has been read.
    Ping,
    /// Tell those who follow the scan.
    Tell(Notice),
    /// End the scan: it cannot go on. Why, for a person.
    GiveUp(String),
}

/// What those who follow the scan are told.
#[derive(Debug, PartialEq)]
pub enum Notice {
    /// An attempt has ended.
    Attempt(Fingerprint, Box<Attempt>),
    /// A relay has a result: its last in this scan, or one that a later one replaces.
    Result {
        /// The result.
        result: Box<RelayResult>,
        /// Whether the relay is done.
        last: bool,
    },
    /// So many relays still fail and are confirmed in this round, which starts after a while.
    Round {
        /// The round's number, from 1.
        number: u32,
        /// How many relays.
        relays: usize,
        /// When it starts, from now.
        after: Duration,
    },
    /// No first hop can be reached, or not the one that was asked for: nothing is tried until one can
    /// be.
    Paused(Option<Fingerprint>),
    /// One can be reached again.
    GoesOn,
}

#[derive(Debug)]
struct Work {
    target: ScanTarget,
    tries: u32,
    free: u32,
    /// The number of an attempt whose silence may have been this host's: it has been made again.
    doubted: Option<u32>,
    /// What the lookups of IPv6 addresses after the verdict have shown.
    ipv6: Vec<Ipv6Lookup>,
    /// Circuits that were built for another such lookup, which no verdict hangs on.
    ipv6_circuits: u32,
    /// Such a lookup was under way when tor was lost, or its options.
    ipv6_broken_off: bool,
    /// The lookups after the verdict that show something else of the resolver.
    checks: Vec<CheckLookup>,
    /// Further tries after the last round, for a failure that was seen by one way alone.
    more: u32,
    done: bool,
}

/// An event of a circuit that is not known yet.
#[derive(Debug)]
enum Early {
    Circuit(CircuitEvent),
    Minor(CircuitMinorEvent),
}

/// A scan under way.
#[derive(Debug)]
pub struct Scan {
    context: RunContext,
    pace: Pace,
    rng: StdRng,
    /// What is asked for of resolvers after the verdict, with a chance of its own for the names: no other
    /// is to hang on whether any are made.
    checks: Option<(CheckPlan, StdRng)>,
    /// The wall clock.
    wall: DateTime<Utc>,
    hops: FirstHops,
    way_out: WayOut,
    gave_up: bool,
    /// Lookups in a row that no exit answered.
    useless: u32,
    tasks: Vec<Work>,
    round: u32,
    /// Relays whose first try of this round is due.
    fresh: VecDeque<usize>,
    /// Relays whose next try is due at a time.
    retries: BinaryHeap<Reverse<(Duration, usize)>>,
    /// Relays that fail, for the next round.
    failing: Vec<usize>,
    next_launch: Duration,
    tor_is_up: bool,
    /// When tor was asked for a sign of life that it has not given yet.
    pinged: Option<Duration>,
    /// No first hop has room until an attempt ends.
    hops_are_full: bool,
    next_id: u64,
    probes: HashMap<ProbeId, (usize, Probe)>,
    by_circuit: HashMap<CircuitId, ProbeId>,
    by_key: HashMap<String, ProbeId>,
    /// From a stream's first event on: later ones name the address instead, once it is known.
    by_stream: HashMap<StreamId, ProbeId>,
    /// Launches that tor has not answered yet: while there are any, an event of an unknown
    /// circuit may be one of ours, read before the answer that names it.
    unanswered: HashSet<ProbeId>,
    early: HashMap<CircuitId, Vec<(Duration, Early)>>,
    /// Keys of queries that were asked, and whose attempt was over before tor showed a stream.
    abandoned: HashSet<String>,
    actions: Vec<Action>,
}

impl Scan {
    /// A scan of these targets. The order is drawn from `rng`.
    #[must_use]
    pub fn new(
        context: RunContext,
        pace: Pace,
        targets: Vec<ScanTarget>,
        hops: FirstHops,
        mut rng: StdRng,
    ) -> Self {
        let tasks: Vec<Work> = targets
            .into_iter()
            .map(|target| Work {
                target,
                tries: 0,
                free: 0,
                doubted: None,
                ipv6: Vec::new(),
                ipv6_circuits: 0,
                ipv6_broken_off: false,
                checks: Vec::new(),
                more: 0,
                done: false,
            })
            .collect();
        let mut order: Vec<usize> = (0..tasks.len()).collect();
        order.shuffle(&mut rng);
        let ways = if hops.only().is_some() { 1 } else { hops.len() };
        Self {
            way_out: WayOut::new(ways, pace.patience),
            gave_up: false,
            checks: context.checks.clone().map(|plan| (plan, StdRng::from_rng(&mut rng))),
            context,
            pace,
            rng,
            wall: DateTime::UNIX_EPOCH,
            hops,
            useless: 0,
            tasks,
            round: 0,
            fresh: order.into(),
            retries: BinaryHeap::new(),
            failing: Vec::new(),
            next_launch: Duration::ZERO,
            tor_is_up: true,
            pinged: None,
            hops_are_full: false,
            next_id: 0,
            probes: HashMap::new(),
            by_circuit: HashMap::new(),
            by_key: HashMap::new(),
            by_stream: HashMap::new(),
            unanswered: HashSet::new(),
            early: HashMap::new(),
            abandoned: HashSet::new(),
            actions: Vec::new(),
        }
    }

    /// Whether every relay has its final result.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.tasks.iter().all(|task| task.done)
    }

    /// How many circuits are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.probes.len()
    }

    /// When [`ScanEvent::Tick`] is wanted at the latest; none where only other events can move the
    /// scan on.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        let deadline = match self.pinged {
            // Nothing expires before the answer.
            Some(_) => None,
            None => self.probes.values().map(|(_, probe)| probe.deadline()).min(),
        };
        deadline.into_iter().chain(self.launch_at()).chain(self.give_up_at()).min()
    }

    fn give_up_at(&self) -> Option<Duration> {
        self.way_out.give_up_at().filter(|_| !self.gave_up)
    }

    /// When the next circuit may be launched; none where there is none to launch, or no room.
    fn launch_at(&self) -> Option<Duration> {
        if !self.tor_is_up || self.hops_are_full || self.probes.len() >= self.pace.max_in_flight {
            return None;
        }
        let retry = self.retries.peek().map(|Reverse((at, _))| *at);
        let fresh = (!self.fresh.is_empty()).then_some(Duration::ZERO);
        let due = fresh.into_iter().chain(retry).min()?;
        match self.way_out.try_at() {
            // One at a time shows when it works again.
            Some(at) => self.probes.is_empty().then(|| due.max(at)),
            None => Some(due.max(self.next_launch)),
        }
    }

    /// Tells the time by the wall clock, which results are stamped with: it may jump, and goes on
    /// while the host sleeps, as the scan's own time does not.
    pub fn set_wall_clock(&mut self, wall: DateTime<Utc>) {
        self.wall = wall;
    }

    /// Takes in what happened at `now`, and answers with what to do, in order.
    pub fn step(&mut self, event: ScanEvent, now: Duration) -> Vec<Action> {
        match event {
            ScanEvent::Tick => {}
            ScanEvent::Launched(id, circuit) => self.launched(id, circuit, now),
            ScanEvent::LaunchRefused(id, refusal) => {
                self.unanswered.remove(&id);
                self.forget_early();
                self.advance(id, now, |probe| probe.refused(refusal));
            }
            ScanEvent::Circuit(event) => self.circuit_event(event, now, now),
            ScanEvent::CircuitMinor(event) => self.circuit_minor_event(event, now, now),
            ScanEvent::Stream(event) => self.stream_event(&event, now),
            ScanEvent::AttachRefused(stream, refusal) => {
                let id = self.probes.iter().find_map(|(id, (_, probe))| {
                    (probe.stream_to_close() == Some(&stream)).then_some(*id)
                });
                if let Some(id) = id {
                    self.advance(id, now, |p| p.attach_refused(&stream, refusal, now));
                }
            }
            ScanEvent::Reply(id, name, reply) => {
                self.advance(id, now, |probe| probe.reply(&name, reply, now));
            }
            ScanEvent::Fault(id, fault) => {
                let verdict = Verdict::fault(
                    Status::Exception,
                    ErrorCode::Exception,
                    record::Blame::Scanner,
                    fault,
                );
                self.break_off(id, verdict, now);
            }
            ScanEvent::Pong => self.expire(now),
            ScanEvent::OptionsLost => self.options_lost(now),
            ScanEvent::TorLost => {
                self.tor_is_up = false;
                self.way_out.reset();
                self.pinged = None;
                self.unanswered.clear();
                self.forget_early();
                let mut lost: Vec<ProbeId> = self.probes.keys().copied().collect();
                lost.sort_unstable();
                for id in lost {
                    self.forget_further(id);
                    self.advance(id, now, Probe::lost);
                }
                self.abandoned.clear();
            }
            ScanEvent::TorBack => self.tor_is_up = true,
        }
        self.watch_deadlines(now);
        self.next_round(now);
        self.launch(now);
        if self.give_up_at().is_some_and(|at| at <= now) {
            self.gave_up = true;
            self.actions.push(Action::GiveUp(self.no_way_out()));
        }
        std::mem::take(&mut self.actions)
    }

    fn no_way_out(&self) -> String {
        let seconds = self.pace.patience.as_secs_f64();
        match self.hops.only() {
            Some(hop) => format!("the first hop {hop} could not be reached for {seconds} s"),
            None => format!("no first hop could be reached for {seconds} s: is the network up?"),
        }
    }

    /// What has been asked for and not answered may have gone to any exit: it is asked again.
    fn options_lost(&mut self, now: Duration) {
        let asking = self.probes.iter().filter(|(_, (_, probe))| probe.is_asking());
        let mut asking: Vec<ProbeId> = asking.map(|(id, _)| *id).collect();
        asking.sort_unstable();
        for id in asking {
            let verdict = Verdict::fault(
                Status::Error,
                ErrorCode::TorLost,
                record::Blame::Scanner,
                "somebody changed the local tor's options in the middle of the attempt".to_owned(),
            );
            self.break_off(id, verdict, now);
        }
    }

    /// Ends an attempt with this verdict, unless its own is known already.
    fn break_off(&mut self, id: ProbeId, verdict: Verdict, now: Duration) {
        self.forget_further(id);
        let Some((task, probe)) = self.remove(id) else { return };
        let verdict = (!probe.is_settled()).then_some(verdict);
        self.attempt_ended(id, task, probe.into_evidence(), verdict, now);
    }

    /// Takes back an attempt's lookup after the verdict, which this side has broken off. Another circuit
    /// is to make that of IPv6 addresses; what else was to be asked is not asked any more.
    fn forget_further(&mut self, id: ProbeId) {
        let Some((task, probe)) = self.probes.get_mut(&id) else { return };
        let state = &mut self.tasks[*task];
        let ipv6 = probe.forget_further() == Some(Further::Ipv6);
        state.ipv6_broken_off = ipv6 || state.ipv6_circuits > 0;
    }

    /// An attempt heard a relay.
    fn heard(&mut self, id: ProbeId, now: Duration) {
        if self.way_out.heard(id, now) {
            self.actions.push(Action::Tell(Notice::GoesOn));
        }
    }

    /// Ends the scan where it is: attempts under way are given up, and every relay that has been
    /// tried gets the result that its attempts allow, provisionally.
    pub fn stop(&mut self, now: Duration) -> Vec<Action> {
        let settled = self.probes.iter().filter(|(_, (_, probe))| probe.is_settled());
        let mut settled: Vec<ProbeId> = settled.map(|(id, _)| *id).collect();
        settled.sort_unstable();
        for id in settled {
            self.advance(id, now, Probe::timed_out);
        }
        let mut under_way: Vec<ProbeId> = self.probes.keys().copied().collect();
        under_way.sort_unstable();
        for id in under_way {
            if let Some((_, probe)) = self.remove(id) {
                self.hops.release(&probe.into_evidence().first_hop, None);
            }
        }
        self.fresh.clear();
        self.retries.clear();
        for task in 0..self.tasks.len() {
            let state = &self.tasks[task];
            // Attempts that did not get as far as the relay say nothing about it.
            if !state.done && !state.target.attempts.iter().all(never_reached) {
                self.tell_result(task, false);
            }
        }
        std::mem::take(&mut self.actions)
    }

    fn launched(&mut self, id: ProbeId, circuit: CircuitId, now: Duration) {
        self.unanswered.remove(&id);
        let early = self.early.remove(&circuit).unwrap_or_default();
        if let Some((_, probe)) = self.probes.get_mut(&id) {
            probe.launched(circuit.clone());
            self.by_circuit.insert(circuit.clone(), id);
            for (at, event) in early {
                match event {
                    Early::Circuit(event) => self.circuit_event(event, at, now),
                    Early::Minor(event) => self.circuit_minor_event(event, at, now),
                }
            }
        } else {
            // The attempt was over before tor answered.
            self.actions.push(Action::CloseCircuit(circuit));
        }
        self.forget_early();
    }

    fn forget_early(&mut self) {
        if self.unanswered.is_empty() {
            self.early.clear();
        }
    }

    /// An event that came at `at`, and is acted on now.
    fn circuit_event(&mut self, event: CircuitEvent, at: Duration, now: Duration) {
        use tor_control::CircuitStatus as S;
        match self.by_circuit.get(&event.id) {
            Some(&id) => {
                let answered = matches!(event.status, S::Extended | S::Built);
                if answered || event.remote_reason.is_some() {
                    self.heard(id, at);
                }
                self.advance(id, now, |probe| probe.circuit_event(&event, at));
            }
            None => self.keep_early(event.id.clone(), Early::Circuit(event), at),
        }
    }

    fn circuit_minor_event(&mut self, event: CircuitMinorEvent, at: Duration, now: Duration) {
        match self.by_circuit.get(&event.id) {
            Some(&id) => {
                self.advance(id, now, |p| p.purpose_changed(event.purpose.as_deref(), at));
            }
            None => self.keep_early(event.id.clone(), Early::Minor(event), at),
        }
    }

    fn keep_early(&mut self, circuit: CircuitId, event: Early, at: Duration) {
        if !self.unanswered.is_empty() {
            self.early.entry(circuit).or_default().push((at, event));
        }
    }

    fn stream_event(&mut self, event: &StreamEvent, now: Duration) {
        use tor_control::StreamStatus as S;
        // A lookup is known by its name, a connection to an address by its user.
        let keys = [Some(event.target.to_ascii_lowercase()), event.socks_username.clone()];
        let named = keys.iter().flatten().find_map(|key| self.by_key.get(key)).copied();
        if let Some(id) = self.by_stream.get(&event.id).copied().or(named) {
            if matches!(event.status, S::New | S::NewResolve) {
                self.by_stream.insert(event.id.clone(), id);
            }
            let answered = matches!(event.reason.as_deref(), Some("DONE" | "END" | "TORPROTOCOL"));
            if event.status == S::Remap || (event.status == S::Closed && answered) {
                self.heard(id, now);
            }
            self.advance(id, now, |probe| probe.stream_event(event, now));
        } else if keys.iter().flatten().any(|key| self.abandoned.remove(key)) {
            // Given back, it would be asked of some other exit.
            self.actions.push(Action::CloseStream(event.id.clone()));
        } else if waits_for_us(event) {
            // Somebody else's, on a tor that we share: without this it would wait for ever.
            self.actions.push(Action::GiveBack(event.id.clone()));
        }
    }

    /// Tells an attempt something, and does what it wants next.
    fn advance(&mut self, id: ProbeId, now: Duration, tell: impl FnOnce(&mut Probe) -> Next) {
        let Some((task, probe)) = self.probes.get_mut(&id) else { return };
        match tell(probe) {
            Next::Wait => {}
            Next::Ask(via) => {
                let exit = self.tasks[*task].target.relay.fingerprint;
                let name = self.context.domain.fresh_name(&exit, &mut self.rng);
                probe.ask(via, name.clone(), now);
                self.by_key.insert(name.clone(), id);
                self.actions.push(Action::Ask(id, via, name));
            }
            Next::AskFurther(further) => {
                let exit = self.tasks[*task].target.relay.fingerprint;
                let checks = self.checks.as_mut();
                let fresh = || match (further, checks) {
                    (Further::Check(name), Some((plan, rng))) => {
                        plan.domain.fresh_name_under(&exit, name.as_str(), rng)
                    }
                    _ => String::new(),
                };
                if let Some(name) = probe.ask_further(further, fresh, now, self.wall) {
                    self.by_key.insert(name.clone(), id);
                    self.actions.push(Action::Ask(id, further.via(), name));
                }
            }
            Next::Connect(to) => {
                let exit = self.tasks[*task].target.relay.fingerprint;
                let key = self.context.domain.fresh_name(&exit, &mut self.rng);
                probe.connect(to, key.clone(), now);
                self.by_key.insert(key.clone(), id);
                self.actions.push(Action::Connect(id, to, key));
            }
            Next::Attach(stream, circuit) => self.actions.push(Action::Attach(stream, circuit)),
            Next::Finish => {
                if let Some((task, probe)) = self.remove(id) {
                    self.attempt_ended(id, task, probe.into_evidence(), None, now);
                }
            }
        }
    }

    /// Takes an attempt out, and closes what it leaves open.
    fn remove(&mut self, id: ProbeId) -> Option<(usize, Probe)> {
        let (task, probe) = self.probes.remove(&id)?;
        if self.tor_is_up {
            self.actions.extend(probe.stream_to_close().cloned().map(Action::CloseStream));
            self.actions.extend(probe.circuit_to_close().cloned().map(Action::CloseCircuit));
        }
        self.abandoned.extend(probe.key_without_stream().map(str::to_owned));
        self.by_circuit.retain(|_, owner| *owner != id);
        self.by_key.retain(|_, owner| *owner != id);
        self.by_stream.retain(|_, owner| *owner != id);
        Some((task, probe))
    }

    fn attempt_ended(
        &mut self,
        id: ProbeId,
        task: usize,
        evidence: Evidence,
        verdict: Option<Verdict>,
        now: Duration,
    ) {
        let exit = self.tasks[task].target.relay.fingerprint;
        let mut evidence = evidence;
        let further = std::mem::take(&mut evidence.further);
        let verdict = verdict.unwrap_or_else(|| {
            classify::classify(&exit, &evidence.circuit, &evidence.queries, &self.context.judge)
        });
        let works = verdict.status == Status::Success;
        for (asked, query) in further {
            let (first_hop, state) = (evidence.first_hop, &mut self.tasks[task]);
            match (asked, evidence.queries.last()) {
                (Further::Ipv6, Some(first)) => state.ipv6.push(ipv6::lookup(
                    first_hop,
                    &evidence.circuit,
                    first,
                    query,
                    &self.context.judge,
                )),
                (Further::Check(asked), Some(_)) if works => {
                    state.checks.push(CheckLookup { asked, first_hop, query });
                }
                _ => {}
            }
        }
        let (error_code, blame) = verdict.fault.unzip();
        let reached = match blame {
            Some(record::Blame::FirstHop) => Some(false),
            _ if evidence.circuit.hops > 0 => Some(true),
            _ => None,
        };
        self.hops.release(&evidence.first_hop, reached);
        self.hops_are_full = false;
        let unheard = self.way_out.ended(id, now);
        if reached == Some(false) && self.way_out.failed(evidence.first_hop, now) {
            self.actions.push(Action::Tell(Notice::Paused(self.hops.only())));
        }
        let attempt = Attempt {
            number: u32::try_from(self.tasks[task].target.attempts.len()).unwrap_or(u32::MAX - 1)
                + 1,
            round: self.round,
            started: evidence.began,
            ended: evidence.settled.unwrap_or(self.wall),
            first_hop: evidence.first_hop,
            status: verdict.status,
            error_code,
            blame,
            error: verdict.error,
            resolved_ip: verdict.resolved_ip,
            timing: evidence.timing(verdict.query),
            decided_by: verdict.query.and_then(|index| u32::try_from(index).ok()),
            circuit: evidence.circuit,
            queries: evidence.queries,
        };
        // A circuit for IPv6 alone: the verdict stands as it was.
        if self.tasks[task].ipv6_circuits > 0 {
            return self.settle(task, now);
        }
        self.actions.push(Action::Tell(Notice::Attempt(exit, Box::new(attempt.clone()))));
        self.watch_witnesses(&attempt);
        self.count(task, attempt, unheard);
        self.decide(task, now);
    }

    /// The relay's verdict is known. What shows a stall for IPv6 once is looked at by another circuit, and
    /// so is what this side has broken off.
    fn settle(&mut self, task: usize, now: Duration) {
        let state = &mut self.tasks[task];
        let wanted = std::mem::take(&mut state.ipv6_broken_off) || ipv6::wants_another(&state.ipv6);
        if !wanted || state.ipv6_circuits == ipv6::MORE_CIRCUITS {
            return self.tell_result(task, true);
        }
        state.ipv6_circuits += 1;
        if state.ipv6_circuits == 1 {
            // Whatever ends the scan meanwhile, the verdict is there.
            self.tell_result(task, false);
        }
        self.retries.push(Reverse((now + self.pace.retry_delay, task)));
    }

    /// Takes an attempt into a relay's record, and counts it as a try unless it says nothing about the
    /// relay. `unheard`: the network was not heard all the while that it was silent.
    fn count(&mut self, task: usize, attempt: Attempt, unheard: bool) {
        let state = &mut self.tasks[task];
        if never_reached(&attempt) {
            // While the way out is closed, nothing counts at all.
            if !self.way_out.is_closed() && state.free == FREE_ATTEMPTS {
                state.tries += 1;
            } else if !self.way_out.is_closed() {
                state.free += 1;
            }
        } else if unheard && is_silence(&attempt) && state.doubted.is_none() {
            state.doubted = Some(attempt.number);
        } else {
            state.tries += 1;
        }
        state.target.attempts.push(attempt);
    }

    /// Whether what comes is still the answer of exits.
    fn watch_witnesses(&mut self, attempt: &Attempt) {
        match attempt.error_code {
            Some(code @ (ErrorCode::ForeignPort | ErrorCode::AnsweredByTor)) => {
                self.useless += 1;
                if self.useless == USELESS_AFTER {
                    self.actions.push(Action::GiveUp(useless(code).to_owned()));
                }
            }
            _ if attempt.status.tested() => self.useless = 0,
            _ => {}
        }
    }

    /// Whether a relay is done, is tried again, or waits for a confirming round.
    fn decide(&mut self, task: usize, now: Duration) {
        let state = &self.tasks[task];
        let conclusion = classify::conclude(&state.target.attempts);
        let status = conclusion.map(|it| state.target.attempts[it.attempt].status);
        let failed_once = self.failed_once(&state.target);
        let settled = status == Some(Status::WrongIp) && !failed_once;
        let tries = if self.round == 0 { self.pace.tries } else { 1 };
        // Whose fault it is that a relay cannot be reached shows by a second first hop.
        let missed_once = status == Some(Status::CircuitFail)
            && conclusion.is_some_and(|it| it.blame == Some(record::Blame::Unknown));
        let may_be_confirmed = (failed_once || missed_once)
            && state.more < FREE_ATTEMPTS
            && can_confirm(&state.target.attempts, self.round, &self.hops);
        if status == Some(Status::Success) {
            self.settle(task, now);
        } else if settled || state.target.attempts.len() >= record::MAX_ATTEMPTS {
            self.tell_result(task, true);
        } else if state.tries < tries {
            self.retries.push(Reverse((now + self.pace.retry_delay, task)));
        } else if self.round < self.pace.confirm_rounds {
            self.failing.push(task);
            self.tell_result(task, false);
        } else if may_be_confirmed {
            self.tasks[task].more += 1;
            self.retries.push(Reverse((now + self.pace.retry_delay, task)));
        } else {
            self.tell_result(task, true);
        }
    }

    /// Whether the relay's DNS has failed, and one attempt alone has seen it.
    fn failed_once(&self, target: &ScanTarget) -> bool {
        conclusive(&target.attempts).is_some_and(Status::counts_against_dns)
            && !seen_twice(&target.attempts, &self.hops)
    }

    /// A deadline has passed: but is it the network that is silent, or our own tor, or were we
    /// asleep ourselves? Only a tor that answers now has had the chance to tell of an answer.
    fn watch_deadlines(&mut self, now: Duration) {
        let passed = self.probes.values().any(|(_, probe)| probe.deadline() <= now);
        if passed && self.pinged.is_none() && self.tor_is_up {
            self.pinged = Some(now);
            self.actions.push(Action::Ping);
        }
    }

    /// Ends the attempts whose deadline had passed when tor was asked for a sign of life.
    fn expire(&mut self, now: Duration) {
        let Some(asked) = self.pinged.take() else { return };
        let mut expired: Vec<(Duration, ProbeId)> = self
            .probes
            .iter()
            .map(|(id, (_, probe))| (probe.deadline(), *id))
            .filter(|(deadline, _)| *deadline <= asked)
            .collect();
        expired.sort_unstable();
        for (_, id) in expired {
            self.advance(id, now, Probe::timed_out);
        }
    }

    fn next_round(&mut self, now: Duration) {
        let busy = !self.probes.is_empty() || !self.fresh.is_empty() || !self.retries.is_empty();
        if busy || self.failing.is_empty() {
            return;
        }
        self.round += 1;
        let mut order = std::mem::take(&mut self.failing);
        order.sort_unstable();
        order.shuffle(&mut self.rng);
        let report = Notice::Round {
            number: self.round,
            relays: order.len(),
            after: self.pace.confirm_after,
        };
        self.actions.push(Action::Tell(report));
        for &task in &order {
            self.tasks[task].tries = 0;
        }
        self.fresh = order.into();
        self.next_launch = now + self.pace.confirm_after;
    }

    fn launch(&mut self, now: Duration) {
        while self.launch_at().is_some_and(|at| at <= now) {
            // A relay whose retry is due goes first, so that a scan does not pile up retries.
            let task = match self.retries.peek() {
                Some(Reverse((at, task))) if *at <= now => {
                    let task = *task;
                    self.retries.pop();
                    task
                }
                _ => match self.fresh.pop_front() {
                    Some(task) => task,
                    None => return,
                },
            };
            let target = &self.tasks[task].target;
            if target.attempts.len() >= record::MAX_ATTEMPTS {
                // It has been resumed that often.
                self.tell_result(task, true);
                continue;
            }
            let exit = target.relay.fingerprint;
            let tried = target.first_hops();
            let Some(hop) = self.hops.take(&exit, &tried, &mut self.rng) else {
                self.fresh.push_front(task);
                self.hops_are_full = true;
                return;
            };
            let id = ProbeId(self.next_id);
            self.next_id += 1;
            let first_query = match (self.context.judge.mode, self.context.judge.expected) {
                (Mode::Wildcard, Some(IpAddr::V6(_))) => Via::DnsPortAaaa,
                (Mode::Wildcard, _) => Via::Socks,
                // Success is NXDOMAIN here, which SOCKS cannot tell from failure.
                (Mode::Nxdomain, _) => Via::DnsPortA,
            };
            let target = &self.tasks[task].target;
            let further = if first_query == Via::Socks { self.further(task) } else { Vec::new() };
            let attempting = Attempting {
                first_hop: hop,
                first_query,
                door: target.door,
                limits: self.pace.limits,
                expected: self.context.judge.expected,
                further,
            };
            let probe = Probe::new(attempting, now, self.wall);
            self.probes.insert(id, (task, probe));
            self.way_out.started(id, now);
            self.unanswered.insert(id);
            self.actions.push(Action::Launch(id, [hop, exit]));
            self.next_launch = now + self.gap();
        }
    }

    /// What is asked after the verdict: of an exit that allows IPv6, whether it gets those addresses; and
    /// on one circuit alone what else there is to ask.
    fn further(&self, task: usize) -> Vec<Further> {
        let Work { target, ipv6_circuits, .. } = &self.tasks[task];
        let allows_ipv6 = target.info.ipv6.exit == Some(true);
        let checks = self.checks.as_ref().filter(|_| *ipv6_circuits == 0);
        let names = checks.map(|(plan, _)| plan.names(&target.relay.fingerprint, allows_ipv6));
        let names = names.into_iter().flatten().map(Further::Check);
        allows_ipv6.then_some(Further::Ipv6).into_iter().chain(names).collect()
    }

    fn gap(&mut self) -> Duration {
        let noise = self.pace.delay_noise.as_secs_f64();
        if noise == 0.0 {
            return self.pace.build_delay;
        }
        let drawn = self.rng.random_range(-noise..=noise);
        Duration::from_secs_f64((self.pace.build_delay.as_secs_f64() + drawn).max(0.0))
    }

    fn tell_result(&mut self, task: usize, last: bool) {
        let target = &self.tasks[task].target;
        let works = conclusive(&target.attempts) == Some(Status::Success);
        let provisional = !works && (!last || self.failed_once(target));
        let state = &mut self.tasks[task];
        state.done |= last;
        // A final result is the last use of the target's texts and attempts.
        let target = if last {
            ScanTarget {
                relay: state.target.relay.clone(),
                info: std::mem::take(&mut state.target.info),
                attempts: std::mem::take(&mut state.target.attempts),
                door: None,
            }
        } else {
            state.target.clone()
        };
        let lookups = (state.ipv6.clone(), state.checks.clone());
        if let Some(result) = result(&self.context, target, lookups, state.doubted, provisional) {
            let result = Box::new(result);
            self.actions.push(Action::Tell(Notice::Result { result, last }));
        }
    }

    /// The relays that have no final result yet.
    #[must_use]
    pub fn unfinished(&self) -> BTreeSet<Fingerprint> {
        let open = self.tasks.iter().filter(|task| !task.done);
        open.map(|task| task.target.relay.fingerprint).collect()
    }
}

/// Whether a stream waits for a controller to say what is to become of it, since tor leaves new
/// ones to us while we scan. Tor's own directory streams do not.
#[must_use]
pub fn waits_for_us(event: &StreamEvent) -> bool {
    use tor_control::StreamStatus as S;
    matches!(event.status, S::New | S::NewResolve | S::Detached)
        && event.purpose.as_deref().is_none_or(|purpose| !purpose.starts_with("DIR_"))
}

/// Whether an attempt did not get as far as the relay, and says nothing about it.
fn never_reached(attempt: &Attempt) -> bool {
    broke_off_here(attempt) || attempt.blame == Some(record::Blame::FirstHop)
}

/// Whether an attempt ended by what this host or its tor did.
fn broke_off_here(attempt: &Attempt) -> bool {
    use ErrorCode::{ClosedLocally, NoDescriptor, TorGaveUp, TorLost};
    let here = [TorLost, TorGaveUp, ClosedLocally, NoDescriptor];
    attempt.error_code.is_some_and(|code| here.contains(&code))
}

/// Whether an attempt ended because nothing came.
fn is_silence(attempt: &Attempt) -> bool {
    attempt.status == Status::Timeout || attempt.error_code == Some(ErrorCode::CircuitTimeout)
}

/// Why a scan ends where lookups have this cause.
const fn useless(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ForeignPort => {
            "the SOCKS port or the DNSPort does not belong to this tor: replies come, and the control \
             port shows nothing of the lookups"
        }
        _ => {
            "this tor answers lookups itself: it maps addresses (MapAddress, AutomapHostsOnResolve)"
        }
    }
}

/// The status that the attempts amount to.
fn conclusive(attempts: &[Attempt]) -> Option<Status> {
    classify::conclude(attempts).map(|conclusion| attempts[conclusion.attempt].status)
}

/// A relay's result from its attempts; none where there was none.
fn result(
    context: &RunContext,
    target: ScanTarget,
    (ipv6, checks): (Vec<Ipv6Lookup>, Vec<CheckLookup>),
    doubted: Option<u32>,
    provisional: bool,
) -> Option<RelayResult> {
    let exit = &target.relay.fingerprint;
    let first = first::answer(exit, &target.attempts, doubted, &context.judge);
    let ipv6 = ipv6::conclude(ipv6, context.expected_ipv6);
    let checks = checks::conclude(checks, &context.judge, context.expected_ipv6);
    let findings = findings::of(&target.attempts, ipv6.as_ref(), context.judge.expected);
    let conclusion = classify::conclude(&target.attempts)?;
    let decisive = &target.attempts[conclusion.attempt];
    let query = decisive.decided_by.map_or(decisive.queries.last(), |index| {
        usize::try_from(index).ok().and_then(|index| decisive.queries.get(index))
    });
    Some(RelayResult {
        format: Kind::Result.format(),
        exit_fingerprint: target.relay.fingerprint,
        exit_nickname: target.relay.nickname,
        exit_address: target.relay.address,
        first_hop_fingerprint: Some(decisive.first_hop),
        query_domain: query.map(|query| query.name.clone()),
        expected_ip: context.judge.expected,
        timestamp: decisive.ended,
        run_id: context.run_id.clone(),
        shard: context.shard,
        mode: context.judge.mode,
        status: decisive.status,
        resolved_ip: decisive.resolved_ip.clone(),
        latency_ms: decisive.timing.resolve_ms,
        error: decisive.error.clone(),
        error_code: decisive.error_code,
        attempt: decisive.number,
        blame: conclusion.blame,
        timing: decisive.timing,
        provisional,
        first,
        ipv6,
        checks,
        findings,
        relay: target.info,
        attempts: target.attempts,
    })
}

#[cfg(test)]
mod tests;
