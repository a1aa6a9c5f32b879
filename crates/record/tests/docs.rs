//! The documentation of the formats says what the code does.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;

use record::{Blame, ErrorCode, GateCode, Kind, Mode, RejectReason, State, Status};

fn formats(name: &str) -> String {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats");
    std::fs::read_to_string(dir.join(name)).unwrap()
}

#[test]
fn every_code_is_documented_in_the_same_words() {
    let page = formats("error-codes.md");
    let documented = |name: &str, meaning: &str| {
        let row = format!("| `{name}` | {meaning} |");
        assert!(page.contains(&row), "error-codes.md lacks: {row}");
    };
    Status::ALL.iter().for_each(|value| documented(value.as_str(), value.meaning()));
    ErrorCode::ALL.iter().for_each(|value| documented(value.as_str(), value.meaning()));
    Blame::ALL.iter().for_each(|value| documented(value.as_str(), value.meaning()));
    Mode::ALL.iter().for_each(|value| documented(value.as_str(), value.meaning()));
}

#[test]
fn every_value_of_a_report_is_documented() {
    let page = formats("report.md");
    let states = State::ALL.iter().map(|value| value.as_str());
    let codes = GateCode::ALL.iter().map(|value| value.as_str());
    let reasons = RejectReason::ALL.iter().map(|value| value.as_str());
    for name in states.chain(codes).chain(reasons) {
        assert!(page.contains(&format!("`{name}`")), "report.md does not tell of {name}");
    }
}

#[test]
fn readers_refuse_other_kinds_and_newer_versions_and_say_so() {
    let error =
        |text: &str| Kind::Run.parse::<record::Run>(text.as_bytes()).unwrap_err().to_string();
    let document = |name: &str, version: u32| {
        error(&format!("{{\"format\":{{\"name\":\"{name}\",\"version\":{version}}}}}"))
    };
    insta::assert_snapshot!(
        [
            document("exit-validator/plan", 1),
            document("exit-validator/run", 2),
            document("exit-validator/run", 0),
            document("exit-validator/run", 1),
            error(""),
            record::InvalidFingerprint.to_string(),
            record::InvalidShard.to_string(),
        ]
        .join("\n")
    );
}
