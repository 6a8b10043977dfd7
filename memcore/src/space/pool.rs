//! The budget: which segments are in use, which are free, in which order they are to be reclaimed,
//! and how many bytes of the limit are taken. It must never know what lies in a segment.
//!
//! It owns the segment table and the memory that the segments are, so that nothing else can free
//! either. One lock guards the budget. It is taken once per segment, not once per item.
//!
//! Memory goes back in two steps that are told apart by their verbs: `free` makes a segment's
//! memory available to others, `release` gives its pages back to the system.

use std::ops::Range;

use crate::memory::region::{HUGE_PAGE, Region};
use crate::memory::sync::{AtomicU32, AtomicUsize, Mutex, MutexGuard, Ordering, fence};
use crate::restart::state::{Damaged, Reader, Writer, checksum};
use crate::space::segments::{CLASSES, LOGS, LogId, Opening, Phase, Place};
use crate::space::segments::{ROW_BYTES, SegmentId, Segments};
use crate::work::note;

/// Segments that only the reclaimer may take, so that it can always copy survivors.
pub(crate) const RESERVE: usize = 4;

/// Memory is provided ahead of writers while at least this many times more is left of the limit.
const NEAR: usize = 4;

/// Segments and the bytes that they may take.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(super) memory: Region<AtomicU32>,
    pub(super) table: Segments,
    state: Mutex<State>,
    /// Segments that could be had without reclaiming; a mirror of the state.
    available: AtomicUsize,
    /// Writers look after the cache when less than this is available.
    watch: AtomicUsize,
    /// A mirror of the limit.
    limit: AtomicUsize,
    /// Segments of each class in use.
    held: [AtomicU32; CLASSES],
    segment_cost: usize,
}

#[derive(Debug)]
struct State {
    limit: usize,
    used: usize,
    /// The most that may be used as long as the memory file can't get more memory, and how often
    /// it could not.
    room: usize,
    refused: u64,
    /// Segments that hold nothing but have memory.
    free: List,
    /// Segments whose memory went back to the system.
    released: List,
    /// The first segment that was never used, and how many there are.
    fresh: u32,
    segments: u32,
    /// Segments ever opened: the clock of ages.
    opened: u32,
    /// The index waits for memory.
    index_waits: bool,
    /// Segments opened when memory was last provided ahead of them.
    provided: u32,
    queues: [Fifo; LOGS],
    /// Sealed segments.
    sealed: u32,
}

impl State {
    /// The most that may be used.
    fn most(&self) -> usize {
        self.limit.min(self.room)
    }
}

/// A stack of segments.
#[derive(Clone, Copy, Debug, Default)]
struct List {
    head: SegmentId,
    len: usize,
}

/// Sealed segments of one log in the order of their age.
#[derive(Clone, Copy, Debug, Default)]
struct Fifo {
    oldest: SegmentId,
    newest: SegmentId,
}

/// What happened to a segment that was to be freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freed {
    /// It can be used again.
    Now,
    /// A handle still reads it.
    Later,
    /// It holds something after all, or another thread takes care of it.
    No,
}

/// A view of the budget.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gauge {
    pub(crate) used: usize,
    pub(crate) free: usize,
}

/// How many segments wait in the queues, and the clock of ages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) count: u32,
    /// Segments ever opened.
    pub(crate) opened: u32,
}

impl Pool {
    /// A pool of all segments of `table` and `memory`, `segments` of them, of which number 0 is
    /// never handed out, under a limit of which `fixed` bytes are taken for good.
    pub(crate) fn new(
        memory: Region<AtomicU32>,
        table: Segments,
        segments: usize,
        limit: usize,
        fixed: usize,
    ) -> Self {
        let state = State {
            limit,
            used: fixed,
            room: usize::MAX,
            refused: 0,
            free: List::default(),
            released: List::default(),
            fresh: 1,
            segments: segments as u32,
            opened: 0,
            index_waits: false,
            provided: 0,
            queues: [Fifo::default(); LOGS],
            sealed: 0,
        };
        let pool = Self {
            segment_cost: table.segment_bytes() + ROW_BYTES,
            memory,
            table,
            state: Mutex::new(state),
            available: AtomicUsize::new(0),
            watch: AtomicUsize::new(usize::MAX),
            limit: AtomicUsize::new(limit),
            held: std::array::from_fn(|_| AtomicU32::new(0)),
        };
        pool.mirror(&pool.state.lock());
        pool
    }

    /// Segments that a writer could take now.
    #[inline]
    pub(crate) fn available(&self) -> usize {
        // Only a hint, to do without the lock: `open` decides under it.
        self.available.load(Ordering::Relaxed)
    }

    /// Whether `segments` could be taken now so that `reserve` are left.
    pub(crate) fn has(&self, segments: usize, reserve: usize) -> bool {
        self.spare(&self.state.lock()) >= segments + reserve
    }

    /// Whether segments were opened since [`Self::watch_from`], or there are few.
    #[inline]
    pub(crate) fn needs_attention(&self) -> bool {
        self.available() < self.watch.load(Ordering::Relaxed)
    }

    /// From now on attention is needed when another segment is opened, and in any case where fewer
    /// than `least` are available.
    pub(crate) fn watch_from(&self, least: usize) {
        self.watch.store(self.available().max(least), Ordering::Relaxed);
    }

    /// Whether the reclaimer has segments to copy to.
    pub(crate) fn can_copy(&self) -> bool {
        self.spare(&self.state.lock()) >= RESERVE / 2
    }

    /// The limit in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Segments of `class` in use.
    pub(crate) fn held(&self, class: u8) -> u32 {
        self.held[usize::from(class)].load(Ordering::Relaxed)
    }

    /// Opens a segment if more than `reserve` are left.
    pub(crate) fn open(&self, log: LogId, reserve: usize, opening: &Opening) -> Option<SegmentId> {
        let id = self.take(log.class, reserve)?;
        note(|work| work.opened += 1);
        self.table.open(id, log, opening);
        Some(id)
    }

    fn take(&self, class: u8, reserve: usize) -> Option<SegmentId> {
        let mut state = self.state.lock();
        if self.spare(&state) <= reserve {
            return None;
        }
        // Memory that is there comes first, then numbers that were used before: every number that
        // was ever used is looked at by the sweep.
        let id = self.pop(&mut state.free).or_else(|| self.take_more(&mut state))?;
        debug_assert!(state.used <= state.limit, "a segment beyond the limit");
        debug_assert!(self.table.load(id).is_empty(), "segment {id} is not empty");
        // Ages are differences of this, so it may wrap.
        state.opened = state.opened.wrapping_add(1);
        self.held[usize::from(class)].fetch_add(1, Ordering::Relaxed);
        self.mirror(&state);
        Some(id)
    }

    /// Takes a segment that has no memory yet.
    fn take_more(&self, state: &mut State) -> Option<SegmentId> {
        let id = match state.released.head {
            0 => state.fresh,
            id => id,
        };
        let words = self.table.segment_words();
        if !self.table.secure(id) || !self.memory.secure(self.table.start(id) as usize, words) {
            self.confine(state);
            return None;
        }
        if self.pop(&mut state.released).is_none() {
            state.fresh += 1;
        }
        state.used += self.segment_cost;
        Some(id)
    }

    /// Whether there is memory for segment number 0, which those may look at that read garbage.
    pub(crate) fn secure_least(&self) -> bool {
        self.table.secure(0) && self.memory.secure(0, self.table.segment_words())
    }

    /// Whether all segments that have memory can be written.
    pub(crate) fn secure_all(&self) -> bool {
        let state = self.state.lock();
        let ids = 0..state.fresh;
        if !ids.clone().all(|id| self.table.secure(id)) {
            return false;
        }
        let mut released = vec![false; ids.len()];
        let mut next = state.released.head;
        for _ in 0..state.released.len {
            released[next as usize] = true;
            next = self.table.row(next).next.load(Ordering::Relaxed);
        }
        let mut with_memory = ids.filter(|&id| !released[id as usize]);
        let words = self.table.segment_words();
        with_memory.all(|id| self.memory.secure(self.table.start(id) as usize, words))
    }

    /// Whether a segment holds something, or did a moment ago.
    pub(crate) fn has_memory(&self, id: SegmentId) -> bool {
        self.table.place(id).phase != Phase::Free
    }

    /// The memory file can't get more memory: there is no more than what is in use.
    #[cold]
    fn confine(&self, state: &mut State) {
        state.room = state.used;
        state.refused += 1;
        self.mirror(state);
    }

    /// How often the memory file could not get memory.
    pub(crate) fn refused(&self) -> u64 {
        self.state.lock().refused
    }

    /// Tries again: others may have given memory back.
    pub(crate) fn try_for_room(&self) {
        let mut state = self.state.lock();
        if state.room < usize::MAX {
            state.room = usize::MAX;
            self.mirror(&state);
        }
    }

    /// Keeps memory that becomes free for the index, for which the memory file has none.
    #[cold]
    pub(crate) fn confine_index(&self) {
        let mut state = self.state.lock();
        state.index_waits = true;
        self.confine(&mut state);
    }

    /// Has the system provide memory for segments that were never used, up to the end of a huge
    /// page, so that writers who open them need not wait for it. They are free from then on. Not
    /// where none was opened since the last time, `ahead` are free, or the limit is near; true if
    /// memory was provided.
    pub(crate) fn provide(&self, ahead: usize) -> bool {
        let in_page = (HUGE_PAGE / self.table.segment_bytes()).max(1) as u32;
        let (first, end) = {
            let mut state = self.state.lock();
            let first = state.fresh;
            let end = (first + 1).next_multiple_of(in_page);
            let cost = (end - first) as usize * self.segment_cost;
            let is_wanted = state.opened != state.provided
                && state.free.len < ahead
                && state.released.len == 0
                && !state.index_waits;
            if !is_wanted
                || end > state.segments
                || state.most().saturating_sub(state.used) < NEAR * cost
            {
                return false;
            }
            if !(first..end).all(|id| self.table.secure(id)) {
                self.confine(&mut state);
                return false;
            }
            state.provided = state.opened;
            state.fresh = end;
            state.used += cost;
            self.mirror(&state);
            (first, end)
        };
        // Nobody has their numbers.
        let (at, words) = (self.table.start(first) as usize, self.table.segment_words());
        let words = (end - first) as usize * words;
        let is_secured = self.memory.secure(at, words);
        if is_secured {
            self.memory.provide(at, words);
        }
        let mut state = self.state.lock();
        // They are taken in the order of their addresses.
        for id in (first..end).rev() {
            self.push(if is_secured { &mut state.free } else { &mut state.released }, id);
        }
        if !is_secured {
            state.used -= (end - first) as usize * self.segment_cost;
            self.confine(&mut state);
        }
        self.mirror(&state);
        is_secured
    }

    /// Puts a full segment at the end of its queue, or frees it if it is empty already.
    pub(crate) fn seal(&self, id: SegmentId) {
        let mut state = self.state.lock();
        let Place { phase, log } = self.table.place(id);
        debug_assert_eq!(phase, Phase::Open, "segment {id} is sealed once");
        self.table.set_place(id, Place { phase: Phase::Sealed, log });
        self.table.row(id).born.store(state.opened, Ordering::Relaxed);
        self.enqueue(&mut state, id, log);
        // All its items may have ended while it was open, and no later end would free it.
        self.free_empty(&mut state, id, Phase::Sealed);
    }

    /// The oldest segments of all logs, 0 where there is none.
    pub(crate) fn heads(&self) -> [SegmentId; LOGS] {
        let state = self.state.lock();
        std::array::from_fn(|log| state.queues[log].oldest)
    }

    /// The youngest segment of `log`, 0 if there is none.
    pub(crate) fn newest(&self, log: LogId) -> SegmentId {
        self.state.lock().queues[log.index()].newest
    }

    /// The oldest segment of `log`.
    pub(crate) fn oldest(&self, log: LogId) -> Option<SegmentId> {
        let oldest = self.state.lock().queues[log.index()].oldest;
        (oldest != 0).then_some(oldest)
    }

    /// How many segments wait in the queues.
    pub(crate) fn sealed(&self) -> Sealed {
        let state = self.state.lock();
        Sealed { count: state.sealed, opened: state.opened }
    }

    /// Numbers of segments that may be in use are below this.
    pub(crate) fn bound(&self) -> SegmentId {
        self.state.lock().fresh
    }

    /// Visits the sealed segments among these numbers, which stay sealed meanwhile.
    pub(crate) fn each_sealed(&self, ids: Range<SegmentId>, visit: impl FnMut(SegmentId)) {
        let _state = self.state.lock();
        ids.filter(|&id| self.table.place(id).phase == Phase::Sealed).for_each(visit);
    }

    /// Takes a sealed segment out of its queue to be emptied. Not if something pending lies in it.
    pub(crate) fn select_victim(&self, id: SegmentId) -> bool {
        let mut state = self.state.lock();
        let Place { phase, log } = self.table.place(id);
        if phase != Phase::Sealed || self.table.load(id).pending > 0 {
            return false;
        }
        self.unlink(&mut state, id, log);
        self.table.set_place(id, Place { phase: Phase::Victim, log });
        true
    }

    /// Puts a segment at the young end of the queue of a level; it may wait in another one or be a
    /// victim.
    pub(crate) fn requeue(&self, id: SegmentId, level: u8) {
        let mut state = self.state.lock();
        let Place { phase, log } = self.table.place(id);
        match phase {
            Phase::Sealed => self.unlink(&mut state, id, log),
            Phase::Victim => {}
            // It has been freed meanwhile.
            _ => return,
        }
        let log = LogId { level, ..log };
        self.table.row(id).born.store(state.opened, Ordering::Relaxed);
        self.table.set_place(id, Place { phase: Phase::Sealed, log });
        self.enqueue(&mut state, id, log);
    }

    /// Frees a segment in which nothing lives any more, if it is still in the `phase` in which the
    /// caller is the one to do it: any thread while it is sealed, only the reclaimer as a victim.
    pub(crate) fn free(&self, id: SegmentId, phase: Phase) -> Freed {
        self.free_empty(&mut self.state.lock(), id, phase)
    }

    fn free_empty(&self, state: &mut MutexGuard<'_, State>, id: SegmentId, from: Phase) -> Freed {
        let Place { phase, log } = self.table.place(id);
        if phase != from || !self.table.load(id).is_empty() {
            return Freed::No;
        }
        if phase == Phase::Sealed {
            self.unlink(state, id, log);
        }
        self.table.set_place(id, Place { phase: Phase::Zombie, log });
        // Pairs with the fence in `Engine::pin`: either this sees the pin of a reader, or the
        // reader sees that its item is gone.
        fence(Ordering::SeqCst);
        if self.table.is_pinned(id) {
            return Freed::Later;
        }
        self.put_back(state, id);
        Freed::Now
    }

    /// Frees a segment that was opened and never sealed, in which nothing is left.
    pub(crate) fn free_open(&self, id: SegmentId) {
        let mut state = self.state.lock();
        debug_assert_eq!(self.table.place(id).phase, Phase::Open, "segment {id} was not sealed");
        debug_assert!(self.table.load(id).is_empty(), "segment {id} is not empty");
        self.put_back(&mut state, id);
    }

    /// Frees an emptied segment after its last reader has gone.
    pub(crate) fn free_unpinned(&self, id: SegmentId) {
        let mut state = self.state.lock();
        if self.table.place(id).phase == Phase::Zombie && !self.table.is_pinned(id) {
            self.put_back(&mut state, id);
        }
    }

    fn put_back(&self, state: &mut MutexGuard<'_, State>, id: SegmentId) {
        let Place { log, .. } = self.table.place(id);
        self.table.set_place(id, Place { phase: Phase::Free, log });
        self.held[usize::from(log.class)].fetch_sub(1, Ordering::Relaxed);
        // These pages are wanted elsewhere: by the index, or by a limit that was lowered.
        if state.index_waits || state.used > state.limit {
            state.index_waits = false;
            self.release(state, id);
        } else {
            self.push(&mut state.free, id);
        }
        self.mirror(state);
    }

    /// Gives the pages of a free segment back to the system.
    fn release(&self, state: &mut State, id: SegmentId) {
        note(|work| work.releases += 1);
        self.memory.release(self.table.start(id) as usize, self.table.segment_words());
        state.used -= self.segment_cost;
        self.push(&mut state.released, id);
    }

    /// Takes `bytes` for the index. If there are none, memory that becomes free is kept for it.
    pub(crate) fn take_bytes(&self, bytes: usize) -> bool {
        let mut state = self.state.lock();
        while state.used + bytes > state.most() {
            // The reclaimer needs these to copy survivors. Without it nothing would become free
            // again.
            if state.free.len <= RESERVE {
                state.index_waits = true;
                return false;
            }
            let Some(id) = self.pop(&mut state.free) else { return false };
            self.release(&mut state, id);
        }
        state.used += bytes;
        self.mirror(&state);
        true
    }

    /// Takes `bytes` for a row of the index ahead of need, if it will be needed: with `rows` in use
    /// now, as much is left of the limit as two more rows had items for.
    pub(crate) fn take_bytes_ahead(&self, bytes: usize, rows: usize) -> bool {
        let mut state = self.state.lock();
        let is_wanted = state.most().saturating_sub(state.used) >= bytes + 2 * state.used / rows;
        if is_wanted {
            state.used += bytes;
            self.mirror(&state);
        }
        is_wanted
    }

    /// Takes bytes for what is there already, though that may be more than the limit.
    #[cfg(all(feature = "flash", not(loom)))]
    pub(crate) fn charge(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.used += bytes;
        self.mirror(&state);
    }

    /// Frees what [`Self::take_bytes`] took.
    pub(crate) fn free_bytes(&self, bytes: usize) {
        let mut state = self.state.lock();
        debug_assert!(bytes <= state.used, "more is freed than was taken");
        state.used -= bytes;
        self.mirror(&state);
    }

    /// Changes the limit; what is free already goes back to the system where it is above the limit.
    pub(crate) fn set_limit(&self, limit: usize) {
        let mut state = self.state.lock();
        state.limit = limit;
        self.limit.store(limit, Ordering::Relaxed);
        while state.used > limit {
            let Some(id) = self.pop(&mut state.free) else { break };
            self.release(&mut state, id);
        }
        self.mirror(&state);
    }

    /// The budget as it is now.
    pub(crate) fn gauge(&self) -> Gauge {
        let state = self.state.lock();
        Gauge { used: state.used, free: state.free.len }
    }

    /// Whether more is in use than a limit that was lowered allows.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.used > state.limit
    }

    /// Bytes of the budget that segments take, counted one by one.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn segment_bytes_taken(&self) -> usize {
        let state = self.state.lock();
        (state.fresh as usize - 1 - state.released.len) * self.segment_cost
    }

    /// Checks that every segment is where its place says.
    ///
    /// # Panics
    /// If one is not.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn validate(&self) {
        let state = self.state.lock();
        let mut phases = std::collections::BTreeMap::new();
        let mut held = [0; CLASSES];
        for id in 1..state.fresh {
            let Place { phase, log } = self.table.place(id);
            phases.insert(id, phase);
            if phase != Phase::Free {
                held[usize::from(log.class)] += 1;
            }
        }
        for (class, held) in held.into_iter().enumerate() {
            assert_eq!(self.held(class as u8), held, "segments of class {class}");
        }
        let mut sealed = 0;
        for log in (0..LOGS).map(LogId::from_index) {
            let mut last = 0;
            let mut id = state.queues[log.index()].oldest;
            while id != 0 {
                assert_eq!(self.table.place(id), Place { phase: Phase::Sealed, log });
                assert_eq!(self.table.row(id).older.load(Ordering::Relaxed), last);
                assert!(phases.remove(&id).is_some(), "segment {id} is queued twice");
                last = id;
                id = self.table.row(id).newer.load(Ordering::Relaxed);
                sealed += 1;
            }
            assert_eq!(state.queues[log.index()].newest, last);
        }
        assert_eq!(state.sealed, sealed);
        for list in [state.free, state.released] {
            let mut id = list.head;
            for _ in 0..list.len {
                assert_eq!(phases.remove(&id), Some(Phase::Free), "segment {id} is listed");
                id = self.table.row(id).next.load(Ordering::Relaxed);
            }
            assert_eq!(id, 0, "a list is longer than its length");
        }
        let is_elsewhere = |phase| matches!(phase, Phase::Open | Phase::Victim | Phase::Zombie);
        for (id, phase) in phases {
            assert!(is_elsewhere(phase), "segment {id}, {phase:?}, is nowhere");
        }
    }

    /// Whether every segment is free or in a queue, and nobody reads or writes in any.
    pub(crate) fn is_at_rest(&self) -> bool {
        (1..self.bound()).all(|id| {
            matches!(self.table.place(id).phase, Phase::Free | Phase::Sealed)
                && self.table.load(id).pending == 0
                && !self.table.is_pinned(id)
        })
    }

    /// Keeps which segments are where; their own rows have the links.
    pub(crate) fn save(&self, out: &mut Writer) {
        let state = self.state.lock();
        for list in [state.free, state.released] {
            out.put(list.head.into());
            out.put(list.len as u64);
        }
        for number in [state.fresh, state.opened, state.sealed] {
            out.put(number.into());
        }
        for queue in &state.queues {
            out.put(queue.oldest.into());
            out.put(queue.newest.into());
        }
    }

    /// Sets what was kept, and takes what the segments and `other` bytes need.
    ///
    /// # Errors
    /// It is not all there, or can't be.
    pub(crate) fn restore(&self, from: &mut Reader<'_>, other: usize) -> Result<(), Damaged> {
        let mut state = self.state.lock();
        let mut lists = [List::default(); 2];
        for list in &mut lists {
            list.head = from.take_u32()?;
            list.len = from.take_u32()? as usize;
        }
        [state.free, state.released] = lists;
        state.fresh = from.take_u32()?;
        state.opened = from.take_u32()?;
        state.sealed = from.take_u32()?;
        for queue in &mut state.queues {
            queue.oldest = from.take_u32()?;
            queue.newest = from.take_u32()?;
        }
        let used = (state.fresh as usize).checked_sub(1 + state.released.len);
        let used = used.filter(|_| state.fresh <= state.segments).ok_or(Damaged("segments"))?;
        state.used += other + used * self.segment_cost;
        Ok(())
    }

    /// Counts the segments of each class, after their rows were found to be whole.
    pub(crate) fn recount(&self) {
        for id in 1..self.bound() {
            let Place { phase, log } = self.table.place(id);
            if phase != Phase::Free {
                self.held[usize::from(log.class)].fetch_add(1, Ordering::Relaxed);
            }
            // What was noted about its worth goes by a count that begins again.
            self.table.row(id).counted.store(0, Ordering::Relaxed);
        }
        self.mirror(&self.state.lock());
    }

    /// Segments that hold items, or did.
    pub(crate) fn filled(&self) -> impl Iterator<Item = SegmentId> {
        (1..self.bound()).filter(|&id| {
            let used = self.table.row(id).used.load(Ordering::Relaxed) as usize;
            self.table.place(id).phase != Phase::Free && used <= self.table.segment_words()
        })
    }

    /// Checksums of the table.
    pub(crate) fn table_checksums(&mut self, each: impl FnMut(u64)) {
        let bound = self.bound();
        self.table.checksums(bound, each);
    }

    /// Checksums of the segments that hold items, some of which are known.
    pub(crate) fn segment_checksums(
        &mut self,
        known: impl Fn(SegmentId) -> Option<u64>,
        mut each: impl FnMut(u64),
    ) {
        for id in self.filled().collect::<Vec<_>>() {
            let used = self.table.row(id).used.load(Ordering::Relaxed) as usize;
            let (start, memory) = (self.table.start(id) as usize, &mut self.memory);
            each(known(id).unwrap_or_else(|| checksum(memory.bytes(start, used))));
        }
    }

    /// Segments that there are or can be.
    pub(crate) fn capacity(&self) -> usize {
        let state = self.state.lock();
        let in_use = state.fresh as usize - 1 - state.free.len - state.released.len;
        in_use + self.spare(&state)
    }

    fn spare(&self, state: &State) -> usize {
        // Segments without memory can be had as far as there are numbers and room below the limit.
        let numbers = (state.segments - state.fresh) as usize + state.released.len;
        let room = state.most().saturating_sub(state.used) / self.segment_cost;
        state.free.len + room.min(numbers)
    }

    fn mirror(&self, state: &State) {
        self.available.store(self.spare(state).saturating_sub(RESERVE), Ordering::Relaxed);
    }

    /// Puts a segment at the young end of its queue.
    fn enqueue(&self, state: &mut State, id: SegmentId, log: LogId) {
        let queue = &mut state.queues[log.index()];
        self.table.row(id).older.store(queue.newest, Ordering::Relaxed);
        self.table.row(id).newer.store(0, Ordering::Relaxed);
        match queue.newest {
            0 => queue.oldest = id,
            newest => self.table.row(newest).newer.store(id, Ordering::Relaxed),
        }
        queue.newest = id;
        state.sealed += 1;
    }

    /// Takes a segment out of its queue.
    fn unlink(&self, state: &mut State, id: SegmentId, log: LogId) {
        let queue = &mut state.queues[log.index()];
        let older = self.table.row(id).older.load(Ordering::Relaxed);
        let newer = self.table.row(id).newer.load(Ordering::Relaxed);
        match older {
            0 => queue.oldest = newer,
            older => self.table.row(older).newer.store(newer, Ordering::Relaxed),
        }
        match newer {
            0 => queue.newest = older,
            newer => self.table.row(newer).older.store(older, Ordering::Relaxed),
        }
        state.sealed -= 1;
    }

    fn push(&self, list: &mut List, id: SegmentId) {
        self.table.row(id).next.store(list.head, Ordering::Relaxed);
        list.head = id;
        list.len += 1;
    }

    fn pop(&self, list: &mut List) -> Option<SegmentId> {
        let id = list.head;
        if id == 0 {
            return None;
        }
        list.head = self.table.row(id).next.load(Ordering::Relaxed);
        list.len -= 1;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::region::Source;

    const LOG: LogId = LogId { level: 0, class: 0, group: 0 };

    const OPENING: Opening = Opening { now: 1, epoch: 0, version: 1 };

    fn pool(segments: usize) -> Pool {
        let table = Segments::new(segments + 1, 10, &mut Source::System).unwrap();
        let memory = Region::reserve((segments + 1) << 10, &mut Source::System).unwrap();
        let limit = segments * (table.segment_bytes() + ROW_BYTES);
        Pool::new(memory, table, segments + 1, limit, 0)
    }

    fn open(pool: &Pool, reserve: usize) -> Option<SegmentId> {
        pool.open(LOG, reserve, &OPENING)
    }

    /// A segment in its queue, with one item in it.
    fn sealed(pool: &Pool) -> SegmentId {
        let id = open(pool, 0).unwrap();
        pool.table.add_live(id, 8);
        pool.seal(id);
        id
    }

    fn empty(pool: &Pool, id: SegmentId, phase: Phase) -> Freed {
        pool.table.remove(id, 8, true);
        pool.free(id, phase)
    }

    #[test]
    fn what_a_full_file_system_has_is_all_there_is_until_it_is_asked_again() {
        let pool = pool(16);
        let ids: Vec<_> = (0..4).map(|_| sealed(&pool)).collect();
        pool.confine(&mut pool.state.lock());
        assert_eq!((open(&pool, 0), pool.available(), pool.refused()), (None, 0, 1));
        assert!(!pool.take_bytes(1) && !pool.provide(usize::MAX));
        // What is in use is used again.
        empty(&pool, ids[0], Phase::Sealed);
        assert!(pool.has(1, 0));
        pool.try_for_room();
        assert!((0..13).all(|_| open(&pool, 0).is_some()));
        assert_eq!((open(&pool, 0), pool.refused()), (None, 1));
    }

    #[test]
    fn the_reserve_is_for_the_reclaimer_alone() {
        let pool = pool(RESERVE + 1);
        assert!(open(&pool, RESERVE).is_some());
        assert!(open(&pool, RESERVE).is_none());
        for _ in 0..RESERVE {
            assert!(open(&pool, 0).is_some());
        }
        assert!(open(&pool, 0).is_none());
        assert_eq!(pool.gauge().used, pool.limit());
    }

    #[test]
    fn queues_keep_their_order() {
        let pool = pool(8);
        let ids: Vec<_> = (0..4).map(|_| sealed(&pool)).collect();
        assert_eq!(pool.sealed(), Sealed { count: 4, opened: 4 });
        assert_eq!(pool.oldest(LOG), Some(ids[0]));
        pool.requeue(ids[0], 0);
        assert_eq!(pool.oldest(LOG), Some(ids[1]));
        assert!(pool.select_victim(ids[2]));
        pool.requeue(ids[1], 0);
        assert_eq!(pool.oldest(LOG), Some(ids[3]));
        assert_eq!(pool.free(ids[2], Phase::Victim), Freed::No);
        assert_eq!(empty(&pool, ids[2], Phase::Victim), Freed::Now);
        assert_eq!(pool.sealed(), Sealed { count: 3, opened: 4 });
    }

    #[test]
    fn a_segment_with_something_pending_is_no_victim() {
        let pool = pool(8);
        let id = open(&pool, 0).unwrap();
        pool.table.add_pending(id);
        pool.seal(id);
        assert!(!pool.select_victim(id));
        pool.table.publish(id, 8, true);
        assert!(pool.select_victim(id));
    }

    #[test]
    fn an_empty_segment_is_freed_when_it_is_sealed() {
        let pool = pool(8);
        let id = open(&pool, 0).unwrap();
        pool.seal(id);
        assert_eq!((pool.gauge().free, pool.oldest(LOG)), (1, None));
    }

    #[test]
    fn a_pinned_segment_is_freed_by_its_last_reader() {
        let pool = pool(8);
        let id = sealed(&pool);
        pool.table.add_pin(id);
        assert_eq!(empty(&pool, id, Phase::Sealed), Freed::Later);
        pool.free_unpinned(id);
        assert_eq!(pool.gauge().free, 0);
        assert!(pool.table.remove_pin(id));
        pool.free_unpinned(id);
        assert_eq!(pool.gauge().free, 1);
    }

    #[test]
    fn the_index_gets_memory_that_becomes_free() {
        let pool = pool(8);
        let ids: Vec<_> = (0..8).map(|_| sealed(&pool)).collect();
        assert!(!pool.take_bytes(100));
        empty(&pool, ids[0], Phase::Sealed);
        assert!(pool.take_bytes(100));
        assert!(pool.gauge().used <= pool.limit());
        pool.free_bytes(100);
        assert!(open(&pool, 0).is_some());
    }

    #[test]
    fn memory_is_provided_ahead_of_those_who_use_it_and_not_near_the_limit() {
        const IN_PAGE: usize = HUGE_PAGE >> 12;
        let pool = pool(10 * IN_PAGE);
        assert!(!pool.provide(8), "nobody has stored anything");
        assert_eq!(open(&pool, 0), Some(1));
        let before = pool.available();
        assert!(pool.provide(8));
        assert_eq!((pool.gauge().free, pool.available()), (IN_PAGE - 2, before));
        assert_eq!(open(&pool, 0), Some(2));
        assert!(!pool.provide(8), "there is enough");
        while pool.gauge().free >= 8 {
            open(&pool, 0);
        }
        assert!(pool.provide(8));
        assert!(!pool.provide(usize::MAX), "none was opened since");
        while pool.gauge().used < pool.limit() / 10 * 8 {
            open(&pool, 0);
        }
        assert!(!pool.provide(usize::MAX), "the limit is near");
    }

    #[test]
    fn a_smaller_limit_releases_memory() {
        let pool = pool(8);
        let ids: Vec<_> = (0..8).map(|_| sealed(&pool)).collect();
        for &id in &ids[..4] {
            empty(&pool, id, Phase::Sealed);
        }
        let limit = 6 * pool.segment_cost;
        pool.set_limit(limit);
        assert_eq!(pool.gauge().used, limit);
        assert_eq!(pool.gauge().free, 2);
    }
}
