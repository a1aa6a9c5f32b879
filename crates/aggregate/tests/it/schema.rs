//! Checks what the programs write against the published JSON Schemas. Stricter than a reader: a
//! field that the schema does not name is an error here, so that none goes undocumented.

use std::fs;
use std::path::Path;

use record::{Blame, ErrorCode, GateCode, RejectReason, State, Status};
use serde::Serialize;
use serde_json::{Value, json};

/// Panics unless the document fits `docs/formats/<name>.schema.json`.
pub fn check<T: Serialize>(name: &str, document: &T) {
    let file = format!("../../docs/formats/{name}.schema.json");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let mut schema: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    close(&mut schema);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document = serde_json::to_value(document).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .take(5)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}

/// Every value of the closed lists is in the schema and in the text that people read.
#[test]
fn the_closed_lists_are_documented_in_full() {
    let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats");
    let text = fs::read_to_string(formats.join("report.md")).unwrap();
    let schema: Value =
        serde_json::from_slice(&fs::read(formats.join("report.schema.json")).unwrap()).unwrap();
    let names = |pointer: &str| -> Vec<String> {
        serde_json::from_value(schema.pointer(pointer).unwrap().clone()).unwrap()
    };
    let check = |pointer: &str, all: Vec<&str>| {
        assert_eq!(names(pointer), all, "{pointer}");
        for name in all {
            assert!(text.contains(&format!("`{name}`")), "report.md does not tell of {name}");
        }
    };
    check("/$defs/state/enum", State::ALL.iter().map(|value| value.as_str()).collect());
    check("/$defs/status/enum", Status::ALL.iter().map(|value| value.as_str()).collect());
    check("/$defs/gate_code/enum", GateCode::ALL.iter().map(|value| value.as_str()).collect());
    check(
        "/$defs/rejected/properties/by_reason/propertyNames/enum",
        RejectReason::ALL.iter().map(|value| value.as_str()).collect(),
    );
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|value| value.as_str()).collect();
    assert_eq!(names("/$defs/error_code/enum"), codes, "error-codes.md tells of these");
    let blames: Vec<&str> = Blame::ALL.iter().map(|value| value.as_str()).collect();
    assert_eq!(names("/$defs/blame/enum"), blames);
}

/// Forbids properties that are not named.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.contains_key("properties") && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
