//! From the SDK's errors to causes.

use std::error::Error;
use std::io;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::Store;
use crate::err::{self, Cause, RequestEvidence, StoreError};

impl Store {
    /// What the SDK's error means.
    pub(super) fn failed<E>(&self, doing: String, error: &SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let answer = error.raw_response();
        let metadata = error.as_service_error();
        let code = metadata.and_then(ProvideErrorMetadata::code);
        let evidence = RequestEvidence {
            status: answer.map(|answer| answer.status().as_u16()),
            code: code.map(str::to_owned),
            unconnected: is_unconnected(error),
            unsigned: matches!(error, SdkError::ConstructionFailure(_)),
        };
        let cause = err::cause(&evidence);
        let header = |name| answer.and_then(|answer| answer.headers().get(name));
        let mut detail = match (answer, metadata) {
            (Some(answer), Some(metadata)) => {
                let words = [code, metadata.message()];
                let words: Vec<&str> = words.into_iter().flatten().collect();
                format!("HTTP {}: {}", answer.status().as_u16(), words.join(": "))
            }
            (Some(answer), None) => {
                let status = answer.status().as_u16();
                format!("HTTP {status}, and an answer that is none: {}", chain(error))
            }
            (None, _) => chain(error),
        };
        if cause == Cause::ClockSkew
            && let Some(skew) = err::skew(header("date"), self.now())
        {
            detail = format!("{detail}; {skew}");
        }
        if cause == Cause::Elsewhere
            && let Some(region) = header("x-amz-bucket-region")
        {
            detail = format!("{}; its region is {region}", detail.trim_end_matches(": "));
        }
        let mut failed = StoreError::new(doing, cause, detail.trim_end_matches(": "));
        failed.wish =
            header("retry-after").and_then(|text| err::wish(text, header("date"), self.now()));
        failed.status = evidence.status;
        failed.location = header("location").map(str::to_owned);
        failed
    }
}

/// An error of the SDK and its causes, each once. Unlike ours, the SDK's errors do not say their
/// causes themselves ("dispatch failure", "io error"); of credentials that cannot be had, one provider
/// wraps another's error in the same words ("an error occurred while loading credentials").
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

/// Whether no connection was made: the HTTP client says so in words, the system in kinds.
fn is_unconnected<E, R>(error: &SdkError<E, R>) -> bool
where
    E: Error + 'static,
    R: std::fmt::Debug,
{
    let mut next = match error {
        SdkError::DispatchFailure(failure) => {
            failure.as_connector_error().map(|error| error as &(dyn Error + 'static))
        }
        _ => None,
    };
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            let kinds = [
                io::ErrorKind::ConnectionRefused,
                io::ErrorKind::HostUnreachable,
                io::ErrorKind::NetworkUnreachable,
                io::ErrorKind::AddrNotAvailable,
            ];
            if kinds.contains(&error.kind()) {
                return true;
            }
        }
        let words = cause.to_string();
        if [
            "dns error",
            "(Connect)",
            "connect timeout",
            "tls handshake",
            "invalid peer certificate",
        ]
        .iter()
        .any(|sign| words.contains(sign))
        {
            return true;
        }
        next = cause.source();
    }
    false
}
