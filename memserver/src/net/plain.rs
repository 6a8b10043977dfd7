//! A socket whose bytes are taken as they are.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};

use crate::net::socket::{Socket, UNSENT_MAX, UNSENT_MAX_LARGE};

/// Bytes that one read ignores at most.
const IGNORED: usize = 4 << 10;
/// Such reads in a row, after which a peer that goes on sending is closed.
const IGNORED_READS: usize = 16;
/// With at least this many bytes to send, more of them are given to the system at once.
const LARGE_MIN: usize = 128 << 10;

/// A socket whose bytes are taken as they are.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(super) socket: Socket,
    /// The peer has said that it will send no more; what it sent before may still be unread.
    pub(super) half_closed: bool,
    /// Whether the system takes more bytes at once than usual.
    takes_more: bool,
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

impl Plain {
    /// A socket with which nothing was done yet.
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, half_closed: false, takes_more: false }
    }

    /// Reads once.
    #[inline]
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<Received> {
        self.receive(into.len(), |socket| socket.read(into))
    }

    /// Reads once, behind what `into` holds, up to its capacity.
    pub(super) fn read_spare(&mut self, into: &mut Vec<u8>) -> io::Result<Received> {
        self.receive(into.capacity() - into.len(), |socket| socket.read_spare(into))
    }

    /// Reads once into several pieces.
    pub(super) fn read_vectored(&mut self, pieces: &mut [IoSliceMut<'_>]) -> io::Result<Received> {
        let room = pieces.iter().map(|piece| piece.len()).sum();
        self.receive(room, |socket| socket.read_vectored(pieces))
    }

    /// Writes once; how many bytes were taken, 0 if none are taken for now.
    #[inline(always)]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.takes_more {
            self.take_more(false)?;
        }
        taken(|| self.socket.write(bytes))
    }

    /// Writes several pieces with one call, like [`Plain::write`].
    pub(super) fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let is_large = || pieces.iter().map(|piece| piece.len()).sum::<usize>() >= LARGE_MIN;
        // The rest of a large value is sent as its beginning was.
        if !self.takes_more && is_large() {
            self.take_more(true)?;
        }
        taken(|| self.socket.write_vectored(pieces))
    }

    /// Has the system take more bytes at once, or no more than usual again.
    #[cold]
    fn take_more(&mut self, more: bool) -> io::Result<()> {
        self.takes_more = more;
        self.socket.set_unsent_max(if more { UNSENT_MAX_LARGE } else { UNSENT_MAX })
    }

    /// Reads and ignores what the peer has sent. Closed with unread bytes, a connection is reset,
    /// and the peer loses what it was told last.
    ///
    /// # Errors
    /// It has closed, or sends too much.
    pub(super) fn ignore(&mut self) -> io::Result<()> {
        let mut ignored = [0; IGNORED];
        for _ in 0..IGNORED_READS {
            match self.read(&mut ignored)?.next {
                Readiness::Readable => {}
                Readiness::Drained => return Ok(()),
                Readiness::Ended => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
        Err(ErrorKind::InvalidData.into())
    }

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
pub(super) fn taken(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
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
