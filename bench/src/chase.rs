//! Pointer chasing: what one dependent access to memory costs on this machine, the unit in which a
//! lookup that finds nothing in the processor's caches can be counted.

use std::hint::black_box;

use crate::inprocess::Time;
use crate::rng::{RngExt as _, seeded};

/// A ring of cache lines in random order; each names the next.
#[derive(Debug)]
pub struct Ring {
    lines: Vec<Line>,
    place: u32,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line(u32);

impl Ring {
    /// A ring through all lines of `bytes` of memory.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let count = (bytes / size_of::<Line>()).max(1) as u32;
        let mut lines: Vec<_> = (0..count).map(Line).collect();
        let mut rng = seeded(1);
        // Sattolo's shuffle: the result is one cycle, never several.
        for i in (1..count).rev() {
            lines.swap(i as usize, rng.random_range(0..i) as usize);
        }
        Self { lines, place: 0 }
    }

    /// Follows the ring for `hops` steps and returns the nanoseconds of one step.
    pub fn hop_ns(&mut self, hops: u32, time: Time) -> f64 {
        let began = time.now_ns();
        for _ in 0..hops {
            self.place = self.lines[self.place as usize].0;
        }
        black_box(self.place);
        (time.now_ns() - began) / f64::from(hops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_visits_every_line_once() {
        let ring = Ring::new(1000 * 64);
        let mut seen = vec![false; 1000];
        let mut place = 0;
        for _ in 0..1000 {
            assert!(!std::mem::replace(&mut seen[place], true));
            place = ring.lines[place].0 as usize;
        }
        assert_eq!(place, 0);
    }
}
