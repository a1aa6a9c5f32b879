//! What tor's directory says, and whom that leaves to test.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chrono::{DateTime, Utc};
use record::{
    Bandwidth, Excluded as ExcludedRelay, Fingerprint, Ipv6, Plan, PlannedRelay, RelayInfo,
    Selection,
};

use crate::cli::ScanConfig;
use crate::consensus::{Descriptor, Relay, Statuses};
use crate::directory::{self, Directory};
use crate::hops::{Candidate, Ties, is_first_hop};
use crate::scan_error::ScanError;
use crate::select::{self, Criteria, Filter, door, is_exit, may_exit, select};

/// What is known before the first circuit.
#[derive(Debug)]
pub struct Basis {
    /// The exits to test, each with what the directory says of it, and an address and port that its
    /// policy allows, if that is known.
    pub exits: Vec<(PlannedRelay, RelayInfo, Option<SocketAddr>)>,
    /// Relays that may be first hops.
    pub hops: Vec<Candidate>,
    /// What ties those and the exits to each other.
    pub ties: HashMap<Fingerprint, Ties>,
    /// How the exits were chosen.
    pub selection: Selection,
    /// Start of the consensus's validity.
    pub valid_after: Option<DateTime<Utc>>,
    /// How long an exit waits for its resolver.
    pub exit_dns_limit: Duration,
}

/// Whom to look for: in a run that goes on, whom it set out to test, and not what this part's
/// flags would choose.
pub(crate) fn criteria(
    config: &ScanConfig,
    filter: &Filter,
    on_request: BTreeSet<Fingerprint>,
    planned: Option<&Plan>,
) -> Criteria {
    let names = planned.map(|plan| plan.relays.iter().map(|relay| relay.fingerprint).collect());
    Criteria {
        country: config.country.clone().filter(|_| planned.is_none()),
        filter: names.map_or_else(|| filter.clone(), Filter::Named),
        shard: config.shard,
        on_request,
        ipv6: matches!(config.expected, Some(IpAddr::V6(_))),
    }
}

/// Reads the directory, and chooses.
///
/// # Errors
///
/// [`ScanError`]: tor cannot be asked, or there is nothing to test, or no first hop.
pub(crate) async fn prepare(
    config: &ScanConfig,
    criteria: Criteria,
    planned: Option<&Plan>,
    control: &tor_control::Control,
) -> Result<Basis, ScanError> {
    // Before descriptors and countries are known, whoever might be chosen.
    let wanted = |statuses: &Statuses| -> HashSet<Fingerprint> {
        let in_shard = |relay: &Relay| criteria.shard.holds(&relay.fingerprint);
        let candidate = |relay: &&Relay| in_shard(relay) && may_exit(relay, &criteria.filter);
        statuses.relays.iter().filter(candidate).map(|relay| relay.fingerprint).collect()
    };
    let Directory { statuses, mut descriptors, header } =
        directory::fetch(control, wanted, is_first_hop, config.bootstrap_timeout).await?;
    if statuses.malformed > 0 {
        tracing::warn!("{} entries of the consensus could not be read", statuses.malformed);
    }
    let of_interest = wanted(&statuses);
    let countries = countries(control, &criteria, &statuses, &of_interest).await?;
    let chosen = select(&statuses.relays, &descriptors, &countries, &criteria);
    // A run that goes on tests whom it set out to test, also those that have left since.
    for (relay, why) in chosen.excluded.iter().filter(|_| planned.is_none()) {
        tracing::warn!("{relay} is not tested: it {why}");
    }
    let hops: Vec<Candidate> =
        statuses.relays.iter().filter(|relay| is_first_hop(relay)).map(Candidate::new).collect();
    if config.pace.limits.query <= header.exit_dns_limit {
        tracing::warn!(
            "the query timeout of {} s is not above the {} s that exits wait for their resolvers: \
             a silent resolver will look like an exit that does not answer; give more by \
             --query-timeout",
            config.pace.limits.query.as_secs_f64(),
            header.exit_dns_limit.as_secs_f64()
        );
    }
    check_first_hop(config, &statuses, &hops)?;
    if chosen.relays.is_empty() && planned.is_none() {
        return Err(ScanError::Usage(no_exits(&statuses, &chosen.excluded)));
    }
    let selection = selection(config, &criteria, &statuses, &chosen);
    let tied = |relay: &&Relay| is_first_hop(relay) || of_interest.contains(&relay.fingerprint);
    let ties = statuses.relays.iter().filter(tied).map(|relay| {
        let descriptor = descriptors.get(&relay.fingerprint);
        let family = descriptor.into_iter().flat_map(|known| &known.family).map(String::as_str);
        let ids = descriptor.map(|known| known.family_ids.clone()).unwrap_or_default();
        let ties = Ties::new(relay.address.into(), relay.ipv6, family).with_family_ids(ids);
        (relay.fingerprint, ties)
    });
    let ties = ties.collect();
    let exits = chosen
        .relays
        .iter()
        .map(|relay| {
            let planned = PlannedRelay {
                fingerprint: relay.fingerprint,
                nickname: relay.nickname.clone(),
                address: relay.address.into(),
            };
            let country = countries.get(&planned.address).cloned();
            // Taken out: both at once would be twice the memory.
            let descriptor = descriptors.remove(&relay.fingerprint);
            let door = descriptor.as_ref().and_then(|known| door(&known.policy, config.expected));
            (planned, relay_info(relay, descriptor, country), door)
        })
        .collect();
    Ok(Basis {
        exits,
        hops,
        ties,
        selection,
        valid_after: header.valid_after,
        exit_dns_limit: header.exit_dns_limit,
    })
}

/// The countries of these relays, as far as tor knows them.
async fn countries(
    control: &tor_control::Control,
    criteria: &Criteria,
    statuses: &Statuses,
    of_interest: &HashSet<Fingerprint>,
) -> Result<HashMap<IpAddr, String>, ScanError> {
    let addresses: Vec<IpAddr> = statuses
        .relays
        .iter()
        .filter(|relay| of_interest.contains(&relay.fingerprint))
        .map(|relay| relay.address.into())
        .collect();
    let countries = directory::countries(control, &addresses).await?;
    if countries.is_none() && criteria.country.is_some() {
        return Err(ScanError::Usage(
            "--country needs tor's GeoIP file, which this tor does not have (Debian, Ubuntu: \
             apt-get install tor-geoipdb)"
                .to_owned(),
        ));
    }
    Ok(countries.unwrap_or_default())
}

/// How the exits were chosen, for the plan.
fn selection(
    config: &ScanConfig,
    criteria: &Criteria,
    statuses: &Statuses,
    chosen: &select::Selected<'_>,
) -> Selection {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Selection {
        filter: criteria.filter.kind(),
        country: config.country.clone(),
        relays_in_consensus: count(statuses.relays.len()),
        exits_in_consensus: count(statuses.relays.iter().filter(|relay| is_exit(relay)).count()),
        excluded: chosen
            .excluded
            .iter()
            .map(|(relay, why)| ExcludedRelay { fingerprint: *relay, reason: why.to_string() })
            .collect(),
        on_request: count(chosen.on_request),
        left_out: chosen
            .left_out
            .iter()
            .map(|(why, count)| (why.name().to_owned(), *count))
            .collect(),
    }
}

fn check_first_hop(
    config: &ScanConfig,
    statuses: &Statuses,
    hops: &[Candidate],
) -> Result<(), ScanError> {
    if let Some(hop) = config.first_hop {
        if !statuses.relays.iter().any(|relay| relay.fingerprint == hop) {
            return Err(ScanError::Usage(format!(
                "the first hop {hop} is not in the consensus: it is down, or the fingerprint is wrong"
            )));
        }
    } else if hops.is_empty() {
        return Err(ScanError::Usage(
            "the consensus has no relay fit to be a first hop (Guard, Stable, Fast, measured): \
             give one by --first-hop"
                .to_owned(),
        ));
    }
    Ok(())
}

fn no_exits(statuses: &Statuses, excluded: &[(Fingerprint, select::Exclusion)]) -> String {
    if let [(relay, why)] = excluded {
        return format!("there is nothing to test: {relay} {why}");
    }
    format!(
        "there is nothing to test: of {} relays in the consensus, none is what --exit, --exit-file, \
         --all-exits, --bad-exits, --country and --shard ask for together",
        statuses.relays.len()
    )
}

fn relay_info(relay: &Relay, descriptor: Option<Descriptor>, country: Option<String>) -> RelayInfo {
    let exits = descriptor.as_ref().map(|descriptor| !descriptor.policy.ipv6.is_empty());
    let known = descriptor.unwrap_or_default();
    RelayInfo {
        flags: relay.flags.clone(),
        contact: known.contact,
        family: known.family,
        family_ids: known.family_ids,
        platform: known.platform,
        bandwidth: Bandwidth { consensus_weight: relay.weight, observed: known.observed_bandwidth },
        ipv6: Ipv6 { address: relay.ipv6.map(IpAddr::V6), exit: exits },
        country,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use record::Kind;

    #[test]
    fn a_run_that_goes_on_looks_for_whom_it_planned() {
        let flags = ["scanner", "--country", "de", "--resume", "--analysis-dir", "d"];
        let config = crate::cli::ScanCli::parse_from(flags).check().unwrap();
        let relay = Fingerprint::from_bytes([7; 20]);
        let plan = Plan {
            format: Kind::Plan.format(),
            run_id: "run".to_owned(),
            started: DateTime::UNIX_EPOCH,
            mode: config.mode,
            domain: config.domain.as_str().to_owned(),
            expected_ip: config.expected,
            shard: None,
            selection: Selection {
                filter: record::RelayFilter::BadExits,
                country: None,
                relays_in_consensus: 1,
                exits_in_consensus: 1,
                excluded: Vec::new(),
                on_request: 0,
                left_out: std::collections::BTreeMap::new(),
            },
            settings: crate::part::settings(&config),
            consensus_valid_after: None,
            exit_dns_limit: None,
            relays: vec![PlannedRelay {
                fingerprint: relay,
                nickname: "relay".to_owned(),
                address: [192, 0, 2, 1].into(),
            }],
        };
        let criteria = criteria(&config, &Filter::Exits, BTreeSet::new(), Some(&plan));
        assert_eq!(criteria.filter, Filter::Named([relay].into()));
        assert_eq!(criteria.country, None);
    }
}
