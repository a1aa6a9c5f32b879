//! Mails, by SMTP or by this host's `sendmail`.

use chrono::{DateTime, Utc};
use lettre::message::header::{self, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::{AsyncSendmailTransport, AsyncTransport as _, Tokio1Executor};

/// How mails leave this host.
pub enum MailRoute {
    /// By a server that speaks SMTP.
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    /// By a program that is called as sendmail is.
    Sendmail(AsyncSendmailTransport<Tokio1Executor>),
}

impl std::fmt::Debug for MailRoute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Smtp(_) => "Smtp",
            Self::Sendmail(_) => "Sendmail",
        })
    }
}

/// Why a mail cannot be sent. No text of it holds the server's address, which has a password in it.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server's address.
    #[error(
        "it is not a mail server's address: smtps://USER:PASSWORD@HOST, or smtp://HOST:PORT?tls=required"
    )]
    Server,
    /// An address is none.
    #[error("{0} is not a mail address")]
    Address(String),
    /// A mail cannot be made of it.
    #[error("the mail cannot be made: {0}")]
    Message(String),
    /// The server refuses this mail for good.
    #[error("the mail server refuses it: {0}")]
    Refused(String),
    /// The server, or the way to it.
    #[error("the mail server does not take it: {0}")]
    Smtp(String),
    /// The program.
    #[error("sendmail does not take it: {0}")]
    Sendmail(String),
}

/// A mail's text, and what it is about.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// Who it is from.
    pub from: &'a Mailbox,
    /// Who it is for.
    pub to: &'a [Mailbox],
    /// What it is about.
    pub subject: &'a str,
    /// Its text.
    pub text: &'a str,
    /// An id that is the same where it is sent again.
    pub id: &'a str,
    /// When it was made.
    pub date: DateTime<Utc>,
    /// What it goes with, and how its reader gets no more of them.
    pub extra: LetterHeaders<'a>,
}

/// What only mails to operators have.
#[derive(Debug, Clone, Copy, Default)]
pub struct LetterHeaders<'a> {
    /// The ids that mails of one thread name: letters, digits and dashes.
    pub references: &'a [String],
    /// The link that its reader follows to get no more of them, by a single POST (RFC 8058).
    pub one_click: Option<&'a str>,
    /// What the subject of a mail says that asks for the same.
    pub by_mail: Option<&'a str>,
}

impl MailRoute {
    /// By SMTP, to `smtps://USER:PASSWORD@HOST:PORT`, `smtp://HOST:PORT?tls=required`, or without TLS to
    /// this host.
    ///
    /// # Errors
    ///
    /// [`MailError::Server`].
    pub fn smtp(address: &str) -> Result<Self, MailError> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(address.trim());
        let builder = builder.map_err(|_| MailError::Server)?;
        Ok(Self::Smtp(builder.timeout(Some(std::time::Duration::from_secs(60))).build()))
    }

    /// By a program: `/usr/sbin/sendmail`.
    #[must_use]
    pub fn sendmail(program: &std::path::Path) -> Self {
        Self::Sendmail(AsyncSendmailTransport::new_with_command(program))
    }

    /// Sends a mail.
    ///
    /// # Errors
    ///
    /// [`MailError`]. Whether the server took it is then not certain, where the connection broke off.
    pub async fn send(&self, letter: Letter<'_>) -> Result<(), MailError> {
        let message = message(letter)?;
        match self {
            Self::Smtp(smtp) => {
                let sent = smtp.send(message).await;
                sent.map(|_| ()).map_err(|error| {
                    let refused = error.is_permanent();
                    if refused {
                        MailError::Refused(told(&error))
                    } else {
                        MailError::Smtp(told(&error))
                    }
                })
            }
            Self::Sendmail(program) => {
                let sent = program.send(message).await;
                sent.map_err(|error| MailError::Sendmail(told(&error)))
            }
        }
    }
}

/// An error, and what it comes from: a stranger's text, in part.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    record::printable(&text)
}

/// An address such as `NAME <USER@HOST>`.
///
/// # Errors
///
/// [`MailError::Address`].
pub fn mailbox(text: &str) -> Result<Mailbox, MailError> {
    text.trim().parse().map_err(|_| MailError::Address(record::printable(text.trim())))
}

fn message(letter: Letter<'_>) -> Result<Message, MailError> {
    let host = letter.from.email.domain();
    let mut builder = Message::builder()
        .from(letter.from.clone())
        .subject(record::printable(letter.subject))
        .date(letter.date.into())
        .message_id(Some(format!("<{}@{host}>", letter.id)))
        // RFC 3834, section 5.
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        .header(ContentType::TEXT_PLAIN)
        .header(header::MIME_VERSION_1_0);
    for to in letter.to {
        builder = builder.to(to.clone());
    }
    let LetterHeaders { references, one_click, by_mail } = letter.extra;
    if !references.is_empty() {
        let all: Vec<String> = references.iter().map(|id| format!("<{id}@{host}>")).collect();
        builder = builder.references(all.join(" "));
    }
    // RFC 2369, section 3.2, and RFC 8058.
    let by_mail = by_mail.map(|subject| {
        let subject = crate::letter::encoded(subject);
        format!("<mailto:{}?subject={subject}>", letter.from.email)
    });
    let ways: Vec<String> =
        one_click.map(|link| format!("<{link}>")).into_iter().chain(by_mail).collect();
    if !ways.is_empty() {
        builder = builder.raw_header(raw("List-Unsubscribe", &ways.join(", ")));
    }
    if one_click.is_some() {
        builder = builder.raw_header(raw("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
    }
    builder.body(letter.text.to_owned()).map_err(|error| MailError::Message(error.to_string()))
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_mail_has_the_headers_that_it_is_given_and_no_other(
            subject: String,
            text: String,
            by_mail: String,
            references in proptest::collection::vec("msg_[0-9a-f]{32}", 0..4),
        ) {
            let from = mailbox("exits@example.org").unwrap();
            let to = [mailbox("op@example.net").unwrap()];
            let link = format!("https://dns.example.org/subscription/{}", "A".repeat(108));
            let extra = LetterHeaders {
                references: &references,
                one_click: Some(&link),
                by_mail: Some(&by_mail),
            };
            let (id, date) = ("msg_0", DateTime::default());
            let letter = Letter { from: &from, to: &to, subject: &subject, text: &text, id, date, extra };
            let formatted = String::from_utf8(message(letter).unwrap().formatted()).unwrap();
            let (head, _) = formatted.split_once("\r\n\r\n").unwrap();
            let mut known = vec![
                "From", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type",
                "MIME-Version", "To", "References", "List-Unsubscribe", "List-Unsubscribe-Post",
                "Content-Transfer-Encoding",
            ];
            known.retain(|name| *name != "References" || !references.is_empty());
            let lines = head.split("\r\n").filter(|line| !line.starts_with(' '));
            let found: Vec<&str> = lines.map(|line| line.split(':').next().unwrap()).collect();
            prop_assert_eq!(found, known);
            prop_assert!(!head.replace("\r\n", "").contains(['\r', '\n']));
            prop_assert!(head.is_ascii());
        }
    }
}
