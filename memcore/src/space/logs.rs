//! Logs: the open segments that new items are appended to, and which log an item belongs to.

use crate::memory::sync::{Mutex, MutexGuard, Ordering};
use crate::memory::thread;
use crate::space::Space;
use crate::space::layout::Head;
use crate::space::segments::{LOGS, Loc, LogId, SegmentId, Stamp, level_of};

/// A class is split by time to live once it holds this many segments.
const GROUPS_FROM: u32 = 32;
/// Seconds to live up to which an item belongs to group 1, 2, 3.
const LIFETIMES: [u32; 3] = [120, 3600, 86_400];

/// Rows of the table that are looked at while the pool is locked.
const EXTENTS: usize = 1024;

/// Bytes of the limit for each lane of new items and of those that were used, and the most lanes.
const LANE_BYTES: usize = 32 << 20;
const USED_LANE_BYTES: usize = 256 << 20;
const LANES_MAX: usize = if cfg!(loom) { 1 } else { 8 };

/// The open segments. Threads of different lanes append to different ones.
#[derive(Debug)]
pub(super) struct Logs {
    lanes: Box<[Lane]>,
    /// Lanes for items that were used. There are many kinds of them, each with an open segment, and
    /// most come from the reclaimer, which is one thread at a time.
    used: usize,
}

/// The open segment of each log; 0 for none.
#[derive(Debug)]
#[repr(align(128))]
struct Lane([Mutex<SegmentId>; LOGS]);

/// What a segment holds at some moment: the items in front of `end`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) id: SegmentId,
    pub(crate) stamp: Stamp,
    pub(crate) end: Loc,
}

/// Bytes that all logs of a cache take. A `small` one has one lane.
pub(crate) fn logs_bytes(small: bool) -> usize {
    (if small { 1 } else { LANES_MAX }) * size_of::<Lane>()
}

/// A locked log: its open segment.
pub(super) type Open<'l> = MutexGuard<'l, SegmentId>;

impl Logs {
    /// As many lanes as a cache of `limit` bytes has segments to spare for.
    pub(super) fn new(limit: usize) -> Self {
        let lanes = |bytes: usize| (limit / bytes).clamp(1, LANES_MAX);
        let lane = || Lane(std::array::from_fn(|_| Mutex::new(0)));
        Self {
            lanes: std::iter::repeat_with(lane).take(lanes(LANE_BYTES)).collect(),
            used: lanes(USED_LANE_BYTES),
        }
    }

    /// Locks this thread's open segment of a log.
    #[inline]
    pub(super) fn open(&self, log: LogId) -> Open<'_> {
        let lanes = if log.level == 0 { self.lanes.len() } else { self.used };
        let Lane(logs) = &self.lanes[thread::number() % lanes];
        logs[log.index()].lock()
    }

    /// Locks the open segments of all logs of all lanes, one after the other.
    pub(super) fn each(&self) -> impl Iterator<Item = Open<'_>> {
        self.lanes.iter().flat_map(|Lane(logs)| logs).map(Mutex::lock)
    }
}

impl Space {
    /// All segments that hold items, and how far they are filled.
    pub(crate) fn extents(&self) -> Vec<Extent> {
        let mut found = Vec::new();
        // Nobody appends to a log that is locked, nor opens its next segment.
        for open in self.logs.each() {
            found.extend((*open != 0).then(|| self.extent(*open)));
        }
        let bound = self.pool.bound();
        for from in (0..bound).step_by(EXTENTS) {
            let end = bound.min(from + EXTENTS as SegmentId);
            self.pool.each_sealed(from..end, |id| found.push(self.extent(id)));
        }
        found
    }

    fn extent(&self, id: SegmentId) -> Extent {
        // Pairs with the release stores of `Space::append`.
        let used = self.table().row(id).used.load(Ordering::Acquire);
        let end = self.table().start(id) + u64::from(used);
        Extent { id, stamp: self.table().stamp(id), end }
    }

    /// The log for an item.
    pub(crate) fn log_for(&self, head: &Head<'_>, now: u32) -> LogId {
        let class = head.class();
        let ttl = head.header.expiry.filter(|&expiry| expiry != 0).map(|at| at.saturating_sub(now));
        let group = ttl
            .filter(|_| self.pool.held(class) >= GROUPS_FROM)
            .and_then(|ttl| LIFETIMES.iter().position(|&max| ttl <= max))
            .map_or(0, |group| group as u8 + 1);
        LogId { level: level_of(head.state.uses()), class, group }
    }
}
