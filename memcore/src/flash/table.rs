//! The table of what is on flash: from a key's place in the index to a position in the log, 8 bytes
//! an item.
//!
//! ```text
//!   shard   [ bucket ][ bucket ] ...      bucket = place * buckets / 2^32
//!   bucket  16 words
//!   word    [ second | tag: lower 27 bits of the place | fetched | size, 2 | address, 33 bits ]
//! ```
//!
//! It is cut into the index's shards and guarded by their locks. A key has two places, of which it
//! takes the one whose bucket is emptier; if both are full, a word of them makes room that has room
//! at its key's other place. So nearly all words can be in use. Bucket and tag together give the
//! place back, as in the index, so a shard grows without a look at anything but itself. If nothing
//! makes room, what was written first goes, which the log is about to overwrite anyway. What the
//! log has overwritten is forgotten whenever something else comes to its bucket.

use std::io;

use super::map::ADDRESS_BITS;
use crate::index::{Guard, Position};
use crate::memory::region::{Region, Source};
use crate::memory::sync::{AtomicU32, AtomicU64, Ordering};
use crate::restart::state::{Damaged, Reader, Writer, checksum};

/// Words of a bucket.
const BUCKET: usize = 16;
/// Bytes of a bucket.
const BUCKET_BYTES: usize = BUCKET * size_of::<u64>();
/// Buckets of a page; a shard has a multiple of them.
const STEP: u32 = 32;
/// A shard grows once this many hundredths of its words are in use.
const FULL: u64 = 95;
/// By this share, or by a page.
const GROWTH: u32 = 32;
/// Buckets that have a checksum together.
const BLOCK: u32 = 16 * STEP;
/// Buckets that are moved by each insertion into a shard that is growing.
const MOVED: u32 = 2;

const TAG_BITS: u32 = 27;
const TAG_SHIFT: u32 = u64::BITS - 1 - TAG_BITS;
/// Of a word that lies at its key's second place.
const SECOND: u64 = 1 << (u64::BITS - 1);
const TAG_MASK: u32 = (1 << TAG_BITS) - 1;
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;
/// The sizes that a word can name, in bytes: what a first read asks for.
const SIZES: [usize; 3] = [4 << 10, 16 << 10, usize::MAX];
/// Of a word whose item was fetched, whatever its record says.
const FETCHED: u64 = 1 << (TAG_SHIFT - 1);

/// A word of the table: never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u64);

/// How far the log has come, in units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Where the next record begins.
    pub(super) head: u64,
    /// What begins before this has been overwritten.
    pub(super) tail: u64,
}

/// Where a record is: the unit that it begins at, and its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) unit: u64,
    pub(super) len: usize,
}

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Shard]>,
    slots: Region<AtomicU64>,
    /// Buckets for which a shard has address space.
    most: u32,
    /// Words that were forgotten since their records were overwritten, or for want of room.
    evicted: AtomicU64,
}

/// Guarded by the lock of the index's shard of the same number.
#[derive(Debug, Default)]
struct Shard {
    items: AtomicU32,
    /// Buckets before and after a growth; the same if there is none.
    old: AtomicU32,
    new: AtomicU32,
    /// Old buckets, from the last one on, that have been moved.
    moved: AtomicU32,
}

/// A place of a key, and whether it is its second one.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u32,
    second: bool,
}

impl Place {
    /// Both places of a key.
    fn both(position: Position) -> [Self; 2] {
        [Self { at: position.at, second: false }, Self { at: mix(position.at), second: true }]
    }

    /// What a word at this place has besides address and size.
    fn mark(self) -> u64 {
        let second = if self.second { SECOND } else { 0 };
        second | u64::from(self.at & TAG_MASK) << TAG_SHIFT
    }
}

impl Word {
    /// A record of `len` bytes at a unit. Its place is yet to be chosen.
    fn new(unit: u64, len: usize) -> Self {
        let size = 1 + SIZES.iter().position(|&size| len <= size).unwrap_or(SIZES.len() - 1);
        Self((size as u64) << ADDRESS_BITS | unit & ADDRESS_MASK)
    }

    fn at(self, place: Place) -> Self {
        Self(self.0 & ((1 << TAG_SHIFT) - 1) | place.mark())
    }

    /// Whether it is a key's of this place.
    fn is_of(self, place: Place) -> bool {
        self.0 != 0 && self.0 >> TAG_SHIFT == place.mark() >> TAG_SHIFT
    }

    /// The first place of the key whose word lies at the place `at`.
    fn first_place(self, at: u32) -> u32 {
        if self.0 & SECOND == 0 { at } else { unmix(at) }
    }

    /// The other place of the key whose word lies at the place `at`.
    fn other_place(self, at: u32) -> Place {
        match self.0 & SECOND {
            0 => Place { at: mix(at), second: true },
            _ => Place { at: unmix(at), second: false },
        }
    }

    fn tag(self) -> u32 {
        (self.0 >> TAG_SHIFT) as u32 & TAG_MASK
    }

    /// Whether it was noted that its item was fetched.
    pub(super) fn is_fetched(self) -> bool {
        self.0 & FETCHED != 0
    }

    /// The most that the record may have, in bytes, as far as that is known.
    pub(super) fn size(self) -> usize {
        SIZES[((self.0 >> ADDRESS_BITS & 3) as usize).saturating_sub(1)]
    }

    /// The unit where the record begins; `None` if it has been overwritten.
    pub(super) fn unit(self, extent: Extent) -> Option<u64> {
        let unit = extent.head.checked_sub(self.age(extent))?;
        (unit >= extent.tail).then_some(unit)
    }

    /// Units since it was written.
    fn age(self, extent: Extent) -> u64 {
        extent.head.wrapping_sub(self.0) & ADDRESS_MASK
    }
}

impl Table {
    /// An empty table of `shards` shards that may grow to `bytes`.
    pub(super) fn new(shards: u32, bytes: usize, source: &mut Source) -> io::Result<Self> {
        let most = Self::buckets_max(shards, bytes);
        let slots = Region::reserve(shards as usize * most as usize * BUCKET, source)?;
        let shard =
            || Shard { old: AtomicU32::new(STEP), new: AtomicU32::new(STEP), ..Shard::default() };
        let shards = (0..shards).map(|_| shard()).collect();
        Ok(Self { shards, slots, most, evicted: AtomicU64::new(0) })
    }

    /// Buckets for which a shard has address space in a table that may grow to `bytes`.
    pub(super) fn buckets_max(shards: u32, bytes: usize) -> u32 {
        let most = bytes / shards as usize / BUCKET_BYTES / STEP as usize * STEP as usize;
        most.clamp(STEP as usize, 1 << 31) as u32
    }

    /// Buckets for which a shard has address space.
    pub(super) fn buckets_most(&self) -> u32 {
        self.most
    }

    /// Keeps the sizes of the shards.
    pub(super) fn save(&self, out: &mut Writer) {
        for shard in &self.shards {
            for count in shard.numbers() {
                out.put(count.load(Ordering::Relaxed).into());
            }
        }
    }

    /// Sets what was kept.
    ///
    /// # Errors
    /// It is not all there, or can't be.
    pub(super) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), Damaged> {
        for shard in &self.shards {
            for count in shard.numbers() {
                count.store(from.take_u32()?, Ordering::Relaxed);
            }
            if !shard.can_be(self.most) {
                return Err(Damaged("flash table"));
            }
        }
        Ok(())
    }

    /// Checksums of all buckets, block by block.
    pub(super) fn checksums(&mut self, mut each: impl FnMut(u64)) {
        for (number, shard) in self.shards.iter().enumerate() {
            let buckets = shard.new.load(Ordering::Relaxed);
            for first in (0..buckets).step_by(BLOCK as usize) {
                let here = (buckets - first).min(BLOCK) as usize;
                let start = number * self.most as usize + first as usize;
                each(checksum(self.slots.bytes(start * BUCKET, here * BUCKET)));
            }
        }
    }

    /// Whether all shards can have their first page.
    pub(super) fn secure_least(&self) -> bool {
        (0..self.shards.len()).all(|shard| {
            self.slots.secure(shard * self.most as usize * BUCKET, STEP as usize * BUCKET)
        })
    }

    /// Bytes of an empty table of `shards` shards.
    pub(super) fn bytes_min(shards: u32) -> usize {
        shards as usize * (STEP as usize * BUCKET_BYTES + size_of::<Shard>())
    }

    /// Bytes of memory in use. It is a sum over shards that are not locked.
    pub(super) fn bytes(&self) -> usize {
        let buckets = |shard: &Shard| shard.new.load(Ordering::Relaxed) as usize;
        self.shards.iter().map(buckets).sum::<usize>() * BUCKET_BYTES + size_of_val(&*self.shards)
    }

    /// Items in the table. It is a sum over shards that are not locked.
    pub(super) fn items(&self) -> u64 {
        self.shards.iter().map(|shard| u64::from(shard.items.load(Ordering::Relaxed))).sum()
    }

    /// Words that made room for others, or whose records were overwritten; of those, the ones that
    /// somebody has come across.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Forgets the key, whose record was overwritten.
    pub(super) fn remove_overwritten(&self, position: Position, lock: &Guard<'_>) {
        if self.remove(position, lock) {
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The key's word, if there is one.
    pub(super) fn find(&self, position: Position, _lock: &Guard<'_>) -> Option<Word> {
        Place::both(position).into_iter().find_map(|place| {
            let mut words = self.bucket_of(position.shard, place.at).iter().map(load);
            words.find(|word| word.is_of(place))
        })
    }

    /// Notes that the key's item was fetched, if there is a word of it.
    pub(super) fn mark_fetched(&self, position: Position, _lock: &Guard<'_>) {
        for place in Place::both(position) {
            let cells = self.bucket_of(position.shard, place.at).iter();
            for cell in cells.filter(|cell| load(cell).is_of(place)) {
                cell.store(cell.load(Ordering::Relaxed) | FETCHED, Ordering::Relaxed);
            }
        }
    }

    /// Forgets the key; whether there was something to forget.
    pub(super) fn remove(&self, position: Position, _lock: &Guard<'_>) -> bool {
        let mut removed = 0;
        for place in Place::both(position) {
            for cell in self.bucket_of(position.shard, place.at) {
                if load(cell).is_of(place) {
                    cell.store(0, Ordering::Relaxed);
                    removed += 1;
                }
            }
        }
        if removed > 0 {
            self.shard(position.shard).count(-removed);
        }
        removed > 0
    }

    /// Enters a record in place of what there is of the key. `take` is
    /// asked for memory if the table is to grow.
    pub(super) fn insert(
        &self,
        position: Position,
        at: Record,
        extent: Extent,
        lock: &Guard<'_>,
        take: impl FnOnce(usize) -> bool,
    ) {
        self.advance(position.shard, extent, MOVED);
        self.remove(position, lock);
        self.push(position, Word::new(at.unit, at.len), extent);
        self.grow(position.shard, take);
    }

    /// Forgets all of a shard and gives its memory back but for the least; how much that was.
    pub(super) fn clear(&self, shard: u32, _lock: &Guard<'_>) -> usize {
        let state = self.shard(shard);
        let buckets = state.new.load(Ordering::Relaxed);
        let first = shard as usize * self.most as usize * BUCKET;
        self.slots.release(first, buckets as usize * BUCKET);
        for count in [&state.old, &state.new] {
            count.store(STEP, Ordering::Relaxed);
        }
        state.moved.store(0, Ordering::Relaxed);
        state.items.store(0, Ordering::Relaxed);
        (buckets - STEP) as usize * BUCKET_BYTES
    }

    /// Puts words into the buckets in use, one after the other, wherever they would belong.
    #[cfg(any(test, fuzzing))]
    pub(super) fn fill(&self, mut words: impl Iterator<Item = u64>) {
        for shard in 0..self.shards.len() as u32 {
            for bucket in 0..self.shard(shard).new.load(Ordering::Relaxed) {
                for (cell, word) in self.bucket(shard, bucket).iter().zip(&mut words) {
                    cell.store(word, Ordering::Relaxed);
                }
            }
        }
    }

    /// Visits all words of a shard, and the places of their keys.
    #[cfg(any(test, fuzzing))]
    pub(super) fn visit(&self, shard: u32, mut visit: impl FnMut(u32, Word)) {
        let state = self.shard(shard);
        for bucket in 0..state.new.load(Ordering::Relaxed) {
            for word in self.bucket(shard, bucket).iter().map(load).filter(|word| word.0 != 0) {
                let at = place_of(word, bucket, state.buckets_of(bucket));
                assert_eq!(state.bucket(at), bucket, "a word lies in its bucket");
                visit(word.first_place(at), word);
            }
        }
    }

    fn shard(&self, shard: u32) -> &Shard {
        &self.shards[shard as usize]
    }

    fn bucket_of(&self, shard: u32, at: u32) -> &[AtomicU64] {
        self.bucket(shard, self.shard(shard).bucket(at))
    }

    fn bucket(&self, shard: u32, bucket: u32) -> &[AtomicU64] {
        let number = shard as usize * self.most as usize + bucket as usize;
        self.slots.cells(number * BUCKET, BUCKET)
    }

    /// Puts a word in the emptier one of its key's buckets, or where what is there is oldest.
    fn push(&self, position: Position, new: Word, extent: Extent) {
        let Position { shard, .. } = position;
        let [first, second] = Place::both(position).map(|place| {
            let cells = self.bucket_of(shard, place.at);
            (place, cells, self.tidy(shard, cells, extent))
        });
        let (place, cells, room) = match (first.2, second.2) {
            (Room { free: 0, age: one, .. }, Room { free: 0, age: other, .. }) => {
                let places = [first.0, second.0];
                if let Some((place, cell)) = self.make_room(shard, places, extent) {
                    cell.store(new.at(place).0, Ordering::Relaxed);
                    return self.shard(shard).count(1);
                }
                if one >= other { first } else { second }
            }
            (one, other) if one.free >= other.free => first,
            _ => second,
        };
        cells[room.at].store(new.at(place).0, Ordering::Relaxed);
        match room.free {
            0 => _ = self.evicted.fetch_add(1, Ordering::Relaxed),
            _ => self.shard(shard).count(1),
        }
    }

    /// Moves a word of the full buckets at these places to its key's other one, if one of them has
    /// room there: where it was, and at which of the places that is.
    fn make_room(
        &self,
        shard: u32,
        places: [Place; 2],
        extent: Extent,
    ) -> Option<(Place, &AtomicU64)> {
        let state = self.shard(shard);
        for place in places {
            let bucket = state.bucket(place.at);
            let buckets = state.buckets_of(bucket);
            for cell in self.bucket(shard, bucket) {
                let word = load(cell);
                let other = word.other_place(place_of(word, bucket, buckets));
                let cells = self.bucket_of(shard, other.at);
                let room = self.tidy(shard, cells, extent);
                if room.free > 0 {
                    cells[room.at].store(word.at(other).0, Ordering::Relaxed);
                    cell.store(0, Ordering::Relaxed);
                    return Some((place, cell));
                }
            }
        }
        None
    }

    /// Forgets what was overwritten of what a bucket has.
    fn tidy(&self, shard: u32, cells: &[AtomicU64], extent: Extent) -> Room {
        let (mut room, mut gone) = (Room { free: 0, at: 0, age: 0 }, 0);
        for (at, cell) in cells.iter().enumerate() {
            let word = load(cell);
            if word.0 != 0 && word.unit(extent).is_some() {
                if room.free == 0 && word.age(extent) >= room.age {
                    (room.at, room.age) = (at, word.age(extent));
                }
                continue;
            }
            if word.0 != 0 {
                cell.store(0, Ordering::Relaxed);
                gone += 1;
            }
            (room.free, room.at) = (room.free + 1, at);
        }
        if gone > 0 {
            self.shard(shard).count(-gone);
            self.evicted.fetch_add(gone as u64, Ordering::Relaxed);
        }
        room
    }

    /// Begins to let a shard grow if it is full enough.
    fn grow(&self, shard: u32, take: impl FnOnce(usize) -> bool) {
        let state = self.shard(shard);
        let buckets = state.new.load(Ordering::Relaxed);
        let items = u64::from(state.items.load(Ordering::Relaxed));
        let is_full = items * 100 > u64::from(buckets) * BUCKET as u64 * FULL;
        let grows = state.old.load(Ordering::Relaxed) != buckets;
        if !is_full || grows || buckets == self.most {
            return;
        }
        let more = (buckets / GROWTH).next_multiple_of(STEP).max(STEP).min(self.most - buckets);
        let first = (shard as usize * self.most as usize + buckets as usize) * BUCKET;
        if self.slots.secure(first, more as usize * BUCKET) && take(more as usize * BUCKET_BYTES) {
            state.new.store(buckets + more, Ordering::Relaxed);
        }
    }

    /// Moves a few more buckets of a shard that is growing.
    fn advance(&self, shard: u32, extent: Extent, most: u32) {
        let state = self.shard(shard);
        let [old, new] = [&state.old, &state.new].map(|count| count.load(Ordering::Relaxed));
        for _ in 0..most {
            let moved = state.moved.load(Ordering::Relaxed);
            if old == new {
                return;
            }
            let from = old - moved - 1;
            let words = self.take_bucket(shard, from);
            // What belongs to it is to be found at its new place from here on.
            state.moved.store(moved + 1, Ordering::Relaxed);
            for word in words.into_iter().filter(|word| word.0 != 0) {
                // Chosen anew, as otherwise some buckets would be full long before all are.
                let position = Position { shard, at: word.first_place(place_of(word, from, old)) };
                self.push(position, word, extent);
            }
            if from == 0 {
                state.old.store(new, Ordering::Relaxed);
                state.moved.store(0, Ordering::Relaxed);
                return;
            }
        }
    }

    fn take_bucket(&self, shard: u32, bucket: u32) -> [Word; BUCKET] {
        let cells = self.bucket(shard, bucket);
        let mut words = [Word(0); BUCKET];
        let mut taken = 0;
        for (word, cell) in words.iter_mut().zip(cells) {
            *word = load(cell);
            taken += i32::from(word.0 != 0);
            cell.store(0, Ordering::Relaxed);
        }
        self.shard(shard).count(-taken);
        words
    }
}

/// What a bucket has room for: how many words are free, and one of them; or else the oldest.
#[derive(Clone, Copy, Debug)]
struct Room {
    free: usize,
    at: usize,
    age: u64,
}

impl Shard {
    /// All that is kept of it.
    fn numbers(&self) -> [&AtomicU32; 4] {
        [&self.items, &self.old, &self.new, &self.moved]
    }

    /// Whether its numbers agree with each other, in a table with so many buckets a shard at most.
    fn can_be(&self, most: u32) -> bool {
        let [items, old, new, moved] = self.numbers().map(|count| count.load(Ordering::Relaxed));
        (STEP..=new).contains(&old)
            && new <= most
            && [old, new].iter().all(|buckets| buckets % STEP == 0)
            && moved < old
            && (old < new || moved == 0)
            && u64::from(items) <= u64::from(new) * BUCKET as u64
    }

    /// The bucket of a place.
    fn bucket(&self, at: u32) -> u32 {
        let [old, new] = [&self.old, &self.new].map(|count| count.load(Ordering::Relaxed));
        let bucket = scale(at, old);
        let is_moved = old - bucket <= self.moved.load(Ordering::Relaxed);
        if is_moved { scale(at, new) } else { bucket }
    }

    /// How many buckets there are as far as the words of this one are concerned: those that were
    /// moved lie behind all that were not.
    fn buckets_of(&self, bucket: u32) -> u32 {
        let [old, new] = [&self.old, &self.new].map(|count| count.load(Ordering::Relaxed));
        if bucket < old - self.moved.load(Ordering::Relaxed) { old } else { new }
    }

    fn count(&self, change: i32) {
        let items = self.items.load(Ordering::Relaxed);
        self.items.store(items.wrapping_add_signed(change), Ordering::Relaxed);
    }
}

fn load(cell: &AtomicU64) -> Word {
    Word(cell.load(Ordering::Relaxed))
}

/// The second place of a key. No two keys have the same unless they have the same first one.
fn mix(at: u32) -> u32 {
    // The end of MurmurHash3, whose steps can be undone.
    let at = (at ^ at >> 16).wrapping_mul(0x85eb_ca6b);
    let at = (at ^ at >> 13).wrapping_mul(0xc2b2_ae35);
    at ^ at >> 16
}

/// The place that `mix` made another of.
fn unmix(at: u32) -> u32 {
    let at = (at ^ at >> 16).wrapping_mul(0x7ed1_b41d);
    let at = (at ^ at >> 13 ^ at >> 26).wrapping_mul(0xa5cb_9243);
    at ^ at >> 16
}

/// Which of `buckets` a place belongs to.
fn scale(at: u32, buckets: u32) -> u32 {
    ((u64::from(at) * u64::from(buckets)) >> 32) as u32
}

/// The place of a word of this bucket among `buckets`.
fn place_of(word: Word, bucket: u32, buckets: u32) -> u32 {
    let first = ((u64::from(bucket) << 32).div_ceil(u64::from(buckets))) as u32;
    first.wrapping_add(word.tag().wrapping_sub(first) & TAG_MASK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Index;

    const SHARDS: u32 = 2;

    fn index() -> Index {
        Index::new(SHARDS as usize, 1 << 12, 1 << 20, false, &mut Source::System).unwrap()
    }

    fn table(bytes: usize) -> Table {
        Table::new(SHARDS, bytes, &mut Source::System).unwrap()
    }

    fn place(number: u64) -> Position {
        // splitmix64: places are as good as random.
        let hash = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Position { shard: (hash >> 63) as u32, at: (hash >> 16) as u32 }
    }

    fn record(unit: u64, len: usize) -> Record {
        Record { unit, len }
    }

    fn extent(head: u64, lap: u64) -> Extent {
        Extent { head, tail: head.saturating_sub(lap) }
    }

    #[test]
    fn a_second_place_leads_back_to_the_first() {
        for at in (0..=u32::MAX).step_by(65_521) {
            assert_eq!(unmix(mix(at)), at);
        }
    }

    #[test]
    fn a_shard_grows_with_what_is_in_it_and_loses_nearly_nothing() {
        let (index, table) = (index(), table(4 << 20));
        let items = 60_000;
        for number in 0..items {
            let lock = index.lock(place(number));
            let at = record(number + 1, 1_000 + (number as usize % 7) * 10_000);
            table.insert(place(number), at, extent(number + 1, items), &lock, |_| true);
            // Pages of 512 words: with six of them, one more is no large part.
            let each = table.bytes() as f64 / table.items() as f64;
            assert!(number < 6_000 || each < 10.0, "{each} bytes an item at {number}");
        }
        let found = (0..items).filter(|&number| {
            let lock = index.lock(place(number));
            let word = table.find(place(number), &lock);
            word.is_some_and(|word| {
                let size = 1_000 + (number as usize % 7) * 10_000;
                assert!(word.size() >= size);
                assert!(size > 16 << 10 || word.size() < size * 5, "{size}");
                assert!(!word.is_fetched());
                word.unit(extent(items, items)) == Some(number + 1)
            })
        });
        let found = found.count() as u64;
        assert_eq!(table.items(), found);
        assert!(found * 10_000 > items * 9_995, "{found} of {items}");
        let each = table.bytes() as f64 / found as f64;
        assert!(each < 8.8, "{each} bytes an item");
    }

    #[test]
    fn what_cannot_grow_forgets_what_is_oldest() {
        let (index, table) = (index(), table(1 << 16));
        let items = 20_000;
        for number in 0..items {
            let lock = index.lock(place(number));
            let extent = extent(number + 1, items);
            table.insert(place(number), record(number + 1, 100), extent, &lock, |_| true);
        }
        assert_eq!(table.bytes(), (1 << 16) + size_of_val(&*table.shards));
        let last: Vec<bool> = (items - 4_000..items)
            .map(|number| table.find(place(number), &index.lock(place(number))).is_some())
            .collect();
        assert!(last.iter().filter(|&&there| there).count() > 3_900);
    }

    #[test]
    fn what_was_overwritten_makes_room_and_is_not_found() {
        let (index, table) = (index(), table(1 << 20));
        let lap = 3_000;
        for number in 0..10 * lap {
            let lock = index.lock(place(number));
            let at = extent(number + 1, lap);
            table.insert(place(number), record(number + 1, 100), at, &lock, |_| true);
        }
        assert!(table.items() < lap * 105 / 100, "{}", table.items());
        let number = 9 * lap - 10;
        let word = table.find(place(number), &index.lock(place(number)));
        assert_eq!(word.and_then(|word| word.unit(extent(10 * lap, lap))), None);
    }

    #[test]
    fn a_key_is_entered_once_and_forgotten_at_once() {
        let (index, table) = (index(), table(1 << 20));
        for round in 1..100 {
            for number in 0..2_000 {
                let lock = index.lock(place(number));
                let unit = round * 2_000 + number;
                table.insert(
                    place(number),
                    record(unit, 100),
                    extent(unit + 1, 1 << 30),
                    &lock,
                    |_| true,
                );
            }
        }
        assert!(table.items() <= 2_000);
        let there = |number| table.find(place(number), &index.lock(place(number))).is_some();
        let before = table.items();
        assert!(there(5) && table.remove(place(5), &index.lock(place(5))) && !there(5));
        assert!(!table.remove(place(5), &index.lock(place(5))));
        assert_eq!(table.items(), before - 1);
        for shard in 0..SHARDS {
            table.clear(shard, &index.lock(Position { shard, at: 0 }));
        }
        assert_eq!((table.items(), there(6)), (0, false));
        assert_eq!(table.bytes(), Table::bytes_min(SHARDS));
    }
}
