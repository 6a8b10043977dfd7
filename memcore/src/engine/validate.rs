//! Recounts everything that is kept as a sum, and checks that index and items agree. For tests: no
//! other thread may use the cache meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use crate::index::Position;
use crate::memory::sync::Ordering;
use crate::space::item::KeyBuffer;
use crate::space::layout::State;
use crate::space::segments::{CLASSES, Load, Loc, Phase, SegmentId};
use crate::tags::Group;
use crate::upkeep::sweep::REVISIT_AFTER;

/// What was found in the segments.
#[derive(Default)]
struct Recount {
    /// The addresses of live items.
    locs: BTreeSet<Loc>,
    /// What lives in each segment.
    loads: BTreeMap<SegmentId, Load>,
    /// Items and sets that refer to a group of tags.
    refs: BTreeMap<u32, u32>,
    /// Items and bytes of each class.
    items: [u64; CLASSES],
    bytes: [u64; CLASSES],
}

impl Engine {
    /// Checks everything.
    ///
    /// # Panics
    /// If anything is not as it should be.
    pub(crate) fn validate(&self) {
        self.verify_all();
        let recount = self.recount_items();
        self.validate_loads(&recount);
        self.validate_index(&recount);
        self.validate_gauges(&recount);
        self.validate_tags(&recount);
        #[cfg(all(feature = "flash", not(loom)))]
        self.validate_flash();
    }

    /// Each group knows how many refer to it. Callers may do so as well.
    fn validate_tags(&self, recount: &Recount) {
        let known = self.tags.all_refs();
        let mut counted = recount.refs.clone();
        for group in known.keys() {
            for tag in self.tags.members(*group) {
                *counted.entry(tag).or_default() += 1;
            }
        }
        for (group, refs) in &counted {
            let known = known.get(group);
            assert!(known.is_some_and(|known| known >= refs), "group {group}: {known:?}, {refs}");
        }
        for (group, refs) in &known {
            assert!(*refs > 0, "group {group} is in use by nobody");
        }
    }

    /// Walks all segments.
    fn recount_items(&self) -> Recount {
        let mut recount = Recount::default();
        let table = self.space.table();
        for id in 1..self.space.pool.bound() {
            if table.place(id).phase == Phase::Free {
                continue;
            }
            let used = table.row(id).used.load(Ordering::Relaxed) as usize;
            assert!(used <= table.segment_words(), "segment {id} is fuller than it can be");
            let mut at = table.row(id).lead_words.load(Ordering::Relaxed) as usize;
            while at < used {
                let loc = table.start(id) + at as Loc;
                let outline = self.space.outline(loc);
                if outline.state.is_live() {
                    self.recount_item(loc, &mut recount);
                }
                at += outline.words;
            }
        }
        recount
    }

    fn recount_item(&self, loc: Loc, recount: &mut Recount) {
        let item = self.space.read_any(loc);
        assert!(recount.locs.insert(loc), "an item was met twice");
        let mut begins = 1;
        for (segment, len) in self.space.pieces(&item).by_segment() {
            let load = recount.loads.entry(segment).or_default();
            load.bytes += len as u32;
            load.items += begins;
            begins = 0;
        }
        recount.items[usize::from(item.class())] += 1;
        recount.bytes[usize::from(item.class())] += item.size() as u64;
        let group = self.space.group_of(&item);
        if group != Group::NONE {
            *recount.refs.entry(group.0).or_default() += 1;
        }
        let position = self.position_of(loc, item.shape, item.key_len(), &mut KeyBuffer::new());
        let slot = self.index.find_loc(position, loc, &self.index.lock(position));
        assert!(slot.is_some(), "no slot leads to the item at {loc}");
        self.validate_due(loc, item.expiry);
    }

    /// The sweep will come to an item that has an expiry.
    fn validate_due(&self, loc: Loc, expiry: u32) {
        let segment = self.space.table().segment_of(loc);
        let current = self.upkeep.reclaim.lock().sweep.current;
        if expiry != 0 && current.is_none_or(|visit| visit.id != segment) {
            let due = self.space.table().due(segment).load(Ordering::Relaxed);
            let latest = expiry.max(self.hot.clock_now().saturating_add(REVISIT_AFTER));
            assert!(due <= latest, "segment {segment} is due at {due}, an item at {expiry}");
        }
    }

    /// Segments know what lives in them.
    fn validate_loads(&self, recount: &Recount) {
        let table = self.space.table();
        // A reservation keeps its space pending for as long as its caller likes.
        let is_quiet = self.space.arriving.load(Ordering::Relaxed) == 0;
        for id in 1..self.space.pool.bound() {
            let load = table.load(id);
            let Load { bytes, items, .. } = recount.loads.get(&id).copied().unwrap_or_default();
            let phase = table.place(id).phase;
            assert_eq!((load.bytes, load.items), (bytes, items), "segment {id}, {phase:?}");
            assert!(load.pending == 0 || !is_quiet, "segment {id} has space without a writer");
            let is_idle = matches!(phase, Phase::Free | Phase::Zombie);
            assert!(!is_idle || load.is_empty(), "segment {id}, {phase:?}, holds {load:?}");
            assert!(phase != Phase::Sealed || !load.is_empty(), "segment {id} should be free");
        }
        self.space.pool.validate();
    }

    /// Every slot leads to a live item, and there is one for each.
    fn validate_index(&self, recount: &Recount) {
        let mut slots = 0;
        for shard in 0..self.index.shards() {
            let mut next = Some(0);
            let mut items = 0;
            while let Some(at) = next {
                let position = Position { shard, at };
                let lock = self.index.lock(position);
                next = self.index.visit_group(position, &lock, |_, loc| {
                    items += 1;
                    assert!(recount.locs.contains(&loc), "a slot leads to {loc}, to no live item");
                    let state = State(self.space.state_word(loc).load(Ordering::Relaxed));
                    assert!(state.is_live());
                });
            }
            self.index.validate_count(shard, items);
            slots += items as usize;
        }
        assert_eq!(slots, recount.locs.len(), "slots and live items");
    }

    /// Gauges are what they count.
    fn validate_gauges(&self, recount: &Recount) {
        let stats = self.stats();
        for (class, stats) in stats.classes.iter().enumerate() {
            assert_eq!(stats.items, recount.items[class], "items of class {class}");
            assert_eq!(stats.bytes, recount.bytes[class], "bytes of class {class}");
        }
        let pinned = self.space.pinned_segments() * stats.segment_size;
        assert_eq!(stats.pinned_bytes, pinned, "pinned bytes");
        let segments = self.space.pool.segment_bytes_taken();
        let others = self.tags.bytes() + self.flash_bytes();
        let fixed =
            self.sizes.overhead() + self.upkeep.rivals.bytes() + self.index.fixed_bytes() + others;
        assert_eq!(stats.used, fixed + stats.index_bytes + segments, "bytes in use");
    }
}
