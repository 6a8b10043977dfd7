//! One client's connection: it moves bytes between a socket and a session and remembers what is
//! left over. It must never know what the bytes mean.

use std::io::{self, ErrorKind};

use crate::config::Binding;
use crate::net::socket::{Peer, Socket};
use crate::session::Session;
use crate::session::output::Output;
use crate::state::budgets::Permit;
use crate::state::counters::Counters;

/// Bytes that a read asks for, unless a larger value is known to be on its way.
pub(crate) const READ_MIN: usize = 16 << 10;
/// Bytes that a read asks for at least that goes on with a request.
const READ_ON_MIN: usize = 4 << 10;
/// Bytes that a read asks for at most.
const READ_MAX: usize = 128 << 10;
/// Bytes that a client who reads as fast as we write is sent before others get their turn.
pub(crate) const SENT_MAX: usize = 1 << 20;
/// Left-over bytes that are moved to the front of their buffer at once. It takes longer with more
/// of them, and a long line can be left over many times.
const MOVED_MAX: usize = 64 << 10;
/// A left-over buffer may be empty for so many bytes, and for half of it, before it shrinks.
const SLACK: usize = 1 << 10;

/// One client. An idle one owns no buffer.
#[derive(Debug)]
pub(crate) struct Conn {
    /// Where its bytes come from and go.
    pub(crate) socket: Socket,
    /// What they mean.
    pub(crate) session: Session,
    /// Bytes received that the session has not used, behind others.
    pub(crate) input: Vec<u8>,
    /// Bytes of `input` that the session has used.
    pub(crate) used: usize,
    /// Replies that the socket did not take. While there are any, nothing is read or executed.
    pub(crate) backlog: Option<Box<Output>>,
    /// The socket may have bytes that were not read.
    pub(crate) readable: bool,
    /// The peer has said that it will send no more; what it sent before may still be unread.
    pub(crate) half_closed: bool,
    /// Everything that the peer sent has been read.
    pub(crate) ended: bool,
    /// It waits for its turn.
    pub(crate) queued: bool,
    /// The unused input holds whole requests that did not get their turn.
    pub(crate) has_work: bool,
    /// The budget's part that `input` takes because it is large.
    pub(crate) long_line: Option<Permit>,
    /// A value is arriving in a place of its own.
    pub(crate) uploading: bool,
    /// The other end, noted at the beginning if somebody watched: a connection that was reset can't
    /// be asked any more.
    pub(crate) peer: Option<Box<Peer>>,
    /// Second of the last bytes received, or sent by a connection that had been stuck.
    pub(crate) last_active: u32,
}

/// Where a read put its bytes.
#[derive(Debug)]
pub(crate) enum Input {
    /// In the worker's arena.
    Arena { start: usize, len: usize },
    /// In a buffer of their own, behind what was left over before.
    Own(Vec<u8>),
}

impl Conn {
    /// A connection that has just been accepted.
    pub(crate) fn new(socket: Socket, binding: Binding, now: u32) -> Self {
        Self {
            socket,
            session: Session::new(binding),
            input: Vec::new(),
            used: 0,
            backlog: None,
            readable: false,
            half_closed: false,
            ended: false,
            queued: false,
            has_work: false,
            long_line: None,
            uploading: false,
            peer: None,
            last_active: now,
        }
    }

    /// Reads once, unless the last request is still being answered, into `arena` if nothing is left
    /// over from before; `None` if there is nothing to look at.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        arena: &mut [u8],
        start: usize,
        counters: &Counters,
    ) -> io::Result<Option<Input>> {
        if self.session.is_streaming() {
            return Ok(Some(Input::Own(std::mem::take(&mut self.input))));
        }
        let wants_more = self.readable && !self.has_work;
        if self.input.is_empty() {
            if !wants_more {
                return Ok(None);
            }
            let room = self.session.expected().clamp(READ_MIN, READ_MAX);
            let end = arena.len().min(start + room);
            let len =
                self.receive(end - start, counters, |socket| socket.read(&mut arena[start..end]))?;
            return Ok((len > 0 || self.ended).then_some(Input::Arena { start, len }));
        }
        let mut input = std::mem::take(&mut self.input);
        if wants_more {
            // With thousands of clients whose values come in parts, room for more would add up.
            let missing = self.session.expected().saturating_sub(input.len());
            let room = missing.clamp(READ_ON_MIN, READ_MAX);
            if input.len() < READ_MAX {
                input.reserve_exact(room);
            } else {
                // A long line would be copied for every piece of it.
                input.reserve(room);
            }
            let room = input.capacity() - input.len();
            self.receive(room, counters, |socket| socket.read_spare(&mut input))?;
        }
        Ok(Some(Input::Own(input)))
    }

    /// Takes back the input from `pos` on.
    pub(crate) fn keep(&mut self, arena: &[u8], input: Input, pos: usize) {
        match input {
            Input::Arena { start, len } => {
                if pos < len {
                    self.input = arena[start + pos..start + len].to_vec();
                }
            }
            Input::Own(mut bytes) => {
                let left = bytes.len() - pos;
                self.used = if left > MOVED_MAX.max(pos) { pos } else { 0 };
                if left == 0 {
                    return;
                }
                if self.used == 0 {
                    bytes.drain(..pos);
                }
                if bytes.capacity() - bytes.len() > bytes.len().max(SLACK) {
                    bytes.shrink_to_fit();
                }
                self.input = bytes;
            }
        }
    }

    /// Sends as much of `out` as the socket takes and others can wait for; false if some is left.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline]
    pub(crate) fn send(&self, out: &mut Output, counters: &Counters) -> io::Result<bool> {
        let unsent = out.unsent();
        while !out.is_empty() {
            if unsent - out.unsent() >= SENT_MAX {
                return Ok(false);
            }
            let sent = match out.plain() {
                Some(bytes) => self.socket.write(bytes),
                None => out.with_pieces(|pieces| self.socket.write_vectored(pieces)),
            };
            match sent {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    counters.bytes_written.add(count as u64);
                    out.advance(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        out.clear();
        Ok(true)
    }

    /// Reads with `read`, and learns from the count whether the socket is drained.
    #[inline]
    fn receive(
        &mut self,
        room: usize,
        counters: &Counters,
        mut read: impl FnMut(&Socket) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match read(&self.socket) {
                Ok(count) => {
                    counters.bytes_read.add(count as u64);
                    self.readable = count == room;
                    // A short read means drained: what comes later makes a new event.
                    self.ended = count == 0 || (self.half_closed && count < room);
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_over_takes_little_more_room_than_it_needs() {
        let (ours, _theirs) = mio::net::UnixStream::pair().unwrap();
        let mut conn = Conn::new(ours.into(), Binding::Auto, 0);
        for len in [1, 100, READ_MIN - 1, READ_MIN, READ_MAX] {
            let mut read = Vec::with_capacity(READ_MAX + 200);
            read.resize(len + 100, b'x');
            conn.keep(&[], Input::Own(read), 100);
            assert_eq!(conn.input.len() - conn.used, len);
            let held = conn.input.capacity();
            assert!(held <= len + len.max(SLACK), "{held} bytes for {len}");
        }
        conn.keep(&[b'x'; READ_MIN], Input::Arena { start: 10, len: 1_000 }, 900);
        assert_eq!(conn.input.capacity(), 100);
    }

    #[test]
    fn a_long_line_is_moved_a_few_times_however_often_it_is_left_over() {
        let (ours, _theirs) = mio::net::UnixStream::pair().unwrap();
        let mut conn = Conn::new(ours.into(), Binding::Auto, 0);
        let len = 16 << 20;
        conn.input = vec![b'x'; len];
        let mut moves = 0;
        for step in 1..len / 1_000 {
            let pos = conn.used + 1_000;
            let bytes = std::mem::take(&mut conn.input);
            moves += usize::from(bytes.len() - pos > MOVED_MAX);
            conn.keep(&[], Input::Own(bytes), pos);
            moves -= usize::from(conn.used > 0);
            assert_eq!(conn.input.len() - conn.used, len - step * 1_000);
        }
        assert!(moves < 10, "{moves} times");
    }
}
