//! What waits to be sent, and when it is tried again. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How long a parcel is tried.
const TRIED_FOR: TimeDelta = TimeDelta::days(7);

/// The first pause before it is tried again; each is twice as long as the one before.
const FIRST_PAUSE: TimeDelta = TimeDelta::minutes(5);

/// The longest pause.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(12);

/// Something that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// Its id: the same where it is sent again.
    pub id: String,
    /// When it was made.
    pub made: DateTime<Utc>,
    /// When it is to be tried.
    pub due: DateTime<Utc>,
    /// How often it was tried.
    pub tries: u32,
    /// Whether a try was under way when this was written.
    pub begun: bool,
    /// What it is.
    pub content: Content,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum Content {
    /// A webhook's body, JSON.
    Webhook {
        /// The body.
        body: String,
    },
    /// A mail to those who run the system.
    Mail {
        /// Its subject.
        subject: String,
        /// Its text.
        text: String,
    },
    /// A mail to an operator who asked for it.
    Letter {
        /// Whose.
        address: String,
        /// Its subject.
        subject: String,
        /// Its text.
        text: String,
        /// What it goes with, so that the mails about one incident are one thread.
        references: Vec<String>,
        /// The token by which its reader gets no more of them; none where it only asks for a confirmation.
        unsubscribe: Option<String>,
    },
}

impl Parcel {
    /// A new one.
    #[must_use]
    pub const fn new(id: String, now: DateTime<Utc>, content: Content) -> Self {
        Self { id, made: now, due: now, tries: 0, begun: false, content }
    }

    /// Whether it may be sent again although a try was under way when the program was killed.
    #[must_use]
    pub const fn may_be_repeated(&self) -> bool {
        matches!(self.content, Content::Webhook { .. })
    }

    /// It was tried and not taken. Whether it is tried again.
    pub fn failed(&mut self, now: DateTime<Utc>) -> bool {
        self.begun = false;
        let pause = FIRST_PAUSE * 2_i32.pow(self.tries.min(10));
        self.tries = self.tries.saturating_add(1);
        self.due = now + pause.min(LONGEST_PAUSE);
        now - self.made < TRIED_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_ever_more_rarely_and_for_a_week() {
        let start = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        let content = Content::Webhook { body: String::new() };
        let mut parcel = Parcel::new("one".to_owned(), start, content);
        let mut pauses = Vec::new();
        let mut now = start;
        while parcel.failed(now) {
            pauses.push((parcel.due - now).num_minutes());
            now = parcel.due;
        }
        assert_eq!(pauses[..9], [5, 10, 20, 40, 80, 160, 320, 640, 720]);
        assert_eq!((now - start).num_days(), 7);
    }
}
