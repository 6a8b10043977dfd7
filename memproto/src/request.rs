//! Requests as values borrowed from the read buffer.

use crate::bytes::split_word;
use crate::error::ParseError;
use crate::limits::MAX_KEY;
use crate::meta::MetaRequest;

/// One command of the text framing, classic or meta.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"incr visits 5\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Arith { key, delta, .. }, .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert_eq!((key, delta), (&b"visits"[..], 5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request<'a> {
    /// get, gets, gat, gats.
    Get {
        /// Which of the four.
        verb: GetVerb,
        /// The new expiry of gat and gats, 0 for the others.
        exptime: i64,
        /// At least one key.
        keys: Keys<'a>,
    },
    /// set, add, replace, append, prepend, cas. The data block follows.
    Store(Store<'a>),
    /// incr, decr.
    Arith {
        /// Up or down.
        verb: ArithVerb,
        /// The key.
        key: &'a [u8],
        /// How far.
        delta: u64,
        /// No reply, not even an error.
        noreply: bool,
    },
    /// touch.
    Touch {
        /// The key.
        key: &'a [u8],
        /// The new expiry as sent.
        exptime: i64,
        /// No reply, not even an error.
        noreply: bool,
    },
    /// delete.
    Delete {
        /// The key.
        key: &'a [u8],
        /// No reply, not even an error.
        noreply: bool,
    },
    /// flush_all.
    FlushAll {
        /// Seconds from now or absolute time as sent; 0 when absent. A server that refuses
        /// to flush answers so whether it is a number or not.
        delay: Result<i64, ParseError>,
        /// No reply, not even an error.
        noreply: bool,
    },
    /// version.
    Version,
    /// verbosity.
    Verbosity {
        /// The level as sent, not capped.
        level: u32,
        /// No reply, not even an error.
        noreply: bool,
    },
    /// quit: close without a reply.
    Quit,
    /// shutdown.
    Shutdown {
        /// How, or what is wrong with it. A server that refuses to shut down answers that
        /// first, so the error is not for the parser to send.
        mode: Result<Shutdown, ParseError>,
        /// No reply, not even an error.
        noreply: bool,
    },
    /// stats with its raw words.
    Stats {
        /// The words behind `stats`.
        args: Args<'a>,
    },
    /// An administrative command with its raw words.
    Admin {
        /// Which one.
        command: Admin,
        /// The words behind the command, a last `noreply` excluded.
        args: Args<'a>,
        /// No reply, not even an error.
        noreply: bool,
    },
    /// mg, ms, md, ma, me. The data block of ms follows.
    Meta(MetaRequest<'a>),
    /// mn: answer `MN` and send everything before it.
    MetaNoop,
}

/// The retrieval commands.
///
/// ```
/// use memproto::GetVerb;
///
/// assert!(GetVerb::Gats.with_cas() && GetVerb::Gats.touches());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GetVerb {
    /// Value and client flags.
    Get,
    /// As get, with the version.
    Gets,
    /// As get, and the expiry is replaced.
    Gat,
    /// As gets, and the expiry is replaced.
    Gats,
}

impl GetVerb {
    /// The reply lines carry the version.
    #[must_use]
    pub const fn with_cas(self) -> bool {
        matches!(self, Self::Gets | Self::Gats)
    }

    /// The expiry is replaced.
    #[must_use]
    pub const fn touches(self) -> bool {
        matches!(self, Self::Gat | Self::Gats)
    }
}

/// The storage commands.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"add apple 0 0 3\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Store(store), .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert_eq!(store.verb, memproto::StoreVerb::Add);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreVerb {
    /// Store always.
    Set,
    /// Store when absent.
    Add,
    /// Store when present.
    Replace,
    /// Put behind the present value.
    Append,
    /// Put in front of the present value.
    Prepend,
    /// Store when the version matches.
    Cas,
}

/// The header of a storage command.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let line = b"cas apple 7 60 3 42 noreply\r\n";
/// let step = text::parse(line, &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Store(store), .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert_eq!((store.flags, store.exptime, store.len, store.cas), (7, 60, 3, 42));
/// assert!(store.noreply);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store<'a> {
    /// Which of the six.
    pub verb: StoreVerb,
    /// 1 to 250 bytes.
    pub key: &'a [u8],
    /// Client flags.
    pub flags: u32,
    /// The expiry as sent.
    pub exptime: i64,
    /// Bytes of the data block without its CRLF.
    pub len: u32,
    /// The version to compare; 0 for every verb but cas.
    pub cas: u64,
    /// No reply, not even an error.
    pub noreply: bool,
}

impl Store<'_> {
    /// The same request, whose key is found elsewhere: for a request that is needed when its line
    /// is not there any more.
    #[must_use]
    pub const fn with_key<'b>(&self, key: &'b [u8]) -> Store<'b> {
        Store {
            verb: self.verb,
            key,
            flags: self.flags,
            exptime: self.exptime,
            len: self.len,
            cas: self.cas,
            noreply: self.noreply,
        }
    }
}

/// The arithmetic commands.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"decr visits 1\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Arith { verb, .. }, .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert_eq!(verb, memproto::ArithVerb::Decr);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArithVerb {
    /// Wraps at 2^64.
    Incr,
    /// Stops at 0.
    Decr,
}

/// How to shut down.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"shutdown graceful\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Shutdown { mode, .. }, .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert_eq!(mode, Ok(memproto::Shutdown::Graceful));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shutdown {
    /// `shutdown`.
    AtOnce,
    /// `shutdown graceful`: keep the items for a restart.
    Graceful,
}

/// The administrative commands whose words the server interprets.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"cache_memlimit 64\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Admin { command, .. }, .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert_eq!(command, memproto::Admin::CacheMemlimit);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Admin {
    /// `cache_memlimit <megabytes>`.
    CacheMemlimit,
    /// `debugtime p|r|<n>`: moves the clock of a test build, otherwise unknown.
    Debugtime,
    /// `extstore ...`: never built in.
    Extstore,
    /// `lru tune|mode|temp_ttl ...`.
    Lru,
    /// `lru_crawler enable|disable|sleep|tocrawl|crawl|metadump|mgdump ...`.
    LruCrawler,
    /// `refresh_certs`.
    RefreshCerts,
    /// `slabs reassign|automove ...`.
    Slabs,
    /// `watch [words]`.
    Watch,
}

/// The words behind a command: a cheap iterator over the rest of its line.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"stats detail on\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Stats { args }, .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert!(args.eq([&b"detail"[..], b"on"]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Args<'a> {
    rest: &'a [u8],
}

impl<'a> Args<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The words not yet taken, as they were sent.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (token, rest) = split_word(self.rest)?;
        self.rest = rest;
        Some(token)
    }
}

/// A key of a retrieval exceeds 250 bytes. The whole request is answered with
/// [`crate::ParseError::BadLineFormat`] and nothing else, also when keys before it were found.
///
/// ```
/// use memproto::{KeyTooLong, Keys};
///
/// let key = [b'k'; 251];
/// assert_eq!(Keys::on(&key).next(), Some(Err(KeyTooLong)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key is longer than 250 bytes")]
pub struct KeyTooLong;

/// The keys of a retrieval: a cheap iterator that finds each key when it is asked for, so
/// the number of keys is unbounded and the first one costs nothing.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"get apple pear\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Get { keys, .. }, .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert!(keys.eq([Ok(&b"apple"[..]), Ok(b"pear")]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys<'a> {
    first: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Keys<'a> {
    pub(crate) const fn new(first: &'a [u8], rest: &'a [u8]) -> Self {
        debug_assert!(!first.is_empty());
        Self { first, rest }
    }

    /// The keys on the rest of a retrieval line, without its terminator, from some key on.
    #[must_use]
    pub const fn on(rest: &'a [u8]) -> Self {
        Self { first: &[], rest }
    }

    /// The key, when there is exactly one and it is short enough: the hot path.
    #[must_use]
    pub const fn single(&self) -> Option<&'a [u8]> {
        if self.rest.is_empty() && self.first.len() <= MAX_KEY { Some(self.first) } else { None }
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = Result<&'a [u8], KeyTooLong>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // The first key was split off by the parser to see that there is one.
        let key = if self.first.is_empty() {
            if self.rest.is_empty() {
                return None;
            }
            let (token, rest) = split_word(self.rest)?;
            self.rest = rest;
            token
        } else {
            std::mem::take(&mut self.first)
        };
        Some(if key.len() <= MAX_KEY { Ok(key) } else { Err(KeyTooLong) })
    }
}
