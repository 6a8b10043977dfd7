//! The jobs of one round, over all connections that take part, with their keys in one row for the
//! cache to prefetch.

use memcore::{Cache, Key};

use crate::session::framing::Framing;
use crate::session::job::{Job, KeyIndex, Work};

/// Jobs that borrow from read buffers which live for `'a`.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    cache: &'a Cache,
    /// What is to be done, in order per connection.
    pub(crate) jobs: Vec<Job<'a>>,
    /// The keys of the jobs, hashed.
    pub(crate) keys: Vec<Key<'a>>,
}

/// The memory of a batch between rounds.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    jobs: Vec<Job<'static>>,
    keys: Vec<Key<'static>>,
}

impl<'a> Batch<'a> {
    /// An empty batch in the memory of an earlier one.
    pub(crate) fn new(cache: &'a Cache, spare: Spare) -> Self {
        let Spare { jobs, keys } = spare;
        Self { cache, jobs: recycle(jobs), keys: recycle(keys) }
    }

    /// The memory, for the next batch.
    pub(crate) fn into_spare(self) -> Spare {
        let Self { jobs, keys, .. } = self;
        Spare { jobs: recycle(jobs), keys: recycle(keys) }
    }

    /// Empties the batch.
    pub(crate) fn clear(&mut self) {
        self.jobs.clear();
        self.keys.clear();
    }

    /// Adds a job that begins with a request of its own.
    #[inline(always)]
    pub(crate) fn add(&mut self, start: usize, work: Work<'a>) {
        self.jobs.push(Job { start, before: Framing::Command, work });
    }

    /// Adds a key.
    #[inline]
    pub(crate) fn key(&mut self, name: &'a [u8]) -> KeyIndex {
        let index = self.keys.len() as KeyIndex;
        self.keys.push(self.cache.key(name));
        index
    }

    /// Removes the keys from `first` on.
    pub(crate) fn forget_keys(&mut self, first: KeyIndex) {
        self.keys.truncate(first as usize);
    }

    /// Prefetches the index entries of all keys, then the items.
    #[inline]
    pub(crate) fn prefetch(&self) {
        // A single key gains nothing from being announced right before its use.
        if self.keys.len() > 1 {
            self.cache.prefetch_index(&self.keys);
            self.cache.prefetch_items(&self.keys);
        }
    }
}

/// An empty vector with the memory of `old`, for elements that differ in a lifetime only: the
/// standard library collects in place when source and target elements have the same layout.
fn recycle<T, U>(mut old: Vec<T>) -> Vec<U> {
    old.clear();
    old.into_iter().map(|_| unreachable!("the vector was cleared")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_kept_from_batch_to_batch() {
        let old: Vec<&'static [u8]> = Vec::with_capacity(100);
        let address = old.as_ptr();
        let mut new: Vec<&[u8]> = recycle(old);
        assert_eq!(new.capacity(), 100);
        new.push(b"x");
        assert_eq!(new.as_ptr(), address);
    }
}
