//! The binary protocol's requests. Storage itself is shared with the other protocols.

use memcore::{Attrs, Count, CountError, Counted, Fetch, Key, Remove, Removed, StoreError, Stored};
use memproto::binary::write::{self, ReplyTo};
use memproto::binary::{Command, MECHANISMS, Request, Status};
use memproto::{ArithVerb, MEMCACHED_VERSION, StoreVerb};

use super::get::Delivered;
use super::groups::GroupRemoval;
use super::terms::Outcome;
use super::{Exec, INLINE_MAX, gate};
use crate::report::stats::{self, Answer};
use crate::report::stream::Format;
use crate::session::dialogue::Flow;
use crate::session::job::StoreFrame;
use crate::session::output::Output;
use crate::session::pending::Pending;

impl Exec<'_> {
    /// A request without a value.
    pub(super) fn binary(
        &mut self,
        request: &Request<'_>,
        key: Option<Key<'_>>,
        pending: &mut Pending,
        out: &mut Output,
    ) -> Flow {
        match (request.command, key) {
            (Command::Get { key: name, touch, with_key }, Some(key)) => {
                let shown = if with_key { name } else { &[] };
                return self.binary_get(request, key, shown, touch, out);
            }
            (Command::Delete { .. }, Some(key)) => self.binary_delete(request, key, out),
            (Command::Arith { .. }, Some(key)) => self.binary_arith(request, key, out),
            (Command::Touch { exptime, .. }, Some(key)) => {
                self.binary_touch(request, key, exptime, out);
            }
            (Command::Flush { delay }, _) => self.binary_flush(request, delay, out),
            (Command::Stat { key }, _) => self.binary_stat(request.to, key, pending, out),
            (Command::Version, _) => {
                write::message(out.bytes(), request.to, Status::Ok, MEMCACHED_VERSION.as_bytes())
            }
            (Command::Noop | Command::Quit, _) => write::done(out.bytes(), request.to, 0),
            (Command::SaslList, _) if self.has_users() => {
                write::message(out.bytes(), request.to, Status::Ok, MECHANISMS);
            }
            // SASL is off; storage became a job of its own, and every other request with a key
            // came with it hashed.
            _ => refuse(request.to, Status::UnknownCommand, out),
        }
        Flow::Done
    }

    fn binary_get(
        &self,
        request: &Request<'_>,
        key: Key<'_>,
        shown: &[u8],
        touch: Option<u32>,
        out: &mut Output,
    ) -> Flow {
        let touch = touch.map(|exptime| self.expiry(i64::from(exptime)));
        let how = Fetch::new().inline_max(INLINE_MAX).pins(self.may_pin).touch(touch);
        let delivered = self.deliver::<false>(key, &how, out, |hit, out| {
            let version = self.version(hit.meta.version);
            let len = hit.meta.value_len as u32;
            write::value(out, request.to, shown, hit.meta.flags, len, version);
        });
        if let Delivered::Later = delivered {
            // The request is executed again later, and counted then.
            return Flow::Starved(None);
        }
        self.count_get(key, &delivered, touch.is_some());
        match delivered {
            Delivered::Value(_) => {}
            Delivered::NoRoom | Delivered::Later => refuse(request.to, Status::OutOfMemory, out),
            // Clients send many quiet gets and a noop, and take what is not answered for a miss.
            Delivered::Miss(_) if request.quiet => {}
            Delivered::Miss(_) if shown.is_empty() => refuse(request.to, Status::NotFound, out),
            Delivered::Miss(_) => write::miss_with_key(out.bytes(), request.to, shown),
        }
        Flow::Done
    }

    fn binary_delete(&self, request: &Request<'_>, key: Key<'_>, out: &mut Output) {
        // A version is that of one item.
        if self.is_group(key.bytes()) && request.cas == 0 {
            return self.binary_delete_group(request, key.bytes(), out);
        }
        let how = Remove::new().expected(self.expected(expected(request)));
        if self.is_observed() {
            self.observe_search(key);
        }
        let removed = self.shared.core.cache.remove_with(key, &how);
        self.count_removal(&removed);
        if self.is_observed() {
            self.observe_delete(key.bytes(), "delete", &removed);
        }
        match removed {
            Ok(Removed::Done(_)) if request.quiet => {}
            Ok(Removed::Done(_)) => write::done(out.bytes(), request.to, 0),
            Ok(Removed::NotFound) => refuse(request.to, Status::NotFound, out),
            Ok(_) => refuse(request.to, Status::Exists, out),
            Err(error) => refuse(request.to, status(error), out),
        }
    }

    #[cold]
    #[inline(never)]
    fn binary_delete_group(&self, request: &Request<'_>, name: &[u8], out: &mut Output) {
        match self.remove_group(name) {
            GroupRemoval::Done if request.quiet => {}
            GroupRemoval::Done => write::done(out.bytes(), request.to, 0),
            GroupRemoval::NotFound => refuse(request.to, Status::NotFound, out),
            GroupRemoval::Refused => refuse(request.to, Status::InvalidArguments, out),
        }
    }

    fn binary_arith(&self, request: &Request<'_>, key: Key<'_>, out: &mut Output) {
        let Command::Arith { verb, delta, initial, exptime, .. } = request.command else { return };
        let create = exptime.map(|exptime| {
            let expiry = self.expiry(i64::from(exptime));
            (initial, Attrs::new().expiry(expiry))
        });
        let mut how = Count::increment(delta)
            .down(verb == ArithVerb::Decr)
            .expected(self.expected(expected(request)));
        how.initial = create;
        match self.count(key, &how) {
            Ok(Counted::Done { .. }) if request.quiet => {}
            Ok(Counted::Done { value, meta, .. }) => {
                write::number(out.bytes(), request.to, value, self.version(meta.version));
            }
            Ok(Counted::NotFound) => refuse(request.to, Status::NotFound, out),
            Ok(Counted::VersionMismatch) => refuse(request.to, Status::Exists, out),
            Err(CountError::NotANumber) => refuse(request.to, Status::NonNumeric, out),
            _ => {
                let created = how.initial.is_some();
                no_room(
                    request.to,
                    if created { "allocating new item" } else { "incrementing value" },
                    out,
                );
            }
        }
    }

    fn binary_touch(&self, request: &Request<'_>, key: Key<'_>, exptime: u32, out: &mut Output) {
        if self.is_observed() {
            self.observe_search(key);
        }
        let touched = self.shared.core.cache.touch(key, self.expiry(i64::from(exptime)));
        self.count_touched(&touched);
        match touched {
            Ok(Some(meta)) => {
                write::touched(out.bytes(), request.to, meta.flags, self.version(meta.version));
            }
            Ok(None) => refuse(request.to, Status::NotFound, out),
            Err(error) => refuse(request.to, status(error), out),
        }
    }

    fn binary_flush(&self, request: &Request<'_>, delay: u32, out: &mut Output) {
        self.count_flush();
        self.flush_after(i64::from(delay));
        if !request.quiet {
            write::done(out.bytes(), request.to, 0);
        }
    }

    fn binary_stat(&mut self, to: ReplyTo, key: &[u8], pending: &mut Pending, out: &mut Output) {
        let words = gate::words(key);
        // Only an empty key asks for the general section.
        if !key.is_empty() && key.iter().all(|&byte| byte == b' ') {
            return refuse(to, Status::NotFound, out);
        }
        let bytes = out.bytes();
        let mut sink = |name: &[u8], value: &[u8]| write::stat(bytes, to, name, value);
        let format = Format::Binary(to);
        let answer = stats::report(self.shared, self.index, format, self.scope(), words, &mut sink);
        self.refresh_attention();
        match answer {
            Ok(Answer::Listed | Answer::Reset | Answer::Done) => write::done(out.bytes(), to, 0),
            Ok(Answer::Streamed(stream)) => pending.put(Pending::Stream(Box::new(stream))),
            Err(_) => refuse(to, Status::NotFound, out),
        }
    }
}

/// Answers a storage frame.
pub(super) fn stored(exec: &Exec<'_>, frame: &StoreFrame<'_>, outcome: &Outcome, out: &mut Output) {
    let status = match outcome {
        Ok(Stored::Done { version, .. }) => {
            if !frame.quiet {
                write::done(out.bytes(), frame.to, exec.version(*version));
            }
            return;
        }
        Ok(Stored::VersionMismatch) => Status::Exists,
        Ok(Stored::NotFound) => Status::NotFound,
        // In text all of these are NOT_STORED; here each verb has a status of its own.
        Ok(Stored::NotStored) => match frame.verb {
            StoreVerb::Add => Status::Exists,
            StoreVerb::Append | StoreVerb::Prepend => Status::NotStored,
            _ => Status::NotFound,
        },
        Ok(_) => Status::NotStored,
        Err(StoreError::OutOfMemory | StoreError::Crowded) => {
            return no_room(frame.to, "allocating item", out);
        }
        Err(error) => status(*error),
    };
    refuse(frame.to, status, out);
}

/// Answers that there is no memory for `purpose`.
#[cold]
fn no_room(to: ReplyTo, purpose: &str, out: &mut Output) {
    let text = format!("Out of memory {purpose}");
    write::message(out.bytes(), to, Status::OutOfMemory, text.as_bytes());
}

/// Answers with an error.
pub(super) fn refuse(to: ReplyTo, status: Status, out: &mut Output) {
    write::error(out.bytes(), to, status);
}

fn status(error: StoreError) -> Status {
    match error {
        StoreError::TooLarge => Status::TooLarge,
        StoreError::BadKey => Status::InvalidArguments,
        _ => Status::OutOfMemory,
    }
}

fn expected(request: &Request<'_>) -> Option<u64> {
    // On the wire 0 stands for no version.
    (request.cas != 0).then_some(request.cas)
}
