//! What is written, in which order, with which headers, and what is left alone.

use std::fs;
use std::time::{Duration, SystemTime};

use record::{FileKind, Files, Kind};

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

/// What is replaced with each report has its type, and is kept for a minute.
#[track_caller]
fn assert_typed(server: &Server) {
    let metrics = "text/plain; version=0.0.4; charset=utf-8";
    for (key, content_type) in [
        ("latest.json", "application/json"),
        ("files.json", "application/json"),
        ("trends.json", "application/json"),
        ("badges/A.json", "application/json"),
        ("metrics.prom", metrics),
    ] {
        let attributes = server.attributes(key);
        assert_eq!(attributes["cache_control"], "public, max-age=60", "{key}");
        assert_eq!(attributes["content_type"], content_type, "{key}");
    }
}

#[test]
fn an_empty_bucket_gets_all_in_order_and_then_only_what_is_new() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let mut published = Published::new(dir.path(), 3, 2000);
    fs::create_dir(dir.path().join("assets")).unwrap();
    fs::write(dir.path().join("assets/app.js"), "1").unwrap();
    fs::write(dir.path().join(".unfinished-x"), "half").unwrap();
    fs::create_dir(dir.path().join("badges")).unwrap();
    fs::write(dir.path().join("badges/A.json"), "{}").unwrap();
    fs::write(dir.path().join("metrics.prom"), "a 1\n").unwrap();

    let proxy = pass(&server);
    let text = ends(&mut push(proxy.address, dir.path()), 0);
    assert!(text.contains("9 written"), "{text}");
    let log = proxy.log();
    let place = |what: &str| log.iter().position(|line| line == what).unwrap();
    let last_report = (0..3).map(|n| place(&format!("HEAD {}", name(n)))).max().unwrap();
    assert!(last_report < place("PUT trends.json"), "{log:#?}");
    assert!(place("HEAD trends.json") < place("PUT files.json"), "{log:#?}");
    assert!(place("HEAD files.json") < place("PUT latest.json"), "{log:#?}");
    assert!(place("HEAD latest.json") < place("PUT badges/A.json"), "{log:#?}");
    assert!(place("HEAD latest.json") < place("PUT metrics.prom"), "{log:#?}");
    assert_consistent(&server.bucket(), "at first");
    assert_eq!(fs::read(server.bucket().join("assets/app.js")).unwrap(), b"1");
    assert!(!server.bucket().join(".unfinished-x").exists());
    assert_typed(&server);
    let attributes = server.attributes(&name(0));
    assert_eq!(attributes["cache_control"], "public, max-age=31536000, immutable");

    // Nothing to do: the lists say so. Data that is not listed is looked at, one by one.
    let proxy = pass(&server);
    let text = ends(&mut push(proxy.address, dir.path()), 0);
    assert!(text.contains("0 written") && text.contains("9 there already"), "{text}");
    let mut log = proxy.log();
    log.sort();
    let wanted = [
        "GET ",
        "GET ",
        "GET ",
        "GET files.json",
        "HEAD assets/app.js",
        "HEAD badges/A.json",
        "HEAD latest.json",
        "HEAD metrics.prom",
        "HEAD trends.json",
    ];
    assert_eq!(log, wanted);

    published.add(3, 2000);
    fs::write(dir.path().join("metrics.prom"), "a 2\n").unwrap();
    let proxy = pass(&server);
    let text = ends(&mut push(proxy.address, dir.path()), 0);
    assert!(text.contains("5 written"), "{text}");
    assert_consistent(&server.bucket(), "with a new one");
    let writes = |log: Vec<String>| {
        log.into_iter().filter(|line| line.starts_with("PUT")).collect::<Vec<_>>()
    };
    let wanted = [
        format!("PUT {}", name(3)),
        "PUT trends.json".into(),
        "PUT files.json".into(),
        "PUT latest.json".into(),
        "PUT metrics.prom".into(),
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
    for (host, value) in [(&newer, "2"), (&older, "1")] {
        fs::write(host.directory.join("metrics.prom"), value).unwrap();
    }
    ends(&mut push(server.address, &newer.directory), 0);
    let text = ends(&mut push(server.address, &older.directory), 31);
    assert!(text.contains("--allow-older"), "{text}");
    assert_same(&server.bucket(), &newer.directory);
    ends(push(server.address, &older.directory).arg("--allow-older"), 0);
    for name in ["latest.json", "metrics.prom"] {
        let read = |directory: &std::path::Path| fs::read(directory.join(name)).unwrap();
        assert_eq!(read(&server.bucket()), read(&older.directory), "{name}");
    }
    assert_eq!(listed(&server).len(), 3, "what was listed stays listed");
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
    ends(push(proxy.address, dir.path()).args(["--timeout", "60"]), 0);
    assert!(fs::read(server.bucket().join(archive)).unwrap() == large);
    let wanted = "public, max-age=31536000, immutable";
    assert_eq!(server.attributes(archive)["cache_control"], wanted);
    let proxy = pass(&server);
    let text = ends(push(proxy.address, dir.path()).args(["--verify", "--timeout", "60"]), 0);
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
    assert!(text.contains("run again in 10 minutes") && !text.contains("uploader"), "{text}");
    let settle = || {
        let list = fs::File::options().write(true).open(server.bucket().join("files.json"));
        list.unwrap().set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    };
    settle();
    // What nobody lists and no archive holds.
    fs::write(server.bucket().join(name(9)), "alone").unwrap();
    let text = ends(&mut prune(), 0);
    for gone in [&name(0), &name(1), &name(2), "dns_health_2023-11.tar.gz"] {
        assert!(text.contains(&format!("would remove {gone}")), "{text}");
    }
    // 3 and 4 are in no archive as they are, so the list still names them.
    assert!(text.contains("--yes") && text.contains("4 more are as old, and stay because files"));
    assert!(text.contains("1 more are as old, and stay because no archive"), "{text}");
    assert!(server.bucket().join(name(0)).exists());
    ends(prune().arg("--yes"), 0);
    let there = |name: &str| server.bucket().join(name).exists();
    assert!((0..3).all(|number| !there(&name(number))));
    assert!((3..6).all(|number| there(&name(number))) && there(&name(9)));
    assert_eq!(listed(&server).len(), 4);
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

/// What the store's list names, sorted.
pub fn listed(server: &Server) -> Vec<String> {
    let bytes = fs::read(server.bucket().join("files.json")).unwrap();
    let files: Files = Kind::Files.parse(&bytes).unwrap();
    let mut names: Vec<String> = files.files.into_iter().map(|file| file.name).collect();
    names.sort();
    names
}

#[test]
fn two_hosts_on_one_bucket_make_no_list_shorter() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let mut hosts = [
        Published::new(&dir.path().join("one"), 0, 1000),
        Published::new(&dir.path().join("two"), 0, 1000),
    ];
    let mut all = Vec::new();
    for number in 0..8_u32 {
        let host = &mut hosts[usize::try_from(number % 2).unwrap()];
        host.add(number, 1000);
        all.push(name(number));
        ends(&mut push(server.address, &host.directory), 0);
        assert_eq!(listed(&server), all);
        assert_consistent(&server.bucket(), "two hosts");
    }
    // The one that is behind adds what it has, and leaves the newer report.
    hosts[0].add(5, 1200);
    hosts[0].forget(6);
    hosts[0].forget(5);
    hosts[0].file(
        "dns_health_2023-11-16_00-00-00.json",
        FileKind::Report,
        "2023-11-16T00:00:00Z".parse().unwrap(),
        b"{}",
    );
    hosts[0].list();
    let latest = fs::read(server.bucket().join("latest.json")).unwrap();
    let text = ends(&mut push(server.address, &hosts[0].directory), 31);
    assert!(text.contains("later report"), "{text}");
    assert_eq!(listed(&server).len(), 9);
    assert_eq!(fs::read(server.bucket().join("latest.json")).unwrap(), latest);
    assert_consistent(&server.bucket(), "behind");
    // A host that begins anew.
    let mut fresh = Published::new(&dir.path().join("fresh"), 0, 1000);
    fresh.add(9, 1000);
    ends(&mut push(server.address, &fresh.directory), 0);
    assert_eq!(listed(&server).len(), 10);
    // Nothing more to do.
    let text = ends(&mut push(server.address, &fresh.directory), 0);
    assert!(text.contains("0 written"), "{text}");
    // What somebody removed from the bucket is not listed for ever.
    fs::remove_file(server.bucket().join(name(1))).unwrap();
    let text = ends(&mut push(server.address, &fresh.directory), 0);
    assert!(text.contains("1 files that the store's list names are not there"), "{text}");
    assert_eq!(listed(&server).len(), 9);
}

#[test]
fn reports_that_went_into_an_archive_leave_the_list() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let mut published = Published::new(dir.path(), 4, 1000);
    ends(&mut push(server.address, dir.path()), 0);
    let members: Vec<_> =
        (0..2).map(|n| (name(n), fs::read(dir.path().join(name(n))).unwrap())).collect();
    let month = "2023-11-01T00:00:00Z".parse().unwrap();
    let (one, two) = ("dns_health_2023-11.tar.gz", "dns_health_2023-11-2.tar.gz");
    published.file(one, FileKind::Archive, month, &archive(&members[..1]));
    published.forget(0);
    ends(&mut push(server.address, dir.path()), 0);
    assert!(!listed(&server).contains(&name(0)) && listed(&server).contains(&name(1)));
    // The next variant holds it all; the archive itself is gone here already.
    published.file(two, FileKind::Archive, month, &archive(&members));
    published.forget(1);
    published.forget_file(one);
    fs::remove_file(dir.path().join(two)).unwrap();
    fs::write(server.bucket().join(two), archive(&members)).unwrap();
    ends(&mut push(server.address, dir.path()), 0);
    assert_eq!(listed(&server), [name(2), name(3), two.to_owned()]);
    assert_consistent(&server.bucket(), "archived");
}

#[test]
fn what_was_published_comes_back() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let lost = Published::new(&dir.path().join("lost"), 4, 1000);
    ends(&mut push(server.address, &lost.directory), 0);
    let back = dir.path().join("back");
    let restore = |arguments: &[&str]| {
        let mut command = upload(server.address);
        command.args(["restore", "--dir"]).arg(&back).args(arguments);
        command
    };
    let text = ends(&mut restore(&["--dry-run"]), 0);
    assert!(text.contains("7 files would be fetched") && !back.exists(), "{text}");
    let text = ends(&mut restore(&[]), 0);
    assert!(text.contains("7 files fetched") && text.contains("history rebuild"), "{text}");
    assert_same(&back, &lost.directory);
    let text = ends(&mut restore(&[]), 0);
    assert!(text.contains("0 files fetched") && text.contains("4 here already"), "{text}");
    // What is newer here stays; what is another is named, and stays.
    let mut newer = Published::new(&back, 0, 1000);
    newer.add(7, 1000);
    let latest = fs::read(back.join("latest.json")).unwrap();
    ends(&mut restore(&[]), 0);
    assert_eq!(fs::read(back.join("latest.json")).unwrap(), latest);
    fs::write(back.join(name(2)), "another").unwrap();
    let text = ends(&mut restore(&[]), 67);
    assert!(text.contains(&name(2)), "{text}");
    assert_eq!(fs::read(back.join(name(2))).unwrap(), b"another");
    // Damaged in the store: it gets no name here, and the others come.
    fs::remove_file(back.join(name(2))).unwrap();
    fs::remove_file(back.join(name(3))).unwrap();
    let object = server.bucket().join(name(2));
    let mut bytes = fs::read(&object).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&object, bytes).unwrap();
    ends(&mut restore(&["--max-tries", "1"]), 68);
    assert!(!back.join(name(2)).exists() && back.join(name(3)).exists());
    // A list that names what is none of ours is not believed.
    let list = fs::read_to_string(server.bucket().join("files.json")).unwrap();
    let list: &'static str = list.replacen(&name(3), "../evil.json", 1).leak();
    let proxy = Proxy::start(&server, move |seen| {
        if seen.path.contains("files.json") { Fault::Document(list) } else { Fault::Pass }
    });
    let text = ends(upload(proxy.address).args(["restore", "--dir"]).arg(&back), 33);
    assert!(text.contains("no report and no archive"), "{text}");
    let empty = Server::start();
    let text = ends(upload(empty.address).args(["restore", "--dir"]).arg(&back), 33);
    assert!(text.contains("no files.json"), "{text}");
}

#[test]
fn etags_that_look_like_md5s_and_are_none() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let mut published = Published::new(dir.path(), 2, 1000);
    // Of what is never written under the condition that it has its ETag still: that is signed.
    let proxy = || {
        Proxy::start(&server, |seen| {
            let turned = ["dns_health_", "list-type"].iter().any(|part| seen.path.contains(part));
            if turned { Fault::OtherEtags } else { Fault::Pass }
        })
    };
    let reads = |proxy: &Proxy| {
        let read = |line: &&String| line.starts_with("GET dns_health_");
        proxy.log().iter().filter(read).count()
    };
    let first = proxy();
    let text = ends(&mut push(first.address, dir.path()), 0);
    assert!(text.contains("5 written"), "{text}");
    assert!(
        reads(&first) <= 2,
        "one object is read to see what its ETag is worth: {:?}",
        first.log()
    );
    published.add(2, 1000);
    ends(&mut push(proxy().address, dir.path()), 0);
    assert_same(&server.bucket(), dir.path());
    ends(push(proxy().address, dir.path()).arg("--verify"), 0);
    // Other bytes are still told.
    let object = server.bucket().join(name(0));
    let mut bytes = fs::read(&object).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&object, bytes).unwrap();
    ends(push(proxy().address, dir.path()).arg("--verify"), 67);
}

#[test]
fn conditions_that_are_answered_with_400_are_looked_at_first() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    Published::new(dir.path(), 2, 1000);
    let proxy = Proxy::start(&server, |seen| {
        let conditional = seen.method == "PUT" && seen.conditional;
        if conditional { Fault::Answer(400, "InvalidArgument") } else { Fault::Pass }
    });
    ends(&mut push(proxy.address, dir.path()), 0);
    assert_same(&server.bucket(), dir.path());
}

#[test]
fn a_bucket_that_is_elsewhere_is_named_or_followed() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    Published::new(dir.path(), 1, 1000);
    let there = server.address;
    let proxy = Proxy::start(&server, move |_| Fault::Elsewhere(301, there));
    let text = ends(&mut push(proxy.address, dir.path()), 62);
    assert!(text.contains("its region is eu-north-7") && text.contains("region"), "{text}");
    let proxy = Proxy::start(&server, move |_| Fault::Elsewhere(307, there));
    ends(&mut push(proxy.address, dir.path()), 0);
    assert_same(&server.bucket(), dir.path());
    // In a circle it ends, and to others it does not go.
    let circle = std::sync::Arc::new(std::sync::OnceLock::new());
    let own = std::sync::Arc::clone(&circle);
    let proxy = Proxy::start(&server, move |_| Fault::Elsewhere(307, *own.wait()));
    circle.set(proxy.address).unwrap();
    ends(&mut push(proxy.address, dir.path()), 62);
    let foreign = "192.0.2.1:80".parse().unwrap();
    let proxy = Proxy::start(&server, move |_| Fault::Elsewhere(307, foreign));
    ends(&mut push(proxy.address, dir.path()), 62);
}

#[test]
fn a_listing_that_has_no_end() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    Published::new(dir.path(), 1, 1000);
    // Tokens that alternate.
    let page = |next: &str| -> &'static str {
        format!(
            "<ListBucketResult><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>{next}</NextContinuationToken></ListBucketResult>"
        )
        .leak()
    };
    let (one, two) = (page("one"), page("two"));
    let proxy = Proxy::start(&server, move |seen| {
        Fault::Document(if seen.path.contains("continuation-token=one") { two } else { one })
    });
    let text = ends(&mut push(proxy.address, dir.path()), 69);
    assert!(text.contains("in a circle"), "{text}");
    assert_eq!(proxy.log().len(), 3);
    // A page that would fill the memory.
    let proxy = Proxy::start(&server, |_| Fault::Flood(180 << 20));
    let text = ends(push(proxy.address, dir.path()).args(["--max-tries", "1"]), 66);
    assert!(text.contains("limit"), "{text}");
}
