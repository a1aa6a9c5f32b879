//! Names and versions of the formats.

use serde::{Deserialize, Serialize};

/// Which kind of document something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One relay's result: `dnshealth_<FINGERPRINT>.json`.
    Result,
    /// What a scan set out to do: `plan.json`.
    Plan,
    /// What became of a scan: `run.json`.
    Run,
    /// A report: `dns_health_YYYY-MM-DD_HH-MM-SS.json` and `latest.json`.
    Report,
    /// The runs so far: `trends.json`.
    Trends,
    /// What can be fetched: `files.json`.
    Files,
    /// The figures of the latest report: `figures.json`.
    Figures,
    /// The verdicts by fingerprint: `onionoo-dns.json`.
    OnionooDns,
    /// What badges say: `badges/0.json` to `badges/F.json`.
    Badges,
    /// A report as the former system had it: `compat/latest.json`.
    CompatReport,
    /// What fails together, from when to when: `incidents.json`.
    Incidents,
    /// The memory of the notices, sealed: `private/notices.sealed` in a store.
    SealedNotices,
}

impl Kind {
    /// The name in the document's `format` field.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Result => "exit-validator/result",
            Self::Plan => "exit-validator/plan",
            Self::Run => "exit-validator/run",
            Self::Report => "exit-validator/report",
            Self::Trends => "exit-validator/trends",
            Self::Files => "exit-validator/files",
            Self::Figures => "exit-validator/figures",
            Self::OnionooDns => "exit-validator/onionoo-dns",
            Self::Badges => "exit-validator/badges",
            Self::CompatReport => "exit-validator/compat-report",
            Self::Incidents => "exit-validator/incidents",
            Self::SealedNotices => "exit-validator/sealed-notices",
        }
    }

    /// The version that this build writes, and the newest that it reads.
    #[must_use]
    pub const fn version(self) -> u32 {
        match self {
            Self::Result
            | Self::Plan
            | Self::Run
            | Self::Report
            | Self::Trends
            | Self::Files
            | Self::Figures
            | Self::OnionooDns
            | Self::Badges
            | Self::CompatReport
            | Self::Incidents
            | Self::SealedNotices => 1,
        }
    }

    /// The `format` field of a document written by this build.
    #[must_use]
    pub fn format(self) -> Format {
        Format { name: self.name().to_owned(), version: self.version() }
    }

    /// Parses a document of this kind.
    ///
    /// # Errors
    ///
    /// [`FormatError`] where the bytes are not JSON, are a document of another kind, were written
    /// by a newer version, or lack something that their version requires.
    pub fn parse<T: serde::de::DeserializeOwned>(self, bytes: &[u8]) -> Result<T, FormatError> {
        #[derive(Deserialize)]
        struct Envelope {
            format: Format,
        }
        // The envelope first: a newer version's error must not be about a field that it changed.
        let Envelope { format } = serde_json::from_slice(bytes)?;
        if format.name != self.name() {
            return Err(FormatError::Kind { found: format.name, wanted: self.name() });
        }
        if format.version == 0 || format.version > self.version() {
            return Err(FormatError::Version {
                name: self.name(),
                found: format.version,
                newest: self.version(),
            });
        }
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// The `format` field: what a document is, and in which version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Format {
    /// Which format it is.
    pub name: String,
    /// Counts up when a reader of the previous version would misread the document.
    pub version: u32,
}

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Not JSON, or not of the shape that its version requires.
    #[error("not a document of this format: {0}")]
    Json(serde_json::Error),
    /// A document of another kind.
    #[error("a document of format {found:?} where {wanted} was expected")]
    Kind {
        /// The name found.
        found: String,
        /// The name expected.
        wanted: &'static str,
    },
    /// A version that this build does not know.
    #[error(
        "{name} version {found} cannot be read by this program, which knows versions 1 to {newest}; \
         use the newer program that wrote it"
    )]
    Version {
        /// The format's name.
        name: &'static str,
        /// The version found.
        found: u32,
        /// The newest version known.
        newest: u32,
    },
}

impl From<serde_json::Error> for FormatError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}
