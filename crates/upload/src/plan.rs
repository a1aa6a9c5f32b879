//! What a store lacks: a local listing and the store's to ordered steps. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use record::Files;

use crate::digest::{self, Digest};
use crate::keys::{self, Class};

/// A file of the output directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// Its size in bytes.
    pub size: u64,
    /// When it was last changed.
    pub modified: DateTime<Utc>,
}

/// An object, as the store's listing has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its size in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: Option<DateTime<Utc>>,
    /// Its ETag, without quotes; some stores do not list it.
    pub etag: Option<String>,
}

/// An object, as the store answers for it alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: Option<String>,
    /// The SHA-256 that its writer says it has.
    pub sha256: Option<String>,
    /// The time that its writer says it is of.
    pub timestamp: Option<DateTime<Utc>>,
    /// Encrypted with a key of the customer's: the ETag is then no MD5 of the content.
    pub encrypted: bool,
}

/// What is known of two copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sameness {
    /// The same bytes.
    Same,
    /// Other bytes.
    Different,
    /// Only reading it will tell.
    Unknown,
}

/// Whether an object has the bytes with this digest. An ETag that is their MD5 shows it, as the
/// store itself computed that of what it holds. One that looks like an MD5 and is another shows
/// nothing: some stores make theirs otherwise. What the writer says tells a difference; that there
/// is none, it tells only where no ETag speaks against it.
#[must_use]
pub fn compare(head: &Head, digest: &Digest) -> Sameness {
    if head.size != digest.size {
        return Sameness::Different;
    }
    let etag = head.etag.as_ref().filter(|etag| !head.encrypted && digest::is_md5(etag));
    match (etag, &head.sha256) {
        (Some(etag), _) if etag.eq_ignore_ascii_case(&digest.etag()) => Sameness::Same,
        (_, Some(sha256)) if *sha256 != digest.sha256 => Sameness::Different,
        (None, Some(_)) => Sameness::Same,
        _ => Sameness::Unknown,
    }
}

/// The list that a store gets: what is listed here, and what is listed there and is still there.
/// `None` where that is what is listed here.
#[must_use]
pub fn merged(ours: &Files, theirs: &Files, kept: &BTreeSet<String>) -> Option<Files> {
    let here: BTreeSet<&str> = ours.files.iter().map(|file| file.name.as_str()).collect();
    let mut added: Vec<_> = theirs
        .files
        .iter()
        .filter(|file| kept.contains(&file.name) && !here.contains(file.name.as_str()))
        .cloned()
        .collect();
    if added.is_empty() {
        return None;
    }
    added.extend(ours.files.iter().cloned());
    // Newest first; of one second the longer name first, as it has the later number.
    added.sort_by_cached_key(|file| {
        std::cmp::Reverse((file.timestamp, file.name.len(), file.name.clone()))
    });
    Some(Files { format: ours.format.clone(), files: added })
}

/// Whether two lists name the same files.
#[must_use]
pub fn is_same_list(one: &Files, other: &Files) -> bool {
    named(one) == named(other) && one.files.len() == other.files.len()
}

/// What a `files.json` says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// What a list names, by key.
#[must_use]
pub fn named(files: &Files) -> BTreeMap<String, Named> {
    let entry = |file: &record::FileEntry| {
        (file.name.clone(), Named { size: file.size, sha256: file.sha256.clone() })
    };
    files.files.iter().map(entry).collect()
}

/// How far the clocks of hosts may be apart.
const CLOCKS: TimeDelta = TimeDelta::hours(1);

/// The newest time that a list names.
#[must_use]
pub fn newest(files: &Files) -> Option<DateTime<Utc>> {
    files.files.iter().map(|file| file.timestamp).max()
}

/// Whether what is here is of an earlier time than what is there. A time in the future proves
/// nothing: a host whose clock was wrong once must not keep the others out for ever.
#[must_use]
pub fn is_older(
    ours: Option<DateTime<Utc>>,
    theirs: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> bool {
    matches!((ours, theirs), (Some(ours), Some(theirs)) if ours < theirs && theirs <= now + CLOCKS)
}

/// What to do about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileAction {
    /// Nothing: the store has it, verified when it was written.
    Keep,
    /// Write it: the store has none.
    Create,
    /// The store has one of this size: look whether it is the same.
    Compare,
    /// The store has another: write it anew.
    Replace,
    /// The store has other bytes under a name that never changes.
    Conflict,
}

/// What to do about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its key, without the target's prefix.
    pub key: String,
    /// When its turn is.
    pub class: Class,
    /// Its size in bytes.
    pub size: u64,
    /// What to do.
    pub action: FileAction,
}

/// Both sides.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// The output directory.
    pub local: &'a BTreeMap<String, LocalFile>,
    /// The bucket.
    pub remote: &'a BTreeMap<String, Listed>,
    /// What the local `files.json` names.
    pub ours: &'a BTreeMap<String, Named>,
    /// What the bucket's `files.json` names: all of it was verified before that was written.
    pub theirs: &'a BTreeMap<String, Named>,
    /// Compare everything, whatever the lists say.
    pub thorough: bool,
}

/// The steps, in the order of their classes, and of their names within one.
///
/// What never changes is kept without a look at its content where both lists name it with one
/// digest, its size is right on both sides, and the local file has not been touched since it was
/// written to the store.
#[must_use]
pub fn plan(sides: Sides<'_>) -> Vec<Step> {
    let mut steps: Vec<Step> = sides
        .local
        .iter()
        .map(|(key, file)| {
            let class = keys::class(key);
            let action = match sides.remote.get(key) {
                None => FileAction::Create,
                Some(there) if there.size != file.size => match class {
                    Class::Immutable => FileAction::Conflict,
                    Class::Data | Class::Files | Class::Latest | Class::Export => {
                        FileAction::Replace
                    }
                },
                Some(there) => {
                    let settled = class == Class::Immutable
                        && !sides.thorough
                        && there.modified.is_some_and(|written| file.modified <= written)
                        && sides.ours.get(key).is_some_and(|ours| {
                            ours.size == file.size && sides.theirs.get(key) == Some(ours)
                        });
                    if settled { FileAction::Keep } else { FileAction::Compare }
                }
            };
            Step { key: key.clone(), class, size: file.size, action }
        })
        .collect();
    steps.sort_by(|a, b| (a.class, &a.key).cmp(&(b.class, &b.key)));
    steps
}

/// What a list names that has not been found to be in the store: by key, with what it should be.
#[must_use]
pub fn missing<'a>(
    ours: &'a BTreeMap<String, Named>,
    sound: &BTreeMap<String, String>,
) -> Vec<(&'a str, &'a Named)> {
    ours.iter()
        .filter(|(key, named)| sound.get(*key) != Some(&named.sha256))
        .map(|(key, named)| (key.as_str(), named))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: u32) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + i64::from(second), 0).unwrap()
    }

    fn local(files: &[(&str, u64)]) -> BTreeMap<String, LocalFile> {
        let file = |size| LocalFile { size, modified: at(0) };
        files.iter().map(|(key, size)| ((*key).to_owned(), file(*size))).collect()
    }

    fn remote(files: &[(&str, u64)]) -> BTreeMap<String, Listed> {
        let object = |size| Listed { size, modified: Some(at(10)), etag: None };
        files.iter().map(|(key, size)| ((*key).to_owned(), object(*size))).collect()
    }

    fn list(files: &[(&str, u64, &str)]) -> BTreeMap<String, Named> {
        let named = |size, sha256: &str| Named { size, sha256: sha256.to_owned() };
        files.iter().map(|(key, size, sha)| ((*key).to_owned(), named(*size, sha))).collect()
    }

    const A: &str = "dns_health_2026-11-23_00-00-00.json";
    const B: &str = "dns_health_2026-11-23_06-00-00.json";

    fn actions(steps: &[Step]) -> Vec<(&str, FileAction)> {
        steps.iter().map(|step| (step.key.as_str(), step.action)).collect()
    }

    #[test]
    fn an_empty_bucket_gets_all_in_order() {
        let names = ["badges/0.json", "latest.json", "files.json", "trends.json", A];
        let files = local(&names.map(|name| (name, 1)));
        let none = BTreeMap::new();
        let (remote, thorough) = (remote(&[]), false);
        let sides = Sides { local: &files, remote: &remote, ours: &none, theirs: &none, thorough };
        let steps = plan(sides);
        let wanted = [A, "trends.json", "files.json", "latest.json", "badges/0.json"];
        assert_eq!(actions(&steps), wanted.map(|key| (key, FileAction::Create)));
    }

    #[test]
    fn what_both_lists_name_is_kept_unless_touched_or_asked_for() {
        let mut files = local(&[(A, 5), (B, 5)]);
        let bucket = remote(&[(A, 5), (B, 5)]);
        let ours = list(&[(A, 5, "a"), (B, 5, "b")]);
        let theirs = list(&[(A, 5, "a"), (B, 5, "other")]);
        let steps = |files: &BTreeMap<_, _>, thorough| {
            let sides =
                Sides { local: files, remote: &bucket, ours: &ours, theirs: &theirs, thorough };
            plan(sides).into_iter().map(|step| step.action).collect::<Vec<_>>()
        };
        assert_eq!(steps(&files, false), [FileAction::Keep, FileAction::Compare]);
        assert_eq!(steps(&files, true), [FileAction::Compare, FileAction::Compare]);
        files.insert(A.to_owned(), LocalFile { size: 5, modified: at(11) });
        assert_eq!(steps(&files, false), [FileAction::Compare, FileAction::Compare]);
        files.insert(A.to_owned(), LocalFile { size: 6, modified: at(0) });
        assert_eq!(steps(&files, false), [FileAction::Conflict, FileAction::Compare]);
    }

    #[test]
    fn the_stores_own_digest_goes_before_the_writers_word() {
        let digest = Digest::of(b"abc");
        let head = |etag: Option<String>, sha256: Option<&str>| Head {
            size: 3,
            etag,
            sha256: sha256.map(str::to_owned),
            ..Head::default()
        };
        let (etag, sha) = (digest.etag(), digest.sha256.as_str());
        let is = |head: Head, wanted| assert_eq!(compare(&head, &digest), wanted, "{head:?}");
        is(head(Some(etag.clone()), None), Sameness::Same);
        // It looks like an MD5, and may be none: only reading tells, unless the writer's word does.
        is(head(Some("0".repeat(32)), Some(sha)), Sameness::Unknown);
        is(head(Some("0".repeat(32)), Some("other")), Sameness::Different);
        is(Head { encrypted: true, ..head(Some("0".repeat(32)), Some(sha)) }, Sameness::Same);
        is(head(Some(format!("{etag}-1")), Some(sha)), Sameness::Same);
        is(head(Some(format!("{etag}-1")), Some("other")), Sameness::Different);
        is(head(None, None), Sameness::Unknown);
        is(Head { size: 4, ..head(Some(etag), Some(sha)) }, Sameness::Different);
    }

    #[test]
    fn a_time_in_the_future_keeps_nobody_out() {
        let now = at(0);
        assert!(is_older(Some(at(0)), Some(at(1)), now));
        assert!(!is_older(Some(at(1)), Some(at(1)), now));
        assert!(!is_older(Some(at(0)), Some(at(7200)), now));
        assert!(!is_older(None, Some(at(1)), now) && !is_older(Some(at(0)), None, now));
    }

    #[test]
    fn what_is_named_must_be_sound() {
        let ours = list(&[(A, 5, "a"), (B, 5, "b")]);
        let sound =
            BTreeMap::from([(A.to_owned(), "a".to_owned()), (B.to_owned(), "x".to_owned())]);
        let missing = missing(&ours, &sound);
        assert_eq!(missing.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [B]);
    }

    proptest! {
        #[test]
        fn nothing_immutable_is_ever_replaced_and_pointers_come_last(
            here in proptest::collection::btree_map("(dns_health_[ab]|files.json|latest.json|x)", 0..4u64, 0..6),
            there in proptest::collection::btree_map("(dns_health_[ab]|files.json|latest.json|x)", 0..4u64, 0..6),
            thorough: bool,
        ) {
            let local: BTreeMap<_, _> = here.iter()
                .map(|(key, &size)| (key.clone(), LocalFile { size, modified: at(0) })).collect();
            let remote: BTreeMap<_, _> = there.iter()
                .map(|(key, &size)| (key.clone(), Listed { size, modified: None, etag: None })).collect();
            let none = BTreeMap::new();
            let sides = Sides { local: &local, remote: &remote, ours: &none, theirs: &none, thorough };
            let steps = plan(sides);
            prop_assert_eq!(steps.len(), local.len());
            prop_assert!(steps.is_sorted_by_key(|step| step.class));
            for step in steps {
                let there = there.get(&step.key);
                match step.action {
                    FileAction::Create => prop_assert!(there.is_none()),
                    FileAction::Replace => prop_assert!(step.class != Class::Immutable),
                    FileAction::Conflict => prop_assert!(step.class == Class::Immutable && there != Some(&step.size)),
                    FileAction::Compare | FileAction::Keep => prop_assert_eq!(there, Some(&step.size)),
                }
            }
        }
    }
}
