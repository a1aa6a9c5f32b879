//! Who is to be told what: what other programs read of a report, and what is sent to people and programs
//! where something fails, or works again.
//!
//! Reads published reports. Decides nothing about relays, and changes no report. What needs the network is
//! there with the feature `send`.

#[cfg(feature = "send")]
mod backup;
#[cfg(feature = "send")]
mod causes;
#[cfg(feature = "send")]
pub mod cli;
#[cfg(feature = "send")]
pub mod evidence;
pub mod export;
#[cfg(feature = "send")]
mod feed;
#[cfg(feature = "send")]
pub mod heartbeat;
pub mod incident;
#[cfg(feature = "send")]
pub mod keys;
#[cfg(feature = "send")]
mod letter;
#[cfg(feature = "send")]
mod mail;
#[cfg(feature = "send")]
pub mod memory;
#[cfg(feature = "send")]
pub mod notices;
#[cfg(feature = "send")]
mod parcel;
#[cfg(feature = "send")]
pub mod requests;
pub mod seen;
#[cfg(feature = "send")]
pub mod subscription;
#[cfg(feature = "send")]
mod webhook;
pub mod words;

/// The settings of notices that are secret.
pub const SECRETS: [&str; 5] = [
    "NOTIFY_WEBHOOK_URL",
    "NOTIFY_WEBHOOK_KEY",
    "NOTIFY_ALERTMANAGER_URL",
    "NOTIFY_SMTP_URL",
    "NOTIFY_KEY",
];
