//! Logs: where new items are appended. An item that does not fit into the rest of its segment
//! goes on in the next one; one that is larger than a segment gets a chain of its own, segment by
//! segment, whose last one is then open for others.

use crate::engine::Engine;
use crate::memory::sync::{Mutex, MutexGuard, Ordering};
use crate::memory::thread;
use crate::space::layout::{Head, Header, Shape, item_words};
use crate::space::segments::{LOGS, Loc, LogId, Phase, Pieces, Queue, SegmentId, class_of};

/// An item may go on in the next segment if it is at least this part of a segment; the end of a
/// segment is wasted for smaller ones.
const SPAN_SHARE: usize = 128;
/// Versions given out since a segment was opened, up to which it takes items.
const VERSIONS_MAX: u64 = 1 << 30;
/// From so many segments of a class on its lifetimes are kept apart.
const GROUPS_FROM: u32 = 32;
/// Seconds to live up to which an item belongs to group 1, 2, 3.
const LIFETIMES: [u32; 3] = [120, 3600, 86_400];

/// Bytes of the limit for each lane, and the most lanes.
const LANE_BYTES: usize = 32 << 20;
const LANES_MAX: usize = 8;

/// The open segments. Threads of different lanes append to different ones.
#[derive(Debug)]
pub(crate) struct Logs(Box<[Lane]>);

/// The open segment of each log; 0 for none.
#[derive(Debug)]
#[repr(align(128))]
struct Lane([Mutex<SegmentId>; LOGS]);

type Open<'l> = MutexGuard<'l, SegmentId>;

/// There is no segment to be had without reclaiming one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NeedsRoom;

impl Logs {
    /// As many lanes as a cache of `limit` bytes has segments to spare for.
    pub(crate) fn new(limit: usize) -> Self {
        let lanes = (limit / LANE_BYTES).clamp(1, LANES_MAX);
        let lane = || Lane(std::array::from_fn(|_| Mutex::new(0)));
        Self(std::iter::repeat_with(lane).take(lanes).collect())
    }

    /// Bytes that they take.
    pub(crate) const BYTES: usize = LANES_MAX * size_of::<Lane>();

    /// Locks this thread's open segment of a log.
    #[inline]
    fn open(&self, log: LogId) -> Open<'_> {
        let Lane(logs) = &self.0[thread::number() % self.0.len()];
        logs[log.index()].lock()
    }
}

/// An item's place before it is live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) loc: Loc,
    pub(crate) header: Header,
    /// The header's, which takes a while to compute.
    shape: Shape,
    /// It counts as live already.
    pub(crate) counts: bool,
}

impl Slot {
    /// The byte address of the value.
    pub(crate) fn value_at(&self) -> usize {
        (self.loc as usize + self.shape.key_at()) * 4 + self.header.key_len
    }

    /// Bytes of the whole item.
    pub(crate) fn size(&self) -> usize {
        4 * item_words(self.shape, self.header.value_len)
    }

    /// The size class of the item.
    pub(crate) fn class(&self) -> u8 {
        class_of(self.size())
    }
}

impl Engine {
    /// The log for an item.
    pub(crate) fn log_for(&self, queue: Queue, head: &Head<'_>, now: u32) -> LogId {
        let class = head.class();
        let left =
            head.header.expiry.filter(|&expiry| expiry != 0).map(|at| at.saturating_sub(now));
        let group = left
            .filter(|_| self.pool.held(class) >= GROUPS_FROM)
            .and_then(|left| LIFETIMES.iter().position(|&most| left <= most))
            .map_or(0, |group| group as u8 + 1);
        LogId { queue, class, group }
    }

    /// Finds a place for an item of at most a segment and writes its head there; `reserve`
    /// segments have to be left. One that is `soon` live may count as live from now on, which saves
    /// a change of a word that others change as well.
    ///
    /// # Errors
    /// A segment is needed and there is none.
    pub(crate) fn allocate(
        &self,
        log: LogId,
        head: &Head<'_>,
        reserve: usize,
        soon: bool,
    ) -> Result<Slot, NeedsRoom> {
        let words = head.item_words();
        debug_assert!(words <= self.table.segment_words());
        let mut open = self.logs.open(log);
        self.close_if_outdated(&mut open);
        let room = self.room(*open);
        let slot = if words <= room {
            let slot = self.append(*open, words, head, soon);
            // Where this thread's next item of the kind will be.
            self.prefetch_at(slot.loc + words as u64);
            slot
        } else {
            let next = self.open_segment(log, reserve)?;
            let spans = room > head.words() && words >= self.table.segment_words() / SPAN_SHARE;
            let slot = if spans {
                let slot = self.append(*open, room, head, false);
                self.link(*open, next, slot.loc, words - room);
                slot
            } else {
                self.append(next, words, head, soon)
            };
            self.close(&mut open);
            *open = next;
            slot
        };
        self.note_expiry(slot.loc, head.header.expiry);
        Ok(slot)
    }

    /// Hands out words of a segment. The head is there before anybody learns of it.
    fn append(&self, id: SegmentId, words: usize, head: &Head<'_>, counts: bool) -> Slot {
        let used = self.table.used(id).load(Ordering::Relaxed);
        let loc = self.table.start(id) + u64::from(used);
        let slot = Slot { loc, header: head.header, shape: head.shape, counts };
        match counts {
            true => self.table.add_live(id, words * 4),
            false => self.table.add_pending(id),
        }
        self.write_head(loc, head);
        self.table.used(id).store(used + words as u32, Ordering::Release);
        slot
    }

    /// Words that are left in an open segment.
    fn room(&self, id: SegmentId) -> usize {
        if id == 0 {
            return 0;
        }
        self.table.segment_words() - self.table.used(id).load(Ordering::Relaxed) as usize
    }

    /// Makes the item at `loc` go on with `words` words at the front of segment `next`.
    fn link(&self, id: SegmentId, next: SegmentId, loc: Loc, words: usize) {
        self.table.next(id).store(next, Ordering::Relaxed);
        self.table.lead(next).store(loc, Ordering::Relaxed);
        self.table.lead_words(next).store(words as u32, Ordering::Relaxed);
        self.table.used(next).store(words as u32, Ordering::Release);
        self.table.add_pending(next);
    }

    fn open_segment(&self, log: LogId, reserve: usize) -> Result<SegmentId, NeedsRoom> {
        let id = self.pool.take(&self.table, log.class, reserve).ok_or(NeedsRoom)?;
        let now = self.clock_now();
        self.table.open(id, log, self.epoch(), self.last_version(), now);
        Ok(id)
    }

    /// Seals the open segment.
    fn close(&self, open: &mut Open<'_>) {
        let id = std::mem::take(&mut **open);
        if id != 0 {
            self.seal(id);
        }
    }

    fn seal(&self, id: SegmentId) {
        if self.pool.seal(&self.table, id) {
            self.pool.give_back(&self.table, id, Phase::Sealed, &self.memory);
        }
    }

    /// A segment from before the last flush, or with too old a version to count from, takes no more.
    fn close_if_outdated(&self, open: &mut Open<'_>) {
        let id = **open;
        if id == 0 {
            return;
        }
        let base = self.table.version_base(id).load(Ordering::Relaxed);
        let outdated = self.table.stamp(id).epoch() != self.epoch()
            || self.last_version().wrapping_sub(base) > VERSIONS_MAX;
        if outdated {
            self.close(open);
        }
    }

    /// Closes all open segments, so that they can be reclaimed like others.
    pub(crate) fn close_logs(&self) {
        for log in self.logs.0.iter().flat_map(|Lane(logs)| logs) {
            self.close(&mut log.lock());
        }
    }

    /// Begins an item that is larger than a segment; it takes what is left of the log's open
    /// segment.
    ///
    /// # Errors
    /// A segment is needed and there is none.
    pub(crate) fn begin_chain(
        &self,
        log: LogId,
        head: &Head<'_>,
        reserve: usize,
    ) -> Result<Chain, NeedsRoom> {
        let mut open = self.logs.open(log);
        self.close_if_outdated(&mut open);
        if self.room(*open) <= head.words() {
            let next = self.open_segment(log, reserve)?;
            self.close(&mut open);
            *open = next;
        }
        let id = std::mem::take(&mut *open);
        let room = self.room(id);
        let slot = self.append(id, room, head, false);
        self.note_expiry(slot.loc, head.header.expiry);
        self.seal(id);
        Ok(Chain { slot, log, last: id, left: head.item_words() - room, reserve })
    }

    /// Adds a segment to a chain.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn extend_chain(&self, chain: &mut Chain) -> Result<(), NeedsRoom> {
        let next = self.open_segment(chain.log, chain.reserve)?;
        let words = chain.left.min(self.table.segment_words());
        self.link(chain.last, next, chain.slot.loc, words);
        chain.left -= words;
        chain.last = next;
        Ok(())
    }

    /// Hands the segments of a complete chain over to the log; the last one may take more items.
    pub(crate) fn finish_chain(&self, chain: &Chain) {
        let pieces = Pieces::new(&self.table, chain.slot.loc as usize * 4, chain.slot.size());
        let ids = pieces.by_segment().map(|(id, _)| id);
        for id in ids.skip(1).filter(|&id| id != chain.last) {
            self.seal(id);
        }
        let mut open = self.logs.open(chain.log);
        if self.room(chain.last) > self.room(*open) {
            self.close(&mut open);
            *open = chain.last;
        } else {
            self.seal(chain.last);
        }
    }

    /// Gives up an item that was never published.
    pub(crate) fn abandon(&self, slot: &Slot) {
        if slot.counts {
            self.give_up(self.table.segment_of(slot.loc), slot.size(), true);
        } else {
            self.abandon_pieces(slot, usize::MAX);
        }
    }

    /// Gives up an incomplete chain.
    pub(crate) fn abandon_chain(&self, chain: &Chain) {
        let segments = self.abandon_pieces(&chain.slot, chain.left);
        for id in segments {
            self.pool.withdraw(&self.table, id, &self.memory);
        }
    }

    /// Gives up the first `words - missing` words; the segments behind the first.
    fn abandon_pieces(&self, slot: &Slot, missing: usize) -> Vec<SegmentId> {
        let is_chain = missing != usize::MAX;
        let size = slot.size() - if is_chain { 4 * missing } else { 0 };
        let pieces = Pieces::new(&self.table, slot.loc as usize * 4, size);
        let ids: Vec<_> = pieces.by_segment().map(|(id, _)| id).collect();
        let mut own = Vec::new();
        for (i, &id) in ids.iter().enumerate() {
            let load = self.table.abandon(id);
            if is_chain && i > 0 {
                own.push(id);
            } else if load.is_empty() {
                self.pool.give_back(&self.table, id, Phase::Sealed, &self.memory);
            }
        }
        own
    }

    /// Writes everything before the value. The log's lock or the chain keep others away.
    fn write_head(&self, loc: Loc, head: &Head<'_>) {
        let (words, len) = head.encode();
        let cells = self.memory.cells(loc as usize, len);
        for (cell, &word) in cells.iter().zip(&words) {
            cell.store(word, Ordering::Relaxed);
        }
        self.memory.write((loc as usize + len) * 4, head.key);
    }

    /// Makes the sweep look at the item's segment in time.
    pub(crate) fn note_expiry(&self, loc: Loc, expiry: Option<u32>) {
        if let Some(expiry) = expiry.filter(|&expiry| expiry != 0) {
            let due = self.table.due(self.table.segment_of(loc));
            if due.load(Ordering::Relaxed) > expiry {
                due.fetch_min(expiry, Ordering::Relaxed);
            }
        }
    }
}

/// An item larger than a segment, on its way.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) slot: Slot,
    log: LogId,
    last: SegmentId,
    /// Words that have no memory yet.
    pub(crate) left: usize,
    /// Segments that it must leave to others.
    reserve: usize,
}
