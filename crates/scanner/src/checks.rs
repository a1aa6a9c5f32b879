//! What further lookups through an exit show of its resolver: which are made in a run, and what they say
//! together. Pure; no verdict hangs on it.
//!
//! The names are those of a zone of our own, whose name server answers by who asks and how
//! (docs/zone.md). They are asked for once the exit has given the right answer, on the circuit that gave
//! it, and on no other.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use record::{CheckLookup, CheckName, CheckOutcome, Fingerprint, ResolverChecks, Via};

use crate::classify::{self, Answer, Judge};
use crate::names::Domain;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// An answer that came later than this part of the time that an exit waits for its resolver may have come
/// because the exit gave up.
const IN_TIME: f64 = 0.95;

/// What can be asked for of a resolver, as `--checks` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WantedCheck {
    /// Who asks for the exit.
    Who,
    /// Whether it validates.
    Dnssec,
    /// Whether it asks again by TCP.
    Tcp,
    /// Whether it reaches name servers that have IPv6 alone.
    V6,
}

impl FromStr for WantedCheck {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "who" => Ok(Self::Who),
            "dnssec" => Ok(Self::Dnssec),
            "tcp" => Ok(Self::Tcp),
            "v6" => Ok(Self::V6),
            _ => Err("expected who, dnssec, tcp or v6, with commas between several".to_owned()),
        }
    }
}

/// Which checks a run makes, and of which relays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckPlan {
    /// What the names are made under.
    pub domain: Domain,
    /// What is asked for.
    pub wanted: BTreeSet<WantedCheck>,
    /// When the last run with the same checks began; none where there was none, or nobody knows.
    pub since: Option<DateTime<Utc>>,
    /// When this one began.
    pub began: DateTime<Utc>,
}

impl CheckPlan {
    /// The names that are asked for through this exit, in this order: what may take as long as the exit
    /// waits comes last. `ipv6`: whether its policy allows IPv6, so that it asks its resolver for AAAA.
    pub(crate) fn names(&self, exit: &Fingerprint, ipv6: bool) -> Vec<CheckName> {
        let due = is_due(exit, self.since, self.began);
        let wants = |check| self.wanted.contains(&check);
        let daily = |check| due && wants(check);
        let any = [WantedCheck::Dnssec, WantedCheck::Tcp, WantedCheck::V6].into_iter().any(daily);
        let names = [
            // It shows as well that somebody answers for these names who knows what they mean.
            (wants(WantedCheck::Who) || any, CheckName::Who),
            (daily(WantedCheck::Dnssec), CheckName::Signed),
            (daily(WantedCheck::Dnssec), CheckName::Bogus),
            (daily(WantedCheck::Tcp), CheckName::Tcp),
            (wants(WantedCheck::Who) && ipv6, CheckName::Who6),
            (daily(WantedCheck::V6), CheckName::V6),
        ];
        names.into_iter().filter_map(|(asked, name)| asked.then_some(name)).collect()
    }
}

/// Whether a relay has its turn in the run that began at `began`: whether the second of the day that is
/// its own has come since the last run began. Whenever runs begin, each such second lies between two of
/// them, and none between others: so every relay has its turn once a day, or, where a day goes by
/// without a run, in the next. Without a run before it, it is every relay's turn.
fn is_due(exit: &Fingerprint, since: Option<DateTime<Utc>>, began: DateTime<Utc>) -> bool {
    let Some(since) = since else { return true };
    let bytes = exit.as_bytes();
    let own = bytes.iter().rev().take(4).fold(0, |number, byte| (number << 8) | i64::from(*byte));
    let turns = |time: DateTime<Utc>| (time.timestamp() - own % DAY).div_euclid(DAY);
    turns(since) < turns(began)
}

/// The way by which a name is asked for.
pub(crate) const fn via(name: CheckName) -> Via {
    match name {
        CheckName::Who6 => Via::DnsPortAaaa,
        CheckName::Who | CheckName::Signed | CheckName::Bogus | CheckName::Tcp | CheckName::V6 => {
            Via::DnsPortA
        }
    }
}

/// What the lookups say together; none where there was none.
/// `expected_ipv6`: the zone's own IPv6 address, where one was named.
pub(crate) fn conclude(
    lookups: Vec<CheckLookup>,
    judge: &Judge,
    expected_ipv6: Option<Ipv6Addr>,
) -> Option<ResolverChecks> {
    if lookups.is_empty() {
        return None;
    }
    let says = |name| {
        let lookup = lookups.iter().find(|lookup| lookup.asked == name)?;
        Some(says(lookup, judge))
    };
    // A wildcard has one answer to everything: it knows none of these names, and shows nothing.
    let known = says(CheckName::Who) != Some(Says::Expected);
    let outcome = |outcome| if known { outcome } else { CheckOutcome::Unknown };
    let reaches = |name| says(name).map(reaches).map(outcome);
    let validates = says(CheckName::Signed)
        .map(|signed| validates(signed, says(CheckName::Bogus).unwrap_or(Says::Nothing)))
        .map(outcome);
    let (tcp, ipv6) = (reaches(CheckName::Tcp), reaches(CheckName::V6));
    let mut addresses = Vec::new();
    for lookup in lookups.iter().filter(|_| known) {
        let asked = matches!(lookup.asked, CheckName::Who | CheckName::Who6);
        if let Answer::Addresses(given) = classify::answer(&lookup.query)
            && asked
        {
            // The exit's word, and nobody else's.
            let of_zone = [judge.expected, expected_ipv6.map(IpAddr::V6)];
            for address in given.iter().filter(|address| !of_zone.contains(&Some(**address))) {
                if !addresses.contains(address) {
                    addresses.push(*address);
                }
            }
        }
    }
    Some(ResolverChecks { addresses, validates, tcp, ipv6, lookups })
}

/// What one lookup says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// The zone's own address.
    Expected,
    /// Another address.
    Address,
    /// That the resolver failed, before the exit gave up waiting for it.
    Failed,
    /// That the exit had no answer, when it may have given up waiting.
    GaveUp,
    /// Nothing of the resolver.
    Nothing,
}

fn says(lookup: &CheckLookup, judge: &Judge) -> Says {
    match classify::answer(&lookup.query) {
        Answer::Addresses(given) => {
            let right = given.iter().all(|address| Some(*address) == judge.expected);
            if right { Says::Expected } else { Says::Address }
        }
        Answer::Transient => {
            let took =
                lookup.query.resolve_ms.map(|time| Duration::from_secs_f64(time.get() / 1e3));
            let in_time = took.is_some_and(|took| took < judge.exit_dns_limit.mul_f64(IN_TIME));
            if in_time { Says::Failed } else { Says::GaveUp }
        }
        _ => Says::Nothing,
    }
}

/// Whether a resolver validates. That it gives no address for the broken signature says something only
/// where it gives one for the good signature.
const fn validates(signed: Says, bogus: Says) -> CheckOutcome {
    match (signed, bogus) {
        (Says::Expected, Says::Failed) => CheckOutcome::Yes,
        (Says::Expected, Says::Expected) => CheckOutcome::No,
        _ => CheckOutcome::Unknown,
    }
}

/// Whether a resolver reaches who has the answer, by the only way that there is.
const fn reaches(says: Says) -> CheckOutcome {
    match says {
        Says::Expected => CheckOutcome::Yes,
        Says::Failed | Says::GaveUp => CheckOutcome::No,
        Says::Address | Says::Nothing => CheckOutcome::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use record::{Mode, Query};

    use super::*;

    const EXPECTED: &str = "192.0.2.1";
    const RESOLVER: &str = "198.51.100.53";

    fn judge() -> Judge {
        Judge {
            mode: Mode::Wildcard,
            expected: Some(EXPECTED.parse().unwrap()),
            exit_dns_limit: Duration::from_secs(2),
        }
    }

    /// A lookup that the exit answered so, after so many milliseconds.
    fn lookup(asked: CheckName, rcode: &str, addresses: &[&str], ms: u64) -> CheckLookup {
        let query = Query {
            rcode: Some(rcode.to_owned()),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            stream_reason: Some("DONE".to_owned()),
            attach_ms: Some(Duration::from_millis(1).into()),
            resolve_ms: Some(Duration::from_millis(ms).into()),
            ..Query::new(via(asked), "a.example.com".to_owned())
        };
        CheckLookup { asked, first_hop: Fingerprint::from_bytes([9; 20]), query }
    }

    fn address(asked: CheckName, address: &str) -> CheckLookup {
        lookup(asked, "NOERROR", &[address], 50)
    }

    fn failed(asked: CheckName, ms: u64) -> CheckLookup {
        lookup(asked, "SERVFAIL", &[], ms)
    }

    /// Sent, and the circuit died.
    fn died(asked: CheckName) -> CheckLookup {
        let mut lookup = failed(asked, 50);
        lookup.query.stream_reason = Some("DESTROY".to_owned());
        lookup
    }

    #[test]
    fn what_signed_and_broken_answers_say_of_validation() {
        use CheckName::{Bogus, Signed};
        use CheckOutcome::{No, Unknown, Yes};
        for (signed, bogus, outcome) in [
            (address(Signed, EXPECTED), Some(failed(Bogus, 300)), Yes),
            (address(Signed, EXPECTED), Some(address(Bogus, EXPECTED)), No),
            // A resolver that is slow says the same as one that refuses.
            (address(Signed, EXPECTED), Some(failed(Bogus, 1_990)), Unknown),
            (address(Signed, EXPECTED), Some(died(Bogus)), Unknown),
            (address(Signed, EXPECTED), Some(address(Bogus, "203.0.113.7")), Unknown),
            (address(Signed, EXPECTED), Some(lookup(Bogus, "NXDOMAIN", &[], 50)), Unknown),
            (address(Signed, EXPECTED), None, Unknown),
            (failed(Signed, 50), Some(failed(Bogus, 50)), Unknown),
            (failed(Signed, 50), Some(address(Bogus, EXPECTED)), Unknown),
            (address(Signed, "203.0.113.7"), Some(address(Bogus, "203.0.113.7")), Unknown),
            (died(Signed), None, Unknown),
        ] {
            let lookups: Vec<_> = [Some(signed), bogus].into_iter().flatten().collect();
            let told = conclude(lookups.clone(), &judge(), None).unwrap();
            assert_eq!(told.validates, Some(outcome), "{lookups:?}");
            assert_eq!((told.tcp, told.ipv6), (None, None));
        }
    }

    #[test]
    fn what_can_be_had_by_one_way_alone_says_whether_a_resolver_goes_it() {
        use CheckOutcome::{No, Unknown, Yes};
        for name in [CheckName::Tcp, CheckName::V6] {
            for (lookup, outcome) in [
                (address(name, EXPECTED), Yes),
                (failed(name, 20), No),
                (failed(name, 2_010), No),
                (address(name, "203.0.113.7"), Unknown),
                (lookup(name, "NXDOMAIN", &[], 20), Unknown),
                (lookup(name, "NOERROR", &[], 20), Unknown),
                (died(name), Unknown),
            ] {
                let told = conclude(vec![lookup.clone()], &judge(), None).unwrap();
                let found = if name == CheckName::Tcp { told.tcp } else { told.ipv6 };
                assert_eq!(found, Some(outcome), "{lookup:?}");
                assert_eq!(told.validates, None);
            }
        }
    }

    #[test]
    fn who_asks_is_the_address_as_it_was_given_each_once() {
        let who = |lookups| conclude(lookups, &judge(), None).unwrap().addresses;
        let [v4, v6]: [IpAddr; 2] = [RESOLVER, "2001:db8::53"].map(|it| it.parse().unwrap());
        assert_eq!(who(vec![address(CheckName::Who, RESOLVER)]), [v4]);
        let both = vec![
            address(CheckName::Who, RESOLVER),
            lookup(CheckName::Who6, "NOERROR", &["2001:db8::53"], 50),
        ];
        assert_eq!(who(both), [v4, v6]);
        let nobody: [IpAddr; 0] = [];
        assert_eq!(who(vec![failed(CheckName::Who, 50), died(CheckName::Who6)]), nobody);
        // Of other names it is no address of a resolver.
        assert_eq!(who(vec![address(CheckName::Tcp, "203.0.113.7")]), nobody);
        let mut unwitnessed = address(CheckName::Who, RESOLVER);
        unwitnessed.query.attach_ms = None;
        assert_eq!(who(vec![unwitnessed]), nobody, "one witness is none");
        assert_eq!(conclude(Vec::new(), &judge(), None), None);
    }

    #[test]
    fn a_wildcard_that_answers_all_of_these_names_shows_nothing() {
        let names = [CheckName::Who, CheckName::Signed, CheckName::Bogus, CheckName::Tcp];
        let lookups = names.into_iter().chain([CheckName::V6]).map(|name| address(name, EXPECTED));
        let told = conclude(lookups.collect(), &judge(), None).unwrap();
        let unknown = Some(CheckOutcome::Unknown);
        assert_eq!(told.addresses, Vec::<IpAddr>::new());
        assert_eq!((told.validates, told.tcp, told.ipv6), (unknown, unknown, unknown));
    }

    fn plan(wanted: &str, since: Option<i64>, began: i64) -> CheckPlan {
        let time = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        CheckPlan {
            domain: "checks.example.com".parse().unwrap(),
            wanted: wanted.split(',').map(|word| word.parse().unwrap()).collect(),
            since: since.map(time),
            began: time(began),
        }
    }

    #[test]
    fn the_names_of_a_run_are_those_that_are_wanted_and_have_their_turn() {
        use CheckName::{Bogus, Signed, Tcp, V6, Who, Who6};
        // Its own second of the day is 9,000: 02:30.
        let mut bytes = [7; 20];
        bytes[16..].copy_from_slice(&9_000_u32.to_le_bytes());
        let exit = Fingerprint::from_bytes(bytes);
        let names = |wanted, since, began, ipv6| plan(wanted, since, began).names(&exit, ipv6);
        let (before, at, later) = (8_999, 9_000, 9_001);
        assert_eq!(names("who", Some(before), at, false), [Who]);
        assert_eq!(names("who", Some(at), later, true), [Who, Who6], "each run");
        let all = "v6,tcp,dnssec,who";
        assert_eq!(names(all, Some(before), at, true), [Who, Signed, Bogus, Tcp, Who6, V6]);
        assert_eq!(names(all, Some(at), later, false), [Who]);
        assert_eq!(names(all, Some(later), later + DAY - 2, false), [Who]);
        assert_eq!(names(all, None, later, false), [Who, Signed, Bogus, Tcp, V6]);
        assert_eq!(names("tcp", Some(before), later, true), [Who, Tcp], "who shows who answers");
        assert_eq!(names("tcp", Some(at), later, true), []);
        assert_eq!(names(all, Some(later), before, false), [Who], "a clock that was put back");
    }

    proptest! {
        /// However unevenly runs follow each other, a relay has as many turns as its second of the day has
        /// come; and one after a pause of a day or more.
        #[test]
        fn each_relay_has_its_turn_once_a_day(
            bytes: [u8; 20],
            start in 0_i64..4_000_000_000,
            gaps in proptest::collection::vec(1..DAY, 1..60),
            pause in DAY..10 * DAY,
        ) {
            let exit = Fingerprint::from_bytes(bytes);
            let time = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
            let (mut before, mut turns) = (start, 0);
            for gap in gaps {
                let began = before + gap;
                turns += i64::from(is_due(&exit, Some(time(before)), time(began)));
                before = began;
            }
            let own = i64::from(u32::from_le_bytes(bytes[16..].try_into().unwrap())) % DAY;
            let first = (start + 1..=start + DAY).find(|second| second % DAY == own).unwrap();
            let came = (first..=before).step_by(usize::try_from(DAY).unwrap()).count();
            prop_assert_eq!(turns, i64::try_from(came).unwrap());
            prop_assert!(is_due(&exit, Some(time(before)), time(before + pause)));
        }
    }
}
