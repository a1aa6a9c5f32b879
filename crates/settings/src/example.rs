//! The example of a configuration, `config.env.example`: every setting, grouped, explained. Pure.

use crate::key::{DefaultValue, Group};
use crate::list::keys;

const HEAD: &str = "\
# Configuration of the Tor exit validator.
#
# Copy it to config.env in the checkout, or, where the program is installed, to
# /etc/tor-exit-validator/config.env; keep it from others (chmod 640); check it:
#
#     exit-validator config check config.env
#
# sh, systemd and exit-validator read it alike: NAME=value, one a line, comments on lines of their
# own. A value of letters, digits and _ - . , / : @ % + = stands as it is; any other is written in
# '...'. There is no export, no $NAME and no ~. docs/configuration.md tells more.
#
# A setting whose line begins with # has the value shown, its default. An empty value means the
# default too.
";

/// The example.
#[must_use]
pub fn example() -> String {
    let mut text = HEAD.to_owned();
    for group in Group::ALL {
        text.push_str(&format!("\n# ==== {} ====\n", group.title()));
        for key in keys().filter(|key| key.group == group) {
            text.push_str(&format!("\n# {}", key.about));
            if let DefaultValue::Words(words) = key.default {
                text.push_str(&format!("\n# Default: {words}."));
            }
            let (mark, value) = match key.decided {
                Some(value) => ("", value),
                None => ("#", key.default.value()),
            };
            text.push_str(&format!("\n{mark}{}={value}\n", key.name));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;
    use crate::read::{Access, ConfigFile};

    fn problems(text: &str) -> Vec<String> {
        let access = Access { owner: 0, mode: 0o640 };
        let found = ConfigFile { bytes: text.as_bytes().to_vec(), access };
        check(&found, 0).problems.iter().map(ToString::to_string).collect()
    }

    /// Every setting, as if a person had removed the # before each.
    fn uncommented(text: &str) -> String {
        let set = |line: &str| {
            line.strip_prefix('#')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        };
        text.lines()
            .map(|line| if set(line) { &line[1..] } else { line })
            .fold(String::new(), |text, line| text + line + "\n")
    }

    #[test]
    fn it_is_right_as_it_is_and_with_everything_set() {
        assert_eq!(problems(&example()), Vec::<String>::new());
        let all = uncommented(&example());
        assert_eq!(problems(&all), Vec::<String>::new());
        let read = crate::parse(all.as_bytes()).unwrap();
        let names: Vec<&str> = read.keys().map(String::as_str).collect();
        let mut known: Vec<&str> = keys().map(|key| key.name).collect();
        known.sort_unstable();
        assert_eq!(names, known);
    }

    #[test]
    fn it_holds_no_secret_and_is_not_wide() {
        let all = crate::parse(uncommented(&example()).as_bytes()).unwrap();
        for key in keys().filter(|key| key.is_secret()) {
            assert_eq!(all[key.name].value, "", "{}", key.name);
        }
        for line in example().lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn the_file_in_the_repository_is_this() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config.env.example");
        let there = std::fs::read_to_string(path).unwrap();
        assert!(
            there == example(),
            "config.env.example is not up to date: cargo run -p exit-validator -- config \
             example > config.env.example"
        );
    }
}
