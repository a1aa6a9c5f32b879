//! The directory documents that a simulated tor has, as tor writes them (dir-spec): for a reader of
//! the control port, not for a tor; keys and signatures are made up.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use super::network::{SimulatedNetwork, SimulatedRelay};
use crate::Fault;

/// The documents.
#[derive(Debug)]
pub(crate) struct Documents {
    /// `dir/status-vote/current/consensus-microdesc`, or the same without `-microdesc`.
    pub(crate) consensus: String,
    /// `md/all`, or `desc/all-recent`.
    pub(crate) descriptors: String,
}

/// What exits let out.
const PORTS: &str = "accept 20-23,43,53,79-81,443,993,8080-8100";

/// How tor writes times.
pub(crate) const TIME: &str = "%Y-%m-%d %H:%M:%S";

impl Documents {
    /// Those of this network, from this time on, for a tor that uses microdescriptors or not.
    pub(crate) fn of(
        network: &SimulatedNetwork,
        valid_after: DateTime<Utc>,
        microdescriptors: bool,
    ) -> Self {
        let valid_until = valid_after + chrono::Duration::hours(3);
        let flavour = if microdescriptors { " microdesc" } else { "" };
        let mut consensus = format!(
            "network-status-version 3{flavour}\nvote-status consensus\nconsensus-method 35\n\
             valid-after {}\nvalid-until {}\nvoting-delay 300 300\n\
             known-flags Authority Exit Fast Guard HSDir Running Stable V2Dir Valid\n",
            valid_after.format(TIME),
            valid_until.format(TIME)
        );
        let mut descriptors = String::new();
        for relay in network.relays() {
            let descriptor = if microdescriptors {
                microdescriptor(network, relay)
            } else {
                descriptor(network, relay)
            };
            entry(&mut consensus, relay, &Sha256::digest(&descriptor), microdescriptors);
            descriptors += &descriptor;
        }
        consensus += "directory-footer\nbandwidth-weights Wbd=0\n";
        Self { consensus, descriptors }
    }
}

fn entry(consensus: &mut String, relay: &SimulatedRelay, digest: &[u8], microdescriptors: bool) {
    let identity = STANDARD_NO_PAD.encode(relay.fingerprint.as_bytes());
    let flags = match relay.fault {
        None => "Fast Guard Running Stable V2Dir Valid",
        // Its policy has no port of IPv4.
        Some(Fault::Ipv6Policy) => "Fast Running Stable Valid",
        Some(_) => "Exit Fast Running Stable Valid",
    };
    // Only one of the two names the descriptor in the first line, and has the policy.
    let (digest, m, p) = if microdescriptors {
        (String::new(), format!("m {}\n", STANDARD_NO_PAD.encode(digest)), String::new())
    } else {
        let policy = if policies(relay).0 { PORTS } else { "reject 1-65535" };
        (STANDARD_NO_PAD.encode(&digest[..20]) + " ", String::new(), format!("p {policy}\n"))
    };
    let SimulatedRelay { nickname, address, bandwidth, .. } = relay;
    let _ = write!(
        consensus,
        "r {nickname} {identity} {digest}2038-01-01 00:00:00 {address} 9001 0\n{m}s {flags}\n\
         v Tor 0.4.9.11\nw Bandwidth={bandwidth}\n{p}"
    );
}

/// Bytes in the place of a key.
fn key(relay: &SimulatedRelay, length: usize) -> String {
    STANDARD_NO_PAD.encode(relay.fingerprint.as_bytes().repeat(8)).chars().take(length).collect()
}

fn object(relay: &SimulatedRelay) -> String {
    let lines: Vec<String> = (0..3).map(|_| key(relay, 64)).collect();
    format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", lines.join("\n"))
}

fn family(network: &SimulatedNetwork, relay: &SimulatedRelay) -> String {
    let (first, last) = relay.family;
    if last - first < 2 {
        return String::new();
    }
    let members = network.relays()[first..last].iter();
    let members: Vec<String> = members.map(|member| format!("${}", member.fingerprint)).collect();
    format!("family {}\n", members.join(" "))
}

/// The policies of a relay, for IPv4 and IPv6.
fn policies(relay: &SimulatedRelay) -> (bool, bool) {
    let v4 = relay.fault.is_some_and(|fault| fault != Fault::Ipv6Policy);
    (v4, relay.fault.is_some_and(|fault| fault.ipv6()))
}

fn microdescriptor(network: &SimulatedNetwork, relay: &SimulatedRelay) -> String {
    let (v4, v6) = policies(relay);
    let mut text = format!("onion-key\n{}", object(relay));
    let _ = write!(text, "ntor-onion-key {}\n{}", key(relay, 43), family(network, relay));
    if v4 {
        let _ = writeln!(text, "p {PORTS}");
    }
    text += if v6 { "p6 accept 1-65535\n" } else { "" };
    let _ = writeln!(text, "id ed25519 {}", key(relay, 43));
    text
}

fn descriptor(network: &SimulatedNetwork, relay: &SimulatedRelay) -> String {
    let (v4, v6) = policies(relay);
    let fingerprint = relay.fingerprint.to_string();
    let groups: Vec<&str> = (0..10).map(|part| &fingerprint[part * 4..part * 4 + 4]).collect();
    let mut text = format!(
        "router {} {} 9001 0 0\nplatform Tor 0.4.9.11 on Linux\nfingerprint {}\n\
         bandwidth 1073741824 1073741824 {}\nonion-key\n{}signing-key\n{}{}",
        relay.nickname,
        relay.address,
        groups.join(" "),
        relay.bandwidth * 1_000,
        object(relay),
        object(relay),
        family(network, relay)
    );
    let _ = writeln!(
        text,
        "contact url:https://operator{}.example.org proof:uri-rsa ciissversion:2 abuse[]example.org",
        relay.family.0
    );
    text += if v4 { "reject 0.0.0.0/8:*\nreject *:25\naccept *:*\n" } else { "reject *:*\n" };
    text += if v6 { "ipv6-policy accept 1-65535\n" } else { "" };
    let _ = writeln!(text, "router-signature\n{}", object(relay).trim_end());
    text
}
