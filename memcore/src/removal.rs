//! Why items are removed, and the callbacks that are told of it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::memory::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering};
use crate::{Cache, Meta, Miss, Moment};

/// Why an item was removed.
///
/// # Examples
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::sync::Arc;
///
/// use memcore::{Attrs, Cache, Cause};
///
/// let replaced = Arc::new(AtomicU64::new(0));
/// let counter = Arc::clone(&replaced);
/// let cache = Cache::builder(8 << 20)
///     .on_removal(move |_, removal| {
///         if removal.cause == Cause::Replaced {
///             counter.fetch_add(1, Ordering::Relaxed);
///         }
///     })
///     .build()?;
/// cache.set("k", b"old", Attrs::new())?;
/// cache.set("k", b"new", Attrs::new())?;
/// assert_eq!(replaced.load(Ordering::Relaxed), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Its time had come.
    Expired,
    /// To make room.
    Evicted,
    /// A caller asked for it.
    Deleted,
    /// A newer value took its place.
    Replaced,
    /// It was older than the last flush.
    Flushed,
    /// One of its tags was invalidated.
    Invalidated,
}

impl Cause {
    /// The cause for which an item goes that must not be seen any more.
    pub(crate) fn of_hidden(miss: Miss) -> Self {
        match miss {
            Miss::Expired => Self::Expired,
            Miss::Invalidated => Self::Invalidated,
            Miss::Flushed | Miss::Absent => Self::Flushed,
        }
    }
}

/// The end of an item.
///
/// # Examples
/// ```
/// use std::sync::mpsc::channel;
///
/// use memcore::{Attrs, Cache};
///
/// let (sender, removals) = channel();
/// let cache = Cache::builder(8 << 20)
///     .removed_values(true)
///     .on_removal(move |_, removal| {
///         let _ = sender.send((removal.key.to_vec(), removal.value.map(<[u8]>::to_vec)));
///     })
///     .build()?;
/// cache.set("k", b"value", Attrs::new())?;
/// cache.delete("k");
/// assert_eq!(removals.recv()?, (b"k".to_vec(), Some(b"value".to_vec())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Removal<'a> {
    /// Why it was removed.
    pub cause: Cause,
    /// Its key.
    pub key: &'a [u8],
    /// Its value, if that was asked for with [`Builder::removed_values`].
    ///
    /// [`Builder::removed_values`]: crate::Builder::removed_values
    pub value: Option<&'a [u8]>,
    /// What was known about it.
    pub meta: Meta,
    /// When it went.
    pub at: Moment,
}

/// What is called for each removal, with parts of the cache locked.
pub(crate) type Watcher = Arc<dyn Fn(&Removal<'_>) + Send + Sync>;
/// What is called for each removal later.
pub(crate) type Listener = Arc<dyn Fn(&Cache, &Removal<'_>) + Send + Sync>;

/// Callbacks for removals, as set in a builder.
#[derive(Clone, Default)]
pub(crate) struct ListenerConfig {
    pub(crate) watcher: Option<Watcher>,
    /// The watcher is told while this is set; without it always.
    pub(crate) watching: Option<Arc<AtomicBool>>,
    pub(crate) listener: Option<Listener>,
    pub(crate) values: bool,
}

/// Queues of removals that the listener has not been told of. Those of one key are in one queue.
const QUEUES: usize = 16;
/// Removals that wait in a queue before those who remove more have to wait as well.
const QUEUE_MAX: usize = 1024;

/// Calls the callbacks for each removal.
pub(crate) struct Listeners {
    config: ListenerConfig,
    queues: [Queue; QUEUES],
    /// Removals in all queues.
    waiting: AtomicUsize,
    panics: AtomicU64,
}

#[derive(Default)]
struct Queue {
    removals: Mutex<VecDeque<Owned>>,
    /// Locked by the thread that tells the listener: there is one at a time, so that it hears of
    /// one removal after the other.
    turn: Mutex<()>,
}

/// A removal that the listener will be told of.
struct Owned {
    cause: Cause,
    key: Box<[u8]>,
    value: Option<Vec<u8>>,
    meta: Meta,
    at: Moment,
}

impl Owned {
    fn borrowed(&self) -> Removal<'_> {
        let Self { cause, key, value, meta, at } = self;
        Removal { cause: *cause, key, value: value.as_deref(), meta: *meta, at: *at }
    }
}

thread_local! {
    /// The addresses of those whose listener this thread is in: it may use any cache.
    static TELLING: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

impl Listeners {
    /// `None` without callbacks.
    pub(crate) fn new(config: ListenerConfig) -> Option<Box<Self>> {
        if config.watcher.is_none() && config.listener.is_none() {
            return None;
        }
        let (waiting, panics) = (AtomicUsize::new(0), AtomicU64::new(0));
        Some(Box::new(Self { config, queues: Default::default(), waiting, panics }))
    }

    /// Whether a callback is to be called at present.
    #[inline]
    pub(crate) fn are_attentive(&self) -> bool {
        self.config.listener.is_some() || self.is_watched()
    }

    /// Whether the watcher is to be told, if there is one.
    #[inline]
    fn is_watched(&self) -> bool {
        // Relaxed: which removals fall into the time of watching is up to chance.
        self.config.watching.as_ref().is_none_or(|watching| watching.load(Ordering::Relaxed))
    }

    /// Whether removals are to be noted with their values.
    pub(crate) fn wants_values(&self) -> bool {
        self.config.values && self.config.listener.is_some()
    }

    /// Notes a removal. The shard of the key is locked, whose number is `shard`.
    pub(crate) fn note(&self, shard: usize, removal: &Removal<'_>, value: Option<Vec<u8>>) {
        if let Some(watcher) = self.config.watcher.as_ref().filter(|_| self.is_watched()) {
            self.guard(|| watcher(removal));
        }
        if self.config.listener.is_some() {
            let &Removal { cause, key, meta, at, .. } = removal;
            let owned = Owned { cause, key: key.into(), value, meta, at };
            // Before it can be taken out, so that the sum is never negative.
            self.waiting.fetch_add(1, Ordering::Relaxed);
            self.queues[shard % QUEUES].removals.lock().push_back(owned);
        }
    }

    /// Whether there are removals that the listener has not been told of.
    pub(crate) fn are_behind(&self) -> bool {
        // Relaxed: what this thread has noted it sees, and others look after theirs.
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Tells the listener of removals that wait. Nothing is locked.
    pub(crate) fn deliver(&self, cache: &Cache) {
        let Some(listener) = &self.config.listener else { return };
        let address = std::ptr::from_ref(self) as usize;
        // What a listener removes is told when it has returned.
        if TELLING.try_with(|telling| telling.borrow().contains(&address)).unwrap_or_default() {
            return;
        }
        // Again after something was told, by which more may have been removed.
        let tell =
            || self.queues.iter().fold(0, |told, queue| told + self.empty(queue, listener, cache));
        while self.are_behind() && tell() > 0 {}
    }

    /// Tells the listener what a queue holds: how many removals.
    fn empty(&self, queue: &Queue, listener: &Listener, cache: &Cache) -> usize {
        let mut told = 0;
        // Looked at again after each turn: a thread that came meanwhile has left its removals to
        // the one whose turn it was.
        loop {
            let waiting = queue.removals.lock().len();
            if waiting == 0 {
                return told;
            }
            let turn = match queue.turn.try_lock() {
                Some(turn) => turn,
                None if waiting < QUEUE_MAX => return told,
                // A listener that waited for another one might wait for ever.
                None if may_be_telling() => return told,
                None => queue.turn.lock(),
            };
            let address = std::ptr::from_ref(self) as usize;
            let _ = TELLING.try_with(|telling| telling.borrow_mut().push(address));
            // The lock of the queue must not be held while the listener runs.
            while let Some(removal) = pop(queue) {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                self.guard(|| listener(cache, &removal.borrowed()));
                told += 1;
            }
            let _ = TELLING.try_with(|telling| telling.borrow_mut().pop());
            drop(turn);
        }
    }

    /// Calls somebody else's code, whose panic must not keep from being completed what has begun.
    fn guard(&self, call: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
            self.panics.fetch_add(1, Ordering::Relaxed);
            // The hook has told of it, and to drop what it left could panic again.
            std::mem::forget(payload);
        }
    }

    /// How often a listener has panicked.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

/// Whether this thread may be in a listener. One that is about to end can't say.
fn may_be_telling() -> bool {
    TELLING.try_with(|telling| !telling.borrow().is_empty()).unwrap_or(true)
}

fn pop(queue: &Queue) -> Option<Owned> {
    queue.removals.lock().pop_front()
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listeners")
    }
}
