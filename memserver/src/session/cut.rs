//! Cuts input into jobs, whatever pieces it comes in. What a job answers is not known here.

mod login;

use memproto::meta::MetaCommand;
use memproto::text::BLOCK_END;
use memproto::{Admin, KeyTooLong, Keys, Limits, ParseError, Protocol, Request, Scan, Step};
use memproto::{binary, text};

use crate::config::Binding;
use crate::session::access::Access;
use crate::session::batch::Batch;
use crate::session::framing::{Framing, RetrievalVerb};
use crate::session::hello;
use crate::session::job::{
    BodyEnd, HeldRequest, Job, Retrieval, StoreFrame, StoreRequest, Work, offset,
};

/// Keys of one request that are looked up in one go.
const KEYS_MAX: usize = 128;
/// A longer value does not wait in a buffer until it is complete, but goes to its place in the
/// cache piece by piece. Shorter ones wait, so that slow clients hold no cache memory.
const WAITING_MAX: usize = 16 << 10;
/// A longer one waits as well until so much of it is there: an announcement alone costs nothing.
const BEGIN_MIN: usize = 12 << 10;

pub(super) const LIMITS: Limits = Limits::new();

/// The framing of one client's input.
#[derive(Debug)]
pub(crate) struct Cutter {
    pub(super) framing: Framing,
    /// Known from the first bytes on.
    protocol: Option<Protocol>,
    /// What it may be.
    binding: Binding,
    pub(super) scan: Scan,
    /// Whether the client has to log in.
    pub(super) access: Access,
    /// Whether a login in several steps has begun.
    pub(super) login_began: bool,
    /// The request whose value [`Framing::Wait`] waits for.
    held: Option<HeldRequest>,
}

/// A place in the input of one client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    /// The input.
    pub(crate) input: &'a [u8],
    /// Where the next job begins.
    pub(crate) pos: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.input[self.pos..]
    }

    fn is_at_end(&self) -> bool {
        self.pos >= self.input.len()
    }
}

/// Why no more jobs were cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParseState {
    /// More input is needed.
    Drained,
    /// There may be more jobs.
    More,
    /// The dialogue is over.
    Closing,
}

impl Cutter {
    /// Input in the protocol that `binding` prescribes.
    pub(crate) fn new(binding: Binding) -> Self {
        Self {
            framing: Framing::Command,
            protocol: None,
            binding,
            scan: Scan::new(),
            access: Access::Open,
            login_began: false,
            held: None,
        }
    }

    /// From the first byte on the client has this `access`.
    pub(crate) fn guard(&mut self, access: Access) {
        self.access = access;
        self.framing = self.beginning();
    }

    /// What the first byte of a request is.
    fn beginning(&self) -> Framing {
        match self.access {
            Access::Open | Access::Granted => Framing::Command,
            Access::Unknown => Framing::Login,
        }
    }

    /// What the next byte of input is.
    #[inline]
    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// The protocol, once it is known.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// Wants no more input.
    pub(crate) fn close(&mut self) {
        if !self.is_closed() {
            self.framing = Framing::Closed { at_fault: false };
        }
    }

    /// Whether no more input is wanted.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.framing, Framing::Closed { .. })
    }

    /// Goes back to the beginning of a job that could not be done yet.
    pub(crate) fn rewind(&mut self, before: Framing) {
        self.framing = before;
        self.scan = Scan::new();
        self.held = None;
    }

    /// Reads no request before the last one is answered.
    pub(crate) fn wait_for_answer(&mut self) {
        self.rewind(Framing::Barrier);
    }

    /// The last request is answered.
    pub(crate) fn pass_barrier(&mut self) {
        debug_assert_eq!(self.framing, Framing::Barrier, "there is no barrier");
        self.framing = self.beginning();
    }

    /// The next `count` bytes of the value that is arriving went to its place.
    pub(crate) fn skip_body(&mut self, count: usize) {
        if let Framing::Body { left, .. } = &mut self.framing {
            debug_assert!(count <= *left, "more than the value has");
            *left -= count.min(*left);
        } else {
            debug_assert_eq!(count, 0, "no value is arriving");
        }
    }

    /// Cuts up to `quota` jobs from the input and moves the cursor behind them.
    #[inline]
    pub(crate) fn cut<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        quota: usize,
        batch: &mut Batch<'a>,
    ) -> ParseState {
        let last = batch.jobs.len() + quota;
        while batch.jobs.len() < last {
            if self.is_closed() {
                return ParseState::Closing;
            }
            let starved = cursor.is_at_end() && !self.is_body_complete();
            if starved || !self.step(cursor, batch) {
                let closed = self.is_closed();
                return if closed { ParseState::Closing } else { ParseState::Drained };
            }
            if matches!(self.framing, Framing::Barrier) {
                return ParseState::More;
            }
        }
        if self.is_closed() {
            ParseState::Closing
        } else if cursor.is_at_end() {
            ParseState::Drained
        } else {
            ParseState::More
        }
    }

    /// Whether a value that has no terminator is complete, so that no byte is needed to go on.
    fn is_body_complete(&self) -> bool {
        matches!(self.framing, Framing::Body { left: 0, tail: 0 })
    }

    /// One step of the machine; false if it needs more input.
    #[inline]
    fn step<'a>(&mut self, cursor: &mut Cursor<'a>, batch: &mut Batch<'a>) -> bool {
        match self.framing {
            Framing::Command => self.command(cursor, batch),
            Framing::Wait { bytes } => self.wait(cursor, bytes, batch),
            Framing::Keys { verb, left } => {
                let line_end = cursor.pos + left;
                let keys = keys_on(&cursor.input[cursor.pos..line_end]);
                self.retrieval(cursor, line_end, verb, keys, batch);
                true
            }
            Framing::Body { left, tail } => self.body(cursor, left, tail, batch),
            Framing::Swallow { left } => {
                let here = left.min(cursor.rest().len());
                cursor.pos += here;
                self.framing = match left - here {
                    0 => self.beginning(),
                    left => Framing::Swallow { left },
                };
                true
            }
            Framing::Login => self.login(cursor, batch),
            Framing::SkipLine => {
                let rest = cursor.rest();
                let end = rest.iter().position(|&byte| byte == b'\n');
                cursor.pos += end.map_or(rest.len(), |end| end + 1);
                if end.is_some() {
                    self.framing = Framing::Command;
                }
                true
            }
            Framing::Barrier | Framing::Closed { .. } => false,
        }
    }

    #[inline]
    fn command<'a>(&mut self, cursor: &mut Cursor<'a>, batch: &mut Batch<'a>) -> bool {
        match self.protocol_at(cursor, batch) {
            Some(Protocol::Text) => self.line(cursor, batch),
            Some(Protocol::Binary) => self.frame(cursor, batch),
            None => self.is_closed(),
        }
    }

    /// The protocol; the bytes at the cursor decide if they are the first. None if there are too
    /// few, or if it is not one that is served.
    #[inline(always)]
    pub(super) fn protocol_at<'a>(
        &mut self,
        cursor: &Cursor<'a>,
        batch: &mut Batch<'a>,
    ) -> Option<Protocol> {
        if self.protocol.is_none() {
            self.detect(cursor, batch);
        }
        self.protocol
    }

    #[cold]
    fn detect<'a>(&mut self, cursor: &Cursor<'a>, batch: &mut Batch<'a>) {
        match hello::is_tls(cursor.rest()) {
            None => {}
            Some(true) => {
                batch.jobs.push(Job {
                    start: cursor.pos,
                    before: self.framing,
                    work: Work::RefuseTls,
                });
                self.framing = Framing::Closed { at_fault: true };
            }
            Some(false) => {
                self.protocol = Some(match self.binding {
                    Binding::Auto => memproto::detect(cursor.input[cursor.pos]),
                    Binding::Ascii => Protocol::Text,
                    Binding::Binary => Protocol::Binary,
                });
            }
        }
    }

    #[inline]
    fn line<'a>(&mut self, cursor: &mut Cursor<'a>, batch: &mut Batch<'a>) -> bool {
        let start = cursor.pos;
        let before = self.scan;
        match text::parse(cursor.rest(), &mut self.scan, &LIMITS) {
            Step::Partial => return self.partial_line(cursor, &before, batch),
            Step::Request { consumed, request } => {
                cursor.pos += consumed;
                return self.request(cursor, start, request, batch);
            }
            Step::Reject { consumed, error, swallow, noreply } => {
                cursor.pos += consumed;
                if !noreply {
                    batch.add(start, Work::Reject(error));
                }
                if swallow > 0 {
                    self.framing = Framing::Swallow { left: swallow as usize };
                }
            }
            Step::Close(_) => self.framing = Framing::Closed { at_fault: true },
        }
        true
    }

    /// Refuses a line that has no end yet if it is known already that it will be refused; false if
    /// more input is needed. `before` says what was looked at before.
    #[cold]
    fn partial_line<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        before: &Scan,
        batch: &mut Batch<'a>,
    ) -> bool {
        if !text::has_long_key(cursor.rest(), before) {
            return false;
        }
        batch.add(cursor.pos, Work::Reject(ParseError::BadLineFormat));
        cursor.pos = cursor.input.len();
        self.scan = Scan::new();
        self.framing = Framing::SkipLine;
        true
    }

    /// Turns the request whose line is between `start` and the cursor into a job.
    #[inline]
    fn request<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        start: usize,
        request: Request<'a>,
        batch: &mut Batch<'a>,
    ) -> bool {
        match request {
            Request::Get { verb, exptime, keys } => {
                let verb = RetrievalVerb { verb, exptime };
                let line_end = cursor.pos;
                let Some(key) = keys.single() else {
                    cursor.pos = start;
                    self.retrieval(cursor, line_end, verb, keys, batch);
                    return true;
                };
                let first = batch.key(key);
                let end = first + 1;
                let run = Retrieval { verb, first, end, line_end, last: true, single: true };
                batch.add(start, Work::Get(run));
            }
            Request::Store(store) => {
                return self.value(cursor, start, StoreRequest::Text(store), batch);
            }
            Request::Meta(meta) if meta.command == MetaCommand::Set => {
                return self.value(cursor, start, StoreRequest::Meta(meta), batch);
            }
            Request::Quit => self.close(),
            // A watcher can't do without an answer.
            Request::Admin { command: Admin::Watch, noreply: true, .. } => {
                batch.add(start, Work::Reject(ParseError::UnknownCommand));
            }
            Request::Admin { command: Admin::Watch, args, .. } => {
                self.framing = Framing::Barrier;
                batch.add(start, Work::Watch(args));
            }
            _ => {
                if matches!(request, Request::Stats { .. } | Request::Admin { .. }) {
                    self.framing = Framing::Barrier;
                }
                let key = plain_key(&request).map(|key| batch.key(key));
                batch.add(start, Work::Text(request, key));
            }
        }
        true
    }

    /// Takes up to [`KEYS_MAX`] keys of the retrieval at the cursor, whose line ends at `line_end`.
    #[inline]
    fn retrieval<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        line_end: usize,
        verb: RetrievalVerb,
        mut keys: impl Iterator<Item = Result<&'a [u8], KeyTooLong>>,
        batch: &mut Batch<'a>,
    ) {
        let start = cursor.pos;
        let before = self.framing;
        let first = batch.keys.len() as u32;
        let mut rest = None;
        let mut refused = false;
        for key in keys.by_ref() {
            let Ok(key) = key else {
                refused = true;
                break;
            };
            if batch.keys.len() - first as usize == KEYS_MAX {
                rest = Some(offset(cursor.input, key));
                break;
            }
            batch.key(key);
        }
        // Nothing may be answered if any key is too long, so the rest is looked at just once.
        refused |= rest.is_some() && before == Framing::Command && keys.any(|key| key.is_err());
        let work = if refused {
            batch.forget_keys(first);
            Work::Reject(ParseError::BadLineFormat)
        } else {
            let end = batch.keys.len() as u32;
            let last = rest.is_none();
            let single = last && before == Framing::Command && end - first == 1;
            Work::Get(Retrieval { verb, first, end, line_end, last, single })
        };
        match rest {
            Some(next) if !refused => {
                cursor.pos = next;
                self.framing = Framing::Keys { verb, left: line_end - next };
            }
            _ => {
                cursor.pos = line_end;
                self.framing = Framing::Command;
            }
        }
        batch.jobs.push(Job { start, before, work });
    }

    /// A storage request whose header lies between `start` and the cursor: done at once if its
    /// value is complete, later if it is short or has hardly begun, else in pieces.
    fn value<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        start: usize,
        request: StoreRequest<'a>,
        batch: &mut Batch<'a>,
    ) -> bool {
        let tail = request.tail_len();
        let len = request.value_len();
        let have = cursor.rest();
        if let Some((value, rest)) = have.split_at_checked(len)
            && let Some(end) = rest.get(..tail)
        {
            cursor.pos += len + tail;
            if tail > 0 && end != BLOCK_END {
                batch.add(start, Work::BadDataChunk(request));
            } else {
                let key = request.plain_key().map(|name| batch.key(name));
                batch.add(start, Work::Put { request, key, value });
            }
            return true;
        }
        let header = &cursor.input[start..cursor.pos];
        let wait = if len <= WAITING_MAX { len + tail } else { BEGIN_MIN };
        if have.len() < wait {
            self.framing = Framing::Wait { bytes: header.len() + wait };
            self.held = Some(HeldRequest::new(&request, header));
            cursor.pos = start;
            return false;
        }
        let value = &have[..len.min(have.len())];
        cursor.pos += value.len();
        self.framing = Framing::Body { left: len - value.len(), tail };
        batch.add(start, Work::Begin { request, header, value });
        true
    }

    /// Goes on with a storage request once `bytes` of it are there.
    fn wait<'a>(&mut self, cursor: &mut Cursor<'a>, bytes: usize, batch: &mut Batch<'a>) -> bool {
        let rest = cursor.rest();
        if rest.len() < bytes {
            return false;
        }
        self.framing = Framing::Command;
        let Some(held) = self.held.take() else {
            debug_assert!(false, "waiting for the value of no request");
            return true;
        };
        let start = cursor.pos;
        cursor.pos += held.header_len();
        self.value(cursor, start, held.resolve(&rest[..held.header_len()]), batch)
    }

    /// More of a value that arrives in pieces.
    fn body<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        left: usize,
        tail: usize,
        batch: &mut Batch<'a>,
    ) -> bool {
        let start = cursor.pos;
        let have = cursor.rest();
        let (value, rest) = have.split_at(left.min(have.len()));
        let left_now = left - value.len();
        let end = match rest.get(..tail) {
            Some(_) if left_now > 0 => BodyEnd::NotYet,
            None => BodyEnd::NotYet,
            Some(end) if tail == 0 || end == BLOCK_END => BodyEnd::Terminated,
            Some(_) => BodyEnd::Unterminated,
        };
        if value.is_empty() && end == BodyEnd::NotYet {
            return false;
        }
        let before = self.framing;
        cursor.pos += value.len();
        if end == BodyEnd::NotYet {
            self.framing = Framing::Body { left: left_now, tail };
        } else {
            cursor.pos += tail;
            self.framing = Framing::Command;
        }
        batch.jobs.push(Job { start, before, work: Work::Body { value, end } });
        true
    }

    /// The next request of the binary protocol.
    fn frame<'a>(&mut self, cursor: &mut Cursor<'a>, batch: &mut Batch<'a>) -> bool {
        let start = cursor.pos;
        match binary::parse(cursor.rest(), &mut self.scan, &LIMITS) {
            binary::Step::Partial => false,
            binary::Step::Close => {
                self.framing = Framing::Closed { at_fault: true };
                true
            }
            binary::Step::Request { consumed, request } => {
                cursor.pos += consumed;
                self.binary(cursor, start, request, batch)
            }
            binary::Step::Reject { consumed, to, status, swallow, close } => {
                cursor.pos += consumed;
                batch.add(start, Work::RejectFrame { to, status });
                if close {
                    self.framing = Framing::Closed { at_fault: true };
                } else if swallow > 0 {
                    self.framing = Framing::Swallow { left: swallow as usize };
                }
                true
            }
        }
    }

    /// Turns the frame whose bytes are between `start` and the cursor into a job.
    fn binary<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        start: usize,
        request: binary::Request<'a>,
        batch: &mut Batch<'a>,
    ) -> bool {
        use binary::Command;
        let binary::Request { to, quiet, cas, .. } = request;
        let mut key = None;
        match request.command {
            Command::Store { verb, key, flags, exptime, value_len: len } => {
                let frame = StoreFrame { to, quiet, cas, verb, key, flags, exptime, len };
                return self.value(cursor, start, StoreRequest::Binary(frame), batch);
            }
            Command::Extend { verb, key, value_len: len } => {
                let frame = StoreFrame { to, quiet, cas, verb, key, flags: 0, exptime: 0, len };
                return self.value(cursor, start, StoreRequest::Binary(frame), batch);
            }
            Command::Get { key: name, .. }
            | Command::Delete { key: name }
            | Command::Arith { key: name, .. }
            | Command::Touch { key: name, .. } => key = Some(batch.key(name)),
            Command::Quit => {
                self.close();
                if quiet {
                    return true;
                }
            }
            Command::Stat { .. } => self.framing = Framing::Barrier,
            Command::SaslAuth { .. } if self.access != Access::Open => {
                return self.sasl(cursor, start, &request, batch);
            }
            Command::SaslAuth { data_len, .. } if data_len > 0 => {
                self.framing = Framing::Swallow { left: data_len as usize };
            }
            _ => {}
        }
        batch.add(start, Work::Binary(request, key));
        true
    }
}

/// The key of a request without a data block, unless it has none or it must be decoded first.
#[inline]
fn plain_key<'a>(request: &Request<'a>) -> Option<&'a [u8]> {
    match *request {
        Request::Arith { key, .. } | Request::Touch { key, .. } | Request::Delete { key, .. } => {
            Some(key)
        }
        Request::Meta(meta) if !meta.key.base64 => Some(meta.key.raw),
        _ => None,
    }
}

/// The keys on the rest of a retrieval line that was checked before.
fn keys_on(line: &[u8]) -> Keys<'_> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    Keys::on(line.strip_suffix(b"\r").unwrap_or(line))
}
