//! The end of a scan, told to a person. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use record::{CheckOutcome, ErrorCode, RelayResult, ResolverChecks, Run, Status, printable};

/// Most failing relays that a summary names.
const MOST_NAMED: usize = 20;

/// What a summary keeps of the results as they come: a few words a relay.
#[derive(Debug, Default)]
pub struct Tally {
    codes: BTreeMap<(Status, Option<ErrorCode>), u32>,
    resolve_ms: Vec<f64>,
    checks: CheckTally,
    failing: Vec<String>,
}

impl Tally {
    /// Takes in one final result.
    pub fn add(&mut self, result: &RelayResult) {
        *self.codes.entry((result.status, result.error_code)).or_default() += 1;
        if let Some(checks) = &result.checks {
            self.checks.add(checks);
        }
        if result.status == Status::Success {
            self.resolve_ms.extend(result.latency_ms.map(record::Millis::get));
            return;
        }
        if self.failing.len() <= MOST_NAMED {
            let code = result.error_code.map(|code| format!(" {code}")).unwrap_or_default();
            self.failing.push(format!(
                "{} {:<19}  {}{code}",
                result.exit_fingerprint,
                printable(&result.exit_nickname),
                result.status
            ));
        }
    }
}

/// What the checks of resolvers came to.
#[derive(Debug, Default)]
struct CheckTally {
    /// Exits that were asked for anything.
    asked: u32,
    /// Those that named who asks.
    named: u32,
    /// Of each check, how often each outcome came.
    outcomes: [BTreeMap<CheckOutcome, u32>; 3],
}

impl CheckTally {
    /// What each of the three is about.
    const WORDS: [&str; 3] = ["validates", "TCP", "IPv6"];

    fn add(&mut self, checks: &ResolverChecks) {
        self.asked += 1;
        self.named += u32::from(!checks.addresses.is_empty());
        let all = [checks.validates, checks.tcp, checks.ipv6];
        for (outcomes, outcome) in self.outcomes.iter_mut().zip(all) {
            if let Some(outcome) = outcome {
                *outcomes.entry(outcome).or_default() += 1;
            }
        }
    }

    /// A line, where anything was asked.
    fn line(&self) -> Option<String> {
        let Self { asked, named, outcomes } = self;
        let mut text = format!("  resolvers: {named} of {asked} exits say who asks");
        for (word, outcomes) in Self::WORDS.iter().zip(outcomes) {
            let told: Vec<String> =
                outcomes.iter().map(|(outcome, count)| format!("{outcome} {count}")).collect();
            if !told.is_empty() {
                let _ = write!(text, "; {word}: {}", told.join(", "));
            }
        }
        (*asked > 0).then_some(text)
    }
}

/// A length of time as people say it: `42 s`, `3 min 5 s`, `1 h 40 min`.
#[must_use]
pub fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{:.1} s", time.as_secs_f64()),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The summary of a run.
#[must_use]
pub fn summary(run: &Run, tally: &mut Tally, dir: &std::path::Path) -> String {
    let mut text = String::new();
    let state = if run.complete { "complete" } else { "INCOMPLETE" };
    let whose = if run.tor.own { "a tor of its own" } else { "a running tor" };
    let _ = writeln!(
        text,
        "Run {} is {state}: {} of {} exits in {}, {} mode, through {whose} ({})",
        run.run_id,
        run.counts.total(),
        run.selected,
        spoken(Duration::try_from_secs_f64(run.probing_seconds).unwrap_or_default()),
        run.mode,
        printable(&run.tor.version),
    );
    if let Some(reason) = &run.incomplete_reason {
        let _ = writeln!(text, "  {}", printable(reason));
        let _ = writeln!(
            text,
            "  {} relays not reached, {} not confirmed; --resume goes on",
            run.not_reached.len(),
            run.unconfirmed.len()
        );
    }
    for &status in Status::ALL {
        let codes: Vec<String> = tally
            .codes
            .iter()
            .filter(|((of, _), _)| *of == status)
            .filter_map(|((_, code), count)| code.map(|code| format!("{code} {count}")))
            .collect();
        let count = run.counts.of(status);
        if count > 0 {
            let _ = writeln!(text, "  {status:<13}{count:>6}  {}", codes.join(", "));
        }
    }
    tally.resolve_ms.sort_by(f64::total_cmp);
    if let (Some(median), Some(slow)) =
        (percentile(&tally.resolve_ms, 50), percentile(&tally.resolve_ms, 95))
    {
        let _ = writeln!(
            text,
            "  resolve time of the successes: median {median:.0} ms, 95 % within {slow:.0} ms"
        );
    }
    if let Some(line) = tally.checks.line() {
        let _ = writeln!(text, "{line}");
    }
    if !tally.failing.is_empty() {
        tally.failing.sort();
        let _ = writeln!(text, "Not successful:");
        for line in tally.failing.iter().take(MOST_NAMED) {
            let _ = writeln!(text, "  {}", line.trim_end());
        }
        let more = run.counts.total() - run.counts.success;
        if let Some(more) = usize::try_from(more).ok().and_then(|n| n.checked_sub(MOST_NAMED))
            && more > 0
        {
            let _ = writeln!(text, "  and {more} more");
        }
    }
    let _ = writeln!(text, "Results: {}", printable(&dir.display().to_string()));
    text
}

/// The nearest-rank percentile of sorted values.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_of_time_as_people_do() {
        let said = [0.04, 42.9, 185.0, 6000.0].map(|s| spoken(Duration::from_secs_f64(s)));
        assert_eq!(said, ["0.0 s", "42 s", "3 min 5 s", "1 h 40 min"]);
    }

    #[test]
    fn what_was_found_of_resolvers_is_a_line() {
        use CheckOutcome::{No, Unknown, Yes};
        let mut tally = CheckTally::default();
        assert_eq!(tally.line(), None);
        for (addresses, validates, tcp) in [
            (vec!["192.0.2.53".parse().unwrap()], Some(Yes), Some(Yes)),
            (vec!["192.0.2.54".parse().unwrap()], Some(Yes), None),
            (Vec::new(), Some(Unknown), Some(No)),
        ] {
            let lookups = Vec::new();
            tally.add(&ResolverChecks { addresses, validates, tcp, ipv6: None, lookups });
        }
        let line =
            "  resolvers: 2 of 3 exits say who asks; validates: yes 2, unknown 1; TCP: yes 1, no 1";
        assert_eq!(tally.line().as_deref(), Some(line));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(percentile(&[1.0], 95), Some(1.0));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 50), Some(2.0));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 95), Some(4.0));
    }
}
