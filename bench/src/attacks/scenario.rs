//! The attacks.

use std::io::{self, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use argh::FromArgs;

use super::ground::{Ground, Stream, connect_from, connect_narrow};
use super::{Question, Scenario, Tally, swarm};

/// Clients that connect over TLS, ask once, close and come back at once.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "handshakes")]
pub struct Handshakes {
    /// clients (default 5000)
    #[argh(option, default = "5000")]
    pub clients: usize,
    /// how many of them connect a second (default: as many as can)
    #[argh(option)]
    pub rate: Option<u32>,
}

impl Scenario for Handshakes {
    fn attack(&self, ground: &Ground, addr: SocketAddr, until: Instant) -> io::Result<Tally> {
        swarm::reconnect(ground, addr, self.clients, self.rate, until)
    }
}

/// Clients that stop within a handshake: a third sends nothing, a third half of its first message,
/// a third all of it.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "half-handshakes")]
pub struct HalfHandshakes {
    /// clients (default 2000)
    #[argh(option, default = "2000")]
    pub clients: usize,
}

impl Scenario for HalfHandshakes {
    fn attack(&self, ground: &Ground, addr: SocketAddr, until: Instant) -> io::Result<Tally> {
        let open = |number: usize| -> io::Result<TcpStream> {
            let mut stream = connect_from(number % SOURCES, addr)?;
            let mut hello = Vec::new();
            ground.session()?.write_tls(&mut hello)?;
            stream.write_all(&hello[..hello.len() * (number % 3) / 2])?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let mut tally = Tally::default();
        let mut streams = (0..self.clients).map(open).collect::<io::Result<Vec<_>>>()?;
        tally.done = streams.len() as u64;
        while Instant::now() < until {
            for (number, stream) in streams.iter_mut().enumerate() {
                if is_closed(stream) {
                    tally.closed += 1;
                    tally.done += 1;
                    *stream = open(number)?;
                }
            }
            thread::sleep(EVERY);
        }
        Ok(tally)
    }

    fn held(&self) -> Option<usize> {
        Some(self.clients)
    }
}

/// Clients over TLS that do nothing after one request.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "idle")]
pub struct Idle {
    /// clients (default 4000)
    #[argh(option, default = "4000")]
    pub clients: usize,
    /// without TLS
    #[argh(switch)]
    pub plain: bool,
}

impl Scenario for Idle {
    fn words(&self, ground: &Ground) -> io::Result<(Vec<String>, Vec<String>)> {
        let limit = ["-c", CONNECTIONS].map(str::to_owned).into();
        Ok((Vec::new(), if self.plain { limit } else { encrypted_words(ground) }))
    }

    fn healthy(
        &self,
        ground: &Ground,
        addr: SocketAddr,
    ) -> io::Result<(Box<dyn Stream>, Question)> {
        match self.plain {
            true => healthy_plain(connect_from(0, addr)?),
            false => healthy_encrypted(ground, addr),
        }
    }

    fn attack(&self, ground: &Ground, addr: SocketAddr, until: Instant) -> io::Result<Tally> {
        let open = |number: usize| -> io::Result<Box<dyn Stream>> {
            let stream = connect_from(number % SOURCES, addr)?;
            let mut stream: Box<dyn Stream> =
                if self.plain { Box::new(stream) } else { Box::new(ground.encrypted(stream)?) };
            stream.write_all(b"mn\r\n")?;
            stream.flush()?;
            stream.read_exact(&mut [0; 4])?;
            Ok(stream)
        };
        let streams = (0..self.clients).map(open).collect::<io::Result<Vec<_>>>()?;
        thread::sleep(until.saturating_duration_since(Instant::now()));
        Ok(Tally { done: streams.len() as u64, ..Tally::default() })
    }

    fn held(&self) -> Option<usize> {
        Some(self.clients)
    }
}

/// Clients over TLS that ask for much and read hundred bytes of records a second.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "slow-readers")]
pub struct SlowReaders {
    /// clients (default 400)
    #[argh(option, default = "400")]
    pub clients: usize,
    /// requests that each of them pipelines (default 60)
    #[argh(option, default = "60")]
    pub requests: usize,
    /// bytes of the value that they ask for (default 9000)
    #[argh(option, default = "9000")]
    pub size: usize,
}

impl Scenario for SlowReaders {
    fn attack(&self, ground: &Ground, addr: SocketAddr, until: Instant) -> io::Result<Tally> {
        let mut writer = ground.encrypted(connect_from(0, addr)?)?;
        store(&mut writer, "slow", self.size)?;
        let requests = b"get slow\r\n".repeat(self.requests);
        let open = |number: usize| -> io::Result<TcpStream> {
            let mut stream = ground.encrypted(connect_narrow(number % SOURCES, addr)?)?;
            stream.write_all(&requests)?;
            stream.flush()?;
            stream.sock.set_nonblocking(true)?;
            // What follows is read without looking at it.
            Ok(stream.sock)
        };
        let mut tally = Tally { done: self.clients as u64, ..Tally::default() };
        let mut streams = (0..self.clients).map(open).collect::<io::Result<Vec<_>>>()?;
        while Instant::now() < until {
            for (number, stream) in streams.iter_mut().enumerate() {
                if is_closed(stream) {
                    tally.closed += 1;
                    *stream = open(number)?;
                }
            }
            thread::sleep(Duration::from_secs(1));
        }
        Ok(tally)
    }

    fn held(&self) -> Option<usize> {
        Some(self.clients)
    }
}

/// Clients that guess passwords as fast as they are answered, while others log in with the right
/// one.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "passwords")]
pub struct Passwords {
    /// clients that guess (default 16)
    #[argh(option, default = "16")]
    pub clients: usize,
    /// addresses that they come from (default 16)
    #[argh(option, default = "16")]
    pub sources: usize,
    /// over the binary protocol, with -S
    #[argh(switch)]
    pub sasl: bool,
    /// from the address of the clients that log in, who are all of one user then
    #[argh(switch)]
    pub shared: bool,
    /// with passwords that are stored as Argon2 hashes, which memcached does not have
    #[argh(switch)]
    pub hashed: bool,
    /// more flags for the server, such as `-o auth_lockout=0`
    #[argh(option, default = "String::new()")]
    pub flags: String,
}

impl Scenario for Passwords {
    fn words(&self, ground: &Ground) -> io::Result<(Vec<String>, Vec<String>)> {
        let password = if self.hashed { HASH } else { PASSWORD };
        let users: String = (0..USERS).map(|user| format!("user{user}:{password}\n")).collect();
        let path = ground.write("users", &users)?;
        let more = self.flags.split_whitespace().map(str::to_owned);
        let (before, flags) = if self.sasl {
            let before = ["env".to_owned(), format!("MEMCACHED_SASL_PWDB={path}")];
            (before.into(), vec!["-S".to_owned()])
        } else {
            (Vec::new(), vec!["-Y".to_owned(), path])
        };
        let limit = ["-c", CONNECTIONS].map(str::to_owned);
        Ok((before, flags.into_iter().chain(more).chain(limit).collect()))
    }

    fn healthy(&self, _: &Ground, addr: SocketAddr) -> io::Result<(Box<dyn Stream>, Question)> {
        let mut stream = connect_from(0, addr)?;
        if !self.log_in(&mut stream, 0, PASSWORD)? {
            return Err(io::Error::other("the healthy client can't log in"));
        }
        if self.sasl { healthy_binary(stream) } else { healthy_plain(stream) }
    }

    fn attack(&self, _: &Ground, addr: SocketAddr, until: Instant) -> io::Result<Tally> {
        thread::scope(|scope| {
            let guessing: Vec<_> = (0..self.clients)
                .map(|number| scope.spawn(move || self.guess(addr, number, until)))
                .collect();
            let mut tally = self.log_in_honestly(addr, until);
            for thread in guessing {
                let guesses = thread.join().map_err(|_| io::Error::other("a client panicked"))?;
                tally.done += guesses.done;
                tally.closed += guesses.closed;
                tally.took.merge(&guesses.took);
            }
            Ok(tally)
        })
    }
}

impl Passwords {
    /// Guesses, and comes back when it is closed.
    fn guess(&self, addr: SocketAddr, number: usize, until: Instant) -> Tally {
        let mut tally = Tally::default();
        let mut stream = None;
        let mut guess = 0;
        while Instant::now() < until {
            if stream.is_none() {
                let other = 1 + number % self.sources.max(1);
                stream = connect_from(if self.shared { 0 } else { other }, addr).ok();
            }
            let Some(open) = &mut stream else { continue };
            guess += 1;
            let began = Instant::now();
            match self.log_in(open, guess % USERS, &format!("guess{guess}")) {
                Ok(_) => {
                    tally.done += 1;
                    tally.took.record(began.elapsed().as_nanos() as u64);
                }
                Err(_) => {
                    tally.closed += 1;
                    stream = None;
                }
            }
        }
        tally
    }

    /// Connects and logs in with the right password again and again, each time as another user if
    /// nobody guesses at the same address.
    fn log_in_honestly(&self, addr: SocketAddr, until: Instant) -> Tally {
        let mut tally = Tally::default();
        let mut user = usize::from(!self.shared);
        while Instant::now() < until {
            let began = Instant::now();
            let granted = connect_from(0, addr)
                .and_then(|mut stream| self.log_in(&mut stream, user % USERS, PASSWORD));
            match granted {
                Ok(true) => tally.logins.record(began.elapsed().as_nanos() as u64),
                _ => tally.locked_out += 1,
            }
            user += usize::from(!self.shared);
            thread::sleep(EVERY);
        }
        tally
    }

    /// Whether the server takes the password.
    fn log_in(&self, stream: &mut TcpStream, user: usize, password: &str) -> io::Result<bool> {
        if self.sasl {
            let message = format!("\0user{user}\0{password}");
            let mut frame = header(0x21, MECHANISM.len(), 0, MECHANISM.len() + message.len());
            frame.extend_from_slice(MECHANISM);
            frame.extend_from_slice(message.as_bytes());
            stream.write_all(&frame)?;
            let mut reply = [0; HEADER];
            stream.read_exact(&mut reply)?;
            let rest = u32::from_be_bytes([reply[8], reply[9], reply[10], reply[11]]);
            io::copy(&mut Read::take(&mut *stream, rest.into()), &mut io::sink())?;
            return Ok(reply[6..8] == [0, 0]);
        }
        let token = format!("user{user} {password}");
        stream.write_all(format!("set login 0 0 {}\r\n{token}\r\n", token.len()).as_bytes())?;
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        Ok(line == b"STORED\r\n")
    }
}

pub(super) fn encrypted_words(ground: &Ground) -> Vec<String> {
    let mut words = ground.tls_flags();
    words.extend(["-c", CONNECTIONS].map(str::to_owned));
    words
}

pub(super) fn healthy_encrypted(
    ground: &Ground,
    addr: SocketAddr,
) -> io::Result<(Box<dyn Stream>, Question)> {
    healthy_plain(ground.encrypted(connect_from(0, addr)?)?)
}

/// Asks in text for a small value that it has stored.
fn healthy_plain(mut stream: impl Stream + 'static) -> io::Result<(Box<dyn Stream>, Question)> {
    store(&mut stream, "healthy", SMALL)?;
    let reply = format!("VALUE healthy 0 {SMALL}\r\n").len() + SMALL + "\r\nEND\r\n".len();
    Ok((Box::new(stream), Question { request: b"get healthy\r\n".to_vec(), reply }))
}

/// The same over the binary protocol.
fn healthy_binary(mut stream: TcpStream) -> io::Result<(Box<dyn Stream>, Question)> {
    let (key, flags) = (b"healthy", 8);
    let mut set = header(0x01, key.len(), flags, flags + key.len() + SMALL);
    set.resize(set.len() + flags, 0);
    set.extend_from_slice(key);
    set.resize(set.len() + SMALL, b'v');
    stream.write_all(&set)?;
    stream.read_exact(&mut [0; HEADER])?;
    let mut request = header(0x00, key.len(), 0, key.len());
    request.extend_from_slice(key);
    Ok((Box::new(stream), Question { request, reply: HEADER + 4 + SMALL }))
}

fn store(stream: &mut impl Stream, key: &str, len: usize) -> io::Result<()> {
    let value = "v".repeat(len);
    stream.write_all(format!("set {key} 0 0 {len}\r\n{value}\r\n").as_bytes())?;
    stream.flush()?;
    let mut reply = [0; "STORED\r\n".len()];
    stream.read_exact(&mut reply)?;
    if reply == *b"STORED\r\n" { Ok(()) } else { Err(io::Error::other("a value is refused")) }
}

/// The header of a binary request.
fn header(opcode: u8, key: usize, extras: usize, body: usize) -> Vec<u8> {
    let mut header = vec![0x80, opcode, 0, key as u8, extras as u8, 0, 0, 0];
    header.extend_from_slice(&(body as u32).to_be_bytes());
    header.resize(HEADER, 0);
    header
}

/// Whether the other end has closed; reads up to hundred bytes otherwise.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 100]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

const CONNECTIONS: &str = "8192";
/// Addresses that the clients come from.
const SOURCES: usize = 200;
/// How often something is tried again.
const EVERY: Duration = Duration::from_millis(100);
const USERS: usize = 500;
const PASSWORD: &str = "secret";
/// Made by `memserver hash-password` of that password.
const HASH: &str = concat!(
    "$argon2id$v=19$m=19456,t=2,p=1$tEg6GUZAX29vU3XVsiZ1sA",
    "$jsnTqBwqKhMcZzrFd1tEVjuPuuk923BCAzqdVY1bnrE"
);
const MECHANISM: &[u8] = b"PLAIN";
const HEADER: usize = 24;
const SMALL: usize = 100;
