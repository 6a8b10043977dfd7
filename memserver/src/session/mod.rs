//! One client's dialogue as a state machine over bytes: it cuts input into jobs, whatever pieces
//! the input comes in. It must never know a socket, nor what a job answers.

pub(crate) mod batch;
pub(crate) mod output;

use memcore::Reservation;
use memproto::meta::MetaCommand;
use memproto::text::BLOCK_END;
use memproto::{
    Admin, GetVerb, KeyTooLong, Keys, Limits, ParseError, Protocol, Request, Scan, Step,
};
use memproto::{binary, text};

use crate::config::Binding;
use crate::report::stream::Stream;
use crate::session::batch::{Batch, Head, Job, Retrieval, Work};
use crate::watch::Seat;

/// Keys of one request that are looked up in one go.
const KEYS_MAX: usize = 128;
/// A longer value does not wait in a buffer until it is complete, but goes to its place in the
/// cache piece by piece. Shorter ones wait, so that slow clients hold no cache memory.
const WAITING_MAX: usize = 16 << 10;
/// A longer one waits as well until so much of it is there: an announcement alone costs nothing.
const BEGIN_MIN: usize = 4 << 10;

/// One client's dialogue.
#[derive(Debug)]
pub(crate) struct Session {
    framing: Framing,
    protocol: Option<Protocol>,
    scan: Scan,
    /// The dialogue is over because the client broke the rules.
    at_fault: bool,
    /// The answer that is being sent piece by piece.
    pub(crate) stream: Option<Box<Stream>>,
    /// What it is to become a watcher with, once it is closed.
    pub(crate) watch: Option<Box<Seat>>,
    /// The value that is arriving.
    pub(crate) upload: Option<Box<Upload>>,
}

/// What the next byte of input is.
///
/// ```text
///            +------------> Wait ---------+
///            |                            v
///   Command -+-> Keys ... Keys --------> Command
///      |     +-> Body ... Body ---------> ^
///      |     +-> Swallow ---------------> ^
///      |     +-> Stream ----------------> ^
///      v
///    Closed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// The first of a request.
    Command,
    /// The first of a request that has a value: nothing to do before `bytes` are there.
    Wait { bytes: usize },
    /// The first of a key, in a long retrieval line of which `left` bytes remain.
    Keys { verb: GetVerb, exptime: i64, left: usize },
    /// Of a value of which `left` bytes remain, then its terminator of `tail` bytes.
    Body { left: usize, tail: usize },
    /// Of a value that nobody wants.
    Swallow { left: usize },
    /// The first of a request, once the last one, which may have a long answer, is through.
    Stream,
    /// Ignored: the connection ends when its replies are sent.
    Closed,
}

/// A value on its way into the cache.
#[derive(Debug)]
pub(crate) struct Upload {
    /// The request without its value, to be parsed again when the value is complete.
    pub(crate) head: Box<[u8]>,
    /// Its place in the cache, or why it gets none.
    pub(crate) place: Result<Reservation, memcore::StoreError>,
}

/// Why a session stopped cutting jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It needs more input.
    Drained,
    /// It has used up its share of this round.
    More,
    /// It will never want more input.
    Closing,
}

impl Session {
    /// A dialogue in the protocol that `binding` prescribes.
    pub(crate) fn new(binding: Binding) -> Self {
        let protocol = match binding {
            Binding::Auto => None,
            Binding::Ascii => Some(Protocol::Text),
            Binding::Binary => Some(Protocol::Binary),
        };
        Self {
            framing: Framing::Command,
            protocol,
            scan: Scan::new(),
            at_fault: false,
            stream: None,
            watch: None,
            upload: None,
        }
    }

    /// Ends the dialogue.
    pub(crate) fn close(&mut self) {
        self.framing = Framing::Closed;
    }

    /// Ends the dialogue with a client that broke the rules.
    fn dismiss(&mut self) {
        self.at_fault = true;
        self.close();
    }

    /// Whether the client broke the rules so that the dialogue had to end.
    pub(crate) fn is_at_fault(&self) -> bool {
        self.at_fault
    }

    /// Whether the dialogue is over.
    pub(crate) fn is_closed(&self) -> bool {
        self.framing == Framing::Closed
    }

    /// Whether the last request may be unanswered yet, so that no input is wanted.
    pub(crate) fn is_streaming(&self) -> bool {
        self.framing == Framing::Stream
    }

    /// Whether it has to wait for something other than its client.
    pub(crate) fn is_waiting(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.is_waiting())
    }

    /// What the next byte of input is.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// The protocol, once it is known.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// Whether the next byte is the first of a request.
    pub(crate) fn is_between(&self) -> bool {
        self.framing == Framing::Command
    }

    /// Whether a value is on its way.
    pub(crate) fn is_receiving(&self) -> bool {
        matches!(self.framing, Framing::Body { .. } | Framing::Wait { .. })
    }

    /// How much input is known to be wanted soon.
    pub(crate) fn expected(&self) -> usize {
        match self.framing {
            Framing::Body { left, tail } => left + tail,
            Framing::Swallow { left } => left,
            Framing::Wait { bytes } => bytes,
            _ => 0,
        }
    }

    /// Goes back to the beginning of a job that could not be done yet.
    pub(crate) fn rewind(&mut self, before: Framing) {
        self.framing = before;
        self.scan = Scan::new();
    }

    /// Cuts up to `quota` jobs from `input`, beginning at `pos`, and moves `pos` behind them.
    #[inline]
    pub(crate) fn parse<'a>(
        &mut self,
        input: &'a [u8],
        pos: &mut usize,
        quota: usize,
        batch: &mut Batch<'a>,
    ) -> Pace {
        if self.is_streaming()
            && let Some(pace) = self.stream(*pos, batch)
        {
            return pace;
        }
        let last = batch.jobs.len() + quota;
        while batch.jobs.len() < last {
            if self.is_closed() {
                return Pace::Closing;
            }
            if *pos >= input.len() || !self.step(input, pos, batch) {
                return if self.is_closed() { Pace::Closing } else { Pace::Drained };
            }
            if self.is_streaming() {
                return Pace::More;
            }
        }
        if self.is_closed() {
            Pace::Closing
        } else if *pos < input.len() {
            Pace::More
        } else {
            Pace::Drained
        }
    }

    /// Goes on with the last request; none if it is through.
    fn stream(&mut self, pos: usize, batch: &mut Batch<'_>) -> Option<Pace> {
        if self.stream.is_none() {
            self.framing = Framing::Command;
            return None;
        }
        if self.is_waiting() {
            return Some(Pace::Drained);
        }
        batch.jobs.push(Job { start: pos, before: Framing::Stream, work: Work::Stream });
        Some(Pace::More)
    }

    /// One step of the machine; false if it needs more input.
    #[inline]
    fn step<'a>(&mut self, input: &'a [u8], pos: &mut usize, batch: &mut Batch<'a>) -> bool {
        match self.framing {
            Framing::Command => self.command(input, pos, batch),
            Framing::Wait { bytes } => {
                if input.len() - *pos < bytes {
                    return false;
                }
                self.framing = Framing::Command;
                true
            }
            Framing::Keys { verb, exptime, left } => {
                let line_end = *pos + left;
                let words = words(&input[*pos..line_end]);
                self.retrieval(input, pos, (verb, exptime, line_end), words, batch);
                true
            }
            Framing::Body { left, tail } => self.body(input, pos, left, tail, batch),
            Framing::Swallow { left } => {
                let here = left.min(input.len() - *pos);
                *pos += here;
                self.framing = match left - here {
                    0 => Framing::Command,
                    left => Framing::Swallow { left },
                };
                true
            }
            Framing::Stream | Framing::Closed => false,
        }
    }

    #[inline]
    fn command<'a>(&mut self, input: &'a [u8], pos: &mut usize, batch: &mut Batch<'a>) -> bool {
        let protocol = match self.protocol {
            Some(protocol) => protocol,
            None => *self.protocol.insert(memproto::detect(input[*pos])),
        };
        match protocol {
            Protocol::Text => self.line(input, pos, batch),
            Protocol::Binary => self.frame(input, pos, batch),
        }
    }

    #[inline]
    fn line<'a>(&mut self, input: &'a [u8], pos: &mut usize, batch: &mut Batch<'a>) -> bool {
        let start = *pos;
        match text::parse(&input[start..], &mut self.scan, &LIMITS) {
            Step::Partial => return false,
            Step::Request { consumed, request } => {
                *pos += consumed;
                return self.request(input, (start, pos), request, batch);
            }
            Step::Reject { consumed, error, swallow, noreply } => {
                *pos += consumed;
                if !noreply {
                    batch.add(start, Work::Reject(error));
                }
                if swallow > 0 {
                    self.framing = Framing::Swallow { left: swallow as usize };
                }
            }
            Step::Close(_) => self.dismiss(),
        }
        true
    }

    /// Turns the request whose line is `start..pos` into a job.
    #[inline]
    fn request<'a>(
        &mut self,
        input: &'a [u8],
        (start, pos): (usize, &mut usize),
        request: Request<'a>,
        batch: &mut Batch<'a>,
    ) -> bool {
        match request {
            Request::Get { verb, exptime, keys } if let Some(key) = keys.single() => {
                let first = batch.key(key);
                let (end, line_end, last, single) = (first + 1, *pos, true, true);
                let run = Retrieval { verb, exptime, first, end, line_end, last, single };
                batch.add(start, Work::Get(run));
            }
            Request::Get { verb, exptime, keys } => {
                let line_end = *pos;
                *pos = start;
                self.retrieval(input, pos, (verb, exptime, line_end), keys, batch);
            }
            Request::Store(store) => {
                return self.value(input, (start, pos), Head::Text(store), batch);
            }
            Request::Meta(meta) if meta.command == MetaCommand::Set => {
                return self.value(input, (start, pos), Head::Meta(meta), batch);
            }
            Request::Quit => self.close(),
            Request::Admin { command: Admin::Watch, args, .. } => {
                self.framing = Framing::Stream;
                batch.add(start, Work::Watch(args));
            }
            _ => {
                if matches!(request, Request::Stats { .. } | Request::Admin { .. }) {
                    self.framing = Framing::Stream;
                }
                let key = plain_key(&request).map(|key| batch.key(key));
                batch.add(start, Work::Text(request, key));
            }
        }
        true
    }

    /// Takes up to [`KEYS_MAX`] keys of a retrieval and remembers the rest of its line.
    #[inline]
    fn retrieval<'a>(
        &mut self,
        input: &'a [u8],
        pos: &mut usize,
        (verb, exptime, line_end): (GetVerb, i64, usize),
        mut keys: impl Iterator<Item = Result<&'a [u8], KeyTooLong>>,
        batch: &mut Batch<'a>,
    ) {
        let (start, before) = (*pos, self.framing);
        let first = batch.keys.len() as u32;
        let mut rest = None;
        let mut refused = false;
        for key in keys.by_ref() {
            let Ok(key) = key else {
                refused = true;
                break;
            };
            if batch.keys.len() - first as usize == KEYS_MAX {
                rest = Some(offset(input, key));
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
            Work::Get(Retrieval { verb, exptime, first, end, line_end, last, single })
        };
        match rest {
            Some(next) if !refused => {
                *pos = next;
                self.framing = Framing::Keys { verb, exptime, left: line_end - next };
            }
            _ => {
                *pos = line_end;
                self.framing = Framing::Command;
            }
        }
        batch.jobs.push(Job { start, before, work });
    }

    /// A storage request: at once if its value is there, later if it is short or has hardly begun,
    /// else in pieces.
    fn value<'a>(
        &mut self,
        input: &'a [u8],
        (start, pos): (usize, &mut usize),
        head: Head<'a>,
        batch: &mut Batch<'a>,
    ) -> bool {
        let tail = if matches!(head, Head::Binary(_)) { 0 } else { BLOCK_END.len() };
        let len = head.value_len();
        let have = &input[*pos..];
        if let Some((value, rest)) = have.split_at_checked(len)
            && let Some(end) = rest.get(..tail)
        {
            *pos += len + tail;
            if tail > 0 && end != BLOCK_END {
                batch.add(start, Work::Spoiled(head));
            } else {
                let key = head.plain_key().map(|name| batch.key(name));
                batch.add(start, Work::Put(head, key, value));
            }
            return true;
        }
        let wait = if len <= WAITING_MAX { len + tail } else { BEGIN_MIN };
        if have.len() < wait {
            self.framing = Framing::Wait { bytes: *pos - start + wait };
            *pos = start;
            return false;
        }
        let line = &input[start..*pos];
        let value = &have[..len.min(have.len())];
        *pos += value.len();
        self.framing = Framing::Body { left: len - value.len(), tail };
        batch.add(start, Work::Begin(head, line, value));
        true
    }

    /// More of a value that arrives in pieces.
    fn body<'a>(
        &mut self,
        input: &'a [u8],
        pos: &mut usize,
        left: usize,
        tail: usize,
        batch: &mut Batch<'a>,
    ) -> bool {
        let start = *pos;
        let have = &input[start..];
        let (value, rest) = have.split_at(left.min(have.len()));
        let left_now = left - value.len();
        let end = if left_now == 0 { rest.get(..tail) } else { None };
        if value.is_empty() && end.is_none() {
            return false;
        }
        let before = self.framing;
        *pos += value.len();
        self.framing = Framing::Body { left: left_now, tail };
        if end.is_some() {
            *pos += tail;
            self.framing = Framing::Command;
        }
        let terminated = end.map(|end| tail == 0 || end == BLOCK_END);
        batch.jobs.push(Job { start, before, work: Work::Body(value, terminated) });
        true
    }

    /// The next request of the binary protocol.
    fn frame<'a>(&mut self, input: &'a [u8], pos: &mut usize, batch: &mut Batch<'a>) -> bool {
        let start = *pos;
        match binary::parse(&input[start..], &mut self.scan, &LIMITS) {
            binary::Step::Partial => false,
            binary::Step::Request { consumed, request } => {
                *pos += consumed;
                self.binary(input, (start, pos), request, batch)
            }
            binary::Step::Reject { consumed, to, status, swallow, close } => {
                *pos += consumed;
                batch.add(start, Work::RejectFrame(to, status));
                if close {
                    self.dismiss();
                } else if swallow > 0 {
                    self.framing = Framing::Swallow { left: swallow as usize };
                }
                true
            }
        }
    }

    /// Turns the frame whose bytes are `start..pos` into a job.
    fn binary<'a>(
        &mut self,
        input: &'a [u8],
        (start, pos): (usize, &mut usize),
        request: binary::Request<'a>,
        batch: &mut Batch<'a>,
    ) -> bool {
        use binary::Command;
        let mut key = None;
        match request.command {
            Command::Store { .. } | Command::Extend { .. } => {
                return self.value(input, (start, pos), Head::Binary(request), batch);
            }
            Command::Get { key: name, .. }
            | Command::Delete { key: name }
            | Command::Arith { key: name, .. }
            | Command::Touch { key: name, .. } => key = Some(batch.key(name)),
            Command::Quit => {
                self.close();
                if request.quiet {
                    return true;
                }
            }
            Command::Stat { .. } => self.framing = Framing::Stream,
            Command::SaslAuth { data_len, .. } if data_len > 0 => {
                self.framing = Framing::Swallow { left: data_len as usize };
            }
            _ => {}
        }
        batch.add(start, Work::Binary(request, key));
        true
    }
}

const LIMITS: Limits = Limits::new();

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
fn words(line: &[u8]) -> Keys<'_> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    Keys::on(line.strip_suffix(b"\r").unwrap_or(line))
}

/// Where `part` begins within `whole`.
pub(crate) fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}
