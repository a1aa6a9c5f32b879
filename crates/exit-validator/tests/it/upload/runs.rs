//! Runs between hosts.

use std::fs;
use std::path::{Path, PathBuf};

use super::fixture::{ends, upload};
use super::proxy::{Fault, Proxy};
use super::server::Server;

const RELAY: &str = "dnshealth_0123456789ABCDEF0123456789ABCDEF01234567.json";

/// A run's directory, of a run that started now.
pub fn run(root: &Path, random: &str, complete: bool) -> (String, PathBuf) {
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
    let id = format!("{}-{random}", now.format("%Y%m%dT%H%M%SZ"));
    let directory = root.join(format!("scan-{random}"));
    fs::create_dir_all(&directory).unwrap();
    let reason = if complete { "null" } else { "\"interrupted\"" };
    let run = format!(
        r#"{{"format":{{"name":"exit-validator/run","version":1}},"run_id":"{id}","complete":{complete},
        "incomplete_reason":{reason},"mode":"wildcard","domain":"x.example","expected_ip":"64.65.4.1",
        "shard":null,"selection":{{"filter":"exits","country":null,"relays_in_consensus":1,
        "exits_in_consensus":1,"excluded":[]}},"settings":{{"build_delay":1,"delay_noise":0,
        "query_timeout":1,"circuit_timeout":1,"max_retries":1,"retry_delay":1,"max_in_flight":1,
        "max_per_first_hop":1,"confirm_rounds":0,"confirm_after":0,"first_hop":null}},
        "started":"{now}","ended":"{now}","probing_seconds":1,"resumed":0,
        "consensus_valid_after":null,"tor":{{"version":"0.4.9.11","own":true,"restarts":0}},
        "scanner_version":"0.1.0","selected":1,"counts":{{"success":1,"wrong_ip":0,"dns_fail":0,
        "timeout":0,"circuit_fail":0,"error":0,"exception":0}},"not_reached":[],"unconfirmed":[]}}"#,
        now = now.to_rfc3339(),
    );
    fs::write(directory.join("run.json"), run).unwrap();
    fs::write(directory.join("plan.json"), format!(r#"{{"run_id":"{id}"}}"#)).unwrap();
    fs::write(directory.join(RELAY), r#"{"a":"result"}"#).unwrap();
    fs::write(directory.join("tor.log"), "not for others").unwrap();
    (id, directory)
}

#[test]
fn pushed_by_one_host_and_fetched_by_another() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    fs::create_dir(&there).unwrap();
    let (id, directory) = run(&here, "0123abcd", true);
    let push = || {
        let mut command = upload(server.address);
        command.arg("push-run").arg(&directory);
        command
    };
    let pull = |root: &Path| {
        let mut command = upload(server.address);
        command.args(["pull", "--analysis-root"]).arg(root);
        command
    };
    ends(push().arg("--dry-run"), 0);
    ends(&mut push(), 0);
    ends(pull(&there).arg("--dry-run"), 0);
    assert_eq!(fs::read_dir(&there).unwrap().count(), 0);
    ends(&mut pull(&there), 0);
    for name in ["run.json", "plan.json", RELAY] {
        let fetched = fs::read(there.join(&id).join(name)).unwrap();
        assert_eq!(fetched, fs::read(directory.join(name)).unwrap(), "{name}");
    }
    assert!(!there.join(&id).join("tor.log").exists());
    assert_eq!(fs::read_dir(&there).unwrap().count(), 1);
    assert!(ends(&mut pull(&there), 0).contains("no new run"));
    // The host that it is from knows it under another name.
    assert!(ends(&mut pull(&here), 0).contains("no new run"));
}

#[test]
fn a_run_that_is_not_complete_is_not_pushed() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let (_, directory) = run(dir.path(), "0123abcd", false);
    let text = ends(upload(server.address).arg("push-run").arg(&directory), 33);
    assert!(text.contains("--resume"), "{text}");
    let text = ends(upload(server.address).arg("push-run").arg(dir.path()), 33);
    assert!(text.contains("run.json"), "{text}");
}

#[test]
fn half_a_run_is_not_fetched() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let (id, directory) = run(dir.path(), "0123abcd", true);
    let proxy = Proxy::start(&server, |seen| {
        let last = seen.method == "PUT" && seen.path.contains("run.json");
        if last { Fault::Drop } else { Fault::Pass }
    });
    let mut command = upload(proxy.address);
    ends(command.args(["--max-tries", "2", "push-run"]).arg(&directory), 66);
    let pull = || {
        let mut command = upload(server.address);
        command.args(["pull", "--analysis-root"]).arg(&root);
        command
    };
    assert!(ends(&mut pull(), 0).contains("no new run"));
    // It has changed since: what was half pushed is nobody's yet.
    fs::write(directory.join("plan.json"), "{}").unwrap();
    ends(upload(server.address).arg("push-run").arg(&directory), 0);
    assert!(ends(&mut pull(), 0).contains("is fetched"));
    assert_eq!(fs::read(root.join(id).join("plan.json")).unwrap(), b"{}");
}

#[test]
fn what_is_no_run_is_refused_and_the_others_come() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let (good, one) = run(dir.path(), "00000002", true);
    let (bad, two) = run(dir.path(), "00000001", true);
    let mut command = upload(server.address);
    ends(command.arg("push-run").arg(&one).arg(&two), 0);
    let object = server.bucket().join(format!("runs/{bad}/results.tar.gz"));
    // The server's ETag is of what was there: the archive is damaged, and is noticed.
    fs::write(&object, b"garbage").unwrap();
    let mut pull = upload(server.address);
    pull.args(["--max-tries", "2", "pull", "--analysis-root"]).arg(&root);
    ends(&mut pull, 68);
    assert!(root.join(&good).exists() && !root.join(&bad).exists());
    assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
}
