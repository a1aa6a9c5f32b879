//! What a report says, as far as incidents go by it. Pure.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use record::{ErrorCode, Fingerprint, GateCode, Report, ReportedRelay, Status};

/// What one run said of a relay's DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It fails, and the run has confirmed that.
    Fails,
    /// It works.
    Works,
    /// Nothing: no lookup reached it, or the failure was not confirmed.
    Nothing,
}

/// One relay in a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelaySeen {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// A stranger's text.
    pub nickname: String,
    /// Its address in the consensus.
    pub address: IpAddr,
    /// The operator's key.
    pub operator: String,
    /// What the run said.
    pub word: Word,
    /// Why it fails.
    pub cause: Option<ErrorCode>,
    /// Its consensus weight.
    pub weight: u64,
    /// The number and name of its autonomous system; the name is a stranger's text.
    pub network: Option<(u32, String)>,
    /// Those of its resolvers, as far as they are others.
    pub resolver_networks: Vec<(u32, String)>,
}

/// One report.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSeen {
    /// When the run ended.
    pub ended: DateTime<Utc>,
    /// Its id.
    pub run_id: String,
    /// Why the gate held the report back; empty where it was published.
    pub held: Vec<GateCode>,
    /// Whether our own zone answered as it must; `None` where that is not known.
    pub zone: Option<bool>,
    /// The share of lookups that fail, in percent.
    pub failing_percent: Option<f64>,
    /// Every relay with a result, without those that clients do not use (BadExit).
    pub relays: Vec<RelaySeen>,
}

impl RunSeen {
    /// What a report says.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let metadata = &report.metadata;
        let publish = &metadata.publish;
        let held: Vec<GateCode> = publish.reasons.iter().map(|reason| reason.code).collect();
        let zone = publish.zone_check.as_ref().filter(|check| check.answered || check.ok);
        let used = report.results.iter().filter(|relay| !relay.relay.is_bad_exit());
        Self {
            ended: metadata.timestamp,
            run_id: metadata.run_id.clone(),
            held: if publish.allowed { Vec::new() } else { held },
            zone: zone.map(|check| check.ok),
            failing_percent: metadata.lookup_failure.map(|rate| rate.percent),
            relays: used.map(RelaySeen::of).collect(),
        }
    }
}

impl RelaySeen {
    fn of(relay: &ReportedRelay) -> Self {
        let word = match relay.status {
            Status::Success => Word::Works,
            Status::WrongIp | Status::DnsFail | Status::Timeout if !relay.provisional => {
                Word::Fails
            }
            _ => Word::Nothing,
        };
        let location = relay.location.as_ref();
        let network = location
            .and_then(|place| Some((place.as_number?, place.as_name.clone().unwrap_or_default())));
        let addresses = relay.resolver.iter().flat_map(|resolver| &resolver.addresses);
        let mut resolver_networks: Vec<(u32, String)> = addresses
            .filter_map(|address| address.location.as_ref())
            .filter_map(|place| Some((place.as_number?, place.as_name.clone().unwrap_or_default())))
            .filter(|(number, _)| network.as_ref().is_none_or(|(own, _)| own != number))
            .collect();
        resolver_networks.sort_unstable();
        resolver_networks.dedup_by_key(|(number, _)| *number);
        Self {
            fingerprint: relay.exit_fingerprint,
            nickname: relay.exit_nickname.clone(),
            address: relay.exit_address,
            operator: relay.operator.clone(),
            word,
            cause: relay.error_code,
            weight: relay.relay.bandwidth.consensus_weight.unwrap_or(0),
            network,
            resolver_networks,
        }
    }
}
