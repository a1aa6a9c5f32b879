//! The settings of the whole job: report, hosts, places, limits, retention.

use super::{key, scan};
use crate::key::DefaultValue::{None, Value, Words};
use crate::key::Reader::{Aggregate, Notify, Retain, Scanner, Upload, Wrapper};
use crate::key::{DefaultValue, Group, Key, Reader, ValueKind};

pub const REPORT: &[Key] = &[
    report(
        "ZONE_CHECK",
        Value("true"),
        "Whether a fresh name in the zone is asked for directly; a wrong answer closes the gate.",
    )
    .of(ValueKind::Flag),
    report(
        "ZONE_SERVER",
        Words("those in /etc/resolv.conf"),
        "The DNS server that ZONE_CHECK asks, ADDRESS:PORT.",
    ),
    report(
        "KNOWN_GOOD_EXIT",
        None,
        "The fingerprint of an exit whose resolver is good: whether it works is noted.",
    ),
    report("GATE_MIN_RELAYS", Value("100"), "Fewest relays that a report may have."),
    report(
        "GATE_RELAY_COUNT_PERCENT",
        Value("20"),
        "Greatest change of the number of relays since the previous report, in percent.",
    ),
    report(
        "GATE_SUCCESS_RATE_POINTS",
        Value("5"),
        "Greatest fall of the DNS success rate since then, in no one place, in percentage points.",
    ),
    report(
        "GATE_SUCCESS_FLOOR_PERCENT",
        Value("50"),
        "Least DNS success rate, in percent: below it, the fault is taken for ours.",
    ),
    report(
        "GATE_SPREAD_PERCENT",
        Value("10"),
        "Greatest share of failing relays outside one operator, network or country, in percent.",
    ),
    report(
        "GATE_CIRCUIT_FAIL_PERCENT",
        Value("25"),
        "Greatest share of relays that were not reached, in percent.",
    ),
    report(
        "GATE_SCANNER_FAULT_PERCENT",
        Value("5"),
        "Greatest share of results that are faults of the scanner, in percent.",
    ),
    report(
        "GATE_ACCEPT_AFTER",
        Value("3"),
        "Runs in a row that must agree before a mere change is published; 0: never.",
    ),
    report(
        "LOCATION_DB",
        Value("/var/lib/location/database.db"),
        "IPFire's location database, which has the AS and the country of each exit; it may be missing.",
    )
    .of(ValueKind::Path),
    key(
        "CHECK_DOMAINS",
        Group::Report,
        &[Wrapper],
        Value("false"),
        "Whether the domains that relays' contacts name are asked for a proof: each twice a year or less.",
    )
    .of(ValueKind::Flag),
    report(
        "DATA_LICENSE",
        Value("CC0-1.0"),
        "The licence of the published data, by its SPDX identifier.",
    ),
    report("PUBLISHER_NAME", None, "Who publishes the reports, as they and the dashboard say it."),
    report(
        "PUBLISHER_CONTACT",
        None,
        "How the publisher is reached: an address for mail, or of a page.",
    ),
    report("PUBLISHER_SOURCE", None, "Where the source is of what the publisher runs: an address."),
    report(
        "HISTORY_FILE",
        Words("history.sqlite in ANALYSIS_ROOT"),
        "The database of earlier runs.",
    )
    .of(ValueKind::Path),
];

const fn report(name: &'static str, default: DefaultValue, about: &'static str) -> Key {
    key(name, Group::Report, &[Aggregate], default, about)
}

pub const HOSTS: &[Key] = &[
    key(
        "SHARD",
        Group::Hosts,
        &[Wrapper, Scanner],
        Words("all of them"),
        "The part of the exits that this host tests, N/M counted from 0: 0/3, 1/3, 2/3.",
    ),
    wrapper(
        "RUN_STORE",
        Group::Hosts,
        None,
        "The store that carries runs between hosts: do, r2, s3, or a name of UPLOAD_TARGETS.",
    )
    .of(ValueKind::Target),
    wrapper(
        "GATHER",
        Group::Hosts,
        Value("false"),
        "true on the one host that gathers every host's run and makes the report.",
    )
    .of(ValueKind::TrueFalse),
    wrapper(
        "GATHER_WAIT",
        Group::Hosts,
        Value("3600"),
        "How long that host waits for the other hosts' runs, in seconds.",
    )
    .of(ValueKind::Whole(0, DAY)),
];

/// Seconds.
const DAY: u64 = 86_400;

const fn wrapper(
    name: &'static str,
    group: Group,
    default: DefaultValue,
    about: &'static str,
) -> Key {
    key(name, group, &[Wrapper], default, about)
}

pub const LIMITS: &[Key] = &[
    wrapper(
        "STATE_DIR",
        Group::Limits,
        Words("the checkout; installed: /var/lib/tor-exit-validator"),
        "What every other place is in, unless it is given itself.",
    )
    .of(ValueKind::Path),
    place(
        "ANALYSIS_ROOT",
        &[Wrapper, Aggregate, Upload],
        Words("analysis in STATE_DIR"),
        "Where runs are, one directory each.",
    ),
    place(
        "OUTPUT_DIR",
        &[Wrapper, Aggregate, Upload, Notify],
        Words("public in STATE_DIR"),
        "Where reports are published, and what is uploaded and served.",
    ),
    place(
        "LOG_DIR",
        &[Wrapper, Retain],
        Words("log in STATE_DIR"),
        "Where each run's log file is.",
    ),
    place(
        "PROGRAM_DIR",
        &[Wrapper],
        Words("beside run_dns_validation, or target/release of its checkout"),
        "Where the programs are.",
    ),
    place(
        "ANALYSIS_DIR",
        &[Scanner],
        Words("a new directory for each run"),
        "Where one run's results go; for runs by hand.",
    ),
    limit("SCAN_LIMIT", Value("19800"), 60, "Longest time for the scan, in seconds."),
    limit("AGGREGATE_LIMIT", Value("900"), 1, "Longest time for the report, in seconds."),
    limit("UPLOAD_LIMIT", Value("3600"), 1, "Longest time for the uploads, in seconds."),
    limit("RETAIN_LIMIT", Value("1800"), 1, "Longest time for the retention, in seconds."),
    wrapper(
        "MIN_FREE_MB",
        Group::Limits,
        Value("1000"),
        "No run begins with less free disk space than this, in megabytes.",
    )
    .of(ValueKind::Whole(0, 100_000_000)),
    key(
        "UPLOAD_TIMEOUT",
        Group::Limits,
        &[Upload],
        Value("60"),
        "How long one request to a store, or a pause in its answer, may take, in seconds.",
    ),
    key(
        "UPLOAD_DEADLINE",
        Group::Limits,
        &[Upload],
        Value("1800"),
        "How long everything that a store gets may take, in seconds.",
    ),
    key(
        "LOG_FORMAT",
        Group::Limits,
        &[Wrapper, Scanner, Aggregate, Upload, Notify],
        Value("text"),
        "How the log is written: text, or json for a machine.",
    ),
    key(
        "RUST_LOG",
        Group::Limits,
        scan::LOGGERS,
        Words("info of our own programs"),
        "How much the programs' logs tell, for instance info,scanner=debug.",
    ),
];

const fn place(
    name: &'static str,
    readers: &'static [Reader],
    default: DefaultValue,
    about: &'static str,
) -> Key {
    key(name, Group::Limits, readers, default, about).of(ValueKind::Path)
}

const fn limit(name: &'static str, default: DefaultValue, least: u64, about: &'static str) -> Key {
    wrapper(name, Group::Limits, default, about).of(ValueKind::Whole(least, DAY))
}

pub const RETENTION: &[Key] = &[
    kept("KEEP_RUNS", Value("28"), 100_000, "How many runs' analysis directories stay; 0: all."),
    kept(
        "ARCHIVE_AFTER_DAYS",
        Value("180"),
        DAYS,
        "Reports older than so many days go into monthly archives; 0: never.",
    ),
    kept("KEEP_LOGS", Value("120"), 1_000_000, "How many log files stay; 0: all."),
    key(
        "HISTORY_KEEP_DAYS",
        Group::Retention,
        &[Aggregate],
        Value("730"),
        "How many days the history goes back.",
    ),
    pruned(
        "STORE_KEEP_DAYS",
        "After how many days the stores lose reports that are in a monthly archive; 0: never.",
    ),
    pruned(
        "STORE_KEEP_RUN_DAYS",
        "After how many days the stores lose runs that hosts pushed; 0: never.",
    ),
];

const fn pruned(name: &'static str, about: &'static str) -> Key {
    key(name, Group::Retention, &[Upload], Value("0"), about).of(ValueKind::Whole(0, DAYS))
}

/// A hundred years, nearly.
const DAYS: u64 = 36_500;

const fn kept(name: &'static str, default: DefaultValue, most: u64, about: &'static str) -> Key {
    key(name, Group::Retention, &[Retain], default, about).of(ValueKind::Whole(0, most))
}
