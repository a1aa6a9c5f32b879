//! Every fault at every request, killed at every request, and two at once: a reader finds a
//! consistent bucket, and the next run makes it whole.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fixture::{Published, assert_consistent, assert_same, ends, name, push, text};
use super::proxy::{Fault, Proxy};
use super::server::Server;

/// A bucket with two reports, and a directory with two more.
fn scene() -> (Server, tempfile::TempDir) {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let mut published = Published::new(dir.path(), 2, 3000);
    ends(&mut push(server.address, dir.path()), 0);
    published.add(2, 3000);
    published.add(3, 3000);
    (server, dir)
}

/// How many requests that takes.
fn requests() -> usize {
    let (server, dir) = scene();
    let proxy = Proxy::start(&server, |_| Fault::Pass);
    ends(&mut push(proxy.address, dir.path()), 0);
    proxy.log().len()
}

/// The fault at each request in turn, from an empty bucket and from one that is in use.
fn at_every_request(fault: Fault) {
    for at in 0..requests() {
        let (server, dir) = scene();
        let proxy =
            Proxy::start(&server, move |seen| if seen.number == at { fault } else { Fault::Pass });
        let when = format!("{fault:?} at request {at}");
        let mut command = push(proxy.address, dir.path());
        let output = command.args(["--timeout", "0.4"]).output().unwrap();
        assert!(output.status.success(), "{when}: {}", text(&output));
        assert_consistent(&server.bucket(), &when);
        assert_same(&server.bucket(), dir.path());
    }
}

#[test]
fn throttled() {
    at_every_request(Fault::Answer(503, "SlowDown"));
}

#[test]
fn connection_cut_in_the_request() {
    at_every_request(Fault::CutRequest(1500));
}

#[test]
fn connection_cut_in_the_answer() {
    at_every_request(Fault::CutAnswer);
}

#[test]
fn reset_after_the_server_has_committed() {
    at_every_request(Fault::ResetAfterCommit);
}

#[test]
fn a_stall() {
    at_every_request(Fault::Stall);
}

#[test]
fn success_that_is_none() {
    // The body says that it failed. For a listing or a GET that is an answer that cannot be used.
    for at in 0..requests() {
        let (server, dir) = scene();
        let proxy = Proxy::start(&server, move |seen| {
            if seen.number == at { Fault::Answer(200, "InternalError") } else { Fault::Pass }
        });
        let when = format!("a 200 with an error at request {at}");
        let output = push(proxy.address, dir.path()).output().unwrap();
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 66 | 68)), "{when}: {}", text(&output));
        assert_consistent(&server.bucket(), &when);
        ends(&mut push(server.address, dir.path()), 0);
        assert_same(&server.bucket(), dir.path());
    }
}

#[test]
fn killed_at_every_step() {
    for at in 0..requests() {
        for fault in [Fault::Drop, Fault::ResetAfterCommit] {
            let (server, dir) = scene();
            let child = Arc::new(Mutex::new(None::<std::process::Child>));
            let victim = Arc::clone(&child);
            let proxy = Proxy::start(&server, move |seen| {
                if seen.number != at {
                    return Fault::Pass;
                }
                loop {
                    // It may be asking before its parent has taken note of it.
                    if let Some(child) = victim.lock().unwrap().as_mut() {
                        child.kill().unwrap();
                        return fault;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let mut command = push(proxy.address, dir.path());
            let spawned = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            *child.lock().unwrap() = Some(spawned);
            let when = format!("killed at request {at}, {fault:?}");
            while child.lock().unwrap().as_mut().unwrap().try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(2));
            }
            // What the server had been given, it finishes.
            std::thread::sleep(Duration::from_millis(30));
            assert_consistent(&server.bucket(), &when);
            ends(&mut push(server.address, dir.path()), 0);
            assert_consistent(&server.bucket(), &format!("{when}, and run again"));
            assert_same(&server.bucket(), dir.path());
        }
    }
}

#[test]
fn two_at_once() {
    for round in 0..6 {
        let server = Server::atomic();
        let dir = tempfile::tempdir().unwrap();
        let one = Published::new(&dir.path().join("one"), 3, 3000);
        let two = Published::new(&dir.path().join("two"), 4, 3000);
        let directories =
            [&one.directory, if round % 2 == 0 { &one.directory } else { &two.directory }];
        let children = directories.map(|directory| {
            let mut command = push(server.address, directory);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        for child in children {
            let output = child.wait_with_output().unwrap();
            // The one with the older report may find the newer there already.
            assert!(matches!(output.status.code(), Some(0 | 31)), "{}", text(&output));
        }
        assert_consistent(&server.bucket(), "two at once");
        assert_same(&server.bucket(), directories[1]);
    }
}

#[test]
fn a_reader_at_every_step() {
    let (server, dir) = scene();
    let bucket = server.bucket();
    let proxy = Proxy::start(&server, move |seen| {
        assert_consistent(&bucket, &format!("before request {}", seen.number));
        Fault::Pass
    });
    let text = ends(&mut push(proxy.address, dir.path()), 0);
    assert!(text.contains("5 written"), "{text}");
    assert!(proxy.log().contains(&format!("PUT {}", name(3))));
}
