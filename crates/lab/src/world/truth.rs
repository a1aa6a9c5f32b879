//! What is true of a world: who is there, who is broken and since when, and when it is this host, its
//! zone or its way out that fails. Drawn once, from a seed.

use std::ops::Range;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::WorldSpec;
use crate::Fault;

/// What is wrong with relays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum What {
    /// The resolver, or the relay itself.
    Broken(Fault),
    /// The resolver fails this share of its lookups.
    Unreliable(f64),
}

/// What is wrong with whatever is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ours {
    /// Half of the zone's answers are NXDOMAIN, the other half are none.
    ZoneBroken,
    /// The zone answers with four addresses of somebody else's.
    ZoneParked,
    /// This host's way to the network ends in the middle of the scan.
    UplinkLost,
}

impl Ours {
    /// In a few words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZoneBroken => "(the zone is broken)",
            Self::ZoneParked => "(the zone is parked)",
            Self::UplinkLost => "(the uplink is lost)",
        }
    }
}

/// Something that is wrong for a while.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trouble {
    /// Whose it is, in a few words.
    pub(super) whose: String,
    /// The exits that have it, by number.
    pub(super) exits: Vec<usize>,
    /// What it is.
    pub(super) what: What,
    /// The runs during which it lasts.
    pub(super) runs: Range<u32>,
}

/// An exit that was there at some time.
#[derive(Debug, Clone)]
pub(super) struct WorldExit {
    pub(super) operator: usize,
    pub(super) network: usize,
    pub(super) weight: u64,
    /// The runs in which it is in the consensus.
    pub(super) there: Range<u32>,
}

/// All that is true.
#[derive(Debug)]
pub(super) struct Truths {
    pub(super) exits: Vec<WorldExit>,
    pub(super) troubles: Vec<Trouble>,
    ours: Vec<(Range<u32>, Option<Ours>)>,
}

/// The shares that the great operators have of the exits, in percent. The others have a few relays each.
const GREAT: [usize; 4] = [12, 7, 4, 3];

/// How many networks there are.
pub(super) const NETWORKS: usize = 60;

/// How a resolver breaks, one as often as the other.
const WAYS: [Fault; 4] = [Fault::Servfail, Fault::Nxdomain, Fault::Silent, Fault::OtherAddress];

impl Truths {
    pub(super) fn new(spec: WorldSpec, rng: &mut StdRng) -> Self {
        let mut truths = Self { exits: exits(spec, rng), troubles: Vec::new(), ours: Vec::new() };
        truths.break_relays(spec, rng);
        truths.break_operators(spec, rng);
        truths.break_networks(spec, rng);
        truths.break_ours(spec, rng);
        truths
    }

    /// Relays by themselves: resolvers that break and are mended, relays that are down, and some that
    /// fail a part of their lookups for good.
    fn break_relays(&mut self, spec: WorldSpec, rng: &mut StdRng) {
        for exit in 0..self.exits.len() {
            let mut at = after(rng, 2_000.0);
            while at < spec.runs {
                let lasts = 1 + after(rng, 40.0);
                let what = if rng.random_bool(0.4) {
                    What::Broken(Fault::Dead)
                } else {
                    What::Broken(WAYS[rng.random_range(0..WAYS.len())])
                };
                self.trouble(format!("exit {exit}"), vec![exit], what, at..at + lasts);
                at += lasts + after(rng, 2_000.0);
            }
            if rng.random_bool(0.01) {
                let share = rng.random_range(0.1..0.5);
                let runs = 0..spec.runs;
                self.trouble(format!("exit {exit}"), vec![exit], What::Unreliable(share), runs);
            }
        }
    }

    /// All relays of one operator at once, the great ones as often as one of the others.
    fn break_operators(&mut self, spec: WorldSpec, rng: &mut StdRng) {
        let operators = self.exits.iter().map(|exit| exit.operator).max().unwrap_or_default() + 1;
        let mut at = 30 + after(rng, 40.0);
        while at < spec.runs {
            let operator = if rng.random_bool(0.5) {
                rng.random_range(0..GREAT.len())
            } else {
                rng.random_range(0..operators)
            };
            let lasts = 2 + after(rng, 20.0);
            let exits = self.where_exits(|exit| exit.operator == operator);
            let what = What::Broken(WAYS[rng.random_range(0..WAYS.len())]);
            self.trouble(format!("operator {operator}"), exits, what, at..at + lasts);
            at += lasts + after(rng, 40.0);
        }
    }

    /// All relays of one network at once.
    fn break_networks(&mut self, spec: WorldSpec, rng: &mut StdRng) {
        let mut at = 60 + after(rng, 120.0);
        while at < spec.runs {
            let network = rng.random_range(0..NETWORKS);
            let lasts = 1 + after(rng, 6.0);
            let exits = self.where_exits(|exit| exit.network == network);
            let what = What::Broken(WAYS[rng.random_range(0..WAYS.len())]);
            self.trouble(format!("network {network}"), exits, what, at..at + lasts);
            at += lasts + after(rng, 120.0);
        }
    }

    /// The zone, the uplink and the host.
    fn break_ours(&mut self, spec: WorldSpec, rng: &mut StdRng) {
        let mut at = 20 + after(rng, 40.0);
        while at < spec.runs {
            let what = match rng.random_range(0..5) {
                0 | 1 => Some(Ours::ZoneBroken),
                2 => Some(Ours::ZoneParked),
                3 => Some(Ours::UplinkLost),
                _ => None,
            };
            let lasts = 1 + after(rng, 4.0);
            self.ours.push((at..at + lasts, what));
            at += lasts + 2 + after(rng, 40.0);
        }
    }

    fn where_exits(&self, is: impl Fn(&WorldExit) -> bool) -> Vec<usize> {
        (0..self.exits.len()).filter(|exit| is(&self.exits[*exit])).collect()
    }

    fn trouble(&mut self, whose: String, exits: Vec<usize>, what: What, runs: Range<u32>) {
        self.troubles.push(Trouble { whose, exits, what, runs });
    }

    /// What is ours and fails in a run; `None` where the host is down.
    #[expect(clippy::option_option, reason = "nothing fails, something fails, no run at all")]
    pub(super) fn weather(&self, run: u32) -> Option<Option<Ours>> {
        match self.ours.iter().find(|(runs, _)| runs.contains(&run)) {
            None => Some(None),
            Some((_, Some(what))) => Some(Some(*what)),
            Some((_, None)) => None,
        }
    }

    /// The exits that are in the consensus of a run.
    pub(super) fn there(&self, run: u32) -> impl Iterator<Item = usize> {
        (0..self.exits.len()).filter(move |exit| self.exits[*exit].there.contains(&run))
    }

    /// What is wrong with the exits in a run, by exit: what broke last counts.
    pub(super) fn wrong(&self, run: u32) -> impl Iterator<Item = (usize, What)> {
        let now = self.troubles.iter().filter(move |trouble| trouble.runs.contains(&run));
        now.flat_map(|trouble| trouble.exits.iter().map(|exit| (*exit, trouble.what)))
    }
}

fn exits(spec: WorldSpec, rng: &mut StdRng) -> Vec<WorldExit> {
    let mut exits = Vec::new();
    let mut operator = 0;
    let mut left = spec.relays;
    while left > 0 {
        let great = GREAT.get(operator).map(|percent| spec.relays * percent / 100);
        let drawn = match rng.random_range(0..10) {
            0..6 => 1,
            6..9 => rng.random_range(2..5),
            _ => rng.random_range(5..20),
        };
        let size = great.unwrap_or(drawn).clamp(1, left);
        let network = rng.random_range(0..NETWORKS);
        for _ in 0..size {
            // A place in the network: a relay, and who comes after it, or the same one with another key.
            let mut from = 0;
            while from < spec.runs {
                let to = from + 1 + after(rng, 3_000.0);
                let weight = rng.random_range(1_000..50_000);
                exits.push(WorldExit { operator, network, weight, there: from..to });
                from = to + after(rng, 20.0);
            }
        }
        left -= size;
        operator += 1;
    }
    exits
}

/// How many runs it takes until something happens that happens once in so many, on average: a number as
/// good as seconds.
fn after(rng: &mut StdRng, mean: f64) -> u32 {
    let share: f64 = rng.random_range(f64::EPSILON..1.0);
    let runs = Duration::from_secs_f64(-share.ln() * mean).as_secs();
    u32::try_from(runs).unwrap_or(u32::MAX)
}
