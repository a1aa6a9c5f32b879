//! What is said of a store when its turn is over. Pure, but for what goes into the log.

use crate::check::StoreCheck;
use crate::notices::{BackupMove, Exchanged};
use crate::prune::Prunable;
use crate::restore::Restored;
use crate::sync::Synced;

/// Says of each object what would be done, or tells the log that it is done.
fn each(
    name: &str,
    objects: &[(String, u64)],
    (to_do, done): (&str, &str),
    dry_run: bool,
) -> String {
    let mut said = String::new();
    for (key, size) in objects {
        let key = record::printable(key);
        if dry_run {
            said.push_str(&format!("{name}: would {to_do} {key} ({})\n", bytes(*size)));
        } else {
            tracing::debug!("{name}: {key} is {done} ({})", bytes(*size));
        }
    }
    said
}

pub(crate) fn pushed(name: &str, outcome: &Synced, dry_run: bool, requests: u64) -> String {
    let mut said = each(name, &outcome.written, ("write", "written"), dry_run);
    said.push_str(&format!(
        "{name}: {} {} ({}), {} there already; {requests} requests\n",
        outcome.written.len(),
        if dry_run { "would be written" } else { "written" },
        bytes(outcome.bytes()),
        outcome.kept,
    ));
    said
}

pub(crate) fn checked(name: &str, checked: StoreCheck) -> String {
    let conditional = if checked.conditional {
        "it refuses to overwrite where asked to"
    } else {
        "it does not know conditional writes, so objects are looked up first"
    };
    let removed = if checked.removed {
        ""
    } else {
        "; upload-check.txt stays, as the key may not remove objects (only prune needs that)"
    };
    format!("{name}: writes, reads and lists; {conditional}{removed}\n")
}

pub(crate) fn pruned(name: &str, chosen: &Prunable, yes: bool) -> String {
    let done = if yes { "removed" } else { "would remove" };
    let mut said = String::new();
    for (key, size) in &chosen.remove {
        said.push_str(&format!("{name}: {done} {} ({})\n", record::printable(key), bytes(*size)));
    }
    let sum = chosen.remove.iter().map(|(_, size)| size).sum();
    let count = chosen.remove.len();
    said.push_str(&format!("{name}: {done} {count} objects ({})", bytes(sum)));
    if chosen.listed > 0 {
        let listed = chosen.listed;
        said.push_str(&format!(
            "; {listed} more are as old, and stay because files.json names them"
        ));
    }
    if !chosen.alone.is_empty() {
        for key in &chosen.alone {
            tracing::debug!("{name}: {} stays", record::printable(key));
        }
        said.push_str(&format!(
            "; {} more are as old, and stay because no archive that files.json names holds them",
            chosen.alone.len()
        ));
    }
    said.push_str(if yes || count == 0 { "\n" } else { "; --yes removes them\n" });
    said
}

pub(crate) fn pushed_run(name: &str, id: &str, new: bool, dry_run: bool) -> String {
    let done = match (new, dry_run) {
        (true, true) => "would be pushed",
        (true, false) => "is pushed",
        (false, _) => "is there already",
    };
    format!("{name}: run {id} {done}\n")
}

pub(crate) fn restored(name: &str, restored: &Restored, dry_run: bool) -> String {
    let mut said = each(name, &restored.fetched, ("fetch", "fetched"), dry_run);
    let sum = restored.fetched.iter().map(|(_, size)| size).sum();
    let (count, kept) = (restored.fetched.len(), restored.kept);
    let done = if dry_run { "would be fetched" } else { "fetched" };
    let size = bytes(sum);
    said.push_str(&format!("{name}: {count} files {done} ({size}), {kept} here already\n"));
    if count > 0 && !dry_run {
        said.push_str("the history is not in the store; make it of the reports with: ");
        said.push_str("exit-validator history rebuild\n");
    }
    said
}

pub(crate) fn backup(name: &str, moved: BackupMove, dry_run: bool) -> String {
    let BackupMove::Written(size) = moved else { return String::new() };
    let done = if dry_run { "would be written" } else { "is written" };
    format!("{name}: the backup of the notices' memory {done} ({})\n", bytes(size))
}

pub(crate) fn backup_back(name: &str, moved: BackupMove, dry_run: bool) -> String {
    let BackupMove::Written(size) = moved else { return String::new() };
    let done = if dry_run { "would be fetched" } else { "is fetched" };
    let size = bytes(size);
    format!(
        "{name}: the backup of the notices' memory {done} ({size}); the next notices go on from it\n"
    )
}

pub(crate) fn exchanged(name: &str, exchanged: Exchanged, dry_run: bool) -> String {
    let Exchanged { backup: moved, fetched, removed } = exchanged;
    let would = if dry_run { "would be " } else { "" };
    let said = format!(
        "{name}: {fetched} new requests of subscribers {would}fetched, {removed} old ones {would}removed\n"
    );
    backup(name, moved, dry_run) + &said
}

pub(crate) fn pulled(name: &str, runs: &[String], dry_run: bool) -> String {
    if runs.is_empty() {
        return format!("{name}: no new run\n");
    }
    let done = if dry_run { "would be fetched" } else { "is fetched" };
    runs.iter().map(|id| format!("{name}: run {id} {done}\n")).collect()
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}
