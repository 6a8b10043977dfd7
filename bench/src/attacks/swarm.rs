//! Many clients over TLS in one thread, each of which connects, asks once, closes and comes back.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use rustls::client::ClientConnection;
use socket2::{Domain, Socket, Type};

use super::Tally;
use super::ground::{Ground, source_address};

/// Runs `count` clients until a moment.
pub(super) fn reconnect(
    ground: &Ground,
    addr: SocketAddr,
    count: usize,
    until: Instant,
) -> io::Result<Tally> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut tally = Tally::default();
    let mut clients = Vec::with_capacity(count);
    for number in 0..count {
        clients.push(Client::begin(ground, addr, number, &poll)?);
    }
    while Instant::now() < until {
        poll.poll(&mut events, Some(Duration::from_millis(10)))?;
        for event in &events {
            let Token(number) = event.token();
            let client = &mut clients[number];
            match client.go_on() {
                Ok(false) => continue,
                Ok(true) => {
                    tally.done += 1;
                    tally.took.record(client.began.elapsed().as_nanos() as u64);
                }
                Err(_) => tally.closed += 1,
            }
            *client = Client::begin(ground, addr, number, &poll)?;
        }
    }
    Ok(tally)
}

struct Client {
    stream: mio::net::TcpStream,
    session: ClientConnection,
    began: Instant,
    asked: bool,
}

impl Client {
    fn begin(ground: &Ground, addr: SocketAddr, number: usize, poll: &Poll) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source_address(number % SOURCES), 0)).into())?;
        socket.set_nonblocking(true)?;
        match socket.connect(&addr.into()) {
            Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => return Err(error),
            _ => {}
        }
        let mut stream = mio::net::TcpStream::from_std(TcpStream::from(socket));
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(number), both)?;
        Ok(Self { stream, session: ground.session()?, began: Instant::now(), asked: false })
    }

    /// Reads and writes as far as that goes; true once the question is answered.
    fn go_on(&mut self) -> io::Result<bool> {
        loop {
            while self.session.wants_write() {
                match self.session.write_tls(&mut self.stream) {
                    Ok(_) => {}
                    Err(error) if waits(&error) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            match self.session.read_tls(&mut self.stream) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => _ = self.session.process_new_packets().map_err(io::Error::other)?,
                Err(error) if waits(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
            if !self.session.is_handshaking() && !self.asked {
                self.session.writer().write_all(b"mn\r\n")?;
                self.asked = true;
            }
            if self.asked && self.session.reader().read(&mut [0; 16]).is_ok_and(|read| read > 0) {
                return Ok(true);
            }
        }
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

/// Addresses that the clients come from.
const SOURCES: usize = 200;
/// What a connection that is being made is called.
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();
