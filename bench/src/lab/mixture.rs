//! Random mixtures: two to four phases, in each of which one to three kinds of requests lie beside
//! each other. Nobody has chosen them, so they show what a policy does not foresee.

use super::pattern::{Pattern, Ranks, share};
use crate::rng::{RngExt as _, SplitMix64, seeded};

/// Windows of each phase; all are as long.
pub const WINDOWS: usize = 4;
/// Requests in a window, in caches.
const LENGTH: u32 = 2;
/// The largest part of a mixture, in caches.
const SIZE_MOST: f64 = 1.3;
/// Keys of sets lie below this many caches, and those of each phase that are asked for only for a
/// while above, with so many for each part.
const SETS: u32 = 40;
const PART: u32 = 10;

/// Which of its keys a part asks for.
#[derive(Clone, Copy, Debug)]
enum Ask {
    /// One after the other, round and round.
    Loop,
    /// Each as often.
    Uniform,
    /// By a Zipf distribution of exponent 0.9.
    Zipf,
    /// A new one each time.
    New,
    /// A new one, or as often one of the last so many.
    Recent,
}

/// Requests of one kind.
struct Part {
    ask: Ask,
    set: Set,
    weight: u32,
    /// The place in a loop, or how many keys were new.
    at: u32,
    ranks: Ranks,
    /// The first key of new ones.
    base: u32,
}

/// Keys that lie beside each other.
#[derive(Clone, Copy)]
struct Set {
    first: u32,
    size: u32,
}

impl Part {
    fn next(&mut self, rng: &mut SplitMix64) -> u32 {
        let Set { first, size } = self.set;
        match self.ask {
            Ask::Loop => {
                self.at = (self.at + 1) % size;
                first + self.at
            }
            Ask::Uniform => first + rng.random_range(0..size),
            Ask::Zipf => first + self.ranks.next(),
            Ask::Recent if self.at > size && rng.random_bool(0.5) => {
                self.base + self.at - rng.random_range(0..size)
            }
            Ask::New | Ask::Recent => {
                self.at += 1;
                self.base + self.at
            }
        }
    }
}

/// The sets of a mixture so far.
struct Sets {
    capacity: u32,
    all: Vec<Set>,
    /// The first key that is in none.
    end: u32,
}

impl Sets {
    /// A new set, or one that there was, or the first tenth of one.
    fn choose(&mut self, rng: &mut SplitMix64) -> Set {
        // Small ones are more frequent than large ones.
        let unit = f64::from(rng.random_range(0..1000_u32)) / 1000.0;
        let of_most = unit * f64::from(rng.random_range(0..1000_u32)) / 1000.0;
        let size = share(self.capacity, 0.02 + SIZE_MOST * of_most).max(1);
        if self.all.is_empty() || !rng.random_bool(0.4) {
            let set = Set { first: self.end, size };
            self.end += size;
            self.all.push(set);
            return set;
        }
        let old = self.all[rng.random_range(0..self.all.len() as u32) as usize];
        let whole = rng.random_bool(0.5);
        Set { size: if whole { old.size } else { (old.size / 10).max(1) }, ..old }
    }
}

impl Pattern {
    /// The mixture of this number for a cache of `capacity` items: [`WINDOWS`] groups for each of
    /// its phases.
    #[must_use]
    pub fn mixture(number: u64, capacity: u32) -> Self {
        let mut made = Self::default();
        let mut rng = seeded(number);
        let mut sets = Sets { capacity, all: Vec::new(), end: 0 };
        let phases = 2 + rng.random_range(0..3_u32);
        let mut group = 0;
        for phase in 0..phases {
            let count = 1 + rng.random_range(0..3_u32);
            let mut parts: Vec<Part> = (0..count)
                .map(|part| {
                    let kinds = [Ask::Loop, Ask::Uniform, Ask::Zipf, Ask::New, Ask::Recent];
                    let ask = kinds[rng.random_range(0..5_u32) as usize];
                    let set = sets.choose(&mut rng);
                    let weight = 1 + rng.random_range(0..6_u32);
                    let ranks = Ranks::new(set.size, 0.9, number);
                    let base = (SETS * (1 + phase) + PART * part) * capacity;
                    Part { ask, set, weight, at: 0, ranks, base }
                })
                .collect();
            let weights = parts.iter().map(|part| part.weight).sum();
            for _ in 0..WINDOWS {
                group += 1;
                for _ in 0..LENGTH * capacity {
                    let mut left = rng.random_range(0..weights);
                    let chosen = parts.iter_mut().find(|part| match left < part.weight {
                        true => true,
                        false => {
                            left -= part.weight;
                            false
                        }
                    });
                    if let Some(part) = chosen {
                        made.through(part.next(&mut rng), group);
                    }
                }
            }
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixture_is_made_the_same_way_each_time() {
        for number in 1..20 {
            let mixture = Pattern::mixture(number, 200);
            assert_eq!(mixture.steps, Pattern::mixture(number, 200).steps);
            let windows = usize::from(mixture.groups);
            assert!(windows >= 2 * WINDOWS && windows % WINDOWS == 0, "{windows} windows");
            assert_eq!(mixture.steps.len(), windows * 2 * 200);
        }
        assert_ne!(Pattern::mixture(1, 200).steps, Pattern::mixture(2, 200).steps);
    }
}
