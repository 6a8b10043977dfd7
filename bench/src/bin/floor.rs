//! The floor server: reads, counts newlines, answers each request with the same bytes, and does
//! nothing else. With the system calls of an ideal server and none of its work, it shows how much
//! of a server's processor time is the kernel's.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use argh::FromArgs;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// Answers every request with the same bytes, as fast as the kernel allows.
#[derive(Debug, FromArgs)]
struct Args {
    /// address to listen on
    #[argh(option, default = "SocketAddr::from(([127, 0, 0, 1], 11300))")]
    listen: SocketAddr,
    /// values in a reply; 0 answers `STORED` (default 1)
    #[argh(option, default = "1")]
    values: usize,
    /// bytes of a value (default 100)
    #[argh(option, default = "100")]
    value_size: usize,
    /// bytes of a key (default 20)
    #[argh(option, default = "20")]
    key_size: usize,
    /// lines in a request: 2 for set (default 1)
    #[argh(option, default = "1")]
    lines: usize,
}

fn main() -> io::Result<()> {
    let args: Args = argh::from_env();
    let reply = canned_reply(&args);
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(args.listen)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    eprintln!("floor listening on {}", listener.local_addr()?);
    let mut conns: Vec<Option<Conn>> = Vec::new();
    let mut events = Events::with_capacity(1024);
    let mut input = vec![0; READ_SIZE];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                accept_all(&poll, &listener, &mut conns)?;
                continue;
            }
            let slot = &mut conns[event.token().0];
            if let Some(conn) = slot
                && conn.serve(&mut input, &reply, args.lines).is_err()
            {
                *slot = None;
            }
        }
    }
}

fn canned_reply(args: &Args) -> Vec<u8> {
    if args.values == 0 {
        return b"STORED\r\n".to_vec();
    }
    let mut reply = Vec::new();
    for _ in 0..args.values {
        reply.extend_from_slice(b"VALUE ");
        reply.resize(reply.len() + args.key_size, b'k');
        reply.extend_from_slice(format!(" 0 {}\r\n", args.value_size).as_bytes());
        reply.resize(reply.len() + args.value_size, b'v');
        reply.extend_from_slice(b"\r\n");
    }
    reply.extend_from_slice(b"END\r\n");
    reply
}

fn accept_all(
    poll: &Poll,
    listener: &TcpListener,
    conns: &mut Vec<Option<Conn>>,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(conns.len()), both)?;
        conns.push(Some(Conn { stream, lines: 0, output: Vec::new(), sent: 0 }));
    }
}

struct Conn {
    stream: TcpStream,
    /// Lines of an unfinished request.
    lines: usize,
    output: Vec<u8>,
    sent: usize,
}

impl Conn {
    /// One read when it drains the socket, one write when the socket takes it all.
    fn serve(&mut self, input: &mut [u8], reply: &[u8], lines: usize) -> io::Result<()> {
        loop {
            let count = match self.stream.read(input) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            self.lines += input[..count].iter().filter(|&&byte| byte == b'\n').count();
            for _ in 0..self.lines / lines {
                self.output.extend_from_slice(reply);
            }
            self.lines %= lines;
            if count < input.len() {
                break;
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(())
    }
}

const LISTENER: Token = Token(usize::MAX);
const READ_SIZE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use bench::wire::{Reply, reply};

    use super::*;

    /// What a client gets that sends `requests` piece by piece.
    fn served(values: usize, lines: usize, requests: &[&[u8]]) -> Vec<u8> {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let canned = canned_reply(&Args { listen, values, value_size: 5, key_size: 10, lines });
        let listener = std::net::TcpListener::bind(listen).unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = listener.accept().unwrap().0;
        stream.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(stream);
        let mut conn = Conn { stream, lines: 0, output: Vec::new(), sent: 0 };
        for piece in requests {
            client.write_all(piece).unwrap();
            conn.serve(&mut [0; 7], &canned, lines).unwrap();
        }
        drop(conn);
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        got
    }

    #[test]
    fn each_get_gets_its_values() {
        let got = served(2, 1, &[b"get a b\r\nge", b"t c d\r\n"]);
        let mut rest = &got[..];
        for expected in [false, false, true, false, false, true] {
            let (reply, used) = reply(rest).unwrap().unwrap();
            assert_eq!(reply == Reply::End, expected, "{reply:?}");
            rest = &rest[used..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn a_set_has_two_lines() {
        let got = served(0, 2, &[b"set a 0 0 1\r\n", b"x\r\nset b 0 0 1\r\ny\r\n"]);
        assert_eq!(got, b"STORED\r\n".repeat(2));
    }
}
