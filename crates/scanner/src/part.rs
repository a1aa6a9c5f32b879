//! One part of a run, and how far the run has come.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use record::{
    Counts, Fingerprint, Kind, Plan, PlannedRelay, RelayInfo, RelayResult, Run, Settings, Status,
    TorInfo, unreached,
};

use crate::checks::CheckPlan;
use crate::classify::Judge;
use crate::cli::{ScanChecks, ScanConfig};
use crate::hops::FirstHops;
use crate::prepare::Basis;
use crate::results::{AnalysisDir, Earlier};
use crate::scan_error::ScanError;
use crate::schedule::{RunContext, ScanTarget};

/// One part of a run: all of it, unless it was interrupted.
pub(crate) struct RunPart {
    pub(crate) plan: Plan,
    /// Of relays that need no further attempt.
    pub(crate) final_results: Vec<RelayResult>,
    earlier_run: Option<Run>,
    resumed: u32,
    exit_dns_limit: Duration,
}

/// What is to be done in it.
pub(crate) struct Todo {
    pub(crate) context: RunContext,
    pub(crate) targets: Vec<ScanTarget>,
    pub(crate) hops: FirstHops,
}

impl RunPart {
    /// Sorts out what is still to be done, and writes the plan of a run that begins.
    pub(crate) fn start(
        config: &ScanConfig,
        mut basis: Basis,
        earlier: Option<Earlier>,
        dir: &AnalysisDir,
        run_id: String,
        started: DateTime<Utc>,
    ) -> Result<(Self, Todo), ScanError> {
        let exit_dns_limit = basis.exit_dns_limit;
        let exits = std::mem::take(&mut basis.exits);
        let (plan, results, earlier_run) = match earlier {
            Some(Earlier { plan, run, results }) => {
                dir.reopen_run()?;
                (plan, results, run)
            }
            None => {
                let relays = exits.iter().map(|(relay, ..)| relay.clone()).collect();
                let plan = plan(config, &basis, run_id, started, relays);
                dir.write_plan(&plan)?;
                (plan, HashMap::new(), None)
            }
        };
        let hops =
            FirstHops::new(basis.hops, basis.ties, config.first_hop, config.max_per_first_hop);
        let (targets, final_results) = targets(&plan, exits, results);
        let alone = |target: &&ScanTarget| !hops.can_reach(&target.relay.fingerprint);
        if let Some(target) = targets.iter().find(alone) {
            return Err(ScanError::Usage(format!(
                "{} is the only first hop there is, so it cannot be tested itself: give another by \
                 --first-hop",
                target.relay.fingerprint
            )));
        }
        let judge = Judge { mode: config.mode, expected: config.expected, exit_dns_limit };
        let context =
            RunContext {
                run_id: plan.run_id.clone(),
                shard: Some(config.shard),
                domain: config.domain.clone(),
                judge,
                expected_ipv6: config.expected_ipv6,
                // A run that goes on makes those that it set out with.
                checks: config.checks.clone().map(|ScanChecks { domain, wanted, since }| {
                    CheckPlan { domain, wanted, since, began: plan.started }
                }),
            };
        let resumed = earlier_run.as_ref().map_or(0, |run| run.resumed);
        let resumed = resumed.saturating_add(u32::from(config.resume));
        let part = Self { plan, final_results, earlier_run, resumed, exit_dns_limit };
        Ok((part, Todo { context, targets, hops }))
    }

    /// What became of the run, for its own file.
    pub(crate) fn ended(&self, config: &ScanConfig, book: &Book, end: End) -> Run {
        let (plan, earlier) = (&self.plan, self.earlier_run.as_ref());
        Run {
            format: Kind::Run.format(),
            run_id: plan.run_id.clone(),
            complete: end.reason.is_none(),
            incomplete_reason: end.reason,
            mode: plan.mode,
            domain: plan.domain.clone(),
            expected_ip: plan.expected_ip,
            shard: Some(config.shard),
            selection: plan.selection.clone(),
            settings: settings(config),
            started: plan.started,
            ended: end.ended,
            probing_seconds: end.probing.as_secs_f64()
                + earlier.map_or(0.0, |run| run.probing_seconds),
            resumed: self.resumed,
            consensus_valid_after: plan.consensus_valid_after,
            exit_dns_limit: Some(self.exit_dns_limit.as_secs_f64()),
            tor: TorInfo {
                restarts: earlier
                    .map_or(0, |run| run.tor.restarts)
                    .saturating_add(end.tor.restarts),
                ..end.tor
            },
            scanner_version: env!("CARGO_PKG_VERSION").to_owned(),
            selected: u32::try_from(plan.relays.len()).unwrap_or(u32::MAX),
            counts: book.counts(),
            not_reached: unreached(&plan.relays, &book.with_result()),
            unconfirmed: book.provisional(),
        }
    }
}

/// How a part of a run ended.
pub(crate) struct End {
    /// Why it is not complete, if it is not.
    pub(crate) reason: Option<String>,
    pub(crate) ended: DateTime<Utc>,
    pub(crate) probing: Duration,
    /// The tor, with the restarts of this part.
    pub(crate) tor: TorInfo,
}

fn plan(
    config: &ScanConfig,
    basis: &Basis,
    run_id: String,
    started: DateTime<Utc>,
    relays: Vec<PlannedRelay>,
) -> Plan {
    Plan {
        format: Kind::Plan.format(),
        run_id,
        started,
        mode: config.mode,
        domain: config.domain.as_str().to_owned(),
        expected_ip: config.expected,
        shard: Some(config.shard),
        selection: basis.selection.clone(),
        settings: settings(config),
        consensus_valid_after: basis.valid_after,
        exit_dns_limit: Some(basis.exit_dns_limit.as_secs_f64()),
        relays,
    }
}

/// The relays of the plan that still lack a final result, and the final results there are.
fn targets(
    plan: &Plan,
    exits: Vec<(PlannedRelay, RelayInfo, Option<SocketAddr>)>,
    mut results: HashMap<Fingerprint, RelayResult>,
) -> (Vec<ScanTarget>, Vec<RelayResult>) {
    let mut known: HashMap<Fingerprint, (RelayInfo, Option<SocketAddr>)> =
        exits.into_iter().map(|(relay, info, door)| (relay.fingerprint, (info, door))).collect();
    let mut targets = Vec::new();
    let mut final_results = Vec::new();
    for relay in &plan.relays {
        match results.remove(&relay.fingerprint) {
            Some(result) if !result.provisional => final_results.push(result),
            provisional => {
                let (attempts, before) =
                    provisional.map(|r| (r.attempts, Some(r.relay))).unwrap_or_default();
                // A relay that has left the consensus is asked for all the same: tor says so.
                let (info, door) = known
                    .remove(&relay.fingerprint)
                    .unwrap_or_else(|| (before.unwrap_or_default(), None));
                targets.push(ScanTarget { relay: relay.clone(), info, attempts, door });
            }
        }
    }
    (targets, final_results)
}

pub(crate) fn settings(config: &ScanConfig) -> Settings {
    config.pace.settings(config.max_per_first_hop, config.first_hop)
}

/// Which relays have which result, for the run's own file.
#[derive(Debug)]
pub(crate) struct Book {
    order: Vec<Fingerprint>,
    results: HashMap<Fingerprint, (Status, bool)>,
}

impl Book {
    pub(crate) fn new(plan: &Plan, known: impl Iterator<Item = (Fingerprint, Status)>) -> Self {
        Self {
            order: plan.relays.iter().map(|relay| relay.fingerprint).collect(),
            results: known.map(|(relay, status)| (relay, (status, false))).collect(),
        }
    }

    pub(crate) fn enter(&mut self, relay: Fingerprint, status: Status, provisional: bool) {
        self.results.insert(relay, (status, provisional));
    }

    pub(crate) fn counts(&self) -> Counts {
        self.results.values().map(|(status, _)| *status).collect()
    }

    pub(crate) fn with_result(&self) -> BTreeSet<Fingerprint> {
        self.results.keys().copied().collect()
    }

    pub(crate) fn provisional(&self) -> Vec<Fingerprint> {
        let unconfirmed = |relay: &&Fingerprint| self.results.get(*relay).is_some_and(|r| r.1);
        self.order.iter().filter(unconfirmed).copied().collect()
    }
}
