//! The names that are asked for: one of its own for every query, so that no cache anywhere can
//! answer it and the zone's log tells which exit asked.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use record::{CheckName, Fingerprint};

/// Longest name in characters, without the root's dot (RFC 1035, section 2.3.4: 255 octets on the
/// wire).
const MAX_NAME: usize = 253;

/// Characters before the domain: a UUID, a dot, 8 digits of the fingerprint, a dot.
const PREFIX: usize = 36 + 1 + 8 + 1;

/// A domain that names can be made under: lower case, as tor shows names once they are attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(String);

/// Text that is not a usable domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDomain {
    /// Not labels of letters, digits, hyphens and underscores, joined by dots.
    #[error(
        "a domain is labels of 1 to 63 letters, digits, '-' or '_', joined by dots, for example \
         tor.exit.validator.1aeo.com"
    )]
    Syntax,
    /// Too long to make names under.
    #[error(
        "the domain has {0} characters; it may have {max}, so that a name made under it fits into \
         {MAX_NAME}",
        max = MAX_NAME - PREFIX
    )]
    TooLong(usize),
    /// An address instead of a name.
    #[error("this is an address, not a domain")]
    Address,
    /// Tor resolves no such names at exits.
    #[error("tor does not ask exits for names under .onion or .exit")]
    Special,
}

impl Domain {
    /// The domain, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name, in whatever case, is one that a scan makes: by [`Domain::fresh_name`] under this
    /// domain, or under the label of a check, wherever. Others under the domain are those of people who look
    /// at our zone.
    #[must_use]
    pub fn made(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let mut parts = name.splitn(3, '.');
        let (Some(uuid), Some(exit), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let label = rest.split('.').next().unwrap_or_default();
        let of_check = CheckName::ALL.iter().any(|check| check.as_str() == label);
        (rest == self.0 || of_check)
            && uuid::Uuid::try_parse(uuid).is_ok_and(|id| id.hyphenated().to_string() == uuid)
            && exit.len() == 8
            && exit.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// A new name for a query of this exit: `{uuid}.{first 8 of the fingerprint}.{domain}`.
    pub fn fresh_name(&self, exit: &Fingerprint, rng: &mut impl Rng) -> String {
        format!("{}.{}", fresh(exit, rng), self.0)
    }

    /// The same under a label of the domain: `{uuid}.{first 8 of the fingerprint}.{label}.{domain}`.
    pub(crate) fn fresh_name_under(
        &self,
        exit: &Fingerprint,
        label: &str,
        rng: &mut impl Rng,
    ) -> String {
        format!("{}.{label}.{}", fresh(exit, rng), self.0)
    }
}

fn fresh(exit: &Fingerprint, rng: &mut impl Rng) -> String {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    let uuid = uuid::Builder::from_random_bytes(bytes).into_uuid();
    format!("{uuid}.{}", exit.short())
}

impl FromStr for Domain {
    type Err = InvalidDomain;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.parse::<std::net::IpAddr>().is_ok() {
            return Err(InvalidDomain::Address);
        }
        if !name.split('.').all(label) {
            return Err(InvalidDomain::Syntax);
        }
        if name.len() > MAX_NAME - PREFIX {
            return Err(InvalidDomain::TooLong(name.len()));
        }
        if matches!(name.rsplit('.').next(), Some("onion" | "exit")) {
            return Err(InvalidDomain::Special);
        }
        Ok(Self(name))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn names_are_fresh_lower_case_and_fit() {
        let longest = format!("{}.{}", "a".repeat(63), "b.".repeat(71) + "c");
        let mut rng = StdRng::seed_from_u64(1);
        for domain in ["Tor.Exit.Validator.1aeo.com.", &longest] {
            let domain: Domain = domain.parse().unwrap();
            let exit = Fingerprint::from_bytes([0xAB; 20]);
            let names = [0; 2].map(|_| domain.fresh_name(&exit, &mut rng));
            assert_ne!(names[0], names[1]);
            for name in names {
                assert!(name.len() <= MAX_NAME, "{}", name.len());
                assert_eq!(name, name.to_lowercase());
                assert_eq!(&name[36..46], ".abababab.");
                assert!(name.ends_with(domain.as_str()));
                assert!(domain.made(&name.to_uppercase()));
                assert!(!domain.made(&name.replace("-", "")));
                assert!(!domain.made(&format!("www.{domain}")));
                let other: Domain = "checks.example.org".parse().unwrap();
                let check = other.fresh_name_under(&exit, "who", &mut rng);
                assert_eq!(&check[36..], ".abababab.who.checks.example.org");
                assert!(domain.made(&check.to_uppercase()));
                assert!(!domain.made(&other.fresh_name(&exit, &mut rng)));
                assert!(!domain.made(&other.fresh_name_under(&exit, "whom", &mut rng)));
                assert!(!domain.made("www.abababab.who.checks.example.org"));
            }
        }
    }

    #[test]
    fn refuses_what_names_cannot_be_made_under() {
        let long = "a.".repeat(104) + "a";
        for (text, why) in [
            ("", InvalidDomain::Syntax),
            (".", InvalidDomain::Syntax),
            ("a..b", InvalidDomain::Syntax),
            ("exa mple.com", InvalidDomain::Syntax),
            ("example.com\r\nQUIT", InvalidDomain::Syntax),
            ("-a.com", InvalidDomain::Syntax),
            ("bücher.example", InvalidDomain::Syntax),
            (&"a".repeat(64), InvalidDomain::Syntax),
            (&long, InvalidDomain::TooLong(209)),
            ("192.0.2.1", InvalidDomain::Address),
            ("abc.onion", InvalidDomain::Special),
            ("abc.EXIT", InvalidDomain::Special),
        ] {
            assert_eq!(text.parse::<Domain>(), Err(why), "{text}");
        }
    }
}
