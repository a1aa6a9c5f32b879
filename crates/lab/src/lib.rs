//! A private Tor network of real tor processes on loopback, whose exits' resolvers misbehave by
//! script, and the truth about each exit.
//!
//! Owns the network from its keys to its end, the resolvers, and the verdict that a true scanner
//! gives of every exit. Scans nothing itself, and is not needed in production.
//!
//! Three directory authorities, guards, exits and a client run as real tor processes. Each exit has a
//! resolver of its own, a UDP and TCP loop in this process that misbehaves by script ([`Fault`]), and
//! each fault has its truth ([`Fault::truth`]): the status, error code and blame that a scan must find.
//! The misbehaviour begins after the consensus is made, so that dead and frozen relays are in it.
//! `outside` has the resolvers alone, for a network that another program runs (`deploy/chutney`), and
//! that network's manifest. `lab store` is an S3 server in the place of every real store.

mod authority;
mod check;
mod control;
mod dns;
mod error;
mod fault;
mod keys;
mod link;
mod manifest;
mod network;
mod outside;
mod process;
mod recursor;
mod resolver;
pub mod simulated;
mod spec;
mod start;
#[cfg(feature = "store")]
mod store;
mod torrc;
mod unpacked;
pub mod world;
pub mod zone;

pub use check::{ComparedExit, ComparedResolver, Comparison, check};
pub use dns::Transport;
pub use error::LabError;
pub use fault::{EXIT_GIVES_UP_AFTER, FREEZE_IN_QUERY, Fault, Then, Truth};
pub use manifest::{
    Holder, MANIFEST_FILE, Manifest, ManifestClient, ManifestExit, ManifestGuard, ManifestZone,
    PACE, SETTINGS_FILE, TORRC_FILE,
};
pub use network::{Client, LabExit, LabGuard, Network};
pub use outside::{BANDWIDTHS_FILE, Offer, RESOLVERS_FILE, StandingResolvers, Told, WantedExit};
pub use recursor::{Recursor, ResolverTruth};
pub use resolver::HeardQuery;
pub use spec::Spec;
pub use start::LabProgress;
#[cfg(feature = "store")]
pub use store::{R2_BUCKET, SPACES_BUCKET, StoreKey, StoreServer};
pub use torrc::TAKES_LOOPBACK;
pub use unpacked::unpacked;
