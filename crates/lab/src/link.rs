//! The way to an exit whose links break: a relay of bytes between its published port and the port
//! where its tor listens, which lets go of every connection when it is told to.
//!
//! So circuits die in mid-query while the exit lives. Killing and restarting its tor would not do:
//! until a tor that has just started has built its descriptor, it takes itself for no exit and
//! answers every lookup with the permanent error.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::LabError;

/// The way to one exit, before it is open.
#[derive(Debug)]
pub(crate) struct Link {
    listener: std::net::TcpListener,
    exit: SocketAddr,
    /// How long bytes take each way.
    delay: Duration,
}

/// Breaks a link. It works again at once, for new connections.
#[derive(Debug)]
pub(crate) struct Cut(watch::Sender<()>);

impl Link {
    /// Takes a port of its own; the exit listens on `exit` on loopback, and a round trip to it takes
    /// so much longer.
    pub(crate) fn bind(exit: u16, round_trip: Duration) -> Result<Self, LabError> {
        let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        let exit = SocketAddr::from((Ipv4Addr::LOCALHOST, exit));
        Ok(Self { listener: taken.map_err(LabError::Port)?, exit, delay: round_trip / 2 })
    }

    /// The port that the world is to know.
    pub(crate) fn port(&self) -> Result<u16, LabError> {
        Ok(self.listener.local_addr().map_err(LabError::Port)?.port())
    }

    /// Opens it; to be called in a runtime.
    pub(crate) fn open(self) -> io::Result<Cut> {
        let listener = TcpListener::from_std(self.listener)?;
        let (cut, breaks) = watch::channel(());
        tokio::spawn(serve(listener, self.exit, self.delay, breaks));
        Ok(Cut(cut))
    }
}

impl Cut {
    /// Lets go of every connection there is.
    pub(crate) fn cut(&self) {
        self.0.send_replace(());
    }
}

async fn serve(
    listener: TcpListener,
    exit: SocketAddr,
    delay: Duration,
    breaks: watch::Receiver<()>,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: others close theirs.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let mut breaks = breaks.clone();
        breaks.mark_unchanged();
        tokio::spawn(async move {
            tokio::select! {
                // Either way the connection has ended.
                _ = carry(stream, exit, delay) => {}
                _ = breaks.changed() => {}
            }
        });
    }
}

async fn carry(mut from: TcpStream, exit: SocketAddr, delay: Duration) -> io::Result<()> {
    let mut to = TcpStream::connect(exit).await?;
    from.set_nodelay(true)?;
    to.set_nodelay(true)?;
    if delay.is_zero() {
        copy_bidirectional(&mut from, &mut to).await?;
        return Ok(());
    }
    let ((from_in, from_out), (to_in, to_out)) = (from.into_split(), to.into_split());
    tokio::select! {
        done = late(from_in, to_out, delay) => done,
        done = late(to_in, from_out, delay) => done,
    }
}

/// How many pieces may be under way at once, each way.
const UNDER_WAY: usize = 1_000;

/// Carries bytes one way, each so long after it came.
async fn late(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) -> io::Result<()> {
    let (send, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let read = async {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 || send.send((now() + delay, buffer[..length].to_vec())).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async {
        while let Some((at, piece)) = pieces.recv().await {
            tokio::time::sleep_until(at).await;
            to.write_all(&piece).await?;
        }
        Ok(())
    };
    tokio::select! {
        done = read => done,
        done = write => done,
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: when a byte came")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_link_carries_bytes_late_and_in_order() {
        let exit = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let round_trip = Duration::from_millis(200);
        let link = Link::bind(exit.local_addr().unwrap().port(), round_trip).unwrap();
        let port = link.port().unwrap();
        let _cut = link.open().unwrap();
        let mut from = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let began = now();
        from.write_all(b"pi").await.unwrap();
        from.write_all(b"ng").await.unwrap();
        let (mut to, _) = exit.accept().await.unwrap();
        let mut bytes = [0; 4];
        to.read_exact(&mut bytes).await.unwrap();
        to.write_all(&bytes).await.unwrap();
        from.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ping");
        assert!(began.elapsed() >= round_trip, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn carries_bytes_until_it_is_cut_and_then_anew() {
        let exit = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Link::bind(exit.local_addr().unwrap().port(), Duration::ZERO).unwrap();
        let port = link.port().unwrap();
        let cut = link.open().unwrap();
        for _ in 0..2 {
            let mut from = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            from.write_all(b"ping").await.unwrap();
            let (mut to, _) = exit.accept().await.unwrap();
            let mut bytes = [0; 4];
            to.read_exact(&mut bytes).await.unwrap();
            assert_eq!(&bytes, b"ping");
            cut.cut();
            // An end or a reset, and no byte.
            assert!(matches!(from.read(&mut bytes).await, Ok(0) | Err(_)));
            assert!(matches!(to.read(&mut bytes).await, Ok(0) | Err(_)));
        }
    }
}
