//! What upkeep remembers between two steps, behind one lock.

use crate::config::Builder;
use crate::memory::sync::{AtomicUsize, Mutex};
use crate::space::segments::{LogId, SegmentId, Stamp};
use crate::upkeep::policy::{Policy, Survivors};
use crate::upkeep::rivals::Rivals;

/// The state of upkeep, and its locks.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) reclaim: Mutex<Reclaim>,
    /// Locked by whoever changes the limit; before all other locks.
    pub(crate) limit: Mutex<()>,
    /// The limit that was asked for.
    pub(crate) limit_goal: AtomicUsize,
    /// The most bytes of items that there have been where nothing may be evicted, as far as that
    /// was looked at.
    pub(crate) filled: AtomicUsize,
    pub(crate) rivals: Rivals,
}

/// The reclaimer's own state.
#[derive(Debug)]
pub(crate) struct Reclaim {
    pub(crate) policy: Policy,
    pub(crate) victim: Option<Victim>,
    /// The next segment to look at for holes.
    pub(crate) compacted: SegmentId,
    /// When there was nothing to gain by a compaction.
    pub(crate) no_gain: Option<NoGain>,
    /// Victims so far.
    pub(crate) evictions: u32,
    /// Segments opened when the rivals were looked at.
    pub(crate) sampled_at: u32,
    pub(crate) sweep: Sweep,
}

/// A moment at which no compaction would have gained `least` bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoGain {
    /// Items that had ended until then.
    pub(crate) removed: u64,
    pub(crate) second: u32,
    pub(crate) least: usize,
}

impl NoGain {
    /// Whether the same is true at another moment. Where handles have gone it may be wrong for the
    /// rest of a second.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        (self.removed, self.second) == (other.removed, other.second) && self.least <= other.least
    }
}

/// A segment that is being emptied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Victim {
    pub(crate) id: SegmentId,
    pub(crate) log: LogId,
    /// Words that have been dealt with.
    pub(crate) done: usize,
    /// Where those go that survive, if not each to the log that is right for it.
    pub(crate) target: Option<LogId>,
    /// Which of its items survive.
    pub(crate) survivors: Survivors,
    /// Items stayed where they are, and the level that the last of them has.
    pub(crate) kept: bool,
    pub(crate) kept_level: u8,
    /// Bytes that were copied.
    pub(crate) copied: usize,
}

/// How far the sweep has come.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// The next segment to look at.
    pub(crate) next: SegmentId,
    /// The epoch in which the round began.
    pub(crate) epoch: u32,
    /// The last complete round.
    pub(crate) done: Option<Round>,
    /// The segment that is looked into.
    pub(crate) current: Option<Visit>,
}

/// A complete round of the sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// The second in which it ended.
    pub(crate) ended: u32,
    /// The epoch in which it began.
    pub(crate) epoch: u32,
}

/// A segment that the sweep looks into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    pub(crate) id: SegmentId,
    pub(crate) stamp: Stamp,
    /// Words that have been looked at.
    pub(crate) at: usize,
    /// The first expiry among the items that stay.
    pub(crate) due: u32,
}

impl Upkeep {
    /// That of a cache whose limit is so many bytes above the least.
    pub(crate) fn new(seed: u64, builder: &Builder, above_least: usize) -> Self {
        let reclaim = Reclaim {
            policy: Policy::new(seed, builder.evict_size_weight),
            victim: None,
            compacted: 0,
            no_gain: None,
            evictions: 0,
            sampled_at: 0,
            sweep: Sweep::default(),
        };
        Self {
            reclaim: Mutex::new(reclaim),
            limit: Mutex::new(()),
            limit_goal: AtomicUsize::new(builder.limit),
            filled: AtomicUsize::new(0),
            rivals: Rivals::new(above_least, builder.evict_size_weight, builder.evictions),
        }
    }
}
