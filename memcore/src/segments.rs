//! The segment table: one row per run of memory that items are appended to.
//!
//! A segment is filled from front to back, then sealed, and reclaimed as a whole. Its generation
//! changes when its memory is about to be used anew: a reader that saw the same generation before
//! and after has read what was published there.

use crate::region::Region;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Number of a segment. Number 0 is never used, so that 0 can mean "none" and no item has address 0.
pub(crate) type SegmentId = u32;

/// Which of the two FIFO queues of S3-FIFO a segment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// New items on probation.
    Small,
    /// Items that were used again.
    Main,
}

/// What a segment is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Holds nothing.
    Free,
    /// Takes new items.
    Open,
    /// Full; waits in its queue.
    Sealed,
    /// Emptied, but a handle still reads it.
    Zombie,
}

/// Where a segment stands: its log and what it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) phase: Phase,
    pub(crate) queue: Queue,
    pub(crate) class: u8,
    pub(crate) group: u8,
}

impl Place {
    fn pack(self) -> u32 {
        self.phase as u32
            | (self.queue as u32) << 8
            | u32::from(self.class) << 16
            | u32::from(self.group) << 24
    }

    fn unpack(word: u32) -> Self {
        let [phase, queue, class, group] = word.to_le_bytes();
        Self {
            phase: match phase {
                0 => Phase::Free,
                1 => Phase::Open,
                2 => Phase::Sealed,
                _ => Phase::Zombie,
            },
            queue: if queue == 0 { Queue::Small } else { Queue::Main },
            class,
            group,
        }
    }
}

/// What lives in a segment, kept in one word so that a change is one instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Bytes of live items that begin here.
    pub(crate) bytes: u32,
    /// Live items that begin here.
    pub(crate) items: u32,
    /// Items that have space but are not published yet.
    pub(crate) pending: u32,
}

const ITEM: u64 = 1 << 32;
const PENDING: u64 = 1 << 52;

/// Words of a row.
const WORDS: usize = 16;
/// Double words of a row.
const LONGS: usize = 3;
/// Bytes of a row.
pub(crate) const ROW_BYTES: usize = WORDS * 4 + LONGS * 8;

/// The table. Each accessor gives one cell of one row.
#[derive(Debug)]
pub(crate) struct Segments {
    words: Region<AtomicU32>,
    longs: Region<AtomicU64>,
}

macro_rules! cells {
    ($($(#[$doc:meta])* $name:ident: $index:literal in $column:ident: $type:ty, $width:ident;)*) => {
        $($(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name(&self, id: SegmentId) -> &$type {
            self.$column.at(id as usize * $width + $index)
        })*
    };
}

impl Segments {
    /// A table for segments `0..count`.
    pub(crate) fn new(count: usize) -> std::io::Result<Self> {
        Ok(Self {
            words: Region::reserve(count * WORDS)?,
            longs: Region::reserve(count * LONGS)?,
        })
    }

    cells! {
        /// Changes before the memory is used anew.
        generation: 0 in words: AtomicU32, WORDS;
        /// Handles that read from it.
        pins: 1 in words: AtomicU32, WORDS;
        /// The flush epoch in which it was opened.
        epoch: 2 in words: AtomicU32, WORDS;
        /// Bytes handed out, from the front.
        used: 3 in words: AtomicU32, WORDS;
        /// Sum of the use counters of its items.
        hits: 4 in words: AtomicU32, WORDS;
        /// The second at which it is worth looking for expired items; 0 for never.
        due: 5 in words: AtomicU32, WORDS;
        /// Where the item continues that does not end here.
        next: 6 in words: AtomicU32, WORDS;
        /// Bytes at the front that belong to an item that begins in another segment.
        lead_len: 7 in words: AtomicU32, WORDS;
        /// Its [`Place`].
        place_word: 8 in words: AtomicU32, WORDS;
        /// Count of segments opened before it: its age in logical time.
        born: 9 in words: AtomicU32, WORDS;
        /// Second when it was opened.
        opened: 10 in words: AtomicU32, WORDS;
        /// Link of the queue that it waits in.
        older: 11 in words: AtomicU32, WORDS;
        /// Link of the queue that it waits in.
        newer: 12 in words: AtomicU32, WORDS;
        /// The version that its items' versions are kept relative to.
        version_base: 0 in longs: AtomicU64, LONGS;
        /// Its [`Load`].
        load_word: 1 in longs: AtomicU64, LONGS;
        /// Address of the item that `lead_len` belongs to.
        lead: 2 in longs: AtomicU64, LONGS;
    }

    pub(crate) fn place(&self, id: SegmentId) -> Place {
        Place::unpack(self.place_word(id).load(Ordering::Relaxed))
    }

    pub(crate) fn set_place(&self, id: SegmentId, place: Place) {
        self.place_word(id).store(place.pack(), Ordering::Relaxed);
    }

    pub(crate) fn load(&self, id: SegmentId) -> Load {
        let word = self.load_word(id).load(Ordering::Acquire);
        Load {
            bytes: word as u32,
            items: (word >> 32) as u32 & 0xf_ffff,
            pending: (word >> 52) as u32,
        }
    }

    /// Space was handed out for an item.
    pub(crate) fn add_pending(&self, id: SegmentId) {
        self.load_word(id).fetch_add(PENDING, Ordering::Relaxed);
    }

    /// A pending item became live. `Release` orders its bytes before a reclaimer's look.
    pub(crate) fn publish(&self, id: SegmentId, bytes: usize) {
        let change = (ITEM + bytes as u64).wrapping_sub(PENDING);
        self.load_word(id).fetch_add(change, Ordering::Release);
    }

    /// A pending item was given up.
    pub(crate) fn abandon(&self, id: SegmentId) {
        self.load_word(id).fetch_sub(PENDING, Ordering::Release);
    }

    /// A live item is gone; what is left.
    pub(crate) fn remove(&self, id: SegmentId, bytes: usize) -> Load {
        let change = ITEM + bytes as u64;
        let word = self.load_word(id).fetch_sub(change, Ordering::Relaxed) - change;
        Load {
            bytes: word as u32,
            items: (word >> 32) as u32 & 0xf_ffff,
            pending: (word >> 52) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_survives_packing() {
        for phase in [Phase::Free, Phase::Open, Phase::Sealed, Phase::Zombie] {
            for queue in [Queue::Small, Queue::Main] {
                let place = Place { phase, queue, class: 5, group: 3 };
                assert_eq!(Place::unpack(place.pack()), place);
            }
        }
    }

    #[test]
    fn load_counts_pending_and_live_apart() {
        let table = Segments::new(2).unwrap();
        table.add_pending(1);
        table.add_pending(1);
        table.publish(1, 1000);
        assert_eq!(table.load(1), Load { bytes: 1000, items: 1, pending: 1 });
        table.abandon(1);
        assert_eq!(table.remove(1, 1000), Load::default());
    }
}
