//! The bytes of one connection in either direction. A transport says itself what its next read will
//! find: that a short read has emptied it is a property of a plain socket.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::RawFd;

use mio::event::{Event, Source};
use mio::{Interest, Registry, Token};

use crate::net::socket::{Peer, Socket};

/// A non-blocking way to exchange bytes with one client.
#[derive(Debug)]
pub(crate) enum Transport {
    /// The bytes are those on the socket.
    Plain(Plain),
}

/// A socket whose bytes are taken as they are.
#[derive(Debug)]
pub(crate) struct Plain {
    socket: Socket,
    /// The peer has said that it will send no more; what it sent before may still be unread.
    half_closed: bool,
}

/// What the next read will find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Nothing, until an event says otherwise.
    Drained,
    /// Bytes, perhaps.
    Readable,
    /// Nothing ever: all that the peer sent has been read.
    Ended,
}

/// What a read has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Bytes.
    pub(crate) bytes: usize,
    /// What the next read will find.
    pub(crate) next: Readiness,
}

impl Transport {
    /// The other end.
    pub(crate) fn peer(&self) -> Peer {
        self.socket().peer()
    }

    /// The user number of the process at the other end, if it is one of this machine.
    pub(crate) fn uid(&self) -> Option<u32> {
        self.socket().uid()
    }

    /// Both ends as memcached writes them, the other one first.
    pub(crate) fn ends(&self) -> (String, String) {
        self.socket().ends()
    }

    /// The descriptor's number, for log lines.
    pub(crate) fn number(&self) -> RawFd {
        self.socket().number()
    }

    /// Takes note of an event; whether it may have brought something to read.
    #[inline]
    pub(crate) fn on_event(&mut self, event: &Event) -> bool {
        let Self::Plain(plain) = self;
        plain.half_closed |= event.is_read_closed();
        // The end of the connection and its errors are found by reading.
        event.is_readable() || event.is_read_closed() || event.is_error()
    }

    /// Reads once.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline]
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<Received> {
        let Self::Plain(plain) = self;
        plain.receive(into.len(), |socket| socket.read(into))
    }

    /// Reads once, behind what `into` holds, up to its capacity.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn read_spare(&mut self, into: &mut Vec<u8>) -> io::Result<Received> {
        let Self::Plain(plain) = self;
        plain.receive(into.capacity() - into.len(), |socket| socket.read_spare(into))
    }

    /// Reads once into several pieces.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn read_vectored(&mut self, pieces: &mut [IoSliceMut<'_>]) -> io::Result<Received> {
        let Self::Plain(plain) = self;
        let room = pieces.iter().map(|piece| piece.len()).sum();
        plain.receive(room, |socket| socket.read_vectored(pieces))
    }

    /// Writes once; how many bytes were taken, 0 if none are taken for now.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        taken(|| self.socket().write(bytes))
    }

    /// Writes several pieces with one call, like [`Transport::write`].
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        taken(|| self.socket().write_vectored(pieces))
    }

    /// Begins to report to `registry` when there may be something to read, and, while bytes are
    /// `unsent`, when more may be written.
    ///
    /// # Errors
    /// The system refused.
    pub(crate) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        unsent: bool,
    ) -> io::Result<()> {
        let interest = self.interest(unsent);
        self.source().register(registry, token, interest)
    }

    /// Changes what is reported to that of [`Transport::register`]. What is the case already is
    /// reported again.
    ///
    /// # Errors
    /// The system refused.
    pub(crate) fn rearm(
        &mut self,
        registry: &Registry,
        token: Token,
        unsent: bool,
    ) -> io::Result<()> {
        let interest = self.interest(unsent);
        self.source().reregister(registry, token, interest)
    }

    /// Reports no more.
    ///
    /// # Errors
    /// The system refused.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }

    /// The events that it needs. A plain socket has nothing of its own to write.
    fn interest(&self, unsent: bool) -> Interest {
        let Self::Plain(_) = self;
        if unsent { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
    }

    fn source(&mut self) -> &mut impl Source {
        let Self::Plain(plain) = self;
        &mut plain.socket
    }

    #[inline]
    fn socket(&self) -> &Socket {
        let Self::Plain(plain) = self;
        &plain.socket
    }
}

impl From<Socket> for Transport {
    fn from(socket: Socket) -> Self {
        Self::Plain(Plain { socket, half_closed: false })
    }
}

impl Plain {
    /// Reads with `read`, which has `room` bytes of room.
    // Inlined into each read, where the compiler sees the call to the system.
    #[inline(always)]
    fn receive(
        &mut self,
        room: usize,
        mut read: impl FnMut(&Socket) -> io::Result<usize>,
    ) -> io::Result<Received> {
        loop {
            match read(&self.socket) {
                Ok(bytes) => {
                    // A short read has emptied the socket. If the peer has closed its side, that
                    // was the last of its bytes, and the read that would return 0 is saved.
                    let next = if bytes == 0 || (self.half_closed && bytes < room) {
                        Readiness::Ended
                    } else if bytes < room {
                        // What comes later makes a new event.
                        Readiness::Drained
                    } else {
                        Readiness::Readable
                    };
                    return Ok(Received { bytes, next });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Received { bytes: 0, next: Readiness::Drained });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Writes with `write`, again if a signal came in between.
#[inline]
fn taken(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            // Tried again it would loop for ever.
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_read_says_what_the_next_will_find() {
        let (ours, mut theirs) = mio::net::UnixStream::pair().unwrap();
        let mut transport = Transport::from(Socket::from(ours));
        let read = |transport: &mut Transport| {
            let received = transport.read(&mut [0; 4]).unwrap();
            (received.bytes, received.next)
        };
        assert_eq!(read(&mut transport), (0, Readiness::Drained));
        theirs.write_all(b"123456").unwrap();
        assert_eq!(read(&mut transport), (4, Readiness::Readable));
        assert_eq!(read(&mut transport), (2, Readiness::Drained));
        theirs.write_all(b"1234567").unwrap();
        let Transport::Plain(plain) = &mut transport;
        plain.half_closed = true;
        assert_eq!(read(&mut transport), (4, Readiness::Readable));
        assert_eq!(read(&mut transport), (3, Readiness::Ended));
        drop(theirs);
        assert_eq!(read(&mut transport), (0, Readiness::Ended));
    }

    #[test]
    fn pieces_are_filled_in_order() {
        let (ours, mut theirs) = mio::net::UnixStream::pair().unwrap();
        let mut transport = Transport::from(Socket::from(ours));
        theirs.write_all(b"12345").unwrap();
        let mut first = [0; 2];
        let mut second = [0; 4];
        let mut pieces = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        let received = transport.read_vectored(&mut pieces).unwrap();
        assert_eq!(received, Received { bytes: 5, next: Readiness::Drained });
        assert_eq!((&first[..], &second[..3]), (&b"12"[..], &b"345"[..]));
    }
}
