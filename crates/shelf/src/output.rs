//! The output directory: what is published, by name.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use crate::{lock, read};

/// The report that is published last and read first: a copy of the newest report whose gate was
/// open.
pub const LATEST_FILE: &str = "latest.json";

/// The list of what can be fetched.
pub const FILES_FILE: &str = "files.json";

/// A line for each run that the history has.
pub const TRENDS_FILE: &str = "trends.json";

/// What is measured, for Prometheus.
pub const METRICS_FILE: &str = "metrics.prom";

/// The verdicts by fingerprint, for sites that join them to Onionoo's documents.
pub const ONIONOO_FILE: &str = "onionoo-dns.json";

/// The figures of the latest report, without its relays.
pub const FIGURES_FILE: &str = "figures.json";

/// A page of the latest report that needs no script.
pub const SUMMARY_FILE: &str = "summary.html";

/// Where the index of the badges is, a file for each first digit of a fingerprint.
pub const BADGES_DIRECTORY: &str = "badges";

/// Where the files of the system before this one are.
pub const COMPAT_DIRECTORY: &str = "compat";

/// The report, as that system had it.
pub const COMPAT_REPORT_FILE: &str = "compat/latest.json";

/// Its metrics.
pub const COMPAT_METRICS_FILE: &str = "compat/metrics.prom";

/// What fails together, from when to when.
pub const INCIDENTS_FILE: &str = "incidents.json";

/// The incidents as an Atom feed.
pub const FEED_FILE: &str = "feed.atom";

/// Where the feeds of single operators are: 16 hexadecimal digits and `.atom`.
pub const FEEDS_DIRECTORY: &str = "feeds";

/// The largest report that is read, in bytes: some 40,000 relays.
pub const REPORT_LIMIT: u64 = 64 << 20;

/// The largest list of files that is read, in bytes: some 200,000 reports.
pub const FILES_LIMIT: u64 = 64 << 20;

/// The largest archive that is read, in bytes.
pub const ARCHIVE_LIMIT: u64 = 16 << 30;

/// How the names of dated reports and of archives begin.
const PREFIX: &str = "dns_health_";

/// The date in a report's name.
const DATE: &str = "%Y-%m-%d_%H-%M-%S";

/// Whether what has this name is never changed once it is there: a dated report or an archive.
#[must_use]
pub fn is_immutable(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Whether this is made for other readers than the dashboard, and again with each new report.
#[must_use]
pub fn is_export(path: &str) -> bool {
    if path.strip_prefix(FEEDS_DIRECTORY).is_some_and(|rest| {
        let name = rest.strip_prefix('/').and_then(|rest| rest.strip_suffix(".atom"));
        name.is_some_and(|name| name.len() == 16 && name.bytes().all(|c| c.is_ascii_hexdigit()))
    }) {
        return true;
    }
    let badges = path.strip_prefix(BADGES_DIRECTORY).and_then(|rest| rest.strip_prefix('/'));
    match badges.and_then(|rest| rest.strip_suffix(".json")) {
        Some(digit) => matches!(digit.as_bytes(), [b'0'..=b'9' | b'A'..=b'F']),
        None => [
            METRICS_FILE,
            ONIONOO_FILE,
            SUMMARY_FILE,
            FIGURES_FILE,
            COMPAT_REPORT_FILE,
            COMPAT_METRICS_FILE,
            INCIDENTS_FILE,
            FEED_FILE,
        ]
        .contains(&path),
    }
}

/// Opens the directory, and takes the lock that everything takes which writes here; `None` where
/// another process holds it.
///
/// # Errors
///
/// The system's error.
pub fn lock(directory: &Path) -> io::Result<Option<OwnedFd>> {
    let directory = read::open_directory(directory)?;
    Ok(lock::take(&directory)?.then_some(directory))
}

/// The name of the dated report of a run that ended at `time`. A later report of the same run
/// with other content gets `-2` and so on before `.json`.
#[must_use]
pub fn dated_name(time: DateTime<Utc>) -> String {
    format!("{PREFIX}{}.json", time.format(DATE))
}

/// The name of this variant of a dated report, counted from 1.
#[must_use]
pub fn variant_name(time: DateTime<Utc>, variant: u32) -> String {
    match variant {
        0 | 1 => dated_name(time),
        _ => format!("{PREFIX}{}-{variant}.json", time.format(DATE)),
    }
}

/// The time and the variant of a dated report's name; `None` of another name.
#[must_use]
pub fn of_dated_name(name: &str) -> Option<(DateTime<Utc>, u32)> {
    let middle = name.strip_prefix(PREFIX)?.strip_suffix(".json")?;
    // YYYY-MM-DD_HH-MM-SS has 19 characters.
    let (date, rest) = middle.split_at_checked(19)?;
    let time = NaiveDateTime::parse_from_str(date, DATE).ok()?.and_utc();
    let variant = if rest.is_empty() { 1 } else { rest.strip_prefix('-')?.parse().ok()? };
    (variant_name(time, variant) == name).then_some((time, variant))
}

/// The kinds of archives, by the ends of their names.
const ARCHIVES: [&str; 5] = ["tar", "tar.gz", "tar.xz", "tar.zst", "zip"];

/// The month of an archive's name, `dns_health_YYYY-MM.` and what follows; `None` of another.
#[must_use]
pub fn of_archive_name(name: &str) -> Option<DateTime<Utc>> {
    archive_parts(name).map(|(month, _, _)| month)
}

/// The month, the variant and the end of an archive's name. A month's archive that holds more than
/// the one before it is the next variant, as what has been published under a name never changes.
#[must_use]
pub fn archive_parts(name: &str) -> Option<(DateTime<Utc>, u32, &str)> {
    let (middle, end) = name.strip_prefix(PREFIX)?.split_once('.')?;
    // YYYY-MM has 7 characters.
    let (month, rest) = middle.split_at_checked(7)?;
    let day = NaiveDate::parse_from_str(&format!("{month}-01"), "%Y-%m-%d").ok()?;
    let time = day.and_time(NaiveTime::MIN).and_utc();
    let variant = if rest.is_empty() { 1 } else { rest.strip_prefix('-')?.parse().ok()? };
    let sound = ARCHIVES.contains(&end) && archive_name(time, variant, end) == name;
    sound.then_some((time, variant, end))
}

/// The name of this variant of a month's archive, counted from 1.
#[must_use]
pub fn archive_name(month: DateTime<Utc>, variant: u32, end: &str) -> String {
    let month = month.format("%Y-%m");
    match variant {
        0 | 1 => format!("{PREFIX}{month}.{end}"),
        _ => format!("{PREFIX}{month}-{variant}.{end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_of_the_latest_report() {
        for path in
            ["metrics.prom", "onionoo-dns.json", "compat/latest.json", "badges/A.json", "feed.atom"]
        {
            assert!(is_export(path), "{path}");
        }
        for path in
            ["feeds/0123456789abcdef.atom", "incidents.json", "summary.html", "figures.json"]
        {
            assert!(is_export(path), "{path}");
        }
        for path in [
            "latest.json",
            "feeds/x.atom",
            "feeds/../../a.atom",
            "badges/a.json",
            "badges/AA.json",
            "badges/.json",
            "badges/x",
        ] {
            assert!(!is_export(path), "{path}");
        }
    }

    #[test]
    fn names() {
        let time = "2026-11-23T03:15:30Z".parse().unwrap();
        assert_eq!(dated_name(time), "dns_health_2026-11-23_03-15-30.json");
        assert_eq!(of_dated_name("dns_health_2026-11-23_03-15-30.json"), Some((time, 1)));
        assert_eq!(of_dated_name("dns_health_2026-11-23_03-15-30-12.json"), Some((time, 12)));
        for name in [
            "latest.json",
            "dns_health_.json",
            "dns_health_2026-11-23_03-15-30-1.json",
            "dns_health_2026-11-23_03-15-30-02.json",
            "dns_health_2026-13-23_03-15-30.json",
            "dns_health_2026-11-23_03-15-3é.json",
            "dns_health_2026-11-23_03-15-30.json.gz",
        ] {
            assert_eq!(of_dated_name(name), None, "{name}");
        }
        let month = "2026-11-01T00:00:00Z".parse().unwrap();
        assert_eq!(of_archive_name("dns_health_2026-11.tar.zst"), Some(month));
        assert_eq!(archive_parts("dns_health_2026-11-12.zip"), Some((month, 12, "zip")));
        for name in [
            "dns_health_2026-11.json",
            "dns_health_2026-1.tar.gz",
            "dns_health_x.tar",
            "dns_health_2026-11-1.tar.gz",
            "dns_health_2026-11-02.tar.gz",
            "dns_health_2026-11-.tar.gz",
            "dns_health_2026-11.tar.gz.1",
        ] {
            assert_eq!(of_archive_name(name), None, "{name}");
        }
    }
}
