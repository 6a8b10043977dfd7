//! Walking over all items, and the index's own upkeep.

use crate::Meta;
use crate::engine::Engine;
use crate::index::Position;
use crate::space::segments::Loc;

/// Items' worth of work for one group of the index.
const GROUP_COST: usize = 32;

/// A place in a [`Cache::scan`](crate::Cache::scan). It stays valid whatever happens to the cache.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Cursor};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("a", b"1", Attrs::new())?;
/// cache.set("b", b"2", Attrs::new())?;
/// let mut keys = Vec::new();
/// let mut cursor = Cursor::default();
/// while cache.scan(&mut cursor, 100, |key, _| keys.push(key.to_vec())) {}
/// keys.sort();
/// assert_eq!(keys, [b"a", b"b"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    shard: u32,
    at: u32,
}

/// Items copied out of a locked group: keys one behind the other, and where each ends.
#[derive(Default)]
struct Copied {
    keys: Vec<u8>,
    items: Vec<(usize, Meta)>,
}

impl Engine {
    /// Visits the next items; false at the end.
    pub(crate) fn scan(
        &self,
        cursor: &mut Cursor,
        at_least: usize,
        visit: impl FnMut(&[u8], &Meta),
    ) -> bool {
        self.scan_where(cursor, at_least, |_| true, visit)
    }

    /// The same for the items that lie where they are wanted. A group without any counts as one.
    pub(crate) fn scan_where(
        &self,
        cursor: &mut Cursor,
        at_least: usize,
        is_wanted: impl Fn(Loc) -> bool,
        mut visit: impl FnMut(&[u8], &Meta),
    ) -> bool {
        let mut copied = Copied::default();
        let mut seen = 0;
        while seen < at_least.max(1) {
            if cursor.shard >= self.index.shards() {
                return false;
            }
            self.copy_group(cursor, &is_wanted, &mut copied);
            seen += copied.items.len().max(1);
            let mut start = 0;
            for (end, meta) in copied.items.drain(..) {
                visit(&copied.keys[start..end], &meta);
                start = end;
            }
            copied.keys.clear();
        }
        cursor.shard < self.index.shards()
    }

    /// Copies the rest of the group that the cursor stands in, so that no lock is held when the
    /// caller looks at it.
    fn copy_group(
        &self,
        cursor: &mut Cursor,
        is_wanted: impl Fn(Loc) -> bool,
        copied: &mut Copied,
    ) {
        let now = self.now();
        let position = Position { shard: cursor.shard, at: cursor.at };
        let lock = self.index.lock(position);
        let next = self.index.visit_group(position, &lock, |_, loc| {
            if !is_wanted(loc) || !self.is_readable(loc) {
                return;
            }
            let item = self.space.read_any(loc);
            if self.hidden(&item, now).is_none() {
                self.space.append_key(&item, &mut copied.keys);
                copied.items.push((copied.keys.len(), item.meta(now)));
            }
        });
        *cursor = match next {
            Some(at) => Cursor { shard: cursor.shard, at },
            None => Cursor { shard: cursor.shard + 1, at: 0 },
        };
    }

    /// Goes on with shards whose size is changing, and finds sparse ones; true if a change is not
    /// complete.
    pub(crate) fn tend_index(&self, budget: usize) -> bool {
        let mut left = budget.div_ceil(GROUP_COST).max(1);
        let mut unfinished = false;
        for shard in 0..self.index.shards() {
            unfinished |= self.tend_shard(shard, &mut left);
        }
        unfinished
    }

    /// The same for one shard, of which `left` groups may be moved.
    pub(crate) fn tend_shard(&self, shard: u32, left: &mut usize) -> bool {
        let mut lock = self.index.lock(Position { shard, at: 0 });
        if !self.index.is_moving(shard, &lock) {
            self.index.shrink(shard, self.is_limit_lowered(), &mut lock);
        }
        let now = self.hot.clock_now();
        while *left > 0 && self.advance_index(shard, &mut lock, now) {
            *left -= 1;
        }
        *left == 0 && self.index.is_moving(shard, &lock)
    }
}
