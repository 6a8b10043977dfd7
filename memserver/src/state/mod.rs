//! What the threads of one server share, by owner.

pub(crate) mod budgets;
pub(crate) mod clock;
pub(crate) mod control;
pub(crate) mod core;
pub(crate) mod counters;
pub(crate) mod flash;
pub(crate) mod gauges;
pub(crate) mod hot;
pub(crate) mod latency;
pub(crate) mod phase;
pub(crate) mod prefixes;
pub(crate) mod reload;
pub(crate) mod shared;
