//! What can be wrong with an exit, and the verdict that a true scanner gives of it. Breaks nothing
//! itself: the resolvers and the network act on what is named here.

use std::time::Duration;

use record::{
    Blame, CheckOutcome, ErrorCode, FindingCode, Ipv6Outcome, Mode, RelayResult, Status, ZoneFate,
};
use serde::{Deserialize, Serialize};

use crate::recursor::{Recursor, ResolverTruth};
use crate::resolver::FORWARDS_FROM;
use crate::zone::{EXPECTED_ADDRESS, FILTER_ADDRESS, OTHER_ADDRESS, PRIVATE_ADDRESS, text};

/// How long tor's exits wait for their resolver before they give up: two tries of one second each,
/// by the defaults of the consensus parameters `exit_dns_timeout` and `exit_dns_num_attempts`
/// (param-spec). The lab's authorities set neither.
pub const EXIT_GIVES_UP_AFTER: Duration = Duration::from_secs(2);

/// How long an exit with [`Fault::FreezesInQuery`] stays frozen: longer than any scanner should
/// wait for an answer.
pub const FREEZE_IN_QUERY: Duration = Duration::from_secs(15);

/// A resolver whose answers change with the number of the question begins anew after this long
/// without one, so that scans an hour apart see the same. It is far longer than a round of a scan, also on
/// a machine under load, as a sequence goes on in the next round; [`Network::begin_anew`](crate::Network::begin_anew) is for
/// scans that follow each other sooner.
pub(crate) const SEQUENCE_RESTARTS_AFTER: Duration = Duration::from_secs(600);

/// How long a round trip takes to an exit with [`Fault::SlowPath`], beside what the network needs. A
/// new link takes three of them, which must fit in a scanner's time for a circuit.
pub const SLOW_ROUND_TRIP: Duration = Duration::from_millis(800);

/// How long the resolver of such an exit takes to fail. An exit asks it twice: together with the round
/// trip that is about as long as an exit waits for a silent one.
pub(crate) const SLOW_FAILURE: Duration = Duration::from_millis(570);

/// One exit's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// None: the exit resolves correctly, over IPv4 only.
    Correct,
    /// None: the exit resolves correctly, and allows IPv6.
    CorrectIpv6,
    /// Every name has another, public address.
    OtherAddress,
    /// The same, and its exit, which looks for such resolvers as exits do by default, has noticed: it
    /// says of that address that there is none (tor(1), `ServerDNSDetectHijacking`). Exits look 60 to
    /// 180 seconds after their start, so this is no part of [`Fault::ALL`].
    HijackNoticed,
    /// Every name has a private address.
    PrivateAddress,
    /// Every name has two addresses, of which the wrong one comes first.
    WrongAddressFirst,
    /// Every name has two addresses, of which the right one comes first.
    RightAddressFirst,
    /// No name exists.
    Nxdomain,
    /// The resolver refuses.
    Refused,
    /// The resolver answers without any record.
    Empty,
    /// Every name has an IPv6 address only.
    AaaaOnly,
    /// The resolver answers SERVFAIL.
    Servfail,
    /// The resolver answers that the answer is too long for UDP, and is not there on TCP.
    Truncated,
    /// The resolver answers with bytes that are no DNS message, after the right transaction id.
    Garbage,
    /// The resolver's answers bear another transaction id than the question.
    WrongId,
    /// The resolver never answers.
    Silent,
    /// The resolver answers correctly, but only after this long.
    Slow(Duration),
    /// SERVFAIL to the first name asked for, the right answer to the others.
    BrokenThenRight,
    /// The right answer to the first name asked for, another address to the others.
    RightThenWrong,
    /// The exit's tor freezes when its resolver is asked, for [`FREEZE_IN_QUERY`].
    FreezesInQuery,
    /// The exit's links to other relays break when its resolver is asked.
    BreaksOff,
    /// SERVFAIL to the first two names asked for, and from then on the links break as with
    /// [`Fault::BreaksOff`]: a failure that is seen once, and never again.
    Vanishes,
    /// SERVFAIL, by a path whose round trip takes `SLOW_ROUND_TRIP`.
    SlowPath,
    /// The exit allows IPv6, and its resolver never answers what is asked for IPv6 addresses.
    DropsAaaa,
    /// The exit allows IPv6, and its resolver answers SERVFAIL to what is asked for IPv6 addresses.
    FailsAaaa,
    /// The exit has two name servers, of which one never answers and the other is right.
    OneServerSilent,
    /// Every name that exists has the address of a well-known filter's page. The exit looks for
    /// resolvers that make up answers, as by default, and finds nothing: names that do not exist have none.
    FilterPage,
    /// None: the exit resolves correctly, and is one of a family by its key.
    FamilyByKey,
    /// The resolver asks the zone, and what the zone says never reaches the exit.
    LosesAnswers,
    /// The resolver asks the zone when the exit has long given up.
    AsksLate,
    /// None for who asks: the resolver passes on what the zone says. A while later somebody else asks the
    /// zone for the same name.
    Replays,
    /// Names that do not exist have another, public address; those that exist their own.
    RewritesNxdomain,
    /// None, and the exit's policy has nothing but IPv6: it has no Exit flag, and answers lookups.
    Ipv6Policy,
    /// The exit has let nothing out since the network was ready; the consensus does not know yet.
    ExitsNoLonger,
    /// The exit's tor has been frozen since the network was ready.
    Frozen,
    /// The exit's tor has been dead since the network was ready.
    Dead,
    /// None: the exit has a real resolver. Part of a lab where the programs are there: see
    /// [`Spec::with_recursors`](crate::Spec::with_recursors).
    Real(Recursor),
}

/// What becomes of an exit's tor once its network is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// It goes on: the fault is the resolver's alone.
    Runs,
    /// It is frozen (SIGSTOP).
    Freezes,
    /// It is killed (SIGKILL).
    Dies,
}

/// The verdict that a true scanner gives of an exit, with several tries by different first hops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// The status.
    pub status: Status,
    /// Why; null for a success.
    pub error_code: Option<ErrorCode>,
    /// Where the fault lies; null for a success.
    pub blame: Option<Blame>,
    /// What `resolved_ip` must hold; null where that is left open.
    pub resolved_ip: Option<String>,
    /// Whether the verdict stays provisional, for one attempt alone has seen the failure.
    #[serde(default)]
    pub provisional: bool,
    /// What must be found beside the verdict; null where that is nothing.
    #[serde(default)]
    pub finding: Option<FindingCode>,
    /// What must come of asking for IPv6 addresses; null where that is not done.
    #[serde(default)]
    pub ipv6: Option<Ipv6Outcome>,
}

/// A slow answer that still comes in time.
const SLOW: Duration = Duration::from_millis(700);

/// An answer that comes after the exit has given up.
const TOO_SLOW: Duration = Duration::from_secs(3);

/// How long a resolver with [`Fault::AsksLate`] waits until it asks: longer than an attempt, whose lookups
/// the exit gives up one after the other.
pub(crate) const ASKS_AFTER: Duration = Duration::from_secs(8);

/// How long it takes with [`Fault::Replays`] until the name is asked for again.
pub(crate) const REPLAYS_AFTER: Duration = Duration::from_secs(1);

impl Fault {
    /// One of each, in the order of the lab's tables.
    pub const ALL: [Self; 36] = [
        Self::Correct,
        Self::CorrectIpv6,
        Self::OtherAddress,
        Self::PrivateAddress,
        Self::WrongAddressFirst,
        Self::RightAddressFirst,
        Self::Nxdomain,
        Self::Refused,
        Self::Empty,
        Self::AaaaOnly,
        Self::Servfail,
        Self::Truncated,
        Self::Garbage,
        Self::WrongId,
        Self::Silent,
        Self::Slow(SLOW),
        Self::Slow(TOO_SLOW),
        Self::BrokenThenRight,
        Self::RightThenWrong,
        Self::FreezesInQuery,
        Self::BreaksOff,
        Self::Vanishes,
        Self::SlowPath,
        Self::DropsAaaa,
        Self::FailsAaaa,
        Self::OneServerSilent,
        Self::FilterPage,
        Self::FamilyByKey,
        Self::LosesAnswers,
        Self::AsksLate,
        Self::Replays,
        Self::RewritesNxdomain,
        Self::Ipv6Policy,
        Self::ExitsNoLonger,
        Self::Frozen,
        Self::Dead,
    ];

    /// A short name, fit to be a relay's nickname: at most 15 lower-case letters and digits.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::CorrectIpv6 => "correctipv6",
            Self::OtherAddress => "otheraddress",
            Self::HijackNoticed => "hijacknoticed",
            Self::PrivateAddress => "privateaddress",
            Self::WrongAddressFirst => "wrongfirst",
            Self::RightAddressFirst => "rightfirst",
            Self::Nxdomain => "nxdomain",
            Self::Refused => "refused",
            Self::Empty => "empty",
            Self::AaaaOnly => "aaaaonly",
            Self::Servfail => "servfail",
            Self::Truncated => "truncated",
            Self::Garbage => "garbage",
            Self::WrongId => "wrongid",
            Self::Silent => "silent",
            Self::Slow(delay) if *delay < EXIT_GIVES_UP_AFTER => "slow",
            Self::Slow(_) => "tooslow",
            Self::BrokenThenRight => "brokenthenright",
            Self::RightThenWrong => "rightthenwrong",
            Self::FreezesInQuery => "freezesinquery",
            Self::BreaksOff => "breaksoff",
            Self::Vanishes => "vanishes",
            Self::SlowPath => "slowpath",
            Self::DropsAaaa => "dropsaaaa",
            Self::FailsAaaa => "failsaaaa",
            Self::OneServerSilent => "onesilent",
            Self::FilterPage => "filterpage",
            Self::FamilyByKey => "familybykey",
            Self::LosesAnswers => "losesanswers",
            Self::AsksLate => "askslate",
            Self::Replays => "replays",
            Self::RewritesNxdomain => "rewritesnx",
            Self::Real(recursor) => recursor.name(),
            Self::Ipv6Policy => "ipv6policy",
            Self::ExitsNoLonger => "exitsnolonger",
            Self::Frozen => "frozen",
            Self::Dead => "dead",
        }
    }

    /// What it does, in plain words.
    #[must_use]
    pub fn description(&self) -> String {
        match self {
            Self::Correct => "answers correctly".to_owned(),
            Self::CorrectIpv6 => "answers correctly, for IPv6 too".to_owned(),
            Self::OtherAddress => format!("answers {OTHER_ADDRESS} to everything"),
            Self::HijackNoticed => {
                format!("answers {OTHER_ADDRESS} to everything, as its exit has noticed")
            }
            Self::PrivateAddress => format!("answers {PRIVATE_ADDRESS}, a private address"),
            Self::WrongAddressFirst => "answers two addresses, the wrong one first".to_owned(),
            Self::RightAddressFirst => "answers two addresses, the right one first".to_owned(),
            Self::Nxdomain => "answers NXDOMAIN to everything".to_owned(),
            Self::Refused => "answers REFUSED to everything".to_owned(),
            Self::Empty => "answers without any record".to_owned(),
            Self::AaaaOnly => "knows IPv6 addresses only".to_owned(),
            Self::Servfail => "answers SERVFAIL to everything".to_owned(),
            Self::Truncated => "answers cut short, and is not there on TCP".to_owned(),
            Self::Garbage => "answers garbage".to_owned(),
            Self::WrongId => "answers with the wrong transaction id".to_owned(),
            Self::Silent => "never answers".to_owned(),
            Self::Slow(delay) if *delay < EXIT_GIVES_UP_AFTER => {
                format!("answers correctly after {delay:?}")
            }
            Self::Slow(delay) => format!("answers after {delay:?}: too late"),
            Self::BrokenThenRight => "answers SERVFAIL at first, then correctly".to_owned(),
            Self::RightThenWrong => "answers correctly at first, then wrongly".to_owned(),
            Self::FreezesInQuery => {
                format!("its exit freezes for {FREEZE_IN_QUERY:?} when it is asked")
            }
            Self::BreaksOff => "its exit loses its links when it is asked".to_owned(),
            Self::Vanishes => "answers SERVFAIL once, then its exit loses its links".to_owned(),
            Self::SlowPath => {
                format!("answers SERVFAIL, behind a round trip of {SLOW_ROUND_TRIP:?}")
            }
            Self::DropsAaaa => "never answers for IPv6 addresses".to_owned(),
            Self::FailsAaaa => "answers SERVFAIL for IPv6 addresses".to_owned(),
            Self::OneServerSilent => "is one of two; the other never answers".to_owned(),
            Self::FilterPage => format!("answers {FILTER_ADDRESS}, a filter's page"),
            Self::FamilyByKey => "answers correctly; its exit is of a family by key".to_owned(),
            Self::LosesAnswers => "asks the zone, and loses what it says".to_owned(),
            Self::AsksLate => format!("asks the zone after {ASKS_AFTER:?}: too late"),
            Self::Replays => "asks the zone; somebody else asks again".to_owned(),
            Self::RewritesNxdomain => {
                format!("answers {OTHER_ADDRESS} to what does not exist")
            }
            Self::Real(recursor) => recursor.description().to_owned(),
            Self::Ipv6Policy => "answers correctly; its exit allows IPv6 alone".to_owned(),
            Self::ExitsNoLonger => "its exit has stopped exiting".to_owned(),
            Self::Frozen => "its exit is frozen".to_owned(),
            Self::Dead => "its exit is dead".to_owned(),
        }
    }

    /// The verdict that a true scanner gives.
    ///
    /// It supposes a scanner that tries more than once, by different first hops, and waits for an
    /// answer longer than [`EXIT_GIVES_UP_AFTER`] and less long than [`FREEZE_IN_QUERY`].
    #[must_use]
    pub fn truth(&self, mode: Mode) -> Truth {
        Truth { ipv6: self.ipv6_truth(mode), ..self.verdict(mode) }
    }

    /// What comes of asking for IPv6 addresses, where that is done: of exits that allow IPv6, after
    /// they have given an IPv4 address.
    fn ipv6_truth(&self, mode: Mode) -> Option<Ipv6Outcome> {
        match self {
            _ if mode != Mode::Wildcard => None,
            Self::CorrectIpv6 | Self::Ipv6Policy => Some(Ipv6Outcome::Expected),
            Self::Real(recursor) if recursor.ipv6_exit() => Some(Ipv6Outcome::Expected),
            Self::DropsAaaa => Some(Ipv6Outcome::Stall),
            Self::FailsAaaa => Some(Ipv6Outcome::NoAddress),
            _ => None,
        }
    }

    fn verdict(&self, mode: Mode) -> Truth {
        let wildcard = mode == Mode::Wildcard;
        match self {
            Self::Correct
            | Self::CorrectIpv6
            | Self::BrokenThenRight
            | Self::Ipv6Policy
            | Self::OneServerSilent
            | Self::FamilyByKey
            | Self::Replays
            | Self::Real(_) => Truth::right(mode),
            Self::RewritesNxdomain if wildcard => Truth::right(mode),
            Self::RewritesNxdomain => Truth::success(text(OTHER_ADDRESS)),
            // Neither has anything to do with IPv4.
            Self::FailsAaaa => Truth::right(mode),
            Self::DropsAaaa if wildcard => {
                Truth { finding: Some(FindingCode::AaaaStall), ..Truth::right(mode) }
            }
            // A name that does not exist has no address of either family: the resolver says so for
            // one of them, and the exit's answer is the same, after a while.
            Self::DropsAaaa => Truth::right(mode),
            Self::FilterPage if wildcard => Truth {
                resolved_ip: Some(text(FILTER_ADDRESS)),
                finding: Some(FindingCode::NamedFilter),
                ..Truth::not(Status::WrongIp, ErrorCode::UnexpectedAddress, Blame::Resolver)
            },
            Self::FilterPage => Truth::right(mode),
            // Where a definite answer is right, one attempt is enough: it sees the first name alone.
            Self::RightThenWrong => Truth::right(mode),
            Self::Slow(delay) if *delay < EXIT_GIVES_UP_AFTER => Truth::right(mode),
            Self::OtherAddress | Self::WrongAddressFirst if wildcard => Truth {
                resolved_ip: Some(text(OTHER_ADDRESS)),
                ..Truth::not(Status::WrongIp, ErrorCode::UnexpectedAddress, Blame::Resolver)
            },
            Self::OtherAddress | Self::WrongAddressFirst => Truth::success(text(OTHER_ADDRESS)),
            // A definite answer, in either mode.
            Self::RightAddressFirst => Truth::success(text(EXPECTED_ADDRESS)),
            // The address is left open: a client that refuses private addresses never learns it.
            Self::PrivateAddress => {
                Truth::not(Status::WrongIp, ErrorCode::PrivateAddress, Blame::Resolver)
            }
            Self::Nxdomain | Self::Refused | Self::Empty | Self::AaaaOnly | Self::HijackNoticed
                if wildcard =>
            {
                Truth::not(Status::DnsFail, ErrorCode::Nxdomain, Blame::Resolver)
            }
            // Tor tells none of these from a name that does not exist.
            Self::Nxdomain | Self::Refused | Self::Empty | Self::AaaaOnly | Self::HijackNoticed => {
                Truth::right(mode)
            }
            Self::Vanishes => Truth {
                provisional: true,
                ..Truth::not(Status::DnsFail, ErrorCode::Servfail, Blame::Resolver)
            },
            Self::ExitsNoLonger => Truth::not(Status::Error, ErrorCode::NotAnExit, Blame::Exit),
            Self::Servfail | Self::Truncated | Self::Garbage | Self::SlowPath => {
                Truth::not(Status::DnsFail, ErrorCode::Servfail, Blame::Resolver)
            }
            Self::WrongId | Self::Silent | Self::Slow(_) | Self::LosesAnswers | Self::AsksLate => {
                Truth::not(Status::DnsFail, ErrorCode::ResolverTimeout, Blame::Resolver)
            }
            Self::FreezesInQuery => Truth::not(Status::Timeout, ErrorCode::Timeout, Blame::Exit),
            // Each try sees only that the link between its two relays broke; that it breaks by
            // whichever first hop shows that it is the exit.
            Self::BreaksOff => {
                Truth::not(Status::CircuitFail, ErrorCode::CircuitDestroyed, Blame::Exit)
            }
            Self::Frozen => Truth::not(Status::CircuitFail, ErrorCode::CircuitTimeout, Blame::Exit),
            Self::Dead => {
                Truth::not(Status::CircuitFail, ErrorCode::CircuitExitUnreachable, Blame::Exit)
            }
        }
    }

    /// What becomes of the exit's tor; `None` where more has to be done to it or to its links than
    /// that, or its policy is another.
    #[must_use]
    pub const fn then(&self) -> Option<Then> {
        match self {
            Self::FreezesInQuery
            | Self::BreaksOff
            | Self::Vanishes
            | Self::SlowPath
            | Self::OneServerSilent
            | Self::FilterPage
            | Self::FamilyByKey
            | Self::Ipv6Policy
            | Self::LosesAnswers
            | Self::AsksLate
            | Self::Replays
            | Self::Real(_)
            | Self::ExitsNoLonger => None,
            Self::Frozen => Some(Then::Freezes),
            Self::Dead => Some(Then::Dies),
            _ => Some(Then::Runs),
        }
    }

    /// Whether the exit allows IPv6 and its resolver knows IPv6 addresses.
    #[must_use]
    pub(crate) const fn ipv6(&self) -> bool {
        match self {
            Self::CorrectIpv6 | Self::Ipv6Policy | Self::DropsAaaa | Self::FailsAaaa => true,
            Self::Real(recursor) => recursor.ipv6_exit(),
            _ => false,
        }
    }

    /// What a true scan finds of its resolver by the names of the checks zone; none where the lookups that
    /// find it are never made. `ipv6`: whether the zone's name server has it.
    pub(crate) fn resolver(&self, ipv6: bool) -> Option<ResolverTruth> {
        let unknown = Some(CheckOutcome::Unknown);
        let nothing = ResolverTruth {
            addresses: Vec::new(),
            validates: unknown,
            tcp: unknown,
            ipv6: unknown,
        };
        match self {
            _ if self.truth(Mode::Wildcard).status != Status::Success => None,
            Self::Real(recursor) => Some(recursor.truth(ipv6)),
            // It passes everything on as it came: what was cut short, and where else to ask.
            Self::Replays => Some(ResolverTruth {
                addresses: vec![FORWARDS_FROM.into()],
                validates: Some(CheckOutcome::No),
                tcp: Some(CheckOutcome::No),
                ipv6: unknown,
            }),
            // Its word is taken as it is given.
            Self::RightThenWrong => {
                Some(ResolverTruth { addresses: vec![OTHER_ADDRESS.into()], ..nothing })
            }
            // To these a name of the checks zone is one of the zone: the same address for all.
            _ => Some(nothing),
        }
    }

    /// Where its lost lookups got lost, as the zone's log says; none where it is not told, or nothing lost.
    pub(crate) const fn loss(&self) -> Option<ZoneFate> {
        match self {
            Self::Silent => Some(ZoneFate::NeverAsked),
            Self::LosesAnswers => Some(ZoneFate::AnswerLost),
            Self::AsksLate => Some(ZoneFate::AskedLate),
            _ => None,
        }
    }

    /// Whether its exit looks for resolvers that make up answers, as exits do by default.
    pub(crate) const fn looks_for_hijacking(&self) -> bool {
        matches!(self, Self::FilterPage | Self::HijackNoticed)
    }

    /// Whether its exit has the lab's family key.
    pub(crate) const fn has_family_key(&self) -> bool {
        matches!(self, Self::FamilyByKey | Self::OneServerSilent)
    }

    /// How the way to its exit is, where that is not the usual one.
    pub(crate) const fn link(&self) -> Option<Duration> {
        match self {
            Self::BreaksOff | Self::Vanishes => Some(Duration::ZERO),
            Self::SlowPath => Some(SLOW_ROUND_TRIP),
            _ => None,
        }
    }
}

impl Truth {
    /// What a result says, to be held against the truth.
    #[must_use]
    pub fn found(result: &RelayResult) -> Self {
        Self {
            status: result.status,
            error_code: result.error_code,
            blame: result.blame,
            resolved_ip: result.resolved_ip.clone(),
            provisional: result.provisional,
            finding: result.findings.first().map(|finding| finding.code),
            ipv6: result.ipv6.as_ref().map(|ipv6| ipv6.outcome),
        }
    }

    /// What a resolver without fault gives.
    fn right(mode: Mode) -> Self {
        Self::success(match mode {
            Mode::Wildcard => text(EXPECTED_ADDRESS),
            Mode::Nxdomain => "NXDOMAIN".to_owned(),
        })
    }

    fn success(resolved_ip: String) -> Self {
        Self {
            status: Status::Success,
            error_code: None,
            blame: None,
            resolved_ip: Some(resolved_ip),
            provisional: false,
            finding: None,
            ipv6: None,
        }
    }

    fn not(status: Status, error_code: ErrorCode, blame: Blame) -> Self {
        Self {
            status,
            error_code: Some(error_code),
            blame: Some(blame),
            resolved_ip: None,
            provisional: false,
            finding: None,
            ipv6: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_distinct_and_fit_to_be_nicknames() {
        let names: BTreeSet<_> = Fault::ALL.iter().map(Fault::name).collect();
        assert_eq!(names.len(), Fault::ALL.len());
        for name in names {
            assert!((1..=15).contains(&name.len()), "{name}");
            assert!(name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{name}");
        }
    }

    #[test]
    fn a_truth_has_a_cause_exactly_where_it_is_no_success() {
        for fault in Fault::ALL {
            for &mode in Mode::ALL {
                let truth = fault.truth(mode);
                let success = truth.status == Status::Success;
                assert_eq!(success, truth.error_code.is_none(), "{fault:?} {mode}");
                assert_eq!(success, truth.blame.is_none(), "{fault:?} {mode}");
                assert!(!success || truth.resolved_ip.is_some(), "{fault:?} {mode}");
            }
        }
    }

    #[test]
    fn an_answer_is_too_slow_from_when_the_exit_gives_up() {
        let truth = |delay| Fault::Slow(delay).truth(Mode::Wildcard).error_code;
        assert_eq!(truth(EXIT_GIVES_UP_AFTER - Duration::from_millis(1)), None);
        assert_eq!(truth(EXIT_GIVES_UP_AFTER), Some(ErrorCode::ResolverTimeout));
    }
}
