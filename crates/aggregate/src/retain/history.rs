//! The history: shortened, as `history prune` does it.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Next, PartDone, RetainError, RetainOptions, RetainPart, count, shown};
use crate::history::{History, HistoryError};

pub fn run(options: &RetainOptions, now: DateTime<Utc>, doing: &mut Next<'_>) -> PartDone {
    let mut done = PartDone::new(RetainPart::History);
    if options.keep_days == 0 {
        "all of it is kept".clone_into(&mut done.summary);
        return done;
    }
    // Opening would tell the same in other words.
    if !options.history.exists() {
        done.summary = format!("there is no {}", shown(&options.history));
        return done;
    }
    match forget(options, now, doing) {
        Ok((before, runs)) => {
            let day = before.map_or_else(String::new, |before| {
                format!(" before {}", before.format("%Y-%m-%d"))
            });
            let would = if options.dry_run { "would be forgotten" } else { "forgotten" };
            let runs_in_words = count(runs, "run", "runs");
            done.summary =
                format!("{runs_in_words}{day} {would}; the file keeps its size for later runs");
            if runs > 0 {
                done.steps
                    .push(format!("forget {runs_in_words}{day} in {}", shown(&options.history)));
            }
        }
        Err(error) => {
            "nothing was forgotten".clone_into(&mut done.summary);
            done.troubles.push(RetainError::History(error));
        }
    }
    done
}

/// Before when runs are forgotten, where there is any run, and how many.
fn forget(
    options: &RetainOptions,
    now: DateTime<Utc>,
    doing: &mut Next<'_>,
) -> Result<(Option<DateTime<Utc>>, usize), HistoryError> {
    let mut history = if options.dry_run {
        History::open_to_look(&options.history)?
    } else {
        History::open(&options.history)?
    };
    let Some(newest) = history.newest()? else { return Ok((None, 0)) };
    // From the newest run on, where that is before now: a clock that jumped ahead must not cost
    // what cannot be had again.
    let before = newest.min(now) - TimeDelta::days(options.keep_days.into());
    let runs = if options.dry_run {
        usize::try_from(history.runs_before(before)?).unwrap_or(usize::MAX)
    } else {
        doing("shorten the history");
        history.prune(before)?
    };
    Ok((Some(before), runs))
}
