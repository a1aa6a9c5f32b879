//! A season of runs: what is published of a world in which relays, operators, networks, the zone, the
//! uplink and the host break and are mended.

use std::path::Path;

use lab::world::{self, WorldSpec};

/// Ninety days, and as few relays as a report may have without being taken for half of one. The year
/// with as many as the public network has is `cargo bench -p lab --bench world`.
const SEASON: WorldSpec = WorldSpec { relays: 110, runs: 360, seed: 2 };

#[test]
fn nothing_false_is_published_and_no_outage_comes_late() {
    // In memory, where there is such a place: every report is synced, and nothing here is to survive.
    let memory = Path::new("/dev/shm");
    let dir = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
    let mut told = Vec::new();
    let tally = world::play(SEASON, dir.path(), |line| told.push(line.to_owned())).unwrap();
    assert!(tally.is_true(), "{tally}\n{}", told.join("\n"));
    let [incidents, of_the_healthy] = tally.incidents;
    assert!(incidents > 5 && of_the_healthy == 0, "{tally}");
    // It is a world in which things happen.
    let [made, missed, published] = tally.runs;
    assert!(missed > 0 && published < made && published * 2 > made, "{tally}");
    assert!(!tally.outages.is_empty(), "{tally}");
    let [confirmed, broken] = tally.confirmed;
    assert!(broken > 5 && confirmed * 4 >= broken * 3, "{tally}");
    let [degraded, unreliable] = tally.degraded;
    assert!(unreliable > 0 && degraded == unreliable && tally.slandered == 0, "{tally}");
    // What is left is what a reader of the job would find.
    for name in ["latest.json", "files.json", "trends.json"] {
        assert!(dir.path().join("public").join(name).is_file(), "{name}");
    }
}
