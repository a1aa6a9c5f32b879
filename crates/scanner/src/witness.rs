//! When a failure has been seen twice: one attempt alone may have met a passing fault, of the path as
//! well as of the exit. Pure.

use record::Attempt;

use crate::hops::FirstHops;

/// The attempts that saw the exit's DNS fail.
fn failures(attempts: &[Attempt]) -> impl Iterator<Item = &Attempt> + Clone {
    attempts.iter().filter(|attempt| attempt.status.counts_against_dns())
}

/// Whether two independent attempts saw the exit's DNS fail, in whatever way: by ways that have nothing
/// in common but the exit and this host. Those are first hops that are apart where there are such, and
/// otherwise circuits of different rounds, with time between them.
#[must_use]
pub fn seen_twice(attempts: &[Attempt], hops: &FirstHops) -> bool {
    let independent = |a: &Attempt, b: &Attempt| {
        if hops.some_apart() { hops.apart(&a.first_hop, &b.first_hop) } else { a.round != b.round }
    };
    let failures = failures(attempts);
    failures.clone().any(|a| failures.clone().any(|b| independent(a, b)))
}

/// Whether one more attempt in this round could be the second to see a failure.
#[must_use]
pub fn can_confirm(attempts: &[Attempt], round: u32, hops: &FirstHops) -> bool {
    hops.some_apart() || failures(attempts).any(|attempt| attempt.round != round)
}
