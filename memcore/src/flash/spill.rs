//! From memory to flash: what becomes of an item that is about to be evicted.

use super::Tier;
use super::record::{self, Head, KEY_MAX};
use super::table::Record;
use crate::engine::Engine;
use crate::index::{Guard, Position};
use crate::memory::sync::Ordering;
use crate::space::item::{Item, KeyBuffer};
use crate::tags::{Group, Issue};

/// One group of tags for each so many bytes of the limit is kept for items on flash.
const KEPT_SHARE: usize = 16 << 10;
/// At least so many.
const KEPT_MIN: usize = 16;

impl Engine {
    /// Puts a visible item that is about to be evicted into the log, if it is worth it. Its shard
    /// is locked.
    #[inline(always)]
    pub(crate) fn spill(&self, position: Position, item: &Item, now: u32, lock: &Guard<'_>) {
        if let Some(tier) = &self.flash {
            self.spill_to(tier, position, item, now, lock);
        }
    }

    #[inline(never)]
    fn spill_to(&self, tier: &Tier, position: Position, item: &Item, now: u32, lock: &Guard<'_>) {
        if !tier.is_on() {
            return;
        }
        // An item that came from there and has not changed is there still.
        let copy = tier.table.find(position, lock).and_then(|word| tier.position_of(word));
        if copy.is_some_and(|pos| tier.is_young(pos)) {
            if item.state.is_fetched() {
                tier.table.mark_fetched(position, lock);
            }
            self.keep_group(self.space.group_of(item));
            return tier.counts.kept();
        }
        if !self.is_worth_writing(tier, item, now) {
            return tier.counts.passed_by();
        }
        let mut buffer = KeyBuffer::new();
        let key = self.space.key_of(item.loc, item.shape, item.key_len(), &mut buffer);
        let issue = self.keep_group(self.space.group_of(item));
        let len = record::len_of(item.key_len(), item.value_len, issue.group != Group::NONE);
        let mut log = tier.log.lock();
        let appended = log.append(&tier.map, len, |pos, into| {
            let head = Head { issue, ..head_of(item, pos, now) };
            record::write(tier.names.of(pos), &head, key, into, |from, into| {
                self.copy_value_part(item, from, into);
            });
        });
        tier.mirror(&log);
        drop(log);
        let Some(pos) = appended else { return tier.counts.no_buffer() };
        tier.counts.put(item.key_len() + item.value_len);
        let at = Record { unit: pos / tier.map.unit(), len };
        tier.table.insert(position, at, tier.extent(), lock, |bytes| {
            tier.table.bytes() + bytes <= self.table_max(tier, self.limit_goal())
                && self.space.pool.take_bytes(bytes)
        });
    }

    fn is_worth_writing(&self, tier: &Tier, item: &Item, now: u32) -> bool {
        let rules = &tier.rules;
        item.size() >= tier.size_min.load(Ordering::Relaxed)
            && (item.state.is_fetched() || !rules.fetched_only)
            && item.state.idle(now).max(0) as u32 >= rules.idle_min
            && (item.expiry == 0 || item.expiry - now.min(item.expiry) > rules.left_min)
            && item.key_len() <= KEY_MAX
            && record::len_of(item.key_len(), item.value_len, true) <= tier.record_max
    }

    /// Keeps the group of an item that goes to flash: without it, its tags could not be told to be
    /// alive when it comes back.
    fn keep_group(&self, group: Group) -> Issue {
        if group == Group::NONE {
            return Issue::default();
        }
        self.give_back(self.tags.keep(group, kept_most(self.limit_goal())));
        self.tags.issue_of(group)
    }

    /// Copies a part of an item's value. Its shard is locked.
    fn copy_value_part(&self, item: &Item, from: usize, into: &mut [u8]) {
        let (mut skip, mut done) = (from, 0);
        for (at, len) in self.space.value_pieces(item) {
            let passed = skip.min(len);
            skip -= passed;
            let here = (len - passed).min(into.len() - done);
            self.space.memory().read(at + passed, &mut into[done..done + here]);
            done += here;
            if done == into.len() {
                return;
            }
        }
        debug_assert!(false, "a value ends before its length");
    }
}

impl Tier {
    /// Whether what is at `pos` will stay for another half of a lap at least.
    fn is_young(&self, pos: u64) -> bool {
        let frontier = self.frontier.load(Ordering::Relaxed);
        pos + self.map.capacity() / 2 >= frontier
    }
}

/// Groups of tags that are kept for items on flash under a limit.
pub(super) fn kept_most(limit: usize) -> usize {
    (limit / KEPT_SHARE).max(KEPT_MIN)
}

/// The head of an item's record.
fn head_of(item: &Item, pos: u64, now: u32) -> Head {
    let state = item.state;
    Head {
        pos,
        version: item.version,
        key_len: item.key_len(),
        value_len: item.value_len,
        flags: item.flags,
        expiry: item.shape.has_expiry().then_some(item.expiry),
        // That of its segment and not that of the moment: a flush may come in between.
        epoch: item.stamp.epoch(),
        access: now.wrapping_add_signed(-state.idle(now).max(0)),
        stale: state.is_stale(),
        taken: state.is_taken(),
        marked: state.is_marked(),
        fetched: state.is_fetched(),
        issue: Issue::default(),
    }
}
