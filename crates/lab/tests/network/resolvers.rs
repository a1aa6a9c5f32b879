//! The resolvers alone, for a network that another program runs: they answer as their faults have
//! it, and with what is told of the network there is a manifest.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use lab::zone::{EXPECTED_ADDRESS, OTHER_ADDRESS, WILDCARD_DOMAIN};
use lab::{
    BANDWIDTHS_FILE, Fault, MANIFEST_FILE, Manifest, Offer, RESOLVERS_FILE, SETTINGS_FILE, Then,
};
use record::{Fingerprint, Mode, Status};
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::{lab, until};

/// Longer than the slow answer takes that still comes in time, shorter than the one that does not.
const WAIT: Duration = Duration::from_millis(1800);

/// What a resolver answers by UDP; nothing where that is nothing, or no DNS message.
async fn asked(resolver: SocketAddr) -> Option<Message> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(resolver).await.unwrap();
    let mut question = Message::query();
    question.add_query(Query::query(
        Name::from_ascii(format!("a.{WILDCARD_DOMAIN}.")).unwrap(),
        RecordType::A,
    ));
    socket.send(&question.to_vec().unwrap()).await.unwrap();
    let mut buffer = [0; 1000];
    let length = timeout(WAIT, socket.recv(&mut buffer)).await.ok()?.unwrap();
    Message::from_vec(&buffer[..length]).ok()
}

fn address(answer: &Message) -> Option<Ipv4Addr> {
    answer.answers.iter().find_map(|record| match &record.data {
        RData::A(address) => Some(address.0),
        _ => None,
    })
}

async fn start(dir: &Path) -> (tokio::process::Child, Offer) {
    let child = lab(&["resolvers"], dir).spawn().unwrap();
    until("the resolvers are ready", || dir.join(RESOLVERS_FILE).exists()).await;
    (child, Offer::read(dir).unwrap().unwrap())
}

async fn adopt(dir: &Path, text: &str) -> std::process::Output {
    let mut child = lab(&["adopt", "-"], dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).await.unwrap();
    drop(input);
    child.wait_with_output().await.unwrap()
}

fn fingerprint(index: usize) -> Fingerprint {
    Fingerprint::from_bytes([u8::try_from(index).unwrap(); 20])
}

#[tokio::test]
async fn each_resolver_answers_as_its_fault_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, offer) = start(dir.path()).await;
    let faults = Fault::ALL.iter().filter(|fault| fault.then().is_some()).count();
    assert_eq!(offer.exits.len(), faults);
    for wanted in &offer.exits {
        let file = std::fs::read_to_string(&wanted.resolv_conf).unwrap();
        assert_eq!(file, format!("nameserver {}\n", wanted.resolver));
        let answer = asked(wanted.resolver).await;
        let code = answer.as_ref().map(|answer| answer.metadata.response_code);
        let name = wanted.nickname.as_str();
        match name {
            "silent" | "tooslow" | "garbage" => assert_eq!(answer, None, "{name}"),
            "otheraddress" => assert_eq!(answer.as_ref().and_then(address), Some(OTHER_ADDRESS)),
            "nxdomain" => assert_eq!(code, Some(ResponseCode::NXDomain)),
            "refused" => assert_eq!(code, Some(ResponseCode::Refused)),
            "servfail" | "brokenthenright" => assert_eq!(code, Some(ResponseCode::ServFail)),
            "correct" | "slow" | "rightthenwrong" | "dead" | "frozen" => {
                assert_eq!(answer.as_ref().and_then(address), Some(EXPECTED_ADDRESS), "{name}");
            }
            _ => assert!(answer.is_some(), "{name} does not answer"),
        }
        let then = match name {
            "dead" => Then::Dies,
            "frozen" => Then::Freezes,
            _ => Then::Runs,
        };
        assert_eq!(wanted.then, then, "{name}");
    }
    let second = lab(&["resolvers"], dir.path()).output().await.unwrap();
    assert_eq!(second.status.code(), Some(1), "the directory is taken");
    let down = lab(&["down"], dir.path()).status().await.unwrap();
    assert!(down.success());
    assert!(child.wait().await.unwrap().success());
    assert!(!dir.path().join(RESOLVERS_FILE).exists());
    let adopted = adopt(dir.path(), "").await;
    assert_eq!(adopted.status.code(), Some(4), "there are no resolvers any more");
}

#[tokio::test]
async fn a_network_that_was_told_of_can_be_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, offer) = start(dir.path()).await;
    let mut text = format!("authority a {}\nguard g {}\n", fingerprint(201), fingerprint(202));
    text += "client 127.0.0.1:9051 127.0.0.1:9050 127.0.0.1:9053 /some where/cookie\n\
             torrc TestingTorNetwork 1\n";
    let refused = adopt(dir.path(), &text).await;
    assert_eq!(refused.status.code(), Some(1), "it has no exits");
    assert!(!dir.path().join(MANIFEST_FILE).exists());
    for (index, wanted) in offer.exits.iter().enumerate() {
        let name = &wanted.nickname;
        let _ = writeln!(text, "exit {name} {} 127.0.0.1:{}", fingerprint(index + 1), 5000 + index);
    }
    let adopted = adopt(dir.path(), &text).await;
    assert!(adopted.status.success(), "{}", String::from_utf8_lossy(&adopted.stderr));

    let manifest = Manifest::read(dir.path()).unwrap().unwrap();
    assert!(manifest.is_alive());
    assert_eq!(manifest.pid, child.id().unwrap());
    assert_eq!(manifest.exits.len(), offer.exits.len());
    for (exit, wanted) in manifest.exits.iter().zip(&offer.exits) {
        assert_eq!((&exit.nickname, exit.resolver), (&wanted.nickname, wanted.resolver));
    }
    assert_eq!(manifest.exits[0].truth(Mode::Wildcard).status, Status::Success);
    assert_eq!(std::fs::read_to_string(&manifest.torrc).unwrap(), "TestingTorNetwork 1\n");
    let settings = std::fs::read_to_string(dir.path().join(SETTINGS_FILE)).unwrap();
    assert!(settings.contains("TOR_CONTROL=127.0.0.1:9051\n"), "{settings}");
    let bandwidths = std::fs::read_to_string(dir.path().join(BANDWIDTHS_FILE)).unwrap();
    assert_eq!(bandwidths.lines().count(), 1 + 2 + offer.exits.len());
    // `lab check` knows it: what is missing is the scan.
    let check = lab(&["check", "/nonexistent"], dir.path()).output().await.unwrap();
    assert_eq!(check.status.code(), Some(1));

    let down = lab(&["down"], dir.path()).status().await.unwrap();
    assert!(down.success());
    assert!(child.wait().await.unwrap().success());
    assert!(Manifest::read(dir.path()).unwrap().is_none());
    assert!(!dir.path().join(SETTINGS_FILE).exists());
}
