//! The lab with real tors: every fault gives the evidence that its truth rests on, and nothing is
//! left running, however a lab ends.
#![expect(clippy::unwrap_used, reason = "tests")]

mod by_hand;

use std::time::Duration;

use by_hand::{Built, Hand, Seen, Way};
use hickory_proto::rr::RecordType;
use lab::zone::{NXDOMAIN_DOMAIN, WILDCARD_DOMAIN};
use lab::{Exit, Fault, Network, Spec};

/// What one exit did.
#[derive(Debug)]
struct Row {
    exit: Exit,
    built: Built,
    /// SOCKS, DNSPort A, DNSPort AAAA, DNSPort A of a name that does not exist.
    lookups: Vec<Seen>,
}

async fn look(network: &Network, exit: &Exit, index: usize) -> Row {
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
    for row in &rows {
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
    if let Some(guard) = network.dead_guard() {
        let mut hand = Hand::new(network.client().unwrap()).await;
        println!("dead guard {:?}", hand.circuit(&guard, &network.exits()[0].fingerprint).await);
    }
    network.stop().await;
}
