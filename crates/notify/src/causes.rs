//! What the operator of an exit should look at, by cause: the causes that count against a relay's DNS. The
//! words are those of the dashboard (`public/js/words.js`), to which a test holds them.

use record::ErrorCode;

/// A cause in words.
pub(crate) struct CauseWords {
    /// What it is called.
    pub(crate) label: &'static str,
    /// What is particular to it.
    checks: &'static [&'static str],
    /// Which of the [`BASICS`] are worth a look as well, from which on.
    basics: Option<usize>,
    /// As what tor's own count of failures has it: the label `reason` of [`METRIC`], in tor 0.4.9.
    reasons: &'static [&'static str],
}

/// What tor counts of an exit's lookups at its MetricsPort, `src/feature/relay/relay_metrics.c`.
const METRIC: &str = "tor_relay_exit_dns_error_total";

/// What is worth a look whatever the resolver does.
const BASICS: [&str; 3] = [
    "Look up a name on the relay’s host: “dig +tries=1 +time=2 example.org”, once for each server in /etc/resolv.conf.",
    "Run a caching resolver on the host itself (unbound, for instance) and name only 127.0.0.1 in /etc/resolv.conf.",
    "Let tor read the change: reload it, or restart it where ServerDNSResolvConfFile is set.",
];

impl CauseWords {
    /// Everything that is worth a look.
    pub(crate) fn checks(&self) -> impl Iterator<Item = String> {
        let basics = self.basics.map_or(&[][..], |from| &BASICS[from..]);
        let all = self.checks.iter().chain(basics).map(|check| (*check).to_owned());
        let counted: Vec<String> =
            self.reasons.iter().map(|reason| format!("{METRIC}{{reason=\"{reason}\"}}")).collect();
        let counted = (!counted.is_empty()).then(|| {
            let counted = counted.join(", ");
            format!("Compare with tor’s own count of the same failures, where MetricsPort is set: {counted}.")
        });
        all.chain(counted)
    }
}

/// The words for a cause; `None` for one that says nothing of a relay's DNS.
pub(crate) fn of(cause: ErrorCode) -> Option<&'static CauseWords> {
    WORDS.iter().find(|(known, _)| *known == cause).map(|(_, words)| words)
}

const WORDS: &[(ErrorCode, CauseWords)] = &[
    (
        ErrorCode::UnexpectedAddress,
        CauseWords {
            label: "A wrong public address came",
            checks: &[
                "Find out which resolver the host uses. Providers and filtering services that send unknown names to a page of their own must not be used by an exit.",
                "Look for a firewall or router that answers DNS in the resolver’s place (port 53 redirected).",
            ],
            basics: Some(1),
            reasons: &[],
        },
    ),
    (
        ErrorCode::PrivateAddress,
        CauseWords {
            label: "A private address came",
            checks: &[
                "Switch off blocking in the resolver: block lists (Pi-hole, AdGuard, a “family” or “security” resolver) answer with 0.0.0.0 or 127.0.0.1.",
                "Look for a captive portal or a router that answers in the resolver’s place.",
            ],
            basics: Some(1),
            reasons: &[],
        },
    ),
    (
        ErrorCode::Nxdomain,
        CauseWords {
            label: "“No such name” for a name that exists",
            checks: &[
                "See whether the resolver refuses this host: an access list (allow-query, access-control), a licence, a quota of queries.",
                "Switch off filtering of new or unknown domains in the resolver.",
            ],
            basics: Some(0),
            reasons: &["notexist", "nodata", "refused", "notimpl"],
        },
    ),
    (
        ErrorCode::NoAddress,
        CauseWords {
            label: "The name has no address of this family",
            checks: &[
                "See whether the resolver drops AAAA or A records (DNS64, filter-aaaa and the like).",
            ],
            basics: Some(1),
            reasons: &[],
        },
    ),
    (
        ErrorCode::Servfail,
        CauseWords {
            label: "The resolver failed",
            checks: &[
                "Read the resolver’s log. DNSSEC fails when the host’s clock is wrong or its trust anchor is old.",
                "See whether the resolver may send queries out (UDP and TCP port 53) and has not run out of sockets or memory.",
            ],
            basics: Some(0),
            reasons: &["serverfailed", "truncated", "format"],
        },
    ),
    (
        ErrorCode::ResolverTimeout,
        CauseWords {
            label: "The resolver was silent",
            checks: &[
                "See whether the servers in /etc/resolv.conf still exist and answer; an old one of a former provider is the usual cause.",
                "See whether a limit on queries (by the provider, or by the firewall’s connection tracking) is reached under load.",
            ],
            basics: Some(0),
            reasons: &["tor_timeout"],
        },
    ),
    (
        ErrorCode::ResolveFailed,
        CauseWords {
            label: "The exit could not resolve",
            checks: &[],
            basics: Some(0),
            reasons: &[],
        },
    ),
    (
        ErrorCode::ExitEndedStream,
        CauseWords {
            label: "The exit ended the lookup",
            checks: &[
                "Read tor’s log on the relay for warnings about DNS, and for limits (memory, MaxMemInQueues, descriptors).",
            ],
            basics: Some(0),
            reasons: &[],
        },
    ),
    (
        ErrorCode::NotAnExit,
        CauseWords {
            label: "No longer an exit",
            checks: &[
                "Nothing, if the relay is meant to have stopped exiting; otherwise read tor’s log for a policy that tor has put in place of yours (it does so where its DNS answers everything alike).",
            ],
            basics: None,
            reasons: &[],
        },
    ),
    (
        ErrorCode::Hibernating,
        CauseWords {
            label: "The exit hibernates",
            checks: &["See AccountingMax in the torrc, and tor’s log for “hibernating”."],
            basics: None,
            reasons: &[],
        },
    ),
    (
        ErrorCode::Timeout,
        CauseWords {
            label: "Nothing came back in time",
            checks: &[
                "See whether the host is overloaded: CPU, bandwidth, tor’s log (“Your computer is too slow to handle this many circuit creation requests”).",
            ],
            basics: Some(0),
            reasons: &[],
        },
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dashboard_says_the_same() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../public/js/words.js");
        let page = std::fs::read_to_string(path).unwrap();
        // Of each cause, all that stands between its name and the next one's.
        let part_of = |cause: ErrorCode| {
            let (_, rest) = page.split_once(&format!("\n    \"{cause}\",\n")).unwrap();
            rest.split("\n  ],\n").next().unwrap().to_owned()
        };
        let quoted = |text: &str| format!("\"{text}\"");
        let told: Vec<ErrorCode> =
            ErrorCode::ALL.iter().copied().filter(|cause| of(*cause).is_some()).collect();
        assert_eq!(told.len(), 11);
        for cause in told {
            let (words, part) = (of(cause).unwrap(), part_of(cause));
            assert!(part.contains(&format!("label: {}", quoted(words.label))), "{cause}: {part}");
            let checks = part.split_once("check: ").unwrap().1;
            for check in words.checks {
                assert!(checks.contains(&quoted(check)), "{cause} lacks {check}");
            }
            assert_eq!(
                checks.matches("\",\n").count().max(checks.matches("\"]").count()),
                words.checks.len(),
                "{cause}"
            );
            let basics = match words.basics {
                Some(0) => "RESOLVER_BASICS,",
                Some(_) => "...RESOLVER_BASICS.slice(1),",
                None => "",
            };
            assert_eq!(checks.contains("RESOLVER_BASICS"), words.basics.is_some(), "{cause}");
            assert!(checks.contains(basics), "{cause}");
        }
        for basic in BASICS {
            assert!(page.contains(&quoted(basic)), "{basic}");
        }
    }
}
