//! Whose bytes the log's records are: each process that goes on with a log writes under a name of
//! its own, so that none takes for its own what another one wrote at the same place.
//!
//! ```text
//!   log   ...[ first process      | second | third, which is this one ...
//!   names     from 4096, 0x5e17..   from .., from ..,
//! ```
//!
//! Without this, a memory file that was copied and put back would lead to records that a later
//! process, of which it knows nothing, has written behind its end.

use super::record::Name;
use crate::restart::state::{Damaged, Reader, Writer};

/// Processes whose records can be read, this one included. What older ones wrote is given up.
const RUNS_MAX: usize = 64;

/// The names under which the log was written, the youngest one last.
#[derive(Debug)]
pub(super) struct Names(Box<[Run]>);

/// What one process wrote.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Where it began; it ends where the next one begins.
    start: u64,
    seed: u64,
    name: Name,
}

impl Run {
    fn new(start: u64, seed: u64) -> Self {
        Self { start, seed, name: Name::new(seed) }
    }
}

impl Names {
    /// The name of a new log that begins at `start`.
    pub(super) fn new(start: u64, seed: u64) -> Self {
        Self([Run::new(start, seed)].into())
    }

    /// The name of the records at `pos`, which is not before the [start](Self::start).
    pub(super) fn of(&self, pos: u64) -> &Name {
        let run = self.0.iter().rev().find(|run| run.start <= pos);
        &run.unwrap_or(&self.0[0]).name
    }

    /// What lies before this can't be read.
    pub(super) fn start(&self) -> u64 {
        self.0[0].start
    }

    /// Keeps them for a process that goes on at `head`, as far as anything from `tail` on was
    /// written under them.
    pub(super) fn save(&self, tail: u64, head: u64, out: &mut Writer) {
        let ends = self.0.iter().skip(1).map(|run| run.start).chain([head]);
        let runs: Vec<Run> = self
            .0
            .iter()
            .zip(ends)
            .filter(|(run, end)| run.start < *end && *end > tail)
            .map(|(run, _)| *run)
            .collect();
        let runs = &runs[runs.len().saturating_sub(RUNS_MAX - 1)..];
        out.put(runs.len() as u64);
        for run in runs {
            out.put(run.start);
            out.put(run.seed);
        }
    }

    /// The names that were kept, and a new one from `head` on.
    ///
    /// # Errors
    /// They are not all there, or can't be.
    pub(super) fn restore(from: &mut Reader<'_>, head: u64, seed: u64) -> Result<Self, Damaged> {
        let count = from.take_u32()? as usize;
        let mut runs = Vec::with_capacity(RUNS_MAX);
        if count >= RUNS_MAX {
            return Err(Damaged("names of the log"));
        }
        for _ in 0..count {
            runs.push(Run::new(from.take()?, from.take()?));
        }
        runs.push(Run::new(head, seed));
        if !runs.is_sorted_by(|one, next| one.start < next.start) {
            return Err(Damaged("names of the log"));
        }
        Ok(Self(runs.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(names: &Names, tail: u64, head: u64, seed: u64) -> Names {
        let mut out = Writer::default();
        names.save(tail, head, &mut out);
        Names::restore(&mut Reader::new(out.bytes()), head, seed).unwrap()
    }

    fn seeds(names: &Names) -> Vec<u64> {
        names.0.iter().map(|run| run.seed).collect()
    }

    fn seed_at(names: &Names, pos: u64) -> u64 {
        names.0.iter().find(|run| std::ptr::eq(&run.name, names.of(pos))).unwrap().seed
    }

    #[test]
    fn each_process_reads_what_was_written_before_under_the_name_of_the_writer() {
        let names = next(&Names::new(4096, 1), 0, 8192, 2);
        let names = next(&names, 0, 20_480, 3);
        assert_eq!(
            [4096, 8191, 8192, 20_479, 20_480].map(|pos| seed_at(&names, pos)),
            [1, 1, 2, 2, 3]
        );
        assert_eq!(names.start(), 4096);
    }

    #[test]
    fn names_of_nothing_are_not_kept() {
        // The second one wrote nothing, and the first one's records have been overwritten.
        let names = next(&next(&Names::new(4096, 1), 0, 8192, 2), 0, 8192, 3);
        assert_eq!(seeds(&names), [1, 3]);
        let names = next(&names, 8192, 16_384, 4);
        assert_eq!((seeds(&names), names.start()), (vec![3, 4], 8192));
    }

    #[test]
    fn after_many_processes_the_oldest_is_given_up() {
        let mut names = Names::new(4096, 0);
        for number in 1..100 {
            names = next(&names, 0, 4096 * (number + 1), number);
        }
        assert_eq!(names.0.len(), RUNS_MAX);
        assert_eq!(names.start(), 4096 * (100 - RUNS_MAX as u64 + 1));
        assert_eq!(seed_at(&names, 4096 * 100), 99);
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let restore = |numbers: &[u64]| {
            let mut out = Writer::default();
            numbers.iter().for_each(|&number| out.put(number));
            Names::restore(&mut Reader::new(out.bytes()), 8192, 5).map(|names| seeds(&names))
        };
        assert_eq!(restore(&[1, 4096, 7]), Ok(vec![7, 5]));
        for numbers in [&[1, 8192, 7][..], &[2, 5000, 1, 4096, 2], &[1, 4096], &[64], &[1 << 40]] {
            assert!(restore(numbers).is_err(), "{numbers:?}");
        }
    }
}
