//! What one worker counts about its requests and bytes.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer and any number of readers: an increment is two plain moves.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`. Only the worker that owns the counter may call this.
    #[inline(always)]
    pub(crate) fn add(&self, count: u64) {
        self.set(self.load().wrapping_add(count));
    }

    /// Adds 1 under the same condition; what is counted then.
    #[inline(always)]
    pub(crate) fn next(&self) -> u64 {
        self.add(1);
        self.load()
    }

    /// Makes it `count` under the same condition.
    #[inline(always)]
    pub(crate) fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// What was counted.
    pub(crate) fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Size classes of the cache.
pub(crate) const CLASSES: usize = 11;

/// A counter for the items of each size class.
#[derive(Debug, Default)]
pub(crate) struct ByClass([Counter; CLASSES]);

impl ByClass {
    /// Adds an item of `class`, counted from 1, under the same condition as [`Counter::add`].
    #[inline(always)]
    pub(crate) fn add(&self, class: u8) {
        // Class 0 stands for none: it wraps and finds no counter.
        if let Some(counter) = self.0.get(usize::from(class).wrapping_sub(1)) {
            counter.add(1);
        }
    }
}

/// Items of each size class at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PerClass([u64; CLASSES]);

impl PerClass {
    /// Those of `class`, counted from 1.
    pub(crate) fn of(&self, class: usize) -> u64 {
        self.0.get(class.wrapping_sub(1)).copied().unwrap_or(0)
    }

    /// Those of all classes.
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    fn each(&mut self, change: impl Fn(u64, usize) -> u64) {
        self.0.iter_mut().enumerate().for_each(|(class, count)| *count = change(*count, class));
    }
}

macro_rules! counters {
    (
        requests { $($(#[$doc:meta])* $name:ident,)* }
        items by class { $($(#[$class_doc:meta])* $by_class:ident,)* }
    ) => {
        /// The counters of one worker, on cache lines of their own.
        #[derive(Debug, Default)]
        // Two lines of 64 bytes, since processors fetch them in pairs.
        #[repr(align(128))]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $name: Counter,)*
            $($(#[$class_doc])* pub(crate) $by_class: ByClass,)*
            /// Lookups after which the next key is sampled.
            pub(crate) sample_after: Counter,
        }

        /// Counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Counts {
            $($(#[$doc])* pub(crate) $name: u64,)*
            $($(#[$class_doc])* pub(crate) $by_class: PerClass,)*
        }

        impl Counts {
            /// Adds what `worker` has counted so far.
            pub(crate) fn add(&mut self, worker: &Counters) {
                $(self.$name = self.$name.wrapping_add(worker.$name.load());)*
                $(
                    let counters = &worker.$by_class.0;
                    self.$by_class.each(|count, class| count.wrapping_add(counters[class].load()));
                )*
            }

            /// What was counted since `earlier`.
            pub(crate) fn since(&self, earlier: &Self) -> Self {
                let mut counts = *self;
                $(counts.$name = counts.$name.wrapping_sub(earlier.$name);)*
                $(
                    let before = &earlier.$by_class.0;
                    counts.$by_class.each(|count, class| count.wrapping_sub(before[class]));
                )*
                counts
            }
        }
    };
}

counters! {
    requests {
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
        /// Decrements of a missing key.
        decr_misses,
        /// Compare-and-swaps of a missing key.
        cas_misses,
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
        /// Logins.
        auth_cmds,
        /// Logins that failed.
        auth_errors,
        /// Times that a pipeline had to let others go first.
        conn_yields,
    }
    items by class {
        /// Compare-and-swaps that stored.
        cas_hits,
        /// Compare-and-swaps that met another version.
        cas_badval,
        /// Increments.
        incr_hits,
        /// Decrements.
        decr_hits,
        /// Touches of a present key.
        touch_hits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_the_cache_has_a_counter() {
        let cache = memcore::Cache::builder(16 << 20).build().unwrap();
        assert_eq!(cache.stats().classes.len(), CLASSES);
    }
}
