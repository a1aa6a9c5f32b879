//! The relays behind a simulated tor, and what becomes of each circuit and each question. Pure: all
//! chance comes from a seed and from how often a relay has been asked, never from when.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use record::{CheckName, Fingerprint};

use crate::Fault;
use crate::fault::{EXIT_GIVES_UP_AFTER, SLOW_FAILURE, SLOW_ROUND_TRIP};
use crate::zone::{
    EXPECTED_ADDRESS, EXPECTED_ADDRESS_V6, FILTER_ADDRESS, OTHER_ADDRESS, check_of, exists,
};

/// What goes wrong by chance, though nobody is at fault: shares of 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// First hops that are down all the time.
    pub first_hops_down: f64,
    /// Circuits whose first hop fails this once.
    pub first_hop_fails: f64,
    /// Circuits whose first hop does not get through to the exit.
    pub exit_unreachable: f64,
    /// Circuits that come to nothing without a word, past the first hop.
    pub stalls: f64,
    /// Circuits that take seconds.
    pub slow_circuits: f64,
    /// Circuits that are destroyed when a name is asked for.
    pub dies_in_query: f64,
    /// Lookups that nobody answers.
    pub unanswered: f64,
    /// Lookups that the exit's resolver fails once.
    pub servfail: f64,
    /// Lookups for which the exit waits in vain once.
    pub resolver_silent: f64,
    /// Lookups that take long, and are answered.
    pub late: f64,
}

impl Noise {
    /// None.
    pub const NONE: Self = Self {
        first_hops_down: 0.0,
        first_hop_fails: 0.0,
        exit_unreachable: 0.0,
        stalls: 0.0,
        slow_circuits: 0.0,
        dies_in_query: 0.0,
        unanswered: 0.0,
        servfail: 0.0,
        resolver_silent: 0.0,
        late: 0.0,
    };

    /// That of the public network. 43 published scans of January 2026 that tried each exit once found
    /// 13.5 % unreachable (79 % of those by a closed channel), 0.7 % without an answer and 1.1 %
    /// failing, of which 0.7 % failed in every scan; first hops among stable, fast guards failed 1.6 %.
    pub const LIVE: Self = Self {
        first_hops_down: 0.01,
        first_hop_fails: 0.006,
        exit_unreachable: 0.107,
        stalls: 0.012,
        slow_circuits: 0.05,
        dies_in_query: 0.003,
        unanswered: 0.006,
        servfail: 0.002,
        resolver_silent: 0.002,
        late: 0.03,
    };
}

/// What becomes of a circuit of two relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// The first hop cannot be reached.
    FirstHopFails(Duration),
    /// The first hop answers after the first time, and says after the second that the exit cannot be
    /// reached.
    ExitFails(Duration, Duration, &'static str),
    /// The first hop answers, and nothing else comes.
    Stalls(Duration),
    /// Each hop answers after its time.
    Built(Duration, Duration),
}

/// What an exit makes of a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saying {
    /// It resolves to these.
    Addresses(Option<Ipv4Addr>, Option<Ipv6Addr>),
    /// It resolves to an address that a client of the public network does not pass on.
    Private,
    /// The permanent error.
    Permanent,
    /// The transient error.
    Transient,
    /// Nothing.
    Nothing,
    /// Nothing, and the exit is frozen for a while.
    Freezes,
    /// Its links to other relays break.
    CutLinks,
    /// The circuit breaks.
    Destroyed,
}

/// How the zone is whose names are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// It gives its own address.
    Well,
    /// One half of its answers are NXDOMAIN, of the other half nothing can be made.
    Broken,
    /// It gives one of four addresses, none of them its own.
    Parked,
}

/// One relay.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedRelay {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) nickname: String,
    pub(crate) address: Ipv4Addr,
    /// None where it is a first hop.
    pub(crate) fault: Option<Fault>,
    /// The relays of its operator, itself included: a range of indices.
    pub(crate) family: (usize, usize),
    pub(crate) bandwidth: u64,
    /// The share of lookups that its resolver fails, whatever its fault.
    pub(crate) failing: f64,
}

/// A network of relays that exist on paper only.
#[derive(Debug, Clone)]
pub struct SimulatedNetwork {
    seed: u64,
    noise: Noise,
    zone_takes_connections: bool,
    zone: Zone,
    relays: Vec<SimulatedRelay>,
    index: HashMap<Fingerprint, usize>,
}

/// What a number is drawn for, so that no two draws are the same.
#[derive(Debug, Clone, Copy)]
enum Of {
    Fingerprint = 1,
    Address,
    Bandwidth,
    Family,
    Down,
    Course,
    Time,
    Reason,
    Answer,
    Late,
    Failing,
    Zone,
    Resolver,
}

/// A round trip from this host to a relay and back, at least and at most. Those of the public network
/// are ten times as long; nothing here depends on it, and a test has not that much time.
const ROUND_TRIP_MS: (f64, f64) = (4.0, 30.0);

/// How long a slow circuit takes.
const SLOW_CIRCUIT_MS: (f64, f64) = (300.0, 2_500.0);

/// How long a late answer takes: less than an exit waits for its resolver.
const LATE_MS: (f64, f64) = (200.0, 1_800.0);

impl SimulatedNetwork {
    /// A network of one exit for each of these faults, and of so many first hops.
    #[must_use]
    pub fn new(exits: &[Fault], first_hops: usize, noise: Noise, seed: u64) -> Self {
        let faults = exits.iter().map(|fault| Some(*fault)).chain(vec![None; first_hops]);
        let mut network = Self {
            seed,
            noise,
            zone_takes_connections: false,
            zone: Zone::Well,
            relays: Vec::new(),
            index: HashMap::new(),
        };
        let mut family = (0, 0);
        for (index, fault) in faults.enumerate() {
            if index >= family.1 {
                // Most operators have one relay, some have many.
                let [alone, size, ..] = network.bits(Of::Family, index, 0).to_be_bytes();
                let size = if alone < 150 { 1 } else { 1 + usize::from(size % 8) };
                family = (index, index + size);
            }
            let relay = network.relay(index, fault, family);
            network.index.insert(relay.fingerprint, index);
            network.relays.push(relay);
        }
        let all = network.relays.len();
        for relay in &mut network.relays {
            relay.family.1 = relay.family.1.min(all);
        }
        network
    }

    fn relay(&self, index: usize, fault: Option<Fault>, family: (usize, usize)) -> SimulatedRelay {
        let mut bytes = [0; 20];
        for (part, chunk) in bytes.chunks_mut(8).enumerate() {
            let drawn = self.bits(Of::Fingerprint, index, part).to_be_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
        let address = self.bits(Of::Address, index, 0).to_be_bytes();
        let kind = fault.map_or("firsthop", |fault| fault.name());
        SimulatedRelay {
            fingerprint: Fingerprint::from_bytes(bytes),
            // At most 19 letters and digits.
            nickname: format!("{kind:.13}{index}"),
            // Public ones: 64 to 95 before everything else.
            address: Ipv4Addr::new(64 + (address[0] & 31), address[1], address[2], address[3]),
            fault,
            family,
            bandwidth: 1_000 + self.bits(Of::Bandwidth, index, 0) % 50_000,
            failing: 0.0,
        }
    }

    /// The same with a host at the zone's own address that takes connections.
    #[must_use]
    pub fn with_a_zone_that_answers(self) -> Self {
        Self { zone_takes_connections: true, ..self }
    }

    /// The zone is like this from now on.
    pub(crate) const fn set_zone(&mut self, zone: Zone) {
        self.zone = zone;
    }

    /// An exit has this fault from now on.
    pub(crate) fn set_fault(&mut self, exit: usize, fault: Fault) {
        self.relays[exit].fault = Some(fault);
    }

    /// An exit's resolver fails this share of its lookups from now on.
    pub(crate) fn set_failing(&mut self, exit: usize, share: f64) {
        self.relays[exit].failing = share;
    }

    pub(crate) const fn zone_takes_connections(&self) -> bool {
        self.zone_takes_connections
    }

    /// The exits, each with its fault.
    pub fn exits(&self) -> impl Iterator<Item = (Fingerprint, Fault)> {
        self.relays.iter().filter_map(|relay| Some((relay.fingerprint, relay.fault?)))
    }

    /// The first hops.
    pub fn first_hops(&self) -> impl Iterator<Item = Fingerprint> {
        self.relays.iter().filter(|relay| relay.fault.is_none()).map(|relay| relay.fingerprint)
    }

    pub(crate) fn relays(&self) -> &[SimulatedRelay] {
        &self.relays
    }

    pub(crate) fn find(&self, relay: &Fingerprint) -> Option<usize> {
        self.index.get(relay).copied()
    }

    /// What becomes of the `nth` circuit to this exit, by this first hop.
    pub(crate) fn course(&self, first_hop: usize, exit: usize, nth: usize) -> Course {
        let noise = &self.noise;
        let (first, mut second) = (self.round_trip(first_hop, nth), self.round_trip(exit, nth));
        if self.draw(Of::Down, first_hop, 0) < noise.first_hops_down {
            return Course::FirstHopFails(first);
        }
        let mut happens = shares(self.draw(Of::Course, exit, nth));
        if happens(noise.first_hop_fails) {
            return Course::FirstHopFails(first);
        }
        match self.relays[exit].fault {
            // What is wrong with the way to these is scripted.
            Some(Fault::Dead) => return Course::ExitFails(first, second, "CHANNEL_CLOSED"),
            Some(Fault::Frozen) => return Course::Stalls(first),
            Some(Fault::BreaksOff | Fault::Vanishes | Fault::FreezesInQuery) => {
                return Course::Built(first, second);
            }
            // A new link takes three.
            Some(Fault::SlowPath) => return Course::Built(first, second * 3),
            _ => {}
        }
        if happens(noise.exit_unreachable) {
            let closed = self.draw(Of::Reason, exit, nth) < 0.9;
            let reason = if closed { "CHANNEL_CLOSED" } else { "CONNECTFAILED" };
            return Course::ExitFails(first, second, reason);
        }
        if happens(noise.stalls) {
            return Course::Stalls(first);
        }
        if happens(noise.slow_circuits) {
            second = milliseconds(from_share(self.draw(Of::Reason, exit, nth), SLOW_CIRCUIT_MS));
        }
        Course::Built(first, second)
    }

    /// A round trip to a relay, by a circuit or a link that is there.
    pub(crate) fn round_trip(&self, relay: usize, nth: usize) -> Duration {
        let more = match self.relays[relay].fault {
            Some(Fault::SlowPath) => SLOW_ROUND_TRIP,
            _ => Duration::ZERO,
        };
        more + milliseconds(from_share(self.draw(Of::Time, relay, nth), ROUND_TRIP_MS))
    }

    /// What an exit makes of the `nth` name that it is asked for, and after how long. `anew`: how many
    /// lookups it has had in all; the chance of each is its own.
    pub(crate) fn lookup(
        &self,
        exit: usize,
        name: &str,
        nth: usize,
        anew: usize,
    ) -> (Saying, Duration) {
        let path = self.round_trip(exit, anew);
        let Some(fault) = self.relays[exit].fault else { return (Saying::Permanent, path) };
        if self.draw(Of::Failing, exit, anew) < self.relays[exit].failing {
            return (Saying::Transient, path);
        }
        let (saying, resolver) = by_fault(fault, nth);
        let saying = self.by_zone(saying, exit, anew);
        if fault == Fault::RewritesNxdomain && !exists(name) {
            return (Saying::Addresses(Some(OTHER_ADDRESS), None), path + resolver);
        }
        if !exists(name)
            && matches!(saying, Saying::Addresses(Some(EXPECTED_ADDRESS | FILTER_ADDRESS), _))
        {
            return (Saying::Permanent, path + resolver);
        }
        let (saying, resolver) = match fault {
            Fault::Correct | Fault::CorrectIpv6 if self.zone == Zone::Well => {
                self.by_chance(exit, anew).unwrap_or((saying, resolver))
            }
            _ => (saying, resolver),
        };
        if let (Saying::Addresses(Some(EXPECTED_ADDRESS), _), Some(check)) =
            (saying, check_of(name))
        {
            let (saying, more) = self.checked(exit, check);
            return (saying, path + resolver + more);
        }
        (saying, path + resolver)
    }

    /// What an exit that is well makes of a name of the checks zone: its resolver validates and asks by TCP,
    /// and has no IPv6.
    fn checked(&self, exit: usize, check: CheckName) -> (Saying, Duration) {
        let [_, _, _, host, ..] = self.bits(Of::Resolver, exit, 0).to_be_bytes();
        let saying = match check {
            CheckName::Who => Saying::Addresses(Some(Ipv4Addr::new(198, 51, 100, host)), None),
            CheckName::Signed | CheckName::Tcp => right(false),
            CheckName::Bogus => Saying::Transient,
            CheckName::Who6 | CheckName::V6 => return (Saying::Transient, EXIT_GIVES_UP_AFTER),
        };
        (saying, Duration::ZERO)
    }

    /// What becomes of the zone's own answer, as the zone is.
    fn by_zone(&self, saying: Saying, exit: usize, anew: usize) -> Saying {
        let [drawn, ..] = self.bits(Of::Zone, exit, anew).to_be_bytes();
        match (self.zone, saying) {
            (Zone::Broken, Saying::Addresses(Some(EXPECTED_ADDRESS), _)) if drawn < 128 => {
                Saying::Permanent
            }
            (Zone::Broken, Saying::Addresses(Some(EXPECTED_ADDRESS), _)) => Saying::Transient,
            (Zone::Parked, Saying::Addresses(Some(EXPECTED_ADDRESS), _)) => {
                Saying::Addresses(Some(Ipv4Addr::new(203, 0, 113, 100 + drawn % 4)), None)
            }
            _ => saying,
        }
    }

    /// What goes wrong with this lookup though the exit is well.
    fn by_chance(&self, exit: usize, anew: usize) -> Option<(Saying, Duration)> {
        let noise = &self.noise;
        let mut happens = shares(self.draw(Of::Answer, exit, anew));
        if happens(noise.dies_in_query) {
            return Some((Saying::Destroyed, Duration::ZERO));
        }
        if happens(noise.unanswered) {
            return Some((Saying::Nothing, Duration::ZERO));
        }
        if happens(noise.servfail) {
            return Some((Saying::Transient, Duration::ZERO));
        }
        if happens(noise.resolver_silent) {
            return Some((Saying::Transient, EXIT_GIVES_UP_AFTER));
        }
        happens(noise.late).then(|| {
            let late = milliseconds(from_share(self.draw(Of::Late, exit, anew), LATE_MS));
            let ipv6 = self.relays[exit].fault.is_some_and(|fault| fault.ipv6());
            (right(ipv6), late)
        })
    }

    /// A share of 1, the same for the same question.
    fn draw(&self, of: Of, relay: usize, nth: usize) -> f64 {
        // 53 bits, as many as the type holds.
        (self.bits(of, relay, nth) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// SplitMix64 (Steele, Lea, Flood 2014) over the seed and what is asked for.
    fn bits(&self, of: Of, relay: usize, nth: usize) -> u64 {
        [of as u64, relay as u64, nth as u64].into_iter().fold(self.seed, |state, part| {
            let mut z = (state ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93))
                .wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        })
    }
}

/// Says of shares of chance, one after the other, whether the draw falls into them.
fn shares(mut draw: f64) -> impl FnMut(f64) -> bool {
    move |share| {
        let hit = (0.0..share).contains(&draw);
        draw -= share;
        hit
    }
}

fn from_share(share: f64, (least, most): (f64, f64)) -> f64 {
    least + share * (most - least)
}

fn milliseconds(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1e3)
}

fn right(ipv6: bool) -> Saying {
    Saying::Addresses(Some(EXPECTED_ADDRESS), ipv6.then_some(EXPECTED_ADDRESS_V6))
}

/// What an exit with this fault makes of the `nth` name, and how long its resolver takes. Tor tells no
/// more of it: see `docs/verdicts.md`.
fn by_fault(fault: Fault, nth: usize) -> (Saying, Duration) {
    let saying = match fault {
        Fault::Correct
        | Fault::RightAddressFirst
        | Fault::CorrectIpv6
        | Fault::Ipv6Policy
        | Fault::OneServerSilent
        | Fault::FamilyByKey
        | Fault::Replays
        | Fault::RewritesNxdomain
        | Fault::Real(_) => right(fault.ipv6()),
        Fault::FailsAaaa => right(false),
        // An exit asks for both families, and waits for both.
        Fault::DropsAaaa => return (right(false), EXIT_GIVES_UP_AFTER),
        Fault::FilterPage => Saying::Addresses(Some(FILTER_ADDRESS), None),
        Fault::OtherAddress | Fault::WrongAddressFirst => {
            Saying::Addresses(Some(OTHER_ADDRESS), None)
        }
        Fault::RightThenWrong if nth > 0 => Saying::Addresses(Some(OTHER_ADDRESS), None),
        Fault::RightThenWrong => right(false),
        Fault::PrivateAddress => Saying::Private,
        Fault::Nxdomain
        | Fault::Refused
        | Fault::Empty
        | Fault::AaaaOnly
        | Fault::HijackNoticed
        | Fault::ExitsNoLonger => Saying::Permanent,
        Fault::BrokenThenRight if nth > 0 => right(false),
        Fault::Servfail | Fault::Truncated | Fault::Garbage | Fault::BrokenThenRight => {
            Saying::Transient
        }
        Fault::SlowPath => return (Saying::Transient, SLOW_FAILURE * 2),
        Fault::WrongId | Fault::Silent | Fault::LosesAnswers | Fault::AsksLate => {
            return (Saying::Transient, EXIT_GIVES_UP_AFTER);
        }
        Fault::Slow(delay) if delay < EXIT_GIVES_UP_AFTER => return (right(false), delay),
        Fault::Slow(_) => return (Saying::Transient, EXIT_GIVES_UP_AFTER),
        Fault::FreezesInQuery => Saying::Freezes,
        Fault::Vanishes if nth < 2 => Saying::Transient,
        Fault::BreaksOff | Fault::Vanishes => Saying::CutLinks,
        // No circuit ends there.
        Fault::Frozen | Fault::Dead => Saying::Nothing,
    };
    (saying, Duration::ZERO)
}

/// The address of the family asked for.
pub(crate) fn of_family(
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
    wants_v6: bool,
) -> Option<IpAddr> {
    if wants_v6 { v6.map(IpAddr::V6) } else { v4.map(IpAddr::V4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_the_seeds_and_as_often_as_it_says() {
        let network = |seed| SimulatedNetwork::new(&[Fault::Correct; 500], 100, Noise::LIVE, seed);
        let (one, same, other) = (network(1), network(1), network(2));
        let courses = |network: &SimulatedNetwork| -> Vec<Course> {
            (0..500)
                .flat_map(|exit| (0..20).map(move |nth| (exit, nth)))
                .map(|(exit, nth)| network.course(500 + (exit + nth) % 100, exit, nth))
                .collect()
        };
        assert_eq!(courses(&one), courses(&same));
        assert_ne!(courses(&one), courses(&other));
        let share = |fits: fn(&Course) -> bool| {
            courses(&one).iter().filter(|course| fits(course)).count() as f64 / 10_000.0
        };
        let unreachable = share(|course| matches!(course, Course::ExitFails(..)));
        assert!((unreachable - Noise::LIVE.exit_unreachable).abs() < 0.015, "{unreachable}");
        let stalls = share(|course| matches!(course, Course::Stalls(_)));
        assert!((stalls - Noise::LIVE.stalls).abs() < 0.005, "{stalls}");
        let built = share(|course| matches!(course, Course::Built(..)));
        assert!((0.83..0.90).contains(&built), "{built}");
    }

    #[test]
    fn without_noise_every_exit_does_what_its_script_says() {
        let network = SimulatedNetwork::new(&Fault::ALL, 3, Noise::NONE, 7);
        let name = format!("a.{}", crate::zone::WILDCARD_DOMAIN);
        for (exit, fault) in Fault::ALL.into_iter().enumerate() {
            let course = network.course(Fault::ALL.len(), exit, 0);
            let built = matches!(course, Course::Built(..));
            assert_eq!(built, !matches!(fault, Fault::Dead | Fault::Frozen), "{fault:?}");
            let (saying, after) = network.lookup(exit, &name, 0, 0);
            let silent = fault.truth(record::Mode::Wildcard).error_code
                == Some(record::ErrorCode::ResolverTimeout);
            assert_eq!(silent, saying == Saying::Transient && after >= EXIT_GIVES_UP_AFTER);
            let (no_name, _) = network.lookup(exit, "a.invalid", 0, 0);
            let resolves = matches!(no_name, Saying::Addresses(Some(EXPECTED_ADDRESS), _));
            assert!(!resolves, "{fault:?}");
            let of_check = |label: &str| {
                network.lookup(exit, &format!("a.{label}.{}", crate::zone::CHECKS_DOMAIN), 0, 0).0
            };
            let right = saying == Saying::Addresses(Some(EXPECTED_ADDRESS), None);
            if right {
                assert!(
                    matches!(of_check("who"), Saying::Addresses(Some(it), None)
                    if it.octets()[0] == 198),
                    "{fault:?}"
                );
                assert_eq!(of_check("bogus"), Saying::Transient, "{fault:?}");
            }
        }
    }
}
