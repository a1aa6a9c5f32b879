//! What each file of the output directory is to a store: when it is written, whether it may ever
//! change, its type, and how long it may be cached. Pure. The documentation for readers of the
//! bucket is `docs/formats/store.md`.

use shelf::notices::PRIVATE_PREFIXES;
use shelf::output::{FILES_FILE, LATEST_FILE, TRENDS_FILE, is_export, is_immutable};

/// Under which runs of other hosts lie.
pub const RUNS_PREFIX: &str = "runs/";

/// The object that `--check` writes, reads and removes.
pub const PROBE_KEY: &str = "upload-check.txt";

/// The longest key: S3 allows 1,024 bytes, and a target's prefix comes before it.
const MAX_KEY: usize = 900;

/// What a file is to a store, in the order of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A dated report or an archive: written once, never with other bytes.
    Immutable,
    /// `trends.json`, and pages where there are any.
    Data,
    /// `files.json`: names what is immutable.
    Files,
    /// `latest.json`.
    Latest,
    /// What is made of that for other programs.
    Export,
}

/// The class of the file with this key.
#[must_use]
pub fn class(key: &str) -> Class {
    match key {
        LATEST_FILE => Class::Latest,
        FILES_FILE => Class::Files,
        _ if is_export(key) => Class::Export,
        _ if is_immutable(key) || key.starts_with(RUNS_PREFIX) => Class::Immutable,
        _ => Class::Data,
    }
}

/// The `Cache-Control` of the object with this key: a year for what never changes, a minute for
/// what is replaced with every report, five minutes for pages.
#[must_use]
pub fn cache_control(key: &str) -> &'static str {
    if is_private(key) {
        return "private, no-store";
    }
    match (class(key), key) {
        (Class::Immutable, _) => "public, max-age=31536000, immutable",
        (Class::Files | Class::Latest | Class::Export, _) | (Class::Data, TRENDS_FILE) => {
            "public, max-age=60"
        }
        (Class::Data, _) => "public, max-age=300",
    }
}

/// Whether the object with this key is for this host alone.
fn is_private(key: &str) -> bool {
    PRIVATE_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// The `Content-Type` of the object with this key, by the end of its name.
#[must_use]
pub fn content_type(key: &str) -> &'static str {
    let name = key.rsplit('/').next().unwrap_or(key);
    match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "json" => "application/json",
        // RFC 4287, section 7.
        "atom" => "application/atom+xml",
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "txt" | "md" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        "xml" => "application/xml",
        // Prometheus' text format, as its servers must call it.
        "prom" => "text/plain; version=0.0.4; charset=utf-8",
        "tar" => "application/x-tar",
        "gz" => "application/gzip",
        "xz" => "application/x-xz",
        "zst" => "application/zstd",
        "zip" => "application/zip",
        "parquet" => "application/vnd.apache.parquet",
        _ => "application/octet-stream",
    }
}

/// Why a file of the output directory is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unpublished {
    /// Hidden, or not finished.
    #[error("hidden")]
    Hidden,
    /// The hosting's own configuration, which is no content.
    #[error("configuration of the hosting")]
    Hosting,
    /// Where runs of other hosts lie in the store.
    #[error("runs/ is kept for runs: see upload push-run")]
    Runs,
    /// Where a store has what is for its host alone.
    #[error("private/ and requests/ are kept for notices: see upload notices")]
    Private,
    /// A name that not every store, URL and shell takes the same way.
    #[error("the name has characters other than letters, digits, and . _ - + =, or is too long")]
    Name,
}

/// Whether the file at this path below the output directory, its parts joined by `/`, is
/// published.
///
/// # Errors
///
/// [`Unpublished`], where it is not.
pub fn publishable(path: &str) -> Result<(), Unpublished> {
    if path.split('/').any(|part| part.starts_with('.')) {
        return Err(Unpublished::Hidden);
    }
    if ["_headers", "_redirects", "_routes.json", "_worker.js"].contains(&path) {
        return Err(Unpublished::Hosting);
    }
    if path.starts_with(RUNS_PREFIX) {
        return Err(Unpublished::Runs);
    }
    if is_private(path) {
        return Err(Unpublished::Private);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+=".contains(c);
    let sound = path.split('/').all(|part| !part.is_empty() && part.chars().all(plain));
    if sound && path.len() <= MAX_KEY { Ok(()) } else { Err(Unpublished::Name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_when() {
        assert!(Class::Immutable < Class::Data);
        assert!(Class::Data < Class::Files);
        assert!(Class::Files < Class::Latest);
        assert!(Class::Latest < Class::Export);
        assert_eq!(class("dns_health_2026-11-23_03-15-30.json"), Class::Immutable);
        assert_eq!(class("dns_health_2026-11.tar.xz"), Class::Immutable);
        // A month's archive that holds more than the one before it has a name of its own.
        assert_eq!(class("dns_health_2026-11-2.tar.gz"), Class::Immutable);
        assert_eq!(class("trends.json"), Class::Data);
        assert_eq!(class("index.html"), Class::Data);
        assert_eq!(class("files.json"), Class::Files);
        assert_eq!(class("latest.json"), Class::Latest);
        assert_eq!(class("old/latest.json"), Class::Data);
        for key in [
            "metrics.prom",
            "onionoo-dns.json",
            "badges/0.json",
            "compat/latest.json",
            "summary.html",
            "figures.json",
        ] {
            assert_eq!(class(key), Class::Export, "{key}");
        }
    }

    #[test]
    fn what_is_cached_how_long() {
        for key in ["latest.json", "files.json", "trends.json", "metrics.prom", "badges/A.json"] {
            assert_eq!(cache_control(key), "public, max-age=60", "{key}");
        }
        for key in ["dns_health_2026-11-23_03-15-30.json", "dns_health_2026-11.tar.gz"] {
            assert_eq!(cache_control(key), "public, max-age=31536000, immutable", "{key}");
        }
        assert_eq!(cache_control("summary.html"), "public, max-age=60");
        assert_eq!(content_type("summary.html"), "text/html; charset=utf-8");
        assert_eq!(cache_control("index.html"), "public, max-age=300");
        assert_eq!(content_type("dns_health_2026-11.tar.gz"), "application/gzip");
        assert_eq!(content_type("dns_health_2026-11-2.tar.gz"), "application/gzip");
        let metrics = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(content_type("compat/metrics.prom"), metrics);
        assert_eq!(content_type("a.b/page"), "application/octet-stream");
    }

    #[test]
    fn what_is_not_published() {
        assert_eq!(publishable("assets/uPlot.min.js"), Ok(()));
        assert_eq!(publishable(".unfinished-x"), Err(Unpublished::Hidden));
        assert_eq!(publishable("a/.git/config"), Err(Unpublished::Hidden));
        assert_eq!(publishable("../x"), Err(Unpublished::Hidden));
        assert_eq!(publishable("_headers"), Err(Unpublished::Hosting));
        assert_eq!(publishable("runs/x"), Err(Unpublished::Runs));
        for path in ["private/notices.sealed", "requests/x"] {
            assert_eq!(publishable(path), Err(Unpublished::Private), "{path}");
            assert_eq!(cache_control(path), "private, no-store", "{path}");
        }
        for path in ["a b", "a//b", "/a", "ä", "a\nb", "", "a?b", "a%2fb"] {
            assert_eq!(publishable(path), Err(Unpublished::Name), "{path:?}");
        }
    }
}
