//! Generated patterns: sessions, hot sets under a flood, recency, shifts, loops, scans. Each is
//! known to be easy for some policy and hard for others. A pattern is made for a cache that holds
//! `capacity` items, and is the same for the same capacity.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand_distr::Distribution as _;

use crate::rng::{RngExt as _, seeded};
use crate::trace::KeyInfo;

/// What is done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A get; a miss is followed by a set.
    Through,
    /// A set.
    Write,
    /// A get alone.
    Read,
}

/// One step of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Number of the key.
    pub key: u32,
    /// What is done.
    pub kind: Kind,
    /// The group that a get counts for; 0 for none.
    pub group: u16,
    /// Seconds since the beginning.
    pub second: u32,
}

/// A pattern.
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    /// By number of the key.
    pub keys: Vec<KeyInfo>,
    /// In order.
    pub steps: Vec<Step>,
    /// How many groups of gets are told apart.
    pub groups: u16,
    second: u32,
}

/// Every pattern: its name and what it is.
pub const PATTERNS: &[(&str, &str)] = &[
    ("hot-10", "a tenth of the cache hot, two of three accesses to keys asked for once"),
    ("hot-25", "a quarter hot, each read once in 0.75 caches of new keys"),
    ("hot-50", "half hot, each read once in 0.8 caches of accesses"),
    ("hot-set", "8 % written together and read together once in 0.7 caches of new keys"),
    ("once-20", "written once, read once after 20 % of the cache was written"),
    ("once-50", "the same after 50 %"),
    ("once-80", "the same after 80 %"),
    ("once-95", "the same after 95 %"),
    ("recent-50", "half of the accesses uniform over the last 0.5 caches, half to new keys"),
    ("recent-90", "the same over the last 0.9 caches"),
    ("recent-90-80", "the same, of five accesses four"),
    ("replaced", "a set of 0.8 caches, replaced at once by another; 8 windows after that"),
    ("loop-105", "a loop over 1.05 caches, rounds 16 to 20"),
    ("loop-120", "over 1.2 caches"),
    ("loop-150", "over 1.5 caches"),
    ("loop-200", "over 2 caches"),
    ("scan-1", "half a cache hot, a scan of one cache; what is left of the hot half"),
    ("scan-3", "a scan of three caches"),
    ("scan-10", "a scan of ten caches"),
    ("bursts", "a zipf set of 0.6 caches beside keys that are asked for three times in a row"),
    ("sizes", "20 large values beside 400,000 small ones; large, small"),
    ("shifted", "an old hot set after 40 rounds, then zipf 0.8 over 3 caches; 6 windows"),
    ("sessions-3", "sessions of 3 reads, half a cache active"),
    ("sessions-3-80", "3 reads, 0.8 caches active"),
    ("sessions-8", "8 reads, half a cache active"),
    ("sessions-20", "20 reads, 0.8 caches active"),
    ("rewritten", "sessions of 6 reads, each followed by a write; 0.8 caches active"),
    ("zipf-09", "zipf 0.9 over 5 caches"),
    ("loop-zipf", "a loop of 1.2 caches, then zipf 0.8; 6 windows"),
    ("loop-recent", "a loop, then recent-90; 6 windows"),
    ("loop-hot", "a loop, then a quarter hot under new keys; 6 windows"),
    ("loop-part", "a loop, then a twentieth of it (30 %) and 0.7 caches of others; 6 windows"),
    ("loop-half", "the same, half of the accesses to each"),
    ("ttl-storm", "a cache of values of 60 s, which expire together, beside a hot set; 12 windows"),
    ("drift", "zipf 0.9 over 3 caches whose ranks move on; 24 windows"),
    ("size-shift", "zipf 0.9, values of 100 bytes, then 1,000, then 100; 24 windows"),
];

/// Bytes of a value, unless a pattern has its own.
pub const VALUE: u32 = 300;
/// Bytes of a key.
pub const KEY: u16 = 16;

impl Pattern {
    /// The pattern of this name for a cache of `capacity` items; `None` for an unknown name.
    #[must_use]
    pub fn named(name: &str, capacity: u32) -> Option<Self> {
        let mut made = Self::default();
        let cap = capacity;
        match name {
            "hot-10" => made.hot_10(cap),
            "hot-25" => made.flood(cap, cap / 4, 3, 1),
            "hot-50" => made.flood(cap, cap / 2, 8, 5),
            "hot-set" => made.hot_set(cap),
            "once-20" => made.once(cap, 20),
            "once-50" => made.once(cap, 50),
            "once-80" => made.once(cap, 80),
            "once-95" => made.once(cap, 95),
            "recent-50" => made.recent(cap, cap / 2, 0.5),
            "recent-90" => made.recent(cap, share(cap, 0.9), 0.5),
            "recent-90-80" => made.recent(cap, share(cap, 0.9), 0.8),
            "replaced" => made.replaced(cap),
            "loop-105" => made.rounds(share(cap, 1.05)),
            "loop-120" => made.rounds(share(cap, 1.2)),
            "loop-150" => made.rounds(share(cap, 1.5)),
            "loop-200" => made.rounds(2 * cap),
            "scan-1" => made.scan(cap, 1),
            "scan-3" => made.scan(cap, 3),
            "scan-10" => made.scan(cap, 10),
            "bursts" => made.bursts(cap),
            "sizes" => made.sizes(),
            "shifted" => made.shifted(cap),
            "sessions-3" => made.sessions(cap, 3, 0.5, false),
            "sessions-3-80" => made.sessions(cap, 3, 0.8, false),
            "sessions-8" => made.sessions(cap, 8, 0.5, false),
            "sessions-20" => made.sessions(cap, 20, 0.8, false),
            "rewritten" => made.sessions(cap, 6, 0.8, true),
            "zipf-09" => made.zipf(cap),
            "loop-zipf" => made.after_loop(cap, After::Zipf),
            "loop-recent" => made.after_loop(cap, After::Recent),
            "loop-hot" => made.after_loop(cap, After::Hot),
            "loop-part" => made.after_loop(cap, After::Part(0.3)),
            "loop-half" => made.after_loop(cap, After::Part(0.5)),
            "ttl-storm" => made.ttl_storm(cap),
            "drift" => made.drift(cap),
            "size-shift" => made.size_shift(cap),
            _ => return None,
        }
        Some(made)
    }

    /// Keys in all, of which every one has its size.
    fn step(&mut self, key: u32, kind: Kind, group: u16) {
        if key as usize >= self.keys.len() {
            let info = KeyInfo { value_size: VALUE, ttl: 0, key_size: KEY };
            self.keys.resize(key as usize + 1, info);
        }
        self.groups = self.groups.max(group);
        self.steps.push(Step { key, kind, group, second: self.second });
    }

    pub(super) fn through(&mut self, key: u32, group: u16) {
        self.step(key, Kind::Through, group);
    }

    fn hot_10(&mut self, cap: u32) {
        let (hot, mut rng) = (cap / 10, seeded(1));
        let mut next = hot;
        for i in 0..cap * 20 {
            if i % 3 == 0 {
                self.through(rng.random_range(0..hot), u16::from(i > cap * 3));
            } else {
                self.through(next, 0);
                next += 1;
            }
        }
    }

    /// Of `of` accesses `to` go round a hot set; the others are to new keys.
    fn flood(&mut self, cap: u32, hot: u32, of: u32, to: u32) {
        let (mut next, mut turn) = (hot, 0);
        for i in 0..cap * 25 {
            if i % of < to {
                self.through(turn % hot, u16::from(turn > hot * 6));
                turn += 1;
            } else {
                self.through(next, 0);
                next += 1;
            }
        }
    }

    fn hot_set(&mut self, cap: u32) {
        let hot = share(cap, 0.08);
        let mut next = hot;
        for round in 0..40 {
            for key in 0..hot {
                self.through(key, u16::from(round > 4));
            }
            for _ in 0..share(cap, 0.7) {
                self.step(next, Kind::Write, 0);
                next += 1;
            }
        }
    }

    fn once(&mut self, cap: u32, percent: u32) {
        let distance = (u64::from(cap) * u64::from(percent) / 100) as u32;
        for key in 0..cap * 12 {
            self.step(key, Kind::Write, 0);
            if key >= distance {
                self.step(key - distance, Kind::Read, u16::from(key > cap * 4));
            }
        }
    }

    fn recent(&mut self, cap: u32, window: u32, again: f64) {
        let (mut rng, mut next) = (seeded(5), 0);
        for i in 0..cap * 30 {
            let is_again = next > window && rng.random_bool(again);
            let key = if is_again { next - 1 - rng.random_range(0..window) } else { next };
            next += u32::from(!is_again);
            self.through(key, u16::from(i > cap * 5));
        }
    }

    fn replaced(&mut self, cap: u32) {
        let (set, mut rng) = (share(cap, 0.8), seeded(2));
        for _ in 0..set * 30 {
            self.through(rng.random_range(0..set), 0);
        }
        for window in 1..=8 {
            for _ in 0..set {
                self.through(set + rng.random_range(0..set), window);
            }
        }
    }

    fn rounds(&mut self, keys: u32) {
        for round in 0..20 {
            for key in 0..keys {
                self.through(key, u16::from(round >= 15));
            }
        }
    }

    fn scan(&mut self, cap: u32, caches: u32) {
        let hot = cap / 2;
        for key in (0..6).flat_map(|_| 0..hot).chain(hot..hot + cap * caches) {
            self.through(key, 0);
        }
        for key in 0..hot {
            self.step(key, Kind::Read, 1);
        }
    }

    fn bursts(&mut self, cap: u32) {
        let set = share(cap, 0.6);
        let (mut zipf, mut next) = (Ranks::new(set, 0.6, 3), set);
        for i in 0..cap * 20 {
            self.through(zipf.next(), u16::from(i > cap * 5));
            if i % 2 == 0 {
                (0..3).for_each(|_| self.through(next, 0));
                next += 1;
            }
        }
    }

    fn sizes(&mut self) {
        let (mut zipf, mut rng) = (Ranks::new(400_000, 0.9, 17), seeded(18));
        for key in 0..20 {
            self.step(key, Kind::Through, 0);
            self.keys[key as usize].value_size = 500_000;
        }
        for i in 0..2_500_000 {
            let counts = i > 500_000;
            if rng.random_range(0..50) == 0 {
                self.through(rng.random_range(0..20), u16::from(counts));
            } else {
                self.through(20 + zipf.next(), 2 * u16::from(counts));
            }
        }
    }

    fn shifted(&mut self, cap: u32) {
        let old = share(cap, 0.9);
        for key in (0..40).flat_map(|_| 0..old) {
            self.through(key, 0);
        }
        self.zipf_windows(old, cap, 6);
    }

    fn zipf_windows(&mut self, first: u32, cap: u32, windows: u16) {
        let mut zipf = Ranks::new(cap * 3, 0.8, 13);
        for window in 1..=windows {
            (0..cap).for_each(|_| self.through(first + zipf.next(), window));
        }
    }

    /// Each session is written, read `reads` times while as many others begin as are `active`, and
    /// never again. Where they are `rewritten`, each read is followed by a write.
    fn sessions(&mut self, cap: u32, reads: u32, active: f64, rewritten: bool) {
        let (active, mut rng) = (share(cap, active), seeded(1));
        let mut events = BinaryHeap::new();
        for now in 0..cap * 12 {
            self.step(now, Kind::Write, 0);
            for read in 1..=reads {
                let early = rng.random_range(0..=active / reads / 2);
                let due = (now + active * read / reads).saturating_sub(early).max(now + 1);
                events.push(Reverse((due, now)));
            }
            while let Some(&Reverse((due, session))) = events.peek()
                && due <= now
            {
                events.pop();
                self.step(session, Kind::Read, u16::from(now > cap * 4));
                if rewritten {
                    self.step(session, Kind::Write, 0);
                }
            }
        }
    }

    fn zipf(&mut self, cap: u32) {
        let mut zipf = Ranks::new(cap * 5, 0.9, 7);
        for i in 0..cap * 25 {
            self.through(zipf.next(), u16::from(i > cap * 8));
        }
    }

    fn after_loop(&mut self, cap: u32, after: After) {
        let keys = share(cap, 1.2);
        for key in (0..8).flat_map(|_| 0..keys) {
            self.through(key, 0);
        }
        let (mut rng, window, hot, mut next) = (seeded(13), share(cap, 0.9), cap / 4, 0);
        match after {
            After::Zipf => self.zipf_windows(keys, cap, 6),
            After::Recent => {
                for group in 1..=6 {
                    for _ in 0..cap {
                        let again = next > window && rng.random_bool(0.5);
                        let back = if again { 1 + rng.random_range(0..window) } else { 0 };
                        self.through(keys + next - back, group);
                        next += u32::from(!again);
                    }
                }
            }
            After::Part(share) => {
                let set = cap / 10 * 7;
                for group in 1..=6 {
                    for _ in 0..cap * 2 {
                        let key = match rng.random_bool(share) {
                            true => rng.random_range(0..keys / 20) * 20,
                            false => keys + rng.random_range(0..set),
                        };
                        self.through(key, group);
                    }
                }
            }
            After::Hot => {
                for group in 1..=6 {
                    for i in 0..cap {
                        self.through(keys + hot + u32::from(group - 1) * cap + i, 0);
                        if i % 3 == 0 {
                            self.through(keys + next % hot, group);
                            next += 1;
                        }
                    }
                }
            }
        }
    }

    fn ttl_storm(&mut self, cap: u32) {
        let (hot, mut zipf) = (share(cap, 0.4), Ranks::new(share(cap, 0.4), 0.6, 11));
        let mut next = hot;
        for window in 1..=12 {
            // A third of the time goes to values that will end together, a minute later.
            for i in 0..cap / 2 {
                self.second = u32::from(window - 1) * 60 + i * 60 / (cap / 2);
                self.through(zipf.next(), window);
                if window % 3 == 1 {
                    self.step(next, Kind::Write, 0);
                    self.keys[next as usize].ttl = 60;
                    next += 1;
                }
            }
        }
    }

    fn drift(&mut self, cap: u32) {
        let keys = cap * 3;
        let mut zipf = Ranks::new(keys, 0.9, 19);
        for window in 1..=24 {
            for i in 0..cap {
                // Once in eight windows a rank goes to a new key, each at a time of its own.
                let rank = zipf.next();
                let offset = (u64::from(rank) * 7919) % (8 * u64::from(cap));
                let now = u64::from(window - 1) * u64::from(cap) + u64::from(i);
                let era = (now + offset) / (8 * u64::from(cap));
                self.through(rank + keys * era as u32, window);
            }
        }
    }

    fn size_shift(&mut self, cap: u32) {
        let keys = cap * 3;
        let mut zipf = Ranks::new(keys, 0.9, 23);
        for (phase, size) in [100, 1000, 100].into_iter().enumerate() {
            for window in 0..8 {
                for _ in 0..cap {
                    let key = phase as u32 * keys + zipf.next();
                    self.through(key, 1 + 8 * phase as u16 + window);
                    self.keys[key as usize].value_size = size;
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum After {
    Zipf,
    Recent,
    Hot,
    Part(f64),
}

/// Zipf-distributed numbers from 0 on.
pub(super) struct Ranks {
    zipf: rand_distr::Zipf<f64>,
    rng: crate::rng::SplitMix64,
}

impl Ranks {
    pub(super) fn new(keys: u32, exponent: f64, seed: u64) -> Self {
        let zipf = rand_distr::Zipf::new(f64::from(keys.max(1)), exponent);
        Self { zipf: zipf.expect("at least one key"), rng: seeded(seed) }
    }

    pub(super) fn next(&mut self) -> u32 {
        self.zipf.sample(&mut self.rng) as u32 - 1
    }
}

pub(super) fn share(cap: u32, share: f64) -> u32 {
    (f64::from(cap) * share) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_made_the_same_way_each_time() {
        for (name, _) in PATTERNS.iter().filter(|(name, _)| *name != "sizes") {
            let pattern = Pattern::named(name, 400).unwrap();
            assert_eq!(pattern.steps, Pattern::named(name, 400).unwrap().steps, "{name}");
            assert!(pattern.groups > 0 && pattern.steps.len() > 1000, "{name}");
            let keys = pattern.keys.len() as u32;
            assert!(pattern.steps.iter().all(|step| step.key < keys), "{name}");
        }
        assert!(Pattern::named("none", 400).is_none());
    }

    #[test]
    fn what_is_written_once_is_read_at_its_distance() {
        let pattern = Pattern::named("once-50", 100).unwrap();
        let at =
            |kind| pattern.steps.iter().position(move |step| step.key == 20 && step.kind == kind);
        // Between the two lie 50 keys, of which 20 were read as well.
        assert_eq!((at(Kind::Write), at(Kind::Read)), (Some(20), Some(70 + 21)));
    }
}
