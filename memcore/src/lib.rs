//! An in-process cache of bytes with a hard memory limit.

mod cache;
mod clock;
mod config;
mod error;
mod item;
mod stats;

pub use cache::{AsKey, Cache, Cursor, Handle, Key, Reservation};
pub use clock::{Clock, ManualClock, SystemClock};
pub use config::Builder;
pub use error::{ConfigError, CountError, StoreError};
pub use item::*;
pub use stats::{ClassStats, Stats};
