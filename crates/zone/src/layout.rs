//! Which names there are in the zone and in the checks zone, and what is at each: decided by the name alone.
//!
//! The zone is a wildcard ([RFC 4592](https://www.rfc-editor.org/rfc/rfc4592)), as it could stand anywhere. The
//! checks zone has the names that need this program: one label below the zone, or somewhere else. Names
//! are compared without regard to case, and answered in the case in which they were asked.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;

use hickory_proto::rr::Name;

/// Time to live of what does not change, in seconds.
pub(crate) const TTL: u32 = 3600;

/// Time to live of an address that is asked for once, and of "there is none", in seconds.
pub(crate) const NAME_TTL: u32 = 60;

/// The label of the checks zone below the zone, where its name is not set.
const CHECKS: &str = "checks";

/// The zone and its checks zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedZone {
    /// The zone's name, in lower case.
    pub(crate) origin: Name,
    /// The checks zone's name, in lower case.
    pub(crate) checks: Name,
    /// Who answers for both, by name.
    pub(crate) servers: Vec<NameServer>,
    /// Who looks after them, as a name (RFC 1035, section 3.3.13).
    pub(crate) hostmaster: Name,
    /// What the names of a scan resolve to.
    pub(crate) expected: Vec<IpAddr>,
}

/// A name server of the zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameServer {
    /// Its name, in lower case.
    pub(crate) name: Name,
    /// Where it is reached.
    pub(crate) addresses: Vec<IpAddr>,
}

/// Why there can be no such zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// It is no domain name.
    #[error("{0:?} is no domain name")]
    Name(String),
    /// Nobody answers for it.
    #[error(
        "there is no name server: NAME ADDRESS..., with commas between several, such as: \
         ns1.example.org 192.0.2.53 2001:db8::53"
    )]
    NoServers,
    /// It is no address.
    #[error(
        "{0:?} is no address of a name server; it stands after the name: ns1.example.org 192.0.2.53"
    )]
    Address(String),
    /// A server without an address.
    #[error(
        "the name server {0} has no address: write it after the name, with a space between them"
    )]
    NoAddress(String),
    /// A name server has a name that means something else here.
    #[error("the name server {0} has a name that the zone has a use of its own for; call it ns1")]
    Taken(String),
    /// The zone has so long a name that a scan's names do not fit.
    #[error(
        "the zone's name is longer than {MAX_ORIGIN} characters: a scan's names do not fit under it"
    )]
    Long,
    /// The checks zone is no zone of its own.
    #[error(
        "the checks zone {0} must be one label below the zone, such as checks.ZONE, or outside it"
    )]
    Checks(String),
}

/// Longest name of a zone: a scan's names are 54 octets longer, and no name is longer than 255.
const MAX_ORIGIN: usize = 180;

/// A domain name, in lower case and absolute.
pub(crate) fn name(text: &str) -> Result<Name, LayoutError> {
    let wrong = || LayoutError::Name(text.to_owned());
    let text = text.trim();
    if text.trim_end_matches('.').is_empty() {
        return Err(wrong());
    }
    let mut name = Name::from_str(text).map_err(|_| wrong())?.to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}

/// What the zone is made from, as the settings have it.
#[derive(Debug, Clone, Default)]
pub struct ZoneSettings<'a> {
    /// The zone's name.
    pub domain: &'a str,
    /// The checks zone's name; without one, `checks` below the zone.
    pub checks: Option<&'a str>,
    /// `NAME ADDRESS...`, with commas between several.
    pub servers: &'a str,
    /// The mail address of who looks after it; without one, `hostmaster` in the zone.
    pub hostmaster: Option<&'a str>,
    /// What a scan's names resolve to.
    pub expected: Vec<IpAddr>,
}

/// How many labels a name has. The library's own count leaves a wildcard's out.
pub(crate) fn labels(name: &Name) -> usize {
    name.iter().len()
}

impl ServedZone {
    /// The zone of these settings.
    ///
    /// # Errors
    ///
    /// [`LayoutError`].
    pub fn new(settings: ZoneSettings<'_>) -> Result<Self, LayoutError> {
        let ZoneSettings { domain, checks, servers, hostmaster, expected } = settings;
        let origin = name(domain)?;
        let checks = match checks {
            Some(checks) => name(checks)?,
            None => origin.prepend_label(CHECKS).map_err(|_| LayoutError::Long)?,
        };
        if origin.len().max(checks.len()) > MAX_ORIGIN {
            return Err(LayoutError::Long);
        }
        let one_below = labels(&checks) == labels(&origin) + 1;
        if checks.zone_of(&origin) || origin.zone_of(&checks) && !one_below {
            return Err(LayoutError::Checks(checks.to_string()));
        }
        let hostmaster = match hostmaster {
            Some(address) => name(&address.replacen('@', ".", 1))?,
            None => name(&format!("hostmaster.{origin}"))?,
        };
        let entries = servers.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let servers: Vec<NameServer> = entries.map(name_server).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(LayoutError::NoServers);
        }
        let zone = Self { origin, checks, servers: Vec::new(), hostmaster, expected };
        for server in &servers {
            let Place { below, at, .. } = zone.place(&server.name);
            let free = match at {
                NamePlace::Outside | NamePlace::Wildcard => true,
                // In the checks zone there is nothing between its name and that of a server.
                NamePlace::Nowhere => below == 1,
                _ => false,
            };
            if !free {
                return Err(LayoutError::Taken(server.name.to_string()));
            }
        }
        Ok(Self { servers, ..zone })
    }

    /// The addresses of all name servers, of one family.
    pub(crate) fn addresses(&self, family: Family) -> BTreeSet<IpAddr> {
        let all = self.servers.iter().flat_map(|server| server.addresses.iter().copied());
        all.filter(|address| Family::of(*address) == family).collect()
    }

    /// Where a name is.
    pub(crate) fn place(&self, name: &Name) -> Place<'_> {
        let checks = self.checks.zone_of(name);
        let apex = if checks { &self.checks } else { &self.origin };
        if !apex.zone_of(name) {
            return Place { apex, below: 0, at: NamePlace::Outside };
        }
        let below = labels(name) - labels(apex);
        let at = self.server(apex, name).unwrap_or_else(|| {
            // The label that stands directly under the zone's name.
            match below.checked_sub(1).and_then(|last| name.iter().nth(last)) {
                None => NamePlace::Apex,
                Some(label) if checks => in_checks(label, below == 1),
                Some(_) => NamePlace::Wildcard,
            }
        });
        Place { apex, below, at }
    }

    /// Where a name is that has to do with a name server's in the same zone. There is no wildcard beside that one
    /// (RFC 4592, section 3.3.1).
    fn server(&self, apex: &Name, name: &Name) -> Option<NamePlace<'_>> {
        let label = labels(apex) + 1;
        if labels(name) < label {
            return None;
        }
        let in_zone = |server: &&NameServer| {
            apex.zone_of(&server.name) && server.name.trim_to(label) == name.trim_to(label)
        };
        let mut servers = self.servers.iter().filter(in_zone).peekable();
        servers.peek()?;
        let place = |server: &'_ NameServer| server.name == *name || name.zone_of(&server.name);
        Some(match servers.find(|server| place(server)) {
            Some(server) if server.name == *name => NamePlace::Server(server),
            Some(_) => NamePlace::Empty,
            None => NamePlace::Nowhere,
        })
    }
}

/// What is in the checks zone below its name: under this label, or at it.
fn in_checks(label: &[u8], at_it: bool) -> NamePlace<'static> {
    match &*label.to_ascii_lowercase() {
        b"who" => NamePlace::Child(Child::Who, at_it),
        b"who6" => NamePlace::Child(Child::Who6, at_it),
        b"v6" => NamePlace::Child(Child::V6, at_it),
        b"ns4" if at_it => NamePlace::ServerOf(Family::V4),
        b"ns6" if at_it => NamePlace::ServerOf(Family::V6),
        b"tcp" | b"nx" | b"signed" | b"bogus" if at_it => NamePlace::Empty,
        b"tcp" => NamePlace::Tcp,
        b"signed" => NamePlace::Sealed { broken: false },
        b"bogus" => NamePlace::Sealed { broken: true },
        _ => NamePlace::Nowhere,
    }
}

fn name_server(entry: &str) -> Result<NameServer, LayoutError> {
    let mut words = entry.split_whitespace();
    let name = name(words.next().unwrap_or_default())?;
    let addresses = words
        .map(|word| word.parse().map_err(|_| LayoutError::Address(word.to_owned())))
        .collect::<Result<Vec<IpAddr>, _>>()?;
    if addresses.is_empty() {
        return Err(LayoutError::NoAddress(name.to_string()));
    }
    Ok(NameServer { name, addresses })
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    pub(crate) const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Where a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// The name of the zone that it is in: the zone's or the checks zone's.
    pub(crate) apex: &'a Name,
    /// Labels that it has below that.
    pub(crate) below: usize,
    /// Where in it.
    pub(crate) at: NamePlace<'a>,
}

/// Where a name is in its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamePlace<'a> {
    /// In neither zone.
    Outside,
    /// The zone's own name.
    Apex,
    /// A name server in the zone.
    Server(&'a NameServer),
    /// The name under which all name servers are reached by one family, for the delegations in the checks zone.
    ServerOf(Family),
    /// In a part that is delegated, to this server by one family; and whether it is the part's own name.
    Child(Child, bool),
    /// Whatever is asked for here is answered by TCP alone.
    Tcp,
    /// Whatever is asked for here has a signature, valid or broken on purpose; there is nothing without a key.
    Sealed { broken: bool },
    /// A name that is there only as others are under it.
    Empty,
    /// What the wildcard answers for.
    Wildcard,
    /// A name that does not exist.
    Nowhere,
}

/// A part of the checks zone that is delegated to name servers with addresses of one family, which are this
/// program again: so a resolver has to come by that family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    /// Answers with the address of who asks, by IPv4.
    Who,
    /// The same, by IPv6.
    Who6,
    /// Answers as the zone does, by IPv6 alone.
    V6,
}

impl Child {
    /// Its label under the checks zone's name.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Who => "who",
            Self::Who6 => "who6",
            Self::V6 => "v6",
        }
    }

    /// The family by which it is reached.
    pub(crate) const fn family(self) -> Family {
        match self {
            Self::Who => Family::V4,
            Self::Who6 | Self::V6 => Family::V6,
        }
    }

    /// The label of its name server.
    pub(crate) const fn server(self) -> &'static str {
        match self.family() {
            Family::V4 => "ns4",
            Family::V6 => "ns6",
        }
    }
}

/// Whether this has the form of a scan's names: `{uuid}.{8 hexadecimal digits}` somewhere, whatever
/// stands after it.
pub(crate) fn is_of_a_scan(name: &Name) -> bool {
    let mut labels = name.iter();
    let (Some(uuid), Some(relay)) = (labels.next(), labels.next()) else { return false };
    let hyphens = [8, 13, 18, 23];
    let of_uuid = |(at, byte): (usize, &u8)| {
        if hyphens.contains(&at) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
    };
    uuid.len() == 36
        && uuid.iter().enumerate().all(of_uuid)
        && relay.len() == 8
        && relay.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const SERVERS: &str = "ns1.Example.org 192.0.2.53 2001:db8::53, ns.z.example.org 198.51.100.53";

    pub(crate) fn settings() -> ZoneSettings<'static> {
        let expected = ["64.65.4.1", "2001:db8::1"].map(|ip| ip.parse().unwrap()).into();
        ZoneSettings { domain: "Z.example.ORG.", servers: SERVERS, expected, ..Default::default() }
    }

    pub(crate) fn example() -> ServedZone {
        ServedZone::new(settings()).unwrap()
    }

    /// A name as it comes in a query.
    pub(crate) fn wire(text: &str) -> Name {
        let mut name = Name::from_ascii(text).unwrap();
        name.set_fqdn(true);
        name
    }

    #[test]
    fn a_name_is_where_the_table_says() {
        let zone = example();
        let server = &zone.servers[1];
        for (text, apex, at) in [
            ("example.org", "z", NamePlace::Outside),
            ("xz.example.org", "z", NamePlace::Outside),
            (".", "z", NamePlace::Outside),
            ("ns1.example.org", "z", NamePlace::Outside),
            ("Z.EXAMPLE.org", "z", NamePlace::Apex),
            ("a.z.example.org", "z", NamePlace::Wildcard),
            ("who.a.z.example.org", "z", NamePlace::Wildcard),
            ("who.z.example.org", "z", NamePlace::Wildcard),
            ("NS.z.example.org", "z", NamePlace::Server(server)),
            ("a.ns.z.example.org", "z", NamePlace::Nowhere),
            ("Checks.z.example.org", "checks.z", NamePlace::Apex),
            ("who.checks.z.example.org", "checks.z", NamePlace::Child(Child::Who, true)),
            ("a.b.WHO.checks.z.example.org", "checks.z", NamePlace::Child(Child::Who, false)),
            ("a.who6.checks.z.example.org", "checks.z", NamePlace::Child(Child::Who6, false)),
            ("v6.checks.z.example.org", "checks.z", NamePlace::Child(Child::V6, true)),
            ("tcp.checks.z.example.org", "checks.z", NamePlace::Empty),
            ("a.tcp.checks.z.example.org", "checks.z", NamePlace::Tcp),
            ("nx.checks.z.example.org", "checks.z", NamePlace::Empty),
            ("a.nx.checks.z.example.org", "checks.z", NamePlace::Nowhere),
            ("a.checks.z.example.org", "checks.z", NamePlace::Nowhere),
            ("signed.checks.z.example.org", "checks.z", NamePlace::Empty),
            ("a.signed.checks.z.example.org", "checks.z", NamePlace::Sealed { broken: false }),
            ("a.b.bogus.checks.z.example.org", "checks.z", NamePlace::Sealed { broken: true }),
            ("ns4.checks.z.example.org", "checks.z", NamePlace::ServerOf(Family::V4)),
            ("a.ns6.checks.z.example.org", "checks.z", NamePlace::Nowhere),
        ] {
            let place = zone.place(&wire(text));
            assert_eq!(place.at, at, "{text}");
            assert_eq!(*place.apex, wire(&format!("{apex}.example.org")), "{text}");
        }
    }

    #[test]
    fn a_name_server_below_others_makes_them_empty_and_not_wild() {
        let servers = "ns.a.z.example.org 192.0.2.1, ns.c.example.org 192.0.2.2";
        let checks = Some("c.example.org");
        let zone = ServedZone::new(ZoneSettings { servers, checks, ..settings() }).unwrap();
        for (text, at) in [
            ("a.z.example.org", NamePlace::Empty),
            ("b.a.z.example.org", NamePlace::Nowhere),
            ("x.ns.a.z.example.org", NamePlace::Nowhere),
            ("b.z.example.org", NamePlace::Wildcard),
            ("checks.z.example.org", NamePlace::Wildcard),
            ("ns.c.example.org", NamePlace::Server(&zone.servers[1])),
            ("a.ns.c.example.org", NamePlace::Nowhere),
            ("c.example.org", NamePlace::Apex),
        ] {
            assert_eq!(zone.place(&wire(text)).at, at, "{text}");
        }
    }

    #[test]
    fn a_zone_that_cannot_be_is_refused_and_why() {
        fn failed(settings: ZoneSettings<'_>) -> LayoutError {
            ServedZone::new(settings).unwrap_err()
        }
        fn made(domain: &str, servers: &str) -> LayoutError {
            failed(ZoneSettings { domain, servers, ..settings() })
        }
        let good = "ns.example.org 192.0.2.1";
        assert_eq!(made("", good), LayoutError::Name(String::new()));
        assert_eq!(made("a..b", good), LayoutError::Name("a..b".to_owned()));
        assert_eq!(made(&format!("{0}.{0}.{0}.{0}", "a".repeat(50)), good), LayoutError::Long);
        assert_eq!(made("z.example.org", " , "), LayoutError::NoServers);
        assert_eq!(
            made("z.example.org", "ns.example.org"),
            LayoutError::NoAddress("ns.example.org.".to_owned())
        );
        assert_eq!(
            made("z.example.org", "ns.example.org 192.0.2"),
            LayoutError::Address("192.0.2".to_owned())
        );
        for taken in [
            "who.checks.z.example.org",
            "z.example.org",
            "checks.z.example.org",
            "ns4.checks.z.example.org",
            "a.tcp.checks.z.example.org",
            "a.b.checks.z.example.org",
        ] {
            let error = made("z.example.org", &format!("{taken} 192.0.2.1"));
            assert_eq!(error, LayoutError::Taken(format!("{taken}.")));
        }
        for checks in ["z.example.org", "example.org", "a.b.z.example.org"] {
            let error = failed(ZoneSettings { checks: Some(checks), ..settings() });
            assert_eq!(error, LayoutError::Checks(format!("{checks}.")));
        }
    }

    #[test]
    fn the_names_of_a_scan_are_known_by_their_form() {
        let is = |text: &str| is_of_a_scan(&wire(text));
        assert!(is("0a1b2c3d-0000-4000-8000-00000000000F.5A5A5A5A.z.example.org"));
        assert!(is("0a1b2c3d-0000-4000-8000-00000000000f.5a5a5a5a.who.checks.z.example.org"));
        assert!(!is("0a1b2c3d-0000-4000-8000-00000000000f.5a5a5a5.z.example.org"));
        assert!(!is("0a1b2c3d00000-4000-8000-00000000000f.5a5a5a5a.z.example.org"));
        assert!(!is("5a5a5a5a.z.example.org"));
        assert!(!is("."));
    }
}
