//! One store's turn: what never changes, then other data, then `files.json`, then `latest.json`,
//! each only once what it names has been found in the store, and then what is made of that for other
//! programs. IO; [`plan`] decides.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream};
use record::{Files, FormatError, Kind};
use shelf::output::{FILES_FILE, FILES_LIMIT, LATEST_FILE};

use crate::digest::Digest;
use crate::err::{Cause, StoreError};
use crate::keys::Class;
use crate::local::{self, Snapshot, Whole};
use crate::plan::{self, FileAction, Head, Listed, Named, Sameness, Sides, Step};
use crate::progress::Bar;
use crate::prune::archived;
use crate::store::{self, Attributes, Condition, PART, Store};

/// How often a turn begins anew because another uploader wrote at the same time.
const ROUNDS: u32 = 3;

/// How a turn is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncOptions {
    /// Say what would be written, and write nothing.
    pub dry_run: bool,
    /// Compare the content of everything, whatever the lists say.
    pub verify: bool,
    /// Replace pointers of a later report by those of an earlier one.
    pub allow_older: bool,
    /// Files under way at once.
    pub parallel: usize,
}

/// What became of a turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synced {
    /// What was written, or would be, in this order: key and size.
    pub written: Vec<(String, u64)>,
    /// How many files were there already.
    pub kept: usize,
}

impl Synced {
    /// How many bytes were written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.written.iter().map(|(_, size)| size).sum()
    }
}

/// Brings a store up to date.
///
/// # Errors
///
/// [`StoreError`]. What was written until then is consistent; the next turn goes on from there.
pub async fn run(
    store: &Store,
    snapshot: &Snapshot,
    options: SyncOptions,
    bar: &Bar,
) -> Result<Synced, StoreError> {
    let mut outcome = Synced::default();
    for round in 1.. {
        let turn = StoreTurn { store, snapshot, options, bar };
        match Box::pin(turn.take(&mut outcome)).await {
            Err(error) if error.cause == Cause::Changed && round < ROUNDS => {
                tracing::debug!("{}: {error}; looking again", store.target().name);
            }
            Err(error) => return Err(error),
            Ok(()) => break,
        }
    }
    Ok(outcome)
}

struct StoreTurn<'a> {
    store: &'a Store,
    snapshot: &'a Snapshot,
    options: SyncOptions,
    bar: &'a Bar,
}

/// What the store's pointers are before anything is written.
struct Pointers {
    /// The list's bytes, as far as there is one.
    list: Option<(Whole, Head)>,
    /// What it names, as far as it can be read.
    files: Option<Files>,
    latest: Option<Head>,
}

impl StoreTurn<'_> {
    async fn take(&self, outcome: &mut Synced) -> Result<(), StoreError> {
        let remote = self.listing().await?;
        let pointers = self.pointers(&remote).await?;
        let none = BTreeMap::new();
        let ours = self.snapshot.list.as_ref().map(|(_, files)| plan::named(files));
        let theirs = pointers.files.as_ref().map(plan::named);
        let steps = plan::plan(Sides {
            local: &self.snapshot.files,
            remote: &remote,
            ours: ours.as_ref().unwrap_or(&none),
            theirs: theirs.as_ref().unwrap_or(&none),
            thorough: self.options.verify,
        });
        let of = |class| steps.iter().filter(move |step| step.class == class);
        outcome.kept = 0;
        self.bar.grow(
            steps
                .iter()
                .filter(|step| step.action == FileAction::Create)
                .map(|step| step.size)
                .sum(),
        );

        // What the store is known to hold, by key, with its SHA-256.
        let mut sound: BTreeMap<String, String> = of(Class::Immutable)
            .filter(|step| step.action == FileAction::Keep)
            .filter_map(|step| {
                Some((step.key.clone(), ours.as_ref()?.get(&step.key)?.sha256.clone()))
            })
            .collect();
        outcome.kept += sound.len();
        let work = of(Class::Immutable).filter(|step| step.action != FileAction::Keep);
        let blocked =
            self.all(work, &remote, ours.as_ref().unwrap_or(&none), outcome, &mut sound).await?;

        // What another host published since stays; what is here is listed beside it all the same.
        let older = !self.options.allow_older && self.is_older(&pointers);
        let mut data = BTreeMap::new();
        let failed = if older {
            None
        } else {
            self.all(of(Class::Data), &remote, &none, outcome, &mut data).await?
        };
        // Pointers wait for all that they name, and say so by the first that was in the way.
        match (blocked, failed) {
            (None, None) => {}
            (Some(error), None) | (None, Some(error)) => return Err(error),
            (Some(first), Some(error)) => return Err(self.first_of(Some(first), error)),
        }
        if let (Some(list), Some(ours)) = (&self.snapshot.list, &ours) {
            self.complete(ours, &remote, &mut sound, outcome).await?;
            self.point_to_files(list, &pointers, &remote, outcome).await?;
        }
        if older {
            return Err(StoreError::new("replace latest.json", Cause::Older, ""));
        }
        self.point_to_latest(&pointers, outcome).await?;
        let failed = self.all(of(Class::Export), &remote, &none, outcome, &mut data).await?;
        failed.map_or(Ok(()), Err)
    }

    /// Writes the list of files: what it names is there.
    async fn point_to_files(
        &self,
        (whole, files): &(Whole, Files),
        pointers: &Pointers,
        remote: &BTreeMap<String, Listed>,
        outcome: &mut Synced,
    ) -> Result<(), StoreError> {
        let kept = self.kept(files, pointers, remote).await?;
        let merged = pointers.files.as_ref().and_then(|theirs| plan::merged(files, theirs, &kept));
        let files = merged.as_ref().unwrap_or(files);
        let whole = match &merged {
            Some(merged) => list_of(merged)?,
            None => whole.clone(),
        };
        let same = pointers.files.as_ref().is_some_and(|there| plan::is_same_list(there, files))
            && (merged.is_some() || pointers.is(&whole));
        let attributes = Attributes { timestamp: plan::newest(files), private: false };
        let head = pointers.list.as_ref().map(|(_, head)| head);
        self.point(FILES_FILE, &whole, same, head, attributes, outcome).await
    }

    /// Writes the latest report: the list that names it is there.
    async fn point_to_latest(
        &self,
        pointers: &Pointers,
        outcome: &mut Synced,
    ) -> Result<(), StoreError> {
        let Some((whole, timestamp)) = &self.snapshot.latest else { return Ok(()) };
        let head = pointers.latest.as_ref();
        let attributes = Attributes { timestamp: *timestamp, private: false };
        let same = match head {
            Some(head) => self.store.is_same(LATEST_FILE, head, &whole.digest).await?,
            None => false,
        };
        self.point(LATEST_FILE, whole, same, head, attributes, outcome).await
    }

    /// The bucket, as far as the local files reach: other things may lie in other directories.
    async fn listing(&self) -> Result<BTreeMap<String, Listed>, StoreError> {
        let mut all = self.store.list("").await?;
        let directories: BTreeSet<&str> = self
            .snapshot
            .files
            .keys()
            .filter_map(|key| key.split_inclusive('/').next().filter(|part| part.ends_with('/')))
            .collect();
        for directory in directories {
            all.extend(self.store.list_deep(directory).await?);
        }
        Ok(all)
    }

    async fn pointers(&self, remote: &BTreeMap<String, Listed>) -> Result<Pointers, StoreError> {
        let list = if remote.contains_key(FILES_FILE) {
            self.store.get(FILES_FILE, FILES_LIMIT).await?
        } else {
            None
        };
        let files = match list.as_ref().map(|(whole, _)| Kind::Files.parse(&whole.bytes)) {
            None => None,
            Some(Ok(files)) => Some(files),
            Some(Err(error @ FormatError::Version { .. })) => {
                return Err(StoreError::new("use files.json", Cause::Newer, error.to_string()));
            }
            Some(Err(error)) => {
                tracing::warn!(
                    "{}: files.json in the store is none: {error}; it will be replaced",
                    self.store.target().name
                );
                None
            }
        };
        let latest = if remote.contains_key(LATEST_FILE) {
            self.store.head(LATEST_FILE).await?
        } else {
            None
        };
        Ok(Pointers { list, files, latest })
    }

    /// The time that everything here is of.
    fn time(&self) -> Option<DateTime<Utc>> {
        self.snapshot.list.as_ref().and_then(|(_, files)| plan::newest(files))
    }

    fn is_older(&self, pointers: &Pointers) -> bool {
        let list = self.time();
        let latest = self.snapshot.latest.as_ref().and_then(|(_, time)| *time);
        let before = |ours, theirs| plan::is_older(ours, theirs, self.store.now());
        before(list, pointers.files.as_ref().and_then(plan::newest))
            || before(latest, pointers.latest.as_ref().and_then(|head| head.timestamp))
    }

    /// Does all steps, a few at once. The first error of a single object is given back when the
    /// others are done; one of the store itself ends it at once.
    async fn all<'s>(
        &self,
        steps: impl Iterator<Item = &'s Step>,
        remote: &BTreeMap<String, Listed>,
        ours: &BTreeMap<String, Named>,
        outcome: &mut Synced,
        sound: &mut BTreeMap<String, String>,
    ) -> Result<Option<StoreError>, StoreError> {
        let mut first = None;
        let mut work = stream::iter(steps.map(|step| async move {
            let (listed, ours) = (remote.get(&step.key), ours.get(&step.key));
            (step, Box::pin(self.one(step, listed, ours)).await)
        }))
        .buffer_unordered(self.options.parallel);
        while let Some((step, done)) = work.next().await {
            match done {
                Ok(Sent { digest, written }) => {
                    if written {
                        outcome.written.push((step.key.clone(), digest.size));
                    } else {
                        outcome.kept += 1;
                    }
                    sound.insert(step.key.clone(), digest.sha256);
                }
                Err(error) if store::is_of_one_object(error.cause) => {
                    first = Some(self.first_of(first, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(first)
    }

    /// The first error is how the turn ends; others are told at once.
    fn first_of(&self, first: Option<StoreError>, error: StoreError) -> StoreError {
        match first {
            None => error,
            Some(first) => {
                tracing::error!("{}: {error}", self.store.target().name);
                first
            }
        }
    }

    async fn one(
        &self,
        step: &Step,
        listed: Option<&Listed>,
        ours: Option<&Named>,
    ) -> Result<Sent, StoreError> {
        let key = step.key.as_str();
        if step.action == FileAction::Conflict {
            return Err(conflict(key, "it has another size"));
        }
        let path = self.snapshot.path(key);
        let file = if step.size <= PART {
            File::Small(local::whole(&path, PART).map_err(|error| of_local(key, &error))?)
        } else {
            // Hashing takes long enough to hold up the other stores.
            let digests = tokio::task::spawn_blocking(move || local::digest(&path, PART)).await;
            let digests = digests.map_err(|error| of_local(key, &error))?;
            File::Large(digests.map_err(|error| of_local(key, &error))?)
        };
        let digest = file.digest();
        if let Some(named) = ours
            && named.sha256 != digest.sha256
        {
            let detail = "it has not the digest that files.json names";
            return Err(StoreError::new(format!("publish {key}"), Cause::Local, detail));
        }
        let mut condition = Condition::Absent;
        let mut etag = None;
        if let Some(listed) = listed {
            let head = match Head::from(listed) {
                // The listing says enough where it has an MD5 for an ETag, unless the store may
                // have encrypted the object: only its own answer tells.
                head if listed.size == digest.size
                    && plan::compare(&head, digest) == Sameness::Same =>
                {
                    Some(head)
                }
                _ => self.store.head(key).await?,
            };
            if let Some(head) = head {
                if self.store.is_same(key, &head, digest).await? {
                    return Ok(Sent { digest: digest.clone(), written: false });
                }
                if step.class == Class::Immutable {
                    return Err(conflict(key, "it has another digest"));
                }
                // Another uploader with a later report may have written this and not yet its
                // pointers.
                let older = plan::is_older(self.time(), head.timestamp, self.store.now());
                if older && !self.options.allow_older {
                    return Err(StoreError::new(format!("replace {key}"), Cause::Older, ""));
                }
                etag = head.etag;
            }
            condition = etag.as_deref().map_or(Condition::Always, Condition::Unchanged);
        }
        if !self.options.dry_run {
            let written = self.write(key, &file, condition).await;
            written.map_err(|error| match (step.class, error.cause) {
                // Somebody was first, with other bytes.
                (Class::Immutable, Cause::Changed) => conflict(key, &error.detail),
                _ => error,
            })?;
        }
        Ok(Sent { digest: digest.clone(), written: true })
    }

    async fn write(
        &self,
        key: &str,
        file: &File,
        condition: Condition<'_>,
    ) -> Result<(), StoreError> {
        let attributes = Attributes { timestamp: self.time(), private: false };
        match file {
            File::Small(whole) => {
                self.store.write(key, whole, condition, attributes).await?;
                self.bar.add(whole.digest.size);
                Ok(())
            }
            File::Large(digests) => {
                let path = self.snapshot.path(key);
                let sent = |bytes| self.bar.add(bytes);
                self.store.write_file(key, &path, digests, condition, attributes, &sent).await
            }
        }
    }

    /// What the store's list names, is not listed here, and stays listed: all that is there, but for
    /// what an archive that is listed here holds. No list gets shorter because another host, or one
    /// that begins anew, knows less.
    async fn kept(
        &self,
        files: &Files,
        pointers: &Pointers,
        remote: &BTreeMap<String, Listed>,
    ) -> Result<BTreeSet<String>, StoreError> {
        let Some(theirs) = &pointers.files else { return Ok(BTreeSet::new()) };
        let here = plan::named(files);
        let (mut kept, mut gone) = (BTreeSet::new(), 0_usize);
        let mut asked = BTreeMap::new();
        for (name, named) in plan::named(theirs) {
            if here.contains_key(&name) {
                continue;
            }
            if remote.get(&name).is_none_or(|object| object.size != named.size) {
                gone += 1;
            } else {
                asked.insert(name.clone(), named);
                kept.insert(name);
            }
        }
        if gone > 0 {
            let name = &self.store.target().name;
            tracing::warn!(
                "{name}: {gone} files that the store's list names are not there any more"
            );
        }
        let archived =
            archived::within(self.store, &self.snapshot.directory, &here, &asked).await?;
        kept.retain(|name| !archived.contains(name));
        Ok(kept)
    }

    /// Makes sure that all that the list names is in the store: what is not here any more may be
    /// there from before.
    async fn complete(
        &self,
        ours: &BTreeMap<String, Named>,
        remote: &BTreeMap<String, Listed>,
        sound: &mut BTreeMap<String, String>,
        outcome: &mut Synced,
    ) -> Result<(), StoreError> {
        let missing: Vec<(String, Named)> = plan::missing(ours, sound)
            .into_iter()
            .map(|(key, named)| (key.to_owned(), named.clone()))
            .collect();
        for (key, named) in missing {
            let head = if remote.contains_key(&key) { self.store.head(&key).await? } else { None };
            let found = match head {
                None => None,
                Some(head) => match head.sha256 {
                    Some(sha256) => Some(sha256),
                    None => Some(self.store.digest(&key).await?.sha256),
                },
            };
            if found.as_ref() != Some(&named.sha256) {
                let detail = format!("{key} is neither here nor, with its digest, in the store");
                return Err(StoreError::new("replace files.json", Cause::Incomplete, detail));
            }
            outcome.kept += 1;
            sound.insert(key, named.sha256);
        }
        Ok(())
    }

    async fn point(
        &self,
        key: &str,
        whole: &Whole,
        same: bool,
        head: Option<&Head>,
        attributes: Attributes,
        outcome: &mut Synced,
    ) -> Result<(), StoreError> {
        if same {
            outcome.kept += 1;
            return Ok(());
        }
        let condition = match head {
            None => Condition::Absent,
            Some(head) => head.etag.as_deref().map_or(Condition::Always, Condition::Unchanged),
        };
        if !self.options.dry_run {
            self.store.write(key, whole, condition, attributes).await?;
            self.bar.add(whole.digest.size);
        }
        outcome.written.push((key.to_owned(), whole.digest.size));
        Ok(())
    }
}

impl Pointers {
    /// Whether the store's list is this one, to the byte.
    fn is(&self, whole: &Whole) -> bool {
        self.list.as_ref().is_some_and(|(there, _)| there.digest == whole.digest)
    }
}

fn list_of(files: &Files) -> Result<Whole, StoreError> {
    let mut bytes = serde_json::to_vec(files).map_err(|error| of_local(FILES_FILE, &error))?;
    bytes.push(b'\n');
    let digest = Digest::of(&bytes);
    Ok(Whole { bytes: bytes.into(), digest })
}

/// A local file, read or only hashed.
enum File {
    Small(Whole),
    Large((Digest, Vec<[u8; 16]>)),
}

impl File {
    const fn digest(&self) -> &Digest {
        match self {
            Self::Small(whole) => &whole.digest,
            Self::Large((digest, _)) => digest,
        }
    }
}

struct Sent {
    digest: Digest,
    written: bool,
}

impl From<&Listed> for Head {
    fn from(listed: &Listed) -> Self {
        Self { size: listed.size, etag: listed.etag.clone(), ..Self::default() }
    }
}

fn conflict(key: &str, detail: &str) -> StoreError {
    StoreError::new(format!("write {key}"), Cause::Conflict, detail)
}

fn of_local(key: &str, error: &dyn std::error::Error) -> StoreError {
    StoreError::new(format!("publish {key}"), Cause::Local, error.to_string())
}
