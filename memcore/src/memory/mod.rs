//! Memory as words without meaning, and the primitives that guard it. All `unsafe` stands here.

pub(crate) mod bytes;
pub(crate) mod region;
pub(crate) mod row;
pub(crate) mod sync;
pub(crate) mod thread;
