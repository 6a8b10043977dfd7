//! Plays a stream on a server, and tells which reply belongs to which unit.

use std::time::Instant;

use crate::material;
use crate::program::WAIT;
use crate::reply::{self, Piece, Versions};
use crate::server::{Line, Server};
use crate::stream::{Part, Protocol, Unit};

/// Counters that are compared, by how much they grow.
const COUNTERS: [&str; 22] = [
    "cmd_get",
    "cmd_set",
    "cmd_flush",
    "cmd_touch",
    "cmd_meta",
    "get_hits",
    "get_misses",
    "get_expired",
    "get_flushed",
    "delete_misses",
    "delete_hits",
    "incr_misses",
    "incr_hits",
    "decr_misses",
    "decr_hits",
    "cas_misses",
    "cas_hits",
    "cas_badval",
    "touch_hits",
    "touch_misses",
    "store_too_large",
    "store_no_memory",
];

/// What a server did with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Played {
    pub(crate) replies: Vec<Reply>,
    pub(crate) counters: Vec<(&'static str, i64)>,
}

/// What one unit was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// What was sent, with versions as they were shown.
    pub(crate) request: Vec<Piece>,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) end: End,
}

/// How the server is found behind a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It answers the next request.
    Ready,
    /// It does not: it has taken it for something else.
    Mute,
    /// It has ended the connection.
    Closed,
}

impl Reply {
    /// The bytes of the reply, without versions and holes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes_beside(self)
    }

    /// The same, with the seconds of another reply where they are as good.
    pub(crate) fn bytes_beside(&self, other: &Self) -> Vec<u8> {
        let mut seconds = other.pieces.iter().filter_map(|piece| match piece {
            Piece::Seconds(seconds) => Some(*seconds),
            _ => None,
        });
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.clone(),
            Piece::Version(_) => b"{version}".to_vec(),
            Piece::Hole => b"{}".to_vec(),
            Piece::Seconds(own) => {
                let shown = seconds.next().filter(|other| other == own).unwrap_or(*own);
                shown.0.to_string().into_bytes()
            }
        });
        pieces.collect::<Vec<_>>().concat()
    }

    /// Whether the request was refused for its form.
    pub(crate) fn is_error(&self, protocol: Protocol) -> bool {
        let Some(Piece::Bytes(start)) = self.pieces.first() else { return false };
        match protocol {
            Protocol::Text => {
                let errors = [&b"ERROR"[..], b"CLIENT_ERROR", b"SERVER_ERROR"];
                errors.iter().any(|error| start.starts_with(error))
            }
            Protocol::Binary => matches!(start.get(6..8), Some([0, 3 | 4 | 6 | 0x81 | 0x82])),
        }
    }
}

/// A request whose reply cannot be mistaken, and that reply.
fn probe(protocol: Protocol, number: usize) -> (Vec<u8>, Vec<u8>) {
    match protocol {
        Protocol::Text => {
            (format!("mg ~ O~{number}\r\n").into(), format!("EN O~{number}\r\n").into())
        }
        Protocol::Binary => {
            let mut frame = [0; 24];
            (frame[0], frame[1]) = (0x80, 0x0a);
            frame[12..16].copy_from_slice(&(0xf000_0000 | number as u32).to_be_bytes());
            let request = frame.to_vec();
            frame[0] = 0x81;
            (request, frame.to_vec())
        }
    }
}

/// Plays `stream` on an emptied server.
pub(crate) fn play(server: &mut dyn Server, stream: &[Unit]) -> Played {
    let mut control = server.connect();
    clear(&mut *control);
    let before = counters(&mut *control);
    let mut player = Player { server, stream, lines: Vec::new(), versions: Versions::default() };
    let replies = player.run();
    let counters =
        counters(&mut *control).into_iter().zip(before).map(|(new, old)| (new.0, new.1 - old.1));
    Played { replies, counters: counters.collect() }
}

/// Removes what earlier streams have left behind.
fn clear(control: &mut dyn Line) {
    // Also takes back a flush that was to come. Items with a version from far ahead survive it.
    let mut requests = b"flush_all\r\n".to_vec();
    for key in material::keys() {
        requests.extend(b"md ");
        if key.is_ascii() && !key.contains(&7) {
            requests.extend(key);
        } else {
            memproto::key::push_base64(&mut requests, &key);
            requests.extend(b" b");
        }
        requests.extend(b" q\r\n");
    }
    let (probe, last) = probe(Protocol::Text, 0);
    requests.extend(probe);
    ask(control, &requests, &last);
}

/// Sends requests that are certain to be answered.
fn ask(control: &mut dyn Line, requests: &[u8], last: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    control.exchange(requests, last, &mut found);
    let start = Instant::now();
    while !found.ends_with(last) && !control.is_closed() {
        assert!(start.elapsed() < WAIT, "no answer but {}", found.escape_ascii());
        control.exchange(&[], last, &mut found);
    }
    found
}

fn counters(control: &mut dyn Line) -> Vec<(&'static str, i64)> {
    let text = String::from_utf8(ask(control, b"stats\r\n", b"END\r\n")).unwrap();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("STAT {name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text:?}")).parse().unwrap()
    };
    COUNTERS.into_iter().map(|name| (name, value(name))).collect()
}

struct Player<'a> {
    server: &'a mut dyn Server,
    stream: &'a [Unit],
    lines: Vec<(Protocol, Box<dyn Line>)>,
    versions: Versions,
}

impl Player<'_> {
    fn run(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        while replies.len() < self.stream.len() {
            let first = replies.len();
            let protocol = self.stream[first].protocol;
            // Nothing is waited for until that makes a difference.
            let rest = self.stream[first + 1..].iter();
            let together = rest.take_while(|unit| unit.protocol == protocol && !unit.has_to_wait());
            let end = first + 1 + together.count();
            self.exchange(protocol, first, end, &mut replies);
        }
        replies
    }

    /// Sends the units from `first` to `end`, each with a probe behind it.
    fn exchange(&mut self, protocol: Protocol, first: usize, end: usize, replies: &mut Vec<Reply>) {
        let mut bytes = Vec::new();
        for (number, unit) in (first..end).zip(&self.stream[first..end]) {
            bytes.extend(unit.render(self.versions.last().0));
            bytes.extend(probe(protocol, number + 1).0);
        }
        let shown = self.versions.last();
        let line = self.line(protocol);
        let mut found = Vec::new();
        if !line.is_closed() {
            line.exchange(&bytes, &probe(protocol, end).1, &mut found);
        }
        let closed = line.is_closed();
        let mut rest = &found[..];
        for number in first..end {
            let unit = &self.stream[number];
            let request = request(unit, shown.1);
            let last = probe(protocol, number + 1).1;
            let at = rest.windows(last.len()).position(|bytes| bytes == last);
            let (own, end) = match at {
                Some(at) => {
                    let own = &rest[..at];
                    rest = &rest[at + last.len()..];
                    (own, End::Ready)
                }
                // Unless a later probe is answered, everything belongs to this one.
                None if (number + 1..end).any(|later| {
                    let later = probe(protocol, later + 1).1;
                    rest.windows(later.len()).any(|bytes| bytes == later)
                }) =>
                {
                    (&rest[..0], End::Mute)
                }
                None => {
                    let own = std::mem::take(&mut rest);
                    (own, if closed { End::Closed } else { End::Mute })
                }
            };
            let pieces = reply::read(protocol, own, &mut self.versions);
            replies.push(Reply { request, pieces, end });
        }
    }

    fn line(&mut self, protocol: Protocol) -> &mut dyn Line {
        let at = self.lines.iter().position(|(spoken, _)| *spoken == protocol);
        let at = at.unwrap_or_else(|| {
            self.lines.push((protocol, self.server.connect()));
            self.lines.len() - 1
        });
        &mut *self.lines[at].1
    }
}

/// A unit with its version by the order in which it had appeared.
fn request(unit: &Unit, shown: usize) -> Vec<Piece> {
    let parts = unit.parts.iter().map(|part| match part {
        Part::Bytes(bytes) => Piece::Bytes(bytes.clone()),
        Part::Version(_) => Piece::Version(shown),
    });
    parts.collect()
}
