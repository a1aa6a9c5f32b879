//! The arguments of `notify`. What is secret comes by the environment alone, so that no list of processes
//! shows it.

use std::path::PathBuf;

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use record::Fingerprint;

use crate::SECRETS;
use crate::keys::NotifyKeys;
use crate::mail::{self, MailRoute};
use crate::notices::{Channels, MailChannel, WebhookChannel};
use crate::webhook::{SigningKey, WebhookFormat};
use reach::http::{Reach, Target};

/// Tell people and programs what fails, and what works again.
///
/// Takes in the reports that are new, writes the incidents and feeds into the output directory, and sends
/// what has not been sent: by webhook, to Alertmanager, by mail. Secret settings are variables alone:
/// NOTIFY_WEBHOOK_URL, NOTIFY_WEBHOOK_KEY, NOTIFY_ALERTMANAGER_URL, NOTIFY_SMTP_URL, NOTIFY_KEY.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub struct NotifyCli {
    /// What to do instead.
    #[command(subcommand)]
    pub command: Option<NotifyCommand>,
    /// Who is told, and how.
    #[command(flatten)]
    pub arguments: NotifyArgs,
    /// Take in what is new and write incidents and feeds, and send nothing yet.
    #[arg(long)]
    pub no_send: bool,
    /// Send a test message on every channel, and do nothing else.
    #[arg(long, conflicts_with = "no_send")]
    pub test: bool,
    /// Check the arguments and every variable, tell everything that is wrong with them, and do
    /// nothing else.
    #[arg(long)]
    pub check_settings: bool,
}

const AFTER_HELP: &str = "\
The first time, what fails already counts as told. To see it: exit-validator notify status

Examples:
  exit-validator notify --test             a test message on every channel
  exit-validator notify status             what fails now, and who was written to
  exit-validator notify contacted 'contact:admin@example.org' 'asked for a look at unbound'";

/// What there is beside telling.
#[derive(Debug, Subcommand)]
pub enum NotifyCommand {
    /// Show the incidents that are open, and what was done about their operators.
    Status {
        /// Where notices are remembered.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Ask an address whether it wants mail about relays; nothing else is sent to it before it has confirmed.
    Subscribe {
        /// The address.
        address: String,
        /// A family's key (family:ed25519:..., or family: and the fingerprint of a relay in it), a proved
        /// domain (domain:...), or a relay's fingerprint.
        #[arg(required = true)]
        subjects: Vec<String>,
        /// Who is told, and how.
        #[command(flatten)]
        arguments: Box<NotifyArgs>,
    },
    /// Do what a token asks for that came back by mail: of a confirmation.
    Confirm {
        /// The token.
        token: String,
        /// Where notices are remembered.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Send an address no more mail.
    Unsubscribe {
        /// The address, or the token that came back by mail.
        #[arg(value_name = "ADDRESS|TOKEN")]
        who: String,
        /// Where notices are remembered.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Remember that an operator was written to.
    Contacted(LedgerArgs),
    /// Remember that an operator answered.
    Answered(LedgerArgs),
    /// Remember something about an operator.
    Note(LedgerArgs),
    /// Print the public keys that come of NOTIFY_KEY, as settings of the function.
    Keys,
    /// Print what there is to show of an exit that gives wrong answers, for bad-relays.
    Evidence {
        /// The exit's fingerprint.
        fingerprint: Fingerprint,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// The report; by default the output directory's latest.json.
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        /// The output directory.
        #[arg(long, env = "OUTPUT_DIR", default_value = "public", value_name = "DIR")]
        output_dir: PathBuf,
    },
}

/// Where notices are remembered.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// The private directory in which it is remembered what has been told [default: notify beside the
    /// output directory].
    #[arg(long = "notify-dir", env = "NOTIFY_DIR", value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The output directory.
    #[arg(long, env = "OUTPUT_DIR", default_value = "public", value_name = "DIR")]
    pub output_dir: PathBuf,
}

impl PlaceArgs {
    /// The private directory.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.directory.clone().unwrap_or_else(|| self.output_dir.with_file_name("notify"))
    }
}

/// Something about an operator.
#[derive(Debug, Args)]
pub struct LedgerArgs {
    /// The operator's key, as `notify status` and the report have it: domain:..., contact:..., family:... or
    /// relay:...
    pub operator: String,
    /// More about it.
    pub note: Option<String>,
    /// Where notices are remembered.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Who is told, and how.
#[derive(Debug, Args)]
pub struct NotifyArgs {
    /// Where notices are remembered.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// The address of the dashboard, for links in notices and feeds.
    #[arg(long, env = "SITE_URL", value_name = "URL", value_parser = site)]
    site: Option<String>,
    /// Which JSON the webhook speaks.
    #[arg(
        long,
        env = "NOTIFY_WEBHOOK_FORMAT",
        value_enum,
        default_value_t = WebhookFormat::Json,
        value_name = "FORMAT"
    )]
    webhook_format: WebhookFormat,
    /// The addresses of those who run the system, with commas between them.
    #[arg(long, env = "NOTIFY_MAIL_TO", value_name = "ADDRESSES")]
    mail_to: Option<String>,
    /// The address that mails come from.
    #[arg(long, env = "NOTIFY_MAIL_FROM", value_name = "ADDRESS")]
    mail_from: Option<String>,
    /// The program that sends mails where NOTIFY_SMTP_URL is not given.
    #[arg(
        long,
        env = "NOTIFY_SENDMAIL",
        default_value = "/usr/sbin/sendmail",
        value_name = "PROGRAM"
    )]
    sendmail: PathBuf,
    /// The public key that the function seals to: of NOTIFY_KEY, as `notify keys` prints it.
    #[arg(long, env = "NOTIFY_SEAL_KEY", value_name = "KEY")]
    seal_key: Option<String>,
    /// The public key that the function verifies links with: of NOTIFY_KEY. With both, and SITE_URL, mails
    /// to operators have links that the function takes.
    #[arg(long, env = "NOTIFY_VERIFY_KEY", value_name = "KEY")]
    verify_key: Option<String>,
    /// The shortest time between two mails, in hours; what concerns the whole network comes at once.
    #[arg(
        long,
        env = "NOTIFY_DIGEST_HOURS",
        default_value_t = 24,
        value_parser = clap::value_parser!(u16).range(0..=720),
        value_name = "HOURS"
    )]
    digest_hours: u16,
    /// After how many hours without a new report that is told.
    #[arg(
        long,
        env = "NOTIFY_SILENCE_HOURS",
        default_value_t = 24,
        value_parser = clap::value_parser!(u16).range(1..=720),
        value_name = "HOURS"
    )]
    silence_hours: u16,
}

/// A setting of a channel that is not valid. The text holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {why}")]
pub struct ChannelError {
    /// Which setting.
    pub name: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl NotifyArgs {
    /// The channels, with what is secret from `secret`.
    ///
    /// # Errors
    ///
    /// [`ChannelError`], the first one.
    pub fn channels(
        &self,
        secret: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Channels, ChannelError> {
        let target = |name| {
            let made = secret(name).map(|address| Target::new(&address, Reach::Named));
            made.transpose().map_err(|error| ChannelError { name, why: error.to_string() })
        };
        let [url, key, alertmanager, smtp, _] = SECRETS;
        let signing = SigningKey::all(&secret(key).unwrap_or_default())
            .map_err(|error| ChannelError { name: key, why: error.to_string() })?;
        let webhook = target(url)?;
        if webhook.is_none() && !signing.is_empty() {
            let why = "there is a key, and no NOTIFY_WEBHOOK_URL".to_owned();
            return Err(ChannelError { name: key, why });
        }
        let format = self.webhook_format;
        let keys = keys(&secret)?;
        Ok(Channels {
            function: self.function(keys.as_ref())?,
            site: self.site.clone(),
            webhook: webhook.map(|target| WebhookChannel { target, keys: signing, format }),
            alertmanager: target(alertmanager)?,
            mail: self.mail(secret(smtp), keys.is_some())?,
            silence: TimeDelta::hours(self.silence_hours.into()),
        })
    }

    /// Whether the function takes what subscribers ask for. It would be of no use with others' keys.
    fn function(&self, keys: Option<&NotifyKeys>) -> Result<bool, ChannelError> {
        let mut given = 0;
        for (name, found, ours) in [
            ("NOTIFY_SEAL_KEY", &self.seal_key, keys.map(NotifyKeys::seal_key)),
            ("NOTIFY_VERIFY_KEY", &self.verify_key, keys.map(NotifyKeys::verify_key)),
        ] {
            let Some(found) = found.as_deref().map(str::trim) else { continue };
            given += 1;
            if ours.as_deref() != Some(found) {
                let why = "it is not the one of NOTIFY_KEY, which this prints: exit-validator notify keys";
                return Err(ChannelError { name, why: why.to_owned() });
            }
        }
        Ok(given == 2 && self.site.is_some())
    }

    fn mail(
        &self,
        smtp: Option<String>,
        for_subscribers: bool,
    ) -> Result<Option<MailChannel>, ChannelError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let wrong = |name, error: mail::MailError| ChannelError { name, why: error.to_string() };
        let to = match given(&self.mail_to) {
            Some(to) => to,
            // Operators may have asked for mail where those who run the system want none.
            None if for_subscribers && given(&self.mail_from).is_some() => String::new(),
            None => return Ok(None),
        };
        let from = given(&self.mail_from).ok_or_else(|| ChannelError {
            name: "NOTIFY_MAIL_FROM",
            why: "there is NOTIFY_MAIL_TO, and no address that mails come from".to_owned(),
        })?;
        let to = to.split(',').filter(|text| !text.trim().is_empty()).map(mail::mailbox);
        Ok(Some(MailChannel {
            route: match smtp {
                Some(address) => {
                    MailRoute::smtp(&address).map_err(|error| wrong("NOTIFY_SMTP_URL", error))?
                }
                None => MailRoute::sendmail(&self.sendmail),
            },
            from: mail::mailbox(&from).map_err(|error| wrong("NOTIFY_MAIL_FROM", error))?,
            to: to.collect::<Result<_, _>>().map_err(|error| wrong("NOTIFY_MAIL_TO", error))?,
            every: TimeDelta::hours(self.digest_hours.into()),
        }))
    }
}

/// The keys that come of NOTIFY_KEY; `None` where that is not set.
///
/// # Errors
///
/// [`ChannelError`], which does not hold it.
pub fn keys(
    secret: impl Fn(&'static str) -> Option<String>,
) -> Result<Option<NotifyKeys>, ChannelError> {
    let [.., name] = SECRETS;
    let made = secret(name).map(|secret| NotifyKeys::new(&secret));
    made.transpose().map_err(|error| ChannelError { name, why: error.to_string() })
}

/// A site's address.
fn site(text: &str) -> Result<String, String> {
    let text = text.trim();
    reach::http::check_address(text).map_err(|error| error.to_string())?;
    if text.contains(['#', '?']) {
        return Err("the address of the page alone, without what follows # or ?".to_owned());
    }
    Ok(text.to_owned())
}
