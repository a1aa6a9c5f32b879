//! The documentation of the formats says what the code does.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use record::{Blame, ErrorCode, Kind, Mode, Status};
use serde_json::Value;

fn formats(name: &str) -> String {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats");
    std::fs::read_to_string(dir.join(name)).unwrap()
}

fn schema(name: &str) -> Value {
    serde_json::from_str(&formats(&format!("{name}.schema.json"))).unwrap()
}

/// Every `enum` of strings anywhere in a schema, without its null.
fn enums(value: &Value, found: &mut BTreeSet<Vec<String>>) {
    if let Some(Value::Array(values)) = value.get("enum") {
        found.insert(values.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    }
    match value {
        Value::Object(map) => map.values().for_each(|value| enums(value, found)),
        Value::Array(values) => values.iter().for_each(|value| enums(value, found)),
        _ => {}
    }
}

#[test]
fn the_schemas_have_the_closed_lists() {
    let mut found = BTreeSet::new();
    enums(&schema("result"), &mut found);
    let list = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    for wanted in [
        list(Status::ALL.iter().map(|value| value.as_str()).collect()),
        list(ErrorCode::ALL.iter().map(|value| value.as_str()).collect()),
        list(Blame::ALL.iter().map(|value| value.as_str()).collect()),
        list(Mode::ALL.iter().map(|value| value.as_str()).collect()),
    ] {
        assert!(found.contains(&wanted), "{wanted:?} is not in result.schema.json");
    }
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
fn the_schemas_name_the_versions_that_are_written() {
    for (name, kind) in [("result", Kind::Result), ("plan", Kind::Plan), ("run", Kind::Run)] {
        let schema = schema(name);
        assert!(jsonschema::meta::is_valid(&schema));
        let format = &schema["properties"]["format"]["properties"];
        assert_eq!(format["name"]["const"], kind.name());
        assert_eq!(format["version"]["const"], kind.version());
    }
}

#[test]
fn readers_refuse_other_kinds_and_newer_versions_and_say_so() {
    let document = |name: &str, version: u32| {
        format!("{{\"format\":{{\"name\":\"{name}\",\"version\":{version}}}}}")
    };
    let error =
        |text: &str| Kind::Run.parse::<record::Run>(text.as_bytes()).unwrap_err().to_string();
    assert!(error(&document("exit-validator/plan", 1)).contains("exit-validator/plan"));
    assert!(error(&document("exit-validator/run", 2)).contains("use the newer program"));
    assert!(error(&document("exit-validator/run", 0)).contains("version 0"));
    assert!(error("").contains("not a document of this format"));
    assert!(error(&document("exit-validator/run", 1)).contains("missing field"));
}
