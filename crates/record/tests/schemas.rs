//! `docs/formats/*.schema.json` are what the types give.
//!
//! `make schemas` writes them again: look at what changed before it is committed.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

#[test]
fn the_schemas_are_what_the_types_give() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats");
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut names = BTreeSet::new();
    for (name, schema) in record::schema::all() {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        assert!(!text.contains("[`"), "{name}: a description has a link that only rustdoc follows");
        let path = dir.join(name);
        if update {
            fs::write(&path, &text).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{name} is not what the types give; `make schemas` writes it again");
        names.insert(name.to_owned());
    }
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let files = files.map(|name| name.into_string().unwrap());
    assert_eq!(files.filter(|name| name.ends_with(".schema.json")).collect::<BTreeSet<_>>(), names);
}
