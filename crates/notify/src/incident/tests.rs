use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_767_225_600;

pub(crate) fn at(run: usize) -> DateTime<Utc> {
    DateTime::from_timestamp(NOW + 6 * 3600 * i64::try_from(run).unwrap(), 0).unwrap()
}

pub(crate) fn fingerprint(number: usize) -> Fingerprint {
    format!("{number:040X}").parse().unwrap()
}

/// A relay's runs: `f` fails, `w` works, `.` not tested, `-` not there.
struct Row<'a>(&'a str, &'a str);

fn run(number: usize, rows: &[Row<'_>]) -> RunSeen {
    let mut relays = Vec::new();
    for (index, Row(operator, marks)) in rows.iter().enumerate() {
        let word = match marks.as_bytes().get(number) {
            Some(b'f') => Word::Fails,
            Some(b'w') => Word::Works,
            Some(b'.') => Word::Nothing,
            _ => continue,
        };
        relays.push(RelaySeen {
            fingerprint: fingerprint(index),
            nickname: format!("relay{index}"),
            address: [192, 0, 2, 1].into(),
            operator: (*operator).to_owned(),
            word,
            cause: (word == Word::Fails).then_some(ErrorCode::Servfail),
            weight: 10,
            network: None,
            resolver_networks: Vec::new(),
        });
    }
    let run_id = format!("run{number}");
    let (held, zone, failing_percent) = (Vec::new(), None, None);
    RunSeen { ended: at(number), run_id, held, zone, failing_percent, relays }
}

/// What happens, by run: the operator's key, and the happening's first letter.
fn played(rows: &[Row<'_>]) -> (Watch, Vec<String>) {
    let mut watch = Watch::default();
    let mut told = Vec::new();
    let runs = rows.iter().map(|Row(_, marks)| marks.len()).max().unwrap_or(0);
    for number in 0..runs {
        for change in watch.take(&run(number, rows)) {
            let key = key_of(&watch.incident(&change.incident).unwrap().subject);
            told.push(format!("{number} {key} {:?}", change.happening));
        }
    }
    (watch, told)
}

#[test]
fn what_opens_and_closes_an_incident() {
    let cases: &[(&str, &[&str])] = &[
        ("ff", &["1 a Opened"]),
        ("wfwfwf", &[]),
        // Runs that do not test it say nothing.
        ("f.-f", &["3 a Opened"]),
        ("ffw", &["1 a Opened"]),
        ("ffw.w", &["1 a Opened", "4 a Closed"]),
        ("ffww", &["1 a Opened", "3 a Closed"]),
        ("ffwfwfwww", &["1 a Opened", "7 a Closed"]),
        // What comes back within a week goes on, and ends only after a day without trouble.
        ("ffwwffwwwww", &["1 a Opened", "3 a Closed", "5 a Reopened", "10 a Closed"]),
        ("ffwwffwwffwww", &["1 a Opened", "3 a Closed", "5 a Reopened"]),
    ];
    for (marks, expected) in cases {
        assert_eq!(played(&[Row("a", marks)]).1, *expected, "{marks}");
    }
}

#[test]
fn an_operators_relays_are_one_incident_that_grows_and_shrinks() {
    let rows = [Row("a", "ffffwwww"), Row("a", "wwffffww"), Row("b", "fffffffw")];
    let (watch, told) = played(&rows);
    assert_eq!(
        told,
        ["1 b Opened", "1 a Opened", "3 a Changed", "5 a Changed", "7 a Closed"].map(str::to_owned)
    );
    let a = watch.incidents().into_iter().find(|one| key_of(&one.subject) == "a").unwrap();
    let counts: Vec<u32> = a.relays.values().map(|relay| relay.failed).collect();
    assert_eq!(counts, [4, 4]);
    assert_eq!(a.relays[&fingerprint(0)].causes[&ErrorCode::Servfail], 4);
    assert_eq!(a.since, at(0));
    assert!(!a.gone);
}

#[test]
fn sixty_relays_that_die_and_come_back_are_told_of_twice() {
    let rows: Vec<Row<'_>> = (0..60).map(|_| Row("a", "wffffffww")).collect();
    let (watch, told) = played(&rows);
    assert_eq!(told, ["2 a Opened", "8 a Closed"]);
    assert_eq!(watch.incidents()[0].relays.len(), 60);
}

#[test]
fn what_is_held_back_or_old_or_the_same_tells_nothing() {
    let rows = [Row("a", "ffff")];
    let mut watch = Watch::default();
    let held = RunSeen { held: vec![GateCode::SpreadFailures], ..run(0, &rows) };
    assert_eq!(watch.take(&held), []);
    let held = RunSeen { held: vec![GateCode::SpreadFailures], ..run(1, &rows) };
    assert_eq!(watch.take(&held), []);
    // By force.
    assert_eq!(watch.take(&run(1, &rows)), []);
    assert_eq!(watch.take(&run(1, &rows)), []);
    assert_eq!(watch.take(&run(0, &rows)), [], "an older one");
    let again = RunSeen { ended: at(5), ..run(1, &rows) };
    assert_eq!(watch.take(&again), [], "the same run, made again");
    assert_eq!(watch.take(&run(3, &rows)).len(), 1);
}

#[test]
fn relays_that_are_gone_leave_and_failures_far_apart_are_no_incident() {
    let gone = format!("ff{}", "-".repeat(60));
    let rows = [Row("a", &gone), Row("b", &"w".repeat(62))];
    let (watch, told) = played(&rows);
    assert_eq!(told, ["1 a Opened", "58 a Closed"]);
    assert!(watch.incidents()[0].gone);
    let apart = format!("f{}f", ".".repeat(30));
    assert!(played(&[Row("a", &apart)]).1.is_empty());
}

#[test]
fn an_incident_follows_its_relays_to_another_key() {
    let mut watch = Watch::default();
    for number in 0..2 {
        watch.take(&run(number, &[Row("a", "ff"), Row("a", "ff"), Row("b", "ff")]));
    }
    // Two operators become one: both incidents go on under its key, and none is new.
    let joined = [Row("c", "ffff"), Row("c", "ffff"), Row("c", "ffff"), Row("c", "ffff")];
    assert_eq!(watch.take(&run(2, &joined)), []);
    let grown = watch.take(&run(3, &joined));
    assert_eq!(grown.len(), 1);
    assert_eq!(grown[0].happening, Happening::Changed);
    let keys: Vec<String> = watch.incidents().iter().map(|one| key_of(&one.subject)).collect();
    assert_eq!(keys, ["c", "c"]);
    let most = watch.incident(&grown[0].incident).unwrap();
    assert_eq!(most.relays.len(), 3);
}

#[test]
fn many_operators_of_one_network_or_with_one_s_resolvers_are_an_incident_of_it() {
    let rows: Vec<Row<'_>> =
        vec![Row("a", "wffffww"), Row("b", "wffffww"), Row("c", "wwfffww"), Row("d", "wwwwwww")];
    let mut watch = Watch::default();
    let mut told = Vec::new();
    for number in 0..7 {
        let mut run = run(number, &rows);
        for relay in &mut run.relays {
            relay.network = Some((64500, "Example".to_owned()));
            // All but relay d of one, and that of another as well.
            let number = if relay.operator == "d" { 64502 } else { 64501 };
            relay.resolver_networks = vec![(number, "Resolvers".to_owned())];
        }
        for change in watch.take(&run) {
            let key = key_of(&watch.incident(&change.incident).unwrap().subject);
            if key.starts_with("as:") || key.starts_with("resolver:") {
                told.push(format!("{number} {key} {:?}", change.happening));
            }
        }
    }
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "3 as:64500 Opened",
            "3 resolver:64501 Opened",
            "6 as:64500 Closed",
            "6 resolver:64501 Closed"
        ]
    );
}

#[test]
fn the_zone_the_rate_and_the_silence() {
    let mut watch = Watch::default();
    let mut told = Vec::new();
    let mut take = |watch: &mut Watch, run: RunSeen| {
        for change in watch.take(&run) {
            let key = key_of(&watch.incident(&change.incident).unwrap().subject);
            told.push(format!("{} {key} {:?}", run.run_id, change.happening));
        }
    };
    for number in 0..40 {
        let noise = if number % 2 == 0 { 0.1 } else { 0.0 };
        let failing = if (30..34).contains(&number) { 9.0 } else { 1.0 + noise };
        let zone = match number {
            5 => Some(false),
            6 => None,
            7 => Some(true),
            _ => None,
        };
        let held = if number == 5 { vec![GateCode::ZoneCheck] } else { Vec::new() };
        let run = RunSeen { failing_percent: Some(failing), zone, held, ..run(number, &[]) };
        take(&mut watch, run);
    }
    assert_eq!(
        told,
        [
            "run5 zone Opened",
            "run7 zone Closed",
            "run31 failure-rate Opened",
            "run35 failure-rate Closed"
        ]
    );
    let longest = TimeDelta::hours(24);
    assert_eq!(watch.tick(at(39) + longest, longest), []);
    let silent = watch.tick(at(44), longest);
    assert_eq!(silent.len(), 1);
    assert_eq!(watch.tick(at(45), longest), [], "it is told once");
    let over = watch.take(&run(46, &[]));
    assert_eq!((over.len(), over[0].happening), (1, Happening::Closed));
}

proptest! {
    /// Whatever the runs say, and wherever the program is killed and goes on from what it had kept.
    #[test]
    fn each_incident_opens_and_closes_in_turn(
        marks in proptest::collection::vec("[fw.-]{40}", 1..6),
        operators in proptest::collection::vec(0..3_u8, 240),
        kept in proptest::collection::vec(any::<bool>(), 40),
    ) {
        let mut watch = Watch::default();
        let mut open: BTreeMap<String, bool> = BTreeMap::new();
        for number in 0..40 {
            let names: Vec<String> =
                (0..marks.len()).map(|relay| format!("op{}", operators[number * 6 + relay])).collect();
            let rows: Vec<Row<'_>> =
                names.iter().zip(&marks).map(|(name, marks)| Row(name, marks)).collect();
            let run = run(number, &rows);
            if kept[number] {
                let text = serde_json::to_string(&watch).unwrap();
                watch = serde_json::from_str(&text).unwrap();
            }
            for change in watch.take(&run) {
                let was = open.insert(change.incident.clone(), change.happening != Happening::Closed);
                match change.happening {
                    Happening::Opened => prop_assert_eq!(was, None),
                    Happening::Reopened => prop_assert_eq!(was, Some(false)),
                    Happening::Changed | Happening::Closed => prop_assert_eq!(was, Some(true)),
                }
            }
            prop_assert_eq!(watch.take(&run), []);
            // A relay is in one open incident at most, and what is open has a relay that is down.
            let mut down = BTreeSet::new();
            for incident in watch.incidents() {
                prop_assert_eq!(incident.is_open(), incident.down().next().is_some());
                for (relay, _) in incident.down() {
                    prop_assert!(down.insert(*relay));
                }
            }
            // Twice in a row is never missed.
            for (relay, marks) in marks.iter().enumerate() {
                if number > 0 && &marks[number - 1..=number] == "ff" {
                    prop_assert!(down.contains(&fingerprint(relay)));
                }
            }
        }
    }
}
