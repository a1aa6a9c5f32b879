//! Which domain a contact line claims. Pure.

use record::ProofMethod;

use crate::line::{field, is_specified};

/// The most characters of the specification's `url:`.
const URL: usize = 399;

/// A domain that a contact line claims, and how the line says that it can be proved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainClaim {
    /// The domain, in lower case: a name with a dot in it, of letters, digits and hyphens.
    pub domain: String,
    /// How it can be proved.
    pub method: ProofMethod,
}

impl DomainClaim {
    /// What a contact line claims: nothing, unless it is of the specification's version 2 and has `url:` and
    /// `proof:`. The first field of a name counts.
    #[must_use]
    pub fn of(line: &str) -> Option<Self> {
        if !is_specified(line) {
            return None;
        }
        let wanted = field(line, "proof")?;
        let method = ProofMethod::ALL.iter().find(|method| method.as_str() == wanted)?;
        Some(Self { domain: domain_of(field(line, "url")?)?, method: *method })
    }
}

/// The domain in a `url:`, which is an address or a host by itself.
fn domain_of(url: &str) -> Option<String> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_%/:.-".contains(&byte);
    if url.len() > URL || !url.bytes().all(valid) {
        return None;
    }
    let lower = url.to_ascii_lowercase();
    let rest = ["https://", "http://"].iter().find_map(|scheme| lower.strip_prefix(scheme));
    let host = rest.unwrap_or(&lower).split('/').next()?;
    is_domain(host).then(|| host.to_owned())
}

/// Whether a text can be the name of an operator's domain (RFC 1035, 2.3.1; RFC 1123, 2.1), below which
/// there is room for a fingerprint. No port, no address, no name that only resolves on a host.
#[must_use]
pub fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A fingerprint, a dot, and the domain: at most 253 characters.
    text.len() <= 253 - 41
        && text.split('.').all(label)
        && text
            .rsplit_once('.')
            .is_some_and(|(_, end)| end.starts_with(|c: char| c.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claimed(line: &str) -> Option<(String, ProofMethod)> {
        DomainClaim::of(line).map(|claim| (claim.domain, claim.method))
    }

    #[test]
    fn only_a_line_of_version_2_with_url_and_proof_claims_a_domain() {
        use ProofMethod::{DnsRsa, UriRsa};
        for (line, expected) in [
            ("url:https://example.org proof:uri-rsa ciissversion:2", Some(("example.org", UriRsa))),
            ("url:example.org proof:dns-rsa ciissversion:2", Some(("example.org", DnsRsa))),
            (
                "x proof:dns-rsa ciissversion:2 y url:HTTP://Example.ORG/tor z",
                Some(("example.org", DnsRsa)),
            ),
            (
                "url:https://www.example.org/ proof:uri-rsa ciissversion:2",
                Some(("www.example.org", UriRsa)),
            ),
            (
                "url:xn--bcher-kva.example proof:uri-rsa ciissversion:2",
                Some(("xn--bcher-kva.example", UriRsa)),
            ),
            // The first counts.
            (
                "url:a.example url:b.example proof:uri-rsa ciissversion:2",
                Some(("a.example", UriRsa)),
            ),
            ("url:a.example proof:no proof:uri-rsa ciissversion:2", None),
            ("ciissversion:1 url:a.example proof:uri-rsa ciissversion:2", None),
            // Something is missing.
            ("url:example.org proof:uri-rsa", None),
            ("url:example.org ciissversion:2", None),
            ("proof:uri-rsa ciissversion:2", None),
            ("url: proof:uri-rsa ciissversion:2", None),
            ("url:example.org proof:uri-ed25519 ciissversion:2", None),
            ("url:example.org proof:uri-rsa ciissversion:20", None),
            // No domain of an operator.
            ("url:localhost proof:uri-rsa ciissversion:2", None),
            ("url:127.0.0.1 proof:uri-rsa ciissversion:2", None),
            ("url:https://[::1]/ proof:uri-rsa ciissversion:2", None),
            ("url:https://example.org:8443/ proof:uri-rsa ciissversion:2", None),
            ("url:https://user@example.org/ proof:uri-rsa ciissversion:2", None),
            ("url:ftp://example.org/ proof:uri-rsa ciissversion:2", None),
            ("url:exämple.org proof:uri-rsa ciissversion:2", None),
            ("url:example..org proof:uri-rsa ciissversion:2", None),
            ("url:-a.example proof:uri-rsa ciissversion:2", None),
            ("url:a_b.example proof:uri-rsa ciissversion:2", None),
            ("url:example.org. proof:uri-rsa ciissversion:2", None),
        ] {
            let expected = expected.map(|(domain, method)| (domain.to_owned(), method));
            assert_eq!(claimed(line), expected, "{line}");
        }
        for (more, expected) in [(0, true), (1, false)] {
            let path = "a".repeat(399 - "https://example.org/".len() + more);
            let line = format!("url:https://example.org/{path} proof:uri-rsa ciissversion:2");
            assert_eq!(claimed(&line).is_some(), expected);
        }
        let long = format!("{0}.{0}.{0}.{1}.org", "a".repeat(63), "b".repeat(16));
        assert!(is_domain(&long) && !is_domain(&format!("a{long}")));
    }

    proptest! {
        #[test]
        fn any_line_claims_nothing_or_a_domain(
            line in prop_oneof![
                any::<String>(),
                "(url:|proof:|ciissversion:2|uri-rsa|dns-rsa|https://|a.b|[.:/%_-]|é| ){0,20}",
            ],
        ) {
            if let Some(claim) = DomainClaim::of(&line) {
                prop_assert!(is_domain(&claim.domain));
            }
        }
    }
}
