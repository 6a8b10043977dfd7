//! A meta request as values borrowed from its line.

use super::flags::{FlagSet, Flags};
use crate::limits::MAX_KEY;

/// The meta commands that carry a key.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"mg apple v\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Meta(request), .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert_eq!(request.command, memproto::meta::MetaCommand::Get);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetaCommand {
    /// mg.
    Get,
    /// ms: a data block of [`MetaRequest::len`] bytes and CRLF follows.
    Set,
    /// md.
    Delete,
    /// ma.
    Arith,
    /// me.
    Debug,
}

/// What `ms` does, flag M.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"ms apple 3 MA\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Meta(request), .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert_eq!(request.set_mode, memproto::meta::SetMode::Append);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SetMode {
    /// Store when absent.
    Add,
    /// Put behind the present value.
    Append,
    /// Put in front of the present value.
    Prepend,
    /// Store when present.
    Replace,
    /// Store always.
    #[default]
    Set,
}

/// What `ma` does, flag M.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"ma visits MD\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Meta(request), .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert_eq!(request.arith_mode, memproto::meta::ArithMode::Decr);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ArithMode {
    /// Down, stops at 0.
    Decr,
    /// Up, wraps at 2^64.
    #[default]
    Incr,
}

/// A key as it stands on the line.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"mg YXBwbGU= b v\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Meta(request), .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert_eq!(request.key.raw, b"YXBwbGU=");
/// assert_eq!(request.key.bytes(&mut [0; 250]), b"apple");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetaKey<'a> {
    /// The word on the line: the key itself, or its base64 form. Replies echo it as it is.
    pub raw: &'a [u8],
    /// Flag b: `raw` is base64.
    pub base64: bool,
}

impl<'a> MetaKey<'a> {
    /// The key's own bytes; `scratch` is used when they have to be decoded.
    #[must_use]
    #[inline]
    pub fn bytes<'s>(&self, scratch: &'s mut [u8; MAX_KEY]) -> &'s [u8]
    where
        'a: 's,
    {
        if self.base64 {
            // The parser has decoded it once to prove that this succeeds. If it did not, the key is
            // empty, which is no item's.
            let decoded = crate::key::decode_base64(self.raw, scratch);
            debug_assert!(decoded.is_some(), "an undecodable key was accepted");
            decoded.unwrap_or_default()
        } else {
            self.raw
        }
    }
}

/// mg, ms, md, ma or me. Numbers of absent flags have their default; ask [`MetaRequest::set`]
/// or the `Option` accessors whether a flag was there.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"ma visits N60 J1 D5\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Meta(request), .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert_eq!((request.vivify(), request.initial, request.delta), (Some(60), 1, 5));
/// assert_eq!(request.ttl(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetaRequest<'a> {
    /// Which of the five.
    pub command: MetaCommand,
    /// The key.
    pub key: MetaKey<'a>,
    /// The letters present.
    pub set: FlagSet,
    /// The flags in request order.
    pub flags: Flags<'a>,
    /// ms: bytes of the data block without its CRLF.
    pub len: u32,
    /// `F`: client flags, 0 by default.
    pub client_flags: u32,
    /// `M` of ms.
    pub set_mode: SetMode,
    /// `M` of ma.
    pub arith_mode: ArithMode,
    /// `D`: delta, 1 by default.
    pub delta: u64,
    /// `J`: initial value, 0 by default.
    pub initial: u64,
    // Not public: they mean something only if their flag is there, which the accessors check.
    pub(crate) ttl: i32,
    pub(crate) vivify: i32,
    pub(crate) recache: i32,
    pub(crate) compare: u64,
    pub(crate) version: u64,
}

impl<'a> MetaRequest<'a> {
    /// A request without a key and without flags.
    #[inline(always)]
    pub(crate) const fn new(command: MetaCommand) -> Self {
        Self {
            command,
            key: MetaKey { raw: &[], base64: false },
            set: FlagSet::NONE,
            flags: Flags::new(&[]),
            len: 0,
            client_flags: 0,
            set_mode: SetMode::Set,
            arith_mode: ArithMode::Incr,
            delta: 1,
            initial: 0,
            ttl: 0,
            vivify: 0,
            recache: 0,
            compare: 0,
            version: 0,
        }
    }

    /// Whether flag `letter` was given.
    #[must_use]
    #[inline]
    pub const fn has(&self, letter: u8) -> bool {
        self.set.has(letter)
    }

    /// The same request, whose key and flags are found elsewhere: for a request that is needed when
    /// its line is not there any more.
    #[must_use]
    pub const fn with_text<'b>(&self, key: &'b [u8], flags: &'b [u8]) -> MetaRequest<'b> {
        MetaRequest {
            command: self.command,
            key: MetaKey { raw: key, base64: self.key.base64 },
            set: self.set,
            flags: Flags::new(flags),
            len: self.len,
            client_flags: self.client_flags,
            set_mode: self.set_mode,
            arith_mode: self.arith_mode,
            delta: self.delta,
            initial: self.initial,
            ttl: self.ttl,
            vivify: self.vivify,
            recache: self.recache,
            compare: self.compare,
            version: self.version,
        }
    }

    /// `q`: leave out the uninteresting reply.
    #[must_use]
    pub const fn quiet(&self) -> bool {
        self.set.has(b'q')
    }

    /// `O`: bytes to echo, without the letter; empty when absent.
    #[must_use]
    pub fn opaque(&self) -> &'a [u8] {
        // `me` ignores its flags, so that only a letter in the set counts.
        let opaque = self.flags.into_iter().find(|flag| flag.letter == b'O' && self.has(b'O'));
        opaque.map_or(&[], |flag| flag.arg)
    }

    /// `T`: new expiry as sent.
    #[must_use]
    pub const fn ttl(&self) -> Option<i64> {
        if self.set.has(b'T') { Some(self.ttl as i64) } else { None }
    }

    /// `N`: create on a miss, with this expiry.
    #[must_use]
    pub const fn vivify(&self) -> Option<i64> {
        if self.set.has(b'N') { Some(self.vivify as i64) } else { None }
    }

    /// `R`: the winner may recache when fewer seconds are left.
    #[must_use]
    pub const fn recache(&self) -> Option<i64> {
        if self.set.has(b'R') { Some(self.recache as i64) } else { None }
    }

    /// `C`: the version to compare.
    #[must_use]
    pub const fn compare(&self) -> Option<u64> {
        if self.set.has(b'C') { Some(self.compare) } else { None }
    }

    /// `E`: the version to give the item.
    #[must_use]
    pub const fn version(&self) -> Option<u64> {
        if self.set.has(b'E') { Some(self.version) } else { None }
    }
}
