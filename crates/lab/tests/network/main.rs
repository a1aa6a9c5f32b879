//! The lab with real tors: every fault gives the evidence that its truth rests on, and nothing is
//! left running, however a lab ends.
#![expect(clippy::unwrap_used, reason = "tests")]

mod by_hand;
mod resolvers;

use std::path::Path;
use std::time::Duration;

use by_hand::{Built, Hand, Seen, Way};
use hickory_proto::rr::RecordType;
use lab::zone::{
    EXPECTED_ADDRESS, FILTER_ADDRESS, NXDOMAIN_DOMAIN, OTHER_ADDRESS, WILDCARD_DOMAIN,
};
use lab::{Fault, LabExit, MANIFEST_FILE, Manifest, Network, Spec};
use record::{ErrorCode, Mode};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

/// What one exit did.
#[derive(Debug)]
struct Row {
    exit: LabExit,
    built: Built,
    /// SOCKS, DNSPort A, DNSPort AAAA, DNSPort A of a name that does not exist.
    lookups: Vec<Seen>,
}

async fn look(network: &Network, exit: &LabExit, index: usize) -> Row {
    let client = network.client().unwrap();
    let mut hand = Hand::new(client).await;
    let guards = network.guards();
    let mut lookups = Vec::new();
    let mut first = None;
    let ways = [
        (Way::Socks, WILDCARD_DOMAIN),
        (Way::Dns(RecordType::A), WILDCARD_DOMAIN),
        (Way::Dns(RecordType::AAAA), WILDCARD_DOMAIN),
        (Way::Dns(RecordType::A), NXDOMAIN_DOMAIN),
    ];
    for (number, (way, domain)) in ways.into_iter().enumerate() {
        let guard = &guards[(index + number) % guards.len()];
        let built = hand.circuit(&guard.fingerprint, &exit.fingerprint).await;
        first.get_or_insert(built.clone());
        let Built::Yes(circuit) = built else { break };
        let name = format!("n{number}.{}.{domain}", exit.fingerprint.short());
        lookups.push(hand.ask(&circuit, &name, way, Duration::from_secs(12)).await);
        if exit.fault == Fault::FreezesInQuery {
            if number == 1 {
                break;
            }
            // Until it has thawed.
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }
    Row { exit: exit.clone(), built: first.unwrap(), lookups }
}

#[tokio::test]
async fn every_fault_gives_the_evidence_that_its_truth_rests_on() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(&Spec::standard(), dir.path(), |_| ()).await.unwrap();
    let looks = network.exits().iter().enumerate().map(|(index, exit)| look(&network, exit, index));
    let rows = futures_util::future::join_all(looks).await;
    print(&network, &rows);
    for row in &rows {
        judge(row);
    }
    let dead = network.dead_guard().unwrap();
    let mut hand = Hand::new(network.client().unwrap()).await;
    let built = hand.circuit(&dead, &network.exits()[0].fingerprint).await;
    let Built::Failed(reasons) = built else { panic!("a dead first hop: {built:?}") };
    assert!(!reasons.contains("REMOTE_REASON"), "{reasons}");

    // What a test can do to a healthy exit and to the client.
    let exit = &network.exit("correct").unwrap().fingerprint;
    let guard = &network.guards()[1].fingerprint;
    network.freeze(exit).await.unwrap();
    assert_eq!(hand.circuit(guard, exit).await, Built::Pending);
    network.resume(exit).await.unwrap();
    assert!(matches!(hand.circuit(guard, exit).await, Built::Yes(_)));
    network.kill_exit(exit).await.unwrap();
    assert!(matches!(hand.circuit(guard, exit).await, Built::Failed(_)));
    let count = network.process_ids().await.unwrap().len();
    network.kill_client().await.unwrap();
    assert_eq!(network.process_ids().await.unwrap().len(), count - 1);
    network.restart_client().await.unwrap();
    assert_eq!(network.process_ids().await.unwrap().len(), count);
    network.stop().await;
    assert_eq!(processes_of(dir.path()), Vec::<u32>::new());
}

/// The evidence that a truth rests on: see the table of the facts about tor in the project's
/// documentation.
#[expect(clippy::too_many_lines, reason = "one arm for each fault")]
fn judge(row: &Row) {
    let Row { exit, built, lookups } = row;
    let fault = exit.fault;
    match fault {
        Fault::Frozen => return assert_eq!(*built, Built::Pending, "{fault:?}"),
        Fault::Dead => {
            let Built::Failed(reasons) = built else { panic!("{fault:?}: {built:?}") };
            assert!(reasons.contains("REMOTE_REASON="), "{fault:?}: {reasons}");
            return;
        }
        _ => assert!(matches!(built, Built::Yes(_)), "{fault:?}: {built:?}"),
    }
    let [right, wrong] = [EXPECTED_ADDRESS, OTHER_ADDRESS].map(|address| address.to_string());
    let (right, wrong) = (right.as_str(), wrong.as_str());
    let filter = &FILTER_ADDRESS.to_string()[..];
    let none = "";
    // The reply to SOCKS with its address; to DNSPort A with its address; to DNSPort A of a name
    // that does not exist; the closing reason of all of them.
    let (socks, a, nx, close) = match fault {
        Fault::Correct
        | Fault::CorrectIpv6
        | Fault::Ipv6Policy
        | Fault::DropsAaaa
        | Fault::FailsAaaa
        | Fault::OneServerSilent
        | Fault::FamilyByKey
        | Fault::Replays
        | Fault::Slow(_)
            if fault.name() != "tooslow" =>
        {
            (("0", right), ("NoError", right), "NXDomain", "DONE")
        }
        Fault::OtherAddress | Fault::WrongAddressFirst => {
            (("0", wrong), ("NoError", wrong), "NoError", "DONE")
        }
        Fault::RewritesNxdomain => (("0", right), ("NoError", right), "NoError", "DONE"),
        Fault::FilterPage => (("0", filter), ("NoError", filter), "NXDomain", "DONE"),
        Fault::RightAddressFirst => (("0", right), ("NoError", right), "NoError", "DONE"),
        Fault::PrivateAddress => (("4", none), ("ServFail", none), "ServFail", "TORPROTOCOL"),
        Fault::Nxdomain | Fault::Refused | Fault::Empty | Fault::AaaaOnly => {
            (("4", none), ("NXDomain", none), "NXDomain", "DONE")
        }
        Fault::BrokenThenRight => (("4", none), ("NoError", right), "NXDomain", "DONE"),
        Fault::RightThenWrong => (("0", right), ("NoError", wrong), "NoError", "DONE"),
        Fault::FreezesInQuery => ((none, none), (none, none), none, none),
        Fault::ExitsNoLonger => (("4", none), ("NXDomain", none), "NXDomain", "DONE"),
        Fault::BreaksOff => (("4", none), ("ServFail", none), "ServFail", "DESTROY"),
        _ => (("4", none), ("ServFail", none), "ServFail", "DONE"),
    };
    let seen = |number: usize| {
        let seen: &Seen = &lookups[number];
        (seen.reply.as_str(), seen.addresses.as_str())
    };
    assert_eq!(seen(0), socks, "{fault:?}");
    assert_eq!(seen(1), a, "{fault:?}");
    if fault == Fault::Vanishes {
        let closes: Vec<&str> = lookups[..3].iter().map(|lookup| lookup.close.as_str()).collect();
        return assert_eq!(closes, [close, close, "DESTROY"], "its links break at the third name");
    }
    for lookup in lookups {
        assert_eq!(lookup.close, close, "{fault:?}");
    }
    if fault == Fault::FreezesInQuery {
        return;
    }
    assert_eq!(seen(3).0, nx, "{fault:?}");
    let both = matches!(fault, Fault::CorrectIpv6 | Fault::Ipv6Policy);
    let six = if both { "2001:db8::4041" } else { none };
    assert_eq!(seen(2).1, six, "{fault:?}");
    // The exit gives up after two seconds; some milliseconds less where its event came late.
    let gives_up = fault.truth(Mode::Wildcard).error_code == Some(ErrorCode::ResolverTimeout);
    // What it knows it keeps until it has heard of both families.
    let gives_up = gives_up || fault == Fault::DropsAaaa;
    for lookup in lookups {
        let took = lookup.took.unwrap();
        if fault == Fault::SlowPath {
            // What makes it hard to tell from one that gives up.
            assert!(took > Duration::from_millis(1900), "{fault:?} took {took:?}");
            continue;
        }
        assert_eq!(took > Duration::from_millis(1800), gives_up, "{fault:?} took {took:?}");
    }
}

#[expect(clippy::print_stdout, reason = "the evidence, for whoever runs this with --nocapture")]
fn print(network: &Network, rows: &[Row]) {
    for row in rows {
        println!("{:<16} {:?}", row.exit.nickname, row.built);
        for seen in &row.lookups {
            let took = seen.took.map(|took| format!("{:.3} s", took.as_secs_f64()));
            println!(
                "    reply {:<9} {:<20} close {:<12} {:<16} {}",
                seen.reply,
                seen.addresses,
                seen.close,
                seen.remote,
                took.unwrap_or_default()
            );
        }
        let asked = network.asked(&row.exit.fingerprint).unwrap();
        let asked: Vec<_> = asked
            .iter()
            .map(|asked| format!("{} {}", asked.record_type, &asked.name[..2]))
            .collect();
        println!("    asked {asked:?}");
    }
}

/// The processes that were given a path under this directory as an argument: the lab's tors.
fn processes_of(dir: &Path) -> Vec<u32> {
    let dir = dir.canonicalize().unwrap();
    let dir = dir.to_str().unwrap().as_bytes();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let entry = entry.unwrap();
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let is_tor = command.starts_with(b"tor\0") || command.starts_with(b"setpriv\0");
        if is_tor && command.windows(dir.len()).any(|window| window == dir) {
            found.push(pid);
        }
    }
    found
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..600 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("waited in vain until {what}");
}

fn lab(arguments: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(arguments).arg("--dir").arg(dir).kill_on_drop(true);
    command
}

const SMALL: &[&str] = &["up", "--exits", "healthy:2", "--guards", "1"];

#[tokio::test]
async fn nothing_outlives_a_lab_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut up = lab(SMALL, dir.path()).spawn().unwrap();
    until("the lab is ready", || {
        assert_eq!(up.try_wait().unwrap(), None, "the lab has ended");
        dir.path().join(MANIFEST_FILE).exists()
    })
    .await;
    let tors = processes_of(dir.path());
    assert_eq!(tors.len(), 3 + 1 + 2 + 1);
    // A frozen tor can look after nobody.
    let frozen = Pid::from_raw(i32::try_from(tors[0]).unwrap()).unwrap();
    kill_process(frozen, Signal::STOP).unwrap();
    let second = lab(SMALL, dir.path()).output().await.unwrap();
    assert_eq!(second.status.code(), Some(1), "the directory is taken");
    up.kill().await.unwrap();
    until("all tors are gone", || processes_of(dir.path()).is_empty()).await;
    let down = lab(&["down"], dir.path()).status().await.unwrap();
    assert_eq!(down.code(), Some(4), "there is no lab any more");
}

#[tokio::test]
async fn a_lab_in_the_background_ends_when_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let up = lab(SMALL, dir.path()).arg("--detach").output().await.unwrap();
    let said = String::from_utf8_lossy(&up.stderr);
    assert!(up.status.success(), "{said}");
    let manifest = Manifest::read(dir.path()).unwrap().unwrap();
    assert!(manifest.is_alive());
    assert_eq!(manifest.exits.len(), 2);
    assert_eq!(processes_of(dir.path()).len(), 3 + 1 + 2 + 1);
    assert!(std::fs::read_to_string(&manifest.torrc).unwrap().contains("DirAuthority "));
    let down = lab(&["down"], dir.path()).status().await.unwrap();
    assert!(down.success());
    assert_eq!(processes_of(dir.path()), Vec::<u32>::new());
    assert!(!manifest.is_alive());
    assert!(Manifest::read(dir.path()).unwrap().is_none());
}
