//! How much memory a scan holds for a relay: before its turn, while it waits for a confirming
//! round, and once it has its result. No network: the schedule itself is what grows with the
//! number of relays. `cargo bench -p scanner --bench memory`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has nothing to say")]
#![expect(clippy::print_stdout, reason = "its result is what it prints")]

use std::collections::HashMap;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use rand::SeedableRng;
use rand::rngs::StdRng;
use record::{Fingerprint, Mode, PlannedRelay, RelayInfo};
use scanner::classify::Judge;
use scanner::hops::{Candidate, FirstHops};
use scanner::probe::Limits;
use scanner::schedule::{Action, Pace, RunContext, Scan, ScanEvent, ScanTarget};
use tor_control::{CircuitEvent, CircuitStatus};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("Memory of the schedule, bytes a relay");
    println!("  {:>8} {:>10} {:>22} {:>8}", "relays", "planned", "failing, to confirm", "done");
    for relays in [310_u32, 3_100, 31_000] {
        measure(relays);
    }
}

fn fingerprint(number: u32, tag: u8) -> Fingerprint {
    let mut bytes = [tag; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Fingerprint::from_bytes(bytes)
}

/// A relay as the public network has them: a contact line, a family of ten.
fn target(number: u32) -> ScanTarget {
    let member = |index| format!("${}", fingerprint(index, 7));
    ScanTarget {
        relay: PlannedRelay {
            fingerprint: fingerprint(number, 1),
            nickname: format!("relay{number}"),
            address: [192, 0, 2, 1].into(),
        },
        info: RelayInfo {
            flags: ["Exit", "Fast", "Guard", "HSDir", "Running", "Stable", "V2Dir", "Valid"]
                .map(str::to_owned)
                .into(),
            contact: Some("email:tor[]example.org url:https://example.org proof:uri-rsa".repeat(2)),
            family: (0..10).map(member).collect(),
            platform: Some("Tor 0.4.9.11 on Linux".to_owned()),
            ..RelayInfo::default()
        },
        attempts: Vec::new(),
        door: None,
    }
}

#[expect(clippy::too_many_lines, reason = "the measurement, from beginning to end")]
fn measure(relays: u32) {
    let per_relay = |bytes: usize| bytes / usize::try_from(relays).unwrap();
    let before = HEAP.current_usage();
    let context = RunContext {
        run_id: "run".to_owned(),
        shard: None,
        domain: "example.com".parse().unwrap(),
        judge: Judge {
            mode: Mode::Wildcard,
            expected: None,
            exit_dns_limit: Duration::from_secs(2),
        },
        expected_ipv6: None,
        checks: None,
    };
    let pace = Pace {
        build_delay: Duration::ZERO,
        delay_noise: Duration::ZERO,
        limits: Limits { circuit: Duration::from_secs(9), query: Duration::from_secs(9) },
        tries: 2,
        retry_delay: Duration::from_secs(1),
        max_in_flight: 64,
        confirm_rounds: 1,
        confirm_after: Duration::from_secs(60),
        patience: Duration::from_secs(120),
    };
    let hops = FirstHops::new(
        (0..100).map(|number| Candidate {
            fingerprint: fingerprint(number, 2),
            weight: 1,
            exits: false,
        }),
        HashMap::new(),
        None,
        4,
    );
    let targets = (0..relays).map(target).collect();
    let mut scan = Scan::new(context, pace, targets, hops, StdRng::seed_from_u64(1));
    let planned = HEAP.current_usage() - before;

    // Every circuit fails between first hop and exit: the most that a relay can leave behind.
    let mut now = Duration::ZERO;
    let mut failing = 0;
    let mut actions = scan.step(ScanEvent::Tick, now);
    let mut serial = 0_u64;
    while !scan.finished() {
        let mut events = Vec::new();
        for action in actions.drain(..) {
            if let Action::Launch(probe, path) = action {
                serial += 1;
                let id: tor_control::CircuitId = serial.to_string().parse().unwrap();
                events.push(ScanEvent::Launched(probe, id.clone()));
                events.push(ScanEvent::Circuit(CircuitEvent {
                    id,
                    status: CircuitStatus::Failed,
                    path: path[..1].to_vec(),
                    purpose: Some("GENERAL".to_owned()),
                    reason: Some("DESTROYED".to_owned()),
                    remote_reason: Some("CHANNEL_CLOSED".to_owned()),
                }));
            }
        }
        if events.is_empty() {
            failing = failing.max(HEAP.current_usage() - before);
            now = now.max(scan.wake_at().unwrap());
            actions = scan.step(ScanEvent::Tick, now);
        }
        for event in events {
            actions.extend(scan.step(event, now));
        }
    }
    let done = HEAP.current_usage() - before;
    println!(
        "  {relays:>8} {:>10} {:>22} {:>8}",
        per_relay(planned),
        per_relay(failing),
        per_relay(done)
    );
}
