//! Evidence to verdict: pure, and computed from nothing but what the result and the run's file
//! publish, so that anybody can check a verdict by reading them.
//!
//! [`classify`] judges one attempt, [`conclude`] a relay from all its attempts. What each piece
//! of evidence means was measured on tor 0.4.9 and is written down in `docs/verdicts.md`.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use record::{
    Attempt, Blame, Circuit, CircuitState, ErrorCode, Fingerprint, Mode, Query, Remap, Status, Via,
};

use crate::consensus::is_private;
use crate::probe::ATTACH_REFUSED;

/// `resolved_ip` of a success in nxdomain mode.
const NXDOMAIN: &str = "NXDOMAIN";

/// A transient error that came later than this part of the exit's own time limit came because
/// the exit gave up waiting. Tor's timer can fire a little early against our clock.
const GAVE_UP: f64 = 0.95;

/// The part of that limit below which a resolver's time must be where only the path's time keeps the
/// whole below it.
const BY_FAR: f64 = 0.95;

/// What an answer is judged against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judge {
    /// How answers are judged.
    pub mode: Mode,
    /// The expected address; none in nxdomain mode.
    pub expected: Option<IpAddr>,
    /// How long an exit waits for its resolver before it answers with a transient error.
    pub exit_dns_limit: Duration,
}

/// What an attempt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What became of it.
    pub status: Status,
    /// Why, and where the fault lies, where it is not a success.
    pub fault: Option<(ErrorCode, Blame)>,
    /// The same in words.
    pub error: Option<String>,
    /// The address that came, or `NXDOMAIN`.
    pub resolved_ip: Option<String>,
    /// Which query decided, where one did.
    pub query: Option<usize>,
}

impl Verdict {
    fn success(resolved_ip: String, query: usize) -> Self {
        Self {
            status: Status::Success,
            fault: None,
            error: None,
            resolved_ip: Some(resolved_ip),
            query: Some(query),
        }
    }

    /// A verdict that is not a success.
    #[must_use]
    pub fn fault(status: Status, code: ErrorCode, blame: Blame, error: String) -> Self {
        Self {
            status,
            fault: Some((code, blame)),
            error: Some(error),
            resolved_ip: None,
            query: None,
        }
    }

    fn by(self, query: usize) -> Self {
        Self { query: Some(query), ..self }
    }
}

/// What one lookup's evidence says, before it is known what was hoped for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    /// Addresses came.
    Addresses(&'a [IpAddr]),
    /// The answer was an address that our tor does not pass on because it is private, or nothing
    /// that it could read.
    Withheld,
    /// The exit's permanent error.
    Permanent,
    /// The exit's transient error.
    Transient,
    /// The exit answered, and with no address of the family asked for.
    OtherFamily,
    /// The exit answered that there is no address; of which kind is not known.
    NoAddress,
    /// The exit ended the stream without an answer.
    EndedByExit,
    /// The circuit died first.
    Died,
    /// It was sent, and nothing came.
    Silence,
    /// The stream closed for another reason.
    Unknown,
    /// It went wrong on this host.
    Local(ErrorCode),
}

/// Reads one lookup's evidence (measurements: `docs/verdicts.md`). It is the exit's answer where tor
/// has sent the lookup on the attempt's own circuit, and the stream's end and the reply on our socket
/// agree: one witness is none.
pub(crate) fn answer(query: &Query) -> Answer<'_> {
    let mapped = |remap: &Remap| remap.source.as_deref() != Some("EXIT");
    if query.stream_reason.as_deref() == Some(ATTACH_REFUSED) {
        return Answer::Local(ErrorCode::AttachRefused);
    }
    if query.remap.as_ref().is_some_and(mapped) {
        return Answer::Local(ErrorCode::AnsweredByTor);
    }
    if query.attach_ms.is_none() {
        return unsent(query);
    }
    match query.stream_reason.as_deref() {
        Some("DONE") => agreed(query),
        // Whatever else became of the stream, no address can have come of it.
        Some(_) if brings_answer(query) => Answer::Local(ErrorCode::WitnessesDisagree),
        Some("TORPROTOCOL") => Answer::Withheld,
        Some("DESTROY") => Answer::Died,
        Some("END") => Answer::EndedByExit,
        // Tor's own patience with a stream.
        Some("TIMEOUT") => Answer::Silence,
        Some(_) => Answer::Unknown,
        None if brings_answer(query) => Answer::Local(ErrorCode::WitnessesDisagree),
        None => match (query.via, query.socks_reply) {
            (_, Some(reply)) => Answer::Local(socks_code(reply)),
            (Via::Socks, None) if query.local_error.is_some() => {
                Answer::Local(ErrorCode::SocksFailed)
            }
            _ if query.local_error.is_some() => Answer::Local(ErrorCode::DnsPortFailed),
            _ => Answer::Silence,
        },
    }
}

/// Whether the reply on the socket is one that only an answer brings about.
fn brings_answer(query: &Query) -> bool {
    !query.addresses.is_empty()
        || query.socks_reply == Some(0)
        || matches!(query.rcode.as_deref(), Some("NOERROR" | "NXDOMAIN"))
}

/// Reads a lookup that tor never sent on the attempt's circuit: whatever came is no exit's word.
fn unsent(query: &Query) -> Answer<'static> {
    let done = query.stream_reason.as_deref() == Some("DONE");
    Answer::Local(match (query.via, &query.stream_reason, query.socks_reply) {
        (_, Some(_), _) if done || brings_answer(query) => ErrorCode::AnsweredByTor,
        (_, Some(_), _) => return Answer::Unknown,
        (_, None, Some(4)) => ErrorCode::ForeignPort,
        (_, None, _) if brings_answer(query) => ErrorCode::ForeignPort,
        (_, None, Some(reply)) => socks_code(reply),
        (Via::Socks, None, None) if query.local_error.is_some() => ErrorCode::SocksFailed,
        _ if query.local_error.is_some() || query.rcode.is_some() => ErrorCode::DnsPortFailed,
        _ => ErrorCode::StreamNotSeen,
    })
}

/// Reads a lookup that was sent and that the exit has answered, by tor's events: does the socket say
/// the same?
fn agreed(query: &Query) -> Answer<'_> {
    let addresses = &query.addresses[..];
    // An address of the other family may stand beside the one that was asked for.
    let belied = |remap: &Remap| match (remap.to.parse::<IpAddr>(), addresses.first()) {
        (Ok(told), Some(came)) => told.is_ipv4() == came.is_ipv4() && told != *came,
        (Ok(_), None) => query.via == Via::Socks,
        (Err(_), _) => true,
    };
    if query.remap.as_ref().is_some_and(belied) {
        return Answer::Local(ErrorCode::WitnessesDisagree);
    }
    match (query.via, query.socks_reply, query.rcode.as_deref()) {
        (Via::Socks, Some(0), _) if !addresses.is_empty() => Answer::Addresses(addresses),
        (Via::Socks, Some(4), _) if addresses.is_empty() => Answer::NoAddress,
        (Via::Socks, Some(reply @ 1..), _) if addresses.is_empty() => {
            Answer::Local(socks_code(reply))
        }
        (Via::Socks, None, _) if query.local_error.is_some() => {
            Answer::Local(ErrorCode::SocksFailed)
        }
        (Via::Socks, ..) => Answer::Local(ErrorCode::WitnessesDisagree),
        (_, _, Some("NOERROR")) if addresses.is_empty() => Answer::OtherFamily,
        (_, _, Some("NOERROR")) => Answer::Addresses(addresses),
        (_, _, Some(_)) if !addresses.is_empty() => Answer::Local(ErrorCode::WitnessesDisagree),
        (_, _, Some("NXDOMAIN")) => Answer::Permanent,
        (_, _, Some("SERVFAIL")) => Answer::Transient,
        (_, _, Some(_)) => Answer::NoAddress,
        (_, _, None) if query.local_error.is_some() => Answer::Local(ErrorCode::DnsPortFailed),
        (_, _, None) => Answer::Local(ErrorCode::WitnessesDisagree),
    }
}

/// What the connection that followed the lookups says of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// It exits: it tried, whatever came of it, or did not refuse at once.
    Open,
    /// Its exit policy refuses what it allows by what it has published.
    Shut,
    /// It takes no streams for now.
    Hibernating,
    /// A name led to a private address: the exit says so by another kind of cell.
    Private,
    /// Nothing: it was not tried, or failed on this host or on the path.
    Unknown,
}

fn door(queries: &[Query]) -> Door {
    let Some(query) = queries.iter().rfind(|query| query.via == Via::Connect) else {
        return Door::Unknown;
    };
    match (query.stream_reason.as_deref(), query.stream_remote_reason.as_deref()) {
        _ if query.attach_ms.is_none() => Door::Unknown,
        (Some("END"), Some("EXITPOLICY")) => Door::Shut,
        (Some("END"), Some("HIBERNATING")) => Door::Hibernating,
        (Some("TORPROTOCOL"), _) => Door::Private,
        (Some("END" | "DONE") | None, _) => Door::Open,
        _ => Door::Unknown,
    }
}

/// RFC 1928, section 6.
const fn socks_code(reply: u8) -> ErrorCode {
    match reply {
        1 => ErrorCode::SocksGeneralFailure,
        2 => ErrorCode::SocksNotAllowed,
        3 => ErrorCode::SocksNetworkUnreachable,
        4 => ErrorCode::SocksHostUnreachable,
        5 => ErrorCode::SocksConnectionRefused,
        6 => ErrorCode::SocksTtlExpired,
        7 => ErrorCode::SocksCommandNotSupported,
        8 => ErrorCode::SocksAddressTypeNotSupported,
        _ => ErrorCode::SocksUnknownReply,
    }
}

/// Judges one attempt at `exit`.
#[must_use]
pub fn classify(
    exit: &Fingerprint,
    circuit: &Circuit,
    queries: &[Query],
    judge: &Judge,
) -> Verdict {
    match circuit.state {
        CircuitState::Lost => Verdict::fault(
            Status::Error,
            ErrorCode::TorLost,
            Blame::Scanner,
            "the local tor was lost in the middle of the attempt".to_owned(),
        ),
        CircuitState::Refused => refused(exit, circuit.refusal.as_deref().unwrap_or_default()),
        CircuitState::Pending => {
            let (blame, at) = match circuit.hops {
                0 => (Blame::FirstHop, "the first hop did not answer"),
                _ => (Blame::Unknown, "the first hop answered and the exit did not"),
            };
            let error = format!("the circuit was not built in time: {at}");
            Verdict::fault(Status::CircuitFail, ErrorCode::CircuitTimeout, blame, error)
        }
        CircuitState::Failed => failed(circuit),
        CircuitState::Built | CircuitState::Died => asked(circuit, queries, judge),
    }
}

fn refused(exit: &Fingerprint, refusal: &str) -> Verdict {
    // "552 No such router "X"" and "552 No descriptor for "X"" name the relay (tor-facts: measured).
    let ours = refusal.contains(&exit.to_string());
    let (status, code, blame) = if refusal.contains("No descriptor") {
        // The relay may be well: it is this tor that has not fetched what it needs.
        (Status::Error, ErrorCode::NoDescriptor, Blame::Scanner)
    } else if !refusal.contains("No such router") {
        (Status::Error, ErrorCode::LaunchRefused, Blame::Scanner)
    } else if ours {
        (Status::CircuitFail, ErrorCode::LeftConsensus, Blame::Exit)
    } else {
        (Status::CircuitFail, ErrorCode::CircuitFirstHopFailed, Blame::FirstHop)
    };
    Verdict::fault(status, code, blame, format!("tor would not launch the circuit: {refusal}"))
}

/// Reasons by which a link between two relays failed (control-spec, "Circuit status changed").
fn is_link_failure(reason: &str) -> bool {
    matches!(reason, "CHANNEL_CLOSED" | "OR_CONN_CLOSED" | "CONNECTFAILED" | "OR_IDENTITY")
}

/// Reasons by which the local tor itself ended a circuit: no relay had a part in it. Our own limit is
/// never among them, for we close circuits ourselves.
fn ended_here(circuit: &Circuit) -> Option<Verdict> {
    let reason = circuit.reason.as_deref()?;
    let (code, error) = match reason {
        "TIMEOUT" | "MEASUREMENT_EXPIRED" | "PURPOSE_MEASURE_TIMEOUT" => (
            ErrorCode::TorGaveUp,
            "the local tor gave the circuit up before the scanner's own limit",
        ),
        "REQUESTED" | "RESOURCELIMIT" | "HIBERNATING" | "INTERNAL" | "FINISHED" | "NOPATH"
        | "NOSUCHSERVICE" | "IP_NOW_REDUNDANT" => (
            ErrorCode::ClosedLocally,
            "the local tor closed the circuit, or another controller did",
        ),
        purpose if purpose.starts_with("PURPOSE_") => {
            (ErrorCode::ClosedLocally, "the local tor took the circuit for a purpose of its own")
        }
        _ => return None,
    };
    let error = format!("{error} ({reason})");
    Some(Verdict::fault(Status::Error, code, Blame::Scanner, error))
}

fn failed(circuit: &Circuit) -> Verdict {
    if let Some(verdict) = ended_here(circuit) {
        return verdict;
    }
    let reason = circuit.reason.as_deref().unwrap_or("none");
    let remote = circuit.remote_reason.as_deref();
    let told = match remote {
        Some(remote) => format!("{reason}, {remote}"),
        None => reason.to_owned(),
    };
    let (code, blame, error) = match (circuit.hops, reason, remote) {
        (0, "DESTROYED", _) => (
            ErrorCode::CircuitFirstHopFailed,
            Blame::FirstHop,
            format!("the first hop could not be used ({told})"),
        ),
        (_, reason, _) if is_link_failure(reason) => (
            ErrorCode::CircuitFirstHopFailed,
            Blame::FirstHop,
            format!("the first hop could not be reached ({told})"),
        ),
        (_, "DESTROYED", Some(remote)) if is_link_failure(remote) => (
            ErrorCode::CircuitExitUnreachable,
            Blame::Unknown,
            format!("the first hop could not reach the exit ({told})"),
        ),
        (_, "DESTROYED", Some("HIBERNATING")) => (
            ErrorCode::Hibernating,
            Blame::Unknown,
            format!("a relay of the circuit takes no traffic for now ({told})"),
        ),
        _ => (ErrorCode::CircuitFailed, Blame::Unknown, format!("the circuit failed ({told})")),
    };
    Verdict::fault(Status::CircuitFail, code, blame, error)
}

/// Judges an attempt whose circuit was built.
fn asked(circuit: &Circuit, queries: &[Query], judge: &Judge) -> Verdict {
    // Lookups come first, and a connection behind them.
    let end = queries.iter().position(|query| query.via == Via::Connect).unwrap_or(queries.len());
    let door = door(&queries[end..]);
    let lookups = &queries[..end];
    let answers: Vec<Answer<'_>> = lookups.iter().map(answer).collect();
    // A wrong answer counts wherever it stands.
    for (index, answer) in answers.iter().enumerate() {
        if let Some(verdict) = wrong(answer, door, judge) {
            return verdict.by(index);
        }
    }
    // A relay that exits nowhere answers as a resolver does that knows no name.
    if let Some(index) = answers.iter().position(|answer| *answer == Answer::Permanent)
        && let Some(verdict) = no_exit(door)
    {
        return verdict.by(index);
    }
    for (index, answer) in answers.iter().enumerate() {
        if let Some(resolved_ip) = right(answer, judge) {
            return Verdict::success(resolved_ip, index);
        }
    }
    let Some(last) = answers.len().checked_sub(1) else {
        // The circuit died before the first query could be attached.
        return match circuit.state {
            CircuitState::Died => died(circuit),
            _ => Verdict::fault(
                Status::Exception,
                ErrorCode::Exception,
                Blame::Scanner,
                "no query was made on a circuit that was built".to_owned(),
            ),
        };
    };
    // That the exit could not resolve is known once it has said so; the last query tells the kind.
    let said_no = |answer: &Answer<'_>| {
        matches!(
            answer,
            Answer::NoAddress | Answer::Permanent | Answer::Transient | Answer::OtherFamily
        )
    };
    match answers.iter().rposition(said_no) {
        Some(index) => {
            let path = Path::of(circuit, queries);
            could_not_resolve(lookups, &answers, index, door, &path, judge).by(index)
        }
        None => no_answer(circuit, &lookups[last], &answers[last], judge).by(last),
    }
}

/// What a connection that the exit refused says, after a lookup that it refused.
fn no_exit(door: Door) -> Option<Verdict> {
    match door {
        Door::Shut => Some(Verdict::fault(
            Status::Error,
            ErrorCode::NotAnExit,
            Blame::Exit,
            "the relay no longer exits: it refuses lookups, and by its policy a connection that its \
             published policy allows"
                .to_owned(),
        )),
        Door::Hibernating => Some(Verdict::fault(
            Status::CircuitFail,
            ErrorCode::Hibernating,
            Blame::Exit,
            "the exit takes no streams for now (HIBERNATING)".to_owned(),
        )),
        Door::Open | Door::Private | Door::Unknown => None,
    }
}

fn wrong(answer: &Answer<'_>, door: Door, judge: &Judge) -> Option<Verdict> {
    let verdict = |code, error: String, resolved_ip| Verdict {
        resolved_ip,
        ..Verdict::fault(Status::WrongIp, code, Blame::Resolver, error)
    };
    match answer {
        // Where a private address is expected, the one withheld may be the right one. And a cell that
        // tor cannot read closes the stream alike: the connection by name tells them apart.
        Answer::Withheld if door == Door::Private && !judge.expected.is_some_and(is_private) => {
            Some(verdict(
                ErrorCode::PrivateAddress,
                "the exit's resolver gave a private address, which tor does not pass on".to_owned(),
                None,
            ))
        }
        Answer::Addresses(addresses) => {
            let other = addresses.iter().find(|&&address| match judge.expected {
                Some(expected) => address != expected,
                None => is_private(address),
            })?;
            let expected = judge.expected.map(|ip| format!(" instead of {ip}")).unwrap_or_default();
            let (code, kind) = if is_private(*other) {
                (ErrorCode::PrivateAddress, "the private address")
            } else {
                (ErrorCode::UnexpectedAddress, "the address")
            };
            let error = format!("the exit's resolver gave {kind} {other}{expected}");
            Some(verdict(code, error, Some(other.to_string())))
        }
        _ => None,
    }
}

fn right(answer: &Answer<'_>, judge: &Judge) -> Option<String> {
    match (judge.mode, answer) {
        (_, Answer::Addresses(addresses)) => addresses.first().map(IpAddr::to_string),
        (Mode::Nxdomain, Answer::Permanent | Answer::OtherFamily) => Some(NXDOMAIN.to_owned()),
        _ => None,
    }
}

/// How long the path alone takes for one round trip, in milliseconds, as far as it was measured on the
/// circuit itself.
#[derive(Debug, Clone, Copy)]
struct Path {
    least: f64,
    most: f64,
}

/// Where the first hop and the exit had no link yet, the circuit's last step takes their handshake too:
/// so many round trips, at most.
const ROUND_TRIPS_WITH_LINK: f64 = 4.0;

impl Path {
    fn of(circuit: &Circuit, queries: &[Query]) -> Self {
        let step = circuit.path_ms.map_or(f64::INFINITY, record::Millis::get);
        // An exit answers a connection at once, or once it has gone further: never before a round trip.
        let connected = queries.iter().filter(|query| query.via == Via::Connect);
        let connected = connected.filter_map(|query| query.resolve_ms).map(record::Millis::get);
        let most = connected.fold(step, f64::min);
        let least = if step.is_finite() { (step / ROUND_TRIPS_WITH_LINK).min(most) } else { 0.0 };
        Self { least, most }
    }
}

/// How an exit's transient error came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transience {
    /// Its resolver failed, after this long at most.
    Failed(Duration),
    /// It waited for its resolver as long as it waits for any.
    GaveUp,
    /// The path's own time is too long, or not known well enough, to tell.
    Unclear,
}

/// A resolver that is silent is silent every time; one that fails shows it at least once.
fn transience(lookups: &[Query], answers: &[Answer<'_>], path: &Path, judge: &Judge) -> Transience {
    let limit = judge.exit_dns_limit.as_secs_f64() * 1e3 * GAVE_UP;
    let failing = lookups
        .iter()
        .zip(answers)
        .filter(|(_, answer)| matches!(answer, Answer::NoAddress | Answer::Transient));
    // A busy host hears late that tor has sent a lookup: it may have been sent as soon as it was asked.
    let (mut quickest, mut at_most) = (f64::INFINITY, f64::INFINITY);
    for (query, _) in failing {
        let Some(time) = query.resolve_ms.map(record::Millis::get) else { continue };
        quickest = quickest.min(time);
        at_most = at_most.min(time + query.attach_ms.map_or(0.0, record::Millis::get));
    }
    if !quickest.is_finite() {
        return Transience::Unclear;
    }
    // What the path took another time is no bound of what it takes now: a lookup that came back later
    // than the exit waits must be clear of that limit by far.
    let failed = if at_most < limit { limit } else { limit * BY_FAR };
    if at_most - path.least < failed {
        let own = (at_most - path.least).max(0.0);
        return Transience::Failed(Duration::from_secs_f64(own / 1e3));
    }
    if quickest - path.most.min(quickest) >= limit {
        Transience::GaveUp
    } else {
        Transience::Unclear
    }
}

/// A failure that came sooner than this came at once.
const AT_ONCE: Duration = Duration::from_millis(500);

/// The exit said that it could not resolve: of which kind?
fn could_not_resolve(
    lookups: &[Query],
    answers: &[Answer<'_>],
    index: usize,
    door: Door,
    path: &Path,
    judge: &Judge,
) -> Verdict {
    use Transience::{Failed, GaveUp, Unclear};
    let no =
        |code, blame, error: &str| Verdict::fault(Status::DnsFail, code, blame, error.to_owned());
    match (&answers[index], transience(lookups, answers, path, judge)) {
        (Answer::Permanent, _) if door == Door::Open => no(
            ErrorCode::Nxdomain,
            Blame::Resolver,
            "the exit's resolver says that the name does not exist, or refuses",
        ),
        (Answer::Permanent, _) => no(
            ErrorCode::Nxdomain,
            Blame::Unknown,
            "the exit says that the name does not exist, or refuses; whether the relay still exits \
             could not be checked",
        ),
        (Answer::OtherFamily, _) => no(
            ErrorCode::NoAddress,
            Blame::Resolver,
            "the exit's resolver knows the name, but no address of the family asked for",
        ),
        (_, GaveUp) => no(
            ErrorCode::ResolverTimeout,
            Blame::Resolver,
            "the exit gave up waiting for its resolver: it is silent, too slow or not configured",
        ),
        (Answer::Transient, Failed(after)) if after < AT_ONCE => {
            no(ErrorCode::Servfail, Blame::Resolver, "the exit's resolver failed at once")
        }
        (Answer::Transient, Failed(after)) => {
            let seconds = after.as_secs_f64();
            let error = format!("the exit's resolver failed, after {seconds:.1} s at most");
            no(ErrorCode::Servfail, Blame::Resolver, &error)
        }
        (Answer::Transient, Unclear) => no(
            ErrorCode::ResolveFailed,
            Blame::Resolver,
            "the exit could not resolve the name for now; whether its resolver failed or never \
             answered cannot be told on a path that is so slow",
        ),
        // A relay that no longer exits says so too.
        _ => no(ErrorCode::ResolveFailed, Blame::Unknown, "the exit could not resolve the name"),
    }
}

fn no_answer(circuit: &Circuit, query: &Query, answer: &Answer<'_>, judge: &Judge) -> Verdict {
    let reason = query.stream_reason.as_deref().unwrap_or("none");
    let remote = query.stream_remote_reason.as_deref().unwrap_or("none");
    match answer {
        Answer::Silence => Verdict::fault(
            Status::Timeout,
            ErrorCode::Timeout,
            Blame::Unknown,
            "nothing came back in time, not even the exit's giving up".to_owned(),
        ),
        // Out of its traffic allowance, or no exit any more: that is not its resolver's.
        Answer::EndedByExit if remote == "HIBERNATING" || remote == "EXITPOLICY" => {
            let door = if remote == "EXITPOLICY" { Door::Shut } else { Door::Hibernating };
            no_exit(door).unwrap_or_else(|| died(circuit))
        }
        Answer::EndedByExit => Verdict::fault(
            Status::DnsFail,
            ErrorCode::ExitEndedStream,
            Blame::Exit,
            format!("the exit ended the lookup without an answer ({remote})"),
        ),
        Answer::Local(ErrorCode::AttachRefused | ErrorCode::StreamNotSeen)
            if circuit.state == CircuitState::Died =>
        {
            died(circuit)
        }
        Answer::Local(code) => Verdict::fault(
            Status::Error,
            *code,
            Blame::Scanner,
            format!(
                "the local tor failed the lookup: {}",
                query.local_error.as_deref().unwrap_or(code.meaning())
            ),
        ),
        _ if circuit.state == CircuitState::Died || *answer == Answer::Died => died(circuit),
        Answer::Withheld if !judge.expected.is_some_and(is_private) => Verdict::fault(
            Status::Error,
            ErrorCode::StreamFailed,
            Blame::Unknown,
            "tor could not read the exit's answer, or did not pass it on because it was a private \
             address: a connection by name did not bear that out"
                .to_owned(),
        ),
        Answer::Withheld => Verdict::fault(
            Status::Error,
            ErrorCode::StreamFailed,
            Blame::Scanner,
            "the exit's resolver gave a private address, which this tor does not pass on, so that \
             it cannot be told whether it is the expected one: expect a public address, or use a \
             tor with ClientRejectInternalAddresses 0"
                .to_owned(),
        ),
        _ => Verdict::fault(
            Status::Error,
            ErrorCode::StreamFailed,
            Blame::Unknown,
            format!("the stream closed without an answer ({reason}, {remote})"),
        ),
    }
}

fn died(circuit: &Circuit) -> Verdict {
    if let Some(verdict) = ended_here(circuit) {
        return verdict;
    }
    let reason = circuit.reason.as_deref().unwrap_or("no reason given");
    // DESTROYED came through the first hop; the exit may have sent it, or their link broke.
    let blame = if is_link_failure(reason) { Blame::FirstHop } else { Blame::Unknown };
    Verdict::fault(
        Status::CircuitFail,
        ErrorCode::CircuitDestroyed,
        blame,
        format!("the circuit was built and died before an answer came ({reason})"),
    )
}

/// A relay's verdict from all its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conclusion {
    /// Which attempt decided: an index.
    pub attempt: usize,
    /// Where the fault lies, all attempts together.
    pub blame: Option<Blame>,
}

/// Weighs the attempts: a wrong address wins over everything, then a success, then what says most
/// about the relay's DNS, then what says most about the exit; of equals, the last.
///
/// None where there was no attempt.
#[must_use]
pub fn conclude(attempts: &[Attempt]) -> Option<Conclusion> {
    let weight = |index: usize, attempt: &Attempt| {
        let status = match attempt.status {
            Status::WrongIp => 7,
            Status::Success => 6,
            Status::DnsFail if is_refusal(attempt, attempts) => 2,
            Status::DnsFail => 5,
            Status::Timeout if silence_may_be_ours(&attempts[index + 1..]) => 1,
            Status::Timeout => 4,
            // It was reached, and is no exit: that says more than other paths that failed.
            Status::Error if attempt.error_code == Some(ErrorCode::NotAnExit) => 4,
            Status::CircuitFail => 3,
            Status::Error => 2,
            Status::Exception => 0,
        };
        let blame = match attempt.blame {
            // It could not tell what another attempt may have told.
            Some(Blame::Resolver) if attempt.error_code == Some(ErrorCode::ResolveFailed) => 1,
            Some(Blame::Exit | Blame::Resolver | Blame::Zone) | None => 2,
            Some(Blame::Unknown) => 1,
            Some(Blame::FirstHop | Blame::Scanner) => 0,
        };
        (status, blame)
    };
    let (index, decisive) =
        attempts.iter().enumerate().max_by_key(|(i, attempt)| (weight(*i, attempt), *i))?;
    let blame = match decisive.blame {
        Some(Blame::Unknown) if seen_by_two_first_hops(attempts) && is_path(decisive) => {
            Some(Blame::Exit)
        }
        blame => blame,
    };
    Some(Conclusion { attempt: index, blame })
}

/// Whether the attempt alone could not tell a failure from a relay that takes no streams, which refuses
/// lookups too, and another attempt has shown the relay to be one.
pub(crate) fn is_refusal(attempt: &Attempt, attempts: &[Attempt]) -> bool {
    let takes_none = |code| matches!(code, Some(ErrorCode::NotAnExit | ErrorCode::Hibernating));
    attempt.status == Status::DnsFail
        && attempt.blame == Some(Blame::Unknown)
        && attempts.iter().any(|other| takes_none(other.error_code))
}

/// Whether what came after a query without an answer says that the silence may have been this
/// host's: it was tried again, and no try got past the first hop. Our own uplink that fails in the
/// middle of a scan looks so for every relay under way.
pub(crate) fn silence_may_be_ours(later: &[Attempt]) -> bool {
    let not_past =
        |attempt: &Attempt| matches!(attempt.blame, Some(Blame::FirstHop | Blame::Scanner));
    !later.is_empty() && later.iter().all(not_past)
}

/// Whether the attempt failed between the first hop and the exit, or beyond: one such attempt
/// cannot tell which of the two is at fault.
fn is_path(attempt: &Attempt) -> bool {
    let codes = [
        ErrorCode::CircuitExitUnreachable,
        ErrorCode::CircuitTimeout,
        ErrorCode::CircuitDestroyed,
        ErrorCode::Timeout,
    ];
    attempt.blame == Some(Blame::Unknown)
        && attempt.error_code.is_some_and(|code| codes.contains(&code))
}

/// Two first hops of their own that fail alike to get an answer out of one exit acquit each other.
fn seen_by_two_first_hops(attempts: &[Attempt]) -> bool {
    let hops: HashSet<_> =
        attempts.iter().filter(|attempt| is_path(attempt)).map(|a| a.first_hop).collect();
    hops.len() >= 2
}

#[cfg(test)]
mod tests;
