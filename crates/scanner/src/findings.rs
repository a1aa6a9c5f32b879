//! What stands beside a verdict: what the evidence names that the verdict alone does not. Pure; no
//! verdict hangs on it.

use std::net::IpAddr;

use record::{Attempt, FindingCode, Ipv6Lookups, Ipv6Outcome, RelayFinding};

use crate::classify::{self, Answer};
use crate::filters;

/// What a relay's attempts and its further lookups show. `expected` is the zone's own address, which
/// is nobody's filter.
pub(crate) fn of(
    attempts: &[Attempt],
    ipv6: Option<&Ipv6Lookups>,
    expected: Option<IpAddr>,
) -> Vec<RelayFinding> {
    let mut findings = Vec::new();
    // Of answers that are the exit's: one witness is none here either.
    let answers = attempts.iter().flat_map(|attempt| &attempt.queries).map(classify::answer);
    let addresses = answers.flat_map(|answer| match answer {
        Answer::Addresses(addresses) => addresses,
        _ => &[],
    });
    for address in addresses.filter(|address| Some(**address) != expected) {
        let Some(filter) = filters::named(*address) else { continue };
        let finding = RelayFinding {
            code: FindingCode::NamedFilter,
            name: Some(filter.name.clone()),
            message: format!("answered with {}'s block page", filter.name),
            remedy: filter.remedy.clone(),
        };
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    if ipv6.is_some_and(|ipv6| ipv6.outcome == Ipv6Outcome::Stall) {
        findings.push(RelayFinding {
            code: FindingCode::AaaaStall,
            name: None,
            message: "the resolver never answers for IPv6 addresses (AAAA): every lookup of every \
                      user takes as long as the exit waits"
                .to_owned(),
            remedy: "Let the resolver answer AAAA, if only with no address; or set IPv6Exit 0."
                .to_owned(),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, Utc};
    use record::{Circuit, CircuitState, Fingerprint, Query, Status, Timing, Via};

    use super::*;

    const PAGE: [u8; 4] = [162, 159, 36, 12];

    /// An attempt whose lookup came back with the filter's address, closed as `end` says.
    fn attempt(end: Option<&str>) -> Attempt {
        let query = Query {
            socks_reply: Some(0),
            addresses: vec![PAGE.into()],
            stream_reason: end.map(str::to_owned),
            attach_ms: Some(Duration::from_millis(1).into()),
            ..Query::new(Via::Socks, "a.example.com".to_owned())
        };
        Attempt {
            number: 1,
            round: 0,
            started: DateTime::<Utc>::UNIX_EPOCH,
            ended: DateTime::<Utc>::UNIX_EPOCH,
            first_hop: Fingerprint::from_bytes([9; 20]),
            status: Status::WrongIp,
            error_code: None,
            blame: None,
            error: None,
            resolved_ip: None,
            circuit: Circuit {
                state: CircuitState::Built,
                hops: 2,
                path_ms: None,
                reason: None,
                remote_reason: None,
                refusal: None,
            },
            queries: vec![query],
            decided_by: None,
            timing: Timing::default(),
        }
    }

    #[test]
    fn a_filter_is_named_once_and_only_by_the_exits_own_answers() {
        let seen = [attempt(Some("DONE")), attempt(Some("DONE"))];
        let findings = of(&seen, None, None);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].message, "answered with Cloudflare Gateway's block page");
        for end in [None, Some("END"), Some("ATTACH_REFUSED")] {
            assert_eq!(of(&[attempt(end)], None, None), [], "{end:?}");
        }
        assert_eq!(of(&seen, None, Some(PAGE.into())), [], "a zone's own address is no filter's");
    }
}
