//! Whose relays are whose, as far as families, proved domains and contact lines tell. Pure.
//!
//! A family's key (proposal 321) is proof: whoever has it has let the relay in, and the authorities and
//! tor verify that. So is a domain that the relay's contact names and that names the relay. A family of
//! names holds where both sides name each other (dir-spec, "family"): nobody can be drawn into one. A
//! contact line proves nothing, as anybody can write anybody's. So these come first: a relay that belongs to
//! others goes by the domain that is proved for most of them, or by the contact that most have, and nobody
//! can join two operators by writing the one's contact into one relay and the other's into another.

use std::collections::{BTreeMap, HashMap, HashSet};

use record::{Fingerprint, is_family_id};

/// What is known of a relay.
#[derive(Debug, Clone, Copy)]
pub struct OperatedRelay<'a> {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its contact line.
    pub contact: Option<&'a str>,
    /// The domain that is proved to be its operator's.
    pub domain: Option<&'a str>,
    /// The family members that it names.
    pub family: &'a [String],
    /// The ids of the families whose keys it is certified by.
    pub family_ids: &'a [String],
}

/// The operator's key of each relay, in their order.
#[must_use]
pub fn keys(relays: &[OperatedRelay<'_>]) -> Vec<String> {
    let contacts: Vec<Option<String>> =
        relays.iter().map(|relay| relay.contact.and_then(contact::line::normalised)).collect();
    let groups = families(relays);
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, group) in groups.iter().enumerate() {
        members.entry(*group).or_default().push(index);
    }
    let mut keys = vec![String::new(); relays.len()];
    for group in members.values() {
        let domain = most_frequent(group.iter().filter_map(|index| relays[*index].domain));
        let contact = most_frequent(group.iter().filter_map(|index| contacts[*index].as_deref()));
        let first = group.iter().map(|index| relays[*index].fingerprint).min();
        let key = match (domain, contact, first) {
            (Some(domain), ..) => format!("domain:{domain}"),
            (None, Some(contact), _) => format!("contact:{contact}"),
            (None, None, Some(first)) if group.len() > 1 => format!("family:{first}"),
            (None, None, Some(first)) => format!("relay:{first}"),
            (None, None, None) => continue,
        };
        for index in group {
            keys[*index].clone_from(&key);
        }
    }
    keys
}

/// The text that comes most often; among equals the first in the alphabet.
fn most_frequent<'a>(texts: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    for text in texts {
        *votes.entry(text).or_default() += 1;
    }
    votes.iter().rev().max_by_key(|(_, count)| **count).map(|(text, _)| *text)
}

/// For each relay the number of its group: relays joined by a family's key, by a proved domain, and by
/// families that name each other.
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
        let ids = relay.family_ids.iter().map(String::as_str).filter(|id| is_family_id(id));
        // No domain has a colon in it, and every family's key has.
        for id in ids.chain(relay.domain) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
                domain: None,
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
            domain: None,
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

    #[test]
    fn a_proved_domain_joins_its_relays_and_names_them() {
        let [a, b, c, d, e] = [1, 2, 3, 4, 5].map(|byte| Fingerprint::from_bytes([byte; 20]));
        let relay = |fingerprint, contact, domain, family| OperatedRelay {
            fingerprint,
            contact,
            domain,
            family,
            family_ids: &[],
        };
        let (of_c, of_b) = ([format!("${b}")], [format!("${c}")]);
        let relays = [
            relay(a, Some("x@a.org"), Some("a.org"), &[][..]),
            relay(b, Some("y@a.org"), Some("a.org"), &of_b),
            // In its family, and not proved by itself.
            relay(c, Some("z@c.org"), None, &of_c),
            // Says that it is theirs.
            relay(d, Some("x@a.org"), None, &[]),
            relay(e, None, Some("e.org"), &[]),
        ];
        assert_eq!(
            keys(&relays),
            ["domain:a.org", "domain:a.org", "domain:a.org", "contact:x@a.org", "domain:e.org"]
        );
    }
}
