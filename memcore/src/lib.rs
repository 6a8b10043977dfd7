//! An in-process cache of bytes with a hard memory limit.

mod bytes;
mod cache;
mod clock;
mod config;
mod error;
mod index;
mod item;
mod layout;
mod pool;
mod region;
mod segments;
mod stats;
mod sync;

pub use cache::{AsKey, Cache, Cursor, Handle, Key, Reservation};
pub use clock::{Clock, ManualClock, SystemClock};
pub use config::Builder;
pub use error::{ConfigError, CountError, StoreError};
pub use item::*;
pub use stats::{ClassStats, Stats};
