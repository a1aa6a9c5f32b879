//! What an upload says when all goes well, under a snapshot.

use std::fs;
use std::process::Command;

use super::fixture::{Published, push, upload};
use super::runs::run;
use super::server::Server;

fn out(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_an_upload_says() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let here = Published::new(&dir.path().join("public"), 2, 1000).directory;
    let back = dir.path().join("back");
    let root = dir.path().join("analysis");
    fs::create_dir(&root).unwrap();
    let (id, directory) = run(dir.path(), "0123abcd", true);
    let verb = |arguments: &[&str], last: &std::path::Path| {
        let mut command = upload(server.address);
        command.args(arguments).arg(last);
        out(&mut command)
    };
    let commands = [
        ("--check", out(upload(server.address).arg("--check"))),
        ("--dry-run", out(push(server.address, &here).arg("--dry-run"))),
        ("push", out(&mut push(server.address, &here))),
        ("push again", out(&mut push(server.address, &here))),
        ("restore --dry-run", verb(&["restore", "--dry-run", "--dir"], &back)),
        ("restore", verb(&["restore", "--dir"], &back)),
        ("restore again", verb(&["restore", "--dir"], &back)),
        ("push-run --dry-run", verb(&["push-run", "--dry-run"], &directory)),
        ("push-run", verb(&["push-run"], &directory)),
        ("push-run again", verb(&["push-run"], &directory)),
        ("pull --dry-run", verb(&["pull", "--dry-run", "--analysis-root"], &root)),
        ("pull", verb(&["pull", "--analysis-root"], &root)),
        ("pull again", verb(&["pull", "--analysis-root"], &root)),
    ];
    // A busy machine may need more requests.
    let line = |line: &str| match line.split_once(" there already; ") {
        Some((head, _)) => format!("{head} there already; N requests\n"),
        None => format!("{line}\n"),
    };
    let said = commands.map(|(name, text)| {
        let text: String = text.replace(&id, "RUN").lines().map(line).collect();
        format!("# {name}\n{text}")
    });
    insta::assert_snapshot!(said.concat());
}
