//! How a cache is built.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::memory::sync::AtomicBool;
use crate::removal::ListenerConfig;
use crate::space::layout::KEY_MAX;
use crate::upkeep::score::SIZE_WEIGHT;
use crate::{Cache, Clock, ConfigError, Removal, SystemClock};

/// Builds a [`Cache`].
///
/// # Examples
/// ```
/// let cache = memcore::Cache::builder(64 << 20).max_item_size(4 << 20).build()?;
/// cache.set(b"key", b"value", memcore::Attrs::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Builder {
    pub(crate) limit: usize,
    pub(crate) limit_most: Option<usize>,
    pub(crate) max_item_size: usize,
    pub(crate) max_key_len: usize,
    pub(crate) evictions: bool,
    pub(crate) evict_size_weight: f32,
    pub(crate) pin_limit: Option<usize>,
    pub(crate) huge_pages: Option<bool>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) seed: Option<u64>,
    pub(crate) listeners: ListenerConfig,
    pub(crate) memory_file: Option<PathBuf>,
    pub(crate) memory_file_strict: bool,
    #[cfg(all(feature = "flash", not(loom)))]
    pub(crate) flash: Option<crate::flash::Flash>,
}

impl Builder {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            limit_most: None,
            max_item_size: (1 << 20).min(limit / 2),
            max_key_len: KEY_MAX,
            evictions: true,
            evict_size_weight: SIZE_WEIGHT,
            pin_limit: None,
            huge_pages: None,
            clock: Arc::new(SystemClock::new()),
            seed: None,
            listeners: ListenerConfig::default(),
            memory_file: None,
            memory_file_strict: false,
            #[cfg(all(feature = "flash", not(loom)))]
            flash: None,
        }
    }

    /// How far [`Cache::set_limit`] may raise the limit; only address space is taken for that.
    /// Default four times the limit.
    ///
    /// # Examples
    /// ```
    /// use memcore::Cache;
    ///
    /// let cache = Cache::builder(8 << 20).max_limit(64 << 20).build()?;
    /// cache.set_limit(64 << 20)?;
    /// assert!(cache.set_limit(65 << 20).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn max_limit(mut self, bytes: usize) -> Self {
        self.limit_most = Some(bytes);
        self
    }

    /// The largest item in bytes, header and key included. Default 1 MiB or half of the limit if
    /// that is less; at most 1 GiB and half of the limit.
    ///
    /// # Examples
    /// ```
    /// use memcore::{Attrs, Cache, StoreError};
    ///
    /// let cache = Cache::builder(64 << 20).max_item_size(8 << 20).build()?;
    /// cache.set("k", &vec![0; 7 << 20], Attrs::new())?;
    /// let refused = cache.set("k", &vec![0; 8 << 20], Attrs::new());
    /// assert_eq!(refused, Err(StoreError::TooLarge));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn max_item_size(mut self, bytes: usize) -> Self {
        self.max_item_size = bytes;
        self
    }

    /// The longest key in bytes. Default 65,536, which is the most. Keys of more than 255 bytes
    /// take eight bytes more than their length. A memcached client can't name keys of more than
    /// 250.
    ///
    /// # Examples
    /// ```
    /// use memcore::{Attrs, Cache, StoreError};
    ///
    /// let url = format!("https://example.org/?{}", "q".repeat(1000));
    /// let cache = Cache::new(64 << 20)?;
    /// cache.set(&url, b"page", Attrs::new())?;
    /// assert!(cache.contains(&url));
    ///
    /// let strict = Cache::builder(64 << 20).max_key_len(250).build()?;
    /// assert_eq!(strict.set(&url, b"page", Attrs::new()), Err(StoreError::BadKey));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn max_key_len(mut self, bytes: usize) -> Self {
        self.max_key_len = bytes;
        self
    }

    /// Whether items may be evicted to make room. Default yes. A limit that is lowered has them
    /// evicted all the same.
    ///
    /// Where they may not, what is deleted, replaced or expires is usable at once: a writer that
    /// finds no room puts holes together. A store that is refused leaves the old value.
    ///
    /// # Examples
    /// ```
    /// use memcore::{Attrs, Cache, StoreError};
    ///
    /// let cache = Cache::builder(1 << 20).evictions(false).build()?;
    /// let mut keys = 0..100_000_u32;
    /// let store = |key: u32| cache.set(key.to_le_bytes(), &[0; 100], Attrs::new());
    /// let refused = keys.find_map(|key| store(key).err());
    /// assert_eq!(refused, Some(StoreError::OutOfMemory));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn evictions(mut self, on: bool) -> Self {
        self.evictions = on;
        self
    }

    /// How much an item's size counts against it when something has to be evicted, from 0 to 1:
    /// with more the cache answers more requests, with less more of the bytes that are asked for.
    /// Default 0.565. Numbers beyond that range count as its ends.
    ///
    /// # Examples
    /// ```
    /// // What is behind the cache is read by the megabyte, so bytes count rather than requests.
    /// let cache = memcore::Cache::builder(64 << 20).evict_size_weight(0.4).build()?;
    /// # Ok::<(), memcore::ConfigError>(())
    /// ```
    #[must_use]
    pub fn evict_size_weight(mut self, weight: f32) -> Self {
        // NaN is not a weight.
        self.evict_size_weight = if weight > 0.0 { weight.min(1.0) } else { 0.0 };
        self
    }

    /// Bytes that handles may keep from being reclaimed. Default an eighth of the cache's limit,
    /// which the last value to be pinned may exceed, so that every value can be.
    ///
    /// # Examples
    /// ```
    /// use memcore::Cache;
    ///
    /// // Handles to large values are kept for long.
    /// let cache = Cache::builder(64 << 20).pin_limit(32 << 20).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn pin_limit(mut self, bytes: usize) -> Self {
        self.pin_limit = Some(bytes);
        self
    }

    /// Whether to ask the system for huge pages (2 MiB): lookups in much memory get faster, and a
    /// few MiB come on top of what is filled. Default yes from a limit of 64 MiB on.
    ///
    /// # Examples
    /// ```
    /// use memcore::Cache;
    ///
    /// // One of many small caches.
    /// let cache = Cache::builder(64 << 20).huge_pages(false).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn huge_pages(mut self, on: bool) -> Self {
        self.huge_pages = Some(on);
        self
    }

    /// Where the time comes from. Default [`SystemClock`].
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use memcore::{Attrs, Cache, ManualClock, Moment};
    ///
    /// let clock = ManualClock::new(Moment::from_secs(1_000));
    /// let cache = Cache::builder(8 << 20).clock(clock.clone()).build()?;
    /// cache.set("k", b"v", Attrs::new().ttl(Duration::from_secs(60)))?;
    /// clock.advance(Duration::from_secs(60));
    /// assert!(!cache.contains("k"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Fixes the hash seed, for repeatable measurements. Default random.
    ///
    /// # Examples
    /// ```
    /// use memcore::Cache;
    ///
    /// // The same keys are evicted in each run.
    /// let cache = Cache::builder(8 << 20).seed(7).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Calls `listener` for each item that is removed, with the cause: once the operation that
    /// removed it is done and nothing is locked, so it may use the cache.
    ///
    /// The thread that removes items calls it before its operation returns, and reports to it one
    /// after the other what concerns one key. If another thread is reporting at the moment, that
    /// one takes these over: up to about a thousand, and then threads wait that remove more. So a
    /// listener must not wait for threads that use the cache. Removals that are yet to be reported
    /// are not of the cache's limit.
    ///
    /// It is given the cache, as a handle of its own would keep the cache from being dropped. The
    /// items that are left when a cache is dropped are not reported. Panics are caught, and counted
    /// in [`Stats::listener_panics`](crate::Stats::listener_panics).
    ///
    /// # Examples
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use memcore::{Attrs, Cache, Cause};
    ///
    /// let log = Arc::new(Mutex::new(Vec::new()));
    /// let told = Arc::clone(&log);
    /// let cache = Cache::builder(8 << 20)
    ///     .on_removal(move |cache, removal| {
    ///         assert!(!cache.contains(removal.key));
    ///         told.lock().unwrap().push((removal.key.to_vec(), removal.cause));
    ///     })
    ///     .build()?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// cache.delete("k");
    /// assert_eq!(*log.lock().unwrap(), [(b"k".to_vec(), Cause::Deleted)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn on_removal(
        mut self,
        listener: impl Fn(&Cache, &Removal<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.listeners.listener = Some(Arc::new(listener));
        self
    }

    /// Whether the listener of [`on_removal`](Self::on_removal) is given the values, which are
    /// copied for it. Values are then not written over in place. Default no.
    ///
    /// # Examples
    /// ```
    /// use memcore::{Attrs, Cache, Cause};
    ///
    /// let (sender, spilled) = std::sync::mpsc::channel();
    /// let cache = Cache::builder(8 << 20)
    ///     .removed_values(true)
    ///     .on_removal(move |_, removal| {
    ///         let value = removal.value.unwrap_or_default().to_vec();
    ///         let _ = sender.send((removal.cause, value));
    ///     })
    ///     .build()?;
    /// cache.set("k", b"old", Attrs::new())?;
    /// cache.set("k", b"new", Attrs::new())?;
    /// assert_eq!(spilled.recv()?, (Cause::Replaced, b"old".to_vec()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn removed_values(mut self, on: bool) -> Self {
        self.listeners.values = on;
        self
    }

    /// Calls `watcher` for each item that is removed, at once and without allocating anything. It
    /// runs while parts of the cache are locked: it must be quick and must not use the cache. Its
    /// panics are caught and counted as a listener's.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use memcore::{Attrs, Cache};
    ///
    /// let bytes = Arc::new(AtomicU64::new(0));
    /// let sum = Arc::clone(&bytes);
    /// let cache = Cache::builder(8 << 20)
    ///     .watch_removals(move |removal| {
    ///         sum.fetch_add(removal.meta.size as u64, Ordering::Relaxed);
    ///     })
    ///     .build()?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// cache.delete("k");
    /// assert_eq!(bytes.load(Ordering::Relaxed), 12, "a header of 8 bytes, key and value");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn watch_removals(
        mut self,
        watcher: impl Fn(&Removal<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.listeners.watcher = Some(Arc::new(watcher));
        self.listeners.watching = None;
        self
    }

    /// The same while `watching` is set: at other times a removal costs one load of it.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    /// use memcore::{Attrs, Cache};
    ///
    /// let (watching, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    /// let counter = Arc::clone(&count);
    /// let cache = Cache::builder(8 << 20)
    ///     .watch_removals_while(Arc::clone(&watching), move |_| {
    ///         counter.fetch_add(1, Ordering::Relaxed);
    ///     })
    ///     .build()?;
    /// for watched in [false, true] {
    ///     watching.store(watched, Ordering::Relaxed);
    ///     cache.set("k", b"v", Attrs::new())?;
    ///     cache.delete("k");
    /// }
    /// assert_eq!(count.load(Ordering::Relaxed), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn watch_removals_while(
        mut self,
        watching: Arc<AtomicBool>,
        watcher: impl Fn(&Removal<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.listeners.watcher = Some(Arc::new(watcher));
        self.listeners.watching = Some(watching);
        self
    }

    /// Keeps the memory in this file, so that [`Cache::close`] leaves it for the next cache to go
    /// on with: items, versions, expiries and planned flushes. Linux only.
    ///
    /// The file is best on tmpfs: on a disk, the system writes changed pages to it all the time. It
    /// looks several times as large as the limit, but takes only what is used. One cache uses it at
    /// a time. It holds keys and values as they are, and can be read by its owner only.
    ///
    /// A file that is damaged, was not closed, is from another version, or is in use, is not used:
    /// the cache begins empty, and [`Cache::restored`] says why. Whether the bytes of items are
    /// what was written is looked at when they are first used, and by [`Cache::maintain`]: items
    /// whose bytes are not are misses, and [`Stats::lost`](crate::Stats::lost) counts them.
    ///
    /// The hash seed and the size of the segments stay what they were; the limit may be another
    /// one, up to the [`max_limit`](Self::max_limit) that the file was created with.
    ///
    /// # Examples
    /// ```
    /// use memcore::{Attrs, Cache, Restored};
    /// # if !cfg!(target_os = "linux") { return Ok(()) }
    ///
    /// # let folder = std::env::temp_dir().join(format!("memcore-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("cache");
    /// let cache = Cache::builder(8 << 20).memory_file(&path).build()?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// cache.close()?;
    ///
    /// let cache = Cache::builder(8 << 20).memory_file(&path).build()?;
    /// assert_eq!(cache.restored(), Some(&Restored::Items(1)));
    /// assert_eq!(cache.get("k").as_deref(), Some(&b"v"[..]));
    /// # drop(cache);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn memory_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.memory_file = Some(path.into());
        self
    }

    /// Whether a memory file that can't be used is an error. Default no: the cache begins empty. If
    /// so, all of the file is read before the cache can be used.
    ///
    /// # Examples
    /// ```
    /// use memcore::{Cache, ConfigError};
    ///
    /// # let path = std::env::temp_dir().join(format!("memcore-strict-{}", std::process::id()));
    /// std::fs::write(&path, "something else")?;
    /// let builder = Cache::builder(8 << 20).memory_file(&path).memory_file_strict(true);
    /// assert!(matches!(builder.build(), Err(ConfigError::MemoryFile(_))));
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn memory_file_strict(mut self, on: bool) -> Self {
        self.memory_file_strict = on;
        self
    }

    /// Adds a second tier on flash, which takes items that are evicted from memory. See
    /// [`Flash`](crate::flash::Flash).
    ///
    /// Its table and buffers are of the limit. To a listener of [removals](Self::on_removal) an
    /// item that goes there is evicted, and [`Cache::scan`] and [snapshots](crate::snapshot) see
    /// what is in memory. Of more tags than one for each 16 KiB of the limit, those that no item in
    /// memory has lose the items that they have on flash.
    ///
    /// # Examples
    /// ```
    /// use memcore::Cache;
    /// use memcore::flash::Flash;
    ///
    /// # let path = std::env::temp_dir().join(format!("memcore-tier-{}", std::process::id()));
    /// let flash = Flash::new().file(&path, 64 << 20)?.region_size(4 << 20).buffer_size(256 << 10);
    /// let cache = Cache::builder(16 << 20).flash(flash).build()?;
    /// assert!(cache.flash_stats().is_some());
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(all(feature = "flash", not(loom)))]
    #[must_use]
    pub fn flash(mut self, flash: crate::flash::Flash) -> Self {
        self.flash = Some(flash);
        self
    }

    /// Builds the cache. No memory of the limit is touched yet.
    ///
    /// # Errors
    /// [`ConfigError`] if the sizes don't fit or the system refuses address space.
    ///
    /// # Examples
    /// ```
    /// use memcore::Cache;
    ///
    /// let cache = Cache::builder(8 << 20).build()?;
    /// assert!(Cache::builder(1).build().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Cache, ConfigError> {
        Cache::from_builder(self)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("limit", &self.limit)
            .field("max_item_size", &self.max_item_size)
            .finish_non_exhaustive()
    }
}
