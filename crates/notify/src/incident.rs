//! Incidents: what fails together, from when to when. A state machine that is fed with one run after
//! the other. Pure.
//!
//! A relay is in trouble once two published runs in a row say so; it is well again once two say that.
//! Runs that did not test it say neither. The relays of one operator that are in trouble at a time are one
//! incident, which relays join and leave. One that ended less than a week ago goes on where the same
//! operator fails again, and then ends only when all has been well for a day: what comes and goes is one
//! incident. Beside them there are incidents of the network as a whole.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use record::{AffectedRelay, ErrorCode, Fingerprint, GateCode, Incident, IncidentSubject};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::seen::{RelaySeen, RunSeen, Word};

/// How many runs in a row must say that a relay fails, or that it works again.
const RUNS: u32 = 2;

/// How far apart those runs may be at most.
const RUNS_APART: TimeDelta = TimeDelta::days(7);

/// How long after its end an incident goes on where the same fails again.
const REOPENED_FOR: TimeDelta = TimeDelta::days(7);

/// How long all must have been well before an incident that had ended once ends again.
const STEADY: TimeDelta = TimeDelta::days(1);

/// A relay that no run has tested for so long has left.
const GONE_AFTER: TimeDelta = TimeDelta::days(14);

/// How long incidents that have ended are kept.
const KEPT: TimeDelta = TimeDelta::days(90);

/// How many runs the usual share of failing lookups is taken from, and how few of them say nothing.
const USUAL: std::ops::RangeInclusive<usize> = 20..=120;

/// How far above its usual the share must be, at least, in percentage points.
const LEAST_RISE: f64 = 1.0;

/// And how many times its usual spread (the median of the distances from the median).
const SPREADS: f64 = 8.0;

/// How many operators of one autonomous system must begin to fail within a day to be an incident of it.
const OPERATORS_AT_ONCE: usize = 3;

/// Which networks of relays are looked at.
#[derive(Debug, Clone, Copy)]
enum NetworkSide {
    /// Those that they are in.
    Relay,
    /// Those, others than these, that resolve their names.
    Resolver,
}

impl NetworkSide {
    fn of(self, relay: &AffectedRelay) -> &[u32] {
        match self {
            Self::Relay => relay.network.as_slice(),
            Self::Resolver => &relay.resolver_networks,
        }
    }

    fn seen(self, relay: &RelaySeen) -> &[(u32, String)] {
        match self {
            Self::Relay => relay.network.as_slice(),
            Self::Resolver => &relay.resolver_networks,
        }
    }

    const fn subject(self, number: u32, name: String) -> IncidentSubject {
        match self {
            Self::Relay => IncidentSubject::AutonomousSystem { number, name },
            Self::Resolver => IncidentSubject::ResolverNetwork { number, name },
        }
    }

    const fn number(self, subject: &IncidentSubject) -> Option<u32> {
        match (self, subject) {
            (Self::Relay, IncidentSubject::AutonomousSystem { number, .. })
            | (Self::Resolver, IncidentSubject::ResolverNetwork { number, .. }) => Some(*number),
            _ => None,
        }
    }

    fn detail(self, operators: usize) -> String {
        match self {
            Self::Relay => format!("{operators} operators have failing relays there"),
            Self::Resolver => {
                format!("{operators} operators have failing relays with a resolver there")
            }
        }
    }
}

/// What an incident's subject is known by.
fn key_of(subject: &IncidentSubject) -> String {
    match subject {
        IncidentSubject::Operator { operator } => operator.clone(),
        IncidentSubject::AutonomousSystem { number, .. } => format!("as:{number}"),
        IncidentSubject::ResolverNetwork { number, .. } => format!("resolver:{number}"),
        IncidentSubject::FailureRate => "failure-rate".to_owned(),
        IncidentSubject::Zone => "zone".to_owned(),
        IncidentSubject::Silence => "silence".to_owned(),
    }
}

/// What happened to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// It is new.
    Opened,
    /// It had ended, and goes on.
    Reopened,
    /// Relays have joined it, or left it.
    Changed,
    /// It has ended.
    Closed,
}

/// What a run changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Change {
    /// The incident's id.
    pub incident: String,
    /// What happened to it.
    pub happening: Happening,
    /// The end of the run that showed it.
    pub at: DateTime<Utc>,
}

/// A relay of which one run said that it fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Doubt {
    since: DateTime<Utc>,
    last: DateTime<Utc>,
    cause: Option<ErrorCode>,
}

/// Everything that incidents go on from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// The last run that was taken in, published or not.
    last: Option<(DateTime<Utc>, String)>,
    /// The last run that was published.
    published: Option<DateTime<Utc>>,
    /// Relays that failed in one run.
    doubts: BTreeMap<Fingerprint, Doubt>,
    /// The shares of failing lookups of the last runs, in percent.
    rates: VecDeque<f64>,
    /// How many of the last runs were out of the usual; negative: within it.
    unusual: i32,
    /// Why the newest report was held back, if it was.
    held: Vec<GateCode>,
    /// Incidents, those that have ended too, by id.
    incidents: BTreeMap<String, Incident>,
}

impl Watch {
    /// The end and the id of the last run that was taken in.
    #[must_use]
    pub fn last(&self) -> Option<(DateTime<Utc>, &str)> {
        self.last.as_ref().map(|(ended, run_id)| (*ended, run_id.as_str()))
    }

    /// The end of the last run that was published.
    #[must_use]
    pub const fn published(&self) -> Option<DateTime<Utc>> {
        self.published
    }

    /// Whether the last run was held back.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Every incident, the newest first.
    #[must_use]
    pub fn incidents(&self) -> Vec<&Incident> {
        let mut all: Vec<&Incident> = self.incidents.values().collect();
        all.sort_by(|a, b| (b.opened, &b.id).cmp(&(a.opened, &a.id)));
        all
    }

    /// One incident.
    #[must_use]
    pub fn incident(&self, id: &str) -> Option<&Incident> {
        self.incidents.get(id)
    }

    /// Takes in a run. One that is not later than the last changes nothing, unless it is the last, which
    /// was held back and is published now.
    pub fn take(&mut self, run: &RunSeen) -> Vec<Change> {
        let key = (run.ended, run.run_id.clone());
        let forced = self.is_held() && run.held.is_empty();
        let is_new = |last: &(DateTime<Utc>, String)| {
            if last.1 == run.run_id { forced } else { *last < key }
        };
        if !self.last.as_ref().is_none_or(is_new) {
            return Vec::new();
        }
        self.last = Some(key);
        let mut changes = Changes { at: run.ended, of: BTreeMap::new() };
        self.zone(run, &mut changes);
        self.held.clone_from(&run.held);
        if run.held.is_empty() {
            self.published = Some(run.ended);
            self.end(&IncidentSubject::Silence, &mut changes);
            self.relays(run, &mut changes);
            self.networks(run, NetworkSide::Relay, &mut changes);
            self.networks(run, NetworkSide::Resolver, &mut changes);
            self.failure_rate(run, &mut changes);
        }
        self.incidents
            .retain(|_, incident| incident.closed.is_none_or(|closed| run.ended - closed < KEPT));
        changes.done()
    }

    /// Looks at the clock: for how long there has been no report.
    pub fn tick(&mut self, now: DateTime<Utc>, longest: TimeDelta) -> Vec<Change> {
        let mut changes = Changes { at: now, of: BTreeMap::new() };
        if let Some(published) = self.published.filter(|published| now - *published > longest) {
            let codes: Vec<&str> = self.held.iter().map(|code| code.as_str()).collect();
            let detail = (!codes.is_empty())
                .then(|| format!("the gate held the newest one back: {}", codes.join(", ")));
            self.begin(IncidentSubject::Silence, published, detail, &mut changes);
        }
        changes.done()
    }

    fn open(&self, subject: &IncidentSubject) -> Option<&Incident> {
        let key = key_of(subject);
        self.incidents.values().find(|one| one.is_open() && key_of(&one.subject) == key)
    }

    /// An incident of this subject: the open one, one that goes on, or a new one.
    fn begin(
        &mut self,
        subject: IncidentSubject,
        since: DateTime<Utc>,
        detail: Option<String>,
        changes: &mut Changes,
    ) -> &mut Incident {
        let key = key_of(&subject);
        let goes_on = |one: &&Incident| {
            key_of(&one.subject) == key
                && one.closed.is_none_or(|closed| changes.at - closed < REOPENED_FOR)
        };
        // An open one before one that has ended, and of several the one with the most relays.
        let found = self.incidents.values().filter(goes_on);
        let found =
            found.min_by_key(|one| (one.closed.is_some(), Reverse(one.down().count()), one.opened));
        let id = found.map_or_else(|| id_of(&key, since), |one| one.id.clone());
        let opened = changes.at;
        let incident = self.incidents.entry(id.clone()).or_insert_with(|| {
            changes.add(&id, Happening::Opened);
            Incident {
                id: id.clone(),
                subject,
                since,
                opened,
                closed: None,
                reopened: 0,
                relays: BTreeMap::new(),
                detail: None,
                gone: false,
            }
        });
        if incident.closed.take().is_some() {
            incident.reopened += 1;
            incident.gone = false;
            changes.add(&id, Happening::Reopened);
        }
        if detail.is_some() {
            incident.detail = detail;
        }
        incident
    }

    fn end(&mut self, subject: &IncidentSubject, changes: &mut Changes) {
        if let Some(id) = self.open(subject).map(|incident| incident.id.clone()) {
            self.close(&id, changes);
        }
    }

    fn close(&mut self, id: &str, changes: &mut Changes) {
        if let Some(incident) = self.incidents.get_mut(id) {
            incident.closed = Some(changes.at);
            changes.add(id, Happening::Closed);
        }
    }

    fn zone(&mut self, run: &RunSeen, changes: &mut Changes) {
        match run.zone {
            Some(false) => {
                self.begin(IncidentSubject::Zone, run.ended, None, changes);
            }
            Some(true) => self.end(&IncidentSubject::Zone, changes),
            None => {}
        }
    }

    fn relays(&mut self, run: &RunSeen, changes: &mut Changes) {
        let total: u64 = run.relays.iter().map(|relay| relay.weight).sum();
        let mut within: BTreeMap<Fingerprint, String> = BTreeMap::new();
        for incident in self.incidents.values().filter(|one| one.is_open()) {
            within.extend(incident.down().map(|(relay, _)| (*relay, incident.id.clone())));
        }
        let mut keys: BTreeMap<String, BTreeMap<&str, u32>> = BTreeMap::new();
        for seen in &run.relays {
            if let Some(id) = within.get(&seen.fingerprint) {
                *keys.entry(id.clone()).or_default().entry(&seen.operator).or_default() += 1;
                if let Some(incident) = self.incidents.get_mut(id) {
                    let steady = incident.reopened > 0;
                    let relay = incident.relays.get_mut(&seen.fingerprint);
                    if relay.is_some_and(|relay| hear(relay, seen, run.ended, total, steady)) {
                        changes.add(id, Happening::Changed);
                    }
                }
            } else if let Some(relay) = self.doubt(seen, run.ended, total) {
                let subject = IncidentSubject::Operator { operator: seen.operator.clone() };
                let incident = self.begin(subject, relay.since, None, changes);
                changes.add(&incident.id, Happening::Changed);
                incident.since = incident.since.min(relay.since);
                match incident.relays.get_mut(&seen.fingerprint) {
                    // It was in it before.
                    Some(before) => rejoin(before, relay),
                    None => {
                        incident.relays.insert(seen.fingerprint, relay);
                    }
                }
            }
        }
        self.doubts.retain(|_, doubt| run.ended - doubt.last < RUNS_APART);
        self.rename(&keys);
        self.leave(run.ended, changes);
    }

    /// What a relay that is in no incident becomes by this run: one of an incident's, after the second
    /// failure.
    fn doubt(
        &mut self,
        seen: &RelaySeen,
        ended: DateTime<Utc>,
        total: u64,
    ) -> Option<AffectedRelay> {
        match seen.word {
            Word::Nothing => None,
            Word::Works => {
                self.doubts.remove(&seen.fingerprint);
                None
            }
            Word::Fails => {
                let before = self.doubts.remove(&seen.fingerprint);
                let Some(doubt) = before.filter(|doubt| ended - doubt.last < RUNS_APART) else {
                    let doubt = Doubt { since: ended, last: ended, cause: seen.cause };
                    self.doubts.insert(seen.fingerprint, doubt);
                    return None;
                };
                let mut relay = AffectedRelay {
                    nickname: String::new(),
                    address: seen.address,
                    since: doubt.since,
                    failed: RUNS - 1,
                    causes: doubt.cause.map(|cause| (cause, RUNS - 1)).into_iter().collect(),
                    weight_ppm: 0,
                    network: None,
                    resolver_networks: Vec::new(),
                    tested: ended,
                    worked: 0,
                    working_since: None,
                    left: None,
                };
                hear(&mut relay, seen, ended, total, false);
                Some(relay)
            }
        }
    }

    /// An incident goes by the key that most of its relays have now: operators join, part and change
    /// their contacts.
    fn rename(&mut self, keys: &BTreeMap<String, BTreeMap<&str, u32>>) {
        for (id, keys) in keys {
            let most = keys.iter().rev().max_by_key(|(_, count)| **count);
            let incident = self.incidents.get_mut(id);
            if let (
                Some((key, _)),
                Some(Incident { subject: IncidentSubject::Operator { operator }, .. }),
            ) = (most, incident)
                && operator != key
            {
                (*key).clone_into(operator);
            }
        }
    }

    /// Takes out the relays that nobody has tested any more, and ends what has no relay left.
    fn leave(&mut self, now: DateTime<Utc>, changes: &mut Changes) {
        let mut over = Vec::new();
        for incident in self.incidents.values_mut().filter(|one| one.is_open()) {
            if !matches!(incident.subject, IncidentSubject::Operator { .. }) {
                continue;
            }
            let mut gone = false;
            for relay in incident.relays.values_mut().filter(|relay| relay.left.is_none()) {
                if now - relay.tested > GONE_AFTER {
                    relay.left = Some(now);
                    gone = true;
                    changes.add(&incident.id, Happening::Changed);
                }
            }
            if incident.down().next().is_none() {
                incident.gone = gone;
                over.push(incident.id.clone());
            }
        }
        for id in over {
            self.close(&id, changes);
        }
    }

    /// Incidents of autonomous systems: several operators that began to fail at once.
    fn networks(&mut self, run: &RunSeen, side: NetworkSide, changes: &mut Changes) {
        type Operators<'a> = BTreeMap<&'a str, (DateTime<Utc>, Vec<Fingerprint>)>;
        let mut failing: BTreeMap<u32, Operators<'_>> = BTreeMap::new();
        for incident in self.incidents.values().filter(|one| one.is_open()) {
            let IncidentSubject::Operator { operator } = &incident.subject else { continue };
            for (fingerprint, relay) in incident.down() {
                for number in side.of(relay) {
                    let (since, relays) = failing
                        .entry(*number)
                        .or_default()
                        .entry(operator)
                        .or_insert_with(|| (relay.since, Vec::new()));
                    *since = relay.since.min(*since);
                    relays.push(*fingerprint);
                }
            }
        }
        let names: BTreeMap<u32, &str> = run
            .relays
            .iter()
            .flat_map(|seen| side.seen(seen))
            .map(|(number, name)| (*number, name.as_str()))
            .collect();
        let mut begin = Vec::new();
        let mut open: BTreeSet<u32> = BTreeSet::new();
        for (number, operators) in &failing {
            let mut since: Vec<DateTime<Utc>> =
                operators.values().map(|(since, _)| *since).collect();
            since.sort_unstable();
            let at_once = since
                .windows(OPERATORS_AT_ONCE)
                .find(|window| window[OPERATORS_AT_ONCE - 1] - window[0] <= STEADY);
            let name = names.get(number).copied().unwrap_or_default().to_owned();
            let subject = side.subject(*number, name);
            let is_open = self.open(&subject).is_some();
            if let Some(window) =
                at_once.filter(|window| is_open || run.ended - window[0] < STEADY * 2)
            {
                begin.push((subject, window[0], operators.len()));
                open.insert(*number);
            } else if is_open && operators.len() > 1 {
                open.insert(*number);
            }
        }
        for (subject, since, operators) in begin {
            let detail = side.detail(operators);
            self.begin(subject, since, Some(detail), changes);
        }
        let over: Vec<String> = self
            .incidents
            .values()
            .filter(|one| one.is_open())
            .filter(|one| side.number(&one.subject).is_some_and(|number| !open.contains(&number)))
            .map(|one| one.id.clone())
            .collect();
        for id in over {
            self.close(&id, changes);
        }
    }

    fn failure_rate(&mut self, run: &RunSeen, changes: &mut Changes) {
        let Some(percent) = run.failing_percent.filter(|percent| percent.is_finite()) else {
            return;
        };
        let bound = usual(&self.rates);
        let out = bound.is_some_and(|bound| percent > bound);
        self.unusual = match (out, self.unusual > 0) {
            (true, true) => self.unusual + 1,
            (true, false) => 1,
            (false, true) => -1,
            (false, false) => self.unusual.saturating_sub(1),
        };
        let runs = RUNS.cast_signed();
        if let Some(bound) = bound.filter(|_| self.unusual >= runs) {
            let detail = format!("{percent:.1} % of lookups fail; usual is up to {bound:.1} %");
            let is_new = self.open(&IncidentSubject::FailureRate).is_none();
            self.begin(IncidentSubject::FailureRate, run.ended, is_new.then_some(detail), changes);
        } else if self.unusual <= -runs {
            self.end(&IncidentSubject::FailureRate, changes);
        }
        self.rates.push_back(percent);
        if self.rates.len() > *USUAL.end() {
            self.rates.pop_front();
        }
    }
}

/// What a run says of a relay in trouble. Whether it leaves by that.
fn hear(
    relay: &mut AffectedRelay,
    seen: &RelaySeen,
    ended: DateTime<Utc>,
    total: u64,
    steady: bool,
) -> bool {
    relay.nickname.clone_from(&seen.nickname);
    relay.address = seen.address;
    relay.network = seen.network.as_ref().map(|(number, _)| *number);
    relay.resolver_networks = seen.resolver_networks.iter().map(|(number, _)| *number).collect();
    let ppm = (seen.weight.saturating_mul(1_000_000)).checked_div(total).unwrap_or(0);
    relay.weight_ppm = u32::try_from(ppm).unwrap_or(u32::MAX);
    match seen.word {
        Word::Nothing => return false,
        Word::Fails => {
            relay.failed += 1;
            relay.worked = 0;
            relay.working_since = None;
            if let Some(cause) = seen.cause {
                *relay.causes.entry(cause).or_default() += 1;
            }
        }
        Word::Works => {
            relay.worked += 1;
            relay.working_since.get_or_insert(ended);
        }
    }
    relay.tested = ended;
    let long_enough = !steady || relay.working_since.is_some_and(|since| ended - since >= STEADY);
    if relay.worked < RUNS || !long_enough {
        return false;
    }
    relay.left = Some(ended);
    true
}

/// A relay that had left is in trouble again.
fn rejoin(relay: &mut AffectedRelay, again: AffectedRelay) {
    let (since, failed) = (relay.since, relay.failed);
    let mut causes = std::mem::take(&mut relay.causes);
    for (cause, count) in &again.causes {
        *causes.entry(*cause).or_default() += count;
    }
    *relay = AffectedRelay { since, failed: failed + again.failed, causes, ..again };
}

/// The changes of one run: of several of one incident, the one that says most.
struct Changes {
    at: DateTime<Utc>,
    of: BTreeMap<String, Happening>,
}

impl Changes {
    fn add(&mut self, id: &str, happening: Happening) {
        let at = self.of.entry(id.to_owned()).or_insert(happening);
        let weight = |one: Happening| match one {
            Happening::Changed => 0,
            Happening::Reopened => 1,
            Happening::Opened => 2,
            Happening::Closed => 3,
        };
        if weight(happening) > weight(*at) {
            *at = happening;
        }
    }

    fn done(self) -> Vec<Change> {
        let at = self.at;
        let change = |(incident, happening)| Change { incident, happening, at };
        self.of.into_iter().map(change).collect()
    }
}

/// The upper bound of what is usual, in percent; `None` where too little is known.
fn usual(rates: &VecDeque<f64>) -> Option<f64> {
    if rates.len() < *USUAL.start() {
        return None;
    }
    let median_of = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let median = median_of(rates.iter().copied().collect());
    let spread = median_of(rates.iter().map(|rate| (rate - median).abs()).collect());
    Some(median + LEAST_RISE.max(spread * SPREADS))
}

fn id_of(key: &str, since: DateTime<Utc>) -> String {
    let digest = Sha256::digest(format!("{key}\n{}", since.timestamp()));
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{digits}", since.format("%Y-%m-%d"))
}

#[cfg(test)]
pub(crate) mod tests;
