//! A scan's results beside the truth. Reads an analysis directory; judges no relay itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use record::{Fingerprint, Kind, Mode, RUN_FILE, RelayResult, Run, printable, result_file_name};

use crate::{Error, Manifest, Truth};

/// How a scan of the lab compares with the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// How the scan judged answers.
    pub mode: Mode,
    /// One for each exit of the lab, in its order.
    pub rows: Vec<Row>,
    /// What is wrong apart from single relays' verdicts.
    pub faults: Vec<String>,
}

/// One exit of the lab in a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its nickname.
    pub nickname: String,
    /// What its resolver does.
    pub description: String,
    /// The true verdict.
    pub truth: Truth,
    /// The scan's verdict, in the same terms; null where the scan has none.
    pub found: Option<Truth>,
    /// The resolve time, in milliseconds.
    pub resolve_ms: Option<f64>,
}

impl Row {
    /// Whether the scan's verdict is the true one.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.found.as_ref().is_some_and(|found| {
            let left_open = self.truth.resolved_ip.is_none();
            (found.status, found.error_code, found.blame)
                == (self.truth.status, self.truth.error_code, self.truth.blame)
                && (left_open || found.resolved_ip == self.truth.resolved_ip)
        })
    }
}

impl Checked {
    /// Whether the scan is complete and every verdict true.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.faults.is_empty() && self.rows.iter().all(Row::is_true)
    }

    /// The comparison as a table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut lines = vec![
            ["relay", "its resolver", "verdict", "cause", "blame", "resolved in", "true"]
                .map(str::to_owned),
        ];
        for row in &self.rows {
            let (verdict, cause, blame) = match &row.found {
                Some(found) => words(found),
                None => ("no result".to_owned(), String::new(), String::new()),
            };
            lines.push([
                printable(&row.nickname),
                printable(&row.description),
                verdict,
                cause,
                blame,
                row.resolve_ms.map(|ms| format!("{ms:.0} ms")).unwrap_or_default(),
                if row.is_true() { "yes".to_owned() } else { format!("NO: {}", row.difference()) },
            ]);
        }
        let mut text = columns(&lines);
        for fault in &self.faults {
            let _ = writeln!(text, "{}", printable(fault));
        }
        let (of, right) = (self.rows.len(), self.rows.iter().filter(|row| row.is_true()).count());
        let _ = writeln!(text, "{} mode: {right} of {of} verdicts are true", self.mode);
        text
    }
}

impl Row {
    /// What it should have been.
    fn difference(&self) -> String {
        let (verdict, cause, blame) = words(&self.truth);
        let mut text = [verdict, cause, blame].join(" ").trim_end().to_owned();
        if let Some(address) = &self.truth.resolved_ip {
            let found = self.found.as_ref().and_then(|found| found.resolved_ip.as_deref());
            let _ = write!(text, " {address} (found {})", printable(found.unwrap_or("none")));
        }
        text
    }
}

fn words(truth: &Truth) -> (String, String, String) {
    (
        truth.status.to_string(),
        truth.error_code.map(|code| code.to_string()).unwrap_or_default(),
        truth.blame.map(|blame| blame.to_string()).unwrap_or_default(),
    )
}

/// Lines of cells, in columns as wide as their widest cell.
pub(crate) fn columns<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<_> =
            line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

/// Compares the results in an analysis directory with the truth about the lab's exits.
///
/// # Errors
///
/// [`Error::File`] where the directory or its run file cannot be read. Whatever is wrong with the
/// results themselves is in [`Checked`].
pub fn check(analysis: &Path, manifest: &Manifest) -> Result<Checked, Error> {
    let path = analysis.join(RUN_FILE);
    let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
    let run: Run = Kind::Run
        .parse(&bytes)
        .map_err(|error| Error::file("read", &path)(std::io::Error::other(error)))?;
    let mut faults = Vec::new();
    let mut results = read_results(analysis, &mut faults)?;
    for result in results.values() {
        let relay = &result.exit_fingerprint;
        if result.run_id != run.run_id || result.mode != run.mode {
            faults.push(format!("{relay}: its result is of another run or mode"));
        }
        if result.provisional {
            faults.push(format!("{relay}: its result is provisional"));
        }
    }
    if !run.complete {
        let reason = run.incomplete_reason.as_deref().unwrap_or("it does not say why");
        faults.push(format!("the run is not complete: {reason}"));
    }
    if !run.not_reached.is_empty() || !run.unconfirmed.is_empty() {
        let (missing, open) = (run.not_reached.len(), run.unconfirmed.len());
        faults.push(format!("the run names {missing} relays not reached, {open} not confirmed"));
    }
    let have: record::Counts = results.values().map(|result| result.status).collect();
    if run.counts != have || usize::try_from(run.selected) != Ok(manifest.exits.len()) {
        let (selected, counted) = (run.selected, run.counts.total());
        faults.push(format!(
            "the run's counts are not those of its results: {selected} selected, {counted} \
             counted, {} result files",
            results.len()
        ));
    }
    let row = |exit: &crate::manifest::ManifestExit| {
        let result = results.remove(&exit.fingerprint);
        Row {
            fingerprint: exit.fingerprint,
            nickname: exit.nickname.clone(),
            description: exit.description.clone(),
            truth: exit.truth(run.mode).clone(),
            resolve_ms: result
                .as_ref()
                .and_then(|result| result.timing.resolve_ms)
                .map(record::Millis::get),
            found: result.map(|result| Truth {
                status: result.status,
                error_code: result.error_code,
                blame: result.blame,
                resolved_ip: result.resolved_ip,
            }),
        }
    };
    let rows = manifest.exits.iter().map(row).collect();
    for result in results.values() {
        let (relay, nickname) = (&result.exit_fingerprint, &result.exit_nickname);
        faults.push(format!("{relay} ({nickname}) has a result and is no exit of the lab"));
    }
    Ok(Checked { mode: run.mode, rows, faults })
}

/// The result files by relay; what cannot be one is a fault.
fn read_results(
    analysis: &Path,
    faults: &mut Vec<String>,
) -> Result<BTreeMap<Fingerprint, RelayResult>, Error> {
    let mut results = BTreeMap::new();
    for entry in fs::read_dir(analysis).map_err(Error::file("read", analysis))? {
        let entry = entry.map_err(Error::file("read", analysis))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("dnshealth_") {
            continue;
        }
        let bytes = fs::read(entry.path()).map_err(Error::file("read", &entry.path()))?;
        match Kind::Result.parse::<RelayResult>(&bytes) {
            Ok(result) if result_file_name(&result.exit_fingerprint) == name => {
                results.insert(result.exit_fingerprint, result);
            }
            Ok(result) => {
                faults.push(format!("{name} holds the result of {}", result.exit_fingerprint));
            }
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    Ok(results)
}
