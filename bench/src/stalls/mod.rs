//! The longest operations of a cache in process, and their causes: `scenario` has the loads,
//! `watch` times each operation by the wall clock and by processor time.

mod scenario;
mod watch;

pub use scenario::{Op, Outcome, Scenario, Size, run};
pub use watch::{Stall, Times};
