//! What goes. Pure: names, times and the time now come in.

use std::collections::BTreeMap;

use chrono::{
    DateTime, Datelike as _, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc,
};
use shelf::output;

/// How long an interrupted run that no scanner has ever locked here is left alone: somebody may be
/// copying it.
const COPIED: TimeDelta = TimeDelta::days(2);

/// An analysis directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOnDisk {
    /// Its name in the analysis root.
    pub name: String,
    /// Whether its `run.json` says that it is complete.
    pub complete: bool,
    /// When it ended; started, where it has not ended; was last changed, where even that is lost.
    pub time: DateTime<Utc>,
    /// When the directory was last changed.
    pub modified: DateTime<Utc>,
    /// Whether it has the scanner's lock file, which then tells whether a scan is under way.
    pub lockable: bool,
}

/// The runs that may go, oldest first: all but the `keep` newest complete ones and what is newer
/// than the oldest of those, and of that no more than `keep` interrupted ones. What is newer than
/// `reported`, the last report's run, stays: there may be no report of it yet.
#[must_use]
pub fn runs(
    found: &[RunOnDisk],
    keep: u32,
    reported: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<&RunOnDisk> {
    let Some(keep) = usize::try_from(keep).ok().filter(|keep| *keep > 0) else {
        return Vec::new();
    };
    let sorted = |complete: bool| {
        let mut runs: Vec<&RunOnDisk> =
            found.iter().filter(|run| run.complete == complete).collect();
        runs.sort_by(|a, b| (b.time, &b.name).cmp(&(a.time, &a.name)));
        runs
    };
    let complete = sorted(true);
    let oldest_kept = complete.get(keep - 1).map(|run| run.time);
    let interrupted = sorted(false);
    let old = |(place, run): &(usize, &RunOnDisk)| {
        *place >= keep || oldest_kept.is_some_and(|oldest| run.time < oldest)
    };
    let copied = |run: &RunOnDisk| !run.lockable && now - run.modified < COPIED;
    let mut chosen: Vec<&RunOnDisk> = complete.iter().copied().skip(keep).collect();
    chosen.extend(
        interrupted
            .into_iter()
            .enumerate()
            .filter(old)
            .map(|(_, run)| run)
            .filter(|run| !copied(run)),
    );
    chosen.retain(|run| reported.is_none_or(|reported| run.time <= reported));
    chosen.sort_by(|a, b| (a.time, &a.name).cmp(&(b.time, &b.name)));
    chosen
}

/// The logs that may go, oldest first: all but the `keep` newest, among names of the form
/// `run_YYYY-MM-DDTHH-MM-SSZ.log`. Other names are never chosen.
#[must_use]
pub fn logs(names: &[String], keep: u32) -> Vec<&str> {
    if keep == 0 {
        return Vec::new();
    }
    let mut logs: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| is_log(name)).collect();
    // Their names sort as their times do.
    logs.sort_unstable();
    let most = usize::try_from(keep).unwrap_or(usize::MAX);
    logs.truncate(logs.len().saturating_sub(most));
    logs
}

fn is_log(name: &str) -> bool {
    const FORM: &str = "run_%Y-%m-%dT%H-%M-%SZ.log";
    NaiveDateTime::parse_from_str(name, FORM)
        .is_ok_and(|time| time.format(FORM).to_string() == name)
}

/// The reports and archives of one month.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Month {
    /// The dated reports, sorted.
    pub reports: Vec<String>,
    /// The archives that this program can read, sorted by variant.
    pub archives: Vec<(u32, String)>,
}

/// The months that have something to be archived, or more than one archive, by their start. The
/// whole month must be `after` days past. A month with one of the `needed` times in it waits: they
/// are those of the report that `latest.json` is, and of the newest report.
#[must_use]
pub fn months<'a>(
    names: impl IntoIterator<Item = &'a str>,
    needed: &[DateTime<Utc>],
    after: u32,
    now: DateTime<Utc>,
) -> BTreeMap<DateTime<Utc>, Month> {
    if after == 0 {
        return BTreeMap::new();
    }
    let mut months = all_months(names);
    let past = |month: DateTime<Utc>| {
        month
            .checked_add_months(Months::new(1))
            .and_then(|end| end.checked_add_signed(TimeDelta::days(after.into())))
            .is_some_and(|due| due <= now)
    };
    months.retain(|month, held| {
        (!held.reports.is_empty() || held.archives.len() > 1)
            && past(*month)
            && needed.iter().all(|time| start(*time) != *month)
    });
    months
}

/// The reports and archives of every month, by its start.
#[must_use]
pub fn all_months<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeMap<DateTime<Utc>, Month> {
    let mut months: BTreeMap<DateTime<Utc>, Month> = BTreeMap::new();
    for name in names {
        if let Some((time, _)) = output::of_dated_name(name) {
            months.entry(start(time)).or_default().reports.push(name.to_owned());
        } else if let Some((month, variant, super::archive::END)) = output::archive_parts(name) {
            months.entry(month).or_default().archives.push((variant, name.to_owned()));
        }
    }
    for held in months.values_mut() {
        held.reports.sort();
        held.archives.sort();
    }
    months
}

/// The start of the month that a time is in.
fn start(time: DateTime<Utc>) -> DateTime<Utc> {
    let day = time.date_naive();
    // Every month has a first day.
    let first = NaiveDate::from_ymd_opt(day.year(), day.month(), 1).unwrap_or(day);
    first.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(number: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600, 0).unwrap() + TimeDelta::days(number)
    }

    fn run_of(number: i64, complete: bool) -> RunOnDisk {
        RunOnDisk {
            name: format!("{number}"),
            complete,
            time: day(number),
            modified: day(number),
            lockable: true,
        }
    }

    fn names<'a>(runs: &[&'a RunOnDisk]) -> Vec<&'a str> {
        runs.iter().map(|run| run.name.as_str()).collect()
    }

    #[test]
    fn older_runs_than_the_newest_complete_ones_go() {
        let found: Vec<RunOnDisk> = (0..8).map(|number| run_of(number, number % 2 == 0)).collect();
        // 6 and 4 are kept, and the interrupted 7 and 5.
        assert_eq!(names(&runs(&found, 2, None, day(9))), ["0", "1", "2", "3"]);
        assert_eq!(names(&runs(&found, 2, Some(day(2)), day(9))), ["0", "1", "2"]);
        assert!(runs(&found, 0, None, day(9)).is_empty());
        assert!(runs(&found, 8, None, day(9)).is_empty());
    }

    #[test]
    fn interrupted_runs_do_not_pile_up_where_none_is_complete() {
        let mut found: Vec<RunOnDisk> = (0..5).map(|number| run_of(number, false)).collect();
        assert_eq!(names(&runs(&found, 3, None, day(9))), ["0", "1"]);
        found[1].lockable = false;
        found[1].modified = day(8);
        assert_eq!(names(&runs(&found, 3, None, day(9))), ["0"], "somebody is copying it");
        assert_eq!(names(&runs(&found, 3, None, day(11))), ["0", "1"]);
    }

    proptest! {
        #[test]
        fn the_newest_complete_runs_and_the_unreported_always_stay(
            runs_found in prop::collection::vec((0_i64..40, any::<bool>(), any::<bool>()), 0..30),
            keep in 0_u32..6,
            reported in prop::option::of(0_i64..40),
            now in 0_i64..60,
        ) {
            let found: Vec<RunOnDisk> = runs_found
                .iter()
                .enumerate()
                .map(|(place, (number, complete, lockable))| RunOnDisk {
                    name: format!("{place}"),
                    lockable: *lockable,
                    ..run_of(*number, *complete)
                })
                .collect();
            let reported = reported.map(day);
            let chosen = runs(&found, keep, reported, day(now));
            let stays = |run: &RunOnDisk| !chosen.contains(&run);
            let complete = found.iter().filter(|run| run.complete);
            let left = complete.clone().filter(|run| stays(run)).count();
            let all = complete.clone().count();
            prop_assert!(left >= all.min(usize::try_from(keep.max(1)).unwrap()));
            if let Some(newest) = complete.max_by_key(|run| (run.time, run.name.clone())) {
                prop_assert!(stays(newest));
            }
            for run in &found {
                prop_assert!(stays(run) || reported.is_none_or(|reported| run.time <= reported));
            }
        }
    }

    #[test]
    fn only_logs_go_and_the_oldest_first() {
        let names = [
            "run_2026-11-23T03-15-00Z.log",
            "run_2026-11-22T21-15-00Z.log",
            "run_2026-11-22T21-15-00Z.log.gz",
            "run_2025-02-30T00-00-00Z.log",
            "run_2025-1-1T00-00-00Z.log",
            "tor.log",
            "run_2024-01-01T00-00-00Z.log",
        ]
        .map(str::to_owned);
        let oldest = ["run_2024-01-01T00-00-00Z.log", "run_2026-11-22T21-15-00Z.log"];
        assert_eq!(logs(&names, 1), oldest);
        assert_eq!(logs(&names, 2), oldest[..1]);
        assert!(logs(&names, 3).is_empty() && logs(&names, 0).is_empty());
    }

    #[test]
    fn whole_months_that_are_past_go() {
        let names = [
            "dns_health_2026-04-30_23-59-59.json",
            "dns_health_2026-05-01_00-00-00.json",
            "dns_health_2026-05-01_00-00-00-2.json",
            "dns_health_2026-05-31_18-00-00.json",
            "dns_health_2026-06-01_00-00-00.json",
            "dns_health_2026-03.tar.gz",
            "dns_health_2026-02.tar.gz",
            "dns_health_2026-02-3.tar.gz",
            "dns_health_2026-05.tar.xz",
            "latest.json",
        ];
        let months_at = |now: &str, needed: &[&str]| -> Vec<String> {
            let needed: Vec<_> = needed.iter().map(|time| time.parse().unwrap()).collect();
            let chosen = months(names, &needed, 180, now.parse().unwrap());
            let month = |(month, held): (&DateTime<Utc>, &Month)| {
                let (reports, archives) = (held.reports.len(), held.archives.len());
                format!("{} {reports} {archives}", month.format("%m"))
            };
            chosen.iter().map(month).collect()
        };
        // 180 days after the first of June.
        assert_eq!(months_at("2026-11-27T23:59:59Z", &[]), ["02 0 2", "04 1 0"]);
        assert_eq!(months_at("2026-11-28T00:00:00Z", &[]), ["02 0 2", "04 1 0", "05 3 0"]);
        let needed = ["2026-05-31T18:00:00Z"];
        assert_eq!(months_at("2026-11-28T00:00:00Z", &needed), ["02 0 2", "04 1 0"]);
        assert!(months(names, &[], 0, day(10_000)).is_empty());
        assert!(months(names, &[], u32::MAX, DateTime::<Utc>::MAX_UTC).is_empty());
    }
}
