//! A report as the library makes it, without files.

use aggregate::gate::Thresholds;
use aggregate::history::History;
use aggregate::merge;
use aggregate::previous::{self, Base};
use aggregate::rejections::Rejections;
use aggregate::report::{self, Context, Past};
use record::Report;

use super::fixture::Scan;

/// A report of these scans after the previous one, and from a history where there is one.
pub fn report_of(scans: &[Scan], previous: Option<&[u8]>, history: Option<&History>) -> Report {
    let inputs: Vec<_> =
        scans.iter().enumerate().map(|(n, scan)| scan.input(&format!("input-{n}"))).collect();
    let ids = report::run_ids(&inputs);
    let time = report::ended(&inputs);
    let known = history
        .filter(|history| !history.is_empty_but_for(&ids).unwrap())
        .map(|history| history.look_back(&ids, time, &[], true).unwrap());
    let (base, past) = match (known, previous) {
        (Some(known), _) => {
            let (base, past) = known.into_base(None);
            (base, Some(past))
        }
        (None, Some(bytes)) => (Base::of_report(previous::parse(bytes).unwrap(), &ids, time), None),
        (None, None) => (Base::none("there is none".to_owned()), None),
    };
    let past = past.or_else(|| history.map(|_| Past::default()));
    let joined = merge::join(inputs).unwrap();
    let context = Context {
        now: time,
        thresholds: &Thresholds { min_relays: 1, ..Thresholds::default() },
        force: true,
        known_good: None,
        zone_check: None,
        files: &[],
    };
    report::build(joined, base, past.as_ref(), Rejections::default(), context)
}
