//! Requests and replies of the binary protocol.

use super::{InvalidKey, check_length};
use crate::binary::{Header, Opcode, REQUEST_MAGIC, RESPONSE_MAGIC, Status};
use crate::bytes::Scan;
use crate::limits::BINARY_HEADER;
use crate::request::{ArithVerb, StoreVerb};

/// Most bytes of extras that a request has.
const EXTRAS_MAX: usize = 20;
/// The expiry of a counter that is not to be created.
const NO_CREATION: u32 = u32::MAX;

/// A request without its value, to be [written](Self::write).
///
/// ```
/// use memproto::StoreVerb;
/// use memproto::client::binary::Frame;
///
/// let mut out = Vec::new();
/// Frame::store(StoreVerb::Set, b"apple", 7, 60, 3).opaque(1).write(&mut out)?;
/// out.extend_from_slice(b"red");
/// Frame::get(b"apple").opaque(2).write(&mut out)?;
/// assert_eq!(out.len(), (24 + 8 + 5 + 3) + (24 + 5));
/// # Ok::<(), memproto::client::InvalidKey>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'k> {
    opcode: Opcode,
    key: &'k [u8],
    extras: [u8; EXTRAS_MAX],
    extras_len: u8,
    value_len: u32,
    opaque: u32,
    cas: u64,
}

impl<'k> Frame<'k> {
    const fn new(opcode: Opcode, key: &'k [u8]) -> Self {
        let extras = [0; EXTRAS_MAX];
        Self { opcode, key, extras, extras_len: 0, value_len: 0, opaque: 0, cas: 0 }
    }

    /// The value of a key.
    #[must_use]
    pub const fn get(key: &'k [u8]) -> Self {
        Self::new(Opcode::Get, key)
    }

    /// The same, and its expiry is replaced.
    #[must_use]
    pub fn get_and_touch(key: &'k [u8], exptime: u32) -> Self {
        Self::new(Opcode::Gat, key).extra(&exptime.to_be_bytes())
    }

    /// A value of `value_len` bytes, which are to follow. `cas` is a set with a
    /// [version](Self::cas); append and prepend take neither flags nor an expiry.
    #[must_use]
    pub fn store(verb: StoreVerb, key: &'k [u8], flags: u32, exptime: u32, value_len: u32) -> Self {
        let attrs = |opcode| {
            let frame = Self::new(opcode, key);
            frame.extra(&flags.to_be_bytes()).extra(&exptime.to_be_bytes())
        };
        let frame = match verb {
            StoreVerb::Set | StoreVerb::Cas => attrs(Opcode::Set),
            StoreVerb::Add => attrs(Opcode::Add),
            StoreVerb::Replace => attrs(Opcode::Replace),
            StoreVerb::Append => Self::new(Opcode::Append, key),
            StoreVerb::Prepend => Self::new(Opcode::Prepend, key),
        };
        Self { value_len, ..frame }
    }

    /// Removes a key.
    #[must_use]
    pub const fn delete(key: &'k [u8]) -> Self {
        Self::new(Opcode::Delete, key)
    }

    /// Counts; `create` is the number and the expiry of a counter that is not there.
    #[must_use]
    pub fn count(verb: ArithVerb, key: &'k [u8], delta: u64, create: Option<(u64, u32)>) -> Self {
        let opcode = match verb {
            ArithVerb::Incr => Opcode::Increment,
            ArithVerb::Decr => Opcode::Decrement,
        };
        let (initial, exptime) = create.unwrap_or((0, NO_CREATION));
        let frame = Self::new(opcode, key).extra(&delta.to_be_bytes());
        frame.extra(&initial.to_be_bytes()).extra(&exptime.to_be_bytes())
    }

    /// A new expiry.
    #[must_use]
    pub fn touch(key: &'k [u8], exptime: u32) -> Self {
        Self::new(Opcode::Touch, key).extra(&exptime.to_be_bytes())
    }

    /// Statistics, of a group if `name` is not empty. One reply for each, and an empty one.
    #[must_use]
    pub const fn stat(name: &'k [u8]) -> Self {
        Self::new(Opcode::Stat, name)
    }

    /// Logs in by a mechanism, with a message of `len` bytes that is to follow.
    #[must_use]
    pub const fn sasl_auth(mechanism: &'k [u8], len: u32) -> Self {
        Self { value_len: len, ..Self::new(Opcode::SaslAuth, mechanism) }
    }

    /// The names of the mechanisms.
    #[must_use]
    pub const fn sasl_list() -> Self {
        Self::new(Opcode::SaslList, &[])
    }

    /// An answer and nothing else: it ends a run of quiet requests.
    #[must_use]
    pub const fn noop() -> Self {
        Self::new(Opcode::Noop, &[])
    }

    /// The server's version.
    #[must_use]
    pub const fn version() -> Self {
        Self::new(Opcode::Version, &[])
    }

    /// Removes all, perhaps only after some seconds.
    #[must_use]
    pub fn flush(delay: u32) -> Self {
        let frame = Self::new(Opcode::Flush, &[]);
        if delay == 0 { frame } else { frame.extra(&delay.to_be_bytes()) }
    }

    /// Closes the connection after a last reply.
    #[must_use]
    pub const fn quit() -> Self {
        Self::new(Opcode::Quit, &[])
    }

    /// A number that the reply repeats.
    #[must_use]
    pub const fn opaque(mut self, opaque: u32) -> Self {
        self.opaque = opaque;
        self
    }

    /// The version that the item must have; 0 for any.
    #[must_use]
    pub const fn cas(mut self, cas: u64) -> Self {
        self.cas = cas;
        self
    }

    /// With the key in the reply, if this is a get.
    #[must_use]
    pub const fn with_key(mut self) -> Self {
        self.opcode = match self.opcode {
            Opcode::Get => Opcode::GetK,
            Opcode::GetQ => Opcode::GetKQ,
            Opcode::Gat => Opcode::GatK,
            Opcode::GatQ => Opcode::GatKQ,
            other => other,
        };
        self
    }

    /// Without a reply if it succeeds, or if it is a get and finds nothing. What has no such form
    /// is answered as ever.
    #[must_use]
    pub const fn quiet(mut self) -> Self {
        self.opcode = match self.opcode {
            Opcode::Get => Opcode::GetQ,
            Opcode::GetK => Opcode::GetKQ,
            Opcode::Gat => Opcode::GatQ,
            Opcode::GatK => Opcode::GatKQ,
            Opcode::Set => Opcode::SetQ,
            Opcode::Add => Opcode::AddQ,
            Opcode::Replace => Opcode::ReplaceQ,
            Opcode::Append => Opcode::AppendQ,
            Opcode::Prepend => Opcode::PrependQ,
            Opcode::Delete => Opcode::DeleteQ,
            Opcode::Increment => Opcode::IncrementQ,
            Opcode::Decrement => Opcode::DecrementQ,
            Opcode::Flush => Opcode::FlushQ,
            Opcode::Quit => Opcode::QuitQ,
            other => other,
        };
        self
    }

    /// Appends more extras; all requests together have room for theirs.
    fn extra(mut self, bytes: &[u8]) -> Self {
        let start = usize::from(self.extras_len);
        let room = self.extras.get_mut(start..start + bytes.len());
        debug_assert!(room.is_some(), "no request has extras of this length");
        if let Some(room) = room {
            room.copy_from_slice(bytes);
            self.extras_len += bytes.len() as u8;
        }
        self
    }

    /// Appends the request to `out`. The value is to follow, if it has one.
    ///
    /// # Errors
    /// The key is too long, or is empty where there has to be one. Nothing was written.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), InvalidKey> {
        let needs_key = !matches!(
            self.opcode,
            Opcode::Noop
                | Opcode::Version
                | Opcode::Flush
                | Opcode::FlushQ
                | Opcode::Quit
                | Opcode::QuitQ
                | Opcode::Stat
                | Opcode::SaslList
        );
        if needs_key || !self.key.is_empty() {
            check_length(self.key)?;
        }
        let key_len = self.key.len() as u16;
        let header = Header {
            magic: REQUEST_MAGIC,
            opcode: self.opcode as u8,
            key_len,
            extras_len: self.extras_len,
            body_len: u32::from(self.extras_len) + u32::from(key_len) + self.value_len,
            opaque: self.opaque,
            cas: self.cas,
            ..Header::default()
        };
        out.extend_from_slice(&header.encode());
        out.extend(self.extras.iter().take(self.extras_len.into()));
        out.extend_from_slice(self.key);
        Ok(())
    }
}

/// A reply without its value.
///
/// ```
/// use memproto::Scan;
/// use memproto::binary::{ReplyTo, Status, write};
/// use memproto::client::binary::{Step, parse};
///
/// let mut read = Vec::new();
/// write::error(&mut read, ReplyTo { opcode: 0x00, opaque: 2 }, Status::NotFound);
/// let Step::Reply { consumed, reply } = parse(&read, &mut Scan::new()) else { panic!() };
/// assert!(reply.is(Status::NotFound));
/// assert_eq!(read[consumed..], *b"Not found");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply<'a> {
    /// The command byte of the request.
    pub opcode: u8,
    /// How it went: a [`Status`] as a number, since a server may know others.
    pub status: u16,
    /// The number of the request.
    pub opaque: u32,
    /// The item's version; 0 if there is none.
    pub cas: u64,
    /// The extras: client flags, of a get.
    pub extras: &'a [u8],
    /// The key, if it was asked for, or the name of a statistic.
    pub key: &'a [u8],
    /// Bytes that follow: a value, a number of 8 bytes, or the text of an error.
    pub value_len: u32,
}

impl Reply<'_> {
    /// Whether the status is this one.
    #[must_use]
    pub const fn is(&self, status: Status) -> bool {
        self.status == status as u16
    }

    /// The client flags of a value.
    #[must_use]
    pub fn flags(&self) -> Option<u32> {
        self.extras.first_chunk().copied().map(u32::from_be_bytes)
    }
}

/// The result of [`parse`].
///
/// ```
/// use memproto::Scan;
/// use memproto::client::binary::{Step, parse};
///
/// assert_eq!(parse(b"\x81", &mut Scan::new()), Step::Partial);
/// assert_eq!(parse(b"HTTP/1.1", &mut Scan::new()), Step::Invalid);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step<'a> {
    /// More bytes are needed.
    Partial,
    /// A reply.
    Reply {
        /// Bytes of it without its value.
        consumed: usize,
        /// What it says.
        reply: Reply<'a>,
    },
    /// No reply begins so: the peer is not a server, or the stream is out of step.
    Invalid,
}

/// Reads the reply at the front of `buf`, without its value.
///
/// ```
/// use memproto::Scan;
/// use memproto::binary::{Opcode, ReplyTo, Status, write};
/// use memproto::client::binary::{Step, parse};
///
/// let mut read = Vec::new();
/// let to = ReplyTo { opcode: Opcode::Get as u8, opaque: 2 };
/// write::value(&mut read, to, b"", 7, 3, 42);
/// read.extend_from_slice(b"red");
///
/// let Step::Reply { consumed, reply } = parse(&read, &mut Scan::new()) else { panic!() };
/// assert!(reply.is(Status::Ok));
/// assert_eq!((reply.opaque, reply.flags(), reply.cas), (2, Some(7), 42));
/// assert_eq!(read[consumed..][..reply.value_len as usize], *b"red");
/// ```
#[must_use]
pub fn parse<'a>(buf: &'a [u8], scan: &mut Scan) -> Step<'a> {
    if buf.len() < scan.seen {
        return Step::Partial;
    }
    scan.seen = 0;
    if buf.first().is_some_and(|&magic| magic != RESPONSE_MAGIC) {
        return Step::Invalid;
    }
    let Some((header, body)) = buf.split_first_chunk::<BINARY_HEADER>() else {
        scan.seen = BINARY_HEADER;
        return Step::Partial;
    };
    let header = Header::decode(header);
    let (extras_len, key_len) = (usize::from(header.extras_len), usize::from(header.key_len));
    let Some(value_len) = header.body_len.checked_sub((extras_len + key_len) as u32) else {
        return Step::Invalid;
    };
    let consumed = BINARY_HEADER + extras_len + key_len;
    let fields = body.get(..extras_len + key_len);
    let Some((extras, key)) = fields.and_then(|fields| fields.split_at_checked(extras_len)) else {
        scan.seen = consumed;
        return Step::Partial;
    };
    let Header { opcode, status, opaque, cas, .. } = header;
    Step::Reply { consumed, reply: Reply { opcode, status, opaque, cas, extras, key, value_len } }
}
