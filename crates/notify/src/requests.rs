//! What subscribers asked for through the function: sealed requests that the upload fetched into the
//! notices' directory. Each is applied, and marked as such when a backup knows of it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use shelf::notices::{REQUEST_LIMIT, REQUESTS_DIRECTORY, applied_name, is_request};
use shelf::read;

use crate::keys::{NotifyKeys, Sealed};
use crate::memory::Memory;
use crate::subscription::Applied;

/// What the function seals.
#[derive(Deserialize)]
struct Request {
    token: String,
}

/// The requests that were looked at, which may go as soon as they are remembered for good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LookedAt {
    directory: PathBuf,
    names: Vec<String>,
}

impl LookedAt {
    /// Marks them: the upload removes them from the stores.
    ///
    /// # Errors
    ///
    /// The system's error. What is not marked is applied again, which changes nothing.
    pub fn mark(&self) -> io::Result<()> {
        for name in &self.names {
            fs::rename(self.directory.join(name), self.directory.join(applied_name(name)))?;
        }
        Ok(())
    }
}

/// Applies what has come; says how many requests meant something.
///
/// # Errors
///
/// The system's error.
pub(crate) fn apply(
    notices: &Path,
    keys: &NotifyKeys,
    memory: &mut Memory,
    now: DateTime<Utc>,
) -> io::Result<(LookedAt, u32)> {
    let directory = notices.join(REQUESTS_DIRECTORY);
    let opened = match read::open_directory(&directory) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((LookedAt::default(), 0));
        }
        Err(error) => return Err(error),
    };
    let mut looked = LookedAt { directory, names: Vec::new() };
    let mut meant = 0;
    for name in read::names_in(&opened)?.into_iter().filter(|name| is_request(name)) {
        let bytes = read::file_in(&opened, OsStr::new(&name), REQUEST_LIMIT);
        let token = bytes.ok().and_then(|bytes| token_of(keys, &name, &bytes));
        if token.is_some_and(|token| memory.apply(keys, &token, now) != Applied::Nothing) {
            meant += 1;
        }
        looked.names.push(name);
    }
    Ok((looked, meant))
}

/// The token in a request of this name, which is the token's digest.
fn token_of(keys: &NotifyKeys, name: &str, bytes: &[u8]) -> Option<String> {
    let text = keys.open(Sealed::Request, name.as_bytes(), bytes)?;
    let Request { token } = serde_json::from_slice(&text).ok()?;
    let digest = Sha256::digest(token.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    (digest == name).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Act;
    use crate::keys::tests::{SECRET, keys};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// What the function's tests read as well: keys and tokens are of this side, what is sealed is of theirs.
    #[derive(Deserialize)]
    struct Vector {
        secret: String,
        seal_key: String,
        verify_key: String,
        tokens: Tokens,
        requests: Vec<SealedRequest>,
    }

    #[derive(Deserialize)]
    struct Tokens {
        confirm: String,
        unsubscribe: String,
    }

    #[derive(Deserialize)]
    struct SealedRequest {
        name: String,
        sealed: String,
    }

    #[test]
    fn the_function_and_this_program_understand_each_other() {
        let text = include_str!("../testdata/subscription.json");
        let vector: Vector = serde_json::from_str(text).unwrap();
        let keys = keys();
        let ours = [SECRET.to_owned(), keys.seal_key(), keys.verify_key()];
        assert_eq!(ours, [vector.secret, vector.seal_key, vector.verify_key]);
        let tokens = [(Act::Confirm, [1; 16]), (Act::Unsubscribe, [2; 16])]
            .map(|(act, id)| keys.token(act, &id));
        assert_eq!(tokens, [vector.tokens.confirm, vector.tokens.unsubscribe]);
        let opened: Vec<Option<String>> = vector
            .requests
            .iter()
            .map(|one| token_of(&keys, &one.name, &STANDARD.decode(&one.sealed).unwrap()))
            .collect();
        assert_eq!(opened, tokens.map(Some));
        // Under another's name it is none.
        let [one, two] = &vector.requests[..] else { panic!() };
        assert_eq!(token_of(&keys, &one.name, &STANDARD.decode(&two.sealed).unwrap()), None);
    }
}
