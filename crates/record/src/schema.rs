//! The JSON Schemas of the formats, as the types give them: what `docs/formats/` holds.
//!
//! They describe what is written, as it may have been by the first version of a format: a field
//! that came later and has a default may be missing. A reader is allowed more, for instance unknown
//! fields.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, RestrictFormats, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::report::{ABSENT_MARK, RECENT_RUNS, recent_mark};
use crate::{
    Badges, CompatReport, Figures, Files, Incidents, Kind, OnionooDns, Plan, RelayResult, Report,
    Run, Status, Trends,
};

/// The schema of each format, beside the name of its file.
#[must_use]
pub fn all() -> [(&'static str, Schema); 11] {
    [
        ("result.schema.json", of::<RelayResult>(Kind::Result, "One relay's result")),
        ("plan.schema.json", of::<Plan>(Kind::Plan, "What a scan set out to do")),
        ("run.schema.json", of::<Run>(Kind::Run, "What became of a scan")),
        ("report.schema.json", of::<Report>(Kind::Report, "A report")),
        ("figures.schema.json", of::<Figures>(Kind::Figures, "The figures of the latest report")),
        ("trends.schema.json", of::<Trends>(Kind::Trends, "The runs so far")),
        ("files.schema.json", of::<Files>(Kind::Files, "What can be fetched")),
        ("incidents.schema.json", of::<Incidents>(Kind::Incidents, "What fails together")),
        ("onionoo-dns.schema.json", of::<OnionooDns>(Kind::OnionooDns, "Verdicts by fingerprint")),
        ("badges.schema.json", of::<Badges>(Kind::Badges, "What badges say")),
        (
            "compat-report.schema.json",
            of::<CompatReport>(Kind::CompatReport, "A report as the former system had it"),
        ),
    ]
}

fn of<T: JsonSchema>(kind: Kind, title: &str) -> Schema {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    if let Some(format) = schema.pointer_mut("/properties/format/properties") {
        format["name"]["const"] = kind.name().into();
        format["version"]["const"] = kind.version().into();
    }
    RecursiveTransform(addresses).transform(&mut schema);
    RestrictFormats::default().transform(&mut schema);
    RecursiveTransform(with_a_default_is_optional).transform(&mut schema);
    RecursiveTransform(unwrap_lines).transform(&mut schema);
    schema
}

/// An IP address. JSON Schema has a format for either family and none for both, and many validators
/// take formats for mere remarks.
fn addresses(schema: &mut Schema) {
    if schema.get("format").and_then(Value::as_str) == Some("ip") {
        schema.remove("format");
        schema.insert("pattern".to_owned(), "^[0-9a-fA-F:.]+$".into());
        schema.insert("anyOf".to_owned(), json!([{ "format": "ipv4" }, { "format": "ipv6" }]));
    }
}

/// Fields that have a default came into a format after its first files were written.
fn with_a_default_is_optional(schema: &mut Schema) {
    let has_default = |schema: &Schema, name: &Value| {
        let field = name.as_str().and_then(|name| schema.get("properties")?.get(name));
        field.is_some_and(|field| field.get("default").is_some())
    };
    if let Some(Value::Array(mut required)) = schema.remove("required") {
        required.retain(|name| !has_default(schema, name));
        schema.insert("required".to_owned(), required.into());
    }
}

/// Doc comments are broken into lines for the source; a description is one line a paragraph.
fn unwrap_lines(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let paragraphs = text.split("\n\n");
        let paragraphs =
            paragraphs.map(|lines| lines.split_whitespace().collect::<Vec<_>>().join(" "));
        *text = paragraphs.collect::<Vec<_>>().join("\n\n");
    }
}

/// What only holds for a result as a whole: a success has no error, and anything else has one.
pub(crate) fn only_a_success_has_no_error(schema: &mut Schema) {
    let all = |kind: &str| {
        let kind = json!({ "type": kind });
        json!({ "properties": { "error_code": kind, "blame": kind, "error": kind } })
    };
    let success = json!({ "properties": { "status": { "const": Status::Success } } });
    schema.insert("if".to_owned(), success);
    schema.insert("then".to_owned(), all("null"));
    schema.insert("else".to_owned(), all("string"));
}

/// The statuses that count against a relay's DNS.
pub(crate) fn failing_status(_: &mut SchemaGenerator) -> Schema {
    let failing = Status::ALL.iter().filter(|status| status.counts_against_dns());
    json_schema!({ "type": "string", "enum": failing.collect::<Vec<_>>() })
}

/// A relay's runs, a character each.
pub(crate) fn recent(_: &mut SchemaGenerator) -> Schema {
    let both = |status: &Status| [false, true].map(|provisional| recent_mark(*status, provisional));
    let marks: String = Status::ALL.iter().flat_map(both).collect();
    let pattern = format!("^[{marks}{ABSENT_MARK}]{{0,{RECENT_RUNS}}}$");
    json_schema!({ "type": "string", "pattern": pattern })
}

/// A map by a closed list or by a text of some form. The library's own schema of a map has no
/// rule for such keys.
pub(crate) struct Map<K, V>(PhantomData<(K, V)>);

impl<K: JsonSchema, V: JsonSchema> JsonSchema for Map<K, V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}By{}", V::schema_name(), K::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": generator.subschema_for::<K>(),
            "additionalProperties": generator.subschema_for::<V>(),
        })
    }
}

/// A list that is never empty.
pub(crate) struct NotEmpty<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for NotEmpty<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Some{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": generator.subschema_for::<T>(), "minItems": 1 })
    }
}
