//! `exit-validator domains`: checks whether the domains that relays' contacts name are their operators'.

#[cfg(feature = "domains")]
pub(crate) use with::VERB;
#[cfg(not(feature = "domains"))]
pub(crate) const VERB: super::Verb = super::Verb::left_out(NAME, None);

const NAME: &str = "domains";

#[cfg(feature = "domains")]
mod with {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;
    use std::io;
    use std::net::SocketAddr;
    use std::path::{Path, PathBuf};

    use aggregate::domains::{self, ClaimsError};
    use aggregate::history::{History, HistoryError};
    use aggregate::job::{self, server_of};
    use aggregate::zone;
    use chrono::{DateTime, Utc};
    use clap::Args;
    use contact::check::{Asker, Trust};
    use contact::proof::Agenda;
    use record::{ProofProblem, printable};

    use crate::cmd::history::{analysis_root, exit_of};
    use crate::cmd::{Call, Verb, now, runtime};
    use crate::exit::Exit;
    use crate::terminal::{Ended, Failure, print, start_log};

    pub(crate) const VERB: Verb = Verb {
        name: super::NAME,
        link: None,
        arguments: DomainsArgs::augment_args,
        run,
        exits: &[Exit::Output, Exit::Input, Exit::History, Exit::Domains],
    };

    /// Check the domains that the contacts of relays name.
    ///
    /// A contact that follows the ContactInfo specification names a domain and how it can be proved that it
    /// is the operator's: by a list of relays on its website (uri-rsa) or by a record for each relay in the
    /// domain name system, with DNSSEC (dns-rsa). This asks for what is due of the newest complete run's
    /// relays, and keeps what comes of it in the history; the next report goes by it. Nothing inside this
    /// host's network is asked.
    #[derive(Debug, Args)]
    struct DomainsArgs {
        /// The analysis directories whose relays are looked at [default: those of the newest complete run].
        #[arg(long, value_name = "DIR", num_args = 1..)]
        input: Vec<PathBuf>,
        /// Where runs are looked for [default: as for a report].
        #[arg(long, env = "ANALYSIS_ROOT", value_name = "DIR")]
        analysis_root: Option<PathBuf>,
        /// The history's file; by default as for a report.
        #[arg(long, env = "HISTORY_FILE", value_name = "FILE")]
        history: Option<PathBuf>,
        /// The resolver to ask for records, which need not check DNSSEC [default: those in /etc/resolv.conf].
        #[arg(long, value_name = "ADDR:PORT", value_parser = server_of)]
        resolver: Option<SocketAddr>,
        /// Say what would be asked, and ask nothing.
        #[arg(long)]
        dry_run: bool,
    }

    fn run(call: &Call<'_>) -> Ended {
        start_log(call.log, io::stderr);
        let arguments: DomainsArgs = call.arguments();
        let root = analysis_root(arguments.analysis_root);
        let path = arguments.history.unwrap_or_else(|| root.join(job::DEFAULT_HISTORY));
        let directories = if arguments.input.is_empty() {
            job::inputs(&root, None).map_err(|error| Failure::new(Exit::Input, error))?.paths
        } else {
            arguments.input
        };
        let mut history = History::open(&path).map_err(of_history)?;
        let claims = domains::claims(&directories, &history).map_err(|error| match error {
            ClaimsError::Input(_) => Failure::new(Exit::Input, error),
            ClaimsError::History(error) => of_history(error),
        })?;
        let at = now();
        // The history's times have no parts of seconds.
        let at = DateTime::from_timestamp(at.timestamp(), 0).unwrap_or(at);
        let agenda = Agenda::of(&claims.claimants, at);
        if arguments.dry_run {
            print(of_agenda(&agenda, claims.claimants.len()).as_bytes())?;
            return Ok(Exit::Done);
        }
        let mut done = Done::default();
        if !agenda.is_empty() {
            ask(&agenda, arguments.resolver, at, |checks| {
                done.add(&checks);
                history.keep_checks(&checks, claims.since)
            })?;
        }
        print(done.in_words(claims.claimants.len()).as_bytes())?;
        Ok(Exit::Done)
    }

    type Checks = Vec<(record::Fingerprint, contact::proof::Check)>;

    fn ask(
        agenda: &Agenda,
        resolver: Option<SocketAddr>,
        at: DateTime<Utc>,
        keep: impl FnMut(Checks) -> Result<(), HistoryError>,
    ) -> Result<(), Failure> {
        let resolvers = match resolver {
            Some(resolver) => vec![resolver],
            None => zone::system_servers(Path::new("/etc/resolv.conf")).unwrap_or_else(|error| {
                tracing::warn!("no record can be asked for: cannot read /etc/resolv.conf: {error}");
                Vec::new()
            }),
        };
        let asker = Trust::of_the_machine(resolvers).and_then(Asker::new);
        let asker = asker.map_err(|error| Failure::new(Exit::Domains, error))?;
        runtime()?.block_on(asker.work(agenda, at, keep)).map_err(of_history)
    }

    fn of_history(error: HistoryError) -> Failure {
        Failure::new(exit_of(&error), error)
    }

    fn of_agenda(agenda: &Agenda, claims: usize) -> String {
        let (lists, records) = (agenda.lists.len(), agenda.records.len());
        let mut text =
            format!("{claims} relays name a domain; to ask: {lists} lists, {records} records\n");
        for (domain, relays) in &agenda.lists {
            // Writing into a string does not fail.
            let _ = writeln!(text, "list    {}  {} relays", printable(domain), relays.len());
        }
        for (domain, relay) in &agenda.records {
            let _ = writeln!(text, "record  {}  {relay}", printable(domain));
        }
        text
    }

    /// What came of it.
    #[derive(Default)]
    struct Done {
        proved: usize,
        problems: BTreeMap<ProofProblem, usize>,
    }

    impl Done {
        fn add(&mut self, checks: &Checks) {
            for (relay, check) in checks {
                match check.problem {
                    None => self.proved += 1,
                    Some(problem) => {
                        *self.problems.entry(problem).or_default() += 1;
                        let domain = printable(&check.claim.domain);
                        tracing::debug!("{relay} and {domain}: {problem}");
                    }
                }
            }
        }

        fn in_words(&self, claims: usize) -> String {
            let problems: usize = self.problems.values().sum();
            let checked = self.proved + problems;
            let mut text = format!(
                "{claims} relays name a domain; checked: {checked}, proved: {}\n",
                self.proved
            );
            for (problem, count) in &self.problems {
                let _ = writeln!(text, "  {problem}: {count}");
            }
            text
        }
    }
}
