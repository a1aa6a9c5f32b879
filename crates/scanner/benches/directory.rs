//! The directory of 10,000 exits read from a control port: how much memory that takes at its peak
//! and how long, beside reading each document as a whole before it is parsed by the same readers. The
//! control port is a thread that makes up the documents as it sends them.
//! `cargo bench -p scanner --bench directory`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "measures by the clock")]
#![expect(clippy::print_stdout, reason = "its result is what it prints")]

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use peak_alloc::PeakAlloc;
use record::Fingerprint;
use scanner::consensus::{ConsensusReader, DescriptorReader, DocumentReader, Statuses};
use scanner::directory::{self, Directory};
use scanner::hops::is_first_hop;
use tor_control::{ConnectOptions, Control, ControlAddr};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const RELAYS: u32 = 10_000;
const ROUNDS: usize = 5;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("Directory of {RELAYS} exits, medians of {ROUNDS} rounds, alternating");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        whole.push(measure(&runtime, |control| Box::pin(as_a_whole(control))));
        pieces.push(measure(&runtime, |control| Box::pin(as_it_comes(control))));
    }
    let [whole, pieces] = [whole, pieces].map(|taken| Taken {
        peak: median(taken.iter().map(|taken| taken.peak)),
        held: median(taken.iter().map(|taken| taken.held)),
        seconds: median(taken.iter().map(|taken| taken.seconds)),
    });
    println!("  {:>22} {:>10} {:>10} {:>10}", "", "peak, MB", "kept, MB", "seconds");
    for (name, taken) in [("whole, then parsed", &whole), ("parsed as it is read", &pieces)] {
        println!("  {name:>22} {:>10.1} {:>10.1} {:>10.3}", taken.peak, taken.held, taken.seconds);
    }
    println!(
        "  {:>22} {:>10.2} {:>10.2} {:>10.2}",
        "ratio",
        pieces.peak / whole.peak,
        pieces.held / whole.held,
        pieces.seconds / whole.seconds
    );
}

struct Taken {
    peak: f64,
    held: f64,
    seconds: f64,
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

type Reading<'a> = std::pin::Pin<Box<dyn Future<Output = Directory> + 'a>>;

fn measure(
    runtime: &tokio::runtime::Runtime,
    reading: impl for<'a> Fn(&'a Control) -> Reading<'a>,
) -> Taken {
    runtime.block_on(async {
        let (control, _events) =
            Control::connect(&serve(), &ConnectOptions::default()).await.unwrap();
        let before = HEAP.current_usage_as_mb();
        HEAP.reset_peak_usage();
        let started = Instant::now();
        let directory = reading(&control).await;
        let seconds = started.elapsed().as_secs_f64();
        let peak = f64::from(HEAP.peak_usage_as_mb() - before);
        let held = f64::from(HEAP.current_usage_as_mb() - before);
        let relays = usize::try_from(RELAYS).unwrap();
        assert_eq!(directory.statuses.relays.len(), relays);
        assert_eq!(directory.descriptors.len(), relays);
        Taken { peak, held, seconds }
    })
}

fn everyone(statuses: &Statuses) -> HashSet<Fingerprint> {
    statuses.relays.iter().map(|relay| relay.fingerprint).collect()
}

async fn as_it_comes(control: &Control) -> Directory {
    directory::fetch(control, everyone, is_first_hop, Duration::from_secs(60)).await.unwrap()
}

async fn as_a_whole(control: &Control) -> Directory {
    let mut reader = ConsensusReader::default();
    let key = "dir/status-vote/current/consensus";
    reader.lines(&control.get_info(&[key]).await.unwrap().remove(0).1);
    let (header, statuses) = reader.finish();
    let wanted = everyone(&statuses);
    let mut reader = DescriptorReader::new(&wanted);
    reader.lines(&control.get_info(&["desc/all-recent"]).await.unwrap().remove(0).1);
    Directory { descriptors: reader.finish(), statuses, header }
}

/// A control port for one connection.
fn serve() -> ControlAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        // It ends when the client has gone.
        let _ = converse(&stream);
    });
    ControlAddr::Tcp(address.to_string())
}

fn converse(stream: &TcpStream) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, stream);
    for line in BufReader::new(stream).lines() {
        let line = line?;
        match line.as_str() {
            "PROTOCOLINFO 1" => out.write_all(
                b"250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250-VERSION Tor=\"0.4.9.11\"\r\n\
                  250 OK\r\n",
            )?,
            "GETCONF UseMicrodescriptors" => out.write_all(b"250 UseMicrodescriptors=0\r\n")?,
            "GETINFO dir/status-vote/current/consensus" => consensus(&mut out)?,
            "GETINFO desc/all-recent" => descriptors(&mut out)?,
            _ => out.write_all(b"250 OK\r\n")?,
        }
        out.flush()?;
    }
    Ok(())
}

fn fingerprint(number: u32) -> Fingerprint {
    let mut bytes = [7; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Fingerprint::from_bytes(bytes)
}

fn consensus(out: &mut impl Write) -> io::Result<()> {
    write!(
        out,
        "250+dir/status-vote/current/consensus=\r\nnetwork-status-version 3\r\n\
         valid-after 2026-01-02 03:00:00\r\nparams exit_dns_timeout=1000\r\ndir-source x\r\n"
    )?;
    for number in 0..RELAYS {
        let identity = STANDARD_NO_PAD.encode(fingerprint(number).as_bytes());
        write!(
            out,
            "r relay{number} {identity} {identity} 2038-01-01 00:00:00 192.0.2.1 9001 0\r\n\
             s Exit Fast Guard HSDir Running Stable V2Dir Valid\r\nv Tor 0.4.9.11\r\n\
             pr Conflux=1 Cons=1-2 Desc=1-2 DirCache=2 FlowCtrl=1-2 HSDir=2 Link=1-5 Relay=1-4\r\n\
             w Bandwidth={number}\r\np reject 25,119,135-139,445,563,1214,4661-4666\r\n"
        )?;
    }
    out.write_all(b"directory-footer\r\n.\r\n250 OK\r\n")
}

/// Of the size that they have on the public network: some 2.7 kB, most of it keys.
fn descriptors(out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"250+desc/all-recent=\r\n")?;
    let key = format!("{}\r\n", "A".repeat(64)).repeat(3);
    for number in 0..RELAYS {
        write!(
            out,
            "router relay{number} 192.0.2.1 9001 0 0\r\nplatform Tor 0.4.9.11 on Linux\r\n\
             fingerprint {}\r\nbandwidth 1000 2000 {number}\r\n",
            fingerprint(number)
        )?;
        for object in ["onion-key", "signing-key", "onion-key-crosscert", "router-signature"] {
            write!(out, "{object}\r\n-----BEGIN X-----\r\n{key}{key}-----END X-----\r\n")?;
        }
        write!(out, "family")?;
        for member in 0..10 {
            write!(out, " ${}", fingerprint(number / 10 * 10 + member))?;
        }
        write!(
            out,
            "\r\ncontact email:tor[]example.org url:https://example.org proof:uri-rsa\r\n\
             reject 0.0.0.0/8:*\r\nreject 10.0.0.0/8:*\r\nreject *:25\r\nreject *:119\r\n\
             reject *:135-139\r\nreject *:445\r\naccept *:*\r\nipv6-policy reject 25,119\r\n"
        )?;
    }
    out.write_all(b".\r\n250 OK\r\n")
}
