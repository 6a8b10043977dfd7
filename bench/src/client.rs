//! A blocking client of the classic text protocol for programs that ask one thing at a time. What
//! it is told is checked for form only; what bytes mean is the caller's.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::buffer::Buffer;
use crate::wire::{self, Reply};

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    input: Buffer,
    output: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// If no server listens.
    pub fn connect(addr: SocketAddr) -> io::Result<Self> {
        Self::connect_within(addr, Duration::from_secs(60))
    }

    /// Connects. Connecting, and each wait for a reply, fails after `timeout`.
    ///
    /// # Errors
    /// If no server listens, or it does not accept in time.
    pub fn connect_within(addr: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self { stream, input: Buffer::default(), output: Vec::new() })
    }

    /// Where requests are put together; [`Client::send`] sends them.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Sends what was put together.
    ///
    /// # Errors
    /// If the connection fails.
    pub fn send(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// Waits for the next reply and hands it to `read`.
    ///
    /// # Errors
    /// If the connection fails or what comes is no reply.
    pub fn receive<R>(&mut self, read: impl FnOnce(Reply<'_>) -> R) -> io::Result<R> {
        loop {
            let unread = self.input.unread();
            if let Some((reply, used)) = wire::reply(unread).map_err(io::Error::other)? {
                let result = read(reply);
                self.input.consume(used);
                return Ok(result);
            }
            self.input.fill(&mut self.stream)?;
        }
    }

    /// Sends one line and returns the one that answers it.
    ///
    /// # Errors
    /// As [`Client::receive`].
    pub fn ask(&mut self, line: &[u8]) -> io::Result<String> {
        self.output.extend_from_slice(line);
        self.output.extend_from_slice(b"\r\n");
        self.send()?;
        self.receive(|reply| match reply {
            Reply::Line(line) => wire::lossy(line),
            other => format!("{other:?}"),
        })
    }

    /// One number of the server's statistics.
    ///
    /// # Errors
    /// As [`Client::receive`], and if there is no such number.
    pub fn stat(&mut self, name: &str) -> io::Result<u64> {
        self.output.extend_from_slice(b"stats\r\n");
        self.send()?;
        let mut found = None;
        let wanted = format!("STAT {name} ");
        while let Some(line) = self.receive(|reply| match reply {
            Reply::Line(line) => Some(wire::lossy(line)),
            _ => None,
        })? {
            let number = line.strip_prefix(&wanted).and_then(|number| number.parse().ok());
            found = number.or(found);
        }
        found.ok_or_else(|| io::Error::other(format!("no number {name} in the statistics")))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn client_of(replies: &'static [u8]) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || listener.accept().unwrap().0.write_all(replies).unwrap());
        Client::connect(addr).unwrap()
    }

    #[test]
    fn a_number_is_found_by_its_whole_name() {
        let replies = b"STAT items_now 1\r\nSTAT items 42\r\nSTAT other 3\r\nEND\r\n";
        assert_eq!(client_of(replies).stat("items").unwrap(), 42);
        assert!(client_of(replies).stat("item").is_err());
    }

    #[test]
    fn replies_come_one_by_one() {
        let mut client = client_of(b"VALUE k 0 1\r\nx\r\nEND\r\nDELETED\r\n");
        assert!(client.receive(|reply| matches!(reply, Reply::Value { data: b"x", .. })).unwrap());
        assert!(client.receive(|reply| reply == Reply::End).unwrap());
        assert_eq!(client.ask(b"delete k").unwrap(), "DELETED");
    }
}
