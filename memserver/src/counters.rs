//! What one worker counts about its requests and bytes. It must never know how it is printed.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer and any number of readers: an increment is two plain moves.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`. Only the worker that owns the counter may call this.
    #[inline(always)]
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of one worker, on cache lines of their own.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $name: Counter,)*
        }

        /// Counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Counts {
            $($(#[$doc])* pub(crate) $name: u64,)*
        }

        impl Counts {
            /// Adds what `worker` has counted so far.
            pub(crate) fn add(&mut self, worker: &Counters) {
                $(self.$name = self.$name.wrapping_add(worker.$name.load());)*
            }

            /// What was counted since `earlier`.
            pub(crate) fn since(&self, earlier: &Self) -> Self {
                Self { $($name: self.$name.wrapping_sub(earlier.$name),)* }
            }
        }
    };
}

counters! {
    /// Keys asked for.
    cmd_get,
    /// Storage requests.
    cmd_set,
    /// Flushes.
    cmd_flush,
    /// Touches, get-and-touch included.
    cmd_touch,
    /// Meta requests.
    cmd_meta,
    /// Keys found.
    get_hits,
    /// Keys not found.
    get_misses,
    /// Of the misses: expired.
    get_expired,
    /// Of the misses: flushed.
    get_flushed,
    /// Deletes of a missing key.
    delete_misses,
    /// Deletes.
    delete_hits,
    /// Increments of a missing key.
    incr_misses,
    /// Increments.
    incr_hits,
    /// Decrements of a missing key.
    decr_misses,
    /// Decrements.
    decr_hits,
    /// Compare-and-swaps of a missing key.
    cas_misses,
    /// Compare-and-swaps that stored.
    cas_hits,
    /// Compare-and-swaps that met another version.
    cas_badval,
    /// Touches of a present key.
    touch_hits,
    /// Touches of a missing key.
    touch_misses,
    /// Values over the item limit.
    store_too_large,
    /// Values that found no memory.
    store_no_memory,
    /// Replies refused for lack of memory to hold them.
    response_oom,
    /// Connections closed because they were silent.
    idle_kicks,
    /// Bytes received.
    bytes_read,
    /// Bytes sent.
    bytes_written,
    /// Times that a pipeline had to let others go first.
    conn_yields,
}
