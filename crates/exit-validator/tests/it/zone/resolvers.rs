//! `zone serve` beside programs of others: dig and delv ask it, unbound and BIND resolve and validate by it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use lab::unpacked;
use tempfile::TempDir;

use super::{PATIENCE, SCAN, Server};
use crate::others::Ended;
use crate::support::program;

const CHECKS: &str = "c.example.org";

/// A checks zone with a key, beside the zone.
struct Signed {
    dir: TempDir,
    server: Server,
    /// The key, as a DNSKEY record has it.
    key: String,
    /// What the zone above is to have of it.
    ds: String,
}

impl Signed {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key.pem");
        let listen = address_of_its_own();
        let servers = format!("ns.z.example.org {}", listen.ip());
        let keys = Command::new(program("exit-validator"))
            .env_clear()
            .args(["zone", "keys", "--domain", super::ZONE, "--checks-domain", CHECKS, "--key"])
            .arg(&key)
            .args(["--name-servers", &servers])
            .output()
            .unwrap();
        assert_eq!(keys.status.code(), Some(0), "{keys:?}");
        let log = dir.path().join("log");
        let listen = listen.to_string();
        let mut command = super::command(&[
            "--checks-domain",
            CHECKS,
            "--listen",
            &listen,
            "--name-servers",
            &servers,
        ]);
        command.arg("--key").arg(&key).arg("--log-dir").arg(&log);
        let server = Server::of(command, 1);
        let key = dig(server.addresses[0], &["+short", CHECKS, "DNSKEY"]).trim().to_owned();
        let ds = String::from_utf8(keys.stdout).unwrap().lines().last().unwrap().to_owned();
        Self { dir, server, key, ds }
    }

    fn address(&self) -> SocketAddr {
        self.server.addresses[0]
    }

    /// The names of each line of the log, when it has ended.
    fn asked(mut self) -> Vec<String> {
        self.server.end();
        let text = fs::read_to_string(self.dir.path().join("log/queries.jsonl")).unwrap();
        let lines =
            text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter_map(|line| Some(line["name"].as_str()?.to_ascii_lowercase())).collect()
    }

    /// The key as unbound, BIND and delv want it.
    fn anchor(&self) -> String {
        let mut words = self.key.split(' ');
        let head: Vec<&str> = words.by_ref().take(3).collect();
        format!("{CHECKS}. static-key {} \"{}\";", head.join(" "), words.collect::<String>())
    }
}

/// What dig prints.
pub fn dig(to: SocketAddr, arguments: &[&str]) -> String {
    let output = unpacked("dig", "dig")
        .args([&format!("@{}", to.ip()), "-p", &to.port().to_string(), "+tries=3", "+norecurse"])
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The line of dig's header, and the lines of its answers.
fn asked(to: SocketAddr, arguments: &[&str]) -> (String, String) {
    let text = dig(to, &[&["+noall", "+comments", "+answer"], arguments].concat());
    let head: Vec<&str> = text
        .lines()
        .filter_map(|line| {
            let line = line.strip_prefix(";; ")?;
            let at = line.find("status: ").map(|at| at + 8).or(line.find("flags: "))?;
            line[at..].split([',', ';']).next()
        })
        .collect();
    let answer: Vec<&str> = text.lines().filter(|line| !line.starts_with(';')).collect();
    (head.join(" "), answer.join("\n").split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn dig_understands_what_it_is_answered() {
    let signed = Signed::start();
    let to = signed.address();
    let address = format!("{SCAN}. 60 IN A 64.65.4.1");
    for how in
        [&[][..], &["+tcp"], &["+noedns"], &["+bufsize=512"], &["+nsid", "+cookie", "+dnssec"]]
    {
        let (head, answer) = asked(to, &[how, &[SCAN]].concat());
        assert!(head.starts_with("NOERROR flags: qr aa"), "{how:?} {head}");
        assert!(!head.contains(" ra"), "{head}");
        assert_eq!(answer, address, "{how:?}");
    }
    // Options and flags that nobody knows yet are passed over (RFC 6891, section 6.1.2), newer versions are not.
    for how in ["+ednsopt=65001:00ff", "+ednsflags=0x0080", "+subnet=198.51.100.0/24", "+zflag"] {
        assert_eq!(asked(to, &[how, SCAN]).1, address, "{how}");
    }
    assert!(asked(to, &["+edns=1", "+noednsnegotiation", SCAN]).0.starts_with("BADVERS"));
    assert!(asked(to, &["+opcode=update", SCAN]).0.starts_with("NOTIMP"));
    assert!(asked(to, &["+header-only", SCAN]).0.starts_with("FORMERR"));
    let name = format!("a.tcp.{CHECKS}");
    let (head, answer) = asked(to, &["+ignore", "+notcp", &name]);
    assert!(head.starts_with("NOERROR flags: qr aa tc") && answer.is_empty(), "{head} {answer}");
    assert_eq!(asked(to, &[&name]).1, format!("{name}. 60 IN A 64.65.4.1"), "it goes on by TCP");
    // Many questions on one connection.
    let several = dig(to, &["+tcp", "+keepopen", "+short", SCAN, &name, SCAN, &name]);
    assert_eq!(several, "64.65.4.1\n".repeat(4));
    // A long answer does not fit into little room.
    let nothing = format!("{}.nx.{CHECKS}", ["a".repeat(60), "b".repeat(60)].join("."));
    let (head, _) = asked(to, &["+dnssec", "+bufsize=512", "+ignore", &nothing]);
    assert!(head.starts_with("NOERROR flags: qr aa tc"), "{head}");
    let (head, _) = asked(to, &["+dnssec", "+bufsize=1232", "+ignore", &nothing]);
    assert_eq!(head, "NOERROR flags: qr aa");
    let (head, _) = asked(to, &["+nodnssec", &nothing]);
    assert!(head.starts_with("NXDOMAIN"), "{head}");
}

#[test]
fn delv_validates_each_answer_and_refuses_what_is_broken() {
    let signed = Signed::start();
    let anchors = signed.dir.path().join("anchors");
    fs::write(&anchors, format!("trust-anchors {{ {} }};", signed.anchor())).unwrap();
    let to = signed.address();
    for (name, kind, wanted) in [
        ("0a1b.5a5a.signed.", "A", "; fully validated"),
        ("MixedCase.Signed.", "AAAA", "; fully validated"),
        ("a.signed.", "TXT", "; negative response, fully validated"),
        ("a.tcp.", "A", "; fully validated"),
        ("a.nx.", "A", "; negative response, fully validated"),
        ("nx.", "A", "; negative response, fully validated"),
        ("", "SOA", "; fully validated"),
        ("", "NS", "; fully validated"),
        ("", "DNSKEY", "; fully validated"),
        ("", "MX", "; negative response, fully validated"),
        ("who.", "DS", "; negative response, fully validated"),
        ("ns4.", "A", "; fully validated"),
        ("a.bogus.", "A", ""),
        ("a.bogus.", "TXT", ""),
    ] {
        let output = unpacked("dig", "delv")
            .args([&format!("@{}", to.ip()), "-p", &to.port().to_string(), "-a"])
            .arg(&anchors)
            .args([&format!("+root={CHECKS}"), &format!("{name}{CHECKS}"), kind])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let why = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.lines().next().unwrap_or_default(), wanted, "{name} {kind}: {said} {why}");
        assert_eq!(wanted.is_empty(), why.contains("RRSIG"), "{name} {kind}: {why}");
    }
}

/// A resolver, or a server of somebody else. It has the port of our server: BIND asks others at the port at which it is
/// asked itself.
pub struct Resolver {
    pub process: Ended,
    address: SocketAddr,
}

impl Resolver {
    /// Starts it, and waits until it answers.
    pub fn start(mut command: Command, address: SocketAddr, log: &Path) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(log).unwrap());
        let resolver = Self { process: Ended(command.spawn().unwrap()), address };
        let started = Instant::now();
        // It is asked of itself, so that nothing of ours is.
        while !dig(address, &["+time=1", "+tries=1", "CH", "TXT", "version.bind"])
            .contains("status:")
        {
            let said = fs::read_to_string(log).unwrap();
            assert!(started.elapsed() < PATIENCE, "it does not start: {said}");
        }
        resolver
    }

    /// The code, the flags, and the answer's addresses.
    fn resolve(&self, name: &str) -> (String, String) {
        asked(self.address, &["+recurse", "+time=15", "+nocookie", &format!("{name}.{CHECKS}")])
    }
}

/// An address of this machine that nobody else has, with a port that is free at 127.0.0.1 too: BIND listens nowhere
/// else. It is none of those that systems give to whoever asks for any.
pub fn address_of_its_own() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let of_process = u16::try_from(std::process::id() % 0xffff).unwrap();
    let [high, low] = of_process.to_be_bytes();
    let [.., host] = number.to_be_bytes();
    let address = Ipv4Addr::new(127, high | 0x40, low, host);
    let mut ports = (0..u16::MAX).map(|at| {
        10_000 + of_process.wrapping_add(number.wrapping_mul(97).wrapping_add(at)) % 20_000
    });
    let is_free = |port: &u16| {
        let here = ("127.0.0.1", *port);
        UdpSocket::bind(here).is_ok() && TcpListener::bind(here).is_ok()
    };
    SocketAddr::new(IpAddr::V4(address), ports.find(is_free).unwrap())
}

fn unbound(signed: &Signed, more: &str) -> Resolver {
    let address = SocketAddr::from(([127, 0, 0, 1], signed.server.port()));
    let place = signed.dir.path();
    let ours = format!("{}@{}", signed.address().ip(), address.port());
    let zone = |name| format!("stub-zone:\n name: {name}\n stub-addr: {ours}\n");
    let text = format!(
        "server:\n directory: \"{}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n use-syslog: no\n \
         do-daemonize: no\n interface: {}@{}\n access-control: 127.0.0.0/8 allow\n num-threads: 1\n \
         do-not-query-localhost: no\n hide-version: no\n {more}\n{}{}remote-control:\n control-enable: no\n",
        place.display(),
        address.ip(),
        address.port(),
        zone(CHECKS),
        zone(super::ZONE),
    );
    let file = place.join("unbound.conf");
    fs::write(&file, text).unwrap();
    let mut command = unpacked("unbound", "unbound");
    command.arg("-d").arg("-c").arg(file);
    Resolver::start(command, address, &place.join("unbound.log"))
}

fn validating_unbound(signed: &Signed) -> Resolver {
    let anchor = format!("trust-anchor: \"{}\"", signed.ds);
    unbound(signed, &format!("module-config: \"validator iterator\"\n {anchor}"))
}

fn bind(signed: &Signed, more: &str) -> Resolver {
    let address = SocketAddr::from(([127, 0, 0, 1], signed.server.port()));
    let place = signed.dir.path();
    let ours = signed.address().ip();
    let zone = |name: &str| {
        format!("zone \"{name}\" {{ type static-stub; server-addresses {{ {ours}; }}; }};\n")
    };
    let text = format!(
        "options {{ directory \"{}\"; port {}; listen-on {{ {}; }}; listen-on-v6 {{ none; }}; pid-file none; \
         session-keyfile none; recursion yes; allow-query {{ any; }}; empty-zones-enable no; {more} }};\n\
         controls {{ }};\ntrust-anchors {{ {} }};\n{}{}",
        place.display(),
        address.port(),
        address.ip(),
        signed.anchor(),
        zone(CHECKS),
        zone(super::ZONE),
    );
    let file = place.join("named.conf");
    fs::write(&file, text).unwrap();
    let mut command = unpacked("named", "named");
    command.arg("-g").arg("-n").arg("1").arg("-c").arg(file);
    Resolver::start(command, address, &place.join("named.log"))
}

/// What a validating resolver says of each check.
fn validates(resolver: &Resolver) {
    let (head, answer) = resolver.resolve("0a1b.5a5a.signed");
    assert_eq!(head, "NOERROR flags: qr rd ra ad");
    assert_eq!(answer, format!("0a1b.5a5a.signed.{CHECKS}. 60 IN A 64.65.4.1"));
    let (head, answer) = resolver.resolve("0a1b.5a5a.bogus");
    assert_eq!((&*head, &*answer), ("SERVFAIL flags: qr rd ra", ""));
    let (head, answer) = resolver.resolve("a.tcp");
    assert!(head.ends_with(" ad") && answer.ends_with("64.65.4.1"), "{head} {answer}");
    // Neither knows of NXNAME: for them it is a name without an address.
    let (head, answer) = resolver.resolve("a.nx");
    assert!(["NOERROR", "NXDOMAIN"].iter().any(|code| head.starts_with(code)), "{head}");
    assert!(head.ends_with(" ad") && answer.is_empty(), "{head} {answer}");
    // What is delegated is not signed, and that is proved: it is not taken for broken.
    let (head, answer) = resolver.resolve("a.b.who");
    assert_eq!(head, "NOERROR flags: qr rd ra");
    assert!(answer.starts_with(&format!("a.b.who.{CHECKS}. 0 IN A 127.")), "{answer}");
}

#[test]
fn unbound_validates_the_checks_zone() {
    let signed = Signed::start();
    validates(&validating_unbound(&signed));
}

#[test]
fn bind_validates_the_checks_zone() {
    let signed = Signed::start();
    validates(&bind(&signed, "dnssec-validation yes; qname-minimization relaxed;"));
}

#[test]
fn a_resolver_that_does_not_validate_has_the_address_of_both() {
    let signed = Signed::start();
    let resolver = unbound(&signed, "module-config: \"iterator\"");
    for name in ["a.signed", "a.bogus", "a.tcp"] {
        let (head, answer) = resolver.resolve(name);
        assert!(
            head.starts_with("NOERROR") && answer.ends_with("64.65.4.1"),
            "{name} {head} {answer}"
        );
    }
    let (head, _) = resolver.resolve("a.nx");
    assert!(["NOERROR", "NXDOMAIN"].iter().any(|code| head.starts_with(code)), "{head}");
}

#[test]
fn resolvers_that_ask_for_the_shorter_names_first_get_to_the_whole_one() {
    for (minimising, strict) in [
        (
            unbound as fn(&Signed, &str) -> Resolver,
            "qname-minimisation: yes\n qname-minimisation-strict: yes",
        ),
        (bind, "dnssec-validation no; qname-minimization strict;"),
    ] {
        let signed = Signed::start();
        let resolver = minimising(&signed, strict);
        for name in ["0a1b.5a5a.signed", "0a1c.5a5a.tcp", "0a1d.5a5a.who"] {
            let (head, answer) = resolver.resolve(name);
            assert!(head.starts_with("NOERROR") && !answer.is_empty(), "{name} {head} {answer}");
        }
        drop(resolver);
        let asked = signed.asked();
        // BIND asks for an address of `_.NAME`.
        let shorter = |name: &&String| {
            let name = name.trim_start_matches("_.");
            name == format!("5a5a.signed.{CHECKS}.") || name == format!("signed.{CHECKS}.")
        };
        assert!(asked.iter().any(|name| shorter(&name)), "{asked:?}");
    }
}
