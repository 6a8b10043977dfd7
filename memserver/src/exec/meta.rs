//! The meta commands. Storage itself is shared with the other protocols.

use std::time::Duration;

use memcore::{
    Attrs, Count, CountError, Counted, Expiry, Fetch, Hit, Key, Meta, Mode, Moment, Remove,
    Removed, Store, StoreError, Stored, Value,
};
use memproto::limits::MAX_KEY;
use memproto::meta::write::{self, EN, EX, HD, NF, NS};
use memproto::meta::{ArithMode, MetaCommand, MetaRequest, SetMode};
use memproto::number::{Decimal, push_i64, push_u64};
use memproto::{ParseError, key, text};

use super::arith::OUT_OF_MEMORY;
use super::expiries::Expiries;
use super::get::{Delivered, NO_ROOM};
use super::groups::{GroupRemoval, NO_GROUP};
use super::store::error_line;
use super::terms::{Outcome, Terms};
use super::{Exec, INLINE_MAX};
use crate::session::dialogue::Flow;
use crate::session::output::Output;

/// A number that was to be created found no memory.
const NO_ROOM_FOR_NEW: &[u8] = b"SERVER_ERROR Out of memory allocating new item\r\n";
/// A miss, when flags follow.
const EN_CODE: &[u8] = b"EN";

impl Exec<'_> {
    /// A meta request without a data block. Without a `key` the request's own must be decoded.
    pub(super) fn meta(
        &self,
        request: &MetaRequest<'_>,
        key: Option<Key<'_>>,
        out: &mut Output,
    ) -> Flow {
        match key {
            Some(key) => self.meta_of(key, request, out),
            None => self.meta_decoded(request, out),
        }
    }

    #[cold]
    #[inline(never)]
    fn meta_decoded(&self, request: &MetaRequest<'_>, out: &mut Output) -> Flow {
        let mut scratch = [0; MAX_KEY];
        let key = self.shared.core.cache.key(request.key.bytes(&mut scratch));
        self.meta_of(key, request, out)
    }

    #[inline]
    fn meta_of(&self, key: Key<'_>, request: &MetaRequest<'_>, out: &mut Output) -> Flow {
        // Exact access times cost up to one write per item and second instead of one per minute, so
        // they are kept only once a client asks for them.
        if request.has(b'l') || request.command == MetaCommand::Debug {
            self.shared
                .core
                .exact_access
                .call_once(|| self.shared.core.cache.track_access_exactly());
        }
        match request.command {
            MetaCommand::Get => {
                if let Flow::Starved(key) = self.meta_get(key, request, out) {
                    // Executed again later, and counted then.
                    return Flow::Starved(key);
                }
            }
            MetaCommand::Delete => self.meta_delete(key, request, out),
            MetaCommand::Arith => self.meta_arith(key, request, out),
            MetaCommand::Debug => self.meta_debug(key, out),
            // Storage became a job of its own.
            MetaCommand::Set => {}
        }
        self.counters.cmd_meta.add(1);
        Flow::Done
    }

    fn meta_get(&self, key: Key<'_>, request: &MetaRequest<'_>, out: &mut Output) -> Flow {
        // Apart, so that the usual lookup does not pay for it.
        if self.delimiter.is_some() && request.has(b'N') {
            return self.meta_get_or_create(key, request, out);
        }
        self.meta_lookup::<false>(key, request, out)
    }

    #[cold]
    #[inline(never)]
    fn meta_get_or_create(
        &self,
        key: Key<'_>,
        request: &MetaRequest<'_>,
        out: &mut Output,
    ) -> Flow {
        self.meta_lookup::<true>(key, request, out)
    }

    #[inline(always)]
    fn meta_lookup<const GROUPS: bool>(
        &self,
        key: Key<'_>,
        request: &MetaRequest<'_>,
        out: &mut Output,
    ) -> Flow {
        let expiries = self.expiries(request, key);
        // A client that shows that it has this version already gets no value.
        let known = self.expected(request.compare());
        let value = match known {
            _ if !request.has(b'v') => Value::Skip,
            Some(version) => Value::UnlessVersion(version),
            None => Value::Deliver,
        };
        let how = Fetch::new()
            .value(value)
            .inline_max(INLINE_MAX)
            .pins(self.may_pin)
            .peek(request.has(b'u'))
            .touch(expiries.at_once())
            .lease(true)
            .renew_within(request.recache().map(seconds))
            .create(expiries.created)
            .marked(request.key.base64)
            .version(given_version(request));
        let wanted = |hit: &Hit| request.has(b'v') && known != Some(hit.meta.version);
        let head = |hit: &Hit, out: &mut Vec<u8>| {
            if wanted(hit) {
                write::va(out, hit.meta.value_len);
            } else {
                out.extend_from_slice(HD);
            }
            self.meta_head(request, key.bytes(), hit, &expiries, out);
        };
        let delivered = self.deliver::<GROUPS>(key, &how, out, head);
        if let Delivered::Later = delivered {
            return Flow::Starved(None);
        }
        let touched = request.has(b'T') && !matches!(delivered, Delivered::Miss(_));
        // An item that was just created has its final expiry.
        if !matches!(&delivered, Delivered::Value(hit) if hit.created) {
            self.touch_afterwards(key, &expiries);
        }
        self.count_get(key, &delivered, touched);
        match delivered {
            Delivered::Value(hit) if wanted(&hit) => out.put(b"\r\n"),
            Delivered::Value(_) => {}
            Delivered::NoRoom | Delivered::Later => out.put(NO_ROOM),
            Delivered::Miss(_) if request.quiet() => {}
            Delivered::Miss(_) => self.answer(EN_CODE, request, key.bytes(), out),
        }
        Flow::Done
    }

    #[inline]
    fn expiries(&self, request: &MetaRequest<'_>, key: Key<'_>) -> Expiries {
        let look = || self.shared.core.cache.peek(key).map(|meta| meta.expiry);
        Expiries::new(request, |seconds| self.expiry(seconds), look)
    }

    /// Sets an expiry without counting as one more use.
    #[inline]
    fn touch_afterwards(&self, key: Key<'_>, expiries: &Expiries) {
        let touch = expiries.afterwards();
        if touch.is_some() {
            let how = Fetch::new().without_value().peek(true).touch(touch);
            self.shared.core.cache.fetch(key, &how, &mut Vec::new(), |_, _| ());
        }
    }

    /// The flags of a hit, in request order, and the lease marks.
    #[inline(always)]
    fn meta_head(
        &self,
        request: &MetaRequest<'_>,
        name: &[u8],
        hit: &Hit,
        expiries: &Expiries,
        out: &mut Vec<u8>,
    ) {
        let meta = &hit.meta;
        let fields = ReplyFields {
            version: Some(meta.version),
            len: Some(meta.value_len),
            item: Some(meta),
            lifetime: Some(Lifetime { expiries, found: meta.expiry, created: hit.created }),
            ..ReplyFields::of(name, KeyForm::AsStored { marked: meta.marked })
        };
        self.push_flags(request, &fields, out);
        if meta.lease.taken {
            write::flag(out, b'Z');
        }
        if meta.lease.stale {
            write::flag(out, b'X');
        }
        if hit.won {
            write::flag(out, b'W');
        }
        write::end(out);
    }

    /// The flags of a request that its reply returns, in their order, as far as `fields` tell them.
    #[inline(always)]
    fn push_flags(&self, request: &MetaRequest<'_>, fields: &ReplyFields<'_>, out: &mut Vec<u8>) {
        let mut expiry = fields.lifetime.map(|lifetime| lifetime.start());
        // Few requests have flags that need the clock.
        let now = || self.shared.core.cache.now();
        for flag in request.flags {
            match flag.letter {
                b'c' => {
                    if let Some(version) = fields.version {
                        write::flag_u64(out, b'c', self.version(version));
                    }
                }
                b'f' => {
                    if let Some(item) = fields.item {
                        write::flag_u64(out, b'f', u64::from(item.flags));
                    }
                }
                b'h' => {
                    if let Some(item) = fields.item {
                        write::flag_u64(out, b'h', u64::from(item.fetched));
                    }
                }
                b'l' => {
                    if let Some(item) = fields.item {
                        let idle = now().saturating_since(item.last_access);
                        write::flag_u64(out, b'l', idle.as_secs());
                    }
                }
                b's' => {
                    if let Some(len) = fields.len {
                        write::flag_u64(out, b's', len as u64);
                    }
                }
                b't' => {
                    if let Some(expiry) = expiry {
                        write::flag_i64(out, b't', time_left(expiry, now()));
                    }
                }
                // Flags act in their order: those behind see what these have set.
                b'T' | b'N' => {
                    if let Some(lifetime) = &fields.lifetime {
                        expiry = expiry.map(|expiry| lifetime.pass(flag.letter, expiry));
                    }
                }
                b'k' => echo_key(fields.name, fields.form.is_encoded(fields.name), out),
                b'O' => write::flag_bytes(out, b'O', flag.arg),
                _ => {}
            }
        }
    }

    /// md with flag G.
    #[cold]
    #[inline(never)]
    fn meta_delete_group(&self, key: &[u8], request: &MetaRequest<'_>, out: &mut Output) {
        // A server without groups does not know the flag.
        if self.delimiter.is_none() || { request.flags }
            .any(|flag| !b"GObkq".contains(&flag.letter))
        {
            return out.put(ParseError::InvalidFlag.reply());
        }
        let code = match self.remove_group(key) {
            GroupRemoval::Done if request.quiet() => return,
            GroupRemoval::Done => HD,
            GroupRemoval::NotFound => NF,
            GroupRemoval::Refused => return out.put(NO_GROUP),
        };
        self.answer(code, request, key, out);
    }

    fn meta_delete(&self, key: Key<'_>, request: &MetaRequest<'_>, out: &mut Output) {
        if request.has(b'G') {
            return self.meta_delete_group(key.bytes(), request, out);
        }
        let clear = request.has(b'x');
        let ttl = request.ttl().map(|ttl| self.expiry(ttl));
        let how = Remove::new()
            .expected(self.expected(request.compare().filter(|&version| {
                // Without versions all of them are 0 to md.
                version != 0 || self.shared.core.config.cas_enabled
            })))
            .invalidate(request.has(b'I'))
            .clear(clear)
            .flags(request.client_flags)
            .touch(if clear { Some(ttl.unwrap_or(Expiry::Never)) } else { ttl })
            .version(given_version(request));
        if self.is_observed() {
            self.observe_search(key);
        }
        let removed = self.shared.core.cache.remove_with(key, &how);
        if self.is_observed() && (clear || !how.invalidate) {
            self.observe_delete(key.bytes(), "md", &removed);
        }
        match removed {
            // memcached counts neither an item that stays as a stale one, nor this as a mismatch.
            Ok(Removed::Done(_)) if how.invalidate => {}
            Ok(Removed::VersionMismatch) => self.counters.delete_misses.add(1),
            _ => self.count_removal(&removed),
        }
        let code = match removed {
            Ok(Removed::Done(_)) if request.quiet() => return,
            Ok(Removed::Done(_)) => HD,
            Ok(Removed::NotFound) => NF,
            Ok(_) => EX,
            Err(error) => return out.put(error_line(error)),
        };
        self.answer(code, request, key.bytes(), out);
    }

    fn meta_arith(&self, key: Key<'_>, request: &MetaRequest<'_>, out: &mut Output) {
        let expiries = self.expiries(request, key);
        let create = expiries.created.map(|expiry| {
            (request.initial, Attrs::new().expiry(expiry).marked(request.key.base64))
        });
        let mut how = Count::increment(request.delta)
            .down(request.arith_mode == ArithMode::Decr)
            // As in memcached, no item has version 0, and ma takes it for no version.
            .expected(self.expected(request.compare().filter(|&version| version != 0)))
            .version(given_version(request))
            .touch(expiries.at_once());
        how.initial = create;
        let counted = self.count(key, &how);
        if let Ok(Counted::Done { created: false, .. }) = counted {
            self.touch_afterwards(key, &expiries);
        }
        let code = match counted {
            Ok(Counted::Done { .. }) if request.quiet() => return,
            Ok(Counted::Done { value, meta, created, .. }) => {
                let fields = ReplyFields {
                    version: Some(meta.version),
                    lifetime: Some(Lifetime { expiries: &expiries, found: meta.expiry, created }),
                    ..ReplyFields::of(key.bytes(), KeyForm::AsSent { base64: request.key.base64 })
                };
                return self.number(request, value, &fields, out.bytes());
            }
            Ok(Counted::NotFound) => NF,
            Ok(Counted::VersionMismatch) => EX,
            Err(CountError::NotANumber) => return out.put(text::write::NON_NUMERIC),
            Err(CountError::Store(StoreError::OutOfMemory)) => {
                return out.put(if create.is_some() { NO_ROOM_FOR_NEW } else { OUT_OF_MEMORY });
            }
            Err(CountError::Store(error)) => return out.put(error_line(error)),
            _ => NS,
        };
        self.answer(code, request, key.bytes(), out);
    }

    /// Answers `ma`.
    fn number(
        &self,
        request: &MetaRequest<'_>,
        value: u64,
        fields: &ReplyFields<'_>,
        out: &mut Vec<u8>,
    ) {
        let digits = Decimal::new(value);
        if request.has(b'v') {
            write::va(out, digits.as_bytes().len());
        } else {
            out.extend_from_slice(HD);
        }
        self.push_flags(request, fields, out);
        write::end(out);
        if request.has(b'v') {
            out.extend_from_slice(digits.as_bytes());
            write::end(out);
        }
    }

    fn meta_debug(&self, key: Key<'_>, out: &mut Output) {
        let Some(meta) = self.shared.core.cache.peek(key) else { return out.put(EN) };
        let now = self.shared.core.cache.now();
        let out = out.bytes();
        out.extend_from_slice(b"ME ");
        if meta.marked || !key::is_printable(key.bytes()) {
            key::push_base64(out, key.bytes());
        } else {
            out.extend_from_slice(key.bytes());
        }
        out.extend_from_slice(b" exp=");
        push_i64(out, time_left(meta.expiry.into(), now));
        for (label, number) in [
            (" la=", now.saturating_since(meta.last_access).as_secs()),
            (" cas=", self.version(meta.version)),
        ] {
            out.extend_from_slice(label.as_bytes());
            push_u64(out, number);
        }
        out.extend_from_slice(if meta.fetched { b" fetch=yes" } else { b" fetch=no" });
        for (label, number) in [(" cls=", u64::from(meta.class)), (" size=", meta.size as u64)] {
            out.extend_from_slice(label.as_bytes());
            push_u64(out, number);
        }
        write::end(out);
    }

    /// What a storage request asks of the cache.
    pub(super) fn meta_terms(&self, request: &MetaRequest<'_>) -> Terms {
        let mode = match request.set_mode {
            SetMode::Set => Mode::Set,
            SetMode::Add => Mode::Add,
            SetMode::Replace => Mode::Replace,
            SetMode::Append => Mode::Append,
            SetMode::Prepend => Mode::Prepend,
        };
        let attrs = Attrs::new()
            .flags(request.client_flags)
            .expiry(request.ttl().map_or(Expiry::Never, |ttl| self.expiry(ttl)))
            .marked(request.key.base64);
        // What is added to a value is never late, and version 0, which no item has, is not a
        // condition for it.
        let extends = matches!(mode, Mode::Append | Mode::Prepend);
        let compare = request.compare();
        let write = Store::mode(mode)
            .expected(self.expected(
                compare.filter(|&version| mode != Mode::Add && !(extends && version == 0)),
            ))
            .version(given_version(request))
            .allow_stale(
                request.has(b'I')
                    && !extends
                    && compare != Some(0)
                    && self.shared.core.config.cas_enabled,
            )
            .create(request.vivify().map(|ttl| self.expiry(ttl)));
        Terms { attrs, write, replaces: mode == Mode::Set }
    }

    /// Answers `ms`.
    pub(super) fn meta_stored(
        &self,
        request: &MetaRequest<'_>,
        name: &[u8],
        outcome: &Outcome,
        out: &mut Output,
    ) {
        self.counters.cmd_meta.add(1);
        let (code, version, len) = match outcome {
            Ok(Stored::Done { .. }) if request.quiet() => return,
            Ok(Stored::Done { version, value_len, .. }) => (HD, *version, *value_len),
            Ok(Stored::VersionMismatch) => (EX, 0, request.len as usize),
            Ok(Stored::NotFound) => (NF, 0, request.len as usize),
            Ok(_) => (NS, 0, request.len as usize),
            Err(error) => return out.put(error_line(*error)),
        };
        let fields = ReplyFields {
            version: Some(version),
            len: Some(len),
            ..ReplyFields::of(name, KeyForm::AsSent { base64: request.key.base64 })
        };
        let out = out.bytes();
        out.extend_from_slice(code);
        self.push_flags(request, &fields, out);
        write::end(out);
    }

    /// Answers with `code` and the flags that every reply repeats.
    fn answer(&self, code: &[u8], request: &MetaRequest<'_>, name: &[u8], out: &mut Output) {
        let out = out.bytes();
        out.extend_from_slice(code);
        self.push_flags(
            request,
            &ReplyFields::of(name, KeyForm::AsSent { base64: request.key.base64 }),
            out,
        );
        write::end(out);
    }
}

/// What the flags of a reply can tell; none of what the command does not tell.
#[derive(Clone, Copy, Debug)]
struct ReplyFields<'a> {
    /// The key.
    name: &'a [u8],
    /// How it is shown.
    form: KeyForm,
    /// `c`.
    version: Option<u64>,
    /// `s`: bytes of the value.
    len: Option<usize>,
    /// `f`, `h` and `l`.
    item: Option<&'a Meta>,
    /// `t`.
    lifetime: Option<Lifetime<'a>>,
}

/// How a key is shown.
#[derive(Clone, Copy, Debug)]
enum KeyForm {
    /// As the client has sent it.
    AsSent { base64: bool },
    /// In base64 if the item was stored so, or if the key can't stand on a line.
    AsStored { marked: bool },
}

impl KeyForm {
    #[inline]
    fn is_encoded(self, name: &[u8]) -> bool {
        match self {
            Self::AsSent { base64 } => base64,
            Self::AsStored { marked } => marked || !key::is_plain(name),
        }
    }
}

/// How an item's expiry changes along the flags.
#[derive(Clone, Copy, Debug)]
struct Lifetime<'a> {
    expiries: &'a Expiries,
    /// The expiry that was found.
    found: Option<Moment>,
    /// Whether the item was created by the request.
    created: bool,
}

impl<'a> ReplyFields<'a> {
    /// No fact but the key.
    #[inline(always)]
    fn of(name: &'a [u8], form: KeyForm) -> Self {
        Self { name, form, version: None, len: None, item: None, lifetime: None }
    }
}

impl Lifetime<'_> {
    /// The expiry in front of the first flag.
    #[inline]
    fn start(&self) -> Expiry {
        self.expiries.start(self.found, self.created)
    }

    /// The expiry behind a flag.
    #[inline]
    fn pass(&self, letter: u8, before: Expiry) -> Expiry {
        self.expiries.pass(letter, before, self.created)
    }
}

/// The key as the client spells it: a binary one in base64, and said so.
fn echo_key(name: &[u8], encoded: bool, out: &mut Vec<u8>) {
    write::flag(out, b'k');
    if encoded {
        key::push_base64(out, name);
        write::flag(out, b'b');
    } else {
        out.extend_from_slice(name);
    }
}

/// The version to give an item; 0 stands for a new one.
fn given_version(request: &MetaRequest<'_>) -> Option<u64> {
    request.version().filter(|&version| version != 0)
}

/// Seconds to live, -1 for ever.
fn time_left(expiry: Expiry, now: Moment) -> i64 {
    let left = |end: Moment| i64::from(end.as_secs().saturating_sub(now.as_secs()));
    expiry.moment(now).map_or(-1, left)
}

/// A span that a client has given in seconds; what is out of range is none.
fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u32::try_from(seconds).unwrap_or(0).into())
}
