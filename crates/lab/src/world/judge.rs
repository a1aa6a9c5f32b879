//! What was published, held against what was true.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use record::{Fingerprint, IncidentSubject, Incidents, Kind, Report, State};

use notify::incident::{Happening, Watch};
use notify::seen::RunSeen;

use super::truth::{Ours, Truths, What};
use crate::Fault;

/// An outage counts as one of these from this share of the exits there on.
const GREAT: f64 = 0.05;

/// An outage is out when this share of its relays has been published as failing: some are not reached
/// in any run.
const OUT: f64 = 0.7;

/// A month of runs: as far back as the rates look.
const MONTH: u32 = 120;

/// A week of runs: as far apart as the two failures of an incident may be.
const WEEK: u32 = 28;

/// A relay that was published as confirmed failing and is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FalseState {
    /// In which run.
    pub run: u32,
    /// Who.
    pub exit: usize,
    /// What of ours had failed in one of the runs before, if anything had.
    pub ours: Option<Ours>,
}

/// An outage of many relays at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Outage {
    /// Whose.
    pub whose: String,
    /// The runs during which it lasted.
    pub runs: Range<u32>,
    /// How many runs of ours that were well came before the one that told of it; `None` where none
    /// did.
    pub told_after: Option<u32>,
    /// How many runs of ours that were well there were while it lasted.
    pub chances: u32,
}

/// What came of it all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorldTally {
    /// Runs that were made, that were missed, and that were published.
    pub runs: [u32; 3],
    /// Runs that were published though something of ours had failed, with more than half of the relays
    /// failing.
    pub nonsense: Vec<u32>,
    /// Healthy relays that were published as confirmed failing.
    pub accused: Vec<FalseState>,
    /// Relays with a broken resolver whose failure was published as confirmed, and all that were there
    /// and broken in three runs at least.
    pub confirmed: [u32; 2],
    /// Relays that fail a part of their lookups for good and were called degraded at some time, and all
    /// that had the time for it.
    pub degraded: [u32; 2],
    /// How many were called degraded with nothing wrong with them for a month.
    pub slandered: u32,
    /// Outages of more than 5 % of the exits.
    pub outages: Vec<Outage>,
    /// Runs in a row that were held back though nothing of ours had failed, at most.
    pub held_for_nothing: u32,
    /// Incidents of operators that people were told of, and those of which no relay had anything wrong.
    pub incidents: [u32; 2],
}

/// The judge, at work.
#[derive(Debug)]
pub(super) struct Judgement<'a> {
    truths: &'a Truths,
    tally: WorldTally,
    /// By trouble: the outage, if it is one.
    outages: BTreeMap<usize, Outage>,
    /// By trouble of a single relay: in how many runs of ours that were well it was there, and whether
    /// its failure was published as confirmed.
    told: BTreeMap<usize, (u32, bool)>,
    /// Who was called degraded.
    degraded: BTreeSet<usize>,
    exits: BTreeMap<Fingerprint, usize>,
    held: u32,
    watch: Watch,
    last_ours: Option<(u32, Ours)>,
}

impl<'a> Judgement<'a> {
    pub(super) fn new(truths: &'a Truths, of: impl Fn(usize) -> Fingerprint) -> Self {
        let exits = (0..truths.exits.len()).map(|exit| (of(exit), exit)).collect();
        Self {
            truths,
            tally: WorldTally::default(),
            outages: BTreeMap::new(),
            told: BTreeMap::new(),
            degraded: BTreeSet::new(),
            exits,
            held: 0,
            watch: Watch::default(),
            last_ours: None,
        }
    }

    pub(super) const fn missed(&mut self) {
        self.tally.runs[1] += 1;
    }

    /// The incidents of the world, as those who look at it read them.
    pub(super) fn incidents(&self) -> Incidents {
        let incidents = self.watch.incidents().into_iter().cloned().collect();
        Incidents { format: Kind::Incidents.format(), incidents }
    }

    /// Whom people would be told of.
    fn watch(&mut self, run: u32, report: &Report) {
        for change in self.watch.take(&RunSeen::of(report)) {
            let Some(incident) = self.watch.incident(&change.incident) else { continue };
            let is_operators = matches!(incident.subject, IncidentSubject::Operator { .. });
            if change.happening != Happening::Opened || !is_operators {
                continue;
            }
            let mut exits = incident.relays.keys().filter_map(|relay| self.exits.get(relay));
            let wrong = exits.any(|exit| self.is_wrong(*exit, run.saturating_sub(WEEK)..run + 1));
            self.tally.incidents[0] += 1;
            self.tally.incidents[1] += u32::from(!wrong);
        }
    }

    /// Takes in a run's report.
    pub(super) fn report(&mut self, run: u32, ours: Option<Ours>, report: &Report) {
        self.tally.runs[0] += 1;
        if let Some(ours) = ours {
            self.last_ours = Some((run, ours));
        }
        let published = report.metadata.publish.allowed;
        self.begin_outages(run, ours);
        self.watch(run, report);
        if !published {
            self.held = if ours.is_none() { self.held + 1 } else { 0 };
            self.tally.held_for_nothing = self.tally.held_for_nothing.max(self.held);
            return;
        }
        self.held = 0;
        self.tally.runs[2] += 1;
        let rate = report.metadata.dns_success_rate_percent.unwrap_or(100.0);
        if ours.is_some() && rate < 50.0 {
            self.tally.nonsense.push(run);
        }
        let failing: BTreeMap<usize, Option<State>> = report
            .results
            .iter()
            .filter(|relay| relay.status.counts_against_dns())
            .filter_map(|relay| Some((*self.exits.get(&relay.exit_fingerprint)?, relay.state)))
            .collect();
        self.accuse(run, &failing);
        self.tell(run, &failing);
        let degraded = report.results.iter().filter(|relay| relay.degraded);
        for exit in degraded.filter_map(|relay| self.exits.get(&relay.exit_fingerprint).copied()) {
            if self.degraded.insert(exit)
                && !self.is_wrong(exit, run.saturating_sub(MONTH)..run + 1)
            {
                self.tally.slandered += 1;
            }
        }
    }

    /// The outages that are great, and the chances to tell of each.
    fn begin_outages(&mut self, run: u32, ours: Option<Ours>) {
        let there: Vec<usize> = self.truths.there(run).collect();
        for (number, trouble) in self.truths.troubles.iter().enumerate() {
            let broken = matches!(trouble.what, What::Broken(fault) if fault != Fault::Dead);
            if !trouble.runs.contains(&run) || !broken {
                continue;
            }
            if let [exit] = trouble.exits[..] {
                if ours.is_none() && there.binary_search(&exit).is_ok() {
                    self.told.entry(number).or_default().0 += 1;
                }
                continue;
            }
            let share = of_those(&trouble.exits, &there) as f64 / there.len() as f64;
            if share > GREAT && !self.outages.contains_key(&number) {
                let outage = Outage {
                    whose: trouble.whose.clone(),
                    runs: trouble.runs.clone(),
                    told_after: None,
                    chances: 0,
                };
                self.outages.insert(number, outage);
            }
            if let Some(outage) = self.outages.get_mut(&number).filter(|_| ours.is_none()) {
                outage.chances += 1;
            }
        }
    }

    /// Whom the report calls failing for good, and is well.
    fn accuse(&mut self, run: u32, failing: &BTreeMap<usize, Option<State>>) {
        for (exit, state) in failing {
            let lately = run.saturating_sub(1)..run + 1;
            if *state != Some(State::Confirmed) || self.is_wrong(*exit, lately) {
                continue;
            }
            let ours = self.last_ours.filter(|(at, _)| run - at <= 4).map(|(_, ours)| ours);
            self.tally.accused.push(FalseState { run, exit: *exit, ours });
        }
    }

    /// Whether something was wrong with an exit's resolver in one of these runs.
    fn is_wrong(&self, exit: usize, runs: Range<u32>) -> bool {
        self.truths.troubles.iter().any(|trouble| {
            let then = trouble.runs.start < runs.end && runs.start < trouble.runs.end;
            then && trouble.what != What::Broken(Fault::Dead) && trouble.exits.contains(&exit)
        })
    }

    fn tell(&mut self, run: u32, failing: &BTreeMap<usize, Option<State>>) {
        let there: Vec<usize> = self.truths.there(run).collect();
        for (number, outage) in &mut self.outages {
            if outage.told_after.is_some() || !outage.runs.contains(&run) {
                continue;
            }
            let exits = &self.truths.troubles[*number].exits;
            let told = exits.iter().filter(|exit| failing.contains_key(exit)).count();
            if told as f64 >= OUT * of_those(exits, &there) as f64 {
                outage.told_after = Some(outage.chances.saturating_sub(1));
            }
        }
        for (number, (_, told)) in &mut self.told {
            let trouble = &self.truths.troubles[*number];
            if trouble.runs.contains(&run) {
                let state = trouble.exits.first().and_then(|exit| failing.get(exit));
                *told |= matches!(state, Some(Some(State::Confirmed)));
            }
        }
    }

    pub(super) fn done(mut self) -> WorldTally {
        self.tally.outages = self.outages.into_values().collect();
        for trouble in &self.truths.troubles {
            let What::Unreliable(_) = trouble.what else { continue };
            for exit in &trouble.exits {
                let there = &self.truths.exits[*exit].there;
                if there.end.min(trouble.runs.end).saturating_sub(there.start) >= 2 * MONTH {
                    self.tally.degraded[1] += 1;
                    self.tally.degraded[0] += u32::from(self.degraded.contains(exit));
                }
            }
        }
        for (_, told) in self.told.into_values().filter(|(seen, _)| *seen >= 3) {
            self.tally.confirmed[1] += 1;
            self.tally.confirmed[0] += u32::from(told);
        }
        self.tally
    }
}

/// How many of the ones are among the others, which are in order.
fn of_those(some: &[usize], there: &[usize]) -> usize {
    some.iter().filter(|exit| there.binary_search(exit).is_ok()).count()
}

impl WorldTally {
    /// Whether nothing was published that is not true for a fault of ours, and no outage came late.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.nonsense.is_empty()
            && self.accused.iter().all(|state| state.ours.is_none())
            && self.late().next().is_none()
    }

    /// The outages that no report told of with the run after their first, though there was one.
    pub fn late(&self) -> impl Iterator<Item = &Outage> {
        self.outages.iter().filter(|outage| match outage.told_after {
            Some(after) => after > 1,
            None => outage.chances > 1,
        })
    }
}

impl fmt::Display for WorldTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [made, missed, published] = self.runs;
        let [confirmed, broken] = self.confirmed;
        let by_ours = self.accused.iter().filter(|state| state.ours.is_some()).count();
        writeln!(f, "{made} runs, {published} of them published; {missed} were missed")?;
        writeln!(f, "runs published though it was ours that failed: {}", self.nonsense.len())?;
        writeln!(
            f,
            "healthy relays published as confirmed failing: {}, of which {by_ours} just after a fault \
             of ours",
            self.accused.len()
        )?;
        writeln!(
            f,
            "broken for three runs or more: {broken}, of which {confirmed} were confirmed"
        )?;
        let [degraded, unreliable] = self.degraded;
        writeln!(
            f,
            "relays that fail 10 to 50 % of their lookups for two months or more: {unreliable}, of which \
             {degraded} were called degraded; so were {} with which nothing was wrong",
            self.slandered
        )?;
        let late: Vec<&Outage> = self.late().collect();
        writeln!(
            f,
            "outages of more than {:.0} % of the exits: {}, of which {} were out later than the next run",
            GREAT * 100.0,
            self.outages.len(),
            late.len()
        )?;
        for Outage { whose, runs, told_after, chances } in late {
            let told =
                told_after.map_or("never told".to_owned(), |n| format!("told after {n} runs"));
            writeln!(f, "  {whose}, runs {} to {}: {told} of {chances}", runs.start, runs.end - 1)?;
        }
        writeln!(
            f,
            "runs held back in a row though nothing of ours had failed, at most: {}",
            self.held_for_nothing
        )?;
        let [incidents, healthy] = self.incidents;
        write!(
            f,
            "incidents that operators' exits had: {incidents}; of exits with which nothing was wrong: {healthy}"
        )
    }
}
