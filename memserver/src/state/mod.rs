//! What all threads of a server share.

pub(crate) mod counters;
pub(crate) mod prefixes;
pub(crate) mod shared;
