//! A socket with TLS above it: records go between the socket and the session through buffers that
//! all connections of a thread share, so that an idle connection owns none.

use std::cell::RefCell;
use std::io::{self, ErrorKind};

use crate::net::plain::{self, Plain, Readiness, Received};
use crate::tls::Session;

/// Bytes of records that one read brings at most.
const READ_MAX: usize = 128 << 10;
/// The same at least: a record and its frame.
const READ_MIN: usize = (16 << 10) + 512;
/// The same behind a record that has begun.
const READ_ON_MIN: usize = 4 << 10;
/// Reads without a byte for the caller, after which a peer that sends nothing but empty records
/// is closed.
const READS_MAX: usize = 16;

thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

/// Buffers for what is in use within one call.
struct Scratch {
    received: Vec<u8>,
    plain: Vec<u8>,
    encrypted: Vec<u8>,
}

impl Scratch {
    const fn new() -> Self {
        Self { received: Vec::new(), plain: Vec::new(), encrypted: Vec::new() }
    }
}

/// A socket with TLS above it.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(super) plain: Plain,
    session: Session,
    /// Records that the socket has not taken, of which the first `sent` bytes are gone.
    unsent: Vec<u8>,
    sent: usize,
    /// Bytes of replies that are encrypted at once. So much waits at most for a client that does
    /// not read.
    write_max: usize,
    /// The peer, or a stranger in between, has broken the protocol.
    is_at_fault: bool,
}

/// How far a handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// The peer has to send something.
    Waits,
    /// There may be more to read.
    GoesOn,
    /// Requests can be exchanged.
    Done,
}

impl Secured {
    /// A socket whose peer has yet to begin.
    pub(super) fn new(plain: Plain, session: Session, write_max: usize) -> Self {
        Self { plain, session, unsent: Vec::new(), sent: 0, write_max, is_at_fault: false }
    }

    /// Its session.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether the peer has broken the protocol.
    pub(super) fn is_at_fault(&self) -> bool {
        self.is_at_fault
    }

    /// Bytes of its buffers.
    pub(super) fn held(&self) -> usize {
        self.unsent.capacity() + self.session.held()
    }

    /// Whether a part of a record has arrived.
    pub(super) fn is_amid_record(&self) -> bool {
        !self.session.partial().is_empty()
    }

    /// Whether records wait for the socket.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Goes on with the handshake, one read far.
    ///
    /// # Errors
    /// The peer has closed, perhaps because both can't agree, which it was told. Or it sends too
    /// much.
    pub(super) fn shake_hands(&mut self) -> io::Result<Handshake> {
        if self.is_at_fault {
            return self.refuse();
        }
        if !self.flush()? {
            return Ok(Handshake::Waits);
        }
        // What follows the handshake is for those who read later.
        let read = match self.read_once(READ_MIN, &mut |_| 0) {
            Err(_) if self.is_at_fault => return self.refuse(),
            read => read?,
        };
        self.flush()?;
        if !self.session.is_handshaking() {
            return Ok(Handshake::Done);
        }
        match read.next {
            Readiness::Ended => Err(ErrorKind::UnexpectedEof.into()),
            Readiness::Drained => Ok(Handshake::Waits),
            Readiness::Readable => Ok(Handshake::GoesOn),
        }
    }

    /// Waits for the peer to close, which has been told why. What it sends meanwhile is ignored.
    fn refuse(&mut self) -> io::Result<Handshake> {
        self.plain.ignore().map(|()| Handshake::Waits)
    }

    /// Reads until `sink`, which takes up to `room` bytes, has got some or there are no more.
    pub(super) fn read(
        &mut self,
        room: usize,
        sink: &mut dyn FnMut(&[u8]) -> usize,
    ) -> io::Result<Received> {
        if self.session.has_plain() {
            let bytes = self.session.take_plain(sink);
            return Ok(Received { bytes, next: self.after_plain() });
        }
        for _ in 0..READS_MAX {
            let received = self.read_once(room, sink)?;
            if received.bytes > 0 || received.next != Readiness::Readable {
                // Key changes and the like.
                self.flush()?;
                return Ok(received);
            }
        }
        self.is_at_fault = true;
        Err(ErrorKind::InvalidData.into())
    }

    /// Reads records once and decrypts those that are complete.
    fn read_once(
        &mut self,
        room: usize,
        sink: &mut dyn FnMut(&[u8]) -> usize,
    ) -> io::Result<Received> {
        if self.session.is_ended() {
            return Ok(Received { bytes: 0, next: Readiness::Ended });
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let start = self.session.partial().len();
            // What is here already counts: little more is decrypted than there is room for.
            let end = room.clamp(READ_MIN, READ_MAX).max(start + READ_ON_MIN);
            if scratch.received.len() < end {
                scratch.received.resize(end, 0);
            }
            let buffer = &mut scratch.received[..end];
            let received = self.plain.read(&mut buffer[start..])?;
            if received.bytes == 0 {
                return Ok(received);
            }
            buffer[..start].copy_from_slice(self.session.partial());
            let filled = &mut buffer[..start + received.bytes];
            let mut bytes = 0;
            let mut count = |payload: &[u8]| {
                let taken = sink(payload);
                bytes += taken;
                taken
            };
            let result = self.session.receive(filled, &mut count);
            let outgoing = self.session.take_outgoing();
            if !outgoing.is_empty() {
                self.unsent.extend_from_slice(&outgoing);
            }
            if result.is_err() {
                return Err(self.fail());
            }
            let next = match received.next {
                _ if self.session.has_plain() => Readiness::Readable,
                _ if self.session.is_ended() => Readiness::Ended,
                next => next,
            };
            Ok(Received { bytes, next })
        })
    }

    /// What a read finds after one that took what waited.
    fn after_plain(&self) -> Readiness {
        if self.session.is_ended() && !self.session.has_plain() {
            Readiness::Ended
        } else {
            Readiness::Readable
        }
    }

    /// Tells the peer, as far as the socket takes it, and sends no more.
    #[cold]
    fn fail(&mut self) -> io::Error {
        self.is_at_fault = true;
        let _ = self.flush();
        self.plain.socket.end();
        ErrorKind::InvalidData.into()
    }

    /// Encrypts a part of the pieces and writes it; how many bytes were taken, 0 if none are taken
    /// for now. What the socket does not take is kept.
    pub(super) fn write<'p>(
        &mut self,
        mut pieces: impl Iterator<Item = &'p [u8]>,
    ) -> io::Result<usize> {
        if !self.flush()? {
            return Ok(0);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { plain, encrypted, .. } = scratch;
            let first = pieces.next().unwrap_or_default();
            // A value is encrypted from where it lies; small pieces share a record.
            let bytes = if first.len() >= self.write_max {
                &first[..self.write_max]
            } else {
                plain.clear();
                plain.extend_from_slice(first);
                for piece in pieces {
                    let room = self.write_max - plain.len();
                    plain.extend_from_slice(&piece[..piece.len().min(room)]);
                    if piece.len() >= room {
                        break;
                    }
                }
                &plain[..]
            };
            let length = self.session.encrypt(bytes, encrypted).map_err(io::Error::other)?;
            self.send(&encrypted[..length])?;
            Ok(bytes.len())
        })
    }

    /// Writes records, and keeps what the socket does not take.
    fn send(&mut self, records: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while sent < records.len() {
            match plain::taken(|| self.plain.socket.write(&records[sent..]))? {
                0 => {
                    self.unsent = records[sent..].to_vec();
                    return Ok(());
                }
                count => sent += count,
            }
        }
        Ok(())
    }

    /// Writes what was kept; false if some of it is not taken.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        while self.sent < self.unsent.len() {
            match plain::taken(|| self.plain.socket.write(&self.unsent[self.sent..]))? {
                0 => return Ok(false),
                count => self.sent += count,
            }
        }
        if self.sent > 0 {
            self.unsent = Vec::new();
            self.sent = 0;
        }
        Ok(true)
    }

    /// Tells the peer that nothing more follows, if that can be said at once.
    pub(super) fn say_goodbye(&mut self) {
        // Behind half a record it would not be understood.
        if self.session.is_handshaking() || self.is_at_fault || self.has_unsent() {
            return;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            if let Ok(length) = self.session.say_goodbye(&mut scratch.encrypted) {
                // The connection ends whether the peer hears it or not.
                let _ = self.plain.socket.write(&scratch.encrypted[..length]);
            }
        });
    }
}
