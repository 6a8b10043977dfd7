//! The engine: what all operations share. Finding an item, looking at it, making it visible, and
//! removing it, each in one place.
//!
//! Lock order: change of the limit, reclaimer, shard, log, rows of the index, pool.

mod build;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use crate::config::Builder;
use crate::counters::{Counters, Event};
use crate::index::{Certainty, Guard, Index, NeedsLock, Position, Spot};
use crate::memory::region::Region;
use crate::memory::sync::{AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering, fence};
use crate::removal::{Cause, Listener, Removal};
use crate::space::append::Logs;
use crate::space::layout::{self, PENDING, Shape, State};
use crate::space::pool::Pool;
use crate::space::segments::{Loc, Phase, Pieces, Queue, SegmentId, Segments, Stamp, class_of};
use crate::upkeep::reclaim::Reclaim;
use crate::{Clock, Key, Lease, Meta, Miss, Moment};

/// Seconds that pass before an access is noted again.
const ACCESS_GRAIN: u32 = 60;

/// Lines of an item that are brought near before anything is known about it: 128 bytes that begin
/// anywhere lie in three.
const LINES_NEAR: usize = 3;
/// Words of a line of the processor's cache.
const LINE_WORDS: usize = 16;

/// What [`Part::Blanks`] is made of.
const BLANKS: [u8; 64] = [b' '; 64];

/// Room for any key, and for any length that a header can have.
pub(crate) const KEY_BUFFER: usize = 256;

/// Everything that a cache consists of.
pub(crate) struct Engine {
    pub(crate) memory: Region<AtomicU32>,
    pub(crate) table: Segments,
    pub(crate) pool: Pool,
    pub(crate) index: Index,
    pub(crate) logs: Logs,
    pub(crate) counters: Counters,
    pub(crate) reclaim: Mutex<Reclaim>,
    /// Whoever changes the limit; before all other locks.
    pub(crate) resizing: Mutex<()>,
    pub(crate) hot: Hot,
    pub(crate) settings: Settings,
    pub(crate) listener: Option<Listener>,
    /// Bytes of the largest item under the present limit.
    pub(crate) item_max: AtomicUsize,
    /// Bytes that handles keep from being reused.
    pub(crate) pinned: AtomicUsize,
    /// Bytes that are kept for values that are still arriving.
    pub(crate) arriving: AtomicUsize,
}

/// Words that every operation looks at and few change.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Hot {
    clock: Arc<dyn Clock>,
    secrets: RapidSecrets,
    /// Items of segments with another epoch are flushed.
    pub(crate) epoch: AtomicU32,
    /// When the next flush is due.
    pub(crate) flush_at: AtomicU32,
    /// Locked while flushes are planned or carried out.
    plan: Mutex<()>,
    access_grain: AtomicU32,
    version: Version,
}

#[derive(Debug)]
#[repr(align(128))]
struct Version(AtomicU64);

/// Settings that don't change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) max_item_size: usize,
    pub(crate) evictions: bool,
    pub(crate) pin_limit: Option<usize>,
    /// The most that the limit can become, and the least.
    pub(crate) limit_most: usize,
    pub(crate) limit_least: usize,
}

/// What was read of an item. It may be garbage until it is certified by [`Engine::is_current`], or
/// was read under the shard's lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) loc: Loc,
    pub(crate) stamp: Stamp,
    pub(crate) sequence: u32,
    pub(crate) shape: Shape,
    pub(crate) state: State,
    pub(crate) value_len: usize,
    pub(crate) flags: u32,
    /// 0 for never.
    pub(crate) expiry: u32,
    pub(crate) version: u64,
}

impl Item {
    /// Bytes in memory.
    #[inline(always)]
    pub(crate) fn size(&self) -> usize {
        4 * layout::item_words(self.shape, self.value_len)
    }

    pub(crate) fn class(&self) -> u8 {
        class_of(self.size())
    }

    /// The byte address of the value.
    #[inline(always)]
    pub(crate) fn value_at(&self) -> usize {
        (self.loc as usize + self.shape.key_at()) * 4 + self.shape.key_len()
    }

    /// The byte address of the key.
    pub(crate) fn key_at(&self) -> usize {
        (self.loc as usize + self.shape.key_at()) * 4
    }

    pub(crate) fn expiry(&self) -> Option<Moment> {
        (self.expiry != 0).then(|| Moment::from_secs(self.expiry))
    }

    #[inline(always)]
    pub(crate) fn meta(&self, now: u32) -> Meta {
        let state = self.state;
        Meta {
            flags: self.flags,
            version: self.version,
            expiry: self.expiry(),
            marked: state.is_marked(),
            value_len: self.value_len,
            size: self.size(),
            class: self.class() + 1,
            fetched: state.is_fetched(),
            last_access: Moment::from_secs(now.wrapping_add_signed(-state.idle(now).max(0))),
            lease: Lease { stale: state.is_stale(), taken: state.is_taken() },
        }
    }
}

impl Engine {
    /// The parts put together.
    pub(crate) fn new(
        builder: Builder,
        settings: Settings,
        seed: u64,
        memory: Region<AtomicU32>,
        table: Segments,
        pool: Pool,
        index: Index,
    ) -> Self {
        Self {
            memory,
            table,
            pool,
            index,
            logs: Logs::new(builder.limit),
            counters: Counters::new(),
            reclaim: Mutex::new(Reclaim::new(seed)),
            resizing: Mutex::new(()),
            hot: Hot {
                clock: builder.clock,
                secrets: RapidSecrets::seed(seed),
                epoch: AtomicU32::new(0),
                flush_at: AtomicU32::new(u32::MAX),
                plan: Mutex::new(()),
                access_grain: AtomicU32::new(ACCESS_GRAIN),
                version: Version(AtomicU64::new(0)),
            },
            item_max: AtomicUsize::new(settings.max_item_size),
            settings,
            listener: builder.listener,
            pinned: AtomicUsize::new(0),
            arriving: AtomicUsize::new(0),
        }
    }

    /// The current second. A flush that is due happens first.
    #[inline]
    pub(crate) fn now(&self) -> u32 {
        let now = self.clock_now();
        if now >= self.hot.flush_at.load(Ordering::Acquire) {
            self.flush_due(now);
        }
        now
    }

    /// The current second, for those who hold locks.
    #[inline(always)]
    pub(crate) fn clock_now(&self) -> u32 {
        self.hot.clock.now().as_secs()
    }

    #[cold]
    fn flush_due(&self, now: u32) {
        let _plan = self.hot.plan.lock();
        if now >= self.hot.flush_at.load(Ordering::Relaxed) {
            self.advance_epoch();
        }
    }

    /// Makes all items invisible that were stored before, whatever else is planned.
    pub(crate) fn flush_now(&self) {
        let _plan = self.hot.plan.lock();
        self.advance_epoch();
    }

    /// Plans a flush.
    pub(crate) fn flush_at(&self, at: u32) {
        // A plan that is due already is carried out, not replaced.
        let _ = self.now();
        let _plan = self.hot.plan.lock();
        self.hot.flush_at.store(at, Ordering::Release);
    }

    /// Carries out a flush; no other is planned then. In this order: whoever sees no plan any more
    /// sees that it was carried out.
    fn advance_epoch(&self) {
        self.hot.epoch.fetch_add(1, Ordering::AcqRel);
        self.hot.flush_at.store(u32::MAX, Ordering::Release);
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.hot.epoch.load(Ordering::Acquire)
    }

    /// From now on accesses are noted to the second.
    pub(crate) fn track_access_exactly(&self) {
        self.hot.access_grain.store(1, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        rapidhash_v3_seeded(key, &self.hot.secrets)
    }

    /// The next version.
    pub(crate) fn next_version(&self) -> u64 {
        self.hot.version.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The last version given out.
    pub(crate) fn last_version(&self) -> u64 {
        self.hot.version.0.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn word(&self, loc: Loc) -> &AtomicU32 {
        self.memory.at(loc as usize)
    }

    /// Brings the first lines of an item near, all at once.
    #[inline(always)]
    pub(crate) fn prefetch_at(&self, loc: Loc) {
        for line in 0..LINES_NEAR {
            self.memory.prefetch(loc as usize + line * LINE_WORDS);
        }
    }

    /// Reads an item's header; `None` if its bytes are being written.
    #[inline(always)]
    pub(crate) fn read(&self, loc: Loc, stamp: Stamp) -> Option<Item> {
        let words = self.memory.cells(loc as usize, 8);
        let sequence = words[0].load(Ordering::Acquire);
        if sequence == PENDING {
            return None;
        }
        Some(self.parse(words, loc, stamp, sequence))
    }

    #[inline(always)]
    fn parse(&self, words: &[AtomicU32], loc: Loc, stamp: Stamp, sequence: u32) -> Item {
        let field = |at: usize| words[at].load(Ordering::Relaxed);
        let shape = Shape(field(1));
        let value_len = layout::value_len(shape, || field(3));
        let flags = if shape.has_flags() { field(shape.flags_at()) } else { 0 };
        let expiry = if shape.has_expiry() { field(shape.expiry_at()) } else { 0 };
        let version = if shape.has_version() {
            let at = shape.version_at();
            u64::from(field(at)) | u64::from(field(at + 1)) << 32
        } else {
            let base = self.table.version_base(self.table.segment_of(loc)).load(Ordering::Relaxed);
            base.wrapping_add_signed(i64::from(sequence as i32))
        };
        Item {
            loc,
            stamp,
            sequence,
            shape,
            state: State(field(2)),
            value_len,
            flags,
            expiry,
            version,
        }
    }

    /// Reads the header of an item whether or not it is complete, for those who hold its segment.
    pub(crate) fn read_any(&self, loc: Loc) -> Item {
        let stamp = self.table.stamp(self.table.segment_of(loc));
        let words = self.memory.cells(loc as usize, 8);
        self.parse(words, loc, stamp, words[0].load(Ordering::Acquire))
    }

    /// As much of an item as it takes to go from one to the next.
    #[inline(always)]
    pub(crate) fn outline(&self, loc: Loc) -> Outline {
        let words = self.memory.cells(loc as usize, 4);
        let field = |at: usize| words[at].load(Ordering::Relaxed);
        let shape = Shape(field(1));
        let len = layout::value_len(shape, || field(3));
        Outline { shape, state: State(field(2)), words: layout::item_words(shape, len) }
    }

    /// Whether the item's key is `key`.
    #[inline(always)]
    pub(crate) fn has_key(&self, item: &Item, key: &[u8]) -> bool {
        if item.shape.key_len() != key.len() {
            return false;
        }
        let start = item.loc as usize + item.shape.key_at();
        let words = self.memory.cells(start, key.len().div_ceil(4));
        let (whole, rest) = key.as_chunks::<4>();
        let same = |(word, bytes): (&AtomicU32, &[u8; 4])| {
            word.load(Ordering::Relaxed) == u32::from_ne_bytes(*bytes)
        };
        words.iter().zip(whole).all(same)
            && words.get(whole.len()).is_none_or(|word| {
                word.load(Ordering::Relaxed).to_ne_bytes()[..rest.len()] == *rest
            })
    }

    /// Looks a key up without a lock. What is found is certain only as far as it is certified by
    /// [`Self::is_current`] after it was used.
    ///
    /// # Errors
    /// The shard has to be locked.
    #[inline(always)]
    pub(crate) fn look(&self, key: &Key<'_>) -> Result<Option<(Item, Spot)>, NeedsLock> {
        self.index.search(self.index.position(key.hash), |spot| {
            let loc = spot.loc();
            self.prefetch_at(loc);
            let stamp = self.table.stamp(self.table.segment_of(loc));
            // The slot has to be the same after the stamp was read: then whatever lies there was
            // published under this stamp.
            if !self.index.is_unchanged(spot) {
                return ControlFlow::Continue(Certainty::Changed);
            }
            match self.read(loc, stamp) {
                Some(item) if self.has_key(&item, key.bytes) => ControlFlow::Break((item, spot)),
                Some(item) if self.is_current(&item, spot) => {
                    ControlFlow::Continue(Certainty::Stable)
                }
                _ => ControlFlow::Continue(Certainty::Changed),
            }
        })
    }

    /// Certifies everything that was read of the item up to now.
    #[inline(always)]
    pub(crate) fn is_current(&self, item: &Item, spot: Spot) -> bool {
        fence(Ordering::Acquire);
        self.word(item.loc).load(Ordering::Relaxed) == item.sequence
            && self.table.stamp(self.table.segment_of(item.loc)) == item.stamp
            && self.index.is_unchanged(spot)
    }

    /// Finds a key in its locked shard, whether or not the item is visible.
    #[inline]
    pub(crate) fn find(&self, key: &Key<'_>, lock: &Guard<'_>) -> Option<(Item, Spot)> {
        let position = self.index.position(key.hash);
        let mut found = None;
        let spot = self.index.search_locked(position, lock, |spot| {
            self.prefetch_at(spot.loc());
            let item = self.read_any(spot.loc());
            let same = self.has_key(&item, key.bytes);
            if same {
                found = Some(item);
            }
            same
        })?;
        found.map(|item| (item, spot))
    }

    /// Why the item must not be seen, if so.
    #[inline(always)]
    pub(crate) fn hidden(&self, item: &Item, now: u32) -> Option<Miss> {
        if item.stamp.epoch() != self.hot.epoch.load(Ordering::Acquire) {
            Some(Miss::Flushed)
        } else if item.expiry != 0 && item.expiry <= now {
            Some(Miss::Expired)
        } else {
            None
        }
    }

    /// Finds a visible item in its locked shard. An item that may not be seen is removed.
    pub(crate) fn find_visible(
        &self,
        key: &Key<'_>,
        now: u32,
        lock: &mut Guard<'_>,
    ) -> Result<(Item, Spot), Miss> {
        let Some((item, spot)) = self.find(key, lock) else { return Err(Miss::Absent) };
        let Some(miss) = self.hidden(&item, now) else { return Ok((item, spot)) };
        let position = self.index.position(key.hash);
        self.index.remove(position, spot, lock);
        self.retire(&item, Cause::of_hidden(miss), now);
        Err(miss)
    }

    /// Notes that an item was used. The steady state of a popular item changes nothing.
    #[inline(always)]
    pub(crate) fn note_use(&self, key: &Key<'_>, item: &Item, spot: Spot, now: u32) {
        let state = item.state;
        let grain = self.hot.access_grain.load(Ordering::Relaxed);
        if state.freq() < layout::FREQ_MAX || !state.is_fetched() || state.idle(now) as u32 >= grain
        {
            self.write_use(key, item, spot, now);
        }
    }

    /// Under the lock, as the memory might belong to another item by now. It is no harm if the lock
    /// can't be had: the next use will tell.
    #[inline(never)]
    fn write_use(&self, key: &Key<'_>, item: &Item, spot: Spot, now: u32) {
        let Some(_lock) = self.index.try_lock(self.index.position(key.hash)) else { return };
        let segment = self.table.segment_of(item.loc);
        if self.index.is_unchanged(spot) && self.table.stamp(segment) == item.stamp {
            self.mark_used(item.loc, now);
        }
    }

    /// Notes a use of an item whose shard is locked.
    pub(crate) fn mark_used(&self, loc: Loc, now: u32) {
        self.mark(loc, |state| state.with_fetched(true).with_access(now));
    }

    /// Notes a use that has shown its value to nobody.
    pub(crate) fn mark_changed(&self, loc: Loc, now: u32) {
        self.mark(loc, |state| state.with_access(now));
    }

    fn mark(&self, loc: Loc, mark: impl FnOnce(State) -> State) {
        let word = self.word(loc + 2);
        let state = State(word.load(Ordering::Relaxed));
        word.store(mark(state.with_freq(state.freq() + 1)).0, Ordering::Relaxed);
    }

    /// Counts a hit.
    #[inline(always)]
    pub(crate) fn count_hit(&self, item: &Item) {
        let event = match item.stamp.queue() {
            Queue::Small => Event::HitsSmall,
            Queue::Main => Event::HitsMain,
        };
        self.counters.add(item.class(), event, 1);
    }

    /// Counts a miss.
    pub(crate) fn count_miss(&self, miss: Miss) {
        self.counters.add(0, Event::Misses, 1);
        match miss {
            Miss::Absent => {}
            Miss::Expired => self.counters.add(0, Event::MissesExpired, 1),
            Miss::Flushed => self.counters.add(0, Event::MissesFlushed, 1),
        }
    }

    /// Books the end of an item that the index no longer leads to: the one place where items go.
    pub(crate) fn retire(&self, item: &Item, cause: Cause, now: u32) {
        self.report(item, cause, now);
        self.discard(item);
    }

    /// Tells the listener and the counters that a value has gone.
    pub(crate) fn report(&self, item: &Item, cause: Cause, now: u32) {
        if let Some(listener) = &self.listener {
            let mut key = [0; KEY_BUFFER];
            let key = self.key_of(item.loc, item.shape, &mut key);
            listener.call(&Removal {
                cause,
                key,
                meta: item.meta(now),
                at: Moment::from_secs(now),
            });
        }
        self.count_removal(item, cause, now);
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
                self.counters.evicted_age[usize::from(class)]
                    .store(u64::from(idle), Ordering::Relaxed);
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
        }
    }

    /// Gives up the memory of an item that was live.
    pub(crate) fn discard(&self, item: &Item) {
        self.end_life(item);
        let mut begins = true;
        for (segment, len) in self.pieces(item).by_segment() {
            self.give_up(segment, len, begins);
            begins = false;
        }
    }

    /// Gives up bytes that counted as live, and their segment with the last of them.
    pub(crate) fn give_up(&self, segment: SegmentId, bytes: usize, begins: bool) {
        if self.table.remove(segment, bytes, begins).is_empty() {
            self.pool.give_back(&self.table, segment, Phase::Sealed, &self.memory);
        }
    }

    /// Marks an item as gone; its memory is still to be given up.
    pub(crate) fn end_life(&self, item: &Item) {
        self.word(item.loc + 2).store(item.state.with_live(false).0, Ordering::Relaxed);
        self.count_live(item.stamp.queue(), item.class(), item.size(), false);
    }

    /// Counts an item in or out.
    pub(crate) fn count_live(&self, queue: Queue, class: u8, bytes: usize, is_in: bool) {
        let items = match queue {
            Queue::Small => Event::ItemsSmall,
            Queue::Main => Event::ItemsMain,
        };
        let [one, bytes] = match is_in {
            true => [1, bytes as u64],
            false => [1, bytes as u64].map(u64::wrapping_neg),
        };
        let counts = self.counters.counts(class);
        counts.add(items, one);
        counts.add(Event::Bytes, bytes);
    }

    /// Copies parts of items or callers' bytes to where `target` leads.
    #[inline]
    pub(crate) fn copy(&self, target: Pieces<'_>, parts: &[Part<'_>; 2]) {
        // Nearly every value comes whole and lies in one piece.
        if let [Part::Bytes(bytes), Part::Bytes([])] = *parts
            && let Some((at, len)) = target.clone().next()
            && len == bytes.len()
        {
            return self.memory.write(at, bytes);
        }
        self.copy_parts(target, parts);
    }

    fn copy_parts(&self, mut target: Pieces<'_>, parts: &[Part<'_>; 2]) {
        let mut room = (0, 0);
        let mut emit = |mut bytes: &[u8]| {
            while !bytes.is_empty() {
                if room.1 == 0 {
                    let Some(next) = target.next() else { return };
                    room = next;
                }
                let (now, later) = bytes.split_at(bytes.len().min(room.1));
                self.memory.write(room.0, now);
                room = (room.0 + now.len(), room.1 - now.len());
                bytes = later;
            }
        };
        for part in parts {
            match *part {
                Part::Bytes(bytes) => emit(bytes),
                Part::Blanks(mut len) => {
                    while len > 0 {
                        let now = len.min(BLANKS.len());
                        emit(&BLANKS[..now]);
                        len -= now;
                    }
                }
                Part::Stored { at, len } => {
                    let mut buffer = [0; 1024];
                    for (mut at, mut len) in Pieces::new(&self.table, at, len) {
                        while len > 0 {
                            let chunk = &mut buffer[..len.min(1024)];
                            self.memory.read(at, chunk);
                            emit(chunk);
                            at += chunk.len();
                            len -= chunk.len();
                        }
                    }
                }
            }
        }
    }

    /// The item's pieces, header and key included.
    #[inline(always)]
    pub(crate) fn pieces(&self, item: &Item) -> Pieces<'_> {
        Pieces::new(&self.table, item.loc as usize * 4, item.size())
    }

    /// Copies the key of the item at `loc`.
    #[inline]
    pub(crate) fn key_of<'b>(
        &self,
        loc: Loc,
        shape: Shape,
        buffer: &'b mut [u8; KEY_BUFFER],
    ) -> &'b [u8] {
        let key = &mut buffer[..shape.key_len()];
        self.memory.read((loc as usize + shape.key_at()) * 4, key);
        key
    }

    /// The position of that key.
    #[inline]
    pub(crate) fn position_of(&self, loc: Loc, shape: Shape) -> Position {
        let mut key = [0; KEY_BUFFER];
        self.index.position(self.hash(self.key_of(loc, shape, &mut key)))
    }

    /// Writes the expiry of an item that has room for one. The shard is locked.
    pub(crate) fn set_expiry(&self, item: &Item, expiry: u32) {
        let at = item.shape.expiry_at() as u64;
        self.word(item.loc + at).store(expiry, Ordering::Relaxed);
        self.note_expiry(item.loc, Some(expiry));
    }
}

/// How an item stands, and how long it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outline {
    pub(crate) shape: Shape,
    pub(crate) state: State,
    pub(crate) words: usize,
}

/// A part of a value to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    Bytes(&'a [u8]),
    /// So many spaces.
    Blanks(usize),
    /// Bytes of an item that stays where it is meanwhile.
    Stored {
        at: usize,
        len: usize,
    },
}

impl Part<'_> {
    pub(crate) fn len(&self) -> usize {
        match *self {
            Part::Bytes(bytes) => bytes.len(),
            Part::Blanks(len) => len,
            Part::Stored { len, .. } => len,
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("budget", &self.pool.gauge()).finish_non_exhaustive()
    }
}
