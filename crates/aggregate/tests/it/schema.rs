//! Checks what the programs write against the published JSON Schemas. Stricter than a reader: a
//! field that the schema does not name is an error here, so that none goes undocumented.

use std::fs;
use std::path::Path;

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
