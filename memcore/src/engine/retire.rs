//! The end of items, and how many there are: the listener, the counters, the memory.

use super::Engine;
use super::hot::ACCESS_GRAIN;
use crate::Moment;
use crate::counters::{Counts, Event};
use crate::removal::{Cause, Listeners, Removal};
use crate::space::item::{Item, KeyBuffer};

impl Engine {
    /// Ends the life of an item that the index no longer leads to.
    pub(crate) fn retire(&self, item: &Item, cause: Cause, now: u32) {
        self.retire_in_victim(item, cause, now);
        self.space.free_item(item);
    }

    /// The same for an item of which a newer copy is in its place: nothing is reported.
    pub(crate) fn retire_copy(&self, item: &Item) {
        self.end_life(item, self.counters.counts(item.class()));
        self.space.free_item(item);
    }

    /// The same for an item whose memory the caller frees.
    #[inline]
    pub(crate) fn retire_in_victim(&self, item: &Item, cause: Cause, now: u32) {
        // First, as the listener is shown the key where it lies.
        self.announce(item, cause, now);
        let counts = self.counters.counts(item.class());
        self.count_removal(item, cause, now, counts);
        self.end_life(item, counts);
    }

    /// Reports that a value was overwritten where it lies.
    #[inline]
    pub(crate) fn report_overwritten(&self, item: &Item, now: u32) {
        self.announce(item, Cause::Replaced, now);
        let counts = self.counters.counts(item.class());
        counts.add(Event::Replaced, 1);
        counts.add(Event::Stored, 1);
    }

    /// Tells the listener that a value has gone, and gives the reference to its tags back.
    #[inline]
    fn announce(&self, item: &Item, cause: Cause, now: u32) {
        if let Some(listeners) = &self.listeners {
            self.tell(listeners, item, cause, now);
        }
        if item.shape.has_ext() {
            self.untag(item.loc);
        }
    }

    #[inline(never)]
    fn tell(&self, listeners: &Listeners, item: &Item, cause: Cause, now: u32) {
        if listeners.are_attentive() {
            self.describe(listeners, item, cause, now);
        }
    }

    // Not inlined, as its buffer would make every operation that ends items look after a large
    // stack.
    #[inline(never)]
    fn describe(&self, listeners: &Listeners, item: &Item, cause: Cause, now: u32) {
        let mut key = KeyBuffer::new();
        let key = self.space.key_of(item.loc, item.shape, item.key_len(), &mut key);
        let shard = self.index.position(self.hot.hash(key)).shard as usize;
        let value = listeners.wants_values().then(|| {
            let mut value = Vec::with_capacity(item.value_len);
            self.space.append_value(item, &mut value);
            value
        });
        let (meta, at) = (item.meta(now), Moment::from_secs(now));
        listeners.note(shard, &Removal { cause, key, value: None, meta, at }, value);
    }

    #[inline]
    fn count_removal(&self, item: &Item, cause: Cause, now: u32, counts: Counts<'_>) {
        let count = |event| counts.add(event, 1);
        let fetched = item.state.is_fetched();
        match cause {
            Cause::Evicted => {
                count(Event::Evicted);
                let idle = item.state.idle(now).max(0) as u32;
                self.counters.set_evicted_age(item.class(), idle);
                if !fetched {
                    count(Event::EvictedUnfetched);
                } else if idle < ACCESS_GRAIN {
                    count(Event::EvictedActive);
                }
                if item.expiry != 0 {
                    count(Event::EvictedExpiring);
                }
            }
            Cause::Expired => {
                count(Event::Expired);
                if !fetched {
                    count(Event::ExpiredUnfetched);
                }
            }
            Cause::Deleted => count(Event::Deleted),
            Cause::Replaced => count(Event::Replaced),
            Cause::Flushed => count(Event::Flushed),
            Cause::Invalidated => count(Event::Invalidated),
        }
    }

    /// Marks an item as gone; its memory is still to be freed.
    #[inline]
    fn end_life(&self, item: &Item, counts: Counts<'_>) {
        debug_assert!(item.state.is_live(), "an item ends once");
        self.space.set_state(item.loc, item.state.with_live(false));
        counts.add(items_of(item.stamp.level()), 1_u64.wrapping_neg());
        // Sums wrap, so that adding the negative takes away, in whichever stripe.
        counts.add(Event::Bytes, (item.size() as u64).wrapping_neg());
    }

    /// Counts an item of `class` in; the counters of its class.
    #[inline]
    pub(crate) fn count_in(&self, level: u8, class: u8, bytes: usize) -> Counts<'_> {
        let counts = self.counters.counts(class);
        counts.add(items_of(level), 1);
        counts.add(Event::Bytes, bytes as u64);
        counts
    }
}

/// The gauge of the items of a level.
pub(crate) fn items_of(level: u8) -> Event {
    if level == 0 { Event::ItemsSmall } else { Event::ItemsMain }
}
