//! The settings of the stores, and of the dashboard that is served from them.

use super::key;
use crate::key::DefaultValue::{None, Value, Words};
use crate::key::Reader::{Cloudflare, Notify, Upload};
use crate::key::{DefaultValue, Group, Key, Reader, ValueKind};

/// Read by the upload, and by the function that serves what was uploaded.
const BOTH: &[Reader] = &[Upload, Cloudflare];

pub const STORES: &[Key] = &[
    store("DO_ENABLED", Value("false"), "DigitalOcean Spaces: whether reports go there.")
        .by(BOTH)
        .of(ValueKind::Flag)
        .decided(),
    store("DO_BUCKET", None, "The Space's name.").by(BOTH),
    store("DO_SPACES_REGION", None, "The Space's region, for instance fra1.").by(BOTH),
    store("DO_REGION", None, "The same under another name, where DO_SPACES_REGION is not given.")
        .by(BOTH),
    secret("DO_SPACES_KEY", "The access key's public part; secret too."),
    secret("DO_SPACES_SECRET", "The access key's secret part."),
    secret("DO_SESSION_TOKEN", "The token of a temporary key."),
    store("DO_PREFIX", None, "What stands before every name in the Space, as reports.").by(BOTH),
    store("DO_ACL", Value("public-read"), "Who may read the published objects."),
    store("DO_ENDPOINT", Words("by the region"), "Another endpoint, https://HOST.").by(BOTH),
    store(
        "DO_PATH_STYLE",
        Words("true with DO_ENDPOINT, else false"),
        "Whether the bucket is a part of the path, and not of the host's name.",
    )
    .of(ValueKind::Flag),
    store("R2_ENABLED", Value("false"), "Cloudflare R2: whether reports go there.")
        .by(BOTH)
        .of(ValueKind::Flag)
        .decided(),
    store("R2_BUCKET", None, "The bucket's name.").by(BOTH),
    store("CF_ACCOUNT_ID", None, "The Cloudflare account's id, 32 hexadecimal digits.").by(BOTH),
    secret("R2_ACCESS_KEY_ID", "The API token's access key; secret too."),
    secret("R2_SECRET_ACCESS_KEY", "The API token's secret key."),
    secret("R2_SESSION_TOKEN", "The token of a temporary key."),
    store("R2_PREFIX", None, "What stands before every name in the bucket, as reports.").by(BOTH),
    store("R2_REGION", Value("auto"), "The region that requests are signed for."),
    store("R2_ENDPOINT", Words("by the account"), "Another endpoint, for a jurisdiction's own."),
    store("R2_PATH_STYLE", Value("true"), "Whether the bucket is a part of the path.")
        .of(ValueKind::Flag),
    store(
        "S3_ENABLED",
        Value("false"),
        "AWS S3 or any store that speaks S3: whether reports go there.",
    )
    .of(ValueKind::Flag),
    store("S3_BUCKET", None, "The bucket's name."),
    store("S3_REGION", Value("us-east-1"), "The region that requests are signed for."),
    store("S3_ENDPOINT", Words("AWS itself"), "The store's endpoint, https://HOST."),
    secret(
        "S3_ACCESS_KEY_ID",
        "The key's public part; without a key the usual AWS sources are asked.",
    ),
    secret("S3_SECRET_ACCESS_KEY", "The key's secret part."),
    secret("S3_SESSION_TOKEN", "The token of a temporary key."),
    store("S3_PREFIX", None, "What stands before every name in the bucket, as reports."),
    store("S3_ACL", None, "The ACL of published objects, where the store wants one."),
    store(
        "S3_PATH_STYLE",
        Words("true with S3_ENDPOINT, else false"),
        "Whether the bucket is a part of the path.",
    )
    .of(ValueKind::Flag),
    store(
        "UPLOAD_TARGETS",
        None,
        "Names of further stores, as attic: each has the settings of S3 as ATTIC_BUCKET and so on.",
    ),
];

const fn store(name: &'static str, default: DefaultValue, about: &'static str) -> Key {
    key(name, Group::Stores, &[Upload], default, about)
}

const fn secret(name: &'static str, about: &'static str) -> Key {
    store(name, None, about).of(ValueKind::Secret)
}

pub const CLOUDFLARE: &[Key] = &[
    pages("CLOUDFLARE_API_TOKEN", None, "A token that may edit Cloudflare Pages.")
        .of(ValueKind::Secret),
    pages("CLOUDFLARE_ACCOUNT_ID", Words("CF_ACCOUNT_ID"), "The account's id."),
    pages("PAGES_PROJECT", None, "The Pages project's name."),
    pages("PAGES_BRANCH", Value("main"), "The project's production branch; another is a preview."),
    pages(
        "FALLBACK_URL",
        Words("of DO_BUCKET, DO_SPACES_REGION and DO_PREFIX, where DO_ENABLED"),
        "Where the second store's files are, an HTTPS address.",
    ),
    pages(
        "FALLBACK_FORBIDDEN_IS_MISSING",
        Value("false"),
        "true: that store's answer 403 means that there is no such file.",
    )
    .of(ValueKind::Flag),
    key(
        "NOTIFY_SEAL_KEY",
        Group::Cloudflare,
        &[Cloudflare, Notify],
        None,
        "Seals what subscribers ask for: public, as exit-validator notify keys prints it and the next.",
    ),
    key(
        "NOTIFY_VERIFY_KEY",
        Group::Cloudflare,
        &[Cloudflare, Notify],
        None,
        "Verifies the links of mails to subscribers: public as well.",
    ),
    pages(
        "KEY_PREFIX",
        Words("R2_PREFIX"),
        "What stands before the names in the R2 bucket, as reports/.",
    ),
    pages(
        "STORE_DEADLINE_MS",
        Value("8000"),
        "How long one store may take to answer, in milliseconds.",
    )
    .of(ValueKind::Whole(100, 60_000)),
    pages(
        "OVERDUE_AFTER_MINUTES",
        Value("540"),
        "The age from which on the published report is overdue, in minutes.",
    )
    .of(ValueKind::Whole(1, 525_600)),
];

const fn pages(name: &'static str, default: DefaultValue, about: &'static str) -> Key {
    key(name, Group::Cloudflare, &[Cloudflare], default, about)
}

impl Key {
    /// These read it.
    const fn by(mut self, readers: &'static [Reader]) -> Self {
        self.readers = readers;
        self
    }
}
