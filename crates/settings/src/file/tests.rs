//! What is taken, what is refused and in which words; and that `sh`, bash and systemd read what is
//! taken in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use proptest::prelude::*;

use super::*;

fn values(text: &str) -> BTreeMap<String, String> {
    parse(text.as_bytes())
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
        .into_iter()
        .map(|(name, setting)| (name, setting.value))
        .collect()
}

#[test]
fn what_everybody_reads_alike() {
    let text = "# ours\n\n  \t\nA=1\n  B=\"two words\"  \nC='x#y $z \\ ! `'\nD=\nE=''\nF=a=b,c:/d@%+-._\n\
                G='zwölf'\nlower_case_1=x";
    let read = values(text);
    let expected = [
        ("A", "1"),
        ("B", "two words"),
        ("C", "x#y $z \\ ! `"),
        ("D", ""),
        ("E", ""),
        ("F", "a=b,c:/d@%+-._"),
        ("G", "zwölf"),
        ("lower_case_1", "x"),
    ];
    let expected: BTreeMap<_, _> =
        expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(read, expected);
    assert!(values("").is_empty());
    assert!(values("\n\n").is_empty());
    assert_eq!(parse(b"\n#\nA=1\n").unwrap()["A"].line, 3);
}

#[test]
fn each_deviation_is_named() {
    let lines = [
        "hunter2",
        "A = hunter2",
        "A= hunter2",
        "A=hunter2 three",
        "A=hunter2 # three",
        "A='hunter2' # three",
        "A='hunter2'three",
        "A='hunter2'\"'\"'three'",
        "A=\"hunter2",
        "A='hunter2",
        "A=it's hunter2",
        "A=$hunter2",
        "A=~hunter2",
        "A=\"$hunter2\"",
        "A=\"hunter2`\"",
        "A=\"hunter2\\\"",
        "A=\"hunter2!\"",
        "A=hunter2\\",
        "A=hunter2;B=three",
        "A=hunter2#three",
        "A=zwölf-hunter2",
        "export A=hunter2",
        "2A=hunter2",
        "A-B=hunter2",
        "A+=hunter2",
        "=hunter2",
        "; hunter2",
        "# hunter2 \\",
        "A=hunter2\r",
        "A='hunter2\tx'",
        "A='hunter2\x1b[2J'",
        "A='hunter2\u{9b}'",
        "A='hunter2\0'",
        "A='hunter2\u{fffe}'",
        "\u{feff}A=hunter2",
        "IFS=hunter2",
        "BASH_ENV=hunter2",
        "_=hunter2",
        "Z=hunter2",
    ];
    let mut said = String::new();
    for line in lines {
        let error = parse(format!("Z=1\n{line}\nY=1\n").as_bytes()).unwrap_err();
        let [InvalidLine { line: 2, problem }] = &error.0[..] else { panic!("{line}: {error}") };
        assert!(!problem.contains("hunter2"), "{line:?}: {problem}");
        assert!(!problem.contains(char::is_control), "{line:?}: {problem}");
        said += &format!("{}\n    {problem}\n", record::printable(line));
    }
    let error = parse(b"A B\nC='\xff'\n").unwrap_err();
    insta::assert_snapshot!(said + "\n" + &error.to_string());
}

/// What a shell makes of a file, of these names; `None` where it fails.
fn by_shell(
    shell: &str,
    text: &[u8],
    names: &BTreeSet<&String>,
) -> Option<BTreeMap<String, Vec<u8>>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.env");
    std::fs::write(&path, text).unwrap();
    let output = Command::new(shell)
        .args(["-c", "set -a; . \"$0\" && exec /usr/bin/env -0"])
        .arg(&path)
        .env_clear()
        .current_dir(dir.path())
        .output()
        .unwrap();
    if !output.status.success() || !output.stdout.ends_with(b"\0") {
        return None;
    }
    let mut all: BTreeMap<String, Vec<u8>> = output
        .stdout
        .split(|byte| *byte == 0)
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b'=')?;
            let name = String::from_utf8(line.get(..at)?.to_vec()).ok()?;
            Some((name, line.get(at + 1..)?.to_vec()))
        })
        .collect();
    all.retain(|name, _| names.contains(name));
    Some(all)
}

/// What systemd makes of a file: the state machine of its `src/basic/env-file.c` (version 252), with
/// the check of names and values that follows it (`env_name_is_valid`, `utf8_is_valid`).
#[expect(clippy::too_many_lines, reason = "one state machine, as its source has it")]
fn by_systemd(text: &[u8]) -> BTreeMap<String, Vec<u8>> {
    #[derive(Clone, Copy)]
    enum State {
        PreKey,
        Key,
        PreValue,
        Value,
        ValueEscape,
        Single,
        Double,
        DoubleEscape,
        Comment,
        CommentEscape,
    }
    fn push(all: &mut BTreeMap<String, Vec<u8>>, key: &mut Vec<u8>, value: &mut Vec<u8>) {
        while key.last().is_some_and(|c| b" \t".contains(c)) {
            key.pop();
        }
        let name = String::from_utf8_lossy(&std::mem::take(key)).into_owned();
        let value = std::mem::take(value);
        let text = std::str::from_utf8(&value);
        if is_name(&name) && text.is_ok_and(|text| !text.contains(noncharacter)) {
            all.insert(name, value);
        }
    }
    let mut all = BTreeMap::new();
    let (mut key, mut value) = (Vec::new(), Vec::new());
    // Where white space at the end of an unquoted value begins.
    let mut white = None;
    let mut state = State::PreKey;
    for &c in text {
        let newline = c == b'\n' || c == b'\r';
        let space = b" \t\n\r".contains(&c);
        state = match state {
            State::PreKey if c == b'#' || c == b';' => State::Comment,
            State::PreKey if space => State::PreKey,
            State::PreKey => {
                key.push(c);
                State::Key
            }
            State::Key if newline => {
                key.clear();
                State::PreKey
            }
            State::Key if c == b'=' => {
                white = None;
                State::PreValue
            }
            State::Key => {
                key.push(c);
                State::Key
            }
            State::PreValue | State::Value if newline => {
                if let (State::Value, Some(end)) = (state, white.take()) {
                    value.truncate(end);
                }
                push(&mut all, &mut key, &mut value);
                State::PreKey
            }
            State::PreValue if c == b'\'' => State::Single,
            State::PreValue if c == b'"' => State::Double,
            State::PreValue | State::Value if c == b'\\' => {
                white = None;
                State::ValueEscape
            }
            State::PreValue if space => State::PreValue,
            State::PreValue => {
                value.push(c);
                State::Value
            }
            State::Value => {
                white = if space { white.or(Some(value.len())) } else { None };
                value.push(c);
                State::Value
            }
            State::ValueEscape => {
                if !newline {
                    value.push(c);
                }
                State::Value
            }
            State::Single if c == b'\'' => State::PreValue,
            State::Single => {
                value.push(c);
                State::Single
            }
            State::Double if c == b'"' => State::PreValue,
            State::Double if c == b'\\' => State::DoubleEscape,
            State::Double => {
                value.push(c);
                State::Double
            }
            State::DoubleEscape => {
                if b"\"\\`$".contains(&c) {
                    value.push(c);
                } else if c != b'\n' {
                    value.extend([b'\\', c]);
                }
                State::Double
            }
            State::Comment if c == b'\\' => State::CommentEscape,
            State::Comment if newline => State::PreKey,
            State::Comment | State::CommentEscape => State::Comment,
        };
    }
    if matches!(
        state,
        State::PreValue
            | State::Value
            | State::ValueEscape
            | State::Single
            | State::Double
            | State::DoubleEscape
    ) {
        if let (State::Value, Some(end)) = (state, white) {
            value.truncate(end);
        }
        push(&mut all, &mut key, &mut value);
    }
    all
}

#[test]
fn the_model_of_systemd_is_as_documented() {
    // The differences that the module's comment tells of; seen with systemd 252 too.
    let read = by_systemd(
        b"A= b c  \n# x \\\nB=1\nC=a # b\nD=\"$HOME \\$ \\x\"\nE=a\\\nb\nF='x' 'y'\r2=1\nG=\xff\nH",
    );
    let expected: [(&str, &[u8]); 5] =
        [("A", b"b c"), ("C", b"a # b"), ("D", b"$HOME $ \\x"), ("E", b"ab"), ("F", b"xy")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(read, BTreeMap::from(expected));
}

/// That everybody reads a file of the subset as we do.
#[track_caller]
fn read_alike(text: &[u8]) {
    let ours: BTreeMap<String, Vec<u8>> = parse(text)
        .unwrap_or_else(|error| panic!("{error}"))
        .into_iter()
        .map(|(name, setting)| (name, setting.value.into_bytes()))
        .collect();
    let names: BTreeSet<&String> = ours.keys().collect();
    let others = [
        ("systemd", Some(by_systemd(text))),
        ("sh", by_shell("/bin/sh", text, &names)),
        ("bash", by_shell("/bin/bash", text, &names)),
    ];
    for (reader, theirs) in others {
        let theirs = theirs.unwrap_or_else(|| panic!("{reader} cannot read it"));
        for (name, value) in &ours {
            assert_eq!(theirs.get(name), Some(value), "{reader} reads {name} otherwise");
        }
        assert_eq!(theirs.len(), ours.len(), "{reader} reads more");
    }
}

/// Every one and every two characters of ASCII, in every place of a line: what is taken of them is
/// read alike by everybody.
#[test]
fn every_character_in_every_place() {
    let characters: Vec<String> = (0..128u8)
        .map(|c| char::from(c).to_string())
        .chain(["é".to_owned(), "😀".to_owned()])
        .collect();
    let mut pieces: Vec<String> = vec![String::new()];
    pieces.extend(characters.iter().cloned());
    for first in &characters {
        pieces.extend(characters.iter().map(|second| format!("{first}{second}")));
    }
    let places = [
        "=@", "=x@", "=@x", "=x@x", "='@'", "='x@x'", "=\"@\"", "=\"x@x\"", "='x'@", "=\"x\"@",
        "=x # @", "@=x", "@x=x", " =@", "@",
    ];
    for place in places {
        let mut text = String::new();
        let mut count = 0;
        for piece in &pieces {
            // A name that the next place does not have.
            let line = format!("V{count}{}\n", place.replace('@', piece));
            if parse(line.as_bytes()).is_ok_and(|read| !read.is_empty()) {
                text.push_str(&line);
                count += 1;
            }
        }
        // A name may be the same after all, as of 1 and 0 after V1 and V.
        let (_, twice) = lines(text.as_bytes());
        let text: String = text
            .split_inclusive('\n')
            .enumerate()
            .filter(|(index, _)| twice.iter().all(|invalid| invalid.line != index + 1))
            .map(|(_, line)| line)
            .collect();
        read_alike(text.as_bytes());
    }
    // Comments, each before a variable that it must not hide.
    let mut text = String::new();
    for (count, piece) in pieces.iter().enumerate() {
        let line = format!("#x{piece}\nV{count}=1\n");
        if parse(line.as_bytes()).is_ok_and(|read| read.len() == 1) {
            text.push_str(&line);
        }
    }
    read_alike(text.as_bytes());
}

/// Every name that somebody may give a shell, of those that it knows, and short ones.
#[test]
fn names_that_a_shell_knows() {
    let known = by_shell_known();
    assert!(known.len() > 20, "{known:?}");
    let mut text = String::new();
    for name in known.iter().map(String::as_str).chain(["PS1", "PS2", "MAILPATH", "TERM", "ATTY"]) {
        if parse(format!("{text}{name}=x\n").as_bytes()).is_ok() {
            text.push_str(&format!("{name}=x\n"));
        }
    }
    read_alike(text.as_bytes());
}

/// The variables that the shells have without being given any.
fn by_shell_known() -> Vec<String> {
    let mut names = Vec::new();
    for shell in ["/bin/sh", "/bin/bash"] {
        let output = Command::new(shell).args(["-c", "set"]).env_clear().output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        names.extend(
            text.lines()
                .filter_map(|line| line.split_once('='))
                .map(|(name, _)| name.to_owned())
                .filter(|name| is_name(name)),
        );
    }
    names
}

/// A file by pieces, most of which make sense, so that many files are taken.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        8 => "[A-Z][A-Z0-9_]{0,8}",
        2 => "[A-Za-z_][A-Za-z0-9_]{0,3}",
        1 => Just("PATH".to_owned()),
        1 => "[ -~]{0,4}",
    ];
    let value = prop_oneof![
        6 => "[A-Za-z0-9_.,/:@%+=-]{0,12}",
        3 => "'[^'\\n]{0,10}'",
        3 => "\"[^\"$`\\\\!\\n]{0,10}\"",
        2 => "'[\u{80}-\u{17f}\u{2028}a ~#$]{0,6}'",
        2 => "\\PC{0,8}",
        3 => "[a ]{0,2}['\"\\\\$`#;&|<>()*?~!{}\\[\\]\\t\\r^]{1,2}[a ]{0,2}",
        3 => "\"[a'\\\\$`#;&|<>()*?~!{}\\[\\]\\t\\r^]{1,3}\"",
        1 => "['\"]a['\"][ a'\"#]{0,3}",
    ];
    let line = prop_oneof![
        12 => (("[ \\t]{0,2}", name), (value, "[ \\t]{0,2}"))
            .prop_map(|((before, name), (value, after))| format!("{before}{name}={value}{after}")),
        2 => "[ \\t]{0,2}#.{0,12}",
        1 => "#.{0,2}\\\\",
        1 => "[ \\t]{0,2}",
        1 => ".{0,12}",
    ];
    let line = prop_oneof![
        20 => line.prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    (prop::collection::vec(line, 0..16), any::<bool>()).prop_map(|(lines, ended)| {
        let mut text = lines.join(&b'\n');
        if ended {
            text.push(b'\n');
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_taken_is_read_alike(text in text()) {
        // What is right of a file by itself: random files have a wrong line too often.
        let (_, problems) = lines(&text);
        let wrong: Vec<usize> = problems.iter().map(|invalid| invalid.line).collect();
        let right: Vec<&[u8]> = text
            .split(|byte| *byte == b'\n')
            .enumerate()
            .filter(|(index, _)| !wrong.contains(&(index + 1)))
            .map(|(_, line)| line)
            .collect();
        read_alike(&right.join(&b'\n'));
    }

    #[test]
    fn nothing_panics_and_no_message_acts_on_a_terminal(text: Vec<u8>) {
        if let Err(error) = parse(&text) {
            prop_assert!(!error.to_string().contains(char::is_control));
        }
    }
}
