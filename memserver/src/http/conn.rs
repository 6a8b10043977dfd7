//! One connection: a request of a bounded size, its answer, the end. What is answered is not known
//! here.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use rustix::net::{Shutdown, shutdown};

use crate::net::socket::Socket;

/// Bytes of a request's head.
const HEAD_MAX: usize = 8 << 10;
/// Time for all of it.
const TIME_MAX: Duration = Duration::from_secs(10);

/// A connection.
#[derive(Debug)]
pub(super) struct Conn {
    socket: Socket,
    deadline: Instant,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// The request is arriving.
    Request(Vec<u8>),
    /// The answer is leaving.
    Answer { bytes: Vec<u8>, sent: usize },
    /// The client may still be sending. If the connection were closed before it has read the
    /// answer, the system would take the answer back.
    Linger,
}

/// What an unfinished request is answered.
#[derive(Debug)]
pub(super) enum Reply {
    /// More of it has to come.
    NotYet,
    /// This, as it is.
    Bytes(Vec<u8>),
}

impl Conn {
    /// A client that has just connected.
    pub(super) fn new(socket: Socket, now: Instant) -> Self {
        Self { socket, deadline: now + TIME_MAX, phase: Phase::Request(Vec::new()) }
    }

    /// When it has to be over.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Goes on until it would have to wait; false if it is over. `answer` is asked when more of the
    /// request has come; its last question is about a request of more bytes than are allowed, or
    /// one that is complete.
    pub(super) fn proceed(&mut self, answer: impl Fn(&[u8]) -> Reply) -> bool {
        loop {
            let step = match &mut self.phase {
                Phase::Request(head) => match receive(&self.socket, head) {
                    Ok(0) => return false,
                    Ok(_) => {
                        if let Reply::Bytes(bytes) = answer(head) {
                            self.phase = Phase::Answer { bytes, sent: 0 };
                        }
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                Phase::Answer { bytes, sent } => match self.socket.write(&bytes[*sent..]) {
                    Ok(count) => {
                        *sent += count;
                        if *sent == bytes.len() {
                            // Of a connection that is broken the next read tells.
                            let _ = shutdown(&self.socket, Shutdown::Write);
                            self.phase = Phase::Linger;
                        }
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                Phase::Linger => match self.socket.read(&mut [0; 4096]) {
                    Ok(0) => return false,
                    result => result.map(drop),
                },
            };
            match step {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }
}

/// Reads once behind what is there already.
fn receive(socket: &Socket, head: &mut Vec<u8>) -> io::Result<usize> {
    let before = head.len();
    head.resize(HEAD_MAX + 1, 0);
    let result = socket.read(&mut head[before..]);
    head.truncate(before + *result.as_ref().unwrap_or(&0));
    result
}

/// Whether a head is larger than any is allowed to be.
pub(super) fn is_too_large(head: &[u8]) -> bool {
    head.len() > HEAD_MAX
}
