//! How often lookups fail, from first answers: a relay's rate over days, whether it is degraded, and the
//! network's share. Pure. In words for operators: `docs/rates.md`.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use record::{FailureRate, NetworkFailureRate, ReportedRelay, State, Status};
use sha2::{Digest as _, Sha256};

use crate::stats::percent;

/// The standard normal quantile of a two-sided interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// How many times the network is drawn anew.
const DRAWS: usize = 1000;

/// With fewer operators than these, or where all lookups came to the same, draws would differ too little
/// to tell anything: an operator is then taken for one lookup.
const FEW: u32 = 10;

/// When a relay is degraded: of at least so many first answers, the interval of the share that failed
/// although the run passed lies above so many percent. Chosen by simulation: the tests below show what
/// they find and whom they accuse.
const MONTH: Bound = Bound { asked: 100, above_percent: 2.8 };
/// The same within a week, for relays that fail so often that nobody need wait for a month.
const WEEK: Bound = Bound { asked: 20, above_percent: 6.0 };

struct Bound {
    asked: u32,
    above_percent: f64,
}

/// First answers of one relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FirstAnswers {
    /// In how many runs a lookup reached it.
    pub asked: u32,
    /// In how many of them the first lookup failed.
    pub failed: u32,
    /// In how many of those the run passed by a retry.
    pub retried: u32,
}

impl FirstAnswers {
    /// Counts a run: whether its first lookup failed, where one reached the relay, and whether the run
    /// passed.
    pub fn add(&mut self, failed: Option<bool>, passed: bool) {
        let Some(failed) = failed else { return };
        self.asked += 1;
        self.failed += u32::from(failed);
        self.retried += u32::from(failed && passed);
    }

    /// The share that failed, with its interval; `None` of nothing.
    #[must_use]
    pub fn rate(self) -> Option<FailureRate> {
        let (low_percent, high_percent) = wilson(self.failed, self.asked)?;
        Some(FailureRate {
            asked: self.asked,
            failed: self.failed,
            passed_by_retry: self.retried,
            percent: percent(self.failed, self.asked)?,
            low_percent,
            high_percent,
        })
    }

    /// Whether the interval lies above the bound. Runs that failed altogether are left out: they are
    /// what streaks are for, and an outage that is over does not linger here.
    fn is_above(self, bound: &Bound) -> bool {
        let asked = self.asked - (self.failed - self.retried);
        asked >= bound.asked
            && wilson(self.retried, asked).is_some_and(|(low, _)| low > bound.above_percent)
    }
}

/// Whether a relay in this state is degraded, by its first answers of the last week and month.
#[must_use]
pub fn is_degraded(state: Option<State>, week: FirstAnswers, month: FirstAnswers) -> bool {
    !matches!(state, None | Some(State::Confirmed | State::Unreachable))
        && (week.is_above(&WEEK) || month.is_above(&MONTH))
}

/// Wilson's interval of 95 % for a share (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927), in percent, to
/// three decimals; `None` of nothing.
#[must_use]
pub fn wilson(part: u32, whole: u32) -> Option<(f64, f64)> {
    (whole > 0).then(|| wilson_of(f64::from(part) / f64::from(whole), f64::from(whole)))
}

/// The same for the share `p` among `n`.
fn wilson_of(p: f64, n: f64) -> (f64, f64) {
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // At the ends exactly 0 and 1, which the sums miss by a little.
    let low = if p <= 0.0 { 0.0 } else { (middle - half) / scale };
    let high = if p >= 1.0 { 1.0 } else { (middle + half) / scale };
    (decimals(low * 100.0), decimals(high * 100.0))
}

fn decimals(percent: f64) -> f64 {
    (percent.clamp(0.0, 100.0) * 1000.0).round() / 1000.0
}

/// An operator's part in the network.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    weight: f64,
    failed: f64,
}

/// The share of first lookups that failed, each relay weighed by its consensus weight, as clients choose
/// exits. Its interval is that of networks drawn anew from the operators, as relays of one fail together:
/// the run's id is the seed, so that the same run has the same interval. `None` where nothing was asked
/// or has a weight. Relays with the BadExit flag are left out, as in the other rates.
#[must_use]
pub fn of_network(run_id: &str, results: &[ReportedRelay]) -> Option<NetworkFailureRate> {
    let mut operators: BTreeMap<&str, Part> = BTreeMap::new();
    let (mut asked, mut failed, mut weights, mut failed_weights) = (0_u32, 0_u32, 0_u64, 0_u64);
    for relay in results.iter().filter(|relay| !relay.relay.is_bad_exit()) {
        let Some(first) = relay.first else { continue };
        let weight = relay.relay.bandwidth.consensus_weight.unwrap_or(0);
        // The consensus has 32 bits for it (dir-spec); a file may say anything.
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        let part = operators.entry(&relay.operator).or_default();
        part.weight += f64::from(weight);
        asked += 1;
        weights += u64::from(weight);
        if first.status != Status::Success {
            failed += 1;
            failed_weights += u64::from(weight);
            part.failed += f64::from(weight);
        }
    }
    let share = percent(failed_weights, weights)?;
    let parts: Vec<Part> = operators.into_values().collect();
    let operators = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let (low_percent, high_percent) =
        if failed_weights == 0 || failed_weights == weights || operators < FEW {
            wilson_of(share / 100.0, operators.into())
        } else {
            drawn_anew(run_id, &parts)
        };
    Some(NetworkFailureRate { asked, failed, percent: share, low_percent, high_percent })
}

/// The 2.5th and 97.5th percentile of the shares of networks drawn from these operators, as many each
/// time, with replacement.
fn drawn_anew(run_id: &str, parts: &[Part]) -> (f64, f64) {
    let mut random = StdRng::from_seed(Sha256::digest(run_id.as_bytes()).into());
    let mut shares: Vec<f64> = (0..DRAWS)
        .filter_map(|_| {
            let (mut weight, mut failed) = (0.0, 0.0);
            for _ in parts {
                let part = parts[random.random_range(0..parts.len())];
                weight += part.weight;
                failed += part.failed;
            }
            (weight > 0.0).then_some(failed / weight * 100.0)
        })
        .collect();
    shares.sort_by(f64::total_cmp);
    let at = |thousandth: usize| shares.get(shares.len() * thousandth / 1000).copied();
    (decimals(at(25).unwrap_or(0.0)), decimals(at(975).unwrap_or(100.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_interval_is_wilsons() {
        // As the tables have it: Newcombe, Statist. Med. 17, 1998, table I.
        assert_eq!(wilson(81, 263), Some((25.529, 36.621)));
        assert_eq!(wilson(15, 148), Some((6.239, 16.049)));
        assert_eq!(wilson(0, 20), Some((0.0, 16.113)));
        assert_eq!(wilson(1, 29), Some((0.611, 17.176)));
        assert_eq!(wilson(0, 0), None);
        assert_eq!(wilson(7, 7).unwrap().1, 100.0);
    }

    /// Runs of a relay of which so many of a thousand lookups fail, and every run passes: the first
    /// answers of the last 28 and 120 of them after each, and whether it is degraded then.
    struct Relay {
        runs: Vec<bool>,
        week: FirstAnswers,
        month: FirstAnswers,
    }

    impl Relay {
        fn new() -> Self {
            let none = FirstAnswers::default();
            Self { runs: Vec::new(), week: none, month: none }
        }

        fn run(&mut self, failed: bool) -> bool {
            self.runs.push(failed);
            for (answers, of) in [(&mut self.week, 28), (&mut self.month, 120)] {
                answers.add(Some(failed), true);
                if let Some(place) = self.runs.len().checked_sub(of + 1) {
                    answers.asked -= 1;
                    answers.failed -= u32::from(self.runs[place]);
                    answers.retried -= u32::from(self.runs[place]);
                }
            }
            is_degraded(Some(State::Healthy), self.week, self.month)
        }
    }

    /// Of a hundred relays that fail 10 % of their lookups, 95 or more are found after 120 runs; of
    /// those that fail half, nearly all after 20. Of those that fail 0.7 %, as every relay does now and
    /// then, less than one is accused in a year in which every run looks again.
    #[test]
    fn who_is_found_and_who_is_accused() {
        let mut random = StdRng::seed_from_u64(15);
        let mut fails = |thousandths: u32| random.random_range(0..1000) < thousandths;
        let mut found = |thousandths, runs| {
            let relays = (0..20_000).filter(|_| {
                let mut relay = Relay::new();
                (0..runs).fold(false, |_, _| relay.run(fails(thousandths)))
            });
            relays.count()
        };
        let (tenth, twentieth, half) = (found(100, 120), found(50, 120), found(500, 20));
        let mut accused = 0;
        for _ in 0..4000 {
            let mut relay = Relay::new();
            accused += usize::from((0..1460).any(|_| relay.run(fails(7))));
        }
        let figures = format!(
            "of 20000: {tenth} with 10 % and {twentieth} with 5 % after 120 runs, {half} with 50 % \
             after 20; {accused} of 4000 healthy ones in a year"
        );
        assert!(tenth >= 19_000 && half >= 19_900, "{figures}");
        assert!(accused < 40, "{figures}");
        println!("{figures}");
    }

    #[test]
    fn an_outage_that_is_over_is_not_degraded() {
        let mut answers = FirstAnswers::default();
        for run in 0..120 {
            answers.add(Some(run < 30), run >= 30);
        }
        let rate = answers.rate().unwrap();
        assert_eq!((rate.asked, rate.failed, rate.passed_by_retry), (120, 30, 0));
        let degraded = |state| is_degraded(state, FirstAnswers::default(), answers);
        assert!(!degraded(Some(State::Recovered)));
        // The same failures, passed by retry. What is confirmed, or unreachable, is that first.
        answers.retried = 30;
        let degraded = |state| is_degraded(state, FirstAnswers::default(), answers);
        assert!(degraded(Some(State::Healthy)) && degraded(Some(State::Flapping)));
        assert!(!degraded(Some(State::Confirmed)) && !degraded(Some(State::Unreachable)));
    }

    /// Networks of 300 operators of five relays each, of which one in twenty fails half its lookups, all
    /// relays of it together: the interval holds the truth about as often as it says, and one that took
    /// each relay for itself would not.
    #[test]
    fn the_networks_interval_is_of_operators_that_fail_together() {
        let mut random = StdRng::seed_from_u64(1);
        let (mut held, mut alone) = (0, 0);
        for network in 0..300 {
            let mut parts = Vec::new();
            let mut failed = 0;
            for _ in 0..300 {
                let fails = random.random_range(0..40) == 0;
                failed += if fails { 5 } else { 0 };
                parts.push(Part { weight: 5.0, failed: if fails { 5.0 } else { 0.0 } });
            }
            let (low, high) = drawn_anew(&network.to_string(), &parts);
            held += i32::from(low <= 2.5 && 2.5 <= high);
            let (low, high) = wilson(failed, 1500).unwrap();
            alone += i32::from(low <= 2.5 && 2.5 <= high);
        }
        assert!((270..=300).contains(&held), "{held} of 300");
        assert!(alone < 210, "{alone} of 300");
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_share(part in 0_u32..5000, more in 0_u32..5000) {
            let whole = part + more;
            if let Some((low, high)) = wilson(part, whole) {
                let share = f64::from(part) / f64::from(whole) * 100.0;
                prop_assert!(0.0 <= low && low <= share + 0.001 && share <= high + 0.001 && high <= 100.0);
            }
        }
    }
}
