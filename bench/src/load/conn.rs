//! One connection: what is on its way, and whether each reply is the right one.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;

use super::source::{Asked, Source};
use super::{Counts, LoadError};
use crate::buffer::Buffer;
use crate::value::{is_value, push_key};
use crate::wire::{self, Reply};

/// A connection and its requests without a reply.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) stream: TcpStream,
    input: Buffer,
    output: Vec<u8>,
    sent: usize,
    waiting: Waiting,
}

/// The requests without a reply, oldest first, and their keys.
#[derive(Debug)]
struct Waiting {
    pending: VecDeque<Pending>,
    keys: VecDeque<u32>,
    expected: Vec<u8>,
    key_size: usize,
    verify: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    asked: Asked,
    due_ns: u64,
}

impl Conn {
    pub(super) fn connect(addr: SocketAddr, key_size: usize, verify: bool) -> io::Result<Self> {
        // Connected while blocking, so that a server that is not there is an error at once.
        let stream = std::net::TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            input: Buffer::default(),
            output: Vec::new(),
            sent: 0,
            waiting: Waiting {
                pending: VecDeque::new(),
                keys: VecDeque::new(),
                expected: Vec::new(),
                key_size,
                verify,
            },
        })
    }

    pub(super) fn outstanding(&self) -> usize {
        self.waiting.pending.len()
    }

    /// Adds the next request, due at `due_ns`; `flush` sends it.
    pub(super) fn ask(&mut self, source: &mut Source, due_ns: u64) {
        let asked = source.next(&mut self.output, &mut self.waiting.keys);
        self.waiting.pending.push_back(Pending { asked, due_ns });
    }

    /// Adds a set of one key.
    pub(super) fn ask_set(&mut self, source: &mut Source, key: u32, due_ns: u64) {
        source.set(&mut self.output, key);
        self.waiting.keys.push_back(key);
        self.waiting.pending.push_back(Pending { asked: Asked::Set, due_ns });
    }

    /// Sends what the socket takes.
    pub(super) fn flush(&mut self) -> Result<(), LoadError> {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(())
    }

    /// Reads what there is and checks every complete reply; `now_ns` tells the time after the read.
    pub(super) fn receive(
        &mut self,
        counts: &mut Counts,
        now_ns: impl Fn() -> u64,
    ) -> Result<(), LoadError> {
        loop {
            let more = match self.input.fill(&mut self.stream) {
                Ok(more) => more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.digest(counts, now_ns())?;
            if !more {
                return Ok(());
            }
        }
    }

    fn digest(&mut self, counts: &mut Counts, now_ns: u64) -> Result<(), LoadError> {
        let mut used = 0;
        let unread = self.input.unread();
        while let Some((reply, count)) = wire::reply(&unread[used..])? {
            self.waiting.check(reply, counts, now_ns)?;
            used += count;
        }
        self.input.consume(used);
        Ok(())
    }
}

impl Waiting {
    fn check(&mut self, reply: Reply<'_>, counts: &mut Counts, now: u64) -> Result<(), LoadError> {
        let Some(&Pending { asked, due_ns }) = self.pending.front() else {
            return Err(LoadError::Unexpected(format!("{reply:?} without a request")));
        };
        match (asked, reply) {
            (Asked::Get(left), Reply::Value { key, data, .. }) => {
                let left = self.value(left, key, data, counts)?;
                self.pending[0].asked = Asked::Get(left);
                return Ok(());
            }
            (Asked::Get(left), Reply::End) => {
                counts.misses += left as u64;
                self.keys.drain(..left);
            }
            (Asked::Set, Reply::Stored) => {
                counts.stored += 1;
                self.keys.pop_front();
            }
            (_, Reply::Line(line)) if line.starts_with(b"SERVER_ERROR") => {
                counts.errors += 1;
                let keys = if let Asked::Get(left) = asked { left } else { 1 };
                self.keys.drain(..keys);
            }
            (asked, reply) => {
                return Err(LoadError::Unexpected(format!("{reply:?} to {asked:?}")));
            }
        }
        self.pending.pop_front();
        counts.requests += 1;
        counts.latency.record(now.saturating_sub(due_ns));
        Ok(())
    }

    /// Values come in the order of the keys; a key that is passed over is a miss. Returns how many
    /// keys are left.
    fn value(
        &mut self,
        mut left: usize,
        key: &[u8],
        data: &[u8],
        counts: &mut Counts,
    ) -> Result<usize, LoadError> {
        while left > 0 {
            // There is a key for each of `left`: both grew together in `ask`.
            let Some(index) = self.keys.pop_front() else { break };
            left -= 1;
            self.expected.clear();
            push_key(&mut self.expected, index, self.key_size);
            if self.verify && self.expected != key {
                counts.misses += 1;
                continue;
            }
            if self.verify && !is_value(data, index) {
                return Err(LoadError::WrongBytes { key: index, len: data.len() });
            }
            counts.hits += 1;
            counts.bytes_read += data.len() as u64;
            return Ok(left);
        }
        Err(LoadError::Unexpected(format!("a value of {}, not asked for", wire::lossy(key))))
    }
}
