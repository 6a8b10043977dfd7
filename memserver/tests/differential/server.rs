//! Those who are compared: sessions without sockets, and servers behind sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use memserver::fuzzing::{Dialogue, Stage};

use crate::random::Random;

/// Somebody who answers.
pub(crate) trait Server {
    fn connect(&mut self) -> Box<dyn Line>;
}

/// A connection to a server.
pub(crate) trait Line {
    /// Sends `bytes` and adds what is answered to `found` until it ends in `last`; if that does not
    /// come, until nothing comes any more.
    fn exchange(&mut self, bytes: &[u8], last: &[u8], found: &mut Vec<u8>);
    /// Whether the server has ended the connection.
    fn is_closed(&self) -> bool;
}

/// A server without sockets.
pub(crate) struct Staged {
    pub(crate) stage: Stage,
    /// Seeds the sizes of the pieces in which it gets its input; none if it comes whole.
    pub(crate) pieces: Option<u64>,
}

impl Server for Staged {
    fn connect(&mut self) -> Box<dyn Line> {
        let pieces = self.pieces.as_mut().map(|seed| {
            *seed += 1;
            Random::new(*seed, 0)
        });
        Box::new(StagedLine { dialogue: self.stage.connect(), pieces })
    }
}

struct StagedLine {
    dialogue: Dialogue,
    pieces: Option<Random>,
}

impl Line for StagedLine {
    fn exchange(&mut self, mut bytes: &[u8], _: &[u8], found: &mut Vec<u8>) {
        while !bytes.is_empty() && !self.is_closed() {
            let len = self.pieces.as_mut().map_or(bytes.len(), |random| {
                let most = random.pick(&[1, 3, 40, 5000, 300_000]);
                1 + random.below(most)
            });
            let (now, later) = bytes.split_at(len.min(bytes.len()));
            found.extend(self.dialogue.feed(now));
            bytes = later;
        }
    }

    fn is_closed(&self) -> bool {
        self.dialogue.is_closed()
    }
}

/// A server behind a socket.
pub(crate) struct Remote {
    pub(crate) address: SocketAddr,
    /// After so long nothing more is expected.
    pub(crate) timeout: Duration,
}

impl Server for Remote {
    fn connect(&mut self) -> Box<dyn Line> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(self.timeout)).unwrap();
        stream.set_read_timeout(Some(self.timeout / 4)).unwrap();
        Box::new(RemoteLine { stream, timeout: self.timeout, closed: false })
    }
}

struct RemoteLine {
    stream: TcpStream,
    timeout: Duration,
    closed: bool,
}

impl RemoteLine {
    fn receive(&mut self, last: &[u8], found: &mut Vec<u8>) {
        let mut buffer = vec![0; 1 << 16];
        let mut since = Instant::now();
        while !found.ends_with(last) && since.elapsed() < self.timeout {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.closed = true,
                Ok(len) => {
                    found.extend(&buffer[..len]);
                    since = Instant::now();
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    _ => self.closed = true,
                },
            }
            if self.closed {
                return;
            }
        }
    }
}

impl Line for RemoteLine {
    fn exchange(&mut self, bytes: &[u8], last: &[u8], found: &mut Vec<u8>) {
        let mut writer = self.stream.try_clone().unwrap();
        thread::scope(|scope| {
            // Both sides may have more to say than sockets hold. Who has closed does not listen.
            scope.spawn(move || drop(writer.write_all(bytes)));
            self.receive(last, found);
        });
    }

    fn is_closed(&self) -> bool {
        self.closed
    }
}
