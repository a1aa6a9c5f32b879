//! A run beside the zone's log: for each name that a scan asked for, whether the zone was ever asked, by whom,
//! and when. Names are unique, so they match without any clock; times are told only as far as the run's own
//! successes bound the difference of the two clocks.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use record::{Fingerprint, Millis, RelayResult, Status, ZoneFate};
use serde::Serialize;

use crate::answer::QueryTransport;
use crate::log::QueryLine;

/// Queries of one name that are kept one by one; the others are counted. A resolver asks for both families
/// of addresses, and some labels on the way.
const KEPT: usize = 32;

/// So long after an attempt a query is no retry of it any more: somebody else has the name.
const LATER: TimeDelta = TimeDelta::hours(1);

/// How far clocks may differ of which nothing is known.
const UNTOLD: TimeDelta = TimeDelta::minutes(10);

/// What is known of one name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NameAtZone {
    /// The name.
    pub name: String,
    /// The number of the attempt that asked for it.
    pub attempt: u32,
    /// What the attempt alone says.
    pub status: Status,
    /// When the exit could be asked, by the scanner's clock: the circuit was there.
    pub started: DateTime<Utc>,
    /// When it was over.
    pub ended: DateTime<Utc>,
    /// What came of it, as the zone saw it.
    pub fate: ZoneFate,
    /// The queries, in the order of the log; 32 at most.
    pub queries: Vec<QueryAtZone>,
    /// How many there were.
    pub asked: u64,
}

/// A query for one of the run's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueryAtZone {
    /// When, by the zone's clock.
    pub time: DateTime<Utc>,
    /// Who asked.
    pub address: IpAddr,
    /// How; none where the log does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<QueryTransport>,
    /// For what.
    #[serde(rename = "type")]
    pub record_type: String,
    /// The answer's code; none where the log does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Whether the answer had an address; taken for true where the log does not say.
    pub data: bool,
}

/// By how much the zone's clock is ahead of the scanner's, between these bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ClockOffset {
    /// At least, in milliseconds.
    pub least_ms: i64,
    /// At most, in milliseconds.
    pub most_ms: i64,
}

/// A run and the zone's log, joined.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Correlation {
    /// What the run's successes say of the clocks; none where they contradict each other, or there are none.
    pub clock_offset: Option<ClockOffset>,
    /// Names of the run.
    pub names: u64,
    /// Those that the zone was asked for.
    pub names_seen: u64,
    /// What the relays call themselves: strangers' words.
    pub nicknames: BTreeMap<Fingerprint, String>,
    /// Of each relay, its names in the order of its attempts.
    pub relays: BTreeMap<Fingerprint, Vec<NameAtZone>>,
    /// Of each relay for whose names somebody asked, whether the name above them was asked for as well: that
    /// is how a resolver asks that tells servers no more of a name than they need (RFC 9156).
    pub minimises: BTreeMap<Fingerprint, bool>,
    /// Names that were asked for again more than an hour after their attempt, and by whom.
    pub asked_again: BTreeMap<String, BTreeSet<IpAddr>>,
}

/// Takes in a run, then the log's lines, then says what comes of both.
#[derive(Debug, Default)]
pub struct Correlator {
    /// Where each name is, in lower case and without its last dot.
    places: HashMap<String, (Fingerprint, usize)>,
    /// How these names begin.
    beginnings: HashSet<u64>,
    nicknames: BTreeMap<Fingerprint, String>,
    relays: BTreeMap<Fingerprint, Vec<NameAtZone>>,
    /// The names above those of the run, and whose those are; none where they are several relays'.
    above: HashMap<String, Option<Fingerprint>>,
    /// When such a name was asked for, the first times.
    asked_above: HashMap<Fingerprint, Vec<DateTime<Utc>>>,
}

impl Correlator {
    /// When the first attempt began; none of a run without any.
    #[must_use]
    pub fn began(&self) -> Option<DateTime<Utc>> {
        self.relays.values().flatten().map(|name| name.started).min()
    }

    /// Takes in a relay's result.
    pub fn result(&mut self, result: RelayResult) {
        let relay = result.exit_fingerprint;
        self.nicknames.insert(relay, result.exit_nickname);
        for attempt in &result.attempts {
            let built = attempt.timing.circuit_ms.map_or(0.0, Millis::get);
            let started =
                attempt.started + Duration::try_from_secs_f64(built / 1e3).unwrap_or_default();
            for query in &attempt.queries {
                let name = query.name.trim_end_matches('.').to_ascii_lowercase();
                // A second lookup of a name, as for its IPv6 address, or a connection to it.
                if self.places.contains_key(&name) || name.parse::<std::net::SocketAddr>().is_ok() {
                    continue;
                }
                self.beginnings.insert(beginning(name.as_bytes()));
                self.name_above(&name, relay);
                let names = self.relays.entry(relay).or_default();
                self.places.insert(name.clone(), (relay, names.len()));
                names.push(NameAtZone {
                    name,
                    attempt: attempt.number,
                    status: attempt.status,
                    started: started.min(attempt.ended),
                    ended: attempt.ended,
                    fate: ZoneFate::NeverAsked,
                    queries: Vec::new(),
                    asked: 0,
                });
            }
        }
    }

    /// Remembers the name above one of a relay's.
    fn name_above(&mut self, name: &str, relay: Fingerprint) {
        let Some((_, above)) = name.split_once('.') else { return };
        self.beginnings.insert(beginning(above.as_bytes()));
        self.beginnings.insert(beginning(format!("_.{above}").as_bytes()));
        let whose = self.above.entry(above.to_owned()).or_insert(Some(relay));
        *whose = whose.filter(|known| *known == relay);
    }

    /// Takes in a line of the log, as it was read. What is no query of the run is passed over.
    pub fn line(&mut self, line: &[u8]) {
        // Most lines of a long log are of other runs: only those of this one are read whole.
        if !self.may_be_ours(line) {
            return;
        }
        let Ok(line) = serde_json::from_slice::<QueryLine>(line) else { return };
        let Some(name) = &line.seen.name else { return };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let Some((relay, at)) = self.places.get(&name) else {
            // BIND asks for a name below the one above.
            let above = self.above.get(name.strip_prefix("_.").unwrap_or(&name));
            if let Some(Some(relay)) = above {
                let times = self.asked_above.entry(*relay).or_default();
                if times.len() < KEPT {
                    times.push(line.time);
                }
            }
            return;
        };
        let Some(known) = self.relays.get_mut(relay).and_then(|names| names.get_mut(*at)) else {
            return;
        };
        known.asked += 1;
        if known.queries.len() < KEPT {
            known.queries.push(QueryAtZone {
                time: line.time,
                address: line.address,
                transport: line.transport,
                record_type: line.seen.record_type.unwrap_or_default(),
                answer: line.seen.answer,
                data: line.seen.data.unwrap_or(true),
            });
        }
    }

    /// Whether the name in a line, as it stands there, begins as one of the run's does. Names of a scan have
    /// nothing that JSON writes otherwise.
    fn may_be_ours(&self, line: &[u8]) -> bool {
        const KEY: &[u8] = b"\"name\":\"";
        memchr::memmem::find(line, KEY)
            .is_some_and(|at| self.beginnings.contains(&beginning(&line[at + KEY.len()..])))
    }

    /// What comes of it.
    #[must_use]
    pub fn finish(mut self) -> Correlation {
        let all = || self.relays.values().flatten();
        let clock_offset = clock_offset(all());
        let (names, names_seen) = (all().count(), all().filter(|name| name.asked > 0).count());
        let mut asked_again: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
        for name in all() {
            let later = name.queries.iter().filter(|query| query.time - name.ended > LATER);
            let by: BTreeSet<IpAddr> = later.map(|query| query.address).collect();
            if !by.is_empty() {
                asked_again.insert(name.name.clone(), by);
            }
        }
        let minimises = self.minimises(clock_offset);
        for name in self.relays.values_mut().flatten() {
            name.fate = fate(name, clock_offset);
        }
        Correlation {
            clock_offset,
            names: names as u64,
            names_seen: names_seen as u64,
            nicknames: self.nicknames,
            relays: self.relays,
            minimises,
            asked_again,
        }
    }

    /// Whose resolvers ask for the names above first. Every run has those: only what was asked while this
    /// one was under way is of it.
    fn minimises(&self, offset: Option<ClockOffset>) -> BTreeMap<Fingerprint, bool> {
        let all = || self.relays.values().flatten();
        let slack = offset.map_or((-UNTOLD, UNTOLD), |offset| {
            let (least, most) = (offset.least_ms, offset.most_ms);
            (TimeDelta::milliseconds(least), TimeDelta::milliseconds(most))
        });
        let from = all().map(|name| name.started + slack.0).min();
        let to = all().map(|name| name.ended + slack.1).max();
        let Some((from, to)) = from.zip(to) else { return BTreeMap::new() };
        let asked = self.relays.iter().filter(|(_, names)| names.iter().any(|name| name.asked > 0));
        asked
            .map(|(relay, _)| {
                let times = self.asked_above.get(relay).into_iter().flatten();
                (*relay, times.into_iter().any(|time| (from..=to).contains(time)))
            })
            .collect()
    }
}

/// The first eight characters of a name, in lower case: of a scan's names, 32 random bits.
fn beginning(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (byte, of_name) in bytes.iter_mut().zip(name) {
        *byte = of_name.to_ascii_lowercase();
    }
    u64::from_le_bytes(bytes)
}

/// What the successes say of the clocks: each was asked while its attempt was under way.
fn clock_offset<'a>(names: impl Iterator<Item = &'a NameAtZone>) -> Option<ClockOffset> {
    let mut bounds: Option<(TimeDelta, TimeDelta)> = None;
    for name in names.filter(|name| name.status == Status::Success) {
        let Some(query) = name.queries.iter().find(|query| query.data) else { continue };
        let (least, most) = (query.time - name.ended, query.time - name.started);
        bounds = Some(bounds.map_or((least, most), |(low, high)| (low.max(least), high.min(most))));
    }
    let (least, most) = bounds?;
    let (least_ms, most_ms) = (least.num_milliseconds(), most.num_milliseconds());
    (least <= most).then_some(ClockOffset { least_ms, most_ms })
}

/// How long after the exit could be asked the first query for a name came, at most, in milliseconds; none
/// where none came, or the clocks do not tell.
#[must_use]
pub fn first_within(name: &NameAtZone, offset: Option<ClockOffset>) -> Option<Millis> {
    let first = name.queries.iter().map(|query| query.time).min()?;
    let passed = first - name.started - TimeDelta::milliseconds(offset?.least_ms);
    Some(passed.to_std().unwrap_or_default().into())
}

fn fate(name: &NameAtZone, offset: Option<ClockOffset>) -> ZoneFate {
    if name.queries.is_empty() {
        return ZoneFate::NeverAsked;
    }
    if name.status == Status::Success {
        return ZoneFate::Answered;
    }
    let Some(ClockOffset { least_ms, most_ms }) = offset else { return ZoneFate::Asked };
    // When the attempt was over, by the zone's clock.
    let (least, most) = (TimeDelta::milliseconds(least_ms), TimeDelta::milliseconds(most_ms));
    let data = || name.queries.iter().filter(|query| query.data);
    if data().any(|query| query.time <= name.ended + least) {
        ZoneFate::AnswerLost
    } else if name.queries.iter().all(|query| query.time > name.ended + most) {
        ZoneFate::AskedLate
    } else {
        ZoneFate::Asked
    }
}

/// Who asked for the names of each relay's successes and failures: the resolvers behind it.
#[must_use]
pub fn resolvers(names: &[NameAtZone]) -> BTreeSet<IpAddr> {
    let in_time = names
        .iter()
        .flat_map(|name| name.queries.iter().filter(|query| query.time - name.ended <= LATER));
    in_time.map(|query| query.address).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_767_225_600_000 + ms).unwrap()
    }

    fn name(at_relay: u8, status: Status, started: i64, ended: i64) -> (Fingerprint, NameAtZone) {
        let relay = Fingerprint::from_bytes([at_relay; 20]);
        let name = NameAtZone {
            name: format!("aaaa{at_relay:04x}.{at_relay:08x}.z.example.org"),
            attempt: 1,
            status,
            started: at(started),
            ended: at(ended),
            fate: ZoneFate::NeverAsked,
            queries: Vec::new(),
            asked: 0,
        };
        (relay, name)
    }

    fn correlator(names: Vec<(Fingerprint, NameAtZone)>) -> Correlator {
        let mut correlator = Correlator::default();
        for (relay, name) in names {
            correlator.beginnings.insert(beginning(name.name.as_bytes()));
            correlator.name_above(&name.name, relay);
            correlator.places.insert(name.name.clone(), (relay, 0));
            correlator.relays.insert(relay, vec![name]);
        }
        correlator
    }

    fn line(at_relay: u8, ms: i64, data: bool) -> Vec<u8> {
        let time = at(ms);
        let name = format!("AAAA{at_relay:04X}.{at_relay:08X}.Z.example.org.");
        serde_json::json!({
            "time": time, "address": format!("192.0.2.{at_relay}"), "port": 1, "transport": "udp",
            "name": name, "type": "A", "flags": [], "answer": "NOERROR", "data": data,
        })
        .to_string()
        .into_bytes()
    }

    fn line_of(name: &str, ms: i64) -> Vec<u8> {
        serde_json::json!({
            "time": at(ms), "address": "192.0.2.9", "port": 1, "transport": "udp",
            "name": name, "type": "A", "flags": [], "answer": "NOERROR", "data": false,
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn each_lookup_s_fate_is_told_as_far_as_the_clocks_allow() {
        let mut correlator = correlator(vec![
            name(1, Status::Success, 0, 1000),
            name(2, Status::Success, 5000, 5400),
            name(3, Status::Timeout, 10_000, 20_000),
            name(4, Status::Timeout, 10_000, 20_000),
            name(5, Status::DnsFail, 10_000, 20_000),
            name(6, Status::DnsFail, 10_000, 20_000),
            name(7, Status::Timeout, 10_000, 20_000),
        ]);
        // The zone's clock is a minute ahead: the successes say between 59.9 and 60.3 s.
        for (relay, ms, data) in [
            (1, 60_500, true),
            (2, 65_300, true),
            (4, 71_000, true),
            (5, 85_000, true),
            (6, 71_000, false),
            (7, 80_100, true),
            // Two hours later, by whoever.
            (1, 7_300_000, true),
        ] {
            correlator.line(&line(relay, ms, data));
        }
        // The names above: of relay 4 in time, by BIND's way; of relay 5 in another run.
        for (name, ms) in
            [("_.00000004.z.example.org", 70_900), ("00000005.z.example.org", 9_000_000)]
        {
            correlator.line(&line_of(name, ms));
        }
        let done = correlator.finish();
        assert_eq!(done.clock_offset, Some(ClockOffset { least_ms: 59_900, most_ms: 60_300 }));
        assert_eq!((done.names, done.names_seen), (7, 6));
        let fates: Vec<ZoneFate> = done.relays.values().map(|names| names[0].fate).collect();
        assert_eq!(
            fates,
            [
                ZoneFate::Answered,
                ZoneFate::Answered,
                ZoneFate::NeverAsked,
                ZoneFate::AnswerLost,
                ZoneFate::AskedLate,
                ZoneFate::Asked,
                ZoneFate::Asked,
            ]
        );
        assert_eq!(
            done.asked_again.keys().collect::<Vec<_>>(),
            ["aaaa0001.00000001.z.example.org"]
        );
        let first = &done.relays[&Fingerprint::from_bytes([1; 20])];
        assert_eq!(resolvers(first), BTreeSet::from([IpAddr::from([192, 0, 2, 1])]));
        assert_eq!(first[0].asked, 2);
        let minimise = done.minimises.iter().filter(|(_, does)| **does);
        assert_eq!(minimise.map(|(relay, _)| relay.as_bytes()[0]).collect::<Vec<_>>(), [4]);
        assert_eq!(done.minimises.len(), 6, "of relay 3 nothing was asked");
        let within = |n: u8| {
            first_within(&done.relays[&Fingerprint::from_bytes([n; 20])][0], done.clock_offset)
        };
        let within = (3..=5).map(|n| within(n).map(Millis::get)).collect::<Vec<_>>();
        assert_eq!(within, [None, Some(1100.0), Some(15_100.0)]);
    }

    #[test]
    fn clocks_that_contradict_themselves_tell_nothing() {
        let mut correlator = correlator(vec![
            name(1, Status::Success, 0, 1000),
            name(2, Status::Success, 5000, 6000),
            name(3, Status::Timeout, 10_000, 20_000),
        ]);
        // The clock was set in between.
        correlator.line(&line(1, 500, true));
        correlator.line(&line(2, 65_500, true));
        correlator.line(&line(3, 71_000, true));
        let done = correlator.finish();
        assert_eq!(done.clock_offset, None);
        assert_eq!(done.relays[&Fingerprint::from_bytes([3; 20])][0].fate, ZoneFate::Asked);
    }

    #[test]
    fn a_name_that_is_asked_for_without_end_takes_no_more_memory() {
        let mut correlator = correlator(vec![name(1, Status::Success, 0, 1000)]);
        for ms in 0..1000 {
            correlator.line(&line(1, ms, true));
        }
        let done = correlator.finish();
        let names = &done.relays[&Fingerprint::from_bytes([1; 20])];
        assert_eq!((names[0].queries.len(), names[0].asked), (KEPT, 1000));
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..100),
            at in any::<usize>(),
            byte in any::<u8>(),
        ) {
            let mut correlator = correlator(vec![name(1, Status::Success, 0, 1000)]);
            correlator.line(&bytes);
            bytes = line(1, 500, true);
            let at = at % bytes.len();
            bytes[at] = byte;
            correlator.line(&bytes);
            let _ = correlator.finish();
        }
    }
}
