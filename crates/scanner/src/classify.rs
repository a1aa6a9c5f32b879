//! Evidence to verdict: pure, and computed from nothing but what the result and the run's file
//! publish, so that anybody can check a verdict by reading them.
//!
//! [`classify`] judges one attempt, [`conclude`] a relay from all its attempts. What each piece
//! of evidence means was measured on tor 0.4.9 and is written down in `docs/verdicts.md`.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use record::{
    Attempt, Blame, Circuit, CircuitState, ErrorCode, Fingerprint, Mode, Query, Status, Via,
};

use crate::consensus::is_private;
use crate::probe::ATTACH_REFUSED;

/// `resolved_ip` of a success in nxdomain mode.
const NXDOMAIN: &str = "NXDOMAIN";

/// A transient error that came later than this part of the exit's own time limit came because
/// the exit gave up waiting. Tor's timer can fire a little early against our clock.
const GAVE_UP: f64 = 0.95;

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

/// What one query's evidence says, before it is known what was hoped for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer<'a> {
    /// Addresses came.
    Addresses(&'a [IpAddr]),
    /// The answer was an address that our tor does not pass on because it is private.
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

/// Reads one query's evidence (measurements: `docs/verdicts.md`).
fn answer(query: &Query) -> Answer<'_> {
    if !query.addresses.is_empty() {
        return Answer::Addresses(&query.addresses);
    }
    match query.stream_reason.as_deref() {
        Some("DONE") => match (query.via, query.socks_reply, query.rcode.as_deref()) {
            (Via::Socks, Some(4), _) => Answer::NoAddress,
            (Via::Socks, Some(reply), _) => Answer::Local(socks_code(reply)),
            (Via::Socks, None, _) => Answer::Local(ErrorCode::SocksFailed),
            (_, _, Some("NXDOMAIN")) => Answer::Permanent,
            (_, _, Some("SERVFAIL")) => Answer::Transient,
            (_, _, Some("NOERROR")) => Answer::OtherFamily,
            (_, _, Some(_)) => Answer::NoAddress,
            (_, _, None) => Answer::Local(ErrorCode::DnsPortFailed),
        },
        // Tor closes so when every address in the answer is private and it refuses those.
        Some("TORPROTOCOL") => Answer::Withheld,
        Some("DESTROY") => Answer::Died,
        Some("END") => Answer::EndedByExit,
        // Tor's own patience with a stream, which also ends where it was never sent.
        Some("TIMEOUT") if query.attach_ms.is_some() => Answer::Silence,
        Some(ATTACH_REFUSED) => Answer::Local(ErrorCode::AttachRefused),
        Some(_) => Answer::Unknown,
        None => match (query.via, query.socks_reply) {
            (Via::Socks, Some(reply)) => Answer::Local(socks_code(reply)),
            (Via::Socks, None) if query.local_error.is_some() => {
                Answer::Local(ErrorCode::SocksFailed)
            }
            _ if query.local_error.is_some() => Answer::Local(ErrorCode::DnsPortFailed),
            _ if query.attach_ms.is_some() => Answer::Silence,
            _ => Answer::Local(ErrorCode::StreamNotSeen),
        },
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
    let unknown_relay = refusal.contains("No such router") || refusal.contains("No descriptor");
    let error = format!("tor would not launch the circuit: {refusal}");
    match (unknown_relay, refusal.contains(&exit.to_string())) {
        (true, true) => {
            Verdict::fault(Status::CircuitFail, ErrorCode::NoDescriptor, Blame::Exit, error)
        }
        (true, false) => Verdict::fault(
            Status::CircuitFail,
            ErrorCode::CircuitFirstHopFailed,
            Blame::FirstHop,
            error,
        ),
        (false, _) => {
            Verdict::fault(Status::Error, ErrorCode::LaunchRefused, Blame::Scanner, error)
        }
    }
}

/// Reasons by which a link between two relays failed (control-spec, "Circuit status changed").
fn is_link_failure(reason: &str) -> bool {
    matches!(reason, "CHANNEL_CLOSED" | "OR_CONN_CLOSED" | "CONNECTFAILED" | "OR_IDENTITY")
}

fn failed(circuit: &Circuit) -> Verdict {
    let reason = circuit.reason.as_deref().unwrap_or("none");
    let remote = circuit.remote_reason.as_deref();
    let told = match remote {
        Some(remote) => format!("{reason}, {remote}"),
        None => reason.to_owned(),
    };
    let (code, blame, error) = match (circuit.hops, reason, remote) {
        (0, "DESTROYED" | "TIMEOUT", _) => (
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
        (_, "TIMEOUT", _) => (
            ErrorCode::CircuitTimeout,
            Blame::Unknown,
            format!("the circuit was not built in time ({told})"),
        ),
        _ => (ErrorCode::CircuitFailed, Blame::Unknown, format!("the circuit failed ({told})")),
    };
    Verdict::fault(Status::CircuitFail, code, blame, error)
}

/// Judges an attempt whose circuit was built.
fn asked(circuit: &Circuit, queries: &[Query], judge: &Judge) -> Verdict {
    let answers: Vec<Answer<'_>> = queries.iter().map(answer).collect();
    // A wrong answer counts wherever it stands.
    for (index, answer) in answers.iter().enumerate() {
        if let Some(verdict) = wrong(answer, judge) {
            return verdict.by(index);
        }
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
        Some(index) => could_not_resolve(queries, &answers, index, judge).by(index),
        None => no_answer(circuit, &queries[last], &answers[last]).by(last),
    }
}

fn wrong(answer: &Answer<'_>, judge: &Judge) -> Option<Verdict> {
    let verdict = |code, error: String, resolved_ip| Verdict {
        resolved_ip,
        ..Verdict::fault(Status::WrongIp, code, Blame::Resolver, error)
    };
    match answer {
        // Where a private address is expected, the one withheld may be the right one.
        Answer::Withheld if !judge.expected.is_some_and(is_private) => Some(verdict(
            ErrorCode::PrivateAddress,
            "the exit's resolver gave a private address, which tor does not pass on".to_owned(),
            None,
        )),
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

/// The exit said that it could not resolve: of which kind?
fn could_not_resolve(
    queries: &[Query],
    answers: &[Answer<'_>],
    index: usize,
    judge: &Judge,
) -> Verdict {
    let limit = judge.exit_dns_limit.as_secs_f64() * 1e3 * GAVE_UP;
    let gave_up = |query: &Query| query.resolve_ms.is_some_and(|time| time.get() >= limit);
    // A resolver that is silent is silent every time; one that fails at once shows it at least
    // once, even where the circuit's own delay makes another query look slow.
    let silent = queries.iter().zip(answers).all(|(query, answer)| match answer {
        Answer::NoAddress | Answer::Transient => gave_up(query),
        _ => true,
    });
    let (code, error) = match answers[index] {
        Answer::Permanent => (
            ErrorCode::Nxdomain,
            "the exit's resolver says that the name does not exist, or refuses",
        ),
        Answer::OtherFamily => (
            ErrorCode::NoAddress,
            "the exit's resolver knows the name, but no address of the family asked for",
        ),
        _ if silent => (
            ErrorCode::ResolverTimeout,
            "the exit gave up waiting for its resolver: it is silent, too slow or not configured",
        ),
        Answer::Transient => (ErrorCode::Servfail, "the exit's resolver failed at once"),
        _ => (ErrorCode::ResolveFailed, "the exit could not resolve the name"),
    };
    Verdict::fault(Status::DnsFail, code, Blame::Resolver, error.to_owned())
}

fn no_answer(circuit: &Circuit, query: &Query, answer: &Answer<'_>) -> Verdict {
    let reason = query.stream_reason.as_deref().unwrap_or("none");
    let remote = query.stream_remote_reason.as_deref().unwrap_or("none");
    match answer {
        Answer::Silence => Verdict::fault(
            Status::Timeout,
            ErrorCode::Timeout,
            Blame::Unknown,
            "nothing came back in time, not even the exit's giving up".to_owned(),
        ),
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
            Status::DnsFail => 5,
            Status::Timeout if silence_may_be_ours(&attempts[index + 1..]) => 1,
            Status::Timeout => 4,
            Status::CircuitFail => 3,
            Status::Error => 2,
            Status::Exception => 0,
        };
        let blame = match attempt.blame {
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

/// Whether what came after a query without an answer says that the silence may have been this
/// host's: it was tried again, and no try got past the first hop. Our own uplink that fails in the
/// middle of a scan looks so for every relay under way.
fn silence_may_be_ours(later: &[Attempt]) -> bool {
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
