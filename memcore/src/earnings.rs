//! What the size classes have earned lately.
//!
//! Use counters say how often items were used in their lives, not when. Were they all that counted,
//! small items of which each was used once, long ago, would hold their memory against any number of
//! larger ones: per byte, they have many more uses. So the uses of a segment count only as far as
//! its whole class still gets hits.

use crate::counters::{Counters, Event};
use crate::pool::Pool;
use crate::segments::CLASSES;

/// A window ends when one in so many segments has been opened anew.
const WINDOW_SHARE: u32 = 2;
/// A segment's uses count up to so many times the hits per segment of its class in a window.
const GENEROSITY: u64 = 64;
/// Uses are told in fractions of this.
pub(crate) const UNIT: u64 = 16;
/// After so many windows without hits a class is idle. Long scans take a few, and then the items
/// that were used before are asked for again.
const PATIENCE: u32 = 8;
/// The same if items are stored whether or not they are asked for, so that no misses tell what is
/// wanted instead.
const PATIENCE_BLIND: u32 = 2;
/// Where at least one item in so many is stored after a miss, the misses say what is wanted.
const DEMAND_SHARE: u64 = 16;

/// The recent past, in windows of logical time.
#[derive(Debug)]
pub(crate) struct Earnings {
    /// Segments opened when the current window began.
    began: u32,
    /// What had been counted then.
    counts: Counts,
    /// How much of the uses of a segment of each class counts, by the last two windows.
    caps: [[u64; CLASSES]; 2],
    /// Windows in a row in which nobody asked for an item of the class.
    idle: [u32; CLASSES],
    /// Items are stored because they were missed.
    on_demand: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    hits: [u64; CLASSES],
    misses: u64,
    stored: u64,
}

impl Counts {
    fn now(counters: &Counters) -> Self {
        let sums = counters.sums_of_life();
        let of = |class: usize, event| sums.of(class as u8, event);
        Self {
            hits: std::array::from_fn(|class| {
                of(class, Event::HitsSmall) + of(class, Event::HitsMain)
            }),
            misses: of(0, Event::Misses),
            stored: (0..CLASSES).map(|class| of(class, Event::Stored)).sum(),
        }
    }
}

impl Earnings {
    /// Nothing is known yet, so every use counts.
    pub(crate) fn new() -> Self {
        let caps = [[u64::MAX; CLASSES]; 2];
        Self { began: 0, counts: Counts::default(), caps, idle: [0; CLASSES], on_demand: true }
    }

    /// Ends the window if it is time.
    pub(crate) fn update(&mut self, pool: &Pool, counters: &Counters) {
        let opened = pool.opened();
        let segments: u32 = pool.sealed().iter().sum();
        if opened.wrapping_sub(self.began) <= segments / WINDOW_SHARE {
            return;
        }
        let now = Counts::now(counters);
        let then = std::mem::replace(&mut self.counts, now);
        self.began = opened;
        self.caps[1] = self.caps[0];
        self.caps[0] = std::array::from_fn(|class| {
            let held = u64::from(pool.held(class as u8)).max(1);
            (now.hits[class] - then.hits[class]) * GENEROSITY * UNIT / held
        });
        for (class, idle) in self.idle.iter_mut().enumerate() {
            *idle = if now.hits[class] == then.hits[class] { *idle + 1 } else { 0 };
        }
        self.on_demand = (now.misses - then.misses) * DEMAND_SHARE >= now.stored - then.stored;
    }

    /// How much of a segment's `uses` counts, in fractions of [`UNIT`].
    pub(crate) fn worth(&self, class: u8, uses: u32) -> u64 {
        let [last, before] = self.caps.map(|caps| caps[usize::from(class)]);
        (u64::from(uses) * UNIT).min(last.max(before))
    }

    /// Whether nobody has asked for items of the class for long.
    pub(crate) fn is_idle(&self, class: u8) -> bool {
        let patience = if self.on_demand { PATIENCE } else { PATIENCE_BLIND };
        self.idle[usize::from(class)] >= patience
    }
}
