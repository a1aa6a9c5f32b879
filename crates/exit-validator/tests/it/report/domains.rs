//! Checks of the domains that relays name: asked for, kept, and in the next report.

use record::{ProofMethod, ProofProblem};
use tokio::net::UdpSocket;

use super::fixture::{relay, scan};
use super::program::Place;
use crate::support::program;

/// Runs `exit-validator domains`, with nobody where it looks records up.
#[track_caller]
fn domains(place: &Place, arguments: &[&str]) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let nobody = runtime.block_on(UdpSocket::bind("127.0.0.1:0")).unwrap();
    let resolver = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let output = std::process::Command::new(program("exit-validator"))
        .args(["domains", "--analysis-root", "analysis", "--resolver", &resolver])
        .args(arguments)
        .env_clear()
        .current_dir(place.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A run in which relay 1 names a website that is not there, relays 2 and 3 a domain without records.
fn write(place: &Place, number: i32) -> String {
    let mut scan = scan(number, [(1, 's'), (2, 's'), (3, 's'), (4, 's')]);
    for result in &mut scan.results {
        let claim = match result.exit_fingerprint {
            one if one == relay(1) => "url:https://nothing.invalid proof:uri-rsa ciissversion:2",
            one if one == relay(4) => "nobody",
            _ => "url:records.example proof:dns-rsa ciissversion:2",
        };
        result.relay.contact = Some(claim.to_owned());
    }
    let name = format!("analysis/{number}");
    scan.write(&place.path(&name));
    name
}

#[test]
fn what_is_checked_is_kept_is_in_the_report_and_is_not_asked_again() {
    let place = Place::new();
    let input = write(&place, 1);
    let said = domains(&place, &["--dry-run"]);
    assert!(said.starts_with("3 relays name a domain; to ask: 1 lists, 2 records\n"), "{said}");
    assert!(said.contains("list    nothing.invalid  1 relays\n"), "{said}");
    let said = domains(&place, &[]);
    assert!(said.starts_with("3 relays name a domain; checked: 3, proved: 0\n"), "{said}");
    let again = domains(&place, &[]);
    assert!(again.contains("checked: 0"), "there is a pause before it is asked again: {again}");

    place.expect(0, "", &["--quiet", "--input", &input]);
    let latest = place.latest();
    let of = |number: u32| {
        let row = latest.results.iter().find(|row| row.exit_fingerprint == relay(number)).unwrap();
        row.domain.clone()
    };
    let website = of(1).unwrap();
    assert_eq!((website.name.as_str(), website.method), ("nothing.invalid", ProofMethod::UriRsa));
    assert_eq!(website.problem, Some(ProofProblem::NoName));
    assert!(!website.proved && website.checked_at.is_some() && website.proved_at.is_none());
    for number in [2, 3] {
        let record = of(number).unwrap();
        assert_eq!(record.problem, Some(ProofProblem::NoAnswer));
        assert_eq!(record.method, ProofMethod::DnsRsa);
    }
    assert_eq!(of(4), None);

    // A report that is there does not change by what is found later.
    let before = place.published();
    domains(&place, &[]);
    place.expect(0, "", &["--quiet", "--input", &input]);
    assert_eq!(place.published()["latest.json"], before["latest.json"]);
}
