//! Why a scan does not come to its end.

use std::fmt;

use crate::cli::Usage;
use crate::results::ResultsError;
use crate::session::SessionError;

/// Why there is no finished scan.
#[derive(Debug)]
pub enum ScanError {
    /// A flag, a variable or a combination is wrong: nothing was started.
    Usage(String),
    /// There is no tor to scan through.
    Tor(SessionError),
    /// Results cannot be written.
    Write(ResultsError),
    /// The scan ended before every relay had its result; its reason has been told.
    Incomplete,
    /// The system refused something that always works.
    Internal(anyhow::Error),
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Tor(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
            Self::Incomplete => f.write_str("the run is incomplete"),
            Self::Internal(error) => write!(f, "{error:#}"),
        }
    }
}

impl From<Usage> for ScanError {
    fn from(usage: Usage) -> Self {
        Self::Usage(usage.0)
    }
}

impl From<SessionError> for ScanError {
    fn from(error: SessionError) -> Self {
        Self::Tor(error)
    }
}

impl From<tor_control::Error> for ScanError {
    fn from(error: tor_control::Error) -> Self {
        Self::Tor(error.into())
    }
}

impl From<ResultsError> for ScanError {
    fn from(error: ResultsError) -> Self {
        if error.is_io() { Self::Write(error) } else { Self::Usage(error.to_string()) }
    }
}
