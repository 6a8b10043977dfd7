//! Work in the background of operations: eviction, compaction, expiry, a smaller limit.

pub(crate) mod activity;
pub(crate) mod compact;
pub(crate) mod duel;
pub(crate) mod evict;
pub(crate) mod levels;
pub(crate) mod limit;
pub(crate) mod loops;
pub(crate) mod miniature;
pub(crate) mod policy;
pub(crate) mod rivals;
pub(crate) mod room;
pub(crate) mod score;
pub(crate) mod state;
pub(crate) mod sweep;
pub(crate) mod trial;
