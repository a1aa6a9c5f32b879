//! The handshake: PROTOCOLINFO and AUTHENTICATE, by torut.
//!
//! Owns the choice of the way to authenticate, the reading of the cookie, and the guards around
//! torut 0.2.1: what it reads is bounded and kept, so that errors can tell tor's own words, and the
//! server's half of SAFECOOKIE, which torut does not verify, is verified here. Sets no deadline:
//! the caller does. Performs no IO but on the stream it is given and the cookie file.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hmac::{Hmac, KeyInit, Mac};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use torut::control::{
    COOKIE_LENGTH, ConnError, TorAuthData, TorAuthMethod, TorPreAuthInfo, UnauthenticatedConn,
};

use crate::line::excerpt;
use crate::{ControlAddr, Error};

/// The most bytes that the handshake may bring; tor's is under 1 KiB.
const MAX_HANDSHAKE: usize = 64 << 10;

/// The key of the server's hash (control-spec, "AUTHCHALLENGE").
const SERVER_HASH_KEY: &[u8] = b"Tor safe cookie authentication server-to-controller hash";

/// A password. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self(password)
    }
}

impl Password {
    /// The password as it is, for whoever has to hand it on.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What tor tells of itself before anything else (control-spec, "PROTOCOLINFO").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolInfo {
    /// Tor's version, for instance `0.4.9.11`; fit to be shown.
    pub tor_version: String,
    /// The way we were let in.
    pub authenticated_by: AuthMethod,
    /// What names this tor, from its start to its end, and no other: a hash of the secret in its
    /// cookie file. Only where that is how we were let in.
    pub instance: Option<[u8; 32]>,
}

/// A way to authenticate (control-spec, "AUTHENTICATE").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthMethod {
    /// `NULL`: tor lets everyone in.
    Null,
    /// `HASHEDPASSWORD`.
    Password,
    /// `COOKIE`: the secret of a file is sent.
    Cookie,
    /// `SAFECOOKIE`: both sides prove that they know the secret of a file.
    SafeCookie,
}

/// Who is at the other end, as far as the system tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Whoever listens on a TCP port.
    Unknown,
    /// The user id of the process behind a unix socket.
    User(u32),
}

/// Carries out the handshake on a fresh connection. Afterwards the stream's next byte is the first
/// one behind the reply to AUTHENTICATE.
///
/// # Errors
///
/// [`Error::NotTor`], [`Error::Authentication`], [`Error::Lost`].
pub async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    addr: &ControlAddr,
    peer: Peer,
    password: Option<&Password>,
) -> Result<ProtocolInfo, Error> {
    let mut transcript = Transcript { stream, read: Vec::new(), written: Vec::new() };
    let mut conn = UnauthenticatedConn::new(&mut transcript);
    let loaded = conn.load_protocol_info().await.map(|_| ());
    let info = conn.take_protocol_info();
    drop(conn);
    let info = match (loaded, info) {
        (Ok(()), Some(info)) => info,
        (Err(ConnError::IOError(source)), _) if source.kind() != io::ErrorKind::InvalidData => {
            return Err(lost(addr, source, &transcript.read));
        }
        _ => {
            let said = excerpt(&transcript.read);
            let what = if said.is_empty() { "it sent nothing".to_owned() } else { quoted(&said) };
            return Err(Error::NotTor { addr: addr.clone(), what });
        }
    };

    let (method, data) = auth_data(&info, password, peer)
        .map_err(|what| Error::Authentication { addr: addr.clone(), what })?;
    let (read, written) = (transcript.read.len(), transcript.written.len());
    // A connection of torut's holds no state but what is asked for here.
    let done = UnauthenticatedConn::new(&mut transcript).authenticate(&data).await;
    let (read, written) = (&transcript.read[read..], &transcript.written[written..]);
    if let Err(error) = done {
        return Err(match error {
            // Tor says why, and then closes: its words are in the transcript.
            ConnError::IOError(source) if source.kind() != io::ErrorKind::InvalidData => {
                lost(addr, source, read)
            }
            ConnError::InvalidResponseCode(_) => {
                Error::Authentication { addr: addr.clone(), what: refusal(read, method, &info) }
            }
            _ => Error::NotTor { addr: addr.clone(), what: quoted(&excerpt(read)) },
        });
    }
    if let TorAuthData::SafeCookie(cookie) = &data
        && !server_knows(cookie, read, written)
    {
        let what = "it does not know the secret of the cookie file that it named, so that it is \
                    not the tor that wrote the file; check which program listens there";
        return Err(Error::Authentication { addr: addr.clone(), what: what.to_owned() });
    }
    let tor_version = record::printable(&info.tor_version);
    let instance = match method {
        AuthMethod::Null | AuthMethod::Password => None,
        AuthMethod::Cookie | AuthMethod::SafeCookie => instance(&data),
    };
    Ok(ProtocolInfo { tor_version, authenticated_by: method, instance })
}

/// A hash of the cookie, which tells nothing of it: tor draws 256 random bits at each start.
fn instance(data: &TorAuthData<'_>) -> Option<[u8; 32]> {
    let (TorAuthData::Cookie(cookie) | TorAuthData::SafeCookie(cookie)) = data else { return None };
    let mut hash = Sha256::new();
    hash.update(b"exit-validator: the tor with this cookie\n");
    hash.update(cookie);
    Some(hash.finalize().into())
}

fn quoted(said: &str) -> String {
    format!("it said \"{said}\"")
}

fn lost(addr: &ControlAddr, source: io::Error, said: &[u8]) -> Error {
    let mut what = if source.kind() == io::ErrorKind::UnexpectedEof {
        "it closed the connection during the handshake".to_owned()
    } else {
        format!("the handshake failed: {source}")
    };
    if said.is_empty() {
        what.push_str(" without a word");
    } else {
        what.push_str(", after ");
        what.push_str(&quoted(&excerpt(said)));
    }
    what.push_str("; look into tor's log, and check that the address is a control port's");
    Error::Lost { addr: addr.clone(), what, source: Some(Arc::new(source)) }
}

/// Tor's words about a failed AUTHENTICATE, and what to do about them.
fn refusal(read: &[u8], method: AuthMethod, info: &TorPreAuthInfo<'_>) -> String {
    let last = read.trim_ascii_end().rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let hint = match method {
        AuthMethod::Null => "this tor should have let everyone in: look into its log".to_owned(),
        AuthMethod::Password => {
            "give the password whose hash (tor --hash-password) is HashedControlPassword in torrc"
                .to_owned()
        }
        AuthMethod::Cookie | AuthMethod::SafeCookie => format!(
            "the cookie in {} is not this tor's: check that no other tor writes that file",
            shown_file(info)
        ),
    };
    format!("{}; {hint}", quoted(&excerpt(last)))
}

/// Chooses the way to authenticate. A password that was given goes first where tor takes one, since
/// giving it was a decision; SAFECOOKIE goes before COOKIE, which hands the secret over.
fn auth_data(
    info: &TorPreAuthInfo<'_>,
    password: Option<&Password>,
    peer: Peer,
) -> Result<(AuthMethod, TorAuthData<'static>), String> {
    let offers = |method| info.auth_methods.contains(&method);
    if offers(TorAuthMethod::Null) {
        return Ok((AuthMethod::Null, TorAuthData::Null));
    }
    if let Some(Password(password)) = password
        && offers(TorAuthMethod::HashedPassword)
    {
        // In hexadecimal, which tor takes for a password too, and which torut does for a cookie's
        // bytes: torut's quoting of passwords is wrong where a space stands before a digit.
        let bytes = password.as_bytes().to_vec();
        return Ok((AuthMethod::Password, TorAuthData::Cookie(Cow::Owned(bytes))));
    }
    let by_password = if password.is_some() {
        "; the password given is of no use, since this tor takes none (HashedControlPassword)"
    } else if offers(TorAuthMethod::HashedPassword) {
        "; or give tor's control password"
    } else {
        ""
    };
    let safe = offers(TorAuthMethod::SafeCookie);
    if !safe && !offers(TorAuthMethod::Cookie) {
        return Err(match (offers(TorAuthMethod::HashedPassword), password) {
            (true, None) => "it wants a password, and none was given".to_owned(),
            _ => format!("it offers {}, none of which we know", methods(&info.auth_methods)),
        });
    }
    let file = info
        .cookie_file
        .as_deref()
        .ok_or_else(|| format!("it wants a cookie, and does not say in which file{by_password}"))?;
    let (cookie, owner) = read_cookie(Path::new(file))
        .map_err(|what| format!("the cookie file {} {what}{by_password}", shown_file(info)))?;
    if safe {
        return Ok((AuthMethod::SafeCookie, TorAuthData::SafeCookie(Cow::Owned(cookie))));
    }
    if may_send_cookie(peer, owner, Path::new(file)) {
        return Ok((AuthMethod::Cookie, TorAuthData::Cookie(Cow::Owned(cookie))));
    }
    Err(format!(
        "it offers COOKIE without SAFECOOKIE, by which it would learn the secret in {}, and nothing \
         shows that the file is its own; every tor since 0.2.2.36 offers SAFECOOKIE: check which \
         program listens there{by_password}",
        shown_file(info)
    ))
}

/// Whether the secret may be sent as it is. Whoever listens names the file, and learns what is in
/// it: over a unix socket it must be the file's owner, who could read it anyway; over TCP, where it
/// is unknown who listens, the file must be our own, and a cookie by its name.
fn may_send_cookie(peer: Peer, owner: u32, file: &Path) -> bool {
    match peer {
        Peer::User(user) => user == 0 || user == owner,
        Peer::Unknown => {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            owner == rustix::process::geteuid().as_raw() && name.contains("cookie")
        }
    }
}

fn methods(offered: &HashSet<TorAuthMethod>) -> String {
    let mut names: Vec<_> = offered.iter().map(|method| format!("{method:?}")).collect();
    names.sort();
    names.join(", ")
}

fn shown_file(info: &TorPreAuthInfo<'_>) -> String {
    record::printable(info.cookie_file.as_deref().unwrap_or_default())
}

/// The secret in a cookie file and the file's owner, or what is wrong with the file and what to do
/// about it. The path is the peer's word, so that anything may be there.
fn read_cookie(path: &Path) -> Result<(Vec<u8>, u32), String> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "cannot be read: {error}; run as a user of tor's group (often debian-tor), with \
             CookieAuthFileGroupReadable 1 in torrc"
        ),
        io::ErrorKind::NotFound => format!(
            "cannot be read: {error}; does tor run in a container or under another root directory?"
        ),
        _ => format!("cannot be read: {error}"),
    };
    // Without blocking, lest a named pipe holds us up before it is known to be one.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(|error| error.to_string())?;
    let mut file =
        std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(format!(
            "can be written by everyone (mode {:o}), so that its secret is none; take that \
             permission away and start tor again",
            metadata.mode() & 0o7777
        ));
    }
    // One more than there should be, to see that there is none.
    let mut cookie = Vec::with_capacity(COOKIE_LENGTH + 1);
    file.by_ref().take(COOKIE_LENGTH as u64 + 1).read_to_end(&mut cookie).map_err(failed)?;
    if cookie.len() != COOKIE_LENGTH {
        return Err(format!(
            "is {} bytes long instead of {COOKIE_LENGTH}: it is no cookie of tor's",
            metadata.len()
        ));
    }
    Ok((cookie, metadata.uid()))
}

/// Whether the server's hash shows that it knows the cookie: the hash that it sent in answer to
/// AUTHCHALLENGE is the HMAC-SHA-256 of cookie, our nonce and its nonce (control-spec,
/// "AUTHCHALLENGE").
fn server_knows(cookie: &[u8], read: &[u8], written: &[u8]) -> bool {
    let argument = |bytes: &[u8], name: &str| {
        let line = bytes.split(|&byte| byte == b'\r').next()?;
        let line = std::str::from_utf8(line).ok()?;
        line.split(' ').find_map(|word| unhex(word.strip_prefix(name)?))
    };
    let (Some(client_nonce), Some(server_nonce), Some(server_hash)) = (
        // Our own argument has no name; it is the only word that is hexadecimal.
        argument(written, ""),
        argument(read, "SERVERNONCE="),
        argument(read, "SERVERHASH="),
    ) else {
        return false;
    };
    let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(SERVER_HASH_KEY) else {
        return false;
    };
    for part in [cookie, &client_nonce, &server_nonce] {
        hmac.update(part);
    }
    hmac.verify_slice(&server_hash).is_ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if !odd.is_empty() || pairs.is_empty() {
        return None;
    }
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

/// A stream that keeps what goes through it, and brings no more than [`MAX_HANDSHAKE`] bytes.
struct Transcript<S> {
    stream: S,
    read: Vec<u8>,
    written: Vec<u8>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Transcript<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read.len() >= MAX_HANDSHAKE {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the handshake does not end",
            )));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.read.extend_from_slice(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Transcript<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, bytes))?;
        this.written.extend_from_slice(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use proptest::prelude::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use tokio::io::AsyncWriteExt;

    fn addr() -> ControlAddr {
        ControlAddr::Tcp("127.0.0.1:9051".to_owned())
    }

    /// The outcome of a handshake with a server that says `said`, whatever it is told, and ends.
    fn handshake(said: &[u8], password: Option<&str>) -> Result<ProtocolInfo, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (ours, mut theirs) = tokio::io::duplex(1 << 20);
            theirs.write_all(said).await.unwrap();
            theirs.shutdown().await.unwrap();
            let password = password.map(|password| Password::from(password.to_owned()));
            authenticate(ours, &addr(), Peer::Unknown, password.as_ref()).await
        })
    }

    fn info(methods: &str) -> String {
        format!(
            "250-PROTOCOLINFO 1\r\n250-AUTH METHODS={methods}\r\n250-VERSION Tor=\"0.4.9.11\"\r\n\
             250 OK\r\n"
        )
    }

    #[test]
    fn a_password_is_never_shown() {
        let password = Password::from("hunter2".to_owned());
        assert_eq!(format!("{password:?}"), "Password(..)");
    }

    #[test]
    fn what_is_missing_is_named() {
        let unreadable = "SAFECOOKIE,HASHEDPASSWORD COOKIEFILE=\"/nonexistent/cookie\"";
        let errors = [
            ("HASHEDPASSWORD", None),
            ("COOKIE,SAFECOOKIE", None),
            ("COOKIE,SAFECOOKIE", Some("x")),
            (unreadable, None),
            ("SAFECOOKIE COOKIEFILE=\"/\"", None),
            ("SAFECOOKIE COOKIEFILE=\"/proc/self/status\"", None),
        ]
        .map(|(methods, password)| handshake(info(methods).as_bytes(), password).unwrap_err());
        assert!(errors.iter().all(|error| error.kind() == ErrorKind::Authentication));
        insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"));
    }

    #[test]
    fn a_cookie_file_is_checked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control_auth_cookie");
        let write = |bytes: &[u8], mode| {
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            read_cookie(&path)
        };
        let user = rustix::process::geteuid().as_raw();
        assert_eq!(write(&[7; 32], 0o640), Ok((vec![7; 32], user)));
        assert!(write(&[7; 33], 0o600).unwrap_err().contains("33 bytes"));
        assert!(write(&[7; 31], 0o600).unwrap_err().contains("31 bytes"));
        assert!(write(&[7; 32], 0o602).unwrap_err().contains("written by everyone"));

        assert!(may_send_cookie(Peer::Unknown, user, &path));
        assert!(!may_send_cookie(Peer::Unknown, user, Path::new("/home/me/key")));
        assert!(!may_send_cookie(Peer::Unknown, user + 1, &path));
        assert!(may_send_cookie(Peer::User(user + 1), user + 1, &path));
        assert!(!may_send_cookie(Peer::User(user + 1), user, &path));
        assert!(may_send_cookie(Peer::User(0), user, &path));
    }

    #[test]
    fn a_handshake_without_end_is_bounded() {
        let endless = [&b"250-"[..], &vec![b'x'; 1 << 19]].concat();
        let error = handshake(&endless, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotTor);
        assert!(error.to_string().len() < 400, "{error}");
    }

    #[test]
    fn a_handshake_cut_anywhere_is_an_error() {
        let whole = info("NULL") + "250 OK\r\n";
        for at in 0..whole.len() {
            let error = handshake(&whole.as_bytes()[..at], None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Lost, "cut at {at}: {error}");
        }
        let info = handshake(whole.as_bytes(), None).unwrap();
        assert_eq!(
            info,
            ProtocolInfo {
                tor_version: "0.4.9.11".into(),
                authenticated_by: AuthMethod::Null,
                instance: None,
            }
        );
    }

    #[test]
    fn hexadecimal_is_read() {
        assert_eq!(unhex("00fFA5"), Some(vec![0, 255, 0xa5]));
        for bad in ["", "0", "0g", "é", "000"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Torut's parsers stand behind this, too.
        #[test]
        fn no_answer_makes_it_panic(said in hostile()) {
            if let Err(error) = handshake(&said, Some("x 1")) {
                prop_assert!(!error.to_string().chars().any(char::is_control));
            }
        }
    }

    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let token = prop_oneof![
            prop::sample::select(vec![
                "250-PROTOCOLINFO 1\r\n",
                "250-AUTH METHODS=",
                "NULL",
                "COOKIE,SAFECOOKIE",
                "HASHEDPASSWORD",
                " COOKIEFILE=\"",
                "/proc/self/status",
                "\\8",
                "\\777",
                "\\3",
                "\"",
                "\r\n",
                "250-VERSION Tor=\"",
                "250 OK\r\n",
                "515 Bad\r\n",
                "250+",
                "\r\n.\r\n",
                "=",
                "250 AUTHCHALLENGE SERVERHASH=",
            ])
            .prop_map(|token| token.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..4),
            "[0-9A-F]{64}".prop_map(String::into_bytes),
        ];
        let good_start = prop_oneof![
            Just(Vec::new()),
            Just(info("NULL").into_bytes()),
            Just(info("HASHEDPASSWORD").into_bytes()),
            Just(b"250-PROTOCOLINFO 1\r\n250-AUTH METHODS=".to_vec()),
        ];
        (good_start, prop::collection::vec(token, 0..12))
            .prop_map(|(start, tokens)| [start, tokens.concat()].concat())
    }
}
