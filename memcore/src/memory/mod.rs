//! Memory as words without meaning, and the primitives that guard it. All `unsafe` stands here.

pub(crate) mod bytes;
pub(crate) mod file;
pub(crate) mod line;
pub(crate) mod region;
pub(crate) mod row;
pub(crate) mod sync;
#[cfg(all(target_os = "linux", not(miri)))]
#[cfg_attr(any(loom, memcore_fallback), expect(dead_code, reason = "memory is not mapped"))]
pub(crate) mod system;
pub(crate) mod thread;
