//! The metrics, the alerts on them and Grafana's dashboard, as Prometheus' own tool reads them.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use notify::export::Beside;
use record::{Kind, Report};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// Runs it with this on its standard input: its exit code, and all that it says.
fn promtool(arguments: &[&str], input: &[u8]) -> (Option<i32>, String) {
    // Where `tools/unpack` puts it; where there is no apt-get, the machine's own.
    let unpacked = repository().join(".unpacked/promtool/usr/bin/promtool");
    let program = if unpacked.exists() { unpacked } else { "promtool".into() };
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool: {error}; `make promtool` unpacks it"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// One of the exports of a report with a relay for each kind of result.
fn export(path: &str) -> Vec<u8> {
    let report = text("crates/aggregate/tests/it/snapshots/report_of_everything.snap");
    let report = report.splitn(3, "---\n").nth(2).unwrap();
    let report: Report = Kind::Report.parse(report.as_bytes()).unwrap();
    let files = notify::export::of_report(&report, &Beside::default()).unwrap();
    files.into_iter().find(|file| file.path == path).unwrap().bytes
}

/// The names of our metrics.
fn names() -> BTreeSet<String> {
    let text = String::from_utf8(export("metrics.prom")).unwrap();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut names: BTreeSet<String> =
        types.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    // Left out where our zone was not asked, as in that report.
    names.insert("exit_validator_zone_check_ok".to_owned());
    names
}

/// The names of our metrics that a text speaks of.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("exit_validator_")).map(str::to_owned).collect()
}

#[test]
fn the_metrics_are_in_good_order() {
    let (code, said) = promtool(&["check", "metrics"], &export("metrics.prom"));
    assert_eq!((code, said.trim()), (Some(0), ""));
    // The former names are not what anybody would choose today, and frozen. With 3 it says so.
    let (code, said) = promtool(&["check", "metrics"], &export("compat/metrics.prom"));
    assert_eq!(code, Some(3), "{said}");
    for line in said.lines().filter(|line| !line.is_empty()) {
        assert!(line.contains("_count\" suffix") || line.contains("abbreviated units"), "{line}");
    }
    let (code, said) = promtool(&["check", "metrics"], b"a 1\na{x=\"1} 2\n");
    assert!(code != Some(0) && code != Some(3), "it takes anything: {said}");
}

#[test]
fn they_are_what_the_textfile_collector_asks_for() {
    for path in ["metrics.prom", "compat/metrics.prom"] {
        let text = String::from_utf8(export(path)).unwrap();
        assert!(text.ends_with('\n') && !text.contains('\r'));
        let mut seen = BTreeSet::new();
        for line in text.lines() {
            if let Some(head) = line.strip_prefix("# ") {
                let words: Vec<_> = head.splitn(3, ' ').take(2).collect();
                assert!(seen.insert(words.clone()), "{words:?} twice");
            } else {
                // A name with its labels and a value, and no timestamp.
                let value = line.rsplit(['}', ' ']).next().unwrap();
                value.parse::<f64>().unwrap();
                let name = line.split(['{', ' ']).next().unwrap();
                assert!(seen.contains(&vec!["TYPE", name]), "{line}");
                assert!(line.contains("} ") || line.split(' ').count() == 2, "{line}");
            }
        }
    }
}

#[test]
fn each_alert_fires_when_it_must_and_not_otherwise() {
    let paths = [
        "configs/prometheus/exit-validator.rules.yml",
        "configs/prometheus/exit-validator.test.yml",
    ];
    for (verb, path) in ["check", "test"].into_iter().zip(paths) {
        let (code, said) = promtool(&[verb, "rules", path], b"");
        assert_eq!(code, Some(0), "{said}");
    }
    let [rules, tests] = paths.map(text);
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.matches(alert).count() >= 2, "{alert} is not seen to fire and to be quiet");
    }
    let names = names();
    for name in named(&rules).union(&named(&tests)) {
        assert!(names.contains(name), "there is no {name}");
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&text("configs/grafana/exit-validator.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let names = names();
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap()) {
        let expression = target["expr"].as_str().unwrap();
        assert!(!named(expression).is_empty(), "{expression}");
        for name in named(expression) {
            assert!(names.contains(&name), "there is no {name}");
        }
        rules.push_str(&format!("  - record: a{}\n    expr: {expression:?}\n", rules.len()));
    }
    // As Prometheus reads each of them.
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), rules).unwrap();
    let (code, said) = promtool(&["check", "rules", file.path().to_str().unwrap()], b"");
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn the_page_tells_of_every_metric_and_of_no_other() {
    assert_eq!(named(&text("docs/formats/metrics.md")), names());
}
