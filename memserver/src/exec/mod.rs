//! The only place where wire and engine meet: a job becomes a cache operation, its outcome a
//! reply. It must never know a socket or where the bytes came from.

mod arith;
mod binary;
mod control;
mod expiries;
mod get;
mod meta;
mod observe;
mod refusals;
mod store;
mod touch;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use memcore::{Expiry, Key, Moment};
use memproto::Request;
use memproto::text::write;

use crate::session::Session;
use crate::session::batch::{Batch, Job, KeyIndex, Work};
use crate::session::output::Output;
use crate::state::counters::Counters;
use crate::state::shared::Shared;

/// Values up to this size are copied into the reply; it costs less than to pin them.
const INLINE_MAX: usize = 8 << 10;
/// A longer time to live is a moment in Unix time.
const RELATIVE_MAX: i64 = 60 * 60 * 24 * 30;

/// Whether a job was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It was.
    Done,
    /// The output is full; the retrieval is to go on at this key.
    Full(KeyIndex),
    /// It was, and the connection must end behind its reply.
    Close,
}

/// Executes jobs on behalf of one worker.
#[derive(Debug)]
pub(crate) struct Exec<'w> {
    shared: &'w Arc<Shared>,
    counters: &'w Counters,
    /// The worker's number.
    index: usize,
    /// Who looks on, as known at the beginning of the turn.
    attention: Cell<u32>,
    /// The connection that is served, by its descriptor's number; kept up to date only while
    /// somebody looks on.
    client: Cell<i32>,
}

impl<'w> Exec<'w> {
    /// Executes jobs for worker number `index`.
    pub(crate) fn new(shared: &'w Arc<Shared>, index: usize) -> Self {
        Self::with_counters(shared, &shared.gauges.workers[index], index)
    }

    /// Executes jobs that came in datagrams.
    pub(crate) fn for_datagrams(shared: &'w Arc<Shared>) -> Self {
        Self::with_counters(shared, &shared.gauges.udp, shared.gauges.workers.len())
    }

    fn with_counters(shared: &'w Arc<Shared>, counters: &'w Counters, index: usize) -> Self {
        let attention = Cell::new(shared.watch.attention.load(Ordering::Relaxed));
        Self { shared, counters, index, attention, client: Cell::new(0) }
    }

    /// Executes `job` and appends what it answers to `out`.
    #[inline]
    pub(crate) fn run(
        &self,
        job: &Job<'_>,
        batch: &Batch<'_>,
        session: &mut Session,
        out: &mut Output,
    ) -> Flow {
        let hashed = |key: &Option<KeyIndex>| key.map(|index| batch.keys[index as usize]);
        match &job.work {
            Work::Get(run) => return self.retrieve(run, batch, out),
            Work::Put(head, key, value) => self.put(head, hashed(key), value, out),
            Work::Text(request, key) => return self.text(request, hashed(key), session, out),
            Work::Binary(request, key) => self.binary(request, hashed(key), session, out),
            Work::Begin(head, line, value) => self.begin(head, line, value, session),
            Work::Body(value, end) => self.upload(value, *end, session, out),
            Work::Spoiled(head) => self.spoiled_at_once(head, out),
            Work::Watch(words) => return self.watch(*words, session, out),
            Work::Stream => self.stream(session, out),
            Work::Reject(error) => out.put(error.reply()),
            Work::RejectFrame(to, status) => binary::refuse(*to, *status, out),
        }
        Flow::Done
    }

    /// A request without a data block.
    fn text(
        &self,
        request: &Request<'_>,
        key: Option<Key<'_>>,
        session: &mut Session,
        out: &mut Output,
    ) -> Flow {
        if let Request::Meta(meta) = request {
            self.meta(meta, key, out);
            return Flow::Done;
        }
        match (request, key) {
            (&Request::Arith { verb, delta, noreply, .. }, Some(key)) => {
                self.arith(key, verb, delta, reply(out, noreply));
            }
            (&Request::Touch { exptime, noreply, .. }, Some(key)) => {
                self.touch(key, exptime, reply(out, noreply));
            }
            (&Request::Delete { noreply, .. }, Some(key)) => self.delete(key, reply(out, noreply)),
            (Request::MetaNoop, _) => out.put(memproto::meta::write::MN),
            (&Request::FlushAll { delay, noreply }, _) => self.flush(delay, reply(out, noreply)),
            (Request::Version, _) => out.put(write::VERSION),
            (&Request::Verbosity { level, noreply }, _) => {
                self.set_verbosity(level, reply(out, noreply));
            }
            (&Request::Shutdown { mode }, _) => return self.shutdown(mode, out),
            (&Request::Stats { args }, _) => self.stats(args, session, out),
            (&Request::Admin { command, args, noreply }, _) => {
                self.admin(command, args, session, reply(out, noreply));
            }
            // Storage and retrieval became jobs of their own, quit ended the session, and every
            // request with a key came with it hashed.
            _ => out.put(memproto::ParseError::UnknownCommand.reply()),
        }
        Flow::Done
    }

    /// When an item with expiry `exptime`, as sent, ends.
    fn expiry(&self, exptime: i64) -> Expiry {
        let now = self.shared.core.cache.now();
        Expiry::At(match exptime {
            0 => return Expiry::Never,
            1..=RELATIVE_MAX => now + Duration::from_secs(exptime as u64),
            _ => u32::try_from(exptime).map_or(now, Moment::from_secs),
        })
    }

    /// The version to show.
    fn version(&self, version: u64) -> u64 {
        if self.shared.core.config.cas_enabled { version } else { 0 }
    }

    /// Books `bytes` that a long answer takes until its client has read it; false if there is no
    /// room for them.
    fn book(&self, bytes: usize, out: &mut Output) -> bool {
        let Some(permit) = self.shared.budgets.copies.take(bytes) else {
            self.shared.note_shortage();
            return false;
        };
        out.charge(permit);
        true
    }

    /// Takes note of who looks on now.
    fn attend(&self) {
        self.attention.set(self.shared.watch.attention.load(Ordering::Relaxed));
    }

    /// Whether somebody looks on at all.
    #[inline(always)]
    fn is_observed(&self) -> bool {
        self.attention.get() != 0
    }

    /// Says that what follows comes from connection number `number`.
    #[inline(always)]
    pub(crate) fn serve(&self, number: impl FnOnce() -> i32) {
        if self.is_observed() {
            self.client.set(number());
        }
    }

    /// Whether somebody looks on who is interested in `kind`.
    pub(crate) fn attends(&self, kind: u32) -> bool {
        self.attention.get() & kind != 0
    }

    /// How much is said on stderr.
    pub(crate) fn verbosity(&self) -> u8 {
        self.shared.core.verbosity.load(Ordering::Relaxed)
    }
}

/// Where the answer goes, if one is wanted.
fn reply(out: &mut Output, noreply: bool) -> Option<&mut Output> {
    (!noreply).then_some(out)
}

/// Answers with `line`, if an answer is wanted.
fn say(out: Option<&mut Output>, line: &[u8]) {
    if let Some(out) = out {
        out.put(line);
    }
}
