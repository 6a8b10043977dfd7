//! Many clients over TLS in one thread, each of which connects, asks once, closes and comes back.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use rustls::client::ClientConnection;
use socket2::{Domain, Socket, Type};

use super::Tally;
use super::ground::{Ground, source_address};

/// Runs `count` clients until a moment. `rate` of them connect a second, or all as soon as they
/// can.
pub(super) fn reconnect(
    ground: &Ground,
    addr: SocketAddr,
    count: usize,
    rate: Option<u32>,
    until: Instant,
) -> io::Result<Tally> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut tally = Tally::default();
    let mut clients: Vec<Option<Client>> = (0..count).map(|_| None).collect();
    let mut outside: VecDeque<usize> = (0..count).collect();
    let pause = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1));
    let mut due = Instant::now();
    while Instant::now() < until {
        while due <= Instant::now()
            && let Some(number) = outside.pop_front()
        {
            clients[number] = Some(Client::begin(ground, addr, number, &poll)?);
            due += pause;
        }
        poll.poll(&mut events, Some(Duration::from_millis(1)))?;
        for event in &events {
            let Token(number) = event.token();
            let Some(client) = &mut clients[number] else { continue };
            match client.go_on() {
                Ok(false) => continue,
                Ok(true) => {
                    tally.done += 1;
                    tally.took.record(client.began.elapsed().as_nanos() as u64);
                }
                Err(_) => tally.closed += 1,
            }
            clients[number] = None;
            outside.push_back(number);
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
