//! What stands beside a verdict: what the evidence names that the verdict alone does not. Pure; no
//! verdict hangs on it.

use std::net::IpAddr;

use record::{Attempt, FindingCode, Ipv6Lookups, Ipv6Outcome, RelayFinding};

use crate::filters;

/// What a relay's attempts and its further lookups show. `expected` is the zone's own address, which
/// is nobody's filter.
pub(crate) fn of(
    attempts: &[Attempt],
    ipv6: Option<&Ipv6Lookups>,
    expected: Option<IpAddr>,
) -> Vec<RelayFinding> {
    let mut findings = Vec::new();
    let addresses =
        attempts.iter().flat_map(|attempt| &attempt.queries).flat_map(|it| &it.addresses);
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
