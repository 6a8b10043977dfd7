//! A connection to a server, with one deadline for everything.

use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::endpoint::Endpoint;
use crate::net::listener;

/// Longest line that is taken from a server.
const LINE_MAX: usize = 64 << 10;

/// A connection whose server has to answer in time.
#[derive(Debug)]
pub(super) struct Client {
    socket: Socket,
    deadline: Instant,
    input: Vec<u8>,
}

impl Client {
    /// Connects to the first address of `address` that can be reached.
    ///
    /// # Errors
    /// None can be reached before the deadline.
    pub(super) fn connect(address: &Endpoint, deadline: Instant) -> io::Result<Self> {
        let places: Vec<SockAddr> = match address {
            Endpoint::Tcp(host, port) => {
                listener::resolve(host, *port)?.into_iter().map(SockAddr::from).collect()
            }
            Endpoint::Unix(path) => vec![SockAddr::unix(path)?],
        };
        let mut failure = io::Error::other("the name has no address");
        for place in places {
            match connect(&place, deadline) {
                Ok(socket) => return Ok(Self { socket, deadline, input: Vec::new() }),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Sends all of `bytes`.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.set_write_timeout(Some(left(self.deadline)?))?;
        self.socket.write_all(bytes).map_err(in_words)
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// The server is too slow, the connection ends, or the line is none.
    pub(super) fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.input.len() > LINE_MAX {
                return Err(io::Error::other("the server sends no lines"));
            }
            self.receive()?;
        }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// The server is too slow, or the connection ends.
    pub(super) fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.input.len() < count {
            self.receive()?;
        }
        Ok(self.input.drain(..count).collect())
    }

    fn receive(&mut self) -> io::Result<()> {
        self.socket.set_read_timeout(Some(left(self.deadline)?))?;
        let mut bytes = [0; 4096];
        let count = self.socket.read(&mut bytes).map_err(in_words)?;
        if count == 0 {
            return Err(io::Error::other("the server closed the connection"));
        }
        self.input.extend_from_slice(&bytes[..count]);
        Ok(())
    }
}

fn connect(place: &SockAddr, deadline: Instant) -> io::Result<Socket> {
    let domain =
        if place.is_unix() { Domain::UNIX } else { Domain::from(i32::from(place.family())) };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.connect_timeout(place, left(deadline)?).map_err(in_words)?;
    if !place.is_unix() {
        socket.set_tcp_nodelay(true)?;
    }
    Ok(socket)
}

/// The time that is left.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(late()) } else { Ok(left) }
}

/// A timeout of a socket has a number that means something else to readers.
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
        _ => error,
    }
}

fn late() -> io::Error {
    io::Error::other("no answer in time")
}
