//! Binary requests as values borrowed from the read buffer, and what can be wrong with a frame.

use crate::request::{ArithVerb, StoreVerb};

/// What a reply repeats from its request.
///
/// ```
/// use memproto::binary::{ReplyTo, write};
///
/// let mut reply = Vec::new();
/// write::done(&mut reply, ReplyTo { opcode: 0x0a, opaque: 7 }, 0);
/// assert_eq!(reply[..2], [0x81, 0x0a]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyTo {
    /// The command byte as sent, quiet variants included.
    pub opcode: u8,
    /// Chosen by the client to match replies with requests.
    pub opaque: u32,
}

/// One frame: what it asks for, and what its reply has to repeat.
///
/// ```
/// use memproto::binary::{self, Header, Step};
/// use memproto::{Limits, Scan};
///
/// let header = Header { magic: 0x80, opcode: 0x17, ..Header::default() };
/// let frame = header.encode();
/// let step = binary::parse(&frame, &mut Scan::new(), &Limits::default());
/// // quitq: its success is not answered.
/// assert!(matches!(step, Step::Request { request, .. } if request.quiet));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// What the reply repeats.
    pub to: ReplyTo,
    /// Success is not answered (and for the get family, neither is a miss).
    pub quiet: bool,
    /// The version to compare, 0 for none.
    pub cas: u64,
    /// The command.
    pub command: Command<'a>,
}

/// The binary commands.
///
/// ```
/// use memproto::binary::{self, Command, Header, Step};
/// use memproto::{Limits, Scan};
///
/// let header = Header { magic: 0x80, opcode: 0x08, ..Header::default() };
/// let frame = header.encode();
/// let step = binary::parse(&frame, &mut Scan::new(), &Limits::default());
/// let Step::Request { request, .. } = step else { panic!("one whole frame was there") };
/// assert_eq!(request.command, Command::Flush { delay: 0 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// get, getk, gat, gatk.
    Get {
        /// The key.
        key: &'a [u8],
        /// gat: the new expiry as sent.
        touch: Option<u32>,
        /// getk, gatk: the reply carries the key.
        with_key: bool,
    },
    /// set, add, replace. `value_len` bytes follow, without terminator.
    Store {
        /// Set, Add or Replace; a nonzero `cas` turns set into compare-and-swap.
        verb: StoreVerb,
        /// The key.
        key: &'a [u8],
        /// Client flags.
        flags: u32,
        /// The expiry as sent.
        exptime: u32,
        /// Bytes of the value.
        value_len: u32,
    },
    /// append, prepend. `value_len` bytes follow, without terminator.
    Extend {
        /// Append or Prepend.
        verb: StoreVerb,
        /// The key.
        key: &'a [u8],
        /// Bytes of the value.
        value_len: u32,
    },
    /// delete.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// increment, decrement.
    Arith {
        /// Up or down.
        verb: ArithVerb,
        /// The key.
        key: &'a [u8],
        /// How far.
        delta: u64,
        /// The value to create.
        initial: u64,
        /// The expiry to create it with, `None`: do not create.
        exptime: Option<u32>,
    },
    /// touch.
    Touch {
        /// The key.
        key: &'a [u8],
        /// The new expiry as sent.
        exptime: u32,
    },
    /// flush.
    Flush {
        /// Seconds from now or absolute time as sent, 0 when absent.
        delay: u32,
    },
    /// stat; an empty key means the general statistics.
    Stat {
        /// What follows `stats` in the text protocol.
        key: &'a [u8],
    },
    /// noop.
    Noop,
    /// version.
    Version,
    /// quit: answer, unless quiet, and close.
    Quit,
    /// SASL list mechanisms.
    SaslList,
    /// SASL auth or step. `data_len` bytes of credentials follow.
    SaslAuth {
        /// Mechanism name.
        mechanism: &'a [u8],
        /// Bytes that follow.
        data_len: u32,
        /// step instead of auth.
        step: bool,
    },
}

/// Reply status codes.
///
/// ```
/// use memproto::binary::Status;
///
/// assert_eq!((Status::NotFound as u16, Status::NotFound.text()), (1, "Not found"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum Status {
    /// Done.
    Ok = 0x00,
    /// `Not found`.
    NotFound = 0x01,
    /// `Data exists for key.`
    Exists = 0x02,
    /// `Too large.`
    TooLarge = 0x03,
    /// `Invalid arguments`; the connection closes.
    InvalidArguments = 0x04,
    /// `Not stored.`
    NotStored = 0x05,
    /// `Non-numeric server-side value for incr or decr`.
    NonNumeric = 0x06,
    /// `Auth failure.`
    AuthError = 0x20,
    /// SASL wants another step.
    AuthContinue = 0x21,
    /// `Unknown command`.
    UnknownCommand = 0x81,
    /// `Out of memory`.
    OutOfMemory = 0x82,
}

impl Status {
    /// The text that an error reply carries as its body, empty for the rest.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ok | Self::AuthContinue => "",
            Self::NotFound => "Not found",
            Self::Exists => "Data exists for key.",
            Self::TooLarge => "Too large.",
            Self::InvalidArguments => "Invalid arguments",
            Self::NotStored => "Not stored.",
            Self::NonNumeric => "Non-numeric server-side value for incr or decr",
            Self::AuthError => "Auth failure.",
            Self::UnknownCommand => "Unknown command",
            Self::OutOfMemory => "Out of memory",
        }
    }
}

/// The result of [`super::parse`].
///
/// ```
/// use memproto::binary::{self, Header, Status, Step};
/// use memproto::{Limits, Scan};
///
/// let header = Header { magic: 0x80, opcode: 0x00, ..Header::default() };
/// let frame = header.encode();
/// let step = binary::parse(&frame, &mut Scan::new(), &Limits::default());
/// // A get without a key.
/// assert!(matches!(step, Step::Reject { status: Status::InvalidArguments, close: true, .. }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Header, extras and key are not all there. Nothing is consumed.
    Partial,
    /// A request. The next step starts `consumed` bytes further, plus the bytes of a value.
    Request {
        /// Bytes used: header, extras and key.
        consumed: usize,
        /// What the peer wants.
        request: Request<'a>,
    },
    /// A frame that is answered with an error status and its text.
    Reject {
        /// Bytes used.
        consumed: usize,
        /// What the reply repeats.
        to: ReplyTo,
        /// The error.
        status: Status,
        /// Bytes of the body that follow the consumed ones and have to be dropped unread.
        swallow: u32,
        /// The connection closes behind the reply.
        close: bool,
    },
    /// No frame: it begins with another byte. The connection is to be closed without a reply
    /// (earlier replies are still sent).
    Close,
}
