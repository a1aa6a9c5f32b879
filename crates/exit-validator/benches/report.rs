//! How much work a report is, and how much memory: `cargo bench -p exit-validator --bench report`.
//!
//! 3,100 relays with a year of history, and 10,000 with five years; everything written and synced as
//! in earnest, by the program itself. Beside each, in the same run and alternating, `reference.py`: a
//! plain Python program that merges the same files with the same previous report and keeps no
//! history. Then a run is forgotten, and a month of reports is moved into an archive. CPU time, of
//! the program and of the system for it: a busy machine changes it little. `BENCH_RUNS` and
//! `BENCH_RELAYS` measure one case of another size.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and may fail")]

#[path = "../../aggregate/tests/it/fixture.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod fixture;
#[path = "support/measure.rs"]
mod measure;

use std::path::Path;
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

use aggregate::gate::Thresholds;
use aggregate::history::{History, Standing};
use aggregate::merge;
use aggregate::publish;
use aggregate::report::{self, Context};

use fixture::Scan;
use measure::measure;

/// How often each program is measured.
const ROUNDS: usize = 5;

fn number(name: &str, default: u32) -> u32 {
    env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Most relays work, some fail or are not reached, and 20 come and go.
fn marks(run: u32, relays: u32) -> impl Iterator<Item = (u32, char)> {
    (0..relays).filter(move |relay| relay % 150 != run % 150).map(move |relay| {
        let chance = (relay.wrapping_mul(2_654_435_761) ^ run.wrapping_mul(40_503)) % 1000;
        let mark = match (relay % 100, chance) {
            (0, _) => 'd',
            (_, 0..10) => 'c',
            (_, 10..20) => 't',
            (_, 20..22) => 'w',
            _ => 's',
        };
        (relay, mark)
    })
}

/// The run with this number, of so many: the last of them ended before today.
fn scan(run: u32, runs: u32, relays: u32) -> Scan {
    fixture::scan(run.cast_signed() - runs.cast_signed(), marks(run, relays))
}

/// One size, and what it may take.
struct Case {
    runs: u32,
    relays: u32,
    /// CPU seconds.
    most: f64,
}

fn main() {
    // `cargo test --benches` asks for a quick look.
    let quick = env::args().any(|argument| argument == "--test");
    let cases = if quick {
        vec![Case { runs: 60, relays: 100, most: f64::INFINITY }]
    } else if env::var_os("BENCH_RUNS").is_some() || env::var_os("BENCH_RELAYS").is_some() {
        let (runs, relays) = (number("BENCH_RUNS", 1460), number("BENCH_RELAYS", 3100));
        vec![Case { runs, relays, most: f64::INFINITY }]
    } else {
        vec![
            Case { runs: 1460, relays: 3100, most: 0.4 },
            Case { runs: 7300, relays: 10_000, most: 1.5 },
        ]
    };
    let misses: Vec<String> = cases.iter().filter_map(|case| measured(case, quick)).collect();
    let dir = tempfile::tempdir().unwrap();
    archive(dir.path(), if quick { 4 } else { 120 }, if quick { 100 } else { 3100 });
    assert!(misses.is_empty(), "{misses:#?}");
}

/// Measures a case; says where it takes more than it may.
fn measured(case: &Case, quick: bool) -> Option<String> {
    let &Case { runs, relays, most } = case;
    let dir = tempfile::tempdir().unwrap();
    let history = dir.path().join("history.sqlite");
    let output = dir.path().join("public");
    fs::create_dir(&output).unwrap();
    let started = clock();
    let previous = fill(&history, runs, relays);
    fs::write(output.join("latest.json"), previous).unwrap();
    let newest = scan(runs, runs, relays);
    let input = dir.path().join("run");
    newest.write(&input);
    let size = fs::metadata(&history).unwrap().len();
    println!(
        "{relays} relays, {runs} runs: a history of {:.0} MB, filled in {:.1} s",
        megabytes(size),
        started.elapsed().as_secs_f64(),
    );

    let saved = dir.path().join("saved.sqlite");
    fs::copy(&history, &saved).unwrap();
    let latest = fs::read(output.join("latest.json")).unwrap();
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..if quick { 1 } else { ROUNDS } {
        // As before the run each time: adding it is part of the work.
        fs::copy(&saved, &history).unwrap();
        fs::remove_dir_all(&output).unwrap();
        fs::create_dir(&output).unwrap();
        fs::write(output.join("latest.json"), &latest).unwrap();
        // The copies' pages must not be written out on the account of what is measured.
        rustix::fs::sync();
        ours.push(measure(
            Command::new(env!("CARGO_BIN_EXE_exit-validator"))
                .args(["report", "--quiet", "--force", "--input"])
                .arg(&input)
                .arg("--output-dir")
                .arg(&output)
                .arg("--history")
                .arg(&history),
        ));
        fs::write(output.join("latest.json"), &latest).unwrap();
        rustix::fs::sync();
        theirs.push(measure(
            Command::new("python3")
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/reference.py"))
                .arg(&input)
                .arg(output.join("latest.json"))
                .arg(dir.path().join("reference.json")),
        ));
    }
    let (time, memory) = show("aggregate, with history", &ours);
    let (reference, _) = show("reference.py, without", &theirs);
    println!("aggregate / reference.py: {:.2} of the CPU time", time / reference);
    let size = fs::read_dir(&output).unwrap().map(|entry| entry.unwrap()).find_map(|entry| {
        let dated = entry.file_name().to_string_lossy().starts_with("dns_health_");
        dated.then(|| entry.metadata().unwrap().len())
    });
    println!("the report has {:.1} MB", megabytes(size.unwrap()));
    story(&history);
    forget(&history);
    (time > most || memory > 100.0).then(|| {
        format!("{relays} relays, {runs} runs: {time:.2} s and {memory:.0} MB, where {most} s and 100 MB are wanted")
    })
}

/// Forgetting the oldest run costs what that run has, and not the whole table.
fn forget(path: &Path) {
    let mut history = History::open(path).unwrap();
    let oldest = history.trends(None).unwrap()[0].timestamp;
    let started = clock();
    let runs = history.prune(oldest + chrono::TimeDelta::seconds(1)).unwrap();
    let time = started.elapsed().as_secs_f64();
    println!("forgetting {runs} run: {time:.2} s");
}

/// A month of reports, as they follow one another, becomes an archive.
fn archive(dir: &Path, reports: u32, relays: u32) {
    let output = dir.join("archived");
    fs::create_dir(&output).unwrap();
    let mut history = History::open(&dir.join("archived.sqlite")).unwrap();
    let mut previous: Option<Vec<u8>> = None;
    let mut size = 0;
    for run in 0..reports {
        // In the April before the fixture's first run.
        let bytes = enter(&mut history, run, 1100, relays);
        let time = fixture::scan(run.cast_signed() - 1100, []).run.unwrap().ended;
        fs::write(output.join(shelf::output::dated_name(time)), &bytes).unwrap();
        size += bytes.len() as u64;
        previous = Some(bytes);
    }
    // The latest report's month stays.
    fs::write(output.join("dns_health_2025-12-01_00-00-00.json"), previous.unwrap()).unwrap();
    rustix::fs::sync();
    let measured = measure(
        Command::new(env!("CARGO_BIN_EXE_exit-validator"))
            .args(["retain", "--keep-runs=0", "--keep-days=0", "--output-dir"])
            .arg(&output),
    );
    show("retain, a month", &[measured]);
    for entry in fs::read_dir(&output).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_name().to_string_lossy().ends_with(".tar.gz") {
            let archive = entry.metadata().unwrap().len();
            println!(
                "{reports} reports of {:.0} MB are an archive of {:.1} MB",
                megabytes(size),
                megabytes(archive)
            );
        }
    }
}

/// Fills a history with these runs, and returns the report of the last of them. Two are entered as
/// in earnest, the first and the last; those between are copies of the first, made by SQLite, with
/// marks of their own.
fn fill(path: &Path, runs: u32, relays: u32) -> Vec<u8> {
    let mut history = History::open(path).unwrap();
    enter(&mut history, 0, runs, relays);
    let mut trend = history.trends(None).unwrap().remove(0);
    drop(history);
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; BEGIN")
        .unwrap();
    for run in 1..runs - 1 {
        let like = scan(run, runs, 1);
        (trend.run_id, trend.timestamp) = (like.plan.run_id, like.run.unwrap().ended);
        let text = serde_json::to_string(&trend).unwrap();
        let values = rusqlite::params![run + 1, trend.run_id, trend.timestamp.timestamp(), text];
        connection
            .execute(
                "INSERT INTO run SELECT ?1, ?2, ?3, standing, asked, ?4 FROM run WHERE run = 1",
                values,
            )
            .unwrap();
        connection
            .execute(
                "INSERT INTO run_input VALUES (?2, ?1)",
                rusqlite::params![run + 1, trend.run_id],
            )
            .unwrap();
        connection
            .execute(
                "INSERT INTO result
                 SELECT ?1, relay, CASE
                    WHEN relay % 100 = 0 THEN 'd'
                    WHEN (relay * 40503 + ?1 * 7919) % 1000 < 10 THEN 'c'
                    WHEN (relay * 40503 + ?1 * 7919) % 1000 < 20 THEN 't'
                    ELSE 's' END, code, resolve_ms, circuit_ms, 's'
                 FROM result WHERE run = 1 AND relay % 150 <> ?1 % 150",
                [run + 1],
            )
            .unwrap();
    }
    connection.execute_batch("COMMIT").unwrap();
    drop(connection);
    let mut history = History::open(path).unwrap();
    enter(&mut history, runs - 1, runs, relays)
}

/// Enters a run as published; returns its report.
fn enter(history: &mut History, run: u32, runs: u32, relays: u32) -> Vec<u8> {
    let input = scan(run, runs, relays).input("bench");
    let ids = vec![input.facts.run_id.clone()];
    let joined = merge::join(vec![input]).unwrap();
    let time = report::ended(&joined.inputs);
    let (base, past) = history.look_back(&ids, time, &[], true).unwrap().into_base(None);
    let thresholds = Thresholds { min_relays: 1, ..Thresholds::default() };
    let context = Context {
        now: time,
        thresholds: &thresholds,
        force: true,
        known_good: None,
        zone_check: None,
        held: &[],
        resolvers: None,
        checks: None,
        locations: None,
        license: None,
        publisher: None,
    };
    let report = report::build(joined, base, Some(&past), Default::default(), context);
    history.enter(&report).unwrap();
    history.settle(&report.metadata.run_id, Standing::Published, &[]).unwrap();
    publish::json("the report", &report).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}

/// Prints the measurements, and returns the median time and the greatest memory.
fn show(name: &str, measured: &[(f64, f64)]) -> (f64, f64) {
    let mut times: Vec<f64> = measured.iter().map(|(time, _)| *time).collect();
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let most = measured.iter().map(|(_, memory)| *memory).fold(0.0, f64::max);
    let (least, longest) = (times[0], times[times.len() - 1]);
    println!("{name:<24} {median:>6.3} s ({least:.3} to {longest:.3}), {most:>4.0} MB");
    (median, most)
}

fn story(history: &Path) {
    let history = History::open(history).unwrap();
    let started = clock();
    let story = history.story(fixture::relay(7)).unwrap().unwrap();
    let time = started.elapsed().as_secs_f64() * 1e3;
    println!("a relay's story of {} runs: {time:.2} ms", story.runs.len());
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^53")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
