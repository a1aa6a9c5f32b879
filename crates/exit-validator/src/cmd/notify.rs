//! `exit-validator notify`: tells people and programs what fails, and what works again.

#[cfg(feature = "notices")]
pub(crate) use with::VERB;
#[cfg(not(feature = "notices"))]
pub(crate) use without::VERB;

const NAME: &str = "notify";

#[cfg(not(feature = "notices"))]
mod without {
    use crate::cmd::{Verb, left_out, refuse};

    /// What this program was built without.
    const CLIENT: &str = "what sends notices";

    pub(crate) const VERB: Verb = Verb {
        name: super::NAME,
        link: None,
        arguments: |command| left_out(command, CLIENT),
        run: |_| refuse(CLIENT),
        exits: &[],
    };
}

#[cfg(feature = "notices")]
mod with {
    use std::fmt::Write as _;
    use std::io;
    use std::path::Path;

    use clap::Args;
    use notify::cli::{
        self, ChannelError, LedgerArgs, NotifyArgs, NotifyCli, NotifyCommand, PlaceArgs,
    };
    use notify::evidence::{Evidence, EvidenceError};
    use notify::keys::NotifyKeys;
    use notify::memory::{Deed, Keeper, LedgerEntry, Memory, MemoryError};
    use notify::notices::{self, Channels, NoticesDone, NoticesError};
    use notify::words;
    use record::{Fingerprint, IncidentSubject, Kind, Report, printable};
    use shelf::output::{LATEST_FILE, REPORT_LIMIT};
    use shelf::read;

    use crate::cmd::{Call, Verb, now, runtime};
    use crate::exit::Exit;
    use crate::terminal::{Ended, Failure, print, start_log};

    pub(crate) const VERB: Verb = Verb {
        name: super::NAME,
        link: None,
        arguments: NotifyCli::augment_args,
        run,
        exits: &[Exit::Output, Exit::Input, Exit::Notices, Exit::Told],
    };

    fn run(call: &Call<'_>) -> Ended {
        let cli: NotifyCli = call.arguments();
        if cli.check_settings {
            settings::arguments::check_variables(call.command);
            channels(&cli.arguments)?;
            keys()?;
            return Ok(Exit::Done);
        }
        start_log(call.log, io::stderr);
        match cli.command {
            None if cli.test => test(&channels(&cli.arguments)?),
            None => tell(&cli.arguments, cli.no_send),
            Some(NotifyCommand::Status { place }) => status(&place),
            Some(NotifyCommand::Contacted(deed)) => enter(deed, Deed::Contacted),
            Some(NotifyCommand::Answered(deed)) => enter(deed, Deed::Answered),
            Some(NotifyCommand::Note(deed)) => enter(deed, Deed::Noted),
            Some(NotifyCommand::Keys) => show_keys(),
            Some(NotifyCommand::Evidence { fingerprint, json, report, output_dir }) => evidence(
                &fingerprint,
                json,
                &report.unwrap_or_else(|| output_dir.join(LATEST_FILE)),
            ),
        }
    }

    /// A secret in the environment.
    fn secret(name: &'static str) -> Option<String> {
        let value = std::env::var(name).ok()?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn usage(error: ChannelError) -> Failure {
        Failure::new(Exit::Usage, error)
    }

    /// The channels, of the arguments and the secrets in the environment.
    fn channels(arguments: &NotifyArgs) -> Result<Channels, Failure> {
        arguments.channels(secret).map_err(usage)
    }

    /// The keys, of the secret in the environment.
    fn keys() -> Result<Option<NotifyKeys>, Failure> {
        cli::keys(secret).map_err(usage)
    }

    fn open(place: &PlaceArgs) -> Result<Keeper, Failure> {
        Keeper::open(&place.directory(), keys()?).map_err(of_memory)
    }

    /// Remembers, and makes the backup, where there are keys.
    fn close(keeper: &Keeper, memory: &mut Memory) -> Result<(), Failure> {
        keeper.save(memory).map_err(of_memory)?;
        keeper.seal(memory, now(), &mut random()).map_err(of_memory)
    }

    #[expect(clippy::disallowed_methods, reason = "the program's edge: the library takes it")]
    fn random() -> impl rand::CryptoRng {
        rand::rng()
    }

    fn show_keys() -> Ended {
        let Some(keys) = keys()? else {
            let text = "NOTIFY_KEY is not set; make one: head -c 32 /dev/urandom | base64";
            return Err(Failure::saying(Exit::Usage, text));
        };
        let (seal, verify) = (keys.seal_key(), keys.verify_key());
        let text = format!("NOTIFY_SEAL_KEY={seal}\nNOTIFY_VERIFY_KEY={verify}\n");
        print(text.as_bytes())?;
        Ok(Exit::Done)
    }

    fn tell(arguments: &NotifyArgs, no_send: bool) -> Ended {
        let channels = channels(arguments)?;
        let keeper = open(&arguments.place)?;
        let directory = &arguments.place.output_dir;
        let (mut memory, mut done) =
            notices::prepare(directory, &keeper, &channels, now()).map_err(failure)?;
        if !no_send {
            let sending = notices::send(&keeper, &mut memory, &channels, now(), &mut done);
            runtime()?.block_on(sending).map_err(failure)?;
        }
        close(&keeper, &mut memory)?;
        for report in &done.left_out {
            tracing::warn!("not taken in: {}", printable(report));
        }
        for trouble in &done.troubles {
            tracing::warn!("{}", printable(trouble));
        }
        print(summary(&done).as_bytes())?;
        Ok(if done.troubles.is_empty() { Exit::Done } else { Exit::Told })
    }

    fn summary(done: &NoticesDone) -> String {
        let mut text = format!(
            "{} new reports, {} incidents open, {} notices sent, {} waiting\n",
            done.reports, done.open, done.sent, done.waiting
        );
        if done.first && done.open > 0 {
            text.push_str(
                "what fails already counts as told; it is in: exit-validator notify status\n",
            );
        }
        text
    }

    fn test(channels: &Channels) -> Ended {
        let mut worst = Exit::Done;
        let tried = runtime()?.block_on(notices::test(channels, now()));
        if tried.is_empty() {
            print(b"nobody is told: no channel is set; see NOTIFY_ in config.env\n")?;
        }
        for (channel, sent) in tried {
            match sent {
                Ok(()) => print(format!("ok      {channel}\n").as_bytes())?,
                Err(error) => {
                    worst = Exit::Told;
                    print(format!("FAILED  {channel}: {}\n", printable(&error)).as_bytes())?;
                }
            }
        }
        Ok(worst)
    }

    fn status(place: &PlaceArgs) -> Ended {
        let keeper = open(place)?;
        let memory = keeper.load().map_err(of_memory)?.unwrap_or_default();
        print(of_status(&memory).as_bytes())?;
        Ok(Exit::Done)
    }

    /// What fails now, and what was done about it.
    fn of_status(memory: &Memory) -> String {
        let mut text = String::new();
        let incidents = memory.watch.incidents();
        for incident in incidents.iter().filter(|incident| incident.is_open()) {
            // Writing into a string does not fail.
            let _ = writeln!(text, "{}  {}", incident.id, words::title(incident));
            if let IncidentSubject::Operator { operator } = &incident.subject {
                let _ = writeln!(text, "  {}", printable(operator));
            }
            text.push_str(&words::story(incident));
            text.push('\n');
        }
        if text.is_empty() {
            text.push_str("no incident is open\n\n");
        }
        if !memory.ledger.is_empty() {
            text.push_str("What was done about operators\n\n");
        }
        for (operator, entries) in &memory.ledger {
            let _ = writeln!(text, "{}", printable(operator));
            for entry in entries {
                let deed = match entry.deed {
                    Deed::Contacted => "contacted",
                    Deed::Answered => "answered",
                    Deed::Noted => "note",
                };
                let note = entry.note.as_deref().map(printable).unwrap_or_default();
                let at = entry.at.format("%Y-%m-%d %H:%M");
                let _ = writeln!(text, "{}", format!("  {at}  {deed:<9}  {note}").trim_end());
            }
        }
        text
    }

    fn enter(deed: LedgerArgs, what: Deed) -> Ended {
        let known = ["contact:", "family:", "relay:"];
        if !known.iter().any(|start| deed.operator.starts_with(start)) {
            let text = "an operator's key begins with contact:, family: or relay:; see: exit-validator \
                        notify status";
            return Err(Failure::saying(Exit::Usage, text));
        }
        let keeper = open(&deed.place)?;
        let Some(mut memory) = keeper.load().map_err(of_memory)? else {
            let text = "no report has been taken in yet. First: exit-validator notify";
            return Err(Failure::saying(Exit::Input, text));
        };
        let entry = LedgerEntry { at: now(), deed: what, note: deed.note };
        memory.ledger.entry(deed.operator).or_default().push(entry);
        close(&keeper, &mut memory)?;
        Ok(Exit::Done)
    }

    fn evidence(fingerprint: &Fingerprint, json: bool, path: &Path) -> Ended {
        let unreadable = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::Input, format_args!("cannot read the report {path:?}: {error}"))
        };
        let bytes = read::file(path, REPORT_LIMIT).map_err(|error| unreadable(&error))?;
        let report: Report = Kind::Report.parse(&bytes).map_err(|error| unreadable(&error))?;
        let evidence = Evidence::of(&report, fingerprint)
            .map_err(|error: EvidenceError| Failure::new(Exit::Input, error))?;
        if json {
            print(format!("{:#}\n", evidence.json()).as_bytes())?;
        } else {
            print(evidence.text().as_bytes())?;
        }
        Ok(Exit::Done)
    }

    fn of_memory(error: MemoryError) -> Failure {
        failure(NoticesError::Memory(error))
    }

    fn failure(error: NoticesError) -> Failure {
        let exit = match &error {
            NoticesError::Memory(MemoryError::Unusable { .. } | MemoryError::Backup { .. })
            | NoticesError::Read { .. } => Exit::Input,
            NoticesError::Memory(_) | NoticesError::Public(_) => Exit::Notices,
        };
        Failure::new(exit, error)
    }
}
