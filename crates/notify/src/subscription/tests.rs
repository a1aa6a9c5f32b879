use std::sync::LazyLock;

use proptest::prelude::*;
use record::GateCode;

use super::*;
use crate::export::tests::example;
use crate::incident::tests::{at, fingerprint};
use crate::seen::RunSeen;

const KEY: &str = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const WHO: &str = "ops@example.org";

/// A report of a run: relays of one family, which fail (`f`), work (`w`) or were not tested (`.`).
fn report(run: usize, marks: &str) -> Report {
    static EXAMPLE: LazyLock<Report> = LazyLock::new(example);
    let mut report = EXAMPLE.clone();
    report.metadata.timestamp = at(run);
    report.metadata.run_id = format!("run{run}");
    report.metadata.publish.allowed = true;
    report.metadata.publish.reasons.clear();
    let found = |status| report.results.iter().find(|one| one.status == status).unwrap().clone();
    let of = [found(Status::DnsFail), found(Status::Success), found(Status::CircuitFail)];
    report.results = marks
        .bytes()
        .enumerate()
        .filter(|(_, mark)| *mark != b'-')
        .map(|(index, mark)| {
            let mut relay = of[usize::from(mark == b'w') + 2 * usize::from(mark == b'.')].clone();
            relay.exit_fingerprint = fingerprint(index);
            relay.operator = "contact:x".to_owned();
            relay.provisional = false;
            relay.relay.flags.retain(|flag| flag != "BadExit");
            relay.relay.family_ids = vec![KEY.to_owned()];
            relay
        })
        .collect();
    report
}

fn family() -> BTreeSet<Subject> {
    BTreeSet::from([Subject::Family(KEY.to_owned())])
}

/// Somebody who has confirmed.
fn subscribed() -> Subscribers {
    let mut all = Subscribers::default();
    all.ask(WHO, family(), at(0), [[1; 16], [2; 16]]).unwrap();
    assert_eq!(all.apply(Act::Confirm, &[1; 16], at(0)), Applied::Confirmed(WHO.to_owned()));
    all
}

/// The mails that come of runs: the run, and how many relays are new, still failing, working and gone.
fn mails(all: &mut Subscribers, runs: &[&str]) -> Vec<String> {
    let mut watch = Watch::default();
    let mut mails = Vec::new();
    for (run, marks) in runs.iter().enumerate() {
        let report = report(run, marks);
        watch.take(&RunSeen::of(&report));
        all.see(&report, &format!("report{run}"));
        for due in all.due(&watch, at(run)) {
            let [new, still, works, gone] =
                [due.new.len(), due.still.len(), due.works.len(), due.gone.len()];
            mails.push(format!("{run}: {new} new, {still} still, {works} work, {gone} gone"));
        }
    }
    mails
}

#[test]
fn when_a_subscriber_is_written_to() {
    let told = |runs: &[&str]| mails(&mut subscribed(), runs);
    let none: [&str; 0] = [];
    assert_eq!(told(&["ww", "ww", "ww"]), none);
    // One failure is no incident yet.
    assert_eq!(told(&["ff", "ww", "ff", "ww"]), none);
    assert_eq!(told(&["ff", "ff", "ff"]), ["1: 2 new, 0 still, 0 work, 0 gone"]);
    // What comes back one by one is told when all of it has, and not more than once a day.
    assert_eq!(
        told(&["fff", "fff", "wff", "wff", "wwf", "wwf", "www", "www", "www"]),
        ["1: 3 new, 0 still, 0 work, 0 gone", "7: 0 new, 0 still, 3 work, 0 gone"]
    );
    // One more that fails is no news; more than twice as many are.
    let some = ["fwww", "fwww", "ffww", "ffww", "ffww", "ffww", "ffww", "ffff", "ffff"];
    assert_eq!(
        told(&some),
        ["1: 1 new, 0 still, 0 work, 0 gone", "8: 3 new, 1 still, 0 work, 0 gone"]
    );
    // Once a week, while it goes on.
    assert_eq!(
        told(&["f"; 60]),
        [
            "1: 1 new, 0 still, 0 work, 0 gone",
            "29: 0 new, 1 still, 0 work, 0 gone",
            "57: 0 new, 1 still, 0 work, 0 gone"
        ]
    );
    // Nobody can test it any more.
    let mut left = vec!["ffw", "ffw"];
    left.extend(["--w"; 60]);
    let said = told(&left);
    assert_eq!(said.last().unwrap(), "61: 0 new, 0 still, 0 work, 2 gone");
    // A relay that joins the family is its subscriber's.
    assert_eq!(told(&["w", "w", "wff", "wff"]), ["3: 2 new, 0 still, 0 work, 0 gone"]);
}

#[test]
fn what_is_held_back_or_our_own_fault_or_of_others_is_not_told() {
    let mut all = subscribed();
    let mut watch = Watch::default();
    for run in 0..6 {
        let mut report = report(run, "ff");
        match run {
            0 | 1 => report.metadata.publish.allowed = false,
            2 | 3 => report.results.iter_mut().for_each(|one| one.blame = Some(Blame::Zone)),
            _ => report.results.iter_mut().for_each(|one| one.relay.family_ids.clear()),
        }
        if run < 2 {
            let message = String::new();
            report.metadata.publish.reasons =
                vec![record::GateFinding { code: GateCode::SpreadFailures, message }];
        }
        watch.take(&RunSeen::of(&report));
        all.see(&report, "report");
        assert_eq!(all.due(&watch, at(run)), [], "{run}");
    }
}

#[test]
fn nothing_but_a_confirmation_goes_to_who_has_not_confirmed() {
    let mut all = Subscribers::default();
    let asked = all.ask(WHO, family(), at(0), [[1; 16], [2; 16]]).unwrap();
    assert_eq!(asked, Asking::Confirm { token: [1; 16], subjects: family() });
    assert_eq!(mails(&mut all, &["f", "f", "f"]), Vec::<String>::new());
    // Not asked twice on one day, whatever becomes of the first.
    let until = at(4);
    let again = |all: &mut Subscribers, run| all.ask(WHO, family(), at(run), [[3; 16], [4; 16]]);
    assert_eq!(again(&mut all, 3), Ok(Asking::TooSoon { until }));
    assert_eq!(all.apply(Act::Unsubscribe, &[2; 16], at(3)), Applied::Unsubscribed(WHO.to_owned()));
    assert_eq!(all.apply(Act::Confirm, &[1; 16], at(3)), Applied::Nothing);
    all.tick(at(3));
    assert_eq!(again(&mut all, 3), Ok(Asking::TooSoon { until }));
    all.tick(at(4));
    assert!(all.is_empty());
    assert!(matches!(again(&mut all, 4), Ok(Asking::Confirm { .. })));
    // Seven days later it is too late.
    assert_eq!(all.apply(Act::Confirm, &[3; 16], at(33)), Applied::Nothing);
    all.tick(at(33));
    assert!(all.is_empty());
}

#[test]
fn more_is_asked_for_and_confirmed_and_nothing_is_asked_twice() {
    let mut all = subscribed();
    let same = all.ask(WHO, family(), at(1), [[3; 16], [4; 16]]);
    assert_eq!(same, Ok(Asking::Subscribed));
    let more = BTreeSet::from([Subject::Relay(fingerprint(9))]);
    assert!(matches!(all.ask(WHO, more.clone(), at(1), [[5; 16]; 2]), Ok(Asking::TooSoon { .. })));
    let asked = all.ask(WHO, more.clone(), at(4), [[5; 16]; 2]).unwrap();
    let both: BTreeSet<Subject> = family().into_iter().chain(more).collect();
    assert_eq!(asked, Asking::Confirm { token: [5; 16], subjects: both.clone() });
    // Until then, what was confirmed before.
    let subjects = |all: &Subscribers| all.all().next().unwrap().1.confirmed().unwrap().1.clone();
    assert_eq!(subjects(&all), family());
    assert_eq!(all.apply(Act::Confirm, &[5; 16], at(5)), Applied::Confirmed(WHO.to_owned()));
    assert_eq!(subjects(&all), both);
    // The token of the first mail ends it still, and none is of use twice.
    assert_eq!(all.apply(Act::Confirm, &[5; 16], at(5)), Applied::Nothing);
    assert_eq!(all.apply(Act::Unsubscribe, &[2; 16], at(6)), Applied::Unsubscribed(WHO.to_owned()));
}

#[test]
fn what_can_be_subscribed_to() {
    let mut report = report(0, "ww");
    report.results[1].relay.family_ids.clear();
    report.results[1].operator = "domain:example.org".to_owned();
    let [one, two] = [fingerprint(0), fingerprint(1)];
    let said = |text: &str| match Subject::meant(text, &report) {
        Ok(subject) => format!("{text} -> {subject}"),
        Err(error) => format!("{text}: {error}"),
    };
    let texts = [
        &format!("family:{KEY}"),
        &format!("family:{one}"),
        &format!("family:{two}"),
        &format!("family:{}", fingerprint(7)),
        "family:ed25519:short",
        "domain:EXAMPLE.org",
        "domain:other.example",
        "domain:a b.org\r\n",
        &one.to_string(),
        &format!("${}", one.to_string().to_lowercase()),
        &format!("relay:{two}"),
        &fingerprint(7).to_string(),
        "contact:x@example.org",
        "nickname",
        "",
    ];
    insta::assert_snapshot!(texts.map(said).join("\n"));
    for text in [
        "x",
        "x@",
        "a b@example.org",
        "x@example.org\r\nBcc: y@example.org",
        "<x@example.org>",
        "\"x\"@example.org",
    ] {
        assert!(address(text).is_err(), "{text}");
    }
    assert_eq!(address(" Ops+tor@EXAMPLE.org ").unwrap().to_string(), "Ops+tor@example.org");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_subject_is_read_as_it_is_written(text: String) {
        if let Ok(subject) = text.parse::<Subject>() {
            prop_assert_eq!(subject.to_string().parse::<Subject>(), Ok(subject));
        }
        let _ = address(&text);
    }

    #[test]
    fn never_two_mails_a_day_and_what_is_told_to_fail_is_told_to_work(
        runs in proptest::collection::vec("[fw.]{4}", 1..80),
    ) {
        let mut all = subscribed();
        let mut watch = Watch::default();
        let (mut last, mut told) = (None, BTreeSet::new());
        for (run, marks) in runs.iter().enumerate() {
            let report = report(run, marks);
            watch.take(&RunSeen::of(&report));
            all.see(&report, "report");
            for due in all.due(&watch, at(run)) {
                prop_assert!(last.is_none_or(|last| at(run) - last >= MAIL_EVERY));
                last = Some(at(run));
                // Nothing is new twice, nothing works again that was not told, and what still fails was.
                for relay in due.new.keys() {
                    prop_assert!(told.insert(*relay));
                }
                for relay in due.still.keys() {
                    prop_assert!(told.contains(relay));
                }
                for relay in due.works.keys().chain(due.gone.keys()) {
                    prop_assert!(told.remove(relay));
                }
            }
        }
        // A week in which all is well: then nothing is open that a subscriber was told of.
        for run in runs.len()..runs.len() + 40 {
            let report = report(run, "wwww");
            watch.take(&RunSeen::of(&report));
            all.see(&report, "report");
            for due in all.due(&watch, at(run)) {
                told.retain(|relay| !due.works.contains_key(relay));
            }
        }
        prop_assert!(told.is_empty(), "{told:?}");
    }
}
