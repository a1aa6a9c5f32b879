//! What of the notices goes between this host and its stores: names, here and there. Who sends notices
//! reads and writes it here and knows no store; who uploads carries it and can open none of it.

/// The sealed memory, in the notices' directory.
pub const SEALED_FILE: &str = "notices.sealed";

/// The memory itself, there.
pub const MEMORY_FILE: &str = "notices.json";

/// The directory there with what subscribers asked for.
pub const REQUESTS_DIRECTORY: &str = "requests";

/// The sealed memory, in a store.
pub const SEALED_KEY: &str = "private/notices.sealed";

/// Where in a store the function puts what subscribers ask for.
pub const REQUESTS_PREFIX: &str = "requests/";

/// What in a store is for this host alone begins with one of these.
pub const PRIVATE_PREFIXES: [&str; 2] = ["private/", REQUESTS_PREFIX];

/// The largest sealed memory that is read, in bytes.
pub const SEALED_LIMIT: u64 = 128 << 20;

/// The largest request that is read, in bytes: a sealed token has some 200.
pub const REQUEST_LIMIT: u64 = 4096;

/// The most requests that are taken in at once: each is of a token that was mailed.
pub const REQUESTS_LIMIT: usize = 10_000;

/// How the name of a request ends here that was applied, and may go from the stores.
const APPLIED: &str = ".applied";

/// Whether a name is a request's: the SHA-256 of its token, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn is_request(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The name here of a request that was applied.
#[must_use]
pub fn applied_name(request: &str) -> String {
    format!("{request}{APPLIED}")
}

/// The request that was applied, of its name here; `None` of another.
#[must_use]
pub fn applied_request(name: &str) -> Option<&str> {
    name.strip_suffix(APPLIED).filter(|request| is_request(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_requests() {
        let name = "0123456789abcdef".repeat(4);
        assert!(is_request(&name));
        assert_eq!(applied_request(&applied_name(&name)), Some(name.as_str()));
        for other in
            ["", "..", &name[1..], &name.to_uppercase(), &format!("{name}/"), &format!("{name}0")]
        {
            assert!(!is_request(other), "{other}");
            assert_eq!(applied_request(&applied_name(other)), None, "{other}");
        }
    }
}
