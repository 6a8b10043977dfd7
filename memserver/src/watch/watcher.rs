//! One watcher: lines wait in a bounded buffer until its transport takes them.

use std::fmt;
use std::io::{self, ErrorKind};

use super::{Arrival, WatchPermit, line};
use crate::net::socket::Peer;
use crate::net::transport::{Readiness, Transport};

/// Reads of what a watcher sends, which is ignored, before it is closed.
const READS_MAX: usize = 64;

/// A client that watches.
pub(super) struct Watcher {
    pub(super) transport: Transport,
    pub(super) peer: Peer,
    permit: WatchPermit,
    buffer: Buffer,
    closed: Box<dyn FnOnce() + Send>,
}

impl Watcher {
    /// A watcher that has been sent nothing yet.
    pub(super) fn new(arrival: Arrival, buffer_max: usize) -> Self {
        let Arrival { transport, permit, closed } = arrival;
        let buffer = Buffer::new(buffer_max);
        Self { peer: transport.peer(), transport, permit, buffer, closed }
    }

    /// Closes the connection; what is returned is to be called once nothing counts it any more.
    pub(super) fn close(mut self) -> impl FnOnce() {
        self.transport.say_goodbye();
        self.closed
    }

    /// What it is interested in.
    pub(super) fn kinds(&self) -> u32 {
        self.permit.kinds
    }

    /// Whether it is told this line of `kind`.
    pub(super) fn wants(&self, kind: u32, line: &[u8]) -> bool {
        let prefix = &self.permit.prefix;
        self.permit.kinds & kind != 0
            && (prefix.is_empty() || line::key_of(line).is_none_or(|key| key.starts_with(prefix)))
    }

    /// Takes a line, if room can be made; false if it had to be skipped.
    pub(super) fn add(&mut self, line: &[u8]) -> bool {
        if !self.buffer.has_room(line) {
            // Whether its connection is broken is found out later.
            let _ = self.flush();
        }
        self.buffer.add(line)
    }

    /// Sends what its transport takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.buffer.unsent().is_empty() {
            match self.transport.write(self.buffer.unsent())? {
                0 => break,
                count => self.buffer.advance(count),
            }
        }
        self.transport.flush()?;
        Ok(())
    }

    /// Reads and ignores what it sends; an error if it has closed, or sends too much.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        let mut heard = [0; 4096];
        for _ in 0..READS_MAX {
            match self.transport.read(&mut heard)?.next {
                Readiness::Readable => {}
                Readiness::Drained => return Ok(()),
                Readiness::Ended => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
        // One thread serves all watchers; a client that floods it has to be closed.
        Err(ErrorKind::InvalidData.into())
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// Lines that the transport has not taken.
#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    sent: usize,
    max: usize,
    /// Lines that found no room since the last one that did.
    skipped: u64,
}

impl Buffer {
    fn new(max: usize) -> Self {
        // The reply to `watch` itself, so that it stays in front of the lines.
        Self { bytes: b"OK\r\n".to_vec(), sent: 0, max, skipped: 0 }
    }

    fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    fn has_room(&self, line: &[u8]) -> bool {
        self.unsent().len() + line.len() <= self.max
    }

    fn add(&mut self, line: &[u8]) -> bool {
        if !self.has_room(line) {
            self.skipped += 1;
            return false;
        }
        if self.sent > 0 {
            // Here and not after each write, which would move the rest every time.
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        if self.skipped > 0 {
            let skipped = format!("skipped={}\n", std::mem::take(&mut self.skipped));
            self.bytes.extend_from_slice(skipped.as_bytes());
        }
        self.bytes.extend_from_slice(line);
        true
    }

    fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_buffer_skips_lines_and_says_how_many() {
        let mut buffer = Buffer::new(20);
        assert!(buffer.add(b"0123456789\n"));
        assert!(!buffer.add(b"0123456789\n"));
        assert!(!buffer.add(b"0123456789\n"));
        assert_eq!(buffer.unsent(), b"OK\r\n0123456789\n");
        buffer.advance(10);
        assert!(buffer.add(b"0123456789\n"));
        assert_eq!(buffer.unsent(), b"6789\nskipped=2\n0123456789\n");
        buffer.advance(26);
        assert_eq!(buffer.unsent(), b"");
        assert!(buffer.add(b"x\n"));
        assert_eq!(buffer.unsent(), b"x\n");
    }
}
