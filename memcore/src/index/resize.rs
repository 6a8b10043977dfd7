//! Growing and shrinking a shard in place, a few groups at a time.
//!
//! Positions keep their order, so the items of old group `g` belong into new groups around
//! `g * new / old`. Growing moves groups from the top, shrinking from the bottom; either way a
//! group's new places have been vacated before, or are the group itself, whose contents are taken
//! out first. Nothing else is touched: tags tell the positions.

use std::ops::Range;

use super::{
    BLOCK, BLOCK_PAGES, GROUP, Group, Guard, Home, Index, LINE, LINES, MARK, Mapping, Position,
    groups_of_pages, pages_of_groups, scale, stash_of_groups,
};
use crate::memory::region::OS_PAGE;
use crate::memory::sync::{Ordering, fence};
use crate::space::segments::Loc;
use crate::work::note;

/// Per cent of its slots that a shard fills before it grows.
const FULL: u64 = 87;
/// Per cent of its slots from which a shard also grows because its stash fills up: items of a small
/// shard may be spread unevenly by chance. Keys that were made to collide fill the stash long
/// before that, and must not get memory for it.
const UNEVEN: u64 = 70;
/// Per cent of its slots below which a shard shrinks.
const SPARSE: u64 = 55;
/// The same while the limit is lowered: otherwise items would have to make room for slots that
/// nobody needs any more.
const SPARSE_WHEN_LOWERED: u64 = 65;
/// Per cent of its slots that a shard fills after it has shrunk.
const SHRUNK: u64 = 75;

/// Keys of a stash that are looked at to tell whether it is still needed.
const STASH_SAMPLE: usize = 64;

/// A shard grows by 1/STEPS of its pages: small enough that shards of different sizes don't waste
/// much, large enough that an item is moved only now and then.
pub(super) const STEPS: usize = 24;
/// What became of a shard that is to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// It need not, or there is nothing left of the limit.
    None,
    /// It has begun.
    Begun,
    /// The system has no memory for it. So many bytes of the limit go back.
    Refused(usize),
}

/// Words of a page.
const PAGE: usize = OS_PAGE / size_of::<u64>();

impl Index {
    /// Whether the shard is on its way to another size.
    pub(crate) fn is_moving(&self, shard: u32, _lock: &Guard<'_>) -> bool {
        let mapping = &self.shards[shard as usize].shared.0;
        mapping.old.load(Ordering::Relaxed) != mapping.new.load(Ordering::Relaxed)
    }

    /// Begins to grow a crowded shard, if `take` gets the bytes for it.
    #[inline]
    pub(crate) fn grow(
        &self,
        shard: u32,
        lock: &mut Guard<'_>,
        take: impl FnOnce(usize) -> bool,
    ) -> Growth {
        let groups = self.groups(shard);
        let items = u64::from(lock.items) * 100;
        let is_uneven = || {
            lock.stash.len() > stash_of_groups(groups as usize) / 4 * 3
                && items > slots(groups) * UNEVEN
        };
        if items <= slots(groups) * FULL && !is_uneven() {
            return Growth::None;
        }
        // In whole pages: the rest of a page that is in use costs nothing more.
        let pages = pages_of_groups(groups as usize);
        let wanted = groups_of_pages(pages + (pages / STEPS).max(1)).min(self.groups_max);
        if wanted <= groups || !self.rows.enter(groups, wanted, take) {
            return Growth::None;
        }
        let wanted_pages = pages_of_groups(wanted as usize);
        if !self.pieces(shard, pages..wanted_pages).all(|(at, len)| self.slots.secure(at, len)) {
            return Growth::Refused(self.rows.leave(wanted, groups).0);
        }
        self.begin(shard, wanted, lock);
        Growth::Begun
    }

    /// Whether all shards can have their first pages.
    pub(crate) fn secure_least(&self) -> bool {
        let pages = 0..pages_of_groups(self.words.groups_min() as usize);
        let mut pieces = (0..self.shards()).flat_map(|shard| self.pieces(shard, pages.clone()));
        pieces.all(|(at, len)| self.slots.secure(at, len))
    }

    /// Whether all pages in use can be written.
    pub(crate) fn secure_all(&self) -> bool {
        (0..self.shards()).all(|shard| {
            let pages = 0..pages_of_groups(self.groups_in_use(shard) as usize);
            self.pieces(shard, pages).all(|(at, len)| self.slots.secure(at, len))
        })
    }

    /// Where these pages of a shard are, which are not one run as blocks of other shards lie in
    /// between: first slots, and how many.
    fn pieces(&self, shard: u32, pages: Range<usize>) -> impl Iterator<Item = (usize, usize)> + '_ {
        (pages.start / BLOCK_PAGES..pages.end.div_ceil(BLOCK_PAGES)).map(move |block| {
            let start = self.start(shard, (block * BLOCK) as u32);
            let page = |page: usize| start + (page - block * BLOCK_PAGES) * PAGE;
            let (first, end) = (block * BLOCK_PAGES, (block + 1) * BLOCK_PAGES);
            let (first, end) = (page(first.max(pages.start)), page(end.min(pages.end)));
            (first, end - first)
        })
    }

    /// Begins to shrink a sparse shard; `lowered` says that the limit is being lowered.
    pub(crate) fn shrink(&self, shard: u32, lowered: bool, lock: &mut Guard<'_>) {
        let groups = self.groups(shard);
        let items = u64::from(lock.items);
        let sparse = if lowered { SPARSE_WHEN_LOWERED } else { SPARSE };
        if items * 100 >= slots(groups) * sparse {
            return;
        }
        // Well below FULL, so that the next insertions don't make it grow again.
        let wanted = items * 100 / SHRUNK / (LINE * LINES) as u64;
        let wanted = groups_of_pages(pages_of_groups(wanted as usize));
        let wanted = wanted.max(self.words.groups_min());
        // A stash that colliding keys have filled may be too large for fewer groups.
        let fits = || lock.stash.len() <= stash_of_groups(wanted as usize) / 2;
        if wanted < groups && (fits() || self.has_room_for_stash(shard, lock)) {
            self.begin(shard, wanted, lock);
        }
    }

    /// Whether most keys in the stash would find a slot in their group by now, as they do when they
    /// are moved. Keys that were made to collide would not. A sample is enough.
    fn has_room_for_stash(&self, shard: u32, lock: &Guard<'_>) -> bool {
        let stash = lock.stash.all();
        let sample = stash.iter().step_by(stash.len().div_ceil(STASH_SAMPLE).max(1));
        let (mut looked_at, mut fit) = (0, 0);
        for &(at, _) in sample {
            looked_at += 1;
            fit += usize::from(self.has_free_slot(self.home(Position { shard, at })));
        }
        fit * 4 >= looked_at * 3
    }

    #[cfg(test)]
    pub(crate) fn resize_to(&self, shard: u32, groups: u32, lock: &mut Guard<'_>) {
        while self.is_moving(shard, lock) {
            self.advance(shard, lock, |_, loc| panic!("lost {loc}"));
        }
        if groups != self.groups(shard) {
            self.begin(shard, groups, lock);
        }
    }

    /// Starts a change of size. The memory for it is there.
    fn begin(&self, shard: u32, groups: u32, _lock: &mut Guard<'_>) {
        note(|work| work.resizes += 1);
        let mapping = &self.shards[shard as usize].shared.0;
        mapping.change(|| {
            mapping.moved.store(0, Ordering::Relaxed);
            mapping.new.store(groups, Ordering::Relaxed);
        });
    }

    /// Moves one group on; items that find no place in their new group are `lost`. At the end,
    /// the bytes that have become free.
    pub(crate) fn advance(
        &self,
        shard: u32,
        lock: &mut Guard<'_>,
        mut lost: impl FnMut(Position, Loc),
    ) -> Option<usize> {
        let mapping = &self.shards[shard as usize].shared.0;
        let (old, new) = (mapping.old.load(Ordering::Relaxed), mapping.new.load(Ordering::Relaxed));
        let moved = mapping.moved.load(Ordering::Relaxed);
        let number = if new > old { old - 1 - moved } else { moved };
        mapping.change(|| {
            let from = Group { number, count: old };
            self.move_group(shard, from, new, lock, &mut lost);
            mapping.moved.store(moved + 1, Ordering::Relaxed);
            if moved + 1 == old {
                mapping.old.store(new, Ordering::Relaxed);
            }
        });
        (moved + 1 == old).then(|| self.vacate(shard, old, new, lock))
    }

    fn move_group(
        &self,
        shard: u32,
        from: Group,
        new: u32,
        lock: &mut Guard<'_>,
        lost: &mut impl FnMut(Position, Loc),
    ) {
        note(|work| work.groups_moved += 1);
        let start = self.start(shard, from.number);
        // All slots are taken out first, because the new places may be in the same group. Readers
        // see an odd sequence meanwhile.
        let mut taken = [0; GROUP];
        for (i, word) in taken.iter_mut().enumerate() {
            let cell = self.slots.at(start + i);
            *word = cell.load(Ordering::Relaxed);
            cell.store(0, Ordering::Relaxed);
        }
        let (slots, ghosts) = taken.split_at(LINE * LINES);
        for &word in slots.iter().filter(|&&word| word & !MARK != 0) {
            let at = self.at_of(from, word);
            let group = Group { number: scale(at, new), count: new };
            let home = self.home_in(shard, group, at);
            let loc = self.words.loc_of(word);
            self.place_or_stash(home, Position { shard, at }, loc, lock, lost);
        }
        for (at, loc) in lock.stash.take(from) {
            let group = Group { number: scale(at, new), count: new };
            let home = self.home_in(shard, group, at);
            self.place_or_stash(home, Position { shard, at }, loc, lock, lost);
        }
        self.move_ghosts(shard, from, new, ghosts);
    }

    fn place_or_stash(
        &self,
        home: Home,
        position: Position,
        loc: Loc,
        lock: &mut Guard<'_>,
        lost: &mut impl FnMut(Position, Loc),
    ) {
        let placed =
            self.place(home, position.at, loc) || self.stash(home, position, loc, lock).is_ok();
        if !placed {
            lock.count_out(position.at);
            lost(position, loc);
        }
    }

    /// Gives the memory behind a shrunk shard back to the system.
    fn vacate(&self, shard: u32, old: u32, new: u32, lock: &mut Guard<'_>) -> usize {
        let (before, after) = (pages_of_groups(old as usize), pages_of_groups(new as usize));
        if after >= before {
            return 0;
        }
        self.pieces(shard, after..before).for_each(|(at, len)| self.slots.release(at, len));
        lock.stash.shrink_to(stash_of_groups(new as usize));
        let (bytes, ahead) = self.rows.leave(old, new);
        self.slots.release(ahead.start * self.stride, ahead.len() * self.stride);
        bytes
    }

    /// Has the system provide memory that shards are about to grow into, if `take` gets the bytes
    /// for it, which is told how many rows there are; true if memory was provided.
    pub(crate) fn provide(&self, take: impl FnOnce(usize, usize) -> bool) -> bool {
        let row = self.rows.enter_ahead(|bytes, used, next| {
            self.slots.secure(next * self.stride, self.stride) && take(bytes, used)
        });
        if let Some(row) = row {
            self.slots.provide(row * self.stride, self.stride);
        }
        row.is_some()
    }

    /// Groups that hold anything.
    pub(super) fn groups_in_use(&self, shard: u32) -> u32 {
        let mapping = &self.shards[shard as usize].shared.0;
        mapping.old.load(Ordering::Relaxed).max(mapping.new.load(Ordering::Relaxed))
    }

    pub(super) fn groups(&self, shard: u32) -> u32 {
        self.shards[shard as usize].shared.0.new.load(Ordering::Relaxed)
    }
}

impl Mapping {
    /// Makes readers wait while slots are not where they belong.
    fn change(&self, change: impl FnOnce()) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        debug_assert!(sequence & 1 == 0, "slots are moved by one thread at a time");
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        // Pairs with the acquire fence of `Index::search`: who sees a slot change below sees the
        // odd sequence as well.
        fence(Ordering::Release);
        change();
        // Pairs with the acquire load of `Index::search`: who sees this sees all that has moved.
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }
}

fn slots(groups: u32) -> u64 {
    u64::from(groups) * (LINE * LINES) as u64
}
