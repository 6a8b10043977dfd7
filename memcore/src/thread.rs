//! Numbers of threads, by which they keep out of each other's way. A cache has none of its own.

/// The number of this thread, in the order in which threads first asked.
#[cfg(loom)]
pub(crate) fn number() -> usize {
    0
}

/// The number of this thread, in the order in which threads first asked.
#[cfg(not(loom))]
#[inline]
pub(crate) fn number() -> usize {
    use std::cell::Cell;

    use crate::sync::{AtomicUsize, Ordering};

    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            number.set(THREADS.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}
