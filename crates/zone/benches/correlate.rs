//! A run of 3,100 relays beside a log of ten million lines, of which one in a thousand is the run's: time and
//! memory, beside a plain reading of the same lines. `cargo bench -p zone --bench correlate`

#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up fails")]
#![expect(clippy::print_stdout, reason = "its result is what it prints")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::DateTime;
use peak_alloc::PeakAlloc;
use record::{Attempt, Fingerprint, Kind, RelayResult};
use zone::correlate::Correlator;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const RELAYS: u32 = 3100;
const LINES: u32 = 10_000_000;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("queries.jsonl");
    write(&log);
    let size = log.metadata().unwrap().len();
    println!("{LINES} lines, {} MB; {RELAYS} relays", size / 1_000_000);
    // Once before, so that both find the file where the other does.
    plain(&log);
    let reading = plain(&log);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let (correlating, seen) = correlate(&log);
    let peak = (MEMORY.peak_usage() - before) / 1_000_000;
    assert_eq!(seen, u64::from(RELAYS));
    let ratio = correlating.as_secs_f64() / reading.as_secs_f64();
    println!("reading alone {reading:.1?}; beside the run {correlating:.1?}: {ratio:.1} times");
    println!("memory: {peak} MB at most");
}

fn name(number: u32) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000.{number:08x}.z.example.org")
}

/// The log: most of it of other runs.
fn write(path: &Path) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    for line in 0..LINES {
        // Another scan's names, but for the run's, spread through all of it.
        let number = if line % 1000 == 0 { line / 1000 % RELAYS } else { 0x8000_0000 | line };
        writeln!(
            file,
            "{{\"time\":\"2026-01-01T00:00:00.{:03}Z\",\"address\":\"192.0.2.{}\",\"port\":4711,\
             \"transport\":\"udp\",\"name\":\"{}.\",\"type\":\"A\",\"flags\":[\"do\"],\"edns\":1232,\
             \"answer\":\"NOERROR\",\"data\":true}}",
            line % 1000,
            line % 250,
            name(number)
        )
        .unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
}

fn plain(path: &Path) -> Duration {
    let started = Instant::now();
    let (mut file, mut line, mut bytes) =
        (BufReader::new(File::open(path).unwrap()), Vec::new(), 0);
    while file.read_until(b'\n', &mut line).unwrap() > 0 {
        bytes += line.len();
        line.clear();
    }
    std::hint::black_box(bytes);
    started.elapsed()
}

fn correlate(path: &Path) -> (Duration, u64) {
    let results: Vec<RelayResult> = (0..RELAYS).map(result).collect();
    let started = Instant::now();
    let mut correlator = Correlator::default();
    results.into_iter().for_each(|result| correlator.result(result));
    let since = DateTime::from_timestamp(0, 0).unwrap();
    zone::read::log(path, since, |line| correlator.line(line)).unwrap();
    let done = correlator.finish();
    (started.elapsed(), done.names_seen)
}

/// A success with one query.
fn result(number: u32) -> RelayResult {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    let relay = Fingerprint::from_bytes(bytes);
    let time = "2026-01-01T00:00:00Z";
    let timing = serde_json::json!({ "circuit_ms": 300, "attach_ms": 1, "resolve_ms": 40 });
    let attempt: Attempt = serde_json::from_value(serde_json::json!({
        "number": 1, "round": 0, "started": time, "ended": "2026-01-01T00:00:02Z", "first_hop": relay,
        "status": "success", "error_code": null, "blame": null, "error": null,
        "resolved_ip": "64.65.4.1", "decided_by": 0, "timing": timing,
        "circuit": { "state": "built", "hops": 2, "reason": null, "remote_reason": null, "refusal": null },
        "queries": [{
            "via": "socks", "name": name(number), "socks_reply": 0, "rcode": null,
            "addresses": ["64.65.4.1"], "stream_reason": "DONE", "stream_remote_reason": null,
            "attach_ms": 1, "resolve_ms": 40, "error": null,
        }],
    }))
    .unwrap();
    serde_json::from_value(serde_json::json!({
        "format": Kind::Result.format(), "exit_fingerprint": relay, "exit_nickname": "relay",
        "exit_address": "192.0.2.1", "first_hop_fingerprint": relay, "query_domain": name(number),
        "expected_ip": "64.65.4.1", "timestamp": time, "run_id": "run", "shard": null,
        "mode": "wildcard", "status": "success", "resolved_ip": "64.65.4.1", "latency_ms": 40,
        "error": null, "error_code": null, "attempt": 1, "blame": null, "timing": timing,
        "provisional": false, "attempts": [attempt],
        "relay": { "flags": [], "contact": null, "family": [], "platform": null,
            "bandwidth": { "consensus_weight": null, "observed": null },
            "ipv6": { "address": null, "exit": null }, "country": null },
    }))
    .unwrap()
}
