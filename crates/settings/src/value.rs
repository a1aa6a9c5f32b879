//! A setting's value: for the whole job, and for scripts, which cannot read the list. Pure.

use crate::key::{DefaultValue, Key, ValueKind};
use crate::list::find;
use crate::words::yes_or_no;

/// A setting's value: what is given, or else its default, or what other settings make of it.
///
/// `given` has what the environment and the configuration file say by name; a blank value is none.
/// Yes and no are `true` and `false`, whichever word is given. `None` where the setting has no value,
/// and where its default depends on more than the settings.
#[must_use]
pub fn value(key: &Key, given: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let text = given(key.name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let Some(text) = text else {
        return match key.default {
            DefaultValue::Value(value) => Some(value.to_owned()),
            DefaultValue::Words(_) => by_others(key.name, given),
            DefaultValue::None => None,
        };
    };
    Some(match key.kind {
        ValueKind::Flag => yes_or_no(&text).map_or(text, |yes| yes.to_string()),
        _ => text,
    })
}

/// The settings of the function that serves what was uploaded, from those of the upload.
fn by_others(name: &str, given: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let other = |name: &str| find(name).and_then(|key| value(key, given));
    // As the upload takes a prefix.
    let prefix = |name: &str| match other(name).as_deref().map(|prefix| prefix.trim_matches('/')) {
        None | Some("") => String::new(),
        Some(prefix) => format!("{prefix}/"),
    };
    match name {
        "CLOUDFLARE_ACCOUNT_ID" => other("CF_ACCOUNT_ID"),
        "KEY_PREFIX" => Some(prefix("R2_PREFIX")).filter(|prefix| !prefix.is_empty()),
        "FALLBACK_URL" => {
            // Another endpoint's public address is nobody's to guess.
            if other("DO_ENABLED").as_deref() != Some("true") || other("DO_ENDPOINT").is_some() {
                return None;
            }
            let bucket = other("DO_BUCKET")?;
            let region = other("DO_SPACES_REGION").or_else(|| other("DO_REGION"))?;
            let prefix = prefix("DO_PREFIX");
            Some(format!("https://{bucket}.{region}.digitaloceanspaces.com/{prefix}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value where these settings are given, as in a file.
    fn value_of(name: &str, given: &[(&str, &str)]) -> Option<String> {
        let key = find(name).unwrap();
        value(key, &|name| {
            given.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_is_given_goes_before_the_default() {
        assert_eq!(value_of("PAGES_BRANCH", &[]).unwrap(), "main");
        assert_eq!(value_of("PAGES_BRANCH", &[("PAGES_BRANCH", "  ")]).unwrap(), "main");
        assert_eq!(value_of("PAGES_BRANCH", &[("PAGES_BRANCH", " try ")]).unwrap(), "try");
        assert_eq!(value_of("PAGES_PROJECT", &[]), None);
    }

    #[test]
    fn yes_and_no_have_one_word_each() {
        for (word, wanted) in [("True", "true"), ("yes", "true"), ("1", "true"), ("OFF", "false")] {
            assert_eq!(value_of("R2_ENABLED", &[("R2_ENABLED", word)]).unwrap(), wanted);
        }
        assert_eq!(value_of("R2_ENABLED", &[]).unwrap(), "false");
    }

    #[test]
    fn the_function_looks_where_the_upload_puts_things() {
        assert_eq!(value_of("KEY_PREFIX", &[("R2_PREFIX", "/dns/exits/")]).unwrap(), "dns/exits/");
        assert_eq!(value_of("KEY_PREFIX", &[("R2_PREFIX", "/")]), None);
        let both = [("R2_PREFIX", "dns"), ("KEY_PREFIX", "other/")];
        assert_eq!(value_of("KEY_PREFIX", &both).unwrap(), "other/");
        let account = [("CF_ACCOUNT_ID", "0a")];
        assert_eq!(value_of("CLOUDFLARE_ACCOUNT_ID", &account).unwrap(), "0a");

        let space = [("DO_ENABLED", "on"), ("DO_BUCKET", "exits"), ("DO_REGION", "fra1")];
        let address = "https://exits.fra1.digitaloceanspaces.com/";
        assert_eq!(value_of("FALLBACK_URL", &space).unwrap(), address);
        let prefixed = [&space[..], &[("DO_PREFIX", "dns")]].concat();
        assert_eq!(value_of("FALLBACK_URL", &prefixed).unwrap(), format!("{address}dns/"));
        let elsewhere = [&space[..], &[("DO_ENDPOINT", "https://s3.example.org")]].concat();
        assert_eq!(value_of("FALLBACK_URL", &elsewhere), None);
        assert_eq!(value_of("FALLBACK_URL", &space[1..]), None);
    }
}
