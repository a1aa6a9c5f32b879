//! The settings of notices: who is told, and how.

use super::key;
use crate::key::DefaultValue::{None, Value, Words};
use crate::key::Reader::{Notify, Upload, Wrapper};
use crate::key::{DefaultValue, Group, Key, ValueKind};

pub const NOTICES: &[Key] = &[
    key(
        "HEARTBEAT_URL",
        Group::Notices,
        &[Wrapper],
        None,
        "Asked by GET after each published run, so that a monitor notices when there is none.",
    )
    .of(ValueKind::Secret),
    notice(
        "SITE_URL",
        None,
        "The address of the dashboard, such as https://dns.example.org, for links in notices and feeds.",
    ),
    notice(
        "NOTIFY_MAIL_TO",
        None,
        "Who gets mail of what fails and works again: those who run the system; commas between them.",
    ),
    notice("NOTIFY_MAIL_FROM", None, "The address that these mails come from."),
    secret(
        "NOTIFY_SMTP_URL",
        "The mail server: smtps://USER:PASSWORD@HOST, or smtp://HOST:PORT?tls=required.",
    ),
    notice(
        "NOTIFY_SENDMAIL",
        Value("/usr/sbin/sendmail"),
        "The program that sends mails where NOTIFY_SMTP_URL is not given.",
    )
    .of(ValueKind::Path),
    notice(
        "NOTIFY_DIGEST_HOURS",
        Value("24"),
        "Shortest time between two mails, in hours; what concerns the whole network comes at once.",
    ),
    notice(
        "NOTIFY_SILENCE_HOURS",
        Value("24"),
        "After how many hours without a new report that is told.",
    ),
    secret("NOTIFY_WEBHOOK_URL", "Where a message is sent of each thing that happens, by POST."),
    secret(
        "NOTIFY_WEBHOOK_KEY",
        "What these messages are signed with, whsec_...; two while it changes, a space between them.",
    ),
    notice(
        "NOTIFY_WEBHOOK_FORMAT",
        Value("json"),
        "What these messages are: json, or alertmanager as its webhooks are.",
    ),
    secret(
        "NOTIFY_ALERTMANAGER_URL",
        "An Alertmanager that is told what fails: http://HOST:9093/api/v2/alerts.",
    ),
    key(
        "NOTIFY_DIR",
        Group::Notices,
        &[Notify, Upload],
        Words("notify in STATE_DIR"),
        "The private directory of what has been told. Keep a copy of it, or set NOTIFY_KEY.",
    )
    .of(ValueKind::Path),
    key(
        "NOTIFY_KEY",
        Group::Notices,
        &[Wrapper, Notify],
        None,
        "Seals a backup of that for the stores, signs subscribers' links: head -c 32 /dev/urandom | base64.",
    )
    .of(ValueKind::Secret),
];

const fn notice(name: &'static str, default: DefaultValue, about: &'static str) -> Key {
    key(name, Group::Notices, &[Notify], default, about)
}

const fn secret(name: &'static str, about: &'static str) -> Key {
    notice(name, None, about).of(ValueKind::Secret)
}
