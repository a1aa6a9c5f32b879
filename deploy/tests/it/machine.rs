//! What the machine does to a run: its disk, its clock, its users.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::host::{Host, SECRET, Stores, script, until};
use crate::network::{LINKS, programs};
use crate::reader::look;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs the wrapper on a small disk that fills up in the middle of the scan, and again when there is
/// room; copies the state after each run.
const FULL_DISK: &str = r#"
state=$1 copies=$2
shift 2
mount -t tmpfs -o size=3m,mode=755 none "$state" || exit 99
{
    while ! ls "$state"/analysis/scan_*/plan.json >/dev/null 2>&1; do sleep 0.02; done
    cat /dev/zero >"$state/filler"
} 2>/dev/null &
"$@"
echo "first $?"
wait
cp -R "$state" "$copies/full"
rm "$state/filler"
"$@"
echo "second $?"
cp -R "$state" "$copies/after"
"#;

pub fn a_full_disk() {
    let mut host = Host::new();
    host.set("MIN_FREE_MB", "1");
    host.set("BUILD_DELAY", "0.3");
    host.configure();
    fs::create_dir(host.state()).unwrap();
    let wrapper = host.wrapper(&[]);
    let own_mounts: &[&str] = if is_root() { &["-m"] } else { &["-rm"] };
    let output = Command::new("unshare")
        .args(own_mounts)
        .args(["sh", "-c", FULL_DISK, "sh"])
        .args([host.state(), host.path("")])
        .arg(wrapper.get_program())
        .args(wrapper.get_args())
        .env_clear()
        .envs(wrapper.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(host.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    // Which file is the first that has no room is the disk's to say.
    assert!(["first 13", "first 22"].iter().any(|first| said.contains(first)), "{said}");
    assert!(said.contains("second 0"), "{said}");
    let full = host.path("full/public");
    look(&full);
    assert!(!full.join("latest.json").exists());
    let after = host.path("after/public");
    look(&after);
    assert!(after.join("latest.json").exists());
}

pub fn too_little_room() {
    let mut host = Host::new();
    host.set("MIN_FREE_MB", "100000000");
    host.run(&[]).with(6).saying(&["MIN_FREE_MB is 100000000"]);
    assert!(host.scans().is_empty());
    assert!(host.log().contains("making room first"), "{}", host.log());
}

/// A PATH with this in the place of a program.
fn with_program(host: &Host, name: &str, script: &str) -> OsString {
    let bin = host.path("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    let mut path = bin.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    path
}

/// A PATH where the clock's keeper answers this.
fn with_keeper(host: &Host, answer: &str) -> OsString {
    with_program(host, "timedatectl", &format!("echo {answer}"))
}

pub fn a_clock_behind_the_last_report() {
    let host = Host::new();
    host.run(&[]).with(0);
    let name = host.files().files[0].name.clone();
    let late = host.public().join("dns_health_2099-01-01_00-00-00.json");
    fs::copy(host.public().join(name), &late).unwrap();
    let mut wrapper = host.wrapper(&[]);
    let output = wrapper.env("PATH", with_keeper(&host, "no")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("2099-01-01"), "{said}");
    assert_eq!(host.scans().len(), 1);

    // The clock is right, it is the report that is not.
    let mut wrapper = host.wrapper(&["--only", "scan"]);
    let output = wrapper.env("PATH", with_keeper(&host, "yes")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(host.scans().len(), 2);
}

pub fn a_clock_that_jumps_during_the_scan() {
    let library = fs::read_dir("/usr/lib")
        .unwrap()
        .flatten()
        .map(|entry| entry.path().join("faketime/libfaketime.so.1"))
        .find(|path| path.exists())
        .expect("this test needs the package faketime: apt-get install faketime");
    // Forward, the run has only taken long. Back, it has ended before it began: it is held back, and
    // says so.
    for (jump, code) in [("+2d", 0), ("-2d", 25)] {
        let mut host = Host::new();
        host.set("BUILD_DELAY", "0.5");
        host.configure();
        let offset = host.path("offset");
        fs::write(&offset, "+0").unwrap();
        let mut wrapper = host.wrapper(&[]);
        wrapper
            .env("LD_PRELOAD", &library)
            .env("FAKETIME_TIMESTAMP_FILE", &offset)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
        let mut child = wrapper.spawn().unwrap();
        let under_way = || host.scans().first().is_some_and(|scan| scan.join("plan.json").exists());
        until("the scan is under way", under_way);
        fs::write(&offset, jump).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{jump}: {}", host.log());
        let checked = lab::check(&host.scans()[0], &host.lab.manifest).unwrap();
        assert!(checked.is_true(), "{}", checked.table());
        look(&host.public());
        // How long it took is told by another clock.
        let last = host.log().lines().last().unwrap().to_owned();
        assert!(!last.contains(" h ") && last.contains(" s; DNS works"), "{last}");
        assert_eq!(host.latest().is_none(), code == 25);
        if code == 25 {
            assert!(host.log().contains("from_the_future"), "{}", host.log());
            // The clock is right again.
            host.run(&[]).with(0);
            assert!(host.latest().is_some());
        }
    }
}

pub fn directories_that_others_can_write_to() {
    let host = Host::new();
    fs::create_dir(host.state()).unwrap();
    fs::set_permissions(host.state(), fs::Permissions::from_mode(0o777)).unwrap();
    host.run(&[]).with(5).saying(&["others can write to"]);
    assert!(!host.state().join("run.lock").exists());
}

pub fn nobody_else_holds_the_lock() {
    let host = Host::new();
    host.run(&["--only", "retain"]).with(0);
    let lock = host.state().join("run.lock");
    assert_eq!(fs::metadata(&lock).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(host.state()).unwrap().mode() & 0o022, 0);
    if is_root() {
        let taken = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "flock", "-n"])
            .arg(&lock)
            .arg("true")
            .output()
            .unwrap();
        assert!(!taken.status.success());
    }
    // Only what is running holds it: the file itself is no lock.
    host.run(&["--only", "retain"]).with(0);
}

pub fn a_lock_that_cannot_be_taken() {
    let host = Host::new();
    host.run(&["--only", "retain"]).with(0);
    let lock = host.state().join("run.lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    host.run(&[]).with(5).saying(&["cannot open the lock", "run.lock"]);
    assert_eq!(host.logs().len(), 1, "nothing was started");
}

pub fn the_check() {
    let stores = Stores::start();
    let mut host = Host::publishing_to(&stores);
    let resolver = |fault: &str| {
        let exits = &host.lab.manifest.exits;
        exits.iter().find(|exit| exit.fault == fault).unwrap().resolver.to_string()
    };
    let (right, wrong) = (resolver("correct"), resolver("servfail"));
    host.set("ZONE_SERVER", &right);
    host.run(&["--check"]).with(0).saying(&["ok      zone           not asked"]);
    host.set("ZONE_CHECK", "true");
    let ended = host.run(&["--check"]).with(0);
    for what in ["configuration", "directory", "clock", "tor", "zone", "stores"] {
        let ok = |line: &str| line.starts_with("ok ") && line.contains(what);
        assert!(ended.said.lines().any(ok), "{what}: {}", ended.said);
    }
    // Each store has its line.
    for store in ["do", "r2"] {
        assert!(
            ended.said.contains(&format!("ok      stores         {store}: ")),
            "{}",
            ended.said
        );
    }
    assert!(!host.state().exists(), "the check has made something");
    assert!(fs::read_dir(stores.bucket(lab::R2_BUCKET)).unwrap().next().is_none());

    host.set("ZONE_SERVER", &wrong);
    host.run(&["--check"]).with(27).saying(&["FAILED  zone", "ok      stores"]);
    host.set("ZONE_SERVER", &right);
    host.set("R2_SECRET_ACCESS_KEY", "another");
    let ended = host.run(&["--check"]).with(30).saying(&[
        "FAILED  stores",
        "ok      stores         do: ",
        "ok      zone",
    ]);
    assert!(!ended.said.contains(SECRET) && !ended.said.contains("another"), "{}", ended.said);
    host.set("TOR_CONTROL", "127.0.0.1:1");
    host.run(&["--check"]).with(11).saying(&["FAILED  tor"]);
    host.set("MIN_FREE_MB", "100000000");
    host.run(&["--check"]).with(6).saying(&["FAILED  disk space"]);
}

/// A configuration that this user must not read is none to do without.
pub fn a_configuration_that_must_not_be_read() {
    let host = Host::new();
    host.configure();
    fs::set_permissions(host.config(), fs::Permissions::from_mode(0o000)).unwrap();
    let wrapper = host.wrapper(&["--check"]);
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        command
    } else {
        Command::new("env")
    };
    let checkout = host.path("a checkout");
    fs::create_dir(&checkout).unwrap();
    fs::rename(host.config(), checkout.join("config.env")).unwrap();
    let program = for_anybody(&host.path("")).with_file_name("exit-validator");
    let output = command
        .arg(program)
        .args(["run", "--check", "--checkout"])
        .arg(&checkout)
        .env_clear()
        .envs(wrapper.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env_remove("PROGRAM_DIR")
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("Permission denied") && !said.contains("ok "), "{said}");
}

/// A place that any user can reach, with the programs and the script.
fn for_anybody(place: &Path) -> PathBuf {
    let script = script();
    let names = ["exit-validator", "lab"].map(|name| programs().join(name));
    for path in names.iter().chain([&script]) {
        let to = place.join(path.file_name().unwrap());
        // A link would keep the directories that only their owner can pass.
        fs::copy(path, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for name in LINKS {
        std::os::unix::fs::symlink("exit-validator", place.join(name)).unwrap();
    }
    place.join("run_dns_validation")
}

pub fn a_dry_run_as_a_user_without_rights() {
    const NOBODY: u32 = 65534;
    let dir = tempfile::Builder::new().prefix("it's a dry run ").tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = for_anybody(dir.path());
    let temporary = dir.path().join("temporary files");
    fs::create_dir(&temporary).unwrap();
    let mut command = if is_root() {
        std::os::unix::fs::chown(&temporary, Some(NOBODY), Some(NOBODY)).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(script);
        command
    } else {
        Command::new(script)
    };
    let output = command
        .arg("--dry-run")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("TMPDIR", &temporary)
        // The operator's own, which a dry run must not touch.
        .env("R2_ENABLED", "true")
        .env("R2_BUCKET", "production")
        .env("R2_ENDPOINT", "http://127.0.0.1:1")
        .env("R2_ACCESS_KEY_ID", "production")
        .env("R2_SECRET_ACCESS_KEY", SECRET)
        .env("STATE_DIR", "/nonexistent/production")
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    // Every fault, and the exits with resolvers of others.
    let (before, _) = said.split_once(" verdicts are true").unwrap_or_else(|| panic!("{said}"));
    let (_, counted) = before.rsplit_once(": ").unwrap();
    let (is_true, all) = counted.split_once(" of ").unwrap();
    assert_eq!(is_true, all, "{said}");
    assert!(all.parse::<usize>().unwrap() >= lab::Fault::ALL.len(), "{said}");
    for text in ["stores: do r2", "done after"] {
        assert!(said.contains(text), "{text:?} is not in {said}");
    }
    assert!(!said.contains(SECRET) && !said.contains("production"), "{said}");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "it left something");
}
