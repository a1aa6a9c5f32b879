//! Keeps count of the files that were not used, and of the names of some of them: bounded, and
//! the same whatever order they came in.

use std::collections::{BTreeMap, BTreeSet};

use record::{FormatError, RejectReason, Rejected, RejectedFile};

use shelf::read::ReadError;

/// How many files are named; the others are counted.
pub const NAMED: usize = 100;

/// Files that were not used.
#[derive(Debug, Clone, Default)]
pub struct Rejections {
    total: u64,
    by_reason: BTreeMap<RejectReason, u64>,
    named: BTreeSet<RejectedFile>,
}

/// Why one file is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// From the closed list.
    pub reason: RejectReason,
    /// What exactly.
    pub detail: String,
}

impl Rejection {
    /// A rejection with its detail.
    pub fn new(reason: RejectReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<ReadError> for Rejection {
    fn from(error: ReadError) -> Self {
        let reason = match error {
            ReadError::Link => RejectReason::Link,
            ReadError::NotAFile => RejectReason::NotAFile,
            ReadError::TooLarge { .. } => RejectReason::TooLarge,
            ReadError::Io(_) => RejectReason::Unreadable,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<FormatError> for Rejection {
    fn from(error: FormatError) -> Self {
        let reason = match error {
            FormatError::Version { .. } => RejectReason::Version,
            FormatError::Json(_) | FormatError::Kind { .. } => RejectReason::Malformed,
        };
        Self::new(reason, error.to_string())
    }
}

impl Rejections {
    /// Counts a file, and names it as long as it is among the first [`NAMED`].
    pub fn add(&mut self, input: &str, file: &str, rejection: &Rejection) {
        self.total += 1;
        *self.by_reason.entry(rejection.reason).or_default() += 1;
        self.named.insert(RejectedFile {
            input: cut(input, 200),
            file: cut(file, 200),
            reason: rejection.reason,
            detail: cut(&rejection.detail, 300),
        });
        if self.named.len() > NAMED {
            self.named.pop_last();
        }
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Self) {
        self.total += other.total;
        for (reason, count) in other.by_reason {
            *self.by_reason.entry(reason).or_default() += count;
        }
        self.named.extend(other.named);
        while self.named.len() > NAMED {
            self.named.pop_last();
        }
    }

    /// As the report has them.
    #[must_use]
    pub fn into_rejected(self) -> Rejected {
        Rejected {
            total: self.total,
            by_reason: self.by_reason,
            files: self.named.into_iter().collect(),
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millions_are_counted_and_the_first_hundred_named() {
        let mut rejections = Rejections::default();
        for number in (0..100_000).rev() {
            let rejection = Rejection::new(RejectReason::Name, "x".repeat(1000));
            rejections.add("in", &format!("{number:06}"), &rejection);
        }
        let rejected = rejections.into_rejected();
        assert_eq!(rejected.total, 100_000);
        assert_eq!(rejected.by_reason[&RejectReason::Name], 100_000);
        assert_eq!(rejected.files.len(), NAMED);
        assert_eq!(rejected.files[99].file, "000099");
        assert_eq!(rejected.files[0].detail.chars().count(), 301);
    }
}
