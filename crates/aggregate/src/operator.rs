//! Whose relays are whose, as far as families and contact lines tell. Pure.
//!
//! A family's key (proposal 321) is proof: whoever has it has let the relay in, and the authorities and
//! tor verify that. A family of names holds where both sides name each other (dir-spec, "family"):
//! nobody can be drawn into one. A contact line proves nothing, as anybody can write anybody's. So
//! families come first: a relay in a family goes by the contact that most of the family has, and nobody
//! can join two operators by writing the one's contact into one relay and the other's into another.

use std::collections::{BTreeMap, HashMap, HashSet};

use record::Fingerprint;

/// What is known of a relay.
#[derive(Debug, Clone, Copy)]
pub struct OperatedRelay<'a> {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its contact line.
    pub contact: Option<&'a str>,
    /// The family members that it names.
    pub family: &'a [String],
    /// The ids of the families whose keys it is certified by.
    pub family_ids: &'a [String],
}

/// The operator's key of each relay, in their order.
#[must_use]
pub fn keys(relays: &[OperatedRelay<'_>]) -> Vec<String> {
    let contacts: Vec<Option<String>> =
        relays.iter().map(|relay| relay.contact.and_then(normalise)).collect();
    let groups = families(relays);
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, group) in groups.iter().enumerate() {
        members.entry(*group).or_default().push(index);
    }
    let mut keys = vec![String::new(); relays.len()];
    for group in members.values() {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for contact in group.iter().filter_map(|index| contacts[*index].as_deref()) {
            *votes.entry(contact).or_default() += 1;
        }
        // The most frequent; among equals the first in the alphabet.
        let contact = votes.iter().rev().max_by_key(|(_, count)| **count).map(|(text, _)| *text);
        let first = group.iter().map(|index| relays[*index].fingerprint).min();
        let key = match (contact, first) {
            (Some(contact), _) => format!("contact:{contact}"),
            (None, Some(first)) if group.len() > 1 => format!("family:{first}"),
            (None, Some(first)) => format!("relay:{first}"),
            (None, None) => continue,
        };
        for index in group {
            keys[*index].clone_from(&key);
        }
    }
    keys
}

/// For each relay the number of its family: relays joined by a family's key, and then by families that
/// name each other.
fn families(relays: &[OperatedRelay<'_>]) -> Vec<usize> {
    let index: HashMap<Fingerprint, usize> =
        relays.iter().enumerate().map(|(index, relay)| (relay.fingerprint, index)).collect();
    let named: Vec<HashSet<usize>> = relays
        .iter()
        .map(|relay| {
            relay
                .family
                .iter()
                .filter_map(|member| index.get(&member_of(member)?))
                .copied()
                .collect()
        })
        .collect();
    let mut parent: Vec<usize> = (0..relays.len()).collect();
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (one, relay) in relays.iter().enumerate() {
        for id in relay.family_ids.iter().filter(|id| is_family_id(id)) {
            let other = *first.entry(id).or_insert(one);
            let (a, b) = (root(&mut parent, one), root(&mut parent, other));
            parent[a.max(b)] = a.min(b);
        }
    }
    for (one, others) in named.iter().enumerate() {
        for &other in others {
            if other != one && named[other].contains(&one) {
                let (a, b) = (root(&mut parent, one), root(&mut parent, other));
                parent[a.max(b)] = a.min(b);
            }
        }
    }
    (0..relays.len()).map(|one| root(&mut parent, one)).collect()
}

/// Whether a text is a family's key as descriptors have it: `ed25519:` and 32 bytes as base64 without
/// padding (proposal 321). Who has the key is nobody's to say where it is none.
pub(crate) fn is_family_id(text: &str) -> bool {
    text.strip_prefix("ed25519:").is_some_and(|key| {
        key.len() == 43
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
    })
}

fn root(parent: &mut [usize], mut one: usize) -> usize {
    while parent[one] != one {
        parent[one] = parent[parent[one]];
        one = parent[one];
    }
    one
}

/// The fingerprint in a family entry: `$FP`, `$FP~nick` or `$FP=nick`. A bare nickname names
/// nobody for certain.
fn member_of(entry: &str) -> Option<Fingerprint> {
    entry.split(['~', '=']).next()?.trim().parse().ok()
}

/// A contact line reduced to what two spellings of it have in common; `None` where nothing is
/// left. In this order: the `email:` field of the ContactInfo specification
/// (<https://nusenu.github.io/ContactInfo-Information-Sharing-Specification/>), the first thing
/// that is an e-mail address once the usual disguises are undone, that specification's `url:`, or
/// the whole text. All in lower case, with single spaces, at most 200 characters.
#[must_use]
pub fn normalise(contact: &str) -> Option<String> {
    let text: String = contact
        .chars()
        .map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c })
        .filter(|c| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}'))
        .flat_map(char::to_lowercase)
        .collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    let plain = words.join(" ");
    let field = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
    let chosen = field("email:")
        .and_then(|value| address_in(&undisguise(value)))
        .or_else(|| address_in(&undisguise(&plain)))
        .or_else(|| {
            let url = field("url:").filter(|_| plain.contains("ciissversion:"))?;
            let host = url.split_once("://").map_or(url, |(_, rest)| rest);
            Some(host.trim_start_matches("www.").trim_end_matches('/').to_owned())
        })
        .unwrap_or(plain);
    let chosen: String = chosen.chars().take(200).collect();
    (!chosen.is_empty()).then_some(chosen)
}

fn undisguise(text: &str) -> String {
    let mut text = text.to_owned();
    for at in [
        " [at] ", " (at) ", " <at> ", " {at} ", " at ", "[at]", "(at)", "<at>", "{at}", "[]",
        "_at_",
    ] {
        text = text.replace(at, "@");
    }
    for dot in [
        " [dot] ", " (dot) ", " <dot> ", " {dot} ", " dot ", "[dot]", "(dot)", "<dot>", "{dot}",
        "_dot_",
    ] {
        text = text.replace(dot, ".");
    }
    text
}

fn address_in(text: &str) -> Option<String> {
    let of_name = |c: char| c.is_alphanumeric() || "._+-".contains(c);
    let of_host = |c: char| c.is_alphanumeric() || ".-".contains(c);
    text.match_indices('@').find_map(|(at, _)| {
        let (before, rest) = (&text[..at], &text[at + 1..]);
        let start = before
            .rfind(|c| !of_name(c))
            .map_or(0, |index| index + before[index..].chars().next().map_or(0, char::len_utf8));
        let end = rest.find(|c| !of_host(c)).unwrap_or(rest.len());
        let (name, host) =
            (before[start..].trim_matches('.'), rest[..end].trim_matches(['.', '-']));
        (!name.is_empty() && host.contains('.')).then(|| format!("{name}@{host}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_contact_are_one() {
        for contact in [
            "Tor Op <tor@example.org>",
            "tor@EXAMPLE.org 0xDEADBEEF",
            "email:tor[]example.org url:https://example.org proof:uri-rsa ciissversion:2",
            "tor [at] example [dot] org",
            "tor AT example DOT org",
            "tor(at)example.org",
            "  tor@example.org.  ",
        ] {
            assert_eq!(normalise(contact).as_deref(), Some("tor@example.org"), "{contact}");
        }
        assert_eq!(
            normalise("url:https://www.example.org/ ciissversion:2").as_deref(),
            Some("example.org")
        );
        assert_eq!(normalise("My  Relay\tInc").as_deref(), Some("my relay inc"));
        assert_eq!(normalise(" \u{200b} "), None);
    }

    #[test]
    fn a_family_needs_both_sides_and_nobody_can_join_two_operators() {
        let [a, b, c, d, e] = [1, 2, 3, 4, 5].map(|byte| Fingerprint::from_bytes([byte; 20]));
        let name = |relay: &Fingerprint| format!("${relay}~nick");
        let families = [
            vec![name(&b)],
            vec![name(&a)],
            vec![name(&a), name(&b)],
            vec![name(&e)],
            vec![name(&d)],
        ];
        let contacts = [Some("x@a.org"), None, None, Some("x@a.org"), Some("y@b.org")];
        let relays: Vec<OperatedRelay<'_>> = [a, b, c, d, e]
            .into_iter()
            .zip(contacts)
            .zip(&families)
            .map(|((fingerprint, contact), family)| OperatedRelay {
                fingerprint,
                contact,
                family,
                family_ids: &[],
            })
            .collect();
        assert_eq!(
            keys(&relays),
            [
                "contact:x@a.org".to_owned(),
                "contact:x@a.org".to_owned(),
                format!("relay:{c}"),
                "contact:x@a.org".to_owned(),
                "contact:x@a.org".to_owned(),
            ]
        );
        let mut without = relays.clone();
        without.iter_mut().for_each(|relay| relay.contact = None);
        assert_eq!(keys(&without)[..2], [format!("family:{a}"), format!("family:{a}")]);
    }

    #[test]
    fn a_familys_key_joins_before_anything_else() {
        let [a, b, c] = [1, 2, 3].map(|byte| Fingerprint::from_bytes([byte; 20]));
        let relay = |fingerprint, contact, family_ids| OperatedRelay {
            fingerprint,
            contact,
            family: &[],
            family_ids,
        };
        let [one, two] = ["o", "t"].map(|byte| [format!("ed25519:{}", byte.repeat(43))]);
        let relays =
            [relay(a, Some("x@a.org"), &one[..]), relay(b, None, &one), relay(c, None, &two)];
        let expected = ["contact:x@a.org", "contact:x@a.org", &format!("relay:{c}")];
        assert_eq!(keys(&relays), expected);
        let both = [one[0].clone(), two[0].clone()];
        let relays = [relay(a, None, &one[..]), relay(b, None, &two), relay(c, None, &both)];
        assert_eq!(keys(&relays), [0; 3].map(|_| format!("family:{a}")));
    }

    proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = normalise(&text);
        }
    }
}
