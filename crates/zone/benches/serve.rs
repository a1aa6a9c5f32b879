//! `zone serve` beside NSD, both asked by dnsperf, in turns: answers a second, memory, and whether the log keeps up.

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up fails")]
#![expect(clippy::disallowed_methods, reason = "it measures")]

#[path = "../../lab/src/unpacked.rs"]
mod unpacked;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::Utc;
use unpacked::unpacked;
use zone::layout::{ServedZone, ZoneSettings};
use zone::log::{Keep, QueryLog};
use zone::serve::{Serving, ZoneSockets, serve};

const ZONE: &str = "z.example.org";

/// Different names.
const NAMES: u32 = 100_000;

/// Times that each is asked, in turns.
const ROUNDS: usize = 3;

/// Seconds of each.
const SECONDS: u32 = 10;

/// What it is to do at least, of NSD's answers a second.
const WANTED: f64 = 0.8;

/// What it may take at most, in KiB.
const MEMORY: u64 = 30 * 1000 * 1000 / 1024;

/// A process that ends with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    // `cargo test` builds it, and has nothing to measure.
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("serve") => answer(Path::new(&arguments[2])),
        Some("--bench") => measure(),
        _ => {}
    }
}

/// The server, until standard input ends.
fn answer(directory: &Path) {
    let zone = ServedZone::new(ZoneSettings {
        domain: ZONE,
        servers: "ns.example.org 192.0.2.53",
        expected: vec![IpAddr::from([64, 65, 4, 1])],
        ..ZoneSettings::default()
    });
    let keep = Keep { days: 35, bytes: 20_000_000_000 };
    let (log, writer) = QueryLog::open(directory, keep, Utc::now).unwrap();
    let sockets = ZoneSockets::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))]).unwrap();
    println!("{}", sockets.addresses()[0]);
    let zone = zone.unwrap();
    let serving =
        Serving { zone, signer: None, rate: 0, log, clock: Utc::now, ticks: Instant::now };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let end = tokio::task::spawn_blocking;
    runtime
        .block_on(async {
            let read = end(|| std::io::stdin().read_to_end(&mut Vec::new()));
            serve(serving, sockets, async { drop(read.await) }).await
        })
        .unwrap();
    writer.join().unwrap();
}

fn nsd(directory: &Path) -> (Ended, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let cores = std::thread::available_parallelism().unwrap();
    let place = directory.display();
    fs::write(
        directory.join("zone"),
        format!(
            "$TTL 60\n{ZONE}. IN SOA ns.example.org. h.example.org. 1 7200 3600 1209600 60\n\
             {ZONE}. IN NS ns.example.org.\n*.{ZONE}. IN A 64.65.4.1\n"
        ),
    )
    .unwrap();
    let text = format!(
        "server:\n ip-address: 127.0.0.1@{}\n server-count: {cores}\n reuseport: yes\n username: \"\"\n \
         chroot: \"\"\n zonesdir: \"{place}\"\n database: \"\"\n pidfile: \"\"\n xfrdfile: \"{place}/xfrd\"\n \
         xfrdir: \"{place}\"\n zonelistfile: \"{place}/list\"\n logfile: \"{place}/log\"\n rrl-ratelimit: 0\n\
         remote-control:\n control-enable: no\nzone:\n name: {ZONE}\n zonefile: zone\n",
        address.port()
    );
    fs::write(directory.join("nsd.conf"), text).unwrap();
    let mut command = unpacked("nsd", "nsd");
    command.arg("-d").arg("-c").arg(directory.join("nsd.conf"));
    let process = Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    (process, address)
}

/// Asks for the names, and returns what was answered, and in how many seconds.
fn dnsperf(address: SocketAddr, names: &Path, seconds: u32, rate: Option<u32>) -> (u64, f64) {
    let mut command = unpacked("dnsperf", "dnsperf");
    command
        .args(["-s", &address.ip().to_string(), "-p", &address.port().to_string()])
        .args(["-l", &seconds.to_string(), "-c", "16", "-q", "400", "-d"])
        .arg(names);
    if let Some(rate) = rate {
        command.args(["-Q", &rate.to_string()]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let of = |what: &str| -> f64 {
        let line = text.lines().find(|line| line.contains(what));
        let line = line.unwrap_or_else(|| panic!("{what}: {text}"));
        let words = line.split(':').nth(1).unwrap().split_whitespace().next().unwrap();
        words.parse().unwrap()
    };
    let completed = of("Queries completed:");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    (completed as u64, completed / of("Run time (s):"))
}

/// The most that a process took, in KiB.
fn memory(process: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Queries in the log, and those without a line.
fn logged(directory: &Path) -> (u64, u64) {
    let (mut lines, mut unlogged) = (0, 0);
    for entry in fs::read_dir(directory).unwrap() {
        for line in BufReader::new(fs::File::open(entry.unwrap().path()).unwrap()).lines() {
            let line = line.unwrap();
            match line.split_once("\"unlogged\":") {
                Some((_, count)) => unlogged += count.trim_end_matches('}').parse::<u64>().unwrap(),
                None => lines += 1,
            }
        }
    }
    (lines, unlogged)
}

fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let names = dir.path().join("names");
    let mut text = String::new();
    for n in 0..NAMES {
        let _ = writeln!(text, "{n:08x}-5a5a-4a5a-8a5a-{n:012x}.{n:08x}.{ZONE} A");
    }
    fs::write(&names, text).unwrap();
    let log = dir.path().join("log");
    let mut ours = Command::new(std::env::current_exe().unwrap());
    ours.arg("serve").arg(&log).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut ours = Ended(ours.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(ours.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address: SocketAddr = line.trim().parse().unwrap();

    let (completed, _) = dnsperf(address, &names, 60, Some(NAMES / 60 + 1));
    let taken = memory(&ours.0);
    println!("{completed} different names in a minute: {taken} KiB at most (wanted: {MEMORY})");

    let place = dir.path().join("nsd");
    fs::create_dir(&place).unwrap();
    let (_nsd, other) = nsd(&place);
    std::thread::sleep(Duration::from_secs(2));
    let (mut best, mut best_other, mut asked) = (0.0_f64, 0.0_f64, completed);
    for round in 1..=ROUNDS {
        let (_, of_nsd) = dnsperf(other, &names, SECONDS, None);
        let (completed, of_ours) = dnsperf(address, &names, SECONDS, None);
        asked += completed;
        println!("round {round}: NSD {of_nsd:.0} answers a second, zone serve {of_ours:.0}");
        best = best.max(of_ours);
        best_other = best_other.max(of_nsd);
    }
    let ratio = best / best_other;
    println!("zone serve has {ratio:.2} of NSD's answers a second (wanted: {WANTED})");
    println!("{} KiB at most", memory(&ours.0));
    drop(ours.0.stdin.take());
    ours.0.wait().unwrap();
    let (lines, unlogged) = logged(&log);
    println!(
        "log: {lines} lines and {unlogged} without one, of {asked} queries that were answered"
    );
    assert!(lines + unlogged >= asked, "the log says less than was answered");
    assert!(taken <= MEMORY, "too much memory");
    assert_eq!(unlogged, 0, "the log does not keep up");
    assert!(ratio >= WANTED, "too slow");
}
