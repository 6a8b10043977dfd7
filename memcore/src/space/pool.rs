//! The budget: which segments are in use, which are free, in which order they are to be reclaimed,
//! and how many bytes of the limit are taken. It must never know what lies in a segment.
//!
//! One lock guards all of it. It is taken once per segment, not once per item.

use crate::memory::region::Region;
use crate::memory::sync::{AtomicU32, AtomicUsize, Mutex, Ordering, fence};
use crate::space::segments::{CLASSES, GROUPS, LOGS, LogId, Phase, Place, Queue, ROW_BYTES};
use crate::space::segments::{SegmentId, Segments};

/// Segments that only the reclaimer may take, so that it can always copy survivors.
pub(crate) const RESERVE: usize = 4;

/// Segments and the bytes that they may take.
#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    /// Segments that could be had without reclaiming; a mirror of the state.
    available: AtomicUsize,
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
    queues: [Fifo; LOGS],
    /// Sealed segments of the small queue and the main one.
    sealed: [u32; 2],
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

/// What happened to memory that was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freed {
    /// It can be used again.
    Now,
    /// A handle still reads it.
    Later,
    /// It holds something after all, or somebody else takes care of it.
    No,
}

/// A view of the budget.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gauge {
    pub(crate) limit: usize,
    pub(crate) used: usize,
    pub(crate) free: usize,
}

impl Pool {
    /// A pool of `segments` segments, of which number 0 is never handed out, under a limit of which
    /// `fixed` bytes are taken for good.
    pub(crate) fn new(limit: usize, fixed: usize, segments: usize, segment_bytes: usize) -> Self {
        let state = State {
            limit,
            used: fixed,
            free: List::default(),
            released: List::default(),
            fresh: 1,
            segments: segments as u32,
            opened: 0,
            index_waits: false,
            queues: [Fifo::default(); LOGS],
            sealed: [0; 2],
        };
        let pool = Self {
            state: Mutex::new(state),
            available: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            held: std::array::from_fn(|_| AtomicU32::new(0)),
            segment_cost: segment_bytes + ROW_BYTES,
        };
        pool.mirror(&pool.state.lock());
        pool
    }

    /// Segments that a writer could take now.
    #[inline(always)]
    pub(crate) fn available(&self) -> usize {
        self.available.load(Ordering::Relaxed)
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

    /// Takes a segment if more than `reserve` are left.
    pub(crate) fn take(&self, table: &Segments, class: u8, reserve: usize) -> Option<SegmentId> {
        let mut state = self.state.lock();
        if self.spare(&state) <= reserve {
            return None;
        }
        let id = state.free.pop(table).or_else(|| {
            let id = state.released.pop(table).unwrap_or_else(|| {
                state.fresh += 1;
                state.fresh - 1
            });
            state.used += self.segment_cost;
            Some(id)
        })?;
        state.opened = state.opened.wrapping_add(1);
        self.held[usize::from(class)].fetch_add(1, Ordering::Relaxed);
        self.mirror(&state);
        Some(id)
    }

    /// Puts a full segment at the end of its queue; true if it is empty already, so that the
    /// caller should give it back.
    pub(crate) fn seal(&self, table: &Segments, id: SegmentId) -> bool {
        let mut state = self.state.lock();
        let Place { log, .. } = table.place(id);
        table.set_place(id, Place { phase: Phase::Sealed, log });
        table.born(id).store(state.opened, Ordering::Relaxed);
        state.push(table, id, log);
        table.load(id).is_empty()
    }

    /// The oldest segment of `log`.
    pub(crate) fn oldest(&self, log: LogId) -> Option<SegmentId> {
        let oldest = self.state.lock().queues[log.index()].oldest;
        (oldest != 0).then_some(oldest)
    }

    /// How many segments wait in the small queue and in the main one, and the clock of ages:
    /// segments opened so far.
    pub(crate) fn sealed(&self) -> ([u32; 2], u32) {
        let state = self.state.lock();
        (state.sealed, state.opened)
    }

    /// Numbers of segments that may be in use are below this.
    pub(crate) fn bound(&self) -> SegmentId {
        self.state.lock().fresh
    }

    /// Takes a sealed segment out of its queue to be emptied. Not if something pending lies in it.
    pub(crate) fn condemn(&self, table: &Segments, id: SegmentId) -> bool {
        let mut state = self.state.lock();
        let Place { phase, log } = table.place(id);
        if phase != Phase::Sealed || table.load(id).pending > 0 {
            return false;
        }
        state.unlink(table, id, log);
        table.set_place(id, Place { phase: Phase::Victim, log });
        true
    }

    /// Puts a segment at the young end of a queue; it may wait in another one or be a victim.
    pub(crate) fn rejuvenate(&self, table: &Segments, id: SegmentId, queue: Queue) {
        let mut state = self.state.lock();
        let Place { phase, log } = table.place(id);
        match phase {
            Phase::Sealed => state.unlink(table, id, log),
            Phase::Victim => {}
            _ => return,
        }
        let log = LogId { queue, ..log };
        table.born(id).store(state.opened, Ordering::Relaxed);
        table.set_place(id, Place { phase: Phase::Sealed, log });
        state.push(table, id, log);
    }

    /// Takes back a segment in which nothing lives any more, if it is still in the `phase` in which
    /// the caller is the one to do it: anybody from its queue, only the reclaimer as a victim.
    pub(crate) fn give_back(
        &self,
        table: &Segments,
        id: SegmentId,
        expected: Phase,
        memory: &Region<AtomicU32>,
    ) -> Freed {
        let mut state = self.state.lock();
        let Place { phase, log } = table.place(id);
        if phase != expected || !table.load(id).is_empty() {
            return Freed::No;
        }
        if phase == Phase::Sealed {
            state.unlink(table, id, log);
        }
        table.set_place(id, Place { phase: Phase::Zombie, log });
        // Either this sees the pin of a reader, or the reader sees that its item is gone.
        fence(Ordering::SeqCst);
        if table.pins(id).load(Ordering::SeqCst) > 0 {
            return Freed::Later;
        }
        self.free(&mut state, table, id, memory);
        Freed::Now
    }

    /// Takes back a segment that never went into its queue.
    pub(crate) fn withdraw(&self, table: &Segments, id: SegmentId, memory: &Region<AtomicU32>) {
        let mut state = self.state.lock();
        let Place { log, .. } = table.place(id);
        table.set_place(id, Place { phase: Phase::Zombie, log });
        self.free(&mut state, table, id, memory);
    }

    /// Frees an emptied segment once its last reader has gone.
    pub(crate) fn unpinned(&self, table: &Segments, id: SegmentId, memory: &Region<AtomicU32>) {
        let mut state = self.state.lock();
        let zombie = table.place(id).phase == Phase::Zombie;
        if zombie && table.pins(id).load(Ordering::SeqCst) == 0 {
            self.free(&mut state, table, id, memory);
        }
    }

    fn free(&self, state: &mut State, table: &Segments, id: SegmentId, memory: &Region<AtomicU32>) {
        let Place { log, .. } = table.place(id);
        table.set_place(id, Place { phase: Phase::Free, log });
        self.held[usize::from(log.class)].fetch_sub(1, Ordering::Relaxed);
        if state.index_waits || state.used > state.limit {
            state.index_waits = false;
            self.release(state, table, id, memory);
        } else {
            state.free.push(table, id);
        }
        self.mirror(state);
    }

    fn release(
        &self,
        state: &mut State,
        table: &Segments,
        id: SegmentId,
        memory: &Region<AtomicU32>,
    ) {
        memory.release(table.start(id) as usize, table.segment_words());
        state.used -= self.segment_cost;
        state.released.push(table, id);
    }

    /// Takes `bytes` for the index. If there are none, memory that becomes free is kept for it.
    pub(crate) fn take_bytes(
        &self,
        table: &Segments,
        bytes: usize,
        memory: &Region<AtomicU32>,
    ) -> bool {
        let mut state = self.state.lock();
        while state.used + bytes > state.limit {
            if state.free.len <= RESERVE {
                state.index_waits = true;
                return false;
            }
            let Some(id) = state.free.pop(table) else { return false };
            self.release(&mut state, table, id, memory);
        }
        state.used += bytes;
        self.mirror(&state);
        true
    }

    /// Gives back what [`Self::take_bytes`] took.
    pub(crate) fn give_bytes(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.used -= bytes;
        self.mirror(&state);
    }

    /// Changes the limit; what is free already goes back to the system where it is above the limit.
    pub(crate) fn set_limit(&self, table: &Segments, limit: usize, memory: &Region<AtomicU32>) {
        let mut state = self.state.lock();
        state.limit = limit;
        self.limit.store(limit, Ordering::Relaxed);
        while state.used > limit
            && let Some(id) = state.free.pop(table)
        {
            self.release(&mut state, table, id, memory);
        }
        self.mirror(&state);
    }

    /// The budget as it is now.
    pub(crate) fn gauge(&self) -> Gauge {
        let state = self.state.lock();
        Gauge { limit: state.limit, used: state.used, free: state.free.len }
    }

    /// Whether more is in use than a limit that was lowered allows.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.used > state.limit
    }

    fn spare(&self, state: &State) -> usize {
        let numbers = (state.segments - state.fresh) as usize + state.released.len;
        let room = state.limit.saturating_sub(state.used) / self.segment_cost;
        state.free.len + room.min(numbers)
    }

    fn mirror(&self, state: &State) {
        self.available.store(self.spare(state).saturating_sub(RESERVE), Ordering::Relaxed);
    }
}

impl State {
    fn push(&mut self, table: &Segments, id: SegmentId, log: LogId) {
        let queue = &mut self.queues[log.index()];
        table.older(id).store(queue.newest, Ordering::Relaxed);
        table.newer(id).store(0, Ordering::Relaxed);
        match queue.newest {
            0 => queue.oldest = id,
            newest => table.newer(newest).store(id, Ordering::Relaxed),
        }
        queue.newest = id;
        self.sealed[log.queue as usize] += 1;
    }

    fn unlink(&mut self, table: &Segments, id: SegmentId, log: LogId) {
        let queue = &mut self.queues[log.index()];
        let older = table.older(id).load(Ordering::Relaxed);
        let newer = table.newer(id).load(Ordering::Relaxed);
        match older {
            0 => queue.oldest = newer,
            older => table.newer(older).store(newer, Ordering::Relaxed),
        }
        match newer {
            0 => queue.newest = older,
            newer => table.older(newer).store(older, Ordering::Relaxed),
        }
        self.sealed[log.queue as usize] -= 1;
    }
}

impl List {
    fn push(&mut self, table: &Segments, id: SegmentId) {
        table.next(id).store(self.head, Ordering::Relaxed);
        self.head = id;
        self.len += 1;
    }

    fn pop(&mut self, table: &Segments) -> Option<SegmentId> {
        let id = self.head;
        if id == 0 {
            return None;
        }
        self.head = table.next(id).load(Ordering::Relaxed);
        self.len -= 1;
        Some(id)
    }
}

/// All logs of one queue.
pub(crate) fn logs(queue: Queue) -> impl Iterator<Item = LogId> {
    (0..CLASSES as u8)
        .flat_map(move |class| (0..GROUPS as u8).map(move |group| LogId { queue, class, group }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId { queue: Queue::Small, class: 0, group: 0 };

    fn pool(segments: usize) -> (Pool, Segments, Region<AtomicU32>) {
        let table = Segments::new(segments + 1, 10).unwrap();
        let memory = Region::reserve((segments + 1) << 10).unwrap();
        let cost = table.segment_bytes() + ROW_BYTES;
        (Pool::new(segments * cost, 0, segments + 1, table.segment_bytes()), table, memory)
    }

    fn open(pool: &Pool, table: &Segments, reserve: usize) -> Option<SegmentId> {
        let id = pool.take(table, LOG.class, reserve)?;
        table.open(id, LOG, 0, 1, 1);
        Some(id)
    }

    #[test]
    fn the_reserve_is_for_the_reclaimer_alone() {
        let (pool, table, _memory) = pool(RESERVE + 1);
        assert!(open(&pool, &table, RESERVE).is_some());
        assert!(open(&pool, &table, RESERVE).is_none());
        for _ in 0..RESERVE {
            assert!(open(&pool, &table, 0).is_some());
        }
        assert!(open(&pool, &table, 0).is_none());
        let gauge = pool.gauge();
        assert_eq!(gauge.used, gauge.limit);
    }

    #[test]
    fn queues_keep_their_order() {
        let (pool, table, memory) = pool(8);
        let ids: Vec<_> = (0..4).map(|_| open(&pool, &table, 0).unwrap()).collect();
        for &id in &ids {
            table.add_pending(id);
            assert!(!pool.seal(&table, id));
            table.publish(id, 8, true);
        }
        assert_eq!(pool.sealed(), ([4, 0], 4));
        assert_eq!(pool.oldest(LOG), Some(ids[0]));
        pool.rejuvenate(&table, ids[0], Queue::Small);
        assert_eq!(pool.oldest(LOG), Some(ids[1]));
        assert!(pool.condemn(&table, ids[2]));
        pool.rejuvenate(&table, ids[1], Queue::Small);
        assert_eq!(pool.oldest(LOG), Some(ids[3]));
        assert_eq!(pool.give_back(&table, ids[2], Phase::Victim, &memory), Freed::No);
        table.remove(ids[2], 8, true);
        assert_eq!(pool.give_back(&table, ids[2], Phase::Victim, &memory), Freed::Now);
        assert_eq!(pool.sealed(), ([3, 0], 4));
    }

    #[test]
    fn a_pinned_segment_is_freed_by_its_last_reader() {
        let (pool, table, memory) = pool(8);
        let id = open(&pool, &table, 0).unwrap();
        assert!(pool.seal(&table, id));
        table.pins(id).store(1, Ordering::SeqCst);
        let before = pool.gauge().free;
        assert_eq!(pool.give_back(&table, id, Phase::Sealed, &memory), Freed::Later);
        pool.unpinned(&table, id, &memory);
        assert_eq!(pool.gauge().free, before);
        table.pins(id).store(0, Ordering::SeqCst);
        pool.unpinned(&table, id, &memory);
        assert_eq!(pool.gauge().free, before + 1);
    }

    #[test]
    fn the_index_gets_memory_that_becomes_free() {
        let (pool, table, memory) = pool(8);
        let ids: Vec<_> = (0..8).map(|_| open(&pool, &table, 0).unwrap()).collect();
        assert!(!pool.take_bytes(&table, 100, &memory));
        assert!(pool.seal(&table, ids[0]));
        pool.give_back(&table, ids[0], Phase::Sealed, &memory);
        assert!(pool.take_bytes(&table, 100, &memory));
        assert!(pool.gauge().used <= pool.gauge().limit);
        pool.give_bytes(100);
        assert!(open(&pool, &table, 0).is_some());
    }

    #[test]
    fn a_smaller_limit_gives_memory_back() {
        let (pool, table, memory) = pool(8);
        let ids: Vec<_> = (0..8).map(|_| open(&pool, &table, 0).unwrap()).collect();
        for &id in &ids[..4] {
            assert!(pool.seal(&table, id));
            pool.give_back(&table, id, Phase::Sealed, &memory);
        }
        let limit = 6 * pool.segment_cost;
        pool.set_limit(&table, limit, &memory);
        assert_eq!(pool.gauge().used, limit);
        assert_eq!(pool.gauge().free, 2);
    }
}
