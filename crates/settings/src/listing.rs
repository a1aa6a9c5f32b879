//! The list of every setting, for people. Pure.

use crate::key::{DefaultValue, Group, Key};
use crate::list::keys;

/// Every setting with its meaning, its default and who reads it.
#[must_use]
pub fn listing() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{}\n", group.title()));
        keys().filter(|key| key.group == group).for_each(|key| text.push_str(&entry(key)));
    }
    text.push_str(
        "\nA store NAME of UPLOAD_TARGETS has the settings of S3_... as NAME_..., in capitals.\n",
    );
    text
}

fn entry(key: &Key) -> String {
    let default = match key.default {
        DefaultValue::None => "none",
        DefaultValue::Value(text) | DefaultValue::Words(text) => text,
    };
    let readers: Vec<String> = key.readers.iter().map(ToString::to_string).collect();
    let secret = if key.is_secret() { "; secret" } else { "" };
    format!(
        "  {}\n      {}\n      default: {default}; read by {}{secret}\n",
        key.name,
        key.about,
        readers.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing() {
        let text = listing();
        for key in keys() {
            assert_eq!(text.matches(&format!("\n  {}\n", key.name)).count(), 1, "{}", key.name);
        }
        insta::assert_snapshot!(text);
    }
}
