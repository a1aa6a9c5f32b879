//! Lines to replies, and replies to what was asked for.
//!
//! Owns the grouping of lines into whole replies and events, and the typed reading of each kind of
//! reply. Performs no IO; a reply that does not fit its command is an [`Error`], never a panic.

use bytes::{BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::line::{Divider, LineError, LineReader, MAX_REPLY, Piece, ReplyLine, excerpt};
use crate::{CircuitId, Error, quoted};

/// What each line of a reply weighs beside its bytes, so that a flood of empty lines is bounded too.
const LINE_WEIGHT: usize = 128;

/// The whole lines of something that tor sent, or a piece of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A piece of the data of a reply, the end of which is still to come: see [`Codec::pass_on`].
    Data(Bytes),
    /// The answer to a command.
    Reply(Vec<ReplyLine>),
    /// Something that tor tells of itself: status codes 600 to 699.
    Event(Vec<ReplyLine>),
}

/// The control port's framing: whole messages in, whole commands out.
#[derive(Debug)]
pub struct Codec {
    max_reply: usize,
    lines: LineReader,
    reply: Partial,
    event: Partial,
}

/// A message whose last line has not come.
#[derive(Debug, Default)]
struct Partial {
    lines: Vec<ReplyLine>,
    weight: usize,
}

impl Default for Codec {
    fn default() -> Self {
        Self::new(MAX_REPLY)
    }
}

impl Codec {
    /// A codec that takes at most `max_reply` bytes in one message.
    #[must_use]
    pub fn new(max_reply: usize) -> Self {
        Self {
            max_reply,
            lines: LineReader::new(max_reply),
            reply: Partial::default(),
            event: Partial::default(),
        }
    }

    /// Whether the data of the replies that begin from now on is passed on in pieces, as
    /// [`Message::Data`]; the reply itself then has the last piece alone.
    pub const fn pass_on(&mut self, in_pieces: bool) {
        self.lines.pass_on(in_pieces);
    }

    /// Whether all bytes taken so far made whole messages; what waits in the buffer apart.
    #[must_use]
    pub fn between_messages(&self) -> bool {
        self.lines.between_lines() && self.reply.lines.is_empty() && self.event.lines.is_empty()
    }

    /// The next whole message, taken out of `buffer`; `None` while it is not whole.
    ///
    /// # Errors
    ///
    /// [`LineError`], after which the place in the stream is lost.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, LineError> {
        while let Some(piece) = self.lines.next(buffer)? {
            let line = match piece {
                Piece::Line(line) => line,
                Piece::Data(data) => return Ok(Some(Message::Data(data))),
            };
            // Tor writes a reply in one piece; should an event ever come between its lines, the
            // codes tell them apart.
            let is_event = line.code / 100 == 6;
            let partial = if is_event { &mut self.event } else { &mut self.reply };
            partial.weight += line.text.len() + line.data.len() + LINE_WEIGHT;
            if partial.weight > self.max_reply {
                return Err(LineError::ReplyTooLarge(self.max_reply));
            }
            let last = line.divider == Divider::End;
            partial.lines.push(line);
            if last {
                let lines = std::mem::take(partial).lines;
                return Ok(Some(if is_event {
                    Message::Event(lines)
                } else {
                    Message::Reply(lines)
                }));
            }
        }
        Ok(None)
    }
}

/// Why no more messages can be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What came is not the control protocol.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The stream ended inside a message.
    #[error("the connection ended in the middle of a reply")]
    Cut,
}

impl Decoder for Codec {
    type Item = Message;
    type Error = DecodeError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, DecodeError> {
        Ok(self.next(buffer)?)
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, DecodeError> {
        match self.next(buffer)? {
            None if !buffer.is_empty() || !self.between_messages() => Err(DecodeError::Cut),
            whole => Ok(whole),
        }
    }
}

impl Encoder<Bytes> for Codec {
    type Error = std::io::Error;

    /// Appends a command as [`Command::encode`](crate::Command::encode) made it.
    fn encode(&mut self, command: Bytes, buffer: &mut BytesMut) -> Result<(), Self::Error> {
        buffer.reserve(command.len());
        buffer.put(command);
        Ok(())
    }
}

/// Tor's positive answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    command: &'static str,
    lines: Vec<ReplyLine>,
}

impl Reply {
    /// The answer to `command`, the keyword of which is for error texts.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] where a line's code is not of the 2xx class; [`Error::Protocol`] where
    /// there is no line at all.
    pub fn new(command: &'static str, lines: Vec<ReplyLine>) -> Result<Self, Error> {
        let bad = lines.iter().find(|line| line.code / 100 != 2);
        if let Some(bad) = bad {
            let texts: Vec<_> =
                lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
            return Err(Error::Refused { command, code: bad.code, text: texts.join("; ") });
        }
        if lines.is_empty() {
            return Err(Error::Protocol { what: format!("an empty answer to {command}") });
        }
        Ok(Self { command, lines })
    }

    /// The keyword of the command that this answers.
    #[must_use]
    pub const fn command(&self) -> &'static str {
        self.command
    }

    /// The lines as they came; at least one.
    #[must_use]
    pub fn lines(&self) -> &[ReplyLine] {
        &self.lines
    }

    /// The answer to `GETINFO` for these keys, in their order (control-spec, "GETINFO"). A value
    /// that came as data has the line ends that [`ReplyLine::data`] describes, and any bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] where the answer is not one value for each key.
    pub fn info<K: AsRef<str>>(&self, keys: &[K]) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let (last, lines) = self.split_last()?;
        if lines.len() != keys.len() || last.text.as_ref() != b"OK" {
            return Err(self.unfit(format_args!(
                "{} values where {} were asked for",
                lines.len(),
                keys.len()
            )));
        }
        let value = |(line, key): (&ReplyLine, &K)| {
            let key = key.as_ref();
            let value = line.text.strip_prefix(key.as_bytes()).and_then(|v| v.strip_prefix(b"="));
            match (value, line.divider) {
                (Some(value), Divider::Mid) => Ok((key.to_owned(), value.to_vec())),
                (Some(b""), Divider::Data) => Ok((key.to_owned(), Vec::from(line.data.clone()))),
                _ => Err(self.unfit(format_args!(
                    "{:?} where the value of {key} was due",
                    excerpt(&line.text)
                ))),
            }
        };
        lines.iter().zip(keys).map(value).collect()
    }

    /// The answer to `GETCONF`, one entry for each line; `None` is tor's default (control-spec,
    /// "GETCONF"). Tor writes a value with unusual characters as a quoted string, which is undone.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] where a line is not a key or a key and a value, or is not UTF-8.
    pub fn conf(&self) -> Result<Vec<(String, Option<String>)>, Error> {
        // With no key at all tor answers "OK", but such a command is never sent.
        self.lines.iter().map(|line| self.conf_line(line)).collect()
    }

    fn conf_line(&self, line: &ReplyLine) -> Result<(String, Option<String>), Error> {
        let unfit =
            || self.unfit(format_args!("{:?} where an option was due", excerpt(&line.text)));
        if line.divider == Divider::Data {
            return Err(unfit());
        }
        let (key, value) = match line.text.iter().position(|&byte| byte == b'=') {
            None => (&line.text[..], None),
            Some(at) => (&line.text[..at], Some(&line.text[at + 1..])),
        };
        if key.is_empty() || !key.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
            return Err(unfit());
        }
        let value = match value {
            Some(value) if value.starts_with(b"\"") => match quoted::unquote(value) {
                Some((plain, b"")) => Some(plain),
                _ => return Err(unfit()),
            },
            plain => plain.map(<[u8]>::to_vec),
        };
        let value = value.map(String::from_utf8).transpose().map_err(|_| unfit())?;
        Ok((String::from_utf8_lossy(key).into_owned(), value))
    }

    /// The circuit that `EXTENDCIRCUIT` launched (control-spec, "EXTENDCIRCUIT").
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] where the answer names none.
    pub fn circuit(&self) -> Result<CircuitId, Error> {
        let (last, _) = self.split_last()?;
        std::str::from_utf8(&last.text)
            .ok()
            .and_then(|text| text.strip_prefix("EXTENDED "))
            .and_then(|id| id.split(' ').next()?.parse().ok())
            .ok_or_else(|| {
                let text = excerpt(&last.text);
                self.unfit(format_args!("{text:?} where the new circuit was due"))
            })
    }

    fn split_last(&self) -> Result<(&ReplyLine, &[ReplyLine]), Error> {
        self.lines.split_last().ok_or_else(|| self.unfit(format_args!("no line at all")))
    }

    fn unfit(&self, what: std::fmt::Arguments<'_>) -> Error {
        Error::Protocol { what: format!("tor's answer to {} does not fit: {what}", self.command) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use proptest::prelude::*;

    fn messages(bytes: &[u8]) -> Vec<Message> {
        let (mut codec, mut buffer) = (Codec::default(), BytesMut::from(bytes));
        std::iter::from_fn(|| codec.next(&mut buffer).unwrap()).collect()
    }

    fn reply(bytes: &[u8]) -> Result<Reply, Error> {
        match messages(bytes).remove(0) {
            Message::Reply(lines) => Reply::new("TEST", lines),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn events_and_replies_are_told_apart_even_when_mixed() {
        let got = messages(b"650 A\r\n250-x=1\r\n650-B\r\n250 OK\r\n650 OK\r\n551 no\r\n");
        let shape: Vec<_> = got
            .iter()
            .map(|message| match message {
                Message::Reply(lines) => ("reply", lines.len(), lines[0].code),
                Message::Event(lines) => ("event", lines.len(), lines[0].code),
                Message::Data(_) => panic!("{message:?}"),
            })
            .collect();
        assert_eq!(
            shape,
            [("event", 1, 650), ("reply", 2, 250), ("event", 2, 650), ("reply", 1, 551)]
        );
    }

    #[test]
    fn a_flood_of_short_lines_is_bounded() {
        let mut codec = Codec::new(10 * LINE_WEIGHT);
        let mut buffer = BytesMut::from(b"250-\r\n".repeat(11).as_slice());
        assert_eq!(codec.next(&mut buffer), Err(LineError::ReplyTooLarge(10 * LINE_WEIGHT)));
    }

    #[test]
    fn an_end_inside_a_message_is_an_error() {
        let whole = b"250+a=\r\nb\r\n.\r\n250 OK\r\n";
        for at in 1..whole.len() {
            let (mut codec, mut buffer) = (Codec::default(), BytesMut::from(&whole[..at]));
            let ended = loop {
                match codec.decode_eof(&mut buffer) {
                    Ok(Some(_)) => {}
                    other => break other,
                }
            };
            assert!(matches!(ended, Err(DecodeError::Cut)), "cut at {at}: {ended:?}");
        }
    }

    #[test]
    fn info_keeps_any_bytes() {
        let got =
            reply(b"250-version=0.4\r\n250+desc/all=\r\ncaf\xe9\r\n..\r\n.\r\n250 OK\r\n").unwrap();
        assert_eq!(
            got.info(&["version", "desc/all"]).unwrap(),
            [("version".into(), b"0.4".to_vec()), ("desc/all".into(), b"caf\xe9\n.\n".to_vec())]
        );
        for keys in [&["version"][..], &["desc/all", "version"], &["versio", "desc/all"], &[]] {
            assert_eq!(got.info(keys).unwrap_err().kind(), ErrorKind::Protocol);
        }
    }

    #[test]
    fn options_are_unquoted() {
        let got = reply(
            b"250-ContactInfo=\"\\303\\251 \\\" #\"\r\n250-Nickname\r\n250-Log=err file /x y\r\n\
              250 Log=\r\n",
        );
        let option = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        assert_eq!(
            got.unwrap().conf().unwrap(),
            [
                option("ContactInfo", Some("é \" #")),
                option("Nickname", None),
                option("Log", Some("err file /x y")),
                option("Log", Some("")),
            ]
        );
        for bad in ["250 =x\r\n", "250 a b=x\r\n", "250 A=\"x\r\n", "250 A=\"x\"y\r\n"] {
            let failed = reply(bad.as_bytes()).unwrap().conf();
            assert_eq!(failed.unwrap_err().kind(), ErrorKind::Protocol, "{bad}");
        }
        let not_utf8 = reply(b"250 A=\xff\r\n").unwrap().conf();
        assert_eq!(not_utf8.unwrap_err().kind(), ErrorKind::Protocol);
    }

    #[test]
    fn a_refusal_keeps_the_code_and_every_line() {
        let refused = reply(b"552-Unrecognized key \"a\"\r\n552 Unrecognized key \"b\xff\"\r\n");
        let Err(Error::Refused { command: "TEST", code: 552, text }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(text, "Unrecognized key \"a\"; Unrecognized key \"b\u{fffd}\"");
    }

    #[test]
    fn the_new_circuit_is_named() {
        assert_eq!(reply(b"250 EXTENDED 12\r\n").unwrap().circuit().unwrap().as_str(), "12");
        for bad in ["250 OK\r\n", "250 EXTENDED\r\n", "250 EXTENDED 0\r\n", "250 EXTENDED -\r\n"] {
            let failed = reply(bad.as_bytes()).unwrap().circuit();
            assert_eq!(failed.unwrap_err().kind(), ErrorKind::Protocol, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_reading_panics(texts in prop::collection::vec(("[-+ ]", ".{0,20}|[a-z]=\"?.{0,9}"), 1..5)) {
            let lines: Vec<_> = texts
                .into_iter()
                .map(|(divider, text)| ReplyLine {
                    code: 250,
                    divider: match divider.as_str() {
                        "-" => Divider::Mid,
                        "+" => Divider::Data,
                        _ => Divider::End,
                    },
                    text: Bytes::from(text),
                    data: Bytes::new(),
                })
                .collect();
            let reply = Reply::new("TEST", lines).unwrap();
            let _ = (reply.info(&["a"]), reply.conf(), reply.circuit());
        }
    }
}
