//! The laboratory: what a cache keeps. Traces and generated patterns run through the cache of this
//! workspace, through any server of the text protocol and through published policies, all in equal
//! real bytes.

pub mod lists;
pub mod mixture;
pub mod pattern;
pub mod plot;
pub mod policy;
pub mod run;

pub use pattern::{Kind as StepKind, Pattern, Step};
pub use plot::{Chart, Curve};
pub use run::{Group, Scores, Threads, over_wire, simulate, simulate_trace, threads};
