//! The end of items, and how many there are: the listener, the counters, the memory.

use super::Engine;
use super::hot::ACCESS_GRAIN;
use crate::Moment;
use crate::counters::Event;
use crate::removal::{Cause, Listeners, Removal};
use crate::space::item::{Item, KeyBuffer};

impl Engine {
    /// Ends the life of an item that the index no longer leads to.
    pub(crate) fn retire(&self, item: &Item, cause: Cause, now: u32) {
        // First, as the listener is shown the key where it lies.
        self.report(item, cause, now);
        self.retire_copy(item);
    }

    /// The same for an item of which a newer copy is in its place: nothing is reported.
    pub(crate) fn retire_copy(&self, item: &Item) {
        self.end_life(item);
        self.space.free_item(item);
    }

    /// The same for an item whose memory the caller frees.
    pub(crate) fn retire_in_victim(&self, item: &Item, cause: Cause, now: u32) {
        self.report(item, cause, now);
        self.end_life(item);
    }

    /// Tells the listener and the counters that a value has gone.
    pub(crate) fn report(&self, item: &Item, cause: Cause, now: u32) {
        if let Some(listeners) = &self.listeners {
            self.tell(listeners, item, cause, now);
        }
        if item.shape.has_ext() {
            self.untag(item.loc);
        }
        self.count_removal(item, cause, now);
    }

    // Not inlined, as its buffer would make every operation that ends items look after a large
    // stack.
    #[inline(never)]
    fn tell(&self, listeners: &Listeners, item: &Item, cause: Cause, now: u32) {
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

    fn count_removal(&self, item: &Item, cause: Cause, now: u32) {
        let class = item.class();
        let counts = self.counters.counts(class);
        let count = |event| counts.add(event, 1);
        let fetched = item.state.is_fetched();
        match cause {
            Cause::Evicted => {
                count(Event::Evicted);
                let idle = item.state.idle(now).max(0) as u32;
                self.counters.set_evicted_age(class, idle);
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
    fn end_life(&self, item: &Item) {
        debug_assert!(item.state.is_live(), "an item ends once");
        self.space.set_state(item.loc, item.state.with_live(false));
        self.count_live(item.stamp.level(), item.class(), item.size(), false);
    }

    /// Counts an item in or out.
    pub(crate) fn count_live(&self, level: u8, class: u8, bytes: usize, is_in: bool) {
        let items = if level == 0 { Event::ItemsSmall } else { Event::ItemsMain };
        let [one, bytes] = match is_in {
            true => [1, bytes as u64],
            // Sums wrap, so that adding the negative takes away, in whichever stripe.
            false => [1, bytes as u64].map(u64::wrapping_neg),
        };
        let counts = self.counters.counts(class);
        counts.add(items, one);
        counts.add(Event::Bytes, bytes);
    }
}
