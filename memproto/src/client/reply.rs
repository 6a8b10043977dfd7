//! Replies of the text framing, classic and meta.

use crate::bytes::{Scan, cut_word, find_line, split_word, trim_start};
use crate::meta::{Flag, Flags};
use crate::number::{parse_u32, parse_u64};

/// Longest reply line. Values are not part of a line.
pub const MAX_REPLY_LINE: usize = 64 << 10;

/// One line from a server.
///
/// ```
/// use memproto::Scan;
/// use memproto::client::reply::{Reply, Step, parse};
///
/// let step = parse(b"STAT threads 4\r\n", &mut Scan::new());
/// let reply = Reply::Stat { name: b"threads", value: b"4" };
/// assert_eq!(step, Step::Reply { consumed: 16, reply });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// `VALUE key flags len [cas]`: `len` bytes of value and CRLF follow, see [`data`].
    Value {
        /// The key.
        key: &'a [u8],
        /// Client flags.
        flags: u32,
        /// Bytes of the value.
        len: usize,
        /// The version, of `gets` and `gats`.
        cas: Option<u64>,
    },
    /// `END` of values or statistics.
    End,
    /// `STORED`.
    Stored,
    /// `NOT_STORED`: the condition of `add`, `replace`, `append` or `prepend` did not hold.
    NotStored,
    /// `EXISTS`: the item has another version.
    Exists,
    /// `NOT_FOUND`.
    NotFound,
    /// `DELETED`.
    Deleted,
    /// `TOUCHED`.
    Touched,
    /// `OK`.
    Ok,
    /// `RESET`, of `stats reset`.
    Reset,
    /// The number that `incr` or `decr` has stored.
    Number(u64),
    /// `VERSION` and what follows it.
    Version(&'a [u8]),
    /// `STAT name value`.
    Stat {
        /// Its name.
        name: &'a [u8],
        /// What follows the name, perhaps nothing.
        value: &'a [u8],
    },
    /// The reply to a meta command.
    Meta(MetaReply<'a>),
    /// `ME key name=value...`, of `me`.
    Debug {
        /// The key as it was sent.
        key: &'a [u8],
        /// The rest of the line.
        fields: &'a [u8],
    },
    /// `ERROR`, `CLIENT_ERROR` or `SERVER_ERROR`.
    Error {
        /// Which one.
        kind: ErrorKind,
        /// What follows it, perhaps nothing.
        text: &'a [u8],
    },
    /// Any other line, without its end: of a dump, of a watcher, of an administrative command.
    Other(&'a [u8]),
}

/// Whose fault an error is, as the server sees it.
///
/// ```
/// use memproto::Scan;
/// use memproto::client::reply::{ErrorKind, Reply, Step, parse};
///
/// let step = parse(b"CLIENT_ERROR bad data chunk\r\n", &mut Scan::new());
/// let reply = Reply::Error { kind: ErrorKind::Client, text: b"bad data chunk" };
/// assert_eq!(step, Step::Reply { consumed: 29, reply });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// `ERROR`: the server does not know the command.
    Unknown,
    /// `CLIENT_ERROR`: the request is wrong.
    Client,
    /// `SERVER_ERROR`: the request is right, and could not be carried out.
    Server,
}

/// The reply to a meta command: its status, and the flags that were asked for.
///
/// ```
/// use memproto::Scan;
/// use memproto::client::reply::{Reply, Step, parse};
///
/// let step = parse(b"HD c42 W\r\n", &mut Scan::new());
/// let Step::Reply { reply: Reply::Meta(meta), .. } = step else { panic!() };
/// assert_eq!(meta.flag(b'c'), Some(&b"42"[..]));
/// assert!(meta.has(b'W') && !meta.has(b'Z'));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetaReply<'a> {
    /// How it went.
    pub status: MetaStatus,
    /// The flags, in the order of the request.
    pub flags: Flags<'a>,
}

impl<'a> MetaReply<'a> {
    /// What follows a flag's letter, perhaps nothing; `None` if it has no such flag.
    #[must_use]
    pub fn flag(&self, letter: u8) -> Option<&'a [u8]> {
        self.flags.into_iter().find(|flag: &Flag<'_>| flag.letter == letter).map(|flag| flag.arg)
    }

    /// Whether it has this flag, such as `W`, `X` or `Z`.
    #[must_use]
    pub fn has(&self, letter: u8) -> bool {
        self.flag(letter).is_some()
    }
}

/// How a meta command went.
///
/// ```
/// use memproto::Scan;
/// use memproto::client::reply::{MetaStatus, Reply, Step, parse};
///
/// let step = parse(b"NF O7\r\n", &mut Scan::new());
/// let Step::Reply { reply: Reply::Meta(meta), .. } = step else { panic!() };
/// assert_eq!(meta.status, MetaStatus::NotFound);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetaStatus {
    /// `VA`: a value of this length and CRLF follow, see [`data`].
    Value(usize),
    /// `HD`: done, or found.
    Done,
    /// `EN`: `mg` or `me` found nothing.
    Miss,
    /// `NS`: the condition of the mode did not hold.
    NotStored,
    /// `EX`: the item has another version.
    Exists,
    /// `NF`: there is no such item.
    NotFound,
    /// `MN`: the answer to `mn`.
    Noop,
}

/// The result of [`parse`].
///
/// ```
/// use memproto::Scan;
/// use memproto::client::reply::{Reply, Step, parse};
///
/// let mut scan = Scan::new();
/// assert_eq!(parse(b"STO", &mut scan), Step::Partial);
/// assert_eq!(parse(b"STORED\r\n", &mut scan), Step::Reply { consumed: 8, reply: Reply::Stored });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step<'a> {
    /// More bytes are needed.
    Partial,
    /// A line.
    Reply {
        /// Bytes of the line.
        consumed: usize,
        /// What it says.
        reply: Reply<'a>,
    },
    /// No line is this long: the peer is not a server, or the stream is out of step.
    TooLong,
}

/// Reads the line at the front of `buf`.
///
/// ```
/// use memproto::Scan;
/// use memproto::client::reply::{self, Reply, Step};
///
/// let read = b"VALUE apple 7 3\r\nred\r\nEND\r\n";
/// let mut scan = Scan::new();
/// let Step::Reply { consumed, reply } = reply::parse(read, &mut scan) else { panic!() };
/// assert_eq!(reply, Reply::Value { key: b"apple", flags: 7, len: 3, cas: None });
/// let rest = &read[consumed..];
/// assert_eq!(reply::data(rest, 3), reply::Data::Whole(b"red"));
/// let end = reply::parse(&rest[3 + 2..], &mut scan);
/// assert_eq!(end, Step::Reply { consumed: 5, reply: Reply::End });
/// ```
#[must_use]
pub fn parse<'a>(buf: &'a [u8], scan: &mut Scan) -> Step<'a> {
    let searched = std::mem::take(&mut scan.seen);
    let Some(line) = find_line(buf, searched) else {
        if buf.len() >= MAX_REPLY_LINE {
            return Step::TooLong;
        }
        scan.seen = buf.len();
        return Step::Partial;
    };
    if line.len() >= MAX_REPLY_LINE {
        return Step::TooLong;
    }
    let consumed = line.len() + 1;
    Step::Reply { consumed, reply: read(line.strip_suffix(b"\r").unwrap_or(line)) }
}

/// What there is of a value and the CRLF behind it.
///
/// ```
/// use memproto::client::reply::{Data, data};
///
/// assert_eq!(data(b"\r\n", 0), Data::Whole(b""));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data<'a> {
    /// More bytes are needed.
    Partial,
    /// The value. Two bytes more are used up.
    Whole(&'a [u8]),
    /// There is no CRLF behind it: the two have lost each other.
    Unterminated,
}

/// The value of `len` bytes at the front of `buf`. A large one need not be kept in one piece: its
/// bytes can as well be taken as they come, and then CRLF.
///
/// ```
/// use memproto::client::reply::{Data, data};
///
/// assert_eq!(data(b"red\r", 3), Data::Partial);
/// assert_eq!(data(b"red\r\nEND\r\n", 3), Data::Whole(b"red"));
/// assert_eq!(data(b"reddish", 3), Data::Unterminated);
/// ```
#[must_use]
pub fn data(buf: &[u8], len: usize) -> Data<'_> {
    let Some((value, rest)) = buf.split_at_checked(len) else { return Data::Partial };
    match rest {
        [b'\r', b'\n', ..] => Data::Whole(value),
        [] | [b'\r'] => Data::Partial,
        _ => Data::Unterminated,
    }
}

fn read(line: &[u8]) -> Reply<'_> {
    let (word, rest) = cut_word(line);
    let known = match word {
        b"VALUE" => value(rest),
        b"STAT" => split_word(rest).map(|(name, value)| Reply::Stat { name, value }),
        b"VERSION" => Some(Reply::Version(trim_start(rest))),
        b"ME" => split_word(rest).map(|(key, fields)| Reply::Debug { key, fields }),
        b"VA" => split_word(rest).and_then(|(len, flags)| {
            let len = usize::try_from(parse_u64(len)?).ok()?;
            Some(meta(MetaStatus::Value(len), flags))
        }),
        b"HD" => Some(meta(MetaStatus::Done, rest)),
        b"EN" => Some(meta(MetaStatus::Miss, rest)),
        b"NS" => Some(meta(MetaStatus::NotStored, rest)),
        b"EX" => Some(meta(MetaStatus::Exists, rest)),
        b"NF" => Some(meta(MetaStatus::NotFound, rest)),
        b"MN" => Some(meta(MetaStatus::Noop, rest)),
        b"ERROR" => Some(error(ErrorKind::Unknown, rest)),
        b"CLIENT_ERROR" => Some(error(ErrorKind::Client, rest)),
        // memcached writes a colon in one case.
        b"SERVER_ERROR" | b"SERVER_ERROR:" => Some(error(ErrorKind::Server, rest)),
        _ if rest.is_empty() => single(word),
        _ => None,
    };
    known.unwrap_or(Reply::Other(line))
}

/// A line of one word.
fn single(word: &[u8]) -> Option<Reply<'_>> {
    Some(match word {
        b"END" => Reply::End,
        b"STORED" => Reply::Stored,
        b"NOT_STORED" => Reply::NotStored,
        b"EXISTS" => Reply::Exists,
        b"NOT_FOUND" => Reply::NotFound,
        b"DELETED" => Reply::Deleted,
        b"TOUCHED" => Reply::Touched,
        b"OK" => Reply::Ok,
        b"RESET" => Reply::Reset,
        _ => return parse_u64(word).map(Reply::Number),
    })
}

fn value(rest: &[u8]) -> Option<Reply<'_>> {
    let (key, rest) = split_word(rest)?;
    let (flags, rest) = split_word(rest)?;
    let (len, rest) = split_word(rest)?;
    let cas = match split_word(rest) {
        Some((cas, [])) => Some(parse_u64(cas)?),
        Some(_) => return None,
        None => None,
    };
    let len = usize::try_from(parse_u64(len)?).ok()?;
    Some(Reply::Value { key, flags: parse_u32(flags)?, len, cas })
}

fn meta(status: MetaStatus, flags: &[u8]) -> Reply<'_> {
    Reply::Meta(MetaReply { status, flags: Flags::new(trim_start(flags)) })
}

fn error(kind: ErrorKind, text: &[u8]) -> Reply<'_> {
    Reply::Error { kind, text: trim_start(text) }
}
