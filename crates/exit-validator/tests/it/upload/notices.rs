//! The sealed backup of what notices remember, to a store and back, and what subscribers asked for.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::fixture::{Published, ends, upload};
use super::server::Server;
use crate::support::program;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SEALED: &str = "private/notices.sealed";
const SECRET: &str = "they will replace the second resolver";

/// `exit-validator notify`, at a host with this key.
fn notify(host: &Path, key: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program("exit-validator"));
    command.env_clear().env("NOTIFY_KEY", key).env("NOTIFY_DIR", host.join("notify"));
    command.env("OUTPUT_DIR", host.join("public")).arg("notify").args(words);
    command
}

/// `exit-validator upload`, at a host whose objects are public.
fn store(server: &Server, host: &Path, words: &[&str]) -> Command {
    let mut command = upload(server.address);
    command.env("NOTIFY_DIR", host.join("notify")).env("OUTPUT_DIR", host.join("public"));
    command.args(["--max-tries", "2"]).args(words);
    command
}

#[test]
fn a_host_that_is_made_again_knows_what_was_told_and_nothing_takes_its_place() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let host = |name: &str| dir.path().join(name);
    let [lost, made, anew] = ["lost", "made", "anew"].map(host);
    for host in [&lost, &anew] {
        Published::new(&host.join("public"), 2, 200);
    }
    ends(&mut notify(&lost, KEY, &[]), 0);
    ends(&mut notify(&lost, KEY, &["contacted", "contact:x@example.org", SECRET]), 0);
    let said = ends(&mut store(&server, &lost, &[]), 0);
    assert!(said.contains("the backup of the notices' memory is written"), "{said}");
    let sealed = fs::read(server.bucket().join(SEALED)).unwrap();
    assert!(!String::from_utf8(sealed.clone()).unwrap().contains("resolver"));
    // Nothing has changed, and nothing is written.
    let said = ends(&mut store(&server, &lost, &[]), 0);
    assert!(!said.contains("backup"), "{said}");
    for list in ["files.json", "latest.json"] {
        let list = fs::read_to_string(server.bucket().join(list)).unwrap();
        assert!(!list.contains("notices"), "{list}");
    }

    // Another host: first only said, then done.
    ends(&mut store(&server, &made, &["restore", "--dry-run"]), 0);
    assert!(!made.join("notify").exists());
    let said = ends(&mut store(&server, &made, &["restore"]), 0);
    assert!(said.contains("the next notices go on from it"), "{said}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&made.join("notify")), 0o700);
    assert_eq!(mode(&made.join("notify/notices.sealed")), 0o600);
    let said = ends(&mut notify(&made, OTHER_KEY, &["status"]), 21);
    assert!(said.contains("sealed to another NOTIFY_KEY"), "{said}");
    assert!(ends(&mut notify(&made, "", &[]), 21).contains("no NOTIFY_KEY"));
    assert!(!made.join("notify/notices.json").exists());
    ends(&mut notify(&made, KEY, &[]), 0);
    let said = ends(&mut notify(&made, KEY, &["status"]), 0);
    assert!(said.contains(SECRET), "{said}");
    ends(&mut store(&server, &made, &["notices"]), 0);
    let newer = fs::read(server.bucket().join(SEALED)).unwrap();
    assert_ne!(newer, sealed);

    // The host that was lost is found, and knows less; one that began anew knows nothing.
    let unchanged = || assert_eq!(fs::read(server.bucket().join(SEALED)).unwrap(), newer);
    let request = "0123456789abcdef".repeat(4);
    fs::create_dir_all(server.bucket().join("requests")).unwrap();
    fs::write(server.bucket().join("requests").join(&request), "x").unwrap();
    ends(&mut store(&server, &lost, &["notices"]), 67);
    unchanged();
    // What was asked for is heard all the same, and stays in the store until there is a backup.
    let here = lost.join("notify/requests");
    assert!(here.join(&request).exists());
    ends(&mut notify(&lost, KEY, &[]), 0);
    assert!(here.join(format!("{request}.applied")).exists());
    ends(&mut store(&server, &made, &["notices"]), 0);
    assert!(server.bucket().join("requests").join(&request).exists());
    ends(&mut notify(&anew, KEY, &[]), 0);
    let said = ends(&mut store(&server, &anew, &[]), 67);
    assert!(said.contains("upload restore"), "{said}");
    unchanged();
    assert!(server.bucket().join("latest.json").exists());
    // What is here already is not replaced either.
    let before = fs::read(anew.join("notify/notices.json")).unwrap();
    ends(&mut store(&server, &anew, &["restore"]), 0);
    assert_eq!(fs::read(anew.join("notify/notices.json")).unwrap(), before);

    // Damaged in the store: told, and nothing is written here.
    fs::write(server.bucket().join(SEALED), &newer[..newer.len() / 2]).unwrap();
    let cut = host("cut");
    ends(&mut store(&server, &cut, &["restore"]), 68);
    assert!(!cut.join("notify").exists());
    // It is of no use to anybody: the next one takes its place.
    let said = ends(&mut store(&server, &made, &["notices"]), 0);
    assert!(said.contains("is damaged") && said.contains("is written"), "{said}");
}

#[test]
fn what_subscribers_asked_for_is_fetched_once_and_goes_when_it_was_applied() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("host");
    let (one, two) = ("0123456789abcdef".repeat(4), "fedcba9876543210".repeat(4));
    let there = server.bucket().join("requests");
    let here = host.join("notify/requests");
    fs::create_dir_all(&there).unwrap();
    let large = "c".repeat(64);
    for (name, size) in [(one.as_str(), 200), (&two, 200), ("other", 1), (&large, 100_000)] {
        fs::write(there.join(name), "x".repeat(size)).unwrap();
    }
    let exchange = |words: &[&str], expected: &str| {
        let said = ends(&mut store(&server, &host, &[&["notices"], words].concat()), 0);
        assert!(said.contains(expected), "{said}");
    };
    exchange(&["--dry-run"], "2 new requests of subscribers would be fetched, 0 old ones");
    assert!(!here.exists());
    exchange(&[], "2 new requests of subscribers fetched, 0 old ones");
    exchange(&[], "0 new requests of subscribers fetched, 0 old ones");
    assert_eq!(fs::metadata(&here).unwrap().permissions().mode() & 0o777, 0o700);
    // They are none of this host's key: looked at, and never again.
    Published::new(&host.join("public"), 1, 200);
    ends(&mut notify(&host, KEY, &[]), 0);
    exchange(&[], "0 new requests of subscribers fetched, 2 old ones removed");
    assert!(!there.join(&one).exists() && there.join("other").exists());
    assert_eq!(fs::read_dir(&here).unwrap().count(), 0);
    exchange(&[], "0 new requests of subscribers fetched, 0 old ones");
}

#[test]
fn the_public_keys_are_shown_and_the_secret_never() {
    let dir = tempfile::tempdir().unwrap();
    let said = ends(&mut notify(dir.path(), KEY, &["keys"]), 0);
    assert!(
        said.starts_with("NOTIFY_SEAL_KEY=") && said.contains("\nNOTIFY_VERIFY_KEY="),
        "{said}"
    );
    assert!(!said.contains(KEY), "{said}");
    let said = ends(&mut notify(dir.path(), "c2VjcmV0", &["keys"]), 2);
    assert!(said.contains("NOTIFY_KEY") && !said.contains("c2VjcmV0"), "{said}");
}
