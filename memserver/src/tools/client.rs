//! A connection to a server that has to answer in time.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::endpoint::Endpoint;
use crate::net::listener;
use crate::tls::Trust;

/// Longest line that is taken from a server.
const LINE_MAX: usize = 64 << 10;
/// Bytes that are read at once, at most.
const READ_MAX: usize = 64 << 10;

/// A connection whose server has to answer in time.
#[derive(Debug)]
pub(super) struct Client {
    stream: Box<dyn Stream>,
    input: Vec<u8>,
    /// How much of the input was taken.
    taken: usize,
}

/// What carries requests and answers: a socket, or TLS over it.
trait Stream: Read + Write + fmt::Debug {}

impl<S: Read + Write + fmt::Debug> Stream for S {}

/// A socket whose other end has to answer in time.
#[derive(Debug)]
struct Timed {
    socket: Socket,
    timeout: Timeout,
}

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Timeout {
    /// Everything has to be over then.
    Until(Instant),
    /// Something has to arrive, or to be taken, within this time.
    Each(Duration),
}

impl Timeout {
    fn left(self) -> io::Result<Duration> {
        match self {
            Self::Until(deadline) => left(deadline),
            Self::Each(time) => Ok(time),
        }
    }
}

impl Client {
    /// Connects to the first address of `address` that can be reached, over TLS if there is
    /// someone to trust.
    ///
    /// # Errors
    /// None can be reached in time.
    pub(super) fn connect(
        address: &Endpoint,
        trust: Option<&Trust>,
        timeout: Timeout,
    ) -> io::Result<Self> {
        let places: Vec<SockAddr> = match address {
            Endpoint::Tcp(host, port) => {
                listener::resolve(host, *port)?.into_iter().map(SockAddr::from).collect()
            }
            Endpoint::Unix(path) => vec![SockAddr::unix(path)?],
        };
        let mut failure = io::Error::other("the name has no address");
        for place in places {
            match connect(&place, timeout) {
                Ok(socket) => {
                    let stream = encrypted(Timed { socket, timeout }, address, trust)?;
                    return Ok(Self { stream, input: Vec::new(), taken: 0 });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Sends all of `bytes`.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// The server is too slow, the connection ends, or the line is none.
    pub(super) fn line(&mut self) -> io::Result<&[u8]> {
        let mut seen = 0;
        loop {
            let rest = &self.input[self.taken..];
            if let Some(end) = rest[seen..].iter().position(|byte| *byte == b'\n') {
                let line = self.taken..self.taken + seen + end;
                self.taken = line.end + 1;
                let line = &self.input[line];
                return Ok(line.strip_suffix(b"\r").unwrap_or(line));
            }
            seen = rest.len();
            if seen > LINE_MAX {
                return Err(io::Error::other("the server sent a line that is too long"));
            }
            self.receive()?;
        }
    }

    /// The next bytes, at least one and at most `most`.
    ///
    /// # Errors
    /// The server is too slow, or the connection ends.
    pub(super) fn some(&mut self, most: usize) -> io::Result<&[u8]> {
        if self.taken == self.input.len() {
            self.receive()?;
        }
        let start = self.taken;
        self.taken += most.min(self.input.len() - start);
        Ok(&self.input[start..self.taken])
    }

    /// The next bytes, exactly as many as there is room for.
    ///
    /// # Errors
    /// The server is too slow, or the connection ends.
    pub(super) fn fill(&mut self, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            let bytes = self.some(out.len())?;
            let (now, later) = out.split_at_mut(bytes.len());
            now.copy_from_slice(bytes);
            out = later;
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        self.input.drain(..self.taken);
        self.taken = 0;
        let start = self.input.len();
        self.input.resize(start + READ_MAX, 0);
        let count = self.read_to(start);
        self.input.truncate(start + *count.as_ref().unwrap_or(&0));
        match count? {
            0 => Err(io::Error::other("the server closed the connection")),
            _ => Ok(()),
        }
    }

    fn read_to(&mut self, start: usize) -> io::Result<usize> {
        loop {
            match self.stream.read(&mut self.input[start..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.timeout.left()?))?;
        self.socket.read(buffer).map_err(in_words)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.timeout.left()?))?;
        self.socket.write(bytes).map_err(in_words)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What requests to `address` go through.
fn encrypted(
    socket: Timed,
    address: &Endpoint,
    trust: Option<&Trust>,
) -> io::Result<Box<dyn Stream>> {
    match (trust, address) {
        (None, _) => Ok(Box::new(socket)),
        (Some(trust), Endpoint::Tcp(host, _)) => {
            Ok(Box::new(trust.stream(host, socket).map_err(io::Error::other)?))
        }
        (Some(_), Endpoint::Unix(_)) => Err(io::Error::other("a Unix socket has no TLS")),
    }
}

fn connect(place: &SockAddr, timeout: Timeout) -> io::Result<Socket> {
    let domain =
        if place.is_unix() { Domain::UNIX } else { Domain::from(i32::from(place.family())) };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.connect_timeout(place, timeout.left()?).map_err(in_words)?;
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

/// An answer that was not expected.
pub(super) fn unexpected(line: &[u8]) -> io::Error {
    let shown: String = String::from_utf8_lossy(line).chars().take(100).collect();
    io::Error::other(format!("answered {shown:?}"))
}
