//! Every cause has its words and its exit code, stores fail apart, and secrets stay secret.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::fixture::{Published, assert_consistent, assert_same, ends, push, text, upload};
use super::proxy::{Fault, Proxy};
use super::server::{ID, SECRET, Server};
use crate::support::program;

fn published() -> (tempfile::TempDir, Published) {
    let dir = tempfile::tempdir().unwrap();
    let published = Published::new(&dir.path().join("public"), 2, 1000);
    (dir, published)
}

#[test]
fn a_wrong_key() {
    let server = Server::start();
    let (_dir, published) = published();
    for (variable, value) in [("S3_SECRET_ACCESS_KEY", "wrong"), ("S3_ACCESS_KEY_ID", "AKIDWRONG")]
    {
        let text = ends(push(server.address, &published.directory).env(variable, value), 60);
        assert!(text.contains("does not accept the key"), "{text}");
        assert!(!text.contains(value), "{text}");
    }
}

#[test]
fn no_key_at_all() {
    let server = Server::start();
    let (_dir, published) = published();
    let mut command = push(server.address, &published.directory);
    command.env_remove("S3_ACCESS_KEY_ID").env_remove("S3_SECRET_ACCESS_KEY");
    let text = ends(&mut command, 60);
    assert!(text.contains("no credentials"), "{text}");
    // The usual sources of AWS will do as well.
    ends(command.env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", SECRET), 0);
    assert_same(&server.bucket(), &published.directory);
}

#[test]
fn a_missing_bucket() {
    let server = Server::start();
    let (_dir, published) = published();
    let text = ends(push(server.address, &published.directory).env("S3_BUCKET", "elsewhere"), 62);
    assert!(text.contains("the bucket does not exist") && text.contains("elsewhere"), "{text}");
}

#[test]
fn answers_of_the_store() {
    let server = Server::start();
    let (_dir, published) = published();
    let cases = [
        (403, "AccessDenied", 61, "may not do this"),
        (403, "RequestTimeTooSkewed", 63, "s ahead of the store's"),
        (503, "SlowDown", 65, "fewer requests"),
        (500, "InternalError", 66, "fails"),
        (418, "Teapot", 69, "refuses"),
    ];
    for (status, answer, code, words) in cases {
        let proxy = Proxy::start(&server, move |_| Fault::Answer(status, answer));
        let mut command = push(proxy.address, &published.directory);
        let text = ends(command.args(["--max-tries", "3"]), code);
        assert!(text.contains(words) && text.contains(answer), "{text}");
        let tries = if [500, 503].contains(&status) { 3 } else { 1 };
        assert_eq!(proxy.log().len(), tries, "{answer}");
    }
}

#[test]
fn no_route() {
    let server = Server::start();
    let (_dir, published) = published();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for endpoint in [format!("http://{closed}"), "http://store.invalid".into()] {
        let mut command = push(server.address, &published.directory);
        let text = ends(command.env("S3_ENDPOINT", endpoint).args(["--max-tries", "2"]), 64);
        assert!(text.contains("no connection to the store"), "{text}");
    }
}

#[test]
fn a_deadline_and_a_signal_end_it() {
    let server = Server::start();
    let (_dir, published) = published();
    let proxy = Proxy::start(&server, |_| Fault::Stall);
    let started = Instant::now();
    let text = ends(push(proxy.address, &published.directory).args(["--deadline", "0.3"]), 32);
    assert!(text.contains("not done in time"), "{text}");
    // The store would stall it for longer.
    assert!(started.elapsed() < Duration::from_secs(15));

    let child = push(proxy.address, &published.directory)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while proxy.log().len() < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(32), "{}", text_of(&output));
}

fn text_of(output: &std::process::Output) -> String {
    text(output)
}

#[test]
fn stores_fail_apart() {
    let (good, bad) = (Server::start(), Server::start());
    let (_dir, published) = published();
    let with = |bucket: &str, key: &str| {
        let mut command = push(good.address, &published.directory);
        command
            .env("UPLOAD_TARGETS", "other third")
            .env("OTHER_BUCKET", bucket)
            .env("OTHER_ENDPOINT", format!("http://{}", bad.address))
            .env("OTHER_ACCESS_KEY_ID", ID)
            .env("OTHER_SECRET_ACCESS_KEY", SECRET)
            .env("THIRD_BUCKET", "reports")
            .env("THIRD_ENDPOINT", format!("http://{}", bad.address))
            .env("THIRD_ACCESS_KEY_ID", ID)
            .env("THIRD_SECRET_ACCESS_KEY", key);
        command
    };
    let text = ends(&mut with("elsewhere", SECRET), 62);
    assert!(text.contains("other: cannot list"), "{text}");
    assert_same(&good.bucket(), &published.directory);
    assert_same(&bad.bucket(), &published.directory);
    ends(&mut with("elsewhere", "wrong"), 30);
    // Only one of them is asked for.
    ends(with("elsewhere", "wrong").args(["--target", "s3"]), 0);
}

#[test]
fn secrets_are_nowhere() {
    let server = Server::start();
    let (dir, published) = published();
    let config = dir.path().join("config.env");
    fs::write(&config, format!("S3_SECRET_ACCESS_KEY='{SECRET}'\n")).unwrap();
    let proxy = Proxy::start(&server, |seen| match seen.number {
        1 => Fault::Answer(403, "SignatureDoesNotMatch"),
        _ => Fault::Pass,
    });
    for (address, level) in
        [(server.address, "-vv"), (proxy.address, "-vv"), (server.address, "trace")]
    {
        let mut command = push(address, &published.directory);
        command.env_remove("S3_SECRET_ACCESS_KEY").arg("--config").arg(&config);
        if level == "trace" {
            command.env("RUST_LOG", "trace").arg("--verify");
        } else {
            command.args([level, "--log-format", "json"]);
        }
        let output = command.output().unwrap();
        let text = text(&output);
        assert!(text.len() > 1000, "it should have told much: {text}");
        assert!(!text.contains(SECRET), "{level}: a secret is shown");
        // Neither as bytes.
        let listed: Vec<String> = SECRET.bytes().take(8).map(|byte| byte.to_string()).collect();
        assert!(!text.contains(&listed.join(", ")), "{level}: a secret is shown as numbers");
    }
    let bad = dir.path().join("bad.env");
    fs::write(&bad, format!("S3_SECRET_ACCESS_KEY '{SECRET}'\n")).unwrap();
    let text = ends(push(server.address, &published.directory).arg("--config").arg(&bad), 2);
    assert!(text.contains("line 1") && !text.contains(SECRET), "{text}");
}

#[test]
fn usage() {
    let server = Server::start();
    let (dir, published) = published();
    ends(push(server.address, &published.directory).env("S3_ENABLED", ""), 2);
    ends(push(server.address, &published.directory).env("S3_BUCKET", " "), 2);
    let text = ends(&mut push(server.address, dir.path()), 33);
    assert!(text.contains("neither latest.json nor files.json"), "{text}");
    let help = ends(upload(server.address).arg("--help"), 0);
    assert!(help.contains("Exit codes"), "{help}");
    assert_consistent(&server.bucket(), "after nothing");
}

#[test]
fn settings_are_checked_and_nothing_else_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.env");
    let check = |text: &str, code: i32, arguments: &[&str], variables: &[(&str, &str)]| {
        fs::write(&config, text).unwrap();
        let mut command = Command::new(program("upload"));
        command.arg("--check-settings").arg("--config").arg(&config).args(arguments);
        let output = command.env_clear().envs(variables.iter().copied()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{err}");
        assert!(!err.contains(SECRET), "{err}");
        (String::from_utf8(output.stdout).unwrap(), err)
    };
    let none = ("no store is enabled\n".to_owned(), String::new());
    assert_eq!(check("", 0, &[], &[]), none);
    assert_eq!(check("DO_ENABLED=false\nR2_ENABLED=\n", 0, &[], &[]), none);
    // The example, as it is and with everything in it set.
    assert_eq!(check(&settings::example::example(), 0, &[], &[]), none);
    let all: Vec<_> = settings::keys().map(|key| (key.name, key.default.value())).collect();
    assert_eq!(check("", 0, &[], &all), none);
    let store = format!(
        "DO_ENABLED=true\nDO_BUCKET=b\nDO_SPACES_REGION=fra1\nDO_SPACES_KEY=k\n\
         DO_SPACES_SECRET='{SECRET}'\nR2_BUCKET=b\nCF_ACCOUNT_ID=1a\n"
    );
    assert_eq!(check(&store, 0, &[], &[]).0, "do\n");
    assert_eq!(check(&store, 0, &[], &[("R2_ENABLED", "true")]).0, "do\nr2\n");
    assert_eq!(check(&store, 0, &["--target", "r2"], &[]).0, "r2\n");
    assert_eq!(check(&store, 0, &["pull"], &[]).0, "do\n");
    let said = [
        "R2_ENABLED=maybe\n",
        "UPLOAD_TIMEOUT=0\n",
        "UPLOAD_DEADLINE=soon\n",
        "UPLOAD_TARGETS=attic\n",
        "export X=1\n",
        "DO_BUCKET=b\nX='\n",
        "X='\n",
    ]
    .map(|more| {
        let (out, err) = check(&format!("{store}{more}"), 2, &[], &[]);
        assert_eq!(out, "");
        err
    });
    let (_, hostile) = check(&store, 2, &[], &[("R2_ENABLED", "\u{1b}[31m")]);
    let said = said.concat() + &hostile;
    insta::assert_snapshot!(
        "check_settings",
        said.replace(&config.display().to_string(), "config.env")
    );
}
