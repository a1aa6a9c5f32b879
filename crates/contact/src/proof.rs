//! What proves a claim, how long that counts, and when it is checked. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use record::{Fingerprint, ProofMethod, ProofProblem, RelayDomain};

use crate::claim::DomainClaim;

/// After how long a proof is checked again: twice a year, as the ContactInfo specification asks for at
/// least, and not more often, as the relays of others are none of our business.
pub const AGAIN: TimeDelta = TimeDelta::days(183);

/// How long a proof counts: so long that a website that is away for some weeks when its turn comes does not
/// end it.
pub const COUNTS: TimeDelta = TimeDelta::days(214);

/// After how long what was not proved is checked again: after the first time, doubled with each in a row.
pub const FIRST_PAUSE: TimeDelta = TimeDelta::days(1);

/// The longest of these pauses.
pub const LONGEST_PAUSE: TimeDelta = TimeDelta::days(64);

/// How often a domain is asked for its list at most, whatever relays name it.
pub const DOMAIN_PAUSE: TimeDelta = TimeDelta::hours(20);

/// How many lists and how many records are asked for in one go at most: the rest has its turn later.
pub const MOST_LISTS: usize = 200;
/// See [`MOST_LISTS`].
pub const MOST_RECORDS: usize = 400;

/// The text of the record of a relay below its domain.
pub const RECORD_TEXT: &[u8] = b"we-run-this-tor-relay";

/// One check of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub claim: DomainClaim,
    /// When.
    pub at: DateTime<Utc>,
    /// Why it did not prove the claim; `None` if it did.
    pub problem: Option<ProofProblem>,
}

/// What a relay claims, and the checks of it so far, oldest first, of this claim and of former ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The relay.
    pub relay: Fingerprint,
    /// What it claims.
    pub claim: DomainClaim,
    /// The checks.
    pub checks: Vec<Check>,
}

/// What is known of a claim at this time, by its checks so far, oldest first. Checks of another claim say
/// nothing of this one.
#[must_use]
pub fn standing(claim: &DomainClaim, checks: &[Check], at: DateTime<Utc>) -> RelayDomain {
    let own = || checks.iter().filter(|check| check.claim == *claim);
    let mut proved_at = None;
    let mut stands = false;
    for check in own() {
        match check.problem {
            None => (proved_at, stands) = (Some(check.at), true),
            // What was there and is not any more was taken away.
            Some(problem) if !problem.is_passing() => stands = false,
            Some(_) => {}
        }
    }
    let last = own().next_back();
    RelayDomain {
        name: claim.domain.clone(),
        method: claim.method,
        proved: stands && proved_at.is_some_and(|proved| at - proved < COUNTS),
        proved_at,
        checked_at: last.map(|check| check.at),
        problem: last.and_then(|check| check.problem),
    }
}

/// When a claim is to be checked next; `None` if it never was, so at once.
#[must_use]
pub fn next(claim: &DomainClaim, checks: &[Check]) -> Option<DateTime<Utc>> {
    let own: Vec<&Check> = checks.iter().filter(|check| check.claim == *claim).collect();
    let last = own.last()?;
    let failures = own.iter().rev().take_while(|check| check.problem.is_some()).count();
    let pause = match u32::try_from(failures) {
        Ok(0) => AGAIN,
        Ok(failures @ 1..=7) => (FIRST_PAUSE * (1 << (failures - 1))).min(LONGEST_PAUSE),
        _ => LONGEST_PAUSE,
    };
    // Of a date at the end of time there is no next.
    Some(last.at.checked_add_signed(pause).unwrap_or(DateTime::<Utc>::MAX_UTC))
}

/// What is to be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agenda {
    /// Whose lists, and for which relays: all that name the domain, as one request serves them.
    pub lists: BTreeMap<String, Vec<Fingerprint>>,
    /// Whose records below which domains.
    pub records: Vec<(String, Fingerprint)>,
}

impl Agenda {
    /// What is to be asked now: first what is proved and is to stay so, then what nobody has looked at yet,
    /// then what has waited longest. So no crowd of new claims ends somebody's proof.
    #[must_use]
    pub fn of(claimants: &[Claimant], now: DateTime<Utc>) -> Self {
        let mut due: Vec<(Option<DateTime<Utc>>, &Claimant)> = claimants
            .iter()
            .map(|one| (next(&one.claim, &one.checks), one))
            .filter(|(next, _)| next.is_none_or(|next| next <= now))
            .collect();
        let proved = |one: &Claimant| standing(&one.claim, &one.checks, now).proved;
        due.sort_by_cached_key(|(next, one)| (!proved(one), *next, one.relay));
        let of = |method| move |one: &&Claimant| one.claim.method == method;
        let mut asked: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        let checks = claimants.iter().flat_map(|one| &one.checks);
        for check in checks.filter(|check| check.claim.method == ProofMethod::UriRsa) {
            let at = asked.entry(&check.claim.domain).or_insert(check.at);
            *at = check.at.max(*at);
        }
        let rests = |domain: &str| {
            // A check of the future is of a clock that was wrong.
            asked.get(domain).is_some_and(|at| *at <= now && now - *at < DOMAIN_PAUSE)
        };
        let mut wanted = BTreeSet::new();
        for one in due.iter().map(|(_, one)| *one).filter(of(ProofMethod::UriRsa)) {
            if wanted.len() < MOST_LISTS && !rests(&one.claim.domain) {
                wanted.insert(one.claim.domain.as_str());
            }
        }
        let mut agenda = Self::default();
        for one in claimants.iter().filter(of(ProofMethod::UriRsa)) {
            if wanted.contains(one.claim.domain.as_str()) {
                agenda.lists.entry(one.claim.domain.clone()).or_default().push(one.relay);
            }
        }
        agenda.records = due
            .iter()
            .map(|(_, one)| *one)
            .filter(of(ProofMethod::DnsRsa))
            .take(MOST_RECORDS)
            .map(|one| (one.claim.domain.clone(), one.relay))
            .collect();
        agenda
    }

    /// Whether nothing is to be asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.records.is_empty()
    }
}

/// The fingerprints in a domain's list: one a line, in hexadecimal digits of either case, and nothing else in
/// it but blanks and, after `#`, a comment (proposal 326).
#[must_use]
pub fn listed(list: &[u8]) -> BTreeSet<Fingerprint> {
    let lines = list.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines
        .filter_map(|line| {
            let text = line.split(|byte| *byte == b'#').next()?.trim_ascii();
            let digits = text.len() == 40 && text.iter().all(u8::is_ascii_hexdigit);
            std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
        })
        .collect()
}

/// What a relay's records say, each of one text or of several that belong together.
///
/// # Errors
///
/// Why they do not prove that the relay is the domain's.
pub fn records_prove(records: &[Vec<u8>]) -> Result<(), ProofProblem> {
    match records {
        [] => Err(ProofProblem::NoRecord),
        [text] if text == RECORD_TEXT => Ok(()),
        _ => Err(ProofProblem::OtherRecord),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProofProblem::{NoAnswer, NotListed};
    use proptest::prelude::*;

    fn day(days: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600, 0).unwrap() + TimeDelta::days(days)
    }

    fn claim(domain: &str) -> DomainClaim {
        DomainClaim { domain: domain.to_owned(), method: ProofMethod::UriRsa }
    }

    fn checks(of: &[(i64, Option<ProofProblem>)]) -> Vec<Check> {
        of.iter()
            .map(|&(days, problem)| Check { claim: claim("a.org"), at: day(days), problem })
            .collect()
    }

    fn relay(byte: u8) -> Fingerprint {
        Fingerprint::from_bytes([byte; 20])
    }

    fn claimant(byte: u8, domain: &str, checks: Vec<Check>) -> Claimant {
        Claimant { relay: relay(byte), claim: claim(domain), checks }
    }

    #[test]
    fn a_proof_counts_until_it_is_old_or_taken_away() {
        for (of, at, proved) in [
            (&[][..], 0, false),
            (&[(0, None)], 0, true),
            (&[(0, None)], 213, true),
            (&[(0, None)], 214, false),
            (&[(0, None), (183, None)], 214, true),
            // The website is away when it is checked again.
            (&[(0, None), (183, Some(NoAnswer))], 184, true),
            (&[(0, None), (183, Some(NoAnswer))], 214, false),
            (&[(0, None), (183, Some(NoAnswer)), (185, None)], 300, true),
            // The relay is not on the list any more.
            (&[(0, None), (183, Some(NotListed))], 184, false),
            (&[(0, None), (183, Some(NotListed)), (184, Some(NoAnswer))], 185, false),
            (&[(0, Some(NotListed)), (1, None)], 2, true),
        ] {
            assert_eq!(
                standing(&claim("a.org"), &checks(of), day(at)).proved,
                proved,
                "{of:?} {at}"
            );
        }
        let known =
            standing(&claim("a.org"), &checks(&[(0, None), (183, Some(NoAnswer))]), day(184));
        assert_eq!((known.proved_at, known.checked_at), (Some(day(0)), Some(day(183))));
        assert_eq!(known.problem, Some(NoAnswer));
    }

    #[test]
    fn another_claim_is_not_proved_by_the_checks_of_this_one() {
        let checks = checks(&[(0, None)]);
        let other_way = DomainClaim { method: ProofMethod::DnsRsa, ..claim("a.org") };
        for other in [claim("b.org"), other_way] {
            let known = standing(&other, &checks, day(1));
            assert_eq!((known.proved, known.proved_at, known.checked_at), (false, None, None));
            assert_eq!(next(&other, &checks), None);
        }
    }

    #[test]
    fn what_is_proved_is_checked_twice_a_year_and_the_rest_after_growing_pauses() {
        let next_of =
            |of: &[_]| next(&claim("a.org"), &checks(of)).map(|next| (next - day(0)).num_days());
        assert_eq!(next_of(&[]), None);
        assert_eq!(next_of(&[(0, None)]), Some(183));
        let mut failed = vec![(0, None)];
        let mut pauses = Vec::new();
        for _ in 0..10 {
            failed.push((0, Some(NoAnswer)));
            pauses.extend(next_of(&failed));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64, 64]);
        failed.push((0, None));
        assert_eq!(next_of(&failed), Some(183));
    }

    #[test]
    fn a_domain_is_asked_once_for_all_its_relays_and_not_twice_a_day() {
        let claimants = [
            claimant(1, "a.org", checks(&[(0, None)])),
            claimant(2, "a.org", Vec::new()),
            claimant(3, "b.org", Vec::new()),
            Claimant {
                claim: DomainClaim { method: ProofMethod::DnsRsa, ..claim("c.org") },
                ..claimant(4, "c.org", Vec::new())
            },
        ];
        let agenda = Agenda::of(&claimants, day(30));
        let expected = [("a.org", vec![relay(1), relay(2)]), ("b.org", vec![relay(3)])];
        assert_eq!(agenda.lists, expected.map(|(name, of)| (name.to_owned(), of)).into());
        assert_eq!(agenda.records, [("c.org".to_owned(), relay(4))]);
        let soon = Agenda::of(&claimants, day(0) + TimeDelta::hours(19));
        assert_eq!(soon.lists.keys().collect::<Vec<_>>(), ["b.org"]);
        // A clock that was wrong holds up nothing.
        assert!(Agenda::of(&claimants, day(-30)).lists.contains_key("a.org"));
    }

    #[test]
    fn what_has_waited_longest_comes_first_and_nothing_is_forgotten() {
        let of = |byte: u8| claimant(byte, &format!("d{byte}.org"), Vec::new());
        let many: Vec<Claimant> = (0..=255).map(of).collect();
        let agenda = Agenda::of(&many, day(0));
        assert_eq!(agenda.lists.len(), MOST_LISTS);
        let later: Vec<Claimant> = many
            .into_iter()
            .map(|mut one| {
                if agenda.lists.contains_key(&one.claim.domain) {
                    let claim = one.claim.clone();
                    one.checks.push(Check { claim, at: day(0), problem: Some(NoAnswer) });
                }
                one
            })
            .collect();
        let again = Agenda::of(&later, day(2));
        let missed = later.iter().filter(|one| one.checks.is_empty());
        assert!(missed.clone().count() > 50);
        assert!(missed.clone().all(|one| again.lists.contains_key(&one.claim.domain)));
    }

    #[test]
    fn a_crowd_of_new_claims_ends_nobodys_proof() {
        let of = |byte: u8| claimant(byte, &format!("d{byte}.org"), Vec::new());
        let mut many: Vec<Claimant> = (0..=254).map(of).collect();
        many.push(claimant(255, "a.org", checks(&[(0, None)])));
        assert!(Agenda::of(&many, day(183)).lists.contains_key("a.org"));
    }

    #[test]
    fn a_list_is_read_as_proposal_326_has_it() {
        let (one, two) = (relay(0xab), relay(0xcd));
        let list = format!(
            "# ours\r\n{one}\r\n\n  {} # the second\n{one}{two}\nx{two}\n{two}x\n#{}\n{}\n",
            two.to_string().to_lowercase(),
            relay(1),
            &relay(2).to_string()[1..]
        );
        assert_eq!(listed(list.as_bytes()), [one, two].into());
        assert_eq!(listed(format!("${}\n", relay(3)).as_bytes()), [].into());
        assert_eq!(listed(b"<html><body>Not found</body></html>"), [].into());
        assert_eq!(listed(b""), [].into());
    }

    #[test]
    fn one_record_of_the_right_text_proves() {
        let right = RECORD_TEXT.to_vec();
        assert_eq!(records_prove(std::slice::from_ref(&right)), Ok(()));
        assert_eq!(records_prove(&[]), Err(ProofProblem::NoRecord));
        for wrong in
            [vec![b"we-run-this-tor-bridge".to_vec()], vec![right.clone(), right], vec![vec![]]]
        {
            assert_eq!(records_prove(&wrong), Err(ProofProblem::OtherRecord), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_of_the_fingerprints_that_stand_alone_in_a_line(
            bytes: Vec<u8>,
            own in prop::array::uniform20(any::<u8>()),
            after in "[ \t]{0,3}(#[ -~]{0,20})?",
        ) {
            let own = Fingerprint::from_bytes(own);
            let mut list = bytes.clone();
            list.extend(format!("\n{own}{after}\n").bytes());
            list.extend(&bytes);
            prop_assert!(listed(&list).contains(&own));
            prop_assert!(listed(&list).len() <= list.len() / 40);
        }

        #[test]
        fn nothing_is_checked_before_its_time_and_what_is_due_is_in_the_end(
            ages in prop::collection::vec((0..400_i64, prop::option::of(0..12_usize)), 0..6),
            now in 0..800_i64,
        ) {
            let mut at = 0;
            let all: Vec<Check> = ages
                .iter()
                .map(|(days, problem)| {
                    at += days;
                    let problem = problem.map(|number| ProofProblem::ALL[number]);
                    Check { claim: claim("a.org"), at: day(at), problem }
                })
                .collect();
            let one = claimant(1, "a.org", all.clone());
            let due = !Agenda::of(&[one], day(now)).is_empty();
            match next(&claim("a.org"), &all) {
                None => prop_assert!(due),
                Some(next) => prop_assert_eq!(due, next <= day(now)),
            }
            let known = standing(&claim("a.org"), &all, day(now));
            prop_assert!(!known.proved || known.proved_at.is_some());
        }
    }
}
