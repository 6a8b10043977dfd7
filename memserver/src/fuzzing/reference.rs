//! The oracle of `mixed_stream`: what the text protocol means, in a map. It reads what a client
//! has sent and the replies beside it. Where it can't know, it learns from the reply or lets the
//! matter rest; it never guesses.

use std::collections::BTreeMap;

use memproto::limits::MAX_KEY;
use memproto::meta::{MetaCommand, MetaRequest};
use memproto::text::{BLOCK_END, write};
use memproto::{
    Admin, ArithVerb, GetVerb, Limits, ParseError, Request, Scan, Step, Store, StoreVerb, text,
};

use crate::session::hello;

/// Longer values get their expiry when their header is there, others when they are complete.
const WAITING_MAX: usize = 16 << 10;
/// A larger value gets its place when so much of it has come.
const BEGIN_MIN: usize = 12 << 10;
const MONTH: i64 = 60 * 60 * 24 * 30;

/// What is known about the items of a cache.
#[derive(Debug, Default)]
pub(super) struct Reference {
    started: u32,
    now: u32,
    slots: BTreeMap<Vec<u8>, Slot>,
    /// Whether keys without a slot may have an item.
    is_lost: bool,
    flush_at: Option<u32>,
}

#[derive(Clone, Debug)]
enum Slot {
    Item(Item),
    Unknown,
}

#[derive(Clone, Debug)]
struct Item {
    flags: u32,
    expires: Option<u32>,
    value: Vec<u8>,
    /// Once it was seen.
    version: Option<u64>,
}

/// What is known about a key.
enum Known<'a> {
    There(&'a mut Item),
    Missing,
    Nothing,
}

/// What one client has sent and not been answered yet.
#[derive(Debug, Default)]
pub(super) struct Sent {
    bytes: Vec<u8>,
    swallow: usize,
    /// When so much of the value that is arriving was there that it got its place.
    began: Option<u32>,
    /// Whether a line that was refused has not ended yet.
    skips_line: bool,
    /// Whether its first bytes have been seen to be no TLS.
    is_plain: bool,
    pub(super) is_closed: bool,
    /// Whether it asked to watch, which may have ended the dialogue, and everything behind it.
    pub(super) may_be_closed: bool,
}

/// Replies to be read from the front.
#[derive(Debug)]
struct Replies<'a> {
    rest: &'a [u8],
    /// Whether it is unknown where the next reply begins.
    is_blind: bool,
}

impl<'a> Replies<'a> {
    fn expect(&mut self, wanted: &[u8]) {
        if self.is_blind {
            return;
        }
        match self.rest.strip_prefix(wanted) {
            Some(rest) => self.rest = rest,
            None => panic!(
                "wanted {}, got {}",
                wanted[..wanted.len().min(300)].escape_ascii(),
                self.rest[..self.rest.len().min(300)].escape_ascii()
            ),
        }
    }

    /// The next line with its end; none if it can't be told.
    fn line(&mut self) -> Option<&'a [u8]> {
        if self.is_blind {
            return None;
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let (line, rest) = self.rest.split_at(end.expect("a reply is missing") + 1);
        self.rest = rest;
        Some(line)
    }

    /// Skips the value of `len` bytes, and its end.
    fn skip_value(&mut self, len: usize) {
        self.rest = self.rest.get(len..).expect("a value is missing");
        self.expect(&BLOCK_END);
    }
}

impl Reference {
    /// An empty cache at second `now`.
    pub(super) fn new(now: u32) -> Self {
        Self { started: now, now, ..Self::default() }
    }

    /// Lets time go by.
    pub(super) fn advance(&mut self, seconds: u32) {
        self.now += seconds;
        if self.flush_at.is_some_and(|at| at <= self.now) {
            self.flush();
        }
    }

    /// Nothing is known about items any more.
    pub(super) fn lose(&mut self) {
        self.slots.clear();
        self.is_lost = true;
    }

    fn flush(&mut self) {
        self.slots.clear();
        (self.is_lost, self.flush_at) = (false, None);
    }

    /// Reads `bytes` of a client, and what was answered at once.
    pub(super) fn check(&mut self, sent: &mut Sent, bytes: &[u8], replies: &[u8]) {
        self.read(sent, bytes, Replies { rest: replies, is_blind: false });
    }

    /// The same if the answer is worth nothing, because items went in between.
    pub(super) fn skip(&mut self, sent: &mut Sent, bytes: &[u8]) {
        self.read(sent, bytes, Replies { rest: &[], is_blind: true });
        self.lose();
    }

    fn read(&mut self, sent: &mut Sent, bytes: &[u8], mut replies: Replies<'_>) {
        sent.bytes.extend_from_slice(bytes);
        let input = std::mem::take(&mut sent.bytes);
        let mut rest = input.as_slice();
        while !sent.is_closed && !rest.is_empty() {
            match hello::is_tls(rest) {
                _ if sent.is_plain => {}
                None => break,
                Some(true) => {
                    replies.expect(hello::ALERT);
                    sent.is_closed = true;
                    break;
                }
                Some(false) => sent.is_plain = true,
            }
            // A block that is dropped may come in later inputs as well.
            let dropped = sent.swallow.min(rest.len());
            (sent.swallow, rest) = (sent.swallow - dropped, &rest[dropped..]);
            // From the front each time, so that nothing depends on where a search was resumed.
            if sent.skips_line {
                let end = rest.iter().position(|&byte| byte == b'\n');
                sent.skips_line = end.is_none();
                rest = end.map_or(&[], |end| &rest[end + 1..]);
                continue;
            }
            match text::parse(rest, &mut Scan::new(), &Limits::default()) {
                // It is refused before its end has come.
                Step::Partial if text::has_long_key(rest, &Scan::new()) => {
                    replies.expect(ParseError::BadLineFormat.reply());
                    sent.skips_line = true;
                    rest = &[];
                }
                Step::Partial => break,
                Step::Close(_) => sent.is_closed = true,
                Step::Reject { consumed, error, swallow, noreply } => {
                    if !noreply {
                        replies.expect(error.reply());
                    }
                    sent.swallow = swallow as usize;
                    rest = &rest[consumed..];
                }
                Step::Request { consumed, request } => {
                    let Some(len) = block(&request) else {
                        self.request(&request, sent, &mut replies);
                        rest = &rest[consumed..];
                        continue;
                    };
                    if rest.len() - consumed >= BEGIN_MIN {
                        sent.began.get_or_insert(self.now);
                    }
                    let began = sent.began.unwrap_or(self.now);
                    let Some(block) = rest[consumed..].get(..len + BLOCK_END.len()) else { break };
                    let now = if len > WAITING_MAX { began } else { self.now };
                    self.value(&request, &block[..len + BLOCK_END.len()], now, &mut replies);
                    rest = &rest[consumed + block.len()..];
                    sent.began = None;
                }
            }
        }
        sent.bytes = rest.to_vec();
        let surplus = &replies.rest[..replies.rest.len().min(300)];
        assert!(
            replies.is_blind || surplus.is_empty(),
            "no request for: {}",
            surplus.escape_ascii()
        );
    }

    fn request(&mut self, request: &Request<'_>, sent: &mut Sent, replies: &mut Replies<'_>) {
        match *request {
            Request::Get { verb, exptime, keys } => {
                let keys: Result<Vec<&[u8]>, _> = keys.collect();
                match keys {
                    Ok(keys) => self.get(verb, exptime, &keys, replies),
                    Err(_) => replies.expect(ParseError::BadLineFormat.reply()),
                }
            }
            Request::Arith { verb, key, delta, noreply } => {
                self.arith(verb, key, delta, noreply, replies);
            }
            Request::Touch { key, exptime, noreply } => {
                let expires = expiry(exptime, self.now);
                let found = self.found(key, write::TOUCHED, write::NOT_FOUND, noreply, replies);
                if let (Some(true), Known::There(item)) = (found, self.look(key)) {
                    item.expires = expires;
                }
            }
            Request::Delete { key, noreply } => {
                self.found(key, write::DELETED, write::NOT_FOUND, noreply, replies);
                self.remove(key);
            }
            Request::FlushAll { delay: Ok(delay), noreply } => {
                self.flush_after(delay);
                answer(write::OK, noreply, replies);
            }
            Request::FlushAll { delay: Err(error), noreply } => {
                answer(error.reply(), noreply, replies);
            }
            Request::Verbosity { noreply, .. } => answer(write::OK, noreply, replies),
            Request::Version => replies.expect(write::VERSION),
            Request::MetaNoop => replies.expect(b"MN\r\n"),
            Request::Quit => sent.is_closed = true,
            Request::Shutdown { .. } => replies.expect(write::SHUTDOWN_DISABLED),
            Request::Meta(meta) => self.meta(&meta, replies),
            Request::Admin { command: Admin::Watch, .. } => {
                // How many clients watch already is not modelled.
                (sent.may_be_closed, replies.is_blind) = (true, true);
            }
            // Their answers are long and tell about the server, not about items.
            Request::Admin { .. } | Request::Stats { .. } => replies.is_blind = true,
            Request::Store(_) => unreachable!("it has a value"),
            _ => unreachable!("{request:?} is not modelled"),
        }
    }

    fn flush_after(&mut self, delay: i64) {
        let moment = match delay {
            1..=MONTH => i64::from(self.now) + delay - 1,
            _ => delay.saturating_sub(1),
        };
        match u32::try_from(moment) {
            Ok(moment) if moment > self.now => self.flush_at = Some(moment),
            // Nothing is from before the start.
            Ok(moment) if delay > 0 && moment < self.started => self.flush_at = None,
            _ => self.flush(),
        }
    }

    fn look(&mut self, key: &[u8]) -> Known<'_> {
        let now = self.now;
        match self.slots.get_mut(key) {
            Some(Slot::Item(item)) if item.expires.is_some_and(|at| at <= now) => Known::Missing,
            Some(Slot::Item(item)) => Known::There(item),
            Some(Slot::Unknown) => Known::Nothing,
            None if self.is_lost => Known::Nothing,
            None => Known::Missing,
        }
    }

    fn forget(&mut self, key: &[u8]) {
        self.slots.insert(key.to_vec(), Slot::Unknown);
    }

    /// The key is known to have no item.
    fn remove(&mut self, key: &[u8]) {
        // An item that has expired is known to be missing.
        let gone = Item { flags: 0, expires: Some(0), value: Vec::new(), version: None };
        self.slots.insert(key.to_vec(), Slot::Item(gone));
    }

    /// Reads which of two lines is answered, one if the key is found; none if that is unknown.
    fn found(
        &mut self,
        key: &[u8],
        yes: &[u8],
        no: &[u8],
        noreply: bool,
        replies: &mut Replies<'_>,
    ) -> Option<bool> {
        match self.look(key) {
            Known::There(_) => answer(yes, noreply, replies),
            Known::Missing => answer(no, noreply, replies),
            Known::Nothing => {
                let line = if noreply { None } else { replies.line() };
                assert!(line.is_none_or(|line| line == yes || line == no));
                return line.map(|line| line == yes);
            }
        }
        Some(matches!(self.look(key), Known::There(_)))
    }

    fn get(&mut self, verb: GetVerb, exptime: i64, keys: &[&[u8]], replies: &mut Replies<'_>) {
        let expires = expiry(exptime, self.now);
        for key in keys {
            match self.look(key) {
                Known::Missing => {}
                Known::There(item) => {
                    let mut head = Vec::new();
                    write::value(&mut head, key, item.flags, item.value.len());
                    if verb.with_cas() {
                        // Without the end of the line: the version stands in front of it.
                        head.truncate(head.len() - 2);
                        replies.expect(&head);
                        item.see(replies);
                    } else {
                        replies.expect(&head);
                    }
                    replies.expect(&item.value);
                    replies.expect(&BLOCK_END);
                    if verb.touches() {
                        item.expires = expires;
                    }
                }
                Known::Nothing => {
                    // Found or not, nothing is learned: the expiry would stay unknown.
                    let head = [b"VALUE ", *key, b" "].concat();
                    if !replies.is_blind && replies.rest.starts_with(&head) {
                        let line = replies.line().unwrap_or_default();
                        replies.skip_value(word(&line[head.len()..], 1));
                    }
                }
            }
        }
        replies.expect(write::END);
    }

    fn arith(
        &mut self,
        verb: ArithVerb,
        key: &[u8],
        delta: u64,
        noreply: bool,
        replies: &mut Replies<'_>,
    ) {
        let item = match self.look(key) {
            Known::Missing => return answer(write::NOT_FOUND, noreply, replies),
            Known::Nothing => {
                // It stays unknown, whatever it is now.
                let _ = if noreply { None } else { replies.line() };
                return;
            }
            Known::There(item) => item,
        };
        let Some(number) = number(&item.value) else {
            return answer(write::NON_NUMERIC, noreply, replies);
        };
        let number = match verb {
            ArithVerb::Incr => number.wrapping_add(delta),
            ArithVerb::Decr => number.saturating_sub(delta),
        };
        let digits = number.to_string().into_bytes();
        answer(&[&digits, &b"\r\n"[..]].concat(), noreply, replies);
        let len = digits.len().max(item.value.len());
        item.value = digits;
        // A number that has become shorter keeps its length and is filled up with spaces.
        item.value.resize(len, b' ');
        item.version = None;
    }

    /// A storage request with its data block; its header was there at `now`.
    fn value(&mut self, request: &Request<'_>, block: &[u8], now: u32, replies: &mut Replies<'_>) {
        let (value, end) = block.split_at(block.len() - BLOCK_END.len());
        match request {
            Request::Store(store) if end == BLOCK_END => self.store(store, value, now, replies),
            Request::Meta(meta) if end == BLOCK_END => self.strange(meta, replies),
            Request::Store(store) if store.noreply => {}
            _ => replies.expect(ParseError::BadDataChunk.reply()),
        }
    }

    fn store(&mut self, store: &Store<'_>, value: &[u8], now: u32, replies: &mut Replies<'_>) {
        let Store { verb, key, flags, exptime, noreply, .. } = *store;
        let known = self.look(key);
        let wanted = match (verb, &known) {
            (StoreVerb::Set, _) => Some(write::STORED),
            (_, Known::Nothing) => None,
            (StoreVerb::Add, Known::There(_)) => Some(write::NOT_STORED),
            (StoreVerb::Add, Known::Missing) => Some(write::STORED),
            (StoreVerb::Cas, Known::Missing) => Some(write::NOT_FOUND),
            (StoreVerb::Cas, Known::There(item)) => match item.version {
                Some(version) if version == store.cas => Some(write::STORED),
                Some(_) => Some(write::EXISTS),
                None => None,
            },
            (_, Known::There(_)) => Some(write::STORED),
            (_, Known::Missing) => Some(write::NOT_STORED),
        };
        let line = match wanted {
            Some(line) => {
                answer(line, noreply, replies);
                Some(line)
            }
            None if noreply => None,
            None => replies.line(),
        };
        let new =
            Item { flags, expires: expiry(exptime, now), value: value.to_vec(), version: None };
        match (verb, line, self.look(key)) {
            // It may have been stored or not.
            (_, None, _) => self.forget(key),
            (_, Some(line), _) if line != write::STORED => {
                let lines = [write::NOT_STORED, write::EXISTS, write::NOT_FOUND];
                assert!(lines.contains(&line), "{}", line.escape_ascii());
            }
            (StoreVerb::Append, _, Known::There(item)) => {
                item.value.extend_from_slice(value);
                item.version = None;
            }
            (StoreVerb::Prepend, _, Known::There(item)) => {
                item.value.splice(..0, value.iter().copied());
                item.version = None;
            }
            // Something was there of which only this part is known.
            (StoreVerb::Append | StoreVerb::Prepend, ..) => self.forget(key),
            _ => {
                self.slots.insert(key.to_vec(), Slot::Item(new));
            }
        }
    }

    fn meta(&mut self, meta: &MetaRequest<'_>, replies: &mut Replies<'_>) {
        let is_plain = meta.flags.into_iter().all(|flag| b"vfskOqt".contains(&flag.letter));
        let now = self.now;
        let mut reply = Vec::new();
        match self.look(meta.key.raw) {
            _ if meta.command != MetaCommand::Get || !is_plain => {
                return self.strange(meta, replies);
            }
            Known::Nothing => return self.strange(meta, replies),
            Known::Missing if meta.quiet() => return,
            Known::Missing => {
                reply.extend_from_slice(b"EN");
                returned(meta, None, &mut reply);
            }
            Known::There(item) => {
                let len = item.value.len();
                match meta.has(b'v') {
                    true => reply.extend_from_slice(format!("VA {len}").as_bytes()),
                    false => reply.extend_from_slice(b"HD"),
                }
                returned(meta, Some((item, now)), &mut reply);
                if meta.has(b'v') {
                    reply.extend_from_slice(&item.value);
                    reply.extend_from_slice(&BLOCK_END);
                }
            }
        }
        replies.expect(&reply);
    }

    /// A meta request whose meaning is not known here: its reply is well formed at least.
    fn strange(&mut self, meta: &MetaRequest<'_>, replies: &mut Replies<'_>) {
        // Whether there is a reply depends on what is not known.
        if meta.quiet() {
            replies.is_blind = true;
        }
        if let Some(line) = replies.line() {
            let code = line.get(..2).unwrap_or_default();
            let codes = [b"HD", b"VA", b"EN", b"NF", b"NS", b"EX", b"ME", b"SE", b"CL"];
            assert!(codes.into_iter().any(|known| known == code), "{}", line.escape_ascii());
            if code == b"VA" {
                replies.skip_value(word(line, 1));
            }
        }
        let mut scratch = [0; MAX_KEY];
        let key = meta.key.bytes(&mut scratch).to_vec();
        self.forget(&key);
    }
}

impl Item {
    /// Reads the version at the end of a line: the one that was seen before, if there is one.
    fn see(&mut self, replies: &mut Replies<'_>) {
        let Some(line) = replies.line() else { return };
        let digits = line.strip_prefix(b" ").and_then(|line| line.strip_suffix(b"\r\n"));
        let version = digits.and_then(memproto::number::parse_u64).expect("a version");
        assert_eq!(*self.version.get_or_insert(version), version, "another version");
    }
}

fn answer(line: &[u8], noreply: bool, replies: &mut Replies<'_>) {
    if !noreply {
        replies.expect(line);
    }
}

/// Bytes of the value that follows a request.
fn block(request: &Request<'_>) -> Option<usize> {
    match request {
        Request::Store(store) => Some(store.len as usize),
        Request::Meta(meta) if meta.command == MetaCommand::Set => Some(meta.len as usize),
        _ => None,
    }
}

/// When an item ends that is to live for `exptime`, as sent.
fn expiry(exptime: i64, now: u32) -> Option<u32> {
    match exptime {
        0 => None,
        1..=MONTH => Some(now + exptime as u32),
        // Only the storage commands of the text protocol take numbers of more than 31 bits.
        0xff00_0000..=0xffff_ffff => Some(0),
        0x1_0000_0000.. => None,
        _ => Some(u32::try_from(exptime).unwrap_or(0)),
    }
}

/// The flags of a reply to `mg`, and its end; a miss repeats only what the client said.
fn returned(meta: &MetaRequest<'_>, hit: Option<(&Item, u32)>, reply: &mut Vec<u8>) {
    for flag in meta.flags {
        let number = |number: i64| Some(format!(" {}{number}", flag.letter as char).into_bytes());
        let shown = match (flag.letter, hit) {
            (b'k', _) => Some([b" k", meta.key.raw].concat()),
            (b'O', _) => Some([b" O", flag.arg].concat()),
            (b'f', Some((item, _))) => number(item.flags.into()),
            (b's', Some((item, _))) => number(item.value.len() as i64),
            (b't', Some((item, now))) => number(item.expires.map_or(-1, |at| i64::from(at - now))),
            _ => None,
        };
        reply.extend(shown.unwrap_or_default());
    }
    reply.extend_from_slice(b"\r\n");
}

/// Word `index` of a line as a number.
fn word(line: &[u8], index: usize) -> usize {
    let mut words = line.trim_ascii_end().split(|byte| *byte == b' ');
    let word = words.nth(index).and_then(memproto::number::parse_u64);
    word.expect("a length") as usize
}

/// The number that a value is: blanks, perhaps a plus, digits, then the end or a blank.
fn number(value: &[u8]) -> Option<u64> {
    const LONGEST: usize = 64;
    let text = value.trim_ascii_start();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let ends = rest.first().is_none_or(u8::is_ascii_whitespace);
    if ends && value.len() <= LONGEST {
        std::str::from_utf8(digits).ok()?.parse().ok()
    } else {
        None
    }
}
