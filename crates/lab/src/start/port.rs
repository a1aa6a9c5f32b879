//! Ports that nobody else takes until their tor does.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use crate::LabError;

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

    pub(super) fn take_udp() -> Result<Self, LabError> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(LabError::Port)?;
        let number = socket.local_addr().map_err(LabError::Port)?.port();
        Ok(Self { number, _taken: HeldSocket::Udp { _socket: socket } })
    }
}
