//! Caches in this process, measured in turns: `engine` has the caches, `task` what they are asked
//! to do and the timed loops.

mod engine;
#[cfg(feature = "rivals")]
mod rivals;
mod task;

pub use engine::{Engine, Needs, engines};
pub use task::{Crowd, Kind, Measured, Task, Time, fill, measure};

/// Bytes of a key.
pub const KEY_SIZE: usize = 20;
/// Bytes of a value.
pub const VALUE_SIZE: usize = 100;
