//! A connected stream of either family.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net as unix;
use std::path::Path;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::buffer::spare_capacity;
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, recv, recvmsg, send, sendmsg,
};
use socket2::SockRef;

/// Bytes of replies that the system takes before they can be sent. It would keep megabytes for a
/// client that reads nothing; what is on its way to one that reads does not count.
pub(super) const UNSENT_MAX: u32 = 32 << 10;
/// The same for large values. They are sent with fewer calls, each of which wakes the client.
pub(super) const UNSENT_MAX_LARGE: u32 = 64 << 10;

/// A non-blocking connection to one client.
#[derive(Debug)]
pub(crate) enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// An address.
    Tcp(SocketAddr),
    /// A process on this machine.
    Local,
    /// Reset the connection before its address was looked up.
    Gone,
}

impl fmt::Display for Peer {
    /// As `stats conns` writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(&tcp(Ok(*address))),
            Self::Local => f.write_str("unix"),
            Self::Gone => f.write_str("unknown"),
        }
    }
}

impl Socket {
    /// The descriptor's number, for log lines.
    pub(crate) fn number(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }

    /// The other end.
    pub(crate) fn peer(&self) -> Peer {
        match self {
            Self::Tcp(stream) => stream.peer_addr().map_or(Peer::Gone, Peer::Tcp),
            Self::Unix(_) => Peer::Local,
        }
    }

    /// The user number of the process at the other end of a Unix socket.
    pub(crate) fn uid(&self) -> Option<u32> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(stream) => {
                let process = rustix::net::sockopt::socket_peercred(stream);
                process.ok().map(|process| process.uid.as_raw())
            }
        }
    }

    /// Both ends as memcached writes them, the other one first.
    pub(crate) fn ends(&self) -> (String, String) {
        match self {
            Self::Tcp(stream) => (tcp(stream.peer_addr()), tcp(stream.local_addr())),
            Self::Unix(stream) => {
                let path = unix(stream.local_addr());
                (path.clone(), path)
            }
        }
    }

    /// Reads once.
    #[inline]
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let (len, _) = recv(self, into, RecvFlags::empty())?;
        Ok(len)
    }

    /// Reads once, behind what `into` holds, up to its capacity.
    pub(crate) fn read_spare(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        // Into memory that is not initialised, which need not be zeroed first.
        let (len, _) = recv(self, spare_capacity(into), RecvFlags::empty())?;
        Ok(len)
    }

    /// Reads once into several pieces.
    pub(crate) fn read_vectored(&self, pieces: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut nothing_else = RecvAncillaryBuffer::default();
        Ok(recvmsg(self, pieces, &mut nothing_else, RecvFlags::empty())?.bytes)
    }

    /// Writes once.
    #[inline]
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        // Without this flag a client that has closed would send us SIGPIPE, which ends the process.
        Ok(send(self, bytes, SendFlags::NOSIGNAL)?)
    }

    /// Sets how many bytes of replies the system takes before they can be sent.
    pub(super) fn set_unsent_max(&self, bytes: u32) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => set_unsent_max(&SockRef::from(stream), bytes),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Sends no more.
    pub(crate) fn end(&self) {
        // A connection that the peer has reset is at its end already.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Writes several pieces with one call.
    pub(crate) fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut nothing_else = SendAncillaryBuffer::default();
        Ok(sendmsg(self, pieces, &mut nothing_else, SendFlags::NOSIGNAL)?)
    }
}

/// The same for any TCP socket. Other systems have no such limit.
pub(super) fn set_unsent_max(socket: &SockRef<'_>, bytes: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(bytes)?;
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, bytes);
    Ok(())
}

/// `tcp:ADDRESS:PORT`, with `tcp6` and brackets for the other family.
pub(crate) fn tcp(address: io::Result<SocketAddr>) -> String {
    match address {
        Ok(address @ SocketAddr::V4(_)) => format!("tcp:{address}"),
        Ok(address @ SocketAddr::V6(_)) => format!("tcp6:{address}"),
        Err(_) => "tcp:".to_owned(),
    }
}

/// The same with `udp` and `udp6`.
pub(crate) fn udp(address: io::Result<SocketAddr>) -> String {
    tcp(address).replacen("tcp", "udp", 1)
}

/// `unix:PATH`.
pub(crate) fn unix(address: io::Result<unix::SocketAddr>) -> String {
    let path = address.ok().and_then(|address| address.as_pathname().map(Path::to_owned));
    format!("unix:{}", path.unwrap_or_default().display())
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, on: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.register(registry, token, on),
            Self::Unix(stream) => stream.register(registry, token, on),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, on: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.reregister(registry, token, on),
            Self::Unix(stream) => stream.reregister(registry, token, on),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.deregister(registry),
            Self::Unix(stream) => stream.deregister(registry),
        }
    }
}
