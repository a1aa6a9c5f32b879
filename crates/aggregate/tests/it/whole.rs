//! Whole reports: the rules' snapshots leave out most of what a report has. The tests of the dashboard
//! and of the Cloudflare function read these two as well.

use record::{RelayInfo, Report, ZoneCheck};

use crate::example::{Options, nothing, runs};
use crate::fixture::{Scan, scan};

/// A report as JSON, with what fits a line on one.
fn json(report: &Report) -> String {
    let pretty = serde_json::to_string_pretty(report).unwrap();
    let mut text = String::new();
    fold(&pretty.lines().collect::<Vec<_>>(), &mut text);
    text
}

fn fold(mut lines: &[&str], text: &mut String) {
    while let [first, rest @ ..] = lines {
        let indent = first.len() - first.trim_start().len();
        // A value that goes over several lines ends at the next one that is indented as the first is.
        let inside = match first.ends_with(['{', '[']) {
            true => rest.iter().position(|line| !line[indent..].starts_with(' ')).unwrap() + 1,
            false => 0,
        };
        let (inside, after) = rest.split_at(inside);
        let words: Vec<&str> = inside.iter().map(|line| line.trim()).collect();
        let whole = format!("{first} {}", words.join(" "));
        if let (true, [inside @ .., last]) = (whole.len() > 120, inside) {
            *text += &format!("{first}\n");
            fold(inside, text);
            *text += &format!("{last}\n");
        } else {
            *text += &format!("{}\n", whole.trim_end());
        }
        lines = after;
    }
}

/// Holds a report to the snapshot of the test's name.
macro_rules! whole {
    ($report:expr) => {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(json(&$report));
        })
    };
}

/// Nothing failed, and there was nothing before.
#[test]
fn report_of_a_good_first_run() {
    whole!(runs(&["1 s"]).report());
}

/// Every state, two hosts with the same half of the exits, and trouble: what a report can have, this one
/// has.
#[test]
fn report_of_everything() {
    let before =
        ["1 sssss", "2 sssss", "3 ssdss", "4 ddddd", "6 sssss", "12 ..scc", "15 sdsds", "18 sssss"];
    let shard = |relays: &[u32], marks: &str, name| {
        let marks = relays.iter().copied().zip(marks.chars());
        let mut scan = scan(5, marks).shard(0, 2).vantage(name);
        for result in &mut scan.results {
            // The first attempt has all that an attempt can have.
            result.attempt = 1;
            result.attempts.truncate(1);
        }
        scan
    };
    let of_every_kind = |scan: &mut Scan| {
        let [one, .., fourteen, _] = &mut scan.results[..] else { unreachable!() };
        one.relay.ipv6.address = Some("2001:db8::1".parse().unwrap());
        one.relay.ipv6.exit = Some(true);
        fourteen.relay = RelayInfo::default();
    };
    let servers = vec!["192.0.2.53:53".to_owned()];
    let options = Options {
        force: true,
        known_good: Some(18),
        zone_check: Some(ZoneCheck { ok: true, answered: true, servers, error: None }),
        ..Options::default()
    };
    let example = nothing()
        .published(&before)
        .input("host-a", shard(&[1, 3, 4, 6, 12, 14, 15, 18], "ssdwceD.", "a"))
        .but(of_every_kind)
        .input("host-b", shard(&[1, 4, 6], "sts", "b"))
        .file("host-b/dnshealth_nonsense.json", "{}")
        .file("host-b/notes.txt", "none of ours")
        .with(options);
    whole!(example.report());
}
