//! Caches in this process, measured in turns: `engine` has the interface and this workspace's
//! cache, `rivals` the others, `task` the operations and the timed loops.

mod engine;
#[cfg(feature = "rivals")]
mod rivals;
mod task;

pub use engine::{Candidate, Engine, Needs};
pub use task::{Crowd, Kind, Measured, Task, Time, fill, measure};

/// Bytes of a key.
pub const KEY_SIZE: usize = 20;
/// Bytes of a value.
pub const VALUE_SIZE: usize = 100;

/// This workspace's cache. Without `huge_pages` it does not ask the system for them.
#[must_use]
pub fn own(huge_pages: bool) -> Candidate {
    match huge_pages {
        true => Candidate::new(OWN, |needs| Box::new(engine::Own::new(needs, true))),
        false => Candidate::new(OWN, |needs| Box::new(engine::Own::new(needs, false))),
    }
}

/// The other caches of this build.
#[must_use]
pub fn rivals() -> Vec<Candidate> {
    #[cfg(feature = "rivals")]
    let rivals = rivals::RIVALS.to_vec();
    #[cfg(not(feature = "rivals"))]
    let rivals = Vec::new();
    rivals
}

const OWN: &str = "memcore";
