//! Where a store may send requests on to. Pure.

use crate::config::Target;

/// The endpoint of a redirect's `Location`; `None` of one that does not belong to the target: what
/// is signed and sent must not go to whoever says so.
#[must_use]
pub fn endpoint(target: &Target, location: &str) -> Option<String> {
    let (scheme, rest) = location.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let known = target.endpoint.as_deref().unwrap_or("https://s3.amazonaws.com");
    let (known_scheme, known_rest) = known.split_once("://")?;
    let known_authority = known_rest.split(['/', '?', '#']).next()?;
    // The bucket may stand before the host.
    let bucket = format!("{}.", target.bucket);
    let authority = authority.strip_prefix(&bucket).unwrap_or(authority);
    let sound = !authority.is_empty()
        && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    let same_scheme = scheme == known_scheme || (scheme == "https" && known_scheme == "http");
    let related = domain(authority) == domain(known_authority);
    (sound && same_scheme && related).then(|| format!("{scheme}://{authority}"))
}

/// What hosts of one store have in common: the last two labels of a name, all of an address.
fn domain(authority: &str) -> &str {
    let host = match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => &authority[..at],
        _ => authority,
    };
    if host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok() {
        return host;
    }
    let mut dots = host.rmatch_indices('.').map(|(at, _)| at);
    dots.nth(1).map_or(host, |at| &host[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::target_at;

    #[test]
    fn only_the_same_stores_hosts_are_followed() {
        let aws = target_at(None);
        let of = |target: &Target, location| endpoint(target, location);
        assert_eq!(
            of(&aws, "https://reports.s3-eu-west-1.amazonaws.com/latest.json?x=1").unwrap(),
            "https://s3-eu-west-1.amazonaws.com"
        );
        for foreign in [
            "https://evil.example/latest.json",
            "https://amazonaws.com.evil.example/",
            "http://s3.eu-west-1.amazonaws.com/",
            "https://user@s3.amazonaws.com/",
            "/latest.json",
            "https://",
        ] {
            assert_eq!(of(&aws, foreign), None, "{foreign}");
        }
        let local = target_at(Some("http://127.0.0.1:9000"));
        assert_eq!(of(&local, "http://127.0.0.1:9001/reports/x").unwrap(), "http://127.0.0.1:9001");
        assert_eq!(of(&local, "http://127.0.0.2:9001/reports/x"), None);
        let v6 = target_at(Some("http://[::1]:9000"));
        assert_eq!(of(&v6, "http://[::1]:9001/x").unwrap(), "http://[::1]:9001");
    }
}
