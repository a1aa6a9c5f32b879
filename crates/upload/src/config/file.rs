//! `config.env` as this program reads it: `NAME=value`, one a line, as the shell would, without
//! substituting anything. Pure.

use super::Environment;

/// A line that is none of `NAME=value`. The line itself is not shown: it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {wanted}")]
pub struct InvalidLine {
    /// Counted from 1.
    pub line: usize,
    /// What it should be.
    pub wanted: &'static str,
}

/// The variables of a file's text. `export` before a name, comments, and single or double quotes
/// around a value are understood. A later line wins.
///
/// # Errors
///
/// [`InvalidLine`].
pub fn parse(text: &str) -> Result<Environment, InvalidLine> {
    let mut environment = Environment::new();
    for (index, line) in text.lines().enumerate() {
        let invalid = |wanted| InvalidLine { line: index + 1, wanted };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let (name, value) = line.split_once('=').ok_or(invalid("it must be NAME=value"))?;
        let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !named {
            return Err(invalid("a name has letters, digits and _ only, and no space before ="));
        }
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let rest = &value[1..];
                let (inner, after) =
                    rest.split_once(quote).ok_or(invalid("the quote is not closed"))?;
                let after = after.trim_start();
                if !after.is_empty() && !after.starts_with('#') {
                    return Err(invalid("there is something after the closing quote"));
                }
                inner
            }
            // A # begins a comment after a space only: keys may contain one.
            _ => value.split_once(" #").map_or(value, |(value, _)| value).trim(),
        };
        environment.insert(name.to_owned(), value.to_owned());
    }
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_the_shell_reads_it() {
        let text = "# ours\n\nA=1\nexport B=\"two words\" # why\nC='x#y'\nD=a#b # c\nE=\nA=2\n";
        let read = parse(text).unwrap();
        let of = |name: &str| read.get(name).map(String::as_str);
        assert_eq!(of("A"), Some("2"));
        assert_eq!(of("B"), Some("two words"));
        assert_eq!(of("C"), Some("x#y"));
        assert_eq!(of("D"), Some("a#b"));
        assert_eq!(of("E"), Some(""));
    }

    #[test]
    fn a_bad_line_is_named_and_not_shown() {
        for text in ["A=1\nhunter2", "A=1\nB =hunter2", "A=1\nB='hunter2", "A=1\nB=\"x\"hunter2"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, 2, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
