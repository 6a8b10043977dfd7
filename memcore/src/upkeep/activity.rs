//! Which size classes are still asked for.
//!
//! By the byte small items are worth so much more than large ones that ones which nobody will ever
//! ask for again would hold their memory against any number of larger ones. So a class that is not
//! hit for a while is worth no more than the largest items, if others are asked for again and again
//! meanwhile, or if items are stored whether or not they were missed.

use crate::space::segments::CLASSES;

/// Steps of 1/16 turnover after which a class without hits is idle, while others are asked for; and
/// where items are stored without having been missed.
const IDLE: u32 = 24;
const BLIND: u32 = 16;
/// Others are in use if at least this many were hit or came back for each four that were stored.
const ASKED: u64 = 3;
/// Where at least 1/DEMAND_SHARE of the items are stored after a miss, the misses say what is
/// wanted.
const DEMAND_SHARE: u64 = 16;

/// What was asked for, by class, and how often in vain.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Demand {
    pub(crate) hits: [u64; CLASSES],
    /// New items whose keys were remembered.
    pub(crate) returned: [u64; CLASSES],
    pub(crate) stored: [u64; CLASSES],
    pub(crate) replaced: [u64; CLASSES],
    pub(crate) misses: u64,
}

/// For how long nobody has asked for the items of a class.
#[derive(Debug, Default)]
pub(crate) struct ClassActivity {
    before: Demand,
    /// Steps without a hit in which others were asked for, less those in which they were not, and
    /// all in a row.
    idle: [u32; CLASSES],
    unasked: [u32; CLASSES],
    blind: bool,
}

impl ClassActivity {
    /// Ends a step; `demand` is counted from the beginning.
    pub(crate) fn step(&mut self, demand: &Demand) {
        let before = std::mem::replace(&mut self.before, *demand);
        let since = |now: &[u64; CLASSES], then: &[u64; CLASSES]| -> [u64; CLASSES] {
            std::array::from_fn(|class| now[class] - then[class])
        };
        let hits = since(&demand.hits, &before.hits);
        let returned = since(&demand.returned, &before.returned);
        let stored = since(&demand.stored, &before.stored);
        let misses = demand.misses - before.misses;
        let all_stored = stored.iter().sum();
        if all_stored > 0 {
            self.blind = misses * DEMAND_SHARE < all_stored;
        }
        for class in 0..CLASSES {
            if hits[class] > 0 {
                (self.idle[class], self.unasked[class]) = (0, 0);
                continue;
            }
            let others = |of: &[u64; CLASSES]| of.iter().sum::<u64>() - of[class];
            let asked = others(&hits) + others(&returned);
            let again = asked * 4 >= others(&stored) * ASKED;
            self.unasked[class] += 1;
            if asked > 0 && again && returned[class] == 0 {
                self.idle[class] += 1;
            } else if !again {
                self.idle[class] = self.idle[class].saturating_sub(1);
            }
        }
    }

    /// Whether nobody asks for items of this class any more.
    pub(crate) fn is_idle(&self, class: u8) -> bool {
        let class = usize::from(class);
        self.idle[class] >= IDLE || (self.blind && self.unasked[class] >= BLIND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After this many steps: whether class 1 is idle, which is not hit, and class 2.
    fn idle(steps: u64, each: impl Fn(&mut Demand)) -> [bool; 2] {
        let (mut activity, mut demand) = (ClassActivity::default(), Demand::default());
        for _ in 0..steps {
            each(&mut demand);
            activity.step(&demand);
        }
        [1, 2].map(|class| activity.is_idle(class))
    }

    #[test]
    fn a_class_without_hits_is_idle_while_others_come_back() {
        let asked = |demand: &mut Demand| {
            demand.misses += 4;
            demand.stored[2] += 4;
            demand.returned[2] += 2;
            demand.hits[2] += 1;
        };
        assert_eq!(idle(23, asked), [false, false]);
        assert_eq!(idle(24, asked), [true, false]);
    }

    #[test]
    fn a_scan_proves_nothing() {
        let scan = |demand: &mut Demand| {
            demand.misses += 10;
            demand.stored[2] += 10;
            demand.returned[2] += 7;
        };
        assert_eq!(idle(1000, scan), [false, false]);
    }

    #[test]
    fn where_nothing_was_missed_all_that_is_not_hit_is_idle_soon() {
        let write = |demand: &mut Demand| {
            demand.stored[2] += 17;
            demand.misses += 1;
            demand.hits[2] += 1;
        };
        assert_eq!(idle(15, write), [false, false]);
        assert_eq!(idle(16, write), [true, false]);
    }
}
