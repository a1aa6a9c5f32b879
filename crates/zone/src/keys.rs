//! The key's file, and what the zone above has to have for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::layout::{ServedZone, TTL};
use crate::sign::{ZoneKey, ZoneKeyError};

/// Longest file that is read: some hundred bytes and a comment.
const LIMIT: u64 = 16 << 10;

/// Why there is no key in a file. Nothing of what is in it is said.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or made.
    #[error("the key {path:?}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Everybody may read it.
    #[error(
        "the key {0:?} can be read by everybody on this machine: chmod 600 it, or better make another"
    )]
    Open(PathBuf),
    /// It is none.
    #[error("the key {path:?}: {error}")]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        error: ZoneKeyError,
    },
}

/// Reads the key.
///
/// # Errors
///
/// [`KeyFileError`].
pub fn read(path: &Path) -> Result<ZoneKey, KeyFileError> {
    let failed = |error| KeyFileError::File { path: path.to_owned(), error };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.mode() & 0o007 != 0 {
        return Err(KeyFileError::Open(path.to_owned()));
    }
    let mut pem = Vec::new();
    file.take(LIMIT).read_to_end(&mut pem).map_err(failed)?;
    ZoneKey::from_pem(&pem).map_err(|error| KeyFileError::Key { path: path.to_owned(), error })
}

/// Makes a key where there is none, for its owner alone. One that is there stays as it is. Says whether it was made.
///
/// # Errors
///
/// [`KeyFileError`].
pub fn make(path: &Path) -> Result<bool, KeyFileError> {
    let failed = |error| KeyFileError::File { path: path.to_owned(), error };
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    let pem =
        ZoneKey::generate().map_err(|error| KeyFileError::Key { path: path.to_owned(), error })?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(true)
}

/// The records that the zone above the checks zone has to have.
///
/// # Errors
///
/// [`ZoneKeyError`].
pub fn delegation(zone: &ServedZone, key: &ZoneKey) -> Result<String, ZoneKeyError> {
    let ServedZone { origin, checks, servers, .. } = zone;
    let mut lines = vec![format!("; for the zone above {checks}, at whoever keeps that one")];
    if origin.zone_of(checks) {
        lines.push(format!(
            "; if this program answers {origin} too, nothing above {checks} is signed, and DNSSEC cannot be \
             checked:\n; set ZONE_CHECKS_DOMAIN to a name whose zone above is signed"
        ));
    }
    lines.extend(servers.iter().map(|server| format!("{checks} {TTL} IN NS {}", server.name)));
    for server in servers.iter().filter(|server| checks.zone_of(&server.name)) {
        for address in &server.addresses {
            let kind = if address.is_ipv4() { "A" } else { "AAAA" };
            lines.push(format!("{} {TTL} IN {kind} {address}", server.name));
        }
    }
    lines.push(key.delegation(checks)?);
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::layout::tests::example;

    #[test]
    fn a_key_is_made_once_and_nobody_else_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        assert!(matches!(read(&path), Err(KeyFileError::File { .. })));
        assert!(make(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let before = fs::read(&path).unwrap();
        assert!(!make(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), before);
        let records = delegation(&example(), &read(&path).unwrap()).unwrap();
        assert!(
            records.contains("checks.z.example.org. 3600 IN NS ns1.example.org.\n"),
            "{records}"
        );
        assert!(records.contains("checks.z.example.org. 3600 IN DS "), "{records}");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read(&path), Err(KeyFileError::Open(_))));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "secret").unwrap();
        assert!(!read(&path).unwrap_err().to_string().contains("secret"));
    }
}
