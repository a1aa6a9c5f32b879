//! Which ports an exit lets streams out to, for each address family: from a server descriptor's
//! rules, or from the summaries that the consensus and microdescriptors have (dir-spec, "Exit
//! policies"). Pure; every text is a stranger's, and what cannot be read allows nothing.

use std::collections::HashSet;
use std::sync::Arc;

/// Every port that a policy speaks of.
const ALL: Range = (1, u16::MAX);

/// A first and a last port.
type Range = (u16, u16);

/// Ports of one address family that streams may leave to: those that are open to addresses in
/// general, whatever single networks a relay refuses or allows beside them.
///
/// Many relays have the same ones, which are shared: see `Known`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ports(Arc<[Range]>);

impl Default for Ports {
    /// None.
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl Ports {
    /// Reads a summary: `accept 80,443` or `reject 1-1024,6667`.
    #[must_use]
    pub fn parse(summary: &str) -> Self {
        let (keyword, list) = summary.trim().split_once(' ').unwrap_or(("", ""));
        let ranges: Option<Vec<Range>> = list.split(',').map(range).collect();
        match (keyword, ranges) {
            ("accept", Some(ranges)) => Self::new(ranges),
            ("reject", Some(ranges)) => {
                let mut rest = vec![ALL];
                for range in ranges {
                    take(&mut rest, range);
                }
                Self::new(rest)
            }
            _ => Self::default(),
        }
    }

    fn new(mut ranges: Vec<Range>) -> Self {
        ranges.sort_unstable();
        let mut joined: Vec<Range> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(before) if u32::from(first) <= u32::from(before.1) + 1 => {
                    before.1 = before.1.max(last);
                }
                _ => joined.push((first, last)),
            }
        }
        Self(joined.into())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this port is among them.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }

    /// The lowest one.
    #[must_use]
    pub fn first(&self) -> Option<u16> {
        self.0.first().map(|(first, _)| *first)
    }
}

/// What an exit lets out, by address family.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ExitPolicy {
    /// To IPv4 addresses.
    pub ipv4: Ports,
    /// To IPv6 addresses.
    pub ipv6: Ports,
}

impl ExitPolicy {
    /// Whether streams may leave at all.
    #[must_use]
    pub fn allows_anything(&self) -> bool {
        !self.ipv4.is_empty() || !self.ipv6.is_empty()
    }
}

/// A server descriptor's `accept` and `reject` lines, which speak of IPv4, as they come: the first
/// that fits decides, and what none fits is accepted.
#[derive(Debug)]
pub(crate) struct Rules {
    accepted: Vec<Range>,
    undecided: Vec<Range>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { accepted: Vec::new(), undecided: vec![ALL] }
    }
}

impl Rules {
    /// Takes in a line's pattern: `*:80`, `192.0.2.0/24:*`, `*:1-1024`. One that names networks
    /// decides nothing about addresses in general.
    pub(crate) fn add(&mut self, accept: bool, pattern: &str) {
        let Some((address, ports)) = pattern.trim().rsplit_once(':') else { return };
        if !["*", "*4", "0.0.0.0/0", "0.0.0.0/0.0.0.0"].contains(&address) {
            return;
        }
        let Some(ports) = (if ports == "*" { Some(ALL) } else { range(ports) }) else { return };
        let decided = take(&mut self.undecided, ports);
        if accept {
            self.accepted.extend(decided);
        }
    }

    /// The ports that are accepted when all lines have come.
    pub(crate) fn ports(mut self) -> Ports {
        self.accepted.append(&mut self.undecided);
        Ports::new(self.accepted)
    }
}

/// Ports of other relays, so that equal ones are held once.
#[derive(Debug, Default)]
pub(crate) struct PortPool(HashSet<Ports>);

impl PortPool {
    /// The same ports, shared with all that have them.
    pub(crate) fn shared(&mut self, ports: Ports) -> Ports {
        match self.0.get(&ports) {
            Some(known) => known.clone(),
            None => {
                self.0.insert(ports.clone());
                ports
            }
        }
    }
}

/// `80` or `20-23`.
fn range(text: &str) -> Option<Range> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = (first.parse().ok()?, last.parse().ok()?);
    (range.0 <= range.1).then_some(range)
}

/// Takes the ports of `range` out of `ranges`, and gives those that were in it.
fn take(ranges: &mut Vec<Range>, (first, last): Range) -> Vec<Range> {
    let mut taken = Vec::new();
    let mut left = Vec::with_capacity(ranges.len() + 1);
    for &(from, to) in ranges.iter() {
        if last < from || first > to {
            left.push((from, to));
            continue;
        }
        taken.push((from.max(first), to.min(last)));
        // In neither case can the bound overflow: there is a port of this range beyond it.
        if from < first {
            left.push((from, first - 1));
        }
        if to > last {
            left.push((last + 1, to));
        }
    }
    *ranges = left;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(lines: &[&str]) -> Ports {
        let mut rules = Rules::default();
        for line in lines {
            let (keyword, pattern) = line.split_once(' ').unwrap();
            rules.add(keyword == "accept", pattern);
        }
        rules.ports()
    }

    #[test]
    fn summaries() {
        let web = Ports::parse("accept 80,443,8000-8010");
        assert!(web.contains(80) && web.contains(8005) && !web.contains(81));
        assert_eq!(web.first(), Some(80));
        assert_eq!(Ports::parse("reject 1-79,81-442,444-7999,8011-65535"), web);
        assert_eq!(Ports::parse("accept 1-65535"), Ports::parse("reject 0"));
        for none in ["reject 1-65535", "", "accept", "accept x", "accept 9-1", "accept 70000"] {
            assert!(Ports::parse(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn rules_in_their_order() {
        assert_eq!(rules(&[]), Ports::parse("accept 1-65535"));
        assert!(rules(&["reject *:*"]).is_empty());
        assert_eq!(
            rules(&["reject *:25", "accept *:20-443", "reject *:*", "accept *:*"]),
            Ports::parse("accept 20-24,26-443")
        );
        // What holds for some networks alone says nothing about addresses in general.
        assert_eq!(
            rules(&["reject 10.0.0.0/8:*", "accept 192.0.2.1:22", "accept *:80", "reject *:*"]),
            Ports::parse("accept 80")
        );
        assert_eq!(rules(&["reject *:1-1024"]), Ports::parse("accept 1025-65535"));
    }

    #[test]
    fn equal_ports_are_held_once() {
        let mut known = PortPool::default();
        let first = known.shared(Ports::parse("accept 80,443"));
        let second = known.shared(Ports::parse("accept 443,80"));
        assert!(Arc::ptr_eq(&first.0, &second.0));
    }

    proptest! {
        #[test]
        fn the_first_rule_that_fits_decides(
            lines in prop::collection::vec((any::<bool>(), 1_u16..60, 0_u16..9), 0..8),
            port in 1_u16..80,
        ) {
            let mut rules = Rules::default();
            for (accept, first, more) in &lines {
                rules.add(*accept, &format!("*:{first}-{}", first + more));
            }
            let decided = lines
                .iter()
                .find(|(_, first, more)| (*first..=first + more).contains(&port))
                .is_none_or(|(accept, ..)| *accept);
            prop_assert_eq!(rules.ports().contains(port), decided);
        }

        #[test]
        fn hostile_texts_never_panic(text in "(accept|reject)? ?[ -~é]{0,40}", port: u16) {
            let _ = Ports::parse(&text).contains(port);
            let mut rules = Rules::default();
            rules.add(true, &text);
            let _ = rules.ports();
        }
    }
}
