//! Work that no caller asked for: eviction, compaction, expiry.

pub(crate) mod activity;
pub(crate) mod reclaim;
pub(crate) mod sweep;
