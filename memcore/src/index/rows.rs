//! What the index takes of the budget.
//!
//! Blocks lie in rows, one block of each shard. On ordinary pages a shard takes the pages that it
//! uses itself. A huge page has blocks of many shards in it: there a row is taken whole as soon as
//! one shard uses its block, and the others then grow into it for nothing.

use super::{BLOCK, BLOCK_PAGES, GROUPS_MIN, pages_of_groups, stash_of_pages};
use crate::region::OS_PAGE;
use crate::segments::Loc;
use crate::sync::Mutex;

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

    /// A shard grows: the bytes that this takes.
    pub(super) fn enter(&self, from: u32, to: u32) -> usize {
        let stash = stash_bytes(to) - stash_bytes(from);
        let Some(users) = &self.users else {
            return stash + page_bytes(to) - page_bytes(from);
        };
        let mut users = users.lock();
        let mut fresh = 0;
        for row in &mut users[rows_of_groups(from)..rows_of_groups(to)] {
            fresh += usize::from(*row == 0);
            *row += 1;
        }
        stash + fresh * self.row_bytes()
    }

    /// A shard has shrunk, or does not grow after all: the bytes that are free now.
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
    stash_of_pages(pages_of_groups(groups as usize)) * size_of::<(u32, Loc)>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: usize = 4 * BLOCK_PAGES * OS_PAGE;

    /// What a shard takes that grows to two and a half rows.
    fn grow(rows: &Rows) -> usize {
        rows.enter(GROUPS_MIN, 160) - (stash_bytes(160) - stash_bytes(GROUPS_MIN))
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
        let grown = rows.enter(GROUPS_MIN, 160);
        let stash = stash_bytes(160) - stash_bytes(GROUPS_MIN);
        assert_eq!(grown, 2 * ROW + stash);
        assert_eq!(grow(&rows), 0);
        let groups = [160, 160, GROUPS_MIN, GROUPS_MIN];
        assert_eq!(rows.bytes(groups.into_iter()), Rows::bytes_min(4, true) + 2 * ROW + 2 * stash);
        assert_eq!(rows.leave(160, GROUPS_MIN), stash);
        assert_eq!(rows.leave(160, 100), ROW + stash_bytes(160) - stash_bytes(100));
    }
}
