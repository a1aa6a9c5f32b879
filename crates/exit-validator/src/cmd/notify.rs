//! `exit-validator notify`: tells people and programs what fails, and what works again.

#[cfg(feature = "notices")]
pub(crate) use with::VERB;
#[cfg(not(feature = "notices"))]
pub(crate) const VERB: super::Verb = super::Verb::left_out(NAME, None);

const NAME: &str = "notify";

#[cfg(feature = "notices")]
mod with {
    use std::collections::BTreeSet;
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
    use notify::subscription::{self, Applied, Asking, Subject};
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
            Some(NotifyCommand::Subscribe { address, subjects, arguments }) => {
                subscribe(&address, &subjects, &arguments)
            }
            Some(NotifyCommand::Confirm { token, place }) => confirm(&token, &place),
            Some(NotifyCommand::Unsubscribe { who, place }) => unsubscribe(&who, &place),
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
        // They may go from the stores: what they asked for is in the backup.
        if let Err(error) = done.looked_at.mark() {
            tracing::warn!("requests of subscribers cannot be marked as applied: {error}");
        }
        for report in &done.left_out {
            tracing::warn!("not taken in: {}", printable(report));
        }
        for trouble in &done.troubles {
            tracing::warn!("{}", printable(trouble));
        }
        print(summary(&done).as_bytes())?;
        Ok(if done.troubles.is_empty() { Exit::Done } else { Exit::Told })
    }

    /// Has an address asked whether it wants mail.
    fn subscribe(address: &str, subjects: &[String], arguments: &NotifyArgs) -> Ended {
        let usage =
            |error: &dyn std::fmt::Display| Failure::saying(Exit::Usage, &error.to_string());
        let channels = channels(arguments)?;
        let keeper = open(&arguments.place)?;
        let (Some(keys), Some(mail)) = (keeper.keys(), &channels.mail) else {
            let text = "mail to operators needs NOTIFY_KEY and NOTIFY_MAIL_FROM in config.env";
            return Err(Failure::saying(Exit::Usage, text));
        };
        let address = subscription::address(address).map_err(|error| usage(&error))?;
        let report = read_report(&arguments.place.output_dir.join(LATEST_FILE))?;
        let subjects: BTreeSet<Subject> = subjects
            .iter()
            .map(|text| Subject::meant(text, &report))
            .collect::<Result<_, _>>()
            .map_err(|error| usage(&error))?;
        let mut memory = remembered(&keeper)?;
        let tokens = [random_id(), random_id()];
        let by = (&channels, mail, keys);
        let asking = notices::subscribe(&mut memory, &address, subjects, by, tokens, now())
            .map_err(|error| usage(&error))?;
        close(&keeper, &mut memory)?;
        let text = match asking {
            Asking::Confirm { .. } => {
                "a mail that asks for a confirmation leaves with the next notices, or now with: \
                 exit-validator notify\n"
                    .to_owned()
            }
            Asking::Subscribed => "the address gets mail about all of these already\n".to_owned(),
            Asking::TooSoon { until } => {
                let until = until.format("%Y-%m-%d %H:%M UTC");
                let text =
                    format!("the address was asked less than a day ago; try again after {until}");
                return Err(Failure::saying(Exit::Usage, &text));
            }
        };
        print(text.as_bytes())?;
        Ok(Exit::Done)
    }

    fn random_id() -> [u8; 16] {
        crate::cmd::random().to_be_bytes()
    }

    fn confirm(token: &str, place: &PlaceArgs) -> Ended {
        let (keeper, mut memory, keys) = with_keys(place)?;
        let Applied::Confirmed(address) = memory.apply(&keys, token.trim(), now()) else {
            let text =
                "nobody was asked to confirm with this token, or it was more than 7 days ago";
            return Err(Failure::saying(Exit::Input, text));
        };
        close(&keeper, &mut memory)?;
        print(format!("{} gets mail now\n", printable(&address)).as_bytes())?;
        Ok(Exit::Done)
    }

    fn unsubscribe(who: &str, place: &PlaceArgs) -> Ended {
        let (keeper, mut memory, keys) = with_keys(place)?;
        let address = subscription::address(who).map(|address| address.to_string());
        let known = match &address {
            Ok(address) => memory.forget(address),
            Err(_) => matches!(memory.apply(&keys, who.trim(), now()), Applied::Unsubscribed(_)),
        };
        if !known {
            let text = "there is no such subscriber; see: exit-validator notify status";
            return Err(Failure::saying(Exit::Input, text));
        }
        close(&keeper, &mut memory)?;
        print(b"the address gets no more mail\n")?;
        Ok(Exit::Done)
    }

    fn with_keys(place: &PlaceArgs) -> Result<(Keeper, Memory, NotifyKeys), Failure> {
        let Some(keys) = keys()? else {
            return Err(Failure::saying(
                Exit::Usage,
                "mail to operators needs NOTIFY_KEY in config.env",
            ));
        };
        let keeper = open(place)?;
        let memory = remembered(&keeper)?;
        Ok((keeper, memory, keys))
    }

    /// What is remembered, which there must be: without, what fails already would count as told again.
    fn remembered(keeper: &Keeper) -> Result<Memory, Failure> {
        keeper.load().map_err(of_memory)?.ok_or_else(|| {
            let text = "no report has been taken in yet. First: exit-validator notify";
            Failure::saying(Exit::Input, text)
        })
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
        text.push_str(&of_subscribers(memory));
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

    /// Who gets mail about what.
    fn of_subscribers(memory: &Memory) -> String {
        let mut text = String::new();
        if !memory.subscribers.is_empty() {
            text.push_str("Who gets mail about their relays\n\n");
        }
        for (address, one) in memory.subscribers.all() {
            // Writing into a string does not fail.
            let _ = writeln!(text, "{}", printable(address));
            if let Some((at, subjects)) = one.confirmed() {
                let (at, relays) = (at.format("%Y-%m-%d %H:%M"), one.relays());
                let _ = writeln!(text, "  confirmed {at}; {relays} relays, of:");
                text.push_str(&of_subjects(subjects));
            }
            if let Some((at, subjects)) = one.asked() {
                let _ = writeln!(text, "  asked {}, not confirmed:", at.format("%Y-%m-%d %H:%M"));
                text.push_str(&of_subjects(subjects));
            }
            text.push('\n');
        }
        text
    }

    fn of_subjects(subjects: &BTreeSet<Subject>) -> String {
        subjects.iter().map(|subject| format!("    {subject}\n")).collect()
    }

    fn enter(deed: LedgerArgs, what: Deed) -> Ended {
        let known = ["domain:", "contact:", "family:", "relay:"];
        if !known.iter().any(|start| deed.operator.starts_with(start)) {
            let text = "an operator's key begins with domain:, contact:, family: or relay:; see: exit-validator \
                        notify status";
            return Err(Failure::saying(Exit::Usage, text));
        }
        let keeper = open(&deed.place)?;
        let mut memory = remembered(&keeper)?;
        let entry = LedgerEntry { at: now(), deed: what, note: deed.note };
        memory.ledger.entry(deed.operator).or_default().push(entry);
        close(&keeper, &mut memory)?;
        Ok(Exit::Done)
    }

    fn read_report(path: &Path) -> Result<Report, Failure> {
        let unreadable = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::Input, format_args!("cannot read the report {path:?}: {error}"))
        };
        let bytes = read::file(path, REPORT_LIMIT).map_err(|error| unreadable(&error))?;
        Kind::Report.parse(&bytes).map_err(|error| unreadable(&error))
    }

    fn evidence(fingerprint: &Fingerprint, json: bool, path: &Path) -> Ended {
        let report = read_report(path)?;
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
            NoticesError::Memory(_) | NoticesError::Public(_) | NoticesError::Requests { .. } => {
                Exit::Notices
            }
        };
        Failure::new(exit, error)
    }
}
