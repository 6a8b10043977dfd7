//! The only place where wire and engine meet: a job becomes a cache operation, its outcome a
//! reply. It must never know a socket or where the bytes came from.

mod arith;
mod binary;
mod control;
mod error_lines;
mod expiries;
mod flash;
pub(crate) mod gate;
mod get;
mod groups;
mod join;
mod login;
mod meta;
mod observe;
mod store;
mod terms;
mod touch;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use memcore::{Expiry, Key, Moment};
use memproto::Request;
use memproto::text::write;

use crate::auth::account::Scope;
use crate::auth::guard::Guard;
use crate::auth::rights::Rights;
use crate::session::batch::Batch;
use crate::session::dialogue::{Execute, Flow};
use crate::session::job::{Job, KeyIndex, Work};
use crate::session::output::Output;
use crate::session::pending::Pending;
use crate::state::counters::Counters;
use crate::state::shared::Shared;

/// Values up to this size are copied into the reply; it costs less than to pin them.
const INLINE_MAX: usize = 8 << 10;
/// A longer time to live is a moment in Unix time.
const RELATIVE_MAX: i64 = memproto::limits::MAX_RELATIVE_EXPIRY as i64;
/// A request that no part of the server executes, although it was taken for valid.
const NOT_EXECUTED: &[u8] = b"SERVER_ERROR request not executed\r\n";

/// Executes jobs on behalf of one worker.
#[derive(Debug)]
pub(crate) struct Exec<'w> {
    shared: &'w Arc<Shared>,
    counters: &'w Counters,
    /// The worker's number.
    index: usize,
    /// What its clients may do.
    rights: Rights,
    /// What is remembered about the client, if the server has users.
    guard: Option<Box<Guard>>,
    observer: Observer,
    /// What ends the name of a group, if groups can be removed.
    delimiter: Option<u8>,
    /// Whether a client can wait for memory that others hold.
    can_wait: bool,
    /// Whether other clients wait for it already.
    others_wait: bool,
    /// Whether large values may be pinned for the client: those who wait go first.
    may_pin: bool,
}

/// Who is told about requests besides the client.
#[derive(Clone, Copy, Debug)]
struct Observer {
    /// What watchers ask for, see [`crate::watch::attention`]; zero nearly always.
    attention: u32,
    /// The descriptor's number of the connection that is served; kept up to date only while there
    /// are watchers.
    client: i32,
}

impl<'w> Exec<'w> {
    /// Executes jobs for worker number `index`.
    #[inline]
    pub(crate) fn new(shared: &'w Arc<Shared>, index: usize) -> Self {
        let counters = &shared.gauges.workers[index];
        let mut exec = Self::with_counters(shared, counters, index, shared.core.rights);
        exec.can_wait = true;
        exec.others_wait = shared.budgets.starved.load(Ordering::Relaxed) > 0;
        exec
    }

    /// The same for clients that can't wait for memory that others hold: they are refused.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn without_waiting(self) -> Self {
        Self { can_wait: false, others_wait: false, ..self }
    }

    /// Executes jobs that came in datagrams.
    #[cfg(feature = "udp")]
    pub(crate) fn for_datagrams(shared: &'w Arc<Shared>) -> Self {
        let rights = Rights::of_datagrams(&shared.core.config);
        Self::with_counters(shared, &shared.gauges.udp, shared.gauges.workers.len(), rights)
    }

    #[inline]
    fn with_counters(
        shared: &'w Arc<Shared>,
        counters: &'w Counters,
        index: usize,
        rights: Rights,
    ) -> Self {
        let observer = Observer { attention: attention(shared), client: 0 };
        Self {
            shared,
            counters,
            index,
            rights,
            guard: None,
            observer,
            delimiter: shared.core.config.group_delimiter(),
            can_wait: false,
            others_wait: false,
            may_pin: true,
        }
    }

    /// Says that what follows comes from connection number `number`, and whether it has waited for
    /// memory.
    #[inline(always)]
    pub(crate) fn serve(&mut self, has_waited: bool, number: impl FnOnce() -> i32) {
        self.may_pin = has_waited || !self.others_wait;
        if self.is_observed() {
            self.observer.client = number();
        }
    }

    /// Whether the server has users.
    pub(crate) fn has_users(&self) -> bool {
        self.shared.core.accounts.is_some()
    }

    /// Whether connections differ in what their clients may do.
    pub(crate) fn has_guards(&self) -> bool {
        self.shared.core.has_guards()
    }

    /// Says whose connection is served until [`Exec::release`] is called, if connections differ.
    pub(crate) fn admit(&mut self, guard: Option<Box<Guard>>) {
        let granted = guard.as_ref().map_or(Rights::NONE, |guard| guard.rights());
        self.rights = self.shared.core.rights & granted;
        self.guard = guard;
    }

    /// What [`Exec::admit`] was given, with what has changed since.
    pub(crate) fn release(&mut self) -> Option<Box<Guard>> {
        self.guard.take()
    }

    /// Whether the client may ask for `work`.
    #[cfg(feature = "udp")]
    pub(crate) fn may_ask_for(&self, work: &Work<'_>) -> bool {
        self.rights.allow(work)
    }

    /// A request without a data block.
    fn text(
        &mut self,
        request: &Request<'_>,
        key: Option<Key<'_>>,
        pending: &mut Pending,
        out: &mut Output,
    ) -> Flow {
        if let Request::Meta(meta) = request {
            return self.meta(meta, key, out);
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
            (&Request::Shutdown { mode, noreply }, _) => {
                return self.shutdown(mode, reply(out, noreply));
            }
            (&Request::Stats { args }, _) => self.stats(args, pending, out),
            (&Request::Admin { command, args, noreply }, _) => {
                self.admin(command, args, pending, reply(out, noreply));
            }
            // Storage and retrieval became jobs of their own, quit ended the session, and every
            // request with a key came with it hashed.
            _ => {
                debug_assert!(false, "no job of this kind: {request:?}");
                out.put(NOT_EXECUTED);
            }
        }
        Flow::Done
    }

    /// When an item with expiry `exptime`, as sent, ends.
    fn expiry(&self, exptime: i64) -> Expiry {
        let now = self.shared.core.cache.now();
        Expiry::At(match exptime {
            0 => return Expiry::Never,
            1..=RELATIVE_MAX => now + Duration::from_secs(exptime as u64),
            _ => match u32::try_from(exptime) {
                Ok(moment) => Moment::from_secs(moment),
                Err(_) if exptime > 0 => return Expiry::Never,
                Err(_) => now,
            },
        })
    }

    /// The version that an item must have to be `version`, as sent.
    #[inline]
    fn expected(&self, version: Option<u64>) -> Option<u64> {
        // Without versions none is ever the right one. No item has version 0.
        version.map(|version| if self.shared.core.config.cas_enabled { version } else { 0 })
    }

    /// The version to show.
    fn version(&self, version: u64) -> u64 {
        if self.shared.core.config.cas_enabled { version } else { 0 }
    }

    /// The keys that the client may see.
    fn scope(&self) -> Scope {
        self.guard.as_ref().map_or_else(Scope::default, |guard| guard.scope())
    }

    /// Charges `bytes` of a long answer to the budget for copies until its client has read it;
    /// false if that is exhausted.
    fn charge(&self, bytes: usize, out: &mut Output) -> bool {
        let Some(permit) = self.shared.budgets.copies.take(bytes) else {
            self.shared.note_shortage();
            return false;
        };
        out.charge(permit);
        true
    }

    /// Asks again what watchers ask for.
    fn refresh_attention(&mut self) {
        self.observer.attention = attention(self.shared);
    }

    /// Whether requests are watched, or counted by prefix, at all.
    #[inline(always)]
    fn is_observed(&self) -> bool {
        self.observer.attention != 0
    }

    /// Whether requests of `kind` are watched.
    pub(crate) fn attends(&self, kind: u32) -> bool {
        self.observer.attention & kind != 0
    }

    /// How much is said on stderr.
    pub(crate) fn verbosity(&self) -> u8 {
        self.shared.core.verbosity.load(Ordering::Relaxed)
    }
}

impl Execute for Exec<'_> {
    #[inline]
    fn execute(
        &mut self,
        job: &Job<'_>,
        batch: &Batch<'_>,
        pending: &mut Pending,
        out: &mut Output,
    ) -> Flow {
        let hashed = |key: &Option<KeyIndex>| key.map(|index| batch.keys[index as usize]);
        if !self.rights.allow(&job.work) && !self.allows_to_guarded(job, batch) {
            return self.refuse(job, pending, out);
        }
        if let Some(queue) = &self.shared.core.flash
            && let Some(flow) = self.bring_in(queue, job, batch, pending)
        {
            return flow;
        }
        match &job.work {
            Work::Get(run) => return self.retrieve(run, batch, out),
            Work::Put { request, key, value } => {
                let key = hashed(key);
                if let Some(flow) = self.join(request, key, value, pending) {
                    return flow;
                }
                self.put(request, key, value, out);
            }
            Work::Text(request, key) => return self.text(request, hashed(key), pending, out),
            Work::Binary(request, key) => {
                return self.binary(request, hashed(key), pending, out);
            }
            Work::Begin { request, header, value } => {
                return self.begin(request, header, value, pending);
            }
            Work::Body { value, end } => self.upload(value, *end, pending, out),
            Work::BadDataChunk(request) => self.refuse_unterminated(request, out),
            Work::Watch(words) => return self.watch(*words, pending, out),
            Work::Continue => self.stream(pending, out),
            Work::Login(login) => return self.login(login, pending, out),
            Work::RefuseLogin(error) => login::refuse(*error, out),
            Work::RefuseTls => self.refuse_tls(out),
            Work::Reject(error) => out.put(error.reply()),
            Work::RejectFrame { to, status } => binary::refuse(*to, *status, out),
        }
        Flow::Done
    }
}

/// What watchers ask for now.
fn attention(shared: &Shared) -> u32 {
    shared.watch.attention.load(Ordering::Relaxed)
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
