//! Quoted strings (control-spec, "QuotedString", and tor's C-style escapes).
//!
//! Owns how text is put between quotes for tor, and how tor's is taken out again. Knows nothing of
//! where the strings stand.

/// `text` as a quoted string. Backslashes and quotes are escaped; everything else stays, so that
/// the caller must have refused line ends.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Takes a quoted string off the front of `bytes`, which begin with its quote: its contents and the
/// rest. `None` where it does not begin or end.
///
/// Reads `\n`, `\t`, `\r` and up to three octal digits as C does, and a backslash before anything
/// else as that character, as the specification advises.
#[must_use]
pub fn unquote(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = bytes.strip_prefix(b"\"")?;
    let mut plain = Vec::new();
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => return Some((plain, rest)),
            b'\\' => {
                let (&escaped, after) = rest.split_first()?;
                let digits = rest.iter().take(3).take_while(|d| matches!(d, b'0'..=b'7')).count();
                let octal = rest[..digits].iter().fold(0, |n, d| n * 8 + u32::from(d - b'0'));
                match u8::try_from(octal) {
                    Ok(octal) if digits > 0 => {
                        plain.push(octal);
                        rest = &rest[digits..];
                    }
                    _ => {
                        plain.push(match escaped {
                            b'n' => b'\n',
                            b't' => b'\t',
                            b'r' => b'\r',
                            other => other,
                        });
                        rest = after;
                    }
                }
            }
            other => plain.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_tor_writes() {
        let wire = br#""\303\251 \" \\ x#y\ttab" REST"#;
        assert_eq!(unquote(wire).unwrap(), ("é \" \\ x#y\ttab".into(), &b" REST"[..]));
        assert_eq!(unquote(br#""\401\8\0""#).unwrap().0, b"4018\0");
        for cut in ["", "x", "\"", "\"abc", "\"abc\\", "\"abc\\\""] {
            assert_eq!(unquote(cut.as_bytes()), None, "{cut}");
        }
    }

    proptest! {
        #[test]
        fn survives_a_round_trip(text: String, rest: Vec<u8>) {
            let quoted = quote(&text);
            let wire = [quoted.as_bytes(), &rest].concat();
            prop_assert_eq!(unquote(&wire), Some((text.into_bytes(), &rest[..])));
        }

        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = unquote(&[b"\"", &bytes[..]].concat());
        }
    }
}
