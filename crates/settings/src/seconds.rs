//! Lengths of time as flags and variables give them.

use std::str::FromStr;
use std::time::Duration;

/// Longest time that is accepted: a day.
const MAX_SECONDS: f64 = 86_400.0;

/// A length of time given in seconds, fractions allowed: from 0 to a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().parse::<f64>() {
            Ok(seconds) if (0.0..=MAX_SECONDS).contains(&seconds) => {
                Ok(Self(Duration::from_secs_f64(seconds)))
            }
            _ => Err(format!("expected seconds from 0 to {MAX_SECONDS}, for example 2 or 0.5")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_is_refused() {
        let millis = |text: &str| text.parse().map(|Seconds(time)| time.as_millis());
        assert_eq!(millis("0"), Ok(0));
        assert_eq!(millis(" 0.5 "), Ok(500));
        assert_eq!(millis("86400"), Ok(86_400_000));
        for text in ["", "-1", "x", "NaN", "inf", "86401", "1 s"] {
            assert!(millis(text).is_err(), "{text}");
        }
    }
}
