//! What goes wrong with a store, by cause: what to say and whether to try again.
//! Pure: the store's answer comes in as [`RequestEvidence`].

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::retry::Retry;

/// Why a store did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// There are no credentials, or they could not be fetched.
    NoCredentials,
    /// The store does not know the key, or the signature is not right.
    BadKey,
    /// The key is right, but may not do this.
    Denied,
    /// The bucket does not exist.
    NoBucket,
    /// The clocks of this host and the store disagree.
    ClockSkew,
    /// No connection: no such name, no route, refused, or no TLS.
    NoRoute,
    /// Too many requests, also after waiting.
    Throttled,
    /// A connection that broke or stalled, or an error of the store's own.
    Unavailable,
    /// Other bytes are there under a name that never changes.
    Conflict,
    /// The store does not hold what was sent to it.
    Unverified,
    /// The list of files names something that is neither here nor in the store.
    Incomplete,
    /// What is in the store was written by a newer program.
    Newer,
    /// The store's pointers are of a later report than those here.
    Older,
    /// The store's backup of the notices' memory is newer than the one here, or of another memory.
    OtherNotices,
    /// A local file cannot be read, or is not what the list says.
    Local,
    /// The time for everything is over.
    Deadline,
    /// There is no such object.
    NotFound,
    /// A condition did not hold: the object is there, or is another than before.
    Changed,
    /// Readers may still go by a list of files that was replaced a moment ago.
    TooSoon,
    /// The store does not know this kind of request.
    Unsupported,
    /// The bucket is in another region, or at another endpoint.
    Elsewhere,
    /// Anything else the store answered.
    Other,
}

impl Cause {
    /// What it means.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NoCredentials => "no credentials",
            Self::BadKey => "the store does not accept the key",
            Self::Denied => "the key may not do this",
            Self::NoBucket => "the bucket does not exist",
            Self::ClockSkew => "the clocks of this host and of the store disagree",
            Self::NoRoute => "no connection to the store",
            Self::Throttled => "the store asks for fewer requests",
            Self::Unavailable => "the store, or the way to it, fails",
            Self::Conflict => "other bytes are there under a name that never changes",
            Self::Unverified => "the store does not hold what was sent to it",
            Self::Incomplete => "something that would be named is missing",
            Self::Newer => "the store was written by a newer program",
            Self::Older => "the store's pointers are of a later report, and stay",
            Self::OtherNotices => {
                "the store's backup of the notices' memory is later than the one here, or of another memory, and stays"
            }
            Self::Local => "a local file cannot be used",
            Self::Deadline => "not done in time",
            Self::NotFound => "no such object",
            Self::Changed => "another uploader changes the same objects",
            Self::TooSoon => "readers may still use what would be removed",
            Self::Unsupported => "the store does not know this request",
            Self::Elsewhere => "the bucket is somewhere else",
            Self::Other => "the store refuses",
        }
    }

    /// What to do.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NoCredentials => "set the target's key and secret in config.env",
            Self::BadKey => {
                "compare the target's key, secret, region and endpoint with the store's"
            }
            Self::Denied => {
                "give the key the right to list the bucket and to read and write objects"
            }
            Self::NoBucket => "create it, or correct the target's bucket, region or endpoint",
            Self::ClockSkew => "set this host's clock (NTP)",
            Self::NoRoute => "check the endpoint, the network, DNS and the CA certificates",
            Self::Throttled | Self::Unavailable => {
                "run again; if it stays so, ask the store's status page"
            }
            Self::Conflict => {
                "find out which of the two is right; remove or rename the other by hand"
            }
            Self::Unverified => "run again; if it stays so, do not trust this store",
            Self::Incomplete => "run `aggregate files`, then upload again",
            Self::Newer => "update this program",
            Self::Older => {
                "let only one host publish into a bucket; to go back on purpose, --allow-older"
            }
            Self::OtherNotices => {
                "to go on from it, move NOTIFY_DIR away and run `upload restore`; to replace it on purpose, \
                 `upload --allow-older`"
            }
            Self::Local => "look at the file; `aggregate files` makes the list anew",
            Self::Deadline => "run again: it goes on where it ended; or give a longer --deadline",
            Self::NotFound => "run again",
            Self::Changed => "let only one host publish into a bucket, and run again",
            Self::TooSoon => "run again in 10 minutes",
            Self::Elsewhere => "set the target's region, or its endpoint, to that of the bucket",
            Self::Unsupported | Self::Other => "see the store's documentation for this answer",
        }
    }

    /// How soon the same request may work.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::NoRoute | Self::Unavailable | Self::Unverified => Retry::Soon,
            Self::Throttled => Retry::Later,
            _ => Retry::Never,
        }
    }
}

/// Something that a store did not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct StoreError {
    /// What was being done, such as `list the bucket`.
    pub doing: String,
    /// Why it failed.
    pub cause: Cause,
    /// In the words of the store or the system; a stranger's text, made printable.
    pub detail: String,
    /// How long the store asked to be left alone.
    pub wish: Option<Duration>,
    /// The HTTP status, where an answer came.
    pub status: Option<u16>,
    /// Where the store says that this request is to be made instead.
    pub location: Option<String>,
}

impl StoreError {
    /// An error of this cause.
    pub fn new(doing: impl Into<String>, cause: Cause, detail: impl AsRef<str>) -> Self {
        // A store can answer with anything, also with a page of HTML.
        let detail: String = record::printable(detail.as_ref()).chars().take(400).collect();
        Self { doing: doing.into(), cause, detail, wish: None, status: None, location: None }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.doing, self.cause.meaning())?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        write!(f, "; {}", self.cause.advice())
    }
}

/// How a request failed, as far as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestEvidence {
    /// The HTTP status, where an answer came.
    pub status: Option<u16>,
    /// The error's code in the answer's body.
    pub code: Option<String>,
    /// No connection was made.
    pub unconnected: bool,
    /// No request could be signed: there is no usable key.
    pub unsigned: bool,
}

/// The cause of a failed request. Codes are those of the S3 API's "Error responses"; R2 and Spaces
/// use the same.
#[must_use]
pub fn cause(evidence: &RequestEvidence) -> Cause {
    if evidence.unsigned {
        return Cause::NoCredentials;
    }
    match evidence.code.as_deref().unwrap_or_default() {
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "ExpiredToken"
        | "TokenRefreshRequired"
        | "AuthorizationHeaderMalformed"
        | "InvalidSecurity"
        | "NotSignedUp"
        | "Unauthorized" => return Cause::BadKey,
        "RequestTimeTooSkewed" | "RequestExpired" => return Cause::ClockSkew,
        "NoSuchBucket" | "InvalidBucketName" => return Cause::NoBucket,
        "NoSuchKey" | "NotFound" => return Cause::NotFound,
        "PreconditionFailed" => return Cause::Changed,
        "NotImplemented" => return Cause::Unsupported,
        "PermanentRedirect" | "TemporaryRedirect" | "IllegalLocationConstraintException" => {
            return Cause::Elsewhere;
        }
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "RequestThrottled" => return Cause::Throttled,
        // The body came in too slowly, or two uploaders wrote at once: both pass.
        "RequestTimeout"
        | "ConditionalRequestConflict"
        | "OperationAborted"
        | "InternalError"
        | "ServiceUnavailable" => return Cause::Unavailable,
        // Damaged on the way.
        "BadDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" => return Cause::Unverified,
        _ => {}
    }
    match evidence.status {
        Some(401) => Cause::BadKey,
        Some(403) => Cause::Denied,
        Some(404) => Cause::NotFound,
        Some(409 | 412) => Cause::Changed,
        Some(429 | 503) => Cause::Throttled,
        Some(501) => Cause::Unsupported,
        Some(408 | 500..) => Cause::Unavailable,
        Some(301 | 302 | 307 | 308) => Cause::Elsewhere,
        // A client's error with another code.
        Some(300..) => Cause::Other,
        // An answer that cannot be understood: cut, or not the store's.
        Some(_) => Cause::Unavailable,
        None if evidence.unconnected => Cause::NoRoute,
        None => Cause::Unavailable,
    }
}

/// How long the store asks to be left alone, in the words of its header `Retry-After` (RFC 9110,
/// section 10.2.3): seconds, or a date by the store's own clock, which its header `Date` tells.
#[must_use]
pub fn wish(retry_after: &str, date: Option<&str>, now: DateTime<Utc>) -> Option<Duration> {
    let text = retry_after.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let time = |text: &str| Some(DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc));
    let theirs = date.and_then(time).unwrap_or(now);
    // A date that is past is no wish.
    (time(text)? - theirs).to_std().ok()
}

/// How far this host's clock is from the store's, in words; `None` where the answer had no date.
#[must_use]
pub fn skew(date: Option<&str>, now: DateTime<Utc>) -> Option<String> {
    let theirs = DateTime::parse_from_rfc2822(date?).ok()?.with_timezone(&Utc);
    let behind = theirs - now;
    let word = if behind < TimeDelta::zero() { "ahead of" } else { "behind" };
    Some(format!("this host's clock is {} s {word} the store's", behind.num_seconds().abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, code: &str) -> Cause {
        let code = (!code.is_empty()).then(|| code.to_owned());
        cause(&RequestEvidence { status: Some(status), code, ..RequestEvidence::default() })
    }

    #[test]
    fn answers_of_stores() {
        assert_eq!(of(403, "InvalidAccessKeyId"), Cause::BadKey);
        assert_eq!(of(403, "SignatureDoesNotMatch"), Cause::BadKey);
        // R2, of a key that has not the length of one.
        assert_eq!(of(401, "InvalidArgument"), Cause::BadKey);
        assert_eq!(of(400, "InvalidArgument"), Cause::Other);
        assert_eq!(of(401, ""), Cause::BadKey);
        assert_eq!(of(403, "AccessDenied"), Cause::Denied);
        assert_eq!(of(403, "RequestTimeTooSkewed"), Cause::ClockSkew);
        assert_eq!(of(404, "NoSuchBucket"), Cause::NoBucket);
        // Of a HEAD, which has no body.
        assert_eq!(of(404, ""), Cause::NotFound);
        assert_eq!(of(412, ""), Cause::Changed);
        assert_eq!(of(409, "ConditionalRequestConflict"), Cause::Unavailable);
        assert_eq!(of(503, "SlowDown"), Cause::Throttled);
        assert_eq!(of(429, ""), Cause::Throttled);
        assert_eq!(of(500, "InternalError"), Cause::Unavailable);
        assert_eq!(of(200, "InternalError"), Cause::Unavailable);
        assert_eq!(of(200, ""), Cause::Unavailable);
        assert_eq!(of(501, "NotImplemented"), Cause::Unsupported);
        assert_eq!(of(301, "PermanentRedirect"), Cause::Elsewhere);
        assert_eq!(of(307, ""), Cause::Elsewhere);
    }

    #[test]
    fn no_answer() {
        let none = RequestEvidence::default();
        assert_eq!(cause(&none), Cause::Unavailable);
        assert_eq!(cause(&RequestEvidence { unconnected: true, ..none.clone() }), Cause::NoRoute);
        assert_eq!(cause(&RequestEvidence { unsigned: true, ..none }), Cause::NoCredentials);
    }

    #[test]
    fn the_skew_is_told() {
        let now = "2026-11-23T04:00:00Z".parse().unwrap();
        assert_eq!(
            skew(Some("Mon, 23 Nov 2026 05:00:00 GMT"), now).unwrap(),
            "this host's clock is 3600 s behind the store's"
        );
        assert_eq!(
            skew(Some("Mon, 23 Nov 2026 03:59:00 GMT"), now).unwrap(),
            "this host's clock is 60 s ahead of the store's"
        );
        assert_eq!(skew(Some("soon"), now), None);
        assert_eq!(skew(None, now), None);
    }

    #[test]
    fn a_wish_in_seconds_or_as_a_date() {
        let now = "2026-11-23T04:00:00Z".parse().unwrap();
        let seconds = |text, date| wish(text, date, now).map(|wish| wish.as_secs());
        assert_eq!(seconds(" 7 ", None), Some(7));
        assert_eq!(seconds("Mon, 23 Nov 2026 04:00:30 GMT", None), Some(30));
        // By the store's clock, which is not this host's.
        let theirs = Some("Mon, 23 Nov 2026 05:00:00 GMT");
        assert_eq!(seconds("Mon, 23 Nov 2026 05:00:09 GMT", theirs), Some(9));
        assert_eq!(seconds("Mon, 23 Nov 2026 03:00:00 GMT", None), None);
        assert_eq!(seconds("later", None), None);
    }
}
