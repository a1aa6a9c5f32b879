//! The options of a simulated tor that a scan asks for or sets, with tor's defaults.

/// An option: its name, its default, and its value.
#[derive(Debug, Clone)]
struct TorOption {
    name: &'static str,
    default: String,
    value: String,
}

/// All of them, in the order of their names, in which tor tells of changes.
#[derive(Debug, Clone)]
pub(crate) struct TorOptions(Vec<TorOption>);

/// Those that are 0 or 1.
const SWITCHES: [&str; 3] =
    ["__DisablePredictedCircuits", "__LeaveStreamsUnattached", "__ReloadTorrcOnSIGHUP"];

impl TorOptions {
    /// As at tor's start, with ports wherever there is room, and microdescriptors or not.
    pub(crate) fn new(microdescriptors: bool) -> Self {
        let entries = [
            ("AutomapHostsOnResolve", "0"),
            ("AutomapHostsSuffixes", ".onion,.exit"),
            ("CircuitStreamTimeout", "0"),
            ("DisableNetwork", "0"),
            ("DNSPort", "127.0.0.1:auto"),
            ("LearnCircuitBuildTimeout", "1"),
            ("SocksPort", "auto"),
            ("UseMicrodescriptors", if microdescriptors { "auto" } else { "0" }),
            ("__DisablePredictedCircuits", "0"),
            ("__LeaveStreamsUnattached", "0"),
            ("__ReloadTorrcOnSIGHUP", "1"),
        ];
        let entry = |(name, value): (&'static str, &str)| TorOption {
            name,
            default: value.to_owned(),
            value: value.to_owned(),
        };
        Self(entries.map(entry).to_vec())
    }

    /// One by its name, and its value.
    pub(crate) fn get(&self, name: &str) -> Option<(&'static str, &str)> {
        let entry = self.0.iter().find(|entry| entry.name.eq_ignore_ascii_case(name))?;
        Some((entry.name, &entry.value))
    }

    /// Whether an option is 1.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|(_, value)| value == "1")
    }

    /// Sets all of these, or none: the names and new values of what has changed.
    ///
    /// # Errors
    ///
    /// Tor's words.
    pub(crate) fn set(
        &mut self,
        wanted: &[(String, Option<String>)],
    ) -> Result<Vec<(&'static str, String)>, String> {
        let mut new = self.0.clone();
        for (name, value) in wanted {
            let Some(entry) = new.iter_mut().find(|entry| entry.name.eq_ignore_ascii_case(name))
            else {
                return Err(format!("552 Unrecognized option: Unknown option '{name}'.  Failing."));
            };
            let value = value.clone().unwrap_or_else(|| entry.default.clone());
            if SWITCHES.contains(&entry.name) && !["0", "1"].contains(&value.as_str()) {
                return Err(format!(
                    "513 Unacceptable option value: Could not parse {}: Unrecognized value {value}. \
                     Allowed values are 0 and 1.",
                    entry.name
                ));
            }
            entry.value = value;
        }
        let changed = self.0.iter().zip(&new).filter(|(old, new)| old.value != new.value);
        let changed = changed.map(|(_, new)| (new.name, new.value.clone())).collect();
        self.0 = new;
        Ok(changed)
    }

    /// Sets everything to what it was at the start.
    pub(crate) fn reset(&mut self) -> Vec<(&'static str, String)> {
        let all: Vec<_> = self.0.iter().map(|entry| (entry.name.to_owned(), None)).collect();
        self.set(&all).unwrap_or_default()
    }
}

/// Reads what follows SETCONF: `Key`, `Key=value` and `Key="value"`, separated by blanks.
pub(crate) fn entries(mut text: &str) -> Vec<(String, Option<String>)> {
    let mut entries = Vec::new();
    loop {
        text = text.trim_start_matches(' ');
        if text.is_empty() {
            return entries;
        }
        let end = text.find(['=', ' ']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let Some(rest) = rest.strip_prefix('=') else {
            entries.push((name.to_owned(), None));
            text = rest;
            continue;
        };
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = rest.find(' ').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        entries.push((name.to_owned(), Some(value)));
        text = rest;
    }
}

/// What stands before the closing quote, and what follows it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &text[at + 1..]),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_set_together_or_not_at_all() {
        let mut options = TorOptions::new(true);
        let set = |options: &mut TorOptions, text: &str| options.set(&entries(text));
        let ours = "__leavestreamsunattached=\"1\" CircuitStreamTimeout=60";
        let changed = [("CircuitStreamTimeout", "60"), ("__LeaveStreamsUnattached", "1")];
        let changed = changed.map(|(name, value)| (name, value.to_owned())).to_vec();
        assert_eq!(set(&mut options, ours), Ok(changed));
        assert_eq!(set(&mut options, ours), Ok(Vec::new()), "nothing has changed");
        assert!(set(&mut options, "__LeaveStreamsUnattached=0 Nonsense=1").is_err());
        assert!(options.is_on("__LeaveStreamsUnattached"));
        assert!(set(&mut options, "__LeaveStreamsUnattached").unwrap()[0].1 == "0");
        assert_eq!(options.reset().len(), 1);
        let entry = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        assert_eq!(
            entries("a=\"x \\\" y\" b= c"),
            [entry("a", "x \" y"), entry("b", ""), ("c".to_owned(), None)]
        );
    }
}
