//! How a flash tier is set up.

use core::time::Duration;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Device;
use super::place::Place;

/// A flash tier: where it lies and what goes there.
///
/// # Examples
/// ```
/// use memcore::flash::Flash;
/// use memcore::{Attrs, Cache};
///
/// let path = std::env::temp_dir().join(format!("memcore-flash-{}", std::process::id()));
/// let flash = Flash::new().file(&path, 64 << 20)?.region_size(4 << 20).buffer_size(256 << 10);
/// let cache = Cache::builder(16 << 20).flash(flash).build()?;
/// let value = [b'v'; 10_000];
/// for number in 0..3_000_u32 {
///     cache.set(number.to_le_bytes(), &value, Attrs::new())?;
/// }
/// // Twice as much as memory can hold, and all of it is there.
/// let found = (0..3_000_u32).filter(|number| cache.get(number.to_le_bytes()).is_some()).count();
/// assert!(found > 2_900, "{found}");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Flash {
    pub(super) devices: Vec<(Arc<dyn Device>, u64)>,
    /// Those of them that paths name.
    pub(super) places: Vec<Arc<Place>>,
    pub(super) region: u64,
    pub(super) buffer: usize,
    pub(super) buffers: usize,
    pub(super) reads: usize,
    pub(super) waits: bool,
    pub(super) size_min: usize,
    pub(super) rules: Rules,
}

/// Which items go to flash.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    pub(super) idle_min: u32,
    pub(super) left_min: u32,
    pub(super) fetched_only: bool,
}

impl Flash {
    /// A tier without a place yet.
    ///
    /// # Examples
    /// ```
    /// let flash = memcore::flash::Flash::new();
    /// // A tier needs a place.
    /// assert!(memcore::Cache::builder(64 << 20).flash(flash).build().is_err());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            devices: Vec::new(),
            places: Vec::new(),
            region: 64 << 20,
            buffer: 2 << 20,
            buffers: 2,
            reads: 4,
            waits: true,
            size_min: 0,
            rules: Rules::default(),
        }
    }

    /// Uses `bytes` of the file or the block device at `path`. A file is made if there is none, and
    /// can be read by its owner only; it gets its size once the cache is built, and goes away again
    /// if the cache can't be. With more than one file, each next region is in another one.
    ///
    /// # Errors
    /// It can't be opened, has no room, or is in use: of two caches with one file each would
    /// overwrite what the other one needs.
    ///
    /// # Examples
    /// ```
    /// use memcore::Cache;
    /// use memcore::flash::Flash;
    ///
    /// # let path = std::env::temp_dir().join(format!("memcore-file-{}", std::process::id()));
    /// let flash = Flash::new().file(&path, 256 << 20)?;
    /// let cache = Cache::builder(64 << 20).flash(flash).build()?;
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn file(mut self, path: impl AsRef<Path>, bytes: u64) -> io::Result<Self> {
        let path = path.as_ref();
        if self.uses(path) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is given twice"));
        }
        let place = Arc::new(Place::open(path, bytes)?);
        self.places.push(Arc::clone(&place));
        self.devices.push((place, bytes));
        Ok(self)
    }

    /// What [`file`](Self::file) has against this path, unless it is that another cache uses it.
    /// Nothing is made, locked or changed.
    ///
    /// # Errors
    /// It can't be opened or used; [`NotFound`](io::ErrorKind::NotFound) if there is no such file
    /// yet.
    ///
    /// # Examples
    /// ```
    /// use std::io::ErrorKind;
    ///
    /// use memcore::flash::Flash;
    ///
    /// let folder = std::env::temp_dir();
    /// assert!(Flash::check_file(&folder, 1 << 30).is_err());
    /// let nothing = Flash::check_file(folder.join("no-such-file"), 1 << 30).unwrap_err();
    /// assert_eq!(nothing.kind(), ErrorKind::NotFound);
    /// ```
    pub fn check_file(path: impl AsRef<Path>, bytes: u64) -> io::Result<()> {
        Place::check(path.as_ref(), bytes)
    }

    /// Whether a path leads to one of its files.
    pub(crate) fn uses(&self, path: &Path) -> bool {
        self.places.iter().any(|place| place.is_at(path))
    }

    /// Gives its files their sizes.
    ///
    /// # Errors
    /// Which one can't have it, and why.
    pub(super) fn size_files(&self) -> Result<(), String> {
        for place in &self.places {
            place.size().map_err(|error| format!("{}: {error}", place.path().display()))?;
        }
        Ok(())
    }

    /// Uses `bytes` of a device.
    #[must_use]
    pub fn device(mut self, device: impl Device + 'static, bytes: u64) -> Self {
        self.devices.push((Arc::new(device), bytes));
        self
    }

    /// Bytes of a region, rounded down to a multiple of 4,096. An item lies in one region. Default
    /// 64 MiB.
    ///
    /// # Examples
    /// ```
    /// # use memcore::flash::Flash;
    /// // Small ones, for a small tier.
    /// let flash = Flash::new().region_size(4 << 20).buffer_size(256 << 10);
    /// # let _ = flash;
    /// ```
    #[must_use]
    pub fn region_size(mut self, bytes: u64) -> Self {
        self.region = bytes;
        self
    }

    /// Bytes of a write buffer, rounded down to a multiple of 4,096: what is written at once, and
    /// the largest item that goes to flash. Default 2 MiB. Buffers count against the limit.
    ///
    /// # Examples
    /// ```
    /// # use memcore::flash::Flash;
    /// let flash = Flash::new().buffer_size(1 << 20).buffers(4);
    /// # let _ = flash;
    /// ```
    #[must_use]
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer = bytes;
        self
    }

    /// How many write buffers there are, at least two. If all of them wait to be written, items
    /// are evicted as without a flash tier. Default 2.
    ///
    /// # Examples
    /// ```
    /// # use memcore::flash::Flash;
    /// // For a device that pauses now and then.
    /// let flash = Flash::new().buffers(8);
    /// # let _ = flash;
    /// ```
    #[must_use]
    pub fn buffers(mut self, count: usize) -> Self {
        self.buffers = count;
        self
    }

    /// How many items are read at the same time; others wait. Each takes 64 KiB of the limit.
    /// Default 4.
    ///
    /// # Examples
    /// ```
    /// # use memcore::flash::Flash;
    /// let flash = Flash::new().reads(32);
    /// # let _ = flash;
    /// ```
    #[must_use]
    pub fn reads(mut self, count: usize) -> Self {
        self.reads = count;
        self
    }

    /// Whether operations wait for the device. If they do, which is the default, an operation on
    /// a key whose item is on flash brings it to memory first, and a write that has filled a buffer
    /// writes it unless somebody else [does](crate::Cache::flash_work).
    ///
    /// If they don't, operations see what is in memory. The host calls
    /// [`locate`](crate::Cache::locate) before them, has its threads bring in what is on flash,
    /// and writes buffers.
    ///
    /// # Examples
    /// ```
    /// # use memcore::flash::Flash;
    /// let flash = Flash::new().waits(false);
    /// # let _ = flash;
    /// ```
    #[must_use]
    pub fn waits(mut self, on: bool) -> Self {
        self.waits = on;
        self
    }

    /// Items with fewer bytes, header and key included, don't go to flash. Default 0.
    ///
    /// # Examples
    /// ```
    /// # use memcore::flash::Flash;
    /// // What is small costs flash more than memory.
    /// let flash = Flash::new().min_item_size(512);
    /// # let _ = flash;
    /// ```
    #[must_use]
    pub fn min_item_size(mut self, bytes: usize) -> Self {
        self.size_min = bytes;
        self
    }

    /// Items that were used within this time don't go to flash. Default 0.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::flash::Flash;
    /// let flash = Flash::new().min_idle(Duration::from_secs(600));
    /// # let _ = flash;
    /// ```
    #[must_use]
    pub fn min_idle(mut self, time: Duration) -> Self {
        self.rules.idle_min = secs(time);
        self
    }

    /// Whether items that nobody has fetched since they were stored don't go to flash, which saves
    /// writing them. Default no.
    ///
    /// # Examples
    /// ```
    /// # use memcore::flash::Flash;
    /// let flash = Flash::new().fetched_only(true);
    /// # let _ = flash;
    /// ```
    #[must_use]
    pub fn fetched_only(mut self, on: bool) -> Self {
        self.rules.fetched_only = on;
        self
    }

    /// Items that expire within this time don't go to flash. Default 0.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::flash::Flash;
    /// let flash = Flash::new().min_ttl(Duration::from_secs(3_600));
    /// # let _ = flash;
    /// ```
    #[must_use]
    pub fn min_ttl(mut self, time: Duration) -> Self {
        self.rules.left_min = secs(time);
        self
    }
}

fn secs(time: Duration) -> u32 {
    time.as_secs().try_into().unwrap_or(u32::MAX)
}

impl Default for Flash {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Flash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: u64 = self.devices.iter().map(|(_, bytes)| bytes).sum();
        f.debug_struct("Flash")
            .field("bytes", &bytes)
            .field("region", &self.region)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
