//! Runs that were held back before: what they say of a change, and which of them were right. Pure.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use record::{FileEntry, GateCode, Metadata, Publish};

use super::Thresholds;
use crate::publish;

/// A run that the gate held back.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldRun {
    /// Its run id.
    pub run_id: String,
    /// When it ended.
    pub timestamp: DateTime<Utc>,
    /// How many relays had a result.
    pub total_relays: u32,
    /// Successes among the relays tested.
    pub dns_success_rate_percent: Option<f64>,
    /// What the gate found against it.
    pub reasons: Vec<GateCode>,
    /// Whether a later run has confirmed it since.
    pub counts: bool,
}

/// The runs held back that a list of reports tells of, newest first; for where there is no history.
#[must_use]
pub fn held_in(files: &[FileEntry]) -> Vec<HeldRun> {
    let mut entries: Vec<&FileEntry> = files.iter().collect();
    entries.sort_by_cached_key(|file| Reverse(publish::order(file)));
    let mut seen = BTreeSet::new();
    entries
        .into_iter()
        .filter_map(|file| Some((file.timestamp, file.report.as_ref()?)))
        // A run may have been aggregated several times: its newest report speaks for it.
        .filter(|(_, report)| seen.insert(&report.run_id))
        .filter(|(_, report)| !report.published)
        .map(|(timestamp, report)| HeldRun {
            run_id: report.run_id.clone(),
            timestamp,
            total_relays: report.total_relays,
            dns_success_rate_percent: report.dns_success_rate_percent,
            reasons: report.reasons.clone(),
            counts: false,
        })
        .collect()
}

/// Whether a code is merely a change from the runs before.
#[must_use]
pub const fn is_change(code: GateCode) -> bool {
    matches!(
        code,
        GateCode::RelayCount
            | GateCode::DnsSuccessRate
            | GateCode::SelectionChanged
            | GateCode::SettingsChanged
            | GateCode::OneKind
    )
}

/// Whether a code says that the failures are ours, and not that the run is defective.
pub(super) const fn is_doubt(code: GateCode) -> bool {
    matches!(code, GateCode::SuccessFloor | GateCode::SpreadFailures)
}

/// Whether the runs before this one were held back for a change alone, and showed what this one
/// shows. Those that were held back for anything else say nothing of it.
pub(super) fn settled(metadata: &Metadata, held: &[HeldRun], limits: &Thresholds) -> bool {
    let Some(needed) = limits.accept_after.checked_sub(1) else { return false };
    let needed = usize::try_from(needed).unwrap_or(usize::MAX);
    let changed: Vec<_> = since(metadata, held, is_change).take(needed).collect();
    changed.len() == needed && changed.into_iter().all(|run| agrees(run, metadata, limits))
}

/// The runs held back that a report shows to have been right, newest first: it was let through for
/// the change that held them, or by force with what held them, and they agree with it.
#[must_use]
pub fn confirmed(metadata: &Metadata, held: &[HeldRun], limits: &Thresholds) -> Vec<String> {
    let believed = believed(&metadata.publish);
    if believed.is_empty() {
        return Vec::new();
    }
    since(metadata, held, |code| is_change(code) || believed.contains(&code))
        .take_while(|run| agrees(run, metadata, limits))
        .filter(|run| !run.counts)
        .map(|run| run.run_id.clone())
        .collect()
}

/// What a report was let through in spite of, that may have held others back before it.
pub(crate) fn believed(publish: &Publish) -> BTreeSet<GateCode> {
    let forced = publish.reasons.iter().map(|found| found.code).filter(|_| publish.forced);
    let accepted = publish.notes.iter().map(|found| found.code);
    let believed = accepted.chain(forced).filter(|code| is_change(*code) || is_doubt(*code));
    if publish.allowed { believed.collect() } else { BTreeSet::new() }
}

/// The runs since the one compared with and before this one, held back for nothing else.
fn since<'a>(
    metadata: &'a Metadata,
    held: &'a [HeldRun],
    of: impl Fn(GateCode) -> bool + 'a,
) -> impl Iterator<Item = &'a HeldRun> {
    let after = metadata.previous.report.as_ref().map(|report| report.timestamp);
    held.iter()
        .filter(move |run| after.is_none_or(|after| run.timestamp > after))
        .filter(|run| run.timestamp < metadata.timestamp && run.run_id != metadata.run_id)
        .filter(move |run| !run.reasons.is_empty() && run.reasons.iter().all(|code| of(*code)))
}

fn agrees(run: &HeldRun, metadata: &Metadata, limits: &Thresholds) -> bool {
    !super::far_in_count(run.total_relays, metadata.total_relays, limits)
        && match (run.dns_success_rate_percent, metadata.dns_success_rate_percent) {
            (Some(before), Some(now)) => (before - now).abs() <= limits.success_rate_points,
            _ => false,
        }
}
