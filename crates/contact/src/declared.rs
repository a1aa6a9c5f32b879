//! What a contact line says of the relay's resolver. Pure.

use record::{DeclaredLocation, DeclaredResolver};

use crate::line::{field, is_specified};

/// The most resolvers that are taken from a line. Tor's resolver library uses three of a host's.
const MOST: usize = 8;

/// What a contact line declares of the resolver; nothing, unless it is of the specification's version 2 and
/// has one of the fields. A word that the specification does not know declares nothing.
#[must_use]
pub fn resolver(line: &str) -> Option<DeclaredResolver> {
    if !is_specified(line) {
        return None;
    }
    let yes_or_no = |name| match field(line, name)? {
        "y" => Some(true),
        "n" => Some(false),
        _ => None,
    };
    let known = |word: &str| DeclaredLocation::ALL.iter().copied().find(|at| at.as_str() == word);
    let places = field(line, "dnslocation").unwrap_or_default();
    let locations: Option<Vec<_>> = places.split(',').take(MOST).map(known).collect();
    let declared = DeclaredResolver {
        locations: locations.unwrap_or_default(),
        validates: yes_or_no("dnssec"),
        minimises: yes_or_no("dnsqname"),
    };
    (declared != DeclaredResolver::default()).then_some(declared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_declares() {
        use DeclaredLocation::{Local, Remote, SameAs};
        let said = |locations: &[_], validates, minimises| {
            Some(DeclaredResolver { locations: locations.to_vec(), validates, minimises })
        };
        for (line, expected) in [
            ("dnslocation:local dnssec:y dnsqname:y", None),
            ("ciissversion:2", None),
            (
                "ciissversion:2 dnslocation:local,sameas,remote",
                said(&[Local, SameAs, Remote], None, None),
            ),
            ("ciissversion:2 dnssec:y dnsqname:n", said(&[], Some(true), Some(false))),
            ("ciissversion:2 dnssec:yes dnslocation:cellar", None),
            ("ciissversion:2 dnslocation:local,cellar dnssec:n", said(&[], Some(false), None)),
            ("ciissversion:2 dnssec:y dnssec:n", said(&[], Some(true), None)),
        ] {
            assert_eq!(resolver(line), expected, "{line}");
        }
    }
}
