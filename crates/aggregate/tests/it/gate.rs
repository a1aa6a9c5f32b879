//! The gate's rules (`docs/gate.md`) as a table of what can happen, on a network of 120 exits that is
//! played through the history, as the job does; and a year of it.

use std::collections::BTreeSet;

use aggregate::gate::{self, HeldRun, Thresholds};
use aggregate::history::{History, Terms};
use aggregate::location::Locations;
use aggregate::merge;
use aggregate::previous::Base;
use aggregate::reconcile;
use aggregate::rejections::Rejections;
use aggregate::report::{self, Context, Past};
use record::{LocationSource, RelayLocation, Report, ZoneCheck};

use crate::fixture::{Scan, relay, scan, start_of};
use crate::schema;

/// How many exits there are.
const EXITS: u32 = 120;

/// What a run finds of a relay: the mark of `recent`, of the run's number (the first is 0) and the
/// relay's; a `.` where the relay is not in the consensus.
type Found = fn(u32, u32) -> char;

const WELL: Found = |_, _| 's';

// Who is where. A quarter of the exits is one operator's, in many networks; the others have three
// each. One network has the exits of four operators. The countries are mixed.

const fn of_the_big_operator(exit: u32) -> bool {
    exit < 30
}

const fn in_the_network(exit: u32) -> bool {
    exit >= 30 && exit < 42
}

const fn in_germany(exit: u32) -> bool {
    exit % 10 < 3
}

const fn in_america(exit: u32) -> bool {
    matches!(exit % 10, 3 | 4)
}

/// So many percent of the exits, here and there: over all operators, networks and countries.
const fn here_and_there(exit: u32, percent: u32) -> bool {
    exit * 37 % EXITS * 100 < percent * EXITS
}

const fn broken(broken: bool) -> char {
    if broken { 'd' } else { 's' }
}

/// A scan of this world.
fn world(run: i32, marks: impl Iterator<Item = (u32, char)>) -> Scan {
    let mut scan = scan(run, marks);
    for result in &mut scan.results {
        let exit: u32 = result.exit_nickname.trim_start_matches("relay").parse().unwrap();
        let operator = if of_the_big_operator(exit) { 0 } else { exit / 3 };
        result.relay.contact = Some(format!("tor@operator{operator}.example"));
        result.relay.family.clear();
        let network = if in_the_network(exit) { 7 } else { 100 + exit / 2 };
        let [.., high, low] = network.to_be_bytes();
        let [own, ..] = exit.to_le_bytes();
        result.exit_address = [10 + high, low, own, 1].into();
        let country = match exit % 10 {
            _ if in_germany(exit) => "de",
            _ if in_america(exit) => "us",
            5 => "fr",
            6 => "nl",
            7 => "se",
            8 => "ro",
            _ => "ch",
        };
        result.relay.country = Some(country.to_owned());
    }
    scan
}

/// A quarter of the exits, of all operators and in all networks of 16 bits, are in one autonomous system.
const fn in_the_system(exit: u32) -> bool {
    exit % 4 == 1
}

/// What a location database says of this world.
fn locations(scan: &Scan) -> Locations {
    let of = scan.results.iter().map(|result| {
        let exit: u32 = result.exit_nickname.trim_start_matches("relay").parse().unwrap();
        let number = if in_the_system(exit) { 64496 } else { 64500 + exit };
        let name = Some(format!("Networks {number}"));
        let location = RelayLocation { as_number: Some(number), as_name: name, country: None };
        (result.exit_address, location)
    });
    let date = start_of(0);
    let source = LocationSource { attribution: "somebody".to_owned(), date, old: false };
    Locations { source, of: of.collect() }
}

/// A host that scans this world.
struct Host {
    history: History,
    _directory: tempfile::TempDir,
    run: i32,
    limits: Thresholds,
    known_good: Option<u32>,
    zone_check: Option<ZoneCheck>,
    locations: bool,
    force: bool,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let history = History::open(&directory.path().join("history.sqlite")).unwrap();
        Self {
            history,
            _directory: directory,
            run: 0,
            limits: Thresholds::default(),
            known_good: None,
            zone_check: None,
            locations: false,
            force: false,
        }
    }

    /// The next run, which finds this: its report, entered and settled as the job does.
    fn report(&mut self, scan: &Scan) -> Report {
        let locations = self.locations.then(|| locations(scan));
        let inputs = vec![scan.input("input")];
        let (ids, time) = (report::run_ids(&inputs), report::ended(&inputs));
        let joined = merge::join(inputs).unwrap();
        let terms = Terms::of_run(&joined.facts);
        let held = self.history.held_before(time, &ids, &terms).unwrap();
        let build = |accepted: &[String]| {
            let (base, past) = if self.history.is_empty_but_for(&ids).unwrap() {
                (Base::none("there is none".to_owned()), Past::default())
            } else {
                self.history.look_back(&ids, time, accepted, true).unwrap().into_base(None)
            };
            let context = Context {
                now: time,
                thresholds: &self.limits,
                force: self.force,
                known_good: self.known_good.map(relay),
                zone_check: self.zone_check.clone(),
                held: &held,
                checks: None,
                resolvers: None,
                locations: locations.as_ref(),
                license: None,
                publisher: None,
            };
            report::build(joined.clone(), base, Some(&past), Rejections::default(), context)
        };
        let mut report = build(&[]);
        let accepted = gate::confirmed(&report.metadata, &held, &self.limits);
        if !accepted.is_empty() {
            let before = report.metadata.previous.clone();
            report = build(&accepted);
            report.metadata.previous = before;
        }
        self.history.enter(&report).unwrap();
        let standing = reconcile::standing_of(&report);
        self.history.settle(&report.metadata.run_id, standing, &accepted).unwrap();
        report
    }

    /// So many runs that find this, one after the other; what the gate said of each.
    fn play(&mut self, (runs, exits, found): Step, change: fn(i32, &mut Scan)) -> Vec<Report> {
        let reports = (0..runs).map(|number| {
            let mut scan = world(self.run, (0..exits).map(|exit| (exit, found(number, exit))));
            change(self.run, &mut scan);
            self.run += 1;
            self.report(&scan)
        });
        reports.collect()
    }
}

/// So many runs of so many exits, that find this.
type Step = (u32, u32, Found);

/// What the gate said of a run: the codes that closed it, or that it is open, and why in spite of
/// failures.
fn said(report: &Report) -> String {
    let publish = &report.metadata.publish;
    let codes = |findings: &[record::GateFinding]| {
        let codes: BTreeSet<_> = findings.iter().map(|found| found.code.as_str()).collect();
        codes.into_iter().collect::<Vec<_>>().join("+")
    };
    match (publish.allowed, publish.notes.is_empty()) {
        (false, _) => codes(&publish.reasons),
        (true, true) => "open".to_owned(),
        (true, false) => format!("open ({})", codes(&publish.notes)),
    }
}

/// The same of runs after each other, those alike together.
fn all_said(reports: &[Report]) -> String {
    let mut all: Vec<(String, u32)> = Vec::new();
    for report in reports {
        let said = said(report);
        match all.last_mut() {
            Some((last, times)) if *last == said => *times += 1,
            _ => all.push((said, 1)),
        }
    }
    let all: Vec<String> = all.iter().map(|(said, times)| format!("{said} x{times}")).collect();
    all.join(", ")
}

/// What can happen, and what the gate is to say.
struct Case {
    what: &'static str,
    steps: &'static [Step],
    says: &'static str,
    with: fn(&mut Host),
    change: fn(i32, &mut Scan),
}

const fn case(what: &'static str, steps: &'static [Step], says: &'static str) -> Case {
    Case { what, steps, says, with: |_| {}, change: |_, _| {} }
}

/// Two good runs.
const GOOD: Step = (2, EXITS, WELL);

/// The whole table: faults of ours are held back for as long as they last, also as the first report
/// ever; what breaks at others is out with the next run.
const CASES: &[Case] = &[
    // Ours.
    case(
        "the zone is half no such name, half a failure",
        &[GOOD, (12, EXITS, |_, exit| if exit % 2 == 0 { 'd' } else { 't' }), GOOD],
        "open x2, success_floor x12, open x2",
    ),
    case(
        "the same, as the first report ever",
        &[(12, EXITS, |_, exit| if exit % 2 == 0 { 'd' } else { 't' })],
        "success_floor x12",
    ),
    case(
        "the zone is parked with somebody's address",
        &[GOOD, (12, EXITS, |_, _| 'w')],
        "open x2, success_floor x12",
    ),
    case(
        "our tor maps every name to an address, from the first report on",
        &[(12, EXITS, |_, _| 'w')],
        "success_floor x12",
    ),
    case("nobody answers", &[GOOD, (12, EXITS, |_, _| 't')], "open x2, success_floor x12"),
    case(
        "half of the zone's servers are down: a bit less than half fails",
        &[GOOD, (12, EXITS, |_, exit| broken(here_and_there(exit, 45)))],
        "open x2, spread_failures x12",
    ),
    case(
        "the same, as the first report ever",
        &[(12, EXITS, |_, exit| broken(here_and_there(exit, 45)))],
        "spread_failures x12",
    ),
    case(
        "a third of the lookups is lost, others in every run",
        &[GOOD, (12, EXITS, |run, exit| broken(here_and_there(exit * 7 + run * 11, 33)))],
        "open x2, spread_failures x12",
    ),
    case(
        "an eighth fails, of all operators and in many ways",
        &[
            GOOD,
            (12, EXITS, |run, exit| match here_and_there(exit, 13) {
                true => ['d', 't', 'w'][(exit + run) as usize % 3],
                false => 's',
            }),
        ],
        "open x2, spread_failures x12",
    ),
    case(
        "the zone goes under slowly: 2 % more in every run",
        &[(12, EXITS, |run, exit| broken(here_and_there(exit, 2 * run)))],
        "open x6, spread_failures x6",
    ),
    case(
        "a fault of ours beside an outage of theirs",
        &[
            GOOD,
            (6, EXITS, |_, exit| broken(of_the_big_operator(exit) || here_and_there(exit, 20))),
        ],
        "open x2, spread_failures x6",
    ),
    case(
        "two countries at once: rather a part of our zone",
        &[GOOD, (6, EXITS, |_, exit| broken(in_germany(exit) || exit % 10 == 3))],
        "open x2, spread_failures x6",
    ),
    case(
        "more than half of the exits are one operator's or another's, and fail",
        &[GOOD, (6, EXITS, |_, exit| broken(exit < 72))],
        "open x2, success_floor x6",
    ),
    case(
        "a fault of ours comes and goes",
        &[
            GOOD,
            (1, EXITS, |_, exit| broken(here_and_there(exit, 30))),
            (1, EXITS, WELL),
            (2, EXITS, |_, exit| broken(here_and_there(exit, 30))),
            (1, EXITS, WELL),
        ],
        "open x2, spread_failures x1, open x1, spread_failures x2, open x1",
    ),
    // Theirs.
    case(
        "one operator with a quarter of the exits fails in one way, and mends it",
        &[GOOD, (8, EXITS, |_, exit| broken(of_the_big_operator(exit))), GOOD],
        "open x2, open (failing_place) x8, open x2",
    ),
    case(
        "the same, as the first report ever",
        &[(4, EXITS, |_, exit| broken(of_the_big_operator(exit)))],
        "open (failing_place) x4",
    ),
    case(
        "half of that operator's exits fail",
        &[GOOD, (4, EXITS, |_, exit| broken(exit < 15))],
        "open x2, open (failing_place) x4",
    ),
    case(
        "a network with the exits of four operators fails",
        &[GOOD, (4, EXITS, |_, exit| broken(in_the_network(exit)))],
        "open x2, open (failing_place) x1, open x3",
    ),
    case(
        "a country fails",
        &[GOOD, (4, EXITS, |_, exit| broken(in_germany(exit)))],
        "open x2, open (failing_place) x4",
    ),
    case(
        "the operator and the network at once",
        &[GOOD, (4, EXITS, |_, exit| broken(of_the_big_operator(exit) || in_the_network(exit)))],
        "open x2, open (failing_place) x4",
    ),
    case(
        "outages of three operators of different sizes at once, among the usual failures",
        &[
            GOOD,
            (4, EXITS, |_, exit| {
                broken(of_the_big_operator(exit) || exit / 6 == 8 || here_and_there(exit, 2))
            }),
        ],
        "open x2, open (failing_place) x4",
    ),
    case(
        "the operator fails in every second run",
        &[GOOD, (6, EXITS, |run, exit| broken(run % 2 == 0 && of_the_big_operator(exit)))],
        "open x2, open (failing_place) x1, open x1, open (failing_place) x1, open x1, \
         open (failing_place) x1, open x1",
    ),
    case(
        "the usual few fail, others in every run",
        &[(12, EXITS, |run, exit| broken(here_and_there(exit + run * 5, 3)))],
        "open x12",
    ),
    // Changes.
    case(
        "a fourteenth fails, where nothing did before",
        &[GOOD, (6, EXITS, |_, exit| broken(here_and_there(exit, 7)))],
        "open x2, dns_success_rate x2, open (dns_success_rate) x1, open x3",
    ),
    case(
        "a third of the exits leaves for good",
        &[(2, 200, WELL), (4, 130, WELL)],
        "open x2, relay_count x2, open (relay_count) x1, open x1",
    ),
    case(
        "twice as many exits as before: for three runs",
        &[GOOD, (4, 2 * EXITS, WELL)],
        "open x2, relay_count x2, open (relay_count) x1, open x1",
    ),
    case(
        "twice as many exits once, and never again",
        &[GOOD, (1, 2 * EXITS, WELL), GOOD],
        "open x2, relay_count x1, open x2",
    ),
    case(
        "another number in every run",
        &[GOOD, (1, 150, WELL), (1, 200, WELL), (1, 150, WELL), (1, 200, WELL), (3, 201, WELL)],
        "open x2, relay_count x5, open (relay_count) x1, open x1",
    ),
    case(
        "of 150 relays 40 are left, and none succeeds",
        &[(2, 150, WELL), (6, 40, |_, _| 'd')],
        "open x2, relay_count+success_floor+too_few_relays x6",
    ),
    // Defects.
    case(
        "a quarter of the exits is not reached, here and there",
        &[GOOD, (4, EXITS, |_, exit| if here_and_there(exit, 30) { 'c' } else { 's' })],
        "open x2, circuit_failures x4",
    ),
    case(
        "a country is not reached",
        &[GOOD, (4, EXITS, |_, exit| if in_germany(exit) { 'c' } else { 's' })],
        "open x2, open (failing_place) x4",
    ),
    case(
        "no exit is reached",
        &[GOOD, (4, EXITS, |_, _| 'c')],
        "open x2, circuit_failures+success_floor x4",
    ),
    case(
        "our own tor fails for a tenth",
        &[GOOD, (4, EXITS, |_, exit| if here_and_there(exit, 10) { 'e' } else { 's' })],
        "open x2, scanner_faults x4",
    ),
];

fn check(case: &Case) -> Option<String> {
    let mut host = Host::new();
    (case.with)(&mut host);
    let reports: Vec<Report> =
        case.steps.iter().flat_map(|step| host.play(*step, case.change)).collect();
    let all = all_said(&reports);
    (all != case.says).then(|| format!("{}:\n  {all}\n  and not {}", case.what, case.says))
}

#[test]
fn the_table_of_the_gate() {
    let wrong: Vec<String> = CASES.iter().filter_map(check).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The zone, asked directly: well, or with a wrong answer, or not to be asked.
fn zone(ok: bool, answered: bool) -> Option<ZoneCheck> {
    let error = (!ok).then(|| "the name does not exist".to_owned());
    Some(ZoneCheck { ok, answered, servers: vec!["192.0.2.53:53".to_owned()], error })
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn witnesses_and_other_questions() {
    let steps: &'static [Step] = &[GOOD, (4, EXITS, |_, exit| broken(here_and_there(exit, 30)))];
    let system: &'static [Step] = &[GOOD, (4, EXITS, |_, exit| broken(in_the_system(exit)))];
    let operator: &'static [Step] =
        &[GOOD, (4, EXITS, |_, exit| broken(of_the_big_operator(exit)))];
    let cases = [
        Case {
            with: |host| host.zone_check = zone(true, true),
            ..case("our zone answers well, and a third fails", steps, "open x2, spread_failures x4")
        },
        Case {
            with: |host| host.known_good = Some(1),
            ..case(
                "the exit known to be good works meanwhile",
                steps,
                "open x2, spread_failures x4",
            )
        },
        Case {
            with: |host| host.zone_check = zone(false, false),
            ..case("our zone cannot be asked", &[GOOD], "open (zone_check) x2")
        },
        Case {
            with: |host| host.zone_check = zone(false, true),
            ..case("our zone gives a wrong answer", &[GOOD, GOOD], "zone_check x4")
        },
        Case {
            with: |host| host.known_good = Some(1),
            ..case(
                "the exit known to be good is the operator's that fails",
                operator,
                "open x2, open (failing_place+known_good) x4",
            )
        },
        Case {
            with: |host| host.known_good = Some(1),
            ..case(
                "the exit known to be good fails, as do all",
                &[(4, EXITS, |_, _| 'd')],
                "known_good+success_floor x4",
            )
        },
        Case {
            with: |host| host.locations = true,
            ..case(
                "an autonomous system fails, and it is known which exits are in it",
                system,
                "open x2, open (failing_place) x4",
            )
        },
        case("the same, where that is not known", system, "open x2, spread_failures x4"),
        Case {
            with: |host| host.limits.accept_after = 0,
            ..case("no change is ever accepted", &[GOOD, (6, 160, WELL)], "open x2, relay_count x6")
        },
        Case {
            with: |host| host.limits.spread_percent = 40.0,
            ..case(
                "an operator of this program knows that it is so",
                steps,
                "open x2, dns_success_rate x2, open (dns_success_rate) x1, open x1",
            )
        },
        Case {
            change: |run, scan| {
                if run >= 2 {
                    let domain = "other.example.net";
                    scan.run.as_mut().unwrap().domain = domain.to_owned();
                    scan.plan.domain = domain.to_owned();
                }
            },
            ..case(
                "another zone is asked for",
                &[GOOD, (5, EXITS, WELL)],
                "open x2, settings_changed x2, open (settings_changed) x1, open x2",
            )
        },
        Case {
            change: |run, scan| {
                if run == 3 {
                    let run = scan.run.as_mut().unwrap();
                    (run.complete, run.incomplete_reason) = (false, Some("SIGTERM".to_owned()));
                }
            },
            ..case(
                "a change, and one of the runs that show it was cut short: that says nothing of it",
                &[GOOD, (5, 160, WELL)],
                "open x2, relay_count x1, incomplete_run+relay_count x1, relay_count x1, \
                 open (relay_count) x1, open x1",
            )
        },
    ];
    let wrong: Vec<String> = cases.iter().filter_map(check).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A relay's streak, of a report.
fn streak(report: &Report, exit: u32) -> u32 {
    let row = report.results.iter().find(|row| row.exit_fingerprint == relay(exit));
    row.unwrap().consecutive_failures
}

#[test]
fn a_report_tells_whose_networks_the_exits_are_in() {
    let mut host = Host::new();
    host.locations = true;
    let [report] =
        host.play((1, EXITS, |_, exit| broken(in_the_system(exit))), |_, _| {}).try_into().unwrap();
    schema::check("report", &report);
    let row = |exit| report.results.iter().find(|row| row.exit_fingerprint == relay(exit)).unwrap();
    let told = row(5).location.as_ref().unwrap();
    assert_eq!((told.as_number, told.as_name.as_deref()), (Some(64496), Some("Networks 64496")));
    assert_eq!(report.metadata.locations.as_ref().unwrap().date, start_of(0));
    let note = &report.metadata.publish.notes[0].message;
    assert_eq!(
        note,
        "30 of 30 in AS64496 (Networks 64496) fail, and 0 of 90 elsewhere: theirs, as the others show"
    );
}

#[test]
fn an_outage_that_is_published_at_once_has_its_whole_streak() {
    let mut host = Host::new();
    let outage: Step = (12, EXITS, |_, exit| broken(of_the_big_operator(exit)));
    let reports = [host.play(GOOD, |_, _| {}), host.play(outage, |_, _| {})].concat();
    assert!(reports.iter().all(|report| report.metadata.publish.allowed));
    assert_eq!(streak(reports.last().unwrap(), 1), 12);
}

#[test]
fn what_an_operator_forces_was_right_from_its_beginning() {
    let mut host = Host::new();
    host.play(GOOD, |_, _| {});
    let most: Step = (11, EXITS, |_, exit| broken(exit < 72));
    assert_eq!(all_said(&host.play(most, |_, _| {})), "success_floor x11");
    host.force = true;
    let forced = host.play((1, EXITS, |_, exit| broken(exit < 72)), |_, _| {});
    assert!(forced[0].metadata.publish.forced);
    assert_eq!(streak(&forced[0], 1), 12, "held eleven times, and right each time");
    // A fault of ours before it, of which the forced run shows nothing, stays held.
    let mut host = Host::new();
    host.play(GOOD, |_, _| {});
    host.play((3, EXITS, |_, _| 'd'), |_, _| {});
    host.force = true;
    let forced = host.play((1, EXITS, |_, exit| broken(exit < 72)), |_, _| {});
    assert_eq!((streak(&forced[0], 1), streak(&forced[0], 100)), (1, 0));
}

#[test]
fn of_the_runs_held_before_a_change_only_those_that_show_it_count() {
    let mut host = Host::new();
    host.play(GOOD, |_, _| {});
    // Another change first, in which one exit fails that works later.
    host.play((1, 200, |_, exit| broken(exit == 1)), |_, _| {});
    let reports = host.play((3, 150, |_, exit| broken(exit == 2)), |_, _| {});
    assert_eq!(all_said(&reports), "relay_count x2, open (relay_count) x1");
    let row = |exit| {
        let row = reports[2].results.iter().find(|row| row.exit_fingerprint == relay(exit));
        row.unwrap().recent.clone()
    };
    assert_eq!(row(1), "sssss", "the first of them showed something else, and does not count");
    assert_eq!(row(2), "ssddd");
}

/// Months of a network in which operators, networks and countries break and mend, and so do we: the
/// gate alone, with the runs before it in memory. Every run with a fault of ours is held back, and every
/// other one is out at once.
#[test]
#[expect(clippy::too_many_lines, reason = "one world, from beginning to end")]
fn months_of_outages_and_faults_of_ours() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 20) % below
    };
    let limits = Thresholds::default();
    let (mut previous, mut held) = (Base::none(String::new()).previous, Vec::new());
    // Of us: so many percent fail, for so many runs yet. Of them: which, for so many runs yet.
    let (mut ours, mut theirs) = ((0, 0), (0_u64, 0));
    let (mut faults, mut outages, mut both) = (0, 0, 0);
    for run in 0..300 {
        if ours.1 == 0 && draw(15) == 0 {
            ours = (25 + draw(76), 1 + draw(12));
        }
        if theirs.1 == 0 && draw(8) == 0 {
            theirs = (1 + draw(3), 1 + draw(20));
        }
        let fails = |exit: u32, draw: &mut dyn FnMut(u64) -> u64| {
            let place = match theirs {
                (_, 0) => false,
                (1, _) => of_the_big_operator(exit),
                (2, _) => in_the_network(exit),
                _ => in_germany(exit),
            };
            place || draw(200) == 0 || (ours.1 > 0 && draw(100) < ours.0)
        };
        let marks: Vec<_> = (0..EXITS).map(|exit| (exit, broken(fails(exit, &mut draw)))).collect();
        let inputs = vec![world(run, marks.into_iter()).input("input")];
        let time = report::ended(&inputs);
        let base = Base { previous: previous.clone(), ..Base::default() };
        let context = Context {
            now: time,
            thresholds: &limits,
            force: false,
            known_good: None,
            zone_check: None,
            held: &held,
            checks: None,
            resolvers: None,
            locations: None,
            license: None,
            publisher: None,
        };
        let joined = merge::join(inputs).unwrap();
        let metadata = report::build(joined, base, None, Rejections::default(), context).metadata;
        let open = metadata.publish.allowed;
        let said = &metadata.publish;
        assert_eq!(open, ours.1 == 0, "run {run}, {ours:?}, {theirs:?}: {said:?}");
        faults += i32::from(ours.1 > 0);
        outages += i32::from(theirs.1 > 0);
        both += i32::from(ours.1 > 0 && theirs.1 > 0);
        if open {
            previous.report = Some(record::PreviousReport {
                run_id: Some(metadata.run_id),
                timestamp: metadata.timestamp,
                total_relays: metadata.total_relays,
                dns_success_rate_percent: metadata.dns_success_rate_percent,
                mode: Some(metadata.mode),
                domain: Some(metadata.domain),
                expected_ip: metadata.expected_ip,
                selection: Some(metadata.selection),
            });
            held.clear();
        } else {
            held.insert(
                0,
                HeldRun {
                    run_id: metadata.run_id.clone(),
                    timestamp: metadata.timestamp,
                    total_relays: metadata.total_relays,
                    dns_success_rate_percent: metadata.dns_success_rate_percent,
                    reasons: metadata.publish.reasons.iter().map(|found| found.code).collect(),
                    counts: false,
                },
            );
        }
        ours.1 = ours.1.saturating_sub(1);
        theirs.1 = theirs.1.saturating_sub(1);
    }
    assert!(faults > 30 && outages > 100 && both > 10, "{faults}, {outages}, {both}");
}
