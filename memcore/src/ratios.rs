//! Hit ratios over the last minutes and hours.

use core::time::Duration;
use std::collections::VecDeque;

use crate::counters::Event;
use crate::{Cache, Moment};

/// Samples of each kind that are kept: seconds of a minute, minutes of an hour, hours of three
/// days.
const SAMPLES: usize = 61;
/// Seconds between the samples of each kind.
const STEPS: [u32; 3] = [1, 60, 3_600];

/// The share of lookups that found something, over any time up to 60 hours before now. Whoever
/// wants to know notes the counters now and then; the cache itself does nothing for it.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use memcore::{Attrs, Cache, HitRatios};
///
/// let cache = Cache::new(8 << 20)?;
/// let mut ratios = HitRatios::new(&cache);
/// cache.set("k", b"v", Attrs::new())?;
/// for key in ["k", "k", "k", "other"] {
///     cache.get(key);
/// }
/// // About once a second, or as often as is needed.
/// ratios.note(&cache);
/// assert_eq!(ratios.over(Duration::from_secs(60)), Some(0.75));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HitRatios {
    kept: [VecDeque<Sample>; STEPS.len()],
    last: Sample,
}

/// Lookups so far.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Moment,
    hits: u64,
    misses: u64,
}

impl Sample {
    fn of(cache: &Cache) -> Self {
        let sum = |event| cache.engine().counters.total_of_life(event);
        let hits = sum(Event::HitsSmall).wrapping_add(sum(Event::HitsMain));
        Self { at: cache.now(), hits, misses: sum(Event::Misses) }
    }
}

impl HitRatios {
    /// Counts from now on.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Cache, HitRatios};
    /// let ratios = HitRatios::new(&Cache::new(8 << 20)?);
    /// assert_eq!(ratios.over(Duration::from_secs(60)), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(cache: &Cache) -> Self {
        let last = Sample::of(cache);
        Self { kept: std::array::from_fn(|_| VecDeque::from([last])), last }
    }

    /// Notes where the counters of the cache stand, which is to be the same one each time.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Cache, HitRatios};
    /// # let cache = Cache::new(8 << 20)?;
    /// let mut ratios = HitRatios::new(&cache);
    /// cache.get("k");
    /// ratios.note(&cache);
    /// assert_eq!(ratios.over(Duration::from_secs(60)), Some(0.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn note(&mut self, cache: &Cache) {
        self.last = Sample::of(cache);
        for (kept, step) in self.kept.iter_mut().zip(STEPS) {
            let due = kept.back().is_none_or(|back| since(self.last.at, back.at) >= step);
            if due {
                kept.push_back(self.last);
                if kept.len() > SAMPLES {
                    kept.pop_front();
                }
            }
        }
    }

    /// The share of hits within so long before the last [`note`](Self::note), or since the
    /// beginning if that was later; `None` if nothing was looked up.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Attrs, Cache, HitRatios};
    /// # let cache = Cache::new(8 << 20)?;
    /// let mut ratios = HitRatios::new(&cache);
    /// cache.set("k", b"v", Attrs::new())?;
    /// cache.get("k");
    /// ratios.note(&cache);
    /// let (minute, day) = (Duration::from_secs(60), Duration::from_secs(86_400));
    /// assert_eq!((ratios.over(minute), ratios.over(day)), (Some(1.0), Some(1.0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn over(&self, time: Duration) -> Option<f64> {
        let secs = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        // The finest samples that go back so far.
        let fits = |step: &&u32| secs <= **step * (SAMPLES as u32 - 1);
        let kind = STEPS.iter().position(|step| fits(&step)).unwrap_or(STEPS.len() - 1);
        let kept = &self.kept[kind];
        let within = |sample: &&Sample| since(self.last.at, sample.at) >= secs;
        let from = kept.iter().rev().find(within).or(kept.front())?;
        let hits = self.last.hits.wrapping_sub(from.hits);
        let lookups = hits + self.last.misses.wrapping_sub(from.misses);
        (lookups > 0).then(|| hits as f64 / lookups as f64)
    }
}

fn since(later: Moment, earlier: Moment) -> u32 {
    later.as_secs().saturating_sub(earlier.as_secs())
}
