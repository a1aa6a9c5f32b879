//! The zone that the project keeps for everybody's scans.

use std::net::{IpAddr, Ipv4Addr};

/// The zone that answers every name under it with [`DEFAULT_EXPECTED`].
pub const DEFAULT_DOMAIN: &str = "tor.exit.validator.1aeo.com";

/// What every name in [`DEFAULT_DOMAIN`] resolves to.
pub const DEFAULT_EXPECTED: IpAddr = IpAddr::V4(Ipv4Addr::new(64, 65, 4, 1));
