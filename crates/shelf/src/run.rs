//! A run's directory: its plan, a result for each relay, how it ended. Documented in
//! `docs/formats/run.md`.

use record::Fingerprint;

/// The plan.
pub const PLAN_FILE: &str = "plan.json";

/// How the run ended.
pub const RUN_FILE: &str = "run.json";

/// The log of results that a scan under way keeps: it has those that the results' own files may not
/// have on the disk yet.
pub const RESULTS_LOG_FILE: &str = "results.log";

/// The file whose lock the scan holds that writes here.
pub const LOCK_FILE: &str = ".scanner.lock";

/// The mark of a shard's run that was handed over: the name of the store that has it.
pub const HANDED_OVER_FILE: &str = ".handed-over";

/// The largest plan or run that is read, in bytes: some 400,000 relays.
pub const PLAN_LIMIT: u64 = 64 << 20;

/// The largest result that is read, in bytes. A real one has a few thousand.
pub const RESULT_LIMIT: u64 = 1 << 20;

/// The most results that are read from one directory: thirty times the exits there are.
pub const RESULTS_LIMIT: usize = 100_000;

/// How the names of results begin.
const PREFIX: &str = "dnshealth_";

/// The name of a relay's result.
#[must_use]
pub fn result_name(relay: &Fingerprint) -> String {
    format!("{PREFIX}{relay}.json")
}

/// The relay whose result has this name.
#[must_use]
pub fn relay_of(name: &str) -> Option<Fingerprint> {
    let relay = name.strip_prefix(PREFIX)?.strip_suffix(".json")?.parse().ok()?;
    // Digits are read in either case, and written in one.
    (result_name(&relay) == name).then_some(relay)
}

/// Whether a name is meant to be a result's: it may be none.
#[must_use]
pub fn seems_result(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Whether files of this name are a scan's, or the mark of its hand-over.
#[must_use]
pub fn is_scans(name: &str) -> bool {
    [PLAN_FILE, RUN_FILE, RESULTS_LOG_FILE, LOCK_FILE, HANDED_OVER_FILE].contains(&name)
        || name.starts_with(crate::atomic::TEMPORARY_PREFIX)
        || relay_of(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_results() {
        let name = "dnshealth_0123456789ABCDEF0123456789ABCDEF01234567.json";
        let relay = relay_of(name).unwrap();
        assert_eq!(result_name(&relay), name);
        assert!(is_scans(name) && seems_result(name));
        for name in [
            "dnshealth_0123456789abcdef0123456789ABCDEF01234567.json",
            "dnshealth_0123456789ABCDEF0123456789ABCDEF0123456.json",
            "dnshealth_.json",
            "dnshealth_0123456789ABCDEF0123456789ABCDEF01234567.json.gz",
        ] {
            assert_eq!(relay_of(name), None, "{name}");
            assert!(seems_result(name) && !is_scans(name), "{name}");
        }
    }
}
