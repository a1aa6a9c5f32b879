//! The settings of a scan.

use super::key;
use crate::key::DefaultValue::{None, Value, Words};
use crate::key::Reader::{Aggregate, Notify, Scanner, Upload, Wrapper, Zone};
use crate::key::{DefaultValue, Group, Key, ValueKind};

pub const ASKED: &[Key] = &[
    asked(
        "DNS_WILDCARD_DOMAIN",
        Value("tor.exit.validator.1aeo.com"),
        "The zone that answers every name under it with one address.",
    )
    .decided(),
    asked(
        "DNS_EXPECTED_IP",
        Value("64.65.4.1"),
        "The address that every name in the zone resolves to, IPv4 or IPv6.",
    )
    .decided(),
    key(
        "DNS_EXPECTED_IPV6",
        Group::Asked,
        &[Scanner, Zone],
        None,
        "The IPv6 address that names in the zone have too, if any; no verdict hangs on it.",
    ),
    key(
        "CHECKS",
        Group::Asked,
        &[Wrapper, Scanner],
        None,
        "What is asked of resolvers after the verdict, where the zone knows it: who, dnssec, tcp, v6.",
    ),
];

const fn asked(name: &'static str, default: DefaultValue, about: &'static str) -> Key {
    key(name, Group::Asked, &[Scanner, Aggregate, Zone], default, about)
}

pub const EXITS: &[Key] = &[
    key(
        "ALL_EXITS",
        Group::Exits,
        &[Scanner],
        Value("false"),
        "Whether every running relay that lets anything out is tested; BadExits are left out of rates.",
    )
    .of(ValueKind::Flag)
    .decided_as("true"),
    key(
        "EXCLUDE_FILE",
        Group::Exits,
        &[Scanner],
        None,
        "A file of exits that are never tested, one fingerprint a line: whose operators asked for it.",
    )
    .of(ValueKind::Path),
];

pub const PACE: &[Key] = &[
    pace("BUILD_DELAY", Value("2"), "Shortest time between two circuits, in seconds."),
    pace("DELAY_NOISE", Value("1"), "Random part of that time, in seconds more or less."),
    pace(
        "QUERY_TIMEOUT",
        Value("10"),
        "How long a query may take once tor has sent it, in seconds, 110 at most.",
    ),
    pace("CIRCUIT_TIMEOUT", Value("20"), "How long a circuit may take to build, in seconds."),
    pace(
        "MAX_RETRIES",
        Value("2"),
        "Tries for each relay in all, each by another first hop, 1 to 25.",
    ),
    pace("RETRY_DELAY", Value("1"), "Shortest time between two tries of one relay, in seconds."),
    pace("MAX_IN_FLIGHT", Value("64"), "Most circuits under way at once."),
    pace(
        "MAX_PER_FIRST_HOP",
        Words("4, or MAX_IN_FLIGHT with FIRST_HOP"),
        "Most circuits under way at once through one first hop.",
    ),
    pace(
        "FIRST_HOP",
        Words("guards, at random"),
        "The fingerprint of the relay that is the first hop of every circuit: your own.",
    ),
    pace("CONFIRM_ROUNDS", Value("2"), "Further rounds that try what still fails, 0 to 20."),
    pace("CONFIRM_AFTER", Value("60"), "Time between the end of a round and the next, in seconds."),
];

const fn pace(name: &'static str, default: DefaultValue, about: &'static str) -> Key {
    key(name, Group::Pace, &[Scanner], default, about)
}

pub const TOR: &[Key] = &[
    tor(
        "TOR_CONTROL",
        Words("a tor of the scanner's own"),
        "The control port of a running tor, HOST:PORT or unix:PATH.",
    ),
    tor(
        "TOR_CONTROL_PASSWORD",
        None,
        "The password of that control port, where it wants one instead of a cookie.",
    )
    .of(ValueKind::Secret),
    tor("TOR", Value("tor"), "The tor program to start.").of(ValueKind::Path),
    key(
        "TOR_DIR",
        Group::Tor,
        &[Wrapper, Scanner],
        Words("tor in STATE_DIR"),
        "Where the scanner's tor keeps its cache and log from run to run.",
    )
    .of(ValueKind::Path),
    tor(
        "BOOTSTRAP_TIMEOUT",
        Value("300"),
        "How long tor may take to start and to fetch the descriptors, in seconds.",
    ),
    tor(
        "TOR_WAIT",
        Value("120"),
        "How long to wait for a lost tor, or for first hops when none can be reached, in seconds.",
    ),
];

const fn tor(name: &'static str, default: DefaultValue, about: &'static str) -> Key {
    key(name, Group::Tor, &[Scanner], default, about)
}

/// Who writes a log whose detail `RUST_LOG` chooses.
pub const LOGGERS: &[crate::key::Reader] = &[Scanner, Aggregate, Upload, Notify];
