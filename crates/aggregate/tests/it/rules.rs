//! The rules of `docs/formats/report.md`, as examples: a test for each, of the name that it has there.
//! What comes of an example is under `snapshots/`.

use std::fs;

use aggregate::gate::Thresholds;
use record::{Mode, Run, Shard, ZoneCheck};
use shelf::run::result_name;

use crate::example::{Options, nothing, runs};
use crate::fixture::{self, relay, scan, start_of};
use crate::view::{self, gate, inputs, previous, rejected, streaks, vantages};

/// Holds what comes of a rule's examples to the snapshot of the test's name.
macro_rules! rule {
    ($says:expr, $($text:expr),+ $(,)?) => {
        insta::with_settings!({
            description => $says,
            omit_expression => true,
            prepend_module_to_snapshot => false,
        }, {
            insta::assert_snapshot!([$($text),+].join("\n"));
        })
    };
}

// Streaks and states.

#[test]
fn first_run() {
    let report = runs(&["1 s", "2 d", "3 c", "4 e"]).report();
    rule!(
        "Without a previous report every streak begins with this run: a failing relay is `suspect`, one \
         that was not reached is `unreachable`, and one that only met faults of ours has no state yet.",
        previous(&report),
        streaks(&report),
    );
}

#[test]
fn streak_grows() {
    rule!(
        "Each kind of DNS failure adds to the streak, whatever the kind before; from the second in a \
         row on the relay is `confirmed`. `failing_since` is the first failing run.",
        streaks(&runs(&["1 sdt", "2 ssw", "3 wtd"]).report()),
    );
}

#[test]
fn success_clears() {
    rule!(
        "A success ends the streak; after a failure among the last tests the relay is `recovered`, and \
         `healthy` after five successes in a row.",
        streaks(&runs(&["1 ddd...s", "2 .sdssss", "3 sdsssss", "4 sssssss"]).report()),
    );
}

#[test]
fn circuit_fail_neither_adds_nor_clears() {
    rule!(
        "A run that did not test a relay's DNS (`circuit_fail`, `error`, `exception`) leaves its streak \
         as it was.",
        streaks(&runs(&["1 sddc", "2 sdde", "3 sddx"]).report()),
    );
}

#[test]
fn unconfirmed() {
    let report = runs(&["1 ssD", "2 ssW", "3 sss", "4 sdT"]).report();
    rule!(
        "A failure of a run that ended before a second attempt saw it (`provisional`) does not count, a \
         wrong answer included. The run is incomplete, so the gate closes.",
        streaks(&report),
        gate(&report),
    );
}

#[test]
fn absent_keeps_its_streak() {
    rule!(
        "A relay that has no result in a run waits under `absent` with its streak, and goes on with it \
         when it is back: relay 1 is back after a run, relay 2 is missing now.",
        streaks(&runs(&["1 dd.d", "2 sdd.", "3 ssss"]).report()),
    );
}

#[test]
fn back_after_weeks() {
    let example = nothing().published(&["1 ddd.", "2 dddd", "3 ssss", "4 dd.."]);
    rule!(
        "After more than 30 days without a result a relay is forgotten: its streak begins anew. Relay 2 \
         was seen 30 days ago to the second, relay 1 a run before that, and relay 4 is not seen again.",
        streaks(&example.at(123).run(&["1 d", "2 d", "3 s"]).report()),
    );
}

#[test]
fn flapping() {
    rule!(
        "Four changes of the verdict within the last twelve tests make a relay `flapping`; six tests in \
         a row that agree end it.",
        streaks(
            &runs(&["1 ......sdsds", "2 ......sdsss", "3 .sdsdsddddd", "4 sdsdsdddddd"]).report()
        ),
    );
}

#[test]
fn unreachable() {
    rule!(
        "Three runs in a row in which no circuit reached a relay make it `unreachable`; a DNS streak \
         behind that is kept.",
        streaks(&runs(&["1 ssccc", "2 ddccc", "3 ssccs", "4 sccec", "5 sddcc"]).report()),
    );
}

// The previous report.

#[test]
fn damaged_previous() {
    let damaged = include_bytes!("../../testdata/previous-damaged.json");
    let report = nothing().previous(damaged).at(1).run(&["1 s", "2 d"]).report();
    rule!(
        "A previous report that is damaged is named among the rejected files, and the report is made as \
         if it were the first.",
        previous(&report),
        rejected(&report),
        streaks(&report),
        gate(&report),
    );
}

#[test]
fn newer_previous() {
    let newer = include_bytes!("../../testdata/previous-newer.json");
    rule!(
        "A previous report of a newer version is refused: an older program must not replace what a \
         newer one published.",
        nothing().previous(newer).at(1).run(&["1 s"]).error(),
    );
}

#[test]
fn older_previous() {
    let older = include_bytes!("../../testdata/previous-before-formats.json");
    let report = nothing().previous(older).run(&["1 d", "2 s", "3 d"]).report();
    rule!(
        "A previous report without a `format` field is the one of the system before this project: the \
         last verdicts are taken over, its streaks are not, as they counted unreachable relays.",
        previous(&report),
        streaks(&report),
        gate(&report),
    );
}

#[test]
fn previous_is_later() {
    let report = nothing().published(&["1 ssss"]).at(1).run(&["1 d"]).report();
    rule!(
        "An older run, aggregated after a newer one was published, does not take the newer one's \
         streaks, and does not replace it.",
        previous(&report),
        streaks(&report),
        gate(&report),
    );
}

#[test]
fn same_run_again() {
    let rows = ["1 sdd", "2 dds", "3 s.s", "4 ..d", "5 ds."];
    let first = runs(&rows).report();
    let again = nothing().published(&rows).at(2).run(&["1 d", "2 s", "3 s", "4 d"]).report();
    assert_eq!((&again.results, &again.absent), (&first.results, &first.absent));
    rule!(
        "The previous report is of this very run (it was published already): the new one goes on from \
         what that one went on from, and nothing counts twice.",
        previous(&again),
        streaks(&again),
        gate(&again),
    );
}

#[test]
fn version_1() {
    let file = |name: &str| {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/version-1/");
        fs::read(format!("{directory}{name}")).unwrap()
    };
    let result = result_name(&relay(1));
    let example = ["plan.json", "run.json", &result]
        .iter()
        .fold(nothing().at(3).run(&["1 d"]), |example, name| {
            example.file(&format!("input/{name}"), file(name))
        });
    let report = example.previous(&file("previous.json")).report();
    rule!(
        "What the first programs of version 1 wrote is read, the fields that came later missing.",
        inputs(&report),
        previous(&report),
        streaks(&report),
    );
}

// Several inputs, and what they lack.

#[test]
fn different_settings() {
    type Change = fn(&mut Run);
    let changes: [Change; 10] = [
        |run| run.mode = Mode::Nxdomain,
        |run| run.domain = "other.example.net".to_owned(),
        |run| run.expected_ip = Some([192, 0, 2, 1].into()),
        |run| run.selection.filter = record::RelayFilter::AllExits,
        |run| run.selection.country = Some("de".to_owned()),
        |run| run.settings.query_timeout = 5.0,
        |run| run.settings.circuit_timeout = 20.0,
        |run| run.settings.max_retries = 1,
        |run| run.settings.confirm_rounds = 0,
        |run| run.shard = Shard::new(0, 3).ok(),
    ];
    let with = |change: Change| {
        let [a, b] = ["a", "b"].map(|name| scan(0, [(4, 's')]).shard(0, 2).vantage(name));
        let example = nothing().input("host-a", a).input("host-b", b);
        example.but(|scan| change(scan.run.as_mut().unwrap()))
    };
    rule!(
        "Inputs of different modes, domains, expectations, choices of relays, timeouts, tries or numbers \
         of shards are not one report: the error names both. Pace and first hop may differ.",
        changes.map(|change| with(change).error()).join("\n"),
        inputs(
            &with(|run| {
                run.settings.build_delay = 9.0;
                run.settings.first_hop = Some(relay(7));
            })
            .report()
        ),
    );
}

#[test]
fn shards_joined() {
    let all = [(1, 's'), (2, 'd'), (3, 's'), (4, 's'), (5, 's'), (6, 's'), (7, 's'), (8, 's')];
    let shard = |index| scan(0, all).shard(index, 2);
    let report = nothing().input("host-a", shard(1)).input("host-b", shard(0)).report();
    rule!(
        "Inputs that are the shards of one run are one report; each relay is in one of them.",
        inputs(&report),
        streaks(&report),
        gate(&report),
    );
}

#[test]
fn missing_shard() {
    let all = [(1, 's'), (2, 's'), (3, 's'), (4, 's'), (5, 's'), (6, 's')];
    let shard = |index| scan(0, all).shard(index, 3);
    let report = nothing().input("host-a", shard(0)).input("host-c", shard(2)).report();
    rule!("A shard that is not among the inputs closes the gate.", inputs(&report), gate(&report));
}

#[test]
fn wrong_answer_anywhere() {
    let a = ['s', 'd', 'c', 'c', 'W', 'D', 'd', 't', 'c', 'e', 's'];
    let b = ['w', 's', 'd', 's', 's', 't', 't', 'c', 'e', 'x', 's'];
    let of = |marks: [char; 11], name| scan(0, (1..).zip(marks)).vantage(name);
    let report = nothing().input("host-a", of(a, "a")).input("host-b", of(b, "b")).report();
    rule!(
        "The same relay seen from several inputs: a wrong answer anywhere is the verdict; otherwise one \
         success is enough; otherwise what is confirmed, and of that what says most of its DNS. What each \
         saw is kept, and disagreement counted.",
        vantages(&report),
    );
}

#[test]
fn incomplete_run() {
    let example = runs(&["1 sss", "2 ss-", "3 ddd"]).but(|scan| scan.run = None);
    let report = example.report();
    rule!(
        "A directory without run.json is a scan that is under way or was killed: it is aggregated as far \
         as it came, and the gate closes.",
        inputs(&report),
        streaks(&report),
        gate(&report),
    );
}

#[test]
fn rejected_files() {
    let scan = scan(0, (1..=8).map(|number| (number, 's')));
    let text = |number: usize| serde_json::to_string_pretty(&scan.results[number - 1]).unwrap();
    let path = |number: u32| format!("input/{}", result_name(&relay(number)));
    let of_another_run = fixture::scan(1, [(8, 's')]).results[0].clone();
    let example = nothing()
        .input("input", scan.clone())
        .file(&path(1), text(1).replacen('{', r#"{"added_later":[1, 2],"#, 1))
        .file(&path(2), "")
        .file(&path(3), &text(3)[..1300])
        .file(&path(4), text(4).replacen(r#""version": 1"#, r#""version": 2"#, 1))
        .file(&path(5), text(5).replacen(r#""success""#, r#""fine""#, 1))
        .file(&path(6), text(1))
        .file(&path(7), text(7).replacen(r#""latency_ms": "#, r#""latency_ms": -"#, 1))
        .file(&path(8), serde_json::to_string(&of_another_run).unwrap())
        .file(&path(9), text(1))
        .file("input/dnshealth_nonsense.json", "{}")
        .file("input/notes.txt", "none of ours");
    let report = example.report();
    rule!(
        "Every file that is ours and cannot be used is counted and named; everything else in the \
         directory is counted. Unknown fields are no reason to reject a file.",
        inputs(&report),
        rejected(&report),
        streaks(&report),
        gate(&report),
    );
}

#[test]
fn operators() {
    let scan = scan(0, (1..).zip("dddsdsdds".chars()));
    let example = nothing().input("input", scan).but(|scan| {
        let of: [(Option<&str>, &[u32]); 9] = [
            (Some("Jane <tor AT example DOT org>"), &[2]),
            (None, &[1]),
            (Some("email:tor[]example.org url:https://example.org ciissversion:2"), &[]),
            (Some("somebody else"), &[1, 2]),
            (None, &[6]),
            (None, &[5]),
            (Some("them@example.net"), &[8, 9]),
            (Some("them (at) example.net"), &[7, 9]),
            (Some("tor@example.org"), &[7, 8]),
        ];
        for (result, (contact, family)) in scan.results.iter_mut().zip(of) {
            result.relay.contact = contact.map(str::to_owned);
            result.relay.family =
                family.iter().map(|member| format!("${}", relay(*member))).collect();
        }
    });
    rule!(
        "Failing relays are grouped by operator: relays whose families name each other go by the contact \
         that most of the family has; others by their contact, written in whatever way. A relay that only \
         claims a family or another's contact cannot join two operators.",
        view::operators(&example.report()),
    );
}

#[test]
fn a_report_names_the_keys_of_families_and_nothing_else_for_one() {
    let key = |byte: &str| format!("ed25519:{}", byte.repeat(43));
    let scan = scan(0, (1..).zip("dds".chars()));
    let example = nothing().input("input", scan).but(|scan| {
        let ids =
            [vec![key("A"), key("B")], vec!["ed25519:short".to_owned(), key("<")], Vec::new()];
        for (result, ids) in scan.results.iter_mut().zip(ids) {
            result.relay.family_ids = ids;
        }
        let many = (b'a'..=b'z').map(|byte| key(&char::from(byte).to_string()));
        scan.results[2].relay.family_ids = many.collect();
    });
    let report = example.report();
    let of = |number: u32| {
        report.results.iter().find(|one| one.exit_fingerprint == relay(number)).unwrap()
    };
    assert_eq!(of(1).relay.family_ids, [key("A"), key("B")]);
    assert_eq!(of(2).relay.family_ids, [""; 0]);
    assert_eq!(of(3).relay.family_ids.len(), 16);
    let text = serde_json::to_value(of(2)).unwrap();
    assert!(text["relay"].get("family_ids").is_none());
}

// The gate.

/// Our own zone, asked and well, or not.
fn zone(error: Option<&str>) -> Option<ZoneCheck> {
    let servers = vec!["192.0.2.53:53".to_owned()];
    Some(ZoneCheck {
        ok: error.is_none(),
        answered: true,
        servers,
        error: error.map(str::to_owned),
    })
}

fn known_good(relay: u32) -> Options {
    Options { known_good: Some(relay), ..Options::default() }
}

#[test]
fn circuit_failures() {
    rule!(
        "When so many relays are not reached that the fault is more likely ours, the gate closes.",
        gate(&runs(&["1 sc", "2 ss", "3 ss"]).report()),
        gate(&runs(&["1 sc", "2 ss", "3 ss", "4 ss"]).report()),
    );
}

#[test]
fn too_few_relays() {
    let options = Options {
        thresholds: Thresholds::default(),
        now: Some(start_of(-1)),
        ..Options::default()
    };
    rule!(
        "A report of a handful of relays is not one of the network (the limit is 100 unless it is set). \
         And a run that ended in the future has a wrong clock.",
        gate(&runs(&["1 s"]).with(options).report()),
    );
}

#[test]
fn relay_count_too_far() {
    rule!(
        "A number of relays far from the previous report's closes the gate, up or down.",
        gate(&runs(&["1 ss", "2 ss", "3 s.", "4 s."]).report()),
        gate(&runs(&["1 ss", "2 ss", "3 ss", "4 .s"]).report()),
        gate(&runs(&["1 ss", "2 ss", "3 ss", "4 ss", "5 .s"]).report()),
    );
}

#[test]
fn rate_too_far() {
    rule!(
        "A DNS success rate that fell far below the previous report's closes the gate. One that rose does \
         not: successes are evidence.",
        gate(&runs(&["1 sw", "2 sd", "3 ss", "4 ds"]).report()),
        gate(&runs(&["1 ws", "2 ds", "3 ss", "4 sd"]).report()),
        gate(&runs(&["1 ss", "2 ss", "3 dd", "4 ss"]).report()),
    );
}

#[test]
fn another_question() {
    let after = |change: fn(&mut Run)| {
        let example = runs(&["1 ss"]).but(|scan| {
            let run = scan.run.as_mut().unwrap();
            change(run);
            let result = &mut scan.results[0];
            (result.mode, result.expected_ip) = (run.mode, run.expected_ip);
            result.query_domain = Some(format!("name.{}", run.domain));
        });
        gate(&example.report())
    };
    rule!(
        "Other relays than for the previous report were asked for, or with another mode, domain or \
         expected address: the gate closes.",
        after(|run| run.selection.filter = record::RelayFilter::AllExits),
        after(|run| run.selection.country = Some("de".to_owned())),
        after(|run| run.mode = Mode::Nxdomain),
        after(|run| run.domain = "other.example.net".to_owned()),
        after(|run| run.expected_ip = None),
    );
}

#[test]
fn accepted_after_three_runs() {
    let four = nothing().published(&["1 ss", "2 ss", "3 ss", "4 ss"]);
    let once = four.clone().held_back(&["1 s", "2 s"]);
    let twice = four.held_back(&["1 ss", "2 ss"]);
    rule!(
        "What is merely a change is published once three runs in a row show it: the two before this one \
         were held back for the same, and agree with it.",
        gate(&once.run(&["1 s", "2 s"]).report()),
        gate(&twice.clone().run(&["1 s", "2 s"]).report()),
        gate(&twice.run(&["1 s", "2 s", "3 s"]).report()),
    );
}

#[test]
fn known_good_failed() {
    let thresholds = Thresholds { min_relays: 1, spread_percent: 100.0, ..Thresholds::default() };
    let wrong = zone(Some("192.0.2.1 came, where 64.65.4.1 was expected"));
    let down = Options { zone_check: wrong, thresholds: thresholds.clone(), ..known_good(1) };
    let silent = ZoneCheck { answered: false, ..zone(Some("no answer within 3 s")).unwrap() };
    let alone = Options { zone_check: Some(silent), thresholds, ..known_good(1) };
    let failed = runs(&["1 d", "2 d", "3 s"]);
    rule!(
        "The exit known to be good failed and so did most others, and our zone gave a wrong answer: the \
         gate closes. `--force` opens it, and the report says so. Beside successes of most others its \
         failure is noted, and so is one that was not tested, and a zone that could not be asked.",
        gate(&failed.clone().with(down.clone()).report()),
        gate(&failed.with(Options { force: true, ..down }).report()),
        gate(&runs(&["1 d", "2 s", "3 s"]).with(alone).report()),
        gate(&runs(&["1 .", "2 s"]).with(known_good(1)).report()),
    );
}

#[test]
fn every_snapshot_is_of_a_test() {
    let tests =
        concat!(include_str!("rules.rs"), include_str!("whole.rs"), include_str!("texts.rs"));
    let snapshots = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/snapshots");
    for entry in fs::read_dir(snapshots).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(test) = name.strip_suffix(".snap") {
            let test = test.trim_start_matches("it__texts__");
            assert!(
                tests.contains(&format!("\nfn {test}() {{")),
                "{name}: delete it, no test has it"
            );
        }
    }
}
