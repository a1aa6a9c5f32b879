//! Values that the programs read alike.

/// Whether a word means yes or no: what every program of ours takes where it takes a yes or no,
/// in either case of letters.
#[must_use]
pub fn yes_or_no(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "y" | "t" => Some(true),
        "0" | "false" | "no" | "off" | "n" | "f" => Some(false),
        _ => None,
    }
}

/// A value without the blanks around it, which are as easily left behind as nothing: for clap's
/// `value_parser`.
///
/// # Errors
///
/// Those of the value itself.
pub fn trimmed<T: std::str::FromStr>(text: &str) -> Result<T, T::Err> {
    text.trim().parse()
}

/// Whether something can be the name of a store: the beginning of its variables.
#[must_use]
pub fn is_target(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
