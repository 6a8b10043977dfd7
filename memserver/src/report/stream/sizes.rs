//! `stats sizes`: a histogram of item sizes. It is made by a walk when a client asks for it, so
//! that storing an item pays nothing.

use std::collections::BTreeMap;

use memcore::{Cache, Cursor};

use super::STEP;
use crate::auth::account::Scope;

/// Bytes from one line to the next.
const WIDTH: usize = 32;

/// A histogram under way.
#[derive(Debug)]
pub(crate) struct Sizes {
    cursor: Cursor,
    scope: Scope,
    /// Items by the largest size of their line.
    counts: BTreeMap<usize, u64>,
}

impl Sizes {
    /// Of the items with keys that `scope` has.
    pub(crate) fn new(scope: Scope) -> Self {
        Self { cursor: Cursor::default(), scope, counts: BTreeMap::new() }
    }

    /// Counts more items; false if they were the last.
    pub(super) fn step(&mut self, cache: &Cache) -> bool {
        let Self { cursor, scope, counts } = self;
        cache.scan(cursor, STEP, |key, meta| {
            if scope.has(key) {
                *counts.entry(meta.size.next_multiple_of(WIDTH)).or_default() += 1;
            }
        })
    }

    /// Calls `stat` for every line.
    pub(super) fn each(&self, mut stat: impl FnMut(&[u8], &[u8])) {
        for (size, count) in &self.counts {
            stat(size.to_string().as_bytes(), count.to_string().as_bytes());
        }
    }
}
