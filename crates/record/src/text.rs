//! Text from strangers, made fit for a terminal or a log.

/// `text` with every character that could act on a terminal or disguise its surroundings replaced
/// by a visible escape such as `\u{1b}`: control characters (C0, C1, DEL), line and paragraph
/// separators, and the marks that change the direction of writing or have no width.
///
/// Nicknames, contacts and platforms are written by relay operators, and control replies and DNS
/// answers come from the network: whatever of it is shown to a person goes through here. Stored
/// JSON keeps the original, escaped by JSON's own rules.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_escape_sequence_becomes_visible() {
        assert_eq!(printable("a\x1b[31mb\r\nc\u{9b}"), "a\\u{1b}[31mb\\u{d}\\u{a}c\\u{9b}");
        assert_eq!(printable("safe\u{202e}exe.txt"), "safe\\u{202e}exe.txt");
        assert_eq!(printable("Zwiebelfreunde é 玉ねぎ"), "Zwiebelfreunde é 玉ねぎ");
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left(text: String) {
            prop_assert!(!printable(&text).chars().any(acts));
        }
    }
}
