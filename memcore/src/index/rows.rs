//! What the index takes of the budget.
//!
//! Blocks lie in rows, one block of each shard. On ordinary pages a shard takes the pages that it
//! uses itself. A huge page has blocks of many shards in it: there a row is taken whole as soon as
//! one shard uses its block, and the others then grow into it at no cost.

use super::stash::Stash;
use super::{BLOCK, BLOCK_PAGES, GROUPS_MIN, pages_of_groups, stash_of_pages};
use crate::memory::region::OS_PAGE;
use crate::memory::sync::Mutex;

/// The rows of an index.
#[derive(Debug)]
pub(super) struct Rows {
    shards: usize,
    /// How many shards use each row; `None` on ordinary pages.
    users: Option<Mutex<Box<[u32]>>>,
}

impl Rows {
    /// Rows of one block of each of `shards` shards, all of which have their smallest size.
    pub(super) fn new(shards: usize, rows: usize, huge_pages: bool) -> Self {
        let mut users = vec![0; rows].into_boxed_slice();
        users[..rows_of_groups(GROUPS_MIN)].fill(shards as u32);
        Self { shards, users: huge_pages.then(|| Mutex::new(users)) }
    }

    /// Bytes that all shards of the smallest size take.
    pub(super) fn bytes_min(shards: usize, huge_pages: bool) -> usize {
        let pages = pages_of_groups(GROUPS_MIN as usize);
        let taken = if huge_pages { pages.next_multiple_of(BLOCK_PAGES) } else { pages };
        shards * (taken * OS_PAGE + stash_bytes(GROUPS_MIN))
    }

    /// A shard grows if `take` gets the bytes for it. The rows are locked meanwhile: no other shard
    /// may think that they are paid for before they are.
    pub(super) fn enter(&self, from: u32, to: u32, take: impl FnOnce(usize) -> bool) -> bool {
        let stash = stash_bytes(to) - stash_bytes(from);
        let Some(users) = &self.users else {
            return take(stash + page_bytes(to) - page_bytes(from));
        };
        let mut users = users.lock();
        // The last row of the old size counts this shard already.
        let rows = &mut users[rows_of_groups(from)..rows_of_groups(to)];
        // Rows with users were paid for by the first of them.
        let fresh = rows.iter().filter(|&&users| users == 0).count();
        let taken = take(stash + fresh * self.row_bytes());
        if taken {
            rows.iter_mut().for_each(|users| *users += 1);
        }
        taken
    }

    /// A shard has shrunk: the bytes that are free now.
    pub(super) fn leave(&self, from: u32, to: u32) -> usize {
        let stash = stash_bytes(from) - stash_bytes(to);
        let Some(users) = &self.users else {
            return stash + page_bytes(from) - page_bytes(to);
        };
        let mut users = users.lock();
        let mut freed = 0;
        for row in &mut users[rows_of_groups(to)..rows_of_groups(from)] {
            *row -= 1;
            freed += usize::from(*row == 0);
        }
        stash + freed * self.row_bytes()
    }

    /// Counts who uses which row when shards have these numbers of groups.
    pub(super) fn set(&self, groups: impl Iterator<Item = u32>) {
        let Some(users) = &self.users else { return };
        let mut users = users.lock();
        users.fill(0);
        for groups in groups {
            users[..rows_of_groups(groups)].iter_mut().for_each(|users| *users += 1);
        }
    }

    /// Bytes that shards with these numbers of groups take.
    pub(super) fn bytes(&self, groups: impl Iterator<Item = u32> + Clone) -> usize {
        let stashes: usize = groups.clone().map(stash_bytes).sum();
        stashes
            + match &self.users {
                None => groups.map(page_bytes).sum(),
                Some(users) => {
                    users.lock().iter().filter(|&&users| users > 0).count() * self.row_bytes()
                }
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

    const ROW: usize = 4 * BLOCK_PAGES * OS_PAGE;

    /// What a shard takes that grows to two and a half rows, its stash left out.
    fn grow(rows: &Rows) -> usize {
        let mut taken = 0;
        assert!(rows.enter(GROUPS_MIN, 160, |bytes| {
            taken = bytes;
            true
        }));
        taken - (stash_bytes(160) - stash_bytes(GROUPS_MIN))
    }

    #[test]
    fn on_ordinary_pages_a_shard_takes_what_it_uses() {
        let rows = Rows::new(4, 10, false);
        let all = [GROUPS_MIN; 4].into_iter();
        assert_eq!(rows.bytes(all), Rows::bytes_min(4, false));
        for _ in 0..4 {
            assert_eq!(grow(&rows), page_bytes(160) - page_bytes(GROUPS_MIN));
        }
    }

    #[test]
    fn on_huge_pages_the_first_shard_takes_a_row_and_the_last_one_frees_it() {
        let rows = Rows::new(4, 10, true);
        assert_eq!(rows.bytes([GROUPS_MIN; 4].into_iter()), Rows::bytes_min(4, true));
        let stash = stash_bytes(160) - stash_bytes(GROUPS_MIN);
        assert!(!rows.enter(GROUPS_MIN, 160, |_| false));
        assert_eq!(grow(&rows), 2 * ROW);
        assert_eq!(grow(&rows), 0);
        let groups = [160, 160, GROUPS_MIN, GROUPS_MIN];
        assert_eq!(rows.bytes(groups.into_iter()), Rows::bytes_min(4, true) + 2 * ROW + 2 * stash);
        assert_eq!(rows.leave(160, GROUPS_MIN), stash);
        assert_eq!(rows.leave(160, 100), ROW + stash_bytes(160) - stash_bytes(100));
    }

    /// What one shard could not pay for is not there for another one.
    #[test]
    fn as_much_is_freed_as_was_taken_while_others_get_nothing() {
        let rows = Rows::new(4, 10, true);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..20_000).for_each(|_| _ = rows.enter(GROUPS_MIN, 160, |_| false)));
            for _ in 0..20_000 {
                let taken = grow(&rows) + stash_bytes(160) - stash_bytes(GROUPS_MIN);
                assert_eq!(rows.leave(160, GROUPS_MIN), taken);
            }
        });
    }
}
