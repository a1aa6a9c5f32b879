//! `config.env` as text: the subset that `sh`, systemd and this project read alike. Pure.
//!
//! The same file is sourced by a shell (`set -a; . config.env`), named as `EnvironmentFile=` of a
//! systemd unit, and read by [`parse`]. What they would read differently is refused, with what to
//! write instead; no message shows a value, as it may be a secret.
//!
//! What `sh` does is in POSIX.1-2024, Shell Command Language, 2.2 "Quoting" and 2.10.2 rule 7b
//! "Assignment preceding command name". What systemd does is in systemd.exec(5),
//! `EnvironmentFile=`, and, more exactly, in its `src/basic/env-file.c`:
//!
//! * Empty lines, and lines whose first character that is not white space is `#` or `;`, are
//!   skipped. Before version 254 a comment that ends in a backslash goes on in the next line, which
//!   is lost; so such a comment is refused.
//! * White space around the name and around the value is dropped, and a carriage return ends a line.
//!   To `sh`, `A= b` runs a program and a carriage return is part of the value.
//! * A backslash escapes the next character outside of quotes, continues a line at its end, and in
//!   double quotes escapes only `"`, `\`, `` ` `` and `$`. Nothing else is special in double quotes:
//!   `$HOME` stays as it is, where `sh` puts in the value.
//! * A `#` after a value is a part of it, where `sh` begins a comment.
//! * Single quotes hold everything up to the next single quote, as in `sh`.
//! * A variable whose value is no UTF-8, or holds a noncharacter of Unicode, is left out.

use std::collections::BTreeMap;
use std::fmt;

/// A setting as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The line, counted from 1.
    pub line: usize,
    /// The value, without quotes; may be empty.
    pub value: String,
}

/// What a file sets, by name.
pub type Assignments = BTreeMap<String, Setting>;

/// A line that is not in the subset. Never shows a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLine {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

impl fmt::Display for InvalidLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

/// A file with lines that are not in the subset: every one of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidFile(pub Vec<InvalidLine>);

impl fmt::Display for InvalidFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.0.iter().enumerate() {
            write!(f, "{}{line}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// What a file sets.
///
/// # Errors
///
/// [`InvalidFile`], with every line that `sh`, systemd and this function do not read alike.
pub fn parse(bytes: &[u8]) -> Result<Assignments, InvalidFile> {
    let (settings, problems) = lines(bytes);
    if problems.is_empty() { Ok(settings) } else { Err(InvalidFile(problems)) }
}

/// What can be used of a file, and what not: for a check that tells everything in one go.
#[must_use]
pub fn lines(bytes: &[u8]) -> (Assignments, Vec<InvalidLine>) {
    let mut settings = Assignments::new();
    let mut problems = Vec::new();
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    // What follows the last line's end is no line.
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    for (index, bytes) in lines.into_iter().enumerate() {
        let line = index + 1;
        match read(bytes) {
            Ok(None) => {}
            Ok(Some((name, value))) => match settings.get(name) {
                None => {
                    let setting = Setting { line, value: value.to_owned() };
                    settings.insert(name.to_owned(), setting);
                }
                Some(Setting { line: earlier, .. }) => problems.push(InvalidLine {
                    line,
                    problem: format!("{name} is set in line {earlier} already: remove one of them"),
                }),
            },
            Err(problem) => problems.push(InvalidLine { line, problem }),
        }
    }
    (settings, problems)
}

/// Characters that mean nothing to a shell wherever they stand in a value.
fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.,/:@%+=".contains(c)
}

/// One line: nothing, or a name and its value.
fn read(bytes: &[u8]) -> Result<Option<(&str, &str)>, String> {
    let Ok(line) = std::str::from_utf8(bytes) else {
        return Err("this is not UTF-8: write it anew, in an editor that says so".to_owned());
    };
    if line.starts_with('\u{feff}') {
        return Err("the line begins with a byte order mark: save the file as UTF-8 without \
                    one"
        .to_owned());
    }
    if line.ends_with('\r') {
        return Err("the line ends as on Windows: remove the carriage returns, for instance by \
                    sed -i 's/\\r$//'"
            .to_owned());
    }
    let line = line.trim_matches([' ', '\t']);
    if line.contains(char::is_control) {
        return Err("there is a control character or a tab in it: remove it".to_owned());
    }
    if line.contains(noncharacter) {
        return Err("there is a character in it that Unicode does not have: remove it".to_owned());
    }
    if line.starts_with('#') {
        return if bytes.ends_with(b"\\") {
            Err("a comment that ends in \\ hides the next line from systemd before version 254: \
                 remove the \\"
                .to_owned())
        } else {
            Ok(None)
        };
    }
    if line.is_empty() {
        return Ok(None);
    }
    if line.starts_with(';') {
        return Err("a comment begins with #".to_owned());
    }
    let Some((name, value)) = line.split_once('=') else {
        return Err("it must be NAME=value; a comment begins with #".to_owned());
    };
    if name.starts_with("export ") {
        return Err("write NAME=value without export: systemd does not know it, and set -a \
                    exports everything"
            .to_owned());
    }
    if !is_name(name.trim_end()) {
        return Err("a name has letters, digits and _ only, does not begin with a digit, and = \
                    follows it"
            .to_owned());
    }
    if name.ends_with(' ') {
        return Err(format!("{}: no space before =", name.trim_end()));
    }
    if shells_own(name) {
        return Err(format!(
            "{name} belongs to the shell itself: take another name, or leave it out"
        ));
    }
    Ok(Some((name, unquoted(value).map_err(|problem| format!("{name}: {problem}"))?)))
}

/// A value without its quotes.
fn unquoted(value: &str) -> Result<&str, &'static str> {
    for quote in ['"', '\''] {
        let Some(rest) = value.strip_prefix(quote) else { continue };
        let Some((inner, after)) = rest.split_once(quote) else {
            return Err("the quote is not closed in its line; a value has one line");
        };
        if after.trim_start().starts_with('#') {
            return Err("a comment needs a line of its own, above this one");
        }
        if !after.is_empty() {
            return Err("nothing may follow the closing quote: put the whole value into one pair \
                        of quotes");
        }
        if quote == '"' && inner.contains(['$', '`', '\\', '!']) {
            return Err("$ ` \\ and ! mean something to the shell inside \"...\": write '...', \
                        which takes everything but '");
        }
        return Ok(inner);
    }
    if value.chars().all(plain) {
        return Ok(value);
    }
    Err(if value.starts_with(' ') {
        "no space after ="
    } else if value.contains(" #") {
        "a comment needs a line of its own, above this one"
    } else if value.contains('\'') {
        "the value has a ' in it: write the whole of it in \"...\""
    } else {
        "only letters, digits and _ - . , / : @ % + = may stand without quotes: write '...' \
         around the whole value"
    })
}

/// Whether something is a variable's name: letters, digits and `_`, not beginning with a digit.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Variables that a shell gives a meaning of its own, refuses to set, or changes by itself: dash(1)
/// "Special Parameters and Variables", bash(1) "Shell Variables".
fn shells_own(name: &str) -> bool {
    const NAMES: [&str; 28] = [
        "_",
        "CDPATH",
        "DIRSTACK",
        "ENV",
        "EPOCHREALTIME",
        "EPOCHSECONDS",
        "EUID",
        "FUNCNAME",
        "FUNCNEST",
        "GLOBIGNORE",
        "GROUPS",
        "HISTCMD",
        "IFS",
        "LINENO",
        "OLDPWD",
        "OPTARG",
        "OPTERR",
        "OPTIND",
        "POSIXLY_CORRECT",
        "PPID",
        "PS4",
        "PWD",
        "RANDOM",
        "SECONDS",
        "SHELLOPTS",
        "SHLVL",
        "SRANDOM",
        "UID",
    ];
    NAMES.contains(&name) || name.starts_with("BASH")
}

/// Unicode's noncharacters, which systemd takes for bytes that are no UTF-8 (`unichar_is_valid`).
const fn noncharacter(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || (c as u32) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests;
