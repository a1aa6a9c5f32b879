//! The end of a scan, told to a person. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use record::{ErrorCode, RelayResult, Run, Status, printable};

/// Most failing relays that a summary names.
const MOST_NAMED: usize = 20;

/// What a summary keeps of the results as they come: a few words a relay.
#[derive(Debug, Default)]
pub struct Tally {
    codes: BTreeMap<(Status, Option<ErrorCode>), u32>,
    resolve_ms: Vec<f64>,
    failing: Vec<String>,
}

impl Tally {
    /// Takes in one final result.
    pub fn add(&mut self, result: &RelayResult) {
        *self.codes.entry((result.status, result.error_code)).or_default() += 1;
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
    fn percentiles_are_values_that_occurred() {
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(percentile(&[1.0], 95), Some(1.0));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 50), Some(2.0));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 95), Some(4.0));
    }
}
