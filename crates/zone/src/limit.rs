//! How many answers by UDP a network may have. Pure, with the time passed in, in a table of fixed size.
//!
//! UDP's senders can be forged, and then the answers go to somebody who never asked. So a network that
//! asks for more than a scan ever does is sent to TCP, by an answer that is no longer than the query; far
//! above that it gets nothing. What has the form of a scan's names is never left without an answer.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Networks that are told apart: more than that share places, and with them what they may have.
const PLACES: usize = 1 << 16;

/// Seconds' worth of answers that a network may have at once.
const BURST: f32 = 5.0;

/// Above so many times its rate a network that is sent to TCP gets nothing.
const SILENT_ABOVE: f32 = 5.0;

/// What a query by UDP may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// Its answer.
    Answer,
    /// To be sent to TCP.
    Tcp,
    /// Nothing.
    Silence,
}

/// How much each network has had.
#[derive(Debug)]
pub struct Limiter {
    /// Answers a second for each network; none: without limit.
    rate: Option<f32>,
    places: Vec<Account>,
    hasher: RandomState,
    began: Instant,
}

/// What a network has left.
#[derive(Debug, Clone, Copy)]
struct Account {
    /// Answers; below 0 where it asked for more.
    left: f32,
    /// When that was so, in milliseconds since the beginning.
    at: u32,
}

impl Limiter {
    /// With so many answers a second for each network; 0: without limit.
    #[must_use]
    pub fn new(rate: u16, now: Instant) -> Self {
        let rate = (rate > 0).then(|| f32::from(rate));
        let full = Account { left: rate.unwrap_or_default() * BURST, at: 0 };
        let places = if rate.is_some() { vec![full; PLACES] } else { Vec::new() };
        Self { rate, places, hasher: RandomState::new(), began: now }
    }

    /// What a query from there, now, may have.
    pub fn ask(&mut self, from: IpAddr, of_a_scan: bool, now: Instant) -> Allowance {
        let Some(rate) = self.rate else { return Allowance::Answer };
        // The hash's lowest bits; which place is whose, nobody outside can tell.
        let hash = self.hasher.hash_one(network(from));
        let place = usize::try_from(hash % PLACES as u64).unwrap_or_default();
        let account = &mut self.places[place];
        let at = u32::try_from(now.saturating_duration_since(self.began).as_millis())
            .unwrap_or(u32::MAX);
        let gone = Duration::from_millis(at.saturating_sub(account.at).into()).as_secs_f32();
        let floor = -rate * SILENT_ABOVE;
        account.left = (account.left + gone * rate).min(rate * BURST) - 1.0;
        account.at = at;
        if account.left >= 0.0 {
            return Allowance::Answer;
        }
        let silent = account.left <= floor;
        account.left = account.left.max(floor);
        if silent && !of_a_scan { Allowance::Silence } else { Allowance::Tcp }
    }
}

/// The network of an address: /24, or /56.
pub(crate) fn network(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => u64::from(u32::from(v4) >> 8),
        // The first bit tells it from IPv4: no unicast address has it unset above these.
        IpAddr::V6(v6) => (u64::try_from(u128::from(v6) >> 64).unwrap_or_default() >> 8) | 1 << 63,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's beginning is any moment")]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_has_its_rate_and_then_tcp_and_then_nothing_but_a_scan_is_always_answered() {
        let start = Instant::now();
        let mut limiter = Limiter::new(10, start);
        let mut ask =
            |from: &str, scan, ms| limiter.ask(ip(from), scan, start + Duration::from_millis(ms));
        // The burst, whichever address of the network asks.
        for n in 0..50 {
            assert_eq!(ask(&format!("192.0.2.{n}"), false, 0), Allowance::Answer, "{n}");
        }
        let mut counts = [0; 3];
        for _ in 0..100 {
            counts[ask("192.0.2.1", false, 0) as usize] += 1;
        }
        assert_eq!(counts, [0, 49, 51], "first to TCP, then nothing");
        assert_eq!(ask("192.0.2.1", true, 0), Allowance::Tcp, "a name of a scan");
        assert_eq!(ask("198.51.100.1", false, 0), Allowance::Answer, "another network");
        assert_eq!(ask("2001:db8::1", false, 0), Allowance::Answer);
        // It comes back as time goes by, and its debt is bounded.
        assert_eq!(ask("192.0.2.1", false, 1000), Allowance::Tcp);
        assert_eq!(ask("192.0.2.1", false, 20_000), Allowance::Answer);
        // A clock that goes backwards gives nothing.
        assert_eq!(ask("203.0.113.1", false, 0), Allowance::Answer);
    }

    #[test]
    fn networks_are_of_24_and_of_56_bits() {
        assert_eq!(network(ip("192.0.2.1")), network(ip("192.0.2.254")));
        assert_ne!(network(ip("192.0.2.1")), network(ip("192.0.3.1")));
        assert_eq!(network(ip("2001:db8:0:ff::1")), network(ip("2001:db8:0:1::2")));
        assert_ne!(network(ip("2001:db8:0:ff::1")), network(ip("2001:db8:0:100::1")));
        assert_ne!(network(ip("0.0.0.0")), network(ip("::")));
    }

    #[test]
    fn without_a_limit_there_is_none() {
        let start = Instant::now();
        let mut limiter = Limiter::new(0, start);
        for _ in 0..100_000 {
            assert_eq!(limiter.ask(ip("192.0.2.1"), false, start), Allowance::Answer);
        }
    }
}
