//! Checks what the programs write against the published JSON Schemas: patterns, ranges and lengths,
//! which the types alone do not hold it to.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// Panics unless the document fits `docs/formats/<name>.schema.json`.
pub fn check<T: Serialize>(name: &str, document: &T) {
    let file = format!("../../docs/formats/{name}.schema.json");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let schema = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document = serde_json::to_value(document).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .take(5)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}
