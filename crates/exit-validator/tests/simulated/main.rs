//! The scan at the size of the public network, and on its bad days: the real program, through a
//! simulated tor (`lab::simulated`) with thousands of relays. That this tor is like a real one is held
//! by `scan::simulated`.
//!
//! `SIMULATED_SEED=N` draws another network, other weather and other moments; a test that fails says
//! which seed it had.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../scan/run.rs"]
#[expect(dead_code, reason = "shared with the scans of the lab, which use all of it")]
mod run;
#[path = "../support/program.rs"]
mod support;
mod world;

use std::time::Duration;

use lab::Fault;
use lab::simulated::{Noise, Uplink};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;

use crate::run::{now, results, run, start};
use crate::world::{Taken, World, seed, show};

/// The most circuits that a verdict may take on average.
const MOST_CIRCUITS: f64 = 1.3;

/// The most memory that a scan may take, in megabytes. The benchmark holds the optimised program to it.
const MOST_MEMORY: f64 = 40.0;

#[test]
fn ten_thousand_relays_on_a_day_like_any_other() {
    let world = World::new(10_000, 200, 3, Noise::LIVE);
    let mut command = world.scan();
    command.args(["--build-delay=0.003", "--max-in-flight=200", "--max-per-first-hop=20"]);
    let began = now();
    let mut running = start(command);
    let mut taken = Taken::default();
    while !running.has_ended() {
        taken.look(running.id());
        assert!(began.elapsed() < Duration::from_secs(600), "it takes too long");
        std::thread::sleep(Duration::from_millis(20));
    }
    running.end().with(0);
    show(&format!(
        "10,000 relays in {:.1} s, of which {:.1} s of CPU; at most {:.1} MB (VmHWM), {:.1} MB of its own",
        began.elapsed().as_secs_f64(),
        taken.cpu,
        taken.peak,
        taken.own
    ));
    let circuits = world.everybody_has_a_true_result();
    show(&format!("10,000 relays: {circuits:.3} circuits a verdict"));
    assert!(circuits <= MOST_CIRCUITS, "{circuits}");
    assert!(taken.own > 0.0 && taken.own < MOST_MEMORY, "{taken:?}");
    world.is_left_as_it_was();
    world.has_no_circuit();
}

#[test]
fn every_scripted_fault_is_found_whatever_the_weather() {
    let world = World::new(200, 100, 4, Noise::LIVE);
    let mut command = world.scan();
    command.args(["--build-delay=0.005", "--max-in-flight=300", "--max-per-first-hop=20"]);
    run(command).with(0);
    let circuits = world.everybody_has_a_true_result();
    show(&format!("200 relays and four of each fault: {circuits:.3} circuits a verdict"));
    world.is_left_as_it_was();
    world.has_no_circuit();
}

#[test]
fn a_tor_that_is_lost_and_comes_back() {
    let world = World::on_a_bad_day(600);
    let mut command = world.scan();
    command.arg("--build-delay=0.01");
    let mut running = start(command);
    running.until("it is in the middle", || results(world.analysis()) > 100);
    // The connection, and then all of it.
    world.tor().drop_controllers();
    running.until("it goes on", || results(world.analysis()) > 250);
    world.tor().kill();
    std::thread::sleep(Duration::from_secs(1));
    world.tor().start_again().unwrap();
    running.end().with(0).saying(&["tor was lost in the middle of the scan", "tor is back"]);
    let circuits = world.everybody_has_a_true_result();
    let run = world.run();
    show(&format!("600 relays, tor lost twice: {circuits:.3} circuits a verdict"));
    assert_eq!(run.tor.restarts, 2);
    world.is_left_as_it_was();
    world.has_no_circuit();
}

#[test]
fn an_uplink_that_goes_and_comes_back() {
    let world = World::on_a_bad_day(600);
    let mut command = world.scan();
    command.arg("--build-delay=0.01");
    let mut running = start(command);
    // Longer than circuits and queries may take, so that all under way fail.
    for (uplink, after) in [(Uplink::Refuses, 100), (Uplink::Silent, 300)] {
        running.until("it is in the middle", || results(world.analysis()) > after);
        world.tor().set_uplink(uplink);
        std::thread::sleep(Duration::from_secs(9));
        assert!(!running.has_ended());
        world.tor().set_uplink(Uplink::Up);
    }
    running.end().with(0).saying(&["be reached: pausing", "going on"]);
    let circuits = world.everybody_has_a_true_result();
    show(&format!("600 relays, uplink lost twice: {circuits:.3} circuits a verdict"));
    world.is_left_as_it_was();
    world.has_no_circuit();
}

#[test]
fn killed_at_twenty_moments_and_resumed() {
    let world = World::on_a_bad_day(2_000);
    let mut rng = StdRng::seed_from_u64(seed());
    let circuits = || world.tor().standing().expect("it runs").tally.circuits;
    let mut moments = Vec::new();
    for turn in 0..20 {
        let mut command = world.scan();
        command.arg("--build-delay=0.01");
        if world.analysis().join(shelf::run::PLAN_FILE).exists() {
            command.arg("--resume");
        }
        let before = circuits();
        let mut running = start(command);
        let moment = Duration::from_millis(rng.random_range(20..700));
        // One time in four wherever it is at the start, and otherwise among its circuits.
        if turn % 4 > 0 {
            running.until("it has begun", || circuits() > before);
        }
        std::thread::sleep(moment);
        assert!(!running.has_ended(), "there is something left to do");
        running.signal(Signal::KILL);
        running.end();
        moments.push((moment.as_millis(), results(world.analysis())));
    }
    show(&format!("killed after so many ms, with so many results: {moments:?}"));
    let mut command = world.scan();
    command.args(["--build-delay=0.003", "--resume"]);
    run(command).with(0);
    let circuits = world.everybody_has_a_true_result();
    show(&format!("2,000 relays, killed twenty times: {circuits:.3} circuits a verdict"));
    world.is_left_as_it_was();
}

#[test]
fn a_lookup_on_a_circuit_that_is_not_general_ends_a_simulated_tor_as_a_real_one() {
    let world = World::new(2, 2, 0, Noise::NONE);
    world.attach_a_lookup_to_a_controllers_circuit();
    run::until("it has ended", || world.tor().standing().is_none());
    world.tor().start_again().unwrap();
    assert_eq!(world.fault(0), Fault::Correct);
    run(world.scan()).with(0);
    world.everybody_has_a_true_result();
}
