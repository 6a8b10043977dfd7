//! An in-process cache of bytes with a hard memory limit.
//!
//! - **The limit is the truth.** One budget in bytes covers items, index and all bookkeeping, and
//!   is never exceeded. Memory is mapped when it is needed.
//! - **Reads wait for no lock** and, in the steady state, write nothing shared.
//!   [`Cache::get_many`] looks up batches several times faster than single lookups.
//! - **Small overhead**: 8 to 12 bytes of header and about 11 bytes of index per item; flags and
//!   expiry take memory only where they are used.
//! - **Scan-resistant eviction** by use, age and size; **expiry** per item, reclaimed in
//!   advance, with bounded work per step.
//! - **No threads, no timers** unless asked for, and no global state but the numbers of threads.
//!   Time is injected with [`Clock`]; the host calls [`Cache::maintain`] when it has time, or
//!   never, or has a [`Helper`] do it.
//!
//! ```
//! use memcore::{Attrs, Cache};
//!
//! let cache = Cache::new(64 << 20)?;
//! cache.set("answer", b"42", Attrs::new())?;
//! assert_eq!(cache.get("answer").as_deref(), Some(&b"42"[..]));
//! assert!(cache.delete("answer"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`snapshot`] copies a cache to a file and back. [`typed`] has keys and values of any
//! type, and loaders. [`guide`] has a section for each question, and a table of what other caches
//! call these things.

// Tests in here are written like a caller's code.
#[cfg(test)]
extern crate self as memcore;

mod cache;
mod clock;
mod config;
mod counter;
mod counters;
mod engine;
mod error;
#[cfg(not(all(feature = "flash", not(loom))))]
#[path = "flash/absent.rs"]
mod flash;
mod helper;
mod hot_keys;
mod index;
mod item;
mod key;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(all(test, loom))]
mod models;
mod ops;
mod options;
mod ratios;
mod removal;
mod restart;
mod size;
mod space;
mod stats;
mod tagged;
mod tags;
#[cfg(all(test, not(loom)))]
mod tests;
mod update;
mod upkeep;

#[cfg(all(feature = "flash", not(loom)))]
pub mod flash;
pub mod snapshot;
pub mod typed;
#[doc(hidden)]
pub mod work;

#[doc = include_str!("guide.md")]
pub mod guide {}

pub use cache::Cache;
pub use clock::{Clock, ManualClock, Moment, SystemClock};
pub use config::Builder;
pub use counter::Counter;
pub use error::{
    CloseError, ConfigError, CountError, MemoryFileError, StoreError, TagError, UpgradeError,
};
pub use helper::Helper;
pub use hot_keys::{HotKey, HotKeys};
pub use item::{Attrs, Expiry, Lease, Meta};
pub use key::{AsKey, Key};
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use ops::handle::{Handle, WeakHandle};
pub use ops::reserve::Reservation;
pub use ops::scan::Cursor;
pub use options::{
    Count, Counted, Fetch, Fetched, Hit, Miss, Mode, Remove, Removed, Resized, Restored, Store,
    Stored, Value,
};
pub use ratios::HitRatios;
pub use removal::{Cause, Removal};
pub use size::{available_memory, gib, mib, percent_of_memory};
pub use stats::{ClassStats, Stats, Sweeps};
pub use tagged::Tagged;
pub use update::Change;

/// The examples of the readme.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
