//! Logs: the open segments that new items are appended to, and which log an item belongs to.

use crate::memory::sync::{Mutex, MutexGuard};
use crate::memory::thread;
use crate::space::Space;
use crate::space::layout::Head;
use crate::space::segments::{LOGS, LogId, SegmentId, level_of};

/// A class is split by time to live once it holds this many segments.
const GROUPS_FROM: u32 = 32;
/// Seconds to live up to which an item belongs to group 1, 2, 3.
const LIFETIMES: [u32; 3] = [120, 3600, 86_400];

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

/// Bytes that all logs of a cache take.
pub(crate) const LOGS_BYTES: usize = LANES_MAX * size_of::<Lane>();

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
