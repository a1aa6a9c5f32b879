//! Ports that nobody else takes until their tor does.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use crate::LabError;

/// How often a port is looked for that is free for UDP and TCP.
const TRIES: u32 = 20;

/// A free port on loopback, taken by us as long as this lives.
pub(super) struct Port {
    pub(super) number: u16,
    _taken: HeldSocket,
}

enum HeldSocket {
    Tcp { _listener: TcpListener },
    Udp { _socket: UdpSocket },
}

impl Port {
    pub(super) fn take() -> Result<Self, LabError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(LabError::Port)?;
        let number = listener.local_addr().map_err(LabError::Port)?.port();
        Ok(Self { number, _taken: HeldSocket::Tcp { _listener: listener } })
    }

    /// The same port of another address on loopback for UDP and TCP.
    pub(super) fn take_both(address: Ipv4Addr) -> Result<[Self; 2], LabError> {
        let mut last = None;
        for _ in 0..TRIES {
            let socket = UdpSocket::bind((address, 0)).map_err(LabError::Port)?;
            let number = socket.local_addr().map_err(LabError::Port)?.port();
            match TcpListener::bind((address, number)) {
                Ok(listener) => {
                    let held = HeldSocket::Tcp { _listener: listener };
                    let held = [HeldSocket::Udp { _socket: socket }, held];
                    return Ok(held.map(|_taken| Self { number, _taken }));
                }
                Err(error) => last = Some(error),
            }
        }
        Err(LabError::Port(last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into())))
    }

    pub(super) fn take_udp() -> Result<Self, LabError> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(LabError::Port)?;
        let number = socket.local_addr().map_err(LabError::Port)?.port();
        Ok(Self { number, _taken: HeldSocket::Udp { _socket: socket } })
    }
}
