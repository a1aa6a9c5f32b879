//! The lab's zone: which names exist, and what they resolve to. Asks and answers nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use record::CheckName;

/// Every name under this domain resolves to [`EXPECTED_ADDRESS`].
pub const WILDCARD_DOMAIN: &str = "tor.exit.validator.1aeo.com";

/// The checks zone: what its names resolve to says something of who asks.
pub const CHECKS_DOMAIN: &str = "checks.tor.exit.validator.1aeo.com";

/// No name under this domain exists; `invalid` is reserved for that (RFC 6761, section 6.4).
pub const NXDOMAIN_DOMAIN: &str = "nxdomain.lab.invalid";

/// The right answer to a type A question under [`WILDCARD_DOMAIN`].
pub const EXPECTED_ADDRESS: Ipv4Addr = Ipv4Addr::new(64, 65, 4, 1);

/// The right answer to a type AAAA question under [`WILDCARD_DOMAIN`], where the resolver knows
/// about IPv6. From the documentation prefix (RFC 3849), which tor takes for a public one.
pub const EXPECTED_ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x4041);

/// The wrong, but public address that some resolvers give. Tor takes the documentation range
/// (RFC 5737) for public addresses.
pub const OTHER_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// The address of Cloudflare Gateway's page, which a resolver gives that filters.
pub const FILTER_ADDRESS: Ipv4Addr = Ipv4Addr::new(162, 159, 36, 12);

/// The private address (RFC 1918) that some resolvers give.
pub const PRIVATE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 11, 12, 13);

/// Whether the name lies under [`WILDCARD_DOMAIN`], in whatever case and with or without the final
/// dot.
#[must_use]
pub fn exists(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name.strip_suffix(WILDCARD_DOMAIN).is_some_and(|rest| rest.ends_with('.'))
}

/// Which check a name belongs to: `NAME.LABEL.CHECKS`.
pub(crate) fn check_of(name: &str) -> Option<CheckName> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let label = name.strip_suffix(CHECKS_DOMAIN)?.strip_suffix('.')?.rsplit('.').next()?;
    CheckName::ALL.iter().copied().find(|check| check.as_str() == label)
}

/// The address in the text form that `resolved_ip` has.
#[must_use]
pub(crate) fn text(address: impl Into<IpAddr>) -> String {
    address.into().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_known_by_the_label_below_the_checks_zone() {
        assert!(CHECKS_DOMAIN.ends_with(&format!(".{WILDCARD_DOMAIN}")));
        let of = |name: &str| check_of(&format!("{name}{CHECKS_DOMAIN}."));
        assert_eq!(of("a.b.WHO."), Some(CheckName::Who));
        assert_eq!(of("a.b.v6."), Some(CheckName::V6));
        assert_eq!(
            [of("a.b.who.c."), of(""), of("xwho"), check_of("a.who.example.org")],
            [None; 4]
        );
    }

    #[test]
    fn only_names_under_the_domain_exist() {
        assert!(exists("a.b.tor.exit.validator.1aeo.com"));
        assert!(exists("A.Tor.Exit.VALIDATOR.1aeo.com."));
        for name in [
            "tor.exit.validator.1aeo.com",
            "xtor.exit.validator.1aeo.com",
            "a.nxdomain.lab.invalid",
            "google.com",
            "",
            ".",
        ] {
            assert!(!exists(name), "{name}");
        }
    }
}
