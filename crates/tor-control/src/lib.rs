//! The control port of a tor daemon (control-spec).
//!
//! Owns the protocol and the connection: [`Control`] sends commands, [`Events`] yields what tor
//! tells of its own accord. Knows nothing about DNS or scans, and decides nothing.
//!
//! Bytes become lines ([`mod@line`]), lines become messages and replies ([`reply`]) or events
//! ([`Event`]), and a [`Command`] becomes bytes, all without IO. The handshake is torut's, with
//! guards around it; after it, one task owns the socket. Everything that arrives is bounded in size
//! ([`line::MAX_LINE`], [`line::MAX_REPLY`]) and may be any bytes.

mod addr;
mod auth;
mod command;
mod conn;
mod err;
mod event;
pub mod line;
mod prompt;
mod quoted;
pub mod reply;

pub use addr::{CircuitId, ControlAddr, InvalidControlAddr, InvalidId, StreamId};
pub use auth::{AuthMethod, Password, ProtocolInfo};
pub use command::{Command, EventKind, MAX_COMMAND, Purpose, Signal};
pub use conn::{ConnectOptions, Control, Events, PendingReply, Pieces, Stamped};
pub use err::{Error, ErrorKind};
pub use event::{
    AddrMapEvent, BootstrapEvent, BootstrapWarning, CircuitEvent, CircuitMinorEvent, CircuitStatus,
    Event, InvalidPhase, StatusEvent, StreamEvent, StreamStatus,
};
pub use record::{Fingerprint, InvalidFingerprint};
pub use reply::Reply;
