//! What an exit's resolver makes of AAAA, told by one more lookup on a circuit whose verdict is
//! known. Pure; it judges no relay's DNS, and no verdict hangs on it.
//!
//! An exit whose policy allows IPv6 asks its resolver for A and AAAA of every name, and answers when
//! both have ended (tor, `dns.c`: `dns_resolve_impl`, `inform_pending_connections`). So a resolver that
//! drops AAAA shows as a success at the exit's own limit. The lookup asks for the name that has just
//! been answered: the exit has both answers still, and asks its resolver nothing more.

use std::net::{IpAddr, Ipv6Addr};

use record::{Circuit, Fingerprint, Ipv6Lookup, Ipv6Lookups, Ipv6Outcome, Millis, Query};

use crate::classify::{self, Answer, Judge};

/// How many circuits are built, at most, to see a stall a second time.
pub(crate) const MORE_CIRCUITS: u32 = 3;

/// How far from the exit's limit an answer may come and still be one that had to wait for it.
const NEAR: std::ops::RangeInclusive<f64> = 0.95..=1.1;

/// What one circuit shows: `first` gave the verdict, and `query` is the lookup after it.
pub(crate) fn lookup(
    first_hop: Fingerprint,
    circuit: &Circuit,
    first: &Query,
    query: Query,
    judge: &Judge,
) -> Ipv6Lookup {
    let stalled = stalled(circuit, first, &query, judge);
    Ipv6Lookup { first_hop, answered_ms: first.resolve_ms, stalled, query }
}

/// Whether the first answer came when the exit gave up waiting for the other family's, which the exit
/// then did not have.
fn stalled(circuit: &Circuit, first: &Query, query: &Query, judge: &Judge) -> bool {
    if classify::answer(query) != Answer::OtherFamily {
        return false;
    }
    // Both are bounds: a round trip at least is in each.
    let bounds = [circuit.path_ms, query.resolve_ms].into_iter().flatten().map(Millis::get);
    let path = bounds.fold(f64::INFINITY, f64::min);
    let Some(answered) = first.resolve_ms.map(Millis::get).filter(|_| path.is_finite()) else {
        return false;
    };
    let limit = judge.exit_dns_limit.as_secs_f64() * 1e3;
    NEAR.contains(&((answered - path) / limit))
}

/// Whether a second circuit is wanted: one lookup is known, and it shows a stall.
pub(crate) fn wants_another(lookups: &[Ipv6Lookup]) -> bool {
    matches!(lookups, [only] if only.stalled)
}

/// What the lookups say together; none where there was none.
pub(crate) fn conclude(
    lookups: Vec<Ipv6Lookup>,
    expected: Option<Ipv6Addr>,
) -> Option<Ipv6Lookups> {
    if lookups.is_empty() {
        return None;
    }
    let outcome = if lookups.len() > 1 && lookups.iter().all(|lookup| lookup.stalled) {
        Ipv6Outcome::Stall
    } else {
        lookups.iter().map(|lookup| of(&lookup.query, expected)).max_by_key(weight)?
    };
    Some(Ipv6Lookups { outcome, expected, lookups })
}

/// What one answer says.
fn of(query: &Query, expected: Option<Ipv6Addr>) -> Ipv6Outcome {
    match (classify::answer(query), expected) {
        (Answer::Addresses(addresses), Some(expected)) => {
            let right = addresses.iter().all(|address| *address == IpAddr::V6(expected));
            if right { Ipv6Outcome::Expected } else { Ipv6Outcome::WrongAddress }
        }
        (Answer::Addresses(_), None) => Ipv6Outcome::Address,
        (Answer::OtherFamily, _) => Ipv6Outcome::NoAddress,
        _ => Ipv6Outcome::Unknown,
    }
}

/// A wrong answer counts wherever it stands; then whatever came says more than that nothing did.
const fn weight(outcome: &Ipv6Outcome) -> u8 {
    match outcome {
        Ipv6Outcome::WrongAddress => 4,
        Ipv6Outcome::Expected | Ipv6Outcome::Address => 3,
        Ipv6Outcome::NoAddress => 2,
        Ipv6Outcome::Stall | Ipv6Outcome::Unknown => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use record::{CircuitState, Mode, Via};

    use super::*;

    fn millis(milliseconds: u64) -> Millis {
        Duration::from_millis(milliseconds).into()
    }

    fn query(via: Via, addresses: &[&str], resolve_ms: u64) -> Query {
        Query {
            socks_reply: (via == Via::Socks).then_some(0),
            rcode: (via != Via::Socks).then(|| "NOERROR".to_owned()),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            stream_reason: Some("DONE".to_owned()),
            attach_ms: Some(millis(1)),
            resolve_ms: Some(millis(resolve_ms)),
            ..Query::new(via, "a.example.com".to_owned())
        }
    }

    /// A lookup whose first answer took so long, on a path of about 100 ms.
    fn seen(answered: u64, addresses: &[&str]) -> Ipv6Lookup {
        of_query(answered, query(Via::DnsPortAaaa, addresses, 110))
    }

    fn of_query(answered: u64, aaaa: Query) -> Ipv6Lookup {
        let circuit = Circuit {
            state: CircuitState::Built,
            hops: 2,
            // A new link between the two relays: more than a round trip.
            path_ms: Some(millis(400)),
            reason: None,
            remote_reason: None,
            refusal: None,
        };
        let judge = Judge {
            mode: Mode::Wildcard,
            expected: Some([192, 0, 2, 1].into()),
            exit_dns_limit: Duration::from_secs(2),
        };
        let first = query(Via::Socks, &["192.0.2.1"], answered);
        lookup(Fingerprint::from_bytes([1; 20]), &circuit, &first, aaaa, &judge)
    }

    #[test]
    fn a_success_at_the_exits_limit_without_an_ipv6_address_is_a_stall() {
        assert!(seen(2_100, &[]).stalled);
        assert!(!seen(110, &[]).stalled, "the zone has none, and the resolver says so at once");
        assert!(!seen(1_500, &[]).stalled, "slow, and yet an answer");
        assert!(!seen(2_100, &["2001:db8::1"]).stalled, "the resolver has answered");
        assert!(!seen(4_000, &[]).stalled, "a path that nobody knows");
        let mut unheard = query(Via::DnsPortAaaa, &[], 110);
        unheard.rcode = None;
        assert!(!of_query(2_100, unheard).stalled, "one witness is none");
    }

    #[test]
    fn one_circuit_alone_proves_no_stall() {
        let outcome = |lookups: Vec<Ipv6Lookup>| conclude(lookups, None).unwrap().outcome;
        let (stall, quick) = (seen(2_100, &[]), seen(110, &[]));
        assert!(wants_another(std::slice::from_ref(&stall)));
        assert!(!wants_another(std::slice::from_ref(&quick)));
        assert_eq!(outcome(vec![stall.clone()]), Ipv6Outcome::NoAddress);
        assert_eq!(outcome(vec![stall.clone(), stall.clone()]), Ipv6Outcome::Stall);
        assert_eq!(outcome(vec![stall, quick]), Ipv6Outcome::NoAddress);
        assert_eq!(conclude(Vec::new(), None), None);
    }

    #[test]
    fn an_address_is_judged_only_by_one_that_is_expected() {
        let right: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let outcome = |address: &[&str], expected| {
            conclude(vec![seen(110, address)], expected).unwrap().outcome
        };
        assert_eq!(outcome(&["2001:db8::1"], Some(right)), Ipv6Outcome::Expected);
        assert_eq!(outcome(&["2001:db8::2"], Some(right)), Ipv6Outcome::WrongAddress);
        assert_eq!(outcome(&["2001:db8::2"], None), Ipv6Outcome::Address);
        assert_eq!(outcome(&[], Some(right)), Ipv6Outcome::NoAddress);
        let wrong_and_right = vec![seen(110, &["2001:db8::2"]), seen(110, &["2001:db8::1"])];
        let outcome = conclude(wrong_and_right, Some(right)).unwrap().outcome;
        assert_eq!(outcome, Ipv6Outcome::WrongAddress);
    }
}
