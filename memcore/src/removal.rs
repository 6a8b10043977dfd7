//! Why items go, and who wants to know.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Meta, Miss, Moment};

/// Why an item was removed.
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
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Removal<'a> {
    /// Why it was removed.
    pub cause: Cause,
    /// Its key.
    pub key: &'a [u8],
    /// What was known about it.
    pub meta: Meta,
    /// When it went.
    pub at: Moment,
}

/// What is told of each removal.
#[derive(Clone)]
pub(crate) struct Listener(Arc<Guarded<Callback>>);

type Callback = dyn Fn(&Removal<'_>) + Send + Sync;

struct Guarded<F: ?Sized> {
    panics: AtomicU64,
    listener: F,
}

impl Listener {
    pub(crate) fn new(listener: impl Fn(&Removal<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Guarded { panics: AtomicU64::new(0), listener }))
    }

    pub(crate) fn call(&self, removal: &Removal<'_>) {
        // It is called in the midst of a change: a panic must not keep that from being completed.
        let call = AssertUnwindSafe(|| (self.0.listener)(removal));
        if let Err(payload) = catch_unwind(call) {
            self.0.panics.fetch_add(1, Ordering::Relaxed);
            // The hook has told of it, and to drop what it left could panic again.
            std::mem::forget(payload);
        }
    }

    /// How often it has panicked.
    pub(crate) fn panics(&self) -> u64 {
        self.0.panics.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}
