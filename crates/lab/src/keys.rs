//! The keys of authorities and relays, made before any of them starts: so that every fingerprint
//! is known when the configuration is written.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use record::Fingerprint;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::LabError;

/// Makes a relay's keys in its data directory and gives its fingerprint.
pub(crate) async fn relay(
    nickname: &str,
    data: &Path,
    empty: &Path,
) -> Result<Fingerprint, LabError> {
    let failed = |said: String| LabError::Keys { program: "tor", whose: nickname.to_owned(), said };
    let output = Command::new("tor")
        .args(["--list-fingerprint", "--hush", "--TestingTorNetwork", "1"])
        .args(["--ORPort", "127.0.0.1:1", "--Address", "127.0.0.1", "--Nickname", nickname])
        // A testing network needs one; nothing is asked of it.
        .args(["--DirAuthority", "127.0.0.1:1 0000000000000000000000000000000000000000"])
        .arg("--DataDirectory")
        .arg(data)
        .arg("-f")
        .arg(empty)
        .arg("--defaults-torrc")
        .arg(empty)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| LabError::Start { program: "tor".to_owned(), source })?;
    let file = data.join("fingerprint");
    if !output.status.success() || !file.exists() {
        return Err(failed(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    // The nickname, a space, the fingerprint.
    let text = std::fs::read_to_string(&file).map_err(LabError::file("read", &file))?;
    let fingerprint = text.split_ascii_whitespace().next_back().and_then(|word| word.parse().ok());
    fingerprint.ok_or_else(|| failed(format!("{} holds no fingerprint", file.display())))
}

/// Makes an authority's keys as a voter in the place where tor looks for them, and gives the
/// fingerprint of its identity.
pub(crate) async fn voter(nickname: &str, data: &Path) -> Result<Fingerprint, LabError> {
    let failed =
        |said: String| LabError::Keys { program: "tor-gencert", whose: nickname.to_owned(), said };
    let start = |source| LabError::Start { program: "tor-gencert".to_owned(), source };
    let keys: PathBuf = data.join("keys");
    std::fs::create_dir_all(&keys).map_err(LabError::file("create", &keys))?;
    let certificate = keys.join("authority_certificate");
    let mut child = Command::new("tor-gencert")
        .args(["--create-identity-key", "-m", "12", "--passphrase-fd", "0", "-i"])
        .arg(keys.join("authority_identity_key"))
        .arg("-s")
        .arg(keys.join("authority_signing_key"))
        .arg("-c")
        .arg(&certificate)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    if let Some(mut stdin) = child.stdin.take() {
        // The key never leaves this machine and is worth nothing: the passphrase is a formality.
        // Should it not arrive, the program says so.
        let _ = stdin.write_all(b"lab\n").await;
    }
    let output = child.wait_with_output().await.map_err(start)?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text =
        std::fs::read_to_string(&certificate).map_err(LabError::file("read", &certificate))?;
    let fingerprint = text.lines().find_map(|line| line.strip_prefix("fingerprint ")?.parse().ok());
    fingerprint.ok_or_else(|| failed("its certificate holds no fingerprint".to_owned()))
}

/// The name of a family's key, as files have it.
const FAMILY: &str = "family";

/// Makes a family's key (proposal 321) in this directory, and gives its id as a torrc has it.
pub(crate) async fn family(dir: &Path, empty: &Path) -> Result<String, LabError> {
    let output = Command::new("tor")
        .args(["--keygen-family", FAMILY, "--hush", "-f"])
        .arg(empty)
        .arg("--defaults-torrc")
        .arg(empty)
        .current_dir(dir)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| LabError::Start { program: "tor".to_owned(), source })?;
    let file = dir.join(format!("{FAMILY}.public_family_id"));
    if !output.status.success() || !file.exists() {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        return Err(LabError::Keys { program: "tor", whose: "the family".to_owned(), said });
    }
    let id = std::fs::read_to_string(&file).map_err(LabError::file("read", &file))?;
    Ok(id.trim().to_owned())
}

/// Puts the family's key, made in `dir`, among those of a relay.
pub(crate) fn give_family(dir: &Path, data: &Path) -> Result<(), LabError> {
    let name = format!("{FAMILY}.secret_family_key");
    let to = data.join("keys").join(&name);
    std::fs::copy(dir.join(name), &to).map_err(LabError::file("write", &to))?;
    Ok(())
}
