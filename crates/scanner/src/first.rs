//! What the first lookup that reached a relay came to. Pure.
//!
//! A relay that fails is asked again, and one that works is not: verdicts say how many relays work at
//! all, and not how often a user's lookup fails. First answers are one a relay, whatever it says.

use record::{Attempt, ErrorCode, Fingerprint, FirstAnswer, Query, Status, Via};

use crate::classify::{Judge, classify, is_refusal, silence_may_be_ours};

/// The first answer of `exit`; none where no attempt has put its DNS to the test.
///
/// `doubted` is the number of an attempt whose silence may have been this host's own.
pub(crate) fn answer(
    exit: &Fingerprint,
    attempts: &[Attempt],
    doubted: Option<u32>,
    judge: &Judge,
) -> Option<FirstAnswer> {
    attempts.iter().enumerate().find_map(|(index, attempt)| {
        // A relay that exits nowhere answers lookups too: its whole attempt tells, or another.
        if !attempt.status.tested() || is_refusal(attempt, attempts) {
            return None;
        }
        let silent = attempt.status == Status::Timeout;
        if silent
            && (doubted == Some(attempt.number) || silence_may_be_ours(&attempts[index + 1..]))
        {
            return None;
        }
        let (status, error_code) = first_lookup(exit, attempt, judge)?;
        Some(FirstAnswer { attempt: attempt.number, status, error_code })
    })
}

/// What the attempt's first lookup says, as if no other had been made on its circuit.
fn first_lookup(
    exit: &Fingerprint,
    attempt: &Attempt,
    judge: &Judge,
) -> Option<(Status, Option<ErrorCode>)> {
    let is_lookup = |query: &&Query| query.via != Via::Connect;
    let connections = attempt.queries.iter().filter(|query| !is_lookup(query));
    attempt.queries.iter().filter(is_lookup).find_map(|lookup| {
        let alone: Vec<Query> =
            std::iter::once(lookup).chain(connections.clone()).cloned().collect();
        let verdict = classify(exit, &attempt.circuit, &alone, judge);
        let code = match (verdict.status, attempt.status) {
            // Of which kind the error was, the lookup after it may have told.
            (Status::DnsFail, Status::DnsFail) => attempt.error_code,
            _ => verdict.fault.map(|(code, _)| code),
        };
        verdict.status.tested().then_some((verdict.status, code))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, Utc};
    use record::{Blame, Circuit, CircuitState, Mode, Timing};

    use super::*;

    const EXIT: Fingerprint = Fingerprint::from_bytes([1; 20]);

    fn judge(mode: Mode) -> Judge {
        Judge {
            mode,
            expected: (mode == Mode::Wildcard).then(|| [192, 0, 2, 1].into()),
            exit_dns_limit: Duration::from_secs(2),
        }
    }

    fn lookup(via: Via, address: Option<[u8; 4]>) -> Query {
        let dns = if address.is_some() { "NOERROR" } else { "SERVFAIL" };
        Query {
            socks_reply: (via == Via::Socks).then_some(if address.is_some() { 0 } else { 4 }),
            rcode: (via != Via::Socks).then(|| dns.to_owned()),
            addresses: address.into_iter().map(Into::into).collect(),
            stream_reason: Some("DONE".to_owned()),
            attach_ms: Some(Duration::from_millis(1).into()),
            resolve_ms: Some(Duration::from_millis(80).into()),
            ..Query::new(via, "a.example.com".to_owned())
        }
    }

    fn silent() -> Query {
        Query {
            socks_reply: None,
            stream_reason: None,
            resolve_ms: None,
            ..lookup(Via::Socks, None)
        }
    }

    fn attempt(number: u32, state: CircuitState, queries: Vec<Query>, judge: &Judge) -> Attempt {
        let circuit = Circuit {
            state,
            hops: if state == CircuitState::Built { 2 } else { 0 },
            path_ms: Some(Duration::from_millis(50).into()),
            reason: None,
            remote_reason: None,
            refusal: None,
        };
        let verdict = classify(&EXIT, &circuit, &queries, judge);
        Attempt {
            number,
            round: 0,
            started: DateTime::<Utc>::UNIX_EPOCH,
            ended: DateTime::<Utc>::UNIX_EPOCH,
            first_hop: Fingerprint::from_bytes([9; 20]),
            status: verdict.status,
            error_code: verdict.fault.map(|(code, _)| code),
            blame: verdict.fault.map(|(_, blame)| blame),
            error: verdict.error,
            resolved_ip: verdict.resolved_ip,
            circuit,
            queries,
            decided_by: None,
            timing: Timing::default(),
        }
    }

    fn first(attempts: &[Attempt], doubted: Option<u32>) -> Option<(u32, Status)> {
        let judge = judge(Mode::Wildcard);
        answer(&EXIT, attempts, doubted, &judge).map(|first| (first.attempt, first.status))
    }

    #[test]
    fn a_failure_that_the_next_lookup_of_the_same_circuit_makes_good_stays_a_failure() {
        let judge = judge(Mode::Wildcard);
        let queries = vec![lookup(Via::Socks, None), lookup(Via::DnsPortA, Some([192, 0, 2, 1]))];
        let attempt = attempt(1, CircuitState::Built, queries, &judge);
        assert_eq!(attempt.status, Status::Success);
        let first = answer(&EXIT, &[attempt], None, &judge).unwrap();
        assert_eq!(first.status, Status::DnsFail);
        assert_eq!(first.error_code, Some(ErrorCode::ResolveFailed));
    }

    #[test]
    fn the_kind_of_a_failure_is_what_the_whole_attempt_has_found() {
        let judge = judge(Mode::Wildcard);
        let queries = vec![lookup(Via::Socks, None), lookup(Via::DnsPortA, None)];
        let attempts = [attempt(1, CircuitState::Built, queries, &judge)];
        let first = answer(&EXIT, &attempts, None, &judge).unwrap();
        assert_eq!((first.status, first.error_code), (Status::DnsFail, Some(ErrorCode::Servfail)));
    }

    #[test]
    fn the_first_attempt_that_reached_the_relay_counts_and_not_the_last() {
        let judge = judge(Mode::Wildcard);
        let built = |number, address| {
            let queries = vec![lookup(Via::Socks, address)];
            attempt(number, CircuitState::Built, queries, &judge)
        };
        let unreached = attempt(1, CircuitState::Pending, Vec::new(), &judge);
        let (failed, right) = (built(2, None), built(3, Some([192, 0, 2, 1])));
        let wrong = built(4, Some([198, 51, 100, 1]));
        let all = [unreached.clone(), failed, right.clone(), wrong];
        assert_eq!(first(&all, None), Some((2, Status::DnsFail)));
        assert_eq!(first(&all[2..], None), Some((3, Status::Success)));
        assert_eq!(first(&all[3..], None), Some((4, Status::WrongIp)));
        assert_eq!(first(&[unreached], None), None);
    }

    #[test]
    fn a_silence_counts_unless_it_may_have_been_ours() {
        let judge = judge(Mode::Wildcard);
        let silence = attempt(1, CircuitState::Built, vec![silent()], &judge);
        let right = vec![lookup(Via::Socks, Some([192, 0, 2, 1]))];
        let right = attempt(2, CircuitState::Built, right, &judge);
        let unreached = attempt(2, CircuitState::Pending, Vec::new(), &judge);
        assert_eq!(unreached.blame, Some(Blame::FirstHop));
        let then_right = [silence.clone(), right];
        assert_eq!(first(&then_right, None), Some((1, Status::Timeout)));
        assert_eq!(first(&then_right, Some(1)), Some((2, Status::Success)));
        assert_eq!(first(std::slice::from_ref(&silence), None), Some((1, Status::Timeout)));
        assert_eq!(first(&[silence, unreached], None), None);
    }

    #[test]
    fn where_a_name_that_does_not_exist_is_right_it_is_a_success() {
        let judge = judge(Mode::Nxdomain);
        let mut query = lookup(Via::DnsPortA, None);
        query.rcode = Some("NXDOMAIN".to_owned());
        let attempts = [attempt(1, CircuitState::Built, vec![query], &judge)];
        let first = answer(&EXIT, &attempts, None, &judge).unwrap();
        assert_eq!((first.status, first.error_code), (Status::Success, None));
    }

    #[test]
    fn a_relay_that_exits_nowhere_has_no_first_answer() {
        let judge = judge(Mode::Wildcard);
        let mut second = lookup(Via::DnsPortA, None);
        second.rcode = Some("NXDOMAIN".to_owned());
        let mut door = lookup(Via::Connect, None);
        door.rcode = None;
        door.stream_reason = Some("END".to_owned());
        door.stream_remote_reason = Some("EXITPOLICY".to_owned());
        let queries = vec![lookup(Via::Socks, None), second, door];
        let attempt = attempt(1, CircuitState::Built, queries, &judge);
        assert_eq!(attempt.error_code, Some(ErrorCode::NotAnExit));
        assert_eq!(first(std::slice::from_ref(&attempt), None), None);
        // Nor has it one where the connection came to nothing in the attempt before.
        let mut cut = attempt.clone();
        cut.queries.pop();
        (cut.status, cut.error_code) = (Status::DnsFail, Some(ErrorCode::ResolveFailed));
        cut.blame = Some(Blame::Unknown);
        assert!(first(std::slice::from_ref(&cut), None).is_some());
        assert_eq!(first(&[cut, attempt], None), None);
    }
}
