//! Which size classes still earn hits.
//!
//! Use counters say how often items were used in their lives, not when. Were they all that counted,
//! small items of which each was used once, long ago, would hold their memory against any number of
//! larger ones: per byte, they have many more uses. So a class that nobody asks for any more loses
//! first the weight of its uses and then what protects its main items from newcomers.

use crate::space::segments::CLASSES;

/// A window ends once 1/WINDOW_SHARE of all segments have been opened again.
const WINDOW_SHARE: u32 = 2;
/// Windows without hits after which the uses of a class count no more.
const USES_FADE: u32 = 8;
/// Windows without hits after which its main items have no advantage over new ones. Long scans take
/// many, and then the items that were used before are asked for again.
const PRIVILEGE_ENDS: u32 = 64;
/// Windows for both where items are stored whether or not they were asked for: no misses tell what
/// is wanted instead.
const BLIND: u32 = 2;
/// Where at least 1/DEMAND_SHARE of all items are stored after a miss, the misses say what is
/// wanted.
const DEMAND_SHARE: u64 = 16;

/// The recent past, in windows of logical time.
#[derive(Debug)]
pub(crate) struct ClassActivity {
    /// Segments opened when the current window began.
    began: u32,
    /// What had been counted then.
    demand: Demand,
    /// Windows in a row in which nobody asked for an item of the class.
    idle: [u32; CLASSES],
    /// Items are stored because they were missed.
    on_demand: bool,
}

/// What was asked for since the cache was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Demand {
    pub(crate) hits: [u64; CLASSES],
    pub(crate) misses: u64,
    pub(crate) stored: u64,
}

impl ClassActivity {
    pub(crate) fn new() -> Self {
        Self { began: 0, demand: Demand::default(), idle: [0; CLASSES], on_demand: true }
    }

    /// Ends the window if it is time, by the count of segments `opened` so far and of those that
    /// wait in queues.
    pub(crate) fn update(&mut self, opened: u32, segments: u32, demand: impl FnOnce() -> Demand) {
        if opened.wrapping_sub(self.began) <= segments / WINDOW_SHARE {
            return;
        }
        let now = demand();
        let then = std::mem::replace(&mut self.demand, now);
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

    fn windows(activity: &mut ClassActivity, count: u32, each: impl Fn(&mut Demand)) {
        let mut demand = Demand::default();
        activity.update(4, 4, || demand);
        for window in 1..=count {
            each(&mut demand);
            activity.update(4 + 3 * window, 4, || demand);
        }
    }

    #[test]
    fn a_class_without_hits_loses_its_uses_then_its_privilege() {
        let missed = |demand: &mut Demand| {
            demand.misses += 1;
            demand.stored += 1;
            demand.hits[2] += 1;
        };
        for (count, fades, ends) in
            [(4, false, false), (USES_FADE + 1, true, false), (PRIVILEGE_ENDS + 1, true, true)]
        {
            let mut activity = ClassActivity::new();
            windows(&mut activity, count, missed);
            assert_eq!((activity.uses_fade(1), activity.is_unprivileged(1)), (fades, ends));
            assert!(!activity.uses_fade(2) && !activity.is_unprivileged(2));
        }
    }

    #[test]
    fn without_misses_it_loses_both_soon() {
        let mut activity = ClassActivity::new();
        windows(&mut activity, BLIND + 1, |demand| demand.stored += 17);
        assert!(activity.uses_fade(0) && activity.is_unprivileged(0));
    }
}
