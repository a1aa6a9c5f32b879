//! When something that failed is tried again. Pure: randomness is passed in.
//!
//! Not the SDK's own retry (`RetryConfig::standard`), tried in its place with as many tries: it ends with
//! an answer's headers, so that a GET whose body is cut failed for good ("end of file before message
//! length reached" in the tests of faults). What is read, checked or looked at again after a write has to
//! be tried again here anyway, and two retries, one in the other, would multiply tries and pauses. By
//! its source (1.16) it also knows `x-amz-retry-after` and not `Retry-After`, and does not try again what
//! our causes do: 429 with another code than AWS's, a digest that is wrong, two uploaders at once (409).

use std::time::Duration;

/// How soon something that failed may work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Soon.
    Soon,
    /// When the store has recovered: it asked for fewer requests.
    Later,
    /// Not before somebody changes something.
    Never,
}

/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(30);

/// How often, and with which pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Tries in all, at least one.
    pub tries: u32,
    /// The pause after the first, before chance halves it at most; doubles with every try.
    pub base: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { tries: 6, base: Duration::from_millis(500) }
    }
}

impl Policy {
    /// The pause after the `tried`th try failed (1 for the first); `None` to give up. `wish` is
    /// what the store asked for (`Retry-After`), `chance` at least 0 and below 1: half of the
    /// pause is chance, so that several hosts do not come back together.
    #[must_use]
    pub fn pause(
        &self,
        tried: u32,
        retry: Retry,
        wish: Option<Duration>,
        chance: f64,
    ) -> Option<Duration> {
        if tried >= self.tries || retry == Retry::Never {
            return None;
        }
        let slower = u32::from(retry == Retry::Later);
        let doubled = tried.saturating_sub(1).saturating_add(slower).min(16);
        let whole = self.base.saturating_mul(1 << doubled).min(LONGEST);
        let pause = whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        Some(pause.max(wish.unwrap_or_default().min(LONGEST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { tries: 4, base: Duration::from_secs(1) };

    #[test]
    fn pauses_double_and_end() {
        let pauses: Vec<_> =
            (1..=5).map(|tried| POLICY.pause(tried, Retry::Soon, None, 1.0)).collect();
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(pauses, [seconds(1), seconds(2), seconds(4), None, None]);
    }

    #[test]
    fn chance_takes_half_at_most() {
        assert_eq!(POLICY.pause(1, Retry::Soon, None, 0.0), Some(Duration::from_millis(500)));
    }

    #[test]
    fn a_throttled_store_is_left_alone_longer_and_its_wish_is_heard() {
        assert_eq!(POLICY.pause(1, Retry::Later, None, 1.0), Some(Duration::from_secs(2)));
        let wish = |n| POLICY.pause(1, Retry::Later, Some(Duration::from_secs(n)), 1.0);
        assert_eq!(wish(7), Some(Duration::from_secs(7)));
        // Nobody can make it wait for a day.
        assert_eq!(wish(86_400), Some(LONGEST));
    }

    #[test]
    fn what_cannot_work_is_not_tried_again() {
        assert_eq!(POLICY.pause(1, Retry::Never, None, 0.5), None);
    }

    #[test]
    fn many_tries_do_not_overflow() {
        let policy = Policy { tries: u32::MAX, base: Duration::from_secs(86_400) };
        assert_eq!(policy.pause(u32::MAX - 1, Retry::Later, None, 1.0), Some(LONGEST));
    }
}
