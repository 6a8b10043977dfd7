//! `watch`: clients that are sent a log of what other clients do. Each worker writes lines into a
//! page of its own; one thread collects the pages and sends the lines to the watchers. Both are
//! bounded: a line that does not fit is dropped and counted.
//!
//! ```text
//!   worker-0 -> page \
//!   worker-1 -> page  >-- logger: merges by number --> watcher's buffer -> socket
//!   others   -> page /                             --> watcher's buffer -> socket
//! ```
//!
//! While no client watches, this costs one load of [`Hub::attention`] per turn of a worker.

mod evictions;
mod line;
mod logger;
pub(crate) mod trace;
mod watcher;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use memcore::Removal;
use parking_lot::Mutex;

use crate::auth::account::Scope;
use crate::config::Config;
use crate::net::conn_info::ConnInfo;
use crate::net::socket::Peer;
use crate::net::transport::Transport;

use logger::{Logger, LoggerWaker};

pub use evictions::Evictions;
pub(crate) use evictions::{IDLE_BOUNDS, Idle};
pub(crate) use line::{Deletion, End, Lookup, Storage};

/// Watchers at once.
const WATCHERS_MAX: usize = 20;

/// Bits of [`Hub::attention`]: the categories of lines that are watched.
pub(crate) mod attention {
    /// Lookups.
    pub(crate) const FETCHERS: u32 = 1 << 0;
    /// Storage requests.
    pub(crate) const MUTATIONS: u32 = 1 << 1;
    /// Items removed to make room.
    pub(crate) const EVICTIONS: u32 = 1 << 2;
    /// Items removed by request.
    pub(crate) const DELETIONS: u32 = 1 << 3;
    /// Connections that come and go.
    pub(crate) const CONNEVENTS: u32 = 1 << 4;
    /// What the server does by itself.
    pub(crate) const SYSEVENTS: u32 = 1 << 5;
    /// Requests as they came.
    pub(crate) const RAWCMDS: u32 = 1 << 6;
    /// What can be told to a client that may see some keys only.
    pub(crate) const SCOPED: u32 = FETCHERS | MUTATIONS | EVICTIONS | DELETIONS | SYSEVENTS;
    /// Requests are counted by prefix, which needs the same hooks though no client watches.
    pub(crate) const DETAIL: u32 = 1 << 31;
}

/// Where lines are written and watchers registered.
#[derive(Debug)]
pub(crate) struct Hub {
    /// The active categories; see [`attention`]. Zero nearly always.
    pub(crate) attention: AtomicU32,
    /// What is counted about it.
    pub(crate) counts: Counts,
    /// Permits that are taken.
    watchers: AtomicUsize,
    /// Who watches, and since when.
    watching: Mutex<Vec<(ConnInfo, u32)>>,
    /// One per worker, and one for all other threads.
    pages: Box<[Mutex<Page>]>,
    page_max: usize,
    buffer_max: usize,
    /// The next line's number.
    next: AtomicU64,
    arrivals: Mutex<Vec<Arrival>>,
    evictions: Evictions,
    logger: Mutex<Option<JoinHandle<()>>>,
    waker: OnceLock<LoggerWaker>,
    stop: AtomicBool,
}

/// Counters under memcached's names.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) worker_dropped: AtomicU64,
    pub(crate) worker_written: AtomicU64,
    pub(crate) watcher_skipped: AtomicU64,
    pub(crate) watcher_sent: AtomicU64,
}

/// Lines that were not collected yet.
#[derive(Debug, Default)]
struct Page {
    text: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    kind: u32,
    number: u64,
    /// Where it ends in the text; it begins where the one before ends.
    end: usize,
}

/// A connection that has become a watcher.
struct Arrival {
    transport: Transport,
    permit: WatchPermit,
    /// To be called when the connection is closed.
    closed: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// The right to watch, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct WatchPermit {
    hub: Arc<Hub>,
    /// What the watcher is interested in.
    kinds: u32,
    /// What the keys begin with, as they are written in lines, of which the watcher is told.
    prefix: Vec<u8>,
}

impl Drop for WatchPermit {
    fn drop(&mut self) {
        // Pairs with the Acquire in `admit` and `watchers`: who sees the place free sees its
        // watcher gone.
        self.hub.watchers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Hub {
    /// A hub without watchers.
    pub(crate) fn new(config: &Config, evictions: Evictions) -> Arc<Self> {
        if config.admin.is_some() {
            evictions.measure();
        }
        let attention = if config.detail_enabled { attention::DETAIL } else { 0 };
        Arc::new(Self {
            attention: AtomicU32::new(attention),
            counts: Counts::default(),
            watchers: AtomicUsize::new(0),
            watching: Mutex::default(),
            pages: (0..=config.threads.max(1)).map(|_| Mutex::default()).collect(),
            page_max: config.worker_logbuf_size,
            buffer_max: config.watcher_logbuf_size,
            next: AtomicU64::new(1),
            arrivals: Mutex::default(),
            evictions,
            logger: Mutex::default(),
            waker: OnceLock::new(),
            stop: AtomicBool::new(false),
        })
    }

    /// Hears of evictions from now on, until it is stopped.
    pub(crate) fn hear(self: &Arc<Self>) {
        self.evictions.connect(Arc::clone(self));
    }

    /// How long evicted items were idle, if that is measured.
    pub(crate) fn evicted_idle(&self) -> Idle {
        self.evictions.idle()
    }

    /// Whether the category `kind` is active.
    #[inline]
    pub(crate) fn attends(&self, kind: u32) -> bool {
        self.attention.load(Ordering::Relaxed) & kind != 0
    }

    /// Watchers now.
    pub(crate) fn watchers(&self) -> usize {
        // Pairs with the release in `WatchPermit::drop`.
        self.watchers.load(Ordering::Acquire)
    }

    /// What `stats conns` shows of them.
    pub(crate) fn conn_infos(&self, now: u32) -> Vec<ConnInfo> {
        let watching = self.watching.lock();
        let idle = |since: u32| now.saturating_sub(since);
        watching
            .iter()
            .map(|(info, since)| ConnInfo { idle: idle(*since), ..info.clone() })
            .collect()
    }

    /// A permit for a watcher of `kinds` who may see the keys of `scope`, unless there are too
    /// many.
    pub(crate) fn admit(self: &Arc<Self>, kinds: u32, scope: &Scope) -> Option<WatchPermit> {
        let one_more = |taken: usize| (taken < WATCHERS_MAX).then_some(taken + 1);
        // Pairs with the release in `WatchPermit::drop`.
        self.watchers.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        let prefix = line::escaped(scope.prefix());
        Some(WatchPermit { hub: Arc::clone(self), kinds, prefix })
    }

    /// Takes a watcher over from its worker at second `now`. Calls `closed` when the connection is.
    pub(crate) fn adopt(
        self: &Arc<Self>,
        transport: Transport,
        permit: WatchPermit,
        now: u32,
        closed: Box<dyn FnOnce() + Send>,
    ) {
        // Without the thread there is no watching; the client sees its connection closed.
        if self.prepare().is_err() {
            return closed();
        }
        let (peer, local) = transport.ends();
        let info = ConnInfo {
            number: transport.number(),
            peer,
            local: Some(local),
            state: "conn_watch",
            idle: 0,
        };
        self.watching.lock().push((info, now));
        // `Logger::leave` works out the categories under the same lock: it sees both changes or
        // none.
        let mut arrivals = self.arrivals.lock();
        self.attention.fetch_or(permit.kinds, Ordering::Relaxed);
        arrivals.push(Arrival { transport, permit, closed });
        drop(arrivals);
        self.evictions.review();
        self.wake();
    }

    /// Starts the thread, unless it runs. Few servers are ever watched: else it starts with the
    /// first watcher.
    ///
    /// # Errors
    /// The system refused a thread.
    pub(crate) fn prepare(self: &Arc<Self>) -> io::Result<()> {
        let mut logger = self.logger.lock();
        if logger.is_none() {
            *logger = Some(self.start()?);
        }
        Ok(())
    }

    fn start(self: &Arc<Self>) -> io::Result<JoinHandle<()>> {
        let (logger, waker) = Logger::new(Arc::clone(self))?;
        let thread = thread::Builder::new().name("logger".into()).spawn(move || logger.run())?;
        // There is one logger per hub that runs.
        let _ = self.waker.set(waker);
        Ok(thread)
    }

    /// Ends the thread and with it all watchers.
    pub(crate) fn stop(&self) {
        // First, as the cache may outlive the server and go on evicting.
        self.evictions.disconnect(self);
        // Pairs with the Acquire in `Logger::run`.
        self.stop.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.logger.lock().take() {
            // A panic of the thread has been reported by itself.
            let _ = thread.join();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
    }

    /// Writes a line of `kind` into page number `page`: a worker's own, or the last.
    fn write(&self, page: usize, kind: u32, text: impl FnOnce(&mut Vec<u8>)) {
        let mut page = self.pages[page.min(self.pages.len() - 1)].lock();
        // Asked before the line is made: a line that is dropped costs nothing, and one that fits
        // may exceed the limit by its own length.
        if page.text.len() >= self.page_max {
            drop(page);
            self.counts.worker_dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let is_first = page.lines.is_empty();
        // Taken while the page is locked, so that numbers rise within a page.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        line::begin(&mut page.text, number);
        text(&mut page.text);
        page.text.push(b'\n');
        let end = page.text.len();
        page.lines.push(Line { kind, number, end });
        drop(page);
        self.counts.worker_written.fetch_add(1, Ordering::Relaxed);
        // The logger has been woken for the lines that were there already.
        if is_first {
            self.wake();
        }
    }

    /// Worker number `worker` has looked something up.
    pub(crate) fn lookup(&self, worker: usize, lookup: &Lookup<'_>) {
        self.write(worker, attention::FETCHERS, |out| lookup.write(out));
    }

    /// It has stored something, or tried to.
    pub(crate) fn storage(&self, worker: usize, storage: &Storage<'_>) {
        self.write(worker, attention::MUTATIONS, |out| storage.write(out));
    }

    /// It has deleted something.
    pub(crate) fn deletion(&self, worker: usize, deletion: &Deletion<'_>) {
        self.write(worker, attention::DELETIONS, |out| deletion.write(out));
    }

    /// It has read a request from connection number `client`.
    pub(crate) fn raw(&self, worker: usize, client: i32, request: &[u8]) {
        self.write(worker, attention::RAWCMDS, |out| line::raw(out, client, request));
    }

    /// It was given a connection.
    pub(crate) fn opened(&self, worker: usize, client: i32, peer: &Peer) {
        if self.attends(attention::CONNEVENTS) {
            self.write(worker, attention::CONNEVENTS, |out| line::opened(out, client, peer));
        }
    }

    /// It has closed a connection.
    pub(crate) fn closed(&self, worker: usize, client: i32, peer: &Peer, end: End) {
        if self.attends(attention::CONNEVENTS) {
            self.write(worker, attention::CONNEVENTS, |out| line::closed(out, client, peer, end));
        }
    }

    /// The cache has evicted an item. Called by whichever thread did so, while parts of the cache
    /// are locked.
    fn evicted(&self, removal: &Removal<'_>) {
        if self.attends(attention::EVICTIONS) {
            let page = self.pages.len();
            self.write(page, attention::EVICTIONS, |out| line::eviction(out, removal));
        }
    }

    /// Expired items were looked for.
    pub(crate) fn swept(&self, examined: u64, reclaimed: u64) {
        let page = self.pages.len();
        self.write(page, attention::SYSEVENTS, |out| line::swept(out, examined, reclaimed));
    }

    /// The memory limit is another one now.
    pub(crate) fn resized(&self, bytes: usize) {
        if self.attends(attention::SYSEVENTS) {
            let page = self.pages.len();
            self.write(page, attention::SYSEVENTS, |out| line::resized(out, bytes));
        }
    }
}

/// Reads what a watcher is interested in; none for an unknown word.
pub(crate) fn kinds<'w>(words: impl Iterator<Item = &'w [u8]>) -> Option<u32> {
    let mut any = false;
    let kinds = words.into_iter().try_fold(0, |kinds, word| {
        any = true;
        Some(kinds | kind(word)?)
    })?;
    Some(if any { kinds } else { attention::FETCHERS })
}

fn kind(word: &[u8]) -> Option<u32> {
    Some(match word {
        b"fetchers" => attention::FETCHERS,
        b"mutations" => attention::MUTATIONS,
        b"evictions" => attention::EVICTIONS,
        b"deletions" => attention::DELETIONS,
        b"connevents" => attention::CONNEVENTS,
        b"sysevents" => attention::SYSEVENTS,
        b"rawcmds" => attention::RAWCMDS,
        // There is no proxy whose events could be watched.
        b"proxyreqs" | b"proxyevents" | b"proxyuser" => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_drops_lines_and_counts_them() {
        let config = Config { threads: 1, worker_logbuf_size: 200, ..Config::default() };
        let hub = Hub::new(&config, Evictions::new());
        for _ in 0..10 {
            hub.raw(0, 5, b"get a");
        }
        let text = String::from_utf8(hub.pages[0].lock().text.clone()).unwrap();
        let (written, dropped) = (&hub.counts.worker_written, &hub.counts.worker_dropped);
        let written = written.load(Ordering::Relaxed);
        assert_eq!(text.lines().count() as u64, written);
        assert_eq!(written + dropped.load(Ordering::Relaxed), 10);
        assert!((200..300).contains(&text.len()), "{} bytes", text.len());
        // The other pages are others' business.
        hub.swept(1, 1);
        assert_eq!(hub.counts.worker_written.load(Ordering::Relaxed), written + 1);
    }

    #[test]
    fn permits_are_limited_and_given_back() {
        let (hub, all) = (Hub::new(&Config::default(), Evictions::new()), Scope::default());
        let mut permits: Vec<_> = (0..WATCHERS_MAX).map(|_| hub.admit(1, &all).unwrap()).collect();
        assert!(hub.admit(1, &all).is_none());
        permits.pop();
        assert!(hub.admit(1, &all).is_some());
        drop(permits);
        assert_eq!(hub.watchers(), 0);
    }

    #[test]
    fn words_are_kinds() {
        let kinds = |text: &'static str| kinds(text.split_ascii_whitespace().map(str::as_bytes));
        assert_eq!(kinds(""), Some(attention::FETCHERS));
        let two = attention::MUTATIONS | attention::EVICTIONS;
        assert_eq!(kinds("mutations evictions"), Some(two));
        assert_eq!(kinds("proxyreqs"), Some(0));
        assert_eq!(kinds("fetchers nosuch"), None);
    }
}
