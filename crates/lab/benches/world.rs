//! A year of runs of a world as large as the public network: `cargo bench -p lab --bench world`. What was
//! published, against what was true, and how long it took. `BENCH_RUNS`, `BENCH_RELAYS` and `BENCH_SEED`
//! play another.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and may fail")]

use std::path::Path;
use std::time::Instant;

use lab::world::{self, WorldSpec};

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

#[expect(clippy::disallowed_methods, reason = "measures by the clock")]
fn main() {
    // `cargo test` runs benchmarks' binaries too, to see that they start.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let spec = WorldSpec {
        relays: number("BENCH_RELAYS", 3_100) as usize,
        runs: number("BENCH_RUNS", 1_460),
        seed: u64::from(number("BENCH_SEED", 1)),
    };
    let memory = Path::new("/dev/shm");
    let dir = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
    let started = Instant::now();
    let tally = world::play(spec, dir.path(), |_| {}).unwrap();
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    println!("{} relays, {} runs, seed {}: {minutes:.1} min", spec.relays, spec.runs, spec.seed);
    println!("{tally}");
    assert!(tally.is_true(), "something false was published, or something true too late");
}
