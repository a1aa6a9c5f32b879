//! How long an unchanged directory and a new report take, with how many requests and how much
//! memory: `cargo bench -p exit-validator --bench upload`.
//!
//! 400 reports of 3 MB that are in the bucket already, and a new one with everything that goes
//! with it, by the program itself and by rclone (Debian's), on the same server through the same
//! proxy, alternating. It takes 5 GB in the temporary directory, and removes them; `BENCH_REPORTS`
//! and `BENCH_SIZE` make it smaller. Without an rclone, only ours is measured.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and may fail")]

#[path = "../tests/it/upload/fixture.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod fixture;
#[path = "../tests/it/upload/proxy.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod proxy;
#[path = "../tests/it/upload/server.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod server;
#[path = "../tests/support/program.rs"]
mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use fixture::Published;
use proxy::{Fault, Proxy};
use server::{BUCKET, ID, SECRET, Server};

/// How often each program is measured.
const ROUNDS: u32 = 5;

fn number(name: &str, default: u32) -> u32 {
    env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}

/// What a program took.
#[derive(Debug, Clone, Copy)]
struct Taken {
    seconds: f64,
    requests: usize,
    /// The most memory that was resident, in MB.
    megabytes: f64,
}

/// Runs a program through a proxy of its own.
fn measure(server: &Server, command: impl Fn(&Proxy) -> Command) -> Taken {
    let proxy = Proxy::start(server, |_| Fault::Pass);
    let mut command = command(&proxy);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let started = clock();
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0f64;
    let ended = loop {
        // The kernel keeps the peak; it is gone with the process.
        if let Ok(text) = fs::read_to_string(&status)
            && let Some(line) = text.lines().find(|line| line.starts_with("VmHWM:"))
        {
            let kilobytes: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            peak = peak.max(kilobytes / 1e3);
        }
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let seconds = started.elapsed().as_secs_f64();
    let output = child.wait_with_output().unwrap();
    assert!(ended.success(), "{}", fixture::text(&output));
    Taken { seconds, requests: proxy.log().len(), megabytes: peak }
}

fn rclone(proxy: &Proxy, directory: &std::path::Path) -> Command {
    let mut command = Command::new("rclone");
    command
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .env("RCLONE_CONFIG_B_TYPE", "s3")
        .env("RCLONE_CONFIG_B_PROVIDER", "Other")
        .env("RCLONE_CONFIG_B_ENDPOINT", format!("http://{}", proxy.address))
        .env("RCLONE_CONFIG_B_ACCESS_KEY_ID", ID)
        .env("RCLONE_CONFIG_B_SECRET_ACCESS_KEY", SECRET)
        .env("RCLONE_CONFIG_B_REGION", "us-east-1")
        .args(["--config", "", "copy"])
        .arg(directory)
        .arg(format!("b:{BUCKET}"));
    command
}

fn show(name: &str, taken: &[Taken]) -> Taken {
    let middle = |of: fn(&Taken) -> f64| {
        let mut all: Vec<f64> = taken.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let requests = taken.iter().map(|taken| taken.requests).max().unwrap();
    let median = Taken {
        seconds: middle(|taken| taken.seconds),
        requests,
        megabytes: middle(|taken| taken.megabytes),
    };
    println!(
        "{name:32} {:7.3} s (median of {})  {requests:4} requests  {:6.1} MB resident at most",
        median.seconds,
        taken.len(),
        median.megabytes
    );
    median
}

fn main() {
    // `cargo test --benches` asks for a quick look.
    let quick = env::args().any(|argument| argument == "--test");
    let (reports, size) = if quick {
        (20, 10_000)
    } else {
        (number("BENCH_REPORTS", 400), number("BENCH_SIZE", 3_000_000))
    };
    let rounds = if quick { 1 } else { ROUNDS };
    let size = usize::try_from(size).unwrap();
    let has_rclone = Command::new("rclone").arg("version").output().is_ok();
    if !has_rclone {
        println!("no rclone here: apt-get install rclone to compare");
    }
    let dir = tempfile::tempdir().unwrap();
    // A bucket and a directory for each, so that neither finds what the other wrote.
    let mut sides: Vec<(&str, Server, Published)> = ["upload", "rclone"]
        .into_iter()
        .filter(|name| has_rclone || *name == "upload")
        .map(|name| (name, Server::start(), Published::new(&dir.path().join(name), reports, size)))
        .collect();
    let run = |name: &str, server: &Server, published: &Published| {
        measure(server, |proxy| match name {
            "upload" => fixture::push(proxy.address, &published.directory),
            _ => rclone(proxy, &published.directory),
        })
    };
    for (name, server, published) in &sides {
        let first = run(name, server, published);
        show(&format!("{name}: {reports} new reports"), &[first]);
        fixture::assert_same(&server.bucket(), &published.directory);
    }
    let mut unchanged = vec![Vec::new(); sides.len()];
    let mut one_more = vec![Vec::new(); sides.len()];
    for round in 0..rounds {
        for (index, (name, server, published)) in sides.iter_mut().enumerate() {
            unchanged[index].push(run(name, server, published));
            published.add(reports + round, size);
            one_more[index].push(run(name, server, published));
            fixture::assert_consistent(&server.bucket(), name);
        }
    }
    let mut medians = Vec::new();
    for (index, (name, ..)) in sides.iter().enumerate() {
        let same = show(&format!("{name}: unchanged"), &unchanged[index]);
        let more = show(&format!("{name}: one new report"), &one_more[index]);
        medians.push([same, more]);
    }
    if let [ours, theirs] = medians.as_slice() {
        for ((ours, theirs), what) in ours.iter().zip(theirs).zip(["unchanged", "one new report"]) {
            println!("upload / rclone, {what}: {:.2} of the time", ours.seconds / theirs.seconds);
            if !quick {
                assert!(ours.seconds <= theirs.seconds, "{what}: slower than rclone");
                assert!(ours.requests < theirs.requests, "{what}: more requests than rclone");
                assert!(ours.megabytes < theirs.megabytes, "{what}: more memory than rclone");
            }
        }
    }
}
