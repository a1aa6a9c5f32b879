//! What is written, in which order, with which headers, and what is left alone.

use std::fs;
use std::time::{Duration, SystemTime};

use record::FileKind;

use super::fixture::{
    Published, assert_consistent, assert_same, ends, name, push, text_of, upload,
};
use super::proxy::{Fault, Proxy};
use super::server::Server;

fn pass(server: &Server) -> Proxy {
    Proxy::start(server, |_| Fault::Pass)
}

/// A file's time, as if it had been written so long ago or ahead.
fn touch(path: &std::path::Path, ahead: Duration) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() + ahead).unwrap();
}

#[test]
fn an_empty_bucket_gets_all_in_order_and_then_only_what_is_new() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let mut published = Published::new(dir.path(), 3, 2000);
    fs::create_dir(dir.path().join("assets")).unwrap();
    fs::write(dir.path().join("assets/app.js"), "1").unwrap();
    fs::write(dir.path().join(".unfinished-x"), "half").unwrap();

    let proxy = pass(&server);
    let text = ends(&mut push(proxy.address, dir.path()), 0);
    assert!(text.contains("7 written"), "{text}");
    let log = proxy.log();
    let place = |what: &str| log.iter().position(|line| line == what).unwrap();
    let last_report = (0..3).map(|n| place(&format!("HEAD {}", name(n)))).max().unwrap();
    assert!(last_report < place("PUT trends.json"), "{log:#?}");
    assert!(place("HEAD trends.json") < place("PUT files.json"), "{log:#?}");
    assert!(place("HEAD files.json") < place("PUT latest.json"), "{log:#?}");
    assert_consistent(&server.bucket(), "at first");
    assert_eq!(fs::read(server.bucket().join("assets/app.js")).unwrap(), b"1");
    assert!(!server.bucket().join(".unfinished-x").exists());
    for key in ["latest.json", "files.json", "trends.json"] {
        let attributes = server.attributes(key);
        assert_eq!(attributes["cache_control"], "public, max-age=60", "{key}");
        assert_eq!(attributes["content_type"], "application/json", "{key}");
    }
    let attributes = server.attributes(&name(0));
    assert_eq!(attributes["cache_control"], "public, max-age=31536000, immutable");

    // Nothing to do: the lists say so. Data that is not listed is looked at, one by one.
    let proxy = pass(&server);
    let text = ends(&mut push(proxy.address, dir.path()), 0);
    assert!(text.contains("0 written") && text.contains("7 there already"), "{text}");
    let mut log = proxy.log();
    log.sort();
    let wanted = ["GET ", "GET ", "GET files.json", "HEAD assets/app.js", "HEAD latest.json"];
    assert_eq!(log, [&wanted[..], &["HEAD trends.json"]].concat());

    published.add(3, 2000);
    let proxy = pass(&server);
    let text = ends(&mut push(proxy.address, dir.path()), 0);
    assert!(text.contains("4 written"), "{text}");
    assert_consistent(&server.bucket(), "with a new one");
    let writes = |log: Vec<String>| {
        log.into_iter().filter(|line| line.starts_with("PUT")).collect::<Vec<_>>()
    };
    let wanted = [
        format!("PUT {}", name(3)),
        "PUT trends.json".into(),
        "PUT files.json".into(),
        "PUT latest.json".into(),
    ];
    assert_eq!(writes(proxy.log()), wanted);

    // Everything is looked at where that is wished.
    let text = ends(push(server.address, dir.path()).arg("--verify"), 0);
    assert!(text.contains("0 written"), "{text}");
}

#[test]
fn a_dry_run_says_what_and_writes_nothing() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    Published::new(dir.path(), 1, 1000);
    let text = ends(push(server.address, dir.path()).arg("--dry-run"), 0);
    assert!(text.contains(&format!("would write {}", name(0))), "{text}");
    assert!(text.contains("would write latest.json"), "{text}");
    assert_eq!(fs::read_dir(server.bucket()).unwrap().count(), 0);
}

#[test]
fn other_bytes_under_an_immutable_name_are_an_error() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let mut published = Published::new(dir.path(), 2, 1000);
    ends(&mut push(server.address, dir.path()), 0);
    let before = fs::read(server.bucket().join("latest.json")).unwrap();

    // Of the same size, in the bucket: what is there is not overwritten, and nothing points on.
    let object = server.bucket().join(name(0));
    let mut bytes = fs::read(&object).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let path = dir.path().join(name(0));
    let good = fs::read(&path).unwrap();
    fs::write(&path, &bytes).unwrap();
    touch(&path, Duration::from_secs(60));
    published.add(2, 1000);
    let text = ends(&mut push(server.address, dir.path()), 33);
    assert!(text.contains("not the digest that files.json names"), "{text}");
    published.file(&name(0), FileKind::Report, "2026-01-01T00:00:00Z".parse().unwrap(), &bytes);
    published.list();
    let text = ends(&mut push(server.address, dir.path()), 67);
    assert!(text.contains(&name(0)), "{text}");
    assert_eq!(fs::read(&object).unwrap(), good);
    assert_eq!(fs::read(server.bucket().join("latest.json")).unwrap(), before);
    assert_consistent(&server.bucket(), "after a conflict");

    // Of another size.
    let mut other = Published::new(&dir.path().join("other"), 1, 1200);
    let text = ends(push(server.address, &other.directory).arg("--allow-older"), 67);
    assert!(text.contains("other bytes are there"), "{text}");
    other.add(1, 1200);
    assert_eq!(fs::read(&object).unwrap(), good);
    assert_consistent(&server.bucket(), "after another");
}

#[test]
fn a_list_that_names_what_is_nowhere_is_not_published() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    Published::new(dir.path(), 2, 1000);
    fs::remove_file(dir.path().join(name(0))).unwrap();
    let text = ends(&mut push(server.address, dir.path()), 33);
    assert!(text.contains(&name(0)) && text.contains("aggregate files"), "{text}");
    assert!(!server.bucket().join("files.json").exists());
    assert!(!server.bucket().join("latest.json").exists());
}

#[test]
fn what_is_in_the_store_only_may_be_listed() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let mut published = Published::new(dir.path(), 2, 1000);
    ends(&mut push(server.address, dir.path()), 0);
    fs::remove_file(dir.path().join(name(0))).unwrap();
    published.add(2, 1000);
    ends(&mut push(server.address, dir.path()), 0);
    assert_consistent(&server.bucket(), "with one that is not here");
}

#[test]
fn pointers_of_a_later_report_stay() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let newer = Published::new(&dir.path().join("newer"), 3, 1000);
    let older = Published::new(&dir.path().join("older"), 2, 1000);
    ends(&mut push(server.address, &newer.directory), 0);
    let text = ends(&mut push(server.address, &older.directory), 31);
    assert!(text.contains("--allow-older"), "{text}");
    assert_same(&server.bucket(), &newer.directory);
    ends(push(server.address, &older.directory).arg("--allow-older"), 0);
    assert_same(&server.bucket(), &older.directory);
    assert_consistent(&server.bucket(), "with the older");
}

#[test]
fn large_files_go_in_parts() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let mut published = Published::new(dir.path(), 1, 1000);
    let large: Vec<u8> = (0..5_000_000u32).flat_map(u32::to_le_bytes).collect();
    let archive = "dns_health_2026-08.tar.xz";
    let month = "2026-08-01T00:00:00Z".parse().unwrap();
    published.file(archive, FileKind::Archive, month, &large);
    published.list();
    let cut = std::sync::atomic::AtomicBool::new(true);
    let proxy = Proxy::start(&server, move |seen| {
        let part = seen.path.contains("partNumber=2");
        if part && cut.swap(false, std::sync::atomic::Ordering::Relaxed) {
            return Fault::CutRequest(100_000);
        }
        Fault::Pass
    });
    ends(&mut push(proxy.address, dir.path()), 0);
    assert!(fs::read(server.bucket().join(archive)).unwrap() == large);
    let wanted = "public, max-age=31536000, immutable";
    assert_eq!(server.attributes(archive)["cache_control"], wanted);
    let proxy = pass(&server);
    let text = ends(push(proxy.address, dir.path()).arg("--verify"), 0);
    assert!(text.contains("0 written"), "{text}");
    assert!(proxy.log().iter().all(|line| line != &format!("GET {archive}")));
}

#[test]
fn a_store_without_conditional_writes_is_looked_at_first() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    Published::new(dir.path(), 2, 1000);
    let proxy = Proxy::start(&server, |seen| {
        let conditional = seen.method == "PUT" && seen.conditional;
        if conditional { Fault::Answer(501, "NotImplemented") } else { Fault::Pass }
    });
    ends(&mut push(proxy.address, dir.path()), 0);
    assert_same(&server.bucket(), dir.path());
    let text = ends(upload(proxy.address).arg("--check"), 0);
    assert!(text.contains("does not know conditional writes"), "{text}");
}

#[test]
fn check_leaves_nothing() {
    let server = Server::start();
    let text = ends(upload(server.address).arg("--check"), 0);
    assert!(text.contains("refuses to overwrite"), "{text}");
    assert_eq!(fs::read_dir(server.bucket()).unwrap().count(), 0);
}

#[test]
fn a_prefix_comes_before_every_key() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    Published::new(dir.path(), 1, 1000);
    for wanted in ["4 written", "0 written"] {
        let text = ends(push(server.address, dir.path()).env("S3_PREFIX", "tor/dns"), 0);
        assert!(text.contains(wanted), "{text}");
    }
    assert_same(&server.bucket().join("tor/dns"), dir.path());
}

#[test]
fn pruning_shows_first_and_spares_what_is_listed_or_in_no_archive() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let mut published = Published::new(dir.path(), 6, 1000);
    let bytes = |number| (name(number), fs::read(dir.path().join(name(number))).unwrap());
    let all: Vec<_> = (0..6).map(bytes).collect();
    let archive = |name: &str, members: &[(String, Vec<u8>)], published: &mut Published| {
        let month = "2023-11-01T00:00:00Z".parse().unwrap();
        published.file(name, FileKind::Archive, month, &archive(members));
        published.list();
    };
    // 0 and 1 are in an archive that another one takes the place of, which has 2 as well, and has
    // 3 with other content. 4 was removed by hand.
    archive("dns_health_2023-11.tar.gz", &all[..2], &mut published);
    ends(&mut push(server.address, dir.path()), 0);
    let mut members = all[..4].to_vec();
    members[3].1.push(b'\n');
    archive("dns_health_2023-11-2.tar.gz", &members, &mut published);
    for number in 0..5 {
        published.forget(number);
    }
    published.forget_file("dns_health_2023-11.tar.gz");
    ends(&mut push(server.address, dir.path()), 0);
    let prune = || {
        let mut command = upload(server.address);
        command.args(["prune", "--keep-days", "1"]);
        command
    };
    let text = ends(&mut prune(), 69);
    assert!(text.contains("less than 10 minutes ago"), "{text}");
    let settle = || {
        let list = fs::File::options().write(true).open(server.bucket().join("files.json"));
        list.unwrap().set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    };
    settle();
    let text = ends(&mut prune(), 0);
    for gone in [&name(0), &name(1), &name(2), "dns_health_2023-11.tar.gz"] {
        assert!(text.contains(&format!("would remove {gone}")), "{text}");
    }
    assert!(text.contains("--yes") && text.contains("2 more are as old, and stay because files"));
    assert!(text.contains("2 more are as old, and stay because no archive"), "{text}");
    assert!(server.bucket().join(name(0)).exists());
    ends(prune().arg("--yes"), 0);
    let there = |name: &str| server.bucket().join(name).exists();
    assert!((0..3).all(|number| !there(&name(number))));
    assert!((3..6).all(|number| there(&name(number))));
    assert!(!there("dns_health_2023-11.tar.gz") && there("dns_health_2023-11-2.tar.gz"));
    assert_consistent(&server.bucket(), "after pruning");

    // An archive that is damaged in the store vouches for nothing.
    ends(&mut push(server.address, dir.path()), 0);
    fs::write(server.bucket().join(name(0)), &all[0].1).unwrap();
    let damaged = server.bucket().join("dns_health_2023-11-2.tar.gz");
    let mut bytes = fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    settle();
    let text = text_of(prune().arg("--yes"));
    assert!(there(&name(0)), "{text}");
}

fn archive(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    for (name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, &**bytes).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}
