//! What memserver asks of the system and no safe interface offers: all of it that is `unsafe`. It
//! stands apart, so that the server itself can forbid unsafe code.

pub mod heap;
#[cfg(target_os = "linux")]
pub mod network;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
pub mod network;
