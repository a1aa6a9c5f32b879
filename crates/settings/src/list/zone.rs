//! The settings of the zone's own name server.

use super::key;
use crate::key::DefaultValue::{None, Value, Words};
use crate::key::Reader;
use crate::key::{DefaultValue, Group, Key, ValueKind};

pub const ZONE: &[Key] = &[
    key(
        "ZONE_CHECKS_DOMAIN",
        Group::Zone,
        &[Reader::Scanner, Reader::Zone],
        Words("checks below DNS_WILDCARD_DOMAIN"),
        "The zone of the checks: one label below the zone, or a name outside it.",
    ),
    server(
        "ZONE_NAME_SERVERS",
        None,
        "Who answers for the zone: NAME ADDRESS..., with commas between several, as the zone above has it.",
    ),
    server(
        "ZONE_HOSTMASTER",
        Words("hostmaster in the zone"),
        "The mail address of who looks after the zone.",
    ),
    server(
        "ZONE_KEY",
        None,
        "The file of the checks zone's key; without it that zone is not signed.",
    )
    .of(ValueKind::Path),
    server(
        "ZONE_LISTEN",
        Value("127.0.0.1:53"),
        "Where it listens, ADDRESS:PORT, with commas between several; sockets of systemd go before.",
    ),
    server(
        "ZONE_RATE",
        Value("200"),
        "Most answers a second by UDP for each network, /24 or /56; 0: without limit.",
    ),
    key(
        "ZONE_LOG_DIR",
        Group::Zone,
        &[Reader::Zone, Reader::Aggregate],
        None,
        "The directory of the log of queries; without it there is none. Reports read it.",
    )
    .of(ValueKind::Path),
    server("ZONE_LOG_DAYS", Value("35"), "For how many days that log is kept."),
    server("ZONE_LOG_MB", Value("2000"), "Most megabytes of it in all; the oldest goes first."),
];

const fn server(name: &'static str, default: DefaultValue, about: &'static str) -> Key {
    key(name, Group::Zone, &[Reader::Zone], default, about)
}
