//! The segment table: one row per run of memory that items are appended to.
//!
//! A segment is filled from front to back, then sealed, and reclaimed as a whole. Its stamp changes
//! when its memory is about to be reused: a reader that saw the same stamp before and after has
//! read what was published there.

use crate::memory::region::{Region, Source};
use crate::memory::row::row;
use crate::memory::sync::{AtomicU32, AtomicU64, Ordering};
use crate::restart::state::checksum;

/// Number of a segment. Number 0 is never used, so that 0 can mean "none", and no item has address
/// 0.
pub(crate) type SegmentId = u32;

/// Address of an item: words from the start of the memory.
pub(crate) type Loc = u64;

/// The due second of a segment in which nothing expires.
pub(crate) const NEVER: u32 = u32::MAX;

/// What a segment is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Holds nothing.
    Free,
    /// Takes new items, or is being filled with one that is larger than a segment.
    Open,
    /// Full; waits in its queue.
    Sealed,
    /// Out of its queue, being emptied.
    Victim,
    /// Emptied, but a handle still reads it.
    Zombie,
}

/// Where a segment stands: its log and what it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) phase: Phase,
    pub(crate) log: LogId,
}

/// A log: items of one use level, one size class and one group of lifetimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogId {
    pub(crate) level: u8,
    pub(crate) class: u8,
    pub(crate) group: u8,
}

/// Size classes: up to 128 bytes, twice as much each, up to 64 KiB, and larger.
pub(crate) const CLASSES: usize = 11;
/// Levels of use: never, once, two to three times, four to seven times, more often.
pub(crate) const LEVELS: usize = 5;
/// Groups of lifetimes within a class.
pub(crate) const GROUPS: usize = 4;
/// All logs.
pub(crate) const LOGS: usize = LEVELS * CLASSES * GROUPS;

/// Bytes of the largest item of each class but the last.
pub(crate) const CLASS_MAX: [usize; CLASSES - 1] = {
    let (mut max, mut class) = ([0; CLASSES - 1], 0);
    while class < CLASSES - 1 {
        max[class] = SMALLEST << class;
        class += 1;
    }
    max
};
/// Bytes of the largest item of class 0.
const SMALLEST: usize = 128;

/// The size class of an item of `bytes`.
#[inline(always)]
pub(crate) fn class_of(bytes: usize) -> u8 {
    // The lowest bit is set so that there is a logarithm, and class 0 has two of them.
    let halves = (bytes.wrapping_sub(1) / (SMALLEST / 2)) | 1;
    halves.ilog2().min(CLASSES as u32 - 1) as u8
}

/// The level of an item with this use counter.
#[inline(always)]
pub(crate) fn level_of(uses: u32) -> u8 {
    (u32::BITS - uses.leading_zeros()).min(LEVELS as u32 - 1) as u8
}

impl LogId {
    /// A number below [`LOGS`].
    pub(crate) fn index(self) -> usize {
        (usize::from(self.level) * CLASSES + usize::from(self.class)) * GROUPS
            + usize::from(self.group)
    }

    /// The log with this number.
    pub(crate) fn from_index(index: usize) -> Self {
        let group = (index % GROUPS) as u8;
        let class = (index / GROUPS % CLASSES) as u8;
        Self { level: (index / GROUPS / CLASSES) as u8, class, group }
    }
}

impl Place {
    fn pack(self) -> u32 {
        self.phase as u32
            | u32::from(self.log.level) << 8
            | u32::from(self.log.class) << 16
            | u32::from(self.log.group) << 24
    }

    fn unpack(word: u32) -> Self {
        let [phase, level, class, group] = word.to_le_bytes();
        let phase = match phase {
            0 => Phase::Free,
            1 => Phase::Open,
            2 => Phase::Sealed,
            3 => Phase::Victim,
            _ => Phase::Zombie,
        };
        Self { phase, log: LogId { level, class, group } }
    }
}

/// What identifies one use of a segment's memory: a number that grows, the level of its log, and
/// the flush epoch in which it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

/// Where a stamp has the level.
const LEVEL_MASK: u32 = 7;
/// Set in the epoch of a segment whose bytes are yet to be compared with their checksum.
const UNVERIFIED: u32 = 1 << 31;

impl Stamp {
    /// The use after this one.
    fn next(self, level: u8, epoch: u32) -> Self {
        // The next multiple of eight, whose lowest bits are then the level: a segment may change its
        // level with each use, and the number still grows.
        let generation = ((self.0 >> 32) as u32 | LEVEL_MASK).wrapping_add(1) | u32::from(level);
        Self(u64::from(generation) << 32 | u64::from(epoch))
    }

    /// The level of the log that it was opened for.
    pub(crate) fn level(self) -> u8 {
        ((self.0 >> 32) as u32 & LEVEL_MASK) as u8
    }

    /// The flush epoch in which the segment was opened.
    pub(crate) fn epoch(self) -> u32 {
        self.0 as u32 & !UNVERIFIED
    }

    /// Whether the segment was opened in this epoch, and can be read.
    #[inline(always)]
    pub(crate) fn is_of(self, epoch: u32) -> bool {
        self.0 as u32 == epoch
    }

    /// Whether the segment's bytes are yet to be compared with their checksum.
    #[inline(always)]
    pub(crate) fn is_unverified(self) -> bool {
        self.0 as u32 & UNVERIFIED != 0
    }
}

/// What a segment is opened with, and what its items are compared with: the second, the flush epoch
/// and the last version given out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) now: u32,
    pub(crate) epoch: u32,
    pub(crate) version: u64,
}

/// What lives in a segment, kept in one word so that a change is one instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Bytes of live items.
    pub(crate) bytes: u32,
    /// Live items that begin here.
    pub(crate) items: u32,
    /// Items that have space here but are not published yet.
    pub(crate) pending: u32,
}

/// One of each field of a packed [`Load`]: 24 bits for bytes, 20 for items, 20 for pending ones.
const ITEM: u64 = 1 << 24;
const PENDING: u64 = 1 << 44;

impl Load {
    fn unpack(word: u64) -> Self {
        Self {
            bytes: word as u32 & 0xff_ffff,
            items: (word >> 24) as u32 & 0xf_ffff,
            pending: (word >> 44) as u32,
        }
    }

    /// Whether nothing lives here, and nothing is about to.
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

row! {
    /// What a segment is doing and what lies in it: one line of the processor's cache.
    pub(crate) struct Row {
        /// Its [`Load`].
        load: AtomicU64,
        /// Address of the item that `lead_words` belong to; 0 for none.
        lead: AtomicU64,
        /// Handles that read from it.
        pins: AtomicU32,
        /// Words handed out, from the front.
        used: AtomicU32,
        /// What its items were worth when that was summed up last: a float's bits.
        worth: AtomicU32,
        /// When that was: evictions until then, and some; 0 for never.
        counted: AtomicU32,
        /// Where the item continues that does not end here; also the link of free segments.
        next: AtomicU32,
        /// Words at the front that belong to an item that begins in another segment.
        lead_words: AtomicU32,
        /// Its [`Place`].
        place: AtomicU32,
        /// Count of segments opened before it was sealed: its age in logical time.
        born: AtomicU32,
        /// Second when it was opened.
        opened: AtomicU32,
        /// Link of the queue that it waits in.
        older: AtomicU32,
        /// Link of the queue that it waits in.
        newer: AtomicU32,
    }
}

/// Where hits are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HitCell {
    pub(crate) level: u8,
    pub(crate) age: u8,
    /// They are hits of what a loop keeps.
    pub(crate) kept: bool,
}

impl HitCell {
    /// Ages of what a loop keeps are even numbers.
    pub(crate) fn new(level: u8, age: usize, kept: bool) -> Self {
        let age = if kept { age / 2 * 2 } else { age };
        Self { level, age: age as u8, kept }
    }

    pub(crate) fn index(self) -> usize {
        let (level, age) = (usize::from(self.level), usize::from(self.age));
        match self.kept {
            true => KEPT_CELLS + level * KEPT_AGES + age / 2,
            false => level * HIT_AGES + age,
        }
    }

    pub(crate) fn from_index(index: usize) -> Self {
        let kept = index >= KEPT_CELLS;
        let (level, age) = match kept {
            true => ((index - KEPT_CELLS) / KEPT_AGES, (index - KEPT_CELLS) % KEPT_AGES * 2),
            false => (index / HIT_AGES, index % HIT_AGES),
        };
        Self { level: level as u8, age: age as u8, kept }
    }
}

row! {
    /// What readers of items look at. Apart from the rest, which writers change all the time.
    pub(crate) struct Identity {
        /// Its [`Stamp`].
        stamp: AtomicU64,
        /// The version that its items' versions are kept relative to, and above it where their hits
        /// are counted.
        base: AtomicU64,
    }
}

/// Bits of a version in a segment's row.
const VERSION_BITS: u32 = 57;
const VERSION_MASK: u64 = (1 << VERSION_BITS) - 1;
/// Ages by which hits of a level are told apart.
pub(crate) const HIT_AGES: usize = 16;
/// The same for segments that a loop keeps: two of those ages together.
const KEPT_AGES: usize = HIT_AGES / 2;
/// The first place where hits of those are counted.
const KEPT_CELLS: usize = LEVELS * HIT_AGES;
/// Places where hits are counted.
pub(crate) const HIT_CELLS: usize = KEPT_CELLS + LEVELS * KEPT_AGES;

/// Bytes of everything that the table holds about a segment.
pub(crate) const ROW_BYTES: usize =
    size_of::<Row>() + size_of::<Identity>() + size_of::<AtomicU32>();

/// The table.
#[derive(Debug)]
pub(crate) struct Segments {
    /// Words of a segment, as a power of two.
    shift: u32,
    rows: Region<Row>,
    identities: Region<Identity>,
    /// The second at which it is worth looking for expired items. The sweep reads all of them, so
    /// they lie close together.
    due: Region<AtomicU32>,
}

impl Segments {
    /// A table for segments `0..count` of `1 << shift` words each.
    pub(crate) fn new(count: usize, shift: u32, source: &mut Source) -> std::io::Result<Self> {
        Ok(Self {
            shift,
            rows: Region::reserve(count, source)?,
            identities: Region::reserve(count, source)?,
            due: Region::reserve(count, source)?,
        })
    }

    /// Whether the table can have the row of a segment.
    pub(super) fn secure(&self, id: SegmentId) -> bool {
        let id = id as usize;
        self.rows.secure(id, 1) && self.identities.secure(id, 1) && self.due.secure(id, 1)
    }

    /// Checksums of everything about the segments below `bound`.
    pub(crate) fn checksums(&mut self, bound: SegmentId, mut each: impl FnMut(u64)) {
        let bound = bound as usize;
        each(checksum(self.rows.bytes(0, bound)));
        each(checksum(self.identities.bytes(0, bound)));
        each(checksum(self.due.bytes(0, bound)));
    }

    /// The row of a segment.
    #[inline(always)]
    pub(crate) fn row(&self, id: SegmentId) -> &Row {
        self.rows.at(id as usize)
    }

    /// The version that the versions of the segment's items are kept relative to.
    #[inline(always)]
    pub(crate) fn version_base(&self, id: SegmentId) -> u64 {
        self.identities.at(id as usize).base.load(Ordering::Relaxed) & VERSION_MASK
    }

    /// Where hits of the segment's items are counted: the number of a [`HitCell`].
    #[inline(always)]
    pub(crate) fn hit_cell(&self, id: SegmentId) -> usize {
        (self.identities.at(id as usize).base.load(Ordering::Relaxed) >> VERSION_BITS) as usize
    }

    /// Moves the place where hits are counted, unless the segment is opened anew meanwhile.
    pub(crate) fn set_hit_cell(&self, id: SegmentId, cell: usize) {
        let base = &self.identities.at(id as usize).base;
        let word = base.load(Ordering::Relaxed);
        let moved = word & VERSION_MASK | (cell as u64) << VERSION_BITS;
        // It is only a place for counts: if this fails, the next one to look moves it.
        let _ = base.compare_exchange(word, moved, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The second at which it is worth looking for expired items.
    #[inline(always)]
    pub(crate) fn due(&self, id: SegmentId) -> &AtomicU32 {
        self.due.at(id as usize)
    }

    /// Prefetches what readers look at.
    #[inline(always)]
    pub(crate) fn prefetch(&self, id: SegmentId) {
        self.identities.prefetch(id as usize);
    }

    /// Words of a segment.
    #[inline(always)]
    pub(crate) fn segment_words(&self) -> usize {
        1 << self.shift
    }

    /// Bytes of a segment.
    pub(crate) fn segment_bytes(&self) -> usize {
        4 << self.shift
    }

    /// The segment that an address lies in.
    #[inline(always)]
    pub(crate) fn segment_of(&self, loc: Loc) -> SegmentId {
        (loc >> self.shift) as SegmentId
    }

    /// The segment that a byte address lies in.
    #[inline(always)]
    pub(crate) fn segment_at(&self, at: usize) -> SegmentId {
        self.segment_of(at as Loc / 4)
    }

    /// How many whole segments `bytes` are.
    #[inline(always)]
    pub(crate) fn count_in(&self, bytes: usize) -> usize {
        bytes >> (self.shift + 2)
    }

    /// The address of a segment's first word.
    #[inline(always)]
    pub(crate) fn start(&self, id: SegmentId) -> Loc {
        u64::from(id) << self.shift
    }

    #[inline(always)]
    pub(crate) fn stamp(&self, id: SegmentId) -> Stamp {
        // Pairs with the release fence of `open` and the release store there: who sees a byte that
        // was written under a new stamp sees the new stamp as well when it looks again.
        Stamp(self.identities.at(id as usize).stamp.load(Ordering::Acquire))
    }

    /// The segment's bytes are yet to be compared with their checksum. Nobody uses it so far.
    pub(crate) fn set_unverified(&self, id: SegmentId) {
        let stamp = &self.identities.at(id as usize).stamp;
        stamp.fetch_or(UNVERIFIED.into(), Ordering::Relaxed);
    }

    /// They were compared.
    pub(crate) fn set_verified(&self, id: SegmentId) {
        let stamp = &self.identities.at(id as usize).stamp;
        // Nothing was written: a reader that sees the old stamp only begins again.
        stamp.fetch_and(!u64::from(UNVERIFIED), Ordering::Relaxed);
    }

    pub(crate) fn place(&self, id: SegmentId) -> Place {
        Place::unpack(self.row(id).place.load(Ordering::Relaxed))
    }

    pub(crate) fn set_place(&self, id: SegmentId, place: Place) {
        self.row(id).place.store(place.pack(), Ordering::Relaxed);
    }

    /// Begins a new use of a segment. From here on, readers of its old contents notice.
    pub(crate) fn open(&self, id: SegmentId, log: LogId, opening: &Opening) {
        let identity = self.identities.at(id as usize);
        let stamp = self.stamp(id).next(log.level, opening.epoch);
        identity.stamp.store(stamp.0, Ordering::Relaxed);
        // Pairs with the acquire fence of `Engine::is_current`: a reader that sees the new base, or
        // a byte written from here on, must see the new stamp as well.
        crate::memory::sync::fence(Ordering::Release);
        let cell = HitCell::new(log.level, 0, false).index() as u64;
        debug_assert!(opening.version <= VERSION_MASK, "versions are counted up from 0");
        identity.base.store(opening.version | cell << VERSION_BITS, Ordering::Relaxed);
        self.set_place(id, Place { phase: Phase::Open, log });
        self.due(id).store(NEVER, Ordering::Relaxed);
        let row = self.row(id);
        row.opened.store(opening.now, Ordering::Relaxed);
        for cell in [&row.used, &row.counted, &row.lead_words, &row.next] {
            cell.store(0, Ordering::Relaxed);
        }
        row.lead.store(0, Ordering::Relaxed);
    }

    /// Whether handles read from it. Sequentially consistent, as are the changes: a reader pins and
    /// then looks whether its item is still there; who takes the item away looks for pins
    /// afterwards. See `Engine::pin`.
    pub(crate) fn is_pinned(&self, id: SegmentId) -> bool {
        self.row(id).pins.load(Ordering::SeqCst) > 0
    }

    /// Pins a segment; true if it was not pinned before. Pairs with [`Self::is_pinned`].
    pub(crate) fn add_pin(&self, id: SegmentId) -> bool {
        self.row(id).pins.fetch_add(1, Ordering::SeqCst) == 0
    }

    /// Takes a pin away; true if it was the last one. Pairs with [`Self::is_pinned`]: what the
    /// reader did before happened before the memory is used again.
    pub(crate) fn remove_pin(&self, id: SegmentId) -> bool {
        let pins = self.row(id).pins.fetch_sub(1, Ordering::SeqCst);
        debug_assert!(pins > 0, "segment {id} was not pinned");
        pins == 1
    }

    pub(crate) fn load(&self, id: SegmentId) -> Load {
        // Pairs with the releasing changes below: who finds a segment empty sees all that was done
        // with its items before.
        Load::unpack(self.row(id).load.load(Ordering::Acquire))
    }

    /// Space was handed out for an item, or for a part of one.
    pub(crate) fn add_pending(&self, id: SegmentId) {
        self.row(id).load.fetch_add(PENDING, Ordering::Relaxed);
    }

    /// Space was handed out for an item that will be live soon: it counts already.
    pub(crate) fn add_live(&self, id: SegmentId, bytes: usize) {
        self.row(id).load.fetch_add(ITEM + bytes as u64, Ordering::Relaxed);
    }

    /// A pending item, or a part of it, became live.
    pub(crate) fn publish(&self, id: SegmentId, bytes: usize, begins: bool) {
        let change = (ITEM * u64::from(begins) + bytes as u64).wrapping_sub(PENDING);
        // Pairs with the Acquire in `load`.
        self.row(id).load.fetch_add(change, Ordering::Release);
    }

    /// A pending item, or a part of it, will not be published; what is left.
    pub(crate) fn cancel(&self, id: SegmentId) -> Load {
        // Pairs with `load` and the other changes: the last one that leaves a segment may free it.
        Load::unpack(self.row(id).load.fetch_sub(PENDING, Ordering::AcqRel) - PENDING)
    }

    /// A live item, or a part of it, is gone; what is left.
    pub(crate) fn remove(&self, id: SegmentId, bytes: usize, begins: bool) -> Load {
        self.remove_all(id, bytes, usize::from(begins))
    }

    /// `items` live items with `bytes` here are gone; what is left.
    pub(crate) fn remove_all(&self, id: SegmentId, bytes: usize, items: usize) -> Load {
        let change = ITEM * items as u64 + bytes as u64;
        // Pairs as in `cancel`.
        Load::unpack(self.row(id).load.fetch_sub(change, Ordering::AcqRel) - change)
    }
}

/// The parts of a run of bytes that may continue in other segments.
#[derive(Clone, Debug)]
pub(crate) struct Pieces<'t> {
    table: &'t Segments,
    at: usize,
    len: usize,
}

impl<'t> Pieces<'t> {
    /// `len` bytes from byte address `at` on.
    #[inline(always)]
    pub(crate) fn new(table: &'t Segments, at: usize, len: usize) -> Self {
        Self { table, at, len }
    }

    /// The segments that the parts lie in, and the parts' lengths.
    #[inline(always)]
    pub(crate) fn by_segment(self) -> impl Iterator<Item = (SegmentId, usize)> {
        let table = self.table;
        self.map(|(at, len)| (table.segment_at(at), len))
    }
}

impl Iterator for Pieces<'_> {
    /// Byte address and length.
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        if self.len == 0 {
            return None;
        }
        // Sizes are powers of two: this is on the way of every read, and divisions are slow.
        let segment = self.table.segment_bytes();
        let at = self.at;
        let len = self.len.min(segment - (at & (segment - 1)));
        self.len -= len;
        if self.len > 0 {
            let next = self.table.row(self.table.segment_at(at)).next.load(Ordering::Relaxed);
            self.at = self.table.start(next) as usize * 4;
        }
        Some((at, len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_survives_packing() {
        use Phase::*;
        for phase in [Free, Open, Sealed, Victim, Zombie] {
            for level in [0, 4] {
                let place = Place { phase, log: LogId { level, class: 5, group: 3 } };
                assert_eq!(Place::unpack(place.pack()), place);
            }
        }
    }

    #[test]
    fn every_log_has_a_number_of_its_own() {
        let mut seen = [false; LOGS];
        for level in 0..LEVELS as u8 {
            for class in 0..CLASSES as u8 {
                for group in 0..GROUPS as u8 {
                    let log = LogId { level, class, group };
                    assert_eq!(LogId::from_index(log.index()), log);
                    assert!(!std::mem::replace(&mut seen[log.index()], true));
                }
            }
        }
    }

    #[test]
    fn load_counts_pending_and_live_apart() {
        let table = Segments::new(2, 4, &mut Source::System).unwrap();
        table.add_pending(1);
        table.add_pending(1);
        table.publish(1, 1000, true);
        assert_eq!(table.load(1), Load { bytes: 1000, items: 1, pending: 1 });
        table.cancel(1);
        assert!(table.remove(1, 1000, true).is_empty());
    }

    #[test]
    fn a_stamp_never_comes_back() {
        let table = Segments::new(2, 4, &mut Source::System).unwrap();
        let mut last = table.stamp(1);
        for level in [4, 4, 0, 0, 3] {
            table.open(
                1,
                LogId { level, class: 0, group: 0 },
                &Opening { now: 1, epoch: 7, version: 1 },
            );
            let stamp = table.stamp(1);
            assert!(stamp.0 > last.0);
            assert_eq!((stamp.level(), stamp.epoch()), (level, 7));
            last = stamp;
        }
    }

    #[test]
    fn pieces_follow_the_links() {
        let table = Segments::new(8, 4, &mut Source::System).unwrap();
        table.row(2).next.store(5, Ordering::Relaxed);
        table.row(5).next.store(3, Ordering::Relaxed);
        let pieces: Vec<_> = Pieces::new(&table, 2 * 64 + 60, 70).collect();
        assert_eq!(pieces, [(188, 4), (320, 64), (192, 2)]);
        assert_eq!(Pieces::new(&table, 192, 0).next(), None);
    }

    #[test]
    fn classes_are_twice_apart() {
        let sizes = [1, 128, 129, 256, 257, 65536, 65537, 1 << 30];
        assert_eq!(sizes.map(class_of), [0, 0, 1, 1, 2, 9, 10, 10]);
        for (class, &max) in CLASS_MAX.iter().enumerate() {
            assert_eq!((class_of(max), class_of(max + 1)), (class as u8, class as u8 + 1));
        }
    }

    #[test]
    fn levels_are_powers_of_two_of_uses() {
        let uses = [0, 1, 2, 3, 4, 7, 8, 15];
        assert_eq!(uses.map(level_of), [0, 1, 2, 2, 3, 3, 4, 4]);
    }

    #[test]
    fn where_hits_are_counted_does_not_touch_the_version() {
        let table = Segments::new(2, 4, &mut Source::System).unwrap();
        let log = LogId { level: 3, class: 0, group: 0 };
        let version = (1 << 40) + 5;
        table.open(1, log, &Opening { now: 1, epoch: 7, version });
        let new = HitCell::new(3, 0, false).index();
        assert_eq!((table.version_base(1), table.hit_cell(1)), (version, new));
        table.set_hit_cell(1, HIT_CELLS - 1);
        assert_eq!((table.version_base(1), table.hit_cell(1)), (version, HIT_CELLS - 1));
    }

    #[test]
    fn every_place_for_hits_has_a_number() {
        for index in 0..HIT_CELLS {
            assert_eq!(HitCell::from_index(index).index(), index);
        }
        let cell = HitCell::new(4, 9, true);
        assert_eq!((cell.age, HitCell::from_index(cell.index())), (8, cell));
        // A row has seven bits for the number.
        const { assert!(HIT_CELLS <= 1 << (64 - VERSION_BITS)) };
    }
}
