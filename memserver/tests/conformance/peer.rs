//! Those who answer: a session without sockets, or a server behind a socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use memserver::fuzzing::{Dialogue, Stage};

use crate::notation;
use crate::pattern::{Names, Pattern};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one read waits.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// One connection to whoever answers.
pub(crate) trait Peer {
    /// Sends bytes. What can't be sent because the connection is over is lost.
    fn send(&mut self, bytes: &[u8]);
    /// What has been answered; stops at once when it is what is expected.
    fn answer(&mut self, expected: &Pattern, names: &mut Names) -> Result<(), Vec<u8>>;
    /// Whether the other side ends the connection. Nothing may have come before.
    fn is_closed(&mut self) -> bool;
    /// What comes when no more is sent.
    fn rest(&mut self) -> Vec<u8>;
}

/// A session without sockets.
#[derive(Debug)]
pub(crate) struct Direct {
    dialogue: Dialogue,
    cuts: Cuts,
    sent: usize,
    found: Vec<u8>,
}

/// In which pieces bytes are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cuts {
    /// As they come.
    None,
    /// In two pieces, the first of them so long, counted from the beginning of the transcript.
    At(usize),
    /// One by one.
    Everywhere,
}

impl Direct {
    pub(crate) fn new(stage: &Stage, cuts: Cuts) -> Self {
        Self { dialogue: stage.connect(), cuts, sent: 0, found: Vec::new() }
    }
}

impl Peer for Direct {
    fn send(&mut self, bytes: &[u8]) {
        let cut = match self.cuts {
            Cuts::None => bytes.len(),
            Cuts::At(cut) => cut.saturating_sub(self.sent).min(bytes.len()),
            Cuts::Everywhere => {
                bytes.iter().for_each(|byte| self.found.extend(self.dialogue.feed(&[*byte])));
                return;
            }
        };
        self.sent += bytes.len();
        for piece in [&bytes[..cut], &bytes[cut..]] {
            if !piece.is_empty() {
                self.found.extend(self.dialogue.feed(piece));
            }
        }
    }

    fn answer(&mut self, expected: &Pattern, names: &mut Names) -> Result<(), Vec<u8>> {
        let found = std::mem::take(&mut self.found);
        if expected.matches(&found, names) { Ok(()) } else { Err(found) }
    }

    fn is_closed(&mut self) -> bool {
        self.found.is_empty() && self.dialogue.is_closed()
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.found)
    }
}

/// What a server is reached through.
pub(crate) trait Stream: Read + Write {
    /// Says that no more is sent.
    fn end(&mut self);
}

impl Stream for TcpStream {
    fn end(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// A server behind a socket.
#[derive(Debug)]
pub(crate) struct Remote<S = TcpStream> {
    stream: S,
    found: Vec<u8>,
}

impl Remote {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LOOK)).unwrap();
        Self::over(stream)
    }
}

impl<S: Stream> Remote<S> {
    /// Over `stream`, whose reads end after [`LOOK`].
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, found: Vec::new() }
    }

    /// Reads something; false at the end.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 65536];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(len) => {
                self.found.extend(&bytes[..len]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                true
            }
        }
    }

    /// Reads up to the end; whether it came.
    fn read_to_end(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if !self.read() {
                return true;
            }
        }
        false
    }
}

impl<S: Stream> Peer for Remote<S> {
    fn send(&mut self, bytes: &[u8]) {
        // The other side may have closed already, which the transcript expects or will miss.
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    fn answer(&mut self, expected: &Pattern, names: &mut Names) -> Result<(), Vec<u8>> {
        let start = Instant::now();
        loop {
            if expected.matches(&self.found, names) {
                self.found.clear();
                return Ok(());
            }
            if !self.read() || start.elapsed() > PATIENCE {
                return match expected.matches(&self.found, names) {
                    true => {
                        self.found.clear();
                        Ok(())
                    }
                    false => Err(std::mem::take(&mut self.found)),
                };
            }
        }
    }

    fn is_closed(&mut self) -> bool {
        self.read_to_end() && self.found.is_empty()
    }

    fn rest(&mut self) -> Vec<u8> {
        self.stream.end();
        if !self.read_to_end() {
            self.found.extend(b"<the connection stays open>");
        }
        std::mem::take(&mut self.found)
    }
}

/// Somebody who logs in before anything else is said.
#[derive(Debug)]
pub(crate) struct User<P> {
    peer: P,
    is_known: bool,
}

impl<P: Peer> User<P> {
    /// Over a connection on which nothing has been sent.
    pub(crate) fn new(peer: P) -> Self {
        Self { peer, is_known: false }
    }

    /// Logs in as the user of `accounts.toml` who may do everything.
    fn log_in(&mut self, is_binary: bool) {
        let (request, reply) = if is_binary {
            let request = "80 21 0005 00 00 0000 0000000e 00000000 0000000000000000 \"PLAIN\" \
                           00 \"all\" 00 \"word\"";
            let reply = "81 21 0000 00 00 0000 0000000d 00000000 0000000000000000 \
                         \"Authenticated\"";
            (notation::binary(request), notation::binary(reply))
        } else {
            (notation::text("set login 0 0 8\\r\\nall word"), notation::text("STORED"))
        };
        let mut names = Names::new();
        self.peer.send(&request.render(&names));
        self.peer.answer(&reply, &mut names).expect("the login is right");
    }
}

impl<P: Peer> Peer for User<P> {
    fn send(&mut self, bytes: &[u8]) {
        if !std::mem::replace(&mut self.is_known, true) {
            self.log_in(bytes.starts_with(&[0x80]));
        }
        self.peer.send(bytes);
    }

    fn answer(&mut self, expected: &Pattern, names: &mut Names) -> Result<(), Vec<u8>> {
        self.peer.answer(expected, names)
    }

    fn is_closed(&mut self) -> bool {
        self.peer.is_closed()
    }

    fn rest(&mut self) -> Vec<u8> {
        self.peer.rest()
    }
}
