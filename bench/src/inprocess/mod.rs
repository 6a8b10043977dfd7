//! Caches in this process, measured in turns: `engine` has the interface and this workspace's
//! cache, `rivals` the others, `task` the operations and the timed loops.

mod engine;
#[cfg(feature = "rivals")]
mod rivals;
mod task;

pub use engine::{Engine, Needs};
pub use task::{Crowd, Kind, Measured, Task, Time, fill, measure};

/// Bytes of a key.
pub const KEY_SIZE: usize = 20;
/// Bytes of a value.
pub const VALUE_SIZE: usize = 100;

/// All caches of this build, this workspace's first. `huge_pages` concerns only that one: without
/// it, it does not ask the system for them.
///
/// # Panics
/// If a cache can't be built.
#[must_use]
pub fn engines(needs: Needs, huge_pages: bool) -> Vec<Box<dyn Engine>> {
    let own: Box<dyn Engine> = Box::new(engine::Own::new(needs, huge_pages));
    #[cfg(feature = "rivals")]
    let others = rivals::rivals(needs);
    #[cfg(not(feature = "rivals"))]
    let others = Vec::new();
    std::iter::once(own).chain(others).collect()
}
