//! Where a control port is, and the names of circuits and streams on it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a control port, written `HOST:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ControlAddr {
    /// `HOST:PORT`; an IPv6 address stands in brackets.
    Tcp(String),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// Text that is not the address of a control port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the address of a control port is HOST:PORT or unix:PATH, for example 127.0.0.1:9051 or \
     unix:/run/tor/control"
)]
pub struct InvalidControlAddr;

impl FromStr for ControlAddr {
    type Err = InvalidControlAddr;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            let fit = !path.is_empty() && !path.contains('\0');
            return fit.then(|| Self::Unix(path.into())).ok_or(InvalidControlAddr);
        }
        let (host, port) = text.rsplit_once(':').ok_or(InvalidControlAddr)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host_fits = match bare {
            Some(ipv6) => ipv6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
            }
        };
        let port_fits = port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port != 0);
        if host_fits && port_fits {
            Ok(Self::Tcp(text.to_owned()))
        } else {
            Err(InvalidControlAddr)
        }
    }
}

impl fmt::Display for ControlAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(&record::printable(address)),
            Self::Unix(path) => {
                write!(f, "unix:{}", record::printable(&path.display().to_string()))
            }
        }
    }
}

/// Text that is not the id of a circuit or a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to 16 letters and digits, and not 0, which stands for none")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The id as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let fit = (1..=16).contains(&text.len())
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
                    && text != "0";
                fit.then(|| Self(text.into())).ok_or(InvalidId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

id! {
    /// Tor's name of a circuit (control-spec, "CircuitID": 1 to 16 letters and digits).
    CircuitId
}

id! {
    /// Tor's name of a stream (control-spec, "StreamID": 1 to 16 letters and digits).
    StreamId
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in ["127.0.0.1:9051", "localhost:1", "[::1]:65535", "unix:/run/tor/c", "unix:c"] {
            assert_eq!(text.parse::<ControlAddr>().unwrap().to_string(), text);
        }
        for text in [
            "",
            ":",
            "9051",
            "localhost",
            ":9051",
            "h:0",
            "h:65536",
            "h:+1",
            "h:",
            "unix:",
            "::1:9051",
            "[x]:1",
            "[::1]",
            "a b:1",
            "a\r\nb:1",
            "unix:\0",
        ] {
            assert_eq!(text.parse::<ControlAddr>(), Err(InvalidControlAddr), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_id_holds_nothing_that_could_end_a_word(text in "\\PC{0,18}|[0-9a-zA-Z]{0,18}|.{0,3}") {
            if let Ok(id) = text.parse::<CircuitId>() {
                prop_assert!(id.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric()));
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn ids_are_checked() {
        assert_eq!("7".parse::<StreamId>().unwrap().to_string(), "7");
        for text in ["", "0", "12345678901234567", "1 2", "1\r", "é", "-1"] {
            assert_eq!(text.parse::<StreamId>(), Err(InvalidId), "{text:?}");
        }
    }
}
