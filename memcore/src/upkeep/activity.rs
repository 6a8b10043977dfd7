//! Which size classes still earn hits.
//!
//! Use counters say how often items were used in their lives, not when. Were they all that counted,
//! small items of which each was used once, long ago, would hold their memory against any number of
//! larger ones: per byte, they have many more uses. So a class that nobody asks for any more loses
//! first the weight of its uses and then what protects its main items from newcomers.

use crate::counters::{Counters, Event};
use crate::space::segments::CLASSES;

/// A window ends when one in so many segments has been opened anew.
const WINDOW_SHARE: u32 = 2;
/// After so many windows without hits the uses of a class count no more.
const USES_FADE: u32 = 8;
/// After so many its main items have no advantage over new ones. Long scans take many, and then
/// the items that were used before are asked for again.
const PRIVILEGE_ENDS: u32 = 64;
/// Both, if items are stored whether or not they were asked for: no misses tell what is wanted
/// instead.
const BLIND: u32 = 2;
/// Where at least one item in so many is stored after a miss, the misses say what is wanted.
const DEMAND_SHARE: u64 = 16;

/// The recent past, in windows of logical time.
#[derive(Debug)]
pub(crate) struct Earnings {
    /// Segments opened when the current window began.
    began: u32,
    /// What had been counted then.
    counts: Counts,
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
    pub(crate) fn new() -> Self {
        Self { began: 0, counts: Counts::default(), idle: [0; CLASSES], on_demand: true }
    }

    /// Ends the window if it is time, by the count of segments `opened` so far and of those that
    /// wait in queues.
    pub(crate) fn update(&mut self, opened: u32, segments: u32, counters: &Counters) {
        if opened.wrapping_sub(self.began) <= segments / WINDOW_SHARE {
            return;
        }
        let now = Counts::now(counters);
        let then = std::mem::replace(&mut self.counts, now);
        self.began = opened;
        for (class, idle) in self.idle.iter_mut().enumerate() {
            *idle = if now.hits[class] == then.hits[class] { *idle + 1 } else { 0 };
        }
        self.on_demand = (now.misses - then.misses) * DEMAND_SHARE >= now.stored - then.stored;
    }

    /// Whether uses of the class's items are long ago.
    pub(crate) fn uses_fade(&self, class: u8) -> bool {
        self.is_idle(class, USES_FADE)
    }

    /// Whether main items of the class are no better than new ones.
    pub(crate) fn is_unprivileged(&self, class: u8) -> bool {
        self.is_idle(class, PRIVILEGE_ENDS)
    }

    fn is_idle(&self, class: u8, windows: u32) -> bool {
        self.idle[usize::from(class)] >= if self.on_demand { windows } else { BLIND }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(earnings: &mut Earnings, count: u32, each: impl Fn(&Counters)) {
        let counters = Counters::new();
        earnings.update(4, 4, &counters);
        for window in 1..=count {
            each(&counters);
            earnings.update(4 + 3 * window, 4, &counters);
        }
    }

    #[test]
    fn a_class_without_hits_loses_its_uses_then_its_privilege() {
        let missed = |counters: &Counters| {
            counters.add(0, Event::Misses, 1);
            counters.add(1, Event::Stored, 1);
            counters.add(2, Event::HitsMain, 1);
        };
        for (count, fades, ends) in
            [(4, false, false), (USES_FADE + 1, true, false), (PRIVILEGE_ENDS + 1, true, true)]
        {
            let mut earnings = Earnings::new();
            windows(&mut earnings, count, missed);
            assert_eq!((earnings.uses_fade(1), earnings.is_unprivileged(1)), (fades, ends));
            assert!(!earnings.uses_fade(2) && !earnings.is_unprivileged(2));
        }
    }

    #[test]
    fn without_misses_it_loses_both_soon() {
        let mut earnings = Earnings::new();
        windows(&mut earnings, BLIND + 1, |counters| counters.add(1, Event::Stored, 17));
        assert!(earnings.uses_fade(0) && earnings.is_unprivileged(0));
    }
}
