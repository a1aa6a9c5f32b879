//! Well-known filters, by the addresses that they answer with in the place of the true ones:
//! `data/filters.json`, dated, with a source for each. Pure.

use std::net::IpAddr;
use std::sync::LazyLock;

use serde::Deserialize;

/// The file of filters: a change of it is a change of the program.
const FILE: &str = include_str!("../data/filters.json");

/// A filter that answers with a page of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedFilter {
    /// What it is called.
    pub(crate) name: String,
    /// What it answers with.
    addresses: Vec<IpAddr>,
    /// What an exit's operator can do.
    pub(crate) remedy: String,
    #[expect(dead_code, reason = "for readers of the file; a test holds that each entry has one")]
    source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filters {
    #[expect(dead_code, reason = "for readers of the file; a test holds that it is a date")]
    as_of: chrono::NaiveDate,
    filters: Vec<NamedFilter>,
}

static FILTERS: LazyLock<Filters> = LazyLock::new(|| {
    serde_json::from_str(FILE).expect("the file is part of the program, and a test reads it")
});

/// The filter that answers with this address.
pub(crate) fn named(address: IpAddr) -> Option<&'static NamedFilter> {
    FILTERS.filters.iter().find(|filter| filter.addresses.contains(&address))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_file_is_sound() {
        let file: serde_json::Value = serde_json::from_str(FILE).unwrap();
        let mut seen = HashSet::new();
        for filter in file["filters"].as_array().unwrap() {
            let text = |field: &str| filter[field].as_str().unwrap().to_owned();
            assert!(text("source").starts_with("https://"), "{filter}");
            assert!(!text("name").is_empty() && text("remedy").ends_with('.'), "{filter}");
            assert!(!filter["addresses"].as_array().unwrap().is_empty(), "{filter}");
        }
        for address in FILTERS.filters.iter().flat_map(|filter| &filter.addresses) {
            assert!(seen.insert(address), "{address} is there twice");
            assert!(!crate::consensus::is_private(*address), "{address} is nobody's own");
        }
    }

    #[test]
    fn an_address_names_its_filter() {
        for address in [[162, 159, 36, 12], [162, 159, 46, 12]] {
            assert_eq!(
                named(address.into()).map(|it| it.name.as_str()),
                Some("Cloudflare Gateway")
            );
        }
        assert!(named([162, 159, 36, 13].into()).is_none());
    }
}
