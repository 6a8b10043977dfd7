//! The bytes of one connection in either direction. A transport says itself what its next read will
//! find: that a short read has emptied it is a property of a plain socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::RawFd;

use mio::event::{Event, Source};
use mio::{Interest, Registry, Token};

use crate::net::plain::Plain;
use crate::net::secured::Secured;
use crate::net::socket::{Peer, Socket};
use crate::tls::Session;

pub(crate) use crate::net::plain::{Readiness, Received};
pub(crate) use crate::net::secured::Handshake;

/// A non-blocking way to exchange bytes with one client.
#[derive(Debug)]
pub(crate) enum Transport {
    /// The bytes are those on the socket.
    Plain(Plain),
    /// The socket carries records of TLS.
    Tls(Box<Secured>),
}

impl Transport {
    /// A socket with TLS above it, of which `write_max` bytes of replies are encrypted at once.
    pub(crate) fn secured(socket: Socket, session: Session, write_max: usize) -> Self {
        let plain = Plain::new(socket);
        Self::Tls(Box::new(Secured::new(plain, session, write_max)))
    }

    /// The other end.
    pub(crate) fn peer(&self) -> Peer {
        self.socket().peer()
    }

    /// The user number of the process at the other end, if it is one of this machine.
    pub(crate) fn uid(&self) -> Option<u32> {
        self.socket().uid()
    }

    /// The owner that the client's certificate names, such as `CN=web-1,O=Example`, if TLS has
    /// verified one.
    pub(crate) fn subject(&self) -> Option<String> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(secured) => secured.session().subject(),
        }
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
        let plain = match self {
            Self::Plain(plain) => plain,
            Self::Tls(secured) => &mut secured.plain,
        };
        plain.half_closed |= event.is_read_closed();
        // The end of the connection and its errors are found by reading.
        event.is_readable() || event.is_read_closed() || event.is_error()
    }

    /// Goes on with the handshake, one read far. A plain socket has none.
    ///
    /// # Errors
    /// It failed, or the connection is broken.
    pub(crate) fn shake_hands(&mut self) -> io::Result<Handshake> {
        match self {
            Self::Plain(_) => Ok(Handshake::Done),
            Self::Tls(secured) => secured.shake_hands(),
        }
    }

    /// Sessions that a client whose handshake is done may resume later.
    pub(crate) fn resumable(&self) -> u64 {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(secured) => secured.session().resumable(),
        }
    }

    /// Whether the peer has broken the protocol below requests.
    pub(crate) fn is_at_fault(&self) -> bool {
        matches!(self, Self::Tls(secured) if secured.is_at_fault())
    }

    /// Bytes of its own buffers.
    #[inline]
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(secured) => secured.held(),
        }
    }

    /// Whether something has arrived that is no use before more of it has.
    #[inline]
    pub(crate) fn is_amid_record(&self) -> bool {
        matches!(self, Self::Tls(secured) if secured.is_amid_record())
    }

    /// Whether bytes that it has taken wait for the socket.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        matches!(self, Self::Tls(secured) if secured.has_unsent())
    }

    /// Reads once.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline(always)]
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<Received> {
        match self {
            Self::Plain(plain) => plain.read(into),
            Self::Tls(secured) => read_secured(secured, into),
        }
    }

    /// Reads once, behind what `into` holds, up to its capacity.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn read_spare(&mut self, into: &mut Vec<u8>) -> io::Result<Received> {
        match self {
            Self::Plain(plain) => plain.read_spare(into),
            Self::Tls(secured) => secured.read(into.capacity() - into.len(), &mut |bytes| {
                let count = bytes.len().min(into.capacity() - into.len());
                into.extend_from_slice(&bytes[..count]);
                count
            }),
        }
    }

    /// Reads once into several pieces.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn read_vectored(&mut self, pieces: &mut [IoSliceMut<'_>]) -> io::Result<Received> {
        match self {
            Self::Plain(plain) => plain.read_vectored(pieces),
            Self::Tls(secured) => {
                let room = pieces.iter().map(|piece| piece.len()).sum();
                let mut rest = pieces;
                secured.read(room, &mut |bytes| {
                    let mut count = 0;
                    while count < bytes.len() && !rest.is_empty() {
                        let here = (bytes.len() - count).min(rest[0].len());
                        rest[0][..here].copy_from_slice(&bytes[count..count + here]);
                        count += here;
                        // Pieces that are full go out of the list.
                        IoSliceMut::advance_slices(&mut rest, here);
                    }
                    count
                })
            }
        }
    }

    /// Writes once; how many bytes were taken, 0 if none are taken for now.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline(always)]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.write(bytes),
            Self::Tls(secured) => write_secured(secured, bytes),
        }
    }

    /// Writes several pieces with one call, like [`Transport::write`].
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.write_vectored(pieces),
            Self::Tls(secured) => secured.write(pieces.iter().map(|piece| &**piece)),
        }
    }

    /// Writes what it has taken before and the socket has not; false if some of it still waits.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline]
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(secured) => secured.flush(),
        }
    }

    /// Tells the peer that nothing more follows, where the closed socket alone does not.
    pub(crate) fn say_goodbye(&mut self) {
        if let Self::Tls(secured) = self {
            secured.say_goodbye();
        }
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
        self.source().register(registry, token, interest(unsent))
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
        self.source().reregister(registry, token, interest(unsent))
    }

    /// Reports no more.
    ///
    /// # Errors
    /// The system refused.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }

    fn source(&mut self) -> &mut impl Source {
        match self {
            Self::Plain(plain) => &mut plain.socket,
            Self::Tls(secured) => &mut secured.plain.socket,
        }
    }

    #[inline]
    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(plain) => &plain.socket,
            Self::Tls(secured) => &secured.plain.socket,
        }
    }
}

impl From<Socket> for Transport {
    fn from(socket: Socket) -> Self {
        Self::Plain(Plain::new(socket))
    }
}

/// Reads once. It stands apart, so that a plain socket is read without a call.
#[inline(never)]
fn read_secured(secured: &mut Secured, into: &mut [u8]) -> io::Result<Received> {
    let room = into.len();
    let mut rest = into;
    secured.read(room, &mut |bytes| {
        let count = bytes.len().min(rest.len());
        let (here, behind) = std::mem::take(&mut rest).split_at_mut(count);
        here.copy_from_slice(&bytes[..count]);
        rest = behind;
        count
    })
}

/// Writes once; apart for the same reason.
#[inline(never)]
fn write_secured(secured: &mut Secured, bytes: &[u8]) -> io::Result<usize> {
    secured.write([bytes].into_iter())
}

fn interest(unsent: bool) -> Interest {
    if unsent { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
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
        let Transport::Plain(plain) = &mut transport else { panic!("{transport:?}") };
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

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_takes_more_of_a_large_value_at_once_and_of_nothing_else() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        let stream = mio::net::TcpStream::from_std(client);
        let mut transport = Transport::from(Socket::from(stream));
        let lowat = |transport: &Transport| {
            socket2::SockRef::from(transport.socket()).tcp_notsent_lowat().unwrap()
        };
        let usual = crate::net::socket::UNSENT_MAX;
        let large = vec![0; 200 << 10];
        transport.write_vectored(&[IoSlice::new(&large[..100 << 10])]).unwrap();
        let before = lowat(&transport);
        transport.write_vectored(&[IoSlice::new(b"head"), IoSlice::new(&large)]).unwrap();
        assert!(before < 2 * usual && lowat(&transport) == 2 * usual, "{before}");
        // What is left of it belongs to it.
        transport.write_vectored(&[IoSlice::new(&large[..1000])]).unwrap();
        assert_eq!(lowat(&transport), 2 * usual);
        transport.write(b"a small reply").unwrap();
        assert_eq!(lowat(&transport), usual);
    }
}
