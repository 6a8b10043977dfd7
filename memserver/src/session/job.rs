//! What is to be done for a request, or for a part of a long one. It borrows from the input.

use memproto::binary::write::ReplyTo;
use memproto::binary::{self, Status};
use memproto::limits::MAX_KEY;
use memproto::meta::MetaRequest;
use memproto::text::AuthError;
use memproto::text::BLOCK_END;
use memproto::{Args, ParseError, Request, Store, StoreVerb};

use crate::session::access::Login;
use crate::session::framing::{Framing, RetrievalVerb};

/// A place in the keys of a batch.
pub(crate) type KeyIndex = u32;

/// One request, or a part of a long one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    /// Where it begins in its connection's input.
    pub(crate) start: usize,
    /// The framing there: where to go back to if the job can't be done yet.
    pub(crate) before: Framing,
    /// What to do.
    pub(crate) work: Work<'a>,
}

/// What a job does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work<'a> {
    /// Answer some keys of a retrieval.
    Get(Retrieval),
    /// A request of the text framing without a data block.
    Text(Request<'a>, Option<KeyIndex>),
    /// A request of the binary protocol without a value.
    Binary(binary::Request<'a>, Option<KeyIndex>),
    /// A storage request whose value is complete.
    Put {
        /// The request.
        request: StoreRequest<'a>,
        /// Its key; none if that has to be decoded first.
        key: Option<KeyIndex>,
        /// The value.
        value: &'a [u8],
    },
    /// A storage request whose value is still arriving.
    Begin {
        /// The request.
        request: StoreRequest<'a>,
        /// The bytes that it was parsed from.
        header: &'a [u8],
        /// The beginning of the value.
        value: &'a [u8],
    },
    /// More of such a value.
    Body {
        /// The bytes.
        value: &'a [u8],
        /// What is behind them.
        end: BodyEnd,
    },
    /// Watch on this connection from now on, these words.
    Watch(Args<'a>),
    /// The next piece of an answer that is longer than one.
    Continue,
    /// A storage request whose value does not end where it should.
    BadDataChunk(StoreRequest<'a>),
    /// A client says who it is.
    Login(Login<'a>),
    /// A line of a client that has to log in first.
    RefuseLogin(AuthError),
    /// A client that expects TLS has come to where there is none.
    RefuseTls,
    /// A malformed line.
    Reject(ParseError),
    /// A malformed frame.
    RejectFrame {
        /// What the reply repeats.
        to: ReplyTo,
        /// What is wrong.
        status: Status,
    },
}

impl Job<'_> {
    /// Whether a request is complete with it.
    #[inline(always)]
    pub(crate) fn ends_request(&self) -> bool {
        match &self.work {
            Work::Get(run) => run.last,
            Work::Begin { .. } => false,
            Work::Body { end, .. } => *end != BodyEnd::NotYet,
            _ => true,
        }
    }
}

/// What follows a part of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// More of it.
    NotYet,
    /// The end, as it should be.
    Terminated,
    /// Bytes that are not the end of a data block.
    Unterminated,
}

/// A run of keys to look up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retrieval {
    /// get, gets, gat or gats, and its expiry.
    pub(crate) verb: RetrievalVerb,
    /// The first key.
    pub(crate) first: KeyIndex,
    /// The one behind the last.
    pub(crate) end: KeyIndex,
    /// Where the request's line ends in the input.
    pub(crate) line_end: usize,
    /// Whether these are the last keys of the request.
    pub(crate) last: bool,
    /// Whether the request has one key.
    pub(crate) single: bool,
}

/// A request to store a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StoreRequest<'a> {
    /// A classic command.
    Text(Store<'a>),
    /// ms.
    Meta(MetaRequest<'a>),
    /// A frame.
    Binary(StoreFrame<'a>),
}

/// A frame that asks to store a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreFrame<'a> {
    /// What the reply repeats.
    pub(crate) to: ReplyTo,
    /// Whether success is not answered.
    pub(crate) quiet: bool,
    /// The version to compare, 0 for none.
    pub(crate) cas: u64,
    /// Which of set, add, replace, append and prepend.
    pub(crate) verb: StoreVerb,
    /// The key.
    pub(crate) key: &'a [u8],
    /// Client flags; 0 for append and prepend.
    pub(crate) flags: u32,
    /// The expiry as sent; 0 for append and prepend.
    pub(crate) exptime: u32,
    /// Bytes of the value.
    pub(crate) len: u32,
}

impl<'a> StoreRequest<'a> {
    /// Bytes of the value.
    pub(crate) fn value_len(&self) -> usize {
        let len = match self {
            Self::Text(store) => store.len,
            Self::Meta(meta) => meta.len,
            Self::Binary(frame) => frame.len,
        };
        len as usize
    }

    /// The key, unless it has to be decoded first.
    pub(crate) fn plain_key(&self) -> Option<&'a [u8]> {
        match self {
            Self::Text(store) => Some(store.key),
            Self::Meta(meta) => (!meta.key.base64).then_some(meta.key.raw),
            Self::Binary(frame) => Some(frame.key),
        }
    }

    /// The key's own bytes; `scratch` is used when they have to be decoded.
    pub(crate) fn name<'s>(&self, scratch: &'s mut [u8; MAX_KEY]) -> &'s [u8]
    where
        'a: 's,
    {
        match self {
            Self::Meta(meta) => meta.key.bytes(scratch),
            Self::Text(store) => store.key,
            Self::Binary(frame) => frame.key,
        }
    }

    /// Whether it may add to a value instead of replacing it.
    #[inline(always)]
    pub(crate) fn may_extend(&self) -> bool {
        match self {
            Self::Text(store) => matches!(store.verb, StoreVerb::Append | StoreVerb::Prepend),
            Self::Meta(meta) => meta.has(b'M'),
            Self::Binary(frame) => matches!(frame.verb, StoreVerb::Append | StoreVerb::Prepend),
        }
    }

    /// Bytes that follow the value.
    pub(crate) fn tail_len(&self) -> usize {
        match self {
            Self::Binary(_) => 0,
            Self::Text(_) | Self::Meta(_) => BLOCK_END.len(),
        }
    }

    /// Whether even errors go unanswered.
    pub(crate) fn is_mute(&self) -> bool {
        matches!(self, Self::Text(store) if store.noreply)
    }

    /// The key as it was sent.
    fn key(&self) -> &'a [u8] {
        match self {
            Self::Text(store) => store.key,
            Self::Meta(meta) => meta.key.raw,
            Self::Binary(frame) => frame.key,
        }
    }

    /// The flags of ms as they were sent.
    fn flags(&self) -> &'a [u8] {
        match self {
            Self::Meta(meta) => meta.flags.raw(),
            Self::Text(_) | Self::Binary(_) => &[],
        }
    }

    /// The same request with its texts in another place.
    fn with_text<'b>(&self, key: &'b [u8], flags: &'b [u8]) -> StoreRequest<'b> {
        match *self {
            Self::Text(store) => StoreRequest::Text(store.with_key(key)),
            Self::Meta(meta) => StoreRequest::Meta(meta.with_text(key, flags)),
            Self::Binary(StoreFrame { to, quiet, cas, verb, key: _, flags, exptime, len }) => {
                let frame = StoreFrame { to, quiet, cas, verb, key, flags, exptime, len };
                StoreRequest::Binary(frame)
            }
        }
    }
}

/// A parsed storage request apart from its bytes, so that they may move and are not parsed again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldRequest {
    /// Without its texts.
    request: StoreRequest<'static>,
    key: Span,
    flags: Span,
    /// Bytes that it was parsed from.
    header: usize,
}

/// A part of a request's bytes.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    len: usize,
}

impl HeldRequest {
    /// Keeps `request`, which was parsed from all of `header`.
    pub(crate) fn new(request: &StoreRequest<'_>, header: &[u8]) -> Self {
        Self {
            request: request.with_text(&[], &[]),
            key: Span::of(request.key(), header),
            flags: Span::of(request.flags(), header),
            header: header.len(),
        }
    }

    /// Keeps `request`, and its texts in a buffer of their own.
    pub(crate) fn copy_of(request: &StoreRequest<'_>) -> (Self, Box<[u8]>) {
        let (key, flags) = (request.key(), request.flags());
        let texts = [key, flags].concat().into_boxed_slice();
        let held = Self {
            request: request.with_text(&[], &[]),
            key: Span { start: 0, len: key.len() },
            flags: Span { start: key.len(), len: flags.len() },
            header: texts.len(),
        };
        (held, texts)
    }

    /// The request again, with its texts taken from `header`: the bytes that it was parsed from,
    /// wherever they are now.
    pub(crate) fn resolve<'a>(&self, header: &'a [u8]) -> StoreRequest<'a> {
        self.request.with_text(self.key.within(header), self.flags.within(header))
    }

    /// Bytes that it was parsed from.
    pub(crate) fn header_len(&self) -> usize {
        self.header
    }
}

/// A parsed storage request that outlives the input it was found in.
#[derive(Debug)]
pub(crate) struct OwnedRequest {
    held: HeldRequest,
    /// A copy of the bytes that it was parsed from.
    header: Box<[u8]>,
}

impl OwnedRequest {
    /// Keeps `request`, which was parsed from `header`.
    pub(crate) fn new(request: &StoreRequest<'_>, header: &[u8]) -> Self {
        Self { held: HeldRequest::new(request, header), header: header.into() }
    }

    /// Keeps `request`, of which only the texts are copied.
    pub(crate) fn copy_of(request: &StoreRequest<'_>) -> Self {
        let (held, header) = HeldRequest::copy_of(request);
        Self { held, header }
    }

    /// The request.
    pub(crate) fn get(&self) -> StoreRequest<'_> {
        self.held.resolve(&self.header)
    }
}

impl Span {
    fn of(part: &[u8], whole: &[u8]) -> Self {
        // An empty part may be anywhere.
        let start = if part.is_empty() { 0 } else { offset(whole, part) };
        Self { start, len: part.len() }
    }

    fn within(self, whole: &[u8]) -> &[u8] {
        &whole[self.start..self.start + self.len]
    }
}

/// Where `part` begins within `whole`.
pub(crate) fn offset(whole: &[u8], part: &[u8]) -> usize {
    debug_assert!(whole.as_ptr_range().contains(&part.as_ptr()), "not a part of it");
    part.as_ptr().addr() - whole.as_ptr().addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use memproto::{Limits, Scan, Step, text};

    #[test]
    fn a_held_request_is_the_same_over_a_copy_of_its_bytes() {
        let limits = Limits::new();
        for line in [&b"set key 5 60 20000 noreply\r\n"[..], b"ms a2V5 20000 b k O12 F5 MA\r\n"] {
            let step = text::parse(line, &mut Scan::new(), &limits);
            let request = match step {
                Step::Request { request: Request::Store(store), .. } => StoreRequest::Text(store),
                Step::Request { request: Request::Meta(meta), .. } => StoreRequest::Meta(meta),
                _ => panic!("{step:?}"),
            };
            let held = HeldRequest::new(&request, line);
            let copy = line.to_vec();
            assert_eq!(format!("{:?}", held.resolve(&copy)), format!("{request:?}"));
            assert_eq!(held.header_len(), line.len());
        }
    }
}
