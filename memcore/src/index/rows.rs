//! What the index takes of the budget.
//!
//! Blocks lie in rows, one block of each shard. On ordinary pages a shard takes the pages that it
//! uses itself. A huge page has blocks of many shards in it: there a row is taken whole as soon as
//! one shard uses its block, and the others then grow into it at no cost.

use super::stash::Stash;
use std::ops::Range;

use super::resize::STEPS;
use super::{BLOCK, BLOCK_PAGES, pages_of_groups, stash_of_pages};
use crate::memory::region::OS_PAGE;
use crate::memory::sync::Mutex;

/// The rows of an index.
#[derive(Debug)]
pub(super) struct Rows {
    shards: usize,
    /// `None` on ordinary pages.
    taken: Option<Mutex<Taken>>,
}

/// Rows that are paid for, the first ones.
#[derive(Debug)]
struct Taken {
    /// How many shards use each row.
    users: Box<[u32]>,
    /// Those that are used, and perhaps one or a few more.
    paid: usize,
}

impl Taken {
    /// Rows that shards use.
    fn used(&self) -> usize {
        self.users.partition_point(|&users| users > 0)
    }
}

impl Rows {
    /// Rows of one block of each of `shards` shards, all of which have `groups` groups.
    pub(super) fn new(shards: usize, rows: usize, groups: u32, huge_pages: bool) -> Self {
        let taken = || {
            let mut users = vec![0; rows].into_boxed_slice();
            let paid = rows_of_groups(groups);
            users[..paid].fill(shards as u32);
            Mutex::new(Taken { users, paid })
        };
        Self { shards, taken: huge_pages.then(taken) }
    }

    /// Bytes that all shards of `groups` groups take.
    pub(super) fn bytes_min(shards: usize, groups: u32, huge_pages: bool) -> usize {
        let pages = pages_of_groups(groups as usize);
        let taken = if huge_pages { pages.next_multiple_of(BLOCK_PAGES) } else { pages };
        shards * (taken * OS_PAGE + stash_bytes(groups))
    }

    /// A shard grows if `take` gets the bytes for it. The rows are locked meanwhile: no other shard
    /// may think that they are paid for before they are.
    pub(super) fn enter(&self, from: u32, to: u32, take: impl FnOnce(usize) -> bool) -> bool {
        let stash = stash_bytes(to) - stash_bytes(from);
        let Some(taken) = &self.taken else {
            return take(stash + page_bytes(to) - page_bytes(from));
        };
        let mut taken = taken.lock();
        let rows = rows_of_groups(from)..rows_of_groups(to);
        // Others were paid for by the first of their users, or ahead of them.
        let fresh = rows.end.saturating_sub(taken.paid);
        let is_paid = take(stash + fresh * self.row_bytes());
        if is_paid {
            taken.paid += fresh;
            // The last row of the old size counts this shard already.
            taken.users[rows].iter_mut().for_each(|users| *users += 1);
        }
        is_paid
    }

    /// Takes the row that shards grow into next, if most of them use the last one, and `take` gets
    /// the bytes for it, which is told how many rows are used, and its number; that number.
    pub(super) fn enter_ahead(
        &self,
        take: impl FnOnce(usize, usize, usize) -> bool,
    ) -> Option<usize> {
        let mut taken = self.taken.as_ref()?.lock();
        let used = taken.used();
        let ahead = 1 + used / STEPS;
        let is_near = taken.users[used - 1] as usize * 2 >= self.shards;
        if !is_near || taken.paid >= (used + ahead).min(taken.users.len()) {
            return None;
        }
        let next = taken.paid;
        take(self.row_bytes(), used, next).then(|| {
            taken.paid += 1;
            next
        })
    }

    /// A shard has shrunk: the bytes that are free now, and the rows among them that no shard had
    /// yet used.
    pub(super) fn leave(&self, from: u32, to: u32) -> (usize, Range<usize>) {
        let stash = stash_bytes(from) - stash_bytes(to);
        let Some(taken) = &self.taken else {
            return (stash + page_bytes(from) - page_bytes(to), 0..0);
        };
        let mut taken = taken.lock();
        let ahead = taken.used()..taken.paid;
        taken.users[rows_of_groups(to)..rows_of_groups(from)].iter_mut().for_each(|row| *row -= 1);
        let used = taken.used();
        let freed = std::mem::replace(&mut taken.paid, used) - used;
        (stash + freed * self.row_bytes(), ahead)
    }

    /// Counts who uses which row when shards have these numbers of groups.
    pub(super) fn set(&self, groups: impl Iterator<Item = u32>) {
        let Some(taken) = &self.taken else { return };
        let mut taken = taken.lock();
        taken.users.fill(0);
        for groups in groups {
            taken.users[..rows_of_groups(groups)].iter_mut().for_each(|users| *users += 1);
        }
        taken.paid = taken.used();
    }

    /// Bytes that shards with these numbers of groups take.
    pub(super) fn bytes(&self, groups: impl Iterator<Item = u32> + Clone) -> usize {
        let stashes: usize = groups.clone().map(stash_bytes).sum();
        stashes
            + match &self.taken {
                None => groups.map(page_bytes).sum(),
                Some(taken) => taken.lock().paid * self.row_bytes(),
            }
    }

    fn row_bytes(&self) -> usize {
        self.shards * BLOCK_PAGES * OS_PAGE
    }
}

fn rows_of_groups(groups: u32) -> usize {
    (groups as usize).div_ceil(BLOCK)
}

fn page_bytes(groups: u32) -> usize {
    pages_of_groups(groups as usize) * OS_PAGE
}

fn stash_bytes(groups: u32) -> usize {
    stash_of_pages(pages_of_groups(groups as usize)) * Stash::PLACE
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS_MIN: u32 = 16;
    const ROW: usize = 4 * BLOCK_PAGES * OS_PAGE;

    /// What a shard takes that grows to two and a half rows, its stash left out.
    fn grow(rows: &Rows) -> usize {
        let mut taken = 0;
        assert!(rows.enter(GROUPS_MIN, 40, |bytes| {
            taken = bytes;
            true
        }));
        taken - (stash_bytes(40) - stash_bytes(GROUPS_MIN))
    }

    #[test]
    fn on_ordinary_pages_a_shard_takes_what_it_uses() {
        let rows = Rows::new(4, 10, GROUPS_MIN, false);
        let all = [GROUPS_MIN; 4].into_iter();
        assert_eq!(rows.bytes(all), Rows::bytes_min(4, GROUPS_MIN, false));
        for _ in 0..4 {
            assert_eq!(grow(&rows), page_bytes(40) - page_bytes(GROUPS_MIN));
        }
    }

    #[test]
    fn on_huge_pages_the_first_shard_takes_a_row_and_the_last_one_frees_it() {
        let rows = Rows::new(4, 10, GROUPS_MIN, true);
        assert_eq!(rows.bytes([GROUPS_MIN; 4].into_iter()), Rows::bytes_min(4, GROUPS_MIN, true));
        let stash = stash_bytes(40) - stash_bytes(GROUPS_MIN);
        assert!(!rows.enter(GROUPS_MIN, 40, |_| false));
        assert_eq!(grow(&rows), 2 * ROW);
        assert_eq!(grow(&rows), 0);
        let groups = [40, 40, GROUPS_MIN, GROUPS_MIN];
        assert_eq!(
            rows.bytes(groups.into_iter()),
            Rows::bytes_min(4, GROUPS_MIN, true) + 2 * ROW + 2 * stash
        );
        assert_eq!(rows.leave(40, GROUPS_MIN).0, stash);
        assert_eq!(rows.leave(40, 25).0, ROW + stash_bytes(40) - stash_bytes(25));
    }

    #[test]
    fn a_row_is_taken_ahead_once_most_shards_use_the_last_one() {
        let rows = Rows::new(4, 10, GROUPS_MIN, true);
        let ahead = || rows.enter_ahead(|bytes, _, _| bytes == ROW);
        let used = rows_of_groups(GROUPS_MIN);
        assert_eq!((ahead(), ahead()), (Some(used), None));
        assert_eq!(grow(&rows), ROW);
        assert_eq!(ahead(), None, "one shard of four uses the last row");
        grow(&rows);
        assert_eq!(rows.enter_ahead(|_, _, _| false), None);
        assert_eq!(ahead(), Some(3));
        let groups = [40, 40, GROUPS_MIN, GROUPS_MIN];
        let stash = stash_bytes(40) - stash_bytes(GROUPS_MIN);
        assert_eq!(
            rows.bytes(groups.into_iter()),
            Rows::bytes_min(4, GROUPS_MIN, true) + 3 * ROW + 2 * stash
        );
        // It goes with the first shard that shrinks.
        assert_eq!(rows.leave(40, GROUPS_MIN), (ROW + stash, 3..4));
    }

    /// What one shard could not pay for is not there for another one.
    #[test]
    fn as_much_is_freed_as_was_taken_while_others_get_nothing() {
        let rows = Rows::new(4, 10, GROUPS_MIN, true);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..20_000).for_each(|_| _ = rows.enter(GROUPS_MIN, 40, |_| false)));
            for _ in 0..20_000 {
                let taken = grow(&rows) + stash_bytes(40) - stash_bytes(GROUPS_MIN);
                assert_eq!(rows.leave(40, GROUPS_MIN).0, taken);
            }
        });
    }
}
