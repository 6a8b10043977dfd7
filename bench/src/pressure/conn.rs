//! A client's blocking connection that reads values of any size without keeping them.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// How long a client waits for the server before it gives up.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection.
#[derive(Debug)]
pub(super) struct Conn(BufReader<TcpStream>);

/// What a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The value, or that it was stored.
    Done,
    /// There is no such item.
    Miss,
    /// An error line.
    Error,
}

impl Conn {
    pub(super) fn open(addr: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect_timeout(&addr, TIMEOUT)?)
    }

    /// Connects with so small a receive buffer that unread replies stay with the server.
    pub(super) fn open_narrow(addr: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        socket.set_recv_buffer_size(4096)?;
        socket.connect_timeout(&addr.into(), TIMEOUT)?;
        Self::new(socket.into())
    }

    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self(BufReader::with_capacity(BUFFER, stream)))
    }

    /// Sends bytes.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Sends bytes as far as the server takes them at once. False if it has closed the connection.
    pub(super) fn nudge(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let stream = self.0.get_mut();
        stream.set_nonblocking(true)?;
        let blocks = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        let sent = bytes.is_empty() || stream.write(bytes).map_or_else(|e| blocks(&e), |_| true);
        let open = stream.peek(&mut [0]).map_or_else(|e| blocks(&e), |count| count > 0);
        stream.set_nonblocking(false)?;
        Ok(sent && open)
    }

    /// Reads a line, without its end.
    pub(super) fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Sends a command of one line and reads its reply of one line.
    pub(super) fn ask(&mut self, command: &str) -> io::Result<String> {
        self.send(format!("{command}\r\n").as_bytes())?;
        self.line()
    }

    /// Sends a command and reads lines until `END`; returns how many there were.
    pub(super) fn list(&mut self, command: &str) -> io::Result<u64> {
        self.send(format!("{command}\r\n").as_bytes())?;
        let mut lines = 0;
        while self.line()? != "END" {
            lines += 1;
        }
        Ok(lines)
    }

    /// Gets a value and drops it.
    pub(super) fn get(&mut self, key: &str) -> io::Result<Answer> {
        let head = self.ask(&format!("get {key}"))?;
        if head == "END" {
            return Ok(Answer::Miss);
        }
        if is_error(&head) {
            return Ok(Answer::Error);
        }
        let len = head.strip_prefix("VALUE ").and_then(|rest| rest.rsplit(' ').next());
        let len: u64 = len.and_then(|len| len.parse().ok()).ok_or_else(|| unexpected(&head))?;
        let read = io::copy(&mut self.0.by_ref().take(len + 2), &mut io::sink())?;
        if read < len + 2 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match self.line()? {
            end if end == "END" => Ok(Answer::Done),
            other => Err(unexpected(&other)),
        }
    }

    /// Stores a value of `len` bytes.
    pub(super) fn set(&mut self, key: &str, len: usize) -> io::Result<Answer> {
        self.store("set", key, len)
    }

    /// Sends a storage command with a value of `len` bytes.
    pub(super) fn store(&mut self, verb: &str, key: &str, len: usize) -> io::Result<Answer> {
        let mut request = format!("{verb} {key} 0 0 {len}\r\n").into_bytes();
        request.resize(request.len() + len, b'v');
        request.extend_from_slice(b"\r\n");
        self.send(&request)?;
        match self.line()? {
            reply if reply == "STORED" => Ok(Answer::Done),
            reply if is_error(&reply) => Ok(Answer::Error),
            other => Err(unexpected(&other)),
        }
    }
}

fn is_error(line: &str) -> bool {
    ["SERVER_ERROR", "CLIENT_ERROR", "ERROR"].iter().any(|error| line.starts_with(error))
}

fn unexpected(line: &str) -> io::Error {
    io::Error::other(format!("unexpected reply: {line}"))
}

const BUFFER: usize = 256 << 10;
