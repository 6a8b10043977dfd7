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
        let Settings { limit_most: most, limit_least: least, .. } = self.settings;
        if limit < least {
            return Err(ConfigError::LimitTooSmall { limit, least });
        }
        if limit > most {
            return Err(ConfigError::LimitTooLarge { limit, most });
        }
        self.apply_limit(limit);
        let gauge = self.space.pool.gauge();
        Ok(Resized { pending: gauge.used.saturating_sub(gauge.limit) })
    }

    fn apply_limit(&self, bytes: usize) {
        let _one = self.upkeep.limit.lock();
        // An item beyond that would have everything evicted and then not fit.
        self.item_max.store(self.settings.max_item_size.min(bytes / 2), Ordering::Relaxed);
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
