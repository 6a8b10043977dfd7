//! Replaying a trace: every miss is followed by a set with the table's size and time to live.
//!
//! `local` replays against something in this process, `wire` against a server. Both count the same.

mod local;
mod wire;

pub use local::{Embedded, Simulated, Subject, replay};
pub use wire::{Replay, ReplayError, replay_wire};

/// What a replay counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Gets.
    pub gets: u64,
    /// Gets that found their key.
    pub hits: u64,
    /// Bytes of the values asked for.
    pub bytes: u64,
    /// Bytes of the values found.
    pub bytes_hit: u64,
    /// Sets that were refused.
    pub refused: u64,
}

impl Counts {
    /// Share of the gets that hit.
    #[must_use]
    pub fn hit_ratio(&self) -> f64 {
        self.hits as f64 / self.gets as f64
    }

    /// Share of the bytes asked for that were found.
    #[must_use]
    pub fn byte_hit_ratio(&self) -> f64 {
        self.bytes_hit as f64 / self.bytes as f64
    }

    pub(crate) fn count_get(&mut self, value_size: u32, hit: bool) {
        self.gets += 1;
        self.bytes += u64::from(value_size);
        if hit {
            self.hits += 1;
            self.bytes_hit += u64::from(value_size);
        }
    }
}
