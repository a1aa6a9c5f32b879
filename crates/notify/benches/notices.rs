//! Notices of a report of 10,000 relays, of which one in twenty began to fail: the time from the report on the
//! disk to incidents, feeds and what is to be sent, beside a plain reading of the same report.
//! `cargo bench -p notify --bench notices`

#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up fails")]
#![expect(clippy::print_stdout, reason = "its result is what it prints")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use notify::memory::Keeper;
use notify::notices::{self, Channels};
use record::{FileEntry, FileKind, FileReport, Files, Kind, Report, Status};
use shelf::output::{FILES_FILE, dated_name};

const RELAYS: u32 = 10_000;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let public = dir.path().join("public");
    fs::create_dir(&public).unwrap();
    let keeper = Keeper::open(&dir.path().join("notify"), None).unwrap();
    let channels = Channels {
        site: Some("https://exits.example.org".to_owned()),
        webhook: None,
        alertmanager: None,
        mail: None,
        function: false,
        silence: TimeDelta::days(1),
    };
    let mut files = Vec::new();
    for run in 0..3 {
        let report = report(run);
        let ended = report.metadata.timestamp;
        let name = dated_name(ended);
        let path = public.join(&name);
        publish(&public, &mut files, &report);
        let size = path.metadata().unwrap().len();

        let started = Instant::now();
        let read: Report = Kind::Report.parse(&fs::read(&path).unwrap()).unwrap();
        let reading = started.elapsed();
        assert_eq!(read.results.len(), RELAYS as usize);

        let started = Instant::now();
        let (_, done) =
            notices::prepare(&public, &keeper, &channels, ended + TimeDelta::minutes(5)).unwrap();
        let making = started.elapsed();
        println!(
            "run {run}: {RELAYS} relays, {} MB, {} incidents open: reading alone {reading:.2?}, with \
             notices {making:.2?}: {:.1} times",
            size / 1_000_000,
            done.open,
            making.as_secs_f64() / reading.as_secs_f64()
        );
    }
}

fn at(run: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600 + 6 * 3600 * i64::from(run), 0).unwrap()
}

/// All work in the first run; from then on one in twenty fails.
fn report(run: u32) -> Report {
    let example = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../aggregate/tests/it/snapshots/report_of_everything.snap");
    let example = fs::read_to_string(example).unwrap();
    let mut report: Report =
        Kind::Report.parse(example.splitn(3, "---\n").nth(2).unwrap().as_bytes()).unwrap();
    report.metadata.timestamp = at(run);
    report.metadata.run_id = format!("run{run}");
    report.metadata.publish.allowed = true;
    report.metadata.publish.reasons = Vec::new();
    let found =
        |status| report.results.iter().find(|relay| relay.status == status).unwrap().clone();
    let (well, broken) = (found(Status::Success), found(Status::DnsFail));
    report.results = (0..RELAYS)
        .map(|number| {
            let fails = run > 0 && number % 20 == 0;
            let mut relay = if fails { broken.clone() } else { well.clone() };
            relay.exit_fingerprint = format!("{number:040X}").parse().unwrap();
            relay.operator = format!("contact:op{}@example.org", number / 8);
            relay.provisional = false;
            relay.relay.flags.retain(|flag| flag != "BadExit");
            relay
        })
        .collect();
    report
}

fn publish(public: &Path, files: &mut Vec<FileEntry>, report: &Report) {
    let bytes = serde_json::to_vec(report).unwrap();
    let name = dated_name(report.metadata.timestamp);
    fs::write(public.join(&name), &bytes).unwrap();
    let figures = FileReport {
        run_id: report.metadata.run_id.clone(),
        total_relays: RELAYS,
        dns_success_rate_percent: None,
        published: true,
        reasons: Vec::new(),
    };
    let entry = FileEntry {
        name,
        kind: FileKind::Report,
        size: bytes.len() as u64,
        sha256: String::new(),
        timestamp: report.metadata.timestamp,
        report: Some(figures),
    };
    files.insert(0, entry);
    let list = Files { format: Kind::Files.format(), files: files.clone() };
    fs::write(public.join(FILES_FILE), serde_json::to_vec(&list).unwrap()).unwrap();
}
