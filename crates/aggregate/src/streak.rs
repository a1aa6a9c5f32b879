//! What a run's result does to a relay's streak, and what state a relay is in. Pure; the rules
//! are documented in `docs/formats/report.md`.

use chrono::{DateTime, Duration, Utc};
use record::{ABSENT_MARK, RECENT_RUNS, State, Status, Streak, of_recent_mark};

/// A failing relay is confirmed from this many failures in a row on.
pub const CONFIRMED_AFTER: u32 = 2;

/// A relay is unreachable from this many runs in a row on.
pub const UNREACHABLE_AFTER: u32 = 3;

/// How many tests the rule for flapping looks at.
pub const FLAPPING_TESTS: usize = 12;

/// How many changes of the verdict among them make a relay flap.
pub const FLAPPING_CHANGES: usize = 4;

/// So many tests in a row that agree end the flapping.
pub const SETTLED_TESTS: usize = 6;

/// A relay counts as recovered while one of so many tests before the last one failed.
pub const RECOVERED_TESTS: usize = 4;

/// How long an absent relay's streak is kept.
pub const FORGET_AFTER: Duration = Duration::days(30);

/// What a result says of a relay's DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It works: ends a streak.
    Works,
    /// It fails: adds to the streak.
    Fails,
    /// The relay was not reached: neither adds nor clears.
    Unreached,
    /// Nothing at all: a fault of ours, or a failure that was not confirmed.
    Nothing,
}

/// What a result says. One that is provisional says nothing: its failure was seen once, and may have
/// been a passing one.
#[must_use]
pub const fn effect(status: Status, provisional: bool) -> Effect {
    match status {
        _ if provisional => Effect::Nothing,
        Status::Success => Effect::Works,
        Status::WrongIp | Status::DnsFail | Status::Timeout => Effect::Fails,
        Status::CircuitFail => Effect::Unreached,
        Status::Error | Status::Exception => Effect::Nothing,
    }
}

/// The streak after a run that ended at `time`.
#[must_use]
pub fn after(before: Streak, effect: Effect, time: DateTime<Utc>) -> Streak {
    match effect {
        Effect::Works => Streak { last_success: Some(time), ..Streak::default() },
        Effect::Fails => Streak {
            consecutive_failures: before.consecutive_failures.saturating_add(1),
            failing_since: Some(before.failing_since.unwrap_or(time)),
            last_success: before.last_success,
            unreachable_runs: 0,
        },
        Effect::Unreached => {
            Streak { unreachable_runs: before.unreachable_runs.saturating_add(1), ..before }
        }
        Effect::Nothing => before,
    }
}

/// A relay's state, from its streak and its last runs, both with the newest run in them; `None`
/// where no run has tested it or tried to reach it.
#[must_use]
pub fn state(streak: &Streak, recent: &str) -> Option<State> {
    if streak.unreachable_runs >= UNREACHABLE_AFTER {
        return Some(State::Unreachable);
    }
    // What the streak says holds also where `recent` was lost, or is all circuit failures.
    let fails = match (streak.consecutive_failures, streak.last_success) {
        (0, None) if streak.unreachable_runs > 0 => return Some(State::Unreachable),
        (0, None) => return None,
        (0, Some(_)) => false,
        _ => true,
    };
    // Whether each of the last tests failed, newest first.
    let tests: Vec<bool> = recent
        .chars()
        .rev()
        .filter_map(of_recent_mark)
        .filter_map(|(status, provisional)| match effect(status, provisional) {
            Effect::Works => Some(false),
            Effect::Fails => Some(true),
            Effect::Unreached | Effect::Nothing => None,
        })
        .take(FLAPPING_TESTS)
        .collect();
    let changes = tests.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let last = &tests[..tests.len().min(SETTLED_TESTS)];
    let settled = last.len() == SETTLED_TESTS && last.iter().all(|failed| *failed == last[0]);
    Some(if changes >= FLAPPING_CHANGES && !settled {
        State::Flapping
    } else if fails && streak.consecutive_failures >= CONFIRMED_AFTER {
        State::Confirmed
    } else if fails {
        State::Suspect
    } else if tests.iter().skip(1).take(RECOVERED_TESTS).any(|failed| *failed) {
        State::Recovered
    } else {
        State::Healthy
    })
}

/// `recent` with one more run: at most [`RECENT_RUNS`], and beginning with a run that has a
/// result.
#[must_use]
pub fn with_mark(recent: &str, mark: char) -> String {
    let runs = recent.chars().count() + 1;
    let text: String =
        recent.chars().chain([mark]).skip(runs.saturating_sub(RECENT_RUNS)).collect();
    text.trim_start_matches(ABSENT_MARK).to_owned()
}

/// `recent` without its newest run.
#[must_use]
pub fn without_newest(recent: &str) -> &str {
    let mut chars = recent.chars();
    chars.next_back();
    chars.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use proptest::prelude::*;

    /// The streak, the recent runs and the state after these runs.
    fn play(marks: &str) -> (Streak, String, Option<State>) {
        let mut streak = Streak::default();
        let mut recent = String::new();
        for (hour, mark) in (0..).zip(marks.chars()) {
            if let Some((status, provisional)) = of_recent_mark(mark) {
                let time = DateTime::from_timestamp(hour * 3600, 0).unwrap();
                streak = after(streak, effect(status, provisional), time);
            }
            recent = with_mark(&recent, mark);
        }
        let state = state(&streak, &recent);
        (streak, recent, state)
    }

    #[test]
    fn states() {
        let table = include_str!("../testdata/states.txt");
        for row in table.lines().filter(|line| !line.starts_with('#')) {
            let (marks, expected) = row.split_once(' ').unwrap();
            assert_eq!(play(marks).2.map_or("-", State::as_str), expected, "{marks}");
        }
        assert_eq!(play("").2, None);
    }

    proptest! {
        #[test]
        fn what_is_no_test_neither_adds_nor_clears(marks in "[swdt]{0,20}", noise in "[cexWDTC.]{0,20}") {
            let plain = play(&marks).0;
            let noisy = play(&format!("{marks}{noise}")).0;
            prop_assert_eq!(plain.consecutive_failures, noisy.consecutive_failures);
            prop_assert_eq!(plain.failing_since, noisy.failing_since);
            prop_assert_eq!(plain.last_success, noisy.last_success);
        }

        #[test]
        fn the_newest_mark_can_be_taken_back(marks in "[swdtcexWDTC.]{0,130}", a in "[swdtcex.]", b in "[swdtcex.]") {
            let recent = play(&marks).1;
            let (a, b) = (a.chars().next().unwrap(), b.chars().next().unwrap());
            let twice = with_mark(without_newest(&with_mark(&recent, a)), b);
            prop_assert_eq!(twice, with_mark(&recent, b));
            prop_assert!(recent.len() <= RECENT_RUNS);
        }
    }
}
