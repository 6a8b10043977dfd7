//! What was answered, without what must differ between two servers: versions are replaced by the
//! order in which they appear, and some numbers by holes.

use crate::stream::Protocol;

/// A piece of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A time to live, or since an access.
    Seconds(Seconds),
    Bytes(Vec<u8>),
    /// The version that appeared as the so manieth.
    Version(usize),
    /// A number or a text that may differ.
    Hole,
}

/// Seconds that pass while streams are played, one server after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) u64);

impl PartialEq for Seconds {
    fn eq(&self, other: &Self) -> bool {
        const PASSED: u64 = 4;
        self.0.abs_diff(other.0) <= PASSED
    }
}

impl Eq for Seconds {}

/// The versions that a server has shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    shown: Vec<u64>,
    last: usize,
}

impl Versions {
    /// The one that was shown last, and as the how manieth it had appeared.
    pub(crate) fn last(&self) -> (u64, usize) {
        (self.shown.get(self.last).copied().unwrap_or(0), self.last)
    }

    fn see(&mut self, version: u64) -> Piece {
        let known = self.shown.iter().position(|shown| *shown == version);
        self.last = known.unwrap_or(self.shown.len());
        if known.is_none() {
            self.shown.push(version);
        }
        Piece::Version(self.last)
    }
}

/// Reads what one request was answered.
pub(crate) fn read(protocol: Protocol, bytes: &[u8], versions: &mut Versions) -> Vec<Piece> {
    let mut reader = Reader { rest: bytes, pieces: Vec::new(), versions };
    while !reader.rest.is_empty() {
        match protocol {
            Protocol::Text => reader.line(),
            Protocol::Binary => reader.frame(),
        }
    }
    reader.pieces
}

struct Reader<'a> {
    rest: &'a [u8],
    pieces: Vec<Piece>,
    versions: &'a mut Versions,
}

impl<'a> Reader<'a> {
    fn put(&mut self, more: &[u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Bytes(bytes)) => bytes.extend_from_slice(more),
            _ => self.pieces.push(Piece::Bytes(more.to_vec())),
        }
    }

    /// Takes up to so many bytes.
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn see(&mut self, version: u64) {
        match version {
            // Versions are switched off, or there is none.
            0 => self.put(b"0"),
            _ => {
                let piece = self.versions.see(version);
                self.pieces.push(piece);
            }
        }
    }

    /// A line, and the value behind it.
    fn line(&mut self) {
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let line = self.take(end.map_or(self.rest.len(), |end| end + 1));
        let text = String::from_utf8_lossy(line);
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
        match words.first().copied() {
            Some("VALUE") => {
                self.words(
                    line,
                    |at, word| if at == 4 { Word::version(word, 0) } else { Word::Plain },
                );
                let value = self.take(number(3).unwrap_or(0) + 2);
                self.put(value);
            }
            Some("VA") => {
                self.words(line, meta_word);
                let value = self.take(number(1).unwrap_or(0) + 2);
                self.put(value);
            }
            Some("HD" | "EN" | "NF" | "NS" | "EX") => self.words(line, meta_word),
            Some("ME") => self.words(line, |_, word| match word.split_once('=') {
                Some(("cas", _)) => Word::version(word, 4),
                Some((name @ ("exp" | "la"), _)) => Word::seconds(word, name.len() + 1),
                Some((name @ ("cls" | "size"), _)) => Word::Hole(name.len() + 1),
                _ => Word::Plain,
            }),
            Some("VERSION") => {
                self.words(line, |at, _| if at == 1 { Word::Hole(0) } else { Word::Plain })
            }
            Some("STAT") => {}
            _ => self.put(line),
        }
    }

    /// Every word of a line as `judge` wants it.
    fn words(&mut self, line: &[u8], judge: impl Fn(usize, &str) -> Word) {
        for (at, word) in line.split_inclusive(|byte| *byte == b' ').enumerate() {
            let len = word.len() - word.iter().rev().take_while(|byte| **byte <= b' ').count();
            let text = String::from_utf8_lossy(&word[..len]);
            match judge(at, &text) {
                Word::Plain => self.put(&word[..len]),
                Word::Version(keep, version) => {
                    self.put(&word[..keep]);
                    self.see(version);
                }
                Word::Hole(keep) => {
                    self.put(&word[..keep]);
                    self.pieces.push(Piece::Hole);
                }
                Word::Seconds(keep, seconds) => {
                    self.put(&word[..keep]);
                    self.pieces.push(Piece::Seconds(Seconds(seconds)));
                }
            }
            self.put(&word[len..]);
        }
    }

    fn frame(&mut self) {
        const HEADER: usize = 24;
        let head = self.take(HEADER);
        let Ok(head) = <&[u8; HEADER]>::try_from(head) else { return self.put(head) };
        let body_len = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
        let body = self.take(body_len as usize);
        let status = u16::from_be_bytes([head[6], head[7]]);
        match head[1] {
            // A statistic.
            0x10 if body_len > 0 && status == 0 => {}
            0x0b if status == 0 => {
                self.put(&head[..16]);
                self.put(&head[16..]);
                self.pieces.push(Piece::Hole);
            }
            _ => {
                self.put(&head[..16]);
                let version = u64::from_be_bytes(head[16..].try_into().unwrap());
                if version == 0 {
                    self.put(&head[16..])
                } else {
                    self.see(version)
                }
                self.put(body);
            }
        }
    }
}

/// What becomes of a word.
enum Word {
    Plain,
    /// So many bytes, then a version.
    Version(usize, u64),
    /// So many bytes, then something that may differ.
    Hole(usize),
    /// So many bytes, then seconds.
    Seconds(usize, u64),
}

impl Word {
    fn version(word: &str, keep: usize) -> Self {
        word[keep..].parse().map_or(Self::Plain, |version| Self::Version(keep, version))
    }

    /// -1 is no time, and one far away depends on the clock. `me` of memcached counts from the
    /// moment that is to come.
    fn seconds(word: &str, keep: usize) -> Self {
        const FAR: u64 = 10_000_000;
        match word[keep..].parse::<i64>() {
            Ok(-1) | Err(_) => Self::Plain,
            Ok(seconds) if seconds.unsigned_abs() > FAR => Self::Hole(keep),
            Ok(seconds) => Self::Seconds(keep, seconds.unsigned_abs()),
        }
    }
}

/// Flags of a meta reply.
fn meta_word(at: usize, word: &str) -> Word {
    match word.as_bytes().first() {
        Some(b'c') if at > 0 => Word::version(word, 1),
        Some(b'l' | b't') if at > 0 => Word::seconds(word, 1),
        _ => Word::Plain,
    }
}
