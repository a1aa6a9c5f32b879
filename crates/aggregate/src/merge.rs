//! Joins shards and vantage points: several inputs, one verdict for each relay. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;

use chrono::TimeDelta;
use record::{
    CheckOutcome, Disagreements, Fingerprint, LookupAtZone, RejectReason, RelayResult,
    ShardCoverage, Status, Vantage,
};

use crate::input::{Facts, Input};
use crate::rejections::{Rejection, Rejections};
use crate::resolver::{FoundResolver, SeenAtZone};
use crate::shards::TOGETHER;

/// Inputs that belong together, and what they found together.
#[derive(Debug, Clone)]
pub struct Joined {
    /// What all inputs agree on, and the rest of the first of them.
    pub facts: Facts,
    /// The inputs, by shard, run id and name, without their results.
    pub inputs: Vec<Input>,
    /// How many results of each input were used.
    pub used: Vec<u32>,
    /// How many relays each input selected, and has no result of.
    pub unreached: Vec<u32>,
    /// One verdict for each relay.
    pub relays: BTreeMap<Fingerprint, Vote>,
    /// Relays that were selected and have no result from any input.
    pub not_reached: BTreeSet<Fingerprint>,
    /// The shards, where the exits were split.
    pub shards: Option<ShardCoverage>,
    /// Relays that several inputs saw differently.
    pub disagreements: Disagreements,
    /// Files that were not used.
    pub rejections: Rejections,
}

/// What the inputs say of one relay.
#[derive(Debug, Clone)]
pub struct Vote {
    /// The result that decides.
    pub result: RelayResult,
    /// What each of several inputs found; empty where there was one.
    pub vantages: Vec<Vantage>,
    /// What all of them found of its resolver.
    pub resolver: FoundResolver,
    /// What became of the deciding lookup, as the zone's log has it.
    pub at_zone: Option<LookupAtZone>,
}

impl Joined {
    /// Takes in what the zone's log says of these inputs' lookups.
    pub fn add_witness(&mut self, seen: &HashMap<Fingerprint, SeenAtZone>) {
        for (relay, vote) in &mut self.relays {
            let Some(seen) = seen.get(relay) else { continue };
            vote.resolver.join(&seen.found());
            if vote.result.status.counts_against_dns() {
                vote.at_zone = seen.deciding(&vote.result);
            }
        }
    }
}

/// Why inputs cannot be one report.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// There is none.
    #[error("no input to aggregate")]
    None,
    /// Two of them differ in what makes their results comparable.
    #[error(
        "the inputs do not belong to one report: {what} is {one_value} in {one} and {other_value} \
         in {other}; aggregate them apart"
    )]
    Differ {
        /// What differs.
        what: &'static str,
        /// One input.
        one: String,
        /// Its value.
        one_value: String,
        /// Another input.
        other: String,
        /// Its value.
        other_value: String,
    },
    /// Two of them are of different times.
    #[error(
        "the inputs do not belong to one report: {one} began {} h {} min before {other}, and shards \
         and vantage points of one scan begin within {} hours; aggregate them apart, the older first",
        .apart.num_hours(), .apart.num_minutes() % 60, TOGETHER.num_hours()
    )]
    Apart {
        /// The input that began first.
        one: String,
        /// The one that began last.
        other: String,
        /// How much later.
        apart: TimeDelta,
    },
}

/// Joins the inputs, in whatever order they come.
///
/// # Errors
///
/// [`MergeError`].
pub fn join(mut inputs: Vec<Input>) -> Result<Joined, MergeError> {
    inputs.sort_by(|a, b| key(a).cmp(&key(b)));
    let Some(first) = inputs.first() else { return Err(MergeError::None) };
    for other in &inputs[1..] {
        same(first, other)?;
    }
    of_one_time(&inputs)?;
    let facts = first.facts.clone();
    let shards = coverage(&inputs)?;

    let mut rejections = Rejections::default();
    let mut planned = BTreeSet::new();
    let mut used = vec![0; inputs.len()];
    let mut unreached = Vec::new();
    let mut found: BTreeMap<Fingerprint, Vec<(usize, RelayResult)>> = BTreeMap::new();
    for (number, input) in inputs.iter_mut().enumerate() {
        let own = input.planned();
        let without = own.iter().filter(|relay| !input.results.contains_key(relay)).count();
        unreached.push(u32::try_from(without).unwrap_or(u32::MAX));
        planned.extend(own);
        rejections.extend(std::mem::take(&mut input.rejections));
        for (relay, result) in std::mem::take(&mut input.results) {
            // Most relays have one result, and a list makes room for four.
            found.entry(relay).or_insert_with(|| Vec::with_capacity(1)).push((number, result));
        }
    }

    let mut relays = BTreeMap::new();
    let mut disagreements = Disagreements::default();
    for (relay, mut results) in found {
        // The best first; `rank` is total, so that the order of the inputs cannot matter.
        results.sort_by_cached_key(|(_, result)| rank(result));
        let mut runs: BTreeSet<String> = BTreeSet::new();
        results.retain(|(number, result)| {
            let new = runs.insert(result.run_id.clone());
            if new {
                used[*number] += 1;
            } else {
                let detail = "another input has this run's result of this relay";
                let rejection = Rejection::new(RejectReason::Duplicate, detail);
                let file = shelf::run::result_name(&relay);
                rejections.add(&inputs[*number].name, &file, &rejection);
            }
            new
        });
        let vantages = if results.len() > 1 { vantages(&results) } else { Vec::new() };
        disagreements.dns += u32::from(differ_in_dns(&vantages));
        disagreements.reachability += u32::from(differ_in_reach(&vantages));
        // Whose first answer counts must not hang on what it says.
        let first = results.iter().filter(|(_, result)| result.first.is_some());
        let first = first.min_by_key(|(_, result)| &result.run_id).and_then(|(_, it)| it.first);
        let mut resolver = FoundResolver::default();
        for checks in results.iter().filter_map(|(_, result)| result.checks.as_ref()) {
            resolver.join(&FoundResolver::of(checks));
        }
        if let Some((_, result)) = results.into_iter().next() {
            let result = RelayResult { first, ..result };
            relays.insert(relay, Vote { result, vantages, resolver, at_zone: None });
        }
    }
    doubt_dnssec(&mut relays);
    let not_reached = planned.into_iter().filter(|relay| !relays.contains_key(relay)).collect();
    Ok(Joined {
        facts,
        inputs,
        used,
        unreached,
        relays,
        not_reached,
        shards,
        disagreements,
        rejections,
    })
}

/// Without a chain of trust from the root to the checks zone every resolver takes a wrong signature: where
/// not one of all exits' resolvers refused it, that says something of the zone, and nothing of them.
fn doubt_dnssec(relays: &mut BTreeMap<Fingerprint, Vote>) {
    let refused = |vote: &Vote| vote.resolver.outcomes[0] == Some(CheckOutcome::Yes);
    if relays.values().any(refused) {
        return;
    }
    for vote in relays.values_mut() {
        let [validates, ..] = &mut vote.resolver.outcomes;
        *validates = validates.map(|_| CheckOutcome::Unknown);
    }
}

fn key(input: &Input) -> impl Ord + use<'_> {
    (input.facts.shard, &input.facts.run_id, &input.name)
}

/// Whether two inputs were judged alike. Pace and first hop may differ between hosts: they do not
/// change what a verdict means.
fn same(one: &Input, other: &Input) -> Result<(), MergeError> {
    let (a, b) = (&one.facts, &other.facts);
    let check = |what, a: &dyn Debug, b: &dyn Debug| {
        let (one_value, other_value) = (format!("{a:?}"), format!("{b:?}"));
        if one_value == other_value {
            return Ok(());
        }
        let (one, other) = (one.name.clone(), other.name.clone());
        Err(MergeError::Differ { what, one, one_value, other, other_value })
    };
    check("the mode", &a.mode.as_str(), &b.mode.as_str())?;
    check("the domain", &a.domain, &b.domain)?;
    check("the expected address", &a.expected_ip, &b.expected_ip)?;
    check("the choice of relays", &a.selection.filter.as_str(), &b.selection.filter.as_str())?;
    check("the country", &a.selection.country, &b.selection.country)?;
    check("the query timeout", &a.settings.query_timeout, &b.settings.query_timeout)?;
    check("the circuit timeout", &a.settings.circuit_timeout, &b.settings.circuit_timeout)?;
    check("the number of tries", &a.settings.max_retries, &b.settings.max_retries)?;
    check("the number of confirming rounds", &a.settings.confirm_rounds, &b.settings.confirm_rounds)
}

/// Whether inputs began so close together that they saw the same network. Runs of different times
/// would otherwise vouch for each other, and be one run in the history.
fn of_one_time(inputs: &[Input]) -> Result<(), MergeError> {
    let began = |input: &&Input| input.facts.started;
    let (Some(one), Some(other)) =
        (inputs.iter().min_by_key(began), inputs.iter().max_by_key(began))
    else {
        return Ok(());
    };
    let apart = other.facts.started - one.facts.started;
    if apart > TOGETHER {
        let (one, other) = (one.name.clone(), other.name.clone());
        return Err(MergeError::Apart { one, other, apart });
    }
    Ok(())
}

fn coverage(inputs: &[Input]) -> Result<Option<ShardCoverage>, MergeError> {
    let mut sharded = inputs.iter().filter_map(|input| Some((&input.name, input.facts.shard?)));
    let Some((first, shard)) = sharded.next() else { return Ok(None) };
    let of = shard.of();
    let mut present = BTreeSet::from([shard.index()]);
    for (name, shard) in sharded {
        if shard.of() != of {
            return Err(MergeError::Differ {
                what: "the number of shards",
                one: first.clone(),
                one_value: of.to_string(),
                other: name.clone(),
                other_value: shard.of().to_string(),
            });
        }
        present.insert(shard.index());
    }
    // A whole run beside its shards leaves none missing. A list of shards as long as a hostile
    // `0/4294967295` would have is cut.
    let whole = inputs.iter().any(|input| input.facts.shard.is_none());
    let missing = (0..of).filter(|index| !whole && !present.contains(index)).take(1000).collect();
    Ok(Some(ShardCoverage { of, present: present.into_iter().collect(), missing }))
}

/// The better a result answers, the smaller: a wrong answer anywhere is the verdict, otherwise
/// one success is enough; otherwise a confirmed result comes before one that is not, then the one
/// that says most of the relay's DNS, then the newest.
fn rank(result: &RelayResult) -> impl Ord + use<> {
    let status = match result.status {
        Status::WrongIp => 0,
        Status::Success => 1,
        Status::DnsFail => 2,
        Status::Timeout => 3,
        Status::CircuitFail => 4,
        Status::Error => 5,
        Status::Exception => 6,
    };
    (
        if status <= 1 { (false, status) } else { (result.provisional, status) },
        status,
        Reverse(result.timestamp),
        result.run_id.clone(),
        // Two files of one run and relay that differ in no more than this are equal in all that
        // the report says.
        format!("{result:?}"),
    )
}

fn vantages(results: &[(usize, RelayResult)]) -> Vec<Vantage> {
    let mut vantages: Vec<Vantage> = results
        .iter()
        .map(|(_, result)| Vantage {
            run_id: result.run_id.clone(),
            status: result.status,
            error_code: result.error_code,
            blame: result.blame,
            resolved_ip: result.resolved_ip.clone(),
            latency_ms: result.latency_ms,
            timestamp: result.timestamp,
            provisional: result.provisional,
        })
        .collect();
    vantages.sort_by(|a, b| a.run_id.cmp(&b.run_id));
    vantages
}

fn differ_in_dns(vantages: &[Vantage]) -> bool {
    let tested = vantages.iter().map(|vantage| vantage.status).filter(|status| status.tested());
    tested.collect::<BTreeSet<_>>().len() > 1
}

fn differ_in_reach(vantages: &[Vantage]) -> bool {
    vantages.iter().any(|vantage| vantage.status.tested())
        && vantages.iter().any(|vantage| vantage.status == Status::CircuitFail)
}
