//! A scan's results beside the truth. Reads an analysis directory; judges no relay itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use ::zone::correlate::{Correlation, Correlator};
use record::{
    Attempt, CheckLookup, CheckOutcome, ErrorCode, Fingerprint, Ipv6Outcome, Kind, Mode,
    RelayResult, ResolverChecks, Run, Status, printable,
};
use shelf::run::{RUN_FILE, result_name, seems_result};

use crate::recursor::ResolverTruth;
use crate::resolver::REPLAYS_FROM;
use crate::{Fault, LabError, Manifest, Truth};

/// How a scan of the lab compares with the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// How the scan judged answers.
    pub mode: Mode,
    /// One for each exit of the lab, in its order.
    pub rows: Vec<ComparedExit>,
    /// What the scan has found of exits' resolvers, where it looked: in the same order.
    pub resolvers: Vec<ComparedResolver>,
    /// What is wrong apart from single relays' verdicts.
    pub faults: Vec<String>,
}

/// The resolver of one exit in a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedResolver {
    /// The exit's nickname.
    pub nickname: String,
    /// What the resolver is.
    pub description: String,
    /// What a true scan finds.
    pub truth: ResolverTruth,
    /// What this one has found.
    pub found: ResolverTruth,
    /// Whether the client tor kept the addresses for itself, as on the public network it does with those
    /// of loopback.
    pub withheld: bool,
}

impl ComparedResolver {
    /// Whether the scan has found the truth.
    #[must_use]
    pub fn is_true(&self) -> bool {
        let ResolverTruth { addresses, validates, tcp, ipv6 } = &self.truth;
        let found = &self.found;
        (self.withheld || found.addresses == *addresses)
            && (found.validates, found.tcp, found.ipv6) == (*validates, *tcp, *ipv6)
    }

    /// Whether anything at all is known of it.
    fn is_known(&self) -> bool {
        let ResolverTruth { addresses, validates, tcp, ipv6 } = &self.found;
        let open = |outcome: &Option<CheckOutcome>| {
            outcome.is_none_or(|outcome| outcome == CheckOutcome::Unknown)
        };
        !addresses.is_empty() || ![validates, tcp, ipv6].into_iter().all(open)
    }

    fn line(&self) -> [String; 7] {
        let outcome =
            |outcome: Option<CheckOutcome>| outcome.map_or("", |it| it.as_str()).to_owned();
        let told = |of: &ResolverTruth| {
            let addresses: Vec<_> = of.addresses.iter().map(ToString::to_string).collect();
            [addresses.join(" "), outcome(of.validates), outcome(of.tcp), outcome(of.ipv6)]
        };
        let [addresses, validates, tcp, ipv6] = told(&self.found);
        let addresses = if self.withheld { "(kept by tor)".to_owned() } else { addresses };
        let is_true = if self.is_true() {
            "yes".to_owned()
        } else {
            format!("NO: {}", told(&self.truth).join(", "))
        };
        let (nickname, description) = (printable(&self.nickname), printable(&self.description));
        [nickname, description, addresses, validates, tcp, ipv6, is_true]
    }
}

/// One exit of the lab in a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedExit {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its nickname.
    pub nickname: String,
    /// What its resolver does.
    pub description: String,
    /// The true verdict.
    pub truth: Truth,
    /// The scan's verdict, in the same terms; null where the scan has none.
    pub found: Option<Truth>,
    /// The resolve time, in milliseconds.
    pub resolve_ms: Option<f64>,
    /// How the verdict came about.
    pub attempts: Vec<Attempt>,
}

impl ComparedExit {
    /// Whether the scan's verdict is the true one.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.found.as_ref().is_some_and(|found| {
            let left_open = self.truth.resolved_ip.is_none();
            // An exit that hangs is given up by whoever waits less: the scanner, or a first hop whose
            // link to it has been dead for a while (measured after some minutes).
            let given_up_before = self.truth.error_code == Some(ErrorCode::CircuitTimeout)
                && found.error_code == Some(ErrorCode::CircuitExitUnreachable);
            (found.status, found.blame, found.provisional, found.finding, found.ipv6)
                == (
                    self.truth.status,
                    self.truth.blame,
                    self.truth.provisional,
                    self.truth.finding,
                    self.truth.ipv6,
                )
                && (given_up_before || found.error_code == self.truth.error_code)
                && (left_open || found.resolved_ip == self.truth.resolved_ip)
        })
    }
}

impl Comparison {
    /// Whether the scan is complete and every verdict true.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.faults.is_empty()
            && self.rows.iter().all(ComparedExit::is_true)
            && self.resolvers.iter().all(ComparedResolver::is_true)
    }

    /// What was found of the resolvers, as a table for people; none where nobody looked.
    #[must_use]
    pub fn resolver_table(&self) -> Option<String> {
        if self.resolvers.is_empty() {
            return None;
        }
        let titles = ["relay", "its resolver", "asks from", "validates", "TCP", "IPv6", "true"];
        let told = self.resolvers.iter().filter(|row| row.is_known() || !row.is_true());
        let lines: Vec<_> = std::iter::once(titles.map(str::to_owned))
            .chain(told.map(ComparedResolver::line))
            .collect();
        let (of, right) =
            (self.resolvers.len(), self.resolvers.iter().filter(|row| row.is_true()).count());
        let others = of + 1 - lines.len();
        Some(format!(
            "{}{others} more know no name of the checks zone, and nothing is said of them\n\
             {right} of {of} resolvers are what they were found to be\n",
            columns(&lines)
        ))
    }

    /// The comparison as a table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut lines = vec![
            ["relay", "its resolver", "verdict", "cause", "blame", "resolved in", "true"]
                .map(str::to_owned),
        ];
        for row in &self.rows {
            let (verdict, cause, blame) = match &row.found {
                Some(found) => words(found),
                None => ("no result".to_owned(), String::new(), String::new()),
            };
            lines.push([
                printable(&row.nickname),
                printable(&row.description),
                verdict,
                cause,
                blame,
                row.resolve_ms.map(|ms| format!("{ms:.0} ms")).unwrap_or_default(),
                if row.is_true() { "yes".to_owned() } else { format!("NO: {}", row.difference()) },
            ]);
        }
        let mut text = columns(&lines);
        for row in self.rows.iter().filter(|row| !row.is_true()) {
            for attempt in &row.attempts {
                let _ = writeln!(text, "{}: {}", printable(&row.nickname), story(attempt));
            }
        }
        for fault in &self.faults {
            let _ = writeln!(text, "{}", printable(fault));
        }
        let (of, right) = (self.rows.len(), self.rows.iter().filter(|row| row.is_true()).count());
        let _ = writeln!(text, "{} mode: {right} of {of} verdicts are true", self.mode);
        text
    }
}

impl ComparedExit {
    /// What it should have been.
    fn difference(&self) -> String {
        let (verdict, cause, blame) = words(&self.truth);
        let mut text = [verdict, cause, blame].join(" ").trim_end().to_owned();
        let found = self.found.as_ref().and_then(|found| found.ipv6);
        if self.truth.ipv6 != found {
            let name = |outcome: Option<Ipv6Outcome>| outcome.map_or("none", |it| it.as_str());
            let _ = write!(text, " IPv6: {} (found {})", name(self.truth.ipv6), name(found));
        }
        if let Some(address) = &self.truth.resolved_ip {
            let found = self.found.as_ref().and_then(|found| found.resolved_ip.as_deref());
            let _ = write!(text, " {address} (found {})", printable(found.unwrap_or("none")));
        }
        text
    }
}

/// An attempt in a line, for whoever wants to know why a verdict is not the true one.
fn story(attempt: &Attempt) -> String {
    let Attempt { number, round, started, ended, first_hop, circuit, .. } = attempt;
    let mut text = format!(
        "attempt {number}, round {round}, {} for {} ms, by {}: {}",
        started.format("%H:%M:%S%.3f"),
        (*ended - *started).num_milliseconds(),
        first_hop.short(),
        attempt.status
    );
    let known =
        [attempt.error_code.map(|code| code.to_string()), attempt.blame.map(|it| it.to_string())];
    for word in known.iter().flatten() {
        let _ = write!(text, " {word}");
    }
    let _ = write!(text, "; circuit {:?}, {} hops", circuit.state, circuit.hops);
    for reason in [&circuit.reason, &circuit.remote_reason].into_iter().flatten() {
        let _ = write!(text, " {}", printable(reason));
    }
    for query in &attempt.queries {
        let reason = query.stream_reason.as_deref().unwrap_or("no end");
        let _ = write!(text, "; {:?} {}", query.via, printable(reason));
    }
    text
}

fn words(truth: &Truth) -> (String, String, String) {
    let once = if truth.provisional { " (seen once)" } else { "" };
    (
        format!("{}{once}", truth.status),
        [truth.error_code.map(|code| code.to_string()), truth.finding.map(|it| it.to_string())]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", "),
        truth.blame.map(|blame| blame.to_string()).unwrap_or_default(),
    )
}

/// Lines of cells, in columns as wide as their widest cell.
pub(crate) fn columns<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<_> =
            line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

/// Compares the results in an analysis directory with the truth about the lab's exits.
///
/// # Errors
///
/// [`LabError::File`] where the directory or its run file cannot be read. Whatever is wrong with the
/// results themselves is in [`Comparison`].
pub fn check(analysis: &Path, manifest: &Manifest) -> Result<Comparison, LabError> {
    let path = analysis.join(RUN_FILE);
    let bytes = fs::read(&path).map_err(LabError::file("read", &path))?;
    let run: Run = Kind::Run
        .parse(&bytes)
        .map_err(|error| LabError::file("read", &path)(std::io::Error::other(error)))?;
    let mut faults = Vec::new();
    let mut results = read_results(analysis, &mut faults)?;
    contradictions(&run, &results, manifest.exits.len(), &mut faults);
    for exit in &manifest.exits {
        let ids = results.get(&exit.fingerprint).map(|result| &result.relay.family_ids[..]);
        if exit.family_id.is_some() && ids != Some(exit.family_id.as_slice()) {
            faults.push(format!("{} is not said to be of its family by key", exit.nickname));
        }
    }
    let mut resolvers = Vec::new();
    for exit in &manifest.exits {
        let looked = results.get(&exit.fingerprint).and_then(|result| result.checks.as_ref());
        match (looked, &exit.resolver_truth) {
            (Some(looked), Some(truth)) => {
                resolvers.push(compared(exit, truth, looked));
            }
            (Some(_), None) => {
                faults.push(format!(
                    "{}: its resolver was asked for names of the checks zone",
                    exit.nickname
                ));
            }
            // Not looked at: that is no statement.
            (None, _) => {}
        }
    }
    if run.mode == Mode::Wildcard {
        faults.extend(losses(manifest, results.values())?);
    }
    let row = |exit: &crate::manifest::ManifestExit| {
        let result = results.remove(&exit.fingerprint);
        ComparedExit {
            fingerprint: exit.fingerprint,
            nickname: exit.nickname.clone(),
            description: exit.description.clone(),
            truth: exit.truth(run.mode).clone(),
            resolve_ms: result
                .as_ref()
                .and_then(|result| result.timing.resolve_ms)
                .map(record::Millis::get),
            found: result.as_ref().map(Truth::found),
            attempts: result.map(|result| result.attempts).unwrap_or_default(),
        }
    };
    let rows = manifest.exits.iter().map(row).collect();
    for result in results.values() {
        let (relay, nickname) = (&result.exit_fingerprint, &result.exit_nickname);
        faults.push(format!("{relay} ({nickname}) has a result and is no exit of the lab"));
    }
    Ok(Comparison { mode: run.mode, rows, resolvers, faults })
}

/// Where a run says otherwise than its results do.
fn contradictions(
    run: &Run,
    results: &BTreeMap<Fingerprint, RelayResult>,
    exits: usize,
    faults: &mut Vec<String>,
) {
    for result in results.values() {
        let relay = &result.exit_fingerprint;
        if result.run_id != run.run_id || result.mode != run.mode {
            faults.push(format!("{relay}: its result is of another run or mode"));
        }
    }
    if !run.complete {
        let reason = run.incomplete_reason.as_deref().unwrap_or("it does not say why");
        faults.push(format!("the run is not complete: {reason}"));
    }
    if !run.not_reached.is_empty() {
        faults.push(format!("the run names {} relays not reached", run.not_reached.len()));
    }
    let provisional = results.values().filter(|result| result.provisional);
    let provisional: BTreeSet<_> = provisional.map(|result| result.exit_fingerprint).collect();
    if run.unconfirmed.iter().copied().collect::<BTreeSet<_>>() != provisional {
        faults.push("the run names others as not confirmed than its results do".to_owned());
    }
    let have: record::Counts = results.values().map(|result| result.status).collect();
    if run.counts != have || usize::try_from(run.selected) != Ok(exits) {
        let (selected, counted) = (run.selected, run.counts.total());
        faults.push(format!(
            "the run's counts are not those of its results: {selected} selected, {counted} \
             counted, {} result files",
            results.len()
        ));
    }
}

/// What a scan has found of a resolver, beside the truth.
fn compared(
    exit: &crate::manifest::ManifestExit,
    truth: &ResolverTruth,
    looked: &ResolverChecks,
) -> ComparedResolver {
    let kept = |lookup: &CheckLookup| lookup.query.stream_reason.as_deref() == Some("TORPROTOCOL");
    ComparedResolver {
        nickname: exit.nickname.clone(),
        description: exit.description.clone(),
        truth: ResolverTruth {
            // What was not asked for cannot be found.
            validates: looked.validates.and(truth.validates),
            tcp: looked.tcp.and(truth.tcp),
            ipv6: looked.ipv6.and(truth.ipv6),
            addresses: truth.addresses.clone(),
        },
        found: ResolverTruth {
            addresses: looked.addresses.clone(),
            validates: looked.validates,
            tcp: looked.tcp,
            ipv6: looked.ipv6,
        },
        withheld: looked.lookups.iter().any(kept),
    }
}

/// How often the zone's log is looked at again: a resolver that asks late does so in a while.
const LOOKS: u32 = 15;

/// What is wrong with where the zone's log says that lookups got lost; nothing where there is no such log.
fn losses<'a>(
    manifest: &Manifest,
    results: impl Iterator<Item = &'a RelayResult>,
) -> Result<Vec<String>, LabError> {
    let Some(zone) = &manifest.zone else { return Ok(Vec::new()) };
    let results: Vec<&RelayResult> = results.collect();
    let mut wrong = Vec::new();
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(Duration::from_secs(1));
        }
        let mut correlator = Correlator::default();
        results.iter().for_each(|result| correlator.result((*result).clone()));
        let Some(began) = correlator.began() else { break };
        ::zone::read::log(&zone.log, began, |line| correlator.line(line))
            .map_err(LabError::file("read", &zone.log))?;
        wrong = misplaced(manifest, &correlator.finish());
        if wrong.is_empty() {
            break;
        }
    }
    Ok(wrong)
}

/// Where the zone's log says otherwise than is true where lookups got lost, or who asked.
fn misplaced(manifest: &Manifest, seen: &Correlation) -> Vec<String> {
    let mut wrong = Vec::new();
    for exit in &manifest.exits {
        let Some(names) = seen.relays.get(&exit.fingerprint) else { continue };
        let name = printable(&exit.nickname);
        // Without any success nothing is known of when the zone was asked.
        if let Some(truth) = exit.loss
            && seen.clock_offset.is_some()
        {
            let failed = names.iter().filter(|name| name.status == Status::DnsFail);
            for other in failed.filter(|name| name.fate != truth) {
                let (found, attempt) = (other.fate.meaning(), other.attempt);
                wrong.push(format!(
                    "{name}, attempt {attempt}: {found}; it is: {}",
                    truth.meaning()
                ));
            }
        }
        if names.iter().all(|name| name.status != Status::Success) {
            continue;
        }
        let replays = exit.fault == Fault::Replays.name();
        if exit.is_real() || replays {
            let truth = exit.resolver_truth.iter().flat_map(|truth| &truth.addresses).copied();
            // It asks for the zone's own names by IPv4.
            let mut truth: BTreeSet<IpAddr> = truth.filter(IpAddr::is_ipv4).collect();
            truth.extend(replays.then_some(IpAddr::V4(REPLAYS_FROM)));
            let asked = ::zone::correlate::resolvers(names);
            if asked != truth {
                wrong.push(format!("{name}: {asked:?} asked the zone for it; it is {truth:?}"));
            }
        }
    }
    wrong
}

/// The result files by relay; what cannot be one is a fault.
fn read_results(
    analysis: &Path,
    faults: &mut Vec<String>,
) -> Result<BTreeMap<Fingerprint, RelayResult>, LabError> {
    let mut results = BTreeMap::new();
    for entry in fs::read_dir(analysis).map_err(LabError::file("read", analysis))? {
        let entry = entry.map_err(LabError::file("read", analysis))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !seems_result(&name) {
            continue;
        }
        let bytes = fs::read(entry.path()).map_err(LabError::file("read", &entry.path()))?;
        match Kind::Result.parse::<RelayResult>(&bytes) {
            Ok(result) if result_name(&result.exit_fingerprint) == name => {
                results.insert(result.exit_fingerprint, result);
            }
            Ok(result) => {
                faults.push(format!("{name} holds the result of {}", result.exit_fingerprint));
            }
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;
    use crate::manifest::ManifestExit;
    use record::Blame;
    use serde_json::{Value, json};

    const RIGHT: [u8; 20] = [1; 20];
    const SILENT: [u8; 20] = [2; 20];

    fn manifest() -> Manifest {
        let exit = |id: [u8; 20], fault: Fault| ManifestExit {
            fingerprint: Fingerprint::from_bytes(id),
            nickname: fault.name().to_owned(),
            fault: fault.name().to_owned(),
            description: fault.description(),
            or_address: "127.0.0.1:1".parse().unwrap(),
            resolver: "127.0.0.1:2".parse().unwrap(),
            wildcard: fault.truth(Mode::Wildcard),
            nxdomain: fault.truth(Mode::Nxdomain),
            family_id: None,
            resolver_truth: fault.resolver(true),
            loss: fault.loss(),
        };
        Manifest {
            format: record::Format { name: "exit-validator/lab".to_owned(), version: 1 },
            pid: 1,
            process_start: 0,
            torrc: "/lab/torrc".into(),
            client: None,
            wildcard_domain: crate::zone::WILDCARD_DOMAIN.to_owned(),
            nxdomain_domain: crate::zone::NXDOMAIN_DOMAIN.to_owned(),
            expected_ip: crate::zone::EXPECTED_ADDRESS.into(),
            exits: vec![exit(RIGHT, Fault::Correct), exit(SILENT, Fault::Silent)],
            guards: Vec::new(),
            dead_guard: None,
            zone: None,
        }
    }

    fn result(id: [u8; 20], truth: &Truth) -> Value {
        json!({
            "format": Kind::Result.format(), "exit_fingerprint": Fingerprint::from_bytes(id),
            "exit_nickname": "\u{1b}[31mred", "exit_address": "127.0.0.1",
            "first_hop_fingerprint": null, "query_domain": null, "expected_ip": null,
            "timestamp": "2026-01-01T00:00:00Z", "run_id": "run", "shard": null,
            "mode": "wildcard", "status": truth.status, "resolved_ip": truth.resolved_ip,
            "latency_ms": null, "error": null, "error_code": truth.error_code, "attempt": 1,
            "blame": truth.blame,
            "timing": {"circuit_ms": null, "attach_ms": null, "resolve_ms": 12.3},
            "provisional": false, "attempts": [],
            "relay": {"flags": [], "contact": null, "family": [], "platform": null,
                "bandwidth": {"consensus_weight": null, "observed": null},
                "ipv6": {"address": null, "exit": null}, "country": null},
        })
    }

    fn run(results: &[Value], complete: bool) -> Value {
        let statuses = results
            .iter()
            .map(|result| serde_json::from_value::<Status>(result["status"].clone()).unwrap());
        let counts: record::Counts = statuses.collect();
        json!({
            "format": Kind::Run.format(), "run_id": "run", "complete": complete,
            "incomplete_reason": null, "mode": "wildcard", "domain": "example.org",
            "expected_ip": null, "shard": null,
            "selection": {"filter": "exits", "country": null, "relays_in_consensus": 9,
                "exits_in_consensus": 2, "excluded": [], "left_out": {}},
            "settings": {"build_delay": 0.0, "delay_noise": 0.0, "query_timeout": 5.0,
                "circuit_timeout": 5.0, "max_retries": 2, "retry_delay": 1.0,
                "max_in_flight": 9, "max_per_first_hop": 9, "confirm_rounds": 0,
                "confirm_after": 0.0, "first_hop": null},
            "started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:01:00Z",
            "probing_seconds": 60.0, "resumed": 0, "consensus_valid_after": null,
            "tor": {"version": "0.4.9", "own": true, "restarts": 0},
            "scanner_version": "0.1.0", "selected": results.len(), "counts": counts,
            "not_reached": [], "unconfirmed": [],
        })
    }

    fn checked(results: &[Value], complete: bool) -> Comparison {
        let dir = tempfile::tempdir().unwrap();
        for result in results {
            let relay: Fingerprint =
                serde_json::from_value(result["exit_fingerprint"].clone()).unwrap();
            fs::write(dir.path().join(result_name(&relay)), result.to_string()).unwrap();
        }
        fs::write(dir.path().join(RUN_FILE), run(results, complete).to_string()).unwrap();
        check(dir.path(), &manifest()).unwrap()
    }

    fn true_results() -> Vec<Value> {
        let truth = |fault: Fault| fault.truth(Mode::Wildcard);
        vec![result(RIGHT, &truth(Fault::Correct)), result(SILENT, &truth(Fault::Silent))]
    }

    #[test]
    fn a_true_scan_is_true() {
        let checked = checked(&true_results(), true);
        assert!(checked.is_true(), "{}", checked.table());
        assert!(checked.table().contains("2 of 2 verdicts are true"));
    }

    #[test]
    fn every_difference_is_found() {
        for (field, value) in [
            ("status", json!(Status::Timeout)),
            ("error_code", json!(ErrorCode::Servfail)),
            ("blame", json!(Blame::Exit)),
            ("mode", json!(Mode::Nxdomain)),
            ("run_id", json!("another")),
            ("provisional", json!(true)),
        ] {
            let mut results = true_results();
            results[1][field] = value;
            assert!(!checked(&results, true).is_true(), "{field}");
        }
        let mut results = true_results();
        results[0]["resolved_ip"] = json!("192.0.2.1");
        let wrong = checked(&results, true);
        assert!(!wrong.is_true());
        assert!(wrong.table().contains("NO: success 64.65.4.1 (found 192.0.2.1)"));
    }

    #[test]
    fn missing_and_extra_relays_and_incomplete_runs_are_found() {
        assert!(!checked(&true_results()[..1], true).is_true());
        assert!(!checked(&true_results(), false).is_true());
        let mut results = true_results();
        results.push(result([3; 20], &Fault::Correct.truth(Mode::Wildcard)));
        let extra = checked(&results, true);
        assert!(!extra.is_true());
        assert!(extra.table().contains("is no exit of the lab"));
        assert!(!extra.table().contains('\u{1b}'), "a stranger's text acts on no terminal");
    }
}
