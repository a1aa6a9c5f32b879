//! What is wrong with a configuration, everything in one go. Pure.
//!
//! Not its business: values that only one program can judge. Each program does that by
//! `--check-settings`.

use std::collections::BTreeSet;
use std::fmt;

use record::printable;

use crate::file::{self, Assignments, Setting};
use crate::key::{Key, ValueKind};
use crate::list::{find, keys, of_target};
use crate::read::{Access, ConfigFile};
use crate::words;

/// Something that is wrong. Fit for a terminal; shows no value of a secret or unknown setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1; `None` for the file as a whole.
    pub line: Option<usize>,
    /// What is wrong, and what to do.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "{line}: ")?;
        } else {
            f.write_str(" ")?;
        }
        f.write_str(&self.problem)
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCheck {
    /// How many settings have a value.
    pub given: usize,
    /// What is wrong: with the file first, then by line.
    pub problems: Vec<Problem>,
}

/// Checks a file for the user whose number is `caller`.
#[must_use]
pub fn check(found: &ConfigFile, caller: u32) -> FileCheck {
    let (settings, invalid) = file::lines(&found.bytes);
    let targets = targets(&settings);
    let mut problems: Vec<Problem> = invalid
        .into_iter()
        .map(|invalid| Problem { line: Some(invalid.line), problem: invalid.problem })
        .collect();
    let mut secret = None;
    for (name, setting) in &settings {
        let key = find(name).or_else(|| targets.iter().find_map(|target| of_target(target, name)));
        let problem = match key {
            None => unknown(name, &targets),
            Some(_) if setting.value.trim().is_empty() => None,
            Some(key) => out_of_range(key, &setting.value).map(|wanted| {
                let value = printable(&format!("{:?}", setting.value));
                format!("{name} is {value}: {wanted}")
            }),
        };
        problems.extend(problem.map(|problem| Problem { line: Some(setting.line), problem }));
        let hidden = key.map_or_else(|| looks_secret(name, setting), Key::is_secret);
        if hidden && !setting.value.trim().is_empty() {
            secret = secret.or(Some((name.as_str(), setting.line)));
        }
    }
    problems.sort_by_key(|problem| problem.line);
    let mut all = access(found.access, caller, secret);
    all.extend(problems);
    let given = settings.values().filter(|setting| !setting.value.trim().is_empty()).count();
    FileCheck { given, problems: all }
}

/// Who may read and write the file.
fn access(access: Access, caller: u32, secret: Option<(&str, usize)>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |problem| problems.push(Problem { line: None, problem });
    if access.owner != 0 && access.owner != caller {
        add(format!(
            "it belongs to user number {}, who is neither root nor you (number {caller}) and could \
             change it at any time: chown it",
            access.owner
        ));
    }
    let writers = match (access.mode & 0o020 != 0, access.mode & 0o002 != 0) {
        (_, true) => Some("every user of this machine"),
        (true, false) => Some("every member of its group"),
        (false, false) => None,
    };
    if let Some(writers) = writers {
        add(format!("{writers} can change it: chmod go-w"));
    }
    if let Some((name, line)) = secret
        && access.mode & 0o004 != 0
    {
        add(format!(
            "it holds a secret ({name} in line {line}), and every user of this machine can read \
             it: chmod o-rwx"
        ));
    }
    problems
}

/// The names of the stores of the operator's own, in small letters.
fn targets(settings: &Assignments) -> BTreeSet<String> {
    ["UPLOAD_TARGETS", "RUN_STORE"]
        .into_iter()
        .filter_map(|name| settings.get(name))
        .flat_map(|setting| setting.value.split([',', ' ']))
        .filter(|name| words::is_target(name))
        .map(str::to_ascii_lowercase)
        .collect()
}

/// What a value should be, where it is not.
#[must_use]
pub fn out_of_range(key: &Key, value: &str) -> Option<String> {
    let value = value.trim();
    match key.kind {
        ValueKind::Programs | ValueKind::Secret => None,
        ValueKind::Path => value
            .starts_with('~')
            .then(|| "nobody puts in a home directory for ~ here: write the whole path".to_owned()),
        ValueKind::Flag => {
            words::yes_or_no(value).is_none().then(|| "write true or false".to_owned())
        }
        ValueKind::TrueFalse => {
            (!["true", "false"].contains(&value)).then(|| "write true or false".to_owned())
        }
        ValueKind::Whole(least, most) => {
            // As a shell script compares it: digits alone, and none that make it octal.
            let digits = value.bytes().all(|byte| byte.is_ascii_digit());
            let plain = digits && (value == "0" || !value.starts_with('0'));
            let within = plain && value.parse().is_ok_and(|n: u64| (least..=most).contains(&n));
            (!within).then(|| format!("write a whole number from {least} to {most}"))
        }
        ValueKind::Target => (!words::is_target(value))
            .then(|| "write a store's name: do, r2, s3, or one of UPLOAD_TARGETS".to_owned()),
    }
}

/// How names begin that only ours do. By hand: the flags are above this crate, and neither they nor the
/// list of settings know which words other programs' variables begin with too.
const OURS: [&str; 21] = [
    "AGGREGATE_",
    "ARCHIVE_",
    "CIRCUIT_",
    "CLOUDFLARE_",
    "CONFIRM_",
    "DNS_",
    "DO_",
    "FALLBACK_",
    "GATE_",
    "GATHER_",
    "HEARTBEAT_",
    "HISTORY_",
    "KEEP_",
    "PAGES_",
    "R2_",
    "RETAIN_",
    "S3_",
    "SCAN_",
    "TOR_",
    "UPLOAD_",
    "ZONE_",
];

/// What is wrong with a name that is no setting, where it seems to be meant as one.
fn unknown(name: &str, targets: &BTreeSet<String>) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    if upper == "CONFIG_FILE" {
        return Some(
            "CONFIG_FILE says where this file is, and means nothing in it: remove it".to_owned(),
        );
    }
    let of_ours = OURS.iter().any(|prefix| upper.starts_with(prefix))
        || targets
            .iter()
            .any(|target| upper.starts_with(&format!("{}_", target.to_ascii_uppercase())));
    let mut names: Vec<String> = keys().map(|key| key.name.to_owned()).collect();
    for target in targets {
        let own = keys().filter_map(|key| key.name.strip_prefix("S3_"));
        names.extend(own.map(|rest| format!("{}_{rest}", target.to_ascii_uppercase())));
    }
    let nearest = names
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&upper, &known), known))
        .min()?;
    let (distance, known) = nearest;
    let length = known.len().min(name.len());
    // A short name is near to every other: TZ to TOR.
    let near = distance <= (length / 4).min(2);
    if !near && !of_ours {
        return None;
    }
    Some(if near || distance <= length / 3 {
        format!("{name} is not a setting: is {known} meant?")
    } else {
        format!("{name} is not a setting: `exit-validator config list` shows all of them")
    })
}

/// Whether the value of a name that is not ours is to be hidden: the usual names of AWS and others.
fn looks_secret(name: &str, setting: &Setting) -> bool {
    let name = name.to_ascii_uppercase();
    ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "ACCESS_KEY", "API_KEY", "PRIVATE_KEY"]
        .iter()
        .any(|word| name.contains(word))
        // The user part of an address.
        || setting.value.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
}

#[cfg(test)]
mod tests;
