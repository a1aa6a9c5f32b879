//! The index of the badges: for each first digit of a fingerprint a file, so that a function with some
//! milliseconds of time reads a sixteenth of the network for a badge. Holds no text of strangers.

use std::collections::{BTreeMap, HashMap};

use record::{
    BadgeWord, Badges, Kind, OperatorBadge, RelayBadge, Report, ReportedRelay, State, Status,
};

/// The digits, as fingerprints are written.
const DIGITS: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];

/// The files, by their digit; also those without a relay, so that none of an earlier report stays.
pub(crate) fn of_report(report: &Report) -> impl Iterator<Item = (char, Badges)> {
    let mut shards = DIGITS.map(|_| Badges {
        format: Kind::Badges.format(),
        timestamp: report.metadata.timestamp,
        relays: BTreeMap::new(),
        operators: Vec::new(),
    });
    let mut operators: HashMap<&str, OperatorBadge> = HashMap::new();
    for relay in &report.results {
        let operator = operators.entry(&relay.operator).or_default();
        operator.relays += 1;
        operator.work += u32::from(relay.status == Status::Success);
        operator.fail += u32::from(relay.status.counts_against_dns() && !relay.provisional);
    }
    // Where an operator is in each file.
    let mut places: HashMap<(usize, &str), u32> = HashMap::new();
    for relay in &report.results {
        let digit = usize::from(relay.exit_fingerprint.as_bytes()[0] >> 4);
        let shard = &mut shards[digit];
        let next = u32::try_from(shard.operators.len()).unwrap_or(u32::MAX);
        let place = *places.entry((digit, &relay.operator)).or_insert(next);
        if place == next {
            shard.operators.push(operators[relay.operator.as_str()]);
        }
        let badge =
            RelayBadge { word: word(relay), failures: relay.consecutive_failures, operator: place };
        shard.relays.insert(relay.exit_fingerprint, badge);
    }
    DIGITS.into_iter().zip(shards)
}

/// What a relay's badge says.
fn word(relay: &ReportedRelay) -> BadgeWord {
    let flapping = relay.state == Some(State::Flapping);
    match relay.status {
        Status::CircuitFail => BadgeWord::NotReached,
        Status::Error | Status::Exception => BadgeWord::NotTested,
        Status::WrongIp | Status::DnsFail | Status::Timeout if relay.provisional => {
            BadgeWord::Unconfirmed
        }
        Status::Success | Status::WrongIp | Status::DnsFail | Status::Timeout if flapping => {
            BadgeWord::Flapping
        }
        Status::Success if relay.degraded => BadgeWord::Degraded,
        Status::Success => BadgeWord::Works,
        Status::WrongIp | Status::DnsFail | Status::Timeout => BadgeWord::Failing,
    }
}
