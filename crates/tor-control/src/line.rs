//! Bytes to reply lines (control-spec, "Replies from Tor to the controller").
//!
//! Owns the lowest layer of the grammar: status code, divider, text, and the dot-stuffed data that
//! may follow. Tolerates any split of the bytes: what is not whole yet is no error, it waits. Never
//! reads a socket, and gives no line a meaning. Memory is bounded by the limits below, whatever
//! arrives; data that is passed on in pieces is never held as a whole.

use bytes::{Bytes, BytesMut};

/// The longest line, in bytes without its CRLF. The longest that tor sends is a `NEWDESC` event
/// that names every relay: about 70 bytes for each of some 10 000.
pub const MAX_LINE: usize = 4 << 20;

/// The largest data that may follow one line, and the largest reply or event in all, in bytes
/// without dots and carriage returns. The largest that tor sends today is `desc/all-recent`, with
/// about 25 MB.
pub const MAX_REPLY: usize = 256 << 20;

const CRLF: &[u8] = b"\r\n";

/// How a line is joined to the next one of its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divider {
    /// `-`: more lines follow.
    Mid,
    /// `+`: data follows, then more lines.
    Data,
    /// A space: the last line.
    End,
}

/// One line of a reply or an event, with the data that followed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyLine {
    /// The status code, 0 to 999.
    pub code: u16,
    /// How it is joined to the next line.
    pub divider: Divider,
    /// The text after the divider, without the CRLF: any bytes.
    pub text: Bytes,
    /// What followed a `+` line, with its dots unstuffed and each CRLF made a line feed: every line
    /// of it ends with one, the last one too. Empty after the other dividers. Of data that was
    /// passed on in pieces, the last piece.
    pub data: Bytes,
}

/// What is read next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A line, with all of its data or the last piece of it.
    Line(ReplyLine),
    /// Whole lines of the data of a reply's line that is still to come, as [`ReplyLine::data`].
    Data(Bytes),
}

/// Bytes that are not a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// A line that does not begin with three digits and a divider.
    #[error("a line that is no control reply: {0:?}")]
    NotAReply(String),
    /// A line without an end.
    #[error("a line longer than {MAX_LINE} bytes")]
    LineTooLong,
    /// A reply without an end.
    #[error("a reply larger than {0} bytes")]
    ReplyTooLarge(usize),
}

/// Takes lines out of a buffer. Holds what it has of a line's data, so that the buffer itself stays
/// short.
#[derive(Debug)]
pub struct LineReader {
    /// The most data that may follow one line, in bytes.
    max_data: usize,
    /// How much of the buffer is known to hold no line's end.
    searched: usize,
    /// Whether the data of a reply is passed on in pieces.
    in_pieces: bool,
    /// The `+` line whose data is arriving.
    arriving: Option<Arriving>,
}

/// A line whose data has not all come.
#[derive(Debug)]
struct Arriving {
    line: ReplyLine,
    /// What has come and was not passed on.
    data: BytesMut,
    /// Bytes of data in all.
    size: usize,
    in_pieces: bool,
}

impl LineReader {
    /// A reader that takes at most `max_data` bytes of data behind one line: see [`MAX_REPLY`].
    #[must_use]
    pub const fn new(max_data: usize) -> Self {
        Self { max_data, searched: 0, in_pieces: false, arriving: None }
    }

    /// Whether the data of the replies that begin from now on is passed on in pieces. The data of
    /// events never is.
    pub const fn pass_on(&mut self, in_pieces: bool) {
        self.in_pieces = in_pieces;
    }

    /// The next line or piece of data, taken out of `buffer`; `None` while it is not whole: call
    /// again, with more bytes appended.
    ///
    /// # Errors
    ///
    /// [`LineError`], after which the place in the stream is lost and nothing more can be read.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, LineError> {
        while let Some(raw) = self.raw_line(buffer)? {
            let Some(mut arriving) = self.arriving.take() else {
                let line = parse(raw.freeze())?;
                if line.divider == Divider::Data {
                    let in_pieces = self.in_pieces && line.code / 100 != 6;
                    self.arriving =
                        Some(Arriving { line, data: BytesMut::new(), size: 0, in_pieces });
                    continue;
                }
                return Ok(Some(Piece::Line(line)));
            };
            if raw.as_ref() == b"." {
                arriving.line.data = arriving.data.freeze();
                return Ok(Some(Piece::Line(arriving.line)));
            }
            let unstuffed = raw.strip_prefix(b".").unwrap_or(&raw);
            arriving.size += unstuffed.len() + 1;
            if arriving.size > self.max_data {
                return Err(LineError::ReplyTooLarge(self.max_data));
            }
            arriving.data.extend_from_slice(unstuffed);
            arriving.data.extend_from_slice(b"\n");
            self.arriving = Some(arriving);
        }
        Ok(self.arriving.as_mut().and_then(Arriving::piece).map(Piece::Data))
    }

    /// Whether everything taken so far made whole lines; what waits in the buffer apart.
    #[must_use]
    pub const fn between_lines(&self) -> bool {
        self.arriving.is_none()
    }

    /// The next bytes up to a CRLF, which is taken with them and dropped.
    fn raw_line(&mut self, buffer: &mut BytesMut) -> Result<Option<BytesMut>, LineError> {
        let start = self.searched;
        let found = memchr::memmem::find(&buffer[start..], CRLF);
        let length = found.map_or(buffer.len(), |found| start + found);
        if length > MAX_LINE + 1 || (found.is_some() && length > MAX_LINE) {
            return Err(LineError::LineTooLong);
        }
        if found.is_none() {
            // The last byte may be the CR of a CRLF that is cut in two.
            self.searched = buffer.len().saturating_sub(1);
            return Ok(None);
        }
        self.searched = 0;
        let mut line = buffer.split_to(length + CRLF.len());
        line.truncate(length);
        Ok(Some(line))
    }
}

impl Arriving {
    /// What can be passed on.
    fn piece(&mut self) -> Option<Bytes> {
        (self.in_pieces && !self.data.is_empty()).then(|| self.data.split().freeze())
    }
}

fn parse(mut line: Bytes) -> Result<ReplyLine, LineError> {
    let (code, divider) = match *line {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', divider, ..] => {
            let code = [a, b, c].iter().fold(0, |code, d| code * 10 + u16::from(d - b'0'));
            let divider = match divider {
                b'-' => Some(Divider::Mid),
                b'+' => Some(Divider::Data),
                b' ' => Some(Divider::End),
                _ => None,
            };
            (code, divider)
        }
        _ => (0, None),
    };
    let Some(divider) = divider else {
        return Err(LineError::NotAReply(excerpt(&line)));
    };
    let text = line.split_off(4);
    Ok(ReplyLine { code, divider, text, data: Bytes::new() })
}

/// The beginning of strange bytes, short and fit to be shown.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 80;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    let mut shown = record::printable(text.trim_end());
    if bytes.len() > SHOWN {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(pieces: &[&[u8]]) -> Result<Vec<ReplyLine>, LineError> {
        let (mut reader, mut buffer) = (LineReader::new(MAX_REPLY), BytesMut::new());
        let mut lines = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some(piece) = reader.next(&mut buffer)? {
                match piece {
                    Piece::Line(line) => lines.push(line),
                    Piece::Data(data) => panic!("{data:?} was not to be passed on"),
                }
            }
        }
        Ok(lines)
    }

    /// The same where data is passed on in pieces, put together again.
    fn read_in_pieces(pieces: &[&[u8]]) -> Result<Vec<ReplyLine>, LineError> {
        let (mut reader, mut buffer) = (LineReader::new(MAX_REPLY), BytesMut::new());
        reader.pass_on(true);
        let (mut lines, mut passed_on) = (Vec::new(), BytesMut::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some(piece) = reader.next(&mut buffer)? {
                match piece {
                    Piece::Data(data) => {
                        assert!(data.ends_with(b"\n"), "whole lines: {data:?}");
                        passed_on.extend_from_slice(&data);
                    }
                    Piece::Line(mut line) => {
                        passed_on.extend_from_slice(&line.data);
                        line.data = passed_on.split().freeze();
                        lines.push(line);
                    }
                }
            }
        }
        Ok(lines)
    }

    fn line(code: u16, divider: Divider, text: &'static str, data: &'static [u8]) -> ReplyLine {
        ReplyLine { code, divider, text: Bytes::from(text), data: Bytes::from(data) }
    }

    const SAMPLE: &[u8] =
        b"250-version=0.4.9.11\r\n250+ns/all=\r\nr caf\xe9\r\n..\r\n..dot\r\n\r\n\
        lone\rcr\r\n.\r\n250 OK\r\n650 CIRC 7 BUILT\r\n";

    fn sample() -> Vec<ReplyLine> {
        vec![
            line(250, Divider::Mid, "version=0.4.9.11", b""),
            line(250, Divider::Data, "ns/all=", b"r caf\xe9\n.\n.dot\n\nlone\rcr\n"),
            line(250, Divider::End, "OK", b""),
            line(650, Divider::End, "CIRC 7 BUILT", b""),
        ]
    }

    #[test]
    fn split_at_every_point_it_reads_the_same() {
        for at in 0..=SAMPLE.len() {
            let (head, tail) = SAMPLE.split_at(at);
            assert_eq!(read_all(&[head, tail]).unwrap(), sample(), "split at {at}");
            assert_eq!(read_in_pieces(&[head, tail]).unwrap(), sample(), "split at {at}");
        }
        let bytes: Vec<_> = SAMPLE.chunks(1).collect();
        assert_eq!(read_all(&bytes).unwrap(), sample());
        assert_eq!(read_in_pieces(&bytes).unwrap(), sample());
    }

    #[test]
    fn what_is_passed_on_is_not_held() {
        let (mut reader, mut buffer) = (LineReader::new(MAX_REPLY), BytesMut::from("250+x=\r\n"));
        reader.pass_on(true);
        for _ in 0..1000 {
            buffer.extend_from_slice(b"..a\r\nbb\r\nhal");
            let piece = reader.next(&mut buffer).unwrap();
            assert!(matches!(piece, Some(Piece::Data(data)) if data.ends_with(b".a\nbb\n")));
            assert_eq!(reader.next(&mut buffer), Ok(None));
            assert_eq!(buffer, "hal");
            let held = reader.arriving.as_ref().unwrap();
            assert_eq!((held.data.len(), held.line.data.len()), (0, 0));
            buffer.clear();
        }
        // The data of an event is part of it.
        let (mut reader, mut buffer) = (LineReader::new(MAX_REPLY), BytesMut::new());
        reader.pass_on(true);
        buffer.extend_from_slice(b"650+NS\r\na\r\n");
        assert_eq!(reader.next(&mut buffer), Ok(None));
    }

    #[test]
    fn what_is_cut_is_no_error_and_no_line() {
        for at in 0..SAMPLE.len() {
            assert!(read_all(&[&SAMPLE[..at]]).unwrap().len() < sample().len(), "cut at {at}");
        }
    }

    #[test]
    fn a_line_that_is_no_reply_is_refused() {
        for bad in [
            "\r\n",
            "250\r\n",
            "25 OK\r\n",
            "250=OK\r\n",
            "HTTP/1.1 400\r\n",
            " 250 OK\r\n",
            "é25 \r\n",
        ] {
            let failed = read_all(&[bad.as_bytes()]);
            assert!(matches!(failed, Err(LineError::NotAReply(_))), "{bad:?}: {failed:?}");
        }
        let shown = read_all(&[b"\x1b[31mSSH-2.0\r\n"]).unwrap_err().to_string();
        assert!(!shown.contains('\x1b'), "{shown}");
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
        let mut long = b"250 ".to_vec();
        long.resize(MAX_LINE, b'x');
        assert_eq!(read_all(&[&long, b"\r", b"\n"]).unwrap()[0].text.len(), MAX_LINE - 4);
        assert_eq!(read_all(&[&long, b"x\r\n"]), Err(LineError::LineTooLong));
        assert_eq!(read_all(&[&long, b"xx"]), Err(LineError::LineTooLong));
    }

    #[test]
    fn a_line_that_arrives_byte_by_byte_is_searched_once() {
        let mut long = b"250 ".to_vec();
        long.resize(1 << 20, b'x');
        long.extend_from_slice(b"\r\n");
        let bytes: Vec<_> = long.chunks(1).collect();
        assert_eq!(read_all(&bytes).unwrap().len(), 1);
    }

    #[test]
    fn data_without_an_end_is_refused() {
        for in_pieces in [false, true] {
            let (mut reader, mut buffer) = (LineReader::new(1000), BytesMut::from("250+x=\r\n"));
            reader.pass_on(in_pieces);
            buffer.extend_from_slice(&b"123456789\r\n".repeat(100));
            assert_eq!(reader.next(&mut buffer).unwrap().is_some(), in_pieces);
            assert!(!reader.between_lines());
            buffer.extend_from_slice(CRLF);
            assert_eq!(reader.next(&mut buffer), Err(LineError::ReplyTooLarge(1000)));
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_a_split_changes_nothing(
            bytes in hostile(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(read_all(&pieces), read_all(&[&bytes]));
            prop_assert_eq!(read_in_pieces(&pieces), read_all(&[&bytes]));
        }

        #[test]
        fn stuffed_data_comes_back(lines in prop::collection::vec("[^\r\n]{0,12}|\\.{1,3}", 0..20)) {
            let mut wire = b"250+key=\r\n".to_vec();
            let mut plain = Vec::new();
            for line in &lines {
                if line.starts_with('.') {
                    wire.push(b'.');
                }
                wire.extend_from_slice(line.as_bytes());
                wire.extend_from_slice(CRLF);
                plain.extend_from_slice(line.as_bytes());
                plain.push(b'\n');
            }
            wire.extend_from_slice(b".\r\n");
            let read = read_all(&[&wire]).unwrap();
            prop_assert_eq!(&read[0].data[..], &plain[..]);
        }
    }

    /// Bytes that look enough like replies to reach every branch.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let token = prop_oneof![
            Just(b"250-".to_vec()),
            Just(b"250+".to_vec()),
            Just(b"250 ".to_vec()),
            Just(b"650 ".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b".\r\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..5),
        ];
        prop::collection::vec(token, 0..30).prop_map(|tokens| tokens.concat())
    }
}
