//! What only the operating system can do or tell.

pub(crate) mod cgroup;
pub(crate) mod cpu;
pub(crate) mod log;
pub(crate) mod sys;
