//! What holds for every report, whatever the results.

use std::collections::BTreeSet;

use aggregate::gate::Thresholds;
use aggregate::history::{Added, History, Standing};
use aggregate::merge;
use aggregate::previous::{self, Base};
use aggregate::rejections::Rejections;
use aggregate::report::{self, Context};
use proptest::prelude::*;
use record::{Report, Status};

use crate::fixture::{Scan, scan};
use crate::reported::report_of;
use crate::schema;

fn bytes(report: &Report) -> Vec<u8> {
    serde_json::to_vec(report).unwrap()
}

/// One run: what up to eight relays got.
fn marks() -> impl Strategy<Value = Vec<(u32, char)>> {
    prop::collection::btree_map(
        0_u32..8,
        prop::char::ranges("swdtcexWDTCEX".chars().map(|c| c..=c).collect::<Vec<_>>().into()),
        1..8,
    )
    .prop_map(|marks| marks.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counts_add_up_and_every_relay_is_there_once(
        runs in prop::collection::vec(marks(), 1..5),
        other in marks(),
    ) {
        let mut previous: Option<Vec<u8>> = None;
        for (number, marks) in (0..).zip(runs) {
            let scans = [scan(number, marks).vantage("a"), scan(number, other.clone()).vantage("b")];
            let report = report_of(&scans, previous.as_deref(), None);
            let meta = &report.metadata;
            prop_assert_eq!(meta.counts.total(), meta.total_relays);
            prop_assert_eq!(usize::try_from(meta.total_relays).unwrap(), report.results.len());
            let failing = meta.counts.wrong_ip + meta.counts.dns_fail + meta.counts.timeout;
            prop_assert_eq!(usize::try_from(failing).unwrap(), report.failures.len());
            prop_assert_eq!(report.failures_by_ip.values().flatten().count(), report.failures.len());
            let by_operator: usize =
                report.failures_by_operator.iter().map(|operator| operator.failing.len()).sum();
            prop_assert_eq!(by_operator, report.failures.len());
            let not_success = meta.total_relays - meta.counts.of(Status::Success);
            prop_assert_eq!(meta.error_codes.values().sum::<u32>(), not_success);
            prop_assert_eq!(meta.blames.values().sum::<u32>(), not_success);
            prop_assert_eq!(meta.tested, meta.counts.success + failing);
            let mut seen = BTreeSet::new();
            for relay in report.results.iter().map(|row| row.exit_fingerprint)
                .chain(report.absent.iter().map(|row| row.exit_fingerprint))
            {
                prop_assert!(seen.insert(relay), "{} is there twice", relay);
            }
            prop_assert!(report.results.is_sorted_by_key(|row| row.exit_fingerprint));
            schema::check("report", &report);
            previous = Some(bytes(&report));
        }
    }

    #[test]
    fn the_order_of_the_inputs_does_not_matter(
        marks in prop::collection::vec(marks(), 2..4),
        rotate in 0_usize..4,
    ) {
        let mut inputs: Vec<_> = marks
            .into_iter()
            .zip(["a", "b", "c"])
            .map(|(marks, name)| scan(3, marks).vantage(name).input(name))
            .collect();
        // The same directory twice: its results are duplicates.
        let mut again = inputs[0].clone();
        again.name = "again".to_owned();
        inputs.push(again);
        let build = |inputs: Vec<aggregate::input::Input>| {
            let time = report::ended(&inputs);
            let context = Context {
                now: time,
                thresholds: &Thresholds::default(),
                force: false,
                known_good: None,
                zone_check: None,
                held: &[],
                checks: None,
                resolvers: None,
                locations: None,
                license: None,
                publisher: None,
            };
            let joined = merge::join(inputs).unwrap();
            report::build(joined, Base::default(), None, Rejections::default(), context)
        };
        let first = build(inputs.clone());
        let count = inputs.len();
        inputs.rotate_left(rotate % count);
        prop_assert_eq!(bytes(&build(inputs)), bytes(&first));
        prop_assert!(first.metadata.rejected.total > 0);
    }

    #[test]
    fn shards_together_are_the_whole(marks in marks(), of in 1_u32..4) {
        let whole = report_of(&[scan(0, marks.clone())], None, None);
        let shards: Vec<Scan> = (0..of).map(|index| scan(0, marks.clone()).shard(index, of)).collect();
        let joined = report_of(&shards, None, None);
        prop_assert_eq!(joined.metadata.counts, whole.metadata.counts);
        prop_assert_eq!(joined.metadata.not_reached, 0);
        prop_assert!(joined.metadata.shards.unwrap().missing.is_empty());
        let relays = |report: &[record::ReportedRelay]| {
            report.iter().map(|row| (row.exit_fingerprint, row.status)).collect::<Vec<_>>()
        };
        prop_assert_eq!(relays(&joined.results), relays(&whole.results));
        let one = report_of(&shards[..1], None, None);
        let missing = one.metadata.shards.unwrap().missing;
        prop_assert_eq!(missing, (1..of).collect::<Vec<_>>());
    }

    #[test]
    fn aggregating_twice_is_the_same_as_once(runs in prop::collection::vec(marks(), 1..6)) {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::open(&dir.path().join("history.sqlite")).unwrap();
        let mut previous: Option<Vec<u8>> = None;
        for (number, marks) in (0..).zip(runs) {
            let scan = [scan(number, marks)];
            let once = report_of(&scan, previous.as_deref(), Some(&history));
            prop_assert_eq!(history.enter(&once).unwrap(), Added::New);
            history.settle(&once.metadata.run_id, Standing::Published, &[]).unwrap();
            let twice = report_of(&scan, Some(&bytes(&once)), Some(&history));
            prop_assert_eq!(bytes(&twice), bytes(&once));
            prop_assert_eq!(history.enter(&twice).unwrap(), Added::Same);
            previous = Some(bytes(&once));
        }
    }

    #[test]
    fn the_history_knows_the_streaks_as_a_chain_of_reports_does(
        runs in prop::collection::vec((marks(), 1_i32..150), 2..9),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::open(&dir.path().join("history.sqlite")).unwrap();
        let mut previous: Option<Vec<u8>> = None;
        let mut number = 0;
        let (last, runs) = runs.split_last().unwrap();
        for (marks, later) in runs {
            number += later;
            let report = report_of(&[scan(number, marks.clone())], previous.as_deref(), None);
            history.enter(&report).unwrap();
            history.settle(&report.metadata.run_id, Standing::Published, &[]).unwrap();
            previous = Some(bytes(&report));
        }
        let scan = scan(number + last.1, last.0.clone());
        let ids = [scan.plan.run_id.clone()];
        let time = report::ended(&[scan.input("x")]);
        let of_report =
            Base::of_report(previous::parse(&previous.unwrap()).unwrap(), &ids, time);
        let of_history = history.look_back(&ids, time, &[], false).unwrap();
        let (of_history, _) = of_history.into_base(None);
        let streaks = |base: &Base| {
            base.relays
                .iter()
                .map(|(relay, known)| (*relay, known.streak, known.recent.clone(), known.last_seen))
                .collect::<Vec<_>>()
        };
        prop_assert_eq!(streaks(&of_history), streaks(&of_report));
        prop_assert_eq!(of_history.previous.report, of_report.previous.report);
    }

    #[test]
    fn a_previous_report_of_any_bytes_is_no_panic(bytes: Vec<u8>, text in "\\{.{0,200}\\}") {
        let _ = previous::parse(&bytes);
        let _ = previous::parse(text.as_bytes());
    }

    #[test]
    fn half_a_report_is_damaged(part in 0.0..0.999_f64) {
        let whole = bytes(&report_of(&[scan(0, [(1, 's'), (2, 'd')])], None, None));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a part of a small number")]
        let length = (whole.len() as f64 * part) as usize;
        prop_assert!(previous::parse(&whole[..length]).is_err());
    }
}
