//! A new limit, and reclaiming what is above a smaller one.

use crate::engine::{Engine, Settings};
use crate::memory::sync::Ordering;
use crate::upkeep::evict::Step;
use crate::{ConfigError, Resized};

/// Bytes by which the limit is lowered in one step: between two of them writers find the room that
/// they need.
const LOWERED: usize = 8 << 20;

impl Engine {
    /// Changes the limit.
    pub(crate) fn set_limit(&self, limit: usize) -> Result<Resized, ConfigError> {
        self.check_limit(limit)?;
        let _one = self.upkeep.limit.lock();
        self.announce_limit(limit);
        self.apply_limit(limit);
        Ok(self.resized())
    }

    /// Changes the limit, and leaves it to [`Self::reclaim_ahead`] to lower it.
    pub(crate) fn set_limit_in_steps(&self, limit: usize) -> Result<Resized, ConfigError> {
        self.check_limit(limit)?;
        let _one = self.upkeep.limit.lock();
        self.announce_limit(limit);
        if self.space.pool.gauge().used <= limit {
            self.space.pool.set_limit(limit);
        }
        Ok(self.resized())
    }

    /// Reclaims what is above the limit in force, as an earlier one was higher.
    pub(crate) fn fit_limit(&self) {
        if self.space.pool.is_over() {
            let _one = self.upkeep.limit.lock();
            let limit = self.space.pool.limit();
            self.announce_limit(limit);
            self.apply_limit(limit);
        }
    }

    /// Reclaims what is above so many bytes, at the end of a cache.
    pub(crate) fn reclaim_to(&self, bytes: usize) {
        let _one = self.upkeep.limit.lock();
        self.apply_limit(bytes);
    }

    fn check_limit(&self, limit: usize) -> Result<(), ConfigError> {
        let Settings { limit_most: most, limit_least: least, .. } = self.settings;
        if limit < least {
            return Err(ConfigError::LimitTooSmall { limit, least });
        }
        if limit > most {
            return Err(ConfigError::LimitTooLarge { limit, most });
        }
        Ok(())
    }

    fn announce_limit(&self, bytes: usize) {
        self.upkeep.limit_goal.store(bytes, Ordering::Relaxed);
        self.fit_flash(bytes);
        // An item beyond that would have everything evicted and then not fit.
        self.item_max.store(self.settings.max_item_size.min(bytes / 2), Ordering::Relaxed);
    }

    fn resized(&self) -> Resized {
        Resized { pending: self.space.pool.gauge().used.saturating_sub(self.limit_goal()) }
    }

    /// The limit that was asked for. The one in force may still be above it.
    pub(crate) fn limit_goal(&self) -> usize {
        self.upkeep.limit_goal.load(Ordering::Relaxed)
    }

    /// Whether more is in use than there may be in the end.
    pub(crate) fn is_limit_lowered(&self) -> bool {
        self.space.pool.is_over() || self.space.pool.limit() > self.limit_goal()
    }

    /// Lowers the limit in force by a segment; false if it is as low as it is to be.
    pub(crate) fn lower_limit(&self) -> bool {
        let segment = self.space.table().segment_bytes();
        self.lower_limit_to(|used| used.saturating_sub(segment))
    }

    /// Lowers the limit in force as far as it is to be lowered, since nothing more can be reclaimed
    /// now. What becomes free later goes to the system.
    pub(crate) fn lower_limit_anyway(&self) {
        self.lower_limit_to(|_| 0);
    }

    /// Lowers the limit in force to what is said of the bytes in use, or as far as it is to be
    /// lowered; false if it is as low already.
    fn lower_limit_to(&self, bytes: impl FnOnce(usize) -> usize) -> bool {
        if self.space.pool.limit() <= self.limit_goal() {
            return false;
        }
        let Some(_one) = self.upkeep.limit.try_lock() else { return false };
        // It may have been changed again meanwhile.
        let goal = self.limit_goal();
        let lowers = goal < self.space.pool.limit();
        if lowers {
            self.space.pool.set_limit(bytes(self.space.pool.gauge().used).max(goal));
        }
        lowers
    }

    fn apply_limit(&self, bytes: usize) {
        loop {
            let step = bytes.max(self.space.pool.gauge().used.saturating_sub(LOWERED));
            self.limit_to(step);
            if step == bytes {
                return;
            }
            if self.space.pool.is_over() {
                // Nothing more can be reclaimed now; what becomes free later goes to the system.
                return self.limit_to(bytes);
            }
        }
    }

    fn limit_to(&self, bytes: usize) {
        let mut reclaim = self.upkeep.reclaim.lock();
        self.space.pool.set_limit(bytes);
        let mut retries = self.reclaim_retries();
        while self.space.pool.is_over() && retries > 0 {
            match self.reclaim_step(&mut reclaim) {
                Step::Working => {}
                Step::Finished => {
                    retries -= 1;
                    // The index of small items may be larger than all of the new limit.
                    self.tend_index(usize::MAX);
                }
                Step::Stuck => break,
            }
        }
    }
}
