//! The closed list of every setting that there is. A program's own test holds its flags' variables
//! and their defaults to it, so that a new one cannot be forgotten here.

mod job;
mod notices;
mod scan;
mod stores;
mod zone;

use crate::key::{DefaultValue, Group, Key, Reader, ValueKind};

/// Every setting, by group in the order of [`Group::ALL`].
pub fn keys() -> impl Iterator<Item = &'static Key> {
    Group::ALL.into_iter().flat_map(|group| of(group).iter())
}

/// The settings of a group.
fn of(group: Group) -> &'static [Key] {
    match group {
        Group::Asked => scan::ASKED,
        Group::Exits => scan::EXITS,
        Group::Pace => scan::PACE,
        Group::Tor => scan::TOR,
        Group::Report => job::REPORT,
        Group::Stores => stores::STORES,
        Group::Hosts => job::HOSTS,
        Group::Notices => notices::NOTICES,
        Group::Zone => zone::ZONE,
        Group::Limits => job::LIMITS,
        Group::Retention => job::RETENTION,
        Group::Cloudflare => stores::CLOUDFLARE,
    }
}

/// The setting of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    keys().find(|key| key.name == name)
}

/// The setting `variable` of the operator's own store `target`, where that is one: it means what
/// the same setting of `S3_` means. The names are in capitals.
#[must_use]
pub fn of_target(target: &str, variable: &str) -> Option<&'static Key> {
    let rest = variable.strip_prefix(&target.to_ascii_uppercase())?.strip_prefix('_')?;
    find(&format!("S3_{rest}"))
}

/// A setting of this group, with the rest as it mostly is.
const fn key(
    name: &'static str,
    group: Group,
    readers: &'static [Reader],
    default: DefaultValue,
    about: &'static str,
) -> Key {
    Key { name, group, readers, kind: ValueKind::Programs, default, decided: None, about }
}

impl Key {
    /// It may be this.
    const fn of(mut self, kind: ValueKind) -> Self {
        self.kind = kind;
        self
    }

    /// The example sets it, to its default.
    const fn decided(self) -> Self {
        let default = self.default.value();
        self.decided_as(default)
    }

    /// The example sets it to this.
    const fn decided_as(mut self, value: &'static str) -> Self {
        self.decided = Some(value);
        self
    }
}

#[cfg(test)]
mod tests;
