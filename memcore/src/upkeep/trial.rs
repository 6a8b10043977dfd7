//! What operations tell the rivals of their keys, and what the policy learns of the rivals.
//!
//! An operation looks whether its key is in the sample, and only then takes the lock of the trial.
//! The sample is small, and there is none before the cache is half full.

use crate::counters::Event;
use crate::engine::Engine;
use crate::index::Position;
use crate::upkeep::miniature::Outline;
use crate::upkeep::rivals::key_of;
use crate::upkeep::state::Reclaim;
use crate::{Key, Miss, Moment};

/// At most one key in eight is in the sample.
const BOUND_MOST: u32 = u32::MAX / 8;
/// A sample is too small where fewer than one in so many of the keys that it may have are there.
const SPARSE: u32 = 4;
/// How often a turnover the rivals are looked at.
const STEPS: u32 = 32;
/// What a rival could use of the bytes: some are always being made free or filled.
const USABLE: f64 = 0.96;

impl Engine {
    /// A key of the sample was asked for and found. Nobody waits for that to be counted. The item
    /// is looked up again: to hand over what is known of it would cost all lookups something.
    #[cold]
    #[inline(never)]
    pub(crate) fn sample_hit(&self, key: &Key<'_>, now: u32) {
        let Some(mut trial) = self.upkeep.rivals.try_trial() else { return };
        let Ok(Some(found)) = self.look(key, &self.approach(key)) else { return };
        let position = self.position(key);
        // The sample may have become smaller meanwhile.
        if !self.upkeep.rivals.have(position) || !self.is_current(&found) {
            return;
        }
        trial.keep_epoch(self.hot.epoch());
        let expiry = found.item.expiry().map_or(0, Moment::as_secs);
        let item = Outline { bytes: found.item.size() as u32, expiry };
        trial.hit(key_of(position), item, now);
    }

    /// A key of the sample was asked for and not found.
    #[cold]
    #[inline(never)]
    pub(crate) fn sample_miss(&self, position: Position, miss: Miss, now: u32) {
        let Some(mut trial) = self.upkeep.rivals.try_trial() else { return };
        trial.keep_epoch(self.hot.epoch());
        trial.miss(key_of(position), miss != Miss::Absent, now);
    }

    /// An item of a key of the sample was stored.
    #[cold]
    #[inline(never)]
    pub(crate) fn sample_write(&self, position: Position, bytes: usize, expiry: Option<u32>) {
        let Some(mut trial) = self.upkeep.rivals.trial() else { return };
        trial.keep_epoch(self.hot.epoch());
        if self.upkeep.rivals.have(position) {
            let item = Outline { bytes: bytes as u32, expiry: expiry.unwrap_or(0) };
            trial.write(key_of(position), item);
        }
    }

    /// An item of a key of the sample was removed.
    #[cold]
    #[inline(never)]
    pub(crate) fn sample_removal(&self, position: Position) {
        if let Some(mut trial) = self.upkeep.rivals.trial() {
            trial.remove(key_of(position));
        }
    }

    /// Puts the sample in proportion and has the policy learn how the rivals did, now and then.
    pub(crate) fn tend_rivals(&self, reclaim: &mut Reclaim) {
        if self.upkeep.rivals.keys() == 0 {
            return;
        }
        let sealed = self.space.pool.sealed();
        let opened = sealed.opened.wrapping_sub(reclaim.sampled_at);
        if opened < (sealed.count / STEPS).max(1) {
            return;
        }
        reclaim.sampled_at = sealed.opened;
        let sampled = self.adapt_sample();
        if let Some(mut trial) = self.upkeep.rivals.trial() {
            let results = trial.take_results();
            reclaim.policy.compare(&results, f64::from(sampled), sealed);
        }
    }

    /// Sees to it that the sample is neither too large nor too small, and gives the rivals its
    /// share of the memory; how many items it has.
    fn adapt_sample(&self) -> u32 {
        let rivals = &self.upkeep.rivals;
        // Gauges are sums of what others change meanwhile.
        let gauge = |event| (self.counters.total_of_life(event) as i64).max(0) as f64;
        let items = (gauge(Event::ItemsSmall) + gauge(Event::ItemsMain)).max(1.0);
        let old = rivals.bound();
        let (mut bound, mut sampled) = (old, self.index.sampled());
        if bound < BOUND_MOST && sampled < rivals.keys() / SPARSE {
            let segments = self.space.table().count_in(self.space.pool.limit());
            if bound == 0 && self.space.pool.available() > segments / 2 {
                return 0;
            }
            let share = f64::from(rivals.keys()) / items;
            bound = (share * f64::from(u32::MAX)).min(f64::from(BOUND_MOST)) as u32;
            sampled = self.index.sample_below(bound);
        }
        // The shards are locked before the trial is, here as elsewhere.
        let was_crowded = rivals.trial().is_some_and(|mut trial| trial.take_crowded());
        let mut is_too_large = was_crowded && bound <= old;
        while is_too_large || sampled > rivals.keys() {
            is_too_large = false;
            bound = bound / 4 * 3;
            sampled = self.index.sample_below(bound);
        }
        if let Some(mut trial) = rivals.trial() {
            rivals.set_bound(bound, &mut trial);
            let share = f64::from(sampled) / items * USABLE;
            trial.set_budget((gauge(Event::Bytes) * share) as u64);
        }
        sampled
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::upkeep::duel::Manner;
    use crate::upkeep::miniature::Each;
    use crate::{Attrs, Cache, Expiry, Fetch, Fetched, ManualClock};

    const LIMIT: usize = 4 << 20;

    fn cache() -> (Cache, ManualClock) {
        let clock = ManualClock::new(Moment::from_secs(1_000));
        (Cache::builder(LIMIT).clock(clock.clone()).seed(1).build().unwrap(), clock)
    }

    /// Keys of the sample at most.
    fn most(cache: &Cache) -> u32 {
        cache.engine().upkeep.rivals.keys()
    }

    fn fill(cache: &Cache, keys: std::ops::Range<u32>, len: usize, attrs: Attrs) {
        let value = vec![7; len];
        keys.for_each(|key| _ = cache.set(key.to_le_bytes(), &value, attrs).unwrap());
    }

    /// How many of these keys each rival has.
    fn had(cache: &Cache, keys: std::ops::Range<u32>) -> Each<u32> {
        let engine = cache.engine();
        let mut trial = engine.upkeep.rivals.trial().unwrap();
        let mut sums = [0; 2];
        for key in keys {
            let position = engine.index.position(engine.hot.hash(&key.to_le_bytes()));
            if engine.upkeep.rivals.have(position) {
                let had = trial.had(key_of(position), engine.hot.clock_now());
                sums.iter_mut().zip(had).for_each(|(sum, had)| *sum += u32::from(had));
            }
        }
        sums
    }

    #[test]
    fn the_sample_stays_in_proportion() {
        let (cache, _) = cache();
        let engine = cache.engine();
        let is_right = || {
            let (sampled, most) = (engine.index.sampled(), most(&cache));
            assert!((most / 2..=most + most / 8).contains(&sampled), "{sampled} of {most}");
        };
        fill(&cache, 0..4_000, 300, Attrs::new());
        assert_eq!(engine.index.sampled(), 0, "it is not half full");
        fill(&cache, 4_000..20_000, 300, Attrs::new());
        is_right();
        let large = engine.upkeep.rivals.bound();
        fill(&cache, 20_000..200_000, 20, Attrs::new());
        is_right();
        let small = engine.upkeep.rivals.bound();
        assert!(small < large / 2, "{small} {large}: there are more items");
        fill(&cache, 200_000..210_000, 1_000, Attrs::new());
        assert!(engine.upkeep.rivals.bound() > large, "and fewer");
        // Large items are too few for such a sample, and one in eight is enough of them.
        fill(&cache, 210_000..211_000, 50_000, Attrs::new());
        assert_eq!(engine.upkeep.rivals.bound(), BOUND_MOST);
        cache.validate();
    }

    #[test]
    fn rivals_have_as_much_as_there_is_room_for() {
        let (cache, _) = cache();
        fill(&cache, 0..30_000, 300, Attrs::new());
        let sampled = cache.engine().index.sampled();
        for had in had(&cache, 0..30_000) {
            let share = f64::from(had) / f64::from(sampled);
            assert!((0.9..1.0).contains(&share), "{had} where there are {sampled}");
        }
    }

    #[test]
    fn what_ends_here_ends_for_the_rivals() {
        let (cache, clock) = cache();
        let attrs = Attrs::new().expiry(Expiry::At(Moment::from_secs(2_000)));
        fill(&cache, 0..20_000, 300, attrs);
        assert!(had(&cache, 0..20_000).into_iter().all(|had| had > most(&cache) / 2));
        for key in 10_000..20_000_u32 {
            cache.delete(key.to_le_bytes());
        }
        assert_eq!(had(&cache, 10_000..20_000), [0; 2], "deleted");
        fill(&cache, 20_000..40_000, 300, attrs);
        assert!(had(&cache, 20_000..40_000).into_iter().all(|had| had > most(&cache) / 2));
        clock.set(Moment::from_secs(2_001));
        assert_eq!(had(&cache, 0..40_000), [0; 2], "expired");
        fill(&cache, 0..20_000, 300, Attrs::new());
        assert!(had(&cache, 0..20_000).into_iter().all(|had| had > most(&cache) / 2));
        cache.flush();
        fill(&cache, 20_000..20_100, 300, Attrs::new());
        assert_eq!(had(&cache, 0..20_000), [0; 2], "flushed");
    }

    #[test]
    fn a_key_that_is_created_on_a_miss_is_missed_by_all() {
        let (cache, _) = cache();
        fill(&cache, 0..20_000, 300, Attrs::new());
        let how = Fetch::new().lease(true).create(Expiry::Never);
        let mut out = Vec::new();
        for key in 30_000..60_000_u32 {
            let fetched = cache.fetch(key.to_le_bytes(), &how, &mut out, |_, _| {});
            assert!(matches!(fetched, Fetched::Copied(hit) if hit.created), "{fetched:?}");
        }
        let results = cache.engine().upkeep.rivals.trial().unwrap().take_results();
        assert_eq!(results.lead(Manner::Lru, Manner::Score), 0.0);
        assert_eq!(cache.engine().upkeep.reclaim.lock().policy.manner(), Manner::Score);
    }

    #[test]
    fn a_rival_loses_what_is_deleted_though_it_is_not_here() {
        let (cache, _) = cache();
        fill(&cache, 0..15_000, 300, Attrs::new());
        let engine = cache.engine();
        let keys = 50_000..60_000_u32;
        for key in keys.clone() {
            let position = engine.index.position(engine.hot.hash(&key.to_le_bytes()));
            if engine.upkeep.rivals.have(position) {
                engine.sample_write(position, 1, None);
            }
        }
        assert!(had(&cache, keys.clone()).into_iter().all(|had| had > 100));
        keys.clone().for_each(|key| _ = cache.delete(key.to_le_bytes()));
        assert_eq!(had(&cache, keys), [0; 2]);
    }

    #[test]
    fn a_touch_changes_when_the_rivals_lose_an_item() {
        let (cache, clock) = cache();
        let at = |secs| Expiry::At(Moment::from_secs(secs));
        fill(&cache, 0..12_000, 300, Attrs::new().expiry(at(2_000)));
        let before = had(&cache, 6_000..12_000);
        assert!(before.into_iter().all(|had| had > 50), "{before:?}");
        (6_000..9_000_u32).for_each(|key| _ = cache.touch(key.to_le_bytes(), at(3_000)));
        (9_000..12_000_u32).for_each(|key| {
            let how = Fetch::new().touch(at(3_000));
            cache.fetch(key.to_le_bytes(), &how, &mut Vec::new(), |_, _| {});
        });
        clock.set(Moment::from_secs(2_001));
        for (had, before) in had(&cache, 6_000..12_000).into_iter().zip(before) {
            // Lookups that need the lock, of a few keys, are not told to them.
            assert!(had * 100 > before * 95, "{had} of {before}");
        }
        clock.set(Moment::from_secs(3_001));
        assert_eq!(had(&cache, 6_000..12_000), [0; 2]);
    }
}
